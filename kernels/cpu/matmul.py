"""Matrix products over flat buffers: the one place that chooses the kernel, and the number of threads.

`mm` multiplies two dense matrices (each possibly stored transposed), `matmul` two strided batches of them.
float32 and float64 go to our own kernels (gemm.py, gemv.py); complex64 and complex128 to BLAS through numpy, which
takes all four combinations of transposes without a copy; the integers and bool, for which BLAS has nothing, to
`mm_forward` below.
"""

from __future__ import annotations

import math
import re
import warnings
from functools import lru_cache

import numpy as np
from numba import from_dtype, types

from .. import host
from ..compiler import entry_point, jit
from ..threads import get_num_threads
from .gemm_batches import (
    multiply_dense,
    multiply_parallel,
    multiply_part,
    vectors_dense,
    vectors_parallel,
    vectors_part,
)
from .gemm_halfs import halfs_parallel, halfs_part
from .gemm_pairs import pairs_parallel, pairs_part
from .gemv import (
    DOT,
    DOT_ROWS,
    LONG,
    LONG_COLUMNS,
    MATRIX_TIMES_COLUMN,
    ROW_TIMES_MATRIX,
    TILES,
    TRANSPOSED_TIMES_COLUMN,
    long_sums,
    vector_form,
)
from .small_matmul import SMALL, bmm_small_parallel, bmm_small_part, is_small, is_small_in_batch, mm_small

# One panel of b: 64 * 256 * 8 bytes = 128 KiB stay in a level 2 cache.
_ROWS_PER_PANEL = 64
_COLUMNS_PER_PANEL = 256

#: Multiply-adds from which threads share a product: 80**3 take 10 us on one core, and sharing costs 3 us. Products with
#: a vector wait for memory and reach 10 us sooner.
PARALLEL_WORK = 2**19
PARALLEL_VECTOR_WORK = 2**18
# Small matrices of a batch run at half the speed of large ones: 10 us on one core.
PARALLEL_SMALL_WORK = 2**18
# What a small matrix of a batch costs before its first multiply-add, counted in those: 20 ns.
_WORK_OF_A_MATRIX = 1000
# Parts for each thread: one that comes late leaves its second part to the others. Below this work one part each: every
# part packs what it shares with others again, 96**3 with a transposed b takes 11.5 us in two parts and 13.1 in four.
_PARTS = 2
_WORK_OF_SEVERAL_PARTS = 2**21

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


class _Kernels:
    """The compiled kernels of one dtype, each when it is first asked for.

    small               mm_small: the fewest instructions before the first multiply-add
    dense               one product on the calling thread
    bmm_small_part, bmm_small_parallel                      batches of small matrices, on one thread or several
    serial              strided batches, alpha and beta, on the calling thread
    parallel            the same on several threads
    long_sums           a long vector times a matrix of few columns
    vectors_dense, vectors_serial, vectors_parallel         those for what vector_form names
    """

    def __init__(self, dtype):
        self.none = np.empty(0, dtype)
        self.scalar = from_dtype(dtype)
        self.flat = types.Array(self.scalar, 1, "C")
        self.width = host.vector_bytes() // dtype.itemsize

    def __getattr__(self, name):
        kernel = _entries.get(name)
        if kernel is None:
            raise AttributeError(name)
        flat, size, flag = self.flat, types.int64, types.boolean
        if name in ("small", "dense", "vectors_dense"):
            signature = (flat, flag, flat, flag, flat, flat, size, size, size)
        elif name == "long_sums":
            signature = (flat, flat, flat, size, size)
        elif name.startswith("bmm_small"):
            operand = (flat, size, types.UniTuple(size, 3))
            signature = (*operand, *operand, flat, flat, *(size,) * 5)
        else:
            three, four, five = (types.UniTuple(size, n) for n in (3, 4, 5))
            operand = (flat, size, four)
            signature = (*operand, *operand, flat, size, three, flag, self.scalar, self.scalar, flat, five, size)
            if name.endswith("serial"):
                signature += (size,)
        if name.startswith("vectors"):
            signature += (size,)
        entry = entry_point(kernel, signature)
        setattr(self, name, entry)
        return entry


