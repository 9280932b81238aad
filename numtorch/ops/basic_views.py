"""Where the basic part of an index expression, integers, slices, None and ..., lies in a tensor."""

from __future__ import annotations

from functools import lru_cache

from .._size import Size
from .._tensor import Tensor, _new


@lru_cache(maxsize=4096)
def first_dim(size: tuple[int, ...], stride: tuple[int, ...]):
    """(n, step, size of the rest, its strides)."""
    return size[0], stride[0], Size(tuple(size)[1:]), stride[1:]


def basic_view_at(t: Tensor, size, stride, offset: int) -> Tensor:
    """make_view for a tensor that the graph does not record, which is what indexing speed is about."""
    result = _new(Tensor)
    result._flat = None
    result._size, result._stride, result._dtype = size, stride, t._dtype
    result._storage = t._storage or t._get_storage()
    if offset:
        result._offset = offset
    base = t._base
    result._base = t if base is None else base
    return result


@lru_cache(maxsize=4096)
def sliced(size: tuple[int, ...], stride: tuple[int, ...], start: int | None, stop: int | None):
    """(size, offset) of t[start:stop]."""
    first, last, _ = slice(start, stop).indices(size[0])
    return Size((max(last - first, 0), *tuple(size)[1:])), (first if last > first else 0) * stride[0]


def basic_place(self: Tensor, key):
    """(size, stride, offset within self) of self[key] for a key of integers, slices, None and ...

    None where it holds anything else, or is wrong: the general way finds out what."""
    items = []
    for each in key:
        kind = each.__class__
        if kind is slice:  # slices have no hash before Python 3.12
            each = each.start, each.stop, each.step
            for bound in each:
                if bound is not None and bound.__class__ is not int:
                    return None
        elif kind is not int and each is not None and each is not Ellipsis:
            return None
        items.append(each)
    return basic_geometry(self._size, self._stride, tuple(items))


@lru_cache(maxsize=8192)
def basic_geometry(sizes: tuple[int, ...], strides: tuple[int, ...], key: tuple):
    """(size, stride, offset) of t[key], the slices given as (start, stop, step); None where it is wrong."""
    size, stride, offset = [], [], 0
    dims = list(zip(sizes, strides, strict=True))
    dim = 0
    for position, each in enumerate(key):
        if each is None:
            size.append(1)
            stride.append(dims[dim][0] * dims[dim][1] if dim < len(dims) else 1)
        elif each is Ellipsis:
            rest = len(dims) - dim - sum(e is not None and e is not Ellipsis for e in key[position + 1 :])
            if rest < 0:
                return None
            for n, step in dims[dim : dim + rest]:
                size.append(n)
                stride.append(step)
            dim += rest
        elif dim >= len(dims):
            return None
        else:
            n, step = dims[dim]
            if isinstance(each, tuple):
                start, stop, by = slice_bounds(slice(*each), n)
                size.append((stop - start + by - 1) // by)
                stride.append(step * by)
                offset += start * step
            elif -n <= each < n:
                offset += (each + n if each < 0 else each) * step
            else:
                return None
            dim += 1
    for n, step in dims[dim:]:
        size.append(n)
        stride.append(step)
    return Size(size), tuple(stride), offset


def slice_bounds(key: slice, n: int) -> tuple[int, int, int]:
    """start, stop, step with 0 <= start <= stop <= n and step > 0."""
    step = key.step
    if step is not None and step.__index__() <= 0:
        raise ValueError("step must be greater than zero")
    start, stop, step = key.indices(n)
    return (start, stop, step) if stop > start else (start, start, step)
