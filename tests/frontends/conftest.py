# SPDX-License-Identifier: MIT
"""Fixtures of the front-end suites: a Jupyter server of its own, and a browser.

They run in .venv-suites, whose Python is also the kernel's: what users have installed
beside their kernel is there.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SPEC = ROOT / ".local-suites/share/jupyter/kernels/akernel"
SHOTS = ROOT / "build-local/screenshots"


def isolated(directory, **variables):
    """An environment in which Jupyter and IPython see nothing of the user's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "JPY_", "IPYTHON"))}
    env["PATH"] = str(pathlib.Path(sys.executable).parent) + os.pathsep + env["PATH"]
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        env["JUPYTER_" + name] = str(directory / name.lower())
    env["IPYTHONDIR"] = str(directory / "ipython")
    env["JUPYTER_PATH"] = str(SPEC.parents[1])
    settings = directory / "settings"
    env["JUPYTERLAB_SETTINGS_DIR"] = str(settings)
    quiet = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    return {**env, **variables}


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    return isolated(tmp_path_factory.mktemp("jupyter"))


@pytest.fixture(scope="session")
def as_python3(tmp_path_factory):
    """An environment in which the kernel "python3" is this one."""
    directory = tmp_path_factory.mktemp("python3")
    shutil.copytree(SPEC, directory / "hook/kernels/python3")
    return isolated(directory, JUPYTER_PATH=str(directory / "hook"))


class Server:
    """A Jupyter server with a directory of notebooks, which ends with the tests."""

    def __init__(self, directory, environment, application):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        directory.mkdir()
        self.directory = directory
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(directory.parent / f"{application}.log", "w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", application, "--no-browser", "--allow-root", "--ServerApp.port_retries=0"]
            + ["--ServerApp.disable_check_xsrf=True"]
            + [f"--ServerApp.port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={directory}"]
            + ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in self.process.stdout:
            self.log.write(line)
            if "is running at" in line:
                break
        else:
            self.log.seek(0)
            raise RuntimeError(self.log.read())
        self.drain = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=self.log)

    def get(self, path):
        with urllib.request.urlopen(f"{self.url}/{path}") as answer:
            return json.load(answer)

    def write(self, name, *sources, kernel="akernel"):
        """A notebook of code cells."""
        cells = [
            {"cell_type": "code", "id": f"cell-{i}", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
            for i, source in enumerate(sources)
        ]
        spec = {"name": kernel, "display_name": "Python 3 (akernel)", "language": "python"}
        notebook = {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        (self.directory / name).write_text(json.dumps(notebook))
        return name

    def read(self, name):
        return json.loads((self.directory / name).read_text())

    def end_kernels(self):
        for kernel in self.get("api/kernels"):
            urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/kernels/{kernel['id']}", method="DELETE"))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.drain.wait()
        self.log.close()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture(scope="session")
def server(environment, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab") / "notebooks", environment, "jupyterlab")
    yield server
    server.stop()


@pytest.fixture
def lab(server, context, request):
    """JupyterLab in a fresh tab; a picture of how it ended is kept."""
    from lab import Lab

    lab = Lab(context.new_page(), server)
    yield lab
    SHOTS.mkdir(parents=True, exist_ok=True)
    lab.page.screenshot(path=SHOTS / f"{request.node.name}.png")
    lab.page.close()
    server.end_kernels()
