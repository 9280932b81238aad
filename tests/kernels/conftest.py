"""Programs in processes of their own, with a compile cache of their own."""

import os
import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def start_python(cache_dir, tmp_path):
    """Start `code` in a new process: start_python(code, VARIABLE="value") gives a Popen with text pipes."""

    def start(code, *arguments, **settings):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "OMP_"))}
        environment |= {"NUMTORCH_CACHE_DIR": str(cache_dir), "PYTHONPATH": str(tmp_path)} | settings
        # A suite that runs in the background of a shell ignores SIGINT, and its children would, too.
        hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        return subprocess.Popen(
            [sys.executable, "-c", hears + textwrap.dedent(code), *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )

    return start


@pytest.fixture
def run_python(start_python):
    """Run `code` in a new process and give its output; a failure shows what it wrote to stderr."""

    def run(code, **settings):
        with start_python(code, **settings) as process:
            output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output

    return run
