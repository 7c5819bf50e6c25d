# SPDX-License-Identifier: MIT
"""Executes a notebook through nbclient, prints each cell's output, writes the result.

    run_notebook.py KERNEL NOTEBOOK OUTPUT
"""

import os
import sys
import time

import nbformat
from nbclient import NotebookClient


def text_of(output):
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return "\n".join(output.traceback)
    data = output.data
    if "text/plain" in data and not any(m.startswith("image/") for m in data):
        return data["text/plain"]
    return "[" + ", ".join(sorted(data)) + "]"


def main():
    kernel, path, output = sys.argv[1:]
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, kernel_name=kernel, timeout=120)
    start = time.perf_counter()
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                print(f"\n{cell.source}\n")
                continue
            client.execute_cell(cell, index)
            print("".join(f"  In [{cell.execution_count}]  {line}\n" for line in cell.source.splitlines()), end="")
            for out in cell.outputs:
                for line in text_of(out).rstrip().splitlines():
                    print(f"      {line}")
    nbformat.write(notebook, output)
    seconds = time.perf_counter() - start
    print(f"\nExecuted in {seconds:.1f} s; the executed notebook is {os.path.abspath(output)}")


main()
