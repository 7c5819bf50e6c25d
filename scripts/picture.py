# SPDX-License-Identifier: MIT
"""Draws a terminal session as an SVG: the command, and what it printed.

    scripts/tour | picture.py "scripts/tour" FIRST_LINE LAST_LINE > docs/tour.svg
"""

import html
import re
import sys

LINE, WIDTH, MARGIN = 19, 860, 18


def main():
    command, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    text = re.sub(r"\x1b\[[0-9;]*m", "", sys.stdin.read())
    lines = [f"$ {command}", *text.splitlines()[first:last]]
    height = MARGIN * 2 + LINE * len(lines)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">')
    print(f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#1b2a41"/>')
    print('<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13" xml:space="preserve">')
    for number, line in enumerate(lines):
        color = "#59c3c3" if line.startswith("  In [") else "#f5b841" if line.startswith(("$", "#", "==>")) else "#e8eef2"
        y = MARGIN + LINE * (number + 0.75)
        print(f'<text x="{MARGIN}" y="{y}" fill="{color}">{html.escape(line[:104])}</text>')
    print("</g></svg>")


main()
