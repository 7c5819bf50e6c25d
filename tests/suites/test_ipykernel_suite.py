# SPDX-License-Identifier: MIT
"""The wire-level tests of ipykernel's own suite, from its sdist, against this kernel.

The sdist comes from PyPI at test time and is not changed. Its tests start the kernel
"python3"; JUPYTER_PATH makes that this kernel in chained mode, since they expect one cell
after the other, and without the wait before idle for tasks that go on, which ends with a
note on stderr. A test that is not excluded by name has to pass.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as tree

import pytest

EXCLUDED = {
    "test_message_spec": {
        "test_kernel_info_request": "asserts that the implementation's own version is 2.1 or newer",
    },
    "test_async": {},
    "test_kernel": {
        "test_execute_reply_error_status[display-formatting-error]": "wants a failed reply when one formatter of a value "
        "raised; this kernel shows the formatter's error and the other forms of the value, and the cell did not fail",
        "test_print_to_correct_cell_from_thread[none]": "wants output of a thread in the newest cell; here it stays in "
        "the cell that started the thread",
        "test_print_to_correct_cell_from_thread[thread-local]": "as above, after reset_thread_parent",
        "test_interrupt_during_pdb_set_trace": "wants the cell behind the interrupted one to run; here an error with "
        "stop_on_error aborts it (tests/protocol/test_shell.py has the interrupt itself)",
        "test_parent_header_and_ident": "reads attributes of ipykernel's kernel object",
    },
    "test_subshells": {
        "test_comm_reply_follows_requesting_subshell": "wants a comm_msg of one subshell handled by another; here a message "
        "is handled by the subshell that its header names (JEP 91)",
        "test_idle_message_parent_headers": "asserts exactly one busy a request; while another cell runs this kernel says "
        "busy again for it, for servers that look at the last status alone",
    },
    "test_debugger": {
        "test_debug_requests_sequential": "asserts that busy and idle alternate; while a cell runs this kernel says busy "
        "again after the idle of another request, for servers that look at the last status alone",
    },
}
FILES = tuple(EXCLUDED)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The directory of the unpacked sdist, and the environment that makes us python3."""
    root = pathlib.Path(__file__).parents[2]
    cache = root / "build-local" / "ipykernel-sdist"
    cache.mkdir(exist_ok=True)
    if not list(cache.glob("ipykernel-*.tar.gz")):
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "ipykernel", "-c", str(root / "tests/constraints.txt"), "-d", str(cache), "ipykernel"],
            check=True,
        )
    directory = tmp_path_factory.mktemp("ipykernel")
    with tarfile.open(next(cache.glob("ipykernel-*.tar.gz"))) as archive:
        archive.extractall(directory)
    # test_subshells asks for an option of pytest-cov.
    (directory / "no_coverage.py").write_text('def pytest_addoption(parser): parser.addoption("--cov")\n')
    spec = directory / "hook" / "kernels" / "python3"
    spec.mkdir(parents=True)
    shutil.copy(root / ".local/share/jupyter/kernels/akernel-chained/kernel.json", spec)
    return next(directory.glob("ipykernel-*")), {
        **os.environ,
        "JUPYTER_PATH": str(directory / "hook"),
        "AKERNEL_SUBSHELLS": "1",
        "AKERNEL_DRAIN": "0",
        "PYTHONPATH": str(directory),
    }


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", FILES)
def test_file(suite, name, tmp_path):
    directory, env = suite
    report = tmp_path / "report.xml"
    excluded = list(EXCLUDED[name])
    command = [sys.executable, "-m", "pytest", "--noconftest", "-c", os.devnull, "--rootdir=.", "-p", "no:cacheprovider", "-p", "no_coverage", "-q"]
    command += ["--timeout", "60", f"--junitxml={report}", f"tests/{name}.py"]
    command += [f"--deselect=tests/{name}.py::{test}" for test in excluded]
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
    cases = [case for case in tree.parse(report).getroot().iter("testcase")]
    failed = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    ran = [case for case in cases if case.find("skipped") is None]
    print(f"{name}: {len(ran)} ran, excluded: {excluded}")
    assert not failed, done.stdout[-6000:]
    assert ran
