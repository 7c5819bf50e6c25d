# SPDX-License-Identifier: MIT
"""Reactive notebooks through nbclient: what is saved is what is consistent."""

import nbformat
import pytest
from nbclient import NotebookClient


def saved(*sources):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    NotebookClient(book, kernel_name="akernel-react", timeout=60).execute()
    nbformat.validate(book)
    return [shown(cell) for cell in book.cells]


def shown(cell):
    texts = []
    for output in cell.outputs:
        texts.append(output["text"] if output.output_type == "stream" else output["data"].get("text/plain"))
    return texts


def test_the_example():
    assert saved("a = b + 1\na", "b = 2") == [["3"], []]
    assert saved("a = b + 1\na", "b = 2", "b = 3")[0] == ["4"]


def test_backwards():
    assert saved("print('c is', c)", "c = b + 1\nc", "b = a * 2\nb", "a = 5\na") == [["c is 11"], ["11"], ["10"], ["5"]]


def test_text_and_result_of_a_cell_that_waited():
    assert saved("print('x is', x)\nx + 1", "x = 1") == [["x is 1\n2"], []]


def test_a_name_that_never_comes():
    assert saved("nowhere + 1", "x = 1\nx") == [[None], ["1"]]


def test_the_same_cell_twice():
    first = saved("y = x * 2", "y", "y", "x = 2")
    assert first[1:3] == [["4"], ["4"]]


def test_an_ancestor_that_fails_shows_in_its_own_cell():
    first, second, third = saved("y = 1 / x\ny", "y + 1", "x = 0")
    assert "ZeroDivisionError" in first[0] and second == [None]


def test_errors_stop_at_the_cell_that_raised():
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError):
        saved("x = 1", "1 / 0")
