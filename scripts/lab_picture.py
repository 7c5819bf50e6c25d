#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes docs/lab.png: a notebook in JupyterLab under this kernel, as it looks in a browser.

    scripts/test                                    once: makes .venv-suites
    .venv-suites/bin/python scripts/lab_picture.py
"""

import pathlib
import re
import sys
import tempfile

from PIL import Image
from playwright.sync_api import expect, sync_playwright

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/frontends"))
from conftest import Server, isolated  # noqa: E402
from lab import Lab  # noqa: E402

SIZE = {"width": 1200, "height": 860}
CELLS = [
    "import asyncio\n"
    "for n in range(1, 1000):\n"
    '    print(f"\\rcell 1 counts: {n}", end="")\n'
    "    await asyncio.sleep(0.2)",
    "import matplotlib.pyplot as plt, numpy as np   # runs beside cell 1\n"
    "x = np.linspace(0, 12, 400)\n"
    "plt.figure(figsize=(7.6, 2.3))\n"
    'for k in (1, 1.5, 2):\n    plt.plot(x, np.exp(-x / 6) * np.sin(k * x), label=f"k = {k}")\n'
    "plt.legend();",
    "import ipywidgets as widgets\n"
    'slider = widgets.IntSlider(value=7, max=20, description="runs")\n'
    "slider",
    "while slider.value < 15:        # waits until the slider is moved\n"
    "    await asyncio.sleep(0.05)\n"
    'f"the slider says {slider.value}"',
]


def picture(lab, path):
    lab.open(lab.server.write("akernel.ipynb", *CELLS))
    for index in range(len(CELLS)):
        lab.run(index)
    expect(lab.output(1).locator("img")).to_be_visible()
    expect(lab.cell(2).locator(".noUi-handle")).to_be_visible()
    expect(lab.output(0)).to_contain_text(re.compile(r"counts: \d\d"))
    lab.expect_prompt(0, "*")
    lab.expect_prompt(3, "*")
    lab.page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollTop = 0")
    lab.page.screenshot(path=path)


def main():
    target = ROOT / "docs/lab.png"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        directory = pathlib.Path(name)
        expect.set_options(timeout=30_000)
        server = Server(directory / "notebooks", isolated(directory), "jupyterlab")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        try:
            lab = Lab(browser.new_page(viewport=SIZE), server)
            picture(lab, target)
            server.end_kernels()
        finally:
            browser.close()
            server.stop()
    Image.open(target).convert("RGB").quantize(192).save(target, optimize=True)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
