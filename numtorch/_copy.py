"""Copies and casts of whole tensors, below autograd."""

from __future__ import annotations

from functools import cache, lru_cache
from math import prod

import numpy as np
from numba import from_dtype, types

from numtorch.kernels.compiler import entry_point
from numtorch.kernels.cpu import copy as _kernels
from numtorch.kernels.cpu import half as _half
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD
from numtorch.kernels.threads import get_num_threads

from . import _dtype
from ._allocator import SMALLEST, empty
from ._device import cpu
from ._dtype import BOOL, COMPLEX, bfloat16, float16, float32
from ._layout import plan
from ._size import expanded_strides, is_dense
from ._tensor import Tensor, _new, strided, wrap

# Bytes below which a second thread does not pay for a copy: one copies 256 KiB in 6 us.
_COPIED_BY_ONE = 1 << 18

# Layout copies move bits: one compilation for each element size serves every dtype.
BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}


def copy_elements(src: Tensor, dst: Tensor) -> None:
    """dst[...] = src for two tensors of one dtype and size, whatever their layouts."""
    if 0 in dst._size:
        return
    if src._flat is not None and dst._flat is not None:
        copy_flat(dst._flat, src._flat)
        return
    copy, bits = layout_copy(src._dtype.itemsize, dst._size.numel())
    meta = plan(dst._size, src._stride, dst._stride)
    copy(src._buffer().view(bits), src._offset, dst._buffer().view(bits), dst._offset, meta)


def layout_copy(itemsize: int, numel: int):
    """(the compiled copy(x, x0, out, o0, meta), the dtype of its arrays) for so many elements of such a size."""
    bits, large = BITS[itemsize], numel >= PARALLEL_THRESHOLD
    entry = _layout_copies.get((bits, large))
    if entry is None:
        buffer, word = types.Array(from_dtype(np.dtype(bits)), 1, "C"), types.int64
        kernel = _kernels.copy_strided_parallel if large else _kernels.copy_strided
        entry = _layout_copies[bits, large] = entry_point(kernel, (buffer, word, buffer, word, types.int64[::1]))
    return entry, bits


_layout_copies: dict = {}  # (bits, whether on all threads) -> the compiled copy


def fill_flat(flat: np.ndarray, value: np.generic) -> None:
    """flat[...] = value, a numpy scalar of the array's dtype."""
    if flat.size < PARALLEL_THRESHOLD:
        flat.fill(value)
    else:
        bits = BITS[flat.itemsize]
        _fill(bits, True)(flat.view(bits), 0, plan((flat.size,), (1,)), value.view(bits))


def fill_elements(t: Tensor, value: np.generic) -> None:
    """t[...] = value, a numpy scalar of the buffer's dtype, whatever the layout of a tensor on the CPU."""
    size, stride = t._size, t._stride
    n, flat = prod(size), t._flat
    if flat is None and is_dense(size, stride):
        start = t._offset
        flat = t._buffer()[start : start + n]
    if flat is not None:
        fill_flat(flat, value)
    elif n:
        bits = BITS[t._dtype.itemsize]
        meta = plan(size, stride)
        _fill(bits, n >= PARALLEL_THRESHOLD)(t._buffer().view(bits), t._offset, meta, value.view(bits))


def _fill(bits, large: bool):
    """The compiled fill for elements of one size, serial or on all threads."""
    entry = _fills.get((bits, large))
    if entry is None:
        word = from_dtype(np.dtype(bits))
        kernel = _kernels.fill_strided_parallel if large else _kernels.fill_strided
        kinds = (types.Array(word, 1, "C"), types.int64, types.int64[::1], word)
        entry = _fills[bits, large] = entry_point(kernel, kinds)
    return entry


_fills: dict = {}  # (bits, whether on all threads) -> the compiled fill


# Elements up to which the places of a view are kept: one call of numpy's in 1 us, where a loop and its plan take 2.4.
_KEPT = 1024


