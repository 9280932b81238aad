"""Whole products for kernels/cpu/matmul.py: dense pairs of matrices, strided batches, one thread or several.

Threads share the result out: whole matrices of a batch where there are enough, else rows or columns of each. The sum
of an element is never divided, so the number of threads changes no bit of the result.
"""

from __future__ import annotations

import numba
import numpy as np

from ..compiler import jit
from ..simd import lanes
from .gemm import gemm, product_form, workspace
from .tile_sizes import ROWS


@jit
def _scratch(a, n, k, m, row_a, column_b, form):
    size = workspace(a, n, k, m, row_a, column_b, form)
    # An empty allocation costs a tenth of the smallest products.
    return np.empty(size, a.dtype) if size else a[:0]


@jit(nogil=True)
def multiply_dense(a, transpose_a, b, transpose_b, bias, out, n, k, m):
    """out (n, m) = op(a) op(b) + bias; the buffers hold (k, n) and (m, k) where transposed; bias (m,) or empty."""
    row_a, column_a = (1, n) if transpose_a else (k, 1)
    row_b, column_b = (1, k) if transpose_b else (m, 1)
    one = a.dtype.type(1)
    form = product_form(n, k, m, row_a, column_a, row_b, column_b, m, m if bias.size == 0 else 0, lanes(a))
    work = _scratch(a, n, k, m, row_a, column_b, form)
    zero = n - n  # no literal: Numba would compile gemm once more for that
    gemm(
        a, zero, row_a, column_a, b, zero, row_b, column_b, bias, zero, zero, bias.size > 0, one, one,
        out, zero, m, n, k, m, form, work,
    )  # fmt: skip


@jit
def _share(size, step, piece, pieces):
    """The part of range(size) that falls to `piece`, cut at multiples of `step`."""
    steps = (size + step - 1) // step
    return min(size, piece * steps // pieces * step), min(size, (piece + 1) * steps // pieces * step)


@jit
def _largest_share(size, step, pieces):
    """The largest part of `size` that _share gives, times the number of pieces: what the slowest thread makes of it."""
    steps = (size + step - 1) // step
    return (steps + pieces - 1) // pieces * step * pieces / max(size, 1)


@jit(nogil=True)
def multiply_part(
    a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, part, parts
):
    """Part `part` of `parts` of out = alpha * a b + beta * start, for batches of matrices.

    `sizes` are (batch, batch, n, k, m); the strides of a and b are those of both batch dimensions, rows and columns;
    those of start of both batch dimensions and rows (its columns are dense). `out` is dense.
    """
    outer, inner, n, k, m = sizes
    batch = outer * inner
    width = lanes(a)
    # Matrices are cut up where there are too few of them for equal shares.
    pieces = 1 if batch % parts == 0 or batch >= 4 * parts else parts
    by_columns = _largest_share(m, width, pieces) < _largest_share(n, ROWS, pieces) or (
        _largest_share(m, width, pieces) == _largest_share(n, ROWS, pieces) and m >= n
    )
    row_s = s_strides[2] if has_start else m
    form = product_form(n, k, m, a_strides[2], a_strides[3], b_strides[2], b_strides[3], m, row_s, width)
    work = _scratch(a, n, k, m, a_strides[2], b_strides[3], form)
    first, last = part * batch * pieces // parts, (part + 1) * batch * pieces // parts
    matrix, piece = first // pieces, first % pieces
    x, y = matrix // inner, matrix % inner
    i0, i1, j0, j1 = 0, n, 0, m
    for _ in range(first, last):
        if pieces > 1 and by_columns:
            j0, j1 = _share(m, width, piece, pieces)
        elif pieces > 1:
            i0, i1 = _share(n, ROWS, piece, pieces)
        if i0 < i1 and j0 < j1:
            gemm(
                a, a0 + x * a_strides[0] + y * a_strides[1] + i0 * a_strides[2], a_strides[2], a_strides[3],
                b, b0 + x * b_strides[0] + y * b_strides[1] + j0 * b_strides[3], b_strides[2], b_strides[3],
                start, s0 + x * s_strides[0] + y * s_strides[1] + i0 * s_strides[2] + j0, s_strides[2], has_start,
                alpha, beta, out, (matrix * n + i0) * m + j0, m, i1 - i0, k, j1 - j0, form, work,
            )  # fmt: skip
        piece += 1
        if piece == pieces:
            piece, matrix, y = 0, matrix + 1, y + 1
            if y == inner:
                x, y = x + 1, 0


@jit(nogil=True)
def multiply(a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, parts):
    """multiply_part for all parts, one after the other on the calling thread."""
    for part in range(parts):
        multiply_part(
            a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, part, parts
        )


@jit(parallel=True)
def multiply_parallel(
    a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, parts
):
    """multiply_part for all parts, on as many threads."""
    for part in numba.prange(parts):
        multiply_part(
            a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, part, parts
        )
