"""Reading and writing at index tensors: the `IndexBackward0` and `IndexPutBackward0` of torch.

An `Index` says how one tensor (or mask) indexes some dimensions; a tuple of them is what is left of an index
expression after its basic part became a view (`ops/indexing.py`). `locate` checks them and turns them into
buffer positions, before anything is read or written.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from numtorch.graph import mode
from numtorch.graph.saved import changed_since_saved
from numtorch.kernels.cpu import indexing as _kernels
from numtorch.kernels.cpu.row_indexing import ADD, SET

from .._allocator import empty
from .._copy import cast, contiguous, copy_into
from .._device import cpu
from .._dtype import bool_, float32, int32, int64, uint8
from .._inplace import check_apart, check_writable, old_self, rebase
from .._primitive import primitive
from .._registry import op
from .._size import Size, broadcast_size, may_overlap
from .._tensor import Tensor, alias, wrap
from . import positions as at
from .few_places import few_put
from .positions import Places
from .true_places import true_positions

# --- index entries ------------------------------------------------------------------------------------------


class Index(NamedTuple):
    """What indexes `span` dimensions of a view from `dim` on: flat int64 indices of a broadcastable shape.

    Over several dimensions (a mask) an index counts the elements of these dimensions in row-major order."""

    dim: int
    span: int
    flat: np.ndarray
    shape: tuple[int, ...]
    source: Tensor | None = None  # whose memory `flat` is, and its version then
    version: int = 0

    def check(self) -> None:
        """RuntimeError if the index tensor was written in place since the forward call."""
        if self.source is not None and self.source._version != self.version:
            raise changed_since_saved(self.source, self.version)


_ALL = slice(None)
_BAD_INDEX_DTYPE = "tensors used as indices must be long, int, byte or bool tensors"


def entry_of(index: Tensor, dim: int, size) -> Index:
    """A tensor as the index of the dimensions from `dim` on of a tensor of `size`."""
    d = index._dtype
    if index._device is not cpu:
        index = index.cpu()
    if d is int64 or d is int32:
        flat = at.index_array(index)
        shared = d is int64
        return Index(dim, 1, flat, tuple(index._size), index if shared else None, index._version)
    if d is not bool_ and d is not uint8:
        raise IndexError(_BAD_INDEX_DTYPE)
    if d is uint8:
        warnings.warn(
            "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
            UserWarning,
            stacklevel=5,
        )
    span = len(index._size)
    for k, n in enumerate(index._size):
        if dim + k >= len(size) or n != size[dim + k]:
            raise IndexError(
                f"The shape of the mask {list(index._size)} at index {k} does not match the shape of the indexed "
                f"tensor {list(size)} at index {dim + k}"
            )
    flat = contiguous(index)._flat
    found = true_positions(flat if d is bool_ else flat != 0)
    return Index(dim, span, found, (found.size,))


def common_shape(entries: tuple[Index, ...]) -> tuple[int, ...]:
    """The shape that the index tensors of an expression broadcast to; IndexError where they do not."""
    shape = entries[0].shape
    for entry in entries[1:]:
        if entry.shape != shape:
            try:
                shape = tuple(broadcast_size(shape, entry.shape))
            except RuntimeError:
                shapes = ", ".join(str(list(e.shape)) for e in entries for _ in range(e.span))
                raise IndexError(
                    f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
                ) from None
    return shape


def _frame(size: tuple[int, ...], stride: tuple[int, ...], spans: tuple[tuple[int, int], ...], shape: tuple[int, ...]):
    """(outer, inner, width, result size, whether the other dimensions hold anything) of an indexed view.

    The dimensions of the indices stand where the indexed dimensions stood if those are neighbours, else in front."""
    taken = {d for first, span in spans for d in range(first, first + span)}
    rest = [d for d in range(len(size)) if d not in taken]
    first, last = min(taken), max(taken)
    if last - first + 1 == len(taken):
        before, after = [d for d in rest if d < first], [d for d in rest if d > last]
    else:
        before, after = [], rest
    outer = at.positions(tuple(size[d] for d in before), tuple(stride[d] for d in before))
    inner, width = at.inner_block(tuple(size[d] for d in after), tuple(stride[d] for d in after))
    result = Size((*(size[d] for d in before), *shape, *(size[d] for d in after)))
    return outer, inner, width, result, all(size[d] for d in rest)


# Frames of small tensors are kept; those of large ones hold position arrays and cost little beside the copy.
_kept_frame = lru_cache(maxsize=512)(_frame)
_KEPT_ELEMENTS = 8192


def locate(t: Tensor, entries: tuple[Index, ...]) -> Places:
    """The places that the entries address in `t`; IndexError for an index outside its dimension."""
    size, stride = tuple(t._size), t._stride
    shape = entries[0].shape if len(entries) == 1 else common_shape(entries)
    spans = tuple((entry.dim, entry.span) for entry in entries)
    frame = _kept_frame if prod(size) <= _KEPT_ELEMENTS else _frame
    outer, inner, width, result, filled = frame(size, stride, spans, shape)
    base = np.empty(prod(shape), np.int64)
    base.fill(t._offset)
    position = 0
    for entry in entries:
        flat = entry.flat
        if entry.shape != shape:
            flat = np.ascontiguousarray(np.broadcast_to(flat.reshape(entry.shape), shape)).reshape(-1)
        d = entry.dim
        if entry.span == 1:
            bad = _kernels.index_positions(flat, size[d], stride[d], base)
            n = size[d]
        else:
            sizes = np.array(size[d : d + entry.span], np.int64)
            strides = np.array(stride[d : d + entry.span], np.int64)
            n = int(sizes.prod())
            bad = _kernels.flat_positions(flat, n, sizes, strides, base)
        if bad >= 0:
            if n == 0:
                raise IndexError("index is out of bounds for dimension with size 0")
            if filled:
                # torch names the position among the index tensors as the dimension. (It does not look at the
                # indices of an empty result.)
                raise IndexError(f"index {int(flat[bad])} is out of bounds for dimension {position} with size {n}")
        position += entry.span
    return Places(outer, base, inner, width, result)


# --- reading and writing at entries -------------------------------------------------------------------------


@primitive(node="IndexBackward0", public=False)
def index(self, entries) -> Tensor:
    """self[entries]: the elements that the indices address, copied."""
    if len(entries) == 1 and entries[0].span == 1 and self._device is cpu:
        # One index of whole parts, the dimensions around it with one step each.
        entry, size = entries[0], self._size
        d = entry.dim
        parts = at.strided_parts(size, self._stride, d, d)
        if parts is not None:
            outer, stride, width, across = parts
            n, step, buffer = size[d], self._stride[d], self._buffer()
            out, bad = at.read_parts(buffer, entry.flat, n, -n, self._offset, outer, stride, step, width, across)
            if bad < 0:
                return wrap(out, (*size[:d], *entry.shape, *size[d + 1 :]), self._dtype)
    places = locate(self, entries)
    return wrap(at.read(self, places), places.size, self._dtype)


def _index_gradient(ctx, grad):
    for entry in ctx.entries:
        entry.check()
    return index_backward(grad, ctx.entries, ctx.self.shape)


index.derivative(self=_index_gradient)


@primitive(node="IndexPutBackward0", public=False)
def index_backward(grad, entries, size) -> Tensor:
    """Zeros of `size` to which `grad` is added at the places of the entries."""
    if grad._flat is not None and grad._dtype.np == grad._dtype.compute:
        result = wrap(empty(prod(size), grad._dtype.np), size, grad._dtype)
        if _rows_put(result, entries, grad, ADD, zeros=True):
            return result
    return _accumulated(wrap(np.zeros(prod(size), grad._dtype.np), size, grad._dtype), entries, grad)


index_backward.derivative(grad=lambda ctx, grad: index(grad, ctx.entries))


def _accumulated(t: Tensor, entries, values: Tensor) -> Tensor:
    """`t` (contiguous, written in place where its dtype allows) with the values added at the entries."""
    if t._dtype.np != t._dtype.compute:
        wide = _accumulated(cast(t, float32), entries, cast(values, float32))
        return cast(wide, t._dtype)
    places = locate(t, entries)
    at.accumulate(t, places, contiguous(_expanded(values, places.size))._flat)
    return t


def _expanded(values: Tensor, size: Size) -> Tensor:
    """`values` broadcast to `size` (outside the graph); RuntimeError in the words of index_put."""
    if values._size == size:
        return values
    given = values._size
    fits = len(given) <= len(size) and all(n in (1, m) for n, m in zip(reversed(given), reversed(size), strict=False))
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(given)} cannot be broadcast to indexing result of shape "
            f"{list(size)}"
        )
    return values.detach().expand(size)


def _rows_put(self: Tensor, entries, values: Tensor, mode: int, zeros: bool = False) -> bool:
    """The usual case in one kernel: one index of whole parts of a contiguous tensor, a value for each element.

    False where the call is another one, or wrong: then nothing has happened. With `zeros` the rest becomes zero."""
    if len(entries) != 1 or entries[0].span != 1:
        return False
    entry, target, flat = entries[0], self._flat, values._flat
    if target is None or flat is None or not flat.size or self._device is not cpu or values._device is not cpu:
        return False
    size, d = self._size, entry.dim
    if values._dtype is not self._dtype or values._size != (*size[:d], *entry.shape, *size[d + 1 :]):
        return False
    if mode == ADD and (self._dtype is bool_ or self._dtype.np != self._dtype.compute):
        return False
    if not zeros and np.may_share_memory(flat, target):
        flat = flat.copy()
    _, outer, n, width = at.block_of(size, d)
    return at.write_rows(target[:0], zeros, entry.flat, flat, n, -n, -1, outer, width, mode, target) < 0


def put_into(self: Tensor, entries, values: Tensor, accumulate: bool) -> None:
    """Write (or add) the values at the places of the entries, in self's own memory."""
    if _rows_put(self, entries, values, ADD if accumulate else SET):
        return
    if accumulate and self._dtype.np != self._dtype.compute:
        copy_into(self, _accumulated(contiguous(self), entries, values))
        return
    places = locate(self, entries)
    by_mask = len(entries) == 1 and entries[0].source is None  # one value of any dimensions is a number then
    if values._size.numel() == 1 and not accumulate and (by_mask or len(values._size) <= len(places.size)):
        flat = contiguous(values)._flat
    else:
        flat = contiguous(_expanded(values, places.size))._flat
        if np.may_share_memory(flat, self._buffer()):
            flat = flat.copy()
    if accumulate:
        at.accumulate(self, places, flat)
    else:
        at.write(self, places, flat)


