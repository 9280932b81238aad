"""Running sums, products and extremes along one dim; differences and the trapezoid rule."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu import scans as _kernels
from numtorch.kernels.cpu.log_sums import log_cumulative, log_sum_rows
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD
from numtorch.kernels.cpu.scans import FEW, TILE, parts_of_lines, parts_of_rows, tiles_of_columns
from numtorch.kernels.cpu.spread import PARALLEL_SIZE

from .. import _dtype, return_types
from .._allocator import empty
from .._compiled import Compiled, CompiledParts
from .._copy import cast_array
from .._dtype import BOOL, COMPLEX, FLOATING, int64
from .._primitive import primitive
from .._registry import op
from .._size import wrap_dim
from .._tensor import Tensor, wrap, wrap_as
from .reducing import check_cpu, compute_dtype, elements, finished, publish
from .reductions import collapse_one

_INT64 = np.dtype(np.int64)
_new_tuple = tuple.__new__  # return_types' own look at their arguments


class _Scan:
    """The kernels of a scan: of real and complex numbers and of int64, and the entries of small tensors."""

    def __init__(self, kernel: Callable, kernel_int64: Callable | None = None):
        self.kernel, self.kernel_int64 = kernel, kernel_int64
        #: By dtype: of rows, and of columns (which are carried in float64, integers as they are).
        self.few: dict[_dtype.dtype, tuple[CompiledParts, CompiledParts]] = {}
        for each, column_letters, dtypes in (
            (kernel, "xnnwbx", (_dtype.float32, _dtype.float64)),
            (kernel_int64, "xnnxbx", (int64,)),
        ):
            if hasattr(each, "rows"):
                entries = CompiledParts(each.rows.serial, "xnnbx"), CompiledParts(each.tiles.serial, column_letters)
                self.few.update(dict.fromkeys(dtypes, entries))


_SUMS = _Scan(_kernels.CUMSUM, _kernels.CUMSUM_INT64)
_PRODUCTS = _Scan(_kernels.CUMPROD, _kernels.CUMPROD_INT64)
_LOG_SUMS, _LOG_SUMS_COMPLEX = _Scan(log_cumulative), _Scan(_kernels.LOGCUMSUMEXP_COMPLEX)
_log_sum_rows = Compiled(log_sum_rows, "xnnbx")
_LOG_SUMMED = frozenset({_dtype.float32, _dtype.float64})
_SCANNED_AS_THEY_ARE = frozenset({_dtype.float32, _dtype.float64, int64})


@lru_cache(maxsize=4096)
def _lines(size: tuple[int, ...], dim: int) -> tuple[int, int, int, int]:
    """(outer, n, inner, parts in which `scan` takes them)."""
    outer, n, inner = collapse_one(size, wrap_dim(dim, len(size)))
    if not n:
        return outer, n, inner, 0
    return outer, n, inner, parts_of_rows(outer, n) if inner == 1 else outer * tiles_of_columns(inner)


def _scan(t: Tensor, dim: int, scan: _Scan, reverse: bool = False) -> Tensor:
    """Run a scan over a contiguous copy; integers and bools are scanned in int64."""
    d, size, flat = t._dtype, t._size, t._flat
    outer, n, inner, parts = _lines(size, dim)
    few = scan.few.get(d)
    if few is not None and flat.__class__ is np.ndarray and 0 < flat.size < PARALLEL_SIZE:
        held = flat.dtype
        out = np.empty(flat.size, held)
        if inner == 1:
            few[0][held](parts, (flat, outer, n, reverse, out))
        else:
            carried = np.empty(parts * TILE, held if d is int64 else np.float64)
            few[1][held](parts, (flat, n, inner, carried, reverse, out))
        return wrap_as(out, t)
    flat, kernel = elements(t), scan.kernel
    computed = compute_dtype(d)
    if d.category < FLOATING:
        computed, kernel, flat = int64, scan.kernel_int64, cast_array(flat, d, int64)
    out = empty(flat.size, flat.dtype)
    if flat.size:
        kernel(flat, outer, n, inner, out, reverse)
    if computed is d and flat is t._flat:
        return wrap_as(out, t)
    return finished(out, size, computed, int64 if computed is int64 else d)


def _from_the_end(t: Tensor, dim: int) -> Tensor:
    """Sums of what comes at or after each place."""
    if mode.enabled:
        return cumsum(t.flip(dim), dim).flip(dim) if t.ndim else t
    return _scan(t, dim, _SUMS, True) if t.ndim else t


@primitive("cumsum_", node="CumsumBackward0", public=False)
def _cumsum(self, dim):
    return _scan(self, dim, _SUMS)


_cumsum.derivative(self=lambda ctx, grad: _from_the_end(grad, ctx.dim))


def _scanned(t, dtype):
    return t if dtype is None or dtype is t._dtype else t.to(dtype)


@publish(out=True, inplace=True)
def cumsum(input, dim, *, dtype=None) -> Tensor:
    """y[i] = x[0] + ... + x[i] along dim; integers and bools in int64 unless dtype says otherwise."""
    check_cpu(input, "cumsum")
    if dtype is None:
        if not input._requires_grad:
            return _scan(input, dim, _SUMS)
        return _cumsum(input, wrap_dim(dim, len(input._size)))
    t = _scanned(input, dtype)
    return _scanned(_cumsum(t, wrap_dim(dim, t.ndim)), dtype)


@primitive("cumprod_", node="CumprodBackward0", save=("self", "result"), public=False)
def _cumprod(self, dim):
    return _scan(self, dim, _PRODUCTS)


def _cumprod_rule(ctx, grad):
    """gx[k] = sum over i >= k of g[i] y[i] / x[k]; where x has zeros, by products that leave x[k] out."""
    t, dim = ctx.self, ctx.dim
    if t.ndim == 0:
        return grad
    if not mode.enabled and not (t == 0).any().item():
        return _from_the_end(grad * ctx.result.conj(), dim) / t.conj()
    t, grad = t.transpose(dim, -1), grad.transpose(dim, -1)
    n = t.size(-1)
    # others[..., k, i] = product of x[j] over j <= i, j != k
    square = t.unsqueeze(-2).expand(*t.shape[:-1], n, n)
    at_k = t.new_zeros((n, n), dtype=_dtype.bool_)
    at_k.diagonal().fill_(True)
    others = cumprod(square.masked_fill(at_k, 1), -1)
    places = t.new_ones((n,), dtype=int64).cumsum(0)
    from_k_on = places.unsqueeze(0) >= places.unsqueeze(1)
    found = (grad.unsqueeze(-2) * (others * from_k_on).conj()).sum(-1)
    return found.transpose(dim, -1)


_cumprod.derivative(self=_cumprod_rule)


@publish(out=True, inplace=True)
def cumprod(input, dim, *, dtype=None) -> Tensor:
    """y[i] = x[0] * ... * x[i] along dim; integers and bools in int64 unless dtype says otherwise."""
    check_cpu(input, "cumprod")
    if dtype is None:
        if not input._requires_grad:
            return _scan(input, dim, _PRODUCTS)
        return _cumprod(input, wrap_dim(dim, len(input._size)))
    t = _scanned(input, dtype)
    return _scanned(_cumprod(t, wrap_dim(dim, t.ndim)), dtype)


@primitive("logcumsumexp_", node="LogcumsumexpBackward0", save=("self", "result"), public=False)
def _logcumsumexp(self, dim):
    flat, d = self._flat, self._dtype
    if flat.__class__ is np.ndarray and d in _LOG_SUMMED and 0 < flat.size < PARALLEL_SIZE:
        outer, n, inner, _ = _lines(self._size, dim)
        if inner == 1:
            out = np.empty(flat.size, flat.dtype)
            _log_sum_rows[flat.dtype](flat, outer, n, False, out)
            return wrap_as(out, self)
    return _scan(self, dim, _LOG_SUMS_COMPLEX if d.category == COMPLEX else _LOG_SUMS)


def _logcumsumexp_rule(ctx, grad):
    """gx[k] = sum over i >= k of g[i] exp(x[k] - y[i]), kept in logarithms, apart for either sign of g."""
    t, y, dim = ctx.self, ctx.result, ctx.dim
    if t.ndim == 0:
        return grad

    def part(log_g):
        return (logcumsumexp((log_g - y).flip(dim), dim).flip(dim) + t).exp()

    if t._dtype.category == COMPLEX:
        return part(grad.conj().log()).conj()
    log_size, nothing = grad.abs().log(), grad.new_full((), float(np.finfo(compute_dtype(y._dtype).np).min))
    return part(log_size.where(grad > 0, nothing)) - part(log_size.where(grad < 0, nothing))


_logcumsumexp.derivative(self=_logcumsumexp_rule)


@publish(out=True)
def logcumsumexp(input, dim) -> Tensor:
    """y[i] = log(exp(x[0]) + ... + exp(x[i])) along dim, without overflow."""
    check_cpu(input, "logcumsumexp")
    dim = wrap_dim(dim, input.ndim)
    if input._dtype.category < FLOATING:
        raise NotImplementedError(f"\"logcumsumexp_out_cpu\" not implemented for '{input._dtype.type_name}'")
    return _logcumsumexp(input, dim)


# -- running extremes ----------------------------------------------------------------------------------------


def _extremes(scan) -> tuple[CompiledParts, CompiledParts]:
    """The entries of small tensors: of lines one after the other, and of columns side by side."""
    return CompiledParts(scan.lines.serial, "xnnnxi"), CompiledParts(scan.tiles.serial, "xnnxi")


_RUNNING = {_kernels.CUMMAX: _extremes(_kernels.CUMMAX), _kernels.CUMMIN: _extremes(_kernels.CUMMIN)}


def _running_extreme(t: Tensor, dim: int, kernel) -> tuple[Tensor, Tensor]:
    d = t._dtype
    if d.category == COMPLEX:
        raise NotImplementedError(f"\"cummax_cummin_cpu\" not implemented for '{d.type_name}'")
    flat = t._flat
    outer, n, inner, _ = _lines(t._size, dim)
    if flat is not None and d in _SCANNED_AS_THEY_ARE and 0 < flat.size < PARALLEL_SIZE:
        values, indices = np.empty(flat.size, flat.dtype), np.empty(flat.size, _INT64)
        lines, tiles = _RUNNING[kernel]
        if inner < FEW:
            count = outer * inner
            lines[flat.dtype](parts_of_lines(count, n), (flat, count, n, inner, values, indices))
        else:
            tiles[flat.dtype](outer * tiles_of_columns(inner), (flat, n, inner, values, indices))
        return wrap_as(values, t), wrap(indices, t._size, int64)
    flat = elements(t)
    if d.category == BOOL:
        flat = flat.view(np.uint8)
    values, indices = empty(flat.size, flat.dtype), empty(flat.size, _INT64)
    if flat.size:
        kernel(flat, outer, n, inner, values, indices)
    if d.category == BOOL:
        values = values.view(np.bool_)
    return finished(values, t._size, compute_dtype(d), d), wrap(indices, t._size, int64)


def _running_rule(ctx, grad):
    if not ctx.self.ndim:
        return grad
    return grad.new_zeros(ctx.self.shape).scatter_add(ctx.dim, ctx.result1, grad)


@primitive("cummax_", node="CummaxBackward0", save=("result1",), nondifferentiable=(1,), public=False)
def _cummax(self, dim):
    return _running_extreme(self, dim, _kernels.CUMMAX)


@primitive("cummin_", node="CumminBackward0", save=("result1",), nondifferentiable=(1,), public=False)
def _cummin(self, dim):
    return _running_extreme(self, dim, _kernels.CUMMIN)


_cummax.derivative(self=_running_rule)
_cummin.derivative(self=_running_rule)


@publish(out=True)
def cummax(input, dim) -> tuple[Tensor, Tensor]:
    """(values, indices): the greatest so far along dim and where it was last met."""
    check_cpu(input, "cummax")
    if input._requires_grad:
        return _new_tuple(return_types.cummax, _cummax(input, wrap_dim(dim, input.ndim)))
    return _new_tuple(return_types.cummax, _running_extreme(input, dim, _kernels.CUMMAX))


@publish(out=True)
def cummin(input, dim) -> tuple[Tensor, Tensor]:
    """(values, indices): the least so far along dim and where it was last met."""
    check_cpu(input, "cummin")
    if input._requires_grad:
        return _new_tuple(return_types.cummin, _cummin(input, wrap_dim(dim, input.ndim)))
    return _new_tuple(return_types.cummin, _running_extreme(input, dim, _kernels.CUMMIN))


# -- differences and integrals -------------------------------------------------------------------------------


@op(out=True)
def diff(input, n=1, dim=-1, prepend=None, append=None) -> Tensor:
    """The n-th difference x[i + 1] - x[i] along dim, of the input with prepend and append joined on."""
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = wrap_dim(dim, input.ndim)
    parts = [p for p in (prepend, input, append) if p is not None]
    if len(parts) > 1 and n > 0:
        from .joining import cat

        input = cat(tuple(parts), dim)
    d, flat = input._dtype, input._flat
    plain = flat.__class__ is np.ndarray and d.np is d.compute and d.category != BOOL
    if n == 1 and plain and 0 < flat.size < PARALLEL_THRESHOLD and not (input._requires_grad and mode.enabled):
        # (Two views and the difference of tensors with gaps take three times as long.)
        size = input._size
        outer, length, inner = collapse_one(size, dim)
        x = flat.reshape(outer, length, inner)
        between = x[:, 1:] - x[:, :-1]
        return wrap(between.reshape(-1), (*size[:dim], length - 1, *size[dim + 1 :]), d)
    for _ in range(min(n, input.size(dim))):
        length = input.size(dim)
        after, before = input.narrow(dim, 1, length - 1), input.narrow(dim, 0, length - 1)
        input = after.logical_xor(before) if input._dtype.category == BOOL else after - before
    return input.clone() if n == 0 else input


def _halved(total, x, dx):
    return total * (dx / 2) if x is None else total / 2


def _trapezoids(y, x, dim):
    """Twice the areas between neighbours along dim (for distances of 1 without x)."""
    length = y.size(dim)
    pairs = y.narrow(dim, 1, length - 1) + y.narrow(dim, 0, length - 1)
    if x is None:
        return pairs
    widths = diff(x) if x.ndim == 1 else diff(x, dim=dim)
    if x.ndim == 1:
        if x.size(0) != length:
            raise RuntimeError("trapezoid(): There must be one `x` value for each sample point")
        widths = widths.reshape((-1,) + (1,) * (y.ndim - 1 - dim))
    return pairs * widths


def _check_trapezoid(y, x, dx, name: str) -> None:
    for t, what in ((y, "y"), (x, "x")):
        if isinstance(t, Tensor) and t._dtype.category == BOOL:
            raise RuntimeError(f"{name}: received a bool input for `{what}`, but bool is not supported")
    if isinstance(dx, bool) or (isinstance(dx, complex) and y._dtype.category != COMPLEX):
        raise RuntimeError(f"{name}: Currently, we only support dx as a real number.")


@op(method=False, aliases=("trapz",))
def trapezoid(y, x=None, *, dx=1, dim=-1) -> Tensor:
    """The integral of y along dim by the trapezoid rule, at the places x or at distances dx."""
    _check_trapezoid(y, x, dx, "trapezoid")
    dim = wrap_dim(dim, y.ndim)
    if y.size(dim) == 0:
        return y.new_zeros(()).expand(y.shape[:dim] + y.shape[dim + 1 :]).clone()
    if x is None:  # all but half of the ends
        return (y.sum(dim) - (y.select(dim, 0) + y.select(dim, -1)) * 0.5) * dx
    return _halved(_trapezoids(y, _aligned(x, y), dim).sum(dim), x, dx)


@op(method=False)
def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1) -> Tensor:
    """The running integral of y along dim by the trapezoid rule."""
    _check_trapezoid(y, x, dx, "cumulative_trapezoid")
    dim = wrap_dim(dim, y.ndim)
    return cumsum(_halved(_trapezoids(y, _aligned(x, y), dim), x, dx), dim)


def _aligned(x, y):
    """x with leading dims of size 1, so that its dims count as y's do."""
    if x is None or x.ndim <= 1 or x.ndim >= y.ndim:
        return x
    return x.reshape((1,) * (y.ndim - x.ndim) + tuple(x.shape))


