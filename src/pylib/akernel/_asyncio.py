# SPDX-License-Identifier: MIT
"""asyncio without ssl until somebody needs it.

Importing asyncio imports ssl, which costs several milliseconds and some megabytes of a
library that most notebooks never call. While asyncio is imported, stand-ins take the
places of ssl and of asyncio's own SSL protocol; the first use of either imports the real
one. Nothing of it stays in sys.modules: who imports ssl gets ssl.
"""

import importlib
import sys
import types

_LATER = ("ssl", "asyncio.sslproto")


class _Later(types.ModuleType):
    def __getattr__(self, attribute):
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        name = self.__name__
        if sys.modules.get(name) is self:
            del sys.modules[name]
        module = importlib.import_module(name)
        for user in list(sys.modules.values()):
            if getattr(user, "__name__", "").startswith("asyncio."):
                for variable in [v for v, value in vars(user).items() if value is self]:
                    setattr(user, variable, module)
        return getattr(module, attribute)


def _import():
    stand_ins = {name: _Later(name) for name in _LATER if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        import asyncio
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
    return asyncio


asyncio = sys.modules.get("asyncio") or _import()
