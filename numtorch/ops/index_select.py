"""Whole parts along one dimension: index_select, index_add, index_copy, index_fill; and take and put, on flat
positions."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cpu import indexing as _kernels
from numtorch.kernels.cpu.row_indexing import ADD, SET

from .._allocator import empty
from .._copy import cast, cast_array, contiguous, copy_into
from .._device import cpu
from .._dtype import BOOL, COMPLEX, float32, int64
from .._inplace import write_out
from .._loops import check_devices
from .._primitive import primitive
from .._registry import op
from .._size import Size
from .._tensor import Tensor, wrap
from .._views import shares_elements
from . import positions as at
from .advanced_indexing import write_recorded
from .creation import filled
from .few_places import fits
from .gather_scatter import copied, dim_of, inplace, is_half, length, values_flat

# --- parts --------------------------------------------------------------------------------------------------


def _rows_selected(input: Tensor, dim: int, index: Tensor) -> Tensor | None:
    """The usual index_select in one kernel: dimensions that can be followed, a vector of int64; None for any other call."""
    if input._device is not cpu or index._device is not cpu or not input._size or type(dim) is not int:
        return None
    flat = index.flat()
    if flat is None or index._dtype is not int64 or len(index._size) != 1:
        return None
    plan = at.pick_plan(input._size, input._stride, dim, index._size)
    if plan is None:
        return None
    result, bad = at.pick(input, flat, 0, plan)
    if bad >= 0:
        raise IndexError("index out of range in self")
    return result


@op()
def index_select(input, dim: int, index, *, out=None) -> Tensor:
    """The parts of `input` at index (a vector) along dim, copied. IndexError outside 0 .. size - 1."""
    if out is None:
        result = None if input._requires_grad else _rows_selected(input, dim, index)
        return _index_select(input, dim, index) if result is None else result
    return write_out(_index_select(input, dim, index), out, "index_select")


@primitive("index_select", node="IndexSelectBackward0", save=("index",), public=False)
def _index_select(input, dim: int, index):
    result = _rows_selected(input, dim, index)
    if result is not None:
        return result
    d = dim_of(input, dim)
    if index._device is not input._device:
        check_devices((input, index))
    flat = at.check_vector(index, "index_select")
    if not input._size and flat.size != 1:
        raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {flat.size} value(s)")
    if at.first_bad(flat, length(input, d)) is not None:
        raise IndexError("index out of range in self")
    if input._device is not cpu:
        from ..cuda._indexing import index_select as on_cuda

        return on_cuda(input, d, flat, index._size.numel())
    places = at.along(input, d, flat)
    return wrap(at.read(input, places), places.size if input._size else Size(), input._dtype)


def _selected_gradient(ctx, grad):
    return _index_select_backward(grad, ctx.dim, ctx.index, ctx.input.shape)


_index_select.derivative(input=_selected_gradient)


@primitive("index_select_backward", node="IndexAddBackward0", save=("index",), public=False)
def _index_select_backward(grad, dim: int, index, size):
    """Zeros of `size` to which the parts of grad are added at index along dim."""
    d, flat = grad._dtype, index._flat
    plain = size and flat is not None and index._dtype is int64 and grad._device is cpu and index._device is cpu
    if plain and d.category != BOOL and d.np == d.compute and grad._size and grad._size.numel():
        _, outer, n, width = at.block_of(tuple(size), dim)
        values = contiguous(grad)._flat
        target = empty(outer * n * width, values.dtype)
        if at.write_rows(target[:0], True, flat, values, n, 0, -1, outer, width, ADD, target) < 0:
            return wrap(target, size, d)
    grad = grad.detach()
    return grad.new_zeros(size).index_add(dim, index, grad)


_index_select_backward.derivative(grad=lambda ctx, grad: grad.index_select(ctx.dim, ctx.index))


def check_source(self: Tensor, dim: int, flat: np.ndarray, source: Tensor, name: str) -> None:
    """`source` has one part for each index, of the size of self's parts."""
    own, given = list(self._size), list(source._size)
    if len(own) != len(given):
        raise _shape_mismatch(own, given)
    if length(source, dim) != flat.size:
        raise RuntimeError(
            f"{name}(): Number of indices ({flat.size}) should be equal to source.size(dim): "
            f"({length(source, dim)}), for dim: {dim}"
        )
    if source._dtype is not self._dtype:
        raise RuntimeError(
            f"{name}(): self ({self._dtype.type_name}) and source ({source._dtype.type_name}) must have the same "
            "scalar type"
        )
    if own[:dim] + own[dim + 1 :] != given[:dim] + given[dim + 1 :]:
        raise _shape_mismatch(own, given)


