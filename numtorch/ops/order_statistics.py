"""median, kthvalue, mode and quantile."""

from __future__ import annotations

from math import ceil, floor

import numpy as np

from numtorch.graph import mode as grad_mode
from numtorch.kernels.cpu import row_selection as _selection
from numtorch.kernels.cpu import selection as _kernels

from .. import _dtype, return_types
from .._copy import cast_array, contiguous
from .._device import cpu
from .._dtype import BOOL, COMPLEX, FLOATING, int64
from .._inplace import write_out
from .._primitive import primitive
from .._size import EMPTY, Size, wrap_dim
from .._tensor import Tensor, wrap
from . import positions as at
from .reducing import check_cpu, compute_dtype, elements, finished, publish, reduced_size, rows_of
from .reductions import put_along
from .sorting import DIRECT, bits_to_order, by_network, is_parallel, row_plan, sort_along, sorted_rows, values_of_bits

_new_tuple = tuple.__new__  # past the look of return_types at what they are given


def _check(t: Tensor, name: str) -> None:
    if t._dtype in _ORDERED_AS_THEY_ARE and t._device is cpu:
        return
    check_cpu(t, name)
    if t._dtype.category in (COMPLEX, BOOL):
        raise NotImplementedError(f"\"{name}\" not implemented for '{t._dtype.type_name}'")


_mode_rows = at.compiled_pair(_kernels.mode_rows, "xinnxi")
_ORDERED_AS_THEY_ARE = frozenset({_dtype.float32, _dtype.float64, int64})
_select_rows = at.compiled_pair(_selection.select_rows, "xbknnnbbxi")


def _select(t: Tensor, dim: int, keepdim: bool, k: int, median: bool = False, skip_nan: bool = False):
    """(values, indices) of the k-th smallest (from 0) along dim, or of the median."""
    flat = t._flat
    plan = row_plan(t._size, dim) if flat is not None and t._dtype in _ORDERED_AS_THEY_ARE else None
    if plan is not None:
        rows, n = plan.rows, plan.n
        if plan.there is not None:
            flat = flat.take(plan.there)
    else:
        flat, rows, n = rows_of(t, (dim,) if t.ndim else ())
    size = reduced_size(t._size, (dim,), keepdim) if t._size else t._size
    bits, floating, last = bits_to_order(flat)
    out, indices = np.empty(rows, bits.dtype), np.empty(rows, np.int64)
    if rows:
        kernel = _select_rows[is_parallel(rows, n)][bits.dtype]
        kernel(bits, floating, last, rows, n, k, median, skip_nan, out, indices)
    values = values_of_bits(out, flat.dtype)
    computed = compute_dtype(t._dtype)
    values = values if computed is t._dtype else cast_array(values, computed, t._dtype)
    return wrap(values, size, t._dtype), wrap(indices, size, int64)


def _picked_rule(ctx, grad):
    return put_along(grad, ctx.result1, ctx.self.shape, ctx.dim, ctx.keepdim)


def _shared_rule(ctx, grad):
    t, result = ctx.self, ctx.result
    chosen = (t == result) | (t.isnan() & result.isnan())
    return grad / chosen.sum() * chosen


# -- median --------------------------------------------------------------------------------------------------


def _median_of_all(t: Tensor, skip_nan: bool) -> Tensor:
    held = t._flat
    if held is not None and held.size and t._dtype in _ORDERED_AS_THEY_ARE:
        bits, floating, last = DIRECT[t._dtype]
        out, place = np.empty(1, bits), np.empty(1, np.int64)
        _select_rows[False][bits](held.view(bits), floating, last, 1, held.size, 0, True, skip_nan, out, place)
        return wrap(out.view(held.dtype), EMPTY, t._dtype)
    flat = t if len(t._size) == 1 else t.detach().reshape(-1)
    if flat._size == (0,):
        return t.new_full((), float("nan") if t._dtype.category == FLOATING else np.iinfo(t._dtype.np).min)
    return _select(flat, 0, False, 0, True, skip_nan)[0]


@primitive("median_all", node="MedianBackward0", save=("self", "result"), public=False)
def _median_all(self):
    return _median_of_all(self, False)


@primitive("nanmedian_all", node="NanmedianBackward0", save=("self", "result"), public=False)
def _nanmedian_all(self):
    return _median_of_all(self, True)


@primitive("median_dim", node="MedianBackward1", save=("result1",), nondifferentiable=(1,), public=False)
def _median_dim(self, dim, keepdim):
    return _select(self, dim, keepdim, 0, True)


@primitive("nanmedian_dim", node="NanmedianBackward1", save=("result1",), nondifferentiable=(1,), public=False)
def _nanmedian_dim(self, dim, keepdim):
    return _select(self, dim, keepdim, 0, True, True)


