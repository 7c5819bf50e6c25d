# SPDX-License-Identifier: MIT
"""%gui: the windows of a toolkit live while cells await and between cells.

asyncio stays the one event loop. A toolkit that has a loop of its own gives its events
when it is asked; it is asked PERIOD seconds after the last answer, and only from %gui on
until its windows are gone or %gui says off.
"""

import asyncio

PERIOD = 0.02

NAMES = {
    "qt": "qt", "qt4": "qt", "qt5": "qt", "qt6": "qt",
    "tk": "tk",
    "gtk": "gtk", "gtk3": "gtk", "gtk4": "gtk",
    "wx": "wx",
    "asyncio": None, "inline": None, "nbagg": None, "webagg": None, "notebook": None,
    "ipympl": None, "widget": None, "agg": None, None: None, "": None,
}  # fmt: skip

_running = None


class _Turns:
    """One toolkit that is given turns on the loop."""

    def __init__(self, gui, turn):
        self.gui = gui
        self.turn = turn
        self.loop = asyncio.get_running_loop()
        self.handle = self.loop.call_later(PERIOD, self.step)

    def step(self):
        try:
            more = self.turn()
        except Exception:
            self.stop()
            raise
        if more is False:
            self.stop()
        elif self.handle is not None:
            self.handle = self.loop.call_later(PERIOD, self.step)

    def stop(self):
        global _running
        if self.handle is not None:
            self.handle.cancel()
        self.handle = None
        if _running is self:
            _running = None


def _tk():
    import _tkinter
    import tkinter

    if not getattr(tkinter, "_default_root", None):
        root = tkinter.Tk()
        root.withdraw()

    def turn():
        root = getattr(tkinter, "_default_root", None)
        if root is None:
            return True
        # One turn is bounded, so that a flood of events leaves cells their time.
        for _ in range(1000):
            if not root.tk.dooneevent(_tkinter.DONT_WAIT):
                break
        return True

    return turn


def _qt():
    for name in ("PyQt6", "PySide6", "PyQt5", "PySide2"):
        try:
            widgets = __import__(f"{name}.QtWidgets", fromlist=["QApplication"])
            break
        except ImportError:
            continue
    else:
        raise ValueError("%gui qt needs PyQt6, PySide6, PyQt5 or PySide2 in this environment")
    application = widgets.QApplication.instance() or widgets.QApplication(["akernel"])
    application.setQuitOnLastWindowClosed(False)
    return application.processEvents


def _gtk():
    from gi.repository import GLib

    context = GLib.MainContext.default()

    def turn():
        for _ in range(1000):
            if not context.iteration(False):
                break

    return turn


def _wx():
    import wx

    application = wx.App.Get() or wx.App(False)
    loop = wx.GUIEventLoop()

    def turn():
        with wx.EventLoopActivator(loop):
            while loop.Pending():
                loop.Dispatch()
            application.ProcessPendingEvents()

    return turn


def enable(gui):
    """Begin to give that toolkit turns; None ends it."""
    global _running
    gui = gui.lower() if isinstance(gui, str) else gui
    if gui not in NAMES:
        known = ", ".join(sorted(name for name in NAMES if name))
        raise ValueError(f"there is no GUI event loop {gui!r}; these are known: {known}")
    kind = NAMES[gui]
    if kind is None:
        # "asyncio" is what runs anyway; an inline backend leaves a toolkit that runs alone.
        if gui in (None, "", "asyncio") and _running is not None:
            _running.stop()
        return
    if _running is not None:
        if _running.gui == kind:
            return
        _running.stop()
    try:
        turn = {"tk": _tk, "qt": _qt, "gtk": _gtk, "wx": _wx}[kind]()
    except ImportError as error:
        raise ValueError(f"%gui {gui} cannot be used: {error}") from None
    _running = _Turns(kind, turn)
