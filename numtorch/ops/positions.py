"""Where indexed elements lie in a buffer: the arguments of the kernels in kernels/cpu/indexing.py.

A tensor is read or written as a block (outer, points, inner). `Places` holds the buffer positions of the three parts;
the kernels add them up. It is made once from checked indices, and serves reading, writing and accumulating alike.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from numtorch.kernels.cpu import indexing as _kernels
from numtorch.kernels.cpu import masks as _masks
from numtorch.kernels.cpu import row_indexing as _rows

from .._allocator import empty
from .._compiled import Compiled as Compiled
from .._compiled import compiled_pair
from .._copy import BITS, contiguous
from .._device import cpu
from .._dtype import int32, int64
from .._size import Size, contiguous_strides, is_contiguous, wrap_dim
from .._tensor import Tensor, _new

NOTHING = np.empty(0, np.int64)
ORIGIN = np.zeros(1, np.int64)
# Positions of small parts are kept: they are asked for again and again with the same shapes.
_KEPT = 1024


def bits(t: Tensor) -> np.ndarray:
    """The whole buffer as unsigned integers of the element's size (complex128 for 16 bytes): what moving
    kernels see."""
    return t._buffer().view(BITS[t._dtype.itemsize])


def bits_of(flat: np.ndarray) -> np.ndarray:
    return flat.view(BITS[flat.itemsize])


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


# --- compiled once a dtype, called without a look at the arguments --------------------------------------------

#: Elements moved from which a parallel kernel beats a serial one.
PARALLEL_ELEMENTS = 1 << 16
#: The same where every element has an index of its own or a mask is followed: 0.5 ns each instead of 0.1, and a region
#: costs 2 us.
PARALLEL_PICKS = 1 << 15

# Elements are moved as numbers of their own dtype where that is common, so that the small calls need no view of their
# buffers (0.25 us each), and as others of their size where it is not, so that kernels compile for few dtypes.
_MOVED_AS = {n: np.dtype(f"{kind}{n}") for n, kind in ((1, "u"), (2, "u"), (4, "f"), (8, "f"), (16, "c"))}
MOVED_ITSELF = (np.uint8, np.float32, np.float64, np.int64)


def moved_as(np_dtype: np.dtype) -> np.dtype:
    """The numpy dtype whose kernel moves elements of `np_dtype`."""
    if np_dtype.type in MOVED_ITSELF:
        return np_dtype
    return _MOVED_AS[np_dtype.itemsize]


def as_moved(flat: np.ndarray) -> np.ndarray:
    """A flat array in the dtype that it is moved as."""
    d = moved_as(flat.dtype)
    return flat if d is flat.dtype else flat.view(d)


def as_vectors(source: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(source, out, numbers an element) of one dtype in a dtype that vectors hold: 16 bytes are two of 8."""
    d = source.dtype
    if d.type in MOVED_ITSELF:
        return source, out, 1
    d = moved_as(d)
    if d.itemsize == 16:
        return source.view(np.float64), out.view(np.float64), 2
    return source.view(d), out.view(d), 1


masked_fill = compiled_pair(_masks.masked_fill_block, "xmvx")


def fill_flat(flat: np.ndarray, mask: np.ndarray, value) -> None:
    """A number of the array's own kind where the mask is true."""
    d = flat.dtype
    if d.char in "fd":
        number = d.type(value)
    else:
        flat, number = as_moved(flat), as_moved(np.array([value], d))[0]
    masked_fill[flat.size >= PARALLEL_ELEMENTS][flat.dtype](flat, mask, number, flat)


_read_rows = compiled_pair(_rows.rows_forward, "xinnnnnnnnx")
_write_rows = compiled_pair(_rows.rows_update, "xbixnnnnnnx")


def read_rows(
    source: np.ndarray, index: np.ndarray, size: int, low: int, outer: int, width: int
) -> tuple[np.ndarray, int]:
    """(elements, position of a bad index or -1): source[o, index[p], :] of a flat (outer, size, width) array."""
    return read_parts(source, index, size, low, 0, outer, size * width, width, width, 1)


def read_parts(
    source, index, size: int, low: int, start: int, outer: int, stride: int, step: int, width: int, across: int
) -> tuple[np.ndarray, int]:
    """The same of a buffer: element (o, i, w) of the block lies at start + o * stride + i * step + w * across."""
    out = to = empty(outer * index.size * width, source.dtype)
    d = source.dtype
    if d.type not in MOVED_ITSELF:
        d = moved_as(d)
        source, to = source.view(d), out.view(d)
        if d.itemsize == 16 and (
            across == 1 or width == 1
        ):  # twice as many of 8 bytes: vectors have no complex numbers
            d, width, across = np.dtype(np.float64), width * 2, 1
            start, stride, step = start * 2, stride * 2, step * 2
            source, to = source.view(d), to.view(d)
    many = PARALLEL_PICKS if width == 1 or across != 1 else PARALLEL_ELEMENTS
    kernel = _read_rows[out.size >= many][d]
    return out, kernel(source, index, size, low, start, outer, stride, step, width, across, to)


