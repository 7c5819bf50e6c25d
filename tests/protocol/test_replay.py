# SPDX-License-Identifier: MIT
"""Nothing is lost after a reload: a reloaded page is a new session on the same kernel."""

import pytest


def cell(name):
    return {"cellId": name}


def shown(messages, parent):
    """What a front end shows in the cell that sent a request, as text."""
    parts = []
    for m in messages:
        if m.parent.get("msg_id") != parent:
            continue
        if m.type == "stream":
            parts.append(m.content["text"])
        elif m.type in ("display_data", "execute_result", "update_display_data"):
            parts.append(f"<{m.type} {m.content['data']['text/plain']}>")
        elif m.type == "error":
            parts.append(f"<error {m.content['ename']}>")
    return "".join(parts)


RUNNING = "import asyncio\ngate = asyncio.Event()\nprint('one')\ndisplay(2)\nawait gate.wait()\nprint('three')\n4"


@pytest.fixture
def running(kernel):
    """A kernel with a cell of a session that is gone; it has shown something and awaits."""
    old = kernel.ready_client()
    old.mid = old.execute(RUNNING, cell("a"))
    old.iopub_until(lambda m: m.type == "display_data")
    return kernel, old


def test_a_running_cell_is_shown_to_a_new_session_by_itself(running):
    kernel, old = running
    new = kernel.ready_client()
    mid = new.execute("print('mine')", cell("b"))
    seen = new.until_idle(mid)
    assert shown(seen, mid) == "[1] import asyncio  (still running)\none\n<display_data 2>mine\n"
    # From now on it goes to both.
    opened = new.execute("gate.set()", cell("c"))
    seen = new.iopub_until(lambda m: m.type == "display_data" and m.parent.get("msg_id") == mid)
    assert shown(seen, mid) == "three\n<display_data 4>"
    assert shown(seen, old.mid) == "three\n<execute_result 4>"
    new.reply(opened)
    assert old.reply(old.mid).content["status"] == "ok"


def test_it_is_shown_once_to_each_session(running):
    kernel, _ = running
    new = kernel.ready_client()
    assert "one" in shown(new.until_idle(first := new.execute("1", cell("b"))), first)
    assert "one" not in shown(new.until_idle(second := new.execute("1", cell("b"))), second)
    third = kernel.ready_client()
    assert "one" in shown(third.until_idle(mid := third.execute("1", cell("c"))), mid)


def test_the_same_cell_run_again_by_the_new_session(running):
    kernel, _ = running
    new = kernel.ready_client()
    mid = new.execute("print('again')", cell("a"))
    assert shown(new.until_idle(mid), mid) == "[1] import asyncio  (still running)\none\n<display_data 2>again\n"


def test_it_does_not_wait_for_a_blocked_python(kernel):
    old = kernel.ready_client()
    old.execute("import time\nprint('busy', flush=True)\ntime.sleep(1000)", cell("a"))
    old.iopub_until(lambda m: m.type == "stream")
    new = kernel.client()
    new.iopub_until(lambda m: m.type == "iopub_welcome")
    mid = new.execute("print('mine')", cell("b"))
    seen = new.iopub_until(lambda m: m.type == "stream" and "busy" in m.content["text"] and m.parent.get("msg_id") == mid)
    assert shown(seen, mid) == "[1] import time  (still running)\nbusy\n"
    kernel.interrupt()
    # What the cell ends with is shown to the new session, too.
    new.iopub_until(lambda m: m.type == "error" and m.parent.get("msg_id") == mid)


def test_cells_that_wait_for_their_turn_are_shown_when_it_comes(launch):
    kernel = launch("chained")
    old = kernel.ready_client()
    opens = "comm.get_comm_manager().register_target('open', lambda comm, message: gate.set())"
    old.execute(f"import asyncio, comm\ngate = asyncio.Event()\n{opens}\nprint('first')\nawait gate.wait();", cell("a"))
    old.execute("print('second')", cell("b"))
    old.iopub_until(lambda m: m.type == "stream")
    new = kernel.client()
    new.iopub_until(lambda m: m.type == "iopub_welcome")
    mid = new.execute("print('mine')", cell("c"))
    seen = new.iopub_until(lambda m: m.type == "stream" and "first" in m.content["text"] and m.parent.get("msg_id") == mid)
    new.send("comm_open", {"comm_id": "o", "target_name": "open", "data": {}})
    seen += new.until_idle(mid)
    assert shown(seen, mid).endswith("first\n[2] print('second')\nsecond\nmine\n")


