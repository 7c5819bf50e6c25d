# SPDX-License-Identifier: MIT
"""Changes to modules at the moment that they are imported, and not before.

One finder at the head of sys.meta_path knows the names in a table; it lets the others
find the module, and runs the change when the module has been executed. A second table
has what must have happened before a module is executed. A finder at the end knows
stand-ins for modules that no other finder has.
"""

import sys


class _Loader:
    """Another loader that is followed by the change of its module."""

    def __init__(self, loader, change, before):
        self._loader = loader
        self._change = change
        self._before = before

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        if self._before is not None:
            self._before()
        self._loader.exec_module(module)
        if self._change is not None:
            self._change(module)


class Finder:
    def __init__(self, changes, before):
        self.changes = changes
        self.before = before

    def find_spec(self, name, path=None, target=None):
        change, before = self.changes.get(name), self.before.get(name)
        if change is None and before is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, change, before)
                return spec
        return None


class LastFinder:
    """Stand-ins for ipykernel where it is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] != "ipykernel":
            return None
        from akernel import _ipykernel

        return _ipykernel.find_spec(name)


def install(changes, before):
    """Apply each change to its module: now when it is imported already, else on import."""
    later = {}
    for name, change in changes.items():
        module = sys.modules.get(name)
        if module is not None:
            change(module)
        else:
            later[name] = change
    sys.meta_path.insert(0, Finder(later, before))
    sys.meta_path.append(LastFinder())
