"""The views written back: select_scatter, slice_scatter, diagonal_scatter, as_strided_scatter; and unravel_index."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._copy import copy_into
from .._device import cpu
from .._dtype import INTEGRAL, int64
from .._primitive import primitive
from .._registry import op
from .._size import Size, wrap_dim
from .._tensor import Tensor, wrap
from .._views import part_of
from .gather_scatter import copied
from .masking import nonzero
from .shape import slice_along


def _written(input: Tensor, src: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
    """A copy of input with `src` in part(copy)."""
    result = copied(input)
    view = part(result)
    if src._size != view._size:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src._size)}, slice size = "
            f"{list(view._size)}"
        )
    copy_into(view, src)
    if result._device is not cpu:
        return result.detach()
    return wrap(result._flat, result._size, result._dtype)


def _slice(t: Tensor, dim: int, start: int | None, end: int | None, step: int) -> Tensor:
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    d = wrap_dim(dim, len(t._size))
    first, last, step = slice(start, end, step).indices(t._size[d])
    return slice_along(t, d, first, max(first, last), step)


@primitive(out=True)
def select_scatter(input, src, dim: int, index: int) -> Tensor:
    """A copy of input with input.select(dim, index) replaced by src."""
    return _written(input, src, lambda t: t.select(dim, index))


select_scatter.derivative(
    input=lambda ctx, grad: grad.select_scatter(grad.new_zeros(ctx.src.shape), ctx.dim, ctx.index),
    src=lambda ctx, grad: grad.select(ctx.dim, ctx.index),
)


@primitive(out=True)
def slice_scatter(input, src, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """A copy of input with input[start:end:step] along dim replaced by src."""
    return _written(input, src, lambda t: _slice(t, dim, start, end, step))


slice_scatter.derivative(
    input=lambda ctx, grad: grad.slice_scatter(grad.new_zeros(ctx.src.shape), ctx.dim, ctx.start, ctx.end, ctx.step),
    src=lambda ctx, grad: _slice(grad, ctx.dim, ctx.start, ctx.end, ctx.step),
)


@primitive(out=True)
def diagonal_scatter(input, src, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of input with a diagonal replaced by src."""
    return _written(input, src, lambda t: t.diagonal(offset, dim1, dim2))


diagonal_scatter.derivative(
    input=lambda ctx, grad: grad.diagonal_scatter(grad.new_zeros(ctx.src.shape), ctx.offset, ctx.dim1, ctx.dim2),
    src=lambda ctx, grad: grad.diagonal(ctx.offset, ctx.dim1, ctx.dim2),
)


@primitive(out=True)
def as_strided_scatter(input, src, size, stride, storage_offset: int | None = None) -> Tensor:
    """A copy of input with the elements of an as_strided view replaced by src."""
    return _written(input, src, lambda t: t.as_strided(size, stride, storage_offset or 0))


as_strided_scatter.derivative(
    input=lambda ctx, grad: grad.contiguous().as_strided_scatter(
        grad.new_zeros(ctx.src.shape), ctx.size, ctx.stride, ctx.storage_offset
    ),
    src=lambda ctx, grad: part_of(grad, ctx.size, ctx.stride, ctx.storage_offset or 0),
)


@op(out=True)
def nonzero_static(input, *, size: int, fill_value: int = -1) -> Tensor:
    """nonzero with a fixed number of rows: cut off, or filled up with fill_value."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, but got {size}")
    found = nonzero(input)._nd()[:size]
    result = np.full((size, len(input._size)), fill_value, np.int64)
    result[: found.shape[0]] = found
    return wrap(result.reshape(-1), Size(result.shape), int64)


@op(method=False)
def unravel_index(indices, shape) -> tuple[Tensor, ...]:
    """The coordinates of flat positions in a tensor of `shape`, one tensor a dimension."""
    if not isinstance(indices, Tensor) or indices._dtype.category != INTEGRAL:
        given = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
        raise TypeError(f"expected 'indices' to be integer dtype, but got {given}")
    shape = tuple(shape) if hasattr(shape, "__iter__") else (shape,)
    if any(type(n) is not int for n in shape):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {shape}")
    if any(n < 0 for n in shape):
        raise ValueError(f"'shape' cannot have negative values, but got {shape}")
    rest = indices.detach()
    found = []
    for n in reversed(shape):
        found.append(rest.remainder(n))
        rest = rest.div(n, rounding_mode="floor")
    return tuple(reversed(found))
