# SPDX-License-Identifier: MIT
"""A long session of random edits against the notebook run afresh from top to bottom."""

import random

from notebook import Notebook

N_CELLS = 14


def expression(rng, names):
    terms = [f"v{i}" for i in rng.sample(names, min(len(names), rng.randint(0, 3)))]
    return " + ".join([str(rng.randint(0, 9)), *terms])


def source(rng, i):
    """Cell i reads earlier names only, so that the order from top to bottom is right."""
    kind = rng.randint(0, 5)
    value = expression(rng, list(range(i)))
    if kind == 0:
        return f"def f{i}(): return {value}\nv{i} = f{i}()\nv{i}"
    if kind == 1:
        return f"exec('v{i} = {value}')\nprint(v{i})"
    if kind == 2:
        return f"if ({value}) % 2: v{i} = {value}\nelse: w{i} = {value}\n{value}"
    if kind == 3:
        return f"w{i} = {value}"
    return f"v{i} = {value}\nv{i}"


def test_random_edits_are_as_good_as_a_fresh_run(launch):
    rng = random.Random(4)
    book = Notebook(launch("react").ready_client())
    cells = {}
    for _ in range(220):
        i = rng.randrange(N_CELLS)
        if i in cells and rng.random() < 0.08:
            del cells[i]
            book.deleted.append(f"c{i}")
            continue
        cells[i] = source(rng, i)
        assert book.run(f"c{i}", cells[i])["status"] == "ok"
    book.run("last", "0")
    fresh = Notebook(launch("react").ready_client())
    for i in sorted(cells):
        fresh.run(f"c{i}", cells[i])
    names = [f"{letter}{i}" for letter in "vwf" for i in range(N_CELLS) if letter != "f"]
    assert book.values(*names) == fresh.values(*names)
    for i in cells:
        cell = f"c{i}"
        assert (book.result(cell) if not book.waits(cell) else None) == (
            fresh.result(cell) if not fresh.waits(cell) else None
        ), cells[i]
        assert book.text(cell) == fresh.text(cell)
        assert (book.waits(cell) is None) == (fresh.waits(cell) is None)
