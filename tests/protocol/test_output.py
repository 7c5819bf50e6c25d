# SPDX-License-Identifier: MIT
"""What cells print and display: whose it is, in which order, and how much of it."""

import itertools
import time

import pytest


def test_print(client):
    result = client.run("print('out')\nimport sys\nprint('err', file=sys.stderr)")
    assert result.text() == "out\n"
    assert result.text("stderr") == "err\n"


def test_input_is_published_before_any_output(fresh):
    for _ in range(100):
        kinds = [kind for kind, _ in itertools.groupby(fresh.run("print('x')").types)]
        assert kinds == ["execute_input", "stream"]


def test_stream_object(client):
    code = """
import sys, io
o = sys.stdout
assert o.write("abc\\n") == 4
assert o.encoding.upper() == "UTF-8" and o.errors and not o.isatty() and o.writable() and not o.readable()
assert o.fileno() == 1 and sys.stderr.fileno() == 2
assert isinstance(o, io.TextIOBase) and o.closed is False
o.writelines(["d\\n", "e\\n"]); o.flush(); o.reconfigure(line_buffering=True)
o.buffer.write("é\\n".encode()); o.buffer.flush()
assert o._is_master_process()
o.close(); print("still open")
try:
    o.write(b"bytes")
except TypeError:
    print("TypeError")
"""
    result = client.run(code)
    assert result.status == "ok", result.error
    assert result.text() == "abc\nd\ne\né\nstill open\nTypeError\n"


def test_split_utf8_in_bytes(client):
    result = client.run("import sys\nfor b in 'ü€𝔘'.encode():\n    _ = sys.stdout.buffer.write(bytes([b]))")
    assert result.text() == "ü€𝔘"


def test_lone_surrogate(client):
    assert client.run("print('a\\ud800b')").text() == "a\ufffdb\n"


def test_child_tasks_and_threads(fresh):
    first = fresh.run(
        """
import asyncio, threading
from concurrent.futures import ThreadPoolExecutor
go = asyncio.Event()
tgo = threading.Event()
async def child():
    await go.wait()
    print("from the task")
def threaded():
    tgo.wait()
    print("from the thread")
task = asyncio.create_task(child())
thread = threading.Thread(target=threaded); thread.start()
pool = ThreadPoolExecutor(1)
future = pool.submit(threaded)
""",
        metadata={"cellId": "one"},
    )
    fresh.execute("go.set(); tgo.set(); await task; thread.join(); future.result()")
    text = ""
    while text.count("\n") < 3:
        m = fresh.iopub_until(lambda m: m.type == "stream")[-1]
        assert m.parent["msg_id"] == first.reply.parent["msg_id"]
        text += m.content["text"]
    assert sorted(text.split("\n")) == ["", "from the task", "from the thread", "from the thread"]


def test_thread_of_a_cell_that_runs_again(fresh):
    setup = "import threading, time\ngate = threading.Event()\ndef f():\n    gate.wait()\n    print('late')\nt = threading.Thread(target=f)"
    fresh.run(setup)
    fresh.run("t.start() if not t.is_alive() and not t.ident else None", metadata={"cellId": "c"})
    again = fresh.execute("t.start() if not t.is_alive() and not t.ident else None", metadata={"cellId": "c"})
    fresh.until_idle(again)
    fresh.execute("gate.set(); t.join()")
    message = fresh.iopub_until(lambda m: m.type == "stream")[-1]
    assert message.parent["msg_id"] == again


def test_two_async_cells_do_not_mix(fresh):
    fresh.run("import asyncio\nasync def say(w):\n    for i in range(20):\n        print(w)\n        await asyncio.sleep(0.001)")
    mids = [fresh.execute("await say('a')"), fresh.execute("await say('b')")]
    texts = {m: "" for m in mids}
    left = set(mids)
    while left:
        m = fresh.receive("iopub")
        parent = m.parent.get("msg_id")
        if m.type == "stream":
            texts[parent] += m.content["text"]
        if m.type == "status" and m.content["execution_state"] == "idle":
            left.discard(parent)
    assert texts == {mids[0]: "a\n" * 20, mids[1]: "b\n" * 20}


