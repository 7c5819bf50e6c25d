# SPDX-License-Identifier: MIT
"""A reactive graph a client session (the modes "react" and "multi" together)."""

import pytest
from notebook import Notebook


@pytest.fixture
def books(launch):
    kernel = launch("react-multi")
    return Notebook(kernel.ready_client()), Notebook(kernel.ready_client())


def ran(book, cell, code):
    reply = book.run(cell, code)
    assert reply["status"] == "ok", reply
    return book.result(cell)


def test_graphs_are_apart(books):
    for book, number in zip(books, (1, 2)):
        book.run("reader", "b * 10")
        assert book.waits("reader") == "waiting for b"
    a, b = books
    ran(a, "definer", "b = 1")
    assert a.result("reader") == "10"
    assert b.waits("reader") == "waiting for b"
    ran(b, "definer", "b = 2")
    ran(a, "definer", "b = 3")
    assert (a.result("reader"), b.result("reader")) == ("30", "20")


def test_the_api_asks_the_graph_of_its_own_world(books):
    a, b = books
    for book, name in zip(books, "xy"):
        ran(book, "definer", f"{name} = 1")
        ran(book, "reader", f"{name} + 1")
        ask = f"import akernel\n[c['state'] for c in akernel.react.why({name!r})['read_by']]"
        assert ran(book, "asks", ask) == "['fresh']"
        assert ran(book, "mode", "akernel.react.mode()") == "'auto'"
    assert ran(a, "asks", "import akernel\nakernel.react.why('y')['defined_by']") == "[]"
    assert ran(b, "freezes", "import akernel; akernel.react.freeze('reader'); None") is None
    ran(a, "definer", "x = 2")
    ran(b, "definer", "y = 2")
    assert a.result("reader") == "3"
    assert b.result("reader") == "2"


STATE = "import akernel\ns = akernel.react.state(0)"


@pytest.mark.parametrize(
    "setting",
    [
        "s.value = 5",
        "import threading\nt = threading.Thread(target=s.set, args=(5,)); t.start(); t.join()",
    ],
    ids=["here", "in a thread"],
)
def test_a_state_wakes_its_readers_and_nobody_elses(books, setting):
    for book in books:
        ran(book, "state", STATE)
        ran(book, "runs", "runs = []")
        ran(book, "reader", "runs.append(1)\nprint(s.value, len(runs))")
    a, b = books
    mid = b.send("sets", setting)
    b.wait(mid)
    while b.text("reader") != "5 2\n":
        b.feed(b.client.receive("iopub"))
    ran(a, "asks", "s.value, len(runs)")
    assert a.result("asks") == "(0, 1)"
    assert a.text("reader") == "0 1\n"


def test_a_widget_wakes_the_readers_of_its_world(books):
    for book in books:
        ran(book, "widget", "import ipywidgets\ns = ipywidgets.IntSlider()\nident = s.model_id")
        ran(book, "reader", "print(s.value)")
    a, b = books
    (ident,) = b.values("ident")
    b.client.send("comm_msg", {"comm_id": ident.strip("'"), "data": {"method": "update", "state": {"value": 7}}})
    while b.text("reader") != "7\n":
        b.feed(b.client.receive("iopub"))
    assert ran(a, "asks", "s.value") == "0"
    assert a.text("reader") == "0\n"


def test_run_all_twice_is_a_run_a_cell(books):
    a, _ = books
    n = 20
    cells = ["v0 = 1"] + [f"v{i} = v{i - 1} + 1" for i in range(1, n)]
    count = "import sys; sys.n_runs = getattr(sys, 'n_runs', 0) + 1"
    for _ in range(2):
        mids = [a.send(str(i), f"{count}\n{code}") for i, code in enumerate(cells)]
        for mid in mids:
            a.wait(mid)
    assert a.values("__import__('sys').n_runs") == [str(2 * n)]
