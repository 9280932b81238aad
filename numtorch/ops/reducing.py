"""What all reductions share: which dims, in which layout, and the tensor that comes out.

A kernel wants (outer, n, inner) of a contiguous buffer. A dense tensor in any order of dims is read as it
lies (the result then lies in the same order); reduced dims that are not neighbours are reduced one group
after the other where the operator allows it (sums), else brought together by a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from operator import index
from typing import NamedTuple

import numpy as np
from numba import from_dtype, types

from numtorch.kernels.compiler import entry_point
from numtorch.kernels.cpu.reductions import PARALLEL_SIZE

from .. import _dtype
from .._copy import cast_array, contiguous
from .._device import cpu
from .._dtype import dtype
from .._registry import register
from .._size import Size, contiguous_strides, is_contiguous, is_dense, wrap_dim, wrap_dims
from .._storage import Storage
from .._tensor import Tensor, _new, strided, wrap


def dims_of(dim, ndim: int) -> tuple[int, ...]:
    """The dims that `dim` (None, an int or several) names, sorted; None and () mean all of them."""
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        return tuple(sorted(wrap_dims(dim, ndim))) if dim else tuple(range(ndim))
    return (wrap_dim(index(dim), ndim),)


@lru_cache(maxsize=4096)
def reduced_size(size: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> Size:
    """The size of the result."""
    if keepdim:
        return Size(1 if d in dims else n for d, n in enumerate(size))
    return Size(n for d, n in enumerate(size) if d not in dims)


@lru_cache(maxsize=4096)
def collapse(size: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(outer, n, inner) if the reduced dims are neighbours (dims of size 1 do not count), else None."""
    reduced = [d for d in dims if d < len(size) and size[d] != 1]
    if not reduced:
        return prod(size), 1, 1
    first, last = reduced[0], reduced[-1]
    if any(size[d] != 1 and d not in dims for d in range(first, last + 1)):
        return None
    return prod(size[:first]), prod(size[first : last + 1]), prod(size[last + 1 :])


class Layout(NamedTuple):
    """A reduction of a contiguous tensor over neighbouring dims: what the kernel needs, and what the result is."""

    outer: int
    n: int
    inner: int
    numel: int
    size: Size
    stride: tuple[int, ...]
    dims: tuple[int, ...]


#: The types of `dim` that direct_layout remembers.
PLAIN_DIMS = frozenset({int, tuple, type(None)})


@lru_cache(maxsize=4096)
def direct_layout(size: tuple[int, ...], dim, keepdim: bool) -> Layout | None:
    """The layout of a reduction of a contiguous tensor with elements over `dim` (None, an int, a tuple); None where
    the dims are not neighbours.
    """
    dims = dims_of(dim, len(size))
    shape = collapse(size, dims)
    if shape is None:
        return None
    reduced = reduced_size(size, dims, keepdim)
    return Layout(*shape, shape[0] * shape[2], reduced, contiguous_strides(reduced), dims)


def restore(t: Tensor, dims: tuple[int, ...], keepdim: bool, ndim: int) -> Tensor:
    """A result of a reduction with its reduced dims back as 1, so that it broadcasts against the input."""
    if keepdim or ndim == 0:
        return t
    for d in dims:
        t = t.unsqueeze(d)
    return t


def check_cpu(t: Tensor, name: str) -> None:
    if t._device is not cpu:
        raise NotImplementedError(f"{name}() is not implemented for CUDA tensors yet")


def elements(t: Tensor) -> np.ndarray:
    """The flat contiguous buffer of `t` in the dtype that kernels compute in."""
    flat = t._flat
    if flat is None:
        flat = contiguous(t).flat()
    d = t._dtype
    return flat if d.np is d.compute else cast_array(flat, d, _dtype.float32)


def compute_dtype(d: dtype) -> dtype:
    """The dtype kernels see for `d`: float32 for the halves."""
    return d if d.np is d.compute else _dtype.float32


def finished(out: np.ndarray, size, computed: dtype, d: dtype) -> Tensor:
    """A contiguous result that was computed in one dtype, as a tensor of another."""
    return wrap(out if computed is d else cast_array(out, computed, d), size, d)


def brought_last(t: Tensor, dims: tuple[int, ...]) -> Tensor:
    """A contiguous tensor outside the graph whose last dims are the given ones."""
    kept = [d for d in range(t.ndim) if d not in dims]
    return contiguous(t.detach().permute(*kept, *dims)) if t.ndim else t