def test_subprocess_and_descriptor_output(client):
    result = client.run(
        "import subprocess, os, sys\nprint('one')\nsubprocess.run(['echo', 'two'])\nprint('three')\n"
        "_ = os.write(1, b'four\\n')\nprint('five')\nsubprocess.run('echo six >&2', shell=True)\nprint('seven', file=sys.stderr);"
    )
    assert result.text() == "one\ntwo\nthree\nfour\nfive\n"
    assert result.text("stderr") == "six\nseven\n"


def test_subprocess_with_our_stream(client):
    assert client.run("import subprocess, sys\nsubprocess.run(['echo', 'x'], stdout=sys.stdout);").text() == "x\n"


def test_descriptor_output_is_in_its_own_cell(fresh):
    fresh.run("import os")
    mids = [fresh.execute(f"_ = os.write(1, b'{i}\\n')") for i in range(50)]
    texts = {m: "" for m in mids}
    count = 0
    while count < 50:
        m = fresh.receive("iopub")
        if m.type == "stream":
            texts[m.parent["msg_id"]] += m.content["text"]
            count += m.content["text"].count("\n")
    assert texts == {m: f"{i}\n" for i, m in enumerate(mids)}


def test_order_of_streams_and_displays(client):
    result = client.run("print('a')\ndisplay(1)\nprint('b')\ndisplay(2)\nprint('c')\n3")
    kinds = [kind for kind, _ in itertools.groupby(result.types)]
    assert kinds == ["execute_input", "stream", "display_data", "stream", "display_data", "stream", "execute_result"]


def test_fork_and_multiprocessing(client):
    result = client.run(
        "import os, sys\npid = os.fork()\nif pid == 0:\n    print('child')\n    sys.stdout.flush()\n    os._exit(0)\n"
        "_ = os.waitpid(pid, 0)\nprint('parent')"
    )
    assert result.text() == "child\nparent\n"
    result = client.run(
        "import multiprocessing as mp\ndef f(): print('in a process')\n"
        "p = mp.get_context('fork').Process(target=f); p.start(); p.join()\np.exitcode"
    )
    assert result.text() == "in a process\n" and result.result == "0"


def test_a_flood_is_coalesced(client):
    begin = time.monotonic()
    result = client.run("for i in range(50000):\n    print(i, flush=True)", timeout=60)
    seconds = time.monotonic() - begin
    streams = result.all("stream")
    assert result.text() == "".join(f"{i}\n" for i in range(50000))
    assert len(streams) <= 1000 * max(1.0, seconds)


def test_alternating_streams_are_bounded(client):
    begin = time.monotonic()
    result = client.run("import sys\nfor i in range(20000):\n    print(i)\n    print(i, file=sys.stderr)", timeout=60)
    seconds = time.monotonic() - begin
    expected = "".join(f"{i}\n" for i in range(20000))
    assert result.text() == expected and result.text("stderr") == expected
    assert len(result.all("stream")) <= 1000 * max(1.0, seconds)


def test_flood_of_descriptor_output(client):
    """All of it comes, the last of it perhaps behind idle, in its own cell."""
    result = client.run("import subprocess\nsubprocess.run('seq 200000', shell=True);", timeout=60)
    text, expected = result.text(), "".join(f"{i}\n" for i in range(1, 200001))
    while len(text) < len(expected):
        late = client.iopub_until(lambda m: m.type == "stream")[-1]
        assert late.parent["msg_id"] == result.reply.parent["msg_id"]
        text += late.content["text"]
    assert text == expected


def test_big_display(client):
    result = client.run("display({'text/plain': 'x' * (8 << 20)}, raw=True)")
    assert len(result.all("display_data")[0].content["data"]["text/plain"]) == 8 << 20


