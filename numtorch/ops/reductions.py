"""Sums, means, extremes and truths over any set of dims (products: prod.py).

input: any size, dim: None (all), an int, or several; the result keeps the reduced dims as 1 where keepdim.
"""

from __future__ import annotations

import functools
from functools import lru_cache

import numpy as np
from numba import types

from numtorch.graph import Node, mode, next_sequence
from numtorch.kernels.compiler import entry_point
from numtorch.kernels.cpu import extremes as _extremes
from numtorch.kernels.cpu import reductions as _kernels
from numtorch.kernels.cpu import softmax as _softmax

from .. import _dtype, return_types
from .._copy import cast, cast_array
from .._device import cpu
from .._dtype import BOOL, COMPLEX, FLOATING, INTEGRAL, bool_, dtype, int64
from .._inplace import write_out
from .._operands import laid_flat, without_gaps
from .._primitive import primitive
from .._registry import FUNCTIONS, op, register, with_out
from .._size import EMPTY, wrap_dim
from .._tensor import Tensor, _new, wrap
from .reducing import (
    PLAIN_DIMS,
    array_type,
    as_it_lies,
    brought_last,
    collapse,
    compute_dtype,
    dims_of,
    direct_layout,
    elements,
    finished,
    lying,
    numpy_names,
    publish,
    put_right,
    reduce,
    reduced_at_once,
    reduced_size,
    restore,
    rows_of,
)

# Below this many elements a full sum goes straight to the serial kernel.
_SMALL = 65536


def direct_entries(kernels, d: dtype):
    """The compiled `rows` and `columns` of a reduction that keeps the dtype, for calls where every 100 ns counts."""
    x, word = array_type(d), types.int64
    return entry_point(kernels.rows, (x, word, word, x)), entry_point(kernels.columns, (x, word, word, word, x))


def reduced_directly(entries, flat, layout, d: dtype) -> Tensor:
    """The result of a small reduction by the compiled kernels of `direct_entries`, outside the graph."""
    outer, n, inner, numel, size, stride, _ = layout
    y = np.empty(numel, flat.dtype)
    if inner == 1:
        entries[0](flat, outer, n, y)
    else:
        entries[1](flat, outer, n, inner, y)
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = y, size, stride, d
    return result


# -- sum and mean --------------------------------------------------------------------------------------------


class _SpreadNode(Node):
    """Gradient of a sum: the incoming one, expanded; of a mean, divided by the number of elements too."""

    dims: tuple[int, ...] = ()
    keepdim = True
    input_dtype: dtype | None = None  # where the sum widened its input
    divisor: int | None = None

    def apply(self, grads):
        grad = grads[0]
        if grad is None:
            return (None,)
        if self.divisor is not None:
            grad = grad / self.divisor
        size = self.input_size
        grad = restore(grad, self.dims, self.keepdim, len(size)).expand(size)
        return (grad if self.input_dtype is None else grad.to(self.input_dtype),)


class SumBackward0(_SpreadNode):
    pass


class SumBackward1(_SpreadNode):
    pass


class MeanBackward0(_SpreadNode):
    pass


class MeanBackward1(_SpreadNode):
    pass


def _record_spread(node_class, t: Tensor, result: Tensor, dims, keepdim: bool, divisor: int | None) -> None:
    node = _new(node_class)
    node.sequence_nr = next_sequence()
    node.next_nodes = (t._edge(),)
    if t._output_nr:
        node.next_nrs = (t._output_nr,)
    node.input_size = t._size
    if dims:
        node.dims, node.keepdim = dims, keepdim
    if divisor is not None:
        node.divisor = divisor
    if result._dtype is not t._dtype:
        node.input_dtype = t._dtype
    result._grad_fn = node
    result._requires_grad = True


def _sum(t: Tensor, dims, keepdim: bool) -> Tensor:
    d = t._dtype
    if d.category < FLOATING:
        kernels = _kernels.SUM_INT64
        return reduce(t, dims, keepdim, kernels, int64, 0, kernels)
    computed = compute_dtype(d)
    result = reduce(t, dims, keepdim, _kernels.SUM, computed, 0, _kernels.SUM)
    return result if computed is d else result.to(d)


