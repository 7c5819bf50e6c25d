# SPDX-License-Identifier: MIT
"""Completion: what is offered, where it goes, and that nobody's code runs for it."""

import sys
import time

import pytest
from wire import Kernel

SETUP = """
import json, os, math, collections
class Point:
    '''A point.'''
    kind = 'class attribute'
    def __init__(self):
        self.x_value = 1
        self.child = {'key': [1]}
    def move(self, step, times=1):
        'Moves it.'
    @property
    def danger(self):
        global ran
        ran = True
        return []
    @classmethod
    def build(cls): pass
    @staticmethod
    def helper(): pass
    def __lt__(self, other): return True
ran = False
point = Point()
numbers = [1, 2, 3]
table = {'alpha': 1, 'beta': {'inner': 2}, "it's": 3, 'two words': 4, 10: 'ten', (1, 2): 'pair'}
text = 'a string'
größe = 5
ünïcode_näme = 6
def function_with(first, second=2, *, keyword_only=3): pass
"""

# (code with | at the cursor, what it becomes with one of the offers, asked of ipykernel too)
CORPUS = [
    ("numb|", "numbers", True),
    ("x = numb|", "x = numbers", True),
    ("numbers.app|", "numbers.append", True),
    ("numbers.|", "numbers.extend", True),
    ("text.upp|", "text.upper", True),
    ("point.x_|", "point.x_value", True),
    ("point.mo|", "point.move", True),
    ("point.dang|", "point.danger", True),
    ("point.ki|", "point.kind", True),
    ("point.__lt|", "point.__lt__", True),
    ("Point.bui|", "Point.build", True),
    ("Point.hel|", "Point.helper", True),
    ("json.du|", "json.dumps", True),
    ("os.path.jo|", "os.path.join", True),
    ("math.sq|", "math.sqrt", True),
    ("import js|", "import json", True),
    ("import os.pa|", "import os.path", True),
    ("import json, ma|", "import json, math", True),
    ("from js|", "from json", True),
    ("from json import du|", "from json import dump", True),
    ("from json import load, du|", "from json import load, dumps", True),
    ("from json import (load,\n    du|", "from json import (load,\n    dumps", True),
    ("from importlib import mach|", "from importlib import machinery", True),
    ("import importlib.mach|", "import importlib.machinery", True),
    ("from email.mi|", "from email.mime", True),
    ("table['al|']", "table['alpha']", True),
    ('table["al|"]', 'table["alpha"]', True),
    ("table['two|']", "table['two words']", True),
    ("table[1|]", "table[10]", True),
    ("table['beta']['in|']", "table['beta']['inner']", False),
    ("point.child['k|']", "point.child['key']", True),
    ("function_with(fir|", "function_with(first=", True),
    ("function_with(1, keyw|", "function_with(1, keyword_only=", True),
    ("point.move(ti|", "point.move(times=", True),
    ("prin|", "print", True),
    ("whi|", "while", True),
    ("impo|", "import", True),
    ("ValueErr|", "ValueError", True),
    ("%time|", "%timeit", True),
    ("%%ba|", "%%bash", True),
    ("%ma|", "%matplotlib", True),
    ("y = numbers[0]; poi|", "y = numbers[0]; point", True),
    ("for n in numb|", "for n in numbers", True),
    ("def f():\n    return numb|", "def f():\n    return numbers", True),
    ("f'{numb|", "f'{numbers", False),
    ("grö|", "größe", True),
    ("ünïcode_n|", "ünïcode_näme", True),
    ("'😀'; numb|", "'😀'; numbers", True),
    ("'😀😀'.upp|", "'😀😀'.upper", False),
    ("numbers.app| # behind", "numbers.append # behind", True),
    ("print(numb|)", "print(numbers)", True),
    ("local_name = 1\nlocal_n|", "local_name = 1\nlocal_name", True),
    ("def inner(parameter):\n    return param|", "def inner(parameter):\n    return parameter", True),
    ("'abc'.spl|", "'abc'.split", True),
    ("[1, 2].app|", "[1, 2].append", True),
    ("table['beta'].ke|", "table['beta'].keys", True),
    ("point.child['key'].app|", "point.child['key'].append", False),
    ("(numbers).app|", "(numbers).append", False),
    ("\\alp|", "\\alpha", True),
    ("\\alpha|", "α", True),
]


