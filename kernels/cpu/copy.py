"""Copies: from one layout to another, and from one dtype to another.

Layout copies move bits, so they are compiled for an element size and not for a dtype: callers view the buffers as
unsigned integers (or complex128 for 16 bytes).
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numba.core import types
from numba.extending import overload

from ..compiler import jit
from ..pieces import piece
from ..simd import evens, lanes, load, store
from ..simd.tiles import tile_side, turn_tile
from .runs import copy_run
from .walks import cut, place, start, steps

# A transposing copy follows 256 elements of a line before it turns to the next lines: a kilobyte of float32 is long
# enough for the prefetcher (2000 x 2000: 2.3 ms, with 64 elements 3.4), and 256 lines that are written fit the caches.
LINES = 256
# Elements of a block that is turned: 256 KiB of float32 are read and as many written, within a second-level cache.
TURNED = 65536


def _fill_blocks(out, o0, meta, value):
    """out[...] = value for any layout; meta = [ndim, sizes, strides], inner dimension last."""
    part, parts, height, groups, planes = cut(meta)
    ro, so = steps(meta, 0)
    for block in prange(planes * groups * parts):
        plane, row, column, rows, n = place(meta, block, part, parts, height, groups)
        _fill_rows(out, o0 + start(meta, plane, row, column, 0), ro, so, rows, n, value)


@jit(bare=True)
def _fill_rows(out, q, ro, so, rows, n, value):
    for r in range(rows):
        if so == 1:
            zs = piece(out, q + r * ro, n)
            for i in range(n):
                zs[i] = value
        else:
            for i in range(n):
                out[np.uint64(q + r * ro + i * so)] = value


fill_strided = jit(_fill_blocks)
fill_strided_parallel = jit(_fill_blocks, parallel=True)


@jit(bare=True)
def _turn_narrow(x, p, out, q, m, n, sx, so):
    """`turn` where m or n is less than a tile's side: element by element, with the long loop inside.

    Not by tiles under masks: on Zen 4 their loads and stores take 80 cycles each at some addresses, which made 240,000
    rows of two 12 ms that take 0.15 here.
    """
    if n <= m:
        for i0 in range(0, m, LINES):
            count = min(LINES, m - i0)
            for j in range(n):
                line, to = piece(x, p + i0 + j * sx, count), q + i0 * so + j
                for i in range(count):
                    out[np.uint64(to + i * so)] = line[i]
    else:
        for j0 in range(0, n, LINES):
            count = min(LINES, n - j0)
            for i in range(m):
                row, first = piece(out, q + i * so + j0, count), p + i + j0 * sx
                for j in range(count):
                    row[j] = x[np.uint64(first + j * sx)]


@jit(bare=True)
def turn(x, p, out, q, m, n, sx, so):
    """out[q + i * so + j] = x[p + i + j * sx] for i < m, j < n, by square tiles that are turned in registers.

    A tile of float32 reads and writes whole cache lines: 1000 x 1000 take 0.14 ms, and 0.36 where eight lines were read
    and eight neighbours written one by one.
    """
    side = tile_side(x)
    if m < side or n < side:
        _turn_narrow(x, p, out, q, m, n, sx, so)
        return
    for i0 in range(0, m, LINES):
        end = min(i0 + LINES, m)
        for j0 in range(0, n, side):
            j = min(j0, n - side)  # what is left over at the ends is turned by a tile that begins earlier
            for i1 in range(i0, end, side):
                i = min(i1, m - side)
                turn_tile(x, p + i + j * sx, sx, out, q + i * so + j, so)


def every_second(x, p, tile, t, n):
    """tile[t + i] = x[p + 2 * i], i < n."""
    for i in range(n):
        tile[t + i] = x[p + 2 * i]


@jit(bare=True)
def _every_second_by_vectors(x, p, tile, t, n):
    """By shuffles: LLVM gathers element by element, which takes four times as long."""
    width = lanes(x)
    i = 0
    while i + width < n:
        store(tile, t + i, evens(load(x, p + 2 * i), load(x, p + 2 * i + width)))
        i += width
    for j in range(i, n):
        tile[np.uint64(t + j)] = x[np.uint64(p + 2 * j)]


@overload(every_second)
def _every_second(x, p, tile, t, n):
    if isinstance(x.dtype, (types.Float, types.Integer)):
        return lambda x, p, tile, t, n: _every_second_by_vectors(x, p, tile, t, n)
    return every_second


@jit(bare=True)
def _copy_rows(x, p, rx, sx, out, q, ro, so, rows, n):
    for r in range(rows):
        if so == 1 and sx == 1:
            copy_run(out, q + r * ro, x, p + r * rx, n)
        elif so == 1 and sx == 0:
            zs, value = piece(out, q + r * ro, n), x[p + r * rx]
            for i in range(n):
                zs[i] = value
        elif so == 1 and sx == 2 and n >= 32:  # (two vectors and more)
            every_second(x, p + r * rx, out, q + r * ro, n)
        elif so == 1 and sx == -1:
            zs, line = piece(out, q + r * ro, n), piece(x, p + r * rx - n + 1, n)
            for i in range(n):
                zs[i] = line[np.uint64(n - 1 - i)]
        else:
            first, to = p + r * rx, q + r * ro  # no pieces of the buffers: steps may be negative, as those of flip
            for i in range(n):
                out[np.uint64(to + i * so)] = x[np.uint64(first + i * sx)]  # unsigned: no look at the sign of each


def _copy_blocks(x, x0, out, o0, meta):
    """out = x for any two layouts; meta = [ndim, sizes, strides of x, strides of out], inner dimension last."""
    part, parts, height, groups, planes = cut(meta)
    (rx, sx), (ro, so) = steps(meta, 0), steps(meta, 1)
    ndim = meta[0]
    turned = ndim > 1 and rx == 1 and so == 1 and sx > 1
    if turned:
        rows, n = meta[ndim - 1], meta[ndim]
        height = min(LINES, rows)
        part = min(max(TURNED // height, 64), n)
        parts, groups = (n + part - 1) // part, (rows + height - 1) // height
    for block in prange(planes * groups * parts):
        plane, row, column, rows, n = place(meta, block, part, parts, height, groups)
        p, q = x0 + start(meta, plane, row, column, 0), o0 + start(meta, plane, row, column, 1)
        if turned:
            turn(x, p, out, q, rows, n, sx, ro)
        else:
            _copy_rows(x, p, rx, sx, out, q, ro, so, rows, n)


copy_strided = jit(_copy_blocks)
copy_strided_parallel = jit(_copy_blocks, parallel=True)


@jit(bare=True)
def address(x):
    """Where the first element of x lies."""
    return x.ctypes.data


@jit
def cast(x, out):
    """out[i] = x[i] in the output's dtype: floats to integers truncate, anything to bool is `!= 0`."""
    for i in range(out.size):
        out[i] = out.dtype.type(x[i])  # (numpy, in plain Python, refuses to store an integer that is out of range)


@jit(parallel=True)
def cast_parallel(x, out):
    """`cast` over fixed blocks on all threads."""
    n = out.size
    for block in prange((n + 16383) // 16384):
        lo = block * 16384
        xs, ys = x[lo : min(lo + 16384, n)], out[lo : min(lo + 16384, n)]
        for i in range(ys.size):
            ys[i] = ys.dtype.type(xs[i])


@jit
def real_part(x, out):
    """The real parts of complex numbers (complex to real casts)."""
    for i in range(out.size):
        out[i] = x[i].real


@jit
def nonzero_complex(x, out):
    """x != 0 for complex numbers (complex to bool casts)."""
    for i in range(out.size):
        out[i] = x[i].real != 0 or x[i].imag != 0
