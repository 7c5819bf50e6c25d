# SPDX-License-Identifier: MIT
"""The thread of a subshell: an asyncio loop of its own, which reads the subshell's link."""

import asyncio
import threading

import _akernel


def start(fd, readable, over):
    """Makes the loop and its thread; over() is the last thing that the thread calls."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(_akernel._task_factory)
    loop.set_exception_handler(_akernel._on_loop_exception)
    loop.add_reader(fd, readable)
    loop._akernel_ending = False
    threading.Thread(target=_run, args=(loop, fd, over), name="akernel subshell", daemon=True).start()


def end():
    loop = asyncio.get_running_loop()
    loop._akernel_ending = True
    loop.stop()


def _run(loop, fd, over):
    asyncio.set_event_loop(loop)
    while not loop._akernel_ending:
        try:
            loop.run_forever()
        except BaseException:
            pass  # SystemExit of a task: it was told in its cell
    loop.remove_reader(fd)
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    try:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    except BaseException:
        pass
    loop.close()
    over()
