"""Costs of a whole process: import, the way to the end of a first training step, peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent

_IMPORT = """
import time
start = time.perf_counter()
import {library}
print(time.perf_counter() - start)
"""

_FIRST_STEP = """
import {library} as torch
from workloads.training import lenet
lenet(torch)()
print(0)
"""

_PEAK_MEMORY = """
import resource, sys
import {library} as torch
from workloads.training import lenet
step = lenet(torch)
for _ in range(20):
    step()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
print(peak * (1 if sys.platform == "darwin" else 1024))
"""

# name: (program, whether the whole life of the process is the measure, unit)
MEASURES = {
    "import": (_IMPORT, False, "s"),
    "fresh process to the end of its first LeNet step (caches warm)": (_FIRST_STEP, True, "s"),
    "peak memory of a LeNet training process": (_PEAK_MEMORY, False, "B"),
}


def measure(name: str, library: str, environment: dict) -> dict:
    """{"samples": [value]} in the unit of `name`, or {"missing": last line of the error}."""
    program, whole_life, _ = MEASURES[name]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program.format(library=library)],
        cwd=HERE, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    elapsed = time.perf_counter() - start
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return {"samples": [elapsed if whole_life else json.loads(done.stdout)]}
