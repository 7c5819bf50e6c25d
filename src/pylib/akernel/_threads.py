# SPDX-License-Identifier: MIT
"""Threads print into the cell that started them.

Before Python 3.14 a new thread begins with an empty context. Its bootstrap is wrapped here
so that it runs in a copy of its starter's, and the functions given to a thread pool run in
a copy of their submitter's. Nothing of the classes' own interface changes.
"""

import contextvars
import sys


def patch_threading(threading):
    if sys.version_info >= (3, 14):
        return
    start = threading.Thread.start
    bootstrap = threading.Thread._bootstrap_inner

    def started(self, *args, **kwargs):
        self._akernel_context = contextvars.copy_context()
        return start(self, *args, **kwargs)

    def bootstrapped(self, *args, **kwargs):
        context = self.__dict__.pop("_akernel_context", None)
        if context is None:
            return bootstrap(self, *args, **kwargs)
        return context.run(bootstrap, self, *args, **kwargs)

    started.__doc__ = start.__doc__
    started.__name__ = start.__name__
    started.__qualname__ = start.__qualname__
    started.__wrapped__ = start
    threading.Thread.start = started
    threading.Thread._bootstrap_inner = bootstrapped


def patch_pool(module):
    submit = module.ThreadPoolExecutor.submit

    def submitted(self, fn, /, *args, **kwargs):
        return submit(self, contextvars.copy_context().run, fn, *args, **kwargs)

    submitted.__doc__ = submit.__doc__
    submitted.__name__ = submit.__name__
    submitted.__qualname__ = submit.__qualname__
    submitted.__wrapped__ = submit
    module.ThreadPoolExecutor.submit = submitted
