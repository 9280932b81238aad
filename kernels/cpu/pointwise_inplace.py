"""Loops that write a scalar function's result over its first operand.

`serial[n](f)`    x[i] = f(x[i], ...), one operand overwritten, n - 1 others read
`parallel[n](f)`  the same over fixed blocks, on all threads
`strided[n](f)`   the same for tensors of any strides, the others expanded to the size of the first; see `walks`

They are not the loops of `pointwise` called with the output for an operand: LLVM guards a vectorised loop by a test that
its arrays do not overlap, finds that these do, and runs one element at a time (exp over 4096 floats: 9 us, here 1).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from .pointwise import BLOCK
from .walks import cut, place, start, steps


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


def unary_strided(f):
    @jit(bare=True)
    def rows_loop(x, p, rx, sx, rows, n, params):
        for r in range(rows):
            at = p + r * rx
            if sx == 1:
                xs = piece(x, at, n)
                for i in range(n):
                    xs[i] = f(xs[i], *params)
            else:
                for i in range(n):
                    k = np.uint64(at + i * sx)
                    x[k] = f(x[k], *params)

    def unary_inplace_strided_loop(x, x0, meta, params):
        part, parts, height, groups, planes = cut(meta)
        rx, sx = steps(meta, 0)
        for block in prange(planes * groups * parts):
            plane, row, column, rows, n = place(meta, block, part, parts, height, groups)
            rows_loop(x, x0 + start(meta, plane, row, column, 0), rx, sx, rows, n, params)

    return unary_inplace_strided_loop


def binary_strided(f):
    @jit(bare=True)
    def rows_loop(a, p, ra, sa, b, q, rb, sb, rows, n, params):
        for r in range(rows):
            at, to = p + r * ra, q + r * rb
            if sa == 1 and sb == 1:
                xs, ys = piece(a, at, n), piece(b, to, n)
                for i in range(n):
                    xs[i] = f(xs[i], ys[i], *params)
            elif sa == 1 and sb == 0:
                xs, y = piece(a, at, n), b[to]
                for i in range(n):
                    xs[i] = f(xs[i], y, *params)
            else:
                for i in range(n):
                    k = np.uint64(at + i * sa)
                    a[k] = f(a[k], b[np.uint64(to + i * sb)], *params)

    def binary_inplace_strided_loop(a, a0, b, b0, meta, params):
        part, parts, height, groups, planes = cut(meta)
        (rb, sb), (ra, sa) = steps(meta, 0), steps(meta, 1)  # what is written decides the order, so it stands last
        for block in prange(planes * groups * parts):
            plane, row, column, rows, n = place(meta, block, part, parts, height, groups)
            q, p = b0 + start(meta, plane, row, column, 0), a0 + start(meta, plane, row, column, 1)
            rows_loop(a, p, ra, sa, b, q, rb, sb, rows, n, params)

    return binary_inplace_strided_loop


serial = {1: unary, 2: binary, 3: ternary}
parallel = {1: unary_parallel, 2: binary_parallel, 3: ternary_parallel}
strided = {1: unary_strided, 2: binary_strided}
