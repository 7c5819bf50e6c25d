# SPDX-License-Identifier: MIT
"""ipykernel as libraries import it: the installed one bound to this kernel, or stand-ins
for what they use when there is none.
"""

import importlib.machinery

import _akernel


class App:
    """What IPKernelApp.instance() gives."""

    name = "akernel"
    connection_dir = ""

    @property
    def connection_file(self):
        return _akernel._config.get("connection_file") or ""

    @property
    def abs_connection_file(self):
        return self.connection_file

    @property
    def shell(self):
        return _akernel.get_ipython()

    @property
    def kernel(self):
        return getattr(self.shell, "kernel", None)

    @property
    def config(self):
        return getattr(self.shell, "config", {})

    parent = None


_app = App()


def _single(cls, get):
    cls.initialized = classmethod(lambda cls: True)
    cls.instance = classmethod(lambda cls, *args, **kwargs: get())


def _comm_class():
    import comm

    return comm.create_comm.__self__.comm_class


# --- the installed one, module by module, as it is imported -----------------------------


def bind(module):
    name = module.__name__.removeprefix("ipykernel.")
    if name == "kernelapp":
        _single(module.IPKernelApp, lambda: _app)
    elif name == "kernelbase":
        _single(module.Kernel, lambda: _app.kernel)
    elif name == "ipkernel":
        # Its import takes the comm package for itself.
        import comm

        from akernel import _comm

        _comm.bind(comm)
    elif name == "comm.comm":
        module.Comm = module.BaseComm = _comm_class()
    elif name == "zmqshell":
        shell = _akernel.get_ipython()
        if shell is not None:
            module.ZMQInteractiveShell = type(shell)


# --- stand-ins --------------------------------------------------------------------------


def get_connection_file(app=None):
    """The path of this kernel's connection file."""
    return _app.connection_file


def get_connection_info(connection_file=None, unpack=False):
    """What the connection file says: its text, or a dict of it with unpack."""
    import json

    with open(connection_file or get_connection_file(), encoding="utf-8") as file:
        text = file.read()
    return json.loads(text) if unpack else text


class IPKernelApp(App):
    """Stands for the application of ipykernel, which this kernel is not."""


class Kernel:
    """Stands for the kernel object of ipykernel."""


_single(IPKernelApp, lambda: _app)
_single(Kernel, lambda: _app.kernel)


def _manager_class():
    import comm

    return type(comm.get_comm_manager())


def _shell_class():
    shell = _akernel.get_ipython()
    if shell is None:
        raise ImportError("ZMQInteractiveShell needs IPython, which is not installed in this environment")
    return type(shell)


_CONNECT = {"get_connection_file": lambda: get_connection_file, "get_connection_info": lambda: get_connection_info}
_COMM = {"Comm": _comm_class, "CommManager": _manager_class}
STAND_INS = {
    "ipykernel": {**_CONNECT, "__version__": lambda: "7.0.0", "version_info": lambda: (7, 0, 0)},
    "ipykernel.connect": _CONNECT,
    "ipykernel.comm": _COMM,
    "ipykernel.comm.comm": {**_COMM, "BaseComm": _comm_class},
    "ipykernel.comm.manager": _COMM,
    "ipykernel.kernelapp": {"IPKernelApp": lambda: IPKernelApp},
    "ipykernel.kernelbase": {"Kernel": lambda: Kernel},
    "ipykernel.ipkernel": {"IPythonKernel": lambda: Kernel},
    "ipykernel.zmqshell": {"ZMQInteractiveShell": _shell_class},
}


class Loader:
    def create_module(self, spec):
        return None

    def exec_module(self, module):
        makers = STAND_INS[module.__name__]

        def get(name):
            if name not in makers:
                raise AttributeError(f"module {module.__name__!r}, which akernel stands in for, has no attribute {name!r}")
            return makers[name]()

        module.__doc__ = "What akernel offers of ipykernel, which is not installed."
        module.__getattr__ = get


def find_spec(name):
    if name not in STAND_INS:
        return None
    package = any(other.startswith(name + ".") for other in STAND_INS)
    return importlib.machinery.ModuleSpec(name, Loader(), origin="akernel", is_package=package)
