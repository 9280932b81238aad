"""How many threads kernels use, and the one way in which parallel kernels are launched."""

from __future__ import annotations

import functools
import os
import threading

import numba
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel as pool

# Held while a parallel kernel runs: Numba's workqueue aborts the process when two Python threads use it at once.
_launch = threading.RLock()

_num_threads: int | None = None


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """Threads that a parallel kernel may use; NUMTORCH_NUM_THREADS, OMP_NUM_THREADS, or all usable CPUs."""
    global _num_threads
    if _num_threads is None:
        _num_threads = usable_cpus()
        for variable in ("NUMTORCH_NUM_THREADS", "OMP_NUM_THREADS"):
            text = os.environ.get(variable, "").split(",")[0].strip()
            if text.isdecimal() and int(text) > 0:
                _num_threads = int(text)
                break
    return _num_threads


def set_num_threads(num_threads: int) -> None:
    """Let parallel kernels of this process use `num_threads` threads. Raises RuntimeError below 1, as torch does."""
    global _num_threads
    if num_threads <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    _num_threads = num_threads


def _open_pool() -> None:
    """Choose Numba's threading layer unless the user has: workqueue, which survives a fork; GNU OpenMP does not."""
    if not pool._is_initialized and str(numba.config.THREADING_LAYER).lower() == "default":
        numba.config.THREADING_LAYER = "workqueue"
    pool._launch_threads()


class ParallelKernel:
    """A kernel compiled with parallel=True; calls of all of them run one after the other."""

    def __init__(self, dispatcher):
        self.dispatcher = dispatcher
        self.py_func = dispatcher.py_func
        functools.update_wrapper(self, self.py_func)

    def __call__(self, *args):
        return _guarded_call(self.dispatcher, args)

    def guarded(self, entry):
        """`entry`, a compiled form of this kernel, as a function that launches it under the guard."""

        def launch(*args):
            return _guarded_call(entry, args)

        return launch


def _guarded_call(entry, args):
    with _launch:
        if not pool._is_initialized:
            _open_pool()
        # The number is a setting of the calling thread, and kernels of the user's own may rely on it.
        before = pool._get_num_threads()
        wanted = min(get_num_threads(), pool.NUM_THREADS)
        if wanted == before:
            return entry(*args)
        pool._set_num_threads(wanted)
        try:
            return entry(*args)
        finally:
            pool._set_num_threads(before)


def _before_fork() -> None:
    # A child inherits locks as they are: fork while nobody launches or compiles.
    _launch.acquire()
    global_compiler_lock.acquire()


def _after_fork() -> None:
    global_compiler_lock.release()
    _launch.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
