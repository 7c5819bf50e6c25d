# SPDX-License-Identifier: MIT
"""Many clients of one kernel, each with a world of its own (the mode "multi")."""

import json
import signal
import uuid

import pytest
from conftest import spec_argv
from jupyter_client import BlockingKernelClient

WORKERS = ["multi"]


@pytest.fixture(params=WORKERS)
def multi(request, launch):
    """A function that starts a kernel of many sessions."""

    def start(*extra, mode="multi"):
        return launch(mode, extra=extra)

    return start


@pytest.fixture
def pair(multi):
    kernel = multi()
    return kernel, kernel.ready_client(), kernel.ready_client()


def value(client, expression, **kwargs):
    result = client.run(expression, **kwargs)
    assert result.status == "ok", result.content
    return result.result


# --- worlds -----------------------------------------------------------------------------


def test_names_counters_and_results_are_apart(pair):
    _, a, b = pair
    for client, number in ((a, 1), (b, 2)):
        assert client.run(f"x = {number}\nx * 10").reply.content["execution_count"] == 1
    assert value(a, "x, _, Out[1], In[1], __name__") == "(1, 10, 10, 'x = 1\\nx * 10', '__main__')"
    assert value(b, "x, _, Out[1]") == "(2, 20, 20)"
    a.run("y = 1")
    assert b.run("y").content["ename"] == "NameError"


def test_main_is_the_world_that_asks(pair):
    _, a, b = pair
    code = """
import __main__, pickle, sys, threading, dataclasses, typing
class C:
    def __init__(self): self.who = who
    def __eq__(self, other): return type(self) is type(other) and self.who == other.who
@dataclasses.dataclass
class D:
    v: "C" = None
found = []
def look():
    import __main__ as m
    found.append((m.who, pickle.loads(pickle.dumps(C())) == C(), sys.modules["__main__"].C is C))
t = threading.Thread(target=look); t.start(); t.join(); look()
"""
    for client, who in ((a, "a"), (b, "b")):
        result = client.run(f"who = {who!r}\n{code}")
        assert result.status == "ok", result.content
    for client, who in ((a, "a"), (b, "b"), (a, "a")):
        assert value(client, "found") == str([(who, True, True)] * 2)
        assert value(client, "__main__.who, vars(__main__) is globals(), C.__module__") == f"('{who}', True, '__main__')"
        assert value(client, "typing.get_type_hints(D)['v'] is C") == "True"
    a.run("__main__.made = 5")
    assert value(a, "made") == "5"
    assert value(b, "hasattr(__main__, 'made')") == "False"


def test_code_that_awaits_keeps_its_world(pair):
    _, a, b = pair
    code = "import asyncio, __main__\nw = {0!r}\nfor i in range(20):\n    await asyncio.sleep(0.001)\n    assert __main__.w == {0!r}"
    ids = [(c, c.execute(code.format(n))) for c, n in ((a, "a"), (b, "b"))]
    for client, mid in ids:
        assert client.reply(mid).content["status"] == "ok"


def test_history_is_apart(pair):
    _, a, b = pair
    a.run("'of a'")
    b.run("'of b'")
    ask = {"hist_access_type": "tail", "n": 10, "output": False, "raw": True}
    assert [h[2] for h in a.ask("history_request", ask).content["history"]] == ["'of a'"]
    assert [h[2] for h in b.ask("history_request", ask).content["history"]] == ["'of b'"]


def test_completion_sees_its_own_names(pair):
    _, a, b = pair
    a.run("only_in_a = 1")
    b.run("1")
    ask = {"code": "only_in", "cursor_pos": 7}
    assert a.ask("complete_request", ask).content["matches"] == ["only_in_a"]
    assert b.ask("complete_request", ask).content["matches"] == []


