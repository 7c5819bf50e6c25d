# SPDX-License-Identifier: MIT
"""The cache that a team shares through a server: who sees what, and what a server that is
gone, slow, full or hostile can do (nothing but be of no use)."""

import os
import shutil
import subprocess
import time

import pytest

from servers import BUILD, SERVERS, Proxy, free_port

pytestmark = pytest.mark.skipif(not SERVERS, reason="neither redis-server nor valkey-server is installed")

# What a cell may be held up by a server, with room for a busy machine.
LIMIT_MS = 200


@pytest.mark.parametrize("program", SERVERS)
@pytest.mark.parametrize("length", [10, 70_000, 3_000_000])
def test_two_machines_share_hits(world, program, length):
    server, team = world.server(program=program), world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a, b = world.peer("a", url, team=team), world.peer("b", url, team=team)
    assert a.first == b.first == "ready"
    assert b(f"get 1 {length}") == "miss"
    assert a(f"put 1 {length}") == "stored"
    assert b.until(f"get 1 {length}", "shared") in ("shared", "local")
    assert b(f"get 1 {length}") == "local"
    assert b("warning") == a("warning") == "-"


def test_equal_buffers_travel_once(world):
    server, team = world.server(), world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a, b = world.peer("a", url, team=team), world.peer("b", url, team=team)
    a("put 1 200000")
    assert b.until("get 1 200000", "local") == "local"
    buffers = [key for key in server.keys() if ":buffer:" in key]
    a("put 1 200000")
    b("put 1 200000")
    a("put 2 10")
    assert b.until("get 2 10", "local") == "local"
    assert sorted(k for k in server.keys() if ":buffer:" in k) == sorted(buffers)


def test_variants_travel(world):
    server, team = world.server(), world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a, b = world.peer("a", url, team=team), world.peer("b", url, team=team)
    assert a("variant 1 2") == a("variant 1 3") == a("variant 4 5") == "stored"
    assert b.until("variants 1", "2") == "2"
    assert b("variants 7") == "0"


def test_what_was_offered_last_still_goes_out(world):
    server, team = world.server(), world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a = world.peer("a", url, team=team)
    a("put 1 5000000")
    assert a.stop() == 0
    b = world.peer("b", url, team=team)
    assert b.until("get 1 5000000", "local") == "local"


# --- keys and seals ------------------------------------------------------------------


def test_without_a_team_key_nobody_else_gets_hits(world):
    server = world.server()
    url = f"redis://127.0.0.1:{server.port}"
    a, stranger = world.peer("a", url), world.peer("stranger", url)
    again = world.peer("again", url, key=a.directory / "cache.key")
    a("put 1 1000")
    assert again.until("get 1 1000", "local") == "local"
    assert stranger("get 1 1000") == "miss"


def test_another_team_gets_nothing(world):
    server = world.server()
    url = f"redis://127.0.0.1:{server.port}"
    a = world.peer("a", url, team=world.team_key("one.key", "1" * 40))
    b = world.peer("b", url, team=world.team_key("two.key", "2" * 40))
    a("put 1 1000")
    a("put 2 1000")
    assert b("get 1 1000") == "miss"
    assert b("warning") == "-"


@pytest.mark.parametrize("kind", ["entry", "buffer"])
def test_what_the_server_changed_is_not_believed(world, kind):
    server, team = world.server(), world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a, b = world.peer("a", url, team=team), world.peer("b", url, team=team)
    a("put 1 200000")
    assert b.until("get 1 200000", "local") == "local"
    name = next(key for key in server.keys() if f":{kind}:" in key)
    server.cli("SETRANGE", name, "5000", "forged")
    c = world.peer("c", url, team=team)
    assert c.until("get 1 200000", "miss") == "miss"
    assert "not believed" in c.warning()
    assert name not in server.keys()
    # Who has it offers it again, and then it is whole.
    a("put 1 200000")
    d = world.peer("d", url, team=team)
    assert d.until("get 1 200000", "local") == "local"


@pytest.mark.parametrize("junk", ["", "x", "AKENTRY1" + "\xff" * 200])
def test_junk_under_a_name(world, junk):
    server, team = world.server(), world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a, b = world.peer("a", url, team=team), world.peer("b", url, team=team)
    a("put 1 1000")
    assert b.until("get 1 1000", "local") == "local"
    name = next(key for key in server.keys() if ":entry:" in key)
    server.cli("SET", name, junk.encode("latin-1"))
    c = world.peer("c", url, team=team)
    assert c("get 1 1000") == "miss"


