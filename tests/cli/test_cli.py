# SPDX-License-Identifier: MIT
"""The commands of akernel."""

import json
import os
import pathlib
import subprocess
import sys
import venv

import pytest

ROOT = pathlib.Path(__file__).parents[2]
AKERNEL = str(ROOT / ".local/bin/akernel")


def run(*args, env=None, **kwargs):
    return subprocess.run([AKERNEL, *args], capture_output=True, text=True, env={**os.environ, **(env or {})}, **kwargs)


def installed(prefix, name="akernel"):
    return json.loads((prefix / "share/jupyter/kernels" / name / "kernel.json").read_text())


def test_version():
    done = run("--version")
    assert done.returncode == 0 and done.stdout.startswith("akernel 0.")


@pytest.mark.parametrize("command", ["install", "uninstall", "list", "launch", "cache"])
def test_help(command):
    done = run(command, "--help")
    assert done.returncode == 0 and f"usage: akernel {command}" in done.stdout
    assert command in run("--help").stdout


def test_no_and_unknown_commands():
    assert run().returncode == 2
    done = run("frobnicate")
    assert done.returncode == 2 and "frobnicate" in done.stderr


def test_install_multi(tmp_path):
    def install(*args):
        return run("install", *args, "--prefix", str(tmp_path), "--python", sys.executable)

    done = install("multi", "--session-timeout", "3600", "--max-sessions=40")
    assert done.returncode == 0, done.stderr
    argv = installed(tmp_path, "akernel-multi")["argv"]
    at = argv.index("--session-timeout")
    assert argv[at : at + 4] == ["--session-timeout", "3600", "--max-sessions", "40"]
    for args, reason in (
        (["multi", "--max-sessions", "many"], "takes a number"),
        (["multi", "--session-timeout=-1"], "takes a number"),
        (["--max-sessions", "4"], "mode multi"),
    ):
        done = install(*args)
        assert done.returncode == 2 and reason in done.stderr


def test_install(tmp_path):
    done = run("install", "--prefix", str(tmp_path), "--python", sys.executable, "--env", "A=1", "--env", "B=x=y")
    assert done.returncode == 0, done.stderr
    spec = installed(tmp_path)
    assert spec["argv"][1:3] == ["launch", "async"] and spec["argv"][-2:] == ["-f", "{connection_file}"]
    assert spec["display_name"] == "Python 3 (akernel)" and spec["language"] == "python"
    assert spec["env"] == {"A": "1", "B": "x=y"}
    assert spec["metadata"]["supported_encryption"] == ["curve"]
    files = set(os.listdir(tmp_path / "share/jupyter/kernels/akernel"))
    assert files == {"kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"}


def test_install_again_replaces(tmp_path):
    for name in ("One", "Two"):
        assert run("install", "--prefix", str(tmp_path), "--python", sys.executable, "--display-name", name).returncode == 0
    assert installed(tmp_path)["display_name"] == "Two"
    assert os.listdir(tmp_path / "share/jupyter/kernels") == ["akernel"]


def test_modes_name_the_kernel(tmp_path):
    assert run("install", "chained", "--prefix", str(tmp_path), "--python", sys.executable).returncode == 0
    assert installed(tmp_path, "akernel-chained")["argv"][2] == "chained"
    assert run("install", "async", "--prefix", str(tmp_path), "--python", sys.executable).returncode == 0
    assert installed(tmp_path)["argv"][2] == "async"


@pytest.mark.parametrize("mode,word", [("react-fast", "fast"), ("fast", "fast"), ("chained-concurrent", "one")])
def test_refused_modes(tmp_path, mode, word):
    done = run("install", mode, "--prefix", str(tmp_path), "--python", sys.executable)
    assert done.returncode == 2 and word in done.stderr
    assert not (tmp_path / "share").exists()


@pytest.mark.parametrize(
    "args",
    [("--name", "Bad Name"), ("--env", "novalue"), ("--user", "--sys-prefix"), ("--nonsense",), ("--python",)],
)
def test_refused_arguments(args):
    done = run("install", *args)
    assert done.returncode == 2 and done.stderr.startswith("akernel: ")


def test_a_python_that_is_none(tmp_path):
    done = run("install", "--prefix", str(tmp_path), "--python", "/nonexistent/python")
    assert done.returncode == 1 and "/nonexistent/python" in done.stderr
    done = run("install", "--prefix", str(tmp_path), "--python", "/bin/true")
    assert done.returncode == 1 and done.stderr


def test_another_minor_version_is_refused(tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho '{\"executable\": \"/x/python3.99\", \"version\": \"3.99.1\", \"minor\": \"3.99\"}'\n")
    fake.chmod(0o755)
    done = run("install", "--prefix", str(tmp_path), "--python", str(fake))
    assert done.returncode == 1 and "3.99" in done.stderr and "meson setup" in done.stderr


def test_user_directory(tmp_path):
    env = {"JUPYTER_DATA_DIR": str(tmp_path / "data")}
    assert run("install", "--user", "--python", sys.executable, env=env).returncode == 0
    assert (tmp_path / "data/kernels/akernel/kernel.json").exists()
    assert "akernel" in run("list", env=env).stdout


def test_virtual_environment(tmp_path):
    env = {"VIRTUAL_ENV": str(tmp_path / "venv")}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env["VIRTUAL_ENV"]], check=True)
    done = run("install", env=env)
    assert done.returncode == 0, done.stderr
    spec = installed(pathlib.Path(env["VIRTUAL_ENV"]))
    assert spec["argv"][spec["argv"].index("--python") + 1] == env["VIRTUAL_ENV"] + "/bin/python"


