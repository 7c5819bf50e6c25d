# SPDX-License-Identifier: MIT
"""JupyterLab in a browser, used as a person uses it."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(120)


def test_the_launcher_shows_the_kernel_and_its_logo(lab):
    lab.launcher()
    card = lab.page.locator('.jp-LauncherCard[data-category="Notebook"]', has_text="Python 3 (akernel)")
    logo = card.locator("img")
    expect(logo).to_be_visible()
    assert "/kernelspecs/akernel/logo" in logo.get_attribute("src")
    assert logo.evaluate("image => image.complete && image.naturalWidth") > 0
    card.click()
    lab.wait_for_kernel()
    lab.editor(0).click()
    lab.page.keyboard.type("6 * 7")
    lab.page.keyboard.press("Shift+Enter")
    lab.expect_output(0, "42")


def test_cells_one_by_one(lab):
    lab.open(lab.server.write("one.ipynb", "x = 20\nprint('x is', x)", "x + 1", "await __import__('asyncio').sleep(0, x + 2)"))
    for index, text in enumerate(["x is 20", "21", "22"]):
        lab.run(index)
        lab.expect_output(index, text)
        lab.expect_prompt(index, index + 1)


def test_run_all(lab):
    lab.open(lab.server.write("all.ipynb", *(f"print('cell', {i})" for i in range(8))))
    lab.menu("Run", "Run All Cells")
    for index in range(8):
        lab.expect_output(index, f"cell {index}")
        lab.expect_prompt(index, index + 1)
    lab.wait_for_kernel()


def test_an_error_stops_run_all(lab):
    """The failing cell works for a second, in which the browser has sent the rest."""
    failing = "import time\ntime.sleep(1)\n1 / 0"
    lab.open(lab.server.write("error.ipynb", "print('first')", failing, "print('third')", "print('fourth')"))
    lab.menu("Run", "Run All Cells")
    lab.expect_output(1, "ZeroDivisionError: division by zero")
    lab.wait_for_kernel()
    for index in (2, 3):
        lab.expect_prompt(index, " ")
        expect(lab.output(index)).to_have_count(0)
    lab.run(3)
    lab.expect_output(3, "fourth")


def test_two_async_cells_interleave(lab):
    lab.open(
        lab.server.write(
            "async.ipynb",
            "import asyncio\nping, pong = asyncio.Event(), asyncio.Event()",
            "print('one: waiting')\nawait ping.wait()\nprint('one: got ping')\npong.set()",
            "print('two: sending')\nping.set()\nawait pong.wait()\nprint('two: got pong')",
        )
    )
    lab.run(0)
    lab.expect_prompt(0, 1)
    lab.run(1)
    lab.expect_output(1, "one: waiting")
    lab.expect_prompt(1, "*")
    lab.run(2)
    lab.expect_output(2, "two: got pong")
    lab.expect_output(1, "one: got ping")
    assert lab.shown(1).split("\n")[:2] == ["one: waiting", "one: got ping"]
    assert lab.shown(2).split("\n")[:2] == ["two: sending", "two: got pong"]


@pytest.mark.parametrize(
    "code",
    ["while True:\n    pass", "import time\ntime.sleep(1000)", "import asyncio\nawait asyncio.sleep(1000)"],
    ids=["loop", "sleep", "await"],
)
def test_the_interrupt_button(lab, code):
    lab.open(lab.server.write("interrupt.ipynb", f"kept = 'kept'\nprint('started')\n{code}", "print(kept)"))
    lab.run(0)
    lab.expect_output(0, "started")
    lab.expect_prompt(0, "*")
    lab.button("interrupt")
    lab.expect_output(0, re.compile("KeyboardInterrupt|CancelledError"))
    lab.expect_prompt(0, 1)
    lab.run(1)
    lab.expect_output(1, "kept")


def test_restart(lab):
    lab.open(lab.server.write("restart.ipynb", "import os\nx = 1\nprint('pid', os.getpid())", "print('x' in globals(), os.getpid)"))
    lab.run(0)
    lab.expect_output(0, "pid")
    before = lab.shown(0)
    lab.button("restart")
    lab.accept()
    lab.wait_for_kernel()
    lab.run(1)
    lab.expect_output(1, "NameError")
    lab.run(0)
    lab.expect_prompt(0, 2)
    expect(lab.output(0).first).not_to_have_text(before)


def test_a_slider_moved_by_the_mouse_while_a_cell_awaits(lab):
    lab.open(
        lab.server.write(
            "slider.ipynb",
            "import asyncio, ipywidgets as w\nslider, label, done = w.IntSlider(max=10), w.Label('nothing'), asyncio.Event()\n"
            "def moved(change):\n    label.value = f'moved to {change.new}'\n    change.new == 10 and done.set()\n"
            "slider.observe(moved, 'value')\nw.VBox([slider, label])",
            "print('waiting')\nawait done.wait()\nprint('the slider says', slider.value)",
        )
    )
    lab.run(0)
    handle = lab.cell(0).locator(".noUi-handle")
    expect(handle).to_be_visible()
    lab.run(1)
    lab.expect_output(1, "waiting")
    handle.scroll_into_view_if_needed()
    box, rail = handle.bounding_box(), lab.cell(0).locator(".noUi-base").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    lab.page.mouse.move(x, y)
    lab.page.mouse.down()
    lab.page.mouse.move(x + rail["width"] / 2, y, steps=5)
    expect(lab.cell(0).locator(".widget-label", has_text=re.compile("moved to [1-9]"))).to_be_visible()
    lab.expect_prompt(1, "*")
    lab.page.mouse.move(x + rail["width"] * 1.2, y, steps=5)
    lab.page.mouse.up()
    lab.expect_output(1, "the slider says 10")
    lab.expect_prompt(1, 2)


def test_an_async_button_fills_an_output(lab):
    lab.open(
        lab.server.write(
            "button.ipynb",
            "import asyncio, ipywidgets as w\nout, button, gate = w.Output(), w.Button(description='Go'), asyncio.Event()\n"
            "async def clicked(button):\n    with out:\n        print('working')\n        await gate.wait()\n        print('finished')\n"
            "button.on_click(clicked)\nw.VBox([button, out])",
            "gate.set()",
        )
    )
    lab.run(0)
    lab.cell(0).locator("button", has_text="Go").click()
    area = lab.cell(0).locator(".widget-output")
    expect(area).to_contain_text("working")
    lab.run(1)
    expect(area).to_contain_text("finished")


def test_input_is_answered(lab):
    lab.open(lab.server.write("input.ipynb", "name = input('Who are you? ')\nprint('Hello,', name)", "print('next')"))
    lab.run(0)
    field = lab.cell(0).locator("input.jp-Stdin-input")
    expect(field).to_be_visible()
    expect(lab.cell(0).locator(".jp-Stdin-prompt")).to_contain_text("Who are you?")
    field.fill("Ada")
    field.press("Enter")
    lab.expect_output(0, "Hello, Ada")
    lab.run(1)
    lab.expect_output(1, "next")


def test_a_console_attached_to_the_notebook(lab):
    lab.open(lab.server.write("console.ipynb", "shared = 41"))
    lab.run(0)
    lab.expect_prompt(0, 1)
    lab.cell(0).click(button="right")
    lab.page.locator(".lm-Menu-item", has_text="New Console for Notebook").click()
    prompt = lab.page.locator(".jp-CodeConsole-promptCell .cm-content")
    prompt.click()
    lab.page.keyboard.type("shared + 1")
    lab.page.keyboard.press("Shift+Enter")
    expect(lab.page.locator(".jp-CodeConsole-content .jp-OutputArea-output", has_text="42")).to_be_visible()


def test_tab_completes(lab):
    lab.open(lab.server.write("tab.ipynb", "import json\nhandsome_value = 3", "handso", "json."))
    lab.run(0)
    lab.expect_prompt(0, 1)
    lab.editor(1).click()
    lab.page.keyboard.press("End")
    lab.page.keyboard.press("Tab")
    expect(lab.page.locator(".jp-Completer-item", has_text="handsome_value").first).to_be_visible()
    lab.page.keyboard.press("Enter")
    expect(lab.editor(1)).to_have_text("handsome_value")
    lab.editor(2).click()
    lab.page.keyboard.press("End")
    lab.page.keyboard.press("Tab")
    expect(lab.page.locator(".jp-Completer-item", has_text="dumps").first).to_be_visible()


def test_shift_tab_explains(lab):
    lab.open(lab.server.write("tooltip.ipynb", "def add(left, right=2):\n    'Adds two numbers.'\n    return left + right", "add("))
    lab.run(0)
    lab.expect_prompt(0, 1)
    lab.editor(1).click()
    lab.page.keyboard.press("End")
    lab.page.keyboard.press("Shift+Tab")
    tooltip = lab.page.locator(".jp-Tooltip")
    expect(tooltip).to_contain_text("Adds two numbers.")
    expect(tooltip).to_contain_text("left, right=2")


def test_a_reload_while_a_cell_runs(lab):
    lab.open(
        lab.server.write(
            "reload.ipynb",
            "import asyncio\ngate = asyncio.Event()\nprint('before the reload')\nawait gate.wait()\nprint('after the reload')",
            "print('first cell of the new page')",
            "gate.set()",
        )
    )
    lab.run(0)
    lab.expect_output(0, "before the reload")
    lab.page.close()
    lab.page = lab.page.context.new_page()
    lab.open("reload.ipynb", status="Busy")
    lab.run(1)
    lab.expect_output(1, "[1] import asyncio  (still running)")
    lab.expect_output(1, "before the reload")
    lab.expect_output(1, "first cell of the new page")
    lab.run(2)
    lab.expect_output(1, "after the reload")
    lab.wait_for_kernel()
