"""Elements repeated or in another order: repeat, tile, flip, roll and rot90."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from numtorch.kernels.cpu import joining as _kernels

from .._allocator import empty
from .._compiled import compiled_pair
from .._copy import clone, contiguous, copy_elements
from .._device import cpu
from .._primitive import primitive
from .._registry import op
from .._size import Size, flatten_sizes, is_dense, wrap_dim, wrap_dims
from .._tensor import Tensor, strided, wrap, wrap_as
from . import positions as at
from .joining import cat
from .reducing import check_cpu

_ndarray = np.ndarray
_flip_block = compiled_pair(_kernels.flip_block, "xnnx")
_roll_block = compiled_pair(_kernels.roll_block, "xnnx")
_repeat_block = compiled_pair(_kernels.repeat_block, "xnnx")


@op(function=False)
def repeat(self, *sizes, repeats=None) -> Tensor:
    """The tensor side by side, `sizes[i]` times along dimension i (leading dimensions are added)."""
    sizes = flatten_sizes(sizes if repeats is None else (repeats,), "repeats")
    old = self._size
    lead = len(sizes) - len(old)
    if lead < 0:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(sizes)}: {list(sizes)}")
    return _repeated(self, sizes)


def _interleaved(size, sizes) -> list[int]:
    """(times, length) of each dimension of `size` repeated, one after the other."""
    padded = (1,) * (len(sizes) - len(size)) + tuple(size)
    return [n for pair in zip(sizes, padded) for n in pair]


@primitive("repeat", node="RepeatBackward0", public=False)
def _repeated(self, sizes):
    target = _interleaved(self._size, sizes)
    final = [times * n for times, n in zip(target[::2], target[1::2])]
    flat = self._flat
    if flat is not None and self._device is cpu and 0 not in target:
        # From the last dimension to the first: a part that is repeated is one run of memory each time.
        length = 1
        for times, n in zip(sizes[::-1], target[::-2]):
            length *= n
            if times > 1:
                out = empty(flat.size * times, flat.dtype)
                x, to, parts = at.as_vectors(flat, out)
                _repeat_block[out.size >= at.PARALLEL_ELEMENTS][x.dtype](x, length * parts, times, to)
                flat = out
            length *= times
        return wrap(flat.copy() if flat is self._flat else flat, Size(final), self._dtype)
    once = _interleaved(self._size, (1,) * len(sizes))
    return self.detach().reshape(once).expand(target).clone().reshape(final)


def _repeated_rule(ctx, grad):
    if not ctx.sizes:
        return grad
    return (
        grad.reshape(_interleaved(ctx.self.shape, ctx.sizes))
        .sum(list(range(0, 2 * len(ctx.sizes), 2)))
        .reshape(ctx.self.shape)
    )


_repeated.derivative(self=_repeated_rule)


@op()
def tile(input, *args, dims=None) -> Tensor:
    """`repeat` that leaves leading dimensions alone where fewer numbers are given."""
    dims = flatten_sizes(args if dims is None else (dims,), "dims")
    missing = len(input._size) - len(dims)
    return repeat(input, (1,) * max(missing, 0) + dims)


@op()
def flip(input, *args, dims=None) -> Tensor:
    """The order of elements reversed along the dimensions given."""
    if dims is not None or len(args) != 1 or type(args[0]) is not int:
        args = flatten_sizes(args if dims is None else (dims,), "dims")
    return _flipped(input, _turned_dims(args, len(input._size)))


@lru_cache(maxsize=1024)
def _turned_dims(dims: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    dims = wrap_dims(dims, ndim)
    return dims if ndim else ()


@lru_cache(maxsize=1024)
def _flip_plan(size: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, int] | None:
    """(n, width) of the one dimension that neighbouring dimensions are which are all turned round, else None."""
    dims = [d for d in dims if size[d] != 1]
    if not dims or 0 in size or max(dims) - min(dims) + 1 != len(dims):
        return None
    return prod([size[d] for d in dims]), prod(size[max(dims) + 1 :])


@primitive(node="FlipBackward0", public=False)
def _flipped(self, dims):
    source = self._flat
    plan = _flip_plan(self._size, dims) if source.__class__ is _ndarray else None
    if plan is not None:
        n, width = plan
        out = empty(source.size, source.dtype)
        x, to, parts = at.as_vectors(source, out) if width > 1 else (at.as_moved(source), at.as_moved(out), 1)
        _flip_block[out.size >= at.PARALLEL_ELEMENTS][x.dtype](x, n, width * parts, to)
        return wrap_as(out, self)
    check_cpu(self, "flip")
    size, stride, offset = self._size, list(self._stride), self._offset
    if source is None and 0 not in size and self.flat() is None and is_dense(size, self._stride):
        # In the order of memory it is contiguous, and so is the result.
        order = sorted(range(len(size)), key=lambda d: -stride[d])
        in_memory = wrap(self._buffer()[offset : offset + size.numel()], Size(size[d] for d in order), self._dtype)
        out = _flipped(in_memory, tuple(sorted(order.index(d) for d in dims)))
        return strided(out._get_storage(), size, self._stride, 0, self._dtype)
    # A copy that reads backwards: the source starts at its last element along each dimension.
    out = wrap(empty(size.numel(), self._dtype.np), size, self._dtype)
    if 0 not in size:
        for d in dims:
            offset += (size[d] - 1) * stride[d]
            stride[d] = -stride[d]
        source = strided(self._get_storage(), size, stride, offset, self._dtype)
        copy_elements(source, out)
    return out


_flipped.derivative(self=lambda ctx, grad: _flipped(grad, ctx.dims))


@op()
def fliplr(input) -> Tensor:
    """Columns in reverse order."""
    if len(input._size) < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@op()
def flipud(input) -> Tensor:
    """Rows in reverse order."""
    if len(input._size) < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@op()
def roll(input, shifts, dims=None) -> Tensor:
    """Elements shifted along dimensions; what leaves at the end comes in at the beginning."""
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims.__class__ is int and len(shifts) == 1:
        return _rolled(input, shifts, (wrap_dim(dims, len(input._size)),))
    if dims is None or dims == ():
        if len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return _rolled(input, shifts, ())
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    return _rolled(input, shifts, tuple([wrap_dim(d, len(input._size)) for d in dims]))


@primitive("roll", node="RollBackward0", public=False)
def _rolled(self, shifts, dims):
    source = self._flat
    if source is None and self._device is cpu and self.flat() is not None:
        source = self._flat
    if len(shifts) == 1 and source is not None and source.size and self._device is cpu:
        # One dimension, or all elements as one line: each row is two runs.
        _, _, n, width = at.block_of(self._size, dims[0]) if dims else (0, 1, source.size, 1)
        out = empty(source.size, source.dtype)
        x, to, parts = at.as_vectors(source, out)
        width *= parts
        _roll_block[out.size >= at.PARALLEL_ELEMENTS][x.dtype](x, n * width, shifts[0] % n * width, to)
        return wrap_as(out, self)
    self = result = self.detach()
    if not dims:
        return _rolled(self.reshape(-1), shifts, (0,)).reshape(self._size)
    for shift, d in zip(shifts, dims):
        n = result._size[d]
        if n == 0:
            continue
        shift %= n
        if _worth_rolling_apart(result, d):
            result = _rolled_apart(result, shift, d)
            continue
        source = contiguous(result)._flat if result._device is cpu else None
        if source is None or not source.size:
            result = cat([result.narrow(d, n - shift, shift), result.narrow(d, 0, n - shift)], d)
            continue
        width = prod(result._size[d + 1 :])
        out = empty(source.size, source.dtype)
        x, to, parts = at.as_vectors(source, out)
        width *= parts
        _roll_block[out.size >= at.PARALLEL_ELEMENTS][x.dtype](x, n * width, shift * width, to)
        result = wrap(out, result._size, result._dtype)
    return result.clone() if result is self else result


# Elements from which a tensor with gaps is rolled where it lies: two copies of parts take longer to begin with than one.
_WORTH_ROLLING_APART = 32768


def _worth_rolling_apart(t: Tensor, dim: int) -> bool:
    large = t._device is cpu and t._flat is None and prod(t._size) >= _WORTH_ROLLING_APART
    return large and t.flat() is None and t._stride[dim] != 1


def _rolled_apart(t: Tensor, shift: int, dim: int) -> Tensor:
    """A tensor with gaps, or in another order, rolled along one dimension: its two parts copied to where they belong."""
    n = t._size[dim]
    out = wrap(empty(prod(t._size), t._dtype.np), t._size, t._dtype)
    for start, to, count in ((0, shift, n - shift), (n - shift, 0, shift)):
        if count:
            copy_elements(_part(t, dim, start, count), _part(out, dim, to, count))
    return out


def _part(t: Tensor, dim: int, start: int, count: int) -> Tensor:
    size = Size((*t._size[:dim], count, *t._size[dim + 1 :]))
    return strided(t._get_storage(), size, t._stride, t._offset + start * t._stride[dim], t._dtype)


_rolled.derivative(self=lambda ctx, grad: _rolled(grad, tuple([-n for n in ctx.shifts]), ctx.dims))


@op()
def rot90(input, k: int = 1, dims=(0, 1)) -> Tensor:
    """A quarter turn from the first of two dimensions towards the second, k times."""
    dims = tuple(dims)
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    n = len(input._size)
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}")
    a, b = (wrap_dim(d, n) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    return _rotated(input, k % 4, a, b)


@primitive("rot90", node="Rot90Backward0", public=False)
def _rotated(self, k, a, b):
    if k == 0:
        return clone(self)
    flip_forward = _flipped.__wrapped__
    if k == 2:
        return flip_forward(self, (a, b))
    turned = flip_forward(self, (b,) if k == 1 else (a,))
    size, stride = list(turned._size), list(turned._stride)
    size[a], size[b], stride[a], stride[b] = size[b], size[a], stride[b], stride[a]
    return strided(turned._get_storage(), Size(size), tuple(stride), turned._offset, self._dtype)


_rotated.derivative(self=lambda ctx, grad: _rotated(grad, -ctx.k % 4, ctx.a, ctx.b))
