# SPDX-License-Identifier: MIT
"""A kernel process and clients on raw pyzmq: every frame as a test wants it."""

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import zmq

DELIMITER = b"<IDS|MSG>"
PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
TIMEOUT = 30


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Message:
    def __init__(self, frames):
        at = frames.index(DELIMITER)
        self.identities = frames[:at]
        self.signature = frames[at + 1]
        self.raw = frames[at + 2 : at + 6]
        self.header, self.parent, self.metadata, self.content = map(json.loads, self.raw)
        self.buffers = frames[at + 6 :]
        self.type = self.header["msg_type"]

    def __repr__(self):
        return f"<{self.type} {self.content}>"


class Kernel:
    """A kernel from an argv with {connection_file}, with a connection file of its own."""

    def __init__(self, argv, key="a-key", env=None, connection=None, file_mode=0o600, cwd=None):
        self.directory = tempfile.TemporaryDirectory(prefix="akernel-test-")
        self.file = os.path.join(self.directory.name, "connection.json")
        self.info = {"ip": "127.0.0.1", "transport": "tcp", "key": key, "signature_scheme": "hmac-sha256"}
        self.info.update(zip(PORTS, free_ports(5)))
        self.info.update(connection or {})
        with open(self.file, "w") as file:
            json.dump(self.info, file)
        os.chmod(self.file, file_mode)
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [a.replace("{connection_file}", self.file) for a in argv],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.stderr,
            start_new_session=True,
        )
        self.clients = []

    def client(self, **kwargs):
        client = Client(self, **kwargs)
        self.clients.append(client)
        return client

    def ready_client(self, **kwargs):
        client = self.client(**kwargs)
        client.subscribe_all()
        return client

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read().decode("utf-8", "replace")

    def worker_pid(self):
        client = self.client()
        try:
            return client.ask("usage_request", {}, channel="control").content["pid"]
        finally:
            client.close()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def wait(self, timeout=TIMEOUT):
        return self.process.wait(timeout)

    def stop(self):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.stderr.close()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Client:
    def __init__(self, kernel, session=None, curve=None):
        self.kernel = kernel
        info = kernel.info
        self.key = info["key"].encode()
        self.session = session or uuid.uuid4().hex
        self.context = zmq.Context.instance()
        self.curve = curve
        self.sockets = {}
        for name, kind in (
            ("shell", zmq.DEALER),
            ("control", zmq.DEALER),
            ("stdin", zmq.DEALER),
            ("iopub", zmq.SUB),
            ("hb", zmq.REQ),
        ):
            s = self.context.socket(kind)
            s.linger = 0
            s.reconnect_ivl = 5
            s.rcvhwm = 0
            if kind == zmq.DEALER:
                s.identity = self.session.encode()
            if kind == zmq.SUB:
                s.subscribe(b"")
            if curve:
                s.curve_serverkey, s.curve_publickey, s.curve_secretkey = curve
            s.connect(self.address(info, info[f"{name}_port"]))
            self.sockets[name] = s
        self.closed = False

    @staticmethod
    def address(info, port):
        joint = ":" if info["transport"] == "tcp" else "-"
        return f"{info['transport']}://{info['ip']}{joint}{port}"

    def close(self):
        if not self.closed:
            self.closed = True
            for s in self.sockets.values():
                s.close(0)

    # --- sending

    def header(self, msg_type, **fields):
        return {
            "msg_id": uuid.uuid4().hex,
            "session": self.session,
            "username": "test",
            "date": "2026-01-01T00:00:00.000000Z",
            "msg_type": msg_type,
            "version": "5.5",
            **fields,
        }

    def sign(self, parts):
        if not self.key:
            return b""
        mac = hmac.new(self.key, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()

    def frames(self, header, content, metadata=None, parent=None, buffers=()):
        parts = [json.dumps(x).encode() for x in (header, parent or {}, metadata or {})]
        parts.append(content if isinstance(content, bytes) else json.dumps(content).encode())
        return [DELIMITER, self.sign(parts), *parts, *buffers]

    def send(self, msg_type, content, metadata=None, channel="shell", parent=None, buffers=(), **fields):
        header = self.header(msg_type, **fields)
        self.sockets[channel].send_multipart(self.frames(header, content, metadata, parent, buffers))
        return header["msg_id"]

    def execute(self, code, metadata=None, channel="shell", **content):
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
            **content,
        }
        return self.send("execute_request", content, metadata, channel)

    # --- receiving

    def receive(self, channel, timeout=TIMEOUT):
        if not self.sockets[channel].poll(int(timeout * 1000)):
            raise TimeoutError(f"nothing on {channel} within {timeout} s; stderr: {self.kernel.errors()}")
        return Message(self.sockets[channel].recv_multipart())

    def reply(self, msg_id, channel="shell", timeout=TIMEOUT):
        end = time.monotonic() + timeout
        while True:
            message = self.receive(channel, max(0.001, end - time.monotonic()))
            if message.parent.get("msg_id") == msg_id:
                return message

    def reply_or_none(self, msg_id, wait=0.1):
        try:
            return self.reply(msg_id, timeout=wait)
        except TimeoutError:
            return None

    def ask(self, msg_type, content, channel="shell", **kwargs):
        return self.reply(self.send(msg_type, content, channel=channel, **kwargs), channel)

    def iopub_until(self, test, timeout=TIMEOUT):
        """All iopub messages up to the first for which the test holds."""
        seen = []
        end = time.monotonic() + timeout
        while True:
            message = self.receive("iopub", max(0.001, end - time.monotonic()))
            seen.append(message)
            if test(message):
                return seen

    def until_idle(self, msg_id, timeout=TIMEOUT):
        """The iopub messages of one parent up to its idle."""

        def idle(m):
            return m.type == "status" and m.content["execution_state"] == "idle" and m.parent.get("msg_id") == msg_id

        return [m for m in self.iopub_until(idle, timeout) if m.parent.get("msg_id") == msg_id]

    def subscribe_all(self):
        """Wait until iopub is connected: the welcome says so."""
        self.iopub_until(lambda m: m.type == "iopub_welcome")
        mid = self.send("kernel_info_request", {})
        self.reply(mid)
        self.until_idle(mid)

    def run(self, code, timeout=TIMEOUT, **kwargs):
        mid = self.execute(code, **kwargs)
        messages = self.until_idle(mid, timeout)
        return Result(self.reply(mid, timeout=timeout), messages)


class Result:
    """What one execution showed."""

    def __init__(self, reply, messages):
        self.reply = reply
        self.messages = messages
        self.content = reply.content
        self.status = reply.content["status"]

    def text(self, name="stdout"):
        return "".join(m.content["text"] for m in self.messages if m.type == "stream" and m.content["name"] == name)

    def all(self, msg_type):
        return [m for m in self.messages if m.type == msg_type]

    @property
    def result(self):
        found = self.all("execute_result")
        return found[-1].content["data"]["text/plain"] if found else None

    @property
    def error(self):
        found = self.all("error")
        return found[-1].content if found else None

    @property
    def types(self):
        return [m.type for m in self.messages if m.type != "status"]
