"""A row of floats folded by whole vectors.

    ADDED(x, lo, hi)       the sum of x[lo:hi]              SQUARED(x, lo, hi)    the sum of their squares
    GREATEST(x, lo, hi)    the greatest, nan if there is one     LEAST(x, lo, hi)    the least

LLVM's own loop takes 64 elements at a time and what is left by eights and ones: the greatest of rows of 127 took 24 ns a
row, of 128 12. Here what is left is the end of a vector that begins earlier. Four running vectors hide the three to four
cycles of an addition. At least one vector of elements; see `for_floats` for other rows.
"""

from __future__ import annotations

import numba
from numba.core import types
from numba.extending import overload

from ..compiler import jit
from ..simd import add_up, lanes, larger, largest, load, smaller, smallest
from ..simd.ends import load_last


@jit(bare=True)
def itself(v):
    return v


@jit(bare=True)
def square(v):
    return v * v


@jit(bare=True)
def plus(a, b):
    return a + b


@jit(bare=True)
def load_again(x, position, count):
    """The vector at `position`, of which `count` lanes are new: for folds to which the others are no news."""
    return load(x, position)


def _row_fold(of, combine, across, load_end):
    @jit(bare=True)
    def row(x, lo, hi):
        width = lanes(x)
        a = of(load(x, lo))
        at = lo + width
        if hi - lo >= 4 * width:
            b, c, d = of(load(x, at)), of(load(x, at + width)), of(load(x, at + 2 * width))
            at += 3 * width
            while at + 4 * width <= hi:
                a, b = combine(a, of(load(x, at))), combine(b, of(load(x, at + width)))
                c, d = combine(c, of(load(x, at + 2 * width))), combine(d, of(load(x, at + 3 * width)))
                at += 4 * width
            a = combine(combine(a, b), combine(c, d))
        while at + width <= hi:
            a = combine(a, of(load(x, at)))
            at += width
        if at < hi:
            a = combine(a, of(load_end(x, hi - width, hi - at)))
        return across(a)

    return row


ADDED = _row_fold(itself, plus, add_up, load_last)
SQUARED = _row_fold(square, plus, add_up, load_last)
GREATEST = _row_fold(itself, larger, largest, load_again)
LEAST = _row_fold(itself, smaller, smallest, load_again)


def for_floats(by_vectors, other):
    """by_vectors(x, lo, hi) where x holds floats, and one vector of them at least, else other(x, lo, hi)."""
    if by_vectors is None or numba.config.DISABLE_JIT:
        return other

    @jit(bare=True)
    def long_or_short(x, lo, hi):
        return by_vectors(x, lo, hi) if hi - lo >= lanes(x) else other(x, lo, hi)

    def fold(x, lo, hi):
        return other(x, lo, hi)

    @overload(fold)
    def _fold(x, lo, hi):
        if isinstance(x.dtype, types.Float):
            return lambda x, lo, hi: long_or_short(x, lo, hi)
        return lambda x, lo, hi: other(x, lo, hi)

    return fold