def test_the_working_directory_is_kept(pair, tmp_path):
    _, a, b = pair
    home = value(b, "import os; os.getcwd()")
    a.run(f"import os, asyncio; os.chdir({str(tmp_path)!r})")
    assert value(b, "os.getcwd()") == home
    assert value(a, "await asyncio.sleep(0.01); os.getcwd()") == repr(str(tmp_path))
    assert value(b, "os.getcwd()") == home
    assert value(a, "os.getcwd()") == repr(str(tmp_path))


def test_chaining_is_apart(pair):
    _, a, b = pair
    a.run("__chain_execution__()")
    order = {}
    for client in (a, b):
        first = client.execute("import asyncio; await asyncio.sleep(0.3)")
        second = client.execute("'second'")
        replies = [client.receive("shell").parent["msg_id"] for _ in range(2)]
        order[client] = replies == [first, second]
    assert order == {a: True, b: False}


def test_output_goes_to_its_own_cell(pair):
    _, a, b = pair
    code = "import asyncio, sys, threading\nfor i in range(50):\n    print({0!r})\n    await asyncio.sleep(0)\nthreading.Thread(target=print, args=({0!r},)).start()"
    ids = {c: c.execute(code.format(n)) for c, n in ((a, "a"), (b, "b"))}
    for client, name in ((a, "a"), (b, "b")):
        messages = client.until_idle(ids[client])
        assert set("".join(m.content["text"] for m in messages if m.type == "stream").split()) == {name}


def test_comms_and_targets_are_apart(pair):
    _, a, b = pair
    for client in (a, b):
        client.run("import comm\ngot = []\ncomm.get_comm_manager().register_target('t', lambda c, m: got.append(c.comm_id))")
    b.run("comm.get_comm_manager().unregister_target('t', None)")
    for client in (a, b):
        mid = client.send("comm_open", {"comm_id": "one", "target_name": "t", "data": {}})
        client.until_idle(mid)
    assert value(a, "got") == "['one']"
    assert value(b, "got") == "[]"
    assert list(a.ask("comm_info_request", {}).content["comms"]) == ["one"]
    assert b.ask("comm_info_request", {}).content["comms"] == {}


def test_errors_abort_their_own_cells_only(pair):
    _, a, b = pair
    slow = b.execute("import asyncio; await asyncio.sleep(0.3); 'done'")
    ids = [a.execute("1/0"), a.execute("never = 1"), b.execute("'b goes on'")]
    assert a.reply(ids[0]).content["status"] == "error"
    assert a.reply(ids[1]).content["status"] == "aborted"
    assert b.reply(ids[2]).content["status"] == "ok"
    assert b.reply(slow).content["status"] == "ok"
    assert a.run("1").status == "ok"


def test_input_goes_to_its_own_client(pair):
    _, a, b = pair
    ids = {c: c.execute("await ainput('who? ')", allow_stdin=True) for c in (a, b)}
    for client, name in ((b, "bee"), (a, "ay")):
        question = client.receive("stdin")
        assert question.content["prompt"] == "who? " and question.parent["msg_id"] == ids[client]
        client.send("input_reply", {"value": name}, channel="stdin", parent=question.header)
    for client, name in ((a, "ay"), (b, "bee")):
        messages = client.until_idle(ids[client])
        assert [m.content["data"]["text/plain"] for m in messages if m.type == "execute_result"] == [repr(name)]


def test_a_client_that_vanishes_while_its_cell_asks(pair):
    _, a, b = pair
    a.execute("try:\n    input('? ')\nexcept EOFError:\n    open(__import__('os').devnull)", allow_stdin=True)
    a.receive("stdin")
    waiting = b.execute("'b is served'")
    a.close()
    assert b.reply(waiting, timeout=10).content["status"] == "ok"


def test_real_clients(multi):
    kernel = multi()
    clients = []
    for i in range(8):
        client = BlockingKernelClient(connection_file=kernel.file)
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=30)
        clients.append(client)
    try:
        assert len({c.session.session for c in clients}) == 8
        for i, client in enumerate(clients):
            client.execute_interactive(f"x = {i}", timeout=30)
        for i, client in enumerate(clients):
            reply = client.execute("pass", user_expressions={"x": "x"}, reply=True, timeout=30)
            assert reply["content"]["user_expressions"]["x"]["data"]["text/plain"] == str(i)
            assert reply["content"]["execution_count"] == 2
    finally:
        for client in clients:
            client.stop_channels()


