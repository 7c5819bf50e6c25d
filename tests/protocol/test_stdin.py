# SPDX-License-Identifier: MIT
"""input(), getpass() and ainput(): questions to the front end."""

import pytest


def ask(client, code, value, with_parent=True):
    mid = client.execute(code, allow_stdin=True)
    request = client.receive("stdin")
    assert request.type == "input_request"
    assert request.parent["msg_id"] == mid
    client.send("input_reply", {"value": value}, channel="stdin", parent=request.header if with_parent else None)
    return request, mid


def result_of(client, mid):
    messages = client.until_idle(mid)
    client.reply(mid)
    return [m.content["data"]["text/plain"] for m in messages if m.type == "execute_result"]


@pytest.mark.parametrize("with_parent", [True, False])
def test_input(client, with_parent):
    request, mid = ask(client, "input('name? ')", "Ada", with_parent)
    assert request.content == {"prompt": "name? ", "password": False}
    assert result_of(client, mid) == ["'Ada'"]


@pytest.mark.parametrize("value", ["", "two\nlines", "ünï ☃", "x" * 200000])
def test_values(client, value):
    _, mid = ask(client, "v = input()\nlen(v), hash(v) == hash(input.__class__ and v)", value)
    assert result_of(client, mid) == [f"({len(value)}, True)"]


def test_getpass(client):
    request, mid = ask(client, "import getpass\ngetpass.getpass('secret: ')", "s3")
    assert request.content == {"prompt": "secret: ", "password": True}
    assert result_of(client, mid) == ["'s3'"]


def test_ainput_lets_others_run(fresh):
    mid = fresh.execute("await ainput('later? ')", allow_stdin=True)
    request = fresh.receive("stdin")
    assert fresh.run("'meanwhile'").result == "'meanwhile'"
    fresh.send("input_reply", {"value": "yes"}, channel="stdin", parent=request.header)
    assert result_of(fresh, mid) == ["'yes'"]


def test_eof(client):
    mid = client.execute("input()", allow_stdin=True)
    request = client.receive("stdin")
    client.send("input_reply", {"value": "\x04"}, channel="stdin", parent=request.header)
    assert client.reply(mid).content["ename"] == "EOFError"


def test_refused_when_not_allowed(client):
    result = client.run("input()")
    assert result.error["ename"] == "StdinNotImplementedError"


def test_in_a_thread(fresh):
    _, mid = ask(
        fresh,
        "import threading\nanswers = []\nt = threading.Thread(target=lambda: answers.append(input('t')))\nt.start(); t.join()\nanswers",
        "from a thread",
    )
    assert result_of(fresh, mid) == ["['from a thread']"]


def test_goes_to_the_client_that_asked(shared_kernel):
    one, two = shared_kernel.ready_client(), shared_kernel.ready_client()
    mid = one.execute("input('for one')", allow_stdin=True)
    request = one.receive("stdin")
    assert not two.sockets["stdin"].poll(100)
    one.send("input_reply", {"value": "1"}, channel="stdin", parent=request.header)
    assert one.reply(mid).content["status"] == "ok"


def test_nonsense_answers(fresh):
    mid = fresh.execute("input('real')", allow_stdin=True)
    request = fresh.receive("stdin")
    fresh.send("input_reply", {"value": "x"}, channel="stdin", parent={"msg_id": "unknown"})
    fresh.send("something_else", {"value": "x"}, channel="stdin", parent=request.header)
    fresh.send("input_reply", {"value": "right"}, channel="stdin", parent=request.header)
    assert result_of(fresh, mid) == ["'right'"]
