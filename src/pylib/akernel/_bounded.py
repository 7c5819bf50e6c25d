# SPDX-License-Identifier: MIT
"""Calls into code that nobody knows, with an end.

On the main thread an alarm interrupts what takes too long; a timer that the user has set
goes on as if nothing had been. jedi, which may need seconds the first time that it looks at
a library, works on a thread that ends with its answer: who waits for it waits a moment, and
what it learned late makes the next answer fast.
"""

import signal
import threading
import time

_STUCK = 30.0  # seconds after which a thread is given up


class TooLong(BaseException):
    """Not an Exception, so that code that catches everything ordinary lets it pass."""


def call(seconds, function, *args):
    """The function's value; TooLong when it takes longer."""
    if threading.current_thread() is not threading.main_thread():
        return function(*args)
    active = True

    def ring(number, frame):
        if active:
            raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    started = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
    try:
        return function(*args)
    finally:
        active = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
        if left:
            gone = time.monotonic() - started
            signal.setitimer(signal.ITIMER_REAL, max(left - gone, 0.001), interval)


class Worker:
    """One call at a time on a thread of its own."""

    def __init__(self):
        self._busy_since = None

    def call(self, seconds, function, *args):
        """The function's value; TooLong when it takes longer, or another call still runs."""
        now = time.monotonic()
        if self._busy_since is not None and now - self._busy_since < _STUCK:
            raise TooLong
        self._busy_since = now
        done = threading.Event()
        result = []

        def work():
            try:
                result.append((function(*args), None))
            except BaseException as error:
                result.append((None, error))
            if self._busy_since == now:
                self._busy_since = None
            done.set()

        threading.Thread(target=work, name="akernel completion", daemon=True).start()
        if not done.wait(seconds):
            raise TooLong
        value, error = result[0]
        if error is not None:
            raise error
        return value
