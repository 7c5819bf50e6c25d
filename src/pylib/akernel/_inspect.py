# SPDX-License-Identifier: MIT
"""Completion, inspection and completeness of code, from live objects.

Names are looked up and dotted paths are followed without running code: an attribute that
is a property or another descriptor of the type is listed, but not called to see what it
gives.
"""

import builtins
import keyword
import re
import sys

_PATH = re.compile(r"(?:[^\W\d]\w*\.)*(?:[^\W\d]\w*)?$")
_IMPORT = re.compile(r"^\s*(?:import|from)\s+([\w.]*)$")
_FROM = re.compile(r"^\s*from\s+([\w.]+)\s+import\s+(?:[\w\s,*]*,\s*)?\(?\s*(\w*)$")
_MISSING = object()
_MAX_MATCHES = 5000


def _code_and_cursor(request):
    code = request.get("code")
    if not isinstance(code, str):
        raise TypeError('"code" must be a string')
    cursor = request.get("cursor_pos")
    if not isinstance(cursor, int) or isinstance(cursor, bool) or cursor < 0:
        cursor = len(code)
    return code, min(cursor, len(code))


# --- looking things up ------------------------------------------------------------------


def _attribute(obj, name):
    """The attribute, but nothing that a property would compute."""
    for base in type.__dict__["__mro__"].__get__(type(obj)):
        descriptor = base.__dict__.get(name, _MISSING)
        if descriptor is _MISSING:
            continue
        if isinstance(descriptor, property) or type(descriptor).__name__ == "cached_property":
            values = getattr(obj, "__dict__", None)
            return values.get(name, _MISSING) if isinstance(values, dict) else _MISSING
        break
    try:
        return getattr(obj, name)
    except Exception:
        return _MISSING


def _resolve(names, path):
    first, *rest = path.split(".")
    if first in names:
        obj = names[first]
    elif hasattr(builtins, first):
        obj = getattr(builtins, first)
    else:
        return _MISSING
    for name in rest:
        obj = _attribute(obj, name)
        if obj is _MISSING:
            break
    return obj


def _attributes(obj):
    try:
        found = {name for name in dir(obj) if isinstance(name, str)}
    except Exception:
        found = set()
    return found


# --- completion -------------------------------------------------------------------------


def _kind(obj):
    if obj is _MISSING:
        return "instance"
    if isinstance(obj, type):
        return "class"
    if type(obj).__name__ == "module":
        return "module"
    return "function" if callable(obj) else "instance"


def _top_modules():
    found = set(sys.builtin_module_names) | set(sys.stdlib_module_names) | set(sys.modules)
    import pkgutil

    found.update(module.name for module in pkgutil.iter_modules())
    return {name for name in found if "." not in name}


def _submodules(package):
    import pkgutil

    module = sys.modules.get(package)
    path = getattr(module, "__path__", None)
    if module is None:
        import importlib.util

        try:
            spec = importlib.util.find_spec(package)
        except Exception:
            spec = None
        path = spec.submodule_search_locations if spec else None
    return {found.name for found in pkgutil.iter_modules(path)} if path else set()


def _module_matches(line):
    match = _IMPORT.match(line)
    if match:
        package, dot, prefix = match.group(1).rpartition(".")
        return prefix, (_submodules(package) if dot else _top_modules()), "module"
    match = _FROM.match(line)
    if match:
        package, prefix = match.groups()
        module = sys.modules.get(package)
        found = _submodules(package) | (_attributes(module) if module else set())
        return prefix, found, "module"
    return None


def _matches(names, before):
    """(prefix, {name: type}) for the text before the cursor."""
    line = before.rpartition("\n")[2]
    modules = _module_matches(line)
    if modules:
        prefix, found, kind = modules
        return prefix, {name: kind for name in found}
    path = _PATH.search(line).group()
    owner, dot, prefix = path.rpartition(".")
    if dot:
        obj = _resolve(names, owner)
        if obj is _MISSING:
            return prefix, {}
        return prefix, {name: None for name in _attributes(obj)}
    found = {name: "keyword" for name in keyword.kwlist}
    found.update((name, _kind(getattr(builtins, name, None))) for name in dir(builtins))
    found.update((name, _kind(obj)) for name, obj in dict(names).items() if isinstance(name, str))
    return prefix, found


def _order(name):
    """Public names first, then private ones, then dunders."""
    return (name.startswith("__"), name.startswith("_"), name.lower(), name)


