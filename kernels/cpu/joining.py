"""Blocks put next to each other, turned round, rolled and repeated: copies of runs of adjacent elements.

Arrays are flat and of a dtype that vectors hold (see `runs`); a tensor around one dimension is a block
(rows, length). Tasks are fixed pieces of at most `PIECE` elements, whatever the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from .runs import copy_run

#: Elements a task copies: 256 KB of float32, some 20 us, so that a few tasks come to every thread.
PIECE = 1 << 16


#: Rows of a result up to this many bytes are written column by column: runs of three elements take 2.5 ns each.
NARROW = 64
#: Rows of up to so many elements are turned round column by column: 19,090 of 6 in 36 us, in 149 row by row.
SHORT = 12
#: Rows that are written so at once: they stay in the first-level cache while each column is filled in.
LINES = 64


@jit(inline=True)
def _put_columns(source, first, lines, length, out, place, step):
    """out[place + r * step + j] = source[(first + r) * length + j] for r < lines, j < length."""
    for j in range(length):
        for r in range(lines):
            out[np.uint64(place + r * step + j)] = source[np.uint64((first + r) * length + j)]


@jit(bare=True)
def _join_narrow(a, b, c, d, length_a, length_b, length_c, length_d, out, start, step, first, last):
    """Rows first .. last - 1 of `join_four` with short rows."""
    if length_a + length_b == 2 and step == 2 and length_b == 1:
        # Two tensors stacked along a new last dimension: with a known step LLVM interleaves whole vectors.
        x, y = piece(a, first, last - first), piece(b, first, last - first)
        to = piece(out, start + first * 2, 2 * (last - first))
        for r in range(x.size):
            to[2 * r] = x[r]
            to[2 * r + 1] = y[r]
        return
    for r in range(first, last, LINES):
        lines = min(LINES, last - r)
        place = start + r * step
        _put_columns(a, r, lines, length_a, out, place, step)
        place += length_a
        _put_columns(b, r, lines, length_b, out, place, step)
        place += length_b
        _put_columns(c, r, lines, length_c, out, place, step)
        place += length_c
        _put_columns(d, r, lines, length_d, out, place, step)


@jit(inline=True)
def _put(source, first, count, out, place):
    if count == 1:
        out[np.uint64(place)] = source[np.uint64(first)]
    else:
        copy_run(out, place, source, first, count)


@jit
def join_two(a, b, length_a, length_b, out):
    """out[r] = a[r], b[r] for blocks (rows, length_a) and (rows, length_b): a small cat in one call."""
    step = length_a + length_b
    for r in range(out.size // step):
        _put(a, r * length_a, length_a, out, r * step)
        _put(b, r * length_b, length_b, out, r * step + length_a)


@jit(parallel=True)
def join_four(a, b, c, d, length_a, length_b, length_c, length_d, out, start, step):
    """out[start + r * step:] = a[r], b[r], c[r], d[r]: up to four parts of a cat, a part of length 0 being none.

    Row by row, so that the result is written from its beginning to its end: one part after the other would touch each
    of its pages once for every part, which takes twice as long. Long rows are cut, as long as there are few of them.
    """
    rows = a.size // length_a
    wide = length_a + length_b + length_c + length_d
    chunk = max(PIECE // wide, 1)
    cuts = max(min(wide // PIECE, 64), 1)
    blocks = (rows + chunk - 1) // chunk
    for task in prange(blocks * cuts):
        if wide * out.itemsize <= NARROW:
            row = np.int64(task) * chunk
            last = min(row + chunk, rows)
            _join_narrow(a, b, c, d, length_a, length_b, length_c, length_d, out, start, step, row, last)
            continue
        cut = task % cuts
        a0, a1 = length_a * cut // cuts, length_a * (cut + 1) // cuts
        b0, b1 = length_b * cut // cuts, length_b * (cut + 1) // cuts
        c0, c1 = length_c * cut // cuts, length_c * (cut + 1) // cuts
        d0, d1 = length_d * cut // cuts, length_d * (cut + 1) // cuts
        for r in range(task // cuts * chunk, min((task // cuts + 1) * chunk, rows)):
            place = start + r * step
            _put(a, r * length_a + a0, a1 - a0, out, place + a0)
            place += length_a
            if length_b:
                _put(b, r * length_b + b0, b1 - b0, out, place + b0)
                place += length_b
            if length_c:
                _put(c, r * length_c + c0, c1 - c0, out, place + c0)
                place += length_c
            if length_d:
                _put(d, r * length_d + d0, d1 - d0, out, place + d0)


@jit(bare=True)
def _flip_narrow(source, count, first, last, out):
    """Rows first .. last - 1 of `flip_block` with short rows: column by column, as in `_join_narrow`."""
    if count == 2:
        x, y = piece(source, 2 * first, 2 * (last - first)), piece(out, 2 * first, 2 * (last - first))
        for r in range(last - first):
            y[2 * r] = x[2 * r + 1]
            y[2 * r + 1] = x[2 * r]
        return
    for r in range(first, last, LINES):
        lines, lo = min(LINES, last - r), r * count
        for j in range(count):
            for k in range(lines):
                out[np.uint64(lo + k * count + j)] = source[np.uint64(lo + k * count + count - 1 - j)]


@jit(parallel=True)
def flip_block(source, count, width, out):
    """out[o, n, :] = source[o, count - 1 - n, :] for blocks (outer, count, width)."""
    lines = source.size // width
    chunk = max(PIECE // width, 1)
    if width == 1:
        # Whole rows at a time, so that the loop runs along memory in both.
        outer = lines // count
        rows = max(PIECE // count, 1)
        for task in prange((outer + rows - 1) // rows):
            if count <= SHORT:
                first = np.int64(task) * rows
                _flip_narrow(source, count, first, min(first + rows, outer), out)
                continue
            for o in range(task * rows, min((task + 1) * rows, outer)):
                row, back = source[o * count : (o + 1) * count], out[o * count : (o + 1) * count]
                for n in range(count):
                    back[n] = row[np.uint64(count - 1 - n)]
    else:
        for task in prange((lines + chunk - 1) // chunk):
            for line in range(task * chunk, min((task + 1) * chunk, lines)):
                o = line // count
                n = line - o * count
                copy_run(out, line * width, source, (o * count + count - 1 - n) * width, width)


@jit(parallel=True)
def roll_block(source, length, shift, out):
    """out[r, (i + shift) mod length] = source[r, i] for a block (rows, length), 0 <= shift < length."""
    rows = source.size // length
    chunk = max(PIECE // length, 1)
    for task in prange((rows + chunk - 1) // chunk):
        for r in range(task * chunk, min((task + 1) * chunk, rows)):
            copy_run(out, r * length + shift, source, r * length, length - shift)
            copy_run(out, r * length, source, (r + 1) * length - shift, shift)


@jit(parallel=True)
def repeat_block(source, length, times, out):
    """out[r, k, :] = source[r, :] for k < times and a block (rows, length)."""
    rows = source.size // length
    chunk = max(PIECE // (length * max(times, 1)), 1)
    for task in prange((rows + chunk - 1) // chunk):
        for r in range(task * chunk, min((task + 1) * chunk, rows)):
            if length == 1:
                out[r * times : (r + 1) * times] = source[r]
            else:
                for k in range(times):
                    copy_run(out, (r * times + k) * length, source, r * length, length)