_median_all.derivative(self=_shared_rule)
_nanmedian_all.derivative(self=_shared_rule)
_median_dim.derivative(self=_picked_rule)
_nanmedian_dim.derivative(self=_picked_rule)


def _median(name: str, whole, along, made, doc: str):
    def call(input, dim=None, keepdim=False, *, out=None):
        _check(input, "median_cpu" if dim is None else "median_out")
        if dim is None:
            result = (whole if input._requires_grad else whole.__wrapped__)(input)
        else:
            d = wrap_dim(dim, len(input._size))
            if input._size and input._size[d] == 0:
                raise IndexError(f"median(): Expected reduction dim {d} to have non-zero size.")
            found = (along if input._requires_grad else along.__wrapped__)(input, d, keepdim)
            result = _new_tuple(made, found)
        return result if out is None else write_out(result, out, name)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return publish()(call)


median = _median(
    "median",
    _median_all,
    _median_dim,
    return_types.median,
    "The median (the lower of two middle values) of all, or (values, indices) along dim; nan wins.",
)
nanmedian = _median(
    "nanmedian",
    _nanmedian_all,
    _nanmedian_dim,
    return_types.nanmedian,
    "The median of what is not nan, of all, or (values, indices) along dim.",
)


# -- kthvalue and mode ---------------------------------------------------------------------------------------


@primitive("kthvalue_", node="KthvalueBackward0", save=("result1",), nondifferentiable=(1,), public=False)
def _kthvalue(self, k, dim, keepdim):
    return _select(self, dim, keepdim, k - 1)


@primitive("mode_", node="ModeBackward0", save=("result1",), nondifferentiable=(1,), public=False)
def _mode(self, dim, keepdim):
    if not self._size:
        return self.detach().clone(), wrap(np.zeros(1, np.int64), self._size, int64)
    size, n, flat = reduced_size(self._size, (dim,), keepdim), self._size[dim], self._flat
    plan = row_plan(self._size, dim) if flat is not None else None
    if plan is not None and self._dtype in DIRECT and by_network(flat.itemsize, plan.rows, n):
        rows = plan.rows
        ordered, stood = sorted_rows(flat, self._dtype, plan, False)
        values, indices = np.empty(rows, flat.dtype), np.empty(rows, np.int64)
        _mode_rows[is_parallel(rows, n)][flat.dtype](ordered, stood, rows, n, values, indices)
        return wrap(values, size, self._dtype), wrap(indices, size, int64)
    if plan is not None:
        by_rows = wrap(flat if plan.there is None else flat.take(plan.there), Size((plan.rows, n)), self._dtype)
    else:
        t = self.detach()
        by_rows = contiguous(t if dim == t.ndim - 1 else t.movedim(dim, -1))
    ordered, places = sort_along(by_rows, -1, False)
    flat, stood = elements(ordered), places._flat
    rows = size.numel()
    values, indices = np.empty(rows, flat.dtype), np.empty(rows, np.int64)
    if rows:
        _mode_rows[is_parallel(rows, n)][flat.dtype](flat, stood, rows, n, values, indices)
    return finished(values, size, compute_dtype(self._dtype), self._dtype), wrap(indices, size, int64)


_kthvalue.derivative(self=_picked_rule)
_mode.derivative(self=_picked_rule)


@publish(out=True)
def kthvalue(input, k, dim=-1, keepdim=False) -> tuple[Tensor, Tensor]:
    """(values, indices) of the k-th smallest element along dim, k from 1; nan is the greatest."""
    _check(input, "kthvalue_cpu")
    d = wrap_dim(dim, input.ndim)
    n = input._size[d] if input.ndim else 1
    if n == 0:
        raise IndexError(f"kthvalue(): Expected reduction dim {d} to have non-zero size.")
    if not 1 <= k <= n:
        raise RuntimeError("kthvalue(): selected number k out of range for dimension " + str(d))
    found = _kthvalue(input, k, d, keepdim) if input._requires_grad else _select(input, d, keepdim, k - 1)
    return _new_tuple(return_types.kthvalue, found)


@publish(out=True)
def mode(input, dim=-1, keepdim=False) -> tuple[Tensor, Tensor]:
    """(values, indices) of the most frequent value along dim: the least of equals, where it stands last."""
    check_cpu(input, "mode")
    if input._dtype.category == COMPLEX:
        raise NotImplementedError(f"\"mode_cpu\" not implemented for '{input._dtype.type_name}'")
    d = wrap_dim(dim, input.ndim)
    if input.ndim and input._size[d] == 0:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    return _new_tuple(return_types.mode, (_mode if input._requires_grad else _mode.__wrapped__)(input, d, keepdim))


# -- quantiles -----------------------------------------------------------------------------------------------

