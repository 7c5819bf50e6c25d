# SPDX-License-Identifier: MIT
"""What happens once, when the interpreter of a kernel has started."""

import builtins
import os
import sys

import _akernel
from akernel import _display, _hooks, _stdin


def _comm(module):
    from akernel import _comm

    _comm.bind(module)


def _widgets(module):
    from akernel import _widgets

    (_widgets.bind_package if module.__name__ == "ipywidgets" else _widgets.bind_module)(module)


def _getpass(module):
    module.getpass = _akernel.getpass


def _threading(module):
    from akernel import _threads

    _threads.patch_threading(module)


def _pool(module):
    from akernel import _threads

    _threads.patch_pool(module)


def _pdb(module):
    """An interrupt at the prompt leaves the debugger and ends the cell: the prompt that
    would come again instead holds the kernel until somebody finds the right command."""

    def cmdloop(self):
        self.allow_kbdint = True
        try:
            self.cmdloop()
        except KeyboardInterrupt:
            self.set_quit()
            sys.settrace(None)
            raise
        finally:
            self.allow_kbdint = False

    module.Pdb._cmdloop = cmdloop


def _ipykernel(module):
    from akernel import _ipykernel

    _ipykernel.bind(module)


def _ipython():
    """Some libraries ask sys.modules, not get_ipython, where they are."""
    _akernel.get_ipython()


def _figures(module):
    from akernel import _matplotlib

    _matplotlib.bind_figures(module)


def _inline(module):
    from akernel import _matplotlib

    _matplotlib.bind_backend(module)


def _interactiveshell(module):
    _akernel._want_shell()
    from akernel import _shell

    _shell.watch_interactiveshell(module)


def _installed(*names):
    """Whether the packages lie on sys.path; cheaper than to look for their specs."""
    return all(any(os.path.isdir(os.path.join(path, name)) for path in sys.path if path) for name in names)


def _has_profile():
    """Whether the user has startup files or a configuration of IPython: a few stats."""
    root = os.environ.get("IPYTHONDIR") or os.path.join(os.path.expanduser("~"), ".ipython")
    arguments = " ".join(_akernel._config.get("arguments") or ())
    if "--profile" in arguments or "--InteractiveShellApp." in arguments or "--IPKernelApp." in arguments:
        return True
    profile = os.path.join(root, "profile_default")
    shared = [os.path.join(sys.prefix, "etc", "ipython"), "/etc/ipython", "/usr/local/etc/ipython"]
    for directory in (profile, *shared):
        for name in ("ipython_config.py", "ipython_kernel_config.py", "ipython_config.json", "ipython_kernel_config.json"):
            if os.path.exists(os.path.join(directory, name)):
                return True
        try:
            names = os.listdir(os.path.join(directory, "startup"))
        except OSError:
            continue
        if any(name.endswith((".py", ".ipy")) for name in names):
            return True
    return False


def open_world(names):
    """The world is open: what its names hold from the start, and whether the shell is
    wanted at once."""
    session = os.environ.get("JPY_SESSION_NAME") or _akernel._config.get("session_name")
    if session:
        names["__session__"] = session
    return _installed("IPython") and _has_profile()


def _environment():
    """What programs that a cell starts should know: colours are shown, pagers are not."""
    os.environ.setdefault("TERM", "xterm-color")
    for name in ("CLICOLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        os.environ.setdefault(name, "1")
    os.environ["PAGER"] = os.environ["GIT_PAGER"] = "cat"
    if not os.environ.get("MPLBACKEND") and _installed("matplotlib_inline", "IPython"):
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"


_environment()
builtins.display = _display.display
builtins.update_display = _display.update_display
builtins.clear_output = _display.clear_output
builtins.ainput = _stdin.ainput
sys.stdin = _stdin.Stdin()
_hooks.install(
    {
        "comm": _comm,
        "getpass": _getpass,
        "ipywidgets": _widgets,
        "ipywidgets.widgets.widget": _widgets,
        "matplotlib._pylab_helpers": _figures,
        "matplotlib_inline.backend_inline": _inline,
        "pdb": _pdb,
        "IPython.core.interactiveshell": _interactiveshell,
        "threading": _threading,
        "concurrent.futures.thread": _pool,
        **dict.fromkeys((f"ipykernel.{name}" for name in ("kernelapp", "kernelbase", "ipkernel", "comm.comm", "zmqshell")), _ipykernel),
    },
    before=dict.fromkeys(("matplotlib.pyplot", "tqdm.autonotebook"), _ipython),
)
