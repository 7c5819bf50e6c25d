# SPDX-License-Identifier: MIT
"""Executing a cell: every valid module body is a cell, and what its reply says."""

import pytest

VALID = {
    "comment only": ("# nothing here", None),
    "empty": ("", None),
    "annotated assignment": ("a: int = 1\na", "1"),
    "bare annotation": ("b: int", None),
    "import star": ("from math import *\nfloor(2.5)", "2"),
    "global statement": ("global gg\ngg = 3\ngg", "3"),
    "walrus": ("(w := 4) + 1", "5"),
    "class body": ("class C:\n    x = 1\n    y = [x for _ in range(2)] if False else x\nC.y", "1"),
    "async comprehension": (
        "async def agen():\n    for i in range(3):\n        yield i\n[i async for i in agen()]",
        "[0, 1, 2]",
    ),
    "async for": ("r = []\nasync for i in agen():\n    r.append(i)\nr", "[0, 1, 2]"),
    "async with": (
        "import contextlib\n@contextlib.asynccontextmanager\nasync def cm():\n    yield 7\n"
        "async with cm() as v:\n    pass\nv",
        "7",
    ),
    "await expression": ("import asyncio\nawait asyncio.sleep(0, 'slept')", "'slept'"),
    "semicolon": ("5;", None),
    "semicolon and comment": ("5;  # quiet", None),
    "semicolon in a comment": ("5  # not; quiet", "5"),
    "semicolon in a string": ("';'", "';'"),
    "none": ("None", None),
    "match": ("match 3:\n    case 3:\n        m = 'three'\nm", "'three'"),
    "lambda": ("(lambda: 8)()", "8"),
    "unicode": ("π = '𝔘'\nπ", "'𝔘'"),
    "multi-line expression": ("(1 +\n 2)", "3"),
    "crlf": ("x = 1\r\nx + 1", "2"),
}


@pytest.mark.parametrize("name", VALID)
def test_valid_module(client, name):
    code, expected = VALID[name]
    if name == "async for":
        client.run(VALID["async comprehension"][0])
    result = client.run(code)
    assert result.status == "ok", result.error
    assert result.result == expected


def test_future_features_last(fresh):
    fresh.run("from __future__ import annotations")
    assert fresh.run("def f(x: undefined_name): pass\nf.__annotations__").result == "{'x': 'undefined_name'}"


INDENTED = {
    "all of it": ("    x = 1\n    if x:\n        x = 2\n    x", "2"),
    "blank lines first": ("\n  \n  x = 3\n\n  x", "3"),
    "tabs": ("\tx = 4\n\tx", "4"),
    "await": ("    import asyncio\n    await asyncio.sleep(0, 5)", "5"),
    "a comment alone is indented": ("    # comment\ndef f():\n    return 6\nf()", "6"),
}


@pytest.mark.parametrize("name", INDENTED)
def test_an_indented_cell(client, name):
    code, value = INDENTED[name]
    assert client.run(code).result == value


def test_wrong_indent_is_still_an_error(client):
    assert client.run("x = 1\n  y = 2").error["ename"] == "IndentationError"
    assert client.run("  x = 1\n    y = 2").error["ename"] == "IndentationError"


def test_history_variables(fresh):
    fresh.run("11")
    fresh.run("22")
    fresh.run("33")
    assert fresh.run("(_, __, ___)").result == "(33, 22, 11)"
    assert fresh.run("_1, Out[2], In[3]").result == "(11, 22, '33')"


def test_underscore_of_the_user_is_left_alone(fresh):
    fresh.run("_ = 'mine'")
    fresh.run("42")
    assert fresh.run("_").result == "'mine'"


def test_out_is_bounded(fresh):
    fresh.run("for i in range(1): pass")
    result = fresh.run("import sys\nsys.displayhook(1)\nlen(Out) < 1100")
    assert result.result == "True"


def test_execute_input_comes_first(client):
    result = client.run("print(1)")
    assert result.types[0] == "execute_input"
    assert result.all("execute_input")[0].content["code"] == "print(1)"


def test_reply_of_success(client):
    content = client.run("1").content
    assert content["status"] == "ok"
    assert content["payload"] == []
    assert content["user_expressions"] == {}
    assert isinstance(content["execution_count"], int)


def test_started_metadata(client):
    reply = client.run("1").reply
    assert reply.metadata["started"].endswith("Z")


def test_silent(fresh):
    before = fresh.run("1").content["execution_count"]
    silent = fresh.run("x = 5\nx", silent=True)
    assert silent.types == []
    assert silent.content["execution_count"] == before
    assert fresh.run("x").content["execution_count"] == before + 1


def test_store_history_false(fresh):
    fresh.run("1")
    result = fresh.run("2", store_history=False)
    assert result.content["execution_count"] == 2
    assert fresh.run("3").content["execution_count"] == 2