def merged(size: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, int] | None:
    """Dimensions as one: (elements, from one to the next), or None where they have more than one step."""
    count, step = 1, 1
    for n, s in zip(reversed(size), reversed(stride), strict=True):
        if n != 1:
            if count == 1:
                step = s
            elif s != step * count:
                return None
            count *= n
    return count, step


@lru_cache(maxsize=4096)
def strided_parts(size: tuple[int, ...], stride: tuple[int, ...], first: int, last: int):
    """(outer, its stride, elements of a part, from one to the next) around the dimensions first .. last that are indexed;
    None where a kernel with one step for each does not follow them, or there are no elements."""
    outer, width = merged(size[:first], stride[:first]), merged(size[last + 1 :], stride[last + 1 :])
    return None if outer is None or width is None or 0 in size else (*outer, *width)


@lru_cache(maxsize=2048)
def pick_plan(size: tuple[int, ...], stride: tuple[int, ...], dim: int, shape: tuple[int, ...]):
    """What `pick` needs of a tensor and the shape of an index along dim: (n, elements picked, the numbers behind `start`
    that `read_parts` takes, size and stride of the result); None where `strided_parts` gives None."""
    d = wrap_dim(dim, len(size))
    parts = strided_parts(size, stride, d, d)
    if parts is None:
        return None
    outer, step, width, across = parts
    picked = Size((*size[:d], *shape, *size[d + 1 :]))
    return size[d], prod(picked), (outer, step, stride[d], width, across), picked, contiguous_strides(picked)


def pick(t: Tensor, index: np.ndarray, low: int, plan: tuple, start: int = 0) -> tuple[Tensor, int]:
    """(the parts of `t` at an index, position of a bad index or -1), unrecorded: as directly as can be where they are small.

    `start`: where in `t` what is indexed begins, the plan being one of that part."""
    n, numel, numbers, size, stride = plan
    source = t._flat
    if source is None:
        source, start = t._buffer(), start + t._offset
    d = source.dtype
    moved = d if d.type in MOVED_ITSELF else moved_as(d)
    kernel = _read_rows[False].get(moved) if numel < PARALLEL_PICKS and moved.itemsize <= 8 else None
    if kernel is None:
        out, bad = read_parts(source, index, n, low, start, *numbers)
    elif moved is d:
        out = np.empty(numel, d)
        bad = kernel(source, index, n, low, start, *numbers, out)
    else:
        to = np.empty(numel, moved)
        bad = kernel(source.view(moved), index, n, low, start, *numbers, to)
        out = to.view(d)
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = out, size, stride, t._dtype
    return result, bad


def _apart(index: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The index, or a copy of it where it lies in the target: it has been checked, and must not change while it is
    followed."""
    return index.copy() if target.dtype.type is np.int64 and np.may_share_memory(index, target) else index


def write_rows(
    before, zeros: bool, index, values, size: int, low: int, skip: int, outer: int, width: int, mode: int, target
) -> int:
    """target[o, index[p], :] = or += values[o, p, :] (or one row for all), see kernels/cpu/row_indexing.py.

    The position of a bad index, or -1. To add, the dtype is a real number's; to set, any."""
    d = target.dtype
    index = _apart(index, target)
    if d.type not in MOVED_ITSELF and mode == _rows.SET:
        d = moved_as(d)
        before, values, target = before.view(d), values.view(d), target.view(d)
    if d.kind == "c":  # complex numbers are set and added part by part
        d, width = np.dtype(f"f{d.itemsize // 2}"), width * 2
        before, values, target = before.view(d), values.view(d), target.view(d)
    kernel = _write_rows[target.size + values.size >= PARALLEL_ELEMENTS][d]
    return kernel(before, zeros, index, values, size, low, skip, outer, width, mode, target)


@lru_cache(maxsize=1024)
def block_of(size: tuple[int, ...], dim: int) -> tuple[int, int, int, int]:
    """(dimension, outer, size, width): a contiguous tensor as a block around one dimension."""
    d = wrap_dim(dim, len(size))
    if not size:
        return 0, 1, 1, 1
    return d, prod(size[:d]), size[d], prod(size[d + 1 :])


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
    out = empty(places.numel, t._dtype.np)
    if out.size:
        _kernels.index_forward(source, places.outer, places.base, places.inner, places.width, bits_of(out))
    return out


def write(t: Tensor, places: Places, values: np.ndarray) -> None:
    """Write flat `values` (or a single one everywhere) of t's dtype to `places`, in order."""
    if places.numel:
        base = _apart(places.base, t._buffer())
        _kernels.index_put(bits(t), places.outer, base, places.inner, places.width, bits_of(values))


def accumulate(t: Tensor, places: Places, values: np.ndarray) -> None:
    """Add flat `values` at `places`, in order. `t` has a dtype that kernels compute in."""
    if places.numel:
        base = _apart(places.base, t._buffer())
        _kernels.index_accumulate(t._buffer(), places.outer, base, places.inner, places.width, values)
