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


def _environment():
    """What programs that a cell starts should know: colours are shown, pagers are not."""
    os.environ.setdefault("TERM", "xterm-color")
    for name in ("CLICOLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        os.environ.setdefault(name, "1")
    os.environ["PAGER"] = os.environ["GIT_PAGER"] = "cat"


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
        "threading": _threading,
        "concurrent.futures.thread": _pool,
    }
)