def ask(client, code, timeout=30):
    cursor = code.index("|")
    content = {"code": code[:cursor] + code[cursor + 1 :], "cursor_pos": cursor}
    reply = client.ask("complete_request", content).content
    assert reply["status"] == "ok", reply
    return content["code"], reply


def offers(client, code):
    """The codes that the offers make, as a front end applies them: by code points."""
    plain, reply = ask(client, code)
    assert 0 <= reply["cursor_start"] <= reply["cursor_end"] <= len(plain)
    return [plain[: reply["cursor_start"]] + match + plain[reply["cursor_end"] :] for match in reply["matches"]]


@pytest.fixture(scope="module")
def ours(shared_kernel):
    client = shared_kernel.ready_client()
    assert client.run(SETUP).status == "ok"
    yield client
    client.close()


@pytest.fixture(scope="module")
def reference():
    with Kernel([sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]) as kernel:
        client = kernel.ready_client()
        assert client.run(SETUP).status == "ok"
        yield client


@pytest.mark.parametrize("code,result,both", CORPUS)
def test_corpus(ours, code, result, both):
    found = offers(ours, code)
    assert result in found, found[:20]


@pytest.mark.parametrize("code,result,both", [case for case in CORPUS if case[2]])
def test_ipykernel_offers_the_same(reference, code, result, both):
    assert result in offers(reference, code)


def test_types_are_told(ours):
    def kinds(code):
        _, reply = ask(ours, code)
        types = reply["metadata"]["_jupyter_types_experimental"]
        assert [t["text"] for t in types] == reply["matches"]
        assert all(t["start"] == reply["cursor_start"] and t["end"] == reply["cursor_end"] for t in types)
        return {t["text"]: (t["type"], t["signature"]) for t in types}

    assert kinds("function_w|")["function_with"][0] == "function"
    assert kinds("point.mo|")["move"] == ("function", "(step, times=1)")
    assert kinds("point.dan|")["danger"][0] == "property"
    assert kinds("Poi|")["Point"][0] == "class"
    assert kinds("jso|")["json"][0] == "module"
    assert kinds("whi|")["while"][0] == "keyword"
    assert kinds("numb|")["numbers"][0] == "instance"
    assert kinds("%time|")["%timeit"][0] == "magic"


def test_properties_are_not_run(ours):
    for code in ("point.dan|", "point.danger.|", "point.danger.app|", "point.|"):
        ask(ours, code)
    ours.ask("inspect_request", {"code": "point.danger", "cursor_pos": 12, "detail_level": 0})
    assert ours.run("ran").result == "False"


def test_own_attribute_access_is_not_run(ours):
    ours.run(
        "log = []\nclass Sly:\n    def __getattr__(self, name): log.append(name); return self\n"
        "    @property\n    def __dict__(self): log.append('dict'); return {}\nsly = Sly()\n"
        "class Total:\n    def __getattribute__(self, name):\n        log.append(name); return object.__getattribute__(self, name)\ntotal = Total()\nlog.clear()"
    )
    for code in ("sly.some.thing.|", "sly.thing['k|']", "sly.f(a|", "total.some.|"):
        ask(ours, code)
    assert ours.run("[name for name in log if not name.startswith('__') and name != 'dict']").result == "[]"


def test_broken_objects(ours):
    ours.run(
        "class BadDir:\n    fallback = 1\n    def __dir__(self): raise RuntimeError('no')\nbad_dir = BadDir()\n"
        "class OddDir:\n    def __dir__(self): return [1, None, 'fine', 'also']\nodd_dir = OddDir()\n"
        "class BadKeys:\n    def _ipython_key_completions_(self): raise KeyError\nbad_keys = BadKeys()\n"
        "class BadEq:\n    def __eq__(self, other): raise RuntimeError\n    def __hash__(self): raise RuntimeError\nbad_eq = BadEq()"
    )
    assert "bad_dir.fallback" in offers(ours, "bad_dir.fall|")
    assert "odd_dir.fine" in offers(ours, "odd_dir.fi|")
    ask(ours, "bad_keys['a|")
    ask(ours, "bad_eq.|")
    assert ours.run("1 + 1").result == "2"


