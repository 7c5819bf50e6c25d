# SPDX-License-Identifier: MIT
"""Subshells (JEP 91): further threads that take requests beside the main one."""

import pytest


def create(client):
    reply = client.ask("create_subshell_request", {}, channel="control").content
    assert reply["status"] == "ok"
    return reply["subshell_id"]


def listed(client):
    return client.ask("list_subshell_request", {}, channel="control").content["subshell_id"]


def delete(client, subshell):
    return client.ask("delete_subshell_request", {"subshell_id": subshell}, channel="control").content


def send(client, msg_type, content, subshell):
    header = client.header(msg_type)
    header["subshell_id"] = subshell
    client.sockets["shell"].send_multipart(client.frames(header, content, {}, {}, ()))
    return header["msg_id"]


def execute(client, code, subshell, **content):
    full = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
    return send(client, "execute_request", {**full, **content}, subshell)


def test_are_not_announced_by_default(fresh, launch):
    assert "kernel subshells" not in fresh.ask("kernel_info_request", {}).content["supported_features"]
    asked = launch(env={"AKERNEL_SUBSHELLS": "1"}).ready_client()
    assert "kernel subshells" in asked.ask("kernel_info_request", {}).content["supported_features"]


def test_life(fresh):
    assert listed(fresh) == []
    one, two = create(fresh), create(fresh)
    assert listed(fresh) == [one, two] and one != two
    assert delete(fresh, one)["status"] == "ok"
    assert listed(fresh) == [two]
    assert delete(fresh, one)["status"] == "error"
    assert delete(fresh, two)["status"] == "ok"
    assert fresh.run("import threading; [t.name for t in threading.enumerate() if 'subshell' in t.name]").result == "[]"


def test_runs_beside_a_blocking_cell(fresh):
    """The main cell is ended by what the subshell does meanwhile."""
    subshell = create(fresh)
    fresh.run("import threading, time; go = threading.Event()")
    main = fresh.execute("assert go.wait(30); where = threading.get_ident()")
    other = execute(fresh, "shared = 'from there'; thread = threading.get_ident(); go.set()", subshell)
    assert fresh.reply(other).content["status"] == "ok"
    assert fresh.reply(main).content["status"] == "ok"
    assert fresh.run("shared, thread != where, where == threading.main_thread().ident").result == "('from there', True, True)"


def test_output_belongs_to_its_request(fresh):
    subshell = create(fresh)
    mid = execute(fresh, "import asyncio\nprint('one')\nawait asyncio.sleep(0.01)\nprint('two')\n'result'", subshell)
    seen = fresh.until_idle(mid)
    assert "".join(m.content["text"] for m in seen if m.type == "stream") == "one\ntwo\n"
    assert [m.content["data"]["text/plain"] for m in seen if m.type == "execute_result"] == ["'result'"]
    reply = fresh.reply(mid)
    assert reply.parent["subshell_id"] == subshell
    assert reply.content["status"] == "ok"


def test_an_error_aborts_its_own_queue_only(fresh):
    subshell = create(fresh)
    fresh.run("import threading; go = threading.Event()")
    main = fresh.execute("assert go.wait(30)")
    bad = execute(fresh, "raise ValueError", subshell)
    after = [execute(fresh, "1", subshell) for _ in range(3)]
    behind = fresh.execute("2")
    replies = {}
    for mid in (bad, *after):
        replies[mid] = fresh.reply(mid).content["status"]
    assert replies[bad] == "error"
    assert [replies[mid] for mid in after] == ["aborted"] * 3
    again = execute(fresh, "go.set()", subshell)
    assert fresh.reply(again).content["status"] == "ok"
    assert fresh.reply(main).content["status"] == "ok"
    assert fresh.reply(behind).content["status"] == "ok"


def test_completion_and_comms_beside_a_blocking_cell(fresh):
    subshell = create(fresh)
    fresh.run("import threading, comm; go = threading.Event(); table = {'key': 1}")
    fresh.run("comm.get_comm_manager().register_target('t', lambda c, m: c.on_msg(lambda m: go.set()))")
    main = fresh.execute("assert go.wait(30)")
    mid = send(fresh, "complete_request", {"code": "table['k", "cursor_pos": 8}, subshell)
    assert fresh.reply(mid).content["matches"] == ["key'"]
    mid = send(fresh, "kernel_info_request", {}, subshell)
    assert fresh.reply(mid).content["status"] == "ok"
    send(fresh, "comm_open", {"comm_id": "c", "target_name": "t", "data": {}}, subshell)
    send(fresh, "comm_msg", {"comm_id": "c", "data": {}}, subshell)
    assert fresh.reply(main).content["status"] == "ok"


def test_deleting_ends_what_awaits(fresh):
    subshell = create(fresh)
    mid = execute(fresh, "import asyncio\nprint('.')\nawait asyncio.sleep(1000)", subshell)
    waiting = execute(fresh, "__chain_execution__ = 1", subshell)
    fresh.iopub_until(lambda m: m.type == "stream")
    fresh.reply(waiting)
    ended = fresh.send("delete_subshell_request", {"subshell_id": subshell}, channel="control")
    assert fresh.reply(mid).content["status"] == "error"
    assert fresh.reply(ended, "control").content["status"] == "ok"
    assert fresh.run("1 + 1").result == "2"


def test_system_exit_of_a_task_ends_nothing(fresh):
    subshell = create(fresh)
    mid = execute(fresh, "import asyncio\nasync def bye(): raise SystemExit\nt = asyncio.create_task(bye())\nawait asyncio.sleep(0)", subshell)
    fresh.reply(mid)
    mid = execute(fresh, "1", subshell)
    assert fresh.reply(mid).content["status"] == "ok"


@pytest.mark.parametrize("subshell", ["none of them", 5, "", [], {}])
def test_unknown_subshells_are_refused(client, subshell):
    mid = execute(client, "1", subshell)
    reply = client.reply(mid).content
    assert reply["status"] == "error" and "subshell" in reply["evalue"]
    assert delete(client, subshell)["status"] == "error"
    assert client.run("1 + 1").result == "2"


def test_their_number_is_bounded(fresh):
    made = [fresh.ask("create_subshell_request", {}, channel="control").content["status"] for _ in range(66)]
    assert made == ["ok"] * 64 + ["error"] * 2


def test_an_interrupt_is_for_the_main_thread(fresh, kernel):
    subshell = create(fresh)
    mid = execute(fresh, "import asyncio\nstop = asyncio.Event()\nhere = asyncio.get_running_loop()\nprint('.')\nawait stop.wait()", subshell)
    fresh.iopub_until(lambda m: m.type == "stream")
    main = fresh.execute("print('-', flush=True)\nwhile True: pass")
    fresh.iopub_until(lambda m: m.type == "stream" and "-" in m.content["text"])
    kernel.interrupt()
    assert fresh.reply(main).content["ename"] == "KeyboardInterrupt"
    fresh.execute("here.call_soon_threadsafe(stop.set)")
    assert fresh.reply(mid).content["status"] == "ok"


def test_shutdown_with_subshells(fresh, kernel):
    subshell = create(fresh)
    execute(fresh, "import asyncio\nprint('.')\nawait asyncio.sleep(1000)", subshell)
    fresh.iopub_until(lambda m: m.type == "stream")
    fresh.ask("shutdown_request", {"restart": False}, channel="control")
    assert kernel.wait(10) == 0