_entries = {
    "small": mm_small,
    "dense": multiply_dense,
    "long_sums": long_sums,
    "bmm_small_part": bmm_small_part,
    "bmm_small_parallel": bmm_small_parallel,
    "serial": multiply_part,
    "parallel": multiply_parallel,
    "vectors_dense": vectors_dense,
    "vectors_serial": vectors_part,
    "vectors_parallel": vectors_parallel,
}
_kernels = {np.dtype(name): _Kernels(np.dtype(name)) for name in ("float32", "float64")}
_float32 = np.dtype("float32")
_single = _kernels[_float32]  # found without hashing the dtype, which costs 80 ns


def kernels_of(dtype) -> _Kernels:
    """The compiled kernels of float32 or float64, for callers to whom every 100 ns count."""
    return _kernels[np.dtype(dtype)]


def in_small_batch(batch: int, n: int, k: int, m: int, width: int) -> bool:
    """Whether `bmm` takes bmm_small_part for such a batch, whatever the strides, on any number of threads."""
    return is_small_in_batch(n, k, m, 0, width) and batch * (n * k * m + _WORK_OF_A_MATRIX) < PARALLEL_SMALL_WORK


def _threads_for(work: int, n: int, m: int) -> int:
    """How many threads share a product of `work` multiply-adds."""
    if work < PARALLEL_VECTOR_WORK or (work < PARALLEL_WORK and n > 1 and m > 1):
        return 1
    return get_num_threads()


def _parts(work: int, threads: int) -> int:
    return threads * _PARTS if work >= _WORK_OF_SEVERAL_PARTS else threads


def mm(a, b, n: int, k: int, m: int, out=None, bias=None, transpose_a=False, transpose_b=False):
    """op(a) op(b) + bias as a flat array of n * m elements; op(a) is (n, k), op(b) is (k, m), bias (m,).

    `a` and `b` are flat and dense; with `transpose_a` the buffer of a holds a (k, n) matrix, with
    `transpose_b` that of b an (m, k) one. `out` has n * m elements and must not overlap the operands.
    """
    dtype = a.dtype
    if out is None:
        out = _empty(n * m, dtype)
    kernels = _single if dtype is _float32 else _kernels.get(dtype)
    if kernels is not None:
        if bias is None:
            bias = kernels.none
        work = n * k * m
        if work <= SMALL and is_small(n, k, m, transpose_b):
            kernels.small(a, transpose_a, b, transpose_b, bias, out, n, k, m)
            return out
        form = TILES
        if n == 1 and m == 1:
            form = DOT
        elif m == 1 and not bias.size:
            form = TRANSPOSED_TIMES_COLUMN if transpose_a else MATRIX_TIMES_COLUMN  # what vector_form says too
        elif m == 1 or n == 1 or k == 1 or (transpose_b and (n <= DOT_ROWS or m <= DOT_ROWS)):
            left, right = (1, n) if transpose_a else (k, 1), (1, k) if transpose_b else (m, 1)
            form = vector_form(n, k, m, *left, *right, 0 if bias.size else 1, kernels.width)
        if work >= LONG and form and n <= LONG_COLUMNS and m <= LONG_COLUMNS and not bias.size:
            if form in (DOT, ROW_TIMES_MATRIX):
                kernels.long_sums(a, b, out, k, m)
                return out
            if form == TRANSPOSED_TIMES_COLUMN:
                kernels.long_sums(b, a, out, k, n)
                return out
        if work < PARALLEL_VECTOR_WORK or (threads := _threads_for(work, n, m)) == 1:
            if form:
                kernels.vectors_dense(a, transpose_a, b, transpose_b, bias, out, n, k, m, form)
            else:
                kernels.dense(a, transpose_a, b, transpose_b, bias, out, n, k, m)
            return out
        arguments = (
            a, 0, (0, 0, 1, n) if transpose_a else (0, 0, k, 1), b, 0, (0, 0, 1, k) if transpose_b else (0, 0, m, 1),
            bias, 0, (0, 0, 0), bias.size > 0, 1.0, 1.0, out, (1, 1, n, k, m),
        )  # fmt: skip
        if form:
            kernels.vectors_parallel(*arguments, form, _parts(work, threads))
        else:
            kernels.parallel(*arguments, _parts(work, threads))
        return out
    if dtype.kind == "c":
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
    if dtype in _kernels:
        start = None if bias is None else (bias, 0, (0,) * (len(a_shape) - 1))
        return scaled_matmul(a, a_offset, a_shape, a_strides, b, b_offset, b_shape, b_strides, out, start)
    left = _view(a, a_offset, a_shape, a_strides)
    right = _view(b, b_offset, b_shape, b_strides)
    if dtype.kind == "c":
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


