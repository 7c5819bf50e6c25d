# SPDX-License-Identifier: MIT
"""A notebook in JupyterLab as a person sees it: cells, outputs, menus, the mouse."""

import re

from playwright.sync_api import expect


class Lab:
    """One tab of a browser with JupyterLab in it."""

    def __init__(self, page, server):
        self.page = page
        self.server = server

    def launcher(self):
        self.page.goto(f"{self.server.url}/lab?reset")
        expect(self.page.locator(".jp-Launcher")).to_be_visible()
        return self

    def open(self, name, status="Idle"):
        self.page.goto(f"{self.server.url}/lab/tree/{name}?reset")
        return self.wait_for_kernel(status)

    def wait_for_kernel(self, status="Idle"):
        """The notebook's own indicator says idle before there is any kernel."""
        bar = self.page.locator("#jp-bottom-panel", has_text=re.compile(rf"\| {status}"))
        expect(bar).to_be_visible()
        expect(self.page.locator(f'.jp-Notebook-ExecutionIndicator[data-status="{status.lower()}"]').first).to_be_visible()
        return self

    # --- cells

    def cell(self, index):
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-CodeCell").nth(index)

    def editor(self, index):
        return self.cell(index).locator(".jp-InputArea-editor .cm-content")

    def select(self, index):
        self.cell(index).locator(".jp-InputPrompt").click()

    def run(self, index):
        """Shift+Enter in a cell, without waiting for what comes of it."""
        self.select(index)
        self.page.keyboard.press("Shift+Enter")

    def output(self, index):
        return self.cell(index).locator(".jp-Cell-outputArea .jp-OutputArea-output")

    def expect_output(self, index, text):
        expect(self.output(index).filter(has_text=text).first).to_be_visible()

    def expect_prompt(self, index, text):
        """The number beside a cell, "*" while it runs, " " before it ever ran."""
        expect(self.cell(index).locator(".jp-InputPrompt")).to_have_text(f"[{text}]:")

    def shown(self, index):
        return "\n".join(self.output(index).all_inner_texts())

    # --- everything around them

    def menu(self, *names):
        bar = self.page.locator("#jp-MainMenu .lm-MenuBar-item", has_text=re.compile(f"^{names[0]}$"))
        bar.click()
        for name in names[1:]:
            self.page.locator(".lm-Menu .lm-Menu-item", has=self.page.locator(f'.lm-Menu-itemLabel:text-is("{name}")')).click()

    def button(self, name):
        """A button of the notebook's toolbar."""
        self.page.locator(f'.jp-NotebookPanel-toolbar [data-jp-item-name="{name}"] >> visible=true').first.click()

    def accept(self):
        """The button that a dialog proposes."""
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        expect(self.page.locator(".jp-Dialog")).to_have_count(0)
