# SPDX-License-Identifier: MIT
"""The directory and the server behind the mode "cache", under kernels: what becomes of
cells when they are missing, full, somebody else's, slow or gone."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "cache"))
SERVERS = [name for name in ("redis-server", "valkey-server") if shutil.which(name)]
needs_server = pytest.mark.skipif(not SERVERS, reason="neither redis-server nor valkey-server is installed")

# Nothing in it is kept from being cached, and it prints so that a run can be told.
CELL = "import math\ntotal = sum(math.sqrt(i) for i in range(20000))\nprint('ran')"


def what(result):
    return result.reply.metadata.get("cache", {})


@pytest.fixture
def cached(launch, tmp_path):
    def start(name="machine", **env):
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        env = {"AKERNEL_CACHE_DIR": str(home / "cache"), "XDG_STATE_HOME": str(home / "state"), "AKERNEL_CACHE_MIN_MS": "0", **env}
        kernel = launch("cache", env=env)
        client = kernel.ready_client()
        client.home = home
        return client

    return start


def entries(client):
    return [p for p in (client.home / "cache/entries").glob("*/*") if p.is_file()]


def test_hit_after_a_restart(cached):
    assert what(cached().run(CELL))["status"] == "stored"
    again = cached().run(CELL)
    assert what(again)["status"] == "hit" and again.text() == "ran\n"


def test_deleted_while_running(cached):
    client = cached()
    assert what(client.run(CELL))["status"] == "stored"
    while (client.home / "cache").exists():  # the first collection may be writing its usage
        shutil.rmtree(client.home / "cache", ignore_errors=True)
    assert what(client.run(CELL))["status"] == "stored"
    assert what(client.run(CELL))["status"] == "hit"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_somebody_elses_directory(cached, tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 12345, 12345)
    client = cached(AKERNEL_CACHE_DIR=str(tmp_path / "theirs"))
    done = client.run(CELL)
    assert done.status == "ok" and done.text() == "ran\n"
    assert what(done)["status"] == "bypass" and "somebody else" in what(done)["reason"]
    assert not os.listdir(tmp_path / "theirs")


def test_a_directory_that_cannot_be(cached):
    client = cached(AKERNEL_CACHE_DIR="/proc/nothing/here")
    done = client.run(CELL)
    assert done.status == "ok" and "cannot be made" in what(done)["reason"]
    assert "cannot be made" in client.kernel.errors()


def test_a_key_that_others_could_read(cached):
    first = cached()
    first.run(CELL)
    (first.home / "state/akernel/cache.key").chmod(0o644)
    done = cached().run(CELL)
    assert done.text() == "ran\n" and what(done)["status"] == "bypass" and "others" in what(done)["reason"]


def test_another_key_makes_other_entries(cached):
    first = cached()
    first.run(CELL)
    (first.home / "state/akernel/cache.key").write_bytes(b"k" * 32)
    assert what(cached().run(CELL))["status"] == "stored"


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_damaged_entries(cached, damage):
    client = cached()
    client.run(CELL)
    (path,) = entries(client)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes({"flip": bytes(data), "truncate": bytes(data[:-7]), "empty": b""}[damage])
    done = client.run(CELL)
    assert done.status == "ok" and done.text() == "ran\n"
    assert what(done)["status"] == "stored"
    assert what(client.run(CELL))["status"] == "hit"


def test_user_code_that_closes_descriptors_and_leaves_its_directory(cached, tmp_path):
    client = cached()
    done = client.run(f"import os\nos.closerange(100, 300)\nos.chdir({str(tmp_path)!r})")
    assert done.status == "ok"
    assert what(client.run(CELL))["status"] == "stored"
    assert what(client.run(CELL))["status"] == "hit"


def test_a_mapped_array_outlives_its_entry(cached):
    pytest.importorskip("numpy")
    code = "import numpy as np\na = np.arange(200000, dtype='f8') * 3"
    assert what(cached().run(code))["status"] == "stored"
    client = cached()
    assert what(client.run(code))["status"] == "hit"
    akernel = pathlib.Path(client.kernel.process.args[0])
    subprocess.run([akernel, "cache", "clear", "-c", client.home / "cache"], check=True, capture_output=True)
    assert entries(client) == []
    done = client.run("a[0] = 7\nprint(a[0], a[1], a.sum() == 7 + 3 * sum(range(200000)))")
    assert done.text() == "7.0 3.0 True\n"


def test_two_kernels_on_one_directory(cached):
    a, b = cached(), cached()
    for i in range(20):
        code = f"import math\nx = [math.sqrt(i) for i in range({i}, {i} + 1000)]\nprint(len(x))"
        mids = [client.execute(code) for client in (a, b)]
        for client, mid in zip((a, b), mids):
            client.until_idle(mid)
            assert client.reply(mid).content["status"] == "ok"
        assert what(a.run(code))["status"] == "hit"
    assert len(entries(a)) == 20


def test_what_is_too_much_goes(cached):
    pytest.importorskip("numpy")
    client = cached(AKERNEL_CACHE_MAX_BYTES="2M")
    client.run("import numpy as np")
    for i in range(8):
        assert client.run(f"a{i} = np.arange({i}, 60000 + {i}, dtype='f8') + 1").status == "ok"
    end = time.monotonic() + 30
    while len(entries(client)) > 4 and time.monotonic() < end:
        client.run("b = np.arange(70000, dtype='f8') - 1")
        time.sleep(0.05)
    assert len(entries(client)) <= 5
    assert client.run("print(a0[1], a7[1])").text() == "2.0 9.0\n"


def test_the_command_line_knows_the_entries(cached):
    client = cached()
    client.run(CELL)
    akernel = pathlib.Path(client.kernel.process.args[0])
    env = {**os.environ, "XDG_STATE_HOME": str(client.home / "state"), "AKERNEL_CACHE_DIR": str(client.home / "cache")}

    def cache(*args):
        return subprocess.run([akernel, "cache", *args], capture_output=True, text=True, env=env)

    assert "entries      1\n" in cache("stats").stdout
    assert "import math" in cache("list").stdout
    assert "1 entries are as they were stored, 0 are not" in cache("verify").stdout
    assert cache("clear").returncode == 0 and entries(client) == []


# --- a server ------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    from servers import Server

    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server", SERVERS[0])
    yield server
    server.stop()


@pytest.fixture
def team(tmp_path):
    (tmp_path / "team.key").write_text("0123456789abcdef" * 4)
    (tmp_path / "team.key").chmod(0o600)
    return str(tmp_path / "team.key")


@needs_server
def test_two_machines_share_hits(cached, server, team):
    pytest.importorskip("numpy")
    shared = {"AKERNEL_CACHE_URL": f"redis://127.0.0.1:{server.port}", "AKERNEL_CACHE_KEY_FILE": team}
    code = "import numpy as np\na = np.arange(300000, dtype='f8') * 2\nprint('ran')\nfloat(a[7])"
    a = cached("a", **shared)
    first = a.run(code)
    assert what(first)["status"] == "stored", what(first)
    end, status = time.monotonic() + 30, None
    for i in range(50):
        b = cached(f"b{i}", **shared)
        again = b.run(code)
        status = what(again)["status"]
        if status == "hit" or time.monotonic() > end:
            break
    assert status == "hit"
    assert again.text() == "ran\n" and again.result == first.result
    assert b.run("float(a.sum()), a.flags.writeable").result == "(89999700000.0, True)"


@needs_server
def test_a_file_that_was_read_is_looked_at_here(cached, server, team, tmp_path):
    shared = {"AKERNEL_CACHE_URL": f"redis://127.0.0.1:{server.port}", "AKERNEL_CACHE_KEY_FILE": team}
    data = tmp_path / "data.txt"
    data.write_text("1 2 3")
    code = f"import pathlib\nnumbers = pathlib.Path({str(data)!r}).read_text().split()\nprint('ran', numbers)"
    first = cached("a", **shared).run(code)
    assert what(first)["status"] == "stored", what(first)
    end, status = time.monotonic() + 30, None
    for i in range(50):
        again = cached(f"b{i}", **shared).run(code)
        status = what(again)["status"]
        if status == "hit" or time.monotonic() > end:
            break
    assert status == "hit" and again.text() == "ran ['1', '2', '3']\n"
    data.write_text("4 5 6")
    assert cached("c", **shared).run(code).text() == "ran ['4', '5', '6']\n"


def test_no_server_is_one_warning(cached):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    client = cached(AKERNEL_CACHE_URL=f"redis://127.0.0.1:{port}")
    for i in range(5):
        assert what(client.run(f"{CELL} # {i}\ny{i} = {i}"))["status"] == "stored"
        assert what(client.run(f"{CELL} # {i}\ny{i} = {i}"))["status"] == "hit"
    assert client.kernel.errors().count("cannot be reached") == 1


def test_an_address_that_makes_no_sense(cached):
    client = cached(AKERNEL_CACHE_URL="http://:sesame@example.org")
    assert what(client.run(CELL))["status"] == "stored"
    errors = client.kernel.errors()
    assert "redis://" in errors and "sesame" not in errors


@needs_server
def test_a_server_that_stalls_costs_one_short_wait(cached, server, team):
    from servers import Proxy

    proxy = Proxy(server.port)
    client = cached(AKERNEL_CACHE_URL=f"redis://127.0.0.1:{proxy.port}", AKERNEL_CACHE_KEY_FILE=team)
    assert what(client.run(CELL))["status"] == "stored"
    proxy.stalled.set()
    waits = []
    for i in range(10):
        done = client.run(f"x{i} = {i}")
        assert done.status == "ok"
        waits.append(what(done).get("load_ms", 0))
    # The first question is waited for, the others know that nobody answers.
    assert sum(wait > 100 for wait in waits) <= 1
    proxy.stalled.clear()


def test_user_children_and_waits_see_no_helper(cached, team):
    client = cached(AKERNEL_CACHE_URL="redis://127.0.0.1:1")
    code = "import os\ntry:\n    os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError:\n    print('no children')"
    assert client.run(code).text() == "no children\n"