#: Elements of a row from which quantiles are selected; shorter rows are sorted sooner, once for both neighbours.
_SELECTED_FROM = 512
#: Elements up to which they are selected in any case: calls are what counts then.
_SELECTED_UP_TO = 2048
_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(input, q, dim, keepdim: bool, interpolation: str, skip_nan: bool) -> Tensor:
    if input._dtype not in (_dtype.float32, _dtype.float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    ndim = len(input._size)
    place = None  # of the only quantile, a number
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q}")
        place = q
    elif q.ndim > 1:
        raise RuntimeError("quantile() q must be a scalar or 1D tensor")
    elif q._dtype is not input._dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    numel = input._size.numel()
    if numel == 0:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if place is None:
        if q.numel() and not ((q >= 0) & (q <= 1)).all().item():
            raise RuntimeError("quantile() q values must be in the range [0, 1]")
        if q.numel() == 1:
            place = q.item()
    given_dim = dim
    dim = wrap_dim(dim, ndim) if dim is not None else None
    n = numel if dim is None else input._size[dim] if ndim else 1
    is_selected = n > _SELECTED_FROM or numel <= _SELECTED_UP_TO
    if place is not None and is_selected and not skip_nan and not (grad_mode.enabled and _is_recorded(input, q)):
        t = input.reshape(-1) if dim is None else input
        result = _selected_quantile(t, float(place), 0 if dim is None else dim, interpolation)
        if keepdim and ndim:
            result = result.reshape((1,) * ndim) if dim is None else result.unsqueeze(dim)
        return result.unsqueeze(0) if isinstance(q, Tensor) and q.ndim else result
    if not isinstance(q, Tensor):
        q = input.new_tensor(q)
    if dim is None:
        ordered = input.reshape(-1).sort()[0]
    else:
        t = input.unsqueeze(0) if ndim == 0 else input
        ordered = t.movedim(dim, -1).sort(-1)[0]
    places = _places(ordered, q.reshape(-1), skip_nan)
    result = _interpolated(ordered, places, interpolation)
    # (..., Q) -> (Q, ...)
    result = result.movedim(-1, 0)
    if keepdim:
        if given_dim is None:
            result = result.reshape((result.size(0),) + (1,) * ndim)
        elif ndim:
            result = result.unsqueeze(dim + 1)
    return result.squeeze(0) if q.ndim == 0 else result


def _is_recorded(*tensors: Tensor | float) -> bool:
    return any(isinstance(t, Tensor) and t._requires_grad for t in tensors)


def _selected_quantile(t: Tensor, q: float, dim: int, interpolation: str) -> Tensor:
    """One quantile along dim by finding the one or two elements that it lies between: a tenth of the time of sorting."""
    real = t._dtype.np.type
    place = float(real(q) * real((t._size[dim] if t._size else 1) - 1))  # rounded as the tensors of `_places` are
    if interpolation in ("lower", "higher", "nearest"):
        chosen = {"lower": floor, "higher": ceil, "nearest": round}[interpolation](place)
        result = _select(t, dim, False, chosen)[0]
    else:
        below, above = floor(place), ceil(place)
        low = _select(t, dim, False, below)[0]
        high = low if above == below else _select(t, dim, False, above)[0]
        result = low.lerp(high, 0.5 if interpolation == "midpoint" else place - below)
    return result.masked_fill(t.amax(dim).isnan(), float("nan"))


def _places(ordered: Tensor, q: Tensor, skip_nan: bool) -> Tensor:
    """The (fractional) places of the quantiles along the last dim of the sorted values."""
    last = ordered.size(-1) - 1
    lead = ordered.shape[:-1]
    if skip_nan:
        numbers = ordered.isnan().logical_not().sum(-1, True)
        places = (numbers - 1).to(ordered._dtype) * q
        return places.clamp_min(0)
    places = (q * last).expand(*lead, q.size(0))
    any_nan = ordered.narrow(-1, last, 1).isnan()  # nan is the greatest
    return places.masked_fill(any_nan, last)


def _interpolated(ordered: Tensor, places: Tensor, interpolation: str) -> Tensor:
    if interpolation == "lower":
        places = places.floor()
    elif interpolation == "higher":
        places = places.ceil()
    elif interpolation == "nearest":
        places = places.round()
    below = places.to(int64)
    low = ordered.gather(-1, below)
    if interpolation not in ("linear", "midpoint"):
        return low
    weight = places.new_full(places.shape, 0.5) if interpolation == "midpoint" else places - below
    above = places.ceil().to(int64)
    return low.lerp(ordered.gather(-1, above), weight)


@publish(out=True)
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear") -> Tensor:
    """The q-quantiles over dim, one for each of q in a new leading dim; nan where a nan is."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


@publish(out=True)
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear") -> Tensor:
    """The q-quantiles over dim of what is not nan."""
    return _quantile(input, q, dim, keepdim, interpolation, True)
