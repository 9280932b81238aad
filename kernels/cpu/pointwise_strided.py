"""Loops that carry a scalar function over tensors of any strides, broadcasts among them.

`meta` says how they are walked: [ndim, size of each dim, strides of operand 0, ..., strides of the output], dims ordered
from outer to inner, adjacent ones merged where all operands allow it. The two inner dimensions are a *plane* of rows,
the others count planes. Blocks of some rows of a plane, or of a part of one row, are spread over the threads; compiled
without threads, the same text walks them one after the other.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from ..simd import any_width
from .copy import turn
from .pointwise import BLOCK

# A transposed operand is turned by tiles of 64 x 64: 16 KiB of float32, half of L1, and 64 lines of 256 bytes to read.
TILE = 64

# A block is about so many elements. A row that is read again and again is taken in parts that stay in the first-level
# cache (4096 float32 are 16 KiB): a matrix of rows of 10,000 plus a row takes 102 us for 127; others are not cut, since
# what comes from memory comes faster in long runs.
ELEMENTS = 2 * BLOCK
REPEATED = 4096


@jit(inline=True, bare=True)
def _steps(meta, operand):
    """Strides of an operand from row to row of a plane and from element to element."""
    ndim = meta[0]
    last = ndim * (2 + operand)
    return (meta[last - 1] if ndim > 1 else 0), meta[last]


@jit(inline=True, bare=True)
def _cut(meta):
    """How the work is cut: (elements of a row that a block takes, such parts, rows of a block, such groups, planes)."""
    ndim = meta[0]
    n, rows, planes = meta[ndim], meta[ndim - 1] if ndim > 1 else 1, 1
    for d in range(1, ndim - 1):
        planes *= meta[d]
    part = min(n, ELEMENTS)
    if ndim > 1:
        for operand in range((meta.size - 1) // ndim - 1):
            row_step, step = _steps(meta, operand)
            if row_step == 0 and step != 0:
                part = min(n, REPEATED)
    height = min(max(ELEMENTS // part, 1), rows)
    return part, (n + part - 1) // part, height, (rows + height - 1) // height, planes


@jit(inline=True, bare=True)
def _start(meta, plane, row, column, operand):
    """Where an element of plane number `plane` of an operand lies."""
    ndim = meta[0]
    strides = 1 + ndim * (1 + operand)
    position = column * meta[strides + ndim - 1]
    if ndim > 1:
        position += row * meta[strides + ndim - 2]
    for d in range(ndim - 3, -1, -1):
        position += plane % meta[1 + d] * meta[strides + d]
        plane //= meta[1 + d]
    return position


@jit(inline=True, bare=True)
def _place(meta, block, part, parts, height, groups):
    """Block number `block`: its plane, first row and first column, how many rows and columns."""
    ndim = meta[0]
    column = block % parts * part
    row = block // parts % groups * height
    rows = meta[ndim - 1] if ndim > 1 else 1
    return block // parts // groups, row, column, min(height, rows - row), min(part, meta[ndim] - column)


def unary_strided(f):
    @jit(bare=True)
    def rows_loop(x, p, rx, sx, out, o, ro, so, rows, n, params):
        if sx == 1 and so == 1:
            for r in range(rows):
                xs, zs = piece(x, p + r * rx, n), piece(out, o + r * ro, n)
                for i in range(n):
                    zs[i] = f(xs[i], *params)
        elif sx == 0 and so == 1:
            for r in range(rows):
                value, zs = f(x[p + r * rx], *params), piece(out, o + r * ro, n)
                for i in range(n):
                    zs[i] = value
        else:
            for r in range(rows):
                xs, zs = piece(x, p + r * rx, (n - 1) * sx + 1), piece(out, o + r * ro, (n - 1) * so + 1)
                for i in range(n):
                    zs[i * so] = f(xs[i * sx], *params)

    def unary_strided_loop(x, x0, out, o0, meta, params):
        part, parts, height, groups, planes = _cut(meta)
        (rx, sx), (ro, so) = _steps(meta, 0), _steps(meta, 1)
        for block in prange(planes * groups * parts):
            plane, row, column, rows, n = _place(meta, block, part, parts, height, groups)
            p, o = x0 + _start(meta, plane, row, column, 0), o0 + _start(meta, plane, row, column, 1)
            rows_loop(x, p, rx, sx, out, o, ro, so, rows, n, params)

    return unary_strided_loop


def _rows(f, width):
    @jit(bare=True)
    def rows_loop(a, p, ra, sa, b, q, rb, sb, out, o, ro, so, rows, n, params):
        """`rows` rows of n elements, with the layouts that vectorise written out."""
        width()
        if so == 1 and sa == 1 and sb == 1:
            for r in range(rows):
                xs, ys = piece(a, p + r * ra, n), piece(b, q + r * rb, n)
                zs = piece(out, o + r * ro, n)
                for i in range(n):
                    zs[i] = f(xs[i], ys[i], *params)
        elif so == 1 and sa == 1 and sb == 0:
            for r in range(rows):
                xs, y = piece(a, p + r * ra, n), b[q + r * rb]
                zs = piece(out, o + r * ro, n)
                for i in range(n):
                    zs[i] = f(xs[i], y, *params)
        elif so == 1 and sa == 0 and sb == 1:
            for r in range(rows):
                x, ys = a[p + r * ra], piece(b, q + r * rb, n)
                zs = piece(out, o + r * ro, n)
                for i in range(n):
                    zs[i] = f(x, ys[i], *params)
        else:
            for r in range(rows):
                xs, ys = piece(a, p + r * ra, (n - 1) * sa + 1), piece(b, q + r * rb, (n - 1) * sb + 1)
                zs = piece(out, o + r * ro, (n - 1) * so + 1)
                for i in range(n):
                    zs[i * so] = f(xs[i * sa], ys[i * sb], *params)

    return rows_loop


def binary_strided(f, width=any_width):
    rows_loop = _rows(f, width)

    def binary_strided_loop(a, a0, b, b0, out, o0, meta, params):
        width()
        part, parts, height, groups, planes = _cut(meta)
        (ra, sa), (rb, sb), (ro, so) = _steps(meta, 0), _steps(meta, 1), _steps(meta, 2)
        for block in prange(planes * groups * parts):
            plane, row, column, rows, n = _place(meta, block, part, parts, height, groups)
            p = a0 + _start(meta, plane, row, column, 0)
            q = b0 + _start(meta, plane, row, column, 1)
            o = o0 + _start(meta, plane, row, column, 2)
            rows_loop(a, p, ra, sa, b, q, rb, sb, out, o, ro, so, rows, n, params)

    return binary_strided_loop


def turned(f, width=any_width):
    """out[i, j] = f(a[i, j], b[j, i]) where a and out run along memory by j and b by i: tiles of b are turned in L1."""
    rows_loop = _rows(f, width)

    def turned_loop(a, a0, b, b0, out, o0, meta, params):
        width()
        ndim = meta[0]
        rows, n, planes = meta[ndim - 1], meta[ndim], 1
        for d in range(1, ndim - 1):
            planes *= meta[d]
        (ra, _), (_, sb), (ro, _) = _steps(meta, 0), _steps(meta, 1), _steps(meta, 2)
        strips = (rows + TILE - 1) // TILE
        for strip in prange(planes * strips):
            tile = np.empty(TILE * TILE, b.dtype)
            plane, r = strip // strips, strip % strips * TILE
            height = min(TILE, rows - r)
            p = a0 + _start(meta, plane, r, 0, 0)
            q = b0 + _start(meta, plane, r, 0, 1)
            o = o0 + _start(meta, plane, r, 0, 2)
            for j in range(0, n, TILE):
                across = min(TILE, n - j)
                turn(b, q + j * sb, tile, 0, height, across, sb, TILE)
                rows_loop(a, p + j, ra, 1, tile, 0, TILE, 1, out, o + j, ro, 1, height, across, params)

    return turned_loop


def ternary_strided(f):
    @jit(bare=True)
    def rows_loop(a, p, ra, sa, b, q, rb, sb, c, s, rc, sc, out, o, ro, so, rows, n, params):
        for r in range(rows):
            if so == 1 and sa == 1 and sb == 1 and sc == 1:
                xs, ys = piece(a, p + r * ra, n), piece(b, q + r * rb, n)
                ws, zs = piece(c, s + r * rc, n), piece(out, o + r * ro, n)
                for i in range(n):
                    zs[i] = f(xs[i], ys[i], ws[i], *params)
            elif so == 1 and sa == 1 and sb == 1 and sc == 0:
                xs, ys = piece(a, p + r * ra, n), piece(b, q + r * rb, n)
                w, zs = c[s + r * rc], piece(out, o + r * ro, n)
                for i in range(n):
                    zs[i] = f(xs[i], ys[i], w, *params)
            else:
                xs, ys = piece(a, p + r * ra, (n - 1) * sa + 1), piece(b, q + r * rb, (n - 1) * sb + 1)
                ws, zs = piece(c, s + r * rc, (n - 1) * sc + 1), piece(out, o + r * ro, (n - 1) * so + 1)
                for i in range(n):
                    zs[i * so] = f(xs[i * sa], ys[i * sb], ws[i * sc], *params)

    def ternary_strided_loop(a, a0, b, b0, c, c0, out, o0, meta, params):
        part, parts, height, groups, planes = _cut(meta)
        (ra, sa), (rb, sb) = _steps(meta, 0), _steps(meta, 1)
        (rc, sc), (ro, so) = _steps(meta, 2), _steps(meta, 3)
        for block in prange(planes * groups * parts):
            plane, row, column, rows, n = _place(meta, block, part, parts, height, groups)
            p, q = a0 + _start(meta, plane, row, column, 0), b0 + _start(meta, plane, row, column, 1)
            s, o = c0 + _start(meta, plane, row, column, 2), o0 + _start(meta, plane, row, column, 3)
            rows_loop(a, p, ra, sa, b, q, rb, sb, c, s, rc, sc, out, o, ro, so, rows, n, params)

    return ternary_strided_loop


strided = {1: unary_strided, 2: binary_strided, 3: ternary_strided}
