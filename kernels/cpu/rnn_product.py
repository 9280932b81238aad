"""The products inside the loop over time: a few rows times a weight matrix that stays packed for all steps.

A weight matrix is packed once a call into *panels* of a few vectors of columns, one after the other:

    panels[j * depth + k * w + p] = w[k, j + p]        0 <= p < w, the width of the panel that begins at column j

with zeros behind the last column. `product` then walks panel by panel, and within a panel over the rows, eight at a
time: a panel of 3 vectors and 256 rows of W fills 48 KB, which come from the second-level cache while the sums of an
8 x 3 tile stay in registers (24 multiply-adds for 3 vectors of W). The rows of a are read where they lie.

One or two rows cannot keep the multipliers busy with 3 vectors (a multiply-add takes four cycles, so four or more
chains have to be in flight), so the panels of such a batch are 8 vectors wide.

Every element of the result is one chain of multiply-adds in the order of k, whatever tile it falls into: how rows
are shared out among threads changes nothing.
"""

from __future__ import annotations

import threading

import numpy as np

from .. import host
from ..compiler import jit
from ..threads import get_num_threads
from .gemm_tiles import product_tile, transpose_tile

_BYTES = host.vector_bytes()
#: Rows of the tallest tile: 8 x 3 sums and 3 vectors of W need 27 of 32 registers, 4 x 3 and 3 need 15 of 16.
_ROWS = 8 if host.vector_registers() == 32 else 4
_VECTORS = 3
_WIDE_VECTORS = 8 if host.vector_registers() == 32 else 4


# Multiply-adds of all steps from which threads share them: 10 us of one core, and a launch costs 2.
PARALLEL = 500_000

# Rows of a part from which there may be more parts than threads, which evens out what a thread is held up: each part
# reads all panels in every step, so it should use them for two tiles at least.
_ROWS_OF_PART = 16


