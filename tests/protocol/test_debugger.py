# SPDX-License-Identifier: MIT
"""The debugger: DAP over debug_request."""

import os
import time

import pytest
from dap import Debugger

FUNCTION = "def f(a, b):\n    c = a + b\n    return c\n\nf(2, 3)"


@pytest.fixture
def debugger(fresh):
    debugger = Debugger(fresh)
    debugger.attach()
    return debugger


def ends(client, mid, status="ok"):
    reply = client.reply(mid)
    assert reply.content["status"] == status, reply.content
    return reply


def test_is_announced(fresh):
    info = fresh.ask("kernel_info_request", {}).content
    assert "debugger" in info["supported_features"]
    assert info["debugger"] is True


def test_costs_nothing_before_initialize(fresh):
    assert fresh.run("import sys; sorted({'debugpy', 'pydevd'} & set(sys.modules))").result == "[]"
    info = Debugger(fresh).body("debugInfo")
    assert info["isStarted"] is False
    assert fresh.run("sorted({'debugpy', 'pydevd'} & set(sys.modules)), sys.gettrace()").result == "([], None)"


def test_info_names_cells(fresh):
    debugger = Debugger(fresh)
    info = debugger.body("debugInfo")
    pid = fresh.run("import os; os.getpid()").result
    assert info["hashMethod"] == "Murmur2"
    assert info["hashSeed"] == 0xC70F6907
    assert info["tmpFilePrefix"] == f"/tmp/akernel_{pid}/"
    assert info["tmpFileSuffix"] == ".py"
    path = debugger.body("dumpCell", code="print(1)")["sourcePath"]
    assert path == f"/tmp/akernel_{pid}/3773950048.py"
    assert debugger.body("source", source={"path": path})["content"] == "print(1)"


def test_stops_in_a_function_of_a_cell(debugger, fresh):
    path = debugger.breakpoints(FUNCTION, 2)
    info = debugger.body("debugInfo")
    assert info["breakpoints"] == [{"source": path, "breakpoints": [{"line": 2}]}]
    mid = fresh.execute(FUNCTION)
    body, frames = debugger.stopped()
    assert body["reason"] == "breakpoint"
    assert [(f["name"], f["line"], f["source"]["path"]) for f in frames] == [("f", 2, path), ("<module>", 5, path)]
    assert debugger.body("debugInfo")["stoppedThreads"] == [body["threadId"]]
    assert debugger.locals(frames[0]) == {"a": "2", "b": "3"}
    assert debugger.body("evaluate", expression="a * 10", frameId=frames[0]["id"])["result"] == "20"
    debugger.go("next")
    _, frames = debugger.stopped()
    assert frames[0]["line"] == 3
    assert debugger.locals(frames[0])["c"] == "5"
    debugger.seen.clear()
    debugger.go()
    ends(fresh, mid)
    debugger.event("continued")
    assert debugger.body("debugInfo")["stoppedThreads"] == []


def test_stops_at_the_last_expression(debugger, fresh):
    code = "x = 1\nx + 1"
    debugger.breakpoints(code, 2)
    mid = fresh.execute(code)
    _, frames = debugger.stopped()
    assert (frames[0]["name"], frames[0]["line"]) == ("<module>", 2)
    debugger.go()
    ends(fresh, mid)


def test_what_was_printed_before_a_stop_is_seen_before_it(debugger, fresh):
    code = "print('before')\nx = 1\nprint('after')"
    debugger.breakpoints(code, 2)
    mid = fresh.execute(code)
    seen = fresh.iopub_until(lambda m: m.type == "debug_event" and m.content["event"] == "stopped")
    text = "".join(m.content["text"] for m in seen if m.type == "stream")
    assert text == "before\n"
    debugger.go()
    ends(fresh, mid)


def test_steps_from_one_cell_into_another(debugger, fresh):
    callee = "def g(x):\n    y = x + 1\n    return y"
    caller = "value = g(1)\nvalue"
    path = debugger.body("dumpCell", code=callee)["sourcePath"]
    fresh.run(callee)
    debugger.breakpoints(caller, 1)
    mid = fresh.execute(caller)
    debugger.stopped()
    debugger.go("stepIn")
    _, frames = debugger.stopped()
    assert (frames[0]["name"], frames[0]["line"], frames[0]["source"]["path"]) == ("g", 2, path)
    assert frames[1]["name"] == "<module>"
    debugger.go("stepOut")
    _, frames = debugger.stopped()
    assert frames[0]["name"] == "<module>"
    debugger.go()
    ends(fresh, mid)


