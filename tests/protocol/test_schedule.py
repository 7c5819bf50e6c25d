# SPDX-License-Identifier: MIT
"""Cells side by side: async with its guard, concurrent, chained, and aborting."""


def replies(client, mids):
    """The replies by request, in the order of the requests, whatever order they come in."""
    found = {}
    while len(found) < len(mids):
        message = client.receive("shell")
        if message.parent.get("msg_id") in mids:
            found[message.parent["msg_id"]] = message
    return {m: found[m] for m in mids}


def order_of_replies(client, mids):
    seen = []
    while len(seen) < len(mids):
        message = client.receive("shell")
        if message.parent.get("msg_id") in mids:
            seen.append(mids.index(message.parent["msg_id"]))
    return seen


def test_awaiting_cells_run_side_by_side(fresh):
    fresh.run("import asyncio\na, b = asyncio.Event(), asyncio.Event()")
    first = fresh.execute("a.set()\nawait b.wait()\n'first'")
    second = fresh.execute("await a.wait()\nb.set()\n'second'")
    assert {r.content["status"] for r in replies(fresh, [first, second]).values()} == {"ok"}


def test_a_reader_waits_for_its_name(fresh):
    fresh.run("import asyncio\nasync def get():\n    await asyncio.sleep(0.1)\n    return [1, 2, 3]")
    mids = [fresh.execute("data = await get()"), fresh.execute("print(len(data))"), fresh.execute("unrelated = 1")]
    assert order_of_replies(fresh, mids) == [2, 0, 1]
    assert [m.content["text"] for m in fresh.until_idle(mids[1]) if m.type == "stream"] == ["3\n"]


def test_second_run_all_reads_no_stale_values(fresh):
    fresh.run("import asyncio\nn = 0\nasync def get():\n    global n\n    await asyncio.sleep(0.05)\n    n += 1\n    return n")
    for expected in ("1", "2", "3"):
        mids = [fresh.execute("data = await get()"), fresh.execute("data")]
        messages = fresh.until_idle(mids[1])
        assert [m.content["data"]["text/plain"] for m in messages if m.type == "execute_result"] == [expected]
        for mid in mids:
            fresh.reply(mid)


def test_monitor_cell_runs_at_once(fresh):
    fresh.run("import asyncio\nstop = asyncio.Event()")
    loop = fresh.execute("progress = 0\nwhile not stop.is_set():\n    progress += 1\n    await asyncio.sleep(0.01)")
    monitor = fresh.execute("print(progress > 0)")
    assert fresh.reply(monitor).content["status"] == "ok"
    fresh.execute("stop.set()")
    assert fresh.reply(loop).content["status"] == "ok"


def test_a_constant_that_is_bound_again_counts_as_bound(fresh):
    fresh.run("import asyncio\nstop = asyncio.Event()\nflag = 0")
    loop = fresh.execute("flag = 0\nawait stop.wait()")
    reader = fresh.execute("flag")
    assert fresh.reply(reader).content["status"] == "ok"
    fresh.run("stop.set()")
    fresh.reply(loop)


def test_a_chain_of_waits_keeps_its_order(fresh):
    fresh.run("import asyncio\nlog = []")
    mids = [
        fresh.execute("await asyncio.sleep(0.05)\none = 1\nlog.append(1)"),
        fresh.execute("two = one + 1\nlog.append(2)"),
        fresh.execute("three = two + 1\nlog.append(3)"),
    ]
    replies(fresh, mids)
    assert fresh.run("three, log").result == "(3, [1, 2, 3])"


def test_concurrent_has_no_guard(launch):
    client = launch("concurrent").ready_client()
    client.run("import asyncio")
    slow = client.execute("await asyncio.sleep(0.2)\nlate = 1")
    early = client.execute("late", stop_on_error=False)
    assert client.reply(early).content["ename"] == "NameError"
    assert client.reply(slow).content["status"] == "ok"


def test_chained_runs_one_after_the_other(launch):
    client = launch("chained").ready_client()
    client.run("import asyncio\nlog = []")
    mids = [
        client.execute("log.append('a in')\nawait asyncio.sleep(0.05)\nlog.append('a out')"),
        client.execute("log.append('b')"),
    ]
    assert order_of_replies(client, mids) == [0, 1]
    assert client.run("log").result == "['a in', 'a out', 'b']"


def test_stamps_of_chained_cells_are_in_order(launch):
    """A reply's date is that of its end, which is before the next cell's start."""
    client = launch("chained").ready_client()
    mids = [client.execute("1") for _ in range(20)]
    replies = [client.reply(mid) for mid in mids]
    for one, next_one in zip(replies, replies[1:]):
        assert one.metadata["started"] <= one.header["date"] <= next_one.metadata["started"]


