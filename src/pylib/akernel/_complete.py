# SPDX-License-Identifier: MIT
"""Completion (messaging spec, "Completion"), in the live namespace.

Each source of matches is a function that looks at the text around the cursor and gives
None when it is not its turn. What is known of live objects comes first and at once; jedi,
where it is installed, answers for expressions that would have to be run to be known.
"""

import builtins
import keyword
import os
import re
import sys

from akernel import _bounded, _names
from akernel._names import MISSING

_IMPORT = re.compile(r"^\s*import\s+(?:[\w.]+(?:\s+as\s+\w+)?\s*,\s*)*([\w.]*)$")
_FROM = re.compile(r"^\s*from\s+([\w.]*)$")
_FROM_IMPORT = re.compile(r"^\s*from\s+([\w.]+)\s+import\s+\(?\s*(?:[\w\s,*]*,\s*)?(\w*)$")
_KEY = re.compile(r"\[\s*([rRbBuU]?(['\"]))?((?:\\.|[^'\"\\\[\]])*)$")
_NUMBERED = re.compile(r"\d[\d_.]*(?:[eE]\w*)?\.?$")
_MAX = 5000  # matches
_MAX_TYPES = 500
_MAX_SIGNATURES = 60
_MAX_ENTRIES = 20000  # of a directory, keys of a dict
_SECONDS = 0.4  # for one look at live objects
_JEDI_SECONDS = 0.2
_worker = _bounded.Worker()


class _Found:
    """Matches that replace the text from start on: name to (type, signature)."""

    def __init__(self, start, matches, end=None, ordered=False):
        self.start = start
        self.matches = matches
        self.end = end
        self.ordered = ordered


# --- live objects -----------------------------------------------------------------------


def _kind(obj):
    if obj is MISSING:
        return "instance"
    if isinstance(obj, type):
        return "class"
    name = type(obj).__name__
    if name == "module":
        return "module"
    if name in ("property", "cached_property"):
        return "property"
    return "function" if callable(obj) else "instance"


def _signature(obj):
    import inspect

    try:
        return str(inspect.signature(obj))
    except Exception:
        return ""


def _dir(obj):
    """The names of its attributes; without its own __dir__ when that fails."""
    try:
        # What dir() does, but names that are none do not spoil the sorting of the others.
        names = _bounded.call(_SECONDS, lambda: list(type(obj).__dir__(obj)))
        return {name for name in names if isinstance(name, str)}
    except (_bounded.TooLong, Exception):
        found = set()
        for base in _names.mro(type(obj)):
            found.update(base.__dict__)
        found.update(name for name in _names._own(obj) if isinstance(name, str))
        return found


def _is_hidden(name):
    return name.startswith("_")


def _in_class(obj, name):
    """What a class says that an attribute is: properties are not called."""
    value = _names.static_attribute(obj, name)
    return _kind(value), value


def _attributes(context):
    """Behind a dot, where the owner is known."""
    before = context.before
    prefix = re.search(r"\w*$", before).group()
    head = before[: len(before) - len(prefix)].rstrip()
    if not head.endswith(".") or _NUMBERED.search(head) and not re.search(r"[^\W\d]\w*\.$", head):
        return None
    owner = _names.expression_before(head[:-1])
    if not owner:
        return None
    obj = _names.resolve(context.names, owner)
    if obj is MISSING:
        return None
    found = {name: None for name in _dir(obj) if name.startswith(prefix)}
    for number, name in enumerate(sorted(found, key=_order)[:_MAX_TYPES]):
        kind, value = _in_class(obj, name)
        signed = kind == "function" and number < _MAX_SIGNATURES
        found[name] = (kind, _signature(value) if signed else "")
    return _Found(len(before) - len(prefix), found)


