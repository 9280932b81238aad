"""How many threads kernels use, and the one way in which parallel kernels are launched."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable
from types import ModuleType

import numba
import numpy as np
from numba.core import types
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel as pool

# Held while a parallel kernel runs in a pool of Numba's: its workqueue aborts the process when two Python threads use it
# at once.
_launch = threading.RLock()

_opening = threading.RLock()
_opened = False
_our_pool: ModuleType | None = None  # once it is in place
_exchange: Callable | None = None  # sets Numba's number of threads for this thread, returns what it was

_num_threads: int | None = None


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """Threads that a parallel kernel may use: NUMTORCH_NUM_THREADS, OMP_NUM_THREADS, or all usable CPUs."""
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
    """Let parallel kernels, and numpy's BLAS, use `num_threads` threads in this process.

    Raises torch's RuntimeError for anything but a positive int. More threads than there are CPUs are not started.
    """
    global _num_threads
    if isinstance(num_threads, bool) or not isinstance(num_threads, (int, np.integer)):
        raise RuntimeError(f"set_num_threads expects an int, but got {type(num_threads).__name__}")
    if num_threads <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    _num_threads = int(num_threads)
    _limit_blas(_num_threads)
    if _our_pool is not None:
        _our_pool.set_limit(_num_threads)


def _limit_blas(num_threads: int) -> None:
    library = _openblas()
    if library is not None:
        library.scipy_openblas_set_num_threads64_(min(num_threads, usable_cpus()))


@functools.cache
def _openblas() -> ctypes.CDLL | None:
    """The OpenBLAS that numpy's wheels carry, if numpy has loaded one."""
    package = os.path.dirname(np.__file__)
    for folder in (os.path.join(package, os.pardir, "numpy.libs"), os.path.join(package, ".dylibs")):
        if not os.path.isdir(folder):
            continue
        for name in os.listdir(folder):
            if "openblas" in name:
                library = ctypes.CDLL(os.path.join(folder, name))
                if hasattr(library, "scipy_openblas_set_num_threads64_"):
                    return library
    return None


def open_pool() -> None:
    """Get the thread pool ready, before the first parallel kernel is compiled or loaded: our own (`pool`), or the
    threading layer that the user asks Numba for.
    """
    global _our_pool, _exchange, _opened
    with _opening:
        if _opened:
            return
        ours = not pool._is_initialized and str(numba.config.THREADING_LAYER).lower() == "default"
        if ours:
            # What ours leaves to Numba is in its workqueue, which survives a fork; GNU OpenMP does not.
            numba.config.THREADING_LAYER = "workqueue"
        pool._launch_threads()
        _opened = True
        if ours:
            from . import pool as our_pool

            if our_pool.install(get_num_threads()):
                _exchange = our_pool.exchange_threads.compile((types.int64,))
                _our_pool = our_pool


class ParallelKernel:
    """A kernel with prange loops. Launches of all of them run one after the other, with get_num_threads() threads.

    With one thread it runs as a serial kernel: no pool is started and no lock is taken.
    """

    def __init__(self, dispatcher, serial):
        self.dispatcher = dispatcher
        self.serial = serial
        self.py_func = dispatcher.py_func
        functools.update_wrapper(self, self.py_func)

    def __call__(self, *args):
        if get_num_threads() == 1:
            return self.serial(*args)
        return _launch_parallel(self.dispatcher, args)

    def entry_point(self, signature) -> Callable:
        """A function that launches what is compiled for exactly `signature`, under the same guard."""
        entries: dict[bool, Callable] = {}

        def ready(is_serial):
            if is_serial not in entries:
                entries[is_serial] = (self.serial if is_serial else self.dispatcher).compile(signature)
            return entries[is_serial]

        def launch(*args):
            if get_num_threads() == 1:
                return ready(True)(*args)
            return _launch_parallel(ready(False), args)

        ready(get_num_threads() == 1)
        return launch


def _launch_parallel(kernel, args):
    if not _opened:
        open_pool()
    if _our_pool is not None:
        # The number is a setting of the calling thread, and kernels of the user's own may rely on it.
        before = _exchange(_our_pool.units(get_num_threads()))
        try:
            return kernel(*args)
        except SystemError as error:
            # An exception in a prange body: Numba leaves it behind in the thread's state and returns as if all were well.
            raise error.__cause__ or error from None
        finally:
            _exchange(before)
    with _launch:
        before = pool._get_num_threads()
        wanted = min(get_num_threads(), pool.NUM_THREADS)
        if wanted == before:
            return kernel(*args)
        pool._set_num_threads(wanted)
        try:
            return kernel(*args)
        finally:
            pool._set_num_threads(before)


def _before_fork() -> None:
    # A child inherits locks as they are: fork while nobody launches or compiles.
    _launch.acquire()
    global_compiler_lock.acquire()


def _after_fork() -> None:
    global_compiler_lock.release()
    _launch.release()


def _in_child() -> None:
    _after_fork()
    if _our_pool is not None:
        _our_pool.forget_threads()
    elif pool._is_initialized and pool._threading_layer == "omp":
        set_num_threads(1)  # GNU OpenMP, chosen by the user, would kill the child at its first parallel kernel


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
