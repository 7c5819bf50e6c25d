# SPDX-License-Identifier: MIT
"""jupyter_kernel_test from PyPI, unmodified, against this kernel."""

import jupyter_kernel_test as jkt


class TestAkernel(jkt.KernelTests):
    kernel_name = "akernel"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}, {"text": "prin", "matches": {"print"}}]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = ""
    code_generate_error = "raise ValueError('x')"
    code_execute_result = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
    ]
    code_display_data = [
        {"code": "class H:\n    def _repr_html_(self): return '<b>test</b>'\ndisplay(H())", "mime": "text/html"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "clear_output()"

    # Paging is what IPython's help does with "?": this kernel has no pager of its own.
    test_pager = None


class TestWelcome(jkt.IopubWelcomeTests):
    kernel_name = "akernel"
    support_iopub_welcome = True


