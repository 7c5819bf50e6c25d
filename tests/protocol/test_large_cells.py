# SPDX-License-Identifier: MIT
"""Cells of a size that nobody types: they run, or their error says why not."""

import pytest

DEEP = {
    "a sum": "x = " + " + ".join(["1"] * 100_000),
    "signs": "-" * 5_000 + "1",
    "attributes": "x = 1\nx" + ".real" * 20_000,
    "parentheses": "(" * 300 + "1" + ")" * 300,
    "blocks": "".join("  " * i + "if 1:\n" for i in range(120)) + "  " * 120 + "pass",
    "a null": "x = '\0'",
}


@pytest.fixture(params=["async", "chained", "react"])
def client(request, launch):
    return launch(request.param).ready_client()


@pytest.mark.parametrize("code", DEEP.values(), ids=DEEP)
def test_what_cannot_be_compiled_says_so(client, code):
    result = client.run(code, metadata={"cellId": "c"})
    assert result.status == "error"
    assert result.content["ename"] in ("RecursionError", "MemoryError", "SyntaxError", "IndentationError")
    assert result.content["evalue"]
    assert result.error["ename"] == result.content["ename"]
    assert result.error["traceback"]
    assert client.run("1 + 1", metadata={"cellId": "c"}).result == "2"


def test_a_thousand_terms_have_a_value_or_an_error(client):
    result = client.run(" + ".join(["1"] * 1000), metadata={"cellId": "c"})
    assert result.result == "1000" or result.error["ename"] == result.content["ename"] == "RecursionError"


def test_many_lines(client):
    result = client.run("\n" * 1_000_000 + "z = 1\nz", metadata={"cellId": "c"})
    assert result.result == "1"


def test_many_names(client):
    names = "\n".join(f"n{i} = {i}" for i in range(30_000))
    assert client.run(names, metadata={"cellId": "c"}).status == "ok"
    assert client.run("n7 + n29999", metadata={"cellId": "d"}).result == "30006"


def test_an_interrupt_ends_a_large_cell(client):
    code = "print('go')\nwhile True: pass\n" + "\n".join(f"n{i} = {i}" for i in range(10_000))
    mid = client.execute(code, metadata={"cellId": "c"})
    client.iopub_until(lambda m: m.type == "stream")
    client.kernel.interrupt()
    assert client.reply(mid).content["ename"] == "KeyboardInterrupt"
    after = client.run("1 + 1", metadata={"cellId": "d"})
    assert after.result == "2", after.content