def _mean(t: Tensor, dims, keepdim: bool) -> Tensor:
    d, size = t._dtype, t._size
    computed = compute_dtype(d)
    if t._device is not cpu:
        result = reduce(t, dims, keepdim, _kernels.SUM, computed, 0) / count_along(size, dims)
    elif t._flat is None or collapse(size, dims) is None:
        result = reduce(t, dims, keepdim, _kernels.SUM, computed, float("nan"), _kernels.SUM)
        result._buffer()[...] /= count_along(size, dims)
    else:
        result = reduce(t, dims, keepdim, _kernels.MEAN, computed, float("nan"))
    return result if computed is d else result.to(d)


@lru_cache(maxsize=4096)
def count_along(size, dims) -> int:
    """How many elements of a tensor of this size lie along the dimensions `dims` together."""
    n = 1
    for d in dims:
        if d < len(size):
            n *= size[d]
    return n


def widened(input: Tensor, dtype) -> Tensor:
    """The input in the dtype asked for: before the reduction, so that nothing overflows on the way."""
    return input if dtype is None or dtype is input._dtype else input.to(dtype)


_sum_entries: dict = {}
_mean_entries: dict = {}


def _laid_out(view) -> tuple[Tensor, np.ndarray | None]:
    """A view, or what it holds without its gaps (copied sooner than a strided kernel is reached), and its elements; None for
    the elements of others."""
    if laid_flat(view):
        return view, view._flat
    closed = without_gaps(view)
    return (view, None) if closed is None else (closed, closed._flat)


@op()
def sum(input, dim=None, keepdim=False, *, dtype=None, out=None, axis=None, keepdims=None) -> Tensor:
    """sum of the elements over `dim`; integers and bools add up in int64.

    >>> import numtorch as torch
    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(0)
    tensor([4., 6.])
    """
    flat = input._flat
    if flat is None:
        input, flat = _laid_out(input)
    if flat is not None and dtype is None and out is None and axis is None and keepdims is None:
        entries = _sum_entries.get(input._dtype)
        if entries is not None and 0 < flat.size < _SMALL and type(dim) in PLAIN_DIMS:
            layout = direct_layout(input._size, dim, keepdim)
            if layout is not None:
                result = reduced_directly(entries, flat, layout, input._dtype)
                if input._requires_grad and mode.enabled:
                    whole = dim is None
                    _record_spread(SumBackward0 if whole else SumBackward1, input, result, layout.dims, keepdim, None)
                return result
        elif entries is None and input._dtype.category < FLOATING:
            result = reduced_at_once(input, dim, keepdim, _kernels.SUM_INT64, int64)
            if result is not None:
                return result
    keepdim = keepdim if keepdims is None else keepdims
    dim = dim if axis is None else axis
    t = widened(input, dtype)
    dims = dims_of(dim, t.ndim)
    result = widened(_sum(t, dims, keepdim), dtype)
    if t._requires_grad and mode.enabled:
        whole = dim is None
        _record_spread(SumBackward0 if whole else SumBackward1, t, result, dims, keepdim, None)
    if t._dtype not in _sum_entries and t._dtype in (_dtype.float32, _dtype.float64):
        _sum_entries[t._dtype] = direct_entries(_kernels.SUM, t._dtype)
    return result if out is None else write_out(result, out, "sum")