def test_hanging_objects_are_bounded(fresh):
    fresh.run(
        "import time\nclass Hang:\n    known = 1\n    def __dir__(self):\n        while True: time.sleep(0.01)\n"
        "    def __getattr__(self, name):\n        while True: pass\n    def _ipython_key_completions_(self): time.sleep(1e6)\nhang = Hang()"
    )
    assert "hang.known" in offers(fresh, "hang.kno|")
    ask(fresh, "hang.other.thing.|")
    ask(fresh, "hang['a|")
    ask(fresh, "hang().x.y|")
    assert "hang" in offers(fresh, "han|")
    assert fresh.run("1 + 1").result == "2"


def test_the_users_alarm_goes_on(fresh):
    fresh.run("import signal\nrang = []\nsignal.signal(signal.SIGALRM, lambda *a: rang.append(1))\nsignal.setitimer(signal.ITIMER_REAL, 30)\nx = []")
    offers(fresh, "x.app|")
    assert fresh.run("20 < signal.getitimer(signal.ITIMER_REAL)[0] <= 30").result == "True"
    assert fresh.run("signal.getsignal(signal.SIGALRM).__name__").result == "'<lambda>'"


def test_a_huge_namespace(fresh):
    fresh.run("globals().update({f'name_{i}': i for i in range(50000)})")
    assert "name_49999" in offers(fresh, "name_4999|")
    _, reply = ask(fresh, "name|")
    assert 0 < len(reply["matches"]) <= 5000


def test_paths_in_strings(ours, tmp_path):
    (tmp_path / "data one.csv").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / ".hidden").touch()
    found = offers(ours, f"open('{tmp_path}/da|')")
    assert found == [f"open('{tmp_path}/data one.csv')", f"open('{tmp_path}/data/')"]
    assert offers(ours, f"open('{tmp_path}/.hi|')") == [f"open('{tmp_path}/.hidden')"]
    ours.run(f"import os; os.chdir({str(tmp_path)!r})")
    assert "open('data/')" in offers(ours, "open('da|')")
    assert f"%cd {tmp_path}/data/" in offers(ours, f"%cd {tmp_path}/da|")
    assert "!cat data\\ one.csv" in offers(ours, "!cat dat|")
    assert offers(ours, "open('/no/such/dir/x|')") == []


def test_numbers_and_comments_offer_nothing_odd(ours):
    assert offers(ours, "1.|") == [] or "1.append" not in offers(ours, "1.|")
    ask(ours, "# numbers.|")
    ask(ours, "|")
    ask(ours, "\n\n|")


@pytest.mark.parametrize(
    "content",
    [{}, {"code": 5}, {"code": None, "cursor_pos": 1}, [], None],
)
def test_nonsense_is_an_error(ours, content):
    reply = ours.ask("complete_request", content).content
    assert reply["status"] == "error" and reply["ename"]


@pytest.mark.parametrize("cursor", [-1, 10**9, "x", None, True])
def test_odd_cursors_mean_the_end(ours, cursor):
    reply = ours.ask("complete_request", {"code": "numbers.app", "cursor_pos": cursor}).content
    assert reply["matches"] == ["append"]


def test_first_answers_and_beside_an_awaiting_cell(fresh):
    fresh.run("class A: attribute = 1\na = A()")
    mid = fresh.execute("import asyncio\nevent = asyncio.Event()\nawait event.wait()")
    fresh.iopub_until(lambda m: m.type == "execute_input" and m.parent["msg_id"] == mid)
    assert "a.attribute" in offers(fresh, "a.attr|")
    assert "jedi" not in fresh.run("import sys; sorted(sys.modules)", silent=False).result.split("'")
    taken = []
    for _ in range(21):
        start = time.monotonic()
        offers(fresh, "a.attr|")
        offers(fresh, "Val|")
        taken.append((time.monotonic() - start) / 2)
    fresh.run("event.set()")
    fresh.reply(mid)
    # A ratio would need a partner: the bound is ten times what it takes on a busy machine.
    assert sorted(taken)[10] < 0.3, taken


@pytest.mark.unsanitized("jedi gets a fraction of a second, and under ASan needs more")
def test_jedi_infers_what_would_have_to_be_run(fresh):
    """jedi needs a while the first time; then it knows."""
    fresh.run("x = 1")
    end = time.monotonic() + 60
    code = "def make(): return []\nmake().app|"
    while code.replace("|", "end") not in offers(fresh, code):
        assert time.monotonic() < end
    assert fresh.run("1 + 1").result == "2"


def test_without_jedi(fresh):
    fresh.run("import sys\nsys.modules['jedi'] = None\nnumbers = []\ndef make(): return []")
    assert offers(fresh, "make().app|") == []
    assert "numbers.append" in offers(fresh, "numbers.app|")
    assert "from json import dumps" in offers(fresh, "from json import dum|")


