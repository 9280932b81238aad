"""Matrix products over flat buffers: the one place that chooses between BLAS and our own loops.

`mm` multiplies two dense matrices (each possibly stored transposed), `matmul` two strided batches of them.
float32, float64, complex64 and complex128 go to BLAS through numpy, which takes all four combinations of
transposes without a copy; small float products go to `small_matmul`, and the integers and bool, for which BLAS has
nothing, to `mm_forward` below.
"""

from __future__ import annotations

import math
import re
import warnings

import numpy as np
from numba import config, from_dtype, types

from ..compiler import entry_point, jit
from .small_matmul import SMALL, mm_small

# One panel of b: 64 * 256 * 8 bytes = 128 KiB stay in a level 2 cache.
_ROWS_PER_PANEL = 64
_COLUMNS_PER_PANEL = 256

# nan and inf are data here, as in torch; an errstate around each product would cost 0.4 us a call.
warnings.filterwarnings("ignore", ".* encountered in (dot|matmul|add)", RuntimeWarning, re.escape(__name__))

_dot, _matmul, _empty, _ndarray = np.dot, np.matmul, np.empty, np.ndarray


@jit(nogil=True)
def mm_forward(a, b, bias, out, n, k, m):
    """out[i, j] = bias[j] + sum_p a[i, p] b[p, j]; a (n, k), b (k, m), out (n, m) dense; bias (m,) or empty.

    Every sum runs over p in ascending order, whatever the sizes. For bool it is an OR of ANDs.
    """
    for i in range(n):
        row = out[i * m : (i + 1) * m]
        if bias.size:
            for j in range(m):
                row[j] = bias[j]
        else:
            for j in range(m):
                row[j] = 0
    for j0 in range(0, m, _COLUMNS_PER_PANEL):
        width = min(_COLUMNS_PER_PANEL, m - j0)
        for p0 in range(0, k, _ROWS_PER_PANEL):
            p1 = min(p0 + _ROWS_PER_PANEL, k)
            p4 = p0 + (p1 - p0) // 4 * 4
            for i in range(n):
                row = out[i * m + j0 : i * m + j0 + width]
                # Four rows of b at a time: a quarter of the loads and stores of the row of the result.
                for p in range(p0, p4, 4):
                    a0, a1, a2, a3 = a[i * k + p], a[i * k + p + 1], a[i * k + p + 2], a[i * k + p + 3]
                    q = p * m + j0
                    b0, b1 = b[q : q + width], b[q + m : q + m + width]
                    b2, b3 = b[q + 2 * m : q + 2 * m + width], b[q + 3 * m : q + 3 * m + width]
                    for j in range(width):
                        row[j] = (((row[j] + a0 * b0[j]) + a1 * b1[j]) + a2 * b2[j]) + a3 * b3[j]
                for p in range(p4, p1):
                    a0 = a[i * k + p]
                    b0 = b[p * m + j0 : p * m + j0 + width]
                    for j in range(width):
                        row[j] = row[j] + a0 * b0[j]


_small: dict = {}  # dtype -> (compiled mm_small, an empty array for "no bias")


def _compile_small(dtype):
    """The small product for float32 and float64; None for the rest (explicit vectors exist in compiled code only)."""
    if dtype.kind != "f" or dtype.itemsize < 4 or config.DISABLE_JIT:
        return None
    flat, size, flag = types.Array(from_dtype(dtype), 1, "C"), types.int64, types.boolean
    entry = entry_point(mm_small, (flat, flag, flat, flag, flat, flat, size, size, size))
    _small[dtype] = (entry, np.empty(0, dtype))
    return _small[dtype]


def mm(a, b, n: int, k: int, m: int, out=None, bias=None, transpose_a=False, transpose_b=False):
    """op(a) op(b) + bias as a flat array of n * m elements; op(a) is (n, k), op(b) is (k, m), bias (m,).

    `a` and `b` are flat and dense; with `transpose_a` the buffer of a holds a (k, n) matrix, with
    `transpose_b` that of b an (m, k) one. `out` has n * m elements and must not overlap the operands.
    """
    dtype = a.dtype
    if out is None:
        out = _empty(n * m, dtype)
    work = n * k * m
    if work <= SMALL:
        small = _small.get(dtype) or _compile_small(dtype)
        if small is not None:
            entry, none = small
            entry(a, transpose_a, b, transpose_b, none if bias is None else bias, out, n, k, m)
            return out
    kind = dtype.kind
    if kind == "f" or kind == "c":
        rows = out.reshape(n, m)
        _dot(
            a.reshape(k, n).T if transpose_a else a.reshape(n, k),
            b.reshape(m, k).T if transpose_b else b.reshape(k, m),
            rows,
        )
        if bias is not None and m:
            rows += bias
        return out
    if transpose_a:
        a = np.ascontiguousarray(a.reshape(k, n).T).reshape(-1)
    if transpose_b:
        b = np.ascontiguousarray(b.reshape(m, k).T).reshape(-1)
    mm_forward(a, b, out[:0] if bias is None else bias, out, n, k, m)
    return out


def matmul(a, a_offset: int, a_shape, a_strides, b, b_offset: int, b_shape, b_strides, out=None, bias=None):
    """a b + bias for strided batches: a (*batch, n, k), b (*batch, k, m) -> flat (*batch * n * m).

    Offsets and strides count elements. Both carry the same batch sizes: a broadcast batch dimension has
    stride 0. `bias` is a flat dense array (m,), added to every row. `out` must not overlap the operands.
    """
    n, k = a_shape[-2:]
    m = b_shape[-1]
    dtype = a.dtype
    if out is None:
        out = _empty(math.prod(a_shape[:-1]) * m, dtype)
    if out.size == 0:
        return out
    left = _view(a, a_offset, a_shape, a_strides)
    right = _view(b, b_offset, b_shape, b_strides)
    if dtype.kind in "fc":
        result = out.reshape(*a_shape[:-1], m)
        if len(a_shape) == 2:
            _dot(left, right, result)
        else:
            _matmul(left, right, result)
        if bias is not None:
            result += bias
        return out
    if bias is None:
        bias = out[:0]
    flat_left = left.reshape(-1)
    flat_right = right.reshape(-1)
    for batch in range(math.prod(a_shape[:-2])):
        i, p, o = batch * n * k, batch * k * m, batch * n * m
        mm_forward(flat_left[i : i + n * k], flat_right[p : p + k * m], bias, out[o : o + n * m], n, k, m)
    return out


def _view(buffer, offset, shape, strides):
    """The matrices as an array that BLAS takes as is: a view if rows or columns are dense, else a copy."""
    rows, columns = shape[-2:]
    row_stride, column_stride = strides[-2:]
    itemsize = buffer.dtype.itemsize
    view = _ndarray(shape, buffer.dtype, buffer, offset * itemsize, [s * itemsize for s in strides])
    # The stride of a dimension of one element is never followed, so it may be taken for what suits.
    if (column_stride == 1 or columns == 1) and (row_stride >= columns or rows == 1):
        return view
    if (row_stride == 1 or rows == 1) and (column_stride >= rows or columns == 1):
        return view
    return np.ascontiguousarray(view)
