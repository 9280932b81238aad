"""Mean and variance of rows or columns in one sweep over memory.

A piece that fits the first-level cache is swept twice (its mean, then its squared distances from that mean),
and pieces are merged in float64 by Chan's rule, with d = mean_b - mean_a and n = n_a + n_b:

    mean = mean_a + d * n_b / n        M2 = M2_a + M2_b + d * d * n_a * n_b / n

which keeps the accuracy of the two-pass formula at the memory traffic of one (Chan, Golub, LeVeque 1983).
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from .lanes import lane_add
from .reductions import PART, UNIT

# 4096 float32 are 16 KiB: the second sweep of a piece finds it in the first-level cache.
PIECE = 4096
# Columns go in tiles of 128: 128 columns x UNIT / 128 rows of float32 are 256 KiB, second-level cache.
TILE = 128
# A launch of threads costs 2 us, the moments of so many elements 16 on one core.
PARALLEL_SIZE = 32768
# Squares of float32 whose sum is smaller or larger than this may have left its range (1e-38 to 3e38) one by one: they are
# summed again in float64. Constant pieces are among them.
LEAST, MOST = 1e-30, 1e38


@jit(bare=True)
def wide_moments(v):
    """(mean, M2) of v, all of it in float64."""
    total = 0.0
    for i in range(len(v)):
        total = lane_add(total, np.float64(v[i]))
    mean = total / len(v)
    squares = 0.0
    for i in range(len(v)):
        d = v[i] - mean
        squares = lane_add(squares, d * d)
    return mean, squares


@jit(bare=True)
def piece_moments(x, lo, hi):
    """(mean, M2) of x[lo:hi], hi > lo; sums in the dtype of x, the results in float64."""
    v = piece(x, lo, hi - lo)
    total = x.dtype.type(0)
    for i in range(len(v)):
        total = lane_add(total, v[i])
    mean = np.float64(total) / len(v)
    centre = x.dtype.type(mean)
    squares = x.dtype.type(0)
    off = x.dtype.type(0)
    for i in range(len(v)):
        d = v[i] - centre
        squares = lane_add(squares, d * d)
        off = lane_add(off, d)
    if x.itemsize == 4 and not LEAST < squares < MOST:
        return wide_moments(v)
    # `off` is what the rounding of the mean left over
    rest = np.float64(off) / len(v)
    return np.float64(centre) + rest, max(np.float64(squares) - rest * rest * len(v), 0.0)


@jit(bare=True)
def variance(squares, freedom, root, out):
    """out[i] = squares[i] / freedom, or the root of it; squares in float64."""
    for i in range(len(squares)):
        v = squares[i] / freedom
        out[i] = math.sqrt(v) if root else v


@jit(bare=True)
def merge_moments(n_a, mean_a, m2_a, n_b, mean_b, m2_b):
    n = n_a + n_b
    d = mean_b - mean_a
    return mean_a + d * n_b / n, m2_a + m2_b + d * d * n_a * n_b / n


@jit(bare=True)
def range_moments(x, lo, hi):
    """(mean, M2) of x[lo:hi], piece by piece."""
    mean, m2 = piece_moments(x, lo, min(lo + PIECE, hi))
    for p in range(lo + PIECE, hi, PIECE):
        end = min(p + PIECE, hi)
        mean_b, m2_b = piece_moments(x, p, end)
        mean, m2 = merge_moments(p - lo, mean, m2, end - p, mean_b, m2_b)
    return mean, m2


@jit(bare=True)
def some_rows(x, first, last, n, mean, m2):
    for o in range(first, last):
        mean[o], m2[o] = range_moments(x, o * n, o * n + n)


@jit(nogil=True, bare=True)
def moments_rows(x, outer, n, mean, m2):
    """mean[o] and m2[o] = sum (x[o, :] - mean[o])**2; x: (outer, n), n >= 1."""
    some_rows(x, 0, outer, n, mean, m2)


@jit(parallel=True)
def moments_row_blocks_parallel(x, outer, n, mean, m2):
    """As moments_rows, as many rows at a time as make a PART spread over the threads."""
    step = max(PART // n, 1)
    for p in prange((outer + step - 1) // step):
        some_rows(x, p * step, min(p * step + step, outer), n, mean, m2)


@jit(parallel=True)
def moments_rows_parallel(x, outer, n, mean, m2):
    """As moments_rows, for rows of several units, which are spread over the threads."""
    units = (n + UNIT - 1) // UNIT
    means = np.empty(outer * units)
    m2s = np.empty(outer * units)
    for p in prange(outer * units):
        lo = p // units * n + p % units * UNIT
        a, b = range_moments(x, lo, min(lo + UNIT, p // units * n + n))
        means[p] = a
        m2s[p] = b
    for o in range(outer):
        a, b = means[o * units], m2s[o * units]
        for u in range(1, units):
            p = o * units + u
            a, b = merge_moments(u * UNIT, a, b, min(UNIT, n - u * UNIT), means[p], m2s[p])
        mean[o] = a
        m2[o] = b


@jit(bare=True)
def wide_columns(x, lo, inner, count, mean, m2):
    """mean[j] and m2[j] of x[lo + r inner + j] over `count` rows r, all of it in float64."""
    width = len(mean)
    mean[:] = 0
    m2[:] = 0
    for r in range(count):
        v = piece(x, lo + r * inner, width)
        for j in range(width):
            mean[j] += v[j]
    for j in range(width):
        mean[j] /= count
    for r in range(count):
        v = piece(x, lo + r * inner, width)
        for j in range(width):
            d = v[j] - mean[j]
            m2[j] += d * d


@jit
def columns_part(x, n, inner, unit_rows, units, tiles, means, m2s, p):
    """Moments of one tile of columns over one unit of rows, into [o, unit, j].

    Four rows are folded in the dtype of x before they join the float64 sums: a quarter of the conversions. What the
    rounding of the mean leaves over is summed as well, as in piece_moments.
    """
    o, u, j0 = p // tiles // units, p // tiles % units, p % tiles * TILE
    width = min(TILE, inner - j0)
    count = min(unit_rows, n - u * unit_rows)
    lo = (o * n + u * unit_rows) * inner + j0
    to = (o * units + u) * inner + j0
    mean = piece(means, to, width)
    m2 = piece(m2s, to, width)
    off = np.zeros(width)
    centre = np.empty(width, x.dtype)
    mean[:] = 0
    m2[:] = 0
    fours = count // 4
    for r in range(fours):
        at = lo + 4 * r * inner
        a, b = piece(x, at, width), piece(x, at + inner, width)
        c, d = piece(x, at + 2 * inner, width), piece(x, at + 3 * inner, width)
        for j in range(width):
            mean[j] += (a[j] + b[j]) + (c[j] + d[j])
    for r in range(4 * fours, count):
        v = piece(x, lo + r * inner, width)
        for j in range(width):
            mean[j] += v[j]
    for j in range(width):
        centre[j] = mean[j] / count
    for r in range(fours):
        at = lo + 4 * r * inner
        a, b = piece(x, at, width), piece(x, at + inner, width)
        c, d = piece(x, at + 2 * inner, width), piece(x, at + 3 * inner, width)
        for j in range(width):
            e, f, g, h = a[j] - centre[j], b[j] - centre[j], c[j] - centre[j], d[j] - centre[j]
            m2[j] += (e * e + f * f) + (g * g + h * h)
            off[j] += (e + f) + (g + h)
    for r in range(4 * fours, count):
        v = piece(x, lo + r * inner, width)
        for j in range(width):
            e = v[j] - centre[j]
            m2[j] += e * e
            off[j] += e
    narrow = x.itemsize == 4
    inside = True
    for j in range(width):
        inside &= LEAST < m2[j] < MOST
        rest = off[j] / count
        mean[j] = centre[j] + rest
        m2[j] = max(m2[j] - rest * off[j], 0.0)
    if narrow and not inside:
        wide_columns(x, lo, inner, count, mean, m2)


@jit(bare=True)
def columns_merge(means, m2s, outer, n, inner, unit_rows, units, mean, m2):
    for o in range(outer):
        for j in range(inner):
            a, b = means[o * units * inner + j], m2s[o * units * inner + j]
            for u in range(1, units):
                p = (o * units + u) * inner + j
                count = min(unit_rows, n - u * unit_rows)
                a, b = merge_moments(u * unit_rows, a, b, count, means[p], m2s[p])
            mean[o * inner + j] = a
            m2[o * inner + j] = b


@jit(nogil=True)
def moments_columns(x, outer, n, inner, mean, m2):
    """mean[o, j] and m2[o, j] of x[o, :, j]; x: (outer, n, inner), n >= 1."""
    unit_rows = UNIT // TILE
    units = (n + unit_rows - 1) // unit_rows
    tiles = (inner + TILE - 1) // TILE
    means = np.empty(outer * units * inner)
    m2s = np.empty(outer * units * inner)
    for p in range(outer * units * tiles):
        columns_part(x, n, inner, unit_rows, units, tiles, means, m2s, p)
    columns_merge(means, m2s, outer, n, inner, unit_rows, units, mean, m2)


@jit(parallel=True)
def moments_columns_parallel(x, outer, n, inner, mean, m2):
    unit_rows = UNIT // TILE
    units = (n + unit_rows - 1) // unit_rows
    tiles = (inner + TILE - 1) // TILE
    means = np.empty(outer * units * inner)
    m2s = np.empty(outer * units * inner)
    for p in prange(outer * units * tiles):
        columns_part(x, n, inner, unit_rows, units, tiles, means, m2s, p)
    columns_merge(means, m2s, outer, n, inner, unit_rows, units, mean, m2)


def moments(x, outer, n, inner, mean, m2):
    """mean and m2 (outer, inner) of the middle dim of the real float array x: (outer, n, inner)."""
    if inner == 1:
        large = moments_row_blocks_parallel if n <= UNIT else moments_rows_parallel
        (moments_rows if x.size < PARALLEL_SIZE else large)(x, outer, n, mean, m2)
    else:
        (moments_columns if x.size < PARALLEL_SIZE else moments_columns_parallel)(x, outer, n, inner, mean, m2)