def test_stops_in_an_imported_file(debugger, fresh, tmp_path):
    module = tmp_path / "imported_by_test.py"
    module.write_text("def h(x):\n    z = x * 2\n    return z\n")
    fresh.run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
    debugger.body("setBreakpoints", source={"path": str(module)}, breakpoints=[{"line": 2}])
    mid = fresh.execute("import imported_by_test; imported_by_test.h(21)")
    _, frames = debugger.stopped()
    assert frames[0]["source"]["path"] == str(module)
    assert debugger.locals(frames[0]) == {"x": "21"}
    debugger.go()
    ends(fresh, mid)


def test_a_condition_decides(debugger, fresh):
    code = "for i in range(10):\n    j = i\n"
    debugger.breakpoints(code, 2, condition="i == 7")
    mid = fresh.execute(code)
    _, frames = debugger.stopped()
    assert debugger.body("evaluate", expression="i", frameId=frames[0]["id"])["result"] == "7"
    debugger.go()
    ends(fresh, mid)


def test_pauses_a_running_loop(debugger, fresh):
    fresh.run("go = True")
    mid = fresh.execute("print('running', flush=True)\nwhile go:\n    n = 1\n")
    fresh.iopub_until(lambda m: m.type == "stream")
    debugger.go("pause")
    body, frames = debugger.stopped()
    assert body["reason"] == "pause"
    assert frames[0]["name"] == "<module>" and frames[0]["line"] in (2, 3)
    debugger.body("evaluate", expression="globals().update(go=False)", frameId=frames[0]["id"])
    debugger.go()
    ends(fresh, mid)


def test_stops_in_an_awaiting_cell_and_its_tasks(debugger, fresh):
    code = (
        "import asyncio\nasync def task():\n    await asyncio.sleep(0.01)\n    inside = 1\n    return inside\n"
        "t = asyncio.create_task(task())\nr = await t\nr"
    )
    debugger.breakpoints(code, 4, 8)
    mid = fresh.execute(code)
    _, frames = debugger.stopped()
    assert [f["name"] for f in frames] == ["task"]
    debugger.go()
    _, frames = debugger.stopped()
    assert (frames[0]["name"], frames[0]["line"]) == ("<module>", 8)
    debugger.go()
    ends(fresh, mid)


def test_stops_at_raised_exceptions(debugger, fresh):
    filters = [f["filter"] for f in debugger.ask("initialize")["body"]["exceptionBreakpointFilters"]]
    assert {"raised", "uncaught", "userUnhandled"} <= set(filters)
    debugger.body("setExceptionBreakpoints", filters=["raised"])
    code = "def bad():\n    return 1 / 0\n\ntry:\n    bad()\nexcept ZeroDivisionError:\n    print('caught')"
    debugger.body("dumpCell", code=code)
    mid = fresh.execute(code)
    body, frames = debugger.stopped()
    assert body["reason"] == "exception"
    assert (frames[0]["name"], frames[0]["line"]) == ("bad", 2)
    debugger.body("setExceptionBreakpoints", filters=[])
    debugger.go()
    ends(fresh, mid)


def test_stops_at_exceptions_that_end_a_cell(debugger, fresh):
    debugger.body("setExceptionBreakpoints", filters=["userUnhandled"])
    code = "x = 1\nraise ValueError('mine')"
    debugger.body("dumpCell", code=code)
    mid = fresh.execute(code)
    body, frames = debugger.stopped()
    assert body["reason"] == "exception"
    assert frames[0]["line"] == 2
    debugger.go()
    assert ends(fresh, mid, "error").content["ename"] == "ValueError"


def test_variables_of_the_notebook(debugger, fresh):
    fresh.run("number = 42; names = ['a', {'k': 1}]\nclass P:\n    def __init__(self): self.x = 5\n    @property\n    def bad(self): 1/0\np = P()")
    found = {v["name"]: v for v in debugger.body("inspectVariables")["variables"]}
    assert found["number"]["value"] == "42" and found["number"]["variablesReference"] == 0
    assert not {"In", "Out", "_", "exit", "get_ipython", "_i1"} & set(found)
    children = debugger.body("variables", variablesReference=found["names"]["variablesReference"])["variables"]
    assert [c["evaluateName"] for c in children] == ["names[0]", "names[1]"]
    children = debugger.body("variables", variablesReference=found["p"]["variablesReference"])["variables"]
    assert [(c["name"], c["value"]) for c in children] == [("x", "5")]
    assert debugger.ask("variables", variablesReference=2**30 + 500)["success"] is False