@primitive(node="IndexPutBackward0", public=False)
def put_at(self, entries, values, accumulate: bool = False) -> Tensor:
    """A copy of self with the values written (or added) at the entries."""
    result = wrap(contiguous(self)._flat.copy(), self._size, self._dtype)
    put_into(result, entries, values, accumulate)
    return result


def _put_self_gradient(ctx, grad):
    if ctx.accumulate:
        return grad
    return put_at(grad, ctx.entries, grad.new_zeros(()))


def _put_values_gradient(ctx, grad):
    for entry in ctx.entries:
        entry.check()
    return index(grad, ctx.entries).sum_to_size(ctx.values.shape)


put_at.derivative(self=_put_self_gradient, values=_put_values_gradient)


# Primitives that torch lets write to elements which share memory, with a warning: what that calls them, and for example.
_TAKE_EXPANDED = {
    "put_at": ("index_put_", "tensor[indices] = tensor"),
    "masked_fill": ("masked_fill_", "tensor[mask] = scalar"),
    "index_fill": ("index_fill_", "tensor[mask] = scalar"),
}


def write_recorded(target: Tensor, prim, into, *args) -> Tensor:
    """`target.op_(*args)` by `into(target, *args)` in target's memory, recorded as the primitive `prim`.

    Saves the copy of the whole tensor that an out-of-place call and a write-back would need."""
    if not target._requires_grad and target._base is None and target._flat is not None:
        # What the graph knows nothing of, with operands in other memory: there is nothing to check.
        storage = target._storage
        for a in args:
            if isinstance(a, Tensor):
                if a._requires_grad or a is target:
                    break
                held = a._storage
                if held is not None and storage is not None and (held is storage or held.buffer is storage.buffer):
                    break
        else:
            into(target, *args)
            (storage or target._get_storage()).version += 1
            return target
    words = _TAKE_EXPANDED.get(prim.__name__)
    if (
        words is None
        or target._flat is not None
        or target._requires_grad
        or not may_overlap(target._size, target._stride)
    ):
        check_writable(target)
    else:
        check_writable(target, alike=True)
        warnings.warn(
            f"Use of {words[0]} on expanded tensors is deprecated. Please clone() the tensor before performing this "
            f"operation. This also applies to advanced indexing e.g. {words[1]}",
            UserWarning,
            stacklevel=3,
        )
    check_apart(target, args, whole=True)
    tracked = target._requires_grad
    for a in args:
        if (a.__class__ is Tensor or isinstance(a, Tensor)) and a._requires_grad:
            tracked = True
    tracked = tracked and mode.enabled
    before = old_self(target) if tracked else None
    into(target, *args)
    target._bump_version()
    if tracked:
        rebase(target, prim.primitive.record((before, *args), {}, alias(target)))
    return target


