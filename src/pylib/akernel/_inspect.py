# SPDX-License-Identifier: MIT
"""Inspection and completeness of code, from live objects.

Inspecting looks at what a name stands for and runs nothing but its repr: of a property it
shows the property.
"""

import keyword
import re

from akernel import _bounded, _names
from akernel._complete import code_and_cursor, magics, shell
from akernel._names import MISSING

_SECONDS = 1.0


# --- inspection -------------------------------------------------------------------------


def _name_at(code, cursor):
    """The expression under or just before the cursor, else the function being called."""
    end = cursor
    while end < len(code) and (code[end].isalnum() or code[end] == "_"):
        end += 1
    name = _names.expression_before(code[:end])
    if name and not name[-1].isspace():
        return name
    depth = 0
    for start in range(cursor - 1, -1, -1):
        if code[start] in ")]}":
            depth += 1
        elif code[start] in "([{":
            if depth == 0 and code[start] == "(":
                return _names.expression_before(code[:start].rstrip())
            depth -= 1
    return ""


def _magic_at(code, cursor):
    for match in re.finditer(r"(?m)(?:^|(?<==))[ \t]*(%{1,2})(\w+)", code):
        if match.start() <= cursor <= match.end():
            return match.groups()
    return None


def _try(function, *args):
    try:
        return _bounded.call(_SECONDS, function, *args)
    except (_bounded.TooLong, Exception):
        return None


def _signature(obj):
    import inspect

    signature = _try(inspect.signature, obj)
    return None if signature is None else str(signature)


def _short(text, limit=1000):
    return text if len(text) <= limit else text[:limit] + "..."


def _string_form(obj):
    text = _try(str, obj)
    return "<str() failed>" if not isinstance(text, str) else _short(text)


def _length(obj):
    for base in _names.mro(type(obj)):
        if "__len__" in base.__dict__:
            length = _try(len, obj)
            return None if length is None else str(length)
    return None


def _doc(obj):
    import inspect

    doc = _try(inspect.getdoc, obj)
    return doc if isinstance(doc, str) and doc else "<no docstring>"


def _fields(name, obj, detail):
    """The lines of an inspection: (label, text)."""
    import inspect

    is_callable = callable(obj)
    plain = not is_callable and type(obj).__name__ != "module"
    if is_callable:
        signature = _signature(obj)
        label = "Init signature" if isinstance(obj, type) else "Signature"
        if signature is not None:
            yield label, name.rpartition(".")[2] + signature
    if plain:
        yield "Type", type(obj).__name__
        yield "String form", _string_form(obj)
        length = _length(obj)
        if length is not None:
            yield "Length", length
    source = _try(inspect.getsource, obj) if detail else None
    if source:
        yield "Source", source.rstrip()
    else:
        yield "Docstring", _doc(obj)
        if isinstance(obj, type):
            init = obj.__dict__.get("__init__")
            init_doc = _doc(init) if type(init).__name__ == "function" else "<no docstring>"
            if init_doc != "<no docstring>":
                yield "Init docstring", init_doc
    path = _try(inspect.getfile, obj)
    if path is None and plain:
        path = _try(inspect.getfile, type(obj))
    if path:
        yield "File", path
    if not plain:
        yield "Type", type(obj).__name__
    if isinstance(obj, type):
        found = _try(type.__subclasses__, obj) or []
        yield "Subclasses", ", ".join(sorted(kind.__name__ for kind in found)[:10])


def _keyword_fields(word):
    import pydoc

    topic = pydoc.Helper.keywords.get(word)
    while isinstance(topic, str) and topic in pydoc.Helper.keywords:
        topic = pydoc.Helper.keywords[topic]
    topic = topic[0] if isinstance(topic, tuple) else topic
    from pydoc_data.topics import topics

    yield "Type", "keyword"
    yield "Docstring", topics.get(topic, "a keyword of Python").strip()


def _magic_fields(signs, name):
    line, cell = magics()
    if name not in (line if signs == "%" else cell):
        return
    there = shell()
    kind = "line" if signs == "%" else "cell"
    magic = there.find_magic(name, kind) if there else None
    yield "Type", f"{kind} magic"
    if magic is None:
        yield "Docstring", "a magic of IPython; its documentation is shown once a cell has used a magic"
    else:
        yield from (field for field in _fields(name, magic, False) if field[0] in ("Docstring", "File"))


def _plain(fields):
    lines = []
    for label, text in fields:
        gap = "\n" if "\n" in text else " "
        lines.append(f"\x1b[31m{label}:\x1b[39m{gap}{text}")
    return "\n".join(lines)


def _html(fields):
    import html

    lines = []
    for label, text in fields:
        gap = "\n" if "\n" in text else " "
        lines.append(f"<b>{html.escape(label)}:</b>{gap}{html.escape(text)}")
    return "<pre>" + "\n".join(lines) + "</pre>"


def _look(names, code, cursor, detail):
    magic = _magic_at(code, cursor)
    if magic:
        return list(_magic_fields(*magic))
    name = _name_at(code, cursor)
    obj = _names.resolve(names, name, _names.static_attribute) if name else MISSING
    if obj is not MISSING:
        return [(label, text) for label, text in _fields(name, obj, detail) if text]
    return list(_keyword_fields(name)) if keyword.iskeyword(name) or keyword.issoftkeyword(name) else []


def inspect(names, request):
    code, cursor = code_and_cursor(request)
    fields = _look(names, code, cursor, request.get("detail_level") == 1)
    omitted = request.get("omit_sections")
    if isinstance(omitted, (list, tuple)):
        fields = [field for field in fields if field[0].lower().replace(" ", "_") not in omitted]
    reply = {"status": "ok", "found": bool(fields), "data": {}, "metadata": {}}
    if fields:
        reply["data"] = {"text/plain": _plain(fields), "text/html": _html(fields)}
    return reply


# --- completeness -----------------------------------------------------------------------


def _without_magics(code):
    """The same lines with magics, commands and questions out of the way of the compiler."""
    lines = []
    for line in code.split("\n"):
        line = re.sub(r"^(\s*)(?:[%!?].*|[\w.%]+\?{1,2})\s*$", r"\g<1>0", line)
        lines.append(re.sub(r"^(\s*[\w, ]+=\s*)[%!].*$", r"\1None", line))
    return "\n".join(lines)


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

    code, _ = code_and_cursor(request)
    if code.lstrip().startswith("%%"):
        done = code.endswith("\n") or "\n" not in code
        return {"status": "complete"} if done else {"status": "incomplete", "indent": ""}
    code = _without_magics(code)
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
