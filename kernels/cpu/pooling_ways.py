"""Which way a table of windows is pooled: by lines, by columns, by runs, or by places, whichever is estimated to cost least.

    lines     windows 1 or 2 apart inside of their line, a vector of windows at a time (pooling_lines.py)
    columns   in two steps, rows of a line of windows first (pooling_columns.py)
    runs      windows whose elements follow each other in memory and fill vectors
    places    a gather for each element of a vector of windows, by a table (places.py): small planes

A table is looked at once for each shape and dtype: pooling.py keeps what was found.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import host
from .places import Places, fits, outer_places, places_of, seen_from

# Lines are taken so if all but one in so many of their windows lie inside; the others of such a line go one by one.
INSIDE = 5
# Lines with fewer windows inside are not.
SHORT = 3
# Vectors of a run, so that four can be looked at side by side.
RUN_VECTORS = 4
# Elements of a plane whose places fit in vectors of 32-bit integers, with what a vector of windows reaches beyond.
MOST_ELEMENTS = 2**31 - 2**16

# Nanoseconds, measured on Zen 4 at 3.7 GHz. Places: for an element of a window.
PLACE = 0.6
# Lines: for a line, for each element of a window outside of it, for each element of a vector of windows.
# Columns: for a line, for a window, for a vector of each of its rows, for more vectors of each window's columns.
MAXIMUM = {"lines": (15, 2.8, 4.2), "columns": (55, 6, 1.5, 3)}
AVERAGE = {"lines": (12, 2, 3), "columns": (15, 2.5, 1, 1.5)}


def by_lines(dtype, table, outputs: int) -> bool:
    """Whether windows may be taken a vector at a time: they are 1 or 2 apart, and most of a line's lie inside."""
    inside = table[-1] - table[-2]
    return table[-4] in (1, 2) and inside >= SHORT and INSIDE * inside >= (INSIDE - 1) * outputs and dtype.kind == "f"


def _dimensions(table, dst: tuple, step: tuple) -> list[np.ndarray]:
    """For each dimension the places (outputs, elements) along it that a window sees, -1 behind the last."""
    found, at = [], 0
    for o, d in zip(dst, step, strict=True):
        start, end = table[at : at + o, None], table[at + o : at + 2 * o, None]
        most = max(1, int((-(-(end - start) // d)).max(initial=1)))
        place = start + np.arange(most) * d
        found.append(np.where(place < end, place, -1))
        at += 3 * o
    return found


def _runs(dims: list[np.ndarray], src: tuple) -> bool:
    """Whether the elements of every window follow each other: one dimension varies, and those behind it are whole."""
    sizes = [d.shape[1] for d in dims]
    whole = [len(d) == 1 and d.shape[1] == n for d, n in zip(dims, src, strict=True)]
    return any(all(sizes[j] == 1 for j in range(i)) and all(whole[i + 1 :]) for i in range(3))


def _cost(costs, way, dst, dims, src, table, vector) -> float:
    rows, columns = dims[0].shape[1] * dims[1].shape[1], dims[2].shape[1]
    if way == "places":
        return PLACE * rows * columns * dst[2]
    if way == "lines":
        line, outside, inside = costs["lines"]
        full = int(table[-1] - table[-2])
        return line + rows * columns * (outside * (dst[2] - full) + inside * -(-full // vector))
    line, window, row, more = costs["columns"]
    return line + dst[2] * (window + more * (columns // vector)) + row * rows * -(-src[2] // vector)


def way_of(dtype, src: tuple, dst: tuple, step: tuple, table, maximum: bool) -> tuple[str, Places | None]:
    """(the way, the table of places for "places"); "one by one" for maxima of integers and of planes beyond 2**31."""
    if dtype.kind != "f":
        return "one by one" if maximum else "columns", None
    plane, outputs, vector = src[0] * src[1] * src[2], dst[0] * dst[1] * dst[2], host.vector_bytes() // dtype.itemsize
    if maximum and plane >= MOST_ELEMENTS:
        return "one by one", None
    dims = _dimensions(table, dst, step)
    if maximum and step[2] == 1 and outputs and _runs(dims, src):
        shortest = 1
        for d in dims:
            shortest *= int((d >= 0).sum(1).min())
        if shortest >= RUN_VECTORS * vector:
            return "runs", None
    ways = ["columns"]
    if by_lines(dtype, table, dst[2]):
        ways.append("lines")
    terms = dims[0].shape[1] * dims[1].shape[1] * dims[2].shape[1]
    if fits(terms, outputs, plane):
        ways.append("places")
    costs = MAXIMUM if maximum else AVERAGE
    way = min(ways, key=lambda way: _cost(costs, way, dst, dims, src, table, vector))
    if way != "places":
        return way, None
    if maximum:  # an element more than once changes no maximum; a window without any starts inside all the same
        dims = [
            np.maximum.accumulate(np.concatenate([_starts(table, dst, i), d], 1), 1)[:, 1:] for i, d in enumerate(dims)
        ]
    return way, places_of(outer_places(dims, src), plane, dtype.itemsize)


def _starts(table, dst: tuple, dim: int) -> np.ndarray:
    at = 3 * sum(dst[:dim])
    return table[at : at + dst[dim], None]


def counts_of(table, dst: tuple, divisor: int) -> np.ndarray:
    """What the sum of each of a plane's windows is divided by; 1 where it has no element, whose sum is 0."""
    if divisor:
        return np.full(dst[0] * dst[1] * dst[2], divisor, np.int64)
    d, h, w = (table[3 * sum(dst[:i]) + 2 * dst[i] :][: dst[i]] for i in range(3))
    counts = (d[:, None, None] * h[:, None] * w).reshape(-1)
    return np.where(counts == 0, 1, counts)


def divisors_of(counts: np.ndarray, places: Places, dtype) -> np.ndarray:
    """The divisors of a table's outputs, as sum_at_places takes them."""
    divisors = np.ones(places.width, dtype)
    divisors[: places.group * places.outputs] = np.tile(counts, places.group)
    return divisors


# Nanoseconds of a backward by lines or columns: for a line of windows, a row that it is added to, an element of that
# row, a window.
SPREAD_LINE, SPREAD_ROW, SPREAD_ELEMENT, SPREAD_WINDOW = 25, 8, 0.15, 2.0


def places_back(dtype, src: tuple, dst: tuple, table) -> Places | None:
    """The table by which an average's gradient adds up what each element's windows gave; None where spreading is cheaper."""
    plane, outputs = src[0] * src[1] * src[2], dst[0] * dst[1] * dst[2]
    if dtype.kind != "f" or not outputs:
        return None
    dims = _dimensions(table, dst, (1, 1, 1))
    rows = dims[0].shape[1] * dims[1].shape[1]
    back = [seen_from(d, n) for d, n in zip(dims, src, strict=True)]
    terms = back[0].shape[1] * back[1].shape[1] * back[2].shape[1]
    if not fits(terms, plane, outputs):
        return None
    spread = dst[0] * dst[1] * (SPREAD_LINE + rows * (SPREAD_ROW + SPREAD_ELEMENT * src[2]) + SPREAD_WINDOW * dst[2])
    if PLACE * terms * plane > spread:
        return None
    return places_of(outer_places(back, dst), outputs, dtype.itemsize)


@lru_cache(maxsize=64)
def ramp(stride: int, itemsize: int) -> np.ndarray:
    """0, stride, 2 * stride, ...: as many as a vector of elements of `itemsize` bytes has, as integers of that size."""
    integer = np.int32 if itemsize == 4 else np.int64
    return np.arange(host.vector_bytes() // itemsize, dtype=integer) * integer(stride)