def test_clients_without_cell_ids_see_nothing_of_it(running):
    kernel, _ = running
    console = kernel.ready_client()
    assert console.run("print('plain')").text() == "plain\n"
    assert console.run("1").types == ["execute_input", "execute_result"]


def test_replay_shows_what_a_session_has_missed(kernel):
    old = kernel.ready_client()
    old.run("print('seen by its own front end')", metadata=cell("a"))
    old.execute("import asyncio\ngate = asyncio.Event()\nprint('before')\nawait gate.wait()\nprint('after')\n1 / 0", cell("b"))
    old.iopub_until(lambda m: m.type == "stream")
    other = kernel.ready_client()
    other.run("gate.set()")
    other.iopub_until(lambda m: m.type == "error")
    new = kernel.ready_client()
    result = new.run("import akernel\nprint('here:')\nakernel.replay()\nprint('over')", metadata=cell("c"))
    mid = result.reply.parent["msg_id"]
    assert shown(result.messages, mid) == (
        "here:\n[2] import asyncio\nbefore\nafter\n<error ZeroDivisionError>over\n"
    )
    assert result.status == "ok"


def test_replay_of_one_cell_and_of_all(kernel):
    old = kernel.ready_client()
    old.run("print('A')", metadata=cell("a"))
    old.run("h = display('B', display_id='d')\nfor i in range(5):\n    h.update(i)", metadata=cell("b"))
    result = old.run("import akernel\nakernel.replay('a')", metadata=cell("c"))
    assert result.text() == "[1] print('A')\nA\n"
    result = old.run("akernel.replay(all=True)", metadata=cell("d"))
    text = shown(result.messages, result.reply.parent["msg_id"])
    assert "A\n" in text and "<display_data 'B'><update_display_data 4>" in text
    assert "update_display_data 3" not in text


def test_replay_with_nothing_to_show(fresh):
    result = fresh.run("import akernel\nakernel.replay()")
    assert result.status == "ok" and "no cell of another session" in result.text("stderr")
    assert "akernel.replay" not in (fresh.run("akernel.replay(3)").error or {}).get("ename", "")
    assert fresh.run("akernel.replay(3)").error["ename"] == "TypeError"


def test_clear_output_clears_what_is_kept(kernel):
    old = kernel.ready_client()
    old.run("for i in range(10):\n    clear_output(wait=True)\n    print('step', i)", metadata=cell("a"))
    assert old.run("import akernel\nakernel.replay('a')").text() == "[1] for i in range(10):\nstep 9\n"


def test_what_is_kept_has_a_bound(launch):
    kernel = launch(env={"AKERNEL_REPLAY_MIB": "1"})
    client = kernel.ready_client()
    client.run("for i in range(40000):\n    print(f'line {i:5}', 'x' * 50)", metadata=cell("a"))
    result = client.run("import akernel\nakernel.replay('a')")
    text = result.text()
    assert "bytes of older output were not kept" in result.text("stderr")
    assert text.endswith("line 39999 " + "x" * 50 + "\n") and len(text) < 1 << 20 and len(text) > 1 << 18


def test_it_can_be_switched_off(launch):
    kernel = launch(env={"AKERNEL_REPLAY_MIB": "0"})
    client = kernel.ready_client()
    client.run("print('A')", metadata=cell("a"))
    assert "AKERNEL_REPLAY_MIB" in client.run("import akernel\nakernel.replay('a')").text("stderr")


def test_outputs_outlive_the_python_that_made_them(launch):
    kernel = launch(extra=["--respawn"])
    old = kernel.ready_client()
    old.execute("import os, signal\nprint('last words', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)", cell("a"))
    old.iopub_until(lambda m: m.type == "error")
    new = kernel.ready_client()
    result = new.run("import akernel\nakernel.replay('a')")
    assert "last words\n" in result.text() and [m.content["ename"] for m in result.all("error")]


@pytest.mark.parametrize("metadata", [{"cellId": 3}, {"cellId": ""}, {"cellId": None}, {"cellId": "x" * 100000}, {"cellId": "a\x00b"}])
def test_cell_ids_that_are_none(fresh, metadata):
    assert fresh.run("print(1)", metadata=metadata).text() == "1\n"
    assert fresh.run("print(2)", metadata=metadata).text() == "2\n"
