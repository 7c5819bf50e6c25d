# SPDX-License-Identifier: MIT
"""A data analysis run twice with one cache: the second run computes nothing again."""

import copy

import nbformat
import pytest
from nbclient import NotebookClient

ANALYSIS = [
    "import numpy as np\nimport pandas as pd",
    "n = 50_000\n"
    "rng = np.random.default_rng(42)\n"
    "sales = pd.DataFrame({\n"
    "    'day': np.arange(n) // 1440,\n"
    "    'shop': np.array(['north', 'south', 'east'])[rng.integers(0, 3, n)],\n"
    "    'units': rng.poisson(4, n),\n"
    "    'price': rng.gamma(2, 5, n).round(2),\n"
    "})\n"
    "sales.head()",
    "revenue = sales['units'] * sales['price']\nprint(len(sales), 'rows', round(revenue.sum()))",
    "by_shop = revenue.groupby(sales['shop']).agg(['sum', 'mean', 'count'])\nby_shop",
    "daily = revenue.groupby(sales['day']).sum()\ndaily.describe()",
    "X = np.column_stack([np.ones(n), sales['units'], sales['price']])\n"
    "weights, *_ = np.linalg.lstsq(X, revenue.to_numpy(), rcond=None)\n"
    "print(weights.round(3))",
    "def smooth(values, width=7):\n    return np.convolve(values, np.ones(width) / width, 'valid')",
    "smoothed = smooth(daily.to_numpy())\nsmoothed[:3].round(2)",
    "by_shop.loc['north', 'count'] + len(smoothed)",
]
# Cells that leave nothing but modules or functions are run: that is as good.
RUN_ANYWAY = {0, 6}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("AKERNEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("AKERNEL_CACHE_MIN_MS", "0")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(sources):
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s, id=f"c{i}") for i, s in enumerate(sources)])
        told = {}
        client = NotebookClient(book, kernel_name="akernel-cache", timeout=100, record_timing=False)
        client.on_cell_executed = lambda cell, cell_index, execute_reply: told.update(
            {cell_index: execute_reply["metadata"]["cache"]}
        )
        client.execute()
        nbformat.validate(book)
        return book, told

    return run


def ran(told):
    return {i: (c["status"], c["reason"]) for i, c in told.items() if c["status"] != "hit"}


def test_a_second_run_executes_nothing_that_it_need_not(run):
    first, told = run(ANALYSIS)
    assert {c["status"] for i, c in told.items() if i not in RUN_ANYWAY} == {"stored"}, ran(told)
    second, told = run(ANALYSIS)
    assert set(ran(told)) == RUN_ANYWAY, ran(told)
    assert second == first


def test_an_edit_runs_what_depends_on_it(run):
    first, _ = run(ANALYSIS)
    edited = copy.copy(ANALYSIS)
    edited[6] = edited[6].replace("width=7", "width=14")
    second, told = run(edited)
    assert set(ran(told)) == RUN_ANYWAY | {7, 8}, ran(told)
    assert [c.outputs for c in second.cells[:7]] == [c.outputs for c in first.cells[:7]]
    assert second.cells[7].outputs != first.cells[7].outputs


def test_an_edit_that_changes_no_value_runs_only_itself(run):
    run(ANALYSIS)
    edited = copy.copy(ANALYSIS)
    edited[2] = edited[2].replace("sales['units'] * sales['price']", "sales['price'] * sales['units']")
    _, told = run(edited)
    assert set(ran(told)) == RUN_ANYWAY | {2}, ran(told)


def test_cells_that_cannot_be_kept_run_and_show_the_same(run):
    sources = [
        "import pandas as pd\nimport threading",
        "sales = pd.DataFrame({'day': pd.date_range('2024-01-01', periods=3), 'units': [1, 2, 3]})\nsales",
        "sales = sales.assign(twice=sales['units'] * 2)\nsales",
        "lock = threading.Lock()\nlock.locked()",
    ]
    first, _ = run(sources)
    second, told = run(sources)
    assert second == first
    assert ran(told)[3][0] == "bypass" and ran(told)[3][1]
