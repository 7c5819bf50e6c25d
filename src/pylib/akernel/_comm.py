# SPDX-License-Identifier: MIT
"""The backend of the comm package: front-end objects talk over the kernel's sockets.

A comm remembers the request in which it was made. What a handler prints belongs to the
message that it handles, as everywhere; but a front end forgets a message when it has been
handled, and so what the tasks and threads of a handler print goes to the cell that made
the comm, where the widget is.
"""

import builtins
import sys

import _akernel


class Kernel:
    """What a comm has as its kernel while there is no shell: widgets send nothing without
    one, and an Output asks it whose output it is to take."""

    def get_parent(self, channel=None):
        import json

        header = json.loads(_akernel._header() or "{}")
        return {"header": header, "parent_header": {}, "metadata": {}, "content": {}, **_ids(header)}


def _ids(header):
    return {name: header[name] for name in ("msg_id", "msg_type") if name in header}


_kernel = Kernel()


def _make_classes(comm):
    class Comm(comm.base_comm.BaseComm):
        """A comm whose messages are published by the kernel."""

        def __init__(self, *args, **kwargs):
            self._maker = _akernel._request()
            super().__init__(*args, **kwargs)

        @property
        def kernel(self):
            get_ipython = getattr(builtins, "get_ipython", None)
            return getattr(get_ipython and get_ipython(), "kernel", None) or _kernel

        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            output = getattr(_akernel, "_" + msg_type.upper())
            content = {"data": {} if data is None else data, "comm_id": self.comm_id, **keys}
            _akernel._publish(output, content, metadata, buffers)

    class CommManager(comm.base_comm.CommManager):
        """One that lets what a handler raises come out, so that it is shown.

        There is one a world. A target of a cell is its world's; one that a library
        registers, which it does once when it is imported, is everybody's.
        """

        shared = {}

        def register_target(self, target_name, f):
            super().register_target(target_name, f)
            if _akernel._session() and getattr(self.targets[target_name], "__module__", None) != "__main__":
                self.shared[target_name] = self.targets.pop(target_name)

        def unregister_target(self, target_name, f):
            targets = self.targets if target_name in self.targets else self.shared
            return targets.pop(target_name)

        def comm_open(self, stream, ident, message):
            content = message["content"]
            target = self.targets.get(content["target_name"]) or self.shared.get(content["target_name"])
            opened = comm.create_comm(comm_id=content["comm_id"], primary=False, target_name=content["target_name"])
            self.register_comm(opened)
            try:
                if target is None:
                    print(f"akernel: nothing here opens comms of the target {opened.target_name!r}", file=sys.stderr)
                else:
                    target(opened, message)
                    return
            except BaseException:
                opened.close()
                raise
            opened.close()

        def comm_msg(self, stream, ident, message):
            known = self.comms.get(message["content"]["comm_id"])
            if known is not None:
                known.handle_msg(message)

        def comm_close(self, stream, ident, message):
            known = self.comms.pop(message["content"]["comm_id"], None)
            if known is not None:
                known._closed = True
                known.handle_close(message)

    return Comm, CommManager


class _Backend:
    def __init__(self, comm):
        self.comm_class, self.manager_class = _make_classes(comm)

    def create_comm(self, *args, **kwargs):
        return self.comm_class(*args, **kwargs)

    def get_comm_manager(self):
        """The manager of the world that asks."""
        return _akernel._comm_manager()


_backend = None


def bind(comm):
    """Called when the comm package was imported, and again when another took it over."""
    import comm.base_comm  # noqa: F401  the classes to derive from

    global _backend
    backend = _backend = _backend or _Backend(comm)
    comm.create_comm = backend.create_comm
    comm.get_comm_manager = backend.get_comm_manager
    _akernel._set_comm_factory(backend.manager_class)


def dispatch(manager, verb, message):
    """One message of the front end to the manager: comm_open, comm_msg or comm_close."""
    content = message["content"]
    for name in ("comm_id", "target_name") if verb == "comm_open" else ("comm_id",):
        if not isinstance(content.get(name), str):
            raise ValueError(f"a {verb} needs a {name} that is text")
    known = manager.comms.get(content["comm_id"])
    maker = getattr(known, "_maker", None)
    if maker is not None:
        _akernel._hand_over(maker)
    getattr(manager, verb)(None, None, message)


def close_all(manager):
    """The world of this manager ends."""
    for comm in list(manager.comms.values()):
        comm.close()


def info(manager, target_name):
    return {
        comm_id: {"target_name": comm.target_name}
        for comm_id, comm in dict(manager.comms).items()
        if target_name is None or comm.target_name == target_name
    }