def test_display_family(client):
    result = client.run(
        "h = display('first', display_id='d')\nh.update('second')\nupdate_display('third', display_id='d')\n"
        "clear_output(wait=True)\ndisplay('x', display_id=True).display_id != 'd'"
    )
    assert result.types == [
        "execute_input",
        "display_data",
        "update_display_data",
        "update_display_data",
        "clear_output",
        "display_data",
        "execute_result",
    ]
    assert result.all("display_data")[0].content["transient"] == {"display_id": "d"}
    assert result.all("clear_output")[0].content == {"wait": True}


REPRS = """
class R:
    def __repr__(self): return "R()"
    def _repr_html_(self): return "<b>r</b>"
    def _repr_png_(self): return b"\\x89PNG", {"width": 3}
    def _repr_json_(self): return {"a": [1, 2.5, None]}
class M:
    def _repr_mimebundle_(self, include=None, exclude=None): return {"text/x": "m"}, {"text/x": {"k": 1}}
class I:
    def _ipython_display_(self): print("displayed itself")
class Bad:
    def _repr_html_(self): raise ValueError("broken html")
    def __repr__(self): return "Bad()"
class Worse:
    def __repr__(self): raise ValueError("broken repr")
class Any:
    def __getattr__(self, name): return lambda *a, **k: "anything"
    def __repr__(self): return "Any()"
"""


def test_rich_reprs(client):
    client.run(REPRS)
    data = client.run("R()").all("execute_result")[0].content
    assert data["data"] == {
        "text/plain": "R()",
        "text/html": "<b>r</b>",
        "image/png": "iVBORw==",
        "application/json": {"a": [1, 2.5, None]},
    }
    assert data["metadata"] == {"image/png": {"width": 3}}
    mime = client.run("M()").all("execute_result")[0].content
    assert mime["data"]["text/x"] == "m" and mime["metadata"] == {"text/x": {"k": 1}}
    itself = client.run("I()")
    assert itself.text() == "displayed itself\n" and itself.result is None
    assert client.run("Any()").result == "Any()"
    assert client.run("R").result == "__main__.R"


def test_failing_reprs(client):
    client.run(REPRS)
    bad = client.run("Bad()")
    assert bad.status == "ok" and bad.result == "Bad()" and "broken html" in bad.text("stderr")
    worse = client.run("Worse()")
    assert worse.status == "ok" and worse.result is None and "broken repr" in worse.text("stderr")


@pytest.mark.parametrize("show", ["{}", "display({})"])
def test_a_form_that_is_no_json_costs_only_itself(client, show):
    client.run("class Bad:\n    def _repr_json_(self): return {'a': object()}\n    def _repr_html_(self): return '<b>', {'o': object()}\n    def __repr__(self): return 'Bad'")
    result = client.run(show.format("Bad()"))
    assert result.status == "ok"
    shown = (result.all("execute_result") + result.all("display_data"))[0].content
    assert shown["data"] == {"text/html": "<b>", "text/plain": "Bad"}
    assert "object" in result.text("stderr")


def test_include_and_exclude_hold_for_own_bundles(client):
    client.run("class Own:\n    def _repr_mimebundle_(self, include=None, exclude=None):\n        return {'text/html': 'h', 'text/plain': 'p'}, {'text/html': {'a': 1}}")
    assert client.run("display(Own(), include=['text/plain'])").all("display_data")[0].content["data"] == {"text/plain": "p"}
    shown = client.run("display(Own(), exclude={'text/plain'})").all("display_data")[0].content
    assert shown["data"] == {"text/html": "h"} and shown["metadata"] == {"text/html": {"a": 1}}


def test_hostile_display_data(client):
    result = client.run("display({'text/plain': float('nan'), 'x': 10**30, 'y': ('a', b'b')}, raw=True)")
    assert result.all("display_data")[0].content["data"] == {"text/plain": None, "x": 10**30, "y": ["a", "Yg=="]}
    assert client.run("display({'a': object()}, raw=True)").error["ename"] == "TypeError"
    assert client.run("d = {}\nd['d'] = d\ndisplay(d, raw=True)").error["ename"] in ("ValueError", "RecursionError")


