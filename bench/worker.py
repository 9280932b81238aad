"""Run one family with one library in this process and print one line of JSON for each workload.

Started by compare.py, so that torch and numtorch never share a process: two pools of OpenMP threads in one
disturb each other.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import sys
import time
from collections.abc import Callable

from workloads import load

# What a library raises where a feature is not there yet. Such a workload is reported and the run goes on.
MISSING = (AttributeError, ImportError, NotImplementedError)
FAILED = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)


def samples(run: Callable[[], object], budget: float) -> list[float]:
    """Seconds per call, each the mean over a block of at least a millisecond, for `budget` seconds in all.

    Two calls and then a tenth of the budget go to warming up: compilation, caches, page faults, threads.
    """
    clock = time.perf_counter
    run()
    run()
    calls, start = 0, clock()
    while calls == 0 or clock() - start < budget / 10:
        run()
        calls += 1
    block = max(1, round(1e-3 * calls / (clock() - start)))
    result: list[float] = []
    gc.collect()
    gc.disable()
    try:
        begin = clock()
        while len(result) < 3 or clock() - begin < budget:
            start = clock()
            for _ in range(block):
                run()
            result.append((clock() - start) / block)
    finally:
        gc.enable()
    return result


def measure(library, prepare, budget: float) -> dict:
    """{"samples": [...]} or {"missing": reason} or {"error": reason}; "kernel" where a workload can say which one ran."""
    try:
        run = prepare(library)
        done = {"samples": samples(run, budget)}
        kernel = getattr(run, "kernel", None)
        return done if kernel is None else {**done, "kernel": kernel}
    except MISSING as error:
        return {"missing": f"{type(error).__name__}: {error}"}
    except FAILED as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", choices=["torch", "numtorch"])
    parser.add_argument("family")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=0.2)
    options = parser.parse_args()
    library = importlib.import_module(options.package)
    if hasattr(library, "set_num_threads"):
        library.set_num_threads(options.threads)
    for name, prepare in load(options.family).workloads.items():
        print(json.dumps({"name": name, **measure(library, prepare, options.budget)}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
