"""Masks: masked_fill, masked_select, masked_scatter and nonzero."""

from __future__ import annotations

import numpy as np

from numtorch.graph import no_grad
from numtorch.kernels.cpu import masks as _masks

from .._allocator import empty
from .._copy import cast_array, contiguous, copy_into
from .._device import cpu
from .._dtype import C_NAMES, COMPLEX, INTEGRAL, bool_, int64
from .._primitive import primitive
from .._registry import op
from .._size import Size, broadcast_size
from .._tensor import Tensor, wrap
from . import positions as at
from .advanced_indexing import write_recorded
from .creation import filled
from .few_places import fits
from .gather_scatter import copied, inplace
from .true_places import FEW, few_coordinates, few_coordinates_apart, selected, true_ends, true_positions

_coordinates = at.compiled_pair(_masks.coordinates_of, "iix")
_masked_scatter = at.compiled_pair(_masks.masked_scatter_block, "xmixx")
_INT64 = np.dtype(np.int64)
_NONE = np.empty(0, _INT64)


def _mask_flat(mask: Tensor, size: Size) -> np.ndarray:
    """The mask broadcast to `size`, as a flat bool array."""
    return contiguous(mask if mask._size == size else mask.expand(size))._flat


# --- masked_fill --------------------------------------------------------------------------------------------


def _check_fill(self: Tensor, mask: Tensor, value) -> object:
    """The value as a number; RuntimeError in torch's words."""
    if isinstance(value, Tensor):
        if value._size:
            raise RuntimeError(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{len(value._size)} dimension(s)."
            )
        value = value.item()
    if mask._dtype is not bool_:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {C_NAMES[mask._dtype.name]}"
        )
    if isinstance(value, complex) and self._dtype.category != COMPLEX:
        raise RuntimeError(f"value cannot be converted to type {C_NAMES[self._dtype.name]} without overflow")
    if isinstance(value, float) and self._dtype.category <= INTEGRAL and not np.isfinite(value):
        raise RuntimeError(f"value cannot be converted to type {self._dtype.name}_t without overflow")
    return value


def masked_fill_into(self: Tensor, mask: Tensor, value) -> None:
    """self[mask] = value in the memory of self; the mask is broadcast to self."""
    held, flat = self._flat, mask._flat
    laid = held is not None and flat is not None and self._device is cpu and mask._device is cpu
    if laid and mask._dtype is bool_ and mask._size == self._size and fits(value, self._dtype):
        at.fill_flat(held, flat, value)
        return
    number = _check_fill(self, mask, value)
    if broadcast_size(self._size, mask._size) != self._size:
        raise RuntimeError(
            f"output with shape {list(self._size)} doesn't match the broadcast shape "
            f"{list(broadcast_size(self._size, mask._size))}"
        )
    if self._device is not cpu or mask._device is not cpu:
        with no_grad():
            copy_into(self, self.new_full((), number).where(mask, self.detach()))
        return
    flat_mask = _mask_flat(mask, self._size)
    value = contiguous(filled((), number, self._dtype))._flat
    if self.flat() is not None:
        to = at.as_moved(self._flat)
        at.masked_fill[to.size >= at.PARALLEL_ELEMENTS][to.dtype](to, flat_mask, at.as_moved(value)[0], to)
        return
    places = at.positions(tuple(self._size), self._stride, self._offset)[true_positions(flat_mask)]
    at.write(self, at.Places(at.ORIGIN, places, at.NOTHING, 1, Size((places.size,))), value)


def _filled_copy(input: Tensor, mask: Tensor, value) -> Tensor | None:
    """masked_fill of a contiguous tensor in one pass over it; None for other calls, and wrong ones."""
    held, flat = input._flat, mask._flat
    if held is None or flat is None or mask._dtype is not bool_ or input._device is not cpu or mask._device is not cpu:
        return None
    if mask._size != input._size:
        # A mask over the last dimensions serves each run of as many elements again.
        if not flat.size or len(mask._size) > len(input._size):
            return None
        size = mask._size
        while size and size[0] == 1:
            size = size[1:]
        if size != input._size[len(input._size) - len(size) :]:
            return None
    d = held.dtype
    if flat.size == 1 and held.size > 1:  # all of it or nothing
        number = _check_fill(input, mask, value)
        return (
            wrap(contiguous(filled(input._size, number, input._dtype))._flat, input._size, input._dtype)
            if flat[0]
            else copied(input)
        )
    if (type(value) is float or type(value) is int) and d.char in "fd":  # float32, float64: all numbers will do
        out = empty(held.size, d)
        at.masked_fill[held.size >= at.PARALLEL_ELEMENTS][d](held, flat, d.type(value), out)
        return wrap(out, input._size, input._dtype)
    number = contiguous(filled((), _check_fill(input, mask, value), input._dtype))._flat
    out = empty(held.size, d)
    held, to = at.as_moved(held), at.as_moved(out)
    at.masked_fill[held.size >= at.PARALLEL_ELEMENTS][to.dtype](held, flat, at.as_moved(number)[0], to)
    return wrap(out, input._size, input._dtype)


def _masked_filled(input, mask, value) -> Tensor:
    result = _filled_copy(input, mask, value)
    if result is not None:
        return result
    size = broadcast_size(input._size, mask._size)
    result = copied(input if input._size == size else input.expand(size))
    masked_fill_into(result, mask, value)
    return result


def _unmasked(ctx, grad):
    return grad.masked_fill(ctx.mask, 0).sum_to_size(ctx.input.shape)


