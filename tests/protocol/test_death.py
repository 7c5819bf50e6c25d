# SPDX-License-Identifier: MIT
"""When Python dies: nothing that it said is lost, and everybody is told."""

import os
import signal

import pytest

DEATHS = {
    "SIGSEGV": ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    "SIGABRT": ("os.abort()", "SIGABRT"),
    "SIGTERM": ("signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGTERM)", "SIGTERM"),
    "_exit": ("os._exit(7)", "exit code 7"),
    "null pointer": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "C stack": ("import sys, threading\nsys.setrecursionlimit(10**9)\ndef f(x): return f(x) + 1\nimport ctypes\n"
                "cb = ctypes.CFUNCTYPE(None)\ndef g(): cb(g)()\ng()", "SIGSEGV"),
}


@pytest.mark.parametrize("name", DEATHS)
def test_death(kernel, name):
    code, cause = DEATHS[name]
    client = kernel.ready_client()
    mid = client.execute(f"import os, signal\nprint('last ' * 1000)\nos.write(2, b'words\\n')\n{code}")
    queued = client.execute("print('never')")
    messages = client.until_idle(mid)
    text = "".join(m.content["text"] for m in messages if m.type == "stream")
    assert "last " * 1000 in text and "words" in text
    error = next(m for m in messages if m.type == "error").content
    assert cause in error["evalue"]
    if cause in ("SIGSEGV", "SIGABRT"):
        assert "File" in error["evalue"]
    replies = {}
    while len(replies) < 2:
        message = client.receive("shell")
        replies[message.parent["msg_id"]] = message.content["status"]
    assert replies == {mid: "error", queued: "aborted"}
    assert kernel.wait(10) != 0


def test_death_while_a_thread_writes(kernel):
    client = kernel.ready_client()
    mid = client.execute(
        "import threading, os, signal, time\n"
        "def write():\n    i = 0\n    while True:\n        print('line', i)\n        i += 1\n"
        "threading.Thread(target=write, daemon=True).start()\ntime.sleep(0.2)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    text = "".join(m.content["text"] for m in client.until_idle(mid) if m.type == "stream")
    lines = text.split("\n")
    assert len(lines) > 10
    assert all(line == f"line {i}" for i, line in enumerate(lines[:-1]))


def test_respawn(launch):
    kernel = launch(extra=["--respawn"])
    client = kernel.ready_client()
    client.run("x = 1")
    mid = client.execute("import os\nprint('bye')\nos._exit(1)")
    states = []
    client.iopub_until(lambda m: m.type == "status" and states.append(m.content["execution_state"]) is None and "starting" in states)
    assert states.count("restarting") == 1
    assert client.reply(mid).content["status"] == "error"
    after = client.run("'x' in globals()")
    assert after.result == "False" and after.content["execution_count"] == 1
    assert after.reply.header["session"] == client.ask("kernel_info_request", {}).header["session"]


def test_no_process_is_left(kernel):
    client = kernel.ready_client()
    client.run("import subprocess, os\np = subprocess.Popen(['sleep', '1000'])\nq = subprocess.Popen(['sleep', '1000'], start_new_session=False)")
    group = int(client.run("os.getpgid(0)").result)
    os.kill(kernel.process.pid, signal.SIGKILL)
    kernel.wait()
    deadline = 200
    while deadline and members(group):
        deadline -= 1
        os.sched_yield()
        select_for(0.05)
    assert not members(group)


def select_for(seconds):
    import select

    select.select([], [], [], seconds)


def members(group):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(pid))
    return found


def test_children_end_with_an_orderly_shutdown(kernel):
    client = kernel.ready_client()
    client.run("import subprocess, os\np = subprocess.Popen(['sleep', '1000'])")
    group = int(client.run("os.getpgid(0)").result)
    client.ask("shutdown_request", {"restart": False}, channel="control")
    assert kernel.wait(10) == 0
    assert not members(group)


def test_a_python_that_is_gone(argv):
    import subprocess

    command = [argv[0], "launch", "--python", "/nonexistent/bin/python", "-f", "x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "/nonexistent/bin/python" in done.stderr


@pytest.mark.parametrize(
    "change,word",
    [
        (lambda argv: [*argv[: argv.index("--python-version") + 1], "3.11.99", *argv[argv.index("--python-version") + 2 :]], "3.11.99"),
        (lambda argv: ["env", "AKERNEL_WORKER=/bin/false", *argv], "before Python had started"),
        (lambda argv: ["env", "AKERNEL_WORKER=/nonexistent", *argv], "before Python had started"),
    ],
)
def test_a_python_that_does_not_start(argv, change, word):
    from wire import Kernel

    with Kernel(change(argv)) as kernel:
        client = kernel.client()
        content = client.reply(client.execute("1")).content
        assert content["status"] == "error" and content["ename"] == "KernelStartError"
        assert word in content["evalue"]
        assert kernel.wait(20) == 1
        assert word in kernel.errors()
