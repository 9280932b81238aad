"""gather and scatter: one index for every element.

The index is a block (outer, count, inner) around the axis `dim`; element (o, n, i) refers to the place

    outer[o] + index[o, n, i] * stride + inner[i]

of a strided buffer, where `outer` and `inner` hold the positions of the other axes.  These are taken over the
extent of the *index*, which may be smaller than the tensor's, so no operand is narrowed or made contiguous.
An empty `inner` stands for adjacent elements.  The caller has checked the index (`indexing.first_bad_index`):
0 <= index < size.
"""

from __future__ import annotations

from ..compiler import jit
from .indexing import combine


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