def test_user_expressions(client):
    expressions = client.run("ue = 6", user_expressions={"good": "ue + 1", "bad": "1/0"}).content["user_expressions"]
    assert expressions["good"] == {"status": "ok", "data": {"text/plain": "7"}, "metadata": {}}
    assert expressions["bad"]["status"] == "error"
    assert expressions["bad"]["ename"] == "ZeroDivisionError"


def test_displayhook_of_the_user(fresh):
    fresh.run("import sys\nseen = []\nold = sys.displayhook\nsys.displayhook = seen.append")
    fresh.run("'hooked'")
    assert fresh.run("sys.displayhook = old\nseen").result == "['hooked']"


def test_context_variables_last(fresh):
    fresh.run("import contextvars\nv = contextvars.ContextVar('v', default=0)\nv.set(1)")
    assert fresh.run("v.get()").result == "1"


def test_sys_is_like_an_interactive_python(fresh):
    assert fresh.run("import sys\nsys.argv, sys.path[0]").result == "([''], '')"
    assert fresh.run("__name__, '__file__' in globals()").result == "('__main__', False)"
    assert fresh.run("import __main__\n__main__.__dict__ is globals()").result == "True"


def test_environment_is_that_of_the_python(client):
    prefix = client.run("import sys\nsys.prefix != sys.base_prefix").result
    assert prefix == "True"


def test_multiprocessing_spawn(fresh):
    code = (
        "import multiprocessing, operator\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "    answer = pool.apply(operator.add, (20, 22))\n"
        "answer"
    )
    assert fresh.run(code).result == "42"


def test_nul_is_an_error(client):
    result = client.run("x = 1\0")
    assert result.status == "error"
    assert result.error["ename"] in ("SyntaxError", "ValueError")


def test_lone_surrogate_in_the_source(client):
    result = client.run("x = '\ud800'\nlen(x)")
    assert result.status in ("ok", "error")
    assert client.run("1 + 1").result == "2"


def test_sys_exit_is_an_error_with_a_hint(client):
    result = client.run("import sys\nsys.exit(3)")
    assert result.status == "error"
    assert result.error["ename"] == "SystemExit"
    assert "exit()" in "\n".join(result.error["traceback"])
    assert client.run("1").status == "ok"


def test_exit_ends_the_kernel(kernel):
    client = kernel.ready_client()
    mid = client.execute("exit()\n'still here'")
    content = client.reply(mid).content
    assert content["payload"] == [{"source": "ask_exit", "keepkernel": False}]
    assert kernel.wait() == 0


@pytest.mark.parametrize("before", ["", "get_ipython()"], ids=["native", "shell"])
@pytest.mark.parametrize("code", ["exit", "quit"])
def test_exit_without_parentheses_ends_the_kernel(kernel, before, code):
    client = kernel.ready_client()
    client.run(before)
    mid = client.execute(code)
    content = client.reply(mid).content
    assert content["payload"] == [{"source": "ask_exit", "keepkernel": False}]
    assert kernel.wait() == 0


def test_exit_as_the_value_of_a_longer_cell_is_only_shown(client):
    assert "exit" in client.run("x = 1\nexit").result
    assert client.run("x").result == "1"


def test_exit_ends_the_kernel_with_its_own_cell(kernel):
    """A cell that called exit() and goes on is not cut off by another one's reply."""
    client = kernel.ready_client()
    client.run("import asyncio\nevent = asyncio.Event()")
    asking = client.execute("exit()\nawait event.wait()\nprint('after the event')")
    other = client.execute("event.set()\n1 + 1")
    replies = [client.receive("shell") for _ in range(2)]
    by_parent = {m.parent["msg_id"]: m.content for m in replies}
    assert by_parent[other]["status"] == "ok" and by_parent[other]["payload"] == []
    assert by_parent[asking]["status"] == "ok"
    assert by_parent[asking]["payload"] == [{"source": "ask_exit", "keepkernel": False}]
    assert kernel.wait() == 0


def test_exit_of_a_task_whose_cell_is_over(kernel):
    client = kernel.ready_client()
    client.run("import asyncio\nasync def later():\n    await event.wait()\n    exit()\nevent = asyncio.Event()\ntask = asyncio.create_task(later())", metadata={"cellId": "a"})
    client.execute("event.set()")
    assert kernel.wait() == 0


def test_deep_expression(client):
    result = client.run("+".join(["1"] * 5000))
    assert result.status in ("ok", "error")
    assert client.run("2").result == "2"


def test_large_source(client):
    code = "\n".join(f"v{i} = {i}" for i in range(20000)) + "\nv19999"
    assert client.run(code).result == "19999"


def test_tls_still_works(fresh):
    """asyncio's ssl is imported when it is first used, and is the real one."""
    assert fresh.run("import sys\n'ssl' in sys.modules").result == "False"
    code = (
        "import asyncio, ssl\n"
        "server = await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0, ssl=ssl.create_default_context())\n"
        "server.close()\n"
        "asyncio.base_events.ssl.SSLContext is ssl.SSLContext, asyncio.selector_events.sslproto.SSLProtocol.__module__"
    )
    assert fresh.run(code).result == "(True, 'asyncio.sslproto')"
