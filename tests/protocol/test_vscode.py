# SPDX-License-Identifier: MIT
"""What VS Code's Jupyter extension sends, in its order.

Its cells are named by URIs, requests carry no other metadata and never deletedCells; before
and between the user's cells it runs code of its own that must leave no trace: with
store_history off, or silent; its variable view asks so while cells run. Interrupts are
signals. The debugger is asked on control, with the files that debugInfo names.
"""

import json

import pytest
from dap import Debugger

URI = "vscode-notebook-cell:/home/me/notes/a%20notebook.ipynb#W{}sZmlsZQ%3D%3D"

STARTUP = """
import os as _VSCODE_os
import sys as _VSCODE_sys
import builtins as _VSCODE_builtins
if _VSCODE_os.path.exists('/tmp'):
    _VSCODE_os.chdir('/tmp')
if _VSCODE_os.getcwd() not in _VSCODE_sys.path:
    _VSCODE_sys.path.append(_VSCODE_os.getcwd())
__vsc_ipynb_file__ = '/home/me/notes/a notebook.ipynb'
del _VSCODE_os, _VSCODE_sys, _VSCODE_builtins
"""

VARIABLES = """
def _VSCODE_getVariableTypes():
    import json, types
    hidden = (types.ModuleType, types.FunctionType, type)
    names = {n: type(v).__name__ for n, v in globals().items() if not n.startswith('_') and not isinstance(v, hidden)}
    print(json.dumps(names))
_VSCODE_getVariableTypes()
del _VSCODE_getVariableTypes
"""


def cell(client, number, code):
    return client.execute(code, metadata={"cellId": URI.format(number)}, allow_stdin=True)


def quietly(client, code, **content):
    """What the extension runs for itself."""
    return client.execute(code, store_history=False, stop_on_error=False, allow_stdin=True, **content)


@pytest.fixture
def code_client(fresh):
    fresh.ask("kernel_info_request", {})
    mid = quietly(fresh, STARTUP)
    fresh.until_idle(mid)
    assert fresh.reply(mid).content["status"] == "ok"
    return fresh


def variables(client, **content):
    mid = quietly(client, VARIABLES, **content)
    seen = client.until_idle(mid)
    assert not [m for m in seen if m.type in ("error", "execute_result")]
    return json.loads("".join(m.content["text"] for m in seen if m.type == "stream"))


def test_startup_leaves_no_trace(code_client):
    assert code_client.run("1 + 1").content["execution_count"] == 1
    history = code_client.ask("history_request", {"hist_access_type": "tail", "n": 10, "output": False, "raw": True}).content
    assert [source for _, _, source in history["history"]] == ["1 + 1"]
    assert code_client.run("In").result == "['', '1 + 1', 'In']"


@pytest.mark.parametrize("silent", [True, False])
def test_variable_view(code_client, silent):
    mid = cell(code_client, 0, "number = 3\nname = 'x'")
    code_client.until_idle(mid)
    found = variables(code_client, silent=silent)
    assert found.items() >= {"number": "int", "name": "str"}.items()
    mid = cell(code_client, 1, "number")
    assert [m.content["execution_count"] for m in code_client.until_idle(mid) if m.type == "execute_input"] == [2]


def test_silent_requests_show_no_input(code_client):
    mid = quietly(code_client, "x = 1", silent=True)
    assert {m.type for m in code_client.until_idle(mid)} == {"status"}


def test_variable_view_beside_a_cell_that_awaits(code_client):
    mid = cell(code_client, 0, "import asyncio\nevent = asyncio.Event()\nloaded = 5\nawait event.wait()")
    code_client.iopub_until(lambda m: m.type == "execute_input" and m.parent["msg_id"] == mid)
    assert variables(code_client, silent=True)["loaded"] == "int"
    code_client.execute("event.set()", store_history=False)
    assert code_client.reply(mid).content["status"] == "ok"


def test_user_expressions_of_the_view(code_client):
    mid = quietly(code_client, "", silent=True, user_expressions={"v": "6 * 7", "bad": "nope"})
    expressions = code_client.reply(mid).content["user_expressions"]
    assert expressions["v"]["data"]["text/plain"] == "42"
    assert expressions["bad"]["status"] == "error" and expressions["bad"]["ename"] == "NameError"


def test_a_cell_run_again_takes_over_its_threads(code_client):
    mid = cell(code_client, 0, "import threading\ngo = threading.Event()\nt = threading.Thread(target=lambda: (go.wait(), print('late')))\nt.start()")
    code_client.until_idle(mid)
    mid = cell(code_client, 0, "go.set(); t.join()")
    seen = code_client.until_idle(mid)
    assert "".join(m.content["text"] for m in seen if m.type == "stream") == "late\n"


def test_interrupt_by_signal_stops_the_queue(code_client, kernel):
    running = cell(code_client, 0, "print('.', flush=True)\nwhile True: pass")
    queued = cell(code_client, 1, "2")
    code_client.iopub_until(lambda m: m.type == "stream")
    kernel.interrupt()
    assert code_client.reply(running).content["ename"] == "KeyboardInterrupt"
    assert code_client.reply(queued).content["status"] == "aborted"
    mid = cell(code_client, 1, "3")
    assert code_client.reply(mid).content["status"] == "ok"
    assert variables(code_client) is not None


def test_run_by_line(code_client):
    """A breakpoint on the first line, then step after step to the end of the cell."""
    code = "a = 1\nb = a + 1\nc = b * 2"
    debugger = Debugger(code_client)
    info = debugger.body("debugInfo")
    assert info["isStarted"] is False
    debugger.attach()
    path = debugger.breakpoints(code, 1)
    assert path.startswith(info["tmpFilePrefix"]) and path.endswith(info["tmpFileSuffix"])
    mid = cell(code_client, 7, code)
    lines = []
    for _ in range(3):
        body, frames = debugger.stopped()
        lines.append(frames[0]["line"])
        debugger.go("next", body["threadId"])
    assert lines == [1, 2, 3]
    assert code_client.reply(mid).content["status"] == "ok"
    debugger.body("disconnect", restart=False)
    assert code_client.run("a, b, c").result == "(1, 2, 4)"