@op()
def mean(input, dim=None, keepdim=False, *, dtype=None, out=None, axis=None, keepdims=None) -> Tensor:
    """sum / number of elements over `dim`; floating point and complex only."""
    flat = input._flat
    if flat is None:
        input, flat = _laid_out(input)
    if flat is not None and dtype is None and out is None and axis is None and keepdims is None:
        entries = _mean_entries.get(input._dtype)
        if entries is not None and 0 < flat.size < _SMALL and type(dim) in PLAIN_DIMS:
            layout = direct_layout(input._size, dim, keepdim)
            if layout is not None:
                result = reduced_directly(entries, flat, layout, input._dtype)
                if input._requires_grad and mode.enabled:
                    node = MeanBackward0 if dim is None else MeanBackward1
                    _record_spread(node, input, result, layout.dims, keepdim, layout.n)
                return result
    keepdim = keepdim if keepdims is None else keepdims
    dim = dim if axis is None else axis
    t = widened(input, dtype)
    if t._dtype.category < FLOATING:
        what = (
            "Optional dtype must be either a floating point or complex dtype."
            if dtype is not None
            else ("could not infer output dtype. Input dtype must be either a floating point or complex dtype.")
        )
        raise RuntimeError(f"mean(): {what} Got: {t._dtype.type_name}")
    dims = dims_of(dim, t.ndim)
    result = _mean(t, dims, keepdim)
    if t._requires_grad and mode.enabled:
        node_class = MeanBackward0 if dim is None else MeanBackward1
        _record_spread(node_class, t, result, dims, keepdim, count_along(t._size, dims))
    if t._dtype not in _mean_entries and t._dtype in (_dtype.float32, _dtype.float64):
        _mean_entries[t._dtype] = direct_entries(_kernels.MEAN, t._dtype)
    return result if out is None else write_out(result, out, "mean")


@primitive("nansum_", node="NansumBackward0", save=("self",), public=False)
def _nansum(self, dims, keepdim):
    d = self._dtype
    computed = compute_dtype(d)
    result = reduce(self, dims, keepdim, _kernels.NANSUM, computed, 0, _kernels.SUM)
    return result if computed is d else result.to(d)


_nansum.derivative(
    self=lambda ctx, grad: (
        restore(grad, ctx.dims, ctx.keepdim, ctx.self.ndim).expand(ctx.self.shape) * ctx.self.isnan().logical_not()
    )
)