def _call_target(context):
    """The callable whose arguments the cursor is in, or MISSING."""
    text = context.before
    depth = 0
    for at in range(len(text) - 1, max(len(text) - 2000, -1), -1):
        if text[at] in ")]}":
            depth += 1
        elif text[at] in "([{":
            if depth == 0:
                name = _names.expression_before(text[:at]) if text[at] == "(" else ""
                return _names.resolve(context.names, name) if name else MISSING
            depth -= 1
    return MISSING


def _parameters(context, prefix):
    target = _call_target(context)
    if target is MISSING or not callable(target):
        return {}
    import inspect

    try:
        parameters = _bounded.call(_SECONDS, inspect.signature, target).parameters.values()
    except (_bounded.TooLong, Exception):
        return {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {f"{p.name}=": ("param", "") for p in parameters if p.kind in named and p.name.startswith(prefix)}


def _names_of_code(context, prefix):
    """Names that the code binds and that do not exist yet."""
    words = set(re.findall(r"(?<![\w.])([^\W\d]\w*)\s*(?:=[^=]|,|:|\bin\b|\)|\()", context.code))
    words |= set(re.findall(r"\b(?:def|class|as|for|import)\s+([^\W\d]\w*)", context.code))
    return {name: ("statement", "") for name in words if name.startswith(prefix) and name != prefix}


def _plain_names(context):
    """A name alone: parameters of the call, names of the notebook, builtins, keywords."""
    prefix = re.search(r"(?:[^\W\d]\w*)?$", context.before).group()
    head = context.before[: len(context.before) - len(prefix)]
    if head.rstrip(" \t").endswith(".") or re.search(r"\d\Z", head):
        return None
    found = _names_of_code(context, prefix) if prefix else {}
    found.update((name, ("keyword", "")) for name in keyword.kwlist + keyword.softkwlist if name.startswith(prefix))
    for names in (builtins.__dict__, context.names):
        for name in list(names):
            if isinstance(name, str) and name.startswith(prefix) and (prefix or not _is_hidden(name)):
                found[name] = (_kind(names.get(name, MISSING)), "")
    parameters = _parameters(context, prefix)
    ordered = {**parameters, **{name: found[name] for name in sorted(found, key=_order)}}
    return _Found(len(head), ordered, ordered=True)


# --- keys -------------------------------------------------------------------------------


def _keys_of(obj):
    if isinstance(obj, dict):
        return list(dict.keys(obj))[:_MAX_ENTRIES]
    for base in _names.mro(type(obj)):
        method = base.__dict__.get("_ipython_key_completions_")
        if method is not None:
            return list(_bounded.call(_SECONDS, obj._ipython_key_completions_))[:_MAX_ENTRIES]
    if type(obj).__module__ == "numpy" and type(obj).__name__ in ("ndarray", "void"):
        return list(obj.dtype.names or ())
    return None


def _keys(context):
    """Behind "name[" and "name['"."""
    match = _KEY.search(context.line)
    if not match:
        return None
    owner = _names.expression_before(context.line[: match.start()])
    obj = _names.resolve(context.names, owner) if owner else MISSING
    try:
        keys = None if obj is MISSING else _keys_of(obj)
    except (_bounded.TooLong, Exception):
        keys = None
    if keys is None:
        return None
    opening, quote, prefix = match.groups()
    start = len(context.before) - len(prefix)
    found = {}
    if quote:
        binary = "b" in opening.lower()
        closing = "" if context.after.startswith(quote) else quote
        for key in keys:
            if not isinstance(key, bytes if binary else str):
                continue
            text = repr(key)[1 + binary : -1].replace("\\'", "'")
            text = text.replace(quote, "\\" + quote)
            if text.startswith(prefix):
                found[text + closing] = ("dict key", "")
    else:
        for key in keys:
            if isinstance(key, (str, bytes, int, float, tuple)) and repr(key).startswith(prefix):
                found[repr(key)] = ("dict key", "")
        if prefix and not found:
            return None
    return _Found(start, found, ordered=True) if found or quote else None


# --- paths ------------------------------------------------------------------------------


def _open_string(line):
    """Where the string that is open at the end of a line begins, behind its quote, or -1."""
    at, quote = 0, ""
    start = -1
    while at < len(line):
        if quote:
            if line[at] == "\\":
                at += 1
            elif line.startswith(quote, at):
                at += len(quote) - 1
                quote, start = "", -1
        elif line[at] in "'\"":
            quote = line[at] * 3 if line.startswith(line[at] * 3, at) else line[at]
            at += len(quote) - 1
            start = at + 1
        elif line[at] == "#":
            return -1
        at += 1
    return start


def _entries(directory, prefix):
    found = {}
    with os.scandir(directory or ".") as entries:
        for number, entry in enumerate(entries):
            if number == _MAX_ENTRIES:
                break
            if entry.name.startswith(prefix) and (prefix.startswith(".") or not entry.name.startswith(".")):
                try:
                    slash = "/" if entry.is_dir() else ""
                except OSError:
                    slash = ""
                found[entry.name + slash] = ("path", "")
    return found


def _path(context, text, escape=None):
    head, _, prefix = text.rpartition("/")
    directory = os.path.expanduser(head + "/") if "/" in text else ""
    try:
        found = _bounded.call(_SECONDS, _entries, directory, prefix)
    except (_bounded.TooLong, OSError, ValueError):
        found = {}
    if escape:
        found = {escape(name): about for name, about in found.items()}
    return _Found(len(context.before) - len(prefix), found)


def _paths(context):
    start = _open_string(context.line)
    if start < 0:
        return None
    text = context.line[start:]
    if re.search(r"[fF][rR]?['\"]{1,3}\Z", context.line[:start]) and text.count("{") > text.count("}"):
        return None
    return _path(context, context.line[start:])


# --- magics and commands ----------------------------------------------------------------

_LINE_MAGICS = (
    "alias alias_magic autoawait autocall automagic autosave bookmark cat cd clear colors conda config cp debug dhist "
    "dirs doctest_mode edit env gui hist history killbgscripts ldir less lf lk ll load load_ext loadpy logoff logon "
    "logstart logstate logstop ls lsmagic lx macro magic mamba man matplotlib micromamba mkdir mv notebook page pastebin "
    "pdb pdef pdoc pfile pinfo pinfo2 pip popd pprint precision prun psearch psource pushd pwd pycat pylab qtconsole "
    "quickref recall rehashx reload_ext rep rerun reset reset_selective rm rmdir run save sc set_env store sx system tb "
    "time timeit unalias unload_ext uv who who_ls whos xdel xmode"
).split()
_CELL_MAGICS = (
    "! HTML SVG bash capture debug file html javascript js latex markdown perl prun pypy python python3 ruby script sh "
    "svg sx system time timeit writefile"
).split()


def shell():
    """IPython's shell when there is one already, else None."""
    import _akernel

    return _akernel._shell()


def magics():
    """(line magics, cell magics) by name."""
    there = shell()
    if there is None:
        return _LINE_MAGICS, _CELL_MAGICS
    known = there.magics_manager.magics
    return sorted(known["line"]), sorted(known["cell"])


def _magic_names(context):
    match = re.search(r"^\s*(?:[\w, ]+=\s*)?(%{1,2})(\w*)$", context.line)
    if not match:
        return None
    signs, prefix = match.groups()
    line, cell = magics()
    first = not context.before[: len(context.before) - len(context.line)].strip()
    found = {"%" + name: ("magic", "") for name in line if name.startswith(prefix)} if signs == "%" else {}
    if first:
        found.update({"%%" + name: ("magic", "") for name in cell if name.startswith(prefix)})
    return _Found(len(context.before) - len(prefix) - len(signs), found)


def _magic_arguments(context):
    """What stands behind %cd, %run and "!" are files."""
    match = re.match(r"^\s*(?:!|%(?:cd|run|load|pycat|cat|ls|less|edit|writefile|file|mkdir|rm|mv|cp)\s)(.*)$", context.line)
    in_cell = re.match(r"^\s*%%(?:bash|sh|script|writefile|file)\b", context.code) and not match
    if not match and not in_cell:
        return None
    text = re.search(r"(?:\\.|[^\s\\'\"=;|&<>])*$", match.group(1) if match else context.line).group()
    return _path(context, text.replace("\\ ", " "), lambda name: name.replace(" ", "\\ "))


# --- modules ----------------------------------------------------------------------------


def _listed(paths):
    import pkgutil

    return {module.name for module in pkgutil.iter_modules(paths)}


_top = (None, ())


def _top_modules():
    global _top
    stamps = []
    for path in sys.path:
        try:
            stamps.append((path, os.stat(path or ".").st_mtime_ns))
        except (OSError, ValueError):
            pass
    if _top[0] != stamps:
        _top = (stamps, _listed(None))
    found = set(sys.builtin_module_names) | set(sys.stdlib_module_names) | set(sys.modules)
    return {name for name in found.union(_top[1]) if "." not in name}


def _search_path(package):
    """Where the submodules of a package lie, found without importing it or its parents."""
    from importlib.machinery import PathFinder

    path = None
    for number in range(package.count(".") + 1):
        name = ".".join(package.split(".")[: number + 1])
        module = sys.modules.get(name)
        path = getattr(module, "__path__", None)
        if module is None:
            spec = PathFinder.find_spec(name, path if number else None)
            path = spec.submodule_search_locations if spec else None
        if path is None:
            return None
    return list(path)


def _submodules(package):
    path = _search_path(package)
    found = _listed(path) if path else set()
    inside = package + "."
    found.update(name[len(inside) :].partition(".")[0] for name in list(sys.modules) if name.startswith(inside))
    return found


def _names_in_source(module):
    """What a module binds at its top, read from its source: nothing is imported."""
    import ast
    from importlib.machinery import PathFinder

    parent = module.rpartition(".")[0]
    spec = PathFinder.find_spec(module, _search_path(parent) if parent else None)
    if spec is None or not (spec.origin or "").endswith(".py"):
        return set()
    with open(spec.origin, "rb") as file:
        tree = ast.parse(file.read())
    found = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            found.update(name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store))
    return found - {"*"}


