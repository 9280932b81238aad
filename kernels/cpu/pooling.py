"""Pooling over one to three dimensions: maximum with indices, average, their adaptive forms, and their
gradients.

Every pooling here is a walk over windows that are boxes: along each dimension, output o sees the input
positions start[o], start[o] + step, ... below end[o]. Strides, padding, ceil_mode and adaptive bins only
change these tables, which `pool_windows` and `adaptive_windows` build once per shape. Arrays are flat: x
(planes, *src), out (planes, *dst), planes being batch x channels. Float windows 1 or 2 elements apart that lie inside
of their line are taken a vector at a time (pooling_lines.py), others in two steps (pooling_columns.py), as runs, or by tables
of places (places.py): pooling_ways.py chooses. The maxima of integers are found by the loop here.

    maximum   out = max of the window, index = its place in the input plane; the first of equals, and the last
    nan if there are any
    average   out = sum of the window / (count_d[o] count_h[o] count_w[o]), or / divisor
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange, typeof

from ..compiler import entry_point, jit
from ..simd import lanes
from .places import max_at_places, max_at_places_parallel, sum_at_places, sum_at_places_parallel, sum_planes
from .pooling_columns import average_of_columns, max_of_columns, max_of_rows, share_of_columns, sum_of_rows
from .pooling_lines import add_line, average_line, max_line, max_line_alone, max_run, spread_line
from .pooling_ways import by_lines, counts_of, divisors_of, places_back, ramp, way_of

# Elements touched below which a parallel launch costs more than it gains.
SERIAL_WORK = 25_000
CHUNKS = 32
_INT64 = np.dtype(np.int64)
# What stands behind the windows in a table: how windows lie along the last dimension (see `lines`), 6 numbers.
LINES = 6
_NO_INDEX = np.empty(0, _INT64)


def lines(n: int, outputs: int, kernel: int, stride: int, padding: int, step: int) -> list[int]:
    """[kernel, step, stride, padding, low, high]: the windows low .. high - 1 of a line lie inside of it."""
    low = -(-padding // stride)
    high = min(outputs, (n + padding - (kernel - 1) * step - 1) // stride + 1)
    return [kernel, step, stride, padding, low, max(low, high)]


@lru_cache(maxsize=1024)
def pool_windows(
    src: tuple, dst: tuple, kernel: tuple, stride: tuple, padding: tuple, dilation: tuple, include_pad: bool
) -> np.ndarray:
    """int64 table: for each dimension the starts, the ends and the counts (see the module) of its dst[i]
    windows; then the numbers of `lines`.

    Windows may begin in the padding and, with ceil_mode, end beyond it; positions outside of the input are
    left out, and counted only with `include_pad`, up to the end of the padding.
    """
    parts = []
    for n, o, k, s, p, d in zip(src, dst, kernel, stride, padding, dilation, strict=True):
        first = np.arange(o, dtype=np.int64) * s - p
        last = np.minimum(first + (k - 1) * d + 1, n + p)
        inside = first + np.where(first < 0, -(first // d) * d, 0)
        end = np.minimum(last, n)
        count = last - first if include_pad else end - inside
        # A window with gaps may miss the input altogether. It starts inside all the same, for kernels read its start.
        parts += [np.minimum(inside, n - 1), end, np.maximum(count, 0)]
    last = lines(src[-1], dst[-1], kernel[-1], stride[-1], padding[-1], dilation[-1])
    return np.concatenate([*parts, np.array(last, np.int64)])


def empty_windows(table: np.ndarray, dst: tuple) -> np.ndarray | None:
    """Which of the dst windows of a table made without include_pad have no element (bool, of shape dst); None for none."""
    empty, at = np.zeros(dst, np.bool_), 0
    for dim, o in enumerate(dst):
        counts = table[at + 2 * o : at + 3 * o]
        empty |= (counts == 0).reshape([-1 if d == dim else 1 for d in range(len(dst))])
        at += 3 * o
    return empty if empty.any() else None


@lru_cache(maxsize=1024)
def adaptive_windows(src: tuple, dst: tuple) -> np.ndarray:
    """The table of pool_windows for adaptive pooling: bin o is floor(o n / dst) .. ceil((o + 1) n / dst)."""
    parts = []
    for n, o in zip(src, dst, strict=True):
        i = np.arange(o, dtype=np.int64)
        start, end = i * n // max(o, 1), -(-(i + 1) * n // max(o, 1))
        parts += [start, end, end - start]
    return np.concatenate([*parts, np.zeros(LINES, np.int64)])


@jit(bare=True)
def _max_outputs(x, plane, at, z0, z1, step_d, h0, h1, step_h, sh, sw, step_w, table, ws, dw, begin, end, out, index):
    """out, index[at + ow] for begin <= ow < end: the maxima of windows of one line, and their places.

    An empty index, here and in all that follows, is not wanted."""
    for ow in range(begin, end):
        w0, w1 = table[ws + ow], table[ws + dw + ow]
        where = (z0 * sh + h0) * sw + w0
        best = x[plane + where]
        z = z0
        while z < z1:  # a range with a step divides
            y = h0
            while y < h1:
                place = (z * sh + y) * sw + w0
                last = place + w1 - w0
                while place < last:
                    value = x[np.uint64(plane + place)]
                    if value > best or value != value:
                        best = value
                        where = place
                    place += step_w
                y += step_h
            z += step_d
        out[at + ow] = best
        if index.size > 0:
            index[at + ow] = where


@jit(nogil=True, bare=True)
def _max_planes(first, last, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table):
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    for plane in range(first, last):
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                rows = (table[od], table[dd + od], step_d, table[hs + oh], table[hs + dh + oh], step_h, sh, sw)
                _max_outputs(x, plane * sd * sh * sw, at, *rows, step_w, table, ws, dw, 0, dw, out, index)
                at += dw


@jit(nogil=True, bare=True)
def _max_lines(first, last, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table, ramp):
    """As _max_planes, by vectors where windows lie inside of their line."""
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    tail = ws + 3 * dw
    kernel, stride, front = table[tail], table[tail + 2], table[tail + 3]
    low, high = table[tail + 4], table[tail + 5]
    end = last * dd * dh * dw
    for plane in range(first, last):
        image = plane * sd * sh * sw
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                rows = (table[od], table[dd + od], step_d, table[hs + oh], table[hs + dh + oh], step_h, sh, sw)
                if low > 0:
                    _max_outputs(x, image, at, *rows, step_w, table, ws, dw, 0, low, out, index)
                if index.size > 0:
                    max_line(x, image, *rows, kernel, step_w, stride, front, low, high, ramp, at, end, out, index)
                else:
                    max_line_alone(x, image, *rows, kernel, step_w, stride, front, low, high, at, end, out)
                if high < dw:
                    _max_outputs(x, image, at, *rows, step_w, table, ws, dw, high, dw, out, index)
                at += dw


@jit(nogil=True)
def _max_columns(first, last, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table, ramp):
    """As _max_planes, in two steps (pooling_columns.py)."""
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    best, where = np.empty(sw + 2 * lanes(x), x.dtype), np.empty(sw + 2 * lanes(x), ramp.dtype)
    for plane in range(first, last):
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                rows = (table[od], table[dd + od], step_d, table[hs + oh], table[hs + dh + oh], step_h, sh, sw)
                max_of_rows(x, plane * sd * sh * sw, *rows, ramp, best, where)
                max_of_columns(best, where, step_w, table, ws, dw, ramp, at, out, index)
                at += dw


@jit(nogil=True, bare=True)
def _max_runs(first, last, x, out, index, sd, sh, sw, dd, dh, dw, table, ramp):
    """As _max_planes, where the elements of every window follow each other and fill some vectors."""
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    for plane in range(first, last):
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                for ow in range(dw):
                    start = (table[od] * sh + table[hs + oh]) * sw + table[ws + ow]
                    lines = (table[dd + od] - table[od]) * (table[hs + dh + oh] - table[hs + oh])
                    count = lines * (table[ws + dw + ow] - table[ws + ow])
                    max_run(x, plane * sd * sh * sw, start, count, ramp, at, out, index)
                    at += 1


@jit(parallel=True)
def _max_parallel(chunks, planes, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _max_planes(first, last, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table)


@jit(parallel=True)
def _max_lines_parallel(chunks, planes, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table, ramp):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _max_lines(first, last, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table, ramp)


@jit(parallel=True)
def _max_columns_parallel(chunks, planes, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table, ramp):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _max_columns(first, last, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table, ramp)


@jit(parallel=True)
def _max_runs_parallel(chunks, planes, x, out, index, sd, sh, sw, dd, dh, dw, table, ramp):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _max_runs(first, last, x, out, index, sd, sh, sw, dd, dh, dw, table, ramp)


@jit(nogil=True)
def _fractional_planes(planes, x, out, index, sd, sh, sw, dd, dh, dw, kernel, samples):
    """_max_planes with windows of its own for each plane, drawn by `samples` (planes, dims) in [0, 1)."""
    table = np.empty(3 * (dd + dh + dw), np.int64)
    dims = samples.size // planes
    for plane in range(planes):
        first = 0
        for axis in range(3):
            size, count = (sd, sh, sw)[axis], (dd, dh, dw)[axis]
            # two dimensions have their samples in the order width, height; three in the order depth, height,
            # width
            place = axis if dims == 3 else 2 - axis
            u = samples[plane * dims + place] if dims == 3 or axis > 0 else samples.dtype.type(0)
            alpha = samples.dtype.type(size - kernel[axis]) / samples.dtype.type(max(count - 1, 1))
            for i in range(count):
                start = size - kernel[axis]
                if i < count - 1:
                    start = np.int64((samples.dtype.type(i) + u) * alpha) - np.int64(u * alpha)
                table[first + i], table[first + count + i] = start, start + kernel[axis]
            first += 3 * count
        _max_planes(plane, plane + 1, x, out, index, sd, sh, sw, dd, dh, dw, 1, 1, 1, table)


@jit
def _row_sum(row):
    """Sum of a row over four lanes, so that the additions do not wait for one another."""
    zero = row.dtype.type(0)
    a, b, c, d = zero, zero, zero, zero
    whole = row.size // 4 * 4
    for e in range(0, whole, 4):
        a += row[e]
        b += row[e + 1]
        c += row[e + 2]
        d += row[e + 3]
    for e in range(whole, row.size):
        a += row[e]
    return (a + b) + (c + d)


@jit(bare=True)
def _average_outputs(x, plane, at, z0, z1, h0, h1, sh, sw, table, ws, dw, first, last, outer, divisor, out):
    """out[at + ow] for first <= ow < last: the averages of windows of one line."""
    for ow in range(first, last):
        w0, w1 = table[ws + ow], table[ws + dw + ow]
        total = x.dtype.type(0)
        for z in range(z0, z1):
            for y in range(h0, h1):
                line = plane + (z * sh + y) * sw
                if w1 - w0 >= 8:
                    total += _row_sum(x[line + w0 : line + w1])
                else:
                    for place in range(line + w0, line + w1):
                        total += x[np.uint64(place)]
        count = divisor if divisor != 0 else outer * table[ws + 2 * dw + ow]
        # a window that lies in the padding alone is 0, not 0 / 0
        out[at + ow] = total / x.dtype.type(count) if count != 0 else x.dtype.type(0)


@jit(nogil=True)
def _average_planes(first, last, x, out, sd, sh, sw, dd, dh, dw, table, divisor):
    """In two steps (pooling_columns.py)."""
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    line = np.empty(sw + lanes(x), x.dtype)
    for plane in range(first, last):
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                outer = table[2 * dd + od] * table[hs + 2 * dh + oh]
                rows = (table[od], table[dd + od], table[hs + oh], table[hs + dh + oh], sh, sw)
                sum_of_rows(x, plane * sd * sh * sw, *rows, line)
                average_of_columns(line, table, ws, dw, outer, divisor, at, out)
                at += dw


@jit(nogil=True, bare=True)
def _average_lines(first, last, x, out, sd, sh, sw, dd, dh, dw, table, divisor):
    """As _average_planes, by vectors where windows lie inside of their line."""
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    tail = ws + 3 * dw
    kernel, stride, front = table[tail], table[tail + 2], table[tail + 3]
    end = last * dd * dh * dw
    for plane in range(first, last):
        image = plane * sd * sh * sw
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                rows = (table[od], table[dd + od], table[hs + oh], table[hs + dh + oh], sh, sw)
                outer = table[2 * dd + od] * table[hs + 2 * dh + oh]
                count = divisor if divisor != 0 else outer * kernel
                low, high = (table[tail + 4], table[tail + 5]) if count != 0 else (0, 0)
                if low > 0:
                    _average_outputs(x, image, at, *rows, table, ws, dw, 0, low, outer, divisor, out)
                average_line(x, image, *rows, kernel, stride, front, low, high, count, at, end, out)
                if high < dw:
                    _average_outputs(x, image, at, *rows, table, ws, dw, high, dw, outer, divisor, out)
                at += dw


@jit(parallel=True)
def _average_parallel(chunks, planes, x, out, sd, sh, sw, dd, dh, dw, table, divisor):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _average_planes(first, last, x, out, sd, sh, sw, dd, dh, dw, table, divisor)


@jit(parallel=True)
def _average_lines_parallel(chunks, planes, x, out, sd, sh, sw, dd, dh, dw, table, divisor):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _average_lines(first, last, x, out, sd, sh, sw, dd, dh, dw, table, divisor)


@jit(nogil=True)
def _spread_planes(first, last, grad, out, sd, sh, sw, dd, dh, dw, table, divisor):
    """out += the shares of every window: those of a line of outputs are spread along it once, and added to all rows
    that they see."""
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    line = np.empty(sw + lanes(grad), grad.dtype)
    for plane in range(first, last):
        image = plane * sd * sh * sw
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                outer = table[2 * dd + od] * table[hs + 2 * dh + oh]
                share_of_columns(grad, at, table, ws, dw, outer, divisor, sw, line)
                at += dw
                for z in range(table[od], table[dd + od]):
                    for y in range(table[hs + oh], table[hs + dh + oh]):
                        add_line(line, out, image + (z * sh + y) * sw, sw)


@jit(nogil=True)
def _spread_lines(first, last, grad, out, sd, sh, sw, dd, dh, dw, table, divisor):
    """As _spread_planes, with the shares spread by vectors."""
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    tail = ws + 3 * dw
    kernel, stride, front = table[tail], table[tail + 2], table[tail + 3]
    width = lanes(grad)
    room = kernel + 1
    share = np.zeros(room + sw + front + 2 * width + dw, grad.dtype)
    line = np.zeros(sw + 2 * width, grad.dtype)
    for plane in range(first, last):
        image = plane * sd * sh * sw
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                outer = table[2 * dd + od] * table[hs + 2 * dh + oh]
                for ow in range(dw):
                    count = divisor if divisor != 0 else outer * table[ws + 2 * dw + ow]
                    share[room + ow] = grad[at + ow] / grad.dtype.type(count) if count != 0 else grad.dtype.type(0)
                at += dw
                spread_line(share, room, sw, kernel, stride, front, line)
                for z in range(table[od], table[dd + od]):
                    for y in range(table[hs + oh], table[hs + dh + oh]):
                        add_line(line, out, image + (z * sh + y) * sw, sw)


@jit(parallel=True)
def _spread_parallel(chunks, planes, grad, out, sd, sh, sw, dd, dh, dw, table, divisor):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _spread_planes(first, last, grad, out, sd, sh, sw, dd, dh, dw, table, divisor)


@jit(parallel=True)
def _spread_lines_parallel(chunks, planes, grad, out, sd, sh, sw, dd, dh, dw, table, divisor):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _spread_lines(first, last, grad, out, sd, sh, sw, dd, dh, dw, table, divisor)


@jit(nogil=True, bare=True)
def _place_planes(first, last, value, index, out, count, size, add):
    """out[plane, index[plane, i]] = or += value[plane, i]. Returns the first i whose index is outside, or
    -1."""
    for plane in range(first, last):
        for at in range(plane * count, (plane + 1) * count):
            place = index[at]
            if place < 0 or place >= size:
                return at
            if add:
                out[np.uint64(plane * size + place)] += value[at]
            else:
                out[np.uint64(plane * size + place)] = value[at]
    return -1


@jit(parallel=True)
def _place_parallel(chunks, planes, value, index, out, count, size, add, bad):
    for i in prange(chunks):
        bad[i] = _place_planes(i * planes // chunks, (i + 1) * planes // chunks, value, index, out, count, size, add)


@jit(nogil=True, bare=True)
def _take_planes(first, last, value, index, out, count, size):
    """out[plane, i] = value[plane, index[plane, i]]. Returns the first i whose index is outside, or -1."""
    for plane in range(first, last):
        for at in range(plane * count, (plane + 1) * count):
            place = index[at]
            if place < 0 or place >= size:
                return at
            out[at] = value[np.uint64(plane * size + place)]
    return -1


def _max_kernel(dtype, src: tuple, dst: tuple, step: tuple, table, kept: dict):
    """(serial kernel, parallel kernel, what they take after the arrays) for a table of windows."""
    found = kept.get(("max", dtype))
    if found is None:
        way, places = way_of(dtype, src, dst, step, table, True)
        if way == "places":
            found = max_at_places, max_at_places_parallel, tuple(places)
        elif way == "runs":
            found = _max_runs, _max_runs_parallel, (*src, *dst, table, ramp(1, dtype.itemsize))
        elif way == "lines":
            rest = (*src, *dst, *step, table, ramp(int(table[-4]), dtype.itemsize))
            found = _max_lines, _max_lines_parallel, rest
        elif way == "columns":
            rest = (*src, *dst, *step, table, ramp(1, dtype.itemsize))
            found = _max_columns, _max_columns_parallel, rest
        else:
            found = _max_planes, _max_parallel, (*src, *dst, *step, table)
        kept["max", dtype] = found
    return found


def _average_kernel(dtype, src: tuple, dst: tuple, table, divisor: int, kept: dict):
    """As _max_kernel."""
    found = kept.get(("average", dtype))
    if found is None:
        way, places = way_of(dtype, src, dst, (1, 1, 1), table, False)
        if way == "places":
            divisors = divisors_of(counts_of(table, dst, divisor), places, dtype)
            found = sum_at_places, sum_at_places_parallel, (divisors, *places)
        elif way == "lines":
            found = _average_lines, _average_lines_parallel, (*src, *dst, table, divisor)
        else:
            found = _average_planes, _average_parallel, (*src, *dst, table, divisor)
        kept["average", dtype] = found
    return found


def max_pool_forward(
    x, planes: int, src: tuple, dst: tuple, step: tuple, table, empty=np.empty, kept: dict | None = None, places=True
):
    """(out, index): the maximum over the windows of `table` with `step` between their elements, and its place
    in the plane (int64), which is left empty without `places`. `empty(n, dtype)` makes the arrays; what was found about the
    table is written into `kept`, a dictionary of the table's own."""
    size = planes * dst[0] * dst[1] * dst[2]
    out, index = empty(size, x.dtype), empty(size, _INT64) if places else _NO_INDEX
    serial, parallel, rest = _max_kernel(x.dtype, src, dst, step, table, {} if kept is None else kept)
    if x.size + size < SERIAL_WORK or planes == 1:
        serial(0, planes, x, out, index, *rest)
    else:
        parallel(min(planes, CHUNKS), planes, x, out, index, *rest)
    return out, index


