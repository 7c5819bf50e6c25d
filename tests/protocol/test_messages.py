# SPDX-License-Identifier: MIT
"""Requests other than execute, and their busy and idle."""

import os

import pytest


def around(client, msg_type, content, channel="shell", **kwargs):
    mid = client.send(msg_type, content, channel=channel, **kwargs)
    messages = client.until_idle(mid)
    states = [m.content["execution_state"] for m in messages if m.type == "status"]
    assert states[0] == "busy" and states[-1] == "idle"
    return mid, messages


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_kernel_info(client, channel):
    content = client.ask("kernel_info_request", {}, channel=channel).content
    assert content["status"] == "ok" and content["protocol_version"] == "5.5"
    assert content["implementation"] == "akernel"
    language = content["language_info"]
    assert language["name"] == "python" and language["version"].startswith("3.")
    assert language["codemirror_mode"] == {"name": "ipython", "version": 3}
    assert language["pygments_lexer"] == "ipython3" and language["nbconvert_exporter"] == "python"
    assert content["help_links"] and content["banner"] and content["supported_features"] == ["debugger"]


@pytest.mark.parametrize("msg_type", ["nonsense_request", "nonsense", "execute_reply", "status"])
def test_unknown_types_get_busy_and_idle(client, msg_type):
    around(client, msg_type, {})


@pytest.mark.parametrize("msg_type", ["kernel_info_request", "comm_info_request", "history_request", "is_complete_request"])
@pytest.mark.parametrize("channel", ["shell", "control"])
def test_busy_and_idle(client, msg_type, channel):
    mid, _ = around(client, msg_type, {"code": "1", "hist_access_type": "tail"}, channel)
    assert client.reply(mid, channel).content["status"] in ("ok", "complete")


def test_execute_on_control(client):
    mid = client.execute("6 * 7", channel="control")
    assert client.reply(mid, "control").content["status"] == "ok"


def test_connect(client):
    content = client.ask("connect_request", {}).content
    assert {k: v for k, v in content.items() if k.endswith("_port")} == {
        k: v for k, v in client.kernel.info.items() if k.endswith("_port")
    }


def test_usage(client):
    content = client.ask("usage_request", {}, channel="control").content
    assert content["pid"] == int(client.run("import os\nos.getpid()").result)
    assert content["kernel_memory"] > 1 << 20 and content["cpu_count"] == os.cpu_count()
    assert {"hostname", "kernel_cpu", "host_cpu_percent", "host_virtual_memory"} <= set(content)


COMPLETIONS = [
    ("pri", 3, "print", 0),
    ("import os\nos.getc", 17, "getcwd", 13),
    ("x = '𝔘'; pri", 12, "print", 9),
    ("import js", 9, "json", 7),
    ("from os import pa", 17, "path", 15),
    ("whi", 3, "while", 0),
]


@pytest.mark.parametrize("code,cursor,match,start", COMPLETIONS)
def test_complete(client, code, cursor, match, start):
    client.run("import os")
    content = client.ask("complete_request", {"code": code, "cursor_pos": cursor}).content
    assert content["status"] == "ok" and match in content["matches"]
    assert content["cursor_start"] == start and content["cursor_end"] == cursor
    types = content["metadata"]["_jupyter_types_experimental"]
    assert [t["text"] for t in types] == content["matches"][: len(types)]


def test_complete_runs_no_property(client):
    client.run("class P:\n    @property\n    def danger(self): print('ran'); return 1\n    safe = 2\np = P()")
    mid, messages = around(client, "complete_request", {"code": "p.", "cursor_pos": 2})
    assert {"danger", "safe"} <= set(client.reply(mid).content["matches"])
    assert not [m for m in messages if m.type == "stream"]


@pytest.mark.parametrize("content", [{}, {"code": 5}, {"code": "a", "cursor_pos": "x"}, {"code": "a", "cursor_pos": 10**9}, []])
@pytest.mark.parametrize("msg_type", ["complete_request", "inspect_request", "is_complete_request", "execute_request", "history_request", "comm_info_request"])
def test_nonsense_content(client, msg_type, content):
    mid, _ = around(client, msg_type, content)
    assert "status" in client.reply(mid).content
    assert client.run("1").result == "1"