def _modules(context):
    match = _FROM_IMPORT.match(context.statement)
    if match:
        package, prefix = match.groups()
        module = sys.modules.get(package)
        found = dict.fromkeys(_submodules(package), ("module", ""))
        if module is None:
            found.update(dict.fromkeys(_names_in_source(package), ("statement", "")))
        else:
            found.update({name: (_in_class(module, name)[0], "") for name in _dir(module)})
        found = {name: about for name, about in found.items() if name.startswith(prefix) and (prefix or not _is_hidden(name))}
        return _Found(len(context.before) - len(prefix), found)
    match = _IMPORT.match(context.statement) or _FROM.match(context.statement)
    if not match:
        return None
    package, dot, prefix = match.group(1).rpartition(".")
    found = _submodules(package) if dot else _top_modules()
    found = {name for name in found if name.startswith(prefix) and (prefix or not _is_hidden(name))}
    return _Found(len(context.before) - len(prefix), dict.fromkeys(found, ("module", "")))


# --- characters by name -----------------------------------------------------------------


def _characters(context):
    match = re.search(r"\\([A-Za-z]+)$", context.line)
    if not match or _open_string(context.line) >= 0:
        return None
    import unicodedata

    name = match.group(1)
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    greek = "alpha beta gamma delta epsilon zeta eta theta iota kappa lamda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega"
    found = {}
    for letter in greek.split():
        spelled = "lambda" if letter == "lamda" else letter
        sign = unicodedata.lookup(f"GREEK {size} LETTER {letter.upper()}")
        if spelled == name.lower():
            return _Found(len(context.before) - len(match.group()), {sign: ("unicode", "")})
        if spelled.startswith(name.lower()):
            found["\\" + (spelled.capitalize() if size == "CAPITAL" else spelled)] = ("unicode", "")
    return _Found(len(context.before) - len(match.group()), found)