def small_max_pool(dtype, src: tuple, dst: tuple, step: tuple, table, kept: dict):
    """(kernel, rest): `kernel(0, planes, x, out, index, *rest)` is max_pool_forward without its choices, for floats."""
    kernel, _, rest = _max_kernel(np.dtype(dtype), src, dst, step, table, kept)
    arrays = np.empty(0, dtype), np.empty(0, dtype), np.empty(0, _INT64)
    return entry_point(kernel, tuple([typeof(each) for each in (0, 0, *arrays, *rest)])), rest


def small_average_pool(dtype, src: tuple, dst: tuple, table, divisor: int, kept: dict):
    """(kernel, rest): `kernel(0, planes, x, out, *rest)` is average_pool_forward likewise."""
    kernel, _, rest = _average_kernel(np.dtype(dtype), src, dst, table, divisor, kept)
    array = np.empty(0, dtype)
    return entry_point(kernel, tuple([typeof(each) for each in (0, 0, array, array, *rest)])), rest


def fractional_max_pool_forward(x, planes: int, src: tuple, dst: tuple, kernel: tuple, samples):
    """(out, index) of max pooling over windows at pseudo-random distances (Graham, "Fractional max-pooling",
    2014).

    Along a dimension window i < dst - 1 starts at floor((i + u) a) - floor(u a) with a = (src - kernel) /
    (dst - 1), and the last at src - kernel; u is the plane's number of `samples` (planes, dims) for that
    dimension.
    """
    size = planes * dst[0] * dst[1] * dst[2]
    out, index = np.empty(size, x.dtype), np.empty(size, np.int64)
    if size:
        _fractional_planes(planes, x, out, index, *src, *dst, kernel, samples)
    return out, index


