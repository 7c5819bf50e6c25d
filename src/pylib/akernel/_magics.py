# SPDX-License-Identifier: MIT
"""The magics that a kernel has beside IPython's own."""

import json

import _akernel
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magics import CodeMagics


@magics_class
class KernelMagics(Magics):
    @line_magic
    def edit(self, parameter_s="", last_call=None):
        """Ask the front end to open a file or a function in its editor."""
        options, arguments = self.parse_options(parameter_s, "prn:")
        try:
            filename, lineno, _ = CodeMagics._find_edit_target(self.shell, arguments, options, last_call or ["", ""])
        except Exception as error:
            raise UsageError(f"there is nothing to edit: {error}") from None
        self.shell.payload_manager.write_payload(
            {"source": "edit_magic", "filename": str(filename), "line_number": lineno or 0}
        )

    @line_magic
    def less(self, line):
        """Show a file in the front end's pager."""
        with open(line.strip(), encoding="utf-8", errors="replace") as file:
            self.shell.payloadpage_page(file.read())

    more = line_magic("more")(less)

    @line_magic
    def man(self, line):
        """Show a manual page in the front end's pager."""
        self.shell.payloadpage_page("\n".join(self.shell.getoutput(f"man {line} | col -b", split=True)))

    @line_magic
    def connect_info(self, line):
        """Show how another client reaches this kernel."""
        path = _akernel._config.get("connection_file")
        if not path:
            raise UsageError("this kernel has no connection file")
        with open(path, encoding="utf-8") as file:
            print(json.dumps(json.load(file), indent=2))
        print(f"\nPaste this into a file and connect with\n    $> jupyter console --existing <file>\nor here:\n    $> jupyter console --existing {path}")

    @line_magic
    def qtconsole(self, line):
        """Open a Qt console that is connected to this kernel."""
        import subprocess
        import sys

        path = _akernel._config.get("connection_file")
        command = [sys.executable, "-m", "qtconsole", "--existing", path or "", *line.split()]
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    @line_magic
    def autosave(self, line):
        """Set the interval at which a classic notebook saves itself, in seconds."""
        try:
            seconds = int(line)
        except ValueError:
            raise UsageError(f"%autosave needs a number of seconds, not {line!r}") from None
        from IPython.display import Javascript, display

        display(Javascript(f"IPython.notebook.set_autosave_interval({seconds * 1000})"), include=["application/javascript"])
        print(f"Autosaving every {seconds} seconds" if seconds else "Autosave disabled")