def _shape_mismatch(own: list[int], given: list[int]) -> RuntimeError:
    return RuntimeError(
        f"source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {own} "
        f"source.shape = {given}"
    )


def _rows_written(self: Tensor, dim: int, index: Tensor, source: Tensor, mode: int, in_place: bool) -> Tensor | None:
    """The usual index_add or index_copy in one kernel, in a copy of self or in place: contiguous, no broadcasting.

    None where the call is another one, or wrong: then nothing has happened."""
    d = self._dtype
    if source._dtype is not d or self._device is not cpu or index._device is not cpu or source._device is not cpu:
        return None
    held, flat, values = self.flat(), index.flat(), source.flat()
    if held is None or flat is None or values is None or index._dtype is not int64 or len(index._size) != 1:
        return None
    if mode == ADD and (d.category == BOOL or d.np != d.compute):
        return None
    size = self._size
    if not size or type(dim) is not int or not -len(size) <= dim < len(size):
        return None
    axis, outer, n, width = at.block_of(size, dim)
    if source._size != (*size[:axis], flat.size, *size[axis + 1 :]) or not values.size:
        return None
    if in_place:
        target, before = held, held[:0]
        if shares_elements(values, held):
            values = values.copy()
    else:
        target, before = empty(held.size, held.dtype), held
    if at.write_rows(before, False, flat, values, n, 0, -1, outer, width, mode, target) >= 0:
        return None
    return self if in_place else wrap(target, size, d)


def index_add_into(self: Tensor, dim: int, index: Tensor, source: Tensor, alpha=1) -> None:
    """self[index[i]] += alpha * source[i] along dim, in the memory of self: as often as an index occurs."""
    if alpha == 1 and _rows_written(self, dim, index, source, ADD, True) is not None:
        return
    d = dim_of(self, dim)
    if self._device is not index._device or self._device is not source._device:
        check_devices((self, index, source))
    flat = at.check_vector(index, "index_add_")
    check_source(self, d, flat, source, "index_add_")
    n = length(self, d)
    bad = at.first_bad(flat, n)
    if bad is not None:
        if len(self._size) > 2:
            raise IndexError("index out of range in self")
        raise RuntimeError(f"index {bad} is out of bounds for dimension {d} with size {n}")
    if self._device is not cpu:
        from ..cuda._indexing import index_add_into as on_cuda

        source = source.detach()
        on_cuda(self, d, flat, source if alpha == 1 else source * alpha)
        return
    values = values_flat(source, self)
    if is_half(self):
        wide = cast(contiguous(self), float32)
        at.accumulate(wide, at.along(wide, d, flat), _scaled(cast_array(values, self._dtype, float32), alpha))
        copy_into(self, cast(wide, self._dtype))
    else:
        at.accumulate(self, at.along(self, d, flat), _scaled(values, alpha))


def _scaled(values: np.ndarray, alpha) -> np.ndarray:
    return values if alpha == 1 else (values * values.dtype.type(alpha)).astype(values.dtype, copy=False)


def _source_rows(ctx, grad):
    return grad.index_select(ctx.dim, ctx.index).reshape(ctx.source.shape)


@primitive(save=("index",), out=True)
def index_add(input, dim: int, index, source, *, alpha=1) -> Tensor:
    """A copy of input with alpha * source added at index (a vector) along dim."""
    result = _rows_written(input, dim, index, source, ADD, False) if alpha == 1 else None
    if result is not None:
        return result
    result = copied(input)
    index_add_into(result, dim, index, source, alpha)
    return result


index_add.derivative(
    input=lambda ctx, grad: grad,
    source=lambda ctx, grad: _source_rows(ctx, grad) * ctx.alpha if ctx.alpha != 1 else _source_rows(ctx, grad),
)
inplace("index_add_", index_add, index_add_into)


