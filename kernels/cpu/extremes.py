"""max, min, argmax, argmin with the index: the first of equals; the first nan if there is one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from .lanes import lane_max, lane_min
from .reductions import PART, UNIT

# A row is searched in two steps: the lanes find the extreme of each piece of 1024 elements, and only the
# piece that holds the extreme of the row is searched for its place.
PIECE = 1024
# Columns are searched in tiles of 512: values and indices of a tile are 6 KiB, beside a row's piece of 2.
TILE = 512
# Rows of up to SHORT elements, and up to NARROW columns of planes of up to FEW, are searched side by side, SIDE of them, as
# columns of a tile that they are copied to: one by one a row of 5 takes 11 ns, since nobody foresees which is the greatest.
SHORT = 32
NARROW = 8
FEW = 64
# Fewer of them are not worth the tile: with ten rows of 10 it costs 0.3 us more than they do one by one.
MANY = 32
# Few columns are searched as SIDE // columns rows side by side, each as if it were columns of its own, so that vectors are
# full: 12,000 x 4 in 9 us, row by row 100.
SIDE = 64
# A launch of threads costs 2 us, the extremes of so many elements 19 on one core.
PARALLEL_SIZE = 32768


@jit(bare=True)
def greater(a, b):
    """a takes the place of b, the greatest so far: a is greater, or the first nan."""
    return (a > b) | ((a != a) & (b == b))


@jit(bare=True)
def less(a, b):
    """a takes the place of b, the least so far."""
    return (a < b) | ((a != a) & (b == b))


def extreme(combine, better):
    """Kernels for values and indices of the extreme along the middle dim of (outer, n, inner)."""

    @jit(bare=True)
    def piece_extreme(x, lo, hi):
        v = piece(x, lo, hi - lo)
        best = v[0]
        for i in range(len(v)):
            best = combine(best, v[i])
        return best

    @jit(bare=True)
    def place(x, lo, hi):
        """The index of the extreme of x[lo:hi]."""
        best = piece_extreme(x, lo, min(lo + PIECE, hi))
        at = lo
        for p in range(lo + PIECE, hi, PIECE):
            candidate = piece_extreme(x, p, min(p + PIECE, hi))
            if better(candidate, best):
                best = candidate
                at = p
        while not (x[at] == best or x[at] != x[at]):
            at += 1
        return at

    @jit(bare=True)
    def wide_columns(x, lo, n, inner, width, values, indices, to):
        """Of x[lo + r * inner + j], r < n, into values[to + j] and indices[to + j], j < width."""
        best, where = piece(values, to, width), piece(indices, to, width)
        for j in range(width):
            best[j] = x[lo + j]
            where[j] = 0
        for r in range(1, n):
            v = piece(x, lo + r * inner, width)
            for j in range(width):
                takes = better(v[j], best[j])
                best[j] = v[j] if takes else best[j]
                where[j] = r if takes else where[j]

    @jit
    def few_columns(x, first, last, n, inner, values, indices):
        """The columns of x[first] .. x[last - 1] of (outer, n, inner), a handful of elements each."""
        group = SIDE // inner
        tile = np.empty(n * group * inner, x.dtype)
        for o in range(first, last, group):
            count = min(group, last - o)
            wide, lo = count * inner, o * n * inner
            for r in range(n):
                for j in range(inner):
                    at, to = lo + r * inner + j, r * wide + j
                    for g in range(count):
                        tile[np.uint64(to + g * inner)] = x[np.uint64(at + g * n * inner)]
            wide_columns(tile, 0, n, wide, wide, values, indices, o * inner)

    @jit
    def some_rows(x, first, last, n, values, indices):
        if n <= SHORT and last - first >= MANY:
            few_columns(x, first, last, n, 1, values, indices)
            return
        for o in range(first, last):
            at = place(x, o * n, o * n + n)
            values[o] = x[at]
            indices[o] = at - o * n

    @jit(nogil=True)
    def rows(x, outer, n, values, indices):
        """x: (outer, n), n >= 1 -> values, indices: (outer,)."""
        some_rows(x, 0, outer, n, values, indices)

    @jit(parallel=True)
    def row_blocks_parallel(x, outer, n, values, indices):
        """As rows, as many rows at a time as make a PART spread over the threads."""
        step = max(PART // n, 1)
        for p in prange((outer + step - 1) // step):
            some_rows(x, p * step, min(p * step + step, outer), n, values, indices)

    @jit(parallel=True)
    def rows_parallel(x, outer, n, values, indices):
        """As rows, for rows of several units, which are spread over the threads."""
        units = (n + UNIT - 1) // UNIT
        found = np.empty(outer * units, np.int64)
        for p in prange(outer * units):
            lo = p // units * n + p % units * UNIT
            found[p] = place(x, lo, min(lo + UNIT, p // units * n + n))
        for o in range(outer):
            at = found[o * units]
            for u in range(1, units):
                if better(x[found[o * units + u]], x[at]):
                    at = found[o * units + u]
            values[o] = x[at]
            indices[o] = at - o * n

    @jit
    def narrow_columns(x, lo, n, inner, values, indices, to):
        """As wide_columns, of all of few columns: by groups of rows, which are then compared."""
        group = SIDE // inner
        wide, rows = group * inner, n // group
        best, where = np.empty(wide, values.dtype), np.empty(wide, np.int64)
        wide_columns(x, lo, rows, wide, wide, best, where, 0)
        for j in range(inner):
            v, at = best[j], where[j] * group
            for g in range(1, group):
                w, k = best[g * inner + j], where[g * inner + j] * group + g
                if better(w, v) or k < at and not better(v, w):
                    v, at = w, k
            for r in range(rows * group, n):
                w = x[lo + r * inner + j]
                if better(w, v):
                    v, at = w, r
            values[to + j], indices[to + j] = v, at

    @jit
    def columns_part(x, outer, n, inner, tiles, many, values, indices, p):
        """Number p of the parts: a tile of the columns of `many` planes."""
        first, j0 = p // tiles * many, p % tiles * TILE
        width = min(TILE, inner - j0)
        last = min(first + many, outer)
        if inner <= NARROW and n * inner <= FEW and last - first >= MANY:
            few_columns(x, first, last, n, inner, values, indices)
            return
        for o in range(first, last):
            lo, to = o * n * inner + j0, o * inner + j0
            if 2 * inner <= SIDE and n * inner >= 4 * SIDE:
                narrow_columns(x, lo, n, inner, values, indices, to)
            else:
                wide_columns(x, lo, n, inner, width, values, indices, to)

    @jit(nogil=True)
    def columns(x, outer, n, inner, values, indices):
        """x: (outer, n, inner), n >= 1 -> values, indices: (outer, inner)."""
        tiles = (inner + TILE - 1) // TILE
        for p in range(tiles):
            columns_part(x, outer, n, inner, tiles, outer, values, indices, p)

    @jit(parallel=True)
    def columns_parallel(x, outer, n, inner, values, indices):
        tiles = (inner + TILE - 1) // TILE
        many = max(PART // (n * min(TILE, inner)), 1)
        for p in prange((outer + many - 1) // many * tiles):
            columns_part(x, outer, n, inner, tiles, many, values, indices, np.int64(p))

    def run(x, outer, n, inner, values, indices):
        """values, indices (outer, inner) of the extreme along the middle dim of x: (outer, n, inner)."""
        if inner == 1:
            large = row_blocks_parallel if n <= UNIT else rows_parallel
            (rows if x.size < PARALLEL_SIZE else large)(x, outer, n, values, indices)
        else:
            (columns if x.size < PARALLEL_SIZE else columns_parallel)(x, outer, n, inner, values, indices)

    return SimpleNamespace(
        rows=rows,
        row_blocks_parallel=row_blocks_parallel,
        rows_parallel=rows_parallel,
        columns=columns,
        columns_parallel=columns_parallel,
        run=run,
    )


MAX = extreme(lane_max, greater)
MIN = extreme(lane_min, less)
