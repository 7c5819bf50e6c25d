# SPDX-License-Identifier: MIT
"""Eight lines about the Python that runs this, for the build: version, prefix, build text,
static archive, the libraries that the archive needs, whether it is free-threaded, its executable, and that
of the Python that a virtual environment was made from."""

import os
import sys
import sysconfig


def archive():
    directory = sysconfig.get_config_var("LIBPL") or ""
    version = sysconfig.get_config_var("LDVERSION") or ""
    path = os.path.join(directory, f"libpython{version}.a")
    return path if version and os.path.exists(path) else ""


libs = " ".join(sysconfig.get_config_var(name) or "" for name in ("MODLIBS", "LIBS", "SYSLIBS"))
print(".".join(map(str, sys.version_info[:3])))
print(sys.base_prefix)
print(" ".join(sys.version.split()))
print(archive())
print(" ".join(lib for lib in libs.split() if lib.startswith("-l")))
print("free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with-gil")
print(sys.executable)
print(getattr(sys, "_base_executable", None) or sys.executable)
