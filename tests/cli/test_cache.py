# SPDX-License-Identifier: MIT
"""`akernel cache`: what it says about a directory and what it leaves of one. Caches that
kernels filled are in tests/protocol."""

import json
import os
import pathlib
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
AKERNEL = str(ROOT / ".local/bin/akernel")
COMMANDS = ["stats", "list", "verify", "gc", "clear"]


@pytest.fixture
def cache(tmp_path):
    def run(*args, **env):
        return subprocess.run(
            [AKERNEL, "cache", *args],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "AKERNEL_CACHE_DIR": str(tmp_path / "cache"), **env},
        )

    return run


def damaged(tmp_path, age=0):
    entry = tmp_path / "cache/entries/ab" / ("ab" * 32)
    entry.parent.mkdir(parents=True)
    (tmp_path / "cache").chmod(0o700)
    entry.write_bytes(b"not an entry")
    os.utime(entry, (time.time() - age,) * 2)
    return entry


def test_help(cache):
    done = cache("--help")
    assert done.returncode == 0 and all(f"  {command} " in done.stdout for command in COMMANDS)
    assert cache().returncode == 2


@pytest.mark.parametrize(
    "args, what",
    [
        (["frobnicate"], "frobnicate"),
        (["list", "--frobnicate"], "--frobnicate"),
        (["gc", "--max-bytes", "much"], "much"),
        (["gc", "--max-bytes"], "--max-bytes"),
        (["gc", "--max-days=soon"], "soon"),
    ],
)
def test_what_makes_no_sense(cache, args, what):
    done = cache(*args)
    assert done.returncode == 2 and what in done.stderr


def test_limits_of_the_environment(cache):
    done = cache("gc", AKERNEL_CACHE_MAX_DAYS="soon")
    assert done.returncode == 2 and "AKERNEL_CACHE_MAX_DAYS" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_no_cache_is_nothing_to_do_and_makes_none(cache, tmp_path, command):
    done = cache(command)
    assert done.returncode == 0 and "There is no cache in" in done.stdout
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_empty_cache(cache, tmp_path, command):
    (tmp_path / "here").mkdir(mode=0o700)
    done = cache(command, "-c", "here")
    assert done.returncode == 0 and done.stderr == ""


def test_a_directory_with_other_things_is_left_alone(cache, tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/thesis").write_text("all of it")
    (tmp_path / "documents").chmod(0o755)
    done = cache("clear", "-c", "documents")
    assert done.returncode == 1 and "holds other things" in done.stderr
    assert (tmp_path / "documents/thesis").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_somebody_elses_directory_is_refused(cache, tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 12345, 12345)
    done = cache("gc", "-c", "theirs")
    assert done.returncode == 1 and "somebody else" in done.stderr


def test_verify_finds_and_repairs(cache, tmp_path):
    entry = damaged(tmp_path)
    done = cache("verify")
    assert done.returncode == 1 and "1 are not" in done.stdout and entry.exists()
    assert cache("verify", "--repair").returncode == 1
    assert not entry.exists()
    assert cache("verify").returncode == 0


def test_gc_removes_what_is_old(cache, tmp_path):
    entry = damaged(tmp_path, age=3 * 86400)
    assert "Removed 0 of 1 entries" in cache("gc").stdout and entry.exists()
    assert cache("gc", "--max-days", "2", "--quiet").stdout == ""
    assert not entry.exists()


def test_clear_removes_everything(cache, tmp_path):
    entry = damaged(tmp_path)
    assert "Cleared" in cache("clear").stdout
    assert not entry.exists()


def test_a_key_that_others_could_read_is_refused(cache, tmp_path):
    damaged(tmp_path)
    (tmp_path / "state/akernel").mkdir(parents=True)
    (tmp_path / "state/akernel/cache.key").write_bytes(b"k" * 32)
    (tmp_path / "state/akernel/cache.key").chmod(0o644)
    done = cache("verify")
    assert done.returncode == 1 and "others" in done.stderr


def test_install_writes_what_the_kernel_needs(tmp_path):
    def install(*args):
        return subprocess.run([AKERNEL, "install", "--prefix", "here", *args], capture_output=True, text=True, cwd=tmp_path)

    done = install("-c", "my cache", "--cache-url", "rediss://:p%40ss@cache.example/2", "--cache-key=/etc/team.key")
    assert done.returncode == 0, done.stderr
    spec = json.loads((tmp_path / "here/share/jupyter/kernels/akernel/kernel.json").read_text())
    assert spec["env"]["AKERNEL_CACHE_DIR"] == str(tmp_path / "my cache")
    assert spec["env"]["AKERNEL_CACHE_URL"] == "rediss://:p%40ss@cache.example/2"
    assert spec["env"]["AKERNEL_CACHE_KEY_FILE"] == "/etc/team.key"
    done = install("--cache-url", "http://:sesame@example.org")
    assert done.returncode == 2 and "redis://" in done.stderr and "sesame" not in done.stderr


def test_a_collection_that_a_kernel_starts(tmp_path):
    entry = damaged(tmp_path, age=3 * 86400)
    env = {**os.environ, "AKERNEL_CACHE_MAX_DAYS": "2"}
    helper = ROOT / ".local/libexec/akernel/akernel-cache"
    assert subprocess.run([helper, "collect", tmp_path / "cache"], env=env).returncode == 0
    # It detaches, so what it leaves behind last says that it is done.
    end = time.monotonic() + 60
    while not (tmp_path / "cache/usage").exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert (tmp_path / "cache/usage").read_text() == "0\n" and not entry.exists()
    assert subprocess.run([helper], capture_output=True).returncode == 2
