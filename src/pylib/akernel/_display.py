# SPDX-License-Identifier: MIT
"""display, update_display and clear_output, with no IPython installed."""

import binascii
import os

import _akernel


def _new_id():
    return binascii.hexlify(os.urandom(16)).decode()


class DisplayHandle:
    """A display that can be changed later: its output stays where it was shown."""

    def __init__(self, display_id=None):
        self.display_id = _new_id() if display_id is None else display_id

    def __repr__(self):
        return f"<{type(self).__name__} display_id={self.display_id}>"

    def display(self, obj, **kwargs):
        """Show obj as a new output under this handle's id."""
        display(obj, display_id=self.display_id, **kwargs)

    def update(self, obj, **kwargs):
        """Replace what is shown under this handle's id."""
        update_display(obj, display_id=self.display_id, **kwargs)


def _show(output, data, metadata, transient):
    content = {"data": data, "metadata": metadata, "transient": transient}
    _akernel._publish(output, content)


def display(
    *objs,
    include=None,
    exclude=None,
    metadata=None,
    transient=None,
    display_id=None,
    raw=False,
    clear=False,
    update=False,
):
    """Show objects in the notebook, each by the richest form that it has.

    With display_id (True for a new one) the outputs can be changed later, through the
    DisplayHandle that is returned or update_display. With raw, objs are MIME bundles.
    """
    if update and display_id is None:
        raise TypeError("display(update=True) needs the display_id of what to update")
    transient = dict(transient or {})
    if display_id is not None:
        display_id = _new_id() if display_id is True else display_id
        transient["display_id"] = display_id
    if clear:
        clear_output(wait=True)
    output = _akernel._UPDATE_DISPLAY_DATA if update else _akernel._DISPLAY_DATA
    for obj in objs:
        if raw:
            _show(output, obj, metadata or {}, transient)
            continue
        bundle = _akernel._bundle(obj, include, exclude)
        if bundle is None or not bundle[0]:
            continue
        data, own = bundle
        if metadata:
            own.update(metadata)
        try:
            _show(output, data, own, transient)
        except (TypeError, ValueError, ArithmeticError, RecursionError):
            _akernel._bundle_repair(data)
            _akernel._bundle_repair(own)
            _show(output, data, own, transient)
    return DisplayHandle(display_id) if display_id is not None else None


def update_display(obj, *, display_id, **kwargs):
    """Replace what is shown under display_id, wherever it is shown."""
    display(obj, display_id=display_id, update=True, **kwargs)


def replay(cell=None, *, all=False):
    """Show in this cell what other cells have shown, as after a reload of the page.

    Without arguments: the cells of other sessions (a reloaded page is a new one) that have
    shown something or finished since that session was last heard of. cell is the id of one
    cell; with all, what every cell showed in its latest run. What a cell that still runs
    goes on to show appears here, too.
    """
    if cell is not None and not isinstance(cell, str):
        raise TypeError(f"cell is the id of a cell, which is text, not {type(cell).__name__}")
    _akernel._show_again({"cell": cell, "all": bool(all)})


def clear_output(wait=False):
    """Remove the outputs of the running cell, at once or when the next one comes."""
    _akernel._publish(_akernel._CLEAR_OUTPUT, {"wait": bool(wait)})


# Pickles name the package, which children of a cell find in their environment.
for _public in (DisplayHandle, clear_output, display, replay, update_display):
    _public.__module__ = "akernel"
