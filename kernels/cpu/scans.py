"""Running sums, products, extremes and log-sum-exps along the middle dim of a contiguous (outer, n, inner).

One text: `scan(widen, step)` with widen(x) the element in the precision that is carried, step(carried,
element). float32 is carried in float64, as torch does. A part is some rows, or (inner > 1) one tile of columns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..compiler import jit
from ..math import exp, log1p
from ..pieces import piece
from .softmax import TILE, tile_bounds
from .spread import spread

# Elements of a part of short rows, 1 us: a row that is a part of its own costs 25 ns more.
PART = 1024
# Columns from which they are followed side by side.
FEW = 8
# Columns up to which sums are carried in registers: 130,000 x 3 in 160 us, in memory 430, each step waiting for the store
# of the one before it.
FOUR = 4


@jit(bare=True)
def rows_of_part(n):
    """How many rows of n make a part, by fours."""
    return max(PART // (4 * n), 1) * 4


def parts_of_rows(outer: int, n: int) -> int:
    """How many parts there are in `outer` rows of n."""
    many = max(PART // (4 * n), 1) * 4
    return (outer + many - 1) // many


def parts_of_lines(count: int, n: int) -> int:
    """How many parts there are in `count` lines of n, of which running extremes are sought."""
    many = max(PART // n, 1)
    return (count + many - 1) // many


def tiles_of_columns(inner: int) -> int:
    """How many tiles there are in rows of `inner` columns."""
    return (inner + TILE - 1) // TILE


def scan(widen, step, light: bool = False) -> Callable:
    """run(x, outer, n, inner, out): out[o, r, j] = step(... step(x[o, 0, j], x[o, 1, j]) ..., x[o, r, j]).

    run(..., reverse=True) goes from the end: step(... step(x[o, n - 1, j], x[o, n - 2, j]) ..., x[o, r, j]).
    `light`: a step is one instruction, which waits for the one before it; then four rows go side by side (1000 rows of
    1000: 0.97 ms one by one, 0.50 by fours).
    """

    @jit(bare=True)
    def row(p, x, n, reverse, out):
        v, y = piece(x, p * n, n), piece(out, p * n, n)
        first, by = (n - 1, -1) if reverse else (0, 1)
        carried = widen(v[first])
        y[first] = carried
        for i in range(1, n):
            at = np.uint64(first + i * by)
            carried = step(carried, widen(v[at]))
            y[at] = carried

    @jit(bare=True)
    def four_rows(p, x, outer, n, reverse, out):
        if 4 * p + 4 > outer:
            for r in range(4 * p, outer):
                row(r, x, n, reverse, out)
            return
        lo = 4 * p * n
        v, y = piece(x, lo, n), piece(out, lo, n)
        second_v, second_y = piece(x, lo + n, n), piece(out, lo + n, n)
        third_v, third_y = piece(x, lo + 2 * n, n), piece(out, lo + 2 * n, n)
        fourth_v, fourth_y = piece(x, lo + 3 * n, n), piece(out, lo + 3 * n, n)
        first, by = (n - 1, -1) if reverse else (0, 1)
        a, b, c, d = widen(v[first]), widen(second_v[first]), widen(third_v[first]), widen(fourth_v[first])
        y[first], second_y[first], third_y[first], fourth_y[first] = a, b, c, d
        for i in range(1, n):
            at = np.uint64(first + i * by)
            a, b = step(a, widen(v[at])), step(b, widen(second_v[at]))
            c, d = step(c, widen(third_v[at])), step(d, widen(fourth_v[at]))
            y[at], second_y[at], third_y[at], fourth_y[at] = a, b, c, d

    @jit(bare=True)
    def some_rows(p, x, outer, n, reverse, out):
        """As many rows as make a PART."""
        many = rows_of_part(n)
        for r in range(p * many, min(p * many + many, outer)):
            row(r, x, n, reverse, out)

    @jit(bare=True)
    def some_fours(p, x, outer, n, reverse, out):
        many = rows_of_part(n)
        for q in range(p * many // 4, (min(p * many + many, outer) + 3) // 4):
            four_rows(q, x, outer, n, reverse, out)

    @jit(bare=True)
    def few_columns(x, first, by, n, inner, out):
        """One to FOUR columns, carried in registers; of fewer than four the last is followed more than once."""
        second, third, last = min(1, inner - 1), min(2, inner - 1), inner - 1
        a, b, c, d = widen(x[first]), widen(x[first + second]), widen(x[first + third]), widen(x[first + last])
        out[first], out[first + second], out[first + third], out[first + last] = a, b, c, d
        for r in range(1, n):
            at = first + r * by
            i, j, k, m = np.uint64(at), np.uint64(at + second), np.uint64(at + third), np.uint64(at + last)
            a, b, c, d = step(a, widen(x[i])), step(b, widen(x[j])), step(c, widen(x[k])), step(d, widen(x[m]))
            out[i], out[j], out[k], out[m] = a, b, c, d

    @jit(bare=True)
    def tile(p, x, n, inner, carried, reverse, out):
        by = -inner if reverse else inner
        if light and inner <= FOUR:  # as many planes as make a PART
            plane = n * inner
            many, ahead = max(PART // plane, 1), (n - 1) * inner if reverse else 0
            for o in range(p * many, min(p * many + many, x.size // plane)):
                few_columns(x, o * plane + ahead, by, n, inner, out)
            return
        lo, width = tile_bounds(p, n, inner, TILE)
        first = lo + (n - 1) * inner if reverse else lo
        run = piece(carried, p * TILE, width)
        for j in range(width):
            run[j] = widen(x[first + j])
            out[first + j] = run[j]
        for r in range(1, n):
            at = first + r * by
            v, y = piece(x, at, width), piece(out, at, width)
            for j in range(width):
                run[j] = step(run[j], widen(v[j]))
                y[j] = run[j]

    rows, tiles = spread(some_fours if light else some_rows, bare=True), spread(tile, bare=True)

    def run(x, outer, n, inner, out, reverse=False):
        if inner == 1:
            rows(x.size, parts_of_rows(outer, n), x, outer, n, reverse, out)
        else:
            few = light and inner <= FOUR
            many = max(PART // (n * inner), 1) if few else 1
            count = (outer + many - 1) // many * tiles_of_columns(inner)
            kind = x.dtype.kind
            wide = np.float64 if kind == "f" else np.complex128 if kind == "c" else x.dtype
            tiles(x.size, count, x, n, inner, np.empty(0 if few else count * TILE, wide), reverse, out)

    run.rows, run.tiles = rows, tiles  # for calls that know how many parts there are: one, of a small tensor
    return run


def extreme_scan(replaces, behind) -> Callable:
    """run(x, outer, n, inner, values, indices): the running extreme and where it was last met.

    behind(v, best): whether v surely does not replace best; it is what most elements are, by one comparison.
    """

    @jit(bare=True)
    def lines(p, x, count, n, inner, values, indices):
        """As many lines as make a PART, one after the other."""
        many = max(PART // n, 1)
        for q in range(p * many, min(p * many + many, count)):
            lo = q // inner * n * inner + q % inner
            best = x[lo]
            at = 0
            for r in range(n):
                place = np.uint64(lo + r * inner)
                v = x[place]
                if not behind(v, best) and replaces(v, best):
                    best = v
                    at = r
                values[place] = best
                indices[place] = at

    @jit(bare=True)
    def tile(p, x, n, inner, values, indices):
        """Columns side by side: each row from the one before it."""
        lo, width = tile_bounds(p, n, inner, TILE)
        v, best, place = piece(x, lo, width), piece(values, lo, width), piece(indices, lo, width)
        for j in range(width):
            best[j] = v[j]
            place[j] = 0
        for r in range(1, n):
            at = lo + r * inner
            v, y, k = piece(x, at, width), piece(values, at, width), piece(indices, at, width)
            best, place = piece(values, at - inner, width), piece(indices, at - inner, width)
            for j in range(width):
                takes = replaces(v[j], best[j])
                y[j] = v[j] if takes else best[j]
                k[j] = r if takes else place[j]

    in_lines, in_tiles = spread(lines, bare=True), spread(tile, bare=True)

    def run(x, outer, n, inner, values, indices):
        if inner < FEW:
            count = outer * inner
            in_lines(x.size, parts_of_lines(count, n), x, count, n, inner, values, indices)
        else:
            in_tiles(x.size, outer * tiles_of_columns(inner), x, n, inner, values, indices)

    run.lines, run.tiles = in_lines, in_tiles
    return run


@jit(bare=True)
def as_float64(x):
    """float32 and float64 to float64, complex to complex128."""
    return x - np.float64(0)  # (times 1 would make nan of the other part of a complex infinity)


@jit(bare=True)
def itself(x):
    return x


@jit(bare=True)
def plus(a, b):
    return a + b


@jit(bare=True)
def times(a, b):
    return a * b


@jit(bare=True)
def log_add_exp(a, b):
    """log(exp(a) + exp(b)); equal infinities stay what they are, nan wins."""
    low, high = (a, b) if a < b or b != b else (b, a)
    if low != high or abs(low) != np.inf:
        return high + log1p(exp(low - high))
    return a


@jit(bare=True)
def log_add_exp_complex(a, b):
    """log(exp(a) + exp(b)), whose phase follows the greater of the two instead of wrapping."""
    low, high = (a, b) if a.real < b.real else (b, a)
    if low.real != high.real or np.isfinite(low.real):
        return high + np.log(1 + np.exp(low - high))
    return a


CUMSUM = scan(as_float64, plus, light=True)
CUMPROD = scan(as_float64, times, light=True)
CUMSUM_INT64 = scan(itself, plus, light=True)
CUMPROD_INT64 = scan(itself, times, light=True)
LOGCUMSUMEXP = scan(as_float64, log_add_exp)
LOGCUMSUMEXP_COMPLEX = scan(as_float64, log_add_exp_complex)


@jit(bare=True)
def reaches_up(v, best):
    """torch's rule for cummax: later equals and later nans take the place; nothing but nan replaces nan."""
    return (v != v) | ((best == best) & (v >= best))


@jit(bare=True)
def reaches_down(v, best):
    return (v != v) | ((best == best) & (v <= best))


@jit(bare=True)
def below(v, best):
    return v < best


@jit(bare=True)
def above(v, best):
    return v > best


CUMMAX = extreme_scan(reaches_up, below)
CUMMIN = extreme_scan(reaches_down, above)