def test_variables_while_a_cell_blocks(debugger, fresh, tmp_path):
    flag = tmp_path / "go"
    mid = fresh.execute(f"import os, time\nseen = 'yes'\nprint('.', flush=True)\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)")
    fresh.iopub_until(lambda m: m.type == "stream")
    found = {v["name"]: v["value"] for v in debugger.body("inspectVariables")["variables"]}
    assert found["seen"] == "'yes'"
    flag.touch()
    ends(fresh, mid)


def test_rich_variables(debugger, fresh):
    show = "class Shown:\n    def _repr_html_(self): return '<b>it</b>'\n    def __repr__(self): return 'it'\nthing = Shown()"
    fresh.run(show)
    body = debugger.body("richInspectVariables", variableName="thing")
    assert body["data"] == {"text/plain": "it", "text/html": "<b>it</b>"}
    code = "def f(local):\n    return local\nf(thing)"
    debugger.breakpoints(code, 2)
    mid = fresh.execute(code)
    _, frames = debugger.stopped()
    body = debugger.body("richInspectVariables", variableName="local", frameId=frames[0]["id"])
    assert body["data"] == {"text/plain": "it", "text/html": "<b>it</b>"}
    assert debugger.body("richInspectVariables", variableName="special variables")["data"] == {}
    debugger.body("copyToGlobals", srcVariableName="local", dstVariableName="copied", srcFrameId=frames[0]["id"])
    debugger.go()
    ends(fresh, mid)
    assert fresh.run("copied is thing").result == "True"


def test_modules(debugger, fresh):
    body = debugger.body("modules")
    assert body["totalModules"] > 10
    assert "asyncio" in {m["name"] for m in body["modules"]}


def test_code_of_before_can_be_debugged_after_running_it_again(fresh):
    debugger = Debugger(fresh)
    fresh.run(FUNCTION)
    debugger.attach()
    debugger.breakpoints(FUNCTION, 2)
    mid = fresh.execute(FUNCTION)
    _, frames = debugger.stopped()
    assert frames[0]["name"] == "f"
    debugger.go()
    ends(fresh, mid)


def test_tracebacks_look_the_same_under_the_debugger(debugger, fresh):
    first = fresh.run("def bad():\n    1 / 0\nbad()").error
    assert any("Cell In[1]" in line for line in first["traceback"])
    assert not any("/tmp/akernel" in line for line in first["traceback"])


def test_disconnect_and_attach_again(debugger, fresh):
    debugger.breakpoints(FUNCTION, 2)
    debugger.body("disconnect", restart=False, terminateDebuggee=True)
    info = debugger.body("debugInfo")
    assert (info["isStarted"], info["breakpoints"], info["stoppedThreads"]) == (False, [], [])
    assert fresh.run(FUNCTION).result == "5"
    debugger.attach()
    debugger.breakpoints(FUNCTION, 2)
    mid = fresh.execute(FUNCTION)
    debugger.stopped()
    debugger.body("disconnect", restart=False, terminateDebuggee=False)
    ends(fresh, mid)


def test_a_reloaded_front_end_attaches_once_more(debugger, fresh, kernel):
    debugger.breakpoints(FUNCTION, 2)
    mid = fresh.execute(FUNCTION)
    debugger.stopped()
    other = Debugger(kernel.client())
    info = other.body("debugInfo")
    assert info["isStarted"] and info["stoppedThreads"]
    other.attach()
    thread = info["stoppedThreads"][0]
    assert other.body("stackTrace", threadId=thread)["stackFrames"][0]["name"] == "f"
    other.go()
    ends(fresh, mid)


def test_requests_while_it_starts_wait_their_turn(fresh):
    debugger = Debugger(fresh)
    mids = [debugger.send(c) for c in ("initialize", "initialize", "attach", "threads", "frobnicate", "debugInfo")]
    came = [fresh.receive("control") for _ in mids]
    replies = {m.parent["msg_id"]: m.content for m in came}
    assert came[0].content["command"] == "debugInfo"
    assert [replies[mid]["success"] for mid in mids] == [True, True, True, True, False, True]
    assert [replies[mid]["request_seq"] for mid in mids] == [1, 2, 3, 4, 5, 6]


