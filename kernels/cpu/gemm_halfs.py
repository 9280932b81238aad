"""Products of float16 matrices, and of bfloat16 ones where nothing multiplies those: through float32 a block at a time.

    out[i, j] = sum_p a[i, p] b[p, j] + bias[j]         a (n, k), b (k, m), out (n, m) halfs; sums and bias float32

Halfs are uint16 here. A block of b that fills half of the second-level cache is made float32, in the order in which it
lies, multiplied by the kernels of gemm.py or gemv.py, and the sums are rounded once.
"""

from __future__ import annotations

import numba
import numpy as np

from ..compiler import jit
from ..pieces import piece
from ..simd import bfloat16_to_single, half_to_single, lanes, single_to_bfloat16, single_to_half
from .gemm import BLOCK_BYTES, gemm, scratch
from .gemm_batches import share_of, share_out
from .gemv import DOT_ROWS, rows_times_rows
from .tile_sizes import VECTORS


@jit
def _widen(x, at, count, is_bfloat, out, target):
    """out[target + i] = x[at + i] as float32."""
    source, wide = piece(x, at, count), piece(out, target, count)
    if is_bfloat:
        for i in range(count):
            wide[i] = bfloat16_to_single(source[i])
    else:
        for i in range(count):
            wide[i] = half_to_single(source[i])


@jit
def _narrow(x, count, is_bfloat, out, target):
    """out[target + i] = the half nearest to x[i]."""
    sums, narrow = piece(x, 0, count), piece(out, target, count)
    if is_bfloat:
        for i in range(count):
            narrow[i] = single_to_bfloat16(sums[i])
    else:
        for i in range(count):
            narrow[i] = single_to_half(sums[i])


@jit
def _widened(x, x0, row, column, rows, columns, is_bfloat, out):
    """x (rows, columns) as float32 in `out`, in the order in which it lies. Returns the steps of rows and columns there."""
    if column == 1 and (row == columns or rows == 1):
        _widen(x, x0, rows * columns, is_bfloat, out, 0)
    elif column == 1:
        for r in range(rows):
            _widen(x, x0 + r * row, columns, is_bfloat, out, r * columns)
    elif row == 1:
        for c in range(columns):
            _widen(x, x0 + c * column, rows, is_bfloat, out, c * rows)
        return 1, rows
    else:
        for r in range(rows):
            for c in range(columns):
                _widen(x, x0 + r * row + c * column, 1, is_bfloat, out, r * columns + c)
    return columns, 1


@jit(nogil=True)
def halfs_part(a, a0, a_strides, b, b0, b_strides, bias, out, sizes, is_bfloat, part, parts):
    """Part `part` of `parts` of out = a b + bias for batches of matrices of halfs, as pairs_part of gemm_pairs.py."""
    outer, inner, n, k, m = sizes
    width = lanes(bias)
    one = bias.dtype.type(1)
    pieces, by_columns = share_out(sizes, width, parts)
    panel = VECTORS * width
    most_columns = min(max(BLOCK_BYTES // (max(k, 1) * 4 * panel), 1) * panel, m)
    wide_a, wide_b = np.empty(n * k, np.float32), np.empty(k * most_columns, np.float32)
    sums = np.empty(n * most_columns, np.float32)
    total = outer * inner * pieces
    for number in range(part * total // parts, (part + 1) * total // parts):
        x, y, i0, i1, j0, j1 = share_of(number, pieces, by_columns, sizes, width)
        if i0 >= i1 or j0 >= j1:
            continue
        rows = i1 - i0
        start = a0 + x * a_strides[0] + y * a_strides[1] + i0 * a_strides[2]
        row_a, column_a = _widened(a, start, a_strides[2], a_strides[3], rows, k, is_bfloat, wide_a)
        for j in range(j0, j1, most_columns):
            columns = min(most_columns, j1 - j)
            start = b0 + x * b_strides[0] + y * b_strides[1] + j * b_strides[3]
            row_b, column_b = _widened(b, start, b_strides[2], b_strides[3], k, columns, is_bfloat, wide_b)
            # What the whole product has decides, so that its parts add up alike.
            if n <= DOT_ROWS and b_strides[2] == 1 and b_strides[3] != 1 and column_a == 1:
                rows_times_rows(
                    wide_a, 0, row_a, wide_b, 0, column_b, bias, j, 0, 1, bias.size > 0, one, one,
                    sums, 0, columns, 1, rows, k, columns,
                )  # fmt: skip
            else:
                gemm(
                    wide_a, 0, row_a, column_a, wide_b, 0, row_b, column_b, bias, j, 0, bias.size > 0, one, one,
                    sums, 0, columns, rows, k, columns,
                    scratch(wide_a, rows, k, columns, row_a, column_a, row_b, column_b),
                )  # fmt: skip
            for r in range(rows):
                target = ((x * inner + y) * n + i0 + r) * m + j
                _narrow(piece(sums, r * columns, columns), columns, is_bfloat, out, target)


@jit(parallel=True)
def halfs_parallel(a, a0, a_strides, b, b0, b_strides, bias, out, sizes, is_bfloat, parts):
    """halfs_part for all parts, on as many threads."""
    for part in numba.prange(parts):
        halfs_part(a, a0, a_strides, b, b0, b_strides, bias, out, sizes, is_bfloat, np.int64(part), parts)
