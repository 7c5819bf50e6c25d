# SPDX-License-Identifier: MIT
"""The text of a value as IPython lays it out, without IPython.

Only values whose text is not simply their repr come here (py/plain.c). Printer has the
methods that a _repr_pretty_ of IPython's protocol is given. The layout is the streaming
one of Oppen: text is held back while it is open whether its line will fit, and when it
does not the outermost group that is still whole is broken, at all its places at once.
"""

import collections
import contextlib
import re
import sys
import types

WIDTH = 79
LENGTH = 1000


class _Group:
    def __init__(self, depth):
        self.depth = depth
        self.places = collections.deque()
        self.broken = False


class _Place:
    """Where a line may be broken."""

    def __init__(self, text, indentation, group):
        self.text = text
        self.indentation = indentation
        self.group = group


class Printer:
    verbose = False

    def __init__(self, width=WIDTH, length=LENGTH):
        self.max_width = width
        self.max_seq_length = length
        self.indentation = 0
        self.stack = []
        self._out = []
        self._column = 0
        self._held = collections.deque()
        self._held_width = 0
        self._groups = [_Group(0)]
        self._open = [[self._groups[0]]]

    # --- the protocol

    def text(self, text):
        if self._held:
            self._held.append(text)
            self._held_width += len(text)
            self._fit()
        else:
            self._out.append(text)
            self._column += len(text)

    def breakable(self, sep=" "):
        group = self._groups[-1]
        if group.broken:
            self._newline()
            return
        place = _Place(sep, self.indentation, group)
        group.places.append(place)
        self._held.append(place)
        self._held_width += len(sep)
        self._fit()

    def break_(self):
        group = self._outermost()
        if group is not None:
            self._break(group)
        self._newline()

    def _newline(self):
        self.flush()
        self._out.append("\n" + " " * self.indentation)
        self._column = self.indentation

    def begin_group(self, indent=0, open=""):
        if open:
            self.text(open)
        group = _Group(self._groups[-1].depth + 1)
        self._groups.append(group)
        while len(self._open) <= group.depth:
            self._open.append([])
        self._open[group.depth].append(group)
        self.indentation += indent

    def end_group(self, dedent=0, close=""):
        self.indentation -= dedent
        group = self._groups.pop()
        if not group.places:
            self._close(group)
        if close:
            self.text(close)

    @contextlib.contextmanager
    def group(self, indent=0, open="", close=""):
        self.begin_group(indent, open)
        try:
            yield
        finally:
            self.end_group(indent, close)

    @contextlib.contextmanager
    def indent(self, indent):
        self.indentation += indent
        try:
            yield
        finally:
            self.indentation -= indent

    def flush(self):
        for item in self._held:
            self._put(item)
        self._held.clear()
        self._held_width = 0

    def pretty(self, obj):
        number = id(obj)
        cycle = number in self.stack
        self.stack.append(number)
        self.begin_group()
        try:
            self._print(obj, cycle)
        finally:
            self.end_group()
            self.stack.pop()

    def getvalue(self):
        self.flush()
        return "".join(self._out)

    # --- the layout

    def _close(self, group):
        with contextlib.suppress(ValueError):
            self._open[group.depth].remove(group)

    def _outermost(self):
        """The group to be broken next; groups without a place are told to break later."""
        for groups in self._open:
            for group in reversed(groups):
                if group.places:
                    groups.remove(group)
                    group.broken = True
                    return group
            for group in groups:
                group.broken = True
            groups.clear()
        return None

    def _fit(self):
        while self._column + self._held_width > self.max_width:
            group = self._outermost()
            if group is None:
                return
            self._break(group)

    def _break(self, group):
        while group.places:
            self._release()
        while self._held and isinstance(self._held[0], str):
            self._release()

    def _release(self):
        item = self._held.popleft()
        self._held_width -= len(item if isinstance(item, str) else item.text)
        self._put(item)

    def _put(self, item):
        if isinstance(item, str):
            self._out.append(item)
            self._column += len(item)
            return
        item.group.places.popleft()
        if item.group.broken:
            self._out.append("\n" + " " * item.indentation)
            self._column = item.indentation
            return
        if not item.group.places:
            self._close(item.group)
        self._out.append(item.text)
        self._column += len(item.text)

    # --- what is printed

    def _print(self, obj, cycle):
        if obj is None or obj is True or obj is False or obj is Ellipsis or obj is NotImplemented:
            return _repr(obj, self, cycle)
        for cls in type.__dict__["__mro__"].__get__(_class(obj)):
            printer = PRINTERS.get(cls) or _named(cls)
            if printer is not None:
                return printer(obj, self, cycle)
            if callable(cls.__dict__.get("_repr_pretty_")):
                return cls._repr_pretty_(obj, self, cycle)
            if cls is not object and "__repr__" in cls.__dict__ and callable(getattr(cls, "__repr__", None)):
                return _repr(obj, self, cycle)
        if getattr(_class(obj), "__repr__", None) is not object.__repr__:
            return _repr(obj, self, cycle)
        with self.group(1, "<", ">"):
            self.pretty(_class(obj))
            self.text(f" at 0x{id(obj):x}" + (" ..." if cycle else ""))

    def items(self, objects, show):
        for index, obj in enumerate(objects):
            if index:
                self.text(",")
                self.breakable()
            if self.max_seq_length and index >= self.max_seq_length:
                self.text("...")
                return
            show(obj)

    def call(self, name, *args, **kwargs):
        """name(args, key=value), each argument where it fits."""

        def show(item):
            key, value = item
            prefix = f"{key}=" if key else ""
            with self.group(len(prefix), prefix):
                self.pretty(value) if not isinstance(value, _Raw) else self.text(value.text)

        with self.group(len(name) + 1, name + "(", ")"):
            self.items([(None, a) for a in args] + list(kwargs.items()), show)


