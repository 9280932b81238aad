"""Rows of a contiguous block by an index: index_select, x[i], embedding, take; index_add, index_copy and their kin.

The tensor is (outer, size, width), flat; the index (points) counts along `size`, negative numbers from its end where
`low` is -size and not at all where it is 0; what is read or written is (outer, points, width). Reading
follows other strides as well, where each of the three parts has one; written tensors with strides of their own, and all
others, take the general way of `indexing`.

Reading: each task checks the part of the index that it is going to follow, and follows it only if all of it is good.
Writing: the whole index is checked first. The target is cut into ranges of rows, and each task applies, in order,
what falls into its own: no two tasks write to one place, and each place sees its values in the order of the
index, whatever the number of threads. A range stays in the second-level cache while it is copied and then added to.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from .indexing import first_bad_index
from .runs import add_run, copy_run

#: Elements that one task reads: some microseconds of work, and enough tasks for the threads to share.
TASK = 1 << 14
#: Bytes of the target that one task writes to: a quarter of a common second-level cache.
RANGE_BYTES = 1 << 18
#: The index is sorted by ranges first, in order; few enough that their ends stay in registers and first-level cache.
MOST_RANGES = 64
#: Indexed columns that are written one after the other in all rows of a task: 50,000 rows of one column 200 to 60 us.
FEW_POINTS = 8
#: Rows below two cache lines are not worth that.
LINE_BYTES = 64

SET, ADD = 0, 1


@jit(inline=True)
def any_outside(index, first, last, size, low):
    """Whether some index[first:last] lies outside [low, size): the sign bit of (i - low) | (size - 1 - i)."""
    part = piece(index, first, last - first)
    top = np.int64(size - 1)
    signs = np.int64(0)
    for p in range(part.size):
        signs |= (part[p] - low) | (top - part[p])
    return signs < 0


@jit(parallel=True)
def rows_forward(source, index, size, low, start, outer, stride, step, width, across, out):
    """out[o, p, w] = source[start + o * stride + index[p] * step + w * across]; the first bad index's position, or -1.

    A contiguous source has step = width, stride = size * width and across = 1.
    """
    points = index.size
    block = max(min(TASK // max(width, 1), points), 1)
    rows = max(min(TASK // max(width * block, 1), outer), 1)
    blocks = (points + block - 1) // block
    tasks = blocks * ((outer + rows - 1) // rows)
    faults = np.zeros(tasks, np.int8)
    for task in prange(tasks):
        p0 = (task % blocks) * block
        p1 = min(p0 + block, points)
        o0 = (task // blocks) * rows
        if any_outside(index, p0, p1, size, low):
            faults[task] = 1
        else:
            part = index[p0:p1]
            for o in range(o0, min(o0 + rows, outer)):
                first = start + o * stride
                place = (o * points + p0) * width
                if across == 1 and width > 1:
                    for p in range(part.size):
                        i = part[p]
                        i += size & (i >> 63)
                        copy_run(out, place + p * width, source, first + i * step, width)
                else:
                    # Along the index within each of the parts: where they lie further apart than what the index counts,
                    # a line that is read serves several indices.
                    for w in range(width):
                        to = piece(out, place + w, part.size * width)
                        origin = first + w * across
                        for p in range(part.size):
                            i = part[p]
                            i += size & (i >> 63)
                            to[np.uint64(p * width)] = source[np.uint64(origin + i * step)]
    for task in range(tasks):
        if faults[task]:
            return first_bad_index(index, size, low)
    return -1


@jit
def _order_by_range(index, size, skip, shift, ranges):
    """(order, ends): the places in the index of what falls into range r = i >> shift, in order, up to ends[r]."""
    ends = np.zeros(ranges + 1, np.int64)
    order = np.empty(index.size, np.int64)
    for p in range(index.size):
        i = index[p]
        i += size & (i >> 63)
        if i != skip:
            ends[(i >> shift) + 1] += 1
    for r in range(ranges):
        ends[r + 1] += ends[r]
    for p in range(index.size):
        i = index[p]
        i += size & (i >> 63)
        if i != skip:
            order[ends[i >> shift]] = p
            ends[i >> shift] += 1
    return order, ends


@jit(parallel=True)
def rows_update(before, zeros, index, values, size, low, skip, outer, width, mode, target):
    """target[o, index[p], :] = or += values[o, p, :], in the order of p.

    The target is first a copy of `before`, or zero with `zeros`; with neither it is written in place. A row `skip`
    is left alone (-1: none). `values` may be one row (width) that serves everywhere. Returns the position of the first
    bad index, or -1: then nothing is written.
    """
    bad = first_bad_index(index, size, low)
    if bad >= 0:
        return bad
    points = index.size
    # Rows of a range: a power of two, so that a shift tells where an index belongs. Narrow rows stay together: finding
    # out whose they are would cost more than moving them.
    shift = 62
    if width * target.itemsize >= 2 * LINE_BYTES and points > 1:
        shift = 0
        while shift < 62 and (width * target.itemsize << shift) < RANGE_BYTES:
            shift += 1
        while shift < 62 and (size >> shift) > MOST_RANGES:
            shift += 1
    ranges = ((size - 1) >> shift) + 1
    split = ranges > 1 or skip >= 0
    order = index
    ends = index
    if split:
        order, ends = _order_by_range(index, size, skip, shift, ranges)
    nothing = target.dtype.type(0)
    step = width if values.size != width or outer * points == 1 else 0
    # Short rows of the block go together, all of them in one copy; a long one is shared range by range.
    lines = max(TASK // (size * width), 1) if ranges == 1 else 1
    for task in prange((outer + lines - 1) // lines * ranges):
        r = task % ranges
        o0 = np.int64(task // ranges * lines)
        o1 = min(o0 + lines, outer)
        first, last = o0 * size * width, o1 * size * width
        if ranges > 1:
            last = min(first + ((r + 1) << shift) * width, last)
            first += (r << shift) * width
        if before.size:
            copy_run(target, first, before, first, last - first)
        elif zeros:
            target[first:last] = nothing
        k0, k1 = np.int64(0), points
        if split:
            k0, k1 = ends[r - 1] if r else np.int64(0), ends[r]
        if width == 1 and points <= FEW_POINTS and not split:
            # A column at a time; each place still sees its values in the order of the index.
            for p in range(points):
                i = index[p]
                i += size & (i >> 63)
                for o in range(o0, o1):
                    value = values[np.uint64((o * points + p) * step)]
                    if mode == ADD:
                        target[np.uint64(o * size + i)] += value
                    else:
                        target[np.uint64(o * size + i)] = value
            continue
        for o in range(o0, o1):
            row0, value0 = o * size * width, o * points * step
            if width == 1 and step == 1 and not split:
                row, part = piece(target, row0, size), piece(values, value0, points)
                if mode == ADD:
                    for p in range(points):
                        i = index[p]
                        i += size & (i >> 63)
                        row[np.uint64(i)] += part[p]
                else:
                    for p in range(points):
                        i = index[p]
                        i += size & (i >> 63)
                        row[np.uint64(i)] = part[p]
            elif width == 1:
                for k in range(k0, k1):
                    p = order[np.uint64(k)] if split else k
                    i = index[np.uint64(p)]
                    i += size & (i >> 63)
                    if mode == ADD:
                        target[np.uint64(row0 + i)] += values[np.uint64(value0 + p * step)]
                    else:
                        target[np.uint64(row0 + i)] = values[np.uint64(value0 + p * step)]
            else:
                for k in range(k0, k1):
                    p = order[np.uint64(k)] if split else k
                    i = index[np.uint64(p)]
                    i += size & (i >> 63)
                    if mode == ADD:
                        add_run(target, row0 + i * width, values, value0 + p * step, width)
                    else:
                        copy_run(target, row0 + i * width, values, value0 + p * step, width)
    return -1
