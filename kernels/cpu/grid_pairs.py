"""Sampling two-dimensional images at points, nearest and bilinear, forward.

    nearest    out[c, p] = x[c, round(y), round(x)]
    bilinear   out[c, p] = (1 - v) ((1 - u) x[c, i, j] + u x[c, i, j + 1]) + v ((1 - u) x[c, i + 1, j] + u x[c, i + 1, j + 1])
               i = floor(y), v = y - i, j = floor(x), u = x - j;  what lies outside of the image counts as zero

Of the four elements that a point sees two and two are neighbours, so they are read as two pairs and parted by shuffles: two
reads a point and channel instead of four. A pair always lies inside of its row; at an edge it begins an element early or
late, and the weight of the element that is outside is -1, which no weight inside is.
"""

from __future__ import annotations

import numpy as np
from numba import prange, typeof

from ..compiler import entry_point, jit
from ..pieces import piece
from ..simd import (
    broadcast,
    convert,
    evens,
    fma,
    lanes,
    larger,
    load,
    load_at,
    load_part,
    odds,
    pick,
    smaller,
    store,
    store_part,
)
from .grid_coordinates import fold_back

# Points of a block: coordinates, places, weights and the elements read of a channel take 7 KB.
BLOCK = 128
# Vectors reach a little beyond the last point of a block.
ROOM = BLOCK + 64
# What stands for a coordinate that no image has, nan among them.
FAR = -100


@jit(inline=True, bare=True)
def _pixels(value, c, size, align):
    """Coordinates in [-1, 1] as pixels."""
    real = c.dtype.type
    one, half = broadcast(c, real(1)), broadcast(c, real(0.5))
    if align:
        return (value + one) * broadcast(c, real(0.5) * real(size - 1))
    return ((value + one) * broadcast(c, real(size)) - one) * half


@jit(bare=True)
def _coordinates(grid, at, count, height, width, align, cx, cy):
    """The pixels of `count` points from grid[at], x and y in turn."""
    step = lanes(grid)
    for p in range(0, count, step):
        e, left = at + 2 * p, 2 * (count - p)
        if left >= 2 * step:
            a, b = load(grid, e), load(grid, e + step)
        else:
            a, b = load_part(grid, e, left), load_part(grid, e + step, left - step)
        store(cx, p, _pixels(evens(a, b), cx, width, align))
        store(cy, p, _pixels(odds(a, b), cy, height, align))


@jit(inline=True, bare=True)
def _reachable(c, p, size):
    """The coordinates c[p], ..., with FAR for those from which nothing is seen; so all of them fit in an integer."""
    real = c.dtype.type
    value = load(c, p)
    near = (value > broadcast(c, real(-2))) & (value < broadcast(c, real(size + 1)))
    return pick(near, value, broadcast(c, real(FAR)))


@jit(inline=True, bare=True)
def _floor(value, c, place):
    """The greatest whole numbers below: conversion cuts off towards zero."""
    whole = convert(c.dtype.type, convert(place.dtype.type, value))
    return pick(whole > value, whole - broadcast(c, c.dtype.type(1)), whole)


@jit(bare=True)
def _nearest_places(cx, cy, count, height, width, place):
    """place[p] = where the pixel nearest to the point is, -1 outside. A number to which so much is added has no fraction."""
    real, number = cx.dtype.type, place.dtype.type
    much = broadcast(cx, real(1.5 * 2.0**23 if cx.itemsize == 4 else 1.5 * 2.0**52))
    for p in range(0, count, lanes(cx)):
        x = convert(number, _reachable(cx, p, width) + much - much)
        y = convert(number, _reachable(cy, p, height) + much - much)
        none, zero = broadcast(place, number(-1)), broadcast(place, number(0))
        inside = (x >= zero) & (y >= zero)
        inside = inside & (x < broadcast(place, number(width))) & (y < broadcast(place, number(height)))
        store(place, p, pick(inside, y * broadcast(place, number(width)) + x, none))


@jit(bare=True)
def _pairs(cx, cy, count, height, width, place, weight):
    """place[r * ROOM + p], r = 0, 1: where the pair of the upper and of the lower row begins; weight[(2 * r + k) * ROOM + p]: of
    its first and second element."""
    real, number = cx.dtype.type, place.dtype.type
    one, zero, outside = broadcast(cx, real(1)), broadcast(cx, real(0)), broadcast(cx, real(-1))
    right, bottom = broadcast(cx, real(width - 1)), broadcast(cx, real(height - 1))
    for p in range(0, count, lanes(cx)):
        x, y = _reachable(cx, p, width), _reachable(cy, p, height)
        low = _floor(x, cx, place)
        first, second = (low + one) - x, x - low
        begin = larger(smaller(low, right - one), zero)
        same = low == begin
        left = pick(same, first, pick(low == outside, second, outside))
        beside = pick(same, second, pick(low == right, first, outside))
        low = _floor(y, cy, place)
        first, second = (low + one) - y, y - low
        upper = pick((low >= zero) & (low <= bottom), first, outside)
        lower = pick((low >= outside) & (low < bottom), second, outside)
        row, column = broadcast(place, number(width)), convert(number, begin)
        store(place, p, convert(number, larger(smaller(low, bottom), zero)) * row + column)
        store(place, ROOM + p, convert(number, larger(smaller(low + one, bottom), zero)) * row + column)
        left_in, beside_in = left >= zero, beside >= zero
        store(weight, p, pick((upper >= zero) & left_in, upper * left, outside))
        store(weight, ROOM + p, pick((upper >= zero) & beside_in, upper * beside, outside))
        store(weight, 2 * ROOM + p, pick((lower >= zero) & left_in, lower * left, outside))
        store(weight, 3 * ROOM + p, pick((lower >= zero) & beside_in, lower * beside, outside))


