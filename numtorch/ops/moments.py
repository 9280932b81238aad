"""var, std and their relatives: sum |x - mean|**2 / max(0, n - correction) over any set of dims; cov,
corrcoef.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from numtorch.graph import no_grad
from numtorch.kernels.cpu import moments as _kernels

from .. import _dtype
from .._device import cpu
from .._dtype import COMPLEX, FLOATING
from .._primitive import primitive
from .._registry import op, register
from .._tensor import Tensor
from .reducing import (
    as_it_lies,
    brought_last,
    collapse,
    compute_dtype,
    dims_of,
    elements,
    finished,
    lying,
    numpy_names,
    put_right,
    reduced_size,
    restore,
    steps_of,
)
from .reductions import count_along

# Elements of the innermost group of dims from which the others are reduced after it (it leaves two numbers in float64), and
# elements of a tensor: fewer are sooner brought together.
WORTH_A_STEP, WORTH_STEPS = 16, 65536


def _moments(t: Tensor, dims, keepdim: bool) -> tuple[np.ndarray, np.ndarray]:
    """(sum |x - mean|**2, mean) as flat float64 arrays, for a real floating point input."""
    numel = reduced_size(t._size, dims, keepdim).numel()
    n = count_along(t._size, dims)
    if n == 0 or numel == 0:
        nothing = np.full(numel, np.nan)
        return nothing, nothing
    lies = None if t._flat is not None else lying(t._size, t._stride, dims)
    size, reduced = (t._size, dims) if lies is None else lies[:2]
    shape = collapse(size, reduced)
    steps = [shape] if shape is not None else steps_of(tuple(size), reduced)
    if len(steps) > 1 and (steps[0][1] < WORTH_A_STEP or n * numel < WORTH_STEPS):
        t, lies, steps = brought_last(t, dims), None, [(numel, n, 1)]
    squares, mean = _in_steps(elements(t) if lies is None else as_it_lies(t), steps)
    if lies is not None:
        mean, squares = put_right(mean, lies), put_right(squares, lies)
    return squares, mean


def _in_steps(flat: np.ndarray, steps) -> tuple[np.ndarray, np.ndarray]:
    """(sum |x - mean|**2, mean) over dims that are no neighbours, group by group: with the moments mean_i and m2_i of k groups
    of n elements each

        mean = sum mean_i / k        m2 = sum m2_i + n sum (mean_i - mean)**2
    """
    outer, n, inner = steps[0]
    mean, squares = np.empty(outer * inner), np.empty(outer * inner)
    _kernels.moments(flat, outer, n, inner, mean, squares)
    for outer, k, inner in steps[1:]:
        means = mean.reshape(outer, k, inner)
        mean = means.mean(1)
        with np.errstate(invalid="ignore", over="ignore"):  # of infinities
            squares = squares.reshape(outer, k, inner).sum(1) + n * np.square(means - mean[:, None]).sum(1)
        mean, squares, n = mean.reshape(-1), squares.reshape(-1), n * k
    return squares, mean


def _statistics(t: Tensor, dims, keepdim: bool, correction, root: bool, with_mean: bool = True):
    """(variance, or its root; mean, if asked for)."""
    if t._device is not cpu:
        return _statistics_of_parts(t.detach(), dims, keepdim, correction, root)
    d, size = t._dtype, reduced_size(t._size, dims, keepdim)
    squares, mean = _moments(t, dims, keepdim)
    computed = compute_dtype(d)
    out = np.empty(squares.size, computed.np)
    # (Over no degrees of freedom 0 becomes nan and anything else inf.)
    _kernels.variance(squares, float(max(0, count_along(t._size, dims) - correction)), root, out)
    result = finished(out, size, computed, d)
    return result, finished(mean.astype(computed.np), size, computed, d) if with_mean else None


def _statistics_of_parts(t: Tensor, dims, keepdim: bool, correction, root: bool) -> tuple[Tensor, Tensor]:
    """The same out of other operators, where there is no kernel for it."""
    with no_grad():
        centred = t - t.mean(dims, True)
        variance = (centred * centred).sum(dims, keepdim) / max(0, count_along(t._size, dims) - correction)
        return variance.sqrt() if root else variance, t.mean(dims, keepdim)


def _variance_gradient(grad, t, dims, keepdim, correction):
    """d var / d x = 2 / (n - correction) * (x - mean)."""
    freedom = count_along(t.shape, dims) - correction
    grad = restore(grad, dims, keepdim, t.ndim)
    scale = 2.0 / freedom if freedom else math.inf
    return grad * scale * (t - t.mean(dims, True))


def _deviation_gradient(grad, result, t, dims, keepdim, correction):
    """d std = d var / (2 std), and 0 where std is 0."""
    grad = (grad / (result * 2)).masked_fill(result == 0, 0)
    return _variance_gradient(grad, t, dims, keepdim, correction)


def _mean_gradient(grad, t, dims, keepdim):
    return (restore(grad, dims, keepdim, t.ndim) / count_along(t.shape, dims)).expand(t.shape)


@primitive("var_", node="VarBackward0", save=("self",), public=False)
def _var(self, dims, keepdim, correction):
    return _statistics(self, dims, keepdim, correction, False, False)[0]


@primitive("std_", node="StdBackward0", save=("self", "result"), public=False)
def _std(self, dims, keepdim, correction):
    return _statistics(self, dims, keepdim, correction, True, False)[0]


@primitive("var_mean_", node="VarMeanBackward0", save=("self",), public=False)
def _var_mean(self, dims, keepdim, correction):
    return _statistics(self, dims, keepdim, correction, False)


@primitive("std_mean_", node="StdMeanBackward0", save=("self", "result0"), public=False)
def _std_mean(self, dims, keepdim, correction):
    return _statistics(self, dims, keepdim, correction, True)


_var.derivative(self=lambda ctx, g: _variance_gradient(g, ctx.self, ctx.dims, ctx.keepdim, ctx.correction))
_std.derivative(self=lambda ctx, g: _deviation_gradient(g, ctx.result, ctx.self, ctx.dims, ctx.keepdim, ctx.correction))


@_var_mean.backward
def _var_mean_rule(ctx, grad_var, grad_mean):
    t, total = ctx.self, None
    if grad_var is not None:
        total = _variance_gradient(grad_var, t, ctx.dims, ctx.keepdim, ctx.correction)
    if grad_mean is not None:
        share = _mean_gradient(grad_mean, t, ctx.dims, ctx.keepdim)
        total = share if total is None else total + share
    return {"self": total}


@_std_mean.backward
def _std_mean_rule(ctx, grad_std, grad_mean):
    t, total = ctx.self, None
    if grad_std is not None:
        total = _deviation_gradient(grad_std, ctx.result0, t, ctx.dims, ctx.keepdim, ctx.correction)
    if grad_mean is not None:
        share = _mean_gradient(grad_mean, t, ctx.dims, ctx.keepdim)
        total = share if total is None else total + share
    return {"self": total}


_var_mean.derivative_of("self")
_std_mean.derivative_of("self")


def _arguments(dim, unbiased, correction, keepdim):
    """torch's signatures: (dim, unbiased, keepdim), (dim, *, correction, keepdim) and (unbiased)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    return dim, correction, keepdim