# --- interrupts -------------------------------------------------------------------------


@pytest.mark.parametrize("busy", ["import time\nfor _ in range(3000): time.sleep(0.01)", "while True: pass",
                                  "import asyncio; await asyncio.sleep(30)", "input()"])
def test_an_interrupt_of_a_session_stops_that_session(pair, busy):
    _, a, b = pair
    waits = b.execute("import asyncio; await asyncio.sleep(1); 'b'")
    b.iopub_until(lambda m: m.type == "execute_input" and m.parent["msg_id"] == waits)
    running = a.execute(f"print('go')\n{busy}", allow_stdin=True)
    a.iopub_until(lambda m: m.type == "stream")
    queued = a.execute("print('never')") if "await" not in busy else None
    assert a.ask("interrupt_request", {}, channel="control").content["status"] == "ok"
    reply = a.reply(running)
    assert reply.content["ename"] == "KeyboardInterrupt"
    assert "every session" not in "".join(reply.content["traceback"])
    if queued:
        assert a.reply(queued).content["status"] == "aborted"
    assert b.reply(waits).content["status"] == "ok"
    assert value(a, "'goes on'") == "'goes on'"


def test_an_interrupt_leaves_a_blocking_cell_of_another_session(pair):
    _, a, b = pair
    waits = a.execute("import asyncio; await asyncio.sleep(30)")
    a.iopub_until(lambda m: m.type == "execute_input" and m.parent["msg_id"] == waits)
    blocks = b.execute("import time\nprint('go')\nfor _ in range(100): time.sleep(0.01)\n'b'")
    b.iopub_until(lambda m: m.type == "stream")
    a.ask("interrupt_request", {}, channel="control")
    assert b.reply(blocks).content["status"] == "ok"
    assert a.reply(waits).content["ename"] == "KeyboardInterrupt"


@pytest.mark.parametrize("how", ["signal", "foreign session"])
def test_an_interrupt_of_nobody_stops_everything(pair, how):
    kernel, a, b = pair
    ids = {c: c.execute("import asyncio; print('go'); await asyncio.sleep(30)") for c in (a, b)}
    for client in (a, b):
        client.iopub_until(lambda m: m.type == "stream" and m.parent["msg_id"] == ids[client])
    if how == "signal":
        kernel.process.send_signal(signal.SIGINT)
    else:
        kernel.client().ask("interrupt_request", {}, channel="control")
    for client in (a, b):
        content = client.reply(ids[client]).content
        assert content["ename"] == "KeyboardInterrupt"
        assert "every session" in content["traceback"][-1]


def test_interrupt_by_name(pair):
    _, a, b = pair
    a.run("import akernel; akernel.session_name('mine')")
    running = a.execute("import asyncio; await asyncio.sleep(30)")
    a.iopub_until(lambda m: m.type == "execute_input" and m.parent["msg_id"] == running)
    assert b.run("import akernel; akernel.interrupt('mine')").status == "ok"
    assert a.reply(running).content["ename"] == "KeyboardInterrupt"
    assert "no session" in b.run("akernel.interrupt('nobody')").content["evalue"]


# --- fairness ---------------------------------------------------------------------------


def test_a_hundred_cells_do_not_starve_one(pair):
    _, a, b = pair
    b.run("import time")
    a.run("import time, threading; n = 0; go = threading.Event()")
    first = a.execute("time.sleep(0.5)")
    ids = [a.execute("n += 1; time.sleep(0.02)") for _ in range(100)]
    mine = b.execute("'mine'")
    b.reply(mine)
    replied = 0
    while a.sockets["shell"].poll(0):
        a.receive("shell")
        replied += 1
    assert replied < 20, replied
    for mid in ids[-1:]:
        a.reply(mid, timeout=60)
    assert first


