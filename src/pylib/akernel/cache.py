# SPDX-License-Identifier: MIT
"""The cache of cells, as cells see it. A cell that calls any of this always runs."""

import json

import _akernel


def stats():
    """Counts of this kernel: hits, misses, stored and bypassed cells, time and bytes."""
    return _akernel._cache_stats()


class Explanation(dict):
    """What became of a cell; shows itself as a sentence."""

    def __repr__(self):
        status, reason = self["status"], self["reason"]
        if status == "hit":
            text = f"Not run again: {self['saved_ms']:.0f} ms saved."
        elif status == "stored":
            text = f"Run for {self['run_ms']:.0f} ms and stored ({self['bytes']} bytes)."
        else:
            text = f"Run and not stored: {reason}."
        changed = self["input_changed"]
        return text + (f" Inputs that changed: {', '.join(changed)}." if changed else "")


def explain():
    """Why the cell before this one was a hit, was run, or was not stored."""
    text = _akernel._cache_last()
    return Explanation(json.loads(text)) if text else None


def off():
    """From the next cell on every cell runs and nothing is stored."""
    _akernel._cache_switch(False)


def on():
    """From the next cell on the cache is used again."""
    _akernel._cache_switch(True)


def refresh():
    """The next cell runs whatever is stored, and replaces it."""
    _akernel._cache_refresh()


def clear():
    """Remove everything from the cache directory of this kernel."""
    _akernel._cache_clear()
