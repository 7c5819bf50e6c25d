# SPDX-License-Identifier: MIT
"""What an expression means in the live namespace, found without running code of anybody.

Names are looked up, attributes are followed where they lie in a __dict__ or a slot, and
constant subscripts of the built-in containers. A property or another descriptor of a class
is known by its name, but never called to see what it gives.
"""

import builtins
import re

from akernel import _bounded

MISSING = object()
_SECONDS = 0.2
PATH = re.compile(r"(?:[^\W\d]\w*\s*\.\s*)*(?:[^\W\d]\w*)?$")
_CONTAINERS = (dict, list, tuple, str, bytes)
_HARMLESS = frozenset(
    ("function", "builtin_function_or_method", "method_descriptor", "wrapper_descriptor", "classmethod",
     "staticmethod", "classmethod_descriptor", "member_descriptor", "getset_descriptor", "type", "cython_function_or_method")
)  # fmt: skip
# Libraries whose attributes compute nothing that anybody would notice.
_TRUSTED = ("numpy", "pandas", "polars")


def mro(kind):
    return type.__dict__["__mro__"].__get__(kind)


def _own(obj):
    """The instance's own __dict__, or the module's or class's; {} when it has none."""
    for base in mro(type(obj)):
        descriptor = base.__dict__.get("__dict__", MISSING)
        if descriptor is not MISSING:
            plain = type(descriptor).__name__ in ("getset_descriptor", "member_descriptor")
            return descriptor.__get__(obj) if plain else {}
    return {}


def is_safe(obj):
    """Whether getattr of it runs no code but that of the interpreter and of descriptors."""
    for base in mro(type(obj)):
        if "__getattr__" in base.__dict__ and type(obj).__name__ != "module":
            return False
        if "__getattribute__" in base.__dict__:
            return base in (object, type) or type(base.__dict__["__getattribute__"]).__name__ == "wrapper_descriptor"
    return True


def attribute(obj, name):
    """The attribute, but nothing that somebody's code would compute."""
    if isinstance(obj, type):
        for base in mro(obj):
            if name in base.__dict__:
                found = base.__dict__[name]
                return found.__func__ if type(found) in (classmethod, staticmethod) else found
    found = MISSING
    for base in mro(type(obj)):
        if name in base.__dict__:
            found = base.__dict__[name]
            break
    own = _own(obj)
    if isinstance(obj, type) or name not in own:
        if type(obj).__module__.partition(".")[0] in _TRUSTED:
            return _bounded.call(_SECONDS, getattr, obj, name, MISSING)
        if found is MISSING:
            return _module_attribute(obj, name)
        if type(found).__name__ in _HARMLESS and is_safe(obj):
            try:
                return getattr(obj, name)
            except Exception:
                return MISSING
        return MISSING if hasattr(type(found), "__get__") else found
    return own[name]


def _module_attribute(obj, name):
    """A module may have attributes that it makes on demand: submodules that are loaded."""
    import sys

    if type(obj).__name__ == "module":
        return sys.modules.get(f"{_own(obj).get('__name__')}.{name}", MISSING)
    return MISSING


def static_attribute(obj, name):
    """The same, or the property itself where there is one."""
    found = attribute(obj, name)
    if found is MISSING:
        for base in mro(type(obj)):
            if name in base.__dict__:
                return base.__dict__[name]
    return found


def _follow(names, node, get):
    import ast

    if isinstance(node, ast.Expression):
        return _follow(names, node.body, get)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ""
    for kind, value in ((ast.List, []), (ast.ListComp, []), (ast.Dict, {}), (ast.DictComp, {}), (ast.Set, {0}), (ast.Tuple, ())):
        if isinstance(node, kind):
            return value
    if isinstance(node, ast.Name):
        if node.id in names:
            return names[node.id]
        return builtins.__dict__.get(node.id, MISSING)
    if isinstance(node, ast.Attribute):
        owner = _follow(names, node.value, attribute)
        return MISSING if owner is MISSING else get(owner, node.attr)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, (ast.Constant, ast.UnaryOp)):
        owner = _follow(names, node.value, attribute)
        if type(owner) in _CONTAINERS:
            return owner[ast.literal_eval(node.slice)]
    return MISSING


def resolve(names, expression, get=attribute):
    """The object that an expression stands for, or MISSING."""
    import ast

    try:
        return _follow(names, ast.parse(expression.strip(), mode="eval"), get)
    except Exception:
        return MISSING


_OPEN = {")": "(", "]": "[", "}": "{"}


def expression_before(text):
    """The longest expression of names, attributes, subscripts and literals at the end."""
    end = len(text)
    at = end
    while at > 0:
        c = text[at - 1]
        if c in ")]}":
            at = _opening(text, at - 1)
            if at < 0:
                return ""
        elif c in "'\"":
            at = _quote(text, at - 1)
            if at < 0:
                return ""
        elif c.isalnum() or c in "_.":
            at -= 1
        else:
            break
    return text[at:end].lstrip(".")


def _opening(text, at):
    """Where the bracket that is closed at a place is opened; -1 when it is not."""
    depth = []
    while at >= 0:
        c = text[at]
        if c in ")]}":
            depth.append(_OPEN[c])
        elif c in "([{":
            if not depth or depth.pop() != c:
                return -1
            if not depth:
                return at
        elif c in "'\"":
            at = _quote(text, at)
        at -= 1
    return -1


def _quote(text, at):
    """Where the string that ends at a place begins; -1 when it does not."""
    start = text.rfind(text[at], 0, at)
    while start > 0 and text[start - 1] == "\\":
        start = text.rfind(text[at], 0, start)
    while start > 0 and text[start - 1] in "rRbBuUfF":
        start -= 1
    return start