_fill_number = primitive("masked_fill", node="MaskedFillBackward0", save=("mask",), public=False)(_masked_filled)
_fill_number.derivative(input=_unmasked)
_fill_tensor = primitive("masked_fill", node="MaskedFillBackward1", save=("mask",), public=False)(_masked_filled)
_fill_tensor.derivative(input=_unmasked, value=lambda ctx, grad: grad.masked_fill(~ctx.mask, 0).sum())


@op()
def masked_fill(input, mask, value) -> Tensor:
    """A copy of input with one value (a number or a 0-d tensor) where mask (bool, broadcast) is true."""
    return (_fill_tensor if isinstance(value, Tensor) else _fill_number)(input, mask, value)


@op(function=False)
def masked_fill_(self, mask, value) -> Tensor:
    """In-place masked_fill()."""
    prim = _fill_tensor if isinstance(value, Tensor) else _fill_number
    return write_recorded(self, prim, masked_fill_into, mask, value)


# --- masked_select and masked_scatter -----------------------------------------------------------------------


@primitive(save=("mask",), out=True)
def masked_select(input, mask) -> Tensor:
    """The elements of input where mask (bool) is true, in row-major order of their common broadcast size."""
    if mask._dtype is not bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    if input._flat is not None and mask._flat is not None and mask._size == input._size and input._device is cpu:
        out = selected(input._flat, mask._flat)
        return wrap(out, Size(out.shape), input._dtype)
    size = broadcast_size(input._size, mask._size)
    flat_mask = _mask_flat(mask, size)
    source = contiguous(input if input._size == size else input.expand(size))
    out = selected(source._flat, flat_mask)
    return wrap(out, (out.size,), input._dtype)


def _unselected(ctx, grad):
    """The selected gradients back in their places."""
    size = broadcast_size(ctx.input.shape, ctx.mask._size)
    return grad.new_zeros(size).masked_scatter(ctx.mask, grad).sum_to_size(ctx.input.shape)


masked_select.derivative(input=_unselected)


def masked_scatter_into(self: Tensor, mask: Tensor, source: Tensor) -> None:
    """self[mask] = the first elements of source, in order, in the memory of self; the mask is broadcast to self."""
    if mask._dtype is not bool_:
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask._dtype.type_name}"
        )
    if self._dtype is not source._dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{self._dtype.type_name} and {source._dtype.type_name}"
        )
    flat_mask = _mask_flat(mask, self._size)
    count, ends = true_ends(flat_mask)
    if source._size.numel() < count:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    if not count:
        return
    if self.flat() is not None:
        values, to = contiguous(source)._flat, self._flat
        if np.may_share_memory(values, to):
            values = values.copy()
        values, to = at.as_moved(values), at.as_moved(to)
        _masked_scatter[to.size >= at.PARALLEL_ELEMENTS][to.dtype](to, flat_mask, ends, values, to)
        return
    base = at.positions(tuple(self._size), self._stride)[true_positions(flat_mask)]
    values = contiguous(source)._flat[: base.size].copy()
    origin = np.array([self._offset], np.int64)
    at.write(self, at.Places(origin, base, at.NOTHING, 1, Size((base.size,))), values)


@primitive(save=("mask",))
def masked_scatter(input, mask, source) -> Tensor:
    """A copy of input whose places where mask is true take the elements of source in order."""
    size = broadcast_size(input._size, mask._size)
    result = copied(input if input._size == size else input.expand(size))
    masked_scatter_into(result, mask, source)
    return result


def _source_gradient(ctx, grad):
    """The gradients of the elements used; the rest of source gets zeros."""
    used = grad.masked_select(ctx.mask)
    unused = ctx.source.numel() - used.numel()
    if unused:
        from .joining import cat

        used = cat((used, used.new_zeros(unused)))
    return used.reshape(ctx.source.shape)


masked_scatter.derivative(
    input=lambda ctx, grad: grad.masked_fill(ctx.mask, 0).sum_to_size(ctx.input.shape),
    source=_source_gradient,
)
inplace("masked_scatter_", masked_scatter, masked_scatter_into)


# --- nonzero ------------------------------------------------------------------------------------------------


def _is_true(t: Tensor) -> np.ndarray:
    flat = contiguous(t)._flat
    return flat if t._dtype is bool_ else cast_array(flat, t._dtype, bool_)


@op(out=True)
def nonzero(input, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    """The coordinates of the elements that are not zero, (count, ndim) int64; as_tuple: one tensor a dimension."""
    if as_tuple:
        if not input._size:
            return nonzero(input.unsqueeze(0), as_tuple=True)
        flat = input._flat
        if flat.__class__ is np.ndarray and flat.size <= FEW and input._dtype.np is input._dtype.compute:
            # (The result of n dimensions and n views of it take three times as long.)
            return tuple([wrap(found, (found.size,), int64) for found in few_coordinates_apart(flat, input._size)])
        return tuple(nonzero(input).unbind(1))
    flat, ndim = input._flat, len(input._size)
    if flat.__class__ is np.ndarray and flat.size <= FEW and input._dtype.np is input._dtype.compute:
        if not ndim:
            return wrap(_NONE, (int(flat[0] != 0), 0), int64)
        one = ndim == 1 and input._dtype is bool_
        found = true_positions(flat) if one else few_coordinates(flat, input._size)
        return wrap(found, Size((found.size // ndim, ndim)), int64)
    found = true_positions(_is_true(input))
    if ndim == 1:
        return wrap(found, Size((found.size, 1)), int64)
    out = empty(found.size * ndim, _INT64)
    if out.size:
        kernel = _coordinates[found.size >= at.PARALLEL_ELEMENTS][_INT64]
        kernel(found, np.array(input._size, np.int64), out)
    return wrap(out, (found.size, ndim), int64)


@op()
def argwhere(input) -> Tensor:
    """The coordinates of the elements that are not zero, (count, ndim) int64."""
    return nonzero(input)
