# SPDX-License-Identifier: MIT
"""akernel: a Jupyter kernel for Python, and what cells may ask of it."""

from akernel._display import DisplayHandle, clear_output, display, update_display
from akernel._stdin import ainput

__all__ = ["DisplayHandle", "ainput", "clear_output", "display", "update_display"]
