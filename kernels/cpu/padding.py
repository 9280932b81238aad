"""Padding by tables of positions: out[plane, d, h, w] = x[plane, id[d], ih[h], iw[w]], and its gradient.

A position of -1 stands for the fill value. Constant, reflecting, replicating and circular padding (and
cropping, by negative amounts) differ only in their tables, which `pad_positions` builds; so does resampling by the
nearest element. Arrays are flat: x (planes, *src), out (planes, *dst).

A row is its middle, one run of adjacent elements that is copied or added by whole vectors, and what stands before and
behind it, element by element. A row that reads the same row as the one before it is a copy of that.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from .places import DTYPES, Places, fits, outer_places, places_of, seen_from, sum_planes
from .runs import add_run, copy_run
from .spread import PARALLEL_SIZE

#: Elements of the result that one part takes: some microseconds of work.
TASK = 1 << 14
#: A middle that is shorter takes as long element by element (10 elements: 10x10 planes 26 to 15 us as a run).
SHORTEST_RUN = 4
#: Widths of results up to which a plane goes by places (places.py), 0.6 ns an element: a row costs 10 ns.
NARROW = 14
#: Outputs that see one element up to which its gradient goes by places.
FEW_SEE = 4


#: What Numba does not compute with is moved as integers.
_MOVED_AS = {np.dtype(np.bool_): np.dtype(np.uint8), np.dtype(np.float16): np.dtype(np.uint16)}


@lru_cache(maxsize=1024)
def pad_positions(mode: str, src: tuple, before: tuple, after: tuple) -> np.ndarray:
    """Positions of depth, height and width in turn, before[i] + src[i] + after[i] of each; mode as in
    F.pad."""
    parts = []
    for n, low, high in zip(src, before, after, strict=True):
        i = np.arange(-low, n + high, dtype=np.int64)
        if mode == "constant":
            i[(i < 0) | (i >= n)] = -1
        elif mode == "replicate":
            i = np.clip(i, 0, n - 1)
        elif mode == "circular":  # what is cut away does not come back
            first, last = max(-low, 0), n - max(-high, 0)
            i = first + (i - first) % max(last - first, 1)
        else:  # reflect, without repeating the edge
            i = np.abs(i)
            i = np.where(i >= n, 2 * (n - 1) - i, i)
        parts.append(i)
    return np.concatenate(parts)


@jit
def longest_run(position, first, count):
    """(start, end) of the longest run of adjacent positions among position[first : first + count]; empty where it is
    too short."""
    best, end, start = 0, 0, 0
    for w in range(count):
        here = position[first + w]
        if here < 0 or w == 0 or here != position[first + w - 1] + 1:
            start = w
        if here >= 0 and w + 1 - start > best:
            best, end = w + 1 - start, w + 1
    return (end - best, end) if best >= SHORTEST_RUN else (0, 0)


@jit(inline=True, bare=True)
def _part(p, dst):
    """(slab, first row, last row) of part p: a slab is one depth of one plane, cut into parts of TASK elements."""
    rows = max(TASK // max(dst[2], 1), 1)
    parts = (dst[1] + rows - 1) // rows
    slab = p // parts
    first = (p - slab * parts) * rows
    return slab, first, min(first + rows, dst[1])


@jit(bare=True)
def _take_rows(p, x, out, src, dst, position, run, fill):
    slab, first, last = _part(p, dst)
    plane = slab // dst[0]
    iz = position[slab - plane * dst[0]]
    h0, w0 = dst[0], dst[0] + dst[1]
    width = dst[2]
    start, end = run
    columns = piece(position, w0, width)
    for h in range(first, last):
        iy = position[h0 + h]
        at = (slab * dst[1] + h) * width
        to = piece(out, at, width)
        if iz < 0 or iy < 0:
            for w in range(width):
                to[w] = fill
        elif h > first and iy == position[h0 + h - 1]:
            copy_run(out, at, out, at - width, width)
        else:
            line = ((plane * src[0] + iz) * src[1] + iy) * src[2]
            for w in range(start):
                ix = columns[w]
                to[w] = fill if ix < 0 else x[np.uint64(line + ix)]
            if end > start:
                copy_run(out, at + start, x, line + columns[start], end - start)
            for w in range(end, width):
                ix = columns[w]
                to[w] = fill if ix < 0 else x[np.uint64(line + ix)]


@jit(bare=True)
def _add_plane(plane, grad, out, src, dst, position, run, rows):
    h0, w0 = dst[0], dst[0] + dst[1]
    width = dst[2]
    start, end = run
    columns = piece(position, w0, width)
    sums = piece(rows, plane * width, width) if rows.size else piece(grad, 0, 0)
    for d in range(dst[0]):
        iz = position[d]
        for h in range(dst[1]):
            iy = position[h0 + h]
            if iz < 0 or iy < 0:
                continue
            at = ((plane * dst[0] + d) * dst[1] + h) * width
            line = ((plane * src[0] + iz) * src[1] + iy) * src[2]
            g = piece(grad, at, width)
            if rows.size:
                # Rows that read one row are added up first, by vectors.
                if h == 0 or position[h0 + h - 1] != iy:
                    copy_run(rows, plane * width, grad, at, width)
                else:
                    add_run(rows, plane * width, grad, at, width)
                if h + 1 < dst[1] and position[h0 + h + 1] == iy:
                    continue
                g = sums
            for w in range(start):
                if columns[w] >= 0:
                    out[np.uint64(line + columns[w])] += g[w]
            if end > start:
                add_run(out, line + columns[start], grad, at + start, end - start)
            for w in range(end, width):
                if columns[w] >= 0:
                    out[np.uint64(line + columns[w])] += g[w]


# Written out, for `spread` cannot hand tuples on to threads.
@jit(parallel=True)
def _take(parts, x, out, src, dst, position, run, fill):
    for p in prange(parts):
        _take_rows(np.int64(p), x, out, src, dst, position, run, fill)


@jit(parallel=True)
def _add(planes, grad, out, src, dst, position, run, rows):
    for plane in prange(planes):
        _add_plane(np.int64(plane), grad, out, src, dst, position, run, rows)


@lru_cache(maxsize=256)
def small_padding(mode: str, src: tuple, before: tuple, after: tuple, dtype, back: bool) -> Places | None:
    """The table of places of a padding without a fill value, or of its gradient if `back`; None where rows are cheaper."""
    if mode == "constant":
        return None
    dst = tuple([n + b + a for n, b, a in zip(src, before, after, strict=True)])
    return small_taking(pad_positions(mode, src, before, after), src, dst, dtype, back)


def small_taking(position, src: tuple, dst: tuple, dtype, back: bool) -> Places | None:
    """The table of places by which planes `dst` take the elements of planes `src` at `position`, none of it -1, or by which
    their gradient goes `back`; None where rows are cheaper."""
    plane, outputs = src[0] * src[1] * src[2], dst[0] * dst[1] * dst[2]
    if dtype not in DTYPES or dst[2] > NARROW or not fits(1, outputs, plane):
        return None
    dims = [part[:, None] for part in np.split(position, (dst[0], dst[0] + dst[1]))]
    if not back:
        return places_of(outer_places(dims, src), plane, dtype.itemsize)
    dims = [seen_from(dim, n) for dim, n in zip(dims, src, strict=True)]
    terms = dims[0].shape[1] * dims[1].shape[1] * dims[2].shape[1]
    if terms > FEW_SEE or not fits(terms, plane, outputs):
        return None
    return places_of(outer_places(dims, dst), outputs, dtype.itemsize)


def pad_small(x, planes: int, places: Places):
    """pad_forward, or pad_backward, by the table of small_padding."""
    return sum_planes(x, planes, places)


def pad_forward(x, planes: int, src: tuple, dst: tuple, position, fill=0, run: tuple | None = None):
    """x (planes, *src) read at `position`: (planes, *dst). run: the longest_run of its last part, where that is known."""
    out = np.empty(planes * dst[0] * dst[1] * dst[2], x.dtype)
    if run is None:
        run = longest_run(position, dst[0] + dst[1], dst[2])
    raw = _MOVED_AS.get(x.dtype, x.dtype)
    flat, to = (x, out) if raw is x.dtype else (x.view(raw), out.view(raw))
    rows = max(TASK // max(dst[2], 1), 1)
    parts = planes * dst[0] * -(-dst[1] // rows)
    take = _take if out.size >= PARALLEL_SIZE and parts > 1 else _take.serial
    take(parts, flat, to, src, dst, position, run, flat.dtype.type(fill))
    return out


def pad_backward(grad, planes: int, src: tuple, dst: tuple, position, run: tuple | None = None):
    """Gradient (planes, *src) of pad_forward: each output's gradient is added where it was read."""
    out = np.zeros(planes * src[0] * src[1] * src[2], grad.dtype)
    if run is None:
        run = longest_run(position, dst[0] + dst[1], dst[2])
    # Without a run a table repeats rows as it repeats columns.
    rows = np.empty(planes * dst[2] if run[0] == run[1] else 0, grad.dtype)
    add = _add if grad.size >= PARALLEL_SIZE and planes > 1 else _add.serial
    add(planes, grad, out, src, dst, position, run, rows)
    return out