@publish(out=True)
def nansum(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """sum in which nan counts as 0."""
    if input._dtype.category == COMPLEX:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    if dtype is None and not input._requires_grad and input._dtype.category == FLOATING:
        result = reduced_at_once(input, dim, keepdim, _kernels.NANSUM, input._dtype)
        if result is not None:
            return result
    t = widened(input, dtype)
    if t._dtype.category < FLOATING:
        return sum(t, dim, keepdim)
    return _nansum(t, dims_of(dim, t.ndim), keepdim)


@publish(out=True)
def nanmean(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """mean of what is not nan."""
    if input._dtype.category < FLOATING:
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {input._dtype.type_name}"
        )
    numbers = input.isnan().logical_not()
    return nansum(input, dim, keepdim, dtype=dtype) / sum(numbers, dim, keepdim)


# -- truths and counts ---------------------------------------------------------------------------------------


def _truth(name: str, kernels, empty: bool, doc: str):
    def call(input, dim=None, keepdim=False, *, out=None) -> Tensor:
        if dim.__class__ in (tuple, list) and not dim:  # over no dimension: each element by itself
            result = input != 0
        else:
            result = reduced_at_once(input, dim, keepdim, kernels, bool_)
        if result is None:
            result = reduce(input, dims_of(dim, input.ndim), keepdim, kernels, bool_, empty, kernels)
        if input._dtype is _dtype.uint8:
            result = result.to(_dtype.uint8)
        if out is not None and out._dtype is _dtype.uint8:
            result = result.to(_dtype.uint8)
        return result if out is None else write_out(result, out, name)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return publish()(call)


any = _truth("any", _kernels.ANY, False, "Whether any element over `dim` is nonzero (nan is); bool, uint8 of uint8.")
all = _truth("all", _kernels.ALL, True, "Whether all elements over `dim` are nonzero; bool, uint8 of uint8.")


@op()
def count_nonzero(input, dim=None) -> Tensor:
    """How many elements over `dim` are not zero: int64."""
    result = reduced_at_once(input, dim, False, _kernels.COUNT_NONZERO, int64)
    if result is not None:
        return result
    dims = dims_of(dim, input.ndim)
    return reduce(input, dims, False, _kernels.COUNT_NONZERO, int64, 0, _kernels.SUM_INT64)


# -- extremes without indices --------------------------------------------------------------------------------


def _ordered_elements(t: Tensor, name: str) -> Tensor:
    """bool as uint8; RuntimeError for complex numbers, which have no order."""
    if t._dtype.category == COMPLEX:
        raise NotImplementedError(f"{name} not implemented for '{t._dtype.type_name}'")
    if t._dtype.category == BOOL:
        if t._device is not cpu:
            return cast(t, _dtype.uint8)
        return wrap(elements(t).view(np.uint8), t._size, _dtype.uint8)
    return t


def _as_input(values: Tensor, t: Tensor) -> Tensor:
    if t._dtype is values._dtype:
        return values
    if t._dtype.category == BOOL and t._device is cpu:
        return wrap(elements(values).view(np.bool_), values._size, bool_)
    return values.to(t._dtype)


# What torch calls the kernels behind these in its error for complex inputs.
_EXTREME_NAMES = {
    "amax": '"max_values_cpu"',
    "amin": '"min_values_cpu"',
    "max": '"max_all"',
    "min": '"min_all"',
    "aminmax": '"aminmax_cpu"',
}


def _extreme(t: Tensor, dims, keepdim: bool, kernels, name: str) -> Tensor:
    x = _ordered_elements(t, _EXTREME_NAMES[name])
    if t.numel() == 0:
        for d in dims:
            if t._size[d] == 0:
                raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    return _as_input(reduce(x, dims, keepdim, kernels, compute_dtype(x._dtype), 0, kernels), t)


def _shared_gradient(ctx, grad, result, nan_counts=False):
    """Each of equal extremes receives the same share. Only in max() and min() of all does nan equal nan."""
    t = ctx.self
    result = restore(result, ctx.dims, ctx.keepdim, t.ndim)
    grad = restore(grad, ctx.dims, ctx.keepdim, t.ndim)
    chosen = t == result
    if nan_counts:
        chosen = chosen | (t.isnan() & result.isnan())
    return grad / sum(chosen, ctx.dims, True) * chosen


@primitive("amax_", node="AmaxBackward0", save=("self", "result"), public=False)
def _amax(self, dims, keepdim):
    return _extreme(self, dims, keepdim, _kernels.AMAX, "amax")


@primitive("amin_", node="AminBackward0", save=("self", "result"), public=False)
def _amin(self, dims, keepdim):
    return _extreme(self, dims, keepdim, _kernels.AMIN, "amin")


_amax.derivative(self=lambda ctx, grad: _shared_gradient(ctx, grad, ctx.result))
_amin.derivative(self=lambda ctx, grad: _shared_gradient(ctx, grad, ctx.result))


def _check_nonempty(t: Tensor, name: str) -> None:
    if t.numel() == 0:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )


@publish(out=True)
def amax(input, dim=(), keepdim=False) -> Tensor:
    """The greatest element over `dim` (several, or all); equal ones share the gradient."""
    if not input._requires_grad and _is_plain(input._dtype):
        result = reduced_at_once(input, dim, keepdim, _kernels.AMAX, input._dtype)
        if result is not None:
            return result
    dims = dims_of(dim, input.ndim)
    if dim is None or dim == ():
        _check_nonempty(input, "amax")
    return _amax(input, dims, keepdim)


@publish(out=True)
def amin(input, dim=(), keepdim=False) -> Tensor:
    """The least element over `dim` (several, or all); equal ones share the gradient."""
    if not input._requires_grad and _is_plain(input._dtype):
        result = reduced_at_once(input, dim, keepdim, _kernels.AMIN, input._dtype)
        if result is not None:
            return result
    dims = dims_of(dim, input.ndim)
    if dim is None or dim == ():
        _check_nonempty(input, "amin")
    return _amin(input, dims, keepdim)