def test_content_that_is_no_json(client):
    for msg_type in ("execute_request", "complete_request", "comm_msg"):
        header = client.header(msg_type)
        client.sockets["shell"].send_multipart(client.frames(header, b"{not json"))
        client.until_idle(header["msg_id"])
    assert client.run("1").result == "1"


def test_inspect(client):
    client.run("def add(a, b=1):\n    '''Adds.'''\n    return a + b")
    content = client.ask("inspect_request", {"code": "add(", "cursor_pos": 4, "detail_level": 0}).content
    text = content["data"]["text/plain"]
    assert content["found"] and "(a, b=1)" in text and "Adds." in text and "Signature:" in text and "Type:" in text
    detail = client.ask("inspect_request", {"code": "add", "cursor_pos": 3, "detail_level": 1}).content
    assert "return a + b" in detail["data"]["text/plain"]
    assert client.ask("inspect_request", {"code": "no_such", "cursor_pos": 3, "detail_level": 0}).content["found"] is False


@pytest.mark.parametrize(
    "code,status",
    [
        ("1", "complete"),
        ("for i in range(3):", "incomplete"),
        ("def f():\n    return 1", "incomplete"),
        ("def f():\n    return 1\n", "complete"),
        ("x = (", "incomplete"),
        ("1 +* 2", "invalid"),
        ("await x", "complete"),
        ("'''abc", "incomplete"),
    ],
)
def test_is_complete(client, code, status):
    content = client.ask("is_complete_request", {"code": code}).content
    assert content["status"] == status
    if status == "incomplete":
        assert "indent" in content


def test_history(fresh):
    fresh.run("1 + 1")
    fresh.run("x = 5")
    fresh.run("2 + 2")
    fresh.run("x", silent=True)
    tail = fresh.ask("history_request", {"hist_access_type": "tail", "n": 2, "output": True, "raw": True}).content
    assert tail["history"] == [[1, 2, ["x = 5", None]], [1, 3, ["2 + 2", "4"]]]
    ranged = fresh.ask("history_request", {"hist_access_type": "range", "session": 0, "start": 1, "stop": 2, "output": False}).content
    assert ranged["history"] == [[1, 1, "1 + 1"]]
    found = fresh.ask("history_request", {"hist_access_type": "search", "pattern": "? + ?", "n": 10, "output": False, "unique": True}).content
    assert [h[2] for h in found["history"]] == ["1 + 1", "2 + 2"]


COMM = """
import comm
log = []
def target(c, msg):
    log.append(msg['content']['data'])
    c.on_msg(lambda m: c.send({'echo': m['content']['data']}, buffers=[bytes(b)[::-1] for b in m['buffers']]))
    c.on_close(lambda m: log.append('closed'))
comm.get_comm_manager().register_target('t', target)
"""


def test_comms(fresh):
    assert fresh.run(COMM).status == "ok"
    around(fresh, "comm_open", {"comm_id": "c1", "target_name": "t", "data": {"hello": 1}})
    info = fresh.ask("comm_info_request", {"target_name": "t"}).content
    assert info["comms"] == {"c1": {"target_name": "t"}}
    assert fresh.ask("comm_info_request", {"target_name": "other"}).content["comms"] == {}
    _, messages = around(fresh, "comm_msg", {"comm_id": "c1", "data": [1]}, buffers=[b"\x00\x01\xff"])
    echo = next(m for m in messages if m.type == "comm_msg")
    assert echo.content == {"data": {"echo": [1]}, "comm_id": "c1"} and echo.buffers == [b"\xff\x01\x00"]
    around(fresh, "comm_close", {"comm_id": "c1", "data": {}})
    assert fresh.run("log").result == "[{'hello': 1}, 'closed']"


def test_comm_opened_by_a_cell(fresh):
    result = fresh.run("import comm\nc = comm.create_comm(target_name='front', data={'a': 1}, buffers=[memoryview(b'xyz')])\nc.send({'b': 2})\nc.close()")
    assert [m.type for m in result.messages if m.type.startswith("comm")] == ["comm_open", "comm_msg", "comm_close"]
    opened = result.all("comm_open")[0]
    assert opened.content["target_name"] == "front" and opened.content["data"] == {"a": 1} and opened.buffers == [b"xyz"]


