"""`x[...]` and `x[...] = v`: basic indexing as views, and indexing with tensors.

An index expression is taken apart once (`_take_apart`): integers, slices, None and ... turn into a view; what
remains is a tuple of `Index` entries (a tensor, list or mask for one or more dimensions of that view).
`index` reads there, and `index_put` writes.
"""

from __future__ import annotations

import warnings
from math import prod

import numpy as np

from numtorch.graph import Node, mode
from numtorch.kernels.cpu.row_indexing import SET

from .._copy import contiguous, copy_elements, strided
from .._device import cpu
from .._dtype import bool_, int64, uint8
from .._inplace import check_writable
from .._primitive import primitive
from .._size import Size, contiguous_strides, is_contiguous, is_dense, may_overlap, overlap
from .._tensor import Tensor, wrap
from .._views import make_view
from .advanced_indexing import (
    Index,
    check_put_dtype,
    common_shape,
    entry_of,
    index,
    put_at,
    put_into,
    write_recorded,
)
from .basic_views import basic_geometry, basic_place, basic_view_at, first_dim, slice_bounds, sliced
from .block_writes import block_copied, block_filled
from .creation import filled
from .few_places import few_indexed, few_put, fits
from .from_data import tensor
from .positions import fill_flat, pick, pick_plan, read_rows, write_rows
from .shape import SelectBackward0, select, slice_along, unsqueeze
from .true_places import selected, true_positions

# Elements up to which x[i] = number writes the number out: one for each place.
_FILLED = 4096

# --- gradients of the basic views ---------------------------------------------------------------------------


def placed_on_cuda(grad: Tensor, input_size, view) -> Tensor:
    """Zeros of input_size, of which view(zeros) is `grad`."""
    from ..cuda._transfer import copy_elements, filled

    zeros = filled(input_size, 0, grad._dtype, grad._device)
    copy_elements(grad, view(zeros))
    return zeros


def _placed(grad: Tensor, input_size, offset: int, stride: tuple[int, ...]) -> Tensor:
    """Zeros of input_size with `grad` at the places that begin at `offset` and have these strides."""
    zeros = wrap(np.zeros(prod(input_size), grad._dtype.np), input_size, grad._dtype)
    if not block_copied(zeros._flat, offset, grad._size, stride, grad):
        copy_elements(grad, strided(zeros._get_storage(), grad._size, stride, offset, grad._dtype))
    return zeros


@primitive(node="SelectBackwardBackward0", public=False)
def select_backward(grad, input_size, dim: int, index: int) -> Tensor:
    """Zeros of input_size with `grad` at one index of a dimension."""
    if grad._device is not cpu:
        return placed_on_cuda(grad, input_size, lambda zeros: zeros.select(dim, index))
    stride = contiguous_strides(input_size)
    return _placed(grad, input_size, index * stride[dim], stride[:dim] + stride[dim + 1 :])


select_backward.derivative(grad=lambda ctx, grad: grad.select(ctx.dim, ctx.index))


@primitive(node="SliceBackwardBackward0", public=False)
def slice_backward(grad, input_size, dim: int, start: int, step: int) -> Tensor:
    """Zeros of input_size with `grad` at start, start + step, ... of a dimension."""
    if grad._device is not cpu:
        place = (slice(None),) * dim + (slice(start, start + grad._size[dim] * step, step),)
        return placed_on_cuda(grad, input_size, lambda zeros: zeros[place])
    stride = contiguous_strides(input_size)
    return _placed(grad, input_size, start * stride[dim], (*stride[:dim], stride[dim] * step, *stride[dim + 1 :]))


slice_backward.derivative(
    grad=lambda ctx, grad: slice_along(
        grad,
        ctx.dim,
        ctx.start,
        min(ctx.start + ctx.grad.shape[ctx.dim] * ctx.step, grad._size[ctx.dim]),
        ctx.step,
    )
)


@primitive(node="DiagonalBackwardBackward0", public=False)
def diagonal_backward(grad, input_size, offset: int, dim1: int, dim2: int) -> Tensor:
    """Zeros of input_size with `grad` on a diagonal of two dimensions."""
    if grad._device is not cpu:
        return placed_on_cuda(grad, input_size, lambda zeros: zeros.diagonal(offset, dim1, dim2))
    stride = list(contiguous_strides(input_size))
    first, second = stride[dim1], stride[dim2]
    rest = [step for d, step in enumerate(stride) if d not in (dim1 % len(stride), dim2 % len(stride))]
    start = offset * second if offset >= 0 else -offset * first
    return _placed(grad, input_size, start, (*rest, first + second))