def entries_of(self: Tensor, indices) -> tuple[Index, ...]:
    """The indices of index_put(x, (i, None, mask), ...) as entries."""
    if not isinstance(indices, (tuple, list)):
        raise TypeError(f"index_put(): argument 'indices' must be tuple of Tensors, not {type(indices).__name__}")
    entries, dim = [], 0
    for each in indices:
        if each is None:
            dim += 1
            continue
        if not isinstance(each, Tensor):
            raise TypeError(
                f"index_put(): argument 'indices' must be tuple of Tensors, but found element of type "
                f"{type(each).__name__}"
            )
        if dim >= len(self._size) and len(each._size) > 0 or dim > len(self._size):
            raise IndexError(f"too many indices for tensor of dimension {len(self._size)} (got {len(indices)})")
        entry = entry_of(each, dim, self._size)
        entries.append(entry)
        dim += entry.span
    return tuple(entries)


def check_put_dtype(self: Tensor, values: Tensor) -> None:
    if self._dtype is not values._dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{self._dtype.type_name} for the destination and {values._dtype.type_name} for the source."
        )


@op()
def index_put(input, indices, values, accumulate: bool = False) -> Tensor:
    """A copy of `input` with input[indices] = values (or += values)."""
    check_put_dtype(input, values)
    return put_at(input, entries_of(input, indices), values, bool(accumulate))


@op()
def index_put_(input, indices, values, accumulate: bool = False) -> Tensor:
    """input[indices] = values (or += values), in place."""
    check_put_dtype(input, values)
    if not input._requires_grad and input._base is None and indices.__class__ in (tuple, list):
        key = tuple([_ALL if each is None else each for each in indices])
        if few_put(input, key, values, bool(accumulate)):
            return input
    return write_recorded(input, put_at, put_into, entries_of(input, indices), values, bool(accumulate))
