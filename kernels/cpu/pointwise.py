"""Loops that carry a scalar function over buffers: the same four shapes for one to four operands.

`contiguous[n](f)`  n arrays and an output of equal length, one after the other
`parallel[n](f)`    the same over fixed blocks, on all threads
`strided[n](f)`     any strides and broadcasts, described by `meta`
`row(f)`            a matrix against a row that is the same for every one of its rows (a bias)

`f` is a jitted scalar function. `params` is a tuple of scalars handed to `f` behind the elements (a slope, a bound, the
Python number in `x * 2`). The loops are written out for each number of operands, not over a tuple of arrays, so that
they read as what they are and LLVM sees plain pointers to vectorise.

`meta` of a strided loop: [ndim, size of each dim, strides of operand 0, ..., strides of the output], dims ordered from
outer to inner, adjacent ones merged where all operands allow it.
"""

from __future__ import annotations

import numpy as np
from numba import prange

# 16 Ki elements are 64 KiB of float32 an operand: three of them stay in a 1 MiB L2, and a block is some 5 us of work,
# enough to hide the 1 us or so that handing out a block costs.
BLOCK = 16384

# Below this many elements a second thread costs more than it gives: a parallel launch takes 3 to 5 us, and one core
# walks 64 Ki elements of float32 in some 10 us.
PARALLEL_THRESHOLD = 65536


def unary(f):
    def unary_loop(x, out, params):
        for i in range(out.size):
            out[i] = f(x[i], *params)

    return unary_loop


def binary(f):
    def binary_loop(a, b, out, params):
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


def binary_parallel(f):
    def binary_parallel_loop(a, b, out, params):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
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


def _advance(index, meta, ndim):
    """Count the outer index up by one, like an odometer; the dimension that moved, or -1 at the end."""
    d = ndim - 2
    while d >= 0:
        index[d] += 1
        if index[d] < meta[1 + d]:
            return d
        index[d] = 0
        d -= 1
    return -1


def strided_loops(jit):
    """The strided loops; `jit` compiles the index arithmetic that they share."""
    advance = jit(_advance)

    def offset(index, meta, ndim, operand):
        position = 0
        base = 1 + ndim * (1 + operand)
        for d in range(ndim - 1):
            position += index[d] * meta[base + d]
        return position

    offset = jit(offset)

    def unary_strided(f):
        def unary_strided_loop(x, x0, out, o0, meta, params):
            ndim = meta[0]
            n, sx, so = meta[ndim], meta[2 * ndim], meta[3 * ndim]
            index = np.zeros(ndim, np.int64)
            while True:
                p, q = x0 + offset(index, meta, ndim, 0), o0 + offset(index, meta, ndim, 1)
                xs, zs = x[p : p + (n - 1) * sx + 1], out[q : q + (n - 1) * so + 1]
                if sx == 1 and so == 1:
                    for i in range(n):
                        zs[i] = f(xs[i], *params)
                elif sx == 0 and so == 1:
                    value = f(xs[0], *params)
                    for i in range(n):
                        zs[i] = value
                else:
                    for i in range(n):
                        zs[i * so] = f(xs[i * sx], *params)
                if advance(index, meta, ndim) < 0:
                    break

        return unary_strided_loop

    def _line(f):
        @jit
        def line(a, p, sa, b, q, sb, out, r, so, n, params):
            """The inner dimension: n elements, with the layouts that vectorise written out."""
            xs, ys = a[p : p + (n - 1) * sa + 1], b[q : q + (n - 1) * sb + 1]
            zs = out[r : r + (n - 1) * so + 1]
            if so == 1 and sa == 1 and sb == 1:
                for i in range(n):
                    zs[i] = f(xs[i], ys[i], *params)
            elif so == 1 and sa == 1 and sb == 0:
                y = ys[0]
                for i in range(n):
                    zs[i] = f(xs[i], y, *params)
            elif so == 1 and sa == 0 and sb == 1:
                x = xs[0]
                for i in range(n):
                    zs[i] = f(x, ys[i], *params)
            else:
                for i in range(n):
                    zs[i * so] = f(xs[i * sa], ys[i * sb], *params)

        return line

    def binary_strided(f):
        line = _line(f)

        def binary_strided_loop(a, a0, b, b0, out, o0, meta, params):
            ndim = meta[0]
            n, sa, sb, so = meta[ndim], meta[2 * ndim], meta[3 * ndim], meta[4 * ndim]
            if ndim <= 2:
                # Most layouts merge into one or two dimensions.
                rows = meta[1] if ndim == 2 else 1
                ra, rb, ro = meta[1 + ndim], meta[1 + 2 * ndim], meta[1 + 3 * ndim]
                for i in range(rows):
                    line(a, a0 + i * ra, sa, b, b0 + i * rb, sb, out, o0 + i * ro, so, n, params)
                return
            index = np.zeros(ndim, np.int64)
            while True:
                p = a0 + offset(index, meta, ndim, 0)
                q = b0 + offset(index, meta, ndim, 1)
                line(a, p, sa, b, q, sb, out, o0 + offset(index, meta, ndim, 2), so, n, params)
                if advance(index, meta, ndim) < 0:
                    break

        return binary_strided_loop

    def rows_parallel(f):
        line = _line(f)

        def rows_parallel_loop(a, a0, b, b0, out, o0, meta, params):
            n, sa, sb, so = meta[2], meta[4], meta[6], meta[8]
            ra, rb, ro = meta[3], meta[5], meta[7]
            rows = meta[1]
            each = max(BLOCK // n, 1)
            for block in prange((rows + each - 1) // each):
                for i in range(block * each, min(block * each + each, rows)):
                    line(a, a0 + i * ra, sa, b, b0 + i * rb, sb, out, o0 + i * ro, so, n, params)

        return rows_parallel_loop

    def ternary_strided(f):
        def ternary_strided_loop(a, a0, b, b0, c, c0, out, o0, meta, params):
            ndim = meta[0]
            n, sa, sb = meta[ndim], meta[2 * ndim], meta[3 * ndim]
            sc, so = meta[4 * ndim], meta[5 * ndim]
            index = np.zeros(ndim, np.int64)
            while True:
                p = a0 + offset(index, meta, ndim, 0)
                q = b0 + offset(index, meta, ndim, 1)
                r = c0 + offset(index, meta, ndim, 2)
                s = o0 + offset(index, meta, ndim, 3)
                xs, ys = a[p : p + (n - 1) * sa + 1], b[q : q + (n - 1) * sb + 1]
                ws, zs = c[r : r + (n - 1) * sc + 1], out[s : s + (n - 1) * so + 1]
                if so == 1 and sa == 1 and sb == 1 and sc == 1:
                    for i in range(n):
                        zs[i] = f(xs[i], ys[i], ws[i], *params)
                else:
                    for i in range(n):
                        zs[i * so] = f(xs[i * sa], ys[i * sb], ws[i * sc], *params)
                if advance(index, meta, ndim) < 0:
                    break

        return ternary_strided_loop

    return {1: unary_strided, 2: binary_strided, 3: ternary_strided, "rows": rows_parallel}


contiguous = {1: unary, 2: binary, 3: ternary, 4: quaternary}
parallel = {1: unary_parallel, 2: binary_parallel, 3: ternary_parallel}
