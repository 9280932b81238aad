"""Pooling of float windows that stand 1 or 2 elements apart, a vector of outputs at a time.

A vector of consecutive outputs of a line of windows reads, for every element of the window (a tap), one vector of the
input: consecutive elements where windows stand 1 apart, every second of two vectors where they stand 2 apart. The
running sums, or the greatest so far and their places, stay in registers over all taps. Outputs whose windows reach
into the padding are the caller's: here every window from `low` to below `high` lies inside of its lines.

Scalar loops pay a compare and a jump that nobody can predict for each element of each window: 25 ns an output of
3 x 3, where these take 3.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..simd import (
    broadcast,
    convert,
    evens,
    in_turn_high,
    in_turn_low,
    lanes,
    load,
    load_part,
    pick,
    store,
    store_part,
)


@jit(inline=True, bare=True)
def strided(x, at, stride, count):
    """x[at], x[at + stride], ...: `count` elements, stride 1 or 2; nothing behind the last of them is read."""
    if stride == 1:
        return load_part(x, at, count)
    width = lanes(x)
    return evens(load_part(x, at, 2 * count - 1), load_part(x, at + width, 2 * count - 1 - width))


@jit(inline=True, bare=True)
def max_line(
    x, plane, z0, z1, step_d, h0, h1, step_h, sh, sw, kernel, step, stride, front, low, high, ramp, at, out, index
):
    """out, index[at + i] = the maximum of window i of one line, and its place in the plane, for low <= i < high.

    The window's elements are x[plane + (z * sh + y) * sw + i * stride + k * step - front] for z in range(z0, z1,
    step_d), y in range(h0, h1, step_h), k in range(kernel). ramp: 0, stride, 2 * stride, ... as integers of the width
    of x's elements. The first of equals wins; the last nan does.
    """
    width = lanes(x)
    for i in range(low, high, width):
        count = min(width, high - i)
        where = broadcast(ramp, ramp.dtype.type((z0 * sh + h0) * sw + i * stride - front))
        best = strided(x, plane + (z0 * sh + h0) * sw + i * stride - front, stride, count)
        for z in range(z0, z1, step_d):
            for y in range(h0, h1, step_h):
                place = (z * sh + y) * sw + i * stride - front
                for k in range(kernel):
                    value = strided(x, plane + place + k * step, stride, count)
                    takes = (value > best) | (value != value)
                    best = pick(takes, value, best)
                    where = pick(takes, broadcast(ramp, ramp.dtype.type(place + k * step)), where)
        store_part(out, at + i, count, best)
        store_part(index, at + i, count, places(where + load(ramp, 0)))


@jit(inline=True, bare=True)
def places(vector):
    return convert(np.int64, vector)


@jit(inline=True, bare=True)
def average_line(x, plane, z0, z1, h0, h1, sh, sw, kernel, stride, front, low, high, count_of, at, out):
    """out[at + i] = the sum of window i / count_of for low <= i < high; windows as in max_line, without steps."""
    width = lanes(x)
    divisor = broadcast(x, x.dtype.type(count_of))
    for i in range(low, high, width):
        count = min(width, high - i)
        total = broadcast(x, x.dtype.type(0))
        for z in range(z0, z1):
            for y in range(h0, h1):
                place = plane + (z * sh + y) * sw + i * stride - front
                for k in range(kernel):
                    total = total + strided(x, place + k, stride, count)
        store_part(out, at + i, count, total / divisor)


@jit(bare=True)
def spread_line(share, room, sw, kernel, stride, front, line):
    """line[w] = sum over the outputs i whose window holds w of share[room + i]; share is 0 for `room` elements before
    the first output and for room and a vector after the last.

    Window i holds w if w + front = i * stride + k for a k < kernel. Two apart, even and odd w + front take turns.
    """
    width = lanes(share)
    if stride == 1:
        for w in range(0, sw, width):
            total = broadcast(share, share.dtype.type(0))
            for k in range(kernel):
                total = total + load(share, room + w + front - k)
            store_part(line, w, sw - w, total)
        return
    for w in range(0, sw, 2 * width):
        even, odd = broadcast(share, share.dtype.type(0)), broadcast(share, share.dtype.type(0))
        for k in range(front % 2, kernel, 2):
            even = even + load(share, room + (w + front - k) // 2)
        for k in range(1 - front % 2, kernel, 2):
            odd = odd + load(share, room + (w + 1 + front - k) // 2)
        store_part(line, w, sw - w, in_turn_low(even, odd))
        store_part(line, w + width, sw - w - width, in_turn_high(even, odd))


@jit(bare=True)
def add_line(line, out, at, count):
    """out[at + w] += line[w] for w < count."""
    width = lanes(line)
    whole = count - count % width
    for w in range(0, whole, width):
        store(out, at + w, load(out, at + w) + load(line, w))
    if whole < count:
        rest = count - whole
        store_part(out, at + whole, rest, load_part(out, at + whole, rest) + load(line, whole))