# --- jedi -------------------------------------------------------------------------------


def _ask_jedi(code, line, column, names):
    import jedi

    jedi.settings.allow_unsafe_interpreter_executions = False
    found = {}
    for number, completion in enumerate(jedi.Interpreter(code, [names]).complete(line, column)[:_MAX]):
        signature = ""
        if number < 10 and completion.type == "function":
            signature = "".join(s.to_string().partition(s.name)[2] for s in completion.get_signatures()[:1])
        found[completion.name_with_symbols] = (completion.type, signature)
    return found


def _has_jedi():
    if "jedi" in sys.modules:
        return sys.modules["jedi"] is not None
    from importlib.machinery import PathFinder

    return PathFinder.find_spec("jedi") is not None


def _from_jedi(context):
    """Name to (type, signature), or None when jedi is not there, or not in time."""
    if not _has_jedi():
        return None
    code = re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", context.code)
    lines = context.before.split("\n")
    try:
        return _worker.call(_JEDI_SECONDS, _ask_jedi, code, len(lines), len(lines[-1]), dict(context.names))
    except (_bounded.TooLong, Exception):
        return None


def _inferred(context):
    """Behind a dot of an expression that would have to be run to be known."""
    prefix = re.search(r"\w*$", context.before).group()
    head = context.before[: len(context.before) - len(prefix)].rstrip()
    if not head.endswith(".") or _NUMBERED.search(head) and not re.search(r"[^\W\d]\w*\.$", head):
        return None
    return _Found(len(context.before) - len(prefix), _from_jedi(context) or {})