def test_list_finds_an_environment_that_is_not_active(tmp_path):
    venv.create(tmp_path / "env", symlinks=True)
    python = str(tmp_path / "env/bin/python")
    bare = {"VIRTUAL_ENV": "", "JUPYTER_PATH": "", "HOME": str(tmp_path), "XDG_DATA_HOME": "", "JUPYTER_DATA_DIR": ""}
    assert run("install", "--python", python, "--name", "akernel-there", env=bare).returncode == 0
    assert "akernel-there" in run("list", "--python", python, env=bare).stdout
    on_path = bare | {"PATH": f"{tmp_path}/env/bin:{os.environ['PATH']}", "VIRTUAL_ENV": str(tmp_path / "env")}
    assert run("list", env=on_path).stdout.count("akernel-there ") == 1
    assert run("list", env=on_path | {"VIRTUAL_ENV": ""}).stdout.count("akernel-there ") == 1
    assert run("list", "--python", str(tmp_path / "none")).returncode == 1
    assert run("uninstall", "akernel-there", "--python", python, env=bare).returncode == 0
    assert "akernel-there" not in run("list", env=on_path).stdout


@pytest.mark.parametrize("option,value,word", [("--env", b"NAME=\xff", "NAME"), ("--display-name", b"\xff\xfe", "display_name")])
def test_what_is_not_utf8_is_refused(tmp_path, option, value, word):
    """Left out silently, a kernel would start without what it was to have."""
    command = [AKERNEL, "install", "--prefix", str(tmp_path), "--python", sys.executable, option, value]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and word in done.stderr and "UTF-8" in done.stderr
    assert not (tmp_path / "share").exists()


def test_kernelspec_comes_from_the_template(tmp_path):
    template = json.loads((ROOT / "kernelspec/kernel.json.in").read_text())
    assert run("install", "--prefix", str(tmp_path), "--python", sys.executable, "--display-name", "A \"@python@\" one").returncode == 0
    spec = installed(tmp_path)
    assert list(spec) == list(template)
    assert {k: spec[k] for k in ("language", "interrupt_mode", "kernel_protocol_version")} == {
        k: template[k] for k in ("language", "interrupt_mode", "kernel_protocol_version")
    }
    assert spec["metadata"] == {**template["metadata"], "debugger": True}
    assert spec["display_name"] == 'A "@python@" one'
    assert "@" not in " ".join(spec["argv"]) and "" not in spec["argv"]


def test_the_debugger_is_announced_where_debugpy_is(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    for python, there in ((sys.executable, True), (str(tmp_path / "bare/bin/python"), False)):
        assert run("install", "--prefix", str(tmp_path), "--python", python).returncode == 0
        spec = installed(tmp_path)
        assert spec["metadata"]["debugger"] is there
        assert ("--debugger" in spec["argv"]) is there


def test_list_and_uninstall(tmp_path):
    prefix = ("--prefix", str(tmp_path))
    run("install", *prefix, "--python", sys.executable)
    run("install", "chained", *prefix, "--python", sys.executable)
    foreign = tmp_path / "share/jupyter/kernels/foreign"
    foreign.mkdir()
    (foreign / "kernel.json").write_text('{"argv": ["python"]}')
    listing = run("list", *prefix).stdout
    assert "akernel-chained" in listing and "foreign" not in listing
    assert run("uninstall", *prefix).returncode == 0
    assert run("uninstall", *prefix).returncode == 1
    assert run("uninstall", "foreign", *prefix).returncode == 1 and foreign.exists()
    assert run("uninstall", "akernel-chained", *prefix).returncode == 0


def test_unwritable_place():
    done = run("install", "--prefix", "/proc/nowhere", "--python", sys.executable)
    assert done.returncode == 1 and "/proc/nowhere" in done.stderr


def test_jupyter_finds_and_copies_it(tmp_path):
    run("install", "--prefix", str(tmp_path / "one"), "--python", sys.executable)
    source = tmp_path / "one/share/jupyter/kernels/akernel"
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_client.kernelspecapp", "install", str(source), "--prefix", str(tmp_path / "two"), "--name", "copied"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "two", "copied")["argv"][0] == AKERNEL


def test_names_that_are_paths(tmp_path):
    keep = tmp_path / "share/jupyter/kernels/other"
    keep.mkdir(parents=True)
    for name in (".", "..", ".hidden"):
        assert run("install", "--prefix", str(tmp_path), "--name", name, "--python", sys.executable).returncode == 2
    assert keep.exists()


def test_a_link_is_replaced_not_followed(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "kernel.json").write_text("{}")
    kernels = tmp_path / "share/jupyter/kernels"
    kernels.mkdir(parents=True)
    (kernels / "akernel").symlink_to(target)
    assert run("install", "--prefix", str(tmp_path), "--python", sys.executable).returncode == 0
    assert (target / "kernel.json").read_text() == "{}" and not (kernels / "akernel").is_symlink()