# --- inspection


def look(client, code, detail=0):
    cursor = code.index("|")
    code = code.replace("|", "")
    reply = client.ask("inspect_request", {"code": code, "cursor_pos": cursor, "detail_level": detail}).content
    assert reply["status"] == "ok", reply
    if not reply["found"]:
        assert reply["data"] == {}
        return None
    assert set(reply["data"]) == {"text/plain", "text/html"}
    return reply["data"]["text/plain"].replace("\x1b[31m", "").replace("\x1b[39m", "")


def test_inspects(ours):
    seen = look(ours, "point.mo|ve")
    assert "Signature: move(step, times=1)" in seen and "Docstring: Moves it." in seen and "Type: method" in seen
    assert "File:" in look(ours, "json.dum|ps")
    assert "def dumps(" in look(ours, "json.dumps|", detail=1) and "Source:" in look(ours, "json.dumps|", 1)
    assert "def dumps(" not in look(ours, "json.dumps|")
    seen = look(ours, "numbers|")
    assert "Type: list" in seen and "Length: 3" in seen and "String form: [1, 2, 3]" in seen
    assert "Init signature: Point()" in look(ours, "Point|") and "A point." in look(ours, "Point|")
    assert "Signature: function_with(first, second=2, *, keyword_only=3)" in look(ours, "function_with(1, |")
    assert "Type: module" in look(ours, "json|")
    assert "Type: property" in look(ours, "point.danger|")
    assert "Type: int" in look(ours, "table['alpha']|")
    assert "Type: keyword" in look(ours, "fo|r") and "iterable" in look(ours, "for|")
    assert "magic" in look(ours, "%timeit|") and "magic" in look(ours, "%%bash|")
    assert look(ours, "no_such_name|") is None
    assert look(ours, "|") is None
    assert "Type: int" in look(ours, "'😀'; größe|")


def test_source_of_cells_is_shown(ours):
    ours.run("def from_a_cell():\n    return 'its source'")
    assert "return 'its source'" in look(ours, "from_a_cell|", 1)


def test_html_is_escaped(ours):
    ours.run("markup = '<script>alert(1)</script>'")
    reply = ours.ask("inspect_request", {"code": "markup", "cursor_pos": 6}).content
    assert "<script>" not in reply["data"]["text/html"] and "&lt;script&gt;" in reply["data"]["text/html"]


def test_inspecting_broken_objects(ours):
    ours.run(
        "class Broken:\n    def __repr__(self): raise ValueError\n    __str__ = __repr__\n    def __len__(self): raise ValueError\n"
        "    @property\n    def __doc__(self): raise ValueError\n    @property\n    def __signature__(self): raise ValueError\n    def __call__(self): pass\nbroken = Broken()\n"
        "class Slow:\n    def __str__(self):\n        while True: pass\nslow = Slow()"
    )
    assert "Type: Broken" in look(ours, "broken|")
    assert "<str() failed>" in look(ours, "slow|")


# --- completeness


@pytest.mark.parametrize(
    "code,status,indent",
    [
        ("1 + 1", "complete", None),
        ("for i in x:", "incomplete", "    "),
        ("for i in x:\n    f(i)", "incomplete", "    "),
        ("for i in x:\n    f(i)\n", "complete", None),
        ("def f():\n    return 1", "incomplete", ""),
        ("def f():\n    if a:\n        b = 1", "incomplete", "        "),
        ("f(1,", "incomplete", ""),
        ("'''open", "incomplete", ""),
        ("raise = 2", "invalid", None),
        ("a = (]", "invalid", None),
        ("await x", "complete", None),
        ("%timeit x", "complete", None),
        ("!ls", "complete", None),
        ("x = !ls", "complete", None),
        ("print?", "complete", None),
        ("for i in x:\n    %time f(i)", "incomplete", "    "),
        ("%%bash\nls", "incomplete", ""),
        ("%%bash\nls\n", "complete", None),
        ("größe = 'ü'", "complete", None),
        ("", "complete", None),
        ("x = 1 \\", "incomplete", ""),
    ],
)
def test_is_complete(ours, code, status, indent):
    reply = ours.ask("is_complete_request", {"code": code}).content
    assert (reply["status"], reply.get("indent")) == (status, indent)
