"""Cosine similarity of two tensors (outer, n, inner) along n, forward and backward, without intermediate tensors.

u = a / max(|a|, eps),  v = b / max(|b|, eps),  y = u . v
ga = g (v - y a / |a|) / max(|a|, eps),   gb likewise; a / |a| is 0 where a is

The slope of max(|a|, eps) is that of |a|, as in torch, also where eps takes over.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..pieces import piece
from .lanes import lane_add
from .spread import spread
from .weight_norm import dot

# Rows of a unit hold about this many elements: handing arrays to a thread costs up to 80 ns.
PART = 8192
# So many products are added up in float32 before they join a float64 sum.
BLOCK = 4096
# Columns of a unit: four float64 sums a column are 16 KiB, half of the first-level cache.
TILE = 512


@jit(bare=True)
def _inverses(squares, eps):
    """(1 / max(length, eps), 1 / length or 0 for a length of 0) from a sum of squares."""
    length = np.sqrt(squares)
    return 1.0 / (eps if length < eps else length), (1.0 / length if length != 0.0 else 0.0)


@jit(bare=True)
def _scaled_dot(a, b, scale_a, scale_b):
    """sum (a scale_a) (b scale_b), in float64 from block to block: scaled first, so that no product overflows."""
    total = 0.0
    for lo in range(0, len(a), BLOCK):
        count = min(BLOCK, len(a) - lo)
        x, y = piece(a, lo, count), piece(b, lo, count)
        s = a.dtype.type(0)
        for j in range(count):
            s = lane_add(s, (x[j] * scale_a) * (y[j] * scale_b))
        total += s
    return total


@jit(bare=True)
def _column_squares(a, at, n, inner, count, sums):
    """sums[j] = the sum of the squares of column j, of n elements each a row of `inner` apart."""
    for j in range(count):
        sums[j] = 0.0
    for p in range(n):
        x = piece(a, at + p * inner, count)
        for j in range(count):
            sums[j] += x[j] * x[j]


@jit(bare=True)
def _tile(u, n, inner):
    """(first element, first result, columns) of tile u of (outer, n, inner)."""
    tiles = (inner + TILE - 1) // TILE
    o, column = u // tiles, u % tiles * TILE
    return o * n * inner + column, o * inner + column, min(TILE, inner - column)


@jit(bare=True)
def cosine_forward_unit(u, a, b, outer, n, inner, eps, work, out):
    """Some rows (inner = 1), or a tile of columns with its four sums a column in `work`."""
    scalar = a.dtype.type
    if inner == 1:
        block = max(1, PART // n)
        for r in range(u * block, min((u + 1) * block, outer)):
            x, y = piece(a, r * n, n), piece(b, r * n, n)
            scale_a, scale_b = scalar(_inverses(dot(x, x), eps)[0]), scalar(_inverses(dot(y, y), eps)[0])
            out[r] = _scaled_dot(x, y, scale_a, scale_b)
        return
    at, first, count = _tile(u, n, inner)
    width = min(TILE, inner)
    scale_a, scale_b = piece(work, 4 * u * width, count), piece(work, (4 * u + 1) * width, count)
    total = piece(work, (4 * u + 2) * width, count)
    _column_squares(a, at, n, inner, count, scale_a)
    _column_squares(b, at, n, inner, count, scale_b)
    for j in range(count):
        scale_a[j], scale_b[j] = _inverses(scale_a[j], eps)[0], _inverses(scale_b[j], eps)[0]
        total[j] = 0.0
    for p in range(n):
        x, y = piece(a, at + p * inner, count), piece(b, at + p * inner, count)
        for j in range(count):
            total[j] += (x[j] * scale_a[j]) * (y[j] * scale_b[j])
    for j in range(count):
        out[first + j] = total[j]


@jit(bare=True)
def cosine_backward_unit(u, grad, a, b, result, outer, n, inner, eps, work, ga, gb):
    """The gradients of what `cosine_forward_unit` computes."""
    scalar = a.dtype.type
    if inner == 1:
        block = max(1, PART // n)
        for r in range(u * block, min((u + 1) * block, outer)):
            x, y = piece(a, r * n, n), piece(b, r * n, n)
            to_x, to_y = piece(ga, r * n, n), piece(gb, r * n, n)
            ia, ra = _inverses(dot(x, x), eps)
            ib, rb = _inverses(dot(y, y), eps)
            scale_a, scale_b = scalar(ia), scalar(ib)
            along_a, along_b = scalar(result[r] * ra), scalar(result[r] * rb)
            g = grad[r]
            for j in range(n):
                to_x[j] = g * scale_a * (y[j] * scale_b - along_a * x[j])
            for j in range(n):
                to_y[j] = g * scale_b * (x[j] * scale_a - along_b * y[j])
        return
    at, first, count = _tile(u, n, inner)
    width = min(TILE, inner)
    scale_a, scale_b = piece(work, 4 * u * width, count), piece(work, (4 * u + 1) * width, count)
    along_a, along_b = piece(work, (4 * u + 2) * width, count), piece(work, (4 * u + 3) * width, count)
    g = piece(grad, first, count)
    _column_squares(a, at, n, inner, count, scale_a)
    _column_squares(b, at, n, inner, count, scale_b)
    for j in range(count):
        ia, ra = _inverses(scale_a[j], eps)
        ib, rb = _inverses(scale_b[j], eps)
        scale_a[j], scale_b[j] = ia, ib
        along_a[j], along_b[j] = result[first + j] * ra, result[first + j] * rb
    for p in range(n):
        lo = at + p * inner
        x, y, to_x, to_y = piece(a, lo, count), piece(b, lo, count), piece(ga, lo, count), piece(gb, lo, count)
        # two loops: LLVM compares the addresses of a few runs before it gives up on vectors
        for j in range(count):
            to_x[j] = g[j] * scale_a[j] * (y[j] * scale_b[j] - along_a[j] * x[j])
        for j in range(count):
            to_y[j] = g[j] * scale_b[j] * (x[j] * scale_a[j] - along_b[j] * y[j])


_forward, _backward = spread(cosine_forward_unit, bare=True), spread(cosine_backward_unit, bare=True)


def _units(outer: int, n: int, inner: int) -> int:
    if inner == 1:
        block = max(1, PART // n)
        return (outer + block - 1) // block
    return outer * ((inner + TILE - 1) // TILE)


def _work(units: int, inner: int):
    return np.empty(0 if inner == 1 else 4 * units * min(TILE, inner))


def cosine_forward(a, b, outer: int, n: int, inner: int, eps: float, out) -> None:
    """a, b: (outer, n, inner), all at least 1 -> out: (outer, inner)."""
    units = _units(outer, n, inner)
    _forward(a.size, units, a, b, outer, n, inner, eps, _work(units, inner), out)


def cosine_backward(grad, a, b, result, outer: int, n: int, inner: int, eps: float, ga, gb) -> None:
    """ga, gb: (outer, n, inner) from grad and result: (outer, inner)."""
    units = _units(outer, n, inner)
    _backward(a.size, units, grad, a, b, result, outer, n, inner, eps, _work(units, inner), ga, gb)
