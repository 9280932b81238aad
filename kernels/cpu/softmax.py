"""softmax, log_softmax and logsumexp along one dim of a contiguous (outer, n, inner), and their backwards.

    y = exp(x - max x) / sum exp(x - max x)            gx = y * (g - sum g * y)
    y = x - max x - log sum exp(x - max x)             gx = g - exp(y) * sum g

Rows (inner = 1) take three sweeps over a row that stays in cache; columns keep the maximum and the sum of
each column of a tile in small arrays, and sweep the tile row by row. The exponentials of short rows are taken over many
rows at once: what is left over behind the last whole vectors of each row would be computed one by one.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..math import exp, log
from ..pieces import piece
from .lanes import lane_add, lane_max
from .spread import spread

# 64 float32 columns are four cache lines a row: wide enough for whole vectors, narrow enough that a tile of
# 1000 rows stays in the second-level cache between the sweeps. With few rows tiles are wider, up to so many elements.
TILE = 64
TILE_ELEMENTS = 8192
# Rows of fewer elements are taken in groups of about GROUP elements, 8 KiB of float32. Rows of 31: 66 to 32 ns.
SHORT = 128
GROUP = 2048


def tile_width(n: int) -> int:
    """How many columns of n elements make a tile."""
    return max(TILE, min(1024, TILE_ELEMENTS // n // TILE * TILE))


@jit(bare=True)
def row_max(v):
    top = v[0]
    for i in range(len(v)):
        top = lane_max(top, v[i])
    return top


@jit(bare=True)
def tile_bounds(p, n, inner, tile):
    """Offset of the first element and the width of tile p of (outer, n, inner)."""
    tiles = (inner + tile - 1) // tile
    j = p % tiles * tile
    return p // tiles * n * inner + j, min(tile, inner - j)


@jit(bare=True)
def softmax_forward_row(p, x, n, out):
    v, y = piece(x, p * n, n), piece(out, p * n, n)
    top = row_max(v)
    total = x.dtype.type(0)
    for i in range(n):
        e = exp(v[i] - top)
        y[i] = e
        total = lane_add(total, e)
    scale = x.dtype.type(1) / total
    for i in range(n):
        y[i] *= scale


@jit(bare=True)
def log_softmax_forward_row(p, x, n, out):
    v, y = piece(x, p * n, n), piece(out, p * n, n)
    top = row_max(v)
    total = x.dtype.type(0)
    for i in range(n):
        total = lane_add(total, exp(v[i] - top))
    rest = log(total)
    for i in range(n):
        y[i] = v[i] - top - rest


@jit(bare=True)
def softmax_backward_row(p, grad, y, n, out):
    g, v, gx = piece(grad, p * n, n), piece(y, p * n, n), piece(out, p * n, n)
    total = y.dtype.type(0)
    for i in range(n):
        total = lane_add(total, g[i] * v[i])
    for i in range(n):
        gx[i] = v[i] * (g[i] - total)


@jit(bare=True)
def log_softmax_backward_row(p, grad, y, n, out):
    g, v, gx = piece(grad, p * n, n), piece(y, p * n, n), piece(out, p * n, n)
    total = y.dtype.type(0)
    for i in range(n):
        total = lane_add(total, g[i])
    for i in range(n):
        gx[i] = g[i] - exp(v[i]) * total


@jit(bare=True)
def logsumexp_forward_row(p, x, n, out):
    """out[p] = log sum exp(x[p, :]); a maximum of +-inf is not subtracted, so that no inf - inf arises."""
    v = piece(x, p * n, n)
    top = row_max(v)
    if np.isinf(top):
        top = x.dtype.type(0)
    total = x.dtype.type(0)
    for i in range(n):
        total = lane_add(total, exp(v[i] - top))
    out[p] = log(total) + top


@jit(bare=True)
def column_tops(x, lo, n, inner, width, top):
    """top[j] = max over r of x[lo + r * inner + j]."""
    for j in range(width):
        top[j] = x[lo + j]
    for r in range(1, n):
        v = piece(x, lo + r * inner, width)
        for j in range(width):
            top[j] = lane_max(top[j], v[j])


@jit(bare=True)
def column_sums_of_exp(x, lo, n, inner, width, top, total):
    """total[j] = sum over r of exp(x[lo + r * inner + j] - top[j])."""
    for j in range(width):
        total[j] = 0
    for r in range(n):
        v = piece(x, lo + r * inner, width)
        for j in range(width):
            total[j] += exp(v[j] - top[j])


@jit
def softmax_forward_tile(p, x, n, inner, tile, out):
    lo, width = tile_bounds(p, n, inner, tile)
    top, total = np.empty(width, x.dtype), np.empty(width, x.dtype)
    column_tops(x, lo, n, inner, width, top)
    column_sums_of_exp(x, lo, n, inner, width, top, total)
    for r in range(n):
        v, y = piece(x, lo + r * inner, width), piece(out, lo + r * inner, width)
        for j in range(width):
            y[j] = exp(v[j] - top[j]) / total[j]


@jit
def log_softmax_forward_tile(p, x, n, inner, tile, out):
    lo, width = tile_bounds(p, n, inner, tile)
    top, total = np.empty(width, x.dtype), np.empty(width, x.dtype)
    column_tops(x, lo, n, inner, width, top)
    column_sums_of_exp(x, lo, n, inner, width, top, total)
    for j in range(width):
        total[j] = log(total[j])
    for r in range(n):
        v, y = piece(x, lo + r * inner, width), piece(out, lo + r * inner, width)
        for j in range(width):
            y[j] = v[j] - top[j] - total[j]


@jit
def logsumexp_forward_tile(p, x, n, inner, tile, out):
    lo, width = tile_bounds(p, n, inner, tile)
    top, total = np.empty(width, x.dtype), np.empty(width, x.dtype)
    column_tops(x, lo, n, inner, width, top)
    for j in range(width):
        if np.isinf(top[j]):
            top[j] = 0
    column_sums_of_exp(x, lo, n, inner, width, top, total)
    y = piece(out, (lo - lo % inner) // n + lo % inner, width)
    for j in range(width):
        y[j] = log(total[j]) + top[j]


@jit
def softmax_backward_tile(p, grad, y, n, inner, tile, out):
    lo, width = tile_bounds(p, n, inner, tile)
    total = np.zeros(width, y.dtype)
    for r in range(n):
        at = lo + r * inner
        g, v = piece(grad, at, width), piece(y, at, width)
        for j in range(width):
            total[j] += g[j] * v[j]
    for r in range(n):
        at = lo + r * inner
        g, v, gx = piece(grad, at, width), piece(y, at, width), piece(out, at, width)
        for j in range(width):
            gx[j] = v[j] * (g[j] - total[j])


@jit
def log_softmax_backward_tile(p, grad, y, n, inner, tile, out):
    lo, width = tile_bounds(p, n, inner, tile)
    total = np.zeros(width, y.dtype)
    for r in range(n):
        at = lo + r * inner
        g = piece(grad, at, width)
        for j in range(width):
            total[j] += g[j]
    for r in range(n):
        at = lo + r * inner
        g, v, gx = piece(grad, at, width), piece(y, at, width), piece(out, at, width)
        for j in range(width):
            gx[j] = g[j] - exp(v[j]) * total[j]


@jit(bare=True)
def sums_of_exp(x, lo, rows, n, shifted, top, total):
    """For short rows: shifted[r, i] = exp(x[r, i] - top[r]) and total[r] = sum of them; top given where it is finite."""
    for r in range(rows):
        v, e = piece(x, lo + r * n, n), piece(shifted, r * n, n)
        least = top[r]
        for i in range(n):
            e[i] = v[i] - least
    for i in range(rows * n):
        shifted[i] = exp(shifted[i])
    for r in range(rows):
        e, sum_of_row = piece(shifted, r * n, n), x.dtype.type(0)
        for i in range(n):
            sum_of_row = lane_add(sum_of_row, e[i])
        total[r] = sum_of_row


@jit
def softmax_forward_group(p, x, outer, n, group, out):
    rows = min(group, outer - p * group)
    lo = p * group * n
    top, total = np.empty(rows, x.dtype), np.empty(rows, x.dtype)
    for r in range(rows):
        top[r] = row_max(piece(x, lo + r * n, n))
    y = piece(out, lo, rows * n)
    sums_of_exp(x, lo, rows, n, y, top, total)
    for r in range(rows):
        scale, z = x.dtype.type(1) / total[r], piece(y, r * n, n)
        for i in range(n):
            z[i] *= scale


@jit
def log_softmax_forward_group(p, x, outer, n, group, out):
    rows = min(group, outer - p * group)
    lo = p * group * n
    top, total = np.empty(rows, x.dtype), np.empty(rows, x.dtype)
    for r in range(rows):
        top[r] = row_max(piece(x, lo + r * n, n))
    sums_of_exp(x, lo, rows, n, piece(out, lo, rows * n), top, total)
    for r in range(rows):
        total[r] = log(total[r])
    for r in range(rows):
        v, y = piece(x, lo + r * n, n), piece(out, lo + r * n, n)
        first, rest = top[r], total[r]
        for i in range(n):
            y[i] = v[i] - first - rest


@jit
def logsumexp_forward_group(p, x, outer, n, group, out):
    rows = min(group, outer - p * group)
    lo = p * group * n
    top, total, shifted = np.empty(rows, x.dtype), np.empty(rows, x.dtype), np.empty(rows * n, x.dtype)
    for r in range(rows):
        greatest = row_max(piece(x, lo + r * n, n))
        top[r] = x.dtype.type(0) if np.isinf(greatest) else greatest
    sums_of_exp(x, lo, rows, n, shifted, top, total)
    y = piece(out, p * group, rows)
    for r in range(rows):
        y[r] = log(total[r]) + top[r]


@jit(bare=True)
def log_softmax_backward_group(p, grad, y, outer, n, group, out):
    rows = min(group, outer - p * group)
    lo = p * group * n
    v, gx = piece(y, lo, rows * n), piece(out, lo, rows * n)
    for i in range(rows * n):
        gx[i] = exp(v[i])
    for r in range(rows):
        g, z, total = piece(grad, lo + r * n, n), piece(gx, r * n, n), y.dtype.type(0)
        for i in range(n):
            total = lane_add(total, g[i])
        for i in range(n):
            z[i] = g[i] - z[i] * total


@jit(nogil=True)
def softmax_rows(x, outer, n, out):
    """softmax of the rows of x: (outer, n), for calls where every 100 ns counts."""
    if n < SHORT and outer >= 4:
        group = GROUP // n
        for p in range((outer + group - 1) // group):
            softmax_forward_group(p, x, outer, n, group, out)
    else:
        for p in range(outer):
            softmax_forward_row(p, x, n, out)


@jit(nogil=True)
def log_softmax_rows(x, outer, n, out):
    """log_softmax of the rows of x: (outer, n)."""
    if n < SHORT and outer >= 4:
        group = GROUP // n
        for p in range((outer + group - 1) // group):
            log_softmax_forward_group(p, x, outer, n, group, out)
    else:
        for p in range(outer):
            log_softmax_forward_row(p, x, n, out)


@jit(nogil=True)
def softmax_columns(x, outer, n, inner, tile, out):
    """softmax of x: (outer, n, inner) along the middle dim, as `softmax_rows`, in tiles of `tile` columns."""
    for p in range(outer * ((inner + tile - 1) // tile)):
        softmax_forward_tile(p, x, n, inner, tile, out)


@jit(nogil=True)
def log_softmax_columns(x, outer, n, inner, tile, out):
    """log_softmax of x: (outer, n, inner) along the middle dim."""
    for p in range(outer * ((inner + tile - 1) // tile)):
        log_softmax_forward_tile(p, x, n, inner, tile, out)


_forward_rows = {False: spread(softmax_forward_row, bare=True), True: spread(log_softmax_forward_row, bare=True)}
_forward_tiles = {False: spread(softmax_forward_tile), True: spread(log_softmax_forward_tile)}
_backward_rows = {False: spread(softmax_backward_row, bare=True), True: spread(log_softmax_backward_row, bare=True)}
_backward_tiles = {False: spread(softmax_backward_tile), True: spread(log_softmax_backward_tile)}
_logsumexp_rows = spread(logsumexp_forward_row, bare=True)
_logsumexp_tiles = spread(logsumexp_forward_tile)
_forward_groups = {False: spread(softmax_forward_group), True: spread(log_softmax_forward_group)}
_logsumexp_groups = spread(logsumexp_forward_group)
_log_softmax_backward_groups = spread(log_softmax_backward_group, bare=True)


def softmax_forward(x, outer, n, inner, log_of_it, out):
    """out = softmax (or log_softmax) of x: (outer, n, inner) along the middle dim; sizes at least 1."""
    if inner > 1:
        tile = tile_width(n)
        _forward_tiles[log_of_it](x.size, outer * -(-inner // tile), x, n, inner, tile, out)
    elif n < SHORT:
        group = GROUP // n
        _forward_groups[log_of_it](x.size, -(-outer // group), x, outer, n, group, out)
    else:
        _forward_rows[log_of_it](x.size, outer, x, n, out)


def softmax_backward(grad, y, outer, n, inner, log_of_it, out):
    """out = gradient of the input, given grad and the result y of the forward."""
    if inner > 1:
        tile = tile_width(n)
        _backward_tiles[log_of_it](y.size, outer * -(-inner // tile), grad, y, n, inner, tile, out)
    elif n < SHORT and log_of_it:
        group = GROUP // n
        _log_softmax_backward_groups(y.size, -(-outer // group), grad, y, outer, n, group, out)
    else:
        _backward_rows[log_of_it](y.size, outer, grad, y, n, out)


def logsumexp_forward(x, outer, n, inner, out):
    """out[o, j] = log sum exp x[o, :, j]; x: (outer, n, inner), n >= 1."""
    if inner > 1:
        tile = tile_width(n)
        _logsumexp_tiles(x.size, outer * -(-inner // tile), x, n, inner, tile, out)
    elif n < SHORT:
        group = GROUP // n
        _logsumexp_groups(x.size, -(-outer // group), x, outer, n, group, out)
    else:
        _logsumexp_rows(x.size, outer, x, n, out)
