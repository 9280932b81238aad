"""Reading and writing where a mask is true, without a branch on it.

A random mask cannot be predicted: a branch costs some 10 ns for every second element. So each element is written to
the next free place, and the place moves on only where the mask holds. A mask is cut into blocks of fixed size; their
true elements are counted first (which the size of the result asks for anyway), so that the blocks know where to write.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece

#: Elements of a block: 8 us of work, which is what two threads can share of 32 Ki elements.
BLOCK = 1 << 14


@jit
def _count(part):
    # Sums of bytes stay bytes for as long as they fit, which keeps 32 or 64 of them in a vector.
    total = np.int64(0)
    bits = part.view(np.uint8)
    for first in range(0, bits.size, 128):
        piece = bits[first : first + 128]
        some = np.uint8(0)
        for i in range(piece.size):
            some += piece[i]
        total += some
    return total


@jit(parallel=True)
def true_ends(mask, ends):
    """ends[b] = how many elements are true up to the end of block b; returns how many there are in all."""
    for b in prange(ends.size):
        ends[b] = _count(mask[b * BLOCK : min((b + 1) * BLOCK, mask.size)])
    for b in range(1, ends.size):
        ends[b] += ends[b - 1]
    return ends[ends.size - 1] if ends.size else 0


@jit(parallel=True)
def masked_select_block(source, mask, ends, out):
    """out = the elements of source where mask is true, in order."""
    for b in prange(ends.size):
        first = b * BLOCK
        start = ends[b - 1] if b else np.int64(0)
        to = out[start : ends[b]]
        part, chosen = source[first : first + BLOCK], mask[first : first + BLOCK].view(np.uint8)
        k = np.int64(0)
        i = np.int64(0)
        # (The loop ends with the last true element: what would be written after it has no place.)
        while k < to.size:
            to[np.uint64(k)] = part[np.uint64(i)]
            k += np.int64(chosen[np.uint64(i)])
            i += 1


@jit(parallel=True)
def true_positions_block(mask, ends, out):
    """out[k] = the flat position of the k-th true element."""
    for b in prange(ends.size):
        first = b * BLOCK
        start = ends[b - 1] if b else np.int64(0)
        to = out[start : ends[b]]
        chosen = mask[first : first + BLOCK].view(np.uint8)
        k = np.int64(0)
        i = np.int64(0)
        while k < to.size:
            to[np.uint64(k)] = first + i
            k += np.int64(chosen[np.uint64(i)])
            i += 1


@jit(parallel=True)
def coordinates_of(positions, sizes, out):
    """out[k, d] = coordinate d of the flat position positions[k] in a tensor of `sizes`; out is (count, ndim)."""
    ndim = sizes.size
    last = sizes[ndim - 1]
    for task in prange((positions.size + BLOCK - 1) // BLOCK):
        k = np.int64(task * BLOCK)
        end = min(k + BLOCK, positions.size)
        while k < end:
            # Positions ascend: those of one row share all coordinates but the last, which are divided out once.
            row = positions[k] // last
            start = row * last
            first = k
            while k < end and positions[k] < start + last:
                out[np.uint64(k * ndim + ndim - 1)] = positions[k] - start
                k += 1
            for d in range(ndim - 2, -1, -1):
                coordinate = row % sizes[d]
                row //= sizes[d]
                for j in range(first, k):
                    out[np.uint64(j * ndim + d)] = coordinate


@jit
def few_coordinates(x, sizes, step, across, out):
    """out[k * step + d * across] = coordinate d of the k-th element that is not zero; returns how many there are.

    `out` has room for as many as there are elements: for small tensors, of which nobody wants to count them first."""
    ndim = sizes.size
    last = sizes[ndim - 1]
    rows = x.size // max(last, 1)
    zero = x.dtype.type(0)
    k = np.int64(0)
    for row in range(rows):
        first = k
        line = piece(x, row * last, last)
        for i in range(last):
            out[np.uint64(k * step + (ndim - 1) * across)] = i
            k += np.int64(line[i] != zero)
        rest = row
        for d in range(ndim - 2, -1, -1):
            coordinate = rest % sizes[d]
            rest //= sizes[d]
            for j in range(first, k):
                out[np.uint64(j * step + d * across)] = coordinate
    return k


@jit(parallel=True)
def masked_scatter_block(before, mask, ends, source, out):
    """out = before with the elements of source, in order, where mask is true; source holds at least one."""
    for b in prange(ends.size):
        first = b * BLOCK
        k = ends[b - 1] if b else np.int64(0)
        to, held = out[first : first + BLOCK], before[first : first + BLOCK]
        chosen = mask[first : first + BLOCK].view(np.uint8)
        last = source.size - 1
        for i in range(to.size):
            value = source[np.uint64(min(k, last))]
            to[i] = value if chosen[i] else held[i]
            k += np.int64(chosen[i])


@jit(parallel=True)
def masked_fill_block(before, mask, value, out):
    """out = before with `value` where mask is true. A mask of fewer elements serves each run of as many again."""
    if mask.size == 0:
        return
    repeats = before.size // mask.size
    pieces = (mask.size + BLOCK - 1) // BLOCK
    runs = max(BLOCK // mask.size, 1)  # that a task takes
    for task in prange((repeats + runs - 1) // runs * pieces):
        first = task % pieces * BLOCK
        count = min(BLOCK, mask.size - first)
        for run in range(task // pieces * runs, min((task // pieces + 1) * runs, repeats)):
            start = run * mask.size + first
            chosen, held, to = piece(mask, first, count), piece(before, start, count), piece(out, start, count)
            for i in range(count):
                to[i] = value if chosen[i] else held[i]
