"""Loops that write a scalar function's result over its first operand.

`serial[n](f)`    x[i] = f(x[i], ...), one operand overwritten, n - 1 others read
`parallel[n](f)`  the same over fixed blocks, on all threads

They are not the loops of `pointwise` called with the output for an operand: LLVM guards a vectorised loop by a test that
its arrays do not overlap, finds that these do, and runs one element at a time (exp over 4096 floats: 9 us, here 1).
"""

from __future__ import annotations

from numba import prange

from .pointwise import BLOCK


def unary(f):
    def unary_inplace_loop(x, params):
        for i in range(x.size):
            x[i] = f(x[i], *params)

    return unary_inplace_loop


def binary(f):
    def binary_inplace_loop(a, b, params):
        for i in range(a.size):
            a[i] = f(a[i], b[i], *params)

    return binary_inplace_loop


def ternary(f):
    def ternary_inplace_loop(a, b, c, params):
        for i in range(a.size):
            a[i] = f(a[i], b[i], c[i], *params)

    return ternary_inplace_loop


def unary_parallel(f):
    def unary_inplace_parallel_loop(x, params):
        n = x.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            xs = x[block * BLOCK : min(block * BLOCK + BLOCK, n)]
            for i in range(xs.size):
                xs[i] = f(xs[i], *params)

    return unary_inplace_parallel_loop


def binary_parallel(f):
    def binary_inplace_parallel_loop(a, b, params):
        n = a.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            lo, hi = block * BLOCK, min(block * BLOCK + BLOCK, n)
            xs, ys = a[lo:hi], b[lo:hi]
            for i in range(xs.size):
                xs[i] = f(xs[i], ys[i], *params)

    return binary_inplace_parallel_loop


def ternary_parallel(f):
    def ternary_inplace_parallel_loop(a, b, c, params):
        n = a.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            lo, hi = block * BLOCK, min(block * BLOCK + BLOCK, n)
            xs, ys, zs = a[lo:hi], b[lo:hi], c[lo:hi]
            for i in range(xs.size):
                xs[i] = f(xs[i], ys[i], zs[i], *params)

    return ternary_inplace_parallel_loop


serial = {1: unary, 2: binary, 3: ternary}
parallel = {1: unary_parallel, 2: binary_parallel, 3: ternary_parallel}