def rows_of(t: Tensor, dims: tuple[int, ...]) -> tuple[np.ndarray, int, int]:
    """(flat, rows, n): the elements with the given dims last, as rows of n."""
    n = prod(t._size[d] for d in dims) if t.ndim else 1
    rows = prod(s for d, s in enumerate(t._size) if d not in dims)
    shape = collapse(t._size, dims)
    if shape is None or shape[2] != 1:
        t = brought_last(t, dims)
    return elements(t), rows, n


class Lying(NamedTuple):
    """A dense tensor in the order of memory: its sizes and reduced dims there, and how its result without those dims lies."""

    size: tuple[int, ...]
    dims: tuple[int, ...]
    out_size: Size
    out_stride: tuple[int, ...]


@lru_cache(maxsize=4096)
def lying(size: tuple[int, ...], stride: tuple[int, ...], dims: tuple[int, ...]) -> Lying | None:
    """How a tensor with elements lies that is dense, but not in the order of its dims; None for others."""
    if is_contiguous(size, stride) or not is_dense(size, stride) or 0 in size:
        return None
    order = sorted(range(len(size)), key=lambda i: -stride[i])
    kept = [i for i in order if i not in dims]
    left = contiguous_strides(tuple(size[i] for i in kept))
    ranks = sorted(range(len(kept)), key=lambda i: kept[i])
    out_size = Size(size[kept[i]] for i in ranks)
    in_memory = tuple(size[i] for i in order)
    return Lying(in_memory, tuple(sorted(order.index(d) for d in dims)), out_size, tuple(left[i] for i in ranks))


def as_it_lies(t: Tensor) -> np.ndarray:
    """The elements of a dense tensor in the order of memory, in the dtype that kernels compute in."""
    flat, d = t._buffer()[t._offset : t._offset + prod(t._size)], t._dtype
    return flat if d.np is d.compute else cast_array(flat, d, _dtype.float32)


def put_right(out: np.ndarray, lies: Lying) -> np.ndarray:
    """A result that was computed in the order of memory, in the order of its dims."""
    if is_contiguous(lies.out_size, lies.out_stride):
        return out
    d = _dtype.FROM_NUMPY[out.dtype]
    return contiguous(strided(Storage(out), lies.out_size, lies.out_stride, 0, d))._flat


