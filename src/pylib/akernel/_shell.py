# SPDX-License-Identifier: MIT
"""IPython's shell over the native kernel.

It is made by make(), the first time that something needs it. Cells are run by the kernel,
never by the shell: what is here turns IPython's syntax into Python, tells the shell's
events and history of the cells that run, and sends what it displays through the kernel.
Names, counters, In and Out are the kernel's own objects.
"""

import builtins
import sys
import threading

import _akernel

INSTALL = (
    "magics (%), shell commands (!) and help (?) need IPython, which is not installed in this "
    "kernel's environment: run  {python} -m pip install ipython  and then this cell again"
)

_making = threading.RLock()
_busy = False


def make():
    """The shell, made when there is none; None while it is just being made."""
    global _busy
    if not _making.acquire(timeout=20):
        return None
    try:
        shell = _akernel._shell()
        if shell is not None or _busy:
            return shell
        _busy = True
        try:
            return _make()
        finally:
            _busy = False
    finally:
        _making.release()


def _make():
    try:
        import IPython.core.interactiveshell  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "IPython":
            raise
        message = INSTALL.format(python=sys.executable or "python")
        raise ModuleNotFoundError(message, name="IPython") from None
    from akernel import _shell_classes

    return _shell_classes.make_shell()


def watch_interactiveshell(module):
    """IPython's own questions for the shell make it: get_ipython(), display() and whatever
    else asks the class."""
    shell_class = module.InteractiveShell
    initialized = shell_class.initialized.__func__
    instance = shell_class.instance.__func__

    def is_initialized(cls):
        if not initialized(cls) and not _busy:
            make()
        return initialized(cls)

    def get_instance(cls, *args, **kwargs):
        if not args and not kwargs and not _busy and not initialized(cls):
            make()
        return instance(cls, *args, **kwargs)

    shell_class.initialized = classmethod(is_initialized)
    shell_class.instance = classmethod(get_instance)


# --- who writes where -------------------------------------------------------------------


class Parent(dict):
    """A request as libraries know it: a message whose header says who asked."""

    request = None


_parents = {}


def parent():
    """The message that the running code answers."""
    request = _akernel._request()
    if request is None:
        return Parent(header={}, parent_header={}, metadata={}, content={}, msg_id="", msg_type="")
    header = request.header
    found = Parent(
        header=header,
        parent_header={},
        metadata=request.metadata,
        content={},
        buffers=[],
        msg_id=header.get("msg_id", ""),
        msg_type=header.get("msg_type", ""),
    )
    found.request = request
    if found["msg_id"] not in _parents:
        while len(_parents) >= 256:
            _parents.pop(next(iter(_parents)), None)
        _parents[found["msg_id"]] = request
    return found


def set_parent(message):
    """What the running context prints and displays from now on belongs to that message.

    Gives a token for _akernel._reset_request, or None when the message is not known."""
    request = getattr(message, "request", None)
    if request is None and isinstance(message, dict):
        header = message.get("header", message)
        msg_id = header.get("msg_id") if isinstance(header, dict) else None
        request = _parents.get(msg_id)
    return None if request is None else _akernel._set_request(request)


# --- publishing -------------------------------------------------------------------------


class Hooks:
    """The transform hooks of a publisher, one list a thread."""

    def __init__(self):
        self._local = threading.local()

    @property
    def hooks(self):
        if not hasattr(self._local, "hooks"):
            self._local.hooks = []
        return self._local.hooks

    def send(self, msg_type, content, metadata=None):
        """Runs the hooks over the message, and publishes what they leave of it."""
        message = None
        for hook in self.hooks:
            if message is None:
                message = _message(msg_type, content, metadata)
            message = hook(message)
            if message is None:
                return
        if message is not None:
            content, metadata = message.get("content", {}), message.get("metadata") or None
        _akernel._publish(OUTPUTS[msg_type], content, metadata)


OUTPUTS = {
    "execute_result": _akernel._EXECUTE_RESULT,
    "display_data": _akernel._DISPLAY_DATA,
    "update_display_data": _akernel._UPDATE_DISPLAY_DATA,
    "clear_output": _akernel._CLEAR_OUTPUT,
    "comm_open": _akernel._COMM_OPEN,
    "comm_msg": _akernel._COMM_MSG,
    "comm_close": _akernel._COMM_CLOSE,
}


def _message(msg_type, content, metadata=None):
    import uuid

    header = parent()["header"]
    msg_id = str(uuid.uuid4())
    return {
        "header": {"msg_id": msg_id, "msg_type": msg_type, "username": "kernel", "session": "", "version": "5.5"},
        "msg_id": msg_id,
        "msg_type": msg_type,
        "parent_header": header,
        "metadata": metadata or {},
        "content": content,
    }


class Session:
    """Enough of jupyter_client's Session for libraries that publish through the kernel's."""

    session = username = ""

    def msg(self, msg_type, content=None, parent=None, header=None, metadata=None):
        return _message(msg_type, content or {}, metadata)

    def send(self, stream, msg_or_type, content=None, parent=None, ident=None, buffers=None, track=False, header=None, metadata=None):
        if isinstance(msg_or_type, dict):
            message = msg_or_type
            msg_type = message.get("msg_type") or message["header"]["msg_type"]
            content, metadata = message.get("content"), metadata or message.get("metadata")
        else:
            msg_type, message = msg_or_type, _message(msg_or_type, content or {}, metadata)
        if msg_type == "stream":
            getattr(sys, content.get("name", "stdout"), sys.stdout).write(content.get("text", ""))
        elif msg_type == "error":
            _akernel._show_error(content)
        elif msg_type in OUTPUTS:
            token = set_parent(parent) if parent else None
            try:
                _akernel._publish(OUTPUTS[msg_type], content or {}, metadata, buffers)
            finally:
                if token is not None:
                    _akernel._reset_request(token)
        return message


class Kernel:
    """What libraries reach as get_ipython().kernel."""

    implementation = "akernel"
    language = "python"
    banner = ""
    eventloop = None
    iopub_socket = shell_socket = stdin_socket = None

    def __init__(self, shell):
        self.shell = shell
        self.session = Session()

    @property
    def comm_manager(self):
        import comm

        return comm.get_comm_manager()

    @property
    def user_ns(self):
        return self.shell.user_ns

    @property
    def user_module(self):
        return self.shell.user_module

    @property
    def execution_count(self):
        return self.shell.execution_count

    @property
    def io_loop(self):
        from tornado.ioloop import IOLoop

        return IOLoop.current()

    @property
    def _parent_header(self):
        return parent()

    @property
    def _parent_ident(self):
        return {"shell": [], "control": []}

    def get_parent(self, channel=None):
        return parent()

    def set_parent(self, ident, message, channel="shell"):
        set_parent(message)

    def raw_input(self, prompt=""):
        return builtins.input(prompt)

    def getpass(self, prompt=""):
        return _akernel.getpass(prompt)

    def do_shutdown(self, restart):
        builtins.exit()