def bmm(a, a0: int, a_strides, b, b0: int, b_strides, batch: int, n: int, k: int, m: int, out):
    """out (batch * n * m) = a b for batches of float32 or float64 matrices: `matmul` with the least in front of it.

    The strides are those of the batch, rows and columns.
    """
    kernels = _single if out.dtype is _float32 else _kernels[out.dtype]
    if is_small_in_batch(n, k, m, b_strides[2], kernels.width):
        work = batch * (n * k * m + _WORK_OF_A_MATRIX)
        if work < PARALLEL_SMALL_WORK or (threads := get_num_threads()) == 1:
            kernels.bmm_small_part(a, a0, a_strides, b, b0, b_strides, kernels.none, out, 0, batch, n, k, m)
        else:
            parts = _parts(work, threads)
            kernels.bmm_small_parallel(a, a0, a_strides, b, b0, b_strides, kernels.none, out, batch, n, k, m, parts)
    elif batch * n * k * m < PARALLEL_VECTOR_WORK and n > DOT_ROWS and m > 1:
        kernels.serial(
            a, a0, (0, *a_strides), b, b0, (0, *b_strides), kernels.none, 0, (0, 0, 0), False, 1.0, 1.0,
            out, (1, batch, n, k, m), 0, 1,
        )  # fmt: skip
    else:
        _multiply(
            kernels, a, a0, (0, *a_strides), b, b0, (0, *b_strides), None, 0, (0, 0, 0), 1.0, 1.0, out,
            (1, batch, n, k, m),
        )  # fmt: skip
    return out


class _HalfKernels(dict):
    """The compiled kernels of gemm_pairs.py and gemm_halfs.py by (whether pairs, whether parallel), once asked for."""

    def __missing__(self, key):
        in_pairs, is_parallel = key
        halfs, singles, size = types.Array(types.uint16, 1, "C"), types.Array(types.float32, 1, "C"), types.int64
        operand = (halfs, size, types.UniTuple(size, 4))
        kind = () if in_pairs else (types.boolean,)
        cut = (size,) if is_parallel else (size, size)
        signature = (*operand, *operand, singles, halfs, types.UniTuple(size, 5), *kind, *cut)
        kernel = ((halfs_part, halfs_parallel), (pairs_part, pairs_parallel))[in_pairs][is_parallel]
        entry = self[key] = entry_point(kernel, signature)
        return entry


_half_kernels = _HalfKernels()
_MULTIPLIES_BFLOAT16 = host.multiplies_bfloat16()
_uint16 = np.dtype("uint16")


