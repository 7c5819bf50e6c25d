# SPDX-License-Identifier: MIT
"""Plots with no magic typed: each figure once, at the end of the cell that made it."""

import base64

import pytest

PLT = "import asyncio\nimport matplotlib.pyplot as plt"


@pytest.fixture
def plots(launch, tmp_path):
    client = launch(env={"IPYTHONDIR": str(tmp_path)}).ready_client()
    client.run(PLT)
    return client


def images(messages):
    """The sizes of the PNGs that were displayed, in pixels of width and height."""
    sizes = []
    for m in messages:
        if m.type in ("display_data", "execute_result") and "image/png" in m.content["data"]:
            png = base64.b64decode(m.content["data"]["image/png"])
            assert png.startswith(b"\x89PNG")
            sizes.append((int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")))
    return sizes


def test_no_import_before_the_user(fresh):
    code = "import os, sys; (os.environ['MPLBACKEND'], 'matplotlib' in sys.modules, 'matplotlib_inline' in sys.modules)"
    assert fresh.run(code).result == "('module://matplotlib_inline.backend_inline', False, False)"


def test_a_backend_that_was_chosen_stays(launch):
    client = launch(env={"MPLBACKEND": "agg"}).ready_client()
    assert client.run("import os; os.environ['MPLBACKEND']").result == "'agg'"


def test_the_first_cell_that_plots(launch):
    client = launch().ready_client()
    result = client.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint('printed')\n'result'")
    assert [m.type for m in result.messages if m.type != "status"] == ["execute_input", "stream", "execute_result", "display_data"]
    assert len(images(result.messages)) == 1
    assert images(client.run("'next'").messages) == []


def test_figures_of_an_error_are_shown_behind_it(plots):
    result = plots.run("plt.plot([1, 2])\n1/0")
    assert [m.type for m in result.messages if m.type in ("error", "display_data")] == ["error", "display_data"]


def test_show_and_return(plots):
    result = plots.run("plt.plot([1]); plt.show(); print('behind')")
    shown = [m for m in result.messages if m.type == "display_data" or m.content.get("name") == "stdout"]
    assert [m.type for m in shown[:2]] == ["display_data", "stream"] and len(images(shown)) == 1
    assert len(images(plots.run("fig = plt.figure()\nplt.plot([1])\nplt.close()\nfig").messages)) == 1
    assert len(images(plots.run("fig").messages)) == 1


def sizes_of(width):
    """A figure whose image is told by its shape."""
    return f"plt.figure(figsize=({width}, 2))\nplt.plot([1, 2])"


def shapes(messages):
    return [round(w / h) for w, h in images(messages)]


def test_two_async_cells_that_plot_at_once(plots):
    plots.run("a, b = asyncio.Event(), asyncio.Event()")
    first = plots.execute(f"{sizes_of(2)}\na.set()\nawait b.wait()\nplt.title('first')\nprint(plt.get_fignums(), len(plt.gcf().axes[0].lines))")
    second = plots.execute(f"await a.wait()\n{sizes_of(8)}\nb.set()\nawait asyncio.sleep(0.05)\nplt.plot([3])\nprint(len(plt.gca().lines))")
    seen, open_cells = [], {first, second}
    while open_cells:
        seen += plots.iopub_until(lambda m: m.type == "status" and m.content["execution_state"] == "idle")
        open_cells.discard(seen[-1].parent["msg_id"])
    by = {mid: [m for m in seen if m.parent.get("msg_id") == mid] for mid in (first, second)}
    assert shapes(by[first]) == [1] and shapes(by[second]) == [3]
    assert "[1] 1\n" in "".join(m.content["text"] for m in by[first] if m.type == "stream")
    assert "2\n" in "".join(m.content["text"] for m in by[second] if m.type == "stream")


def test_a_cell_without_plots_shows_nothing_of_another(plots):
    plots.run("go = asyncio.Event()")
    slow = plots.execute(f"{sizes_of(2)}\nawait go.wait()\nplt.plot([2])")
    assert images(plots.run("1").messages) == []
    assert images(plots.run("plt.show(); plt.close('all')").messages) == []
    assert images(plots.run("go.set()").messages) == []
    assert shapes(plots.until_idle(slow)) == [1]


def test_figures_that_stay_open(plots):
    plots.run("%config InlineBackend.close_figures = False")
    assert len(images(plots.run("plt.plot([1])").messages)) == 1
    result = plots.run("plt.plot([2])\nprint(plt.get_fignums(), len(plt.gca().lines))")
    assert result.text() == "[1] 2\n"
    assert plots.run("plt.close('all')\nplt.get_fignums()").result == "[]"


def test_formats(plots):
    plots.run("from matplotlib_inline.backend_inline import set_matplotlib_formats\nset_matplotlib_formats('svg')")
    data = plots.run("plt.plot([1])").all("display_data")[0].content["data"]
    assert "<svg" in data["image/svg+xml"] and "image/png" not in data
    plots.run("%config InlineBackend.figure_format = 'retina'")
    shown = plots.run("plt.plot([1])").all("display_data")[0].content
    assert shown["metadata"]["image/png"]["width"] * 2 == images([plots_message(shown)])[0][0]


def plots_message(content):
    class Shown:
        type = "display_data"

    Shown.content = content
    return Shown


def test_magics(plots):
    assert len(images(plots.run("%matplotlib inline\nplt.plot([1])").messages)) == 1
    assert images(plots.run("%matplotlib agg\nplt.plot([1])").messages) == []
    assert len(images(plots.run("plt.close('all')\n%matplotlib inline\nplt.plot([1])").messages)) == 1
    assert plots.run("%matplotlib nosuch").status == "error"


def test_plots_of_threads_belong_to_their_cell(plots):
    result = plots.run("import threading\nt = threading.Thread(target=lambda: plt.plot([1])); t.start(); t.join()")
    assert len(images(result.messages)) == 1