def average_pool_forward(
    x, planes: int, src: tuple, dst: tuple, table, divisor: int = 0, empty=np.empty, kept: dict | None = None
):
    """The mean over the windows of `table`, or their sum / divisor if that is not 0; `kept` as in max_pool_forward."""
    out = empty(planes * dst[0] * dst[1] * dst[2], x.dtype)
    serial, parallel, rest = _average_kernel(x.dtype, src, dst, table, divisor, {} if kept is None else kept)
    if x.size + out.size < SERIAL_WORK or planes == 1:
        serial(0, planes, x, out, *rest)
    else:
        parallel(min(planes, CHUNKS), planes, x, out, *rest)
    return out


def _places_back(dtype, src: tuple, dst: tuple, table, divisor: int, kept: dict):
    """(divisors of the gradient or none, divisors of the sums or none, places) of a gradient that is added up by places;
    None where it is spread."""
    if ("back", dtype) not in kept:
        places, found = places_back(dtype, src, dst, table), None
        if places is not None:
            counts = counts_of(table, dst, divisor)
            if (counts == counts[0]).all():  # of equal divisors the sum is divided
                plane = np.full(places.outputs, counts[0])
                found = None, divisors_of(plane, places, dtype), places
            else:
                found = counts.astype(dtype), None, places
        kept["back", dtype] = found
    return kept["back", dtype]