# -- gradient ---------------------------------------------------------------------------------------------------------


def _slope(f: Tensor, x, dim: int, edge_order: int) -> Tensor:
    """df/dx along dim by central differences, second order inside; x: a distance, or the places (1-d tensor)."""
    from .joining import cat

    n = f.size(dim)

    def part(start, length):
        return f.narrow(dim, start, length)

    if not isinstance(x, Tensor):
        inside = (part(2, n - 2) - part(0, n - 2)) / (2 * x)
        if edge_order == 1:
            first, last = (part(1, 1) - part(0, 1)) / x, (part(n - 1, 1) - part(n - 2, 1)) / x
        else:
            first = (-1.5 * part(0, 1) + 2 * part(1, 1) - 0.5 * part(2, 1)) / x
            last = (0.5 * part(n - 3, 1) - 2 * part(n - 2, 1) + 1.5 * part(n - 1, 1)) / x
        return cat((first, inside, last), dim)
    h = diff(x).reshape((-1,) + (1,) * (f.ndim - 1 - dim))
    a, b = h.narrow(0, 0, n - 2), h.narrow(0, 1, n - 2)
    inside = (
        part(0, n - 2) * (-b / (a * (a + b)))
        + part(1, n - 2) * ((b - a) / (a * b))
        + part(2, n - 2) * (a / (b * (a + b)))
    )
    if edge_order == 1:
        first = (part(1, 1) - part(0, 1)) / h.narrow(0, 0, 1)
        last = (part(n - 1, 1) - part(n - 2, 1)) / h.narrow(0, n - 2, 1)
    else:
        a, b = h.narrow(0, 0, 1), h.narrow(0, 1, 1)
        first = (
            part(0, 1) * (-(2 * a + b) / (a * (a + b)))
            + part(1, 1) * ((a + b) / (a * b))
            - part(2, 1) * (a / (b * (a + b)))
        )
        a, b = h.narrow(0, n - 3, 1), h.narrow(0, n - 2, 1)
        last = (
            part(n - 3, 1) * (b / (a * (a + b)))
            - part(n - 2, 1) * ((a + b) / (a * b))
            + part(n - 1, 1) * ((a + 2 * b) / (b * (a + b)))
        )
    return cat((first, inside, last), dim)


@op(method=False)
def gradient(input, *, spacing=1, dim=None, edge_order=1) -> list[Tensor]:
    """Slopes of samples of a function along each dim: spacing is a distance, one for each dim, or the places."""
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    dims = tuple(range(input.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    dims = tuple(wrap_dim(d, input.ndim) for d in dims)
    if len(set(dims)) != len(dims):
        twice = next(d for d in dims if dims.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to 'self.dim() = "
            f"{input.ndim}', since dim argument was not given, but got a list of length {len(steps)}"
        )
    for d in dims:
        if input.size(d) < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return [_slope(input, x, d, edge_order) for d, x in zip(dims, steps, strict=True)]