def parts_of(batch: int, work: int) -> int:
    """How many parts the batch is cut into, for so many multiply-adds."""
    threads = get_num_threads()
    if threads == 1 or work < PARALLEL:
        return 1
    return min(batch, max(threads, min(2 * threads, batch // _ROWS_OF_PART)))


def panel_vectors(batch: int) -> int:
    """Vectors in a panel that suits a batch of that many rows."""
    return _WIDE_VECTORS if batch <= 2 else _VECTORS


def panel_size(columns: int, depth: int, itemsize: int) -> int:
    """Elements of the panels of a (depth, columns) matrix."""
    width = _BYTES // itemsize
    return -(-columns // width) * width * depth


#: Bytes of panels that a thread keeps for its next call: fresh memory costs a page fault for every 4 KB, which for the
#: weights of one layer (1.5 MB) took 0.6 ms of 13.
_KEPT = 16 << 20


class _Kept(threading.local):
    buffer = np.empty(0, np.uint8)


_kept = _Kept()


def panel_memory(size: int, dtype) -> np.ndarray:
    """An array for panels, good until this thread asks for the next one."""
    nbytes = size * dtype.itemsize
    if nbytes > _KEPT:
        return np.empty(size, dtype)
    if _kept.buffer.size < nbytes:
        _kept.buffer = np.empty(nbytes, np.uint8)
    return _kept.buffer[:nbytes].view(dtype)


@jit
def _columns_of_panel(columns, j, vectors, width):
    """Columns, filled up to whole vectors, of the panel that begins at column j."""
    return min(vectors * width, (columns - j + width - 1) // width * width)


@jit(apart=True)
def pack_transposed(w, w0, depth, columns, vectors, panels, p0, part, parts):
    """Panels of the (depth, columns) matrix whose transpose lies at w[w0:], (columns, depth) row-major.

    Every `parts`-th panel, from number `part` on: threads share the work.
    """
    width = _BYTES // w.itemsize
    for j in range(part * vectors * width, columns, parts * vectors * width):
        wide = _columns_of_panel(columns, j, vectors, width)
        for v in range(0, wide, width):
            rows = min(width, columns - j - v)
            for k in range(0, depth, width):
                some = min(width, depth - k)
                source, target = w0 + (j + v) * depth + k, p0 + j * depth + k * wide + v
                if rows == width and some == width:
                    transpose_tile(0, w, source, depth, rows, some, panels, target, wide)
                else:
                    transpose_tile(1, w, source, depth, rows, some, panels, target, wide)


@jit(apart=True)
def pack_rows(w, w0, depth, columns, vectors, panels, p0, part, parts):
    """Panels of the (depth, columns) matrix that lies row-major at w[w0:]; `part` and `parts` as above."""
    zero = w.dtype.type(0)
    width = _BYTES // w.itemsize
    for j in range(part * vectors * width, columns, parts * vectors * width):
        wide = _columns_of_panel(columns, j, vectors, width)
        some = min(wide, columns - j)
        for k in range(depth):
            source = w[w0 + k * columns + j : w0 + k * columns + j + some]
            target = panels[p0 + j * depth + k * wide : p0 + j * depth + k * wide + wide]
            for p in range(some):
                target[p] = source[p]
            for p in range(some, wide):
                target[p] = zero


@jit(apart=True)
def product(a, a0, lda, n, panels, p0, depth, columns, vectors, start, s0, lds, out, o0, ldo):
    """out[i, j] = start[i, j] + sum_k a[i, k] w[k, j]; i < n, j < columns, k < depth, w packed at panels[p0:].

    Element (i, k) of a lies at a[a0 + i * lda + k], those of start and out likewise; `start` may be `out`, and with
    lds = 0 it is one row for all.
    """
    one = out.dtype.type(1)
    width = _BYTES // out.itemsize
    for j in range(0, columns, vectors * width):
        wide = _columns_of_panel(columns, j, vectors, width)
        p, s, o = p0 + j * depth, s0 + j, o0 + j
        if columns - j < vectors * width:  # the last columns, one vector at a time, the last of them masked
            for v in range(0, wide, width):
                left = min(width, columns - j - v)
                i = 0
                while i < n:
                    x, y, z = a0 + i * lda, s + i * lds + v, o + i * ldo + v
                    rest = n - i
                    if rest >= _ROWS:
                        i += _ROWS
                        product_tile(
                            _ROWS, 1, 1, a, x, lda, 1, panels, p + v, wide, depth,
                            start, y, lds, True, one, one, out, z, ldo, _ROWS, left,
                        )  # fmt: skip
                    elif rest >= 4:
                        i += 4
                        product_tile(
                            4, 1, 1, a, x, lda, 1, panels, p + v, wide, depth,
                            start, y, lds, True, one, one, out, z, ldo, 4, left,
                        )  # fmt: skip
                    else:
                        i += 1
                        product_tile(
                            1, 1, 1, a, x, lda, 1, panels, p + v, wide, depth,
                            start, y, lds, True, one, one, out, z, ldo, 1, left,
                        )  # fmt: skip
        elif vectors == _VECTORS:
            i = 0
            while i < n:
                x, y, z = a0 + i * lda, s + i * lds, o + i * ldo
                rest = n - i
                if rest >= _ROWS:
                    i += _ROWS
                    product_tile(
                        _ROWS, _VECTORS, 0, a, x, lda, 1, panels, p, wide, depth,
                        start, y, lds, True, one, one, out, z, ldo, _ROWS, wide,
                    )  # fmt: skip
                elif rest >= 4:
                    i += 4
                    product_tile(
                        4, _VECTORS, 0, a, x, lda, 1, panels, p, wide, depth,
                        start, y, lds, True, one, one, out, z, ldo, 4, wide,
                    )  # fmt: skip
                elif rest >= 2:
                    i += 2
                    product_tile(
                        2, _VECTORS, 0, a, x, lda, 1, panels, p, wide, depth,
                        start, y, lds, True, one, one, out, z, ldo, 2, wide,
                    )  # fmt: skip
                else:
                    i += 1
                    product_tile(
                        1, _VECTORS, 0, a, x, lda, 1, panels, p, wide, depth,
                        start, y, lds, True, one, one, out, z, ldo, 1, wide,
                    )  # fmt: skip
        else:
            i = 0
            while i < n:
                x, y, z = a0 + i * lda, s + i * lds, o + i * ldo
                if n - i >= 2:
                    i += 2
                    product_tile(
                        2, _WIDE_VECTORS, 0, a, x, lda, 1, panels, p, wide, depth,
                        start, y, lds, True, one, one, out, z, ldo, 2, wide,
                    )  # fmt: skip
                else:
                    i += 1
                    product_tile(
                        1, _WIDE_VECTORS, 0, a, x, lda, 1, panels, p, wide, depth,
                        start, y, lds, True, one, one, out, z, ldo, 1, wide,
                    )  # fmt: skip