def _check(t: Tensor, dims, correction, name: str) -> None:
    if t._dtype.category < FLOATING:
        what = "std and var" if name in ("std", "var") else name
        raise RuntimeError(f"{what} only support floating point and complex dtypes")
    if correction >= count_along(t._size, dims) and t.numel():
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
            "factor "
            "(input numel divided by output numel).",
            UserWarning,
            stacklevel=4,
        )


def _spread_function(name: str, single: bool, on_real, on_complex, doc: str):
    def call(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
        dim, correction, keepdim = _arguments(dim, unbiased, correction, keepdim)
        dims = dims_of(dim, input.ndim)
        _check(input, dims, correction, name)
        if input._dtype.category == COMPLEX:
            return on_complex(input, dims, keepdim, correction)
        return on_real(input, dims, keepdim, correction)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return register(name, numpy_names(call), method=single, out=single)


def _complex_var(t, dims, keepdim, correction):
    return _var(t.real, dims, keepdim, correction) + _var(t.imag, dims, keepdim, correction)


def _complex_var_mean(t, dims, keepdim, correction):
    return _complex_var(t, dims, keepdim, correction), t.mean(dims, keepdim)


def _complex_std(t, dims, keepdim, correction):
    variance = _complex_var(t, dims, keepdim, correction)
    none = variance == 0  # where the gradient is 0, not that of a square root
    return variance.masked_fill(none, 1).sqrt().masked_fill(none, 0)


def _complex_std_mean(t, dims, keepdim, correction):
    return _complex_std(t, dims, keepdim, correction), t.mean(dims, keepdim)


var = _spread_function("var", True, _var, _complex_var, "Variance over dim; n - correction (1) in the denominator.")
std = _spread_function("std", True, _std, _complex_std, "Standard deviation over dim: the square root of var.")
var_mean = _spread_function("var_mean", False, _var_mean, _complex_var_mean, "(var, mean) over dim.")
std_mean = _spread_function("std_mean", False, _std_mean, _complex_std_mean, "(std, mean) over dim.")


# -- covariance ----------------------------------------------------------------------------------------------


def _check_weights(w, name: str, n: int, integral: bool) -> None:
    if w.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {w.ndim} dimensions"
        )
    if integral and w._dtype.category != _dtype.INTEGRAL:
        raise RuntimeError(
            f"cov(): expected {name} to have integral dtype but got {name} with {w._dtype.type_name} dtype"
        )
    if not integral and w._dtype.category != FLOATING:
        raise RuntimeError(
            f"cov(): expected {name} to have floating point dtype but got {name} with {w._dtype.type_name} dtype"
        )
    if w.numel() != n:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{w.numel()} != {n}"
        )
    if n and (w < 0).any().item():
        raise RuntimeError(f"cov(): {name} cannot be negative")