def test_held_back_cells_take_turns(pair):
    _, a, b = pair
    b.run("1")
    a.execute("import asyncio, time; await asyncio.sleep(0.3); x = 1")
    ids = [a.execute(f"time.sleep(0.02 * x); y{i} = x") for i in range(50)]
    a.reply(ids[0])
    b.reply(b.execute("'mine'"))
    replied = 0
    while a.sockets["shell"].poll(0):
        a.receive("shell")
        replied += 1
    assert replied < 15, replied


# --- life -------------------------------------------------------------------------------


def test_sessions_are_listed(pair):
    _, a, b = pair
    a.run("import akernel; big = bytearray(10**6)")
    b.run("import akernel; akernel.session_name('bee')")
    result = a.run("import json; print(json.dumps(akernel.sessions()))")
    found = {s["id"]: s for s in json.loads(result.text())}
    assert set(found) == {a.session, b.session}
    mine, other = found[a.session], found[b.session]
    assert mine["own"] and mine["running"] == 1 and mine["memory"] > 10**6 and mine["cells"] == 2
    assert not other["own"] and other["name"] == "bee" and other["cells"] == 1 and other["memory"] < 10**6
    assert mine["connected"] and other["connected"]
    assert mine["age"] >= 0 and other["idle"] >= 0
    assert "bee" in value(a, "akernel.sessions()")


def test_close_frees_everything(pair):
    _, a, b = pair
    a.run("""
import weakref, asyncio, builtins, akernel, comm, gc
class Thing: pass
thing = Thing(); cyclic = Thing(); cyclic.me = thing
ended = []
async def forever():
    try:
        await asyncio.sleep(1000)
    finally:
        builtins.witness_ended = True
task = asyncio.create_task(forever())
builtins.witness = weakref.ref(thing), weakref.ref(task)
talk = comm.create_comm(target_name='t')
akernel.session_name('a')
""", metadata={"cellId": "x"})
    b.run("import builtins, akernel, asyncio, gc")
    assert value(b, "[w() is None for w in witness]") == "[False, False]"
    mid = b.execute("akernel.close_session('a'); await asyncio.sleep(0.1)")
    closed = b.iopub_until(lambda m: m.type == "status" and m.content["execution_state"] == "idle" and m.parent.get("msg_id") == mid)
    assert any(m.type == "comm_close" for m in closed)
    assert value(b, "witness_ended") == "True"
    assert value(b, "[w() is None for w in witness]") == "[True, True]"
    assert value(b, "len(akernel.sessions())") == "1"
    fresh = a.run("thing")
    assert fresh.content["ename"] == "NameError" and fresh.reply.content["execution_count"] == 1


def test_close_answers_what_runs(pair):
    _, a, b = pair
    running = a.execute("import asyncio; await asyncio.sleep(30)")
    queued = a.execute("__task__()\nawait __task__()")
    a.iopub_until(lambda m: m.type == "execute_input" and m.parent["msg_id"] == running)
    b.run(f"import akernel; akernel.close_session({a.session!r})")
    assert a.reply(running).content["status"] == "error"
    assert a.reply(queued).content["status"] in ("aborted", "error")
    assert value(a, "1") == "1"


def test_a_session_closes_itself(pair):
    _, a, _ = pair
    a.run("x = 1; import akernel")
    a.run("akernel.close_session()")
    assert a.run("x").content["ename"] == "NameError"


def test_idle_sessions_time_out(multi):
    kernel = multi("--session-timeout", "0.3")
    a, b = kernel.ready_client(), kernel.ready_client()
    a.run("import builtins, weakref\nclass T: pass\nt = T(); builtins.w = weakref.ref(t)")
    assert value(b, "import asyncio\nfor _ in range(200):\n    await asyncio.sleep(0.02)\n    if w() is None: break\nw() is None") == "True"