diagonal_backward.derivative(grad=lambda ctx, grad: grad.diagonal(ctx.offset, ctx.dim1, ctx.dim2))


class AliasBackward0(Node):
    def apply(self, grads) -> tuple:
        return grads


# --- the expression -----------------------------------------------------------------------------------------


def _getitem(self: Tensor, key):
    kind = type(key)
    if kind is int:
        if not self._size:
            raise _out_of_bounds(key, 0, 0) if key else _no_dimension()
        n, step, size, stride = first_dim(self._size, self._stride)
        if key < 0:
            key += n
            if key < 0:
                raise _out_of_bounds(key - n, 0, n)
        elif key >= n:
            raise _out_of_bounds(key, 0, n)
        if _plain(self):
            return basic_view_at(self, size, stride, self._offset + key * step)
        return make_view(self, size, stride, self._offset + key * step, SelectBackward0, dim=0, index=key)
    if kind is slice:
        if not self._size:
            raise IndexError("slice() cannot be applied to a 0-dim tensor.")
        if _plain(self):
            start, stop, by = key.start, key.stop, key.step
            if (start is None or type(start) is int) and (stop is None or type(stop) is int) and by is None:
                size, offset = sliced(self._size, self._stride, start, stop)
                return basic_view_at(self, size, self._stride, self._offset + offset)
        n, step, size, stride = first_dim(self._size, self._stride)
        return slice_along(self, 0, *slice_bounds(key, n))
    if kind is tuple:
        if _plain(self):
            result = few_indexed(self, key)
            if result is not None:
                return result
        else:
            dim = _only_number(key)
            if dim >= 0 and len(key) <= len(self._size) and -self._size[dim] <= key[dim] < self._size[dim]:
                return select(self, dim, key[dim])
            result = _indexed_by_tensors(self, key)
            if result is not None:
                return result
    elif key is None:
        if _plain(self):
            size, stride, _ = basic_geometry(self._size, self._stride, (None,))
            return basic_view_at(self, size, stride, self._offset)
    elif kind is Tensor and key._device is cpu:
        if not key._size and self._size and key._dtype.category == int64.category:
            return _getitem(self, key.item())
        result = _indexed_by_one(self, key)
        if result is None and _plain(self):
            result = few_indexed(self, (key,))
        if result is not None:
            return result
    elif kind is list or kind is range:
        if _plain(self):
            result = few_indexed(self, (key,))
        elif key and set(map(type, key)) == {int} and self._device is cpu:
            result = _indexed_by_one(self, tensor(list(key)))
        else:
            result = None
        if result is not None:
            return result
    view, entries = _take_apart(self, key)
    if entries:
        return index(view, entries)
    if view is self:
        return make_view(self, self._size, self._stride, self._offset, AliasBackward0)
    return view


def _only_number(key: tuple) -> int:
    """Where the integer of `x[:, 3]` or `x[:, -1, :]` stands among whole dimensions; -1 for other expressions."""
    found = -1
    for position, each in enumerate(key):
        if each.__class__ is int:
            if found >= 0:
                return -1
            found = position
        elif each.__class__ is not slice or each != _ALL:
            return -1
    return found


