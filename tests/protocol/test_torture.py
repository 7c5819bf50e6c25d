# SPDX-License-Identifier: MIT
"""Cells that do to their process what no cell should. No process, byte or reply is lost."""

import os
import signal

import pytest


def alive(client):
    result = client.run("print('alive')\n1")
    assert result.result == "1" and result.text() == "alive\n"


def test_a_fork_that_returns(fresh):
    result = fresh.run("import os\npid = os.fork()\nprint('child' if pid == 0 else 'parent')\nif pid: os.waitpid(pid, 0)\n'value'")
    assert sorted(result.text().split()) == ["child", "parent"]
    assert result.result == "'value'"
    alive(fresh)


def test_a_fork_that_raises(fresh):
    result = fresh.run("import os\npid = os.fork()\nif pid == 0: 1/0\n_ = os.waitpid(pid, 0)")
    assert "ZeroDivisionError" in result.text("stderr")
    alive(fresh)


def test_a_fork_that_awaits(fresh):
    result = fresh.run("import os, asyncio\npid = os.fork()\nif pid == 0: await asyncio.sleep(0)\n_ = os.waitpid(pid, 0)\n'done'")
    assert result.result == "'done'"
    alive(fresh)


def test_a_fork_in_a_child_task(fresh):
    code = "import os, asyncio\nasync def f():\n    pid = os.fork()\n    await asyncio.sleep(0)\n    return pid\npid = await asyncio.create_task(f())\npid > 0"
    result = fresh.run(code)
    assert result.result == "True"
    alive(fresh)


def test_many_forks_that_print(fresh):
    code = "import os\npids = []\nfor i in range(50):\n    pid = os.fork()\n    if pid == 0:\n        print('child', i)\n        os._exit(0)\n    pids.append(pid)\nfor p in pids: _ = os.waitpid(p, 0)\nprint('done')"
    result = fresh.run(code)
    assert sorted(result.text().splitlines()) == sorted([f"child {i}" for i in range(50)] + ["done"])
    alive(fresh)


def test_display_in_a_fork(fresh):
    result = fresh.run("import os\npid = os.fork()\nif pid == 0:\n    try: display(1)\n    except RuntimeError as e: print('refused', e)\n    os._exit(0)\n_ = os.waitpid(pid, 0)")
    assert "refused" in result.text() and not result.all("display_data")
    result = fresh.run("pid = os.fork()\nif pid == 0:\n    try: input()\n    except EOFError: print('EOF')\n    os._exit(0)\n_ = os.waitpid(pid, 0)", allow_stdin=True)
    assert "EOF" in result.text()
    alive(fresh)


def test_closing_1_and_2(fresh):
    fresh.run("import os\nos.close(1); os.close(2)")
    alive(fresh)


def test_closing_3_to_255(fresh):
    fresh.run("import os\nos.closerange(3, 256)")
    alive(fresh)
    assert fresh.run("import asyncio\nawait asyncio.sleep(0.01, 'awaited')").result == "'awaited'"


def test_exec(kernel):
    client = kernel.ready_client()
    mid = client.execute("import os\nprint('before')\nos.execvp('echo', ['echo', 'from another program'])")
    messages = client.until_idle(mid)
    text = "".join(m.content["text"] for m in messages if m.type == "stream")
    assert "before" in text and "from another program" in text
    assert client.reply(mid).content["status"] == "error"
    assert kernel.wait(10) != 0


def test_stopping_itself(fresh):
    pid = fresh.kernel.worker_pid()
    mid = fresh.execute("import os, signal\nprint('stopping')\nos.kill(os.getpid(), signal.SIGSTOP)\nprint('going on')")
    fresh.iopub_until(lambda m: m.type == "stream")
    fresh.sockets["hb"].send(b"x")
    assert fresh.sockets["hb"].recv() == b"x"
    while fresh.reply_or_none(mid) is None:
        os.kill(pid, signal.SIGCONT)
    alive(fresh)


def test_changing_the_group(fresh):
    fresh.run("import os\ntry: os.setsid()\nexcept OSError: pass")
    alive(fresh)


EXTENSION = pytest.param("extension", marks=pytest.mark.unsanitized("ASan has to be in the program, which is a plain python here"))


