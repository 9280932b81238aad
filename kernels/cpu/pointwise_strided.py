"""Loops that carry a scalar function over tensors of any strides, broadcasts among them.

`meta` says how they are walked, by the blocks of `walks`, which are spread over the threads; compiled without threads, the
same text walks them one after the other.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from ..simd import any_width
from .copy import every_second, turn
from .walks import cut, place, start, steps

# Elements with gaps between them are closed up in tiles of so many: 8 KiB of float32 an operand, of three in the 32 KiB of
# L1, and the loop runs along memory: exp of every second of 2M elements takes 0.7 ms where it took 2.2.
CLOSED = 2048
# A transposed operand is turned by tiles of 64 x 64: 16 KiB of float32, half of L1, and 64 lines of 256 bytes to read.
TILE = 64


@jit(apart=True, bare=True)
def close_up(x, p, rx, sx, tile, rows, n):
    """tile[r * n + i] = x[p + r * rx + i * sx]."""
    for r in range(rows):
        first = p + r * rx
        if sx == 2 and n >= 32:  # (two vectors and more)
            every_second(x, first, tile, r * n, n)
        elif sx == 0:
            line, value = piece(tile, r * n, n), x[first]
            for i in range(n):
                line[i] = value
        else:
            line = piece(tile, r * n, n)
            for i in range(n):
                line[i] = x[np.uint64(first + i * sx)]


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
                    zs[np.uint64(i * so)] = f(xs[np.uint64(i * sx)], *params)  # unsigned: no look at the sign

    @jit
    def closed_rows(x, p, rx, sx, out, o, ro, rows, n, params):
        """As rows_loop, of elements that have gaps between them: tile by tile."""
        tile = np.empty(CLOSED, x.dtype)
        width, height = min(n, CLOSED), max(CLOSED // n, 1)
        for r in range(0, rows, height):
            h = min(height, rows - r)
            for c in range(0, n, width):
                w = min(width, n - c)
                close_up(x, p + r * rx + c * sx, rx, sx, tile, h, w)
                if ro == w:  # one row of all
                    rows_loop(tile, 0, 0, 1, out, o + r * ro, 0, 1, 1, h * w, params)
                else:
                    rows_loop(tile, 0, w, 1, out, o + r * ro + c, ro, 1, h, w, params)

    def unary_strided_loop(x, x0, out, o0, meta, params):
        part, parts, height, groups, planes = cut(meta)
        (rx, sx), (ro, so) = steps(meta, 0), steps(meta, 1)
        for block in prange(planes * groups * parts):
            plane, row, column, rows, n = place(meta, block, part, parts, height, groups)
            p, o = x0 + start(meta, plane, row, column, 0), o0 + start(meta, plane, row, column, 1)
            if sx > 1 and so == 1:
                closed_rows(x, p, rx, sx, out, o, ro, rows, n, params)
            else:
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
                    zs[np.uint64(i * so)] = f(xs[np.uint64(i * sa)], ys[np.uint64(i * sb)], *params)

    return rows_loop


def binary_strided(f, width=any_width):
    rows_loop = _rows(f, width)

    @jit
    def closed_rows(a, p, ra, sa, b, q, rb, sb, out, o, ro, rows, n, params):
        """As rows_loop, of operands of which one has gaps between its elements: tile by tile."""
        tile_a, tile_b = np.empty(CLOSED, a.dtype), np.empty(CLOSED, b.dtype)
        width, height = min(n, CLOSED), max(CLOSED // n, 1)
        for r in range(0, rows, height):
            h = min(height, rows - r)
            for c in range(0, n, width):
                w = min(width, n - c)
                x, xp, xr, xs = a, p + r * ra + c * sa, ra, sa
                y, yp, yr, ys = b, q + r * rb + c * sb, rb, sb
                if sa > 1:
                    close_up(a, xp, ra, sa, tile_a, h, w)
                    x, xp, xr, xs = tile_a, 0, w, 1
                if sb > 1:
                    close_up(b, yp, rb, sb, tile_b, h, w)
                    y, yp, yr, ys = tile_b, 0, w, 1
                if ro == w and xr == w * xs and yr == w * ys:  # one row of all
                    rows_loop(x, xp, 0, xs, y, yp, 0, ys, out, o + r * ro, 0, 1, 1, h * w, params)
                else:
                    rows_loop(x, xp, xr, xs, y, yp, yr, ys, out, o + r * ro + c, ro, 1, h, w, params)

    def binary_strided_loop(a, a0, b, b0, out, o0, meta, params):
        width()
        part, parts, height, groups, planes = cut(meta)
        (ra, sa), (rb, sb), (ro, so) = steps(meta, 0), steps(meta, 1), steps(meta, 2)
        for block in prange(planes * groups * parts):
            plane, row, column, rows, n = place(meta, block, part, parts, height, groups)
            p = a0 + start(meta, plane, row, column, 0)
            q = b0 + start(meta, plane, row, column, 1)
            o = o0 + start(meta, plane, row, column, 2)
            if so == 1 and (sa > 1 or sb > 1):
                closed_rows(a, p, ra, sa, b, q, rb, sb, out, o, ro, rows, n, params)
            else:
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
        (ra, _), (_, sb), (ro, _) = steps(meta, 0), steps(meta, 1), steps(meta, 2)
        strips = (rows + TILE - 1) // TILE
        for strip in prange(planes * strips):
            tile = np.empty(TILE * TILE, b.dtype)
            plane, r = strip // strips, strip % strips * TILE
            height = min(TILE, rows - r)
            p = a0 + start(meta, plane, r, 0, 0)
            q = b0 + start(meta, plane, r, 0, 1)
            o = o0 + start(meta, plane, r, 0, 2)
            if n <= TILE and ra == n and ro == n:  # narrow and dense: one row of all
                turn(b, q, tile, 0, height, n, sb, n)
                rows_loop(a, p, 0, 1, tile, 0, 0, 1, out, o, 0, 1, 1, height * n, params)
                continue
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
                    k = np.uint64(i * so)
                    zs[k] = f(xs[np.uint64(i * sa)], ys[np.uint64(i * sb)], ws[np.uint64(i * sc)], *params)

    @jit
    def closed_rows(a, p, ra, sa, b, q, rb, sb, c, s, rc, sc, out, o, ro, rows, n, params):
        """As rows_loop, of operands that do not all run along memory: those with gaps, and numbers, tile by tile."""
        tile_a, tile_b, tile_c = np.empty(CLOSED, a.dtype), np.empty(CLOSED, b.dtype), np.empty(CLOSED, c.dtype)
        width, height = min(n, CLOSED), max(CLOSED // n, 1)
        for r in range(0, rows, height):
            h = min(height, rows - r)
            for j in range(0, n, width):
                w = min(width, n - j)
                x, xp, xr = a, p + r * ra + j * sa, ra
                y, yp, yr = b, q + r * rb + j * sb, rb
                z, zp, zr = c, s + r * rc + j * sc, rc
                if sa != 1:
                    close_up(a, xp, ra, sa, tile_a, h, w)
                    x, xp, xr = tile_a, 0, w
                if sb != 1:
                    close_up(b, yp, rb, sb, tile_b, h, w)
                    y, yp, yr = tile_b, 0, w
                if sc != 1:
                    close_up(c, zp, rc, sc, tile_c, h, w)
                    z, zp, zr = tile_c, 0, w
                k = o + r * ro + j
                if ro == w and xr == w and yr == w and zr == w:  # one row of all
                    rows_loop(x, xp, 0, 1, y, yp, 0, 1, z, zp, 0, 1, out, k, 0, 1, 1, h * w, params)
                else:
                    rows_loop(x, xp, xr, 1, y, yp, yr, 1, z, zp, zr, 1, out, k, ro, 1, h, w, params)

    def ternary_strided_loop(a, a0, b, b0, c, c0, out, o0, meta, params):
        part, parts, height, groups, planes = cut(meta)
        (ra, sa), (rb, sb) = steps(meta, 0), steps(meta, 1)
        (rc, sc), (ro, so) = steps(meta, 2), steps(meta, 3)
        for block in prange(planes * groups * parts):
            plane, row, column, rows, n = place(meta, block, part, parts, height, groups)
            p, q = a0 + start(meta, plane, row, column, 0), b0 + start(meta, plane, row, column, 1)
            s, o = c0 + start(meta, plane, row, column, 2), o0 + start(meta, plane, row, column, 3)
            if so == 1 and not (sa == 1 and sb == 1 and sc <= 1):
                closed_rows(a, p, ra, sa, b, q, rb, sb, c, s, rc, sc, out, o, ro, rows, n, params)
            else:
                rows_loop(a, p, ra, sa, b, q, rb, sb, c, s, rc, sc, out, o, ro, so, rows, n, params)

    return ternary_strided_loop


strided = {1: unary_strided, 2: binary_strided, 3: ternary_strided}
