# SPDX-License-Identifier: MIT
"""Sessions of a kernel that many notebooks share (the mode "multi")."""

import _akernel


def _call(call, **arguments):
    import json

    answer = json.loads(_akernel._call(json.dumps({"call": call, **arguments})) or b'{"error": "nobody answered"}')
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["value"]


def _name(name):
    if not isinstance(name, str) or not name:
        raise TypeError("a session is named by text that is not empty")
    return name


class Session(dict):
    """What is known of one session, as a dict with attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self):
        what = "own" if self.own else "connected" if self.connected else "not connected"
        return (
            f"<session {self.name or self.id!r}: {what}, {self.cells} cells, "
            f"{self.age:.0f} s old, {self.idle:.0f} s idle, {self.memory} bytes>"
        )


def sessions():
    """The sessions of this kernel: id, ids, name, age and idle (seconds), cells, running,
    memory (bytes of the objects that its names hold, or of its process), connected, own."""
    found, memory = [], _akernel._memory()
    while page := _call("sessions", skip=len(found)):
        for entry in page:
            number = entry.pop("number")
            size = entry.pop("memory", None)
            ids = entry["ids"]
            entry["memory"] = memory.get(number, 0) if size is None else size
            found.append(Session(id=ids[0] if ids else "", **entry))
    return found


def session_name(name=None):
    """Give this session a name that akernel.attach() finds; without one, tell it."""
    return _call("name") if name is None else _call("name", name=_name(name))


def attach(name):
    """From the next cell on, run in the session of that name or id."""
    _call("attach", name=_name(name))


def interrupt(name):
    """Interrupt what the session of that name or id runs, and nothing else."""
    _call("interrupt", name=_name(name))


def close_session(name=None):
    """End a session (without a name, this one): its cells and tasks are cancelled, its
    comms closed and its variables freed. Its next cell finds a fresh one."""
    _call("close") if name is None else _call("close", name=_name(name))


def restart():
    """Go on with a fresh Python: all variables are lost, the connection stays."""
    _call("restart")
