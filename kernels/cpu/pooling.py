"""Pooling over one to three dimensions: maximum with indices, average, their adaptive forms, and their
gradients.

Every pooling here is a walk over windows that are boxes: along each dimension, output o sees the input
positions start[o], start[o] + step, ... below end[o]. Strides, padding, ceil_mode and adaptive bins only
change these tables, which `pool_windows` and `adaptive_windows` build once per shape. Arrays are flat: x
(planes, *src), out (planes, *dst), planes being batch x channels.

    maximum   out = max of the window, index = its place in the input plane; the first of equals, and the last
    nan if there are any
    average   out = sum of the window / (count_d[o] count_h[o] count_w[o]), or / divisor
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from ..compiler import jit

# Elements touched below which a parallel launch costs more than it gains.
SERIAL_WORK = 50_000
CHUNKS = 32


@lru_cache(maxsize=1024)
def pool_windows(
    src: tuple, dst: tuple, kernel: tuple, stride: tuple, padding: tuple, dilation: tuple, include_pad: bool
) -> np.ndarray:
    """int64 table: for each dimension the starts, the ends and the counts (see the module) of its dst[i]
    windows.

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
        parts += [inside, end, np.maximum(count, 0)]
    return np.concatenate(parts)


@lru_cache(maxsize=1024)
def adaptive_windows(src: tuple, dst: tuple) -> np.ndarray:
    """The table of pool_windows for adaptive pooling: bin o is floor(o n / dst) .. ceil((o + 1) n / dst)."""
    parts = []
    for n, o in zip(src, dst, strict=True):
        i = np.arange(o, dtype=np.int64)
        start, end = i * n // max(o, 1), -(-(i + 1) * n // max(o, 1))
        parts += [start, end, end - start]
    return np.concatenate(parts)


@jit(nogil=True)
def _max_planes(first, last, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table):
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    for plane in range(first, last):
        image = x[plane * sd * sh * sw : (plane + 1) * sd * sh * sw]
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                h0, h1 = table[hs + oh], table[hs + dh + oh]
                for ow in range(dw):
                    w0, w1 = table[ws + ow], table[ws + dw + ow]
                    where = (table[od] * sh + h0) * sw + w0
                    best = image[where]
                    for z in range(table[od], table[dd + od], step_d):
                        for y in range(h0, h1, step_h):
                            for place in range((z * sh + y) * sw + w0, (z * sh + y) * sw + w1, step_w):
                                value = image[np.uint64(place)]
                                if value > best or value != value:
                                    best = value
                                    where = place
                    out[at] = best
                    index[at] = where
                    at += 1


