# SPDX-License-Identifier: MIT
"""akernel: a Jupyter kernel for Python, and what cells may ask of it."""

__all__ = [
    "DisplayHandle",
    "ainput",
    "attach",
    "clear_output",
    "close_session",
    "display",
    "interrupt",
    "replay",
    "restart",
    "session_name",
    "sessions",
    "update_display",
]

try:
    import _akernel  # noqa: F401  built into the worker, and nowhere else
except ModuleNotFoundError:
    from akernel._outside import stand_in

    for _name in __all__:
        globals()[_name] = stand_in(_name)
    del _name, stand_in
else:
    del _akernel
    from akernel._display import DisplayHandle, clear_output, display, replay, update_display
    from akernel._sessions import attach, close_session, interrupt, restart, session_name, sessions
    from akernel._stdin import ainput


def __getattr__(name):
    if name in ("cache", "react"):
        import importlib

        return importlib.import_module(f"akernel.{name}")
    raise AttributeError(f"module 'akernel' has no attribute {name!r}")
