"""Tensors on the GPU, below autograd: fresh ones, their elements as device arrays, contiguous copies."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from numtorch.kernels.cuda import copy as _kernels
from numtorch.kernels.cuda.compiler import cuda, state

from .._device import cpu, device
from .._dtype import dtype
from .._layout import plan
from .._size import Size, contiguous_strides, is_contiguous
from .._tensor import Tensor, strided
from ._devices import activate, numbered
from ._memory import allocate

# Layout copies move bits: one compilation for each element size serves every dtype.
BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}


def fresh(size, d: dtype, where: device) -> Tensor:
    """An uninitialised contiguous tensor."""
    size = size if type(size) is Size else Size(size)
    return strided(allocate(size.numel(), d.np, where), size, contiguous_strides(size), 0, d)


def memory(t: Tensor, np_dtype=None):
    """The whole storage as a device array of t's dtype, or of another of the same size."""
    found = t._storage.memory
    wanted = t._dtype.np if np_dtype is None else np.dtype(np_dtype)
    return found if found.dtype == wanted else found.view(wanted)


def elements(t: Tensor, np_dtype=None):
    """The elements of a dense tensor, in the order of memory, as a device array."""
    found = memory(t, np_dtype)
    n = t._size.numel()
    return found if t._offset == 0 and found.size == n else found[t._offset : t._offset + n]


def contiguous(t: Tensor) -> Tensor:
    """`t` itself when it is contiguous, else a contiguous copy."""
    if is_contiguous(t._size, t._stride):
        return t
    result = fresh(t._size, t._dtype, t._device)
    copy_elements(t, result)
    return result


def copy_elements(src: Tensor, dst: Tensor) -> None:
    """dst[...] = src for two tensors of one dtype, size and device, whatever their layouts."""
    n = dst._size.numel()
    if not n:
        return
    activate(dst._device)
    bits = BITS[src._dtype.itemsize]
    meta = on_device(plan(dst._size, src._stride, dst._stride), dst._device)
    _kernels.copy_strided(memory(src, bits), src._offset, memory(dst, bits), dst._offset, meta, n)


def on_device(table: np.ndarray, where: device):
    """A small host array (a layout, a table of windows) on the device; the same content is copied once."""
    return _kept(table.tobytes(), table.dtype.str, where.index)


@lru_cache(maxsize=4096)
def _kept(content: bytes, dtype_name: str, index: int):
    activate(numbered(index))
    result = cuda.to_device(np.frombuffer(content, dtype_name).copy())
    cuda.synchronize()  # other streams may be the next to read it
    return result


def to_host(array) -> np.ndarray:
    """A device array as a numpy array; waits for the current stream."""
    stream = state.stream
    host = array.copy_to_host(stream=stream)
    if stream:
        stream.synchronize()
    return host


def common_device(tensors) -> device:
    """The CUDA device of these tensors; RuntimeError where they lie on different ones (a 0-d CPU tensor goes with any)."""
    from .._loops import check_devices

    check_devices(tensors)
    return next(t._device for t in tensors if t._device is not cpu)


def address(t: Tensor) -> int:
    """Where the first element lies in device memory."""
    return t._storage.address + t._offset * t._dtype.itemsize
