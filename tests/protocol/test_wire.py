# SPDX-License-Identifier: MIT
"""The wire: connection files, signatures, nonsense, Curve, heartbeat, welcome."""

import json
import os
import signal
import stat
import subprocess
import sys

import pytest
import zmq
from wire import DELIMITER, PORTS, Client, free_ports


def alive(client):
    assert client.run("6 * 7").result == "42"


# --- connection files


@pytest.mark.parametrize(
    "change,word",
    [
        ({"key": None}, "key"),
        ({"shell_port": "x"}, "shell_port"),
        ({"shell_port": 70000}, "shell_port"),
        ({"transport": "carrier pigeon"}, "transport"),
        ({"signature_scheme": "hmac-md5"}, "signature_scheme"),
        ({"curve_publickey": "short", "curve_secretkey": "short"}, "curve_publickey"),
        ({"curve_publickey": "#" * 40, "curve_secretkey": "#" * 40}, "curve_publickey"),
        ({"curve_publickey": "0" * 40, "curve_secretkey": "1" * 40}, "curve_publickey"),
    ],
)
def test_bad_connection_files(launch, change, word):
    kernel = launch(connection=change)
    assert kernel.wait() != 0
    assert word in kernel.errors()


def test_missing_key_in_the_file(launch, argv, tmp_path):
    file = tmp_path / "c.json"
    for text, word in (("{}", "key"), ("{", "JSON"), ("[]", "object"), ("", "JSON")):
        file.write_text(text)
        done = subprocess.run([a.replace("{connection_file}", str(file)) for a in argv], capture_output=True, text=True)
        assert done.returncode != 0 and word in done.stderr


def test_no_connection_file(argv):
    done = subprocess.run([a.replace("{connection_file}", "/nonexistent/c.json") for a in argv], capture_output=True, text=True)
    assert done.returncode != 0 and "/nonexistent/c.json" in done.stderr
    done = subprocess.run([argv[0], "launch"], capture_output=True, text=True)
    assert done.returncode != 0 and "-f" in done.stderr


def test_busy_port(launch):
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        kernel = launch(connection={"shell_port": holder.getsockname()[1]})
        assert kernel.wait() != 0
        assert "shell_port" in kernel.errors()


def test_ports_are_picked_and_written_back(launch):
    kernel = launch(connection={port: 0 for port in PORTS} | {"unknown_member": [1]})
    while True:
        with open(kernel.file) as file:
            info = json.load(file)
        if all(info[port] for port in PORTS):
            break
        assert kernel.process.poll() is None
    assert info["unknown_member"] == [1]
    assert stat.S_IMODE(os.stat(kernel.file).st_mode) == 0o600
    kernel.info.update(info)
    alive(kernel.ready_client())


def test_a_readable_file_is_warned_about(launch):
    kernel = launch(file_mode=0o644)
    alive(kernel.ready_client())
    assert "can be read by others" in kernel.errors()


def test_ipc(launch, tmp_path):
    kernel = launch(connection={"transport": "ipc", "ip": str(tmp_path / "s")} | {p: i + 1 for i, p in enumerate(PORTS)})
    client = kernel.ready_client()
    alive(client)
    client.ask("shutdown_request", {"restart": False}, channel="control")
    assert kernel.wait(10) == 0
    assert list(tmp_path.iterdir()) == []


def test_other_address(launch):
    kernel = launch(connection={"ip": "127.0.0.2"})
    alive(kernel.ready_client())


def test_unknown_arguments_are_ignored(launch):
    alive(launch(extra=["--HistoryManager.hist_file=:memory:", "--profile-dir", "/x"]).ready_client())


def test_the_other_spelling_of_f(argv, launch):
    from wire import Kernel

    command = [a for a in argv if a not in ("-f", "{connection_file}")] + ["--f={connection_file}"]
    with Kernel(command) as kernel:
        alive(kernel.ready_client())


