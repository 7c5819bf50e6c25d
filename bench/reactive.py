# SPDX-License-Identifier: MIT
"""Propagation a cell: the root of a reactive notebook runs again, over the wire.

    reactive.py [--sizes 10,100,1000] [--rounds N] [KERNEL]

Five shapes; each cell binds one name. Beside it the same cells as one plain script of
compiled code objects, which is the least that they can cost. The engine's own share is
measured without Python by build-local/tests/unit/flow/bench_plan.
"""

import argparse
import pathlib
import random
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "protocol"))
from jupyter_client.kernelspec import KernelSpecManager  # noqa: E402
from wire import Kernel  # noqa: E402


def parents(shape, i, n, rng):
    if shape == "chain":
        return [i - 1]
    if shape == "fan-out" or (shape == "fan-in" and i < n - 1):
        return [0]
    if shape == "fan-in":
        return list(range(1, n - 1))
    if shape == "grid":
        return [i - 1 if i % 10 else max(i - 10, 0)] + ([i - 10] if i > 10 and i % 10 else [])
    return [i - 1, rng.randrange(i)]


def cells(shape, n):
    rng = random.Random(1)
    made = ["v0 = 1"]
    for i in range(1, n):
        made.append(f"v{i} = max(1, {', '.join(f'v{k} * 0' for k in parents(shape, i, n, rng))})")
    return made


def script(made, rounds):
    codes = [compile(source, "cell", "exec") for source in made]
    times = []
    for _ in range(rounds):
        names = {}
        begin = time.perf_counter()
        for code in codes:
            exec(code, names)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def reactive(argv, made, rounds):
    with Kernel(argv) as kernel:
        client = kernel.ready_client()
        for i, source in enumerate(made):
            client.run(source, metadata={"cellId": str(i)})
        times = []
        for number in range(rounds):
            begin = time.perf_counter()
            mid = client.execute(f"v0 = {number + 2}", metadata={"cellId": "0"})
            client.reply(mid)
            times.append(time.perf_counter() - begin)
        (last,) = client.ask(
            "execute_request", {"code": "", "silent": True, "user_expressions": {"v": f"v{len(made) - 1}"}}
        ).content["user_expressions"].values()
        assert last["data"]["text/plain"] == "1", last
        return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,100,1000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("kernel", nargs="?", default="akernel-react")
    options = parser.parse_args()
    spec = KernelSpecManager().get_kernel_spec(options.kernel)
    argv = [a.replace("{resource_dir}", spec.resource_dir) for a in spec.argv]
    print(f"{'shape':10} {'cells':>6} {'us a cell':>10} {'script':>8}")
    for shape in ("chain", "fan-out", "fan-in", "grid", "random"):
        for n in map(int, options.sizes.split(",")):
            made = cells(shape, n)
            own, plain = reactive(argv, made, options.rounds), script(made, options.rounds)
            print(f"{shape:10} {n:6} {1e6 * own / n:10.1f} {1e6 * plain / n:8.2f}", flush=True)


if __name__ == "__main__":
    main()
