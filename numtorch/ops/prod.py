"""Products over any set of dims. The gradient of an element is the product of the others, also where some are zero."""

from __future__ import annotations

from numtorch.graph import mode
from numtorch.kernels.cpu import reductions as _kernels

from .._dtype import FLOATING, int64
from .._primitive import primitive
from .._size import wrap_dim
from .._tensor import Tensor
from .reducing import compute_dtype, dims_of, publish, reduce, reduced_at_once, reduced_size, restore
from .reductions import widened


def _prod(t: Tensor, dims, keepdim: bool) -> Tensor:
    d = t._dtype
    if d.category < FLOATING:
        kernels = _kernels.PROD_INT64
        return reduce(t, dims, keepdim, kernels, int64, 1, kernels)
    computed = compute_dtype(d)
    result = reduce(t, dims, keepdim, _kernels.PROD, computed, 1, _kernels.PROD)
    return result if computed is d else result.to(d)


def _products_of_the_others(t: Tensor, dim: int) -> Tensor:
    """At each place the product of the other elements along dim: running products from both ends."""
    n = t.size(dim)
    ones = t.new_ones(()).expand(reduced_size(t._size, (dim,), True))
    before = ones.clone() if n == 1 else _joined(ones, t.narrow(dim, 0, n - 1).cumprod(dim), dim)
    after = ones.clone() if n == 1 else _joined(ones, t.flip(dim).narrow(dim, 0, n - 1).cumprod(dim), dim).flip(dim)
    return (before * after).conj()


def _joined(a: Tensor, b: Tensor, dim: int) -> Tensor:
    from .joining import cat

    return cat((a, b), dim)


def _prod_rule(ctx, grad):
    t, result = ctx.self, ctx.result
    if t.ndim == 0:
        return grad
    if t.numel() == 0:
        return t.new_zeros(t.shape)
    dims, keepdim = ctx.dims, ctx.keepdim
    grad, result = restore(grad, dims, keepdim, t.ndim), restore(result, dims, keepdim, t.ndim)
    if not mode.enabled and not (t == 0).any().item():
        return grad * (result / t).conj()
    if len(dims) == 1:
        return grad * _products_of_the_others(t, dims[0])
    others = _products_of_the_others(t.reshape(-1), 0)
    return grad * others.reshape(t.shape)


@primitive("prod_all", node="ProdBackward0", save=("self", "result"), public=False)
def _prod_all(self, dims, keepdim):
    return _prod(self, dims, keepdim)


@primitive("prod_dim", node="ProdBackward1", save=("self", "result"), public=False)
def _prod_dim(self, dims, keepdim):
    return _prod(self, dims, keepdim)


_prod_all.derivative(self=_prod_rule)
_prod_dim.derivative(self=_prod_rule)


@publish(out=True)
def prod(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """Product of the elements over `dim` (one dim or all); integers multiply in int64."""
    d = input._dtype
    if dtype is None and not input._requires_grad and (dim is None or type(dim) is int) and d.category <= FLOATING:
        whole = d.category < FLOATING
        kernels, computed = (_kernels.PROD_INT64, int64) if whole else (_kernels.PROD, d)
        result = reduced_at_once(input, dim, keepdim, kernels, computed)
        if result is not None:
            return result
    t = widened(input, dtype)
    if dim is None:
        result = _prod_all(t, dims_of(None, t.ndim), keepdim)
    else:
        result = _prod_dim(t, (wrap_dim(dim, t.ndim),), keepdim)
    return widened(result, dtype)