@primitive("aminmax_", node="AminmaxBackward0", save=("self", "result0", "result1"), public=False)
def _aminmax(self, dims, keepdim):
    least = _extreme(self, dims, keepdim, _kernels.AMIN, "aminmax")
    x = _ordered_elements(self, _EXTREME_NAMES["aminmax"])
    return least, _as_input(reduce(x, dims, keepdim, _kernels.AMAX, compute_dtype(x._dtype), 0, _kernels.AMAX), self)


@_aminmax.backward
def _aminmax_rule(ctx, grad_min, grad_max):
    parts = [
        _shared_gradient(ctx, g, r) for g, r in ((grad_min, ctx.result0), (grad_max, ctx.result1)) if g is not None
    ]
    return {"self": parts[0] if len(parts) == 1 else parts[0] + parts[1]}


_aminmax.derivative_of("self")


@publish(out=True)
def aminmax(input, *, dim=None, keepdim=False) -> tuple[Tensor, Tensor]:
    """(min, max) over one dim or all."""
    if not input._requires_grad and _is_plain(input._dtype) and (dim is None or type(dim) is int):
        least = reduced_at_once(input, dim, keepdim, _kernels.AMIN, input._dtype)
        if least is not None:
            most = reduced_at_once(input, dim, keepdim, _kernels.AMAX, input._dtype)
            return tuple.__new__(return_types.aminmax, (least, most))
    if dim is None:
        if input.numel() == 0:
            raise RuntimeError(
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
            )
        dims = dims_of(None, input.ndim)
    else:
        dims = (wrap_dim(dim, input.ndim),)
    return tuple.__new__(return_types.aminmax, _aminmax(input, dims, keepdim))


# -- extremes with indices -----------------------------------------------------------------------------------


_index_entries: dict = {}


def _is_plain(d: dtype) -> bool:
    """Whether elements of a dtype have an order, and kernels see them as they are."""
    return (d.category == FLOATING or d.category == INTEGRAL) and d.np is d.compute


def _index_entry(kernels, d: dtype):
    """As direct_entries, for extremes with their indices."""
    x, word, places = array_type(d), types.int64, array_type(int64)
    rows = entry_point(kernels.rows, (x, word, word, x, places))
    return rows, entry_point(kernels.columns, (x, word, word, word, x, places))


# Elements along the dim from which a permuted tensor is searched as it lies: what is found is brought in order then.
WORTH_PUTTING_RIGHT = 4


def _extreme_with_index(t: Tensor, dim: int, keepdim: bool, kernels, name: str) -> tuple[Tensor, Tensor]:
    flat, d = t._flat, t._dtype
    if flat is not None and 0 < flat.size < _SMALL and _is_plain(d):
        entries = _index_entries.get((name[-3:], d))
        if entries is None:
            entries = _index_entries[name[-3:], d] = _index_entry(kernels, d)
        outer, n, inner, numel, size, _, _ = direct_layout(t._size, dim, keepdim)
        values, indices = np.empty(numel, flat.dtype), np.empty(numel, np.int64)
        if inner == 1:
            entries[0](flat, outer, n, values, indices)
        else:
            entries[1](flat, outer, n, inner, values, indices)
        return wrap(values, size, d), wrap(indices, size, int64)
    x = _ordered_elements(t, f'"{name}_cpu"')
    size = reduced_size(t._size, (dim,), keepdim)
    if t.ndim and t._size[dim] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
    if t._device is not cpu:
        from ..cuda._reductions import extreme_on_cuda

        values, indices = extreme_on_cuda(x, size, collapse_one(t._size, dim), kernels)
        return _as_input(cast(values, x._dtype), t), indices
    lies = None
    if x._flat is None and x._size and x._size[dim] >= WORTH_PUTTING_RIGHT:
        lies = lying(x._size, x._stride, (dim,))
    flat = elements(x) if lies is None else as_it_lies(x)
    values, indices = np.empty(size.numel(), flat.dtype), np.empty(size.numel(), np.int64)
    if lies is not None:
        kernels.run(flat, *collapse_one(lies.size, lies.dims[0]), values, indices)
        values, indices = put_right(values, lies), put_right(indices, lies)
    elif flat.size:
        kernels.run(flat, *collapse_one(t._size, dim), values, indices)
    computed = compute_dtype(x._dtype)
    values = wrap(values if computed is x._dtype else cast_array(values, computed, x._dtype), size, x._dtype)
    return _as_input(values, t), wrap(indices, size, int64)


