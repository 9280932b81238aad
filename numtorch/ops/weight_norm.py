"""Weight normalisation, w = v g / |v| with one norm for each index of one dimension (Salimans & Kingma 2016)."""

from __future__ import annotations

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu import weight_norm as _kernels

from .._allocator import empty
from .._device import cpu
from .._dtype import float32, float64
from .._primitive import primitive
from .._tensor import Tensor, wrap
from .norms import vector_norm


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """The norm over all dimensions but `dim`, kept as size-1 dimensions; -1: over all, a scalar."""
    if dim == -1:
        return v.norm()
    others = _others(v, dim)
    return vector_norm(v, 2, others, True) if others else v.abs()


def _others(v: Tensor, dim: int) -> list[int]:
    return [d for d in range(v.ndim) if d != dim % v.ndim]


def weight_norm(v: Tensor, g: Tensor, dim: int) -> Tensor:
    """v g / norm_except_dim(v, dim); g has the size of the norm."""
    same = v._dtype is g._dtype and (v._dtype is float32 or v._dtype is float64) and v._device is g._device is cpu
    norms = v._size[dim] if dim >= 0 and v._size else 1
    if same and v._flat is not None and g._flat is not None and g._flat.size == norms and 0 not in v._size:
        return _weight_norm(v, g, dim)[0]
    return v * (g / norm_except_dim(v, dim))


def _matrix(x: np.ndarray, lengths: np.ndarray, dim: int) -> tuple[int, int, bool]:
    """(rows, n, whether the norms are those of the columns): the first or the last dimension against all others."""
    rows, columns = lengths.size, x.size // lengths.size
    return (columns, rows, True) if dim > 0 else (rows, columns, False)


@primitive(
    "weight_norm_",
    node="WeightNormInterfaceBackward0",
    save=("v", "g", "result1"),
    nondifferentiable=(1,),
    public=False,
)
def _weight_norm(v, g, dim):
    """(w, norm of v); contiguous v and g of one dtype, dim -1 for one norm of all."""
    if 0 < dim < v.ndim - 1:
        v, g = v.detach(), g.detach()
        norms = norm_except_dim(v, dim)
        return v * (g / norms), norms
    x, lengths = v._flat, g._flat
    w, norms = empty(x.size, x.dtype), np.empty(lengths.size, x.dtype)
    _kernels.weight_norm_forward(x, lengths, *_matrix(x, lengths, dim), w, norms)
    return wrap(w, v._size, v._dtype), wrap(norms, g._size, v._dtype)


@_weight_norm.backward
def _(ctx, grad):
    v, g, dim = ctx.v, ctx.g, ctx.dim
    at_an_end = dim <= 0 or dim == v.ndim - 1
    if not mode.enabled and at_an_end and grad._flat is not None and v._flat is not None and g._flat is not None:
        x, lengths = v._flat, g._flat
        gv, gg = empty(x.size, x.dtype), np.empty(lengths.size, x.dtype)
        shape = _matrix(x, lengths, dim)
        _kernels.weight_norm_backward(grad._flat, x, lengths, ctx.result1._flat, *shape, gv, gg)
        return {"v": wrap(gv, v._size, v._dtype), "g": wrap(gg, g._size, g._dtype)}
    others = _others(v, dim) if dim >= 0 else list(range(v.ndim))
    products = grad * v
    norm = norm_except_dim(v, dim) if mode.enabled else ctx.result1
    along = (products.sum(others, dim >= 0) if others else products) / norm
    scale = g / norm
    return {"v": grad * scale - v * (along / norm * scale), "g": along}


_weight_norm.derivative_of("v", "g")