def test_initialize_beside_a_blocking_cell_comes_when_the_loop_is_free(fresh, tmp_path):
    flag = tmp_path / "go"
    mid = fresh.execute(f"import os, time\nprint('.', flush=True)\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)")
    fresh.iopub_until(lambda m: m.type == "stream")
    debugger = Debugger(fresh)
    asked = debugger.send("initialize")
    assert debugger.body("debugInfo")["isStarted"] is False
    flag.touch()
    assert fresh.reply(asked, "control").content["success"]
    ends(fresh, mid)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        "initialize",
        None,
        {"command": 5},
        {"command": "initialize", "seq": "one", "arguments": 7, "type": 3},
        {"command": "setBreakpoints"},
        {"command": "dumpCell", "arguments": {"code": 3}},
        {"command": "source", "arguments": {"source": {"path": "/no/such/file"}}},
        {"command": "source", "arguments": {"source": {"path": "/dev/zero"}}},
        {"command": "variables", "arguments": {"variablesReference": "x"}},
        {"command": "richInspectVariables"},
        {"command": "copyToGlobals", "arguments": {"srcVariableName": "a", "dstVariableName": "b'] or 1", "srcFrameId": 1}},
        {"command": "continue", "arguments": {"threadId": 1}},
        {"command": "stackTrace", "arguments": {"threadId": 999}},
        {"command": "no such command"},
    ],
)
def test_nonsense_is_answered(client, content):
    reply = client.ask("debug_request", content, channel="control").content
    if not (isinstance(content, dict) and content.get("command") == "initialize"):
        assert reply["success"] is False and reply["message"], reply
    assert client.run("1 + 1").result == "2"


def test_nonsense_while_attached_is_answered(debugger, fresh):
    for command, arguments in (
        ("stackTrace", {"threadId": "x"}),
        ("evaluate", {}),
        ("continue", {}),
        ("next", {"threadId": 12345}),
        ("scopes", {"frameId": -1}),
        ("setExceptionBreakpoints", {"filters": [1, None]}),
        ("configurationDone", {"x": 1}),
        ("setVariable", {"name": "\ud800"}),
        ("setBreakpoints", {"source": {"path": 3}, "breakpoints": "no"}),
        ("attach", {"connect": 5}),
    ):
        assert isinstance(debugger.ask(command, **arguments)["success"], bool)
    assert fresh.run("1 + 1").result == "2"
    debugger.breakpoints(FUNCTION, 2)
    mid = fresh.execute(FUNCTION)
    debugger.stopped()
    debugger.go()
    ends(fresh, mid)


def test_without_debugpy_it_says_so(fresh, tmp_path):
    fresh.run("import sys\nsys.modules['debugpy'] = None")
    answer = Debugger(fresh).ask("initialize")
    assert answer["success"] is False
    assert "debugpy" in answer["message"] and "install" in answer["message"]
    assert Debugger(fresh).ask("attach")["success"] is False
    assert fresh.run("1 + 1").result == "2"


def test_an_adapter_that_dies_is_told(debugger, fresh):
    fresh.run("from debugpy.server import api")
    import psutil

    pid = int(fresh.run("import os; os.getpid()").result)
    adapters = [p for p in psutil.process_iter(["cmdline"]) if "--for-server" in (p.info["cmdline"] or []) and uses(p, pid)]
    assert adapters
    for adapter in adapters:
        adapter.kill()
    debugger.event("terminated")
    assert debugger.body("debugInfo")["isStarted"] is False
    answer = debugger.ask("initialize")
    assert answer["success"] is False and "restart" in answer["message"]
    assert fresh.run("1 + 1").result == "2"


def uses(adapter, worker):
    """Whether the adapter is the one that this worker started."""
    import psutil

    ours = {c.laddr.port for c in psutil.Process(worker).net_connections("tcp")}
    ours |= {c.raddr.port for c in psutil.Process(worker).net_connections("tcp") if c.raddr}
    return any(c.laddr.port in ours for c in adapter.net_connections("tcp"))


def test_an_interrupt_ends_a_stopped_cell(debugger, fresh, kernel):
    debugger.breakpoints(FUNCTION, 2)
    mid = fresh.execute(FUNCTION)
    debugger.stopped()
    kernel.interrupt()
    assert ends(fresh, mid, "error").content["ename"] == "KeyboardInterrupt"
    assert fresh.run("1 + 1").result == "2"
    mid = fresh.execute(FUNCTION)
    debugger.stopped()
    debugger.go()
    ends(fresh, mid)


def test_shutdown_while_stopped(debugger, fresh, kernel):
    path = debugger.breakpoints(FUNCTION, 2)
    fresh.execute(FUNCTION)
    debugger.stopped()
    fresh.ask("shutdown_request", {"restart": False}, channel="control")
    assert kernel.wait(10) == 0
    assert not os.path.exists(os.path.dirname(path))
