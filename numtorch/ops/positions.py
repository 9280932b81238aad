"""Where indexed elements lie in a buffer: the arguments of the kernels in kernels/cpu/indexing.py.

A tensor is read or written as a block (outer, points, inner). `Places` holds the buffer positions of the
three parts; the kernels add them up. It is made once from checked indices, and serves reading, writing and
accumulating alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from numtorch.kernels.cpu import indexing as _kernels

from .._copy import _BITS, contiguous
from .._device import cpu
from .._dtype import dtype, int32, int64
from .._size import Size, is_contiguous
from .._tensor import Tensor

NOTHING = np.empty(0, np.int64)
ORIGIN = np.zeros(1, np.int64)
# Positions of small parts are kept: they are asked for again and again with the same shapes.
_KEPT = 1024


def bits(t: Tensor) -> np.ndarray:
    """The whole buffer as unsigned integers of the element's size (complex128 for 16 bytes): what moving
    kernels see."""
    return t._buffer().view(_BITS[t._dtype.itemsize])


def bits_of(flat: np.ndarray) -> np.ndarray:
    return flat.view(_BITS[flat.itemsize])


@lru_cache(maxsize=1024)
def _kept_positions(size: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    return _fresh_positions(size, stride, 0)


def _fresh_positions(size, stride, start: int) -> np.ndarray:
    out = np.empty(Size(size).numel(), np.int64)
    _kernels.strided_positions(out, np.array(size, np.int64), np.array(stride, np.int64), start)
    return out


def positions(size: tuple[int, ...], stride: tuple[int, ...], start: int = 0) -> np.ndarray:
    """The buffer position of every element, in row-major order."""
    if not size and not start:
        return ORIGIN
    if start == 0 and Size(size).numel() <= _KEPT:
        return _kept_positions(tuple(size), tuple(stride))
    return _fresh_positions(size, stride, start)


def inner_block(size: tuple[int, ...], stride: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """(positions, count) of trailing dimensions; no positions where the elements are adjacent."""
    count = Size(size).numel()
    if is_contiguous(size, stride):
        return NOTHING, count
    return positions(size, stride), count


class Places(NamedTuple):
    """The positions of a block, and its size as a tensor."""

    outer: np.ndarray
    base: np.ndarray
    inner: np.ndarray
    width: int
    size: Size

    @property
    def numel(self) -> int:
        return self.outer.size * self.base.size * self.width


def index_array(index: Tensor) -> np.ndarray:
    """The elements of an integer index tensor as a flat int64 array."""
    flat = contiguous(index)._flat
    return flat if flat.dtype == np.int64 else flat.astype(np.int64)


def index_where_it_is(index: Tensor):
    """The same, as a device array of a CUDA tensor: for operators that have kernels there."""
    if index._device is cpu:
        return index_array(index)
    from ..cuda._indexing import index_array as on_cuda

    return on_cuda(index)


def check_vector(index: Tensor, name: str) -> np.ndarray:
    """The index vector of index_select and its kin: int32 or int64, of at most one dimension."""
    if len(index._size) > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    if index._dtype is not int64 and index._dtype is not int32:
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index")
    return index_where_it_is(index)


def along(t: Tensor, dim: int, index: np.ndarray) -> Places:
    """The parts of `t` at the (checked, non-negative) indices of one dimension."""
    size, stride = tuple(t._size), t._stride
    if not size:
        size, stride = (1,), (1,)
    outer = positions(size[:dim], stride[:dim], t._offset)
    inner, width = inner_block(size[dim + 1 :], stride[dim + 1 :])
    result = Size((*size[:dim], index.size, *size[dim + 1 :])) if t._size else Size((index.size,))
    step = stride[dim]
    return Places(outer, index if step == 1 else index * step, inner, width, result)


def first_bad(index: np.ndarray, size: int, low: int = 0) -> int | None:
    """The first index outside [low, size), or None."""
    if not isinstance(index, np.ndarray):
        from ..cuda._indexing import first_bad as on_cuda

        return on_cuda(index, size, low)
    where = _kernels.first_bad_index(index, size, low)
    return None if where < 0 else int(index[where])


def read(t: Tensor, places: Places) -> np.ndarray:
    """The elements at `places`, as a fresh flat array of t's dtype."""
    source = bits(t)
    out = np.empty(places.numel, t._dtype.np)
    if out.size:
        _kernels.index_forward(source, places.outer, places.base, places.inner, places.width, bits_of(out))
    return out


def write(t: Tensor, places: Places, values: np.ndarray) -> None:
    """Write flat `values` (or a single one everywhere) of t's dtype to `places`, in order."""
    if places.numel:
        _kernels.index_put(bits(t), places.outer, places.base, places.inner, places.width, bits_of(values))


def accumulate(t: Tensor, places: Places, values: np.ndarray) -> None:
    """Add flat `values` at `places`, in order. `t` has a dtype that kernels compute in."""
    if places.numel:
        _kernels.index_accumulate(t._buffer(), places.outer, places.base, places.inner, places.width, values)


def in_compute_dtype(t: Tensor, d: dtype) -> bool:
    """Whether kernels can add in t's own buffer (not so for the halves)."""
    return d.np is d.compute or d.np == d.compute


def sizes_text(sizes: Sequence[int]) -> str:
    return str(list(sizes))