def _indexed_by_one(self: Tensor, key: Tensor) -> Tensor | None:
    """self[key] for the usual cases, a vector of int64 or a mask of self's size, in one kernel; None for others."""
    source, flat = self.flat(), key.flat()
    if flat is None or not self._size or not key._size or self._device is not cpu:
        return None
    d = key._dtype
    if d is int64:
        plan = pick_plan(self._size, self._stride, 0, key._size)
        if plan is None:
            return None
        n = plan[0]
        result, bad = pick(self, flat, -n, plan)
        if bad >= 0:
            raise _out_of_bounds(int(flat[bad]), 0, n)
    elif d is not bool_ or source is None:
        return None
    else:
        result = few_indexed(self, (key,)) if source.size < _FILLED else None
        if result is not None:
            pass
        elif key._size == self._size:
            out = selected(source, flat)
            result = wrap(out, Size((out.size,)), self._dtype)
        elif source.size and key._size == self._size[: len(key._size)]:
            # A mask over the first dimensions: the rows where it is true.
            rows, rest = true_positions(flat), self._size[len(key._size) :]
            out, _ = read_rows(source, rows, flat.size, 0, 1, source.size // flat.size)
            result = wrap(out, Size((rows.size, *rest)), self._dtype)
        else:
            return None
    if self._requires_grad and mode.enabled:
        index.primitive.record((self, (entry_of(key, 0, self._size),)), {}, result)
    return result


def _indexed_by_tensors(self: Tensor, key: tuple) -> Tensor | None:
    """self[i, j] for index tensors of int64 alone, recorded; None for others."""
    for each in key:
        if each.__class__ is not Tensor or each._dtype is not int64 or not each._size:
            return None
    result = few_indexed(self, key) if key and self._device is cpu else None
    if result is not None and self._requires_grad and mode.enabled:
        entries = tuple([entry_of(each, dim, self._size) for dim, each in enumerate(key)])
        index.primitive.record((self, entries), {}, result)
    return result


def _plain(t: Tensor) -> bool:
    """Whether a view of `t` needs no node and no version of its base."""
    if t._requires_grad or t._device is not cpu:
        return False
    base = t._base
    return base is None or not base._requires_grad


def _no_dimension() -> IndexError:
    return IndexError(
        "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
        "0-dim tensor to a number"
    )


def _out_of_bounds(i: int, dim: int, n: int) -> IndexError:
    return IndexError(f"index {i} is out of bounds for dimension {dim} with size {n}")


def _is_legacy_tuple(key: list) -> bool:
    """torch still reads a short list that holds a sequence, slice, tensor or None as a tuple of indices."""
    return len(key) < 32 and any(
        each is None or each is Ellipsis or isinstance(each, (list, tuple, slice, Tensor, np.ndarray)) for each in key
    )


def _items(key) -> tuple:
    if isinstance(key, tuple):
        return tuple(key)
    if isinstance(key, list) and _is_legacy_tuple(key):
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch "
            "2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index, "
            "x[torch.tensor(seq)], which will result either in an error or a different result",
            UserWarning,
            stacklevel=4,
        )
        return tuple(key)
    return (key,)


def _as_tensor(each) -> Tensor:
    """A list, range or array in an index expression as a tensor."""
    if isinstance(each, np.ndarray):
        return tensor(each)
    values = list(each)
    if not values:
        return wrap(np.empty(0, np.int64), (0,), int64)
    return tensor(values)


def _prepare(each):
    """One item of the expression as an int, bool, slice, None, Ellipsis or Tensor."""
    kind = type(each)
    if kind is int or kind is slice or kind is Tensor or kind is bool or each is None or each is Ellipsis:
        return each
    if isinstance(each, Tensor):
        return each
    if isinstance(each, (list, tuple, range, np.ndarray)):
        if isinstance(each, np.ndarray) and each.ndim == 0 and each.dtype.kind in "iu":
            return int(each)
        return _as_tensor(each)
    if isinstance(each, np.bool_):
        return bool(each)
    if isinstance(each, str):
        raise TypeError("new(): invalid data type 'str'")
    if hasattr(each, "__index__"):
        return each.__index__()
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
        f"{type(each).__name__})"
    )


# What _prepare leaves as it is.
_PREPARED = {int, slice, Tensor, bool}
_ALL = slice(None)


def _consumes(each) -> int:
    """How many dimensions of the tensor an item uses up."""
    if each is None or each is Ellipsis or type(each) is bool:
        return 0
    if isinstance(each, Tensor) and (each._dtype is bool_ or each._dtype is uint8):
        return len(each._size)
    return 1


def _take_apart(self: Tensor, key) -> tuple[Tensor, tuple[Index, ...]]:
    """The view that the basic part of an index expression makes, and the entries that remain for it."""
    items = [each if each.__class__ in _PREPARED else _prepare(each) for each in _items(key)]
    ndim = len(self._size)
    specified = 0
    for each in items:
        specified += 1 if each.__class__ is int or each.__class__ is slice else _consumes(each)
    if specified > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    view, dim = self, 0
    tensors: list[tuple[int, Tensor]] = []
    for position, each in enumerate(items):
        if each.__class__ is int:
            view = _select_item(view, dim, each, position)
        elif each is Ellipsis:
            dim += ndim - specified
        elif each is None:
            view = unsqueeze(view, dim)
            dim += 1
        elif type(each) is bool:
            view = unsqueeze(view, dim)
            tensors.append((dim, wrap(np.zeros(1 if each else 0, np.int64), (1 if each else 0,), int64)))
            dim += 1
        elif isinstance(each, slice):
            n = view._size[dim]
            start, stop, step = (0, n, 1) if each == _ALL else slice_bounds(each, n)
            if each.start not in (None, 0) or stop != n or step != 1:
                view = slice_along(view, dim, start, stop, step)
            dim += 1
        elif isinstance(each, Tensor):
            d = each._dtype
            if not each._size and (d is bool_ or d is uint8):
                view = unsqueeze(view, dim)
                true = 1 if each.item() else 0
                tensors.append((dim, wrap(np.zeros(true, np.int64), (true,), int64)))
                dim += 1
            elif not each._size and d.category == int64.category:
                view = _select_item(view, dim, each.item(), position)
            else:
                tensors.append((dim, each))
                dim += len(each._size) if d is bool_ or d is uint8 else 1
        else:
            view = _select_item(view, dim, each, position)
    return view, tuple(entry_of(each, d, view._size) for d, each in tensors)