@jit(parallel=True)
def _max_parallel(chunks, planes, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _max_planes(first, last, x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table)


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


@jit(nogil=True)
def _average_planes(first, last, x, out, sd, sh, sw, dd, dh, dw, table, divisor):
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    for plane in range(first, last):
        image = x[plane * sd * sh * sw : (plane + 1) * sd * sh * sw]
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                h0, h1 = table[hs + oh], table[hs + dh + oh]
                outer = table[2 * dd + od] * table[hs + 2 * dh + oh]
                for ow in range(dw):
                    w0, w1 = table[ws + ow], table[ws + dw + ow]
                    total = x.dtype.type(0)
                    for z in range(table[od], table[dd + od]):
                        for y in range(h0, h1):
                            line = (z * sh + y) * sw
                            if w1 - w0 >= 8:
                                total += _row_sum(image[line + w0 : line + w1])
                            else:
                                for place in range(line + w0, line + w1):
                                    total += image[np.uint64(place)]
                    count = divisor if divisor != 0 else outer * table[ws + 2 * dw + ow]
                    # a window that lies in the padding alone is 0, not 0 / 0
                    out[at] = total / x.dtype.type(count) if count != 0 else x.dtype.type(0)
                    at += 1


@jit(parallel=True)
def _average_parallel(chunks, planes, x, out, sd, sh, sw, dd, dh, dw, table, divisor):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _average_planes(first, last, x, out, sd, sh, sw, dd, dh, dw, table, divisor)


@jit(nogil=True)
def _spread_planes(first, last, grad, out, sd, sh, sw, dd, dh, dw, table, divisor):
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    for plane in range(first, last):
        image = out[plane * sd * sh * sw : (plane + 1) * sd * sh * sw]
        at = plane * dd * dh * dw
        for od in range(dd):
            for oh in range(dh):
                h0, h1 = table[hs + oh], table[hs + dh + oh]
                outer = table[2 * dd + od] * table[hs + 2 * dh + oh]
                for ow in range(dw):
                    w0, w1 = table[ws + ow], table[ws + dw + ow]
                    count = divisor if divisor != 0 else outer * table[ws + 2 * dw + ow]
                    if count != 0:
                        share = grad[at] / grad.dtype.type(count)
                        for z in range(table[od], table[dd + od]):
                            for y in range(h0, h1):
                                line = (z * sh + y) * sw
                                for place in range(line + w0, line + w1):
                                    image[np.uint64(place)] += share
                    at += 1


@jit(parallel=True)
def _spread_parallel(chunks, planes, grad, out, sd, sh, sw, dd, dh, dw, table, divisor):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        _spread_planes(first, last, grad, out, sd, sh, sw, dd, dh, dw, table, divisor)


@jit(nogil=True)
def _place_planes(first, last, value, index, out, count, size, add):
    """out[plane, index[plane, i]] = or += value[plane, i]. Returns the first i whose index is outside, or
    -1."""
    for at in range(first * count, last * count):
        place = index[at]
        if place < 0 or place >= size:
            return at
        if add:
            out[at // count * size + place] += value[at]
        else:
            out[at // count * size + place] = value[at]
    return -1


@jit(nogil=True)
def _take_planes(first, last, value, index, out, count, size):
    """out[plane, i] = value[plane, index[plane, i]]. Returns the first i whose index is outside, or -1."""
    for at in range(first * count, last * count):
        place = index[at]
        if place < 0 or place >= size:
            return at
        out[at] = value[at // count * size + place]
    return -1


def max_pool_forward(x, planes: int, src: tuple, dst: tuple, step: tuple, table):
    """(out, index): the maximum over the windows of `table` with `step` between their elements, and its place
    in the plane (int64)."""
    size = planes * dst[0] * dst[1] * dst[2]
    out, index = np.empty(size, x.dtype), np.empty(size, np.int64)
    if x.size + size < SERIAL_WORK or planes == 1:
        _max_planes(0, planes, x, out, index, *src, *dst, *step, table)
    else:
        _max_parallel(min(planes, CHUNKS), planes, x, out, index, *src, *dst, *step, table)
    return out, index


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


def average_pool_forward(x, planes: int, src: tuple, dst: tuple, table, divisor: int = 0):
    """The mean over the windows of `table`, or their sum / divisor if that is not 0."""
    out = np.empty(planes * dst[0] * dst[1] * dst[2], x.dtype)
    if x.size + out.size < SERIAL_WORK or planes == 1:
        _average_planes(0, planes, x, out, *src, *dst, table, divisor)
    else:
        _average_parallel(min(planes, CHUNKS), planes, x, out, *src, *dst, table, divisor)
    return out


def average_pool_backward(grad, planes: int, src: tuple, dst: tuple, table, divisor: int = 0):
    """Gradient (planes, *src) of average_pool_forward: each output's gradient is shared out over its
    window."""
    out = np.zeros(planes * src[0] * src[1] * src[2], grad.dtype)
    if grad.size + out.size < SERIAL_WORK or planes == 1:
        _spread_planes(0, planes, grad, out, *src, *dst, table, divisor)
    else:
        _spread_parallel(min(planes, CHUNKS), planes, grad, out, *src, *dst, table, divisor)
    return out


def place_by_index(value, index, planes: int, count: int, size: int, add: bool):
    """(out (planes, size), bad): zeros with value (planes, count) added at, or written to, index (planes,
    count).

    The gradient of max pooling (add) and max unpooling (write: the last of equal indices stays). `bad` is the
    first position of an index outside 0 .. size - 1, or -1.
    """
    out = np.zeros(planes * size, value.dtype)
    return out, _place_planes(0, planes, value, index, out, count, size, add)


def take_by_index(value, index, planes: int, count: int, size: int):
    """(out (planes, count), bad): value (planes, size) at index (planes, count); `bad` as in
    place_by_index."""
    out = np.empty(planes * count, value.dtype)
    return out, _take_planes(0, planes, value, index, out, count, size)
