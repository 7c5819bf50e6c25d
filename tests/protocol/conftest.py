# SPDX-License-Identifier: MIT
"""Fixtures: kernels of the installed kernelspec, one a test or one a module."""

import json
import os

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from wire import Kernel


def pytest_addoption(parser):
    parser.addoption("--kernel", default=os.environ.get("AKERNEL_SPEC", "akernel"))


def pytest_configure(config):
    config.addinivalue_line("markers", "unsanitized(reason): cannot run on a kernel built with ASan")


def spec_argv(name):
    spec = KernelSpecManager().get_kernel_spec(name)
    return [a.replace("{resource_dir}", spec.resource_dir) for a in spec.argv]


@pytest.fixture(scope="session")
def argv(request):
    return spec_argv(request.config.getoption("--kernel"))


@pytest.fixture
def launch(argv):
    """A function that starts kernels, which all end with the test."""
    kernels = []

    def launch(mode=None, extra=(), **kwargs):
        command = list(argv)
        if mode:
            command[2] = mode
        kernel = Kernel([*command, *extra], **kwargs)
        kernels.append(kernel)
        return kernel

    yield launch
    for kernel in kernels:
        kernel.stop()


@pytest.fixture
def kernel(launch):
    return launch()


@pytest.fixture
def fresh(kernel):
    """A client of a kernel of its own."""
    return kernel.ready_client()


@pytest.fixture(scope="module")
def shared_kernel(argv):
    with Kernel(argv) as kernel:
        yield kernel


@pytest.fixture
def client(shared_kernel):
    """A client of a kernel that the tests of a module share."""
    client = shared_kernel.ready_client()
    yield client
    client.close()


def read_json(path):
    with open(path) as file:
        return json.load(file)
