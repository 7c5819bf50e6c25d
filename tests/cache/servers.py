# SPDX-License-Identifier: MIT
"""Servers, proxies and peers for the tests of the shared cache. A peer is a worker's part
in it (tests/unit/cache/peer.c), so nothing here needs a kernel."""

import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("AKERNEL_BUILD", ROOT / "build-local"))
SERVERS = [name for name in ("redis-server", "valkey-server") if shutil.which(name)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A redis-server (or valkey-server) of the test's own."""

    def __init__(self, directory, program, *options, port=None, tls=None):
        self.directory, self.program, self.options, self.tls = directory, program, options, tls
        self.port = port or free_port()
        self.process = None
        self.start()

    def start(self):
        listening = (
            ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            + ["--tls-cert-file", str(self.tls / "server.crt"), "--tls-key-file", str(self.tls / "server.key")]
            + ["--tls-ca-cert-file", str(self.tls / "ca.crt")]
            if self.tls
            else ["--port", str(self.port)]
        )
        self.process = subprocess.Popen(
            [self.program, *listening, "--save", "", "--dir", str(self.directory), *self.options],
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                break
        else:
            raise RuntimeError(f"{self.program} did not start")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def cli(self, *args):
        """One command on a plain connection, by hand; the raw answer."""
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            words = [a.encode() if isinstance(a, str) else a for a in args]
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := s.recv(1 << 20):
                answer += chunk
            return answer

    def keys(self):
        return [line.decode() for line in self.cli("KEYS", "*").split(b"\r\n") if line.startswith(b"akernel:")]


class Peer:
    def __init__(self, directory, url, team="", key=None, env=None, netns=None):
        self.directory = directory
        command = [BUILD / "tests/unit/cache/cache-peer", BUILD / "src/akernel-cache", url]
        command += [directory / "cache", key or directory / "cache.key", team]
        self.process = subprocess.Popen(
            [*(netns or []), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.first = self.process.stdout.readline().strip()
        self.took = 0.0

    def __call__(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        took, _, word = self.process.stdout.readline().strip().partition(" ")
        self.took = float(took)
        return word

    def until(self, line, wanted, seconds=20):
        """Repeats a line until it is answered with a word; the word of last."""
        end = time.monotonic() + seconds
        while (word := self(line)) != wanted and time.monotonic() < end:
            time.sleep(0.02)
        return word

    def warning(self, seconds=20):
        end = time.monotonic() + seconds
        while (text := self("warning")) == "-" and time.monotonic() < end:
            time.sleep(0.02)
        return text

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.read()
        return self.process.wait()


class Proxy:
    """A TCP proxy that can stall, trickle or cut what it carries."""

    def __init__(self, port):
        self.to = port
        self.stalled = threading.Event()
        self.n_connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.n_connections += 1
            server = socket.create_connection(("127.0.0.1", self.to))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self.carry, args=(a, b), daemon=True).start()

    def carry(self, source, sink):
        try:
            while data := source.recv(1 << 16):
                while self.stalled.is_set():
                    time.sleep(0.01)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            sink.close()
