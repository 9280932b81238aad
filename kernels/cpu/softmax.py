"""softmax, log_softmax and logsumexp along one dim of a contiguous (outer, n, inner), and their backwards.

    y = exp(x - max x) / sum exp(x - max x)            gx = y * (g - sum g * y)
    y = x - max x - log sum exp(x - max x)             gx = g - exp(y) * sum g

Rows (inner = 1) take three sweeps over a row that stays in cache; columns keep the maximum and the sum of
each of TILE columns in small arrays, and sweep the tile row by row.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..math import exp, log
from ..pieces import piece
from .lanes import lane_add, lane_max
from .spread import spread

# 64 float32 columns are four cache lines a row: wide enough for whole vectors, narrow enough that a tile of
# 1000 rows stays in the second-level cache between the sweeps.
TILE = 64


@jit(bare=True)
def row_max(v):
    top = v[0]
    for i in range(len(v)):
        top = lane_max(top, v[i])
    return top


@jit(bare=True)
def tile_bounds(p, n, inner):
    """Offset of the first element and the width of tile p of (outer, n, inner)."""
    tiles = (inner + TILE - 1) // TILE
    j = p % tiles * TILE
    return p // tiles * n * inner + j, min(TILE, inner - j)


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
def column_sums_of_exp(x, lo, n, inner, width, top, total):
    """top[j] = max over r, total[j] = sum over r of exp(x[lo + r * inner + j] - top[j])."""
    for j in range(width):
        top[j] = x[lo + j]
        total[j] = 0
    for r in range(1, n):
        v = piece(x, lo + r * inner, width)
        for j in range(width):
            top[j] = lane_max(top[j], v[j])
    for r in range(n):
        v = piece(x, lo + r * inner, width)
        for j in range(width):
            total[j] += exp(v[j] - top[j])


@jit
def softmax_forward_tile(p, x, n, inner, out):
    lo, width = tile_bounds(p, n, inner)
    top, total = np.empty(width, x.dtype), np.empty(width, x.dtype)
    column_sums_of_exp(x, lo, n, inner, width, top, total)
    for r in range(n):
        v, y = piece(x, lo + r * inner, width), piece(out, lo + r * inner, width)
        for j in range(width):
            y[j] = exp(v[j] - top[j]) / total[j]


@jit
def log_softmax_forward_tile(p, x, n, inner, out):
    lo, width = tile_bounds(p, n, inner)
    top, total = np.empty(width, x.dtype), np.empty(width, x.dtype)
    column_sums_of_exp(x, lo, n, inner, width, top, total)
    for j in range(width):
        total[j] = log(total[j])
    for r in range(n):
        v, y = piece(x, lo + r * inner, width), piece(out, lo + r * inner, width)
        for j in range(width):
            y[j] = v[j] - top[j] - total[j]


@jit
def softmax_backward_tile(p, grad, y, n, inner, out):
    lo, width = tile_bounds(p, n, inner)
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
def log_softmax_backward_tile(p, grad, y, n, inner, out):
    lo, width = tile_bounds(p, n, inner)
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


@jit(nogil=True, bare=True)
def softmax_rows(x, outer, n, out):
    """softmax of the rows of x: (outer, n), for calls where every 100 ns counts."""
    for p in range(outer):
        softmax_forward_row(p, x, n, out)


@jit(nogil=True, bare=True)
def log_softmax_rows(x, outer, n, out):
    """log_softmax of the rows of x: (outer, n)."""
    for p in range(outer):
        log_softmax_forward_row(p, x, n, out)


_forward_rows = {False: spread(softmax_forward_row, bare=True), True: spread(log_softmax_forward_row, bare=True)}
_forward_tiles = {False: spread(softmax_forward_tile), True: spread(log_softmax_forward_tile)}
_backward_rows = {False: spread(softmax_backward_row, bare=True), True: spread(log_softmax_backward_row, bare=True)}
_backward_tiles = {False: spread(softmax_backward_tile), True: spread(log_softmax_backward_tile)}
_logsumexp_rows = spread(logsumexp_forward_row, bare=True)


def softmax_forward(x, outer, n, inner, log_of_it, out):
    """out = softmax (or log_softmax) of x: (outer, n, inner) along the middle dim; sizes at least 1."""
    if inner == 1:
        _forward_rows[log_of_it](x.size, outer, x, n, out)
    else:
        _forward_tiles[log_of_it](x.size, outer * ((inner + TILE - 1) // TILE), x, n, inner, out)


def softmax_backward(grad, y, outer, n, inner, log_of_it, out):
    """out = gradient of the input, given grad and the result y of the forward."""
    if inner == 1:
        _backward_rows[log_of_it](y.size, outer, grad, y, n, out)
    else:
        _backward_tiles[log_of_it](y.size, outer * ((inner + TILE - 1) // TILE), grad, y, n, inner, out)


def logsumexp_forward(x, outer, n, out):
    """out[o] = log sum exp x[o, :]; x: (outer, n), n >= 1."""
    _logsumexp_rows(x.size, outer, x, n, out)