@lru_cache(maxsize=4096)
def collapse_one(size, dim: int) -> tuple[int, int, int]:
    """(outer, n, inner) round one dim, also where it has size 1."""
    if not size:
        return 1, 1, 1
    outer = inner = 1
    for n in size[:dim]:
        outer *= n
    for n in size[dim + 1 :]:
        inner *= n
    return outer, size[dim], inner


def put_along(grad, indices, size, dim: int, keepdim: bool) -> Tensor:
    """zeros(size) with grad at `indices` along dim: the gradient of picking one element a line."""
    if not size:
        return grad
    grad, indices = restore(grad, (dim,), keepdim, len(size)), restore(indices, (dim,), keepdim, len(size))
    return grad.new_zeros(size).scatter(dim, indices, grad)


def _picked_rule(ctx, grad):
    return put_along(grad, ctx.result1, ctx.self.shape, ctx.dim, ctx.keepdim)


@primitive("max_dim", node="MaxBackward0", save=("result1",), public=False)
def _max_dim(self, dim, keepdim):
    return _extreme_with_index(self, dim, keepdim, _extremes.MAX, "max")


@primitive("min_dim", node="MinBackward0", save=("result1",), public=False)
def _min_dim(self, dim, keepdim):
    return _extreme_with_index(self, dim, keepdim, _extremes.MIN, "min")


@primitive("max_all", node="MaxBackward1", save=("self", "result"), public=False)
def _max_all(self, dims, keepdim):
    return _extreme(self, dims, keepdim, _kernels.AMAX, "max")


@primitive("min_all", node="MinBackward1", save=("self", "result"), public=False)
def _min_all(self, dims, keepdim):
    return _extreme(self, dims, keepdim, _kernels.AMIN, "min")


_max_dim.derivative(self=_picked_rule)
_min_dim.derivative(self=_picked_rule)
_max_all.derivative(self=lambda ctx, grad: _shared_gradient(ctx, grad, ctx.result, True))
_min_all.derivative(self=lambda ctx, grad: _shared_gradient(ctx, grad, ctx.result, True))


def _three_forms(name: str, kernels, whole, along, pairwise: str, made, doc: str):
    def call(input, dim=None, keepdim=False, *, other=None, out=None):
        flat = input._flat
        if dim is None and other is None and out is None and flat is not None and not input._requires_grad:
            entry = kernels.row_entries.get(input._dtype)  # (reduce made it)
            if entry is not None and 0 < flat.size < _SMALL:
                y = np.empty(1, flat.dtype)
                entry(flat, 1, flat.size, y)
                return wrap(y, EMPTY, input._dtype)
        if other is not None or isinstance(dim, Tensor):
            by_pairs, other = FUNCTIONS[""][pairwise], dim if other is None else other
            return by_pairs(input, other) if out is None else by_pairs(input, other, out=out)
        if dim is None:
            _check_nonempty(input, name)
            result = whole(input, dims_of(None, input.ndim), False)
        else:
            result = made(*along(input, wrap_dim(dim, input.ndim), keepdim))
        return result if out is None else write_out(result, out, name)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return publish()(call)


max = _three_forms(
    "max",
    _kernels.AMAX,
    _max_all,
    _max_dim,
    "maximum",
    return_types.max,
    """max(input): the greatest element; max(input, dim): (values, indices) along dim; max(input, other):
    pairwise.""",
)
min = _three_forms(
    "min",
    _kernels.AMIN,
    _min_all,
    _min_dim,
    "minimum",
    return_types.min,
    """min(input): the least element; min(input, dim): (values, indices) along dim; min(input, other):
    pairwise.""",
)


