# SPDX-License-Identifier: MIT
"""The reactive mode as a front end with cellIds sees it."""


import pytest
from notebook import Notebook

COUNT = "__import__('builtins').__dict__.setdefault('_rc', []).append({!r})\n"


@pytest.fixture
def book(launch):
    return Notebook(launch("react").ready_client())


def counts(book):
    (text,) = book.values("__import__('builtins').__dict__.get('_rc', [])")
    return eval(text)


def test_the_example(book):
    assert book.run("1", "a = b + 1\na")["status"] == "ok"
    assert book.waits("1") == "waiting for b" and book.error("1") is None
    book.run("2", "b = 2")
    assert book.result("1") == "3"
    book.run("2", "b = 3")
    assert book.result("1") == "4" and book.values("a", "b") == ["4", "3"]


# cells as (id, source), then names and their values, "" for none
CASES = {
    "star-import": ([("1", "r = floor(2.5)"), ("2", "from math import *")], {"r": "2"}),
    "globals()": ([("1", "r = q + 1"), ("2", "globals()['q'] = 5"), ("2", "globals()['q'] = 6")], {"r": "7"}),
    "exec": ([("1", "r = q + 1"), ("2", "exec('q = 1')"), ("2", "exec('p = 1')")], {"r": "", "q": "", "p": "1"}),
    "global-statement": (
        [
            ("1", "def put(v):\n    global g\n    g = v"),
            ("2", "h = g + 1"),
            ("3", "put(5)"),
            ("3", "put(7)"),
        ],
        {"h": "8"},
    ),
    "builtin-shadowed": ([("1", "r = len('abc')"), ("2", "def len(x): return 42")], {"r": "42"}),
    "builtin-back": ([("1", "r = len('abc')"), ("2", "def len(x): return 42"), ("2", "pass")], {"r": "3"}),
    "name-dropped": ([("1", "x = 1\ny = 2"), ("2", "z = x"), ("1", "y = 2")], {"x": "", "z": "", "y": "2"}),
    "self-update": ([("1", "x = x + 1")], {"x": ""}),
    "augmented-elsewhere": ([("1", "x = 1"), ("2", "x += 1"), ("3", "y = x")], {"x": "2", "y": "2"}),
    "del-comes-last": ([("1", "x = 1"), ("2", "y = x"), ("3", "del x"), ("1", "x = 3")], {"x": "", "y": "3"}),
    "name-found-missing-at-run-time": (
        [("1", "def f(): return late"), ("2", "r = f()"), ("3", "late = 4")],
        {"r": "4"},
    ),
    "latest-wins": ([("1", "x = 1"), ("2", "y = x"), ("3", "x = 2"), ("1", "x = 5")], {"x": "5", "y": "5"}),
    "same-import-twice": ([("1", "import math"), ("2", "import math"), ("1", "pass"), ("3", "r = math.floor(1.5)")], {"r": "1"}),
    "nfkc": ([("1", "r = ﬁ + 1"), ("2", "fi = 1")], {"r": "2"}),
    "formulas": ([("1", "a = b + 1\nb = 2\na")], {"a": "3", "b": "2"}),
    "formulas-and-another-cell": ([("1", "a = b + c\nb = c * 2"), ("2", "c = 1"), ("2", "c = 2")], {"a": "6"}),
    "formulas-scopes": ([("1", "a = [b for b in d]\nc = (lambda: e)() + b\nb = 1\nd = [5]\ne = 2")], {"a": "[5]", "c": "3"}),
    "formulas-in-a-circle": ([("1", "a = b\nb = a")], {"a": "", "b": ""}),
    "no-formulas-when-one-is-a-statement": ([("1", "a = b\nprint(1)\nb = 1")], {"a": ""}),
    "no-formulas-when-another-cell-defines": ([("1", "b = 10"), ("2", "a = b + 1\nb = 2")], {"a": "11", "b": "2"}),
    "diamond": (
        [("1", "s = l - r"), ("2", "l = x + 1"), ("3", "r = x"), ("4", "x = 1"), ("4", "x = 50")],
        {"s": "1"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values(book, name):
    cells, expected = CASES[name]
    for cell, source in cells:
        assert book.run(cell, source)["status"] == "ok"
    assert dict(zip(expected, book.values(*expected))) == expected
    assert all(book.error(cell) is None for cell, _ in cells)


def test_every_kind_of_output_lands_in_its_cell(book):
    book.run("1", "x = 1")
    book.run("2", "print('x is', x)\ndisplay(x * 10)\nx + 1")
    book.run("1", "x = 2")
    assert book.text("2") == "x is 2\n" and book.result("2") == "3"
    assert [o["type"] for o in book.areas["2"]] == ["stream", "display_data", "execute_result"]
    assert book.areas["1"] == []


def test_a_run_that_shows_nothing_clears(book):
    book.run("1", "x = 1")
    book.run("2", "if x == 1: print('one')")
    assert book.text("2") == "one\n"
    book.run("1", "x = 2")
    assert book.areas["2"] == []


def test_a_run_again_has_no_request_of_its_own(book):
    book.run("1", "x = 1")
    mid2 = book.send("2", "x")
    book.wait(mid2)
    mid = book.send("1", "x = 2")
    messages = []
    book.client.iopub_until(
        lambda m: messages.append(m) or (m.type == "status" and m.content["execution_state"] == "idle")
    )
    late = [m.type for m in messages if m.parent["msg_id"] == mid2]
    assert late == ["clear_output", "execute_result"]
    result = next(m for m in messages if m.type == "execute_result")
    assert result.content["execution_count"] == 2
    reply = book.client.reply(mid)
    assert reply.content["status"] == "ok" and reply.content["execution_count"] == 3
    assert reply.metadata["started"]


def test_a_failure_blocks_what_is_below_and_nothing_else(book):
    book.run("1", "x = 1")
    book.run("2", "y = 1 / x")
    book.run("3", "w = x + 1\nw")
    book.run("4", "y + w")
    assert book.result("4") == "3.0"
    assert book.run("1", "x = 0")["status"] == "ok"
    assert book.error("2") == "ZeroDivisionError" and book.result("3") == "1"
    assert book.waits("4") == "waiting for y (In[2] (2) raised ZeroDivisionError)"
    book.run("1", "x = 2")
    assert book.result("4") == "3.5" and book.error("2") is None


def test_what_a_failed_cell_bound_stays_but_nobody_reads_it(book):
    book.run("2", "y = x")
    assert book.run("1", "x = 5\nraise ValueError")["status"] == "error"
    assert book.values("x", "y") == ["5", ""]


def test_two_definers_are_named(book):
    book.run("1", "x = 1")
    book.run("2", "y = x")
    book.run("3", "x = 2")
    warning = book.text("3", "stderr")
    assert "x is defined by two cells, In[1] (1) and In[3] (3)" in warning
    assert book.values("y") == ["2"]


def test_loop_variables_and_private_names_are_no_two_definers(book):
    book.run("1", "for i in range(3): pass\n_p = 1")
    book.run("2", "for i in range(5): pass\n_p = 2")
    book.run("3", "_p")
    book.run("2", "for i in range(5): pass\n_p = 2")
    assert book.text("2", "stderr") == "" and book.result("3") == "2"


def test_a_cycle_names_cells_and_names(book):
    book.run("1", "a = b")
    reply = book.run("2", "b = a")
    assert reply["status"] == "error" and reply["ename"] == "CycleError"
    for word in ("In[1] (1) defines a", "In[2] (2) defines b"):
        assert word in reply["evalue"] and word in book.waits("1")
    assert book.error("2") == "CycleError" and book.error("1") is None
    book.run("2", "b = 1")
    assert book.values("a") == ["1"]


def test_source_that_does_not_compile_changes_nothing(book):
    book.run("1", "x = 1")
    book.run("2", "y = x")
    assert book.run("1", "x ==")["ename"] == "SyntaxError"
    assert book.values("x", "y") == ["1", "1"]
    book.run("1", "x = 2")
    assert book.values("y") == ["2"]


def test_deletion_acts_on_the_rising_edge(book):
    book.run("1", "x = 1")
    book.run("2", "y = x")
    book.deleted = ["1", "no such cell"]
    book.run("3", "0")
    assert book.values("x", "y") == ["", ""]
    assert book.waits("2") == "waiting for x (last defined by In[1] (1), which was reported deleted)"
    book.deleted = ["1"]
    book.run("1", "x = 2")
    assert book.values("x", "y") == ["2", "2"]
    book.deleted = ["1"]
    book.run("3", "0")
    assert book.values("x", "y") == ["2", "2"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"cellId": 5},
        {"cellId": None},
        {"cellId": ["a"]},
        {"cellId": ""},
        {"cellId": "a\0b"},
        {"cellId": "\ud800"},
        {"cellId": "x" * 100000},
        {"deletedCells": "abc"},
        {"deletedCells": {"a": 1}},
        {"deletedCells": [1, None, [], {}, "\ud800", "a"]},
        {"deletedCells": ["c"] * 10000},
        {"tags": "freeze"},
        {"tags": [1, {}]},
    ],
)
def test_hostile_metadata(launch, metadata):
    client = launch("react").ready_client()
    assert client.run("x = 1", metadata={"cellId": "c"}).status == "ok"
    assert client.run("y = x", metadata=metadata).status == "ok"
    assert client.run("x = 2", metadata={"cellId": "c"}).status == "ok"


def test_hostile_cells(book):
    assert book.run("1", "import builtins\nbuiltins.len = lambda x: 1\nprint = 5")["status"] == "ok"
    assert book.run("1", "import builtins\nbuiltins.len = lambda x: 1")["status"] == "ok"
    names = "\n".join(f"n{i} = {i}" for i in range(20000))
    assert book.run("2", names)["status"] == "ok"
    book.run("3", "n7 + n19999")
    assert book.run("2", names.replace("= 7\n", "= 8\n"))["status"] == "ok"
    assert book.result("3") == "20007"
    book.run("4", "class R:\n    def __repr__(self): return repr(self)\nx = 1")
    book.run("5", "x\nR()")
    assert book.run("4", "class R:\n    def __repr__(self): return repr(self)\nx = 2")["status"] == "ok"


def test_frozen_cells_and_cells_beside_the_graph(book):
    book.run("1", "x = 1")
    book.run("2", "y = x", tags=["freeze"])
    book.run("3", "z = y\nz")
    book.run("4", "w = x", tags=["no-react"])
    book.run("1", "x = 2")
    assert book.values("y", "z", "w") == ["1", "1", "1"]
    assert book.result("3") == "1" and "stale" in book.text("3", "stderr")


# --- the queue -------------------------------------------------------------------------


def run_all(book, cells):
    mids = [book.send(cell, code) for cell, code in cells]
    return [book.wait(mid) for mid in mids]


@pytest.mark.parametrize("mode", ["react", "react-chained"])
def test_run_all_twice_runs_each_cell_twice(launch, mode):
    book = Notebook(launch(mode).ready_client())
    cells = [("0", COUNT.format("0") + "v0 = 1")]
    cells += [(str(i), COUNT.format(str(i)) + f"v{i} = v{i - 1} + 1") for i in range(1, 30)]
    run_all(book, cells)
    assert counts(book) == [cell for cell, _ in cells]
    once = [cell for cell, _ in cells]
    for _ in range(5):
        before = counts(book)
        run_all(book, cells)
        again = counts(book)[len(before) :]
        # A machine that stops for a while between two requests may cost a run, no more.
        assert len(again) < 3 * len(cells)
        if again == once:
            break
    assert again == once
    assert book.values("v29") == ["30"]


def test_requests_that_are_aborted_leave_their_cells_stale(book):
    book.run("1", "x = 1")
    book.run("2", "x")
    mids = [book.send("1", "x = 2\nraise ValueError"), book.send("2", "x")]
    replies = [book.wait(mid) for mid in mids]
    assert [r["status"] for r in replies] == ["error", "aborted"]
    assert book.run("1", "x = 3")["status"] == "ok"
    assert book.result("2") == "3"


# --- cells that await ------------------------------------------------------------------



def test_ready_cells_that_await_overlap(launch):
    book = Notebook(launch("react").ready_client())
    book.run("0", "import asyncio\nn = 0")
    for cell in "12":
        book.run(cell, f"x{cell} = x\nn += 1\nwhile n < 2: await asyncio.sleep(0)\nm{cell} = x{cell}")
    book.run("x", "x = 1")
    assert book.values("m1", "m2") == ["1", "1"]


def test_chained_ready_cells_come_in_order(launch):
    book = Notebook(launch("react-chained").ready_client())
    book.run("0", "import asyncio\nlog = []")
    for cell in "12":
        book.run(cell, f"log.append(('in', {cell}, x))\nawait asyncio.sleep(0)\nlog.append(('out', {cell}, x))")
    book.run("x", "x = 1")
    (log,) = book.values("log")
    assert log == "[('in', 1, 1), ('out', 1, 1), ('in', 2, 1), ('out', 2, 1)]"


def test_a_newer_request_restarts_what_it_invalidates(book):
    book.run("0", "import asyncio\ngate = asyncio.Event()\nstarts = []")
    book.run("1", "x = 1")
    mid_y = book.send("2", "starts.append(x)\nif x == 2: await gate.wait()\ny = x\ny")
    book.wait(mid_y)
    first = book.send("1", "x = 2")
    while book.values("starts") != ["[1, 2]"]:
        pass
    second = book.send("1", "x = 3")
    assert book.wait(first)["status"] == "ok"
    assert book.wait(second)["status"] == "ok"
    assert book.values("starts", "y") == ["[1, 2, 3]", "3"]
    assert book.result("2") == "3" and book.error("2") is None


def test_a_requested_cell_that_is_restarted_replies_once(book):
    book.run("0", "import asyncio\ngate = asyncio.Event()")
    book.run("1", "x = 1")
    slow = book.send("2", "if x == 1: await gate.wait()\ny = x\ny")
    book.run("3", "0")
    book.wait(book.send("1", "x = 2"))
    reply = book.wait(slow)
    assert reply["status"] == "ok" and book.result("2") == "2"


# --- interrupts ------------------------------------------------------------------------


def test_an_interrupt_ends_a_reader_that_never_ends(book):
    book.run("1", "x = 0")
    book.run("2", "print('in')\nwhile x: pass\ny = x")
    book.run("3", "y")
    book.run("4", "w = x\nw")
    mid = book.send("1", "x = 1")
    book.client.iopub_until(lambda m: book.feed(m) or (m.type == "stream" and m.content["text"] == "in\n"))
    book.client.kernel.interrupt()
    reply = book.wait(mid)
    assert reply["status"] == "error" and reply["ename"] == "KeyboardInterrupt"
    assert book.error("2") == "KeyboardInterrupt" and book.error("1") is None
    assert book.error("4") is None and "stale" in book.waits("4")
    book.run("1", "x = 0")
    assert book.result("4") == "0" and book.result("3") == "0"


def test_an_interrupt_ends_readers_that_await(book):
    book.run("0", "import asyncio")
    book.run("1", "x = 0")
    book.run("2", "print('in')\nif x: await asyncio.Event().wait()\ny = x\ny")
    mid = book.send("1", "x = 1")
    book.client.iopub_until(lambda m: book.feed(m) or (m.type == "stream" and m.content["text"] == "in\n"))
    book.client.ask("interrupt_request", {}, channel="control")
    assert book.wait(mid)["ename"] == "KeyboardInterrupt"
    book.run("1", "x = 0")
    assert book.result("2") == "0"


# --- akernel.react ---------------------------------------------------------------------


def test_graph_why_and_forget(book):
    book.run("1", "x = 1")
    book.run("2", "y = x")
    book.run("3", "z = y + w")
    book.run("4", "import akernel", tags=["no-react"])
    text = book.run("5", "akernel.react.graph()", tags=["no-react"]) and book.result("5")
    assert "In[1] (1): fresh; defines x" in text and "In[3] (3): pending; defines z; waiting for w" in text
    assert "In[1] (1) -- x --> In[2] (2)" in text
    svg = next(o for o in book.areas["5"] if o["type"] == "execute_result")["data"]["image/svg+xml"]
    assert svg.startswith("<svg") and "In[3] (3)" in svg
    book.run("6", "akernel.react.why('y')", tags=["no-react"])
    assert book.result("6") == (
        "y: has a value, of In[2] (2)\n  defined by In[2] (2): fresh\n  read by In[3] (3): pending, waiting for w"
    )
    book.run("7", "akernel.react.forget('x')", tags=["no-react"])
    assert book.result("7") == "True" and book.values("x", "y") == ["", ""]
    assert book.waits("2") == "waiting for x"


def test_freeze_and_thaw(book):
    book.run("1", "x = 1")
    book.run("2", "y = x")
    book.run("3", "import akernel; akernel.react.freeze('2')", tags=["no-react"])
    book.run("1", "x = 2")
    assert book.values("y") == ["1"]
    book.run("3", "akernel.react.thaw(2)", tags=["no-react"])
    assert book.values("y") == ["2"]
    assert book.run("3", "akernel.react.freeze('none')", tags=["no-react"])["ename"] == "ValueError"


def test_lazy(launch):
    book = Notebook(launch("react", extra=["--lazy"]).ready_client())
    book.run("1", "x = 1")
    book.run("2", "y = x\ny")
    book.run("3", "y + 1")
    book.run("1", "x = 5")
    assert book.values("y") == ["1"] and book.result("3") == "2"
    marks = [o["data"].get("text/plain", "") for o in book.areas["3"] if o["display_id"]]
    assert len(marks) == 1 and marks[0].startswith("stale")
    book.run("3", "y + 2")
    assert book.values("y") == ["5"] and book.result("2") == "5" and book.result("3") == "7"
    book.run("1", "x = 6")
    book.run("4", "import akernel; akernel.react.mode('auto')", tags=["no-react"])
    assert book.result("4") == "'auto'"
    while book.result("3") != "8":
        book.feed(book.client.receive("iopub"))


def test_other_modes_have_no_graph(launch):
    result = launch("async").ready_client().run("import akernel; akernel.react.graph()")
    assert result.error["ename"] == "RuntimeError" and "akernel install react" in result.error["evalue"]


def test_a_state_wakes_its_readers_and_nobody_else(book):
    book.run("0", "import akernel", tags=["no-react"])
    book.run("1", COUNT.format("1") + "s = akernel.react.state(1)")
    book.run("2", COUNT.format("2") + "s.value * 10")
    book.run("3", "s.value = 2")
    assert book.result("2") == "20"
    book.run("4", "import threading; t = threading.Thread(target=s.set, args=(7,)); t.start(); t.join()", tags=["no-react"])
    while book.result("2") != "70":
        book.feed(book.client.receive("iopub"))
    assert counts(book).count("1") == 1


def test_a_slider(book):
    mid = book.send("1", COUNT.format("1") + "import ipywidgets\ns = ipywidgets.IntSlider()\nprint(s.model_id)")
    book.wait(mid)
    comm_id = book.text("1").strip()
    book.run("2", COUNT.format("2") + "s.value")
    mids = []
    for value in range(1, 41):
        data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
        mids.append(book.client.send("comm_msg", {"comm_id": comm_id, "data": data}))
    while book.result("2") != "40":
        book.feed(book.client.receive("iopub"))
    ran = counts(book)
    assert ran.count("1") == 1 and ran.count("2") <= 41


def test_a_slow_reader_of_a_slider_skips_to_the_newest_value(book):
    book.run("1", "import ipywidgets, time\ns = ipywidgets.IntSlider()\nprint(s.model_id)\ngate = []")
    comm_id = book.text("1").strip()
    book.run("2", "seen = __import__('builtins').__dict__.setdefault('seen', [])\nseen.append(s.value)\ntime.sleep(0.2 * bool(s.value))")
    for value in range(1, 21):
        data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
        last = book.client.send("comm_msg", {"comm_id": comm_id, "data": data})
    while last not in book.idle:
        m = book.client.receive("iopub")
        if m.type == "status" and m.content["execution_state"] == "idle":
            book.idle.add(m.parent["msg_id"])
    (seen,) = book.values("seen")
    assert eval(seen)[-1] == 20 and len(eval(seen)) < 15


@pytest.mark.parametrize("code", ["if x: await gate.wait()\ny = x", "await gate.wait() if x else 0"])
def test_shutdown_while_cells_await(launch, code):
    kernel = launch("react")
    book = Notebook(kernel.ready_client())
    book.run("0", "import asyncio\ngate = asyncio.Event()")
    book.run("1", "x = 0")
    book.run("2", code)
    book.run("3", code)
    book.send("1", "x = 1")
    while book.values("x") != ["1"]:
        pass
    book.client.ask("shutdown_request", {"restart": False}, channel="control")
    assert kernel.wait() == 0
    assert "Traceback" not in kernel.errors()