# --- the answer -------------------------------------------------------------------------

_SOURCES = (
    _magic_names, _magic_arguments, _modules, _keys, _paths, _characters, _attributes, _inferred, _plain_names,
)  # fmt: skip


class _Context:
    def __init__(self, names, code, cursor):
        self.names = names
        self.code = code
        self.before = code[:cursor]
        self.after = code[cursor:]
        self.line = self.before.rpartition("\n")[2]
        self.statement = self.line
        opening = re.search(r"(?m)^[ \t]*from\s+[\w.]+\s+import\s*\([^)]*\Z", self.before)
        if opening:
            self.statement = " ".join(opening.group().split("\n"))
        else:
            self.statement = self.line.rpartition(";")[2]


def _order(name):
    """Public names first, then private ones, then dunders."""
    return (name.startswith("__"), name.startswith("_"), name.lower(), name)


def _find(context):
    for source in _SOURCES:
        try:
            found = source(context)
        except (_bounded.TooLong, Exception):
            found = None
        if found is not None:
            return found
    return _Found(len(context.before), {})


def code_and_cursor(request):
    code = request.get("code")
    if not isinstance(code, str):
        raise TypeError('"code" must be a string')
    cursor = request.get("cursor_pos")
    if not isinstance(cursor, int) or isinstance(cursor, bool) or cursor < 0:
        cursor = len(code)
    return code, min(cursor, len(code))


def complete(names, request):
    code, cursor = code_and_cursor(request)
    context = _Context(names, code, cursor)
    found = _find(context)
    matches = list(found.matches) if found.ordered else sorted(found.matches, key=_order)
    types = []
    for name in matches[:_MAX_TYPES]:
        kind, signature = found.matches[name] or ("instance", "")
        types.append({"start": found.start, "end": cursor, "text": name, "type": kind, "signature": signature})
    return {
        "status": "ok",
        "matches": matches[:_MAX],
        "cursor_start": found.start,
        "cursor_end": cursor,
        "metadata": {"_jupyter_types_experimental": types},
    }
