"""Run one piece of a kernel for p = 0 .. count - 1, in a loop or over the threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import prange

from ..compiler import jit

# A launch of threads costs 2 us. The softmax of so many elements takes 26 us on one core and 17 on two, the least that
# is done with a part (a sum, a copy) 2 us.
PARALLEL_SIZE = 32768


def spread(part, bare: bool = False) -> Callable:
    """`launch(size, count, *args)` that calls part(p, *args) for each p < count; parallel if size elements
    deserve it.

    Parts write to places of their own and read nothing that another part writes, so that the result does not
    depend on how many threads there are. `bare`: the part is a bare kernel. No argument may be a tuple: Numba does not
    hand on to threads what lies in a tuple of tuples.
    """

    @jit(nogil=True, bare=bare)
    def serial(count, *args):
        for p in range(count):
            part(p, *args)

    @jit(parallel=True)
    def threads(count, *args):
        for p in prange(count):
            part(np.int64(p), *args)  # prange counts in uint64: the part would be compiled once more for that

    def launch(size, count, *args):
        if size < PARALLEL_SIZE or count == 1:
            serial(count, *args)
        else:
            threads(count, *args)

    launch.serial = serial
    launch.threads = threads
    launch.__name__ = launch.__qualname__ = part.__name__
    launch.__doc__ = part.__doc__
    return launch
