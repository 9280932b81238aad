"""Tests of CUDA run in a child pytest: numba decides at its import whether its simulator takes the place of a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def check(file: str, where: str) -> None:
    """Run the tests of tests/cuda/<file> in the simulator or on the device; skip without a device."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1" if where == "simulator" else "0"}
    environment.pop("PYTEST_ADDOPTS", None)  # how many processes the parent's tests run in is not meant for these
    if where == "device" and not _has_device(environment):
        pytest.skip("there is no CUDA device")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE / file)]
    done = subprocess.run(command, env=environment, cwd=HERE.parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def _has_device(environment) -> bool:
    question = "import sys, numtorch; sys.exit(not numtorch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", question], env=environment, cwd=HERE.parent.parent).returncode == 0