def _select_item(view: Tensor, dim: int, i: int, position: int) -> Tensor:
    """One index of a dimension; an error names the item's position in the expression, as torch's does."""
    n = view._size[dim]
    if not -n <= i < n:
        raise _out_of_bounds(i, position, n)
    return select(view, dim, i)


# --- assignment ---------------------------------------------------------------------------------------------


def _value_tensor(value, like: Tensor) -> Tensor:
    """The right-hand side as a tensor; a number takes the dtype of what it is written to."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
        return filled((), value, like._dtype)
    if isinstance(value, np.ndarray):
        return tensor(value)
    raise TypeError(f"can't assign a {type(value).__name__} to a torch.{like._dtype.type_name}Tensor")


def _without_leading_ones(value: Tensor) -> Tensor:
    """torch drops the leading dimensions of size 1 that broadcasting would not accept."""
    lead = 0
    while lead < len(value._size) and value._size[lead] == 1:
        lead += 1
    return value.reshape(tuple(value._size)[lead:]) if lead else value


def _put_directly(self: Tensor, key, value) -> bool:
    """self[key] = value in one step, for what the graph knows nothing of.

    False where the call is another one, or wrong: then nothing has happened."""
    kind = key.__class__
    if kind is int:
        if not self._size:
            return False
        n, step, size, stride = first_dim(self._size, self._stride)
        if not -n <= key < n:
            return False
        offset = (key + n if key < 0 else key) * step
    elif kind is slice:
        if not self._size:
            return False
        start, stop, by = key.start, key.stop, key.step
        if by is not None or start.__class__ is not int and start is not None:
            return False
        if stop.__class__ is not int and stop is not None:
            return False
        size, offset = sliced(self._size, self._stride, start, stop)
        stride = self._stride
    elif kind is tuple:
        place = basic_place(self, key)
        if place is None:
            return few_put(self, key, value)
        size, stride, offset = place
    elif key is Ellipsis:
        size, stride, offset = self._size, self._stride, 0
    elif kind is Tensor:
        return _put_at_tensor(self, key, value)
    else:
        return (kind is list or kind is range) and few_put(self, (key,), value)
    target = self._flat
    if target is None:
        if may_overlap(self._size, self._stride):
            return False  # the general way warns
        target, start = self._buffer(), self._offset + offset
    else:
        start = offset
    if value.__class__ is Tensor:
        if not _same_kind(value, self, size):
            return False
        shared = value._storage is self._storage is not None
        if shared and value._offset == self._offset + offset and value._stride == stride:
            self._storage.version += 1  # what `x[1:3] += v` ends with: these elements are written to themselves
            return True
        if shared and not (is_contiguous(size, stride) and abs(value._offset - self._offset - offset) >= size.numel()):
            # One part of a tensor to another. Where these overlap torch raises, or says nothing and reads them before.
            n = size.numel()
            if n > _FILLED:
                return False
            if is_dense(size, stride) and is_dense(size, value._stride):
                to, given = self._offset + offset, value._offset
                if overlap(size, stride, range(to, to + n), size, value._stride, range(given, given + n)) != "no":
                    return False
            values = value.flat()
            value = wrap(values.copy() if values is not None else contiguous(value)._flat, size, value._dtype)
    elif not fits(value, self._dtype):
        return False
    if value.__class__ is Tensor:
        done = block_copied(target, start, size, stride, value)
    else:
        done = block_filled(target, start, size, stride, value)
    if done:
        (self._storage or self._get_storage()).version += 1
    return done


def _same_kind(value: Tensor, self: Tensor, size) -> bool:
    """Whether `value` can be copied to a part of this size as it is, without the graph."""
    return value._dtype is self._dtype and value._size == size and value._device is cpu and not value._requires_grad


def _put_at_tensor(self: Tensor, key: Tensor, value) -> bool:
    """`_put_directly` for one index tensor: int64, or a mask."""
    if key._device is not cpu or not self._size:
        return False
    flat = self.flat()
    if flat is None:
        return few_put(self, (key,), value)
    if key._dtype is bool_ and key._size == self._size and fits(value, self._dtype):
        mask = key.flat()
        if mask is None:
            return False
        fill_flat(flat, mask, value)
        self._get_storage().version += 1
        return True
    if few_put(self, (key,), value):
        return True
    mask = key._dtype is bool_
    if not mask and key._dtype is not int64 or not flat.size:
        return False
    index = key.flat()
    if not mask or index is None:
        n, _, size, _ = first_dim(self._size, self._stride)
        return not mask and _put_rows(self, flat, index, n, -n, (*key._size, *size), value)
    # A mask over the first dimensions: the rows where it is true.
    if key._size != self._size[: len(key._size)]:
        return False
    rest, rows = self._size[len(key._size) :], true_positions(index)
    return not rows.size or _put_rows(self, flat, rows, index.size, 0, (rows.size, *rest), value)


def _put_rows(self: Tensor, flat: np.ndarray, index, n: int, low: int, size: tuple, value) -> bool:
    """Write `value` to the rows `index` (of low .. n-1) of n equal parts of a flat array; False as above."""
    if index is None or not index.size:
        return False
    width = flat.size // n
    if value.__class__ is Tensor:
        values = value.flat()
        if values is None or not _same_kind(value, self, size):
            return False
        if np.may_share_memory(values, flat):
            return False
    elif index.size * width <= _FILLED and fits(value, self._dtype):
        values = np.empty(index.size * width, flat.dtype)
        values.fill(value)
    else:
        return False
    if write_rows(flat[:0], False, index, values, n, low, -1, 1, width, SET, flat) >= 0:
        return False
    self._get_storage().version += 1
    return True


def _setitem(self: Tensor, key, value) -> None:
    if _plain(self) and _put_directly(self, key, value):
        return
    kind = type(key)
    if kind is int or kind is slice:
        view, entries = _getitem(self, key), ()
    else:
        view, entries = _take_apart(self, key)
    if not entries:
        if not isinstance(value, (Tensor, np.ndarray)):
            if not isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
                raise TypeError(f"can't assign a {type(value).__name__} to a torch.{self._dtype.type_name}Tensor")
            check_writable(view)
            view.fill_(value)
            return
        value = _value_tensor(value, self)
        if value._size != view._size:
            if len(value._size) > len(view._size):
                value = _without_leading_ones(value)
            _check_copy(value._size, view._size)
            if value._storage is view._storage:
                value = value.expand(view._size)  # which may share elements with what it is written to
        view.copy_(value)
        return
    value = _value_tensor(value, self)
    if value._dtype is not self._dtype:
        masked = len(entries) == 1 and entries[0].source is None and value._size.numel() == 1
        if not masked:
            check_put_dtype(self, value)
        value = value.to(self._dtype)
    places_size = _result_size(view, entries)
    if len(value._size) > len(places_size):
        value = _without_leading_ones(value)
    write_recorded(view, put_at, put_into, entries, value, False)


def _result_size(t: Tensor, entries) -> tuple[int, ...]:
    """How many dimensions x[entries] has (as a size, unchecked)."""
    taken = sum(entry.span for entry in entries)
    return (0,) * (len(t._size) - taken + len(common_shape(entries)))


def _check_copy(given: Size, size: Size) -> None:
    """The error of torch's expand for a value that does not fit."""
    lead = len(size) - len(given)
    if lead < 0:
        raise RuntimeError(
            f"expand(torch.Tensor{{{list(given)}}}, size={list(size)}): the number of sizes provided ({len(size)}) "
            f"must be greater or equal to the number of dimensions in the tensor ({len(given)})"
        )
    for d in range(len(given) - 1, -1, -1):
        if given[d] != size[lead + d] and given[d] != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({size[lead + d]}) must match the existing size ({given[d]}) at "
                f"non-singleton dimension {lead + d}.  Target sizes: {list(size)}.  Tensor sizes: {list(given)}"
            )


def _iter(self: Tensor):
    """The parts along the first dimension, one by one."""
    if not self._size:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


Tensor.__iter__ = _iter
Tensor.__getitem__ = _getitem
Tensor.__setitem__ = _setitem
