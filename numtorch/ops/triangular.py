"""Diagonals and triangles: diag, diag_embed, diagflat, tril, triu, trace, and the indices of triangles."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cpu import triangular as _kernels

from .._allocator import empty
from .._compiled import Compiled, compiled_pair
from .._copy import contiguous
from .._device import cpu
from .._dtype import float32, float64, int64
from .._primitive import primitive
from .._registry import op, register
from .._size import wrap_dim
from .._tensor import Tensor, wrap, wrap_as
from .._views import tracked
from .creation import eye, finish
from .few_places import fits
from .positions import PARALLEL_ELEMENTS, as_vectors

_trace = Compiled(_kernels.trace_forward, "xnnx")
#: Dtypes of small triangles that need no thought.
_SMALL = frozenset({float32, float64, int64})
_keep_triangle = compiled_pair(_kernels.keep_triangle, "xnnnbx")


@primitive("diagonal_copy_", node="DiagonalBackward0_copy", public=False)
def _diagonal_of(input, diagonal):
    flat = input._flat
    if flat is None or input._device is not cpu:
        return input.detach().diagonal(diagonal).clone()
    rows, columns = input._size
    first, count = (
        (diagonal, min(rows, columns - diagonal))
        if diagonal >= 0
        else (
            -diagonal * columns,
            min(rows + diagonal, columns),
        )
    )
    count = max(count, 0)
    out = flat[first : first + count * (columns + 1) : columns + 1][:count].copy() if count else flat[:0].copy()
    return wrap(out, (count,), input._dtype)


_diagonal_of.derivative(input=lambda ctx, grad: grad.new_zeros(ctx.input.shape).diagonal_scatter(grad, ctx.diagonal))


@op(out=True)
def diag(input, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    n = len(input._size)
    if n == 1:
        return diag_embed(input, diagonal)
    if n == 2:
        return _diagonal_of(input, diagonal)
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")


@op()
def diag_embed(input, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A tensor of zeros with the last dimension of `input` on the diagonal of two new dimensions."""
    n = len(input._size) + 1
    d1, d2 = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if d1 == d2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _diagonal_matrix(input, offset, d1, d2)