def reduce(t: Tensor, dims, keepdim: bool, kernels, computed: dtype, empty, staged=None) -> Tensor:
    """Run the kernels of one reduction (of kernels/cpu/reductions.py) over the given dims.

    computed: dtype of the kernel's result. empty: the value where nothing is reduced. staged: kernels that
    may reduce the remaining groups of dims after the first (None: the groups must be brought together).
    """
    if t._device is not cpu:
        from ..cuda._reductions import reduce_on_cuda

        return reduce_on_cuda(t, dims, keepdim, kernels, computed, empty)
    size, d, given = t._size, t._dtype, dims
    if dims and d.np is d.compute:
        layouts = dense_layouts(size, t._stride, dims, keepdim)
        if layouts is None and 0 < prod(size) < WORTH_READING_APART:
            t = contiguous(t)
            layouts = dense_layouts(size, t._stride, dims, keepdim)
        if layouts is not None and (staged is not None or len(layouts) == 1):
            return _reduced_in_layouts(t, layouts, kernels, staged, d, computed)
    flat = t._flat if t._flat is not None else t.flat()
    if flat is None and d.np is d.compute:
        apart = apart_layout(size, t._stride, dims)
        if apart is not None:
            done = all(apart.left[i] == 1 for i in apart.dims)
            if done or staged is not None:
                out = np.empty(apart.outer * apart.inner, computed.np)
                kernels.run_apart(t._buffer(), t._offset, *apart[:7], out)
                if not done:
                    out = _in_steps(out, apart.left, apart.dims, staged, computed)
                full = tuple(size[i] for i in apart.order)
                return _ordered(
                    out, reduced_size(full, apart.dims, keepdim), computed, apart.order, apart.dims, keepdim
                )
    order = None
    if flat is None and is_dense(size, t._stride):
        order = sorted(range(len(size)), key=lambda i: -t._stride[i])
        flat = t._buffer()[t._offset : t._offset + size.numel()]
        size = tuple(size[i] for i in order)
        dims = tuple(sorted(order.index(i) for i in dims))
    shape = collapse(size, dims)
    if shape is None and staged is None:
        flat, order = brought_last(t, given)._flat, None
    elif flat is None:
        flat = contiguous(t)._flat
    if d.np is not d.compute:
        flat = cast_array(flat, d, _dtype.float32)
    numel = reduced_size(t._size, given, keepdim).numel()
    out = np.empty(numel, computed.np)
    if flat.size == 0 or numel == 0:
        out.fill(empty)
        return wrap(out, reduced_size(t._size, given, keepdim), computed)
    if shape is None and staged is None:
        kernels.run(flat, numel, flat.size // numel, 1, out)
        return wrap(out, reduced_size(t._size, given, keepdim), computed)
    if shape is None:
        out = _in_steps(flat, size, dims, kernels, computed, staged)
    else:
        kernels.run(flat, *shape, out)
    return _ordered(out, reduced_size(size, dims, keepdim), computed, order, dims, keepdim)


def _in_steps(flat, size, dims, kernels, computed: dtype, staged=None):
    """A contiguous array reduced over dims that need not be neighbours: by `kernels`, then by `staged` (or they again)."""
    for outer, n, inner in steps_of(tuple(size), tuple(dims)):
        part = np.empty(outer * inner, computed.np)
        kernels.run(flat, outer, n, inner, part)
        flat, kernels = part, staged or kernels
    return flat


def steps_of(size: tuple[int, ...], dims: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(outer, n, inner) of each reduction over neighbours, one after the other, of a contiguous array with elements."""
    steps = []
    while True:
        shape = collapse(size, dims)
        if shape is not None:
            return [*steps, shape]
        # The innermost group of neighbours first: it is the one that reads the whole input, along memory.
        last = max(i for i in dims if size[i] != 1)
        group = [last]
        while group[0] > 0 and (group[0] - 1 in dims or size[group[0] - 1] == 1):
            group.insert(0, group[0] - 1)
        steps.append(collapse(size, tuple(group)))
        size = tuple(1 if i in group else n for i, n in enumerate(size))


class Apart(NamedTuple):
    """The first step of a reduction that reads a tensor with gaps, or in another order, where it lies.

    The kernel's arguments (kernels/cpu/reductions.py), and what is left: the sizes in the order of memory with the
    reduced ones as 1, and the dims to reduce in that order.
    """

    outer: int
    some: int
    far: int
    near: int
    n: int
    step: int
    inner: int
    order: list[int]
    left: tuple[int, ...]
    dims: tuple[int, ...]


@lru_cache(maxsize=4096)
def dense_layouts(size, stride, dims: tuple[int, ...], keepdim: bool) -> tuple[Layout, ...] | None:
    """The steps of a reduction of a dense tensor with elements, whatever the order of its dims in memory; one step where the
    reduced dims are neighbours there. Size and stride are those of the result. None for other tensors.
    """
    if not is_dense(size, stride) or 0 in size:
        return None
    order = sorted(range(len(size)), key=lambda i: -stride[i])
    in_memory = tuple(size[i] for i in order)
    reduced = tuple(sorted(order.index(i) for i in dims if i < len(size)))
    left = reduced_size(in_memory, reduced, keepdim)
    kept = order if keepdim else [i for i in order if i not in dims]
    ranks = sorted(range(len(kept)), key=lambda i: kept[i])
    out_size = Size(left[i] for i in ranks)
    out_stride = tuple(contiguous_strides(left)[i] for i in ranks)
    if is_contiguous(out_size, out_stride):
        out_stride = contiguous_strides(out_size)
    return tuple(
        Layout(outer, n, inner, outer * inner, out_size, out_stride, dims)
        for outer, n, inner in steps_of(in_memory, reduced)
    )


#: Elements from which a tensor with gaps is reduced where it lies: copying fewer costs less than the way there.
WORTH_READING_APART = 16384


@lru_cache(maxsize=4096)
def apart_layout(size: tuple[int, ...], stride: tuple[int, ...], dims: tuple[int, ...]) -> Apart | None:
    """How the innermost of the reduced dims is folded in place; None where memory is not walked element by element, or
    the other dims make more than two steps."""
    order = sorted(range(len(size)), key=lambda i: -stride[i])
    runs: list[list] = []  # [elements, step, whether reduced, dims in the order of memory]
    for place, d in enumerate(order):
        if size[d] == 1:
            continue
        if runs and runs[-1][2] == (d in dims) and runs[-1][1] == stride[d] * size[d]:
            runs[-1][0] *= size[d]
            runs[-1][1] = stride[d]
            runs[-1][3].append(place)
        else:
            runs.append([size[d], stride[d], d in dims, [place]])
    reduced = [i for i, run in enumerate(runs) if run[2]]
    if not reduced or runs[-1][1] != 1 or prod(size) < WORTH_READING_APART:
        return None
    n, step, _, folded = runs[reduced[-1]]
    inner = 1 if reduced[-1] == len(runs) - 1 else runs[-1][0]
    others = [run for i, run in enumerate(runs) if i != reduced[-1] and (inner == 1 or i != len(runs) - 1)]
    if len(others) > 2:
        return None
    outer = prod(run[0] for run in others)
    some, near = others[-1][:2] if others else (1, 0)
    far = others[0][1] if len(others) == 2 else 0
    left = tuple(1 if place in folded else size[d] for place, d in enumerate(order))
    in_memory = tuple(sorted(order.index(i) for i in dims))
    return Apart(outer, some, far, near, n, step, inner, order, left, in_memory)


def _reduced_in_layouts(t: Tensor, layouts, kernels, staged, d: dtype, computed: dtype) -> Tensor:
    """reduce() of a dense tensor, by `kernels` in the first step and by `staged` in the others."""
    flat = t._flat
    if flat is None:
        start = t._offset
        flat = t._buffer()[start : start + prod(t._size)]
    for layout in layouts:
        result = _reduced_directly(flat, layout, kernels, d, computed)
        flat, kernels, d = result._flat, staged, computed
    if not is_contiguous(result._size, result._stride):
        result._storage, result._flat = Storage(flat), None
    return result


def _reduced_directly(flat, layout: Layout, kernels, d: dtype, computed: dtype) -> Tensor:
    """reduce() of a contiguous tensor over neighbouring dims; the compiled kernel itself where it is small."""
    outer, n, inner, numel, size, stride, _ = layout
    out = np.empty(numel, computed.np)
    if flat.size >= PARALLEL_SIZE:
        kernels.run(flat, outer, n, inner, out)
    elif inner == 1:
        entry = kernels.row_entries.get(d)
        if entry is None:
            entry = kernels.row_entries[d] = _entry(kernels.rows, 2, d, computed)
        entry(flat, outer, n, out)
    else:
        entry = kernels.column_entries.get(d)
        if entry is None:
            entry = kernels.column_entries[d] = _entry(kernels.columns, 3, d, computed)
        entry(flat, outer, n, inner, out)
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = out, size, stride, computed
    return result


def reduced_at_once(t: Tensor, dim, keepdim: bool, kernels, computed: dtype) -> Tensor | None:
    """reduce() of a contiguous CPU tensor with elements over neighbouring dims, `dim` as callers give it; None for others.

    The way of small calls: nothing is asked twice."""
    flat, d = t._flat, t._dtype
    if flat.__class__ is not np.ndarray or d.np is not d.compute or not flat.size or type(dim) not in PLAIN_DIMS:
        return None
    layout = direct_layout(t._size, dim, keepdim)
    return None if layout is None else _reduced_directly(flat, layout, kernels, d, computed)


def _entry(kernel, sizes: int, d: dtype, computed: dtype):
    """The compiled builtin of `rows` or `columns` of a reduction from d to `computed`."""
    return entry_point(kernel, (array_type(d), *[types.int64] * sizes, array_type(computed)))


def array_type(d: dtype) -> types.Array:
    """The type of the flat buffers of a dtype, for signatures."""
    return types.Array(types.boolean if d.np == np.bool_ else from_dtype(d.np), 1, "C")


def _ordered(out, size, computed: dtype, order, dims, keepdim: bool) -> Tensor:
    """The result, whose dims lie in memory in `order`, seen in the order of the input's dims."""
    if order is None:
        return wrap(out, size, computed)
    kept = order if keepdim else [o for i, o in enumerate(order) if i not in dims]
    ranks = sorted(range(len(kept)), key=lambda i: kept[i])
    in_memory = wrap(out, size, computed)
    if ranks == list(range(len(kept))):
        return in_memory
    stride = contiguous_strides(size)
    size = Size(size[i] for i in ranks)
    return strided(in_memory._get_storage(), size, tuple(stride[i] for i in ranks), 0, computed)


def numpy_names(fn) -> Callable:
    """Accept numpy's `axis` and `keepdims` for `dim` and `keepdim`, as torch does."""

    def call(*args, **kwargs) -> Tensor | tuple:
        if kwargs:
            if "axis" in kwargs:
                kwargs["dim"] = kwargs.pop("axis")
            if "keepdims" in kwargs:
                kwargs["keepdim"] = kwargs.pop("keepdims")
            return fn(*args, **kwargs)
        return fn(*args)

    call.__name__ = call.__qualname__ = fn.__name__
    call.__doc__ = fn.__doc__
    call.__module__ = fn.__module__
    call.__wrapped__ = call.positional = fn
    return call


def publish(**options) -> Callable:
    """`register` as a decorator, with numpy's argument names."""

    def decorate(fn):
        return register(options.pop("name", fn.__name__), numpy_names(fn), **options)

    return decorate
