"""Products of small matrices, without packing: both operands stay in the first-level cache as they are.

Four rows of the result are held in vector registers, one vector of columns at a time, while the inner dimension runs:
every load of b serves four multiply-adds. Columns that do not fill a vector are masked, not copied.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from ..simd import broadcast, fma, lanes, load, load_part, store, store_part
from .gemm import pack_columns
from .tile_sizes import VECTORS

# Measured on AVX-512 (Zen 4): up to 20**3 this saves a fifth of the time of gemm, which looks at more cases.
SMALL = 8192
# In batches, up to 16**3: there both are equally fast, at 8**3 this takes 50 ns a matrix and gemm 150.
SMALL_IN_BATCH = 4096
# Up to here a column, or a row times a transposed matrix, is multiplied with one lane in use: 0.30 us against 0.45 for 9 x 4,
# but 0.74 against 0.50 for 32 x 32.
_SMALL_WITH_VECTOR = 256
# Elements of a transposed b that are turned one by one. Above, squares of vectors are, into one panel as gemm makes them.
SMALL_TO_TURN = 64


def is_small(n, k, m, transpose_b):
    """Whether mm_small is the kernel for one product."""
    work = n * k * m
    return work <= SMALL and ((work <= _SMALL_WITH_VECTOR and k <= 64) or (m > 1 and (n > 1 or not transpose_b)))


def is_small_in_batch(n, k, m, column_b, width):
    """Whether bmm_small_part is the kernel for matrices of a batch, with b's columns at that stride."""
    fits = column_b == 1 or k * m <= SMALL_TO_TURN or m <= VECTORS * width
    return n * k * m <= SMALL_IN_BATCH and n > 1 and m > 1 and fits


@jit
def _start(start, at, zero):
    return load(start, at) if start.size else zero


@jit
def _start_part(start, at, rest, zero):
    return load_part(start, at, rest) if start.size else zero


@jit
def _rows_times_matrix(a, row, column, b, row_b, start, out, n, k, m):
    """out (n, m) = a b + start, with a[i, r] at i * row + r * column and b[r, j] at r * row_b + j.

    start is empty, (m,) for every row, or (n, m); it may be `out` itself.
    """
    width = lanes(b)
    row_s = m if start.size > m else 0
    zero = broadcast(b, b.dtype.type(0))
    whole = m // width * width
    rest = m - whole
    fours = n // 4 * 4
    for i in range(0, fours, 4):
        p0, p1, p2, p3 = i * row, (i + 1) * row, (i + 2) * row, (i + 3) * row
        q, s = i * m, i * row_s
        for j in range(0, whole, width):
            c0, c1 = _start(start, s + j, zero), _start(start, s + row_s + j, zero)
            c2, c3 = _start(start, s + 2 * row_s + j, zero), _start(start, s + 3 * row_s + j, zero)
            for r in range(k):
                v = load(b, r * row_b + j)
                at = r * column
                c0 = fma(broadcast(b, a[p0 + at]), v, c0)
                c1 = fma(broadcast(b, a[p1 + at]), v, c1)
                c2 = fma(broadcast(b, a[p2 + at]), v, c2)
                c3 = fma(broadcast(b, a[p3 + at]), v, c3)
            store(out, q + j, c0)
            store(out, q + m + j, c1)
            store(out, q + 2 * m + j, c2)
            store(out, q + 3 * m + j, c3)
        if rest:
            s += whole
            c0, c1 = _start_part(start, s, rest, zero), _start_part(start, s + row_s, rest, zero)
            c2, c3 = _start_part(start, s + 2 * row_s, rest, zero), _start_part(start, s + 3 * row_s, rest, zero)
            for r in range(k):
                v = load_part(b, r * row_b + whole, rest)
                at = r * column
                c0 = fma(broadcast(b, a[p0 + at]), v, c0)
                c1 = fma(broadcast(b, a[p1 + at]), v, c1)
                c2 = fma(broadcast(b, a[p2 + at]), v, c2)
                c3 = fma(broadcast(b, a[p3 + at]), v, c3)
            store_part(out, q + whole, rest, c0)
            store_part(out, q + m + whole, rest, c1)
            store_part(out, q + 2 * m + whole, rest, c2)
            store_part(out, q + 3 * m + whole, rest, c3)
    for i in range(fours, n):
        for j in range(0, whole, width):
            c = _start(start, i * row_s + j, zero)
            for r in range(k):
                c = fma(broadcast(b, a[i * row + r * column]), load(b, r * row_b + j), c)
            store(out, i * m + j, c)
        if rest:
            c = _start_part(start, i * row_s + whole, rest, zero)
            for r in range(k):
                c = fma(broadcast(b, a[i * row + r * column]), load_part(b, r * row_b + whole, rest), c)
            store_part(out, i * m + whole, rest, c)


@jit
def mm_small(a, transpose_a, b, transpose_b, start, out, n, k, m):
    """out (n, m) = op(a) op(b) + start; the buffers hold (k, n) and (m, k) where transposed. Sums run over k in order.

    start is empty, (m,) for every row, or (n, m), then perhaps `out` itself. A transposed b is turned first: it is small,
    and its columns then are vectors.
    """
    row, column = (1, n) if transpose_a else (k, 1)
    if transpose_b and m > 1 and k > 1:
        turned = np.empty(k * m, b.dtype)
        for j in range(m):
            for r in range(k):
                turned[r * m + j] = b[j * k + r]
        _rows_times_matrix(a, row, column, turned, m, start, out, n, k, m)
    else:
        _rows_times_matrix(a, row, column, b, m, start, out, n, k, m)


@jit(nogil=True)
def bmm_small_part(a, a0, a_strides, b, b0, b_strides, start, out, begin, end, n, k, m):
    """Matrices begin to end - 1 of out = a b + start for batches of small matrices; strides of batch, rows and columns.

    start is dense as `out` is, perhaps `out` itself, or empty.
    """
    width = lanes(b)
    by_squares = k * m > SMALL_TO_TURN
    row_turned = (m + width - 1) // width * width if by_squares else m
    turned = np.empty(k * row_turned, b.dtype) if b_strides[2] != 1 else b[:0]
    of_one = n * m if start.size else 0
    for number in range(begin, end):
        x = piece(a, a0 + number * a_strides[0], a.size)
        y = piece(b, b0 + number * b_strides[0], b.size)
        s = piece(start, number * of_one, of_one)
        z = piece(out, number * n * m, n * m)
        if turned.size:
            if by_squares:
                pack_columns(y, 0, b_strides[1], b_strides[2], k, m, turned)
            else:
                for j in range(m):
                    for r in range(k):
                        turned[r * m + j] = y[r * b_strides[1] + j * b_strides[2]]
            _rows_times_matrix(x, a_strides[1], a_strides[2], turned, row_turned, s, z, n, k, m)
        else:
            _rows_times_matrix(x, a_strides[1], a_strides[2], y, b_strides[1], s, z, n, k, m)


@jit(parallel=True)
def bmm_small_parallel(a, a0, a_strides, b, b0, b_strides, start, out, batch, n, k, m, parts):
    """bmm_small_part of the whole batch, in parts that threads share."""
    for part in prange(parts):
        begin, end = np.int64(part) * batch // parts, (np.int64(part) + 1) * batch // parts
        bmm_small_part(a, a0, a_strides, b, b0, b_strides, start, out, begin, end, n, k, m)
