"""Pooling in two steps, for windows of any kind: first the rows of a line of windows are taken together, column by column
and a vector of columns at a time, then the columns of each window.

The first step costs one vector instruction or two for a vector of the input, however windows lie, and is the larger part
of a large window's work; the second is left with one row. Taken one by one, every element of every window costs a compare,
and a jump that nobody can predict or a chain of selections: 4 ns, where both steps together take 0.5.

Of equal maxima the first in the window's order (row by row) wins, and of nans the last. A column's winner is that of its
rows by their order; between columns the places decide.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..simd import (
    add_up,
    broadcast,
    lanes,
    load,
    load_every,
    load_part,
    pick,
    store,
    store_part,
)
from .pooling_lines import place_of_greatest, places, takes

# Columns of a window up to which a vector of windows is taken together, if there are twice as many of them: a gather
# costs 24 cycles, and a window alone 40.
MOST_TURNS = 12
# Columns of a window from which they are added up by vectors.
WIDE_SUM = 4


@jit(bare=True)
def max_of_rows(x, plane, z0, z1, step_d, h0, h1, step_h, sh, sw, ramp, best, where):
    """best[w], where[w] for w < sw: the maximum over the rows z in range(z0, z1, step_d), y in range(h0, h1, step_h) of
    x[plane + (z * sh + y) * sw + w], and its place in the plane. ramp: 0, 1, 2, ... as integers of the width of x's
    elements. Whole vectors are written."""
    width = lanes(x)
    for w in range(0, sw, width):
        place = (z0 * sh + h0) * sw + w
        top, at = load_part(x, plane + place, sw - w), broadcast(ramp, ramp.dtype.type(place))
        z = z0
        while z < z1:  # a range with a step divides
            y = h0
            while y < h1:
                place = (z * sh + y) * sw + w
                value = load_part(x, plane + place, sw - w)
                wins = (value > top) | (value != value)
                top = pick(wins, value, top)
                at = pick(wins, broadcast(ramp, ramp.dtype.type(place)), at)
                y += step_h
            z += step_d
        store(best, w, top)
        store(where, w, at + load(ramp, 0))


@jit(bare=True)
def _max_apart(best, where, first, last, step, at, out, index):
    """out, index[at]: the winner among the columns first, first + step, ... below last, by numbers."""
    found = first
    for w in range(first + step, last, step):
        value, top = best[w], best[found]
        if value == top:
            takes = where[w] < where[found]
        else:
            takes = value > top or (value != value and (top == top or where[w] > where[found]))
        if takes:
            found = w
    out[at] = best[found]
    if index.size > 0:
        index[at] = where[found]


@jit(bare=True)
def _max_together(best, where, first, last, ramp, at, out, index):
    """out, index[at]: the winner among the columns first .. last - 1, a vector of them at a time."""
    width = lanes(best)
    top, place = load(best, first), load(where, first)
    for w in range(first + width, last, width):
        w = min(w, last - width)  # the last vector holds some columns again
        value, here = load(best, w), load(where, w)
        wins = takes(value, here, top, place)
        top, place = pick(wins, value, top), pick(wins, here, place)
    inside = load(ramp, 0) < broadcast(ramp, ramp.dtype.type(last - first))
    top = pick(inside, top, broadcast(best, best.dtype.type(-np.inf)))
    place_of_greatest(top, pick(inside, place, broadcast(ramp, ramp.dtype.type(2**31 - 1))), ramp, at, out, index)


@jit(bare=True)
def max_of_columns(best, where, step, table, ws, dw, ramp, at, out, index):
    """out, index[at + i] = the maximum over the columns table[ws + i], + step, ... below table[ws + dw + i], and its place,
    of what max_of_rows wrote. A vector behind the last column may be read.

    Windows of the same form (pooling.lines) are taken a vector of windows at a time, others one by one."""
    width, tail = lanes(best), ws + 3 * dw
    kernel, stride, front, low, high = table[tail], table[tail + 2], table[tail + 3], table[tail + 4], table[tail + 5]
    if kernel > MOST_TURNS or high - low < 2 * kernel:
        low = high = 0
    for i in range(low, high, width):
        count, w = min(width, high - i), i * stride - front
        top, place = load_every(best, w, stride, count), load_every(where, w, stride, count)
        for k in range(1, kernel):
            value = load_every(best, w + k * step, stride, count)
            here = load_every(where, w + k * step, stride, count)
            wins = takes(value, here, top, place)
            top, place = pick(wins, value, top), pick(wins, here, place)
        store_part(out, at + i, count, top)
        if index.size > 0:
            store_part(index, at + i, count, places(place))
    for i in range(dw):
        if i < low or i >= high:
            first, last = table[ws + i], table[ws + dw + i]
            if step > 1 or last - first < 2:
                _max_apart(best, where, first, last, step, at + i, out, index)
            else:
                _max_together(best, where, first, last, ramp, at + i, out, index)


@jit(bare=True)
def sum_of_rows(x, plane, z0, z1, h0, h1, sh, sw, line):
    """line[w] = sum over the rows z in range(z0, z1), y in range(h0, h1) of x[plane + (z * sh + y) * sw + w] for w < sw.
    Whole vectors are written."""
    width = lanes(x)
    for w in range(0, sw, width):
        total = broadcast(x, x.dtype.type(0))
        for z in range(z0, z1):
            for y in range(h0, h1):
                total = total + load_part(x, plane + (z * sh + y) * sw + w, sw - w)
        store(line, w, total)


@jit(bare=True)
def average_of_columns(line, table, ws, dw, outer, divisor, at, out):
    """out[at + i] = the sum of line over the columns table[ws + i] .. table[ws + dw + i] - 1, divided by `divisor`, or by
    outer * table[ws + 2 * dw + i] if that is 0. A window that lies in the padding alone is 0, not 0 / 0."""
    width = lanes(line)
    for i in range(dw):
        first, last = table[ws + i], table[ws + dw + i]
        total = line.dtype.type(0)
        if last - first >= WIDE_SUM:
            some = load_part(line, first, last - first)
            for w in range(first + width, last, width):
                some = some + load_part(line, w, last - w)
            total = add_up(some)
        else:
            for w in range(first, last):
                total += line[w]
        count = divisor if divisor != 0 else outer * table[ws + 2 * dw + i]
        out[at + i] = total / line.dtype.type(count) if count != 0 else line.dtype.type(0)


@jit(bare=True)
def share_of_columns(grad, at, table, ws, dw, outer, divisor, sw, line):
    """line[w] = sum over the outputs i whose columns hold w of grad[at + i] / count, for w < sw; the gradient of
    average_of_columns. Whole vectors are written."""
    zero = grad.dtype.type(0)
    for w in range(0, sw, lanes(line)):
        store(line, w, broadcast(line, zero))
    for i in range(dw):
        count = divisor if divisor != 0 else outer * table[ws + 2 * dw + i]
        if count != 0:
            share = grad[at + i] / grad.dtype.type(count)
            for w in range(table[ws + i], table[ws + dw + i]):
                line[np.uint64(w)] += share  # LLVM makes vectors of it where no place can be negative
