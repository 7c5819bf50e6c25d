# SPDX-License-Identifier: MIT
"""Asking the front end: sys.stdin and the awaitable form of input()."""

import io
import os

import _akernel


async def ainput(prompt=""):
    """input() that lets other cells and tasks run while the front end answers."""
    import asyncio

    loop = asyncio.get_running_loop()
    fd = _akernel._ask(prompt)
    line = bytearray()
    over = loop.create_future()

    def readable():
        try:
            chunk = os.read(fd, 65536)
        except BlockingIOError:
            return
        line.extend(chunk)
        if not chunk and not over.done():
            over.set_result(None)

    loop.add_reader(fd, readable)
    try:
        await over
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return _akernel._answer(bytes(line))


ainput.__module__ = "akernel"


class Stdin(io.TextIOBase):
    """sys.stdin: every line that is read is asked for."""

    name = "<stdin>"
    encoding = "UTF-8"
    errors = "strict"
    mode = "r"

    def readable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return 0

    def readline(self, size=-1):
        try:
            line = _akernel.input("") + "\n"
        except EOFError:
            return ""
        return line if size is None or size < 0 else line[:size]

    def read(self, size=-1):
        if size is not None and size >= 0:
            return self.readline(size)
        return "".join(iter(self.readline, ""))

    def close(self):
        pass