def test_unknown_mode(argv):
    for mode in ("nonsense", "chained-concurrent"):
        done = subprocess.run([argv[0], "launch", mode, "-f", "x"], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr


# --- signatures


def test_signatures(shared_kernel, client):
    good = client.frames(client.header("kernel_info_request"), {})
    unsigned = [DELIMITER, b"", *good[2:]]
    wrong = [DELIMITER, b"0" * 64, *client.frames(client.header("kernel_info_request"), {})[2:]]
    for frames in (unsigned, wrong):
        client.sockets["shell"].send_multipart(frames)
    client.sockets["shell"].send_multipart(good)
    client.sockets["shell"].send_multipart(good)
    replies = []
    mid = client.send("kernel_info_request", {})
    while not replies or replies[-1].parent["msg_id"] != mid:
        replies.append(client.receive("shell"))
    assert len(replies) == 2


def test_replies_are_signed_and_unique(client):
    import hashlib
    import hmac

    result = client.run("print(1)\n2")
    ids = set()
    for m in [*result.messages, result.reply]:
        mac = hmac.new(client.key, b"".join(m.raw), hashlib.sha256).hexdigest()
        assert m.signature == mac.encode()
        assert m.header["version"] == "5.5" and m.header["date"].endswith("Z")
        ids.add(m.header["msg_id"])
    assert len(ids) == len(result.messages) + 1
    assert len({m.header["session"] for m in [*result.messages, result.reply]}) == 1


def test_empty_key(launch):
    client = launch(key="").ready_client()
    result = client.run("1")
    assert result.reply.signature == b"" and result.result == "1"


def test_parent_header_comes_back_unchanged(client):
    mid = client.send("kernel_info_request", {}, strange=["ünï", {"a": None}], subshell_id=None)
    assert client.reply(mid).parent["strange"] == ["ünï", {"a": None}]


# --- nonsense


def test_malformed_messages(shared_kernel, client):
    send = client.sockets["shell"].send_multipart
    send([b"garbage"])
    send([DELIMITER])
    send([DELIMITER, b"", b"{}"])
    send([b"x"] * 100)
    for header in (b"[]", b"{", b"\xff\xfe", b"{}", b'{"msg_id": 5}', b'{"msg_id": "a", "msg_type": "b"}', b"x" * 100000):
        parts = [header, b"{}", b"{}", b"{}"]
        send([DELIMITER, client.sign(parts), *parts])
    deep = b"[" * 100000 + b"]" * 100000
    parts = [b'{"msg_id": ' + deep + b"}", b"{}", b"{}", b"{}"]
    send([DELIMITER, client.sign(parts), *parts])
    header = client.header("execute_request")
    client.sockets["shell"].send_multipart(client.frames(header, deep))
    client.until_idle(header["msg_id"])
    for channel in ("control", "stdin"):
        client.sockets[channel].send_multipart([b"nonsense", b"more"])
    client.sockets["iopub"].subscribe(b"\xff\xfe not utf-8")
    alive(client)


def test_flood_of_garbage(shared_kernel, client):
    for i in range(20000):
        client.sockets["shell"].send_multipart([b"garbage", str(i).encode()])
    alive(client)
    assert shared_kernel.errors().count("dropped") < 10


def test_huge_content_is_refused_or_answered(client):
    result = client.run("len('" + "x" * (20 << 20) + "')")
    assert result.result == str(20 << 20)


def test_many_buffers(client):
    client.send("comm_msg", {"comm_id": "none", "data": {}}, buffers=[b"b"] * 3000)
    client.send("comm_msg", {"comm_id": "none", "data": {}}, buffers=[b"b"] * 5000)
    alive(client)


# --- sockets


def test_iopub_welcome(kernel):
    client = kernel.client()
    welcome = client.iopub_until(lambda m: m.type == "iopub_welcome")[-1]
    assert welcome.content == {"subscription": ""} and welcome.parent == {}
    late = kernel.client()
    assert late.iopub_until(lambda m: m.type == "iopub_welcome")
    assert welcome.header["session"] == client.ask("kernel_info_request", {}).header["session"]


def test_heartbeat_and_control_in_a_busy_loop(fresh):
    mid = fresh.execute("print('go')\nwhile True: pass")
    fresh.iopub_until(lambda m: m.type == "stream")
    for i in range(100):
        fresh.sockets["hb"].send(str(i).encode())
        assert fresh.sockets["hb"].recv() == str(i).encode()
    assert fresh.ask("kernel_info_request", {}, channel="control").content["status"] == "ok"
    fresh.kernel.interrupt()
    fresh.reply(mid)


def test_answers_while_the_worker_is_stopped(fresh):
    pid = fresh.kernel.worker_pid()
    os.kill(pid, signal.SIGSTOP)
    fresh.sockets["hb"].send(b"x")
    assert fresh.sockets["hb"].recv() == b"x"
    assert fresh.ask("usage_request", {}, channel="control").content["pid"] == pid
    os.kill(pid, signal.SIGCONT)
    alive(fresh)


def test_curve(launch):
    if not zmq.has("curve"):
        pytest.skip("this pyzmq was built without Curve")
    public, secret = zmq.curve_keypair()
    kernel = launch(connection={"curve_publickey": public.decode(), "curve_secretkey": secret.decode()})
    mine = zmq.curve_keypair()
    client = Client(kernel, curve=(public, *mine))
    kernel.clients.append(client)
    client.subscribe_all()
    alive(client)
    client.sockets["hb"].send(b"x")
    assert client.sockets["hb"].recv() == b"x"
    plain = kernel.client()
    plain.send("kernel_info_request", {})
    assert not plain.sockets["shell"].poll(300)


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_handshake(launch, ip):
    import hashlib
    import hmac

    context = zmq.Context.instance()
    server = context.socket(zmq.ROUTER)
    server.ipv6 = ":" in ip
    port = server.bind_to_random_port(f"tcp://[{ip}]" if ":" in ip else f"tcp://{ip}")
    kernel = launch(connection={"registration_ip": ip, "registration_port": port} | {p: 0 for p in PORTS})
    identity, delimiter, signature, content = server.recv_multipart()
    assert delimiter == DELIMITER
    assert signature == hmac.new(b"a-key", content, hashlib.sha256).hexdigest().encode()
    kernel.info.update({k: v for k, v in json.loads(content).items() if k in PORTS})
    answer = b'{"status": "ok"}'
    server.send_multipart([identity, DELIMITER, hmac.new(b"a-key", answer, hashlib.sha256).hexdigest().encode(), answer])
    alive(kernel.ready_client())
    server.close(0)


def test_dies_with_its_parent(argv, tmp_path):
    """The watched process is not the kernel's own parent: launchers put shells between."""
    from wire import Kernel

    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with Kernel(argv, env={"JPY_PARENT_PID": str(parent.pid)}) as kernel:
        client = kernel.ready_client()
        worker = kernel.worker_pid()
        alive(client)
        parent.stdin.close()
        parent.wait()
        assert kernel.wait(20) is not None
        assert not os.path.exists(f"/proc/{worker}") or open(f"/proc/{worker}/stat").read().split(")")[1].split()[0] == "Z"


def test_a_slow_subscriber_does_not_stop_the_kernel(fresh):
    """A client that never reads iopub: the kernel goes on, and says what it dropped."""
    lazy = fresh.context.socket(zmq.SUB)
    lazy.rcvhwm = 10
    lazy.setsockopt(zmq.RCVBUF, 4096)
    lazy.subscribe(b"")
    lazy.connect(Client.address(fresh.kernel.info, fresh.kernel.info["iopub_port"]))
    fresh.iopub_until(lambda m: m.type == "iopub_welcome")
    mid = fresh.execute("for i in range(12000):\n    display({'text/plain': 'x' * 2000}, raw=True)")
    assert fresh.reply(mid, timeout=60).content["status"] == "ok"
    lazy.close(0)
    mid = fresh.execute("7")
    assert fresh.reply(mid).content["status"] == "ok"


def test_null_means_absent(launch):
    kernel = launch(connection={"kernel_name": None, "kernel_id": None, "registration_ip": None})
    alive(kernel.ready_client())


def test_parallel_starts(launch):
    kernels = [launch() for _ in range(5)]
    for kernel in kernels:
        alive(kernel.ready_client())


def test_free_ports_are_free():
    assert len(set(free_ports(5))) == 5


@pytest.mark.unsanitized("ASan has to be in the program, which is a plain python here")
def test_the_worker_as_an_extension(launch):
    """What a Python of another build of the same minor version gets."""
    client = launch(extra=["--extension"]).ready_client()
    assert client.run("import sys\nsorted(n for n in globals() if n[0] not in '_IO'), sys.argv").result == "(['sys'], [''])"
    alive(client)
    client.ask("shutdown_request", {"restart": False}, channel="control")
    assert client.kernel.wait(10) == 0
