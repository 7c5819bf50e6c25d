# SPDX-License-Identifier: MIT
"""Real notebooks show the same under this kernel and under ipykernel.

Each notebook is run by nbclient under both, errors included, and the outputs are compared
after what cannot be equal is normalised: ids, times, rates, addresses, file names of cells.
"""

import json
import pathlib
import re

import nbformat
import pytest
import zmq
from nbclient import NotebookClient

pytestmark = pytest.mark.timeout(300)
NOTEBOOKS = sorted((pathlib.Path(__file__).parent / "notebooks").glob("*.ipynb"))

NORMAL = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"0x[0-9a-f]{6,}", "<address>"),
    (r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>"),
    (r"sk-container-id-\d+|sk-estimator-id-\d+", "<id>"),
    (r"/tmp/(ipykernel|akernel)_\d+/\d+\.py", "<cell>"),
    (r"\(\d+\.py, line", "(<cell>, line"),
    (r"\d+(\.\d+)?(e-\d+)? ?(it/s|s/it)|\?it/s|\?, ?\?it/s", "<rate>"),
    (r"\b\d\d:\d\d\b", "<clock>"),
    (r"(?m)(CPU times|Wall time|user|total): .*$", r"\1: <time>"),
    (r"\b(pid|port)[ =]\d+", r"\1 <number>"),
]


def normal(value):
    """A value of JSON with every text in it normalised."""
    if isinstance(value, str):
        for pattern, replacement in NORMAL:
            value = re.sub(pattern, replacement, value)
        return value
    if isinstance(value, dict):
        return {normal(k): v if k.startswith("image/") else normal(v) for k, v in value.items()}
    return [normal(v) for v in value] if isinstance(value, list) else value


def bars(text):
    """Text that overwrites itself, as it looks in the end."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))


def fault(output):
    """An error without its layout: what happened, and in which lines of which cells. Of
    chained errors the last one, and of one that only ends the cell no lines: the kernels
    say something of their own there."""
    lines = normal("\n".join(output["traceback"])).rpartition("direct cause of the following exception")[2]
    frames = re.findall(r"Cell In\[\d+\], line \d+", lines)
    return {"output_type": "error", "ename": output["ename"], "evalue": normal(output["evalue"])} | (
        {} if output["ename"] == "SystemExit" else {"frames": frames}
    )


def shown(cell):
    """What a cell shows, in a form that can be compared."""
    texts, rest = {}, []
    for output in cell.outputs:
        output = json.loads(json.dumps(output))
        if output["output_type"] == "stream":
            texts[output["name"]] = texts.get(output["name"], "") + output["text"]
            continue
        output.get("metadata", {}).pop("widgets", None)
        rest.append(fault(output) if output["output_type"] == "error" else normal(output))
    if rest and rest[-1].get("ename") == "SystemExit":
        texts.pop("stderr", None)
    return {name: normal(bars(text)) for name, text in texts.items()}, rest


class Client(NotebookClient):
    def process_message(self, *args):
        """What the message is answered with goes out on the socket on which the cell's reply is
        awaited, and a send takes the wake-up of a reply that came meanwhile: without another
        look the client would wait for its whole timeout, whatever the kernel."""
        result = super().process_message(*args)
        self.kc.shell_channel.socket.get(zmq.EVENTS)
        return result


def run(path, kernel, environment, directory):
    notebook = nbformat.read(path, as_version=4)
    client = Client(notebook, kernel_name=kernel, timeout=120, allow_errors=True, resources={"metadata": {"path": directory}})
    client.execute(env=environment)
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_same_under_both_kernels(path, environment, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", environment["JUPYTER_PATH"])
    ours = run(path, "akernel", environment, tmp_path)
    theirs = run(path, "python3", environment, tmp_path)
    different = []
    for cell, other in zip(ours.cells, theirs.cells):
        if cell.cell_type != "code":
            continue
        assert cell.execution_count == other.execution_count
        if shown(cell) != shown(other):
            different.append(f"--- {cell.source}\nakernel:   {shown(cell)!r}\nipykernel: {shown(other)!r}")
    assert not different, "\n".join(different)
