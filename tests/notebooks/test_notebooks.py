# SPDX-License-Identifier: MIT
"""Notebooks as people write them, run headlessly by nbclient and papermill."""

import asyncio
import pathlib
import threading

import nbformat
import papermill
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

KERNEL = {"kernelspec": {"name": "akernel", "display_name": "akernel", "language": "python"}}


def notebook(*sources):
    return new_notebook(cells=[new_code_cell(s) for s in sources], metadata=KERNEL)


def run(nb, **options):
    NotebookClient(nb, kernel_name="akernel", timeout=60, **options).execute()
    return nb


def text(cell, name="stdout"):
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == name)


def result(cell):
    return [o.data for o in cell.outputs if o.output_type == "execute_result"][-1]


def test_data_analysis():
    nb = run(
        notebook(
            "import numpy as np\nimport pandas as pd\nrng = np.random.default_rng(0)",
            "df = pd.DataFrame({'group': list('abab'), 'value': np.arange(4.0)})\ndf",
            "df.groupby('group')['value'].mean()",
            "m = rng.normal(size=(200, 200))\nnp.allclose(m @ np.linalg.inv(m), np.eye(200))",
            "print(df.describe().loc['mean', 'value'])",
        )
    )
    frame = result(nb.cells[1])
    assert "<table" in frame["text/html"] and "group" in frame["text/plain"]
    assert "1.0" in result(nb.cells[2])["text/plain"]
    assert result(nb.cells[3])["text/plain"] == "True"
    assert text(nb.cells[4]) == "1.5\n"


@pytest.fixture
def server():
    """A local HTTP server that answers each request after a moment."""
    started, port = threading.Event(), []

    async def answer(reader, writer):
        line = await reader.readline()
        while await reader.readline() not in (b"\r\n", b""):
            pass
        body = line.split()[1][1:]
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        started.set()
        async with server:
            try:
                await server.serve_forever()
            except asyncio.CancelledError:
                pass

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    started.wait()
    yield port[0]
    loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
    thread.join()


def test_async_http(server):
    nb = run(
        notebook(
            "import asyncio\n\nasync def get(path):\n"
            f"    reader, writer = await asyncio.open_connection('127.0.0.1', {server})\n"
            "    writer.write(f'GET /{path} HTTP/1.0\\r\\n\\r\\n'.encode())\n"
            "    body = (await reader.read()).decode().rpartition('\\r\\n')[2]\n    writer.close()\n    return body",
            "pages = await asyncio.gather(*(get(f'page{i}') for i in range(20)))",
            "len(pages), pages[7]",
        )
    )
    assert result(nb.cells[2])["text/plain"] == "(20, 'page7')"


def test_a_long_printing_loop():
    nb = run(notebook("for i in range(20000):\n    print('step', i)\nprint('done')"))
    assert text(nb.cells[0]) == "".join(f"step {i}\n" for i in range(20000)) + "done\n"


def test_an_error_in_the_middle():
    nb = notebook("x = 1", "1 / 0", "print(x + 1)")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run(nb)
    nb = run(notebook("x = 1", "1 / 0", "print(x + 1)"), allow_errors=True)
    assert nb.cells[1].outputs[0].ename == "ZeroDivisionError"
    assert text(nb.cells[2]) == "2\n"


def test_background_tasks_are_not_lost():
    nb = run(
        notebook(
            "import asyncio\nasync def work():\n    for i in range(3):\n        await asyncio.sleep(0.05)\n        print('working', i)\nt = asyncio.create_task(work())",
            "await t",
        )
    )
    assert text(nb.cells[0]) == "working 0\nworking 1\nworking 2\n"


def test_papermill(tmp_path):
    nb = notebook("n = 3", "for i in range(n):\n    print('line', i)\nn * 14")
    nb.cells[0].metadata["tags"] = ["parameters"]
    source, output = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(nb, source)
    papermill.execute_notebook(str(source), str(output), parameters={"n": 5}, kernel_name="akernel", progress_bar=False)
    done = nbformat.read(output, as_version=4)
    assert text(done.cells[-1]) == "".join(f"line {i}\n" for i in range(5))
    assert result(done.cells[-1])["text/plain"] == "70"


def test_the_tour():
    path = pathlib.Path(__file__).parents[2] / "examples" / "tour.ipynb"
    nb = run(nbformat.read(path, as_version=4))
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert text(code[-1]) == "from a thread\n" and text(code[-2]) == "from a subprocess\n"
