"""Evenly spaced numbers.

Products are stored before anything is added to them: a multiply-add, which rounds once, would give other bits.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit


@jit(bare=True)
def arange_forward(start, step, products, out):
    """out[i] = start + i * step, computed in float64; products: float64 of out's size, written over."""
    for i in range(len(out)):
        products[i] = i * step
    for i in range(len(out)):
        out[i] = start + products[i]


@jit(bare=True)
def linspace_forward(start, end, step, out):
    """out[i] = start + i * step in the first half, end - (n - 1 - i) * step in the second, in the dtype of out."""
    n = len(out)
    half = n // 2
    for i in range(half):
        out[i] = step * out.dtype.type(i)
    for i in range(half, n):
        out[i] = step * out.dtype.type(n - 1 - i)
    for i in range(half):
        out[i] = start + out[i]
    for i in range(half, n):
        out[i] = end - out[i]


@jit(bare=True)
def repeats_in_all(counts):
    """The sum of the counts; -1 if one of them is negative."""
    total, signs = np.int64(0), np.int64(0)
    for i in range(counts.size):
        total += counts[i]
        signs |= counts[i]
    return total if signs >= 0 else np.int64(-1)


@jit(nogil=True, bare=True)
def repeat_places(counts, out):
    """out = counts[0] times 0, counts[1] times 1, ..."""
    k = np.int64(0)
    for i in range(counts.size):
        for _ in range(counts[i]):
            out[np.uint64(k)] = i
            k += 1
