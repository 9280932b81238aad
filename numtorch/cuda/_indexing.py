"""gather, scatter, index_select and index_add of tensors on the GPU. Indices come checked, as flat device arrays."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cuda import gather_scatter as _kernels

from .. import _dtype
from .._dtype import COMPLEX, FLOATING, dtype, int64
from .._layout import plan
from .._size import Size, contiguous_strides, extent
from .._tensor import Tensor
from ._devices import activate
from ._missing import not_on_cuda
from ._tensors import BITS, common_device, contiguous, elements, fresh, memory, on_device, to_host
from ._transfer import cast, copy_between, filled


def index_array(index: Tensor):
    """The elements of an integer index tensor as a flat int64 device array (on the host if there are none)."""
    if not index._size.numel():
        return np.empty(0, np.int64)
    return elements(contiguous(cast(index, int64)))


def first_bad(index, size: int, low: int) -> int | None:
    """The first index outside 0 .. size - 1, or None; waits for the device."""
    if low != 0:
        raise not_on_cuda()  # negative indices are not counted from the end here
    where = _kernels.first_bad_index(index, size)
    return None if where < 0 else int(to_host(index[where : where + 1])[0])


def _block(t: Tensor, dim: int, size, index_stride, value_stride):
    """(meta, offset of t, stride of the indexed dim, number of elements) of a walk over `size`."""
    stride = t._stride if t._size else (1,)
    size = tuple(size) or (1,)
    around = tuple(0 if d == dim else s for d, s in enumerate(stride))
    meta = on_device(plan(size, around, index_stride, value_stride), t._device)
    return meta, t._offset, stride[dim], Size(size).numel()


def _of_each(size) -> tuple[int, ...]:
    """Strides of an index of its own for each element of a block."""
    return contiguous_strides(tuple(size) or (1,))


def _of_parts(size, dim: int) -> tuple[int, ...]:
    """Strides of an index vector along `dim`."""
    return tuple(1 if d == dim else 0 for d in range(max(len(size), 1)))


def _gathered(t: Tensor, dim: int, index, size, index_stride) -> Tensor:
    out = fresh(size, t._dtype, t._device)
    if out._size.numel():
        activate(t._device)
        bits = BITS[t._dtype.itemsize]
        meta, x0, step, count = _block(t, dim, size, index_stride, _of_each(size))
        _kernels.gather_forward(memory(t, bits), x0, step, index, meta, count, elements(out, bits))
    return out


def gather(t: Tensor, dim: int, index, size) -> Tensor:
    """out[..., i, ...] = t[..., index[..., i, ...], ...]; the index has the size `size`."""
    return _gathered(t, dim, index, size, _of_each(size))


def index_select(t: Tensor, dim: int, index, count: int) -> Tensor:
    """The parts of t at `count` indices along dim; a 0-d tensor gives itself."""
    size = Size((*t._size[:dim], count, *t._size[dim + 1 :])) if t._size else Size()
    return _gathered(t, dim, index, size, _of_parts(size, dim))


def _value_strides(values: Tensor, size) -> tuple[int, ...]:
    return values._stride if values._size else (0,) * max(len(size), 1)


def scatter_into(t: Tensor, dim: int, index, size, values: Tensor) -> None:
    """Write values (a tensor at least as large as the index, or a 0-d one) at the index, in t's memory."""
    common_device((t, values))
    values = cast(values, t._dtype)
    if values._storage.block is t._storage.block:
        values = values.clone()
    activate(t._device)
    bits = BITS[t._dtype.itemsize]
    meta, x0, step, count = _block(t, dim, size, _of_each(size), _value_strides(values, size))
    _kernels.scatter_forward(memory(t, bits), x0, step, index, meta, count, memory(values, bits), values._offset)


def adding_dtype(d: dtype, name: str) -> dtype:
    """What atomic additions work in: float32 for the halves, int32 for smaller integers."""
    if d.category == COMPLEX:
        raise NotImplementedError(f"{name}() of {d} is not implemented for CUDA tensors yet")
    if d.category == FLOATING:
        return d if d.np is d.compute else _dtype.float32
    return d if d in (_dtype.int32, int64) else _dtype.int32


def _add(t: Tensor, dim: int, index, size, index_stride, values: Tensor, name: str) -> None:
    common_device((t, values))
    d = adding_dtype(t._dtype, name)
    target = t if d is t._dtype else cast(t, d)
    values = cast(values, d)
    if values._storage.block is target._storage.block:
        values = values.clone()
    activate(t._device)
    meta, x0, step, count = _block(target, dim, size, index_stride, _value_strides(values, size))
    _kernels.scatter_add_forward(memory(target), x0, step, index, meta, count, memory(values), values._offset)
    if target is not t:
        copy_between(t, target)


def scatter_add_into(t: Tensor, dim: int, index, size, values: Tensor) -> None:
    """Add values at the index, in t's memory."""
    _add(t, dim, index, size, _of_each(size), values, "scatter_add")


def index_add_into(t: Tensor, dim: int, index, values: Tensor) -> None:
    """Add the parts of `values` at the indices along dim, in t's memory."""
    if values._size.numel():
        _add(t, dim, index, values._size, _of_parts(values._size, dim), values, "index_add")


def strided_scatter_add(grad: Tensor, input_size: Size, size, stride, offset: int) -> Tensor:
    """Zeros of input_size to which `grad` is added at the places of an as_strided view of it."""
    if offset < 0 or offset + extent(size, stride) > input_size.numel():
        raise not_on_cuda()  # a view that reaches past its tensor
    d = adding_dtype(grad._dtype, "as_strided")
    out = filled(input_size, 0, d, grad._device)
    if grad._size.numel():
        values = cast(grad, d)
        origin = filled((1,), 0, int64, grad._device)
        meta = on_device(plan(Size(size), tuple(stride), (0,) * len(size), values._stride), grad._device)
        count, v0 = grad._size.numel(), values._offset
        _kernels.scatter_add_forward(memory(out), offset, 0, memory(origin), meta, count, memory(values), v0)
    return cast(out, grad._dtype)
