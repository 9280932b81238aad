"""`jit`: the one way in which this project turns a Python function into machine code."""

from __future__ import annotations

import numba


def jit(fn=None, *, parallel: bool = False, nogil: bool = False):
    """Compile `fn` lazily for each dtype it meets, with the settings that every kernel here shares."""

    def decorate(f):
        return numba.njit(
            f, error_model="numpy", fastmath={"contract"}, parallel=parallel, nogil=nogil or parallel
        )

    return decorate if fn is None else decorate(fn)
