"""Whole products for kernels/cpu/matmul.py: dense pairs of matrices, strided batches, one thread or several.

Threads share the result out: whole matrices of a batch where there are enough, else rows or columns of each. The sum
of an element is never divided, so the number of threads changes no bit of the result.

Each comes twice, by tiles (gemm.py) and for products with vectors (gemv.py), so that a program without the one or the
other does not compile it.
"""

from __future__ import annotations

import numba
import numpy as np

from ..compiler import jit
from ..simd import lanes
from .gemm import gemm, scratch
from .gemv import multiply_vectors, vector_scratch
from .tile_sizes import ROWS


@jit(nogil=True)
def multiply_dense(a, transpose_a, b, transpose_b, bias, out, n, k, m):
    """out (n, m) = op(a) op(b) + bias; the buffers hold (k, n) and (m, k) where transposed; bias (m,) or empty."""
    row_a, column_a = (1, n) if transpose_a else (k, 1)
    row_b, column_b = (1, k) if transpose_b else (m, 1)
    one = a.dtype.type(1)
    gemm(
        a, 0, row_a, column_a, b, 0, row_b, column_b, bias, 0, 0, bias.size > 0, one, one,
        out, 0, m, n, k, m, scratch(a, n, k, m, row_a, column_a, row_b, column_b),
    )  # fmt: skip


@jit(nogil=True)
def vectors_dense(a, transpose_a, b, transpose_b, bias, out, n, k, m, form):
    """`multiply_dense` by the loops for vectors."""
    row_a, column_a = (1, n) if transpose_a else (k, 1)
    row_b, column_b = (1, k) if transpose_b else (m, 1)
    one = a.dtype.type(1)
    multiply_vectors(
        a, 0, row_a, column_a, b, 0, row_b, column_b, bias, 0, 0, bias.size > 0, one, one,
        out, 0, m, n, k, m, form, vector_scratch(a, k, form),
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


@jit
def share_out(sizes, width, parts):
    """(pieces of each matrix, whether those are columns). Matrices are cut where there are too few for equal shares."""
    outer, inner, n, k, m = sizes
    pieces = 1 if outer * inner % parts == 0 or outer * inner >= 4 * parts else parts
    columns, rows = _largest_share(m, width, pieces), _largest_share(n, ROWS, pieces)
    return pieces, columns < rows or (columns == rows and m >= n)


@jit
def share_of(number, pieces, by_columns, sizes, width):
    """Piece `number` of all: (outer, inner) of its matrix, its rows i0 <= i < i1 and columns j0 <= j < j1."""
    matrix, piece = number // pieces, number % pieces
    i0, i1, j0, j1 = 0, sizes[2], 0, sizes[4]
    if pieces > 1 and by_columns:
        j0, j1 = _share(sizes[4], width, piece, pieces)
    elif pieces > 1:
        i0, i1 = _share(sizes[2], ROWS, piece, pieces)
    return matrix // sizes[1], matrix % sizes[1], i0, i1, j0, j1


@jit(nogil=True)
def multiply_part(
    a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, part, parts
):
    """Part `part` of `parts` of out = alpha * a b + beta * start, for batches of matrices.

    `sizes` are (batch, batch, n, k, m); the strides of a and b are those of both batch dimensions, rows and columns;
    those of start of both batch dimensions and rows (its columns are dense). `out` is dense.
    """
    outer, inner, n, k, m = sizes
    width = lanes(a)
    pieces, by_columns = share_out(sizes, width, parts)
    work = scratch(a, n, k, m, a_strides[2], a_strides[3], b_strides[2], b_strides[3])
    total = outer * inner * pieces
    for number in range(part * total // parts, (part + 1) * total // parts):
        x, y, i0, i1, j0, j1 = share_of(number, pieces, by_columns, sizes, width)
        if i0 < i1 and j0 < j1:
            gemm(
                a, a0 + x * a_strides[0] + y * a_strides[1] + i0 * a_strides[2], a_strides[2], a_strides[3],
                b, b0 + x * b_strides[0] + y * b_strides[1] + j0 * b_strides[3], b_strides[2], b_strides[3],
                start, s0 + x * s_strides[0] + y * s_strides[1] + i0 * s_strides[2] + j0, s_strides[2], has_start,
                alpha, beta, out, ((x * inner + y) * n + i0) * m + j0, m, i1 - i0, k, j1 - j0, work,
            )  # fmt: skip


@jit(nogil=True)
def vectors_part(
    a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, form, part, parts
):
    """`multiply_part` by the loops for vectors that `form` names."""
    outer, inner, n, k, m = sizes
    width = lanes(a)
    pieces, by_columns = share_out(sizes, width, parts)
    work = vector_scratch(a, k, form)
    total = outer * inner * pieces
    for number in range(part * total // parts, (part + 1) * total // parts):
        x, y, i0, i1, j0, j1 = share_of(number, pieces, by_columns, sizes, width)
        if i0 < i1 and j0 < j1:
            multiply_vectors(
                a, a0 + x * a_strides[0] + y * a_strides[1] + i0 * a_strides[2], a_strides[2], a_strides[3],
                b, b0 + x * b_strides[0] + y * b_strides[1] + j0 * b_strides[3], b_strides[2], b_strides[3],
                start, s0 + x * s_strides[0] + y * s_strides[1] + i0 * s_strides[2] + j0, s_strides[2], has_start,
                alpha, beta, out, ((x * inner + y) * n + i0) * m + j0, m, i1 - i0, k, j1 - j0, form, work,
            )  # fmt: skip


@jit(parallel=True)
def multiply_parallel(
    a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, parts
):
    """multiply_part for all parts, on as many threads."""
    for part in numba.prange(parts):
        multiply_part(
            a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes,
            np.int64(part), parts,
        )  # fmt: skip


@jit(parallel=True)
def vectors_parallel(
    a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, form, parts
):
    """vectors_part for all parts, on as many threads."""
    for part in numba.prange(parts):
        vectors_part(
            a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, form,
            np.int64(part), parts,
        )  # fmt: skip
