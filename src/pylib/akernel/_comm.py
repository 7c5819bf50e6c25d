# SPDX-License-Identifier: MIT
"""The backend of the comm package: front-end objects talk over the kernel's sockets."""

import _akernel


def _make_classes(comm):
    class Comm(comm.base_comm.BaseComm):
        """A comm whose messages are published by the kernel."""

        kernel = None

        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            output = getattr(_akernel, "_" + msg_type.upper())
            content = {"data": {} if data is None else data, "comm_id": self.comm_id, **keys}
            _akernel._publish(output, content, metadata, buffers)

    class CommManager(comm.base_comm.CommManager):
        pass

    return Comm, CommManager


class _Backend:
    def __init__(self, comm):
        self.comm_class, manager_class = _make_classes(comm)
        self.manager = manager_class()

    def create_comm(self, *args, **kwargs):
        return self.comm_class(*args, **kwargs)

    def get_comm_manager(self):
        return self.manager


def bind(comm):
    """Called when the comm package was imported."""
    import comm.base_comm  # noqa: F401  the classes to derive from

    backend = _Backend(comm)
    comm.create_comm = backend.create_comm
    comm.get_comm_manager = backend.get_comm_manager
    _akernel._set_comm_manager(backend.manager)


def dispatch(manager, verb, message):
    """One message of the front end to the manager: comm_open, comm_msg or comm_close."""
    getattr(manager, verb)(None, None, message)


def info(manager, target_name):
    return {
        comm_id: {"target_name": comm.target_name}
        for comm_id, comm in dict(manager.comms).items()
        if target_name is None or comm.target_name == target_name
    }
