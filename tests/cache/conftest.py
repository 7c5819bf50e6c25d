# SPDX-License-Identifier: MIT
"""The world of a test of the shared cache: servers, keys and peers, ended with it."""

import subprocess

import pytest
from servers import SERVERS, Peer, Server


@pytest.fixture
def world(tmp_path):
    """Makes servers and peers, and ends them."""

    class World:
        path = tmp_path
        made = []

        def server(self, *options, program=None, **kwargs):
            directory = tmp_path / f"server{len(self.made)}"
            directory.mkdir()
            server = Server(directory, program or SERVERS[0], *options, **kwargs)
            self.made.append(server)
            return server

        def peer(self, name, url, **kwargs):
            (tmp_path / name).mkdir(exist_ok=True)
            peer = Peer(tmp_path / name, url, **kwargs)
            self.made.append(peer)
            return peer

        def team_key(self, name="team.key", text="0123456789abcdef" * 4):
            path = tmp_path / name
            path.write_text(text)
            path.chmod(0o600)
            return path

        def certificates(self):
            tls = tmp_path / "tls"
            tls.mkdir()

            def openssl(*args):
                subprocess.run(["openssl", *args], cwd=tls, check=True, capture_output=True)

            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test CA", "-days", "2")
            openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
            (tls / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
            openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.crt", "-days", "2", "-extfile", "ext")
            return tls

    made = World()
    made.made = []
    yield made
    for thing in made.made:
        if isinstance(thing, Peer) and thing.process.poll() is None:
            thing.process.kill()
            thing.process.wait()
        if isinstance(thing, Server):
            thing.stop()