@jit(bare=True)
def _read_pairs(x, place, count, values):
    """values[2 * p], values[2 * p + 1] = the pair at place[p]."""
    for p in range(count):
        at = np.uint64(place[p])
        first, second = x[at], x[at + np.uint64(1)]
        values[np.uint64(2 * p)], values[np.uint64(2 * p + 1)] = first, second


@jit(inline=True, bare=True)
def _added(total, value, weight, p):
    """total + weight * value, where the weight is of an element inside."""
    by = load(weight, p)
    zero = broadcast(weight, weight.dtype.type(0))
    return fma(pick(by >= zero, value, zero), by, total)


@jit(bare=True)
def _sum_pairs(upper, lower, weight, count, out, to):
    """out[to + p] = the weighted sum of the two pairs of each point."""
    width = lanes(upper)
    for p in range(0, count, width):
        a, b = load(upper, 2 * p), load(upper, 2 * p + width)
        total = _added(broadcast(upper, upper.dtype.type(0)), evens(a, b), weight, p)
        total = _added(total, odds(a, b), weight, ROOM + p)
        a, b = load(lower, 2 * p), load(lower, 2 * p + width)
        total = _added(total, evens(a, b), weight, 2 * ROOM + p)
        total = _added(total, odds(a, b), weight, 3 * ROOM + p)
        if count - p >= width:
            store(out, to + p, total)
        else:
            store_part(out, to + p, count - p, total)


@jit(bare=True)
def _read_nearest(x, place, count, out, to):
    """out[to + p] = x[place[p]], 0 outside."""
    for p in range(0, count, lanes(x)):
        value = load_at(x, 0, load(place, p), count - p)
        if count - p >= lanes(x):
            store(out, to + p, value)
        else:
            store_part(out, to + p, count - p, value)


@jit(parallel=True)
def sample_pairs(images, task, x, grid, out, index, channels, points, height, width, nearest, padding, align):
    """out (images, channels, points) of x (images, channels, height, width), at least two columns, and grid (images, points, 2),
    `task` points at a time, whichever images they belong to."""
    volume, total = height * width, images * points
    for i in prange((total + task - 1) // task):
        number = np.int64(i)
        cx, cy, weight = np.empty(ROOM, x.dtype), np.empty(ROOM, x.dtype), np.empty(4 * ROOM, x.dtype)
        place = np.empty(2 * ROOM, index.dtype)
        upper, lower = np.empty(2 * ROOM, x.dtype), np.empty(2 * ROOM, x.dtype)
        last = min((number + 1) * task, total)
        for start in range(number * task, last, BLOCK):
            block = min(BLOCK, last - start)
            _coordinates(grid, 2 * start, block, height, width, align, cx, cy)
            fold_back(piece(cx, 0, block), width, padding, align)
            fold_back(piece(cy, 0, block), height, padding, align)
            if nearest:
                _nearest_places(cx, cy, block, height, width, place)
            else:
                _pairs(cx, cy, block, height, width, place, weight)
            at = start
            while at < start + block:  # the points of one image
                image = at // points
                count, first = min(start + block, (image + 1) * points) - at, at - start
                above, by = piece(place, first, ROOM - first), piece(weight, first, 4 * ROOM - first)
                below, to = piece(place, ROOM + first, BLOCK), at - image * points
                for c in range(image * channels, (image + 1) * channels):
                    plane = piece(x, c * volume, volume)
                    if nearest:
                        _read_nearest(plane, above, count, out, c * points + to)
                    else:
                        _read_pairs(plane, above, count, upper)
                        _read_pairs(plane, below, count, lower)
                        _sum_pairs(upper, lower, by, count, out, c * points + to)
                at += count


# Size of an element -> the compiled serial form of sample_pairs.
_serial = {}


def serial_pairs(x, index):
    """The serial form of sample_pairs for arrays like x, and `index` for the places."""
    found = _serial.get(x.itemsize)
    if found is None:
        arguments = (0, 0, x, x, x, index, 0, 0, 0, 0, False, 0, False)
        found = entry_point(getattr(sample_pairs, "serial", sample_pairs), tuple([typeof(a) for a in arguments]))
        _serial[x.itemsize] = found
    return found
