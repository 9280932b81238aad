"""Loops that carry a scalar function over buffers: the same shapes for one to four operands.

`contiguous[n](f)`  n arrays and an output of equal length, one after the other
`parallel[n](f)`    the same over fixed blocks, on all threads
`row(f)`            a matrix against a row that is the same for every one of its rows (a bias)

and in `pointwise_strided`, for any strides and broadcasts:

`strided[n](f)`     any strides and broadcasts, described by `meta`
`turned(f)`         matrices against some that lie transposed

`f` is a jitted scalar function. `params` is a tuple of scalars handed to `f` behind the elements (a slope, a bound, the
Python number in `x * 2`). The loops are written out for each number of operands, not over a tuple of arrays, so that
they read as what they are and LLVM sees plain pointers to vectorise. Where `f` is one or two instructions, two operands
are best read in vectors of half the width (`width`; why stands in `simd.width`).
"""

from __future__ import annotations

from numba import prange

from ..compiler import jit
from ..simd import any_width

# 8 Ki elements are 32 KiB of float32 an operand: three of them stay in a 1 MiB L2, and a block is some 1 us of work,
# enough to hide the 0.1 us that handing out a block costs.
BLOCK = 8192

# Below this many elements a second thread costs more than it gives: a parallel launch takes 1.5 us. One core adds 32 Ki
# float32 in 2.7 us (two: the same), and takes their exp in 9 (two: 6).
PARALLEL_THRESHOLD = 32768


def unary(f):
    def unary_loop(x, out, params):
        for i in range(out.size):
            out[i] = f(x[i], *params)

    return unary_loop


def binary(f, width=any_width):
    def binary_loop(a, b, out, params):
        width()
        for i in range(out.size):
            out[i] = f(a[i], b[i], *params)

    return binary_loop


def ternary(f):
    def ternary_loop(a, b, c, out, params):
        for i in range(out.size):
            out[i] = f(a[i], b[i], c[i], *params)

    return ternary_loop


def quaternary(f):
    def quaternary_loop(a, b, c, d, out, params):
        for i in range(out.size):
            out[i] = f(a[i], b[i], c[i], d[i], *params)

    return quaternary_loop


def unary_parallel(f):
    loop = jit(unary(f))

    def unary_parallel_loop(x, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            lo, hi = block * BLOCK, min(block * BLOCK + BLOCK, n)
            loop(x[lo:hi], out[lo:hi], params)

    return unary_parallel_loop


def binary_parallel(f, width=any_width):
    loop = jit(binary(f, width))

    def binary_parallel_loop(a, b, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            lo, hi = block * BLOCK, min(block * BLOCK + BLOCK, n)
            loop(a[lo:hi], b[lo:hi], out[lo:hi], params)

    return binary_parallel_loop


def ternary_parallel(f):
    loop = jit(ternary(f))

    def ternary_parallel_loop(a, b, c, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            lo, hi = block * BLOCK, min(block * BLOCK + BLOCK, n)
            loop(a[lo:hi], b[lo:hi], c[lo:hi], out[lo:hi], params)

    return ternary_parallel_loop


def row(f):
    def row_loop(a, b, out, params):
        m = b.size
        for r in range(out.size // m):
            xs, zs = a[r * m : r * m + m], out[r * m : r * m + m]
            for j in range(m):
                zs[j] = f(xs[j], b[j], *params)

    return row_loop


contiguous = {1: unary, 2: binary, 3: ternary, 4: quaternary}
parallel = {1: unary_parallel, 2: binary_parallel, 3: ternary_parallel}
