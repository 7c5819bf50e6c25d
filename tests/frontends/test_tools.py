# SPDX-License-Identifier: MIT
"""The other programs that people run kernels with."""

import os
import pathlib
import pty
import re
import socket
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.timeout(180)
BIN = pathlib.Path(sys.executable).parent


def write(path, *sources):
    spec = {"name": "akernel", "display_name": "Python 3 (akernel)", "language": "python"}
    nbformat.write(new_notebook(cells=[new_code_cell(s) for s in sources], metadata={"kernelspec": spec}), path)
    return path


def run(*command, env, **kwargs):
    done = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, timeout=150, **kwargs)
    return done.returncode, done.stdout, done.stderr


def texts(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return ["".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in c.outputs) for c in cells]


CELLS = ("import asyncio, os\nprint('one')", "await asyncio.sleep(0, 'two')", "display({'text/plain': 'three'}, raw=True)")


def test_nbconvert_executes(tmp_path, environment):
    path = write(tmp_path / "in.ipynb", *CELLS)
    code, _, errors = run(BIN / "jupyter", "nbconvert", "--to", "notebook", "--execute", path, "--output", "out.ipynb", env=environment)
    assert code == 0, errors
    assert texts(tmp_path / "out.ipynb") == ["one\n", "'two'", "three"]


def test_nbconvert_stops_at_an_error(tmp_path, environment):
    path = write(tmp_path / "in.ipynb", "print('one')", "1 / 0", "print('never')")
    code, _, errors = run(BIN / "jupyter", "nbconvert", "--to", "html", "--execute", path, env=environment)
    assert code != 0 and "ZeroDivisionError: division by zero" in re.sub(r"\x1b\[[0-9;]*m", "", errors)


def test_papermill(tmp_path, environment):
    path = write(tmp_path / "in.ipynb", "n = 1", "n * 2")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, path)
    code, _, errors = run(BIN / "papermill", path, tmp_path / "out.ipynb", "-p", "n", "21", "--no-progress-bar", env=environment)
    assert code == 0, errors
    assert texts(tmp_path / "out.ipynb")[-1] == "42"


def test_jupyter_run(tmp_path, environment):
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint('hello from', 6 * 7)\nprint('an error line', file=sys.stderr)\n")
    code, output, errors = run(BIN / "jupyter", "run", "--kernel", "akernel", script, env=environment)
    assert code == 0, errors
    assert "hello from 42" in output and "an error line" in errors


def test_jupyter_execute(tmp_path, environment):
    path = write(tmp_path / "in.ipynb", *CELLS)
    code, _, errors = run(BIN / "jupyter", "execute", "--inplace", path, env=environment)
    assert code == 0, errors
    assert texts(path) == ["one\n", "'two'", "three"]


def test_jupyter_console(environment):
    """A terminal with a person before it: a prompt, an answer, a question."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [BIN / "jupyter", "console", "--kernel", "akernel", "--simple-prompt"],
        stdin=other, stdout=other, stderr=other, env={**environment, "TERM": "dumb"}, close_fds=True, start_new_session=True,
    )
    os.close(other)
    seen = ""

    def until(pattern):
        nonlocal seen
        while not re.search(pattern, seen):
            try:
                chunk = os.read(main, 4096)
            except OSError:
                chunk = b""
            assert chunk, f"the console ended: {seen}"
            seen += chunk.decode("utf-8", "replace")
        seen = seen[re.search(pattern, seen).end():]

    try:
        until(r"In \[1\]: ")
        os.write(main, b"6 * 7\n")
        until(r"Out\[1\]: 42")
        until(r"In \[2\]: ")
        os.write(main, b"print('you are', input('Who? '))\n")
        until(r"Who\? ")
        os.write(main, b"Ada\n")
        until("you are Ada")
        until(r"In \[3\]: ")
    finally:
        process.kill()
        process.wait()
        os.close(main)


def test_voila(tmp_path, environment, context):
    """A notebook as a page: a button is pressed, and its callback answers."""
    from playwright.sync_api import expect

    path = write(
        tmp_path / "page.ipynb",
        "import ipywidgets as w\nlabel = w.Label('not pressed')\nbutton = w.Button(description='Press')\n"
        "def pressed(button):\n    label.value = 'pressed'\nbutton.on_click(pressed)\nw.VBox([button, label])",
    )
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    process = subprocess.Popen(
        [BIN / "voila", path, "--no-browser", f"--port={port}"],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    page = context.new_page()
    try:
        assert any("is running at" in line for line in process.stderr)
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.locator(".widget-label", has_text="not pressed")).to_be_visible()
        page.locator("button", has_text="Press").click()
        expect(page.locator(".widget-label", has_text=re.compile("^pressed$"))).to_be_visible()
    finally:
        page.close()
        process.terminate()
        process.wait(30)
        drain.wait()


def test_notebook_7(environment, context, tmp_path):
    from conftest import SHOTS, Server
    from playwright.sync_api import expect

    server = Server(tmp_path / "notebooks", environment, "notebook")
    page = context.new_page()
    try:
        server.write("classic.ipynb", "import asyncio\nprint('classic', 6 * 7)\nawait asyncio.sleep(0, 'awaited')")
        page.goto(f"{server.url}/notebooks/classic.ipynb")
        expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(1)
        expect(page.locator(".jp-NotebookKernelStatus, .jp-Notebook-ExecutionIndicator[data-status='idle']").first).to_be_attached()
        expect(page.locator(".jp-KernelName, .jp-Toolbar-kernelName", has_text="Python 3 (akernel)").first).to_be_visible()
        page.locator(".jp-Notebook .jp-InputPrompt").first.click()
        page.keyboard.press("Control+Enter")
        expect(page.locator(".jp-OutputArea-output", has_text="classic 42")).to_be_visible()
        expect(page.locator(".jp-OutputArea-output", has_text="'awaited'")).to_be_visible()
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / "notebook_7.png")
    finally:
        page.close()
        server.end_kernels()
        server.stop()