def complete(names, request):
    code, cursor = _code_and_cursor(request)
    before = code[:cursor]
    prefix, found = _matches(names, before)
    start = cursor - len(prefix)
    matches = sorted((name for name in found if name.startswith(prefix)), key=_order)
    if not prefix.startswith("_") and any(not name.startswith("_") for name in matches):
        dotted = before[:start].endswith(".")
        if not dotted:
            matches = [name for name in matches if not name.startswith("__")]
    matches = matches[:_MAX_MATCHES]
    owner = None
    if before[:start].endswith("."):
        owner = _resolve(names, _PATH.search(before[: start - 1]).group())
    types = []
    for name in matches[:500]:
        kind = found[name] or _kind(_attribute(owner, name))
        types.append({"start": start, "end": cursor, "text": name, "type": kind, "signature": ""})
    return {
        "status": "ok",
        "matches": matches,
        "cursor_start": start,
        "cursor_end": cursor,
        "metadata": {"_jupyter_types_experimental": types},
    }


# --- inspection -------------------------------------------------------------------------


def _name_at(code, cursor):
    """The dotted name under or just before the cursor, else the function being called."""
    start = end = cursor
    while end < len(code) and (code[end].isalnum() or code[end] == "_"):
        end += 1
    name = _PATH.search(code[:end]).group().rstrip(".")
    if name:
        return name
    depth = 0
    for start in range(cursor - 1, -1, -1):
        if code[start] in ")]}":
            depth += 1
        elif code[start] in "([{":
            if depth == 0 and code[start] == "(":
                return _PATH.search(code[:start].rstrip()).group().rstrip(".")
            depth -= 1
    return ""


def _signature(obj):
    import inspect

    try:
        return str(inspect.signature(obj))
    except Exception:
        return None


def _source(obj):
    import inspect

    try:
        return inspect.getsource(obj)
    except Exception:
        return None


def _file(obj):
    import inspect

    try:
        return inspect.getfile(obj)
    except Exception:
        return None


def _short(text, limit=500):
    return text if len(text) <= limit else text[:limit] + "..."


def _fields(name, obj, detail):
    """The lines of an inspection, as (label, text, whether the text is a block)."""
    import inspect

    is_callable = callable(obj)
    signature = _signature(obj) if is_callable else None
    if signature is not None:
        label = "Init signature" if isinstance(obj, type) else "Signature"
        yield label, name.rpartition(".")[2] + signature, False
    if not is_callable and type(obj).__name__ != "module":
        yield "Type", type(obj).__name__, False
        try:
            yield "String form", _short(str(obj)), False
        except Exception:
            yield "String form", "<str() failed>", False
        try:
            yield "Length", str(len(obj)), False
        except Exception:
            pass
    source = _source(obj) if detail else None
    if source:
        yield "Source", source.rstrip(), True
    else:
        doc = inspect.getdoc(obj)
        yield "Docstring", doc if isinstance(doc, str) and doc else "<no docstring>", True
    path = _file(obj)
    if path:
        yield "File", path, False
    if is_callable or type(obj).__name__ == "module":
        yield "Type", type(obj).__name__, False


def inspect(names, request):
    code, cursor = _code_and_cursor(request)
    name = _name_at(code, cursor)
    obj = _resolve(names, name) if name else _MISSING
    reply = {"status": "ok", "found": obj is not _MISSING, "data": {}, "metadata": {}}
    if obj is not _MISSING:
        parts = []
        for label, text, block in _fields(name, obj, request.get("detail_level") == 1):
            gap = "\n" if block and "\n" in text else " "
            parts.append(f"\x1b[31m{label}:\x1b[39m{gap}{text}")
        reply["data"] = {"text/plain": "\n".join(parts)}
    return reply


# --- completeness -----------------------------------------------------------------------


def _next_indent(code):
    line = code.rstrip().rpartition("\n")[2]
    indent = line[: len(line) - len(line.lstrip())]
    words = line.split("#")[0].rstrip()
    if words.endswith(":"):
        return indent + "    "
    first = words.split()[0] if words.split() else ""
    if first in ("return", "raise", "pass", "break", "continue"):
        return indent[:-4]
    return indent


def is_complete(names, request):
    import codeop
    import warnings

    code, _ = _code_and_cursor(request)
    if code.lstrip().startswith(("%", "!")) or code.rstrip().endswith("?"):
        return {"status": "complete"}
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= 0x2000  # PyCF_ALLOW_TOP_LEVEL_AWAIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if not code.strip():
                return {"status": "complete"}
            finished = compiler(code, "<input>", "exec") is not None
        except (SyntaxError, OverflowError, ValueError):
            return {"status": "invalid"}
    # A block goes on until an empty line ends it.
    lines = code.split("\n")
    in_block = len(lines) > 1 and lines[-1].startswith((" ", "\t")) and lines[-1].strip()
    opens = lines[-1].split("#")[0].rstrip().endswith(":")
    if finished and not in_block and not opens:
        return {"status": "complete"}
    return {"status": "incomplete", "indent": _next_indent(code)}
