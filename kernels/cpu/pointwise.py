"""Loops that carry a scalar function over buffers: the same shapes for one to four operands.

`contiguous[n](f)`  n arrays and an output of equal length, one after the other
`parallel[n](f)`    the same over fixed blocks, on all threads
`streamed[n](f)`    the same for results that no cache would hold until they are read
`row(f)`            a matrix against a row that is the same for every one of its rows (a bias)

and in `pointwise_strided`, for any strides and broadcasts:

`strided[n](f)`     any strides and broadcasts, described by `meta`
`planes(f)`         the same for two operands, on all threads
`turned(f)`         a matrix against one that lies transposed

`f` is a jitted scalar function. `params` is a tuple of scalars handed to `f` behind the elements (a slope, a bound, the
Python number in `x * 2`). The loops are written out for each number of operands, not over a tuple of arrays, so that
they read as what they are and LLVM sees plain pointers to vectorise. Where `f` is one or two instructions, two operands
are best read in vectors of half the width (`width`; why stands in `simd.streaming`).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .. import host
from ..simd import any_width, stream

# 8 Ki elements are 32 KiB of float32 an operand: three of them stay in a 1 MiB L2, and a block is some 1 us of work,
# enough to hide the 0.1 us that handing out a block costs.
BLOCK = 8192

# Below this many elements a second thread costs more than it gives: a parallel launch takes 1.5 us. One core adds 32 Ki
# float32 in 2.7 us (two: the same), and takes their exp in 9 (two: 6).
PARALLEL_THRESHOLD = 32768

# Bytes of a result from which it is written past the caches. A smaller result is still in the last level when the next
# operator reads it, which is worth more than what streaming saves; of a larger one its operands leave little there.
STREAM_BYTES = host.cache_bytes(3) * 3 // 8

# Elements that a streamed loop computes before it writes them: 8 KiB of float32, a quarter of L1 beside the operands.
CHUNK = 2048


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
    def unary_parallel_loop(x, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            lo = block * BLOCK
            hi = min(lo + BLOCK, n)
            xs, ys = x[lo:hi], out[lo:hi]
            for i in range(ys.size):
                ys[i] = f(xs[i], *params)

    return unary_parallel_loop


def binary_parallel(f, width=any_width):
    def binary_parallel_loop(a, b, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            width()
            lo = block * BLOCK
            hi = min(lo + BLOCK, n)
            xs, ys, zs = a[lo:hi], b[lo:hi], out[lo:hi]
            for i in range(zs.size):
                zs[i] = f(xs[i], ys[i], *params)

    return binary_parallel_loop


def ternary_parallel(f):
    def ternary_parallel_loop(a, b, c, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            lo = block * BLOCK
            hi = min(lo + BLOCK, n)
            xs, ys, zs, os = a[lo:hi], b[lo:hi], c[lo:hi], out[lo:hi]
            for i in range(os.size):
                os[i] = f(xs[i], ys[i], zs[i], *params)

    return ternary_parallel_loop


def row(f):
    def row_loop(a, b, out, params):
        m = b.size
        for r in range(out.size // m):
            xs, zs = a[r * m : r * m + m], out[r * m : r * m + m]
            for j in range(m):
                zs[j] = f(xs[j], b[j], *params)

    return row_loop


def unary_streamed(f):
    def unary_streamed_loop(x, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            result = np.empty(CHUNK, out.dtype)
            for lo in range(block * BLOCK, min(block * BLOCK + BLOCK, n), CHUNK):
                m = min(CHUNK, n - lo)
                xs, ys = x[lo : lo + m], result[:m]
                for i in range(ys.size):
                    ys[i] = f(xs[i], *params)
                stream(out, lo, result, m)

    return unary_streamed_loop


def binary_streamed(f):
    def binary_streamed_loop(a, b, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            result = np.empty(CHUNK, out.dtype)
            for lo in range(block * BLOCK, min(block * BLOCK + BLOCK, n), CHUNK):
                m = min(CHUNK, n - lo)
                xs, ys, zs = a[lo : lo + m], b[lo : lo + m], result[:m]
                for i in range(zs.size):
                    zs[i] = f(xs[i], ys[i], *params)
                stream(out, lo, result, m)

    return binary_streamed_loop


def ternary_streamed(f):
    def ternary_streamed_loop(a, b, c, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            result = np.empty(CHUNK, out.dtype)
            for lo in range(block * BLOCK, min(block * BLOCK + BLOCK, n), CHUNK):
                m = min(CHUNK, n - lo)
                xs, ys, zs, os = a[lo : lo + m], b[lo : lo + m], c[lo : lo + m], result[:m]
                for i in range(os.size):
                    os[i] = f(xs[i], ys[i], zs[i], *params)
                stream(out, lo, result, m)

    return ternary_streamed_loop


contiguous = {1: unary, 2: binary, 3: ternary, 4: quaternary}
parallel = {1: unary_parallel, 2: binary_parallel, 3: ternary_parallel}
streamed = {1: unary_streamed, 2: binary_streamed, 3: ternary_streamed}
