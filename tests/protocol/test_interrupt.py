# SPDX-License-Identifier: MIT
"""Interrupts: in blocking code, in awaiting code, in a question, and when nothing runs."""

import os
import signal

import pytest

BLOCKING = {
    "busy loop": "print('go')\nwhile True: pass",
    "time.sleep": "import time\nprint('go')\ntime.sleep(60)",
    "subprocess": "import subprocess\nprint('go')\nsubprocess.run(['sleep', '60'])",
    "import": "print('go')\nimport time\ntime.sleep(60)",
    "child task": "import asyncio\nasync def busy():\n    print('go')\n    while True: pass\nawait asyncio.create_task(busy())",
    "callback": "import asyncio\nloop = asyncio.get_running_loop()\ndef cb():\n    print('go')\n    while True: pass\nloop.call_soon(cb)\nawait asyncio.sleep(60)",
}
AWAITING = {
    "sleep": "import asyncio\nprint('go')\nawait asyncio.sleep(60)",
    "gather": "import asyncio\nprint('go')\nawait asyncio.gather(asyncio.sleep(60), asyncio.sleep(60))",
    "task group": "import asyncio\nasync with asyncio.TaskGroup() as tg:\n    tg.create_task(asyncio.sleep(60))\n    print('go')",
    "async subprocess": "import asyncio\np = await asyncio.create_subprocess_exec('sleep', '60')\nprint('go')\nawait p.wait()",
}


def started(client):
    client.iopub_until(lambda m: m.type == "stream" and "go" in m.content["text"])


def check(client, mid):
    reply = client.reply(mid, timeout=10)
    assert reply.content["status"] == "error"
    assert reply.content["ename"] in ("KeyboardInterrupt", "CancelledError")
    assert client.run("1 + 1").result == "2"


@pytest.mark.parametrize("name", BLOCKING)
def test_blocking_code(fresh, name):
    mid = fresh.execute(BLOCKING[name])
    started(fresh)
    fresh.kernel.interrupt()
    check(fresh, mid)


@pytest.mark.parametrize("name", AWAITING)
def test_awaiting_code(fresh, name):
    mid = fresh.execute(AWAITING[name])
    started(fresh)
    fresh.kernel.interrupt()
    check(fresh, mid)


@pytest.mark.parametrize("name", ["busy loop", "sleep"])
def test_by_message(fresh, name):
    mid = fresh.execute({**BLOCKING, **AWAITING}[name])
    started(fresh)
    assert fresh.ask("interrupt_request", {}, channel="control").content == {"status": "ok"}
    check(fresh, mid)


def test_what_is_sent_afterwards_is_not_meant(fresh, tmp_path):
    """Also when it is taken right behind the step that was interrupted."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    first = fresh.execute(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(60)\n"
        f"except KeyboardInterrupt:\n    print('go')\nopen({str(gate)!r}).read()"
    )
    fresh.send("comm_info_request", {})
    started(fresh)
    second = fresh.execute("import asyncio\nawait asyncio.sleep(0.05)\n2")
    for _ in range(3):
        fresh.ask("kernel_info_request", {}, channel="control")
    gate.write_text("over")
    assert fresh.reply(first).content["status"] == "ok"
    assert fresh.reply(second).content["status"] == "ok"


def test_of_the_whole_group(fresh):
    """jupyter_client signals the kernel's process group."""
    mid = fresh.execute(BLOCKING["subprocess"])
    started(fresh)
    os.killpg(fresh.kernel.process.pid, signal.SIGINT)
    check(fresh, mid)


def test_aborts_what_waits(fresh):
    mids = [fresh.execute(BLOCKING["busy loop"]), fresh.execute("print('never')"), fresh.execute("print('never')")]
    started(fresh)
    fresh.kernel.interrupt()
    statuses = [fresh.reply(mid).content["status"] for mid in mids]
    assert statuses == ["error", "aborted", "aborted"]


def test_cancels_every_running_cell(fresh):
    fresh.run("import asyncio")
    mids = [fresh.execute("print('go')\nawait asyncio.sleep(60)") for _ in range(5)]
    for _ in mids:
        started(fresh)
    fresh.kernel.interrupt()
    assert {fresh.reply(mid).content["status"] for mid in mids} == {"error"}


def test_idle_kernel_ignores_it(fresh):
    for _ in range(10):
        fresh.kernel.interrupt()
    assert fresh.run("'alive'").result == "'alive'"


def test_while_starting(launch):
    kernel = launch()
    client = kernel.client()
    client.sockets["hb"].send(b"bound")
    assert client.sockets["hb"].recv() == b"bound"
    for _ in range(5):
        kernel.interrupt()
    assert kernel.ready_client().run("'alive'").result == "'alive'"


def test_storm(fresh):
    for i in range(30):
        mid = fresh.execute("print('go')\nwhile True: pass")
        started(fresh)
        fresh.kernel.interrupt()
        fresh.kernel.interrupt()
        assert fresh.reply(mid, timeout=10).content["status"] == "error"
        fresh.until_idle(mid)
        # A second signal may still be on its way to the next cell.
        while fresh.run("1", stop_on_error=False).status != "ok":
            pass


def test_user_code_may_catch_it(fresh):
    mid = fresh.execute("try:\n    print('go')\n    while True: pass\nexcept KeyboardInterrupt:\n    caught = True\ncaught")
    started(fresh)
    fresh.kernel.interrupt()
    assert fresh.reply(mid).content["status"] == "ok"


def test_a_handler_of_the_user(fresh):
    fresh.run("import signal\nseen = []\nold = signal.signal(signal.SIGINT, lambda *a: seen.append(1))")
    mid = fresh.execute("print('go')\nwhile not seen: pass\n'handled'")
    started(fresh)
    fresh.kernel.interrupt()
    assert fresh.reply(mid).content["status"] == "ok"


def test_question(fresh):
    mid = fresh.execute("input('?')", allow_stdin=True)
    assert fresh.receive("stdin").type == "input_request"
    fresh.kernel.interrupt()
    check(fresh, mid)


def test_a_flood_of_prints(fresh):
    mid = fresh.execute("while True: print('go')")
    started(fresh)
    fresh.kernel.interrupt()
    check(fresh, mid)
