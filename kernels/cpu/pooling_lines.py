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
    largest,
    load,
    load_part,
    odds,
    pick,
    smallest,
    store,
    store_part,
)


@jit(inline=True, bare=True)
def strided(x, at, stride, count):
    """x[at], x[at + stride], ...: `count` elements, stride 1 or 2; nothing behind the array is read. Whole vectors are read
    wherever it does not end (2x2 on 28x28, 14 windows a line, 37 to 30 ns a line with their places)."""
    width = lanes(x)
    if stride == 1:
        return load(x, at) if at + width <= x.size else load_part(x, at, count)
    if at + 2 * width <= x.size:
        return evens(load(x, at), load(x, at + width))
    return evens(load_part(x, at, 2 * count - 1), load_part(x, at + width, 2 * count - 1 - width))


@jit(inline=True, bare=True)
def _put(out, at, count, end, value):
    """store_part, without a mask where the vector ends before out[end]: behind its `count` elements are those of windows that
    are still to come."""
    if at + lanes(out) <= end:
        store(out, at, value)
    else:
        store_part(out, at, count, value)


@jit(inline=True, bare=True)
def _max(best, value):
    """The greater of each lane, the first of equals, the last of nans."""
    return pick((value > best) | (value != value), value, best)


@jit(inline=True, bare=True)
def max_line_alone(
    x, plane, z0, z1, step_d, h0, h1, step_h, sh, sw, kernel, step, stride, front, low, high, at, end, out
):
    """max_line without the places. Of windows two apart, two taps come from the same two vectors. Called for each line
    instead of being part of its loop, it took a quarter longer."""
    width = lanes(x)
    for i in range(low, high, width):
        count = min(width, high - i)
        best = strided(x, plane + (z0 * sh + h0) * sw + i * stride - front, stride, count)
        z = z0
        while z < z1:
            y = h0
            while y < h1:
                place, k = plane + (z * sh + y) * sw + i * stride - front, 0
                if stride == 2 and step == 1:
                    while k + 1 < kernel and place + k + 2 * width <= x.size:
                        one, two = load(x, place + k), load(x, place + k + width)
                        best = _max(_max(best, evens(one, two)), odds(one, two))
                        k += 2
                while k < kernel:
                    best = _max(best, strided(x, place + k * step, stride, count))
                    k += 1
                y += step_h
            z += step_d
        _put(out, at + i, count, end, best)


@jit(inline=True, bare=True)
def max_line(
    x, plane, z0, z1, step_d, h0, h1, step_h, sh, sw, kernel, step, stride, front, low, high, ramp, at, end, out, index
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
        z = z0
        while z < z1:  # a range with a step divides
            y = h0
            while y < h1:
                place = (z * sh + y) * sw + i * stride - front
                for k in range(kernel):
                    value = strided(x, plane + place + k * step, stride, count)
                    wins = (value > best) | (value != value)
                    best = pick(wins, value, best)
                    where = pick(wins, broadcast(ramp, ramp.dtype.type(place + k * step)), where)
                y += step_h
            z += step_d
        _put(out, at + i, count, end, best)
        store_part(index, at + i, count, places(where + load(ramp, 0)))


@jit(inline=True, bare=True)
def places(vector):
    return convert(np.int64, vector)


@jit(inline=True, bare=True)
def takes(value, here, top, place):
    """Where `value`, whose places are `here`, wins against the greatest so far, whichever was looked at first."""
    before = (value == top) & (here < place)
    return (value > top) | before | ((value != value) & ((top == top) | (here > place)))


@jit(inline=True, bare=True)
def _next(x, at, place, ramp, best, where):
    """The greatest so far and where each lane's vector was, after one more vector."""
    value = load(x, at)
    wins = (value > best) | (value != value)
    return pick(wins, value, best), pick(wins, broadcast(ramp, ramp.dtype.type(place)), where)


@jit(inline=True, bare=True)
def _greater(best, where, other, place):
    """The greater of two vectors, and its places; the first of equals."""
    wins = takes(other, place, best, where)
    return pick(wins, other, best), pick(wins, place, where)


@jit(bare=True)
def max_run(x, plane, start, count, ramp, at, out, index):
    """out, index[at] = the maximum of x[plane + start + i], i < count, and its place in the plane. There are four vectors at
    least, which are looked at side by side: none waits for the comparison before it. ramp: 0, 1, 2, ..."""
    width = lanes(x)
    x0, step = plane + start, 4 * width
    b0, w0 = load(x, x0), broadcast(ramp, ramp.dtype.type(start))
    b1, w1 = load(x, x0 + width), broadcast(ramp, ramp.dtype.type(start + width))
    b2, w2 = load(x, x0 + 2 * width), broadcast(ramp, ramp.dtype.type(start + 2 * width))
    b3, w3 = load(x, x0 + 3 * width), broadcast(ramp, ramp.dtype.type(start + 3 * width))
    for i in range(step, count, step):
        i = min(i, count - step)  # the last four hold some elements again
        b0, w0 = _next(x, x0 + i, start + i, ramp, b0, w0)
        b1, w1 = _next(x, x0 + i + width, start + i + width, ramp, b1, w1)
        b2, w2 = _next(x, x0 + i + 2 * width, start + i + 2 * width, ramp, b2, w2)
        b3, w3 = _next(x, x0 + i + 3 * width, start + i + 3 * width, ramp, b3, w3)
    numbers = load(ramp, 0)
    b0, w0 = _greater(b0, w0 + numbers, b1, w1 + numbers)
    b2, w2 = _greater(b2, w2 + numbers, b3, w3 + numbers)
    b0, w0 = _greater(b0, w0, b2, w2)
    place_of_greatest(b0, w0, ramp, at, out, index)


@jit(inline=True, bare=True)
def place_of_greatest(best, where, ramp, at, out, index):
    """out, index[at] = the greatest lane, and the place of the first of equals, the last of nans."""
    greatest = largest(best)
    out[at] = greatest
    if index.size > 0:
        if greatest == greatest:
            equal = best == broadcast(out, greatest)
            index[at] = smallest(pick(equal, where, broadcast(ramp, ramp.dtype.type(2**31 - 1))))
        else:
            index[at] = largest(pick(best != best, where, broadcast(ramp, ramp.dtype.type(-1))))


@jit(inline=True, bare=True)
def average_line(x, plane, z0, z1, h0, h1, sh, sw, kernel, stride, front, low, high, count_of, at, end, out):
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
        _put(out, at + i, count, end, total / divisor)


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