def average_pool_backward(
    grad, planes: int, src: tuple, dst: tuple, table, divisor: int = 0, empty=np.empty, kept: dict | None = None
):
    """Gradient (planes, *src) of average_pool_forward: each output's gradient is shared out over its
    window."""
    back = _places_back(grad.dtype, src, dst, table, divisor, {} if kept is None else kept)
    if back is not None:
        counts, divisors, places = back
        if counts is not None:
            grad = (grad.reshape(planes, counts.size) / counts).reshape(-1)
        return sum_planes(grad, planes, places, divisors, empty)
    out = empty(planes * src[0] * src[1] * src[2], grad.dtype)
    out.fill(0)
    if grad.size + out.size < SERIAL_WORK or planes == 1:
        kernel = _spread_lines if by_lines(grad.dtype, table, dst[2]) else _spread_planes
        kernel(0, planes, grad, out, *src, *dst, table, divisor)
    else:
        kernel = _spread_lines_parallel if by_lines(grad.dtype, table, dst[2]) else _spread_parallel
        kernel(min(planes, CHUNKS), planes, grad, out, *src, *dst, table, divisor)
    return out


def place_by_index(value, index, planes: int, count: int, size: int, add: bool, empty=np.empty):
    """(out (planes, size), bad): zeros with value (planes, count) added at, or written to, index (planes,
    count).

    The gradient of max pooling (add) and max unpooling (write: the last of equal indices stays). `bad` is the
    first position of an index outside 0 .. size - 1, or -1.
    """
    out = empty(planes * size, value.dtype)
    out.fill(0)
    if value.size + out.size < SERIAL_WORK or planes == 1:
        return out, _place_planes(0, planes, value, index, out, count, size, add)
    chunks = min(planes, CHUNKS)
    bad = np.empty(chunks, np.int64)
    _place_parallel(chunks, planes, value, index, out, count, size, add, bad)
    wrong = bad[bad >= 0]
    return out, int(wrong[0]) if wrong.size else -1


def take_by_index(value, index, planes: int, count: int, size: int):
    """(out (planes, count), bad): value (planes, size) at index (planes, count); `bad` as in
    place_by_index."""
    out = np.empty(planes * count, value.dtype)
    return out, _take_planes(0, planes, value, index, out, count, size)