def half_matmul(a, a0: int, a_strides, b, b0: int, b_strides, batch: int, n: int, k: int, m: int, is_bfloat, bias=None):
    """a b + bias of batches of float16 or bfloat16 matrices as uint16, rounded once.

    The strides are those of the batch, rows and columns; bias (m,) is float32.
    """
    out = _empty(batch * n * m, _uint16)
    if bias is None:
        bias = _single.none
        if m == 1 and n > 1:
            # A column as a row: it would fill one lane of every vector.
            a, a0, b, b0, n, m = b, b0, a, a0, m, n
            (x, row, column), (y, row_b, column_b) = b_strides, a_strides
            a_strides, b_strides = (x, column, row), (y, column_b, row_b)
    work = batch * n * k * m
    in_pairs = is_bfloat and _MULTIPLIES_BFLOAT16
    if in_pairs:
        work //= 2  # what takes that long
    threads = 1 if work < PARALLEL_WORK else get_num_threads()
    kind = () if in_pairs else (is_bfloat,)
    cut = (0, 1) if threads == 1 else (_parts(work, threads),)
    if out.size:
        _half_kernels[in_pairs, threads > 1](
            a, a0, (0, *a_strides), b, b0, (0, *b_strides), bias, out, (1, batch, n, k, m), *kind, *cut
        )
    return out


def _multiply(kernels, a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, alpha, beta, out, sizes):
    """One call of the kernel for strided batches (see multiply_part); `start` may be None."""
    outer, inner, n, k, m = sizes
    form = TILES
    if m == 1 or n == 1 or k == 1 or (b_strides[2] == 1 and (n <= DOT_ROWS or m <= DOT_ROWS)):
        row_s = 1 if start is None else s_strides[2]
        form = vector_form(n, k, m, *a_strides[2:], *b_strides[2:], row_s, kernels.width)
    has_start = start is not None
    if not has_start:
        start = kernels.none
    work = outer * inner * n * k * m
    threads = 1 if work < PARALLEL_VECTOR_WORK else _threads_for(work, n, m)
    if threads == 1:
        kernel, tail = (kernels.vectors_serial, (form, 0, 1)) if form else (kernels.serial, (0, 1))
    else:
        parts = _parts(work, threads)
        kernel, tail = (kernels.vectors_parallel, (form, parts)) if form else (kernels.parallel, (parts,))
    kernel(a, a0, a_strides, b, b0, b_strides, start, s0, s_strides, has_start, alpha, beta, out, sizes, *tail)


def mm_added(a, b, start, n: int, k: int, m: int, alpha, beta, transpose_a=False, transpose_b=False, out=None):
    """alpha * op(a) op(b) + beta * start for float32 or float64, flat and dense as in `mm`; start (n, m).

    With beta 0 it is not read. `out` may be `start`.
    """
    kernels = _single if a.dtype is _float32 else _kernels[a.dtype]
    if out is None:
        out = _empty(n * m, a.dtype)
    if alpha == beta == 1 and is_small(n, k, m, True) and out.size:
        kernels.small(a, transpose_a, b, transpose_b, start, out, n, k, m)
    elif n > DOT_ROWS and m > 1 and n * k * m < PARALLEL_VECTOR_WORK:
        kernels.serial(
            a, 0, (0, 0, 1, n) if transpose_a else (0, 0, k, 1), b, 0, (0, 0, 1, k) if transpose_b else (0, 0, m, 1),
            start, 0, (0, 0, m), beta != 0, alpha, beta, out, (1, 1, n, k, m), 0, 1,
        )  # fmt: skip
    elif n > 1 and m == 1 and n * k < PARALLEL_VECTOR_WORK:
        kernels.vectors_serial(
            a, 0, (0, 0, 1, n) if transpose_a else (0, 0, k, 1), b, 0, (0, 0, 1, 1), start, 0, (0, 0, 1), beta != 0,
            alpha, beta, out, (1, 1, n, k, 1), TRANSPOSED_TIMES_COLUMN if transpose_a else MATRIX_TIMES_COLUMN, 0, 1,
        )  # fmt: skip
    elif out.size:
        _multiply(
            kernels, a, 0, (0, 0, 1, n) if transpose_a else (0, 0, k, 1), b, 0, (0, 0, 1, k) if transpose_b else (0, 0, m, 1),
            start if beta else None, 0, (0, 0, m), alpha, beta, out, (1, 1, n, k, m),
        )  # fmt: skip
    return out


