"""Reading and writing at index tensors, on any strides.

Every form of indexing along whole axes (`x[i, :, j]`, index_select, index_put, index_add, masks, take,
embedding) is one pattern.  The elements of the result form a block (outer, points, inner); element (o, p, i)
lives in the buffer at

    outer[o] + base[p] + inner[i]

where `outer` and `inner` are the positions of the axes that are not indexed, and `base` sums index * stride
over the indexed axes.  So no operand is ever made contiguous first, and a view is written in place.  An empty
`inner` stands for `width` adjacent elements, which is the common case and a plain copy.

Indices are checked when `base` is made (`index_positions`), before anything is read or written.  The kernels
that only move elements see them as unsigned integers of their size (or complex128 for 16 bytes), so they
compile once a size.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..math.choice import less

SUM, PROD, AMIN, AMAX = 0, 1, 2, 3


# --- positions ----------------------------------------------------------------------------------------------


@jit
def strided_positions(out, sizes, strides, start):
    """out[e] = the buffer position of the e-th element (row-major) of a view: sizes and strides
    int64[ndim]."""
    ndim = sizes.size
    if out.size == 0:
        return
    out[0] = start
    filled = 1
    for d in range(ndim - 1, -1, -1):
        # The axes from d on are the block already filled, repeated at each step of axis d.
        for k in range(1, sizes[d]):
            step = k * strides[d]
            for e in range(filled):
                out[k * filled + e] = out[e] + step
        filled *= sizes[d]


@jit
def first_bad_index(index, size, low):
    """The position of the first index outside [low, size), or -1."""
    bad = False
    for i in range(index.size):
        bad |= (index[i] < low) | (index[i] >= size)
    if bad:
        for i in range(index.size):
            if index[i] < low or index[i] >= size:
                return i
    return -1


@jit
def index_positions(index, size, stride, base):
    """base[p] += index[p] * stride, a negative index counting from the end.

    Returns the position of the first index outside [-size, size), or -1; base is untouched where there is
    one."""
    bad = first_bad_index(index, size, -size)
    if bad >= 0:
        return bad
    for p in range(index.size):
        i = index[p]
        base[p] += (i + size if i < 0 else i) * stride
    return -1


@jit
def flat_positions(index, total, sizes, strides, base):
    """base[p] = the buffer position of the index[p]-th element (row-major) of a strided tensor of `total`
    elements.

    Returns the position of the first index outside [-total, total), or -1."""
    bad = first_bad_index(index, total, -total)
    if bad >= 0:
        return bad
    for p in range(index.size):
        rest = index[p]
        if rest < 0:
            rest += total
        place = np.int64(0)
        for d in range(sizes.size - 1, -1, -1):
            place += (rest % sizes[d]) * strides[d]
            rest //= sizes[d]
        base[p] += place
    return -1


# --- moving elements ----------------------------------------------------------------------------------------


@jit(nogil=True)
def index_forward(source, outer, base, inner, width, out):
    """out[o, p, i] = source[outer[o] + base[p] + inner[i]]."""
    place = 0
    for o in range(outer.size):
        for p in range(base.size):
            start = outer[o] + base[p]
            if inner.size:
                for i in range(width):
                    out[place + i] = source[start + inner[i]]
            elif width == 1:
                out[place] = source[start]
            else:
                # Slices: an index such as place + i might be negative for all that LLVM knows, and is not vectorised.
                part, found = out[place : place + width], source[start : start + width]
                for i in range(width):
                    part[i] = found[i]
            place += width


@jit(nogil=True)
def index_put(target, outer, base, inner, width, values):
    """target[outer[o] + base[p] + inner[i]] = values[o, p, i], in that order, so the last write to a place
    stays.

    A `values` of one element fills every place."""
    place = 0
    step = width if values.size != 1 else 0
    for o in range(outer.size):
        for p in range(base.size):
            start = outer[o] + base[p]
            if inner.size:
                for i in range(width):
                    target[start + inner[i]] = values[place + i if step else 0]
            else:
                for i in range(width):
                    target[start + i] = values[place + i if step else 0]
            place += step


@jit
def combine(held, value, mode):
    """held (+) value for a reduction: SUM, PROD, AMIN or AMAX, nan winning."""
    if mode == SUM:
        return held + value
    if mode == PROD:
        return held * value
    if mode == AMIN:
        return value if less(value, held) or value != value else held
    return value if less(held, value) or value != value else held


@jit(nogil=True)
def index_accumulate(target, outer, base, inner, width, values):
    """target[outer[o] + base[p] + inner[i]] += values[o, p, i], in order."""
    place = 0
    for o in range(outer.size):
        for p in range(base.size):
            start = outer[o] + base[p]
            if inner.size:
                for i in range(width):
                    target[start + inner[i]] += values[place + i]
            else:
                for i in range(width):
                    target[start + i] += values[place + i]
            place += width


@jit(nogil=True)
def index_reduce(target, outer, base, inner, width, values, mode):
    """target[...] = target[...] (+) values[o, p, i] for one of the reductions of `combine`."""
    place = 0
    for o in range(outer.size):
        for p in range(base.size):
            start = outer[o] + base[p]
            for i in range(width):
                where = start + (inner[i] if inner.size else i)
                target[where] = combine(target[where], values[place + i], mode)
            place += width
