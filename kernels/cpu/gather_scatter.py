"""gather and scatter: one index for every element.

The index is a block (outer, count, inner) around the axis `dim`; element (o, n, i) refers to the place

    outer[o] + index[o, n, i] * stride + inner[i]

of a strided buffer, where `outer` and `inner` hold the positions of the other axes.  These are taken over the
extent of the *index*, which may be smaller than the tensor's, so no operand is narrowed or made contiguous.
An empty `inner` stands for adjacent elements.  The caller has checked the index (`indexing.first_bad_index`):
0 <= index < size.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from .indexing import SUM, combine, first_bad_index
from .row_indexing import any_outside

#: Beside the reductions of `combine`: the last value stays.
SET = -1


@jit(nogil=True)
def gather_forward(source, outer, inner, index, stride, count, width, out):
    """out[o, n, i] = source[outer[o] + index[o, n, i] * stride + inner[i]]."""
    place = 0
    for o in range(outer.size):
        start = outer[o]
        if width == 1:
            for n in range(count):
                out[place + n] = source[start + index[place + n] * stride]
            place += count
        else:
            for _ in range(count):
                if inner.size:
                    for i in range(width):
                        out[place + i] = source[start + index[place + i] * stride + inner[i]]
                else:
                    for i in range(width):
                        out[place + i] = source[start + index[place + i] * stride + i]
                place += width


@jit(nogil=True)
def scatter_forward(target, outer, inner, index, stride, count, width, values):
    """target[outer[o] + index[o, n, i] * stride + inner[i]] = values[o, n, i]; the last write to a place
    stays.

    A `values` of one element is written everywhere."""
    place = 0
    step = 1 if values.size != 1 else 0
    for o in range(outer.size):
        for _ in range(count):
            for i in range(width):
                where = outer[o] + index[place] * stride + (inner[i] if inner.size else i)
                target[where] = values[place * step]
                place += 1


@jit(nogil=True)
def scatter_add_forward(target, outer, inner, index, stride, count, width, values):
    """target[outer[o] + index[o, n, i] * stride + inner[i]] += values[o, n, i], in order."""
    place = 0
    for o in range(outer.size):
        for _ in range(count):
            for i in range(width):
                where = outer[o] + index[place] * stride + (inner[i] if inner.size else i)
                target[where] += values[place]
                place += 1


@jit(nogil=True)
def scatter_reduce_forward(target, outer, inner, index, stride, count, width, values, mode):
    """target[...] = target[...] (+) values[o, n, i] for one of the reductions of `indexing.combine`."""
    place = 0
    step = 1 if values.size != 1 else 0
    for o in range(outer.size):
        for _ in range(count):
            for i in range(width):
                where = outer[o] + index[place] * stride + (inner[i] if inner.size else i)
                target[where] = combine(target[where], values[place * step], mode)
                place += 1


# --- contiguous blocks --------------------------------------------------------------------------------------
# The usual case: tensor (outer, size, inner) and index (outer, count, inner), all of them row-major. A task is a few
# rows `o`, and for an inner extent a range of columns besides; its part of the target stays in the second-level cache.

#: Elements that one task gathers or scatters: tens of microseconds of work.
TASK = 1 << 14
#: Columns of a task are whole cache lines of every dtype.
LINE = 64


@jit(inline=True)
def _columns(inner, outer, work):
    """How many columns a task takes: all of them where there are rows enough to share, or little work in all."""
    if outer > 1 or work <= TASK:
        return inner
    return min(max(inner // 16 // LINE * LINE, LINE), inner)


@jit(parallel=True)
def gather_block(source, index, size, start, outer, stride, step, across, count, inner, out):
    """out[o, n, i] = source[start + o * stride + index[o, n, i] * step + i * across].

    A contiguous source has step = inner, stride = size * inner and across = 1. Returns the position of the first index
    outside [0, size), or -1.
    """
    columns = _columns(inner, outer, index.size)
    strips = (inner + columns - 1) // max(columns, 1)
    rows = max(TASK // max(count * inner, 1), 1)
    tasks = ((outer + rows - 1) // rows) * strips
    faults = np.zeros(tasks, np.int8)
    for task in prange(tasks):
        i0 = (task % strips) * columns
        width = min(columns, inner - i0)
        o0 = (task // strips) * rows
        o1 = min(o0 + rows, outer)
        if width == inner:
            bad = any_outside(index, o0 * count * inner, o1 * count * inner, size, 0)
        else:
            bad = False
            for n in range(o0 * count, o1 * count):
                bad |= any_outside(index, n * inner + i0, n * inner + i0 + width, size, 0)
        if bad:
            faults[task] = 1
            continue
        if inner == 1 and count == 1:  # one element of each row: what a loss picks
            for o in range(o0, o1):
                out[np.uint64(o)] = source[np.uint64(start + o * stride + index[np.uint64(o)] * step)]
        elif inner == 1:
            for o in range(o0, o1):
                row, to = piece(index, o * count, count), piece(out, o * count, count)
                first = start + o * stride
                for n in range(count):
                    to[n] = source[np.uint64(first + row[n] * step)]
        else:
            for o in range(o0, o1):
                for n in range(count):
                    first = (o * count + n) * inner + i0
                    row, to = piece(index, first, width), piece(out, first, width)
                    origin = start + o * stride + i0 * across
                    for i in range(width):
                        to[i] = source[np.uint64(origin + row[i] * step + i * across)]
    for task in range(tasks):
        if faults[task]:
            return first_bad_index(index, size, 0)
    return -1


@jit
def _scatter_part(target, index, values, step, mode, place, start, inner, width):
    """One line of a block: `width` elements from `place` on into the columns that begin at `start`."""
    row = piece(index, place, width)
    if inner == 1:
        # A whole row of the target: the line runs along the dimension that is indexed.
        if mode == SET:
            for i in range(width):
                target[np.uint64(start + row[i])] = values[np.uint64((place + i) * step)]
        elif mode == SUM:
            for i in range(width):
                target[np.uint64(start + row[i])] += values[np.uint64((place + i) * step)]
        else:
            for i in range(width):
                where = np.uint64(start + row[i])
                target[where] = combine(target[where], values[np.uint64((place + i) * step)], mode)
    elif mode == SET:
        for i in range(width):
            target[np.uint64(start + row[i] * inner + i)] = values[np.uint64((place + i) * step)]
    elif mode == SUM:
        for i in range(width):
            target[np.uint64(start + row[i] * inner + i)] += values[np.uint64((place + i) * step)]
    else:
        for i in range(width):
            where = np.uint64(start + row[i] * inner + i)
            target[where] = combine(target[where], values[np.uint64((place + i) * step)], mode)


@jit(parallel=True)
def scatter_block(before, index, values, size, outer, count, inner, mode, fresh, target):
    """target[o, index[o, n, i], i] = or (+)= values[o, n, i] in the order of n, for a mode of `combine` or SET.

    `before` is copied to the target first, one element to all of its places; with an empty one the target holds what it
    has to. A `values` of one element serves everywhere. Returns the position of the first index outside [0, size), or
    -1; where there is one, nothing is written, unless the target is `fresh`, which is then not to be used.
    """
    copies = before.size > 0
    fills = before.size == 1
    if not fresh:
        parts = (index.size + TASK - 1) // TASK
        outside = np.zeros(parts, np.int8)
        for part in prange(parts):
            outside[part] = any_outside(index, part * TASK, min((part + 1) * TASK, index.size), size, 0)
        for part in range(parts):
            if outside[part]:
                return first_bad_index(index, size, 0)
    step = 1 if values.size != 1 else 0
    columns = _columns(inner, outer, index.size)
    across = (inner + columns - 1) // max(columns, 1)
    rows = max(TASK // max(max(count, size) * inner, 1), 1)
    tasks = ((outer + rows - 1) // rows) * across
    faults = np.zeros(tasks, np.int8)
    for task in prange(tasks):
        i0 = (task % across) * columns
        width = min(columns, inner - i0)
        o0 = (task // across) * rows
        for o in range(o0, min(o0 + rows, outer)):
            block = o * size * inner
            if fills:
                for s in range(1 if width == inner else size):
                    first = block + s * inner + i0
                    target[first : first + (size * inner if width == inner else width)] = before[0]
            elif copies:
                if width == inner:
                    to, held = piece(target, block, size * inner), piece(before, block, size * inner)
                    for e in range(size * inner):
                        to[e] = held[e]
                else:
                    for s in range(size):
                        first = block + s * inner + i0
                        to, held = piece(target, first, width), piece(before, first, width)
                        for e in range(width):
                            to[e] = held[e]
            # The index of a row is read twice, the second time from the first-level cache.
            if inner == 1:
                if fresh and any_outside(index, o * count, (o + 1) * count, size, 0):
                    faults[task] = 1
                else:
                    _scatter_part(target, index, values, step, mode, o * count, block, 1, count)
            else:
                for n in range(count):
                    place = (o * count + n) * inner + i0
                    if fresh and any_outside(index, place, place + width, size, 0):
                        faults[task] = 1
                    else:
                        _scatter_part(target, index, values, step, mode, place, block + i0, inner, width)
    for task in range(tasks):
        if faults[task]:
            return first_bad_index(index, size, 0)
    return -1