def test_a_chunk_that_the_server_dropped(world):
    server, team = world.server(), world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a, b = world.peer("a", url, team=team), world.peer("b", url, team=team)
    a("put 1 4000000")
    assert b.until("get 1 4000000", "local") == "local"
    chunk = next(key for key in server.keys() if ":buffer:" in key and key.endswith(":2"))
    server.cli("DEL", chunk)
    c = world.peer("c", url, team=team)
    for _ in range(3):
        assert c("get 1 4000000") == "miss"
    assert c("warning") == "-"


# --- servers that are of no use ------------------------------------------------------


def test_no_server_is_one_warning_and_no_delay(world):
    a = world.peer("a", f"redis://127.0.0.1:{free_port()}", team=world.team_key())
    assert a.first == "ready"
    for i in range(20):
        assert a(f"get {i} 1000") == "miss"
        assert a.took < LIMIT_MS
        assert a(f"put {i} 1000") == "stored"
        assert a(f"get {i} 1000") == "local"
    assert "cannot be reached" in a.warning()
    assert a("warning") == "-"


def test_an_address_that_swallows_everything(world):
    # TEST-NET-1: nobody answers, and nobody refuses.
    a = world.peer("a", "redis://192.0.2.1:6379", team=world.team_key())
    for i in range(5):
        assert a(f"get {i} 1000") == "miss"
        assert a.took < LIMIT_MS
    assert "192.0.2.1" in a.warning()


def test_a_name_that_is_unknown(world):
    a = world.peer("a", "redis://no-such-host.invalid", team=world.team_key())
    assert a("get 1 1000") == "miss" and a.took < LIMIT_MS
    assert "no-such-host.invalid" in a.warning()


def test_stopped_and_started_again(world):
    server, team = world.server(), world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a, b = world.peer("a", url, team=team), world.peer("b", url, team=team)
    a("put 1 1000")
    assert b.until("get 1 1000", "local") == "local"
    server.stop()
    assert a("put 2 1000") == "stored"
    assert b("get 2 1000") == "miss" and b.took < LIMIT_MS
    assert "cannot be reached" in b.warning() and b("warning") == "-"
    server.start()
    # What was offered meanwhile waited.
    assert b.until("get 2 1000", "local", seconds=60) == "local"
    a("put 3 1000")
    assert b.until("get 3 1000", "local", seconds=60) == "local"
    assert b("warning") == "-"


def test_a_server_that_stalls(world):
    server, team = world.server(), world.team_key()
    proxy = Proxy(server.port)
    url = f"redis://127.0.0.1:{proxy.port}"
    a, b = world.peer("a", url, team=team), world.peer("b", url, team=team)
    a("put 1 1000")
    assert b.until("get 1 1000", "local") == "local"
    proxy.stalled.set()
    waited = 0
    for i in range(2, 12):
        assert b(f"get {i} 1000") == "miss"
        assert b.took < LIMIT_MS
        waited += b.took
        assert b(f"put {i} 1000") == "stored"
    # One question was waited for; the others knew.
    assert waited < 2 * LIMIT_MS
    assert "took too long" in b.warning()
    proxy.stalled.clear()
    assert a.until("get 2 1000", "local", seconds=60) == "local"


def test_a_late_answer_is_for_the_next_time(world):
    server, team = world.server(), world.team_key()
    proxy = Proxy(server.port)
    url = f"redis://127.0.0.1:{proxy.port}"
    a = world.peer("a", f"redis://127.0.0.1:{server.port}", team=team)
    b = world.peer("b", url, team=team)
    a("put 1 1000")
    assert world.peer("c", f"redis://127.0.0.1:{server.port}", team=team).until("get 1 1000", "local") == "local"
    assert b("get 7 1000") == "miss"
    proxy.stalled.set()
    assert b("get 1 1000") == "miss" and b.took < LIMIT_MS
    proxy.stalled.clear()
    assert b.until("get 1 1000", "local", seconds=60) == "local"


