"""scatter_reduce and index_reduce: sums, products, means and extremes of what meets at an index.

Both have one set of rules; they differ in how values get to their places, which `_Elements` and `_Parts` know.
"""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cpu import indexing as _kernels
from numtorch.kernels.cpu.indexing import AMAX, AMIN, PROD, SUM

from .._copy import cast, cast_array, contiguous, copy_into
from .._dtype import BOOL, COMPLEX, FLOATING, INTEGRAL, float32
from .._primitive import primitive
from .._tensor import Tensor
from . import positions as at
from .creation import filled
from .gather_scatter import (
    check_scatter,
    copied,
    dim_of,
    inplace,
    is_half,
    length,
    reduce_into,
    scatter_into,
    values_flat,
)
from .index_select import check_source, index_fill_into
from .reducing import check_cpu

_MODES = {"sum": SUM, "prod": PROD, "mean": SUM, "amax": AMAX, "amin": AMIN}


def _identity(reduce: str, t: Tensor):
    """What a reduction starts from where self is not included."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    low = reduce == "amax"
    if t._dtype.category >= FLOATING:
        return -np.inf if low else np.inf
    if t._dtype.category < INTEGRAL:
        return not low
    limits = np.iinfo(t._dtype.np)
    return int(limits.min if low else limits.max)


def _divide_by(t: Tensor, counts: Tensor) -> None:
    """t /= counts, rounded down for integers."""
    counts = counts.masked_fill(counts == 0, 1)
    mean = t / counts if t._dtype.category >= FLOATING else t.div(counts, rounding_mode="floor")
    copy_into(t, mean)


# --- gradients ----------------------------------------------------------------------------------------------


class _Elements:
    """One index for every element of src."""

    def __init__(self, ctx):
        self.dim, self.index = ctx.dim, ctx.index

    def gather(self, t):
        return t.gather(self.dim, self.index)

    def add(self, t, values):
        return t.scatter_add(self.dim, self.index, values)

    def zero(self, t):
        return t.scatter(self.dim, self.index, 0)

    def product(self, t, values, include_self):
        return t.scatter_reduce(self.dim, self.index, values, "prod", include_self=include_self)


class _Parts:
    """One index for every part of source along the dimension."""

    def __init__(self, ctx):
        self.dim, self.index = ctx.dim, ctx.index

    def gather(self, t):
        return t.index_select(self.dim, self.index)

    def add(self, t, values):
        return t.index_add(self.dim, self.index, values)

    def zero(self, t):
        return t.index_fill(self.dim, self.index, 0)

    def product(self, t, values, include_self):
        return t.index_reduce(self.dim, self.index, values, "prod", include_self=include_self)


def _gradients(at_index, grad, own, src, result, reduce: str, include_self: bool):
    """(gradient of self, gradient of src)."""
    if reduce == "sum":
        grad_own, grad_src = grad, at_index.gather(grad)
    elif reduce == "mean":
        start = own.new_ones(own.shape) if include_self else own.new_zeros(own.shape)
        counts = at_index.add(start, src.new_ones(src.shape))
        grad = grad / counts.masked_fill(counts == 0, 1)
        grad_own, grad_src = grad, at_index.gather(grad)
    elif reduce == "prod":
        # The derivative by a factor is the product of the others. Dividing the product by the factor gives
        # that except for a factor of zero, which is set to one and multiplied out instead.
        without_zeros = own.masked_fill(own == 0, 1)
        grad_own = grad * at_index.product(without_zeros, src, include_self) / without_zeros
        zero = src == 0
        zeros_there = at_index.gather(at_index.add(own.new_zeros(own.shape), zero.to(own.dtype)))
        lone = zero & (zeros_there == 1)
        others = at_index.product(own, src.masked_fill(lone, 1), include_self)
        divided = at_index.gather(grad * result) / src.masked_fill(zero, 1)
        grad_src = at_index.gather(grad * others).where(lone, divided)
    else:
        # Equal extremes share the gradient. (torch counts self among them even where it is not included.)
        own_hit = (own == result).to(grad.dtype)
        src_hit = (src == at_index.gather(result)).to(grad.dtype)
        hits = at_index.add(own_hit, src_hit)
        shared = grad / hits.masked_fill(hits == 0, 1)
        grad_own, grad_src = own_hit * shared, src_hit * at_index.gather(shared)
    if not include_self:
        grad_own = at_index.zero(grad_own)
    return grad_own, grad_src


# --- scatter_reduce -----------------------------------------------------------------------------------------


def _scatter_reduce_into(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool = True
) -> None:
    check_cpu(self, "scatter_reduce")
    if reduce not in _MODES:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    category = self._dtype.category
    if category == COMPLEX and reduce in ("amax", "amin") or category == BOOL and reduce == "mean":
        name = f"scatter_gather_tensor_cpu_reduce_{reduce}"
        raise NotImplementedError(f"\"{name}\" not implemented for '{self._dtype.type_name}'")
    d = dim_of(self, dim)
    if not check_scatter(self, d, index, src, "scatter").size:
        return
    if not include_self:
        scatter_into(self, d, index, _identity(reduce, self))
    reduce_into(self, d, index, src, _MODES[reduce], "scatter")
    if reduce == "mean":
        counts = filled(self._size, 1 if include_self else 0, self._dtype)
        reduce_into(counts, d, index, 1, SUM, "scatter")
        _divide_by(self, counts)


@primitive(save=("input", "index", "src", "result"), out=True)
def scatter_reduce(input, dim: int, index, src, reduce: str, *, include_self: bool = True) -> Tensor:
    """A copy of input in which out[index[i][j]][j] = its value (+) all src[i][j] that go there (for dim 0).

    (+) is "sum", "prod", "mean", "amax" or "amin"; without include_self the value itself does not take part."""
    result = copied(input)
    _scatter_reduce_into(result, dim, index, src, reduce, include_self)
    return result


scatter_reduce.derivative_of("input", "src")


@scatter_reduce.backward
def _(ctx, grad):
    own, src = _gradients(_Elements(ctx), grad, ctx.input, ctx.src, ctx.result, ctx.reduce, ctx.include_self)
    return {"input": own, "src": src}


inplace("scatter_reduce_", scatter_reduce, _scatter_reduce_into)


# --- index_reduce -------------------------------------------------------------------------------------------


def _index_reduce_into(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, include_self: bool = True
) -> None:
    check_cpu(self, "index_reduce")
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    if self._dtype.category in (BOOL, COMPLEX):
        raise NotImplementedError(f"\"index_func_\" not implemented for '{self._dtype.type_name}'")
    d = dim_of(self, dim)
    flat = at.check_vector(index, "index_reduce")
    check_source(self, d, flat, source, "index_reduce")
    if at.first_bad(flat, length(self, d)) is not None:
        raise IndexError("index out of range in self")
    if not include_self:
        index_fill_into(self, d, index.long(), _identity(reduce, self))
    values = values_flat(source, self)
    if is_half(self):
        wide = cast(contiguous(self), float32)
        _reduce_parts(wide, d, flat, cast_array(values, self._dtype, float32), _MODES[reduce])
        copy_into(self, cast(wide, self._dtype))
    else:
        _reduce_parts(self, d, flat, values, _MODES[reduce])
    if reduce == "mean":
        counts = filled(self._size, 1 if include_self else 0, float32)
        places = at.along(counts, d, flat)
        at.accumulate(counts, places, np.ones(places.numel, np.float32))
        _divide_by(self, counts.to(self._dtype))


def _reduce_parts(t: Tensor, dim: int, flat: np.ndarray, values: np.ndarray, mode: int) -> None:
    places = at.along(t, dim, flat)
    if places.numel:
        _kernels.index_reduce(t._buffer(), places.outer, places.base, places.inner, places.width, values, mode)


@primitive(save=("input", "index", "source", "result"), out=True)
def index_reduce(input, dim: int, index, source, reduce: str, *, include_self: bool = True) -> Tensor:
    """A copy of input whose parts at index along dim are reduced with the parts of source that go there.

    `reduce` is "prod", "mean", "amax" or "amin"; without include_self the part itself does not take part."""
    result = copied(input)
    _index_reduce_into(result, dim, index, source, reduce, include_self)
    return result


index_reduce.derivative_of("input", "source")


@index_reduce.backward
def _(ctx, grad):
    own, src = _gradients(_Parts(ctx), grad, ctx.input, ctx.source, ctx.result, ctx.reduce, ctx.include_self)
    return {"input": own, "source": src}


inplace("index_reduce_", index_reduce, _index_reduce_into)
