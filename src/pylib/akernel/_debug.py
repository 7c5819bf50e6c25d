# SPDX-License-Identifier: MIT
"""What the debugger asks of live objects, and the start of debugpy.

Questions come through the kernel's own connection while nothing is attached, and as an
expression that debugpy evaluates otherwise: on the thread that stands at a breakpoint, or
on a thread of debugpy's. Looking at a variable runs no property of it.
"""

import os
import reprlib
import sys

_MISSING = object()
_CHILDREN = 1000  # of one variable
_KEPT = 1 << 20  # references; beyond, a variable has no children
_FIRST = 1 << 30  # the number before the first reference: debugpy counts from one
_OURS = frozenset(
    ("In", "Out", "_", "__", "___", "_ih", "_oh", "_dh", "_i", "_ii", "_iii", "exit", "quit", "get_ipython")
)

_kept = []
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 1000
_repr.maxlist = _repr.maxtuple = _repr.maxset = _repr.maxdict = _repr.maxarray = 50


def start(arguments):
    import _akernel

    name = "PYDEVD_DISABLE_FILE_VALIDATION"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        import debugpy

        debugpy.configure(python=sys.executable)
        _let_interrupts_wait(_akernel)
        _host, port = debugpy.listen(("127.0.0.1", 0))
    except ImportError as error:
        raise RuntimeError(
            f"the debugger needs debugpy in the environment of this kernel ({sys.prefix}): "
            f"install it with pip, restart the kernel, and try again ({error})"
        ) from None
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
    _akernel._name_cells_by_hash()
    return {"port": port}


def _let_interrupts_wait(_akernel):
    """An interrupt at a breakpoint is raised behind debugpy's wait, not inside of it.

    Inside, it would leave debugpy in the belief that the thread still stands there. The
    kernel lets the thread go on when it has sent the signal.
    """
    import threading

    import pydevd

    wait = pydevd.PyDB.do_wait_suspend
    main = threading.main_thread().ident

    def do_wait_suspend(self, *args, **kwargs):
        if threading.get_ident() != main:
            return wait(self, *args, **kwargs)
        _akernel._debugger_waits(True)
        try:
            result = wait(self, *args, **kwargs)
        finally:
            interrupted = _akernel._debugger_waits(False)
        if interrupted:
            raise KeyboardInterrupt
        return result

    pydevd.PyDB.do_wait_suspend = do_wait_suspend


def trace_again():
    """An exception that passes through the trace function ends tracing."""
    if sys.gettrace() is None:
        import debugpy

        debugpy.trace_this_thread(True)


# --- variables --------------------------------------------------------------------------


def _text(value):
    try:
        return _repr.repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: repr() failed: {type(error).__name__}>"


def _slots(value):
    for base in type.__dict__["__mro__"].__get__(type(value)):
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            member = base.__dict__.get(name)
            if type(member).__name__ == "member_descriptor":
                try:
                    yield name, member.__get__(value)
                except AttributeError:
                    pass


def _children(value):
    """(name, value, what to put behind the owner's expression) of the parts of a value."""
    if isinstance(value, dict):
        for key, item in list(dict.items(value))[:_CHILDREN]:
            yield _text(key), item, f"[{_text(key)}]"
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(list(value)[:_CHILDREN]):
            yield str(index), item, f"[{index}]"
    elif isinstance(value, (set, frozenset)):
        for index, item in enumerate(list(value)[:_CHILDREN]):
            yield str(index), item, ""
    own = getattr(type(value), "__dictoffset__", 0) and getattr(value, "__dict__", None)
    if isinstance(own, dict) and not isinstance(value, type(sys)):
        for name, item in list(own.items())[:_CHILDREN]:
            if isinstance(name, str) and not name.startswith("__"):
                yield name, item, f".{name}"
    for name, item in _slots(value):
        yield name, item, f".{name}"


def _variable(name, value, expression):
    reference = 0
    if len(_kept) < _KEPT and next(_children(value), None) is not None:
        _kept.append((value, expression))
        reference = _FIRST + len(_kept)
    return {
        "name": name,
        "value": _text(value),
        "type": type(value).__name__,
        "evaluateName": expression,
        "variablesReference": reference,
    }


def _is_shown(name):
    return isinstance(name, str) and name not in _OURS and not name.startswith("__") and not name.lstrip("_i").isdigit()


def _names():
    return sys.modules["__main__"].__dict__


def inspect_variables(arguments):
    _kept.clear()
    found = [(name, value) for name, value in list(_names().items()) if _is_shown(name)]
    return {"variables": [_variable(name, value, name) for name, value in found]}


def variables(arguments):
    reference = arguments.get("variablesReference")
    if not isinstance(reference, int) or not _FIRST < reference <= _FIRST + len(_kept):
        raise ValueError("this variable is not known any more: look at the variables again")
    value, expression = _kept[reference - _FIRST - 1]
    start = arguments.get("start") or 0
    count = arguments.get("count") or _CHILDREN
    children = list(_children(value))[start : start + count]
    return {"variables": [_variable(name, item, expression + way if way else "") for name, item, way in children]}


# --- rich variables ---------------------------------------------------------------------


def _bundle(value):
    import _akernel

    made = _akernel._bundle(value, None, None)
    data, metadata = made if made else ({}, {})
    return {"data": data, "metadata": {kind: about for kind, about in metadata.items() if kind in data}}


class _Json:
    """A value whose repr is JSON text: what an evaluation gives to the kernel."""

    def __init__(self, value):
        import json

        self._text = json.dumps(value, default=str)

    def __repr__(self):
        return self._text


def rich(value):
    return _Json({"body": _bundle(value)})


def rich_inspect(arguments):
    value = _names().get(arguments.get("variableName"), _MISSING)
    return {"data": {}, "metadata": {}} if value is _MISSING else _bundle(value)


# --- modules and sources ----------------------------------------------------------------


def modules(arguments):
    found = []
    loaded = list(sys.modules.copy().items())
    start = arguments.get("startModule") or 0
    count = arguments.get("moduleCount") or len(loaded)
    for number, (name, module) in enumerate(loaded[start : start + count], start):
        path = getattr(getattr(module, "__spec__", None), "origin", None)
        if isinstance(path, str) and path.endswith(".py"):
            found.append({"id": number, "name": name, "path": path})
    return {"modules": found, "totalModules": len(loaded)}


def source(arguments):
    import linecache

    lines = linecache.getlines((arguments.get("source") or {}).get("path") or "")
    if not lines:
        raise ValueError("the source is not available")
    return {"content": "".join(lines)}


_COMMANDS = {
    "start": start,
    "inspectVariables": inspect_variables,
    "variables": variables,
    "richInspectVariables": rich_inspect,
    "modules": modules,
    "source": source,
}


def answer(names, request):
    """{"body"} or {"message"} for a question {"command", "arguments"}."""
    try:
        return {"body": _COMMANDS[request["command"]](request.get("arguments") or {})}
    except Exception as error:
        return {"message": str(error) or type(error).__name__}


def answer_text(text):
    import json

    return json.dumps(answer(None, json.loads(text)), default=str)