def test_a_full_server(world):
    server = world.server("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    team = world.team_key()
    url = f"redis://127.0.0.1:{server.port}"
    a = world.peer("a", url, team=team)
    a("put 1 9000000")
    assert "OOM" in a.warning()
    assert a("get 1 9000000") == "local"


def test_passwords(world):
    server, team = world.server("--requirepass", "sesame @/%"), world.team_key()
    at = f"127.0.0.1:{server.port}"
    a = world.peer("a", f"redis://:sesame%20%40%2F%25@{at}", team=team)
    b = world.peer("b", f"redis://default:sesame%20%40%2F%25@{at}", team=team)
    a("put 1 1000")
    assert b.until("get 1 1000", "local") == "local"
    for name, credentials in (("wrong", ":guess@"), ("none", ""), ("nobody", "nobody:sesame@")):
        c = world.peer(name, f"redis://{credentials}{at}", team=team)
        assert c("get 1 1000") == "miss" and c.took < LIMIT_MS
        text = c.warning()
        assert ("WRONGPASS" in text or "NOAUTH" in text) and "sesame" not in text and "guess" not in text


def test_databases(world):
    server, team = world.server(), world.team_key()
    at = f"redis://127.0.0.1:{server.port}"
    a, b = world.peer("a", f"{at}/3", team=team), world.peer("b", f"{at}/3", team=team)
    other = world.peer("other", f"{at}/4", team=team)
    a("put 1 1000")
    assert b.until("get 1 1000", "local") == "local"
    assert other("get 1 1000") == "miss"
    beyond = world.peer("beyond", f"{at}/99", team=team)
    assert "DB index" in beyond.warning()


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_tls(world):
    tls, team = world.certificates(), world.team_key()
    server = world.server(tls=tls)
    trusted = {"SSL_CERT_FILE": str(tls / "ca.crt")}
    a = world.peer("a", f"rediss://127.0.0.1:{server.port}", team=team, env=trusted)
    b = world.peer("b", f"rediss://localhost:{server.port}", team=team, env=trusted)
    a("put 1 3000000")
    assert b.until("get 1 3000000", "local") == "local"
    # A certificate of somebody, one for another name, and plain words to a TLS port.
    c = world.peer("c", f"rediss://127.0.0.1:{server.port}", team=team)
    assert c("get 1 3000000") == "miss"
    assert "certificate" in c.warning()
    d = world.peer("d", f"rediss://127.0.0.2:{server.port}", team=team, env=trusted)
    assert d("get 1 3000000") == "miss"
    assert "certificate" in d.warning() or "refused" in d.warning()
    e = world.peer("e", f"redis://127.0.0.1:{server.port}", team=team)
    assert e("get 1 3000000") == "miss"
    assert e.warning()


def test_addresses_and_keys_that_make_no_sense(world):
    team = world.team_key()
    assert "redis://" in world.peer("a", "http://example.org", team=team).first
    assert "redis://" in world.peer("b", "redis://:sesame@", team=team).first
    team.chmod(0o644)
    assert "chmod" in world.peer("c", "redis://127.0.0.1", team=team).first


# --- processes -----------------------------------------------------------------------


def helpers(world):
    """Helper processes of the build that is tested; the difference is a test's own."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            program = os.readlink(f"/proc/{pid}/exe")
            command = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if program == str(BUILD / "src/akernel-cache") and command.endswith("serve\0"):
            found.append(int(pid))
    return set(found)


def test_the_helper_ends_with_its_worker(world):
    before = helpers(world)
    a = world.peer("a", f"redis://127.0.0.1:{free_port()}", team=world.team_key())
    a("get 1 1")
    own = helpers(world) - before
    assert own
    a.process.kill()
    a.process.wait()
    end = time.monotonic() + 20
    while helpers(world) & own and time.monotonic() < end:
        time.sleep(0.05)
    assert not helpers(world) & own


def test_a_helper_that_dies_is_one_warning(world):
    before = helpers(world)
    a = world.peer("a", f"redis://127.0.0.1:{free_port()}", team=world.team_key())
    a("get 1 1")
    assert "cannot be reached" in a.warning()
    for pid in helpers(world) - before:
        os.kill(pid, 9)
    assert "ended" in a.warning()
    for i in range(3):
        assert a(f"put {i} 100") == "stored" and a(f"get {i} 100") == "local"
        assert a(f"get {i + 10} 100") == "miss" and a.took < LIMIT_MS
    assert a("warning") == "-"


def test_two_machines_that_are_network_namespaces(world):
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode or not shutil.which("ip"):
        pytest.skip("network namespaces are not allowed here, or ip (iproute2) is not installed")
    ns = [f"akt{os.getpid()}{i}" for i in range(2)]

    def ip(*args):
        subprocess.run(["ip", *args], check=True, capture_output=True)

    try:
        for i, name in enumerate(ns):
            try:
                ip("netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"a network namespace cannot be named here: {error.stderr.decode().strip()}")
            ip("link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("addr", "add", f"10.254.{7 + i}.1/24", "dev", f"{name}v")
            ip("link", "set", f"{name}v", "up")
            ip("-n", name, "addr", "add", f"10.254.{7 + i}.2/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        server = world.server("--bind", "0.0.0.0", "--protected-mode", "no")
        team = world.team_key()
        a, b = (
            world.peer(f"m{i}", f"redis://10.254.{7 + i}.1:{server.port}", team=team, netns=["ip", "netns", "exec", name])
            for i, name in enumerate(ns)
        )
        a("put 1 2000000")
        assert b.until("get 1 2000000", "local") == "local"
        b("put 2 1000")
        assert a.until("get 2 1000", "local") == "local"
    finally:
        for thing in world.made:
            thing.stop()
        for name in ns:
            subprocess.run(["ip", "link", "del", f"{name}v"], capture_output=True)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
