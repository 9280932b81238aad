"""Weight normalisation over rows: v (rows, n), one length g for each row; or over columns, one for each of n.

w = v g / d,  d = |v|            gg = (gw . v) / d,   gv = (gw - v (gw . v) / d**2) g / d
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..pieces import piece
from .lanes import lane_add
from .spread import spread

# Rows of a unit hold about this many elements: handing arrays to a thread costs up to 80 ns.
PART = 8192
# So many products are added up in the dtype of v before they join the float64 sum: 16 KiB of float32 each way.
BLOCK = 4096
# Columns of a unit: a row of 8 KiB of float32 is long enough for the prefetcher where 512
# columns take twice the time from memory.
TILE = 2048


@jit(bare=True)
def dot(v, w):
    """v . w, in float64 from block to block."""
    total = 0.0
    for lo in range(0, len(v), BLOCK):
        a, b = piece(v, lo, min(BLOCK, len(v) - lo)), piece(w, lo, min(BLOCK, len(v) - lo))
        s = v.dtype.type(0)
        for i in range(len(a)):
            s = lane_add(s, a[i] * b[i])
        total += s
    return total


@jit(bare=True)
def weight_norm_forward_unit(u, v, g, rows, n, w, norms):
    block = max(1, PART // n)
    for r in range(u * block, min(u * block + block, rows)):
        x, y = piece(v, r * n, n), piece(w, r * n, n)
        norm = np.sqrt(dot(x, x))
        norms[r] = norm
        scale = v.dtype.type(g[r] / norm)
        for i in range(n):
            y[i] = x[i] * scale


@jit(bare=True)
def weight_norm_backward_unit(u, grad, v, g, norms, rows, n, gv, gg):
    block = max(1, PART // n)
    for r in range(u * block, min(u * block + block, rows)):
        h, x, y = piece(grad, r * n, n), piece(v, r * n, n), piece(gv, r * n, n)
        norm = np.float64(norms[r])
        along = dot(h, x) / norm
        gg[r] = along
        scale, share = v.dtype.type(g[r] / norm), v.dtype.type(along / norm)
        for i in range(n):
            y[i] = (h[i] - x[i] * share) * scale


@jit
def column_dots(v, w, rows, n, lo, width):
    """out[j] = sum over r of v[r, lo + j] * w[r, lo + j], in float64."""
    out = np.zeros(width)
    fours = rows // 4 * 4  # added up in the dtype of v: a quarter of the conversions
    for r in range(0, fours, 4):
        at = r * n + lo
        a0, a1, a2, a3 = (
            piece(v, at, width),
            piece(v, at + n, width),
            piece(v, at + 2 * n, width),
            piece(v, at + 3 * n, width),
        )
        b0, b1, b2, b3 = (
            piece(w, at, width),
            piece(w, at + n, width),
            piece(w, at + 2 * n, width),
            piece(w, at + 3 * n, width),
        )
        for j in range(width):
            out[j] += (a0[j] * b0[j] + a1[j] * b1[j]) + (a2[j] * b2[j] + a3[j] * b3[j])
    for r in range(fours, rows):
        a, b = piece(v, r * n + lo, width), piece(w, r * n + lo, width)
        for j in range(width):
            out[j] += a[j] * b[j]
    return out


@jit
def weight_norm_forward_columns(u, v, g, rows, n, w, norms):
    lo, width = u * TILE, min(TILE, n - u * TILE)
    squares = column_dots(v, v, rows, n, lo, width)
    scale, lengths, to = np.empty(width, v.dtype), piece(g, lo, width), piece(norms, lo, width)
    for j in range(width):
        norm = np.sqrt(squares[j])
        to[j] = norm
        scale[j] = lengths[j] / norm
    for r in range(rows):
        x, y = piece(v, r * n + lo, width), piece(w, r * n + lo, width)
        for j in range(width):
            y[j] = x[j] * scale[j]


@jit
def weight_norm_backward_columns(u, grad, v, g, norms, rows, n, gv, gg):
    lo, width = u * TILE, min(TILE, n - u * TILE)
    dots = column_dots(grad, v, rows, n, lo, width)
    scale, share, lengths, to = (
        np.empty(width, v.dtype),
        np.empty(width, v.dtype),
        piece(g, lo, width),
        piece(gg, lo, width),
    )
    for j in range(width):
        norm = np.float64(norms[lo + j])
        along = dots[j] / norm
        to[j] = along
        scale[j] = lengths[j] / norm
        share[j] = along / norm
    for r in range(rows):
        h, x, y = piece(grad, r * n + lo, width), piece(v, r * n + lo, width), piece(gv, r * n + lo, width)
        for j in range(width):
            y[j] = (h[j] - x[j] * share[j]) * scale[j]


_forward_columns, _backward_columns = spread(weight_norm_forward_columns), spread(weight_norm_backward_columns)
_forward, _backward = spread(weight_norm_forward_unit, bare=True), spread(weight_norm_backward_unit, bare=True)


def _units(rows: int, n: int) -> int:
    block = max(1, PART // n)
    return (rows + block - 1) // block


def weight_norm_forward(v, g, rows, n, columns, w, norms):
    """v: (rows, n), g: (rows,), or (n,) with `columns` -> w: (rows, n), norms: as g; rows and n at least 1."""
    if columns:
        _forward_columns(v.size, (n + TILE - 1) // TILE, v, g, rows, n, w, norms)
    else:
        _forward(v.size, _units(rows, n), v, g, rows, n, w, norms)


def weight_norm_backward(grad, v, g, norms, rows, n, columns, gv, gg):
    """gv: (rows, n) and gg: as g, from grad: (rows, n)."""
    if columns:
        _backward_columns(v.size, (n + TILE - 1) // TILE, grad, v, g, norms, rows, n, gv, gg)
    else:
        _backward(v.size, _units(rows, n), grad, v, g, norms, rows, n, gv, gg)