def test_a_limit_on_sessions(multi):
    kernel = multi("--max-sessions", "2")
    a, b, c = (kernel.ready_client() for _ in range(3))
    a.run("x = 1")
    b.run("x = 2")
    refused = c.run("x = 3")
    assert refused.status == "error" and "--max-sessions" in refused.content["evalue"]
    a.close()
    assert value(b, "import asyncio; await asyncio.sleep(0.3); x") == "2"
    assert c.run("x = 3").status == "ok"
    assert value(b, "x") == "2"


def test_shutdown_ends_the_kernel(pair):
    kernel, a, b = pair
    a.run("1")
    b.run("1")
    assert a.ask("shutdown_request", {"restart": False}, channel="control").content["status"] == "ok"
    assert kernel.wait(10) == 0


# --- names ------------------------------------------------------------------------------


def test_attach_joins_a_named_world(pair):
    kernel, a, b = pair
    a.run("x = 'shared'; import akernel; akernel.session_name('lab')")
    assert b.run("import akernel; akernel.attach('lab'); x = 'own'").status == "ok"
    assert value(b, "x") == "'shared'"
    b.run("x = 'changed'")
    assert value(a, "x") == "'changed'"
    assert "no session" in b.run("akernel.attach('nothing')").content["evalue"]
    c = kernel.ready_client()
    assert "another session" in c.run("import akernel; akernel.session_name('lab')").content["evalue"]
    assert value(a, "akernel.session_name()") == "'lab'"


# --- reload -----------------------------------------------------------------------------


def cell(name):
    return {"metadata": {"cellId": name}}


def gone(kernel, witness, session):
    """Waits until the kernel has noticed that a session's client is gone."""
    code = f"""
import akernel, asyncio
for _ in range(15):
    if not [s for s in akernel.sessions() if {session!r} in s.ids][0].connected: break
    await asyncio.sleep(0.02)
else: print('never')
"""
    assert witness.run(code).text() == ""


def test_a_reload_keeps_the_world(pair):
    kernel, a, b = pair
    a.run("x = 'kept'", **cell("one"))
    b.run("x = 'other'", **cell("two"))
    a.close()
    gone(kernel, b, a.session)
    again = kernel.ready_client()
    again.ask("comm_info_request", {})
    again.ask("complete_request", {"code": "x", "cursor_pos": 1})
    assert value(again, "x", **cell("one")) == "'kept'"
    assert again.run("1").reply.content["execution_count"] == 3
    assert value(b, "len(akernel.sessions())") == "2"


def test_copies_stay_apart_while_both_are_connected(pair):
    kernel, a, b = pair
    a.run("x = 'a'", **cell("one"))
    assert b.run("x", **cell("one")).content["ename"] == "NameError"
    b.run("x = 'b'", **cell("one"))
    assert value(a, "x", **cell("one")) == "'a'"
    # Two worlds that both fit: none is taken.
    witness = kernel.ready_client()
    witness.run("1")
    a.close()
    b.close()
    gone(kernel, witness, a.session)
    gone(kernel, witness, b.session)
    assert kernel.ready_client().run("x", **cell("one")).content["ename"] == "NameError"


def test_take_over_is_decided_at_the_first_cell(pair):
    kernel, a, b = pair
    a.run("x = 'kept'", **cell("one"))
    late = kernel.ready_client()
    late.run("mine = 1", **cell("of late"))
    a.close()
    gone(kernel, b if b.run("1") else b, a.session)
    assert late.run("x", **cell("one")).content["ename"] == "NameError"


def test_a_reconnect_with_the_same_session(pair):
    kernel, a, b = pair
    a.run("x = 1", **cell("one"))
    b.run("1")
    a.close()
    gone(kernel, b, a.session)
    again = kernel.ready_client(session=a.session)
    assert value(again, "x") == "1"


# --- nonsense ---------------------------------------------------------------------------


