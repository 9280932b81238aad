"""Evenly spaced numbers.

Products are stored before anything is added to them: a multiply-add, which rounds once, would give other bits.
"""

from __future__ import annotations

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
