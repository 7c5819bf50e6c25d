# SPDX-License-Identifier: MIT
"""The reactive graph of this notebook: what it knows, and what may be asked of it."""

import sys
import threading
import weakref

import _akernel

__all__ = ["State", "forget", "freeze", "graph", "mode", "state", "thaw", "why"]

_observed = weakref.WeakSet()


# --- values that change inside ----------------------------------------------------------


def _changed(value):
    names = vars(sys.modules["__main__"])
    found = [name for name, other in list(names.items()) if other is value]
    found = [name for name in found if not name.startswith("_")]
    if found:
        _akernel._react("changed", "\n".join(found))


def _observe(value):
    """Called for what cells bound once ipywidgets is imported."""
    widgets = sys.modules.get("ipywidgets")
    if not isinstance(value, getattr(widgets, "Widget", ())) or value in _observed:
        return
    if value.has_trait("value"):
        _observed.add(value)
        value.observe(lambda change: _changed(value), names="value")


class State:
    """A value that code, tasks and threads may change: cells that read it run again."""

    def __init__(self, initial=None):
        import asyncio

        self._value = initial
        self._loop = asyncio.get_event_loop_policy().get_event_loop()
        self._thread = threading.get_ident()

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, value):
        self.set(value)

    def set(self, value):
        """Change the value; the same as assigning to .value."""
        self._value = value
        if threading.get_ident() == self._thread:
            _changed(self)
        else:
            self._loop.call_soon_threadsafe(_changed, self)

    def __repr__(self):
        return f"<state {self._value!r}>"


def state(initial=None):
    """A reactive value: bind it to a name, read its .value in cells, set it anywhere."""
    return State(initial)


# --- control ----------------------------------------------------------------------------


def mode(new=None):
    """The mode, "auto" or "lazy"; with an argument, change it."""
    if new not in (None, "auto", "lazy"):
        raise ValueError(f'the mode is "auto" or "lazy", not {new!r}')
    return _akernel._react("mode", new or "")


def forget(name):
    """Remove a name's value; who reads it waits. Whether there was one."""
    return _akernel._react("forget", _text(name))


def freeze(cell):
    """Keep a cell, by its number or its id, from being run again by others."""
    return _cell("freeze", cell)


def thaw(cell):
    """Undo freeze()."""
    return _cell("thaw", cell)


def _text(value):
    if not isinstance(value, str):
        raise TypeError(f"a name is a str, not {type(value).__name__}")
    return value


def _cell(verb, cell):
    label = _akernel._react(verb, str(cell))
    if label is None:
        raise ValueError(f"there is no cell {cell!r} in the graph")
    return label


# --- looking at it ----------------------------------------------------------------------


class Why(dict):
    """Who defines a name, who reads it, and what those wait for."""

    def __repr__(self):
        lines = [f"{self['name']}: {'has a value' if self['exists'] else 'has no value'}"]
        if self["owner"]:
            lines[0] += f", of {self['owner']}"
        if self["deleted"] and not self["exists"]:
            lines.append(f"  was defined by {self['deleted']}, which was reported deleted")
        for key, verb in (("defined_by", "defined by"), ("read_by", "read by")):
            for cell in self[key]:
                reason = f", {cell['why']}" if cell["why"] else ""
                lines.append(f"  {verb} {cell['cell']}: {cell['state']}{reason}")
        return "\n".join(lines)


def why(name):
    """Who defines a name, who reads it, what it waits for."""
    return Why(_akernel._react("why", _text(name)))


_COLOURS = {
    "fresh": "#e6f4ea",
    "running": "#e8f0fe",
    "stale": "#fef7e0",
    "pending": "#f1f3f4",
    "blocked": "#fce8e6",
    "failed": "#f6aea9",
    "cyclic": "#f6aea9",
}


class Graph:
    """The cells in order of first execution: a drawing in a notebook, text elsewhere."""

    def __init__(self, cells):
        self.cells = cells

    def edges(self):
        """(from, to, name) by index: who defines a name to who reads it."""
        definers = {}
        for i, cell in enumerate(self.cells):
            for name in cell["defines"]:
                definers.setdefault(name, []).append(i)
        for k, cell in enumerate(self.cells):
            for name in cell["reads"]:
                if name not in cell["defines"]:
                    for i in definers.get(name, ()):
                        yield i, k, name

    def __repr__(self):
        lines = []
        for cell in self.cells:
            line = f"{cell['cell']}: {cell['state']}{', frozen' if cell['frozen'] else ''}"
            if cell["defines"]:
                line += f"; defines {', '.join(cell['defines'])}"
            if cell["why"]:
                line += f"; {cell['why']}"
            lines.append(line)
        labels = [cell["cell"] for cell in self.cells]
        lines += [f"  {labels[i]} -- {name} --> {labels[k]}" for i, k, name in self.edges()]
        return "\n".join(lines) or "no cells"

    def _repr_svg_(self):
        from html import escape

        edges = list(self.edges())
        depth = [0] * len(self.cells)
        for _ in self.cells:
            for i, k, _name in edges:
                if depth[i] + 1 > depth[k] and depth[i] + 1 < len(self.cells):
                    depth[k] = depth[i] + 1
            if not edges or all(depth[k] > depth[i] for i, k, _name in edges):
                break
        rows, places = {}, []
        for level in depth:
            rows[level] = rows.get(level, -1) + 1
            places.append((20 + 180 * rows[level], 20 + 80 * level))
        width = max((x for x, _ in places), default=0) + 170
        height = max((y for _, y in places), default=0) + 60
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
        for i, k, name in edges:
            (x1, y1), (x2, y2) = places[i], places[k]
            out.append(f'<line x1="{x1 + 75}" y1="{y1 + 40}" x2="{x2 + 75}" y2="{y2}" stroke="#888"/>')
            x, y = (x1 + x2) / 2 + 80, (y1 + y2) / 2 + 24
            out.append(f'<text x="{x}" y="{y}" font-size="11" fill="#555">{escape(name)}</text>')
        for cell, (x, y) in zip(self.cells, places):
            names = ", ".join(cell["defines"])
            title = f"{cell['state']}: {cell['why']}" if cell["why"] else cell["state"]
            out.append(
                f'<g><title>{escape(title)}</title><rect x="{x}" y="{y}" width="150" height="40" rx="6" '
                f'fill="{_COLOURS[cell["state"]]}" stroke="#888"/>'
                f'<text x="{x + 8}" y="{y + 16}" font-size="12">{escape(cell["cell"])}</text>'
                f'<text x="{x + 8}" y="{y + 32}" font-size="11">{escape(names[:24])}</text></g>'
            )
        return "".join(out) + "</svg>"


def graph():
    """The graph of this notebook: cells, names, states."""
    return Graph(_akernel._react("graph"))