@lru_cache(maxsize=512)
def _places(size: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    """Where the elements of a small view lie behind its first, in row-major order."""
    places = np.zeros((), np.int64)
    for n, step in zip(size, stride):
        places = places[..., None] + np.arange(n) * step
    return places.reshape(-1)


def contiguous(t: Tensor) -> Tensor:
    """`t` itself when it is contiguous, else a contiguous copy (outside the graph)."""
    if t._flat is not None or t.flat() is not None:
        return t
    numel = t._size.numel()
    if 0 < numel <= _KEPT and t._device is cpu:
        start, buffer = t._offset, t._buffer()
        flat = (buffer[start:] if start else buffer).take(_places(t._size, t._stride))
        return wrap(flat, t._size, t._dtype)
    flat = empty(numel, t._dtype.np)
    result = wrap(flat, t._size, t._dtype)
    copy_elements(t, result)
    return result


def clone(t: Tensor) -> Tensor:
    """A copy outside the graph; keeps the layout of a dense tensor, as torch's preserve_format does."""
    flat = t._flat
    if flat is not None:
        return wrap(_copied(flat), t._size, t._dtype)
    if t._device is not cpu:
        from .cuda._transfer import clone as clone_on_cuda

        return clone_on_cuda(t)
    if t.flat() is None and is_dense(t._size, t._stride):
        result = _new(Tensor)
        numel = t._size.numel()
        result._flat = None
        result._size, result._stride, result._dtype = t._size, t._stride, t._dtype
        buffer = _copied(t._buffer()[t._offset : t._offset + numel])
        from ._storage import Storage

        result._storage = Storage(buffer)
        return result
    flat = empty(t._size.numel(), t._dtype.np)
    result = wrap(flat, t._size, t._dtype)
    copy_elements(t, result)
    return result


def _copied(flat: np.ndarray) -> np.ndarray:
    if flat.nbytes < SMALLEST:
        return flat.copy()
    copy = empty(flat.size, flat.dtype)
    copy_flat(copy, flat)
    return copy


def copy_flat(out: np.ndarray, x: np.ndarray) -> None:
    """out = x, on all threads where they are worth it: the C library copies on one."""
    if x.nbytes < _COPIED_BY_ONE or get_num_threads() == 1:
        np.copyto(out, x)
    else:
        bits = BITS[x.dtype.itemsize]
        _kernels.copy_strided_parallel(x.view(bits), 0, out.view(bits), 0, np.array((1, x.size, 1, 1)))


_float32, _uint16 = np.dtype("float32"), np.dtype("uint16")


@cache
def _of_half(half: _dtype.dtype, to_float: bool, large: bool):
    """The compiled cast of a half to float32, or back, serial or on all threads."""
    if to_float:
        kernel = _half.half_to_float if half is float16 else _half.bfloat16_to_float
    else:
        kernel = _half.float_to_half if half is float16 else _half.float_to_bfloat16
    if not large:
        kernel = getattr(kernel, "serial", kernel)
    kinds = (types.uint16, types.float32) if to_float else (types.float32, types.uint16)
    return entry_point(kernel, tuple([types.Array(kind, 1, "C") for kind in kinds]))


_casts: dict = {}  # (from, to) -> the compiled cast


def cast_array(x: np.ndarray, source: _dtype.dtype, target: _dtype.dtype) -> np.ndarray:
    """A 1-D array of one dtype as one of another."""
    if source is target:
        return x
    if source is float16 or source is bfloat16:
        wide = empty(x.size, _float32)
        if not x.flags.c_contiguous:
            x = x.copy()
        _of_half(source, True, x.size >= PARALLEL_THRESHOLD)(x if source is bfloat16 else x.view(_uint16), wide)
        return wide if target is float32 else cast_array(wide, float32, target)
    if target is float16 or target is bfloat16:
        wide = cast_array(x, source, float32)
        out = empty(x.size, _uint16)
        if not wide.flags.c_contiguous:
            wide = wide.copy()
        _of_half(target, False, x.size >= PARALLEL_THRESHOLD)(wide, out)
        return out if target is bfloat16 else out.view(target.np)
    out = empty(x.size, target.np)
    if source.category == COMPLEX and target.category == BOOL:
        _kernels.nonzero_complex(x, out)
    elif source.category == COMPLEX and target.category != COMPLEX:
        _kernels.real_part(x, out)
    elif x.size < PARALLEL_THRESHOLD and x.flags.c_contiguous:
        entry = _casts.get((source, target))
        if entry is None:
            kinds = [
                types.Array(types.boolean if d.category == BOOL else from_dtype(d.np), 1, "C") for d in (source, target)
            ]
            entry = _casts[source, target] = entry_point(_kernels.cast, tuple(kinds))
        entry(x, out)
    elif x.size < PARALLEL_THRESHOLD:
        _kernels.cast(x, out)
    else:
        _kernels.cast_parallel(x, out)
    return out


def cast(t: Tensor, target: _dtype.dtype) -> Tensor:
    """`t` in another dtype (outside the graph), contiguous unless `t` is dense in another order."""
    if t._dtype is target:
        return t
    if t._device is not cpu:
        from .cuda._transfer import cast as cast_on_cuda

        return cast_on_cuda(t, target)
    flat = t.flat()
    if flat is None and is_dense(t._size, t._stride):
        flat = t._buffer()[t._offset : t._offset + t._size.numel()]
        result = wrap(cast_array(flat, t._dtype, target), t._size, target)
        if result._stride != t._stride:
            storage = result._get_storage()
            result = strided(storage, t._size, t._stride, 0, target)
        return result
    return wrap(cast_array(contiguous(t)._flat, t._dtype, target), t._size, target)


#: Elements that numpy copies sooner than a kernel is found.
_FEW = 8192


def copy_into(dst: Tensor, src: Tensor) -> None:
    """dst[...] = src with casting and broadcasting, outside the graph and without touching the version counter."""
    source, target = src._flat, dst._flat
    if (
        source.__class__ is np.ndarray
        and target.__class__ is np.ndarray
        and src._dtype is dst._dtype
        and src._size == dst._size
        and target.size < _FEW
    ):
        target[...] = source
        return
    if dst._device is not cpu or src._device is not cpu:
        from .cuda._transfer import copy_between

        copy_between(dst, src)
        return
    if src._dtype is not dst._dtype:
        src = cast(src, dst._dtype)
    if src._size != dst._size:
        stride = expanded_strides(src._size, src._stride, dst._size)
        src = strided(src._get_storage(), dst._size, stride, src._offset, src._dtype)
    if shares_memory(src, dst):
        src = clone(src)
    copy_elements(src, dst)


def shares_memory(a: Tensor, b: Tensor) -> bool:
    """Whether the two may overlap without being the very same elements."""
    if not np.may_share_memory(a._buffer(), b._buffer()):
        return False
    return (a._offset, a._stride) != (b._offset, b._stride)


def deepcopy_tensor(t: Tensor, memo: dict) -> Tensor:
    """copy.deepcopy of a leaf; tensors that shared storage share it in the copy."""
    if id(t) in memo:
        return memo[id(t)]
    if t.grad_fn is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, "
            "see https://github.com/pytorch/pytorch/pull/103001"
        )
    storage = t._get_storage()
    copied = memo.get(id(storage))
    if copied is None:
        from ._storage import Storage

        if storage.device is cpu:
            copied = Storage(storage.buffer.copy(), 0)
        else:
            from .cuda._transfer import copy_storage

            copied = copy_storage(storage)
        memo[id(storage)] = copied
        memo.setdefault("numtorch storages kept alive", []).append(storage)
    result = _new(type(t))
    result._size, result._stride, result._dtype = t._size, t._stride, t._dtype
    result._flat = None
    result._storage, result._offset = copied, t._offset
    if t._device is cpu:
        result.flat()
    else:
        result._device = t._device
    if t._requires_grad:
        result._requires_grad = True
    memo[id(t)] = result
    if t._grad is not None:
        result._grad = deepcopy_tensor(t._grad, memo)
    for name, value in t.__dict__.items():
        if not name.startswith("_"):
            from copy import deepcopy

            result.__dict__[name] = deepcopy(value, memo)
    return result
