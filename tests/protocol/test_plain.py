# SPDX-License-Identifier: MIT
"""text/plain is what IPython's printer gives, with no IPython imported."""

import json

import pytest

SETUP = """
import collections, datetime, re, types, decimal, os, enum, dataclasses, fractions
class Plain: pass
class Own:
    def __repr__(self): return "Own\\nof two lines\\n"
class Lister(list): pass
class ReprDict(dict):
    def __repr__(self): return "ReprDict!"
class Pretty:
    def _repr_pretty_(self, p, cycle):
        with p.group(4, "Pretty(", ")"):
            for i in range(30):
                if i:
                    p.text(","); p.breakable()
                p.pretty({i: "x" * i})
class Meta(type):
    def __repr__(cls): return "<a meta class>"
class WithMeta(metaclass=Meta): pass
class Failure(ValueError): pass
Color = enum.Enum("Color", "RED BLUE")
Point = collections.namedtuple("Point", "x y")
@dataclasses.dataclass
class Data:
    a: int
    b: list
class Anything:
    def __getattr__(self, name): return 1
def f(x, *args, key: int = 3, **kw) -> str: return ""
cycle = [1]; cycle.append(cycle)
cycled = {}; cycled["me"] = cycled
"""

VALUES = [
    "1", "'text'", "3.5", "b'bytes'", "None and 1 or ...", "True", "2j", "'a\\nb'", "range(3)", "slice(1, 2)",
    "[1, 2, 3]", "(1,)", "()", "[]", "{}", "set()", "frozenset()", "{3, 1, 2}", "{'b', 'a', 1}", "frozenset({2, 1})",
    "list(range(24))", "list(range(25))", "list(range(26))", "list(range(100))", "list(range(2000))", "tuple(range(40))",
    "set(range(50))", "set(range(1500)) and len(set(range(1500)))", "{i: str(i) * 5 for i in range(20)}", "{'a': list(range(40)), 'b': {'c': tuple(range(40))}}",
    "['x' * 77]", "['x' * 76]", "['x' * 75]", "['x' * 74]", "['x' * 200]", "[['y' * 30, 'z' * 40], ['y' * 30, 'z' * 50], 5]",
    "[[i] * i for i in range(20)]", "{('a', 'b'): {'x': [1.5] * 40}}", "[{'name': 'n' * i, 'value': i} for i in range(12)]",
    "Plain", "Plain()", "[Plain(), Plain]", "Own()", "[Own(), Own()]", "{'k': Own()}", "Lister([1, 2])", "Lister(range(90))", "ReprDict(a=1)",
    "Pretty()", "[Pretty()]", "WithMeta", "WithMeta()", "int", "type", "[int, str, Plain]", "dict.fromkeys", "len", "f", "[f, len]", "Plain().__init__",
    "print", "os.path.join", "str.join", "[].append", "lambda: 0", "ValueError('a', 1)", "Failure('x' * 90)", "KeyError()", "[ValueError('x')]",
    "Color.RED", "Color", "Point(1, 2)", "[Point(i, i) for i in range(20)]", "Data(1, [2])", "Data(1, list(range(90)))",
    "collections.Counter('abracadabra')", "collections.Counter()", "collections.OrderedDict(a=1)", "collections.OrderedDict()",
    "collections.OrderedDict((str(i), i) for i in range(30))", "collections.defaultdict(list, a=[1])", "collections.deque([1, 2])",
    "collections.deque(range(50), maxlen=60)", "collections.UserList([1])", "collections.UserDict(a=1)", "collections.ChainMap({'a': 1})",
    "types.SimpleNamespace(a=1, b='x' * 80)", "types.MappingProxyType({'a': 1})", "re.compile(r'a\\d+', re.I)", "re.compile(b'x')", "re.compile('x', 0)",
    "datetime.datetime(2020, 1, 2)", "datetime.timedelta(3)", "datetime.date(2020, 1, 2)", "decimal.Decimal('1.10')", "fractions.Fraction(1, 3)",
    "cycle", "cycled", "super(Plain, Plain())", "Anything()", "NotImplemented", "iter([])", "(i for i in ())", "memoryview(b'x')", "bytearray(b'xy')",
    "{}.keys()", "{'a': 1}.items()", "object()", "[object()]", "array", "__import__('array').array('i', [1, 2])", "os", "[b'x' * 40, b'y' * 40]",
    "{'unicode é': 'ü' * 75}", "['\\ud800']", "[[[[[[1]]]]]]", "[[[[[[" + "'x' * 20, " * 6 + "]]]]]]", "(1, (2, (3, (4, (5, (6,))))))", "[None] * 30", "{None: None, True: False}",
    "{i: {j: {k: i * j * k for k in range(4)} for j in range(4)} for i in range(4)}",
]  # fmt: skip


@pytest.fixture(scope="module")
def both(argv):
    """What the native display shows for each value, and what IPython's printer gives."""
    from wire import Kernel

    with Kernel(argv) as kernel:
        client = kernel.ready_client()
        assert client.run(SETUP).status == "ok"
        client.run(f"VALUES = {VALUES!r}\nobjects = {{}}\nfor text in VALUES:\n    try: objects[text] = eval(text)\n    except NameError: pass")
        native = {}
        for text in VALUES:
            result = client.run(f"objects[{text!r}]")
            native[text] = result.result
        loaded = client.run("import sys; [m for m in ('IPython', 'traitlets') if m in sys.modules]").result
        client.run(
            "from IPython.core.formatters import PlainTextFormatter\nimport json\nplain = PlainTextFormatter()\n"
            "print(json.dumps({text: plain(objects[text]) for text in objects}))"
        )
        expected = json.loads(client.run("print(json.dumps({text: plain(objects[text]) for text in objects}))").text())
    return native, expected, loaded


def test_nothing_is_imported(both):
    assert both[2] == "[]"


@pytest.mark.parametrize("text", VALUES)
def test_text(both, text):
    native, expected, _ = both
    assert native[text] == expected.get(text)


def test_a_printer_that_fails(client):
    result = client.run("class Bad:\n    def _repr_pretty_(self, p, cycle): raise ValueError('no text')\n[Bad()]")
    assert result.status == "ok" and result.result is None
    assert "no text" in result.text("stderr")
    assert client.run("class Worse:\n    def __repr__(self): return 1\nWorse()").status == "ok"
