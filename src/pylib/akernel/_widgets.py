# SPDX-License-Identifier: MIT
"""ipywidgets: handlers that are coroutine functions.

A handler of on_click, on_msg, on_submit or observe may be an "async def": each call of it
starts a task, in the name of the cell that made the widget, so that what it prints over
minutes has a place to go. ipywidgets itself would drop the coroutine.
"""

import inspect

_running = set()


class _Starter:
    """A coroutine function as a plain callback. It equals the function, so that what was
    registered can be unregistered."""

    def __init__(self, function):
        self.function = function

    def __eq__(self, other):
        return self.function == (other.function if isinstance(other, _Starter) else other)

    def __hash__(self):
        return hash(self.function)

    def __call__(self, *args, **kwargs):
        from asyncio import get_running_loop

        task = get_running_loop().create_task(self.function(*args, **kwargs))
        _running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task):
        _running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            name = getattr(self.function, "__qualname__", repr(self.function))
            context = {"message": f"akernel: the handler {name} failed", "exception": task.exception(), "task": task}
            task.get_loop().call_exception_handler(context)


def _callback(handler):
    function = getattr(handler, "func", handler)  # of functools.partial
    return _Starter(handler) if inspect.iscoroutinefunction(function) else handler


def bind_module(module):
    """Called when ipywidgets.widgets.widget was imported."""
    register = module.CallbackDispatcher.register_callback
    observe = module.Widget.observe

    def register_callback(self, callback, remove=False):
        register(self, _callback(callback), remove)

    def observe_traits(self, handler, *args, **kwargs):
        observe(self, _callback(handler), *args, **kwargs)

    register_callback.__doc__ = register.__doc__
    observe_traits.__doc__ = observe.__doc__
    module.CallbackDispatcher.register_callback = register_callback
    module.Widget.observe = observe_traits


def bind_package(package):
    """Called when ipywidgets was imported: front ends may ask for the widgets that are."""
    package.register_comm_target()
