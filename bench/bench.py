# SPDX-License-Identifier: MIT
"""Measures Jupyter kernels side by side and prints a table of medians and ratios.

    bench.py [--rounds N] [--quick] [--output FILE] KERNEL OTHER [...]

KERNEL is compared with each other one: a ratio above 1 says how many times less it needs
(or how many times more it does). All kernels meet the same client on raw sockets, and they
take turns, so that a machine whose speed drifts slows them all. docs/PERFORMANCE.md
explains the rows.
"""

import argparse
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "protocol"))
from jupyter_client.kernelspec import KernelSpecManager  # noqa: E402
from wire import Kernel  # noqa: E402

LOOP = """
import time
def work():
    total = 0
    for i in range(2_000_000):
        total += i * i % 7
    return total
best = 9.0
for _ in range(9):
    start = time.perf_counter(); work(); best = min(best, time.perf_counter() - start)
best
"""
MIB = 1 << 20


class Measured:
    def __init__(self, name):
        spec = KernelSpecManager().get_kernel_spec(name)
        self.name = name
        self.argv = [a.replace("{resource_dir}", spec.resource_dir) for a in spec.argv]
        if os.path.basename(self.argv[0]).startswith("python") and "/" not in self.argv[0]:
            self.argv[0] = sys.executable  # as jupyter_client does
        self.env = dict(spec.env)
        self.rows = {}

    def add(self, row, value):
        self.rows.setdefault(row, []).append(value)

    def start(self):
        return Kernel(self.argv, env=self.env)


def start_up(measured):
    begin = time.perf_counter()
    with measured.start() as kernel:
        client = kernel.client()
        client.ask("kernel_info_request", {})
        measured.add("ready (ms)", 1e3 * (time.perf_counter() - begin))
        client.reply(client.execute("1"))
        measured.add("first execute (ms)", 1e3 * (time.perf_counter() - begin))


def replies(measured, client, n):
    times = []
    for _ in range(n):
        begin = time.perf_counter()
        client.reply(client.execute("1"))
        times.append(1e6 * (time.perf_counter() - begin))
    times.sort()
    measured.add("execute reply p50 (µs)", times[n // 2])
    measured.add("execute reply p99 (µs)", times[n * 99 // 100])


def throughput(measured, client, n):
    begin = time.perf_counter()
    mids = {client.execute("1", silent=True) for _ in range(n)}
    while mids:
        mids.discard(client.receive("shell", 120).parent.get("msg_id"))
    measured.add("cells a second", n / (time.perf_counter() - begin))


def printing(measured, client, n):
    begin = time.perf_counter()
    client.run(f"for i in range({n}):\n    print(i)", timeout=300)
    measured.add("print lines a second", n / (time.perf_counter() - begin))


def display(measured, client, megabytes):
    code = (
        "from IPython.display import display\n" if "akernel" not in measured.name else ""
    ) + f"display({{'text/plain': 'x' * ({megabytes} << 20)}}, raw=True)"
    client.run("'x'")
    begin = time.perf_counter()
    client.run(code, timeout=300)
    measured.add(f"{megabytes} MiB display (ms)", 1e3 * (time.perf_counter() - begin))


def sleeping(measured, client, n):
    client.run("import asyncio")
    begin = time.perf_counter()
    mids = {client.execute("await asyncio.sleep(0.2)") for _ in range(n)}
    while mids:
        mids.discard(client.receive("shell", 300).parent.get("msg_id"))
    measured.add(f"{n} sleeping cells (s)", time.perf_counter() - begin)


def interrupts(measured, client):
    for name, code in (
        ("loop", "print('go')\nwhile True: pass"),
        ("sleep", "import time\nprint('go')\ntime.sleep(60)"),
        ("await", "import asyncio\nprint('go')\nawait asyncio.sleep(5)"),
    ):
        mid = client.execute(code)
        client.iopub_until(lambda m: m.type == "stream")
        begin = time.perf_counter()
        client.kernel.interrupt()
        # A kernel that did not notice is asked again; the time goes on.
        reply = None
        while reply is None:
            reply = client.reply_or_none(mid, 1.0)
            if reply is None:
                client.kernel.interrupt()
        if reply.content["status"] == "error":
            measured.add(f"interrupt: {name} (ms)", 1e3 * (time.perf_counter() - begin))
        client.until_idle(mid)


def descendants(pid):
    pids = [pid]
    for known in pids:
        try:
            for task in os.listdir(f"/proc/{known}/task"):
                with open(f"/proc/{known}/task/{task}/children") as file:
                    pids += map(int, file.read().split())
        except FileNotFoundError:
            pass
    return pids


def memory(measured, kernel):
    total = 0
    for pid in descendants(kernel.process.pid):
        with open(f"/proc/{pid}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    measured.add("memory (MiB)", total * 1024 / MIB)


def session(measured, quick):
    with measured.start() as kernel:
        client = kernel.ready_client()
        client.run("1")
        memory(measured, kernel)
        replies(measured, client, 100 if quick else 500)
        throughput(measured, client, 200 if quick else 1000)
        printing(measured, client, 5000 if quick else 50000)
        display(measured, client, 32)
        interrupts(measured, client)
        loop = float(client.run(LOOP, timeout=120).result)
        measured.add("pure Python loop (ms)", 1e3 * loop)


def sleeping_session(measured, quick):
    with measured.start() as kernel:
        sleeping(measured, kernel.ready_client(), 20 if quick else 500)


def table(kernels):
    first, *others = kernels
    head = ["", first.name] + [text for other in others for text in (other.name, "ratio")]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row, values in first.rows.items():
        mine = statistics.median(values)
        cells = [row, f"{mine:,.1f}"]
        for other in others:
            if row not in other.rows:
                cells += ["–", "–"]
                continue
            theirs = statistics.median(other.rows[row])
            ratio = mine / theirs if "a second" in row else theirs / mine
            cells += [f"{theirs:,.1f}", f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.0f}x"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few repetitions, for a look")
    parser.add_argument("--output", help="write the table here too")
    parser.add_argument("kernels", nargs="+")
    options = parser.parse_args()
    kernels = [Measured(name) for name in options.kernels]
    rounds = 2 if options.quick else options.rounds
    for number in range(rounds):
        for kernel in kernels:
            print(f"round {number + 1} of {rounds}: {kernel.name}", file=sys.stderr)
            start_up(kernel)
            session(kernel, options.quick)
            if number == 0:
                sleeping_session(kernel, options.quick)
    text = table(kernels)
    print(text)
    if options.output:
        pathlib.Path(options.output).write_text(text + "\n")


if __name__ == "__main__":
    main()
