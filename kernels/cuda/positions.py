"""Where element number i of a strided operand lies."""

from __future__ import annotations

from .compiler import SIMULATED, cuda


def _position(i, meta, operand):
    """The place of element i, counted in row-major order, relative to the operand's first one.

    meta = [ndim, sizes, strides of operand 0, strides of operand 1, ...].
    """
    ndim = meta[0]
    base = 1 + ndim * (1 + operand)
    place = 0
    for k in range(ndim):
        d = ndim - 1 - k
        n = meta[1 + d]
        place += i % n * meta[base + d]
        i = i // n
    return place


position = _position if SIMULATED else cuda.jit(device=True)(_position)
