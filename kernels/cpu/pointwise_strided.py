"""Loops that carry a scalar function over tensors of any strides, broadcasts among them.

`meta` says how they are walked: [ndim, size of each dim, strides of operand 0, ..., strides of the output], dims ordered
from outer to inner, adjacent ones merged where all operands allow it. The two inner dimensions are a *plane* of rows,
the others count planes.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from .copy import turn
from .pointwise import BLOCK

# A transposed operand is turned by tiles of 64 x 64: 16 KiB of float32, half of L1, and 64 lines of 256 bytes to read.
TILE = 64


@jit
def _outer(meta):
    """How many rows a plane has, and how many planes there are."""
    ndim = meta[0]
    planes = 1
    for d in range(1, ndim - 1):
        planes *= meta[d]
    return (meta[ndim - 1] if ndim > 1 else 1), planes


@jit
def _start(meta, plane, operand):
    """Where plane number `plane` of an operand begins."""
    ndim = meta[0]
    strides = 1 + ndim * (1 + operand)
    position = 0
    for d in range(ndim - 3, -1, -1):
        position += plane % meta[1 + d] * meta[strides + d]
        plane //= meta[1 + d]
    return position


@jit
def _steps(meta, operand):
    """Strides of an operand from row to row of a plane and from element to element."""
    ndim = meta[0]
    last = ndim * (2 + operand)
    return (meta[last - 1] if ndim > 1 else 0), meta[last]


def unary_strided(f):
    def unary_strided_loop(x, x0, out, o0, meta, params):
        n = meta[meta[0]]
        rows, planes = _outer(meta)
        (rx, sx), (ro, so) = _steps(meta, 0), _steps(meta, 1)
        for plane in range(planes):
            p, q = x0 + _start(meta, plane, 0), o0 + _start(meta, plane, 1)
            for r in range(rows):
                xs = x[p + r * rx : p + r * rx + (n - 1) * sx + 1]
                zs = out[q + r * ro : q + r * ro + (n - 1) * so + 1]
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

    return unary_strided_loop


def _rows(f):
    @jit
    def rows_loop(a, p, ra, sa, b, q, rb, sb, out, o, ro, so, rows, n, params):
        """`rows` rows of n elements, with the layouts that vectorise written out."""
        if so == 1 and sa == 1 and sb == 1:
            for r in range(rows):
                xs, ys = a[p + r * ra : p + r * ra + n], b[q + r * rb : q + r * rb + n]
                zs = out[o + r * ro : o + r * ro + n]
                for i in range(n):
                    zs[i] = f(xs[i], ys[i], *params)
        elif so == 1 and sa == 1 and sb == 0:
            for r in range(rows):
                xs, y = a[p + r * ra : p + r * ra + n], b[q + r * rb]
                zs = out[o + r * ro : o + r * ro + n]
                for i in range(n):
                    zs[i] = f(xs[i], y, *params)
        elif so == 1 and sa == 0 and sb == 1:
            for r in range(rows):
                x, ys = a[p + r * ra], b[q + r * rb : q + r * rb + n]
                zs = out[o + r * ro : o + r * ro + n]
                for i in range(n):
                    zs[i] = f(x, ys[i], *params)
        else:
            for r in range(rows):
                xs = a[p + r * ra : p + r * ra + (n - 1) * sa + 1]
                ys = b[q + r * rb : q + r * rb + (n - 1) * sb + 1]
                zs = out[o + r * ro : o + r * ro + (n - 1) * so + 1]
                for i in range(n):
                    zs[i * so] = f(xs[i * sa], ys[i * sb], *params)

    return rows_loop


def binary_strided(f):
    rows_loop = _rows(f)

    def binary_strided_loop(a, a0, b, b0, out, o0, meta, params):
        n = meta[meta[0]]
        rows, planes = _outer(meta)
        (ra, sa), (rb, sb), (ro, so) = _steps(meta, 0), _steps(meta, 1), _steps(meta, 2)
        for plane in range(planes):
            p, q, o = a0 + _start(meta, plane, 0), b0 + _start(meta, plane, 1), o0 + _start(meta, plane, 2)
            rows_loop(a, p, ra, sa, b, q, rb, sb, out, o, ro, so, rows, n, params)

    return binary_strided_loop


def planes(f):
    """`binary_strided` on all threads: some rows of one plane a block."""
    rows_loop = _rows(f)

    def planes_loop(a, a0, b, b0, out, o0, meta, params):
        n = meta[meta[0]]
        rows, planes = _outer(meta)
        (ra, sa), (rb, sb), (ro, so) = _steps(meta, 0), _steps(meta, 1), _steps(meta, 2)
        each = min(max(2 * BLOCK // n, 1), rows)
        blocks = (rows + each - 1) // each
        for block in prange(planes * blocks):
            plane, r = block // blocks, block % blocks * each
            p = a0 + _start(meta, plane, 0) + r * ra
            q = b0 + _start(meta, plane, 1) + r * rb
            o = o0 + _start(meta, plane, 2) + r * ro
            rows_loop(a, p, ra, sa, b, q, rb, sb, out, o, ro, so, min(each, rows - r), n, params)

    return planes_loop


def turned(f):
    """out[i, j] = f(a[i, j], b[j, i]) where a and out run along memory by j and b by i: tiles of b are turned in L1."""
    rows_loop = _rows(f)

    def turned_loop(a, a0, b, b0, out, o0, meta, params):
        rows, n = meta[1], meta[2]
        ra, sb, ro = meta[3], meta[6], meta[7]
        for block in prange((rows + TILE - 1) // TILE):
            tile = np.empty(TILE * TILE, b.dtype)
            r = block * TILE
            height = min(TILE, rows - r)
            for j in range(0, n, TILE):
                width = min(TILE, n - j)
                turn(b, b0 + r + j * sb, tile, 0, height, width, sb, TILE)
                p, o = a0 + r * ra + j, o0 + r * ro + j
                rows_loop(a, p, ra, 1, tile, 0, TILE, 1, out, o, ro, 1, height, width, params)

    return turned_loop


def ternary_strided(f):
    def ternary_strided_loop(a, a0, b, b0, c, c0, out, o0, meta, params):
        n = meta[meta[0]]
        rows, planes = _outer(meta)
        (ra, sa), (rb, sb) = _steps(meta, 0), _steps(meta, 1)
        (rc, sc), (ro, so) = _steps(meta, 2), _steps(meta, 3)
        for plane in range(planes):
            p, q = a0 + _start(meta, plane, 0), b0 + _start(meta, plane, 1)
            s, o = c0 + _start(meta, plane, 2), o0 + _start(meta, plane, 3)
            for r in range(rows):
                xs = a[p + r * ra : p + r * ra + (n - 1) * sa + 1]
                ys = b[q + r * rb : q + r * rb + (n - 1) * sb + 1]
                ws = c[s + r * rc : s + r * rc + (n - 1) * sc + 1]
                zs = out[o + r * ro : o + r * ro + (n - 1) * so + 1]
                if so == 1 and sa == 1 and sb == 1 and sc == 1:
                    for i in range(n):
                        zs[i] = f(xs[i], ys[i], ws[i], *params)
                elif so == 1 and sa == 1 and sb == 1 and sc == 0:
                    w = ws[0]
                    for i in range(n):
                        zs[i] = f(xs[i], ys[i], w, *params)
                else:
                    for i in range(n):
                        zs[i * so] = f(xs[i * sa], ys[i * sb], ws[i * sc], *params)

    return ternary_strided_loop


strided = {1: unary_strided, 2: binary_strided, 3: ternary_strided}