@primitive("diag_embed", node="DiagEmbedBackward0", public=False)
def _diagonal_matrix(input, offset, d1, d2):
    side = input._size[-1] + abs(offset)
    flat = input.flat() if input._device is cpu else None
    n = len(input._size) + 1
    if flat is not None and flat.size and (d1, d2) == (n - 2, n - 1):
        count = input._size[-1]
        out = np.zeros((flat.size // count, side * side), flat.dtype)
        first = offset if offset >= 0 else -offset * side
        out[:, first : first + count * (side + 1) : side + 1][:, :count] = flat.reshape(-1, count)
        return wrap(out.reshape(-1), (*input._size[:-1], side, side), input._dtype)
    size = list(input._size[:-1])
    size.insert(min(d1, d2), side)
    size.insert(max(d1, d2), side)
    result = input.new_zeros(size)
    result.diagonal(offset, d1, d2).copy_(input.detach())
    return result


_diagonal_matrix.derivative(input=lambda ctx, grad: grad.diagonal(ctx.offset, ctx.d1, ctx.d2))


@op()
def diagflat(input, offset: int = 0) -> Tensor:
    """The elements of any tensor as the diagonal of a matrix."""
    return diag_embed(input.reshape(-1), offset)


@op(function=False)
def fill_diagonal_(self, fill_value, wrap: bool = False) -> Tensor:
    """Write one value to the main diagonal; with `wrap`, of a tall matrix, again and again below it, a row left out."""
    size, stride = self._size, self._stride
    if len(size) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(size) > 2 and len(set(size)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    height, width = size[:2]
    flat = self._flat if len(size) == 2 and not wrap and not tracked(self) else None
    if flat is not None and self._device is cpu and fits(fill_value, self._dtype):
        # A contiguous matrix of which the graph knows nothing.
        flat[: min(height, width) * (width + 1) : width + 1] = fill_value
        self._get_storage().version += 1
        return self
    for row in range(0, height if wrap and len(size) == 2 else 1, width + 1):
        count = min(height - row, *size[1:])
        self.as_strided((count,), (sum(stride),), self._offset + row * stride[0]).fill_(fill_value)
    return self


@primitive(out=True)
def trace(input) -> Tensor:
    """The sum of a matrix's diagonal."""
    if len(input._size) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {len(input._size)}")
    flat, d = input._flat, input._dtype
    if flat is not None and (d is float32 or d is float64) and input._device is cpu:
        out = np.empty(1, flat.dtype)
        _trace[flat.dtype](flat, input._size[1] + 1, min(input._size), out)
        return wrap(out, (), d)
    return input.detach().diagonal().sum()


trace.derivative(input=lambda ctx, grad: grad * eye(*ctx.input.shape, dtype=grad.dtype, device=grad.device))


def _triangle(self: Tensor, diagonal: int, upper: bool) -> Tensor:
    source, size = self._flat, self._size
    if len(size) < 2:
        raise RuntimeError(f"{'triu' if upper else 'tril'}: input tensor must have at least 2 dimensions")
    if source.__class__ is np.ndarray and source.size < PARALLEL_ELEMENTS and self._dtype in _SMALL:
        held = source.dtype
        out = np.empty(source.size, held)
        _keep_triangle[False][held](source, size[-2], size[-1], diagonal, upper, out)
        return wrap_as(out, self)
    if source is None:
        source = contiguous(self)._flat
    rows, columns = self._size[-2:]
    out = empty(source.size, source.dtype)
    if out.size:
        x, to, parts = as_vectors(source, out)
        kernel = _keep_triangle[out.size >= PARALLEL_ELEMENTS][x.dtype]
        if parts == 1:
            kernel(x, rows, columns, diagonal, upper, to)
        else:  # complex128 as pairs: a column is two
            pairs = source.reshape(-1, columns)
            edge = np.arange(columns) - np.arange(pairs.shape[0])[:, None] % rows
            out.reshape(pairs.shape)[...] = np.where(edge >= diagonal if upper else edge <= diagonal, pairs, 0)
    return wrap(out, self._size, self._dtype)


@primitive(node="TrilBackward0", inplace=True, out=True)
def tril(self, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros above the diagonal given."""
    return _triangle(self, diagonal, False)


@primitive(node="TriuBackward0", inplace=True, out=True)
def triu(self, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros below the diagonal given."""
    return _triangle(self, diagonal, True)


tril.derivative(self=lambda ctx, grad: grad.tril(ctx.diagonal))
triu.derivative(self=lambda ctx, grad: grad.triu(ctx.diagonal))

_triangle_places = Compiled(_kernels.triangle_places, "nnnbnni")


def _lower_places(rows: int, columns: int, diagonal: int) -> int:
    """How many places of a matrix have j - i <= diagonal: min(max(i + diagonal + 1, 0), columns) in row i."""
    first = min(max(-diagonal, 0), rows)  # the first row that has any
    full = min(max(columns - diagonal - 1, first), rows)  # the first that has all
    growing = full - first
    return growing * (first + diagonal + 1) + growing * (growing - 1) // 2 + (rows - full) * columns


def triangle_flat(rows: int, columns: int, diagonal: int, upper: bool, as_pairs: bool = False) -> np.ndarray:
    """The rows of the places of a triangle and then their columns; as_pairs: each row beside its column."""
    count = _lower_places(rows, columns, diagonal - 1 if upper else diagonal)
    if upper:
        count = rows * columns - count
    flat = np.empty(2 * count, np.int64)
    step, apart = (2, 1) if as_pairs else (1, count)
    _triangle_places[flat.dtype](rows, columns, diagonal, upper, step, apart, flat)
    return flat


def _triangle_indices(name: str, upper: bool):
    def call(row, col, offset=0, *, dtype=int64, layout=None, device=None, pin_memory=False) -> Tensor:
        flat = triangle_flat(row, col, offset, upper)
        if dtype is not int64:
            flat = flat.astype(dtype.np)
        return finish(wrap(flat, (2, flat.size // 2), dtype), device, False)

    call.__name__ = name
    return register(name, call, method=False)


tril_indices = _triangle_indices("tril_indices", False)
triu_indices = _triangle_indices("triu_indices", True)

__all__ = ["diag", "diag_embed", "diagflat", "trace", "tril", "tril_indices", "triu", "triu_indices"]