def index_copy_into(self: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    """self[index[i]] = source[i] along dim, in the memory of self: the last one where an index occurs twice."""
    if _rows_written(self, dim, index, source, SET, True) is not None:
        return
    d = dim_of(self, dim)
    if len(index._size) > 1:
        raise IndexError("index_copy_(): Index should have dimension 1 or 0 (got " + str(len(index._size)) + ")")
    if index._dtype is not int64:
        raise RuntimeError(f"index_copy_(): Expected a long tensor for index, but got {index._dtype.type_name}")
    if self._dtype is not source._dtype:
        raise RuntimeError(
            f"index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{self._dtype.type_name} and (source) {source._dtype.type_name}"
        )
    flat = at.index_array(index)
    if not source._size and flat.size != 1:
        raise IndexError(f"index_copy_(): When source is scalar, index should have one element (got {flat.size})")
    if source._size and self._size and len(source._size) != len(self._size):
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source "
            f"dimensionality ({len(source._size)}), destination dimensionality ({len(self._size)})"
        )
    if source._size and self._size:
        own, given = list(self._size), list(source._size)
        if own[:d] + own[d + 1 :] != given[:d] + given[d + 1 :]:
            raise RuntimeError(
                "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
                f"{own[:d] + own[d + 1 :]} at dimension {d} and source slice shape: {given[:d] + given[d + 1 :]} at "
                f"dimension {d}."
            )
        if given[d] != flat.size:
            raise IndexError(
                f"index_copy_(): Number of indices ({flat.size}) should be equal to source.size(dim) ({given[d]})"
            )
    n = length(self, d)
    bad = at.first_bad(flat, n)
    if bad is not None:
        raise IndexError(f"index_copy_(): index {bad} is out of bounds for dimension {d} with size {n}")
    places = at.along(self, d, flat)
    if places.numel != source._size.numel():
        raise RuntimeError(f"index_copy_(): source of size {list(source._size)} does not fill {list(places.size)}")
    at.write(self, places, values_flat(source, self))


@primitive(save=("index",), out=True)
def index_copy(input, dim: int, index, source) -> Tensor:
    """A copy of input with the parts at index (a vector) along dim replaced by those of source."""
    result = _rows_written(input, dim, index, source, SET, False)
    if result is not None:
        return result
    result = copied(input)
    index_copy_into(result, dim, index, source)
    return result


index_copy.derivative(
    input=lambda ctx, grad: grad.index_fill(ctx.dim, ctx.index, 0),
    source=_source_rows,
)
inplace("index_copy_", index_copy, index_copy_into)


def _rows_filled(self: Tensor, dim: int, index: Tensor, value, in_place: bool) -> Tensor | None:
    """The usual index_fill in one kernel, in a copy of self or in place: contiguous, a real number.

    None where the call is another one, or wrong: then nothing has happened."""
    held, flat = self._flat, index._flat
    if held is None or flat is None or index._dtype is not int64 or len(index._size) != 1 or type(dim) is not int:
        return None
    if self._device is not cpu or index._device is not cpu or type(value) not in (int, float, bool):
        return None
    size = self._size
    if not size or not -len(size) <= dim < len(size) or not held.size:
        return None
    _, outer, n, width = at.block_of(size, dim)
    if fits(value, self._dtype):
        values = np.empty(width, held.dtype)
        values.fill(value)
    else:
        one = contiguous(filled((), value, self._dtype))._flat
        values = one if width == 1 else np.full(width, one[0], one.dtype)
    target, before = (held, held[:0]) if in_place else (empty(held.size, held.dtype), held)
    if at.write_rows(before, False, flat, values, n, -n, -1, outer, width, SET, target) >= 0:
        return None
    return self if in_place else wrap(target, size, self._dtype)


def index_fill_into(self: Tensor, dim: int, index: Tensor, value) -> None:
    """self[index[i]] = value along dim, in the memory of self; an index may count from the end."""
    if _rows_filled(self, dim, index, value, True) is not None:
        return
    d = dim_of(self, dim)
    if len(index._size) > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if index._dtype is not int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if isinstance(value, Tensor) and value._size:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{len(value._size)} dimension(s)."
        )
    if self._dtype.category != COMPLEX and isinstance(_plain_number(value), complex):
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    flat = at.index_array(index)
    n = length(self, d)
    bad = at.first_bad(flat, n, -n)
    if bad is not None:
        raise IndexError(f"index {bad} is out of bounds for dimension {d} with size {n}")
    flat = np.where(flat < 0, flat + n, flat)
    at.write(self, at.along(self, d, flat), contiguous(filled((), _plain_number(value), self._dtype))._flat)


def _plain_number(value):
    return value.item() if isinstance(value, Tensor) else value


def _index_filled(input, dim: int, index, value) -> Tensor:
    result = _rows_filled(input, dim, index, value, False)
    if result is not None:
        return result
    result = copied(input)
    index_fill_into(result, dim, index, value)
    return result