@pytest.mark.parametrize("form", ["embedded", EXTENSION])
def test_output_in_atexit_and_del(launch, form):
    kernel = launch(extra=["--extension"] if form == "extension" else [])
    client = kernel.ready_client()
    mid = client.execute("import atexit\nclass D:\n    def __del__(self): print('deleted')\nd = D()\natexit.register(print, 'at exit')")
    client.reply(mid)
    client.send("shutdown_request", {"restart": False}, channel="control")
    seen = ""
    while "at exit" not in seen:
        seen += client.iopub_until(lambda m: m.type == "stream")[-1].content["text"]
    assert kernel.wait(10) == 0


def test_print_from_del_and_signal_handlers(fresh):
    result = fresh.run(
        "import gc, signal\nclass D:\n    def __del__(self): print('d' * 100)\n"
        "for i in range(2000):\n    print('x' * 1000, end='')\n    D()\nprint()"
    )
    assert result.text().count("d") == 200000 and result.text().count("x") == 2000000
    alive(fresh)


@pytest.mark.unsanitized("ASan reserves terabytes of address space, and ends the process where memory is short")
def test_memory_limit(fresh):
    result = fresh.run("import resource\nresource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))\nb = bytearray(8 << 30)")
    assert result.error["ename"] == "MemoryError"
    alive(fresh)


@pytest.mark.parametrize(
    "limit,word",
    [
        ("import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, -1))", "File too large"),
        ("import os\nheld = []\ntry:\n    while True: held.append(os.dup(0))\nexcept OSError: pass", "Too many open files"),
    ],
)
def test_system_limits_are_named(fresh, limit, word):
    """A display that is too big for the seam's socket needs a file; small ones go on."""
    fresh.run(limit)
    error = fresh.run("display({'text/plain': 'x' * (1 << 20)}, raw=True)", stop_on_error=False).error
    assert error["ename"] == "OSError" and word in error["evalue"]
    alive(fresh)


def test_replaced_streams(fresh):
    fresh.run("import sys\nsys.stdout = None")
    fresh.run("import sys\nsys.stderr = 5\nimport builtins\ndel builtins.display")
    result = fresh.run("import sys\nsys.stdout = sys.__stdout__ or open('/dev/null', 'w')\n1/0", stop_on_error=False)
    assert result.error["ename"] == "ZeroDivisionError"
    assert fresh.run("2").result == "2"


def test_hostile_namespace(fresh):
    for code in ("globals().clear()", "import builtins\nbuiltins.__dict__.pop('compile')", "import sys\nsys.modules.clear()"):
        fresh.run(code, stop_on_error=False)
        assert fresh.run("1 + 1", stop_on_error=False).status in ("ok", "error")
    fresh.sockets["hb"].send(b"x")
    assert fresh.sockets["hb"].recv() == b"x"


def test_stopping_the_loop(fresh):
    fresh.run("import asyncio\nasyncio.get_running_loop().stop()")
    alive(fresh)
    fresh.run("asyncio.get_event_loop().close()", stop_on_error=False)
    alive(fresh)


def test_system_exit_everywhere(fresh):
    fresh.run("import asyncio, sys\nasync def quit(): sys.exit(1)\nasyncio.create_task(quit());")
    alive(fresh)
    fresh.run("asyncio.get_running_loop().call_soon(sys.exit, 2);")
    alive(fresh)
    fresh.run("def kb(): raise KeyboardInterrupt\nasyncio.get_running_loop().call_soon(kb);")
    alive(fresh)


def test_memory_stays_flat(fresh):
    fresh.run("import gc\nclass Big: pass")
    for _ in range(200):
        fresh.run("x = Big()")
    gc = fresh.run("gc.collect()\nlen(gc.get_objects())").result
    for _ in range(500):
        fresh.run("x = Big();")
    after = fresh.run("gc.collect()\nlen(gc.get_objects())").result
    assert int(after) - int(gc) < 500 * 8


def test_closing_everything(kernel):
    client = kernel.ready_client()
    mid = client.execute("import os\nprint('before')\nos.closerange(3, 4096)\nwhile True: pass")
    messages = client.until_idle(mid)
    assert "descriptors" in next(m for m in messages if m.type == "error").content["evalue"]
    assert client.reply(mid).content["status"] == "error"
    assert kernel.wait(10) != 0


def test_death_with_sigchld_ignored(argv):
    """Some launchers ignore SIGCHLD, and their children inherit it."""
    from wire import Kernel

    shell = ["sh", "-c", "trap '' CHLD; exec \"$@\"", "sh", *argv]
    with Kernel(shell) as kernel:
        client = kernel.ready_client()
        mid = client.execute("import os\nos._exit(3)")
        assert client.reply(mid).content["status"] == "error"
        assert kernel.wait(10) == 3