@pytest.mark.parametrize("session", ["", "\U0001f600 \\u0000", "x" * 1000])
def test_strange_session_ids(multi, session):
    kernel = multi()
    a, b = kernel.ready_client(), kernel.ready_client()
    mid = a.send("execute_request", {"code": "x = 5"}, session=session)
    assert a.reply(mid).content["status"] == "ok"
    mid = b.send("execute_request", {"code": "pass", "user_expressions": {"x": "x"}}, session=session)
    assert b.reply(mid).content["user_expressions"]["x"]["data"]["text/plain"] == "5"
    assert b.run("x").content["ename"] == "NameError"


@pytest.mark.parametrize("session", [5, None, ["a"], {"a": 1}, True, "x" * 1025])
def test_a_session_that_is_no_session_id(pair, session):
    _, a, b = pair
    for kind, content in (("execute_request", {"code": "x = 5"}), ("kernel_info_request", {}), ("complete_request", {})):
        mid = a.send(kind, content, session=session)
        refused = a.reply(mid).content
        assert refused["status"] == "error" and "session" in refused["evalue"]
        a.until_idle(mid)
    a.send("shutdown_request", {}, session=session, channel="control")
    assert a.receive("control").content["status"] == "error"
    a.send("input_reply", {"value": "x"}, session=session, channel="stdin")
    assert value(a, "1") == value(b, "1") == "1"
    assert len(json.loads(a.run("import json, akernel; print(json.dumps(akernel.sessions()))").text())) == 2


def test_a_thousand_sessions_in_a_burst(multi):
    kernel = multi()
    a = kernel.ready_client()
    ids = [a.send("execute_request", {"code": f"x = {i}"}, session=f"s{i}") for i in range(1000)]
    replies = {}
    for _ in ids:
        message = a.receive("shell")
        replies[message.parent["msg_id"]] = message.content["execution_count"]
    assert replies == dict.fromkeys(ids, 1)
    for i in (0, 500, 999):
        mid = a.send("execute_request", {"code": "pass", "user_expressions": {"x": "x"}}, session=f"s{i}")
        assert a.reply(mid).content["user_expressions"]["x"]["data"]["text/plain"] == str(i)


def test_without_the_mode_the_functions_say_so(launch):
    client = launch().ready_client()
    assert "akernel install multi" in client.run("import akernel; akernel.sessions()").content["evalue"]


def test_combinations(launch):
    for mode in ("chained-multi", "concurrent-multi"):
        kernel = launch(mode)
        a, b = kernel.ready_client(), kernel.ready_client()
        a.run("x = 1")
        assert b.run("x").content["ename"] == "NameError"


# --- leaks ------------------------------------------------------------------------------


def memory(client):
    return client.ask("usage_request", {}, channel="control").content["kernel_memory"]


def open_and_close(client, n):
    for i in range(n):
        session = uuid.uuid4().hex
        mid = client.send("execute_request", {"code": "x = [0] * 100\nimport akernel; akernel.close_session()"}, session=session)
        client.reply(mid)


@pytest.mark.unsanitized("ASan keeps what was freed and widens every allocation: memory is not what it is without")
def test_opening_and_closing_leaves_memory_flat(multi):
    kernel = multi()
    client = kernel.client()
    open_and_close(client, 500)
    before = memory(client)
    open_and_close(client, 2000)
    grown = memory(client) - before
    assert grown < 2000 * 500, f"{grown / 2000:.0f} bytes a session"
    assert value(kernel.ready_client(), "import akernel; len(akernel.sessions())") == "1"


@pytest.mark.unsanitized("ASan keeps what was freed and widens every allocation: memory is not what it is without")
def test_a_session_is_small(multi):
    kernel = multi()
    client = kernel.client()

    def open_sessions(n):
        for _ in range(n):
            client.reply(client.send("execute_request", {"code": "x = 1"}, session=uuid.uuid4().hex))

    open_sessions(100)
    before = memory(client)
    open_sessions(500)
    each = (memory(client) - before) / 500
    assert each <= 32 * 1024, f"{each:.0f} bytes a session"


@pytest.mark.unsanitized("it reads a kernelspec that only the ordinary build installs")
def test_spec_of_a_combination():
    assert spec_argv("akernel-multi")[2] == "multi"