class _Raw:
    def __init__(self, text):
        self.text = text


def _class(obj):
    try:
        cls = obj.__class__
    except Exception:
        cls = None
    return cls if isinstance(cls, type) else type(obj)


def _repr(obj, p, cycle):
    for index, line in enumerate(repr(obj).splitlines()):
        if index:
            p.break_()
        p.text(line)


def _sequence(start, end):
    def show(obj, p, cycle):
        if cycle:
            return p.text(f"{start}...{end}")
        p.begin_group(len(start), start)
        p.items(obj, p.pretty)
        if isinstance(obj, tuple) and len(obj) == 1:
            p.text(",")
        p.end_group(len(start), end)

    return show


def _ordered(obj):
    for key in (None, str):
        try:
            return sorted(obj, key=key)
        except Exception:
            continue
    return list(obj)


def _set(start, end):
    inner = _sequence(start, end)

    def show(obj, p, cycle):
        if not cycle and not len(obj):
            p.text(type(obj).__name__ + "()")
        elif cycle or (p.max_seq_length and len(obj) >= p.max_seq_length):
            inner(obj, p, cycle)
        else:
            inner(_ordered(obj), p, cycle)

    return show


def _mapping(start, end):
    def show(obj, p, cycle):
        if cycle:
            return p.text("{...}")

        def item(key):
            p.pretty(key)
            p.text(": ")
            p.pretty(obj[key])

        with p.group(len(start), start, end):
            p.items(obj.keys(), item)

    return show


def _super(obj, p, cycle):
    with p.group(8, "<super: ", ">"):
        p.items([obj.__thisclass__, obj.__self__], p.pretty)


_FLAGS = ("IGNORECASE", "LOCALE", "MULTILINE", "DOTALL", "UNICODE", "VERBOSE", "DEBUG")


def _pattern(obj, p, cycle):
    text = repr(obj.pattern)
    text = ("rb" + text[1:] if text[:1] in "bB" else "r" + text).replace("\\\\", "\\")
    flags = "|".join(f"re.{name}" for name in _FLAGS if obj.flags & getattr(re, name))
    p.call("re.compile", _Raw(text), *([_Raw(flags)] if obj.flags else []))


def _namespace(obj, p, cycle):
    p.call("namespace", *([_Raw("...")] if cycle else []), **({} if cycle else obj.__dict__))


def _type(obj, p, cycle):
    own = [cls for cls in type.__dict__["__mro__"].__get__(type(obj)) if "__repr__" in vars(cls)]
    if own[:1] != [type]:
        return _repr(obj, p, cycle)
    module = getattr(obj, "__module__", None)
    name = obj.__qualname__
    p.text(name if module in (None, "builtins", "exceptions") else f"{module}.{name}")


def _function(obj, p, cycle):
    import inspect

    name = getattr(obj, "__qualname__", obj.__name__)
    if obj.__module__ and obj.__module__ not in ("builtins", "exceptions"):
        name = f"{obj.__module__}.{name}"
    with contextlib.suppress(ValueError):
        name += str(inspect.signature(obj))
    p.text(f"<function {name}>")


def _exception(obj, p, cycle):
    cls = obj.__class__
    name = getattr(cls, "__qualname__", cls.__name__)
    p.call(name if cls.__module__ in ("builtins", "exceptions") else f"{cls.__module__}.{name}", *getattr(obj, "args", ()))


def _construct(arguments):
    def show(obj, p, cycle):
        args, kwargs = ([_Raw("...")], {}) if cycle else arguments(obj)
        p.call(obj.__class__.__name__, *args, **kwargs)

    return show


PRINTERS = {
    int: _repr,
    float: _repr,
    str: _repr,
    bytes: _repr,
    range: _repr,
    slice: _repr,
    tuple: _sequence("(", ")"),
    list: _sequence("[", "]"),
    dict: _mapping("{", "}"),
    set: _set("{", "}"),
    frozenset: _set("frozenset({", "})"),
    super: _super,
    type: _type,
    re.Pattern: _pattern,
    types.FunctionType: _function,
    types.BuiltinFunctionType: _function,
    types.MethodType: _repr,
    types.SimpleNamespace: _namespace,
    types.MappingProxyType: _mapping("mappingproxy({", "})"),
    BaseException: _exception,
}

NAMED = {
    ("os", "_Environ"): _mapping("environ{", "}"),
    ("datetime", "datetime"): _repr,
    ("datetime", "timedelta"): _repr,
    ("collections", "defaultdict"): _construct(lambda o: ([o.default_factory, dict(o)], {})),
    ("collections", "OrderedDict"): _construct(lambda o: ([list(o.items())] if len(o) else [], {})),
    ("collections", "deque"): _construct(lambda o: ([list(o)], {} if o.maxlen is None else {"maxlen": o.maxlen})),
    ("collections", "Counter"): _construct(lambda o: ([dict(o.most_common())] if len(o) else [], {})),
    ("collections", "UserList"): _construct(lambda o: ([o.data], {})),
}


def _named(cls):
    key = (getattr(cls, "__module__", None), getattr(cls, "__name__", None))
    try:
        printer = NAMED.get(key)
    except TypeError:
        return None
    # A class of that name that a user put into the module is not the one that is meant.
    return printer if printer is None or getattr(sys.modules.get(key[0]), key[1], None) is cls else None


def pretty(obj):
    printer = Printer()
    printer.pretty(obj)
    return printer.getvalue()