def bmm_added(a, a0: int, a_strides, b, b0: int, b_strides, start, batch, n, k, m, alpha, beta, out=None):
    """alpha * a b + beta * start as `mm_added`, for batches as in `bmm`; start (batch, n, m) flat and dense."""
    kernels = _single if a.dtype is _float32 else _kernels[a.dtype]
    if out is None:
        out = _empty(batch * n * m, a.dtype)
    if alpha == beta == 1 and in_small_batch(batch, n, k, m, kernels.width):
        kernels.bmm_small_part(a, a0, a_strides, b, b0, b_strides, start, out, 0, batch, n, k, m)
    elif out.size:
        _multiply(
            kernels, a, a0, (0, *a_strides), b, b0, (0, *b_strides), start if beta else None, 0, (0, n * m, m),
            alpha, beta, out, (1, batch, n, k, m),
        )  # fmt: skip
    return out


def scaled_matmul(a, a0: int, a_shape, a_strides, b, b0: int, b_shape, b_strides, out, start=None, alpha=1.0, beta=1.0):
    """alpha * a b + beta * start for strided batches of float32 or float64, into the flat `out` (*batch * n * m).

    As `matmul`; `start` is (buffer, offset, strides of the batch dimensions and of rows), its columns are dense.
    """
    n, k = a_shape[-2:]
    m = b_shape[-1]
    rank = len(a_shape) - 2
    buffer, s0, s_strides = (None, 0, (0,) * (rank + 1)) if start is None else start
    if rank > 1:
        sizes, strides = _joined(tuple(a_shape[:-2]), (tuple(a_strides), tuple(b_strides), tuple(s_strides)))
        a_strides = (*strides[0], *a_strides[-2:])
        b_strides = (*strides[1], *b_strides[-2:])
        s_strides = (*strides[2], s_strides[-1])
        rank = len(sizes)
        if rank > 2:
            # The kernels follow two batch dimensions; those before them are followed here.
            part, sizes = math.prod(sizes[1:]) * n * m, tuple(sizes)
            for x in range(sizes[0]):
                scaled_matmul(
                    a, a0 + x * a_strides[0], (*sizes[1:], n, k), a_strides[1:],
                    b, b0 + x * b_strides[0], (*sizes[1:], k, m), b_strides[1:],
                    out[x * part : (x + 1) * part],
                    None if start is None else (buffer, s0 + x * s_strides[0], s_strides[1:]), alpha, beta,
                )  # fmt: skip
            return out
    else:
        sizes = a_shape[:-2]
    lead = (0,) * (2 - rank)
    sizes = ((1, 1), (1, *sizes), sizes)[rank]
    _multiply(
        _single if out.dtype is _float32 else _kernels[out.dtype],
        a, a0, (*lead, *a_strides), b, b0, (*lead, *b_strides), buffer, s0, (*lead, *s_strides), alpha, beta,
        out, (*sizes, n, k, m),
    )  # fmt: skip
    return out


@lru_cache(maxsize=1024)
def _joined(sizes, strides):
    """The batch dimensions with neighbours joined where every operand steps through both at one stride.

    Returns the sizes and, for each operand, its strides of the joined dimensions.
    """
    joined, steps = [], [[] for _ in strides]
    for d, size in enumerate(sizes):
        if size == 1 and (joined or d + 1 < len(sizes)):
            continue
        if joined and all(each[-1] == s[d] * size for each, s in zip(steps, strides)):
            joined[-1] *= size
            for each, s in zip(steps, strides):
                each[-1] = s[d]
        else:
            joined.append(size)
            for each, s in zip(steps, strides):
                each.append(s[d])
    return tuple(joined), tuple(tuple(each) for each in steps)


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
