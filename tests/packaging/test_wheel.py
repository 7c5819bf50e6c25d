# SPDX-License-Identifier: MIT
"""An sdist and a wheel of this tree, and the wheel in a fresh virtual environment."""

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import venv

import pytest
from wire import Kernel

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(600)


def run(*command, **kwargs):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The directory with the sdist of what is committed and the wheel made from it."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", directory, ROOT)
    return directory


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    directory = tmp_path_factory.mktemp("environment") / "fresh"
    venv.create(directory, with_pip=True, symlinks=True)
    (wheel,) = built.glob("*.whl")
    run(directory / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    return directory


@pytest.fixture(scope="module")
def client(environment):
    """A client of the wheel's kernel, started from its kernelspec as front ends do."""
    spec = environment / "share/jupyter/kernels/akernel"
    argv = json.loads((spec / "kernel.json").read_text())["argv"]
    with Kernel([part.replace("{resource_dir}", str(spec)) for part in argv]) as kernel:
        yield kernel.ready_client()


def test_what_is_in_them(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "meson.build", "src/main.c", "kernelspec/kernel.json.in"} <= names
    (wheel,) = built.glob("*.whl")
    minor = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{minor}-{minor}-linux" in wheel.name


def test_the_kernel_is_that_of_its_environment(environment, client):
    result = client.run("import sys\nprint(sys.prefix, sys.executable)")
    assert result.text() == f"{environment} {environment}/bin/python\n"
    version = client.ask("kernel_info_request", {}).content["language_info"]["version"]
    assert version == "%d.%d.%d" % sys.version_info[:3]


def test_the_kernelspec_is_that_of_install(environment, tmp_path):
    run(environment / "bin/akernel", "install", "--prefix", tmp_path, env={"PATH": os.environ["PATH"]})
    installed = json.loads((tmp_path / "share/jupyter/kernels/akernel/kernel.json").read_text())
    assert installed["argv"][installed["argv"].index("--python") + 1] == f"{environment}/bin/python"
    shipped = json.loads((environment / "share/jupyter/kernels/akernel/kernel.json").read_text())
    del installed["argv"], shipped["argv"]
    assert shipped == installed


def test_the_debugger_is_there(environment, client):
    spec = json.loads((environment / "share/jupyter/kernels/akernel/kernel.json").read_text())
    assert spec["metadata"]["debugger"] is True
    info = client.ask("kernel_info_request", {}).content
    assert info["debugger"] is True and "debugger" in info["supported_features"]
    result = client.run("import sys\nprint([name for name in ('IPython', 'jedi', 'debugpy') if name in sys.modules])")
    assert result.text() == "[]\n"


def test_the_debugger_is_missed(environment):
    """Without debugpy among the packages the kernel says so, with no process to find out."""
    spec = environment / "share/jupyter/kernels/akernel"
    argv = [part.replace("{resource_dir}", str(spec)) for part in json.loads((spec / "kernel.json").read_text())["argv"]]
    (package,) = environment.glob("lib/python*/site-packages/debugpy")
    hidden = package.rename(package.parent / "debugpy-hidden")
    try:
        with Kernel(argv) as kernel:
            assert kernel.ready_client().ask("kernel_info_request", {}).content["debugger"] is False
    finally:
        hidden.rename(package)


def test_the_package_outside_says_that_no_kernel_is_here(environment):
    names = run(environment / "bin/python", "-c", "import akernel\nprint(*akernel.__all__)").split()
    assert "display" in names
    for name in names:
        done = subprocess.run(
            [environment / "bin/python", "-c", f"from akernel import {name}\n{name}()"], capture_output=True, text=True
        )
        assert f"RuntimeError: akernel.{name}: no kernel is here" in done.stderr


def test_children_find_what_their_parent_had(client):
    result = client.run(
        "import akernel, multiprocessing\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "    print(pool.apply(repr, (akernel.display,)))"
    )
    assert result.text().startswith("<function display"), result.error


def test_another_build_of_the_python_is_asked_for_its_version(environment, tmp_path):
    """The Python beside the program need not be the file that the wheel was built with."""
    copied = tmp_path / "copied"
    venv.create(copied, symlinks=False)
    for part in ("bin/akernel", "share/akernel/akernel-worker", "share/akernel/_akernel_worker.so"):
        (copied / part).parent.mkdir(parents=True, exist_ok=True)
        (copied / part).write_bytes((environment / part).read_bytes())
        (copied / part).chmod(0o755)
    with Kernel([str(copied / "bin/akernel"), "launch", "-f", "{connection_file}"]) as kernel:
        assert kernel.ready_client().run("import sys\nprint(sys.prefix)").text() == f"{copied}\n"