def test_comm_data_is_what_clients_know(fresh):
    """Moments, sets, mappings and arrays go out as under ipykernel."""
    code = """import comm, datetime, types, collections
utc = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
naive = datetime.datetime(2026, 1, 2, 3, 4, 5)
import numpy
c = comm.create_comm(target_name='t', data={
    'utc': utc, 'naive': naive, 'date': utc.date(), 'set': {1}, 'keys': {'k': 1}.keys(), 'map': map(str, [1, 2]),
    'proxy': types.MappingProxyType({'a': 1}), 'array': numpy.arange(3), 'scalar': numpy.float64(0.5), 'b': b'x'})
naive.astimezone().isoformat()"""
    result = fresh.run(code)
    assert result.status == "ok", result.content
    data = result.all("comm_open")[0].content["data"]
    assert data == {
        "utc": "2026-01-02T03:04:05Z", "naive": result.result.strip("'").replace("+00:00", "Z"), "date": "2026-01-02", "set": [1], "keys": ["k"],
        "map": ["1", "2"], "proxy": {"a": 1}, "array": [0, 1, 2], "scalar": 0.5, "b": "eA==",
    }  # fmt: skip
    assert fresh.run("c.send({'o': object()})").error["ename"] == "TypeError"


def test_too_many_buffers_are_named(fresh):
    fresh.run("import comm\nc = comm.create_comm(target_name='t')")
    error = fresh.run("c.send({}, buffers=[b''] * 5000)").error
    assert error["ename"] == "ValueError" and "4094" in error["evalue"]
    assert fresh.run("c.send({}, buffers=[b''] * 4094)").status == "ok"


def test_endless_data_can_be_interrupted(fresh):
    mid = fresh.execute("import itertools\nprint('on it')\ndisplay({'application/json': itertools.count()}, raw=True)")
    fresh.iopub_until(lambda m: m.type == "stream")
    fresh.kernel.interrupt()
    assert fresh.reply(mid).content["ename"] == "KeyboardInterrupt"


def test_unknown_comm_target_is_closed(fresh):
    _, messages = around(fresh, "comm_open", {"comm_id": "zz", "target_name": "nobody", "data": {}})
    assert [m.content["comm_id"] for m in messages if m.type == "comm_close"] == ["zz"]


def test_comm_messages_while_a_cell_awaits(fresh):
    fresh.run("import asyncio, comm\ngot = asyncio.Event()\ncomm.get_comm_manager().register_target('w', lambda c, m: got.set())")
    waiting = fresh.execute("await got.wait()\n'woken'")
    fresh.send("comm_open", {"comm_id": "w1", "target_name": "w", "data": {}})
    assert fresh.reply(waiting).content["status"] == "ok"


def test_a_comm_callback_that_raises(fresh):
    fresh.run("import comm\ndef bad(c, m): raise ValueError('in the callback')\ncomm.get_comm_manager().register_target('bad', bad)")
    around(fresh, "comm_open", {"comm_id": "b", "target_name": "bad", "data": {}})
    assert fresh.run("1").result == "1"


def test_looking_for_comm_does_not_unbind_it(fresh):
    find = "import importlib.util\nimportlib.util.find_spec('comm') is not None"
    assert fresh.run(find).result == "True"
    result = fresh.run("import comm\nc = comm.create_comm(target_name='front')")
    assert len(result.all("comm_open")) == 1


def test_shutdown(kernel):
    client = kernel.ready_client()
    path = os.path.join(kernel.directory.name, "atexit")
    client.run(f"import atexit\natexit.register(lambda: open({path!r}, 'w').write('ran'))")
    mid = client.send("shutdown_request", {"restart": True}, channel="control")
    assert client.reply(mid, "control").content == {"status": "ok", "restart": True}
    published = client.iopub_until(lambda m: m.type == "shutdown_reply")[-1]
    assert published.content["restart"] is True
    assert kernel.wait(10) == 0
    with open(path) as file:
        assert file.read() == "ran"


def test_shutdown_in_a_busy_loop(kernel):
    client = kernel.ready_client()
    client.execute("print('go')\nwhile True: pass")
    client.iopub_until(lambda m: m.type == "stream")
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert kernel.wait(15) == 0


def test_sigterm(kernel):
    client = kernel.ready_client()
    client.run("1")
    kernel.process.terminate()
    assert kernel.wait(10) == 0