def _argument(name: str, kernels, doc: str):
    def call(input, dim=None, keepdim=False) -> Tensor:
        if input._dtype.category in (BOOL, COMPLEX):
            kind = "bool" if input._dtype.category == BOOL else "complex"
            raise RuntimeError(f"{name}(): does not support {kind} input")
        if dim is None:
            if input.numel() == 0:
                raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
            flat = input.detach().reshape(-1)
            _, index = _extreme_with_index(flat, 0, False, kernels, name)
            return index.reshape((1,) * input.ndim) if keepdim else index
        return _extreme_with_index(input, wrap_dim(dim, input.ndim), keepdim, kernels, name)[1]

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    general = with_out(numpy_names(call))

    @functools.wraps(general)
    def direct(input, dim=None, keepdim=False, **others) -> Tensor:
        """Along a dimension of a small tensor of floats in memory order: the kernel at once."""
        if dim.__class__ is int and not others and input._size:
            flat, d = input._flat, input._dtype
            if flat is not None and 0 < flat.size < _SMALL:
                entries = _index_entries.get((name[-3:], d))
                if entries is not None:
                    outer, n, inner, numel, size, _, _ = direct_layout(input._size, dim, keepdim)
                    values, indices = np.empty(numel, flat.dtype), np.empty(numel, np.int64)
                    if inner == 1:
                        entries[0](flat, outer, n, values, indices)
                    else:
                        entries[1](flat, outer, n, inner, values, indices)
                    return wrap(indices, size, int64)
        elif dim is None and not others and not keepdim:
            flat = input._flat
            entries = _index_entries.get((name[-3:], input._dtype))
            if flat is not None and entries is not None and 0 < flat.size < _SMALL:
                value, index = np.empty(1, flat.dtype), np.empty(1, np.int64)
                entries[0](flat, 1, flat.size, value, index)
                return wrap(index, EMPTY, int64)
        return general(input, dim, keepdim, **others)

    return register(name, direct)


argmax = _argument(
    "argmax", _extremes.MAX, "Index of the (first) greatest element along dim, or of the flattened input."
)
argmin = _argument("argmin", _extremes.MIN, "Index of the (first) least element along dim, or of the flattened input.")


# -- logsumexp -----------------------------------------------------------------------------------------------


@primitive("logsumexp_", node="LogsumexpBackward0", save=("self", "result"), public=False)
def _logsumexp(self, dims, keepdim):
    d = self._dtype
    size = reduced_size(self._size, dims, keepdim)
    shape = collapse(self._size, dims) if self.flat() is not None else None
    if shape is None:
        flat, rows, n = rows_of(self, dims)
        shape = rows, n, 1
    else:
        flat = elements(self)
    outer, n, inner = shape
    out = np.empty(outer * inner, flat.dtype)
    if n == 0:
        out.fill(-np.inf)
    elif out.size:
        _softmax.logsumexp_forward(flat, outer, n, inner, out)
    return finished(out, size, compute_dtype(d), d)


_logsumexp.derivative(
    self=lambda ctx, grad: (
        restore(grad, ctx.dims, ctx.keepdim, ctx.self.ndim)
        * (ctx.self - restore(ctx.result, ctx.dims, ctx.keepdim, ctx.self.ndim)).exp().conj()
    )
)


@publish(out=True, aliases=())
def logsumexp(input, dim, keepdim=False) -> Tensor:
    """log sum exp(input) over dim, computed without overflow."""
    t = input if input._dtype.category >= FLOATING else input.to(_dtype.get_default_dtype())
    dims = dims_of(dim, t.ndim)
    if t._dtype.category == COMPLEX or t._device is not cpu:
        top = t.detach().real.amax(dims, True) if t.numel() else t.real.new_zeros(())
        top = top.masked_fill(top.abs() == float("inf"), 0)
        result = (t - top).exp().sum(dims, keepdim).log()
        return result + (top if keepdim or not t.numel() else top.reshape(result.shape))
    return _logsumexp(t, dims, keepdim)


__all__ = ["brought_last", "collapse_one", "put_along"]
