"""Reading and writing at indices on the GPU: gather, scatter, index_select, index_add, embedding.

All of them walk a block of elements, of which each has one index. Element i of the block lies in the tensor at
`x0 + position(i, meta, 0) + index * step`: operand 0 of `meta` is the tensor, with stride 0 along the indexed dimension
whose own stride is `step`; operand 1 the index (stride 0 where one index serves a whole part), operand 2 the values.
Indices are checked by `first_bad_index` before they are used.
"""

from __future__ import annotations

import numpy as np

from .compiler import cuda, launch, state
from .positions import position


@cuda.jit
def _find_bad(index, size, bad):
    for i in range(cuda.grid(1), index.size, cuda.gridsize(1)):
        if index[i] < 0 or index[i] >= size:
            cuda.atomic.min(bad, 0, i)


@cuda.jit
def _gather(x, x0, step, index, meta, count, out):
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        place = x0 + position(i, meta, 0) + index[position(i, meta, 1)] * step
        out[position(i, meta, 2)] = x[place]


@cuda.jit
def _scatter(x, x0, step, index, meta, count, values, values0):
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        place = x0 + position(i, meta, 0) + index[position(i, meta, 1)] * step
        x[place] = values[values0 + position(i, meta, 2)]


@cuda.jit
def _scatter_add(x, x0, step, index, meta, count, values, values0):
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        place = x0 + position(i, meta, 0) + index[position(i, meta, 1)] * step
        cuda.atomic.add(x, place, values[values0 + position(i, meta, 2)])


def first_bad_index(index, size: int) -> int:
    """The position of the first index (int64) outside 0 .. size - 1, or -1. Waits for the device."""
    if not index.size:
        return -1
    bad = cuda.to_device(np.array([index.size], np.int64), stream=state.stream)
    launch(_find_bad, index.size, index, size, bad)
    found = int(bad.copy_to_host(stream=state.stream)[0]) if not state.stream else _fetch(bad)
    return -1 if found == index.size else found


def _fetch(bad) -> int:
    host = bad.copy_to_host(stream=state.stream)
    state.stream.synchronize()
    return int(host[0])


def gather_forward(x, x0: int, step: int, index, meta, count: int, out) -> None:
    """out[i] = the element of x at index i."""
    launch(_gather, count, x, x0, step, index, meta, count, out)


def scatter_forward(x, x0: int, step: int, index, meta, count: int, values, values0: int) -> None:
    """The element of x at index i = values[i]; of equal indices one is kept, torch does not say which."""
    launch(_scatter, count, x, x0, step, index, meta, count, values, values0)


def scatter_add_forward(x, x0: int, step: int, index, meta, count: int, values, values0: int) -> None:
    """The element of x at index i += values[i], by atomic additions (their order is not fixed).

    x and values are float32, float64, int32 or int64.
    """
    launch(_scatter_add, count, x, x0, step, index, meta, count, values, values0)
