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
    def some_rows(x, first, last, n, values, indices):
        for o in range(first, last):
            at = place(x, o * n, o * n + n)
            values[o] = x[at]
            indices[o] = at - o * n

    @jit(nogil=True, bare=True)
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

    @jit(bare=True)
    def columns_tile(x, n, inner, tiles, values, indices, p):
        o, j0 = p // tiles, p % tiles * TILE
        width = min(TILE, inner - j0)
        best = piece(values, o * inner + j0, width)
        where = piece(indices, o * inner + j0, width)
        lo = o * n * inner + j0
        for j in range(width):
            best[j] = x[lo + j]
            where[j] = 0
        for r in range(1, n):
            v = piece(x, lo + r * inner, width)
            for j in range(width):
                takes = better(v[j], best[j])
                best[j] = v[j] if takes else best[j]
                where[j] = r if takes else where[j]

    @jit(nogil=True, bare=True)
    def columns(x, outer, n, inner, values, indices):
        """x: (outer, n, inner), n >= 1 -> values, indices: (outer, inner)."""
        tiles = (inner + TILE - 1) // TILE
        for p in range(outer * tiles):
            columns_tile(x, n, inner, tiles, values, indices, p)

    @jit(parallel=True)
    def columns_parallel(x, outer, n, inner, values, indices):
        tiles = (inner + TILE - 1) // TILE
        for p in prange(outer * tiles):
            columns_tile(x, n, inner, tiles, values, indices, p)

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
