"""Copies between devices and on them, casts, fills and concatenation: what `to`, `copy_`, `fill_` and `cat` call."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cuda import copy as _kernels

from .._copy import BITS, cast_array, copy_into
from .._copy import contiguous as cpu_contiguous
from .._device import cpu, device
from .._dtype import bfloat16, dtype, float16, float32
from .._layout import plan
from .._size import Size, contiguous_strides, expanded_strides, is_dense
from .._tensor import Tensor, strided, wrap
from ._devices import activate
from ._memory import CudaStorage, allocate
from ._tensors import contiguous as cuda_contiguous
from ._tensors import copy_elements, elements, fresh, memory, on_device, state, to_host


def move(t: Tensor, where: device) -> Tensor:
    """A copy of `t` on another device, outside the graph; a dense layout is kept."""
    if where.type == "meta":
        raise NotImplementedError("tensors on the meta device are not implemented")
    if where is cpu or where.type == "cpu":
        return _to_cpu(t)
    if t._device is not cpu:
        t = _to_cpu(t)
    return _to_cuda(t, where)


def _to_cuda(t: Tensor, where: device) -> Tensor:
    if not is_dense(t._size, t._stride):
        t = cpu_contiguous(t)
    n = t._size.numel()
    storage = allocate(n, t._dtype.np, where)
    if n:
        host = t._flat if t._flat is not None else t._buffer()[t._offset : t._offset + n]
        storage.memory.copy_to_device(host, stream=state.stream)
    return strided(storage, t._size, t._stride, 0, t._dtype)


def _to_cpu(t: Tensor) -> Tensor:
    if not is_dense(t._size, t._stride):
        t = cuda_contiguous(t)
    n = t._size.numel()
    activate(t._device)
    host = to_host(elements(t)) if n else np.empty(0, t._dtype.np)
    result = wrap(host, t._size, t._dtype)
    return result if result._stride == t._stride else strided(result._get_storage(), t._size, t._stride, 0, t._dtype)


def clone(t: Tensor) -> Tensor:
    """A copy on the same device, outside the graph; a dense layout is kept."""
    stride = t._stride if is_dense(t._size, t._stride) else contiguous_strides(t._size)
    result = strided(allocate(t._size.numel(), t._dtype.np, t._device), t._size, stride, 0, t._dtype)
    copy_elements(t, result)
    return result


def cast(t: Tensor, target: dtype) -> Tensor:
    """`t` in another dtype, outside the graph; a dense layout is kept."""
    source = t._dtype
    if source is target:
        return t
    halves = (float16, bfloat16)
    if source in halves and target is not float32:
        return cast(cast(t, float32), target)
    if target in halves and source is not float32:
        return cast(cast(t, float32), target)
    if not is_dense(t._size, t._stride):
        t = cuda_contiguous(t)
    result = strided(allocate(t._size.numel(), target.np, t._device), t._size, t._stride, 0, target)
    if t._size.numel():
        activate(t._device)
        if source in halves:
            kernel = _kernels.half_to_float if source is float16 else _kernels.bfloat16_to_float
            kernel(elements(t, np.uint16), elements(result, np.uint32))
        elif target in halves:
            kernel = _kernels.float_to_half if target is float16 else _kernels.float_to_bfloat16
            kernel(elements(t, np.uint32), elements(result, np.uint16))
        else:
            _kernels.cast(elements(t), elements(result))
    return result


def copy_between(dst: Tensor, src: Tensor) -> None:
    """dst[...] = src with casting and broadcasting, where at least one of them is on a GPU."""
    if dst._device is cpu:
        copy_into(dst, _to_cpu(src))
        return
    if src._device != dst._device:
        src = move(src.detach(), dst._device)
    src = cast(src, dst._dtype)
    if src._storage.block is dst._storage.block and (src._offset, src._stride) != (dst._offset, dst._stride):
        src = clone(src)
    copy_elements(expanded(src, dst._size), dst)


def expanded(t: Tensor, size: Size) -> Tensor:
    """`t` broadcast to `size`, without a copy and outside the graph."""
    if t._size == size:
        return t
    return strided(t._storage, size, expanded_strides(t._size, t._stride, size), t._offset, t._dtype)


def fill_on_cuda(t: Tensor, value) -> None:
    """t[...] = value, below autograd."""
    from ..ops.creation import python_number

    d, n = t._dtype, t._size.numel()
    if not n:
        return
    if d.np is not d.compute:
        host = cast_array(np.full(1, value, np.float32), float32, d)
    else:
        host = np.full(1, python_number(value, d), d.np)
    bits = BITS[d.itemsize]
    activate(t._device)
    meta = on_device(plan(t._size, t._stride), t._device)
    _kernels.fill_strided(memory(t, bits), t._offset, meta, n, host.view(bits)[0])


def filled(size, value, d: dtype, where: device) -> Tensor:
    """A fresh tensor with one value everywhere."""
    result = fresh(size, d, where)
    fill_on_cuda(result, value)
    return result


def cat_on_cuda(tensors, dim: int, out_size: Size, d: dtype) -> Tensor:
    """The tensors, cast to `d`, one after the other along `dim`."""
    result = fresh(out_size, d, tensors[0]._device)
    start = 0
    for t in tensors:
        offset = start * result._stride[dim]
        copy_elements(cast(t, d), strided(result._storage, t._size, result._stride, offset, d))
        start += t._size[dim]
    return result


def copy_storage(storage: CudaStorage) -> CudaStorage:
    """A copy of a whole storage."""
    activate(storage.device)
    source = storage.memory
    copied = allocate(source.size, source.dtype, storage.device)
    copied.memory.copy_to_device(source, stream=state.stream)
    return copied
