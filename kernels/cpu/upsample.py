"""Resampling with separable weights: nearest, linear, cubic and antialiased interpolation, and their
gradients.

    out[plane, od, oh, ow] = sum_{a, b, c} wd[od, a] wh[oh, b] ww[ow, c] x[plane, id[od, a], ih[oh, b], iw[ow,
    c]]

Per dimension a table of T source positions and T weights for each output (T = 1 nearest, 2 linear, 4 cubic,
more antialiased) holds all that the modes differ in. A row of the output is made in two steps: the input rows
it needs are added up with their weights (contiguous, vectorised), then that one row is sampled along the
width. The gradient goes the other way: rows of it are added up with their weights for each input row, over the whole
plane, then each element of an input row collects what it was sampled for. That takes the width's table by sources
(`by_source`): reading many places and writing one is twice as fast as adding to memory over and over.
Arrays are flat: x (planes, *src), out (planes, *dst).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange, typeof

from ..compiler import entry_point, jit
from ..pieces import piece
from .spread import PARALLEL_SIZE


@jit(bare=True)
def _add_scaled(factor, source, at, width, first, target, to):
    """target[to:] = or += factor * source[at:], over `width` elements."""
    y, x = piece(target, to, width), piece(source, at, width)
    if first:
        for e in range(width):
            y[e] = factor * x[e]
    else:
        for e in range(width):
            y[e] += factor * x[e]


@jit(bare=True)
def _forward_plane(plane, x, out, rows, src, dst, taps, place, weight):
    td, th, tw = taps
    h0, w0 = dst[0] * td, dst[0] * td + dst[1] * th
    volume, width = src[0] * src[1] * src[2], src[2]
    row = piece(rows, plane * width, width)
    columns, shares = piece(place, w0, dst[2] * tw), piece(weight, w0, dst[2] * tw)
    for od in range(dst[0]):
        for oh in range(dst[1]):
            if td * th == 1 and weight[od] * weight[h0 + oh] == 1:  # one dimension: the row is that of the input
                row = piece(x, plane * volume + (place[od] * src[1] + place[h0 + oh]) * width, width)
            else:
                first = True
                for a in range(td):
                    for b in range(th):
                        factor = weight[od * td + a] * weight[h0 + oh * th + b]
                        line = plane * volume + (place[od * td + a] * src[1] + place[h0 + oh * th + b]) * width
                        if factor != 0:
                            _add_scaled(factor, x, line, width, first, rows, plane * width)
                            first = False
                if first:
                    for e in range(width):
                        row[e] = 0
            to = piece(out, ((plane * dst[0] + od) * dst[1] + oh) * dst[2], dst[2])
            if tw == 1:
                for ow in range(dst[2]):
                    to[ow] = shares[ow] * row[np.uint64(columns[ow])]
            elif tw == 2:
                for ow in range(dst[2]):
                    left = shares[2 * ow] * row[np.uint64(columns[2 * ow])]
                    to[ow] = left + shares[2 * ow + 1] * row[np.uint64(columns[2 * ow + 1])]
            elif tw == 4:
                for ow in range(dst[2]):
                    total = shares[4 * ow] * row[np.uint64(columns[4 * ow])]
                    total += shares[4 * ow + 1] * row[np.uint64(columns[4 * ow + 1])]
                    total += shares[4 * ow + 2] * row[np.uint64(columns[4 * ow + 2])]
                    to[ow] = total + shares[4 * ow + 3] * row[np.uint64(columns[4 * ow + 3])]
            else:
                for ow in range(dst[2]):
                    total = x.dtype.type(0)
                    for c in range(ow * tw, (ow + 1) * tw):
                        total += shares[c] * row[np.uint64(columns[c])]
                    to[ow] = total


@jit
def by_source(place, weight, first, outputs, tw, sources):
    """(ends, order, shares) of the width's table: source s serves the outputs order[ends[s - 1] : ends[s]], ascending,
    with these weights."""
    count = outputs * tw
    ends = np.zeros(sources + 1, np.int64)
    order, shares = np.empty(count, np.int64), np.empty(count, weight.dtype)
    for e in range(first, first + count):
        ends[place[e] + 1] += 1
    for s in range(sources):
        ends[s + 1] += ends[s]
    for e in range(count):
        s = place[first + e]
        order[ends[s]], shares[ends[s]] = e // tw, weight[first + e]
        ends[s] += 1
    return ends, order, shares


@jit(bare=True)
def _backward_plane(plane, grad, out, sums, src, dst, taps, place, weight, ends, order, shares):
    td, th = taps[0], taps[1]
    h0, w0 = dst[0] * td, dst[0] * td + dst[1] * th
    height, width, wide = src[0] * src[1], src[2], dst[2]
    base = plane * height * wide
    zero = grad.dtype.type(0)
    mine = piece(sums, base, height * wide)
    for e in range(height * wide):
        mine[e] = zero
    for od in range(dst[0]):
        for oh in range(dst[1]):
            at = ((plane * dst[0] + od) * dst[1] + oh) * wide
            for a in range(td):
                for b in range(th):
                    factor = weight[od * td + a] * weight[h0 + oh * th + b]
                    row = place[od * td + a] * src[1] + place[h0 + oh * th + b]
                    if factor != 0:
                        _add_scaled(factor, grad, at, wide, False, sums, base + row * wide)
    for r in range(height):
        row, to = piece(sums, base + r * wide, wide), piece(out, (plane * height + r) * width, width)
        if order.size < width:  # fewer samples than sources: most of these have none
            for s in range(width):
                to[s] = zero
            e = w0
            for ow in range(wide):
                for _ in range(taps[2]):
                    to[np.uint64(place[e])] += weight[e] * row[ow]
                    e += 1
            continue
        k = np.int64(0)
        for s in range(width):
            total = zero
            end = ends[s]
            while k < end:
                total += shares[np.uint64(k)] * row[np.uint64(order[np.uint64(k)])]
                k += 1
            to[s] = total


# Written out, for `spread` cannot hand tuples on to threads.
@jit(parallel=True)
def _forward(planes, x, out, rows, src, dst, taps, place, weight):
    for plane in prange(planes):
        _forward_plane(np.int64(plane), x, out, rows, src, dst, taps, place, weight)


@jit(parallel=True)
def _backward(planes, grad, out, sums, src, dst, taps, place, weight, ends, order, shares):
    for plane in prange(planes):
        _backward_plane(np.int64(plane), grad, out, sums, src, dst, taps, place, weight, ends, order, shares)


@lru_cache(maxsize=8)
def _serial_forward(dtype):
    """The compiled serial form of _forward for a dtype."""
    x, three, place = np.empty(0, dtype), (0, 0, 0), np.empty(0, np.int64)
    arguments = (0, x, x, x, three, three, three, place, x)
    return entry_point(_forward.serial, tuple([typeof(a) for a in arguments]))


def interpolate_forward(x, planes: int, src: tuple, dst: tuple, taps: tuple, place, weight):
    """out of the module's formula; `place` (int64) and `weight` (dtype of x) hold the tables of depth, height
    and width in turn."""
    out = np.empty(planes * dst[0] * dst[1] * dst[2], x.dtype)
    rows = np.empty(planes * src[2], x.dtype)
    run = _forward if x.size + out.size >= PARALLEL_SIZE and planes > 1 else _serial_forward(x.dtype)
    run(planes, x, out, rows, src, dst, taps, place, weight)
    return out


def interpolate_backward(grad, planes: int, src: tuple, dst: tuple, taps: tuple, place, weight):
    """Gradient (planes, *src) of interpolate_forward: the transposed sum."""
    out = np.empty(planes * src[0] * src[1] * src[2], grad.dtype)
    sums = np.empty(planes * src[0] * src[1] * dst[2], grad.dtype)
    table = by_source(place, weight, dst[0] * taps[0] + dst[1] * taps[1], dst[2], taps[2], src[2])
    run = _backward if grad.size + out.size >= PARALLEL_SIZE and planes > 1 else _backward.serial
    run(planes, grad, out, sums, src, dst, taps, place, weight, *table)
    return out