def test_late_output_has_its_parent(fresh):
    result = fresh.run(
        "import asyncio\ngate = asyncio.Event()\nasync def late():\n    await gate.wait()\n    print('late')\nt = asyncio.create_task(late())",
        metadata={"cellId": "x"},
    )
    fresh.execute("gate.set()")
    late = fresh.iopub_until(lambda m: m.type == "stream")[-1]
    assert late.parent["msg_id"] == result.reply.parent["msg_id"]


def test_tasks_of_a_cell_without_id_hold_its_idle(fresh):
    result = fresh.run(
        "import asyncio\nasync def late():\n    await asyncio.sleep(0.2)\n    print('before idle')\nt = asyncio.create_task(late())"
    )
    assert result.text() == "before idle\n"


TRACEBACKS = {
    "caret": ("a, b = 1, 0\nprint(a + a / b)", ["Cell In[", "line 2", "^", "ZeroDivisionError: division by zero"]),
    "chained": (
        "try:\n    1/0\nexcept Exception as e:\n    raise KeyError('k') from e",
        ["direct cause", "ZeroDivisionError", "KeyError: 'k'"],
    ),
    "context": ("try:\n    1/0\nexcept Exception:\n    undefined", ["During handling", "NameError"]),
    "group": ("raise ExceptionGroup('g', [ValueError('v'), TypeError('t')])", ["exception 1 of 2", "ValueError: v", "TypeError: t"]),
    "note": ("e = ValueError('x')\ne.add_note('a note')\nraise e", ["a note"]),
    "recursion": ("def f(): f()\nf()", ["RecursionError"]),
    "no message": ("raise ValueError()", ["ValueError"]),
    "syntax": ("x = = 1", ["Cell In[", "line 1", "SyntaxError"]),
    "bad str": ("class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E()", ["E"]),
    "library": ("import json\njson.loads('{')", ["Cell In[", "decoder.py", "JSONDecodeError"]),
}


@pytest.mark.parametrize("name", TRACEBACKS)
def test_tracebacks(client, name):
    code, parts = TRACEBACKS[name]
    result = client.run(code)
    import re

    text = re.sub(r"\x1b\[\d+m", "", "\n".join(result.error["traceback"]))
    for part in parts:
        assert part in text
    assert "akernel" not in text
    assert len(text) <= 1 << 20
    reply = result.content
    assert reply["status"] == "error" and reply["ename"] == result.error["ename"]
    assert reply["traceback"] == result.error["traceback"]


def test_huge_message(client):
    result = client.run("raise ValueError('x' * 100_000_000)")
    assert len("".join(result.error["traceback"])) <= 1 << 20
    assert client.run("1").status == "ok"


def test_source_of_cells_can_be_read(client):
    assert client.run("def fn():\n    return 1\nimport inspect\ninspect.getsource(fn)").result == "'def fn():\\n    return 1\\n'"


FLOOD = """
import asyncio, threading
async def main():
    def f(): [print({tag!r} * 120) for _ in range(60000)]
    threads = [threading.Thread(target=f) for _ in range(2)]
    [t.start() for t in threads]
    while any(t.is_alive() for t in threads): await asyncio.sleep(0.05)
await main()
"""


def test_flooding_threads_keep_their_cells(fresh):
    mids = [fresh.execute(FLOOD.format(tag=tag)) for tag in "ab"]
    texts = {m: "" for m in mids}
    left = set(mids)
    while left:
        m = fresh.receive("iopub")
        parent = m.parent.get("msg_id")
        if m.type == "stream":
            texts[parent] += m.content["text"]
        if m.type == "status" and m.content["execution_state"] == "idle":
            left.discard(parent)
    assert [(texts[m].count("a"), texts[m].count("b")) for m in mids] == [(14400000, 0), (0, 14400000)]


def test_a_stream_made_by_hand_is_refused(client):
    assert client.run("import sys\ntype(sys.stdout)().write('x')").error["ename"] == "ValueError"
