# SPDX-License-Identifier: MIT
"""Checks what the compiler cannot: who includes whom, and calls that the style bans.

    check_layers.py SOURCE_ROOT
"""

import pathlib
import re
import sys

LAYERS = {
    "base": {"base"},
    "wire": {"base", "wire"},
    "seam": {"base", "seam"},
    "net": {"base", "wire", "net"},
    "kernel": {"base", "wire", "net", "seam", "kernel"},
    "cache": {"base", "cache"},
    "flow": {"base", "flow"},
    "py": {"base", "cache", "py"},
    "worker": {"base", "seam", "flow", "cache", "py", "worker"},
    "cli": {"base", "kernel", "cache", "cli"},
}
EXTERNAL = {
    "Python.h": {"py"},
    "opcode.h": {"py"},
    "zmq.h": {"net"},
    "jansson.h": {"wire", "kernel", "worker", "cli"},
    "sodium.h": {"wire", "cache"},
    "hiredis/hiredis.h": {"cache"},
    "openssl/ssl.h": {"cache"},
    "uuid/uuid.h": {"wire"},
}
BANNED = {
    "PyDict_GetItemString": "it hides errors: PyDict_GetItemWithError",
    "PyErr_Print": "exceptions are data: ak_fault_take",
    "PyErr_Clear": "take the exception with ak_fault_fetch and drop it",
    "PyRun_SimpleString": "call functions",
    "PyRun_String": "call functions",
    "PyLong_FromVoidPtr": "C state travels in capsules and types",
    "PyGILState_Ensure": "no thread of ours",
    "static PyObject *ak_": None,
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(<[^>]+>|"[^"]+")', re.M)
GENERATED = {"build_config.h"}


def check_file(path, root):
    layer = path.relative_to(root).parts[0] if len(path.relative_to(root).parts) > 1 else None
    text = path.read_text()
    if layer not in LAYERS:
        return
    for include in INCLUDE.findall(text):
        name = include[1:-1]
        if include[0] == '"' and name not in GENERATED:
            target = name.split("/")[0]
            if target not in LAYERS[layer]:
                yield f"{layer} may not include {name}"
            if "-private.h" in name and target != layer:
                yield f"{name} is private to {target}"
        elif name in EXTERNAL and layer not in EXTERNAL[name]:
            yield f"{layer} may not include <{name}>"
    if "#include <Python.h>" in text and layer == "py" and path.suffix == ".h" and not path.name.endswith("-private.h"):
        yield "the faces of py are pure C"
    for call, instead in BANNED.items():
        if instead and re.search(rf"\b{call}\b\s*\(", text):
            yield f"{call} is banned: {instead}"
    if not text.startswith("/* SPDX-License-Identifier: MIT */"):
        yield "the first line is the SPDX identifier"
    if "//" in re.sub(r'"(\\.|[^"\\])*"|/\*.*?\*/', "", text, flags=re.S):
        yield "comments are /* */"


def main():
    root = pathlib.Path(sys.argv[1]) / "src"
    problems = []
    lines = {".c": 0, ".h": 0, ".py": 0}
    for path in sorted(root.rglob("*")):
        if path.suffix in lines:
            lines[path.suffix] += len(path.read_text().splitlines())
        if path.suffix in (".c", ".h"):
            problems += [f"{path.relative_to(root.parent)}: {problem}" for problem in check_file(path, root)]
    share = lines[".py"] / sum(lines.values())
    if share > 0.2:
        problems.append(f"Python is {share:.0%} of src, more than a fifth")
    print("\n".join(problems) or f"{sum(lines.values())} lines, {share:.0%} of them Python")
    sys.exit(bool(problems))


main()
