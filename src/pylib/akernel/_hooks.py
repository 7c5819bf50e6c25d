# SPDX-License-Identifier: MIT
"""Changes to modules at the moment that they are imported, and not before.

One finder at the head of sys.meta_path knows the names in a table; it lets the others
find the module, and runs the change when the module has been executed.
"""

import sys


class _Loader:
    """Another loader that is followed by the change of its module."""

    def __init__(self, loader, change):
        self._loader = loader
        self._change = change

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._change(module)


class Finder:
    def __init__(self, changes):
        self.changes = changes

    def find_spec(self, name, path=None, target=None):
        change = self.changes.get(name)
        if change is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, change)
                return spec
        return None


def install(changes):
    """Apply each change to its module: now when it is imported already, else on import."""
    later = {}
    for name, change in changes.items():
        module = sys.modules.get(name)
        if module is not None:
            change(module)
        else:
            later[name] = change
    sys.meta_path.insert(0, Finder(later))