def test_completion_between_chained_cells(launch):
    client = launch("chained").ready_client()
    client.run("import asyncio\ngo = asyncio.Event()")
    waiting = client.execute("await go.wait()")
    assert client.ask("complete_request", {"code": "asynci", "cursor_pos": 6}).content["matches"] == ["asyncio"]
    client.kernel.interrupt()
    assert client.reply(waiting).content["status"] == "error"


def test_chaining_at_run_time(fresh):
    fresh.run("import asyncio\n__chain_execution__()")
    first, second = fresh.execute("await asyncio.sleep(0.05)"), fresh.execute("1")
    assert order_of_replies(fresh, [first, second]) == [0, 1]
    fresh.run("__unchain_execution__()")
    first, second = fresh.execute("await asyncio.sleep(0.2)"), fresh.execute("1")
    assert order_of_replies(fresh, [first, second]) == [1, 0]


def test_task_waits_for_the_cell_before(fresh):
    fresh.run("import asyncio\nlog = []")
    first = fresh.execute("await asyncio.sleep(0.1)\nlog.append('first')")
    second = fresh.execute("await __task__()\nlog.append('second')")
    replies(fresh, [first, second])
    assert fresh.run("log").result == "['first', 'second']"


def test_task_of_a_finished_cell_is_done(fresh):
    count = fresh.run("1").content["execution_count"]
    assert fresh.run(f"await __task__({count})\n'through'").result == "'through'"
    assert fresh.run("await __task__()\n'through'").result == "'through'"
    assert fresh.run("await __task__(99)", stop_on_error=False).error["ename"] == "ValueError"


def test_an_error_aborts_what_waits(fresh):
    fresh.run("import time")
    mids = [fresh.execute("time.sleep(0.2)\n1/0"), fresh.execute("print('b')"), fresh.execute("print('c')")]
    statuses = [r.content["status"] for r in replies(fresh, mids).values()]
    assert statuses == ["error", "aborted", "aborted"]
    assert fresh.run("'after'").result == "'after'"


def test_an_error_of_an_awaiting_cell_aborts_what_waits_for_it(fresh):
    fresh.run("import asyncio")
    mids = [fresh.execute("await asyncio.sleep(0.1)\nv = 1/0"), fresh.execute("print(v)")]
    assert [r.content["status"] for r in replies(fresh, mids).values()] == ["error", "aborted"]


def test_stop_on_error_false_aborts_nothing(fresh):
    mids = [fresh.execute("import time\ntime.sleep(0.1)\n1/0", stop_on_error=False), fresh.execute("1")]
    assert [r.content["status"] for r in replies(fresh, mids).values()] == ["error", "ok"]


def test_other_requests_are_not_aborted_and_keep_their_order(fresh):
    failing = fresh.execute("import time\ntime.sleep(0.2)\nraise ValueError")
    others = [
        fresh.send("kernel_info_request", {}),
        fresh.send("comm_info_request", {}),
        fresh.send("inspect_request", {"code": "print", "cursor_pos": 5, "detail_level": 0}),
    ]
    assert order_of_replies(fresh, [failing, *others]) == [0, 1, 2, 3]


def test_five_hundred_sleeping_cells(fresh):
    fresh.run("import asyncio")
    mids = [fresh.execute("await asyncio.sleep(0.2)") for _ in range(500)]
    assert {r.content["status"] for r in replies(fresh, mids).values()} == {"ok"}


def test_busy_again_while_others_are_open(fresh):
    fresh.run("import asyncio\ngo = asyncio.Event()")
    waiting = fresh.execute("await go.wait()")
    quick = fresh.execute("1")
    fresh.reply(quick)
    state = fresh.iopub_until(
        lambda m: m.type == "status" and m.content["execution_state"] == "idle" and m.parent["msg_id"] == quick
    )
    following = fresh.receive("iopub")
    assert state and following.content == {"execution_state": "busy"}
    assert following.parent["msg_id"] == waiting
    fresh.run("go.set()")
    fresh.reply(waiting)


def test_a_failing_task_is_reported_in_its_cell(fresh):
    mid = fresh.execute(
        "import asyncio\nasync def fail():\n    raise ValueError('nobody awaits me')\nasyncio.create_task(fail());"
    )
    fresh.execute("import gc\ngc.collect();")
    seen = fresh.iopub_until(lambda m: m.type == "stream" and "nobody awaits me" in m.content["text"])
    assert seen[-1].parent["msg_id"] == mid
    assert seen[-1].content["name"] == "stderr"
