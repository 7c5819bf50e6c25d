# SPDX-License-Identifier: MIT
"""What the names of this package are where no kernel is.

The package is installed in the environment too: children that a cell starts import what
their parent had imported, and so do editors and test runners. They may hold the names;
who calls one is told where it works.
"""


def _refuse(name):
    raise RuntimeError(f"akernel.{name}: no kernel is here; this works in the cells of a notebook that akernel runs")


def stand_in(name):
    """An object under that name that can be held, compared and pickled, but not called."""

    def refuse(*args, **kwargs):
        _refuse(name)

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__module__ = "akernel"
    refuse.__doc__ = "Works in the cells of a notebook that akernel runs."
    if name[0].isupper():
        return type(name, (), {"__module__": "akernel", "__doc__": refuse.__doc__, "__init__": refuse})
    return refuse
