"""x[i, :, j], x[i, :, j] = v and x[1:3] = v in one call each, for few elements: a call costs more than its loops do.

What is indexed is a block (outer, points, inner) of a strided buffer, as in `indexing`, and the element (o, p, w) lies at

    start + o * outer step + base[p] + w * inner step,      base[p] = i[p] * its stride + j[p] * its stride

Everything that follows from the shapes stands in one array of integers, `plan`, because an array is what an argument of
a call costs least as (30 ns, like an integer, and there are some twenty of these). Its entries have names below.

The points are counted along two levels, p = (high, low), and each of the two index arrays has a step for each of them:
that is a pair of vectors (0, 1), a column and a row (1, 0) and (0, 1), one number beside a vector (0, 0). With one index
array both are the same one, and the second has stride 0. Of three and more, `joint_places` joins two at a time.

All indices are checked, and what they mean is written down, before anything is read or written.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..pieces import piece
from .row_indexing import any_outside

# Where in a plan stand: elements of the outer part and of the inner one, and their steps;
OUTER, OUTER_STEP, WIDTH, ACROSS = 0, 1, 2, 3
# where its lists of positions begin that serve instead of steps where one step will not do (0: none);
OUTER_PLACES, INNER_PLACES = 4, 5
# points of both levels (low: -1 where the first index array tells, whose length depends on a mask);
HIGH, LOW = 6, 7
# for each of the two index arrays the size of its dimension, the least index, its stride and its steps along the levels;
FIRST, SECOND = 8, 13
SIZE, LEAST, STRIDE, HIGH_STEP, LOW_STEP = 0, 1, 2, 3, 4
# the steps of the values that are written, along the outer part, the points and the inner part; whether they are added.
VALUE_OUTER, VALUE_POINTS, VALUE_ACROSS, ADDS = 18, 19, 20, 21
LENGTH = 22


@jit
def _base(plan, i, j, base):
    """Writes base[p]; whether an index is out of its bounds, and then it is left as it was."""
    n, m = plan[FIRST + SIZE], plan[SECOND + SIZE]
    if any_outside(i, 0, i.size, n, plan[FIRST + LEAST]) or any_outside(j, 0, j.size, m, plan[SECOND + LEAST]):
        return True
    low = plan[LOW] if plan[LOW] >= 0 else i.size
    i_stride, i_step = plan[FIRST + STRIDE], plan[FIRST + LOW_STEP]
    j_stride, j_step = plan[SECOND + STRIDE], plan[SECOND + LOW_STEP]
    for high in range(plan[HIGH]):
        i_at, j_at = high * plan[FIRST + HIGH_STEP], high * plan[SECOND + HIGH_STEP]
        to = piece(base, high * low, low)
        if i_step == 1 and j_step == 1:  # two vectors, or one twice
            x, y = piece(i, i_at, low), piece(j, j_at, low)
            for p in range(low):
                to[p] = (x[p] + (n & (x[p] >> 63))) * i_stride + (y[p] + (m & (y[p] >> 63))) * j_stride
            continue
        if i_step == 0 and j_step == 1 and low > 0:  # a column and a row
            a, y = i[np.uint64(i_at)], piece(j, j_at, low)
            row = (a + (n & (a >> 63))) * i_stride
            for p in range(low):
                to[p] = row + (y[p] + (m & (y[p] >> 63))) * j_stride
            continue
        for p in range(low):
            a, b = i[np.uint64(i_at)], j[np.uint64(j_at)]
            to[p] = (a + (n & (a >> 63))) * i_stride + (b + (m & (b >> 63))) * j_stride
            i_at += i_step
            j_at += j_step
    return False


@jit
def joint_places(plan, i, j, out):
    """out[p] = i[p] * its stride + j[p] * its stride; whether an index is out of its bounds."""
    return _base(plan, i, j, out)


@jit
def _read(source, start, plan, points, base, out):
    """out[o, p, w] = source[start + ...]."""
    width, across, inner = plan[WIDTH], plan[ACROSS], plan[INNER_PLACES]
    place = 0
    for o in range(plan[OUTER]):
        first = start + (plan[plan[OUTER_PLACES] + o] if plan[OUTER_PLACES] else o * plan[OUTER_STEP])
        if width == 1:
            to = piece(out, place, points)
            for p in range(points):
                to[p] = source[np.uint64(first + base[p])]
            place += points
            continue
        for p in range(points):
            at, to = first + base[p], piece(out, place, width)
            if inner:
                for w in range(width):
                    to[w] = source[np.uint64(at + plan[np.uint64(inner + w)])]
            elif across == 1:
                row = piece(source, at, width)
                for w in range(width):
                    to[w] = row[w]
            else:
                for w in range(width):
                    to[w] = source[np.uint64(at + w * across)]
            place += width


@jit
def places_read(source, start, plan, i, j, out):
    """out[o, p, w] = source[start + ...], see above; whether an index is out of its bounds."""
    points = plan[HIGH] * (plan[LOW] if plan[LOW] >= 0 else i.size)
    base = np.empty(points, np.int64)
    if _base(plan, i, j, base):
        return True
    _read(source, start, plan, points, base, out)
    return False


@jit
def true_places(mask, places, out):
    """out[k] = the position of the k-th true element, or what `places` says of it; returns how many there are."""
    found = 0
    chosen = mask.view(np.uint8)
    for i in range(mask.size):
        out[np.uint64(found)] = places[np.uint64(i)] if places.size else i
        found += np.int64(chosen[np.uint64(i)])
    return found


@jit
def _masked_base(plan, mask, places, base):
    """Writes base[p] for the true elements, and returns how many there are."""
    points = true_places(mask, places, base)
    for p in range(points):
        base[p] *= plan[FIRST + STRIDE]
    return points


@jit
def masked_read(source, start, plan, mask, places, out):
    """The beginning of out = what `places_read` gives for the places where the mask is true; returns how many these are."""
    base = np.empty(mask.size, np.int64)
    points = _masked_base(plan, mask, places, base)
    _read(source, start, plan, points, base, out)
    return points


@jit
def _write(target, start, plan, points, base, values):
    """target[start + ...] = or += values[o, p, w], in this order."""
    width, across, inner, adds = plan[WIDTH], plan[ACROSS], plan[INNER_PLACES], plan[ADDS]
    v_outer, v_points, v_across = plan[VALUE_OUTER], plan[VALUE_POINTS], plan[VALUE_ACROSS]
    if values.size == plan[OUTER] * points * width:
        v_outer, v_points, v_across = points * width, width, 1
    for o in range(plan[OUTER]):
        first = start + (plan[plan[OUTER_PLACES] + o] if plan[OUTER_PLACES] else o * plan[OUTER_STEP])
        if width == 1 and not adds:
            for p in range(points):
                target[np.uint64(first + base[p])] = values[np.uint64(o * v_outer + p * v_points)]
            continue
        for p in range(points):
            at, given = first + base[p], o * v_outer + p * v_points
            if across == 1 and not adds and not inner and v_across <= 1:
                to = piece(target, at, width)
                if v_across == 1:
                    row = piece(values, given, width)
                    for w in range(width):
                        to[w] = row[w]
                else:
                    value = values[np.uint64(given)]
                    for w in range(width):
                        to[w] = value
                continue
            for w in range(width):
                place = np.uint64(at + (plan[np.uint64(inner + w)] if inner else w * across))
                value = values[np.uint64(given + w * v_across)]
                target[place] = target[place] + value if adds else value


@jit
def places_write(target, start, plan, i, j, values):
    """target[start + ...] = or += values[o, p, w], in this order; whether an index is out of its bounds: nothing is written.

    A value for each element, or one for all, or what the steps in the plan say.
    """
    points = plan[HIGH] * (plan[LOW] if plan[LOW] >= 0 else i.size)
    base = np.empty(points, np.int64)
    if _base(plan, i, j, base):
        return True
    _write(target, start, plan, points, base, values)
    return False


@jit
def masked_write(target, start, plan, mask, places, values):
    """target[...] = values where the mask is true: one for all, or as many as there are places, or else nothing is written.

    Whether something was amiss."""
    base = np.empty(mask.size, np.int64)
    points = _masked_base(plan, mask, places, base)
    if values.size != 1 and values.size != plan[OUTER] * points * plan[WIDTH]:
        return True
    _write(target, start, plan, points, base, values)
    return False


# --- x[1:3, ::2] = v ------------------------------------------------------------------------------------------


@jit
def block_fill(target, start, n, step, m, low_step, width, across, value):
    """target[start + a * step + b * low_step + w * across] = value."""
    for a in range(n):
        for b in range(m):
            at = start + a * step + b * low_step
            if across == 1:
                to = piece(target, at, width)
                for w in range(width):
                    to[w] = value
            else:
                for w in range(width):
                    target[np.uint64(at + w * across)] = value


@jit
def block_copy(target, start, n, step, m, low_step, width, across, values, v_start, v_step, v_low_step, v_across):
    """target[start + a * step + b * low_step + w * across] = values[v_start + a * v_step + b * v_low_step + w * v_across]."""
    for a in range(n):
        for b in range(m):
            at, given = start + a * step + b * low_step, v_start + a * v_step + b * v_low_step
            if across == 1 and v_across == 1:
                to, row = piece(target, at, width), piece(values, given, width)
                for w in range(width):
                    to[w] = row[w]
            else:
                for w in range(width):
                    target[np.uint64(at + w * across)] = values[np.uint64(given + w * v_across)]