_fill_number = primitive("index_fill", node="IndexFillBackward0", save=("index",), public=False)(_index_filled)
_fill_number.derivative(input=lambda ctx, grad: grad.index_fill(ctx.dim, ctx.index, 0))
_fill_tensor = primitive("index_fill", node="IndexFillBackward1", save=("index",), public=False)(_index_filled)
_fill_tensor.derivative(
    input=lambda ctx, grad: grad.index_fill(ctx.dim, ctx.index, 0),
    value=lambda ctx, grad: grad.index_select(ctx.dim, ctx.index.unique()).sum(),
)


@op()
def index_fill(input, dim: int, index, value) -> Tensor:
    """A copy of input with one value (a number or a 0-d tensor) in the parts at index along dim."""
    return (_fill_tensor if isinstance(value, Tensor) else _fill_number)(input, dim, index, value)


@op(function=False)
def index_fill_(self, dim: int, index, value) -> Tensor:
    """In-place index_fill()."""
    prim = _fill_tensor if isinstance(value, Tensor) else _fill_number
    return write_recorded(self, prim, index_fill_into, dim, index, value)


# --- flat positions -----------------------------------------------------------------------------------------


def _flat_places(t: Tensor, index: Tensor, name: str) -> at.Places:
    """The places of flat positions in a tensor of any strides; negative ones count from the end."""
    if index._dtype is not int64:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {index._dtype.type_name}")
    flat = at.index_array(index)
    total = t._size.numel()
    if not total and flat.size:
        raise IndexError(f"{name}(): tried to {'take from' if name == 'take' else 'put elements into'} an empty tensor")
    base = np.zeros(flat.size, np.int64)
    sizes, strides = np.array(t._size, np.int64), np.array(t._stride, np.int64)
    bad = _kernels.flat_positions(flat, total, sizes, strides, base)
    if bad >= 0:
        raise _out_of_range(int(flat[bad]), total)
    return at.Places(at.positions((), (), t._offset), base, at.NOTHING, 1, index._size)


def _out_of_range(index: int, total: int) -> IndexError:
    return IndexError(f"out of range: tried to access index {index} on a tensor of {total} elements.")


@primitive(save=("index",), out=True)
def take(input, index) -> Tensor:
    """The elements of input at flat positions (row-major, negative ones from the end); the size is index's."""
    source, flat = input.flat(), index.flat()
    if source is not None and flat is not None and source.size and index._dtype is int64 and input._device is cpu:
        n = source.size
        result, bad = at.pick(input, flat, -n, at.pick_plan((n,), (1,), 0, index._size))
        if bad >= 0:
            raise _out_of_range(int(flat[bad]), n)
        return result
    return wrap(at.read(input, _flat_places(input, index, "take")), index._size, input._dtype)


take.derivative(input=lambda ctx, grad: grad.new_zeros(ctx.input.shape).put(ctx.index, grad, accumulate=True))


def put_into(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> None:
    """Element index[i] of self, as if flat, = (or, with `accumulate`, +=) source[i], in the memory of self."""
    if self._dtype is not source._dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{self._dtype.type_name} and source.dtype = {source._dtype.type_name}"
        )
    if index._size.numel() != source._size.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source._size.numel()}, index.numel() = {index._size.numel()}"
        )
    values = values_flat(source, self)
    held, flat = self._flat, index._flat
    direct = held is not None and flat is not None and held.size > 0 and values.size > 0 and index._dtype is int64
    if direct and self._device is cpu and not (accumulate and (self._dtype.category == BOOL or is_half(self))):
        n = held.size
        bad = at.write_rows(held[:0], False, flat, values, n, -n, -1, 1, 1, ADD if accumulate else SET, held)
        if bad >= 0:
            raise _out_of_range(int(flat[bad]), n)
        return
    places = _flat_places(self, index, "put_")
    if not accumulate:
        at.write(self, places, values)
    elif is_half(self):
        wide = cast(contiguous(self), float32)
        at.accumulate(wide, _flat_places(wide, index, "put_"), cast_array(values, self._dtype, float32))
        copy_into(self, cast(wide, self._dtype))
    else:
        at.accumulate(self, places, values)


@primitive(save=("index",))
def put(input, index, source, accumulate: bool = False) -> Tensor:
    """A copy of input with source written (or added) at flat positions."""
    result = copied(input)
    put_into(result, index, source, accumulate)
    return result


put.derivative(
    input=lambda ctx, grad: grad if ctx.accumulate else grad.put(ctx.index, grad.new_zeros(ctx.source.shape)),
    source=lambda ctx, grad: grad.take(ctx.index).reshape(ctx.source.shape),
)
inplace("put_", put, put_into)