@op()
def cov(input, *, correction=1, fweights=None, aweights=None) -> Tensor:
    """Covariance matrix of variables in rows and observations in columns; weights count or weigh
    observations.
    """
    if input.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    if input._dtype is _dtype.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    n = x.size(1)
    weights = None
    if fweights is not None:
        _check_weights(fweights, "fweights", n, True)
        weights = fweights
    if aweights is not None:
        _check_weights(aweights, "aweights", n, False)
        weights = aweights if weights is None else weights * aweights
    total = n if weights is None else weights.sum()
    if weights is not None and n and total.item() == 0:
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    mean = (x if weights is None else x * weights).sum(1, True) / total
    if weights is None or correction == 0 or aweights is None:
        norm = total - correction
    else:
        norm = total - correction * (weights * aweights).sum() / total
    norm_value = norm.item() if isinstance(norm, Tensor) else norm
    if norm_value <= 0:
        warnings.warn("cov(): degrees of freedom is <= 0", UserWarning, stacklevel=2)
        norm = norm * 0
    d = x - mean
    c = d.mm((d if weights is None else d * weights).t().conj())
    c = c / norm
    return c.squeeze()


@op()
def corrcoef(input) -> Tensor:
    """Pearson correlation of the rows: cov[i, j] / sqrt(cov[i, i] cov[j, j]), parts clipped to [-1, 1]."""
    if input.ndim > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    c = cov(input)
    if c.ndim == 0:
        return c / c
    d = c.diagonal()
    s = (d.real if d._dtype.category == COMPLEX else d).sqrt()
    c = c / s.unsqueeze(-1) / s.unsqueeze(0)
    if c._dtype.category == COMPLEX:
        from .complex_ops import complex_

        return complex_(c.real.clip(-1, 1), c.imag.clip(-1, 1))
    return c.clip(-1, 1)
