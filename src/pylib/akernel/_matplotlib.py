# SPDX-License-Identifier: MIT
"""Figures belong to the cell that made them, also when two async cells plot at once.

pyplot keeps one table of figures, and the inline backend one list of what is to be shown
when "the" cell ends. Here both are seen through the running request: a cell sees its own
figures and those that older cells left open, and shows and closes only these. When it is
over, what it left open is everybody's.
"""

import _akernel

_own = {}
_shared = {}


def _request():
    request = _akernel._request()
    return None if request is None or request.finished else request


def _settle():
    """What finished requests left belongs to all."""
    for request in [request for request in _own if request.finished]:
        for number, manager in _own.pop(request).items():
            while number in _shared:
                number += 1
            manager.num = number
            _shared[number] = manager


def _mine():
    request = _request()
    _settle()
    return _shared if request is None else _own.setdefault(request, {})


class Figures:
    """pyplot's table of figure managers, by number; the last one is the current figure."""

    def _all(self):
        mine = _mine()
        return _shared if mine is _shared else {**_shared, **mine}

    def __contains__(self, number):
        return number in self._all()

    def __getitem__(self, number):
        return self._all()[number]

    def __setitem__(self, number, manager):
        _shared.pop(number, None)
        _mine()[number] = manager

    def __delitem__(self, number):
        table = _shared if number in _shared else _mine()
        del table[number]

    def __iter__(self):
        return iter(list(self._all()))

    def __len__(self):
        return len(self._all())

    def __reversed__(self):
        return reversed(list(self._all()))

    def get(self, number, default=None):
        return self._all().get(number, default)

    def keys(self):
        return self._all().keys()

    def values(self):
        return self._all().values()

    def items(self):
        return self._all().items()

    def pop(self, number, *default):
        table = _mine()
        return (table if number in table else _shared).pop(number, *default)

    def popitem(self, last=True):
        number = list(self._all())[-1 if last else 0]
        return number, self.pop(number)

    def move_to_end(self, number, last=True):
        """Makes a figure the current one; one that an older cell left becomes this cell's."""
        manager = self.pop(number)
        mine = _mine()
        if last:
            mine[number] = manager
        else:
            rest = dict(mine)
            mine.clear()
            mine.update({number: manager, **rest})

    def clear(self):
        _mine().clear()
        _shared.clear()


def bind_figures(module):
    """Called when matplotlib._pylab_helpers was imported."""
    figures = Figures()
    for number, manager in dict(module.Gcf.figs).items():
        figures[number] = manager
    module.Gcf.figs = figures


class _Show:
    """The backend's show(), whose notes of what is to be drawn are a request's own."""

    def __init__(self, show):
        self._show = show
        self._notes = {}
        self.__name__ = "show"
        self.__doc__ = show.__doc__
        self.__wrapped__ = show

    def __call__(self, *args, **kwargs):
        return self._show(*args, **kwargs)

    def _note(self):
        for request in [request for request in self._notes if request is not None and request.finished]:
            del self._notes[request]
        return self._notes.setdefault(_request(), {"called": False, "to_draw": []})

    @property
    def _draw_called(self):
        return self._note()["called"]

    @_draw_called.setter
    def _draw_called(self, value):
        self._note()["called"] = value

    @property
    def _to_draw(self):
        return self._note()["to_draw"]

    @_to_draw.setter
    def _to_draw(self, value):
        self._note()["to_draw"] = value


def bind_backend(module):
    """Called when matplotlib_inline.backend_inline was imported."""
    if not isinstance(module.show, _Show):
        show = _Show(module.show)
        show._draw_called, show._to_draw = module.show._draw_called, module.show._to_draw
        module.show = show
