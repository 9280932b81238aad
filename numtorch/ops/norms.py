"""Vector and matrix norms, and what is measured with them: dist, cdist, normalize, renorm, cosine similarity.

vector_norm(x, p) = (sum |x|**p)**(1/p);  p = 0 counts what is not 0, p = inf and -inf are max and min of
|x|.
"""

from __future__ import annotations

import math

import numpy as np

from numtorch.graph import mode, no_grad
from numtorch.kernels.cpu import cosine as _cosine_kernels
from numtorch.kernels.cpu import distances as _distance_kernels
from numtorch.kernels.cpu import reductions as _kernels

from .. import _dtype
from .._allocator import empty
from .._device import cpu
from .._dtype import COMPLEX, FLOATING
from .._inplace import write_out
from .._primitive import primitive
from .._promotion import result_type
from .._registry import FUNCTIONS, op
from .._size import Size, wrap_dim
from .._tensor import Tensor, alias, wrap
from .reducing import (
    PLAIN_DIMS,
    check_cpu,
    compute_dtype,
    dims_of,
    direct_layout,
    elements,
    finished,
    reduce,
    reduced_size,
    restore,
)
from .reductions import direct_entries, reduced_directly

_INF = float("inf")


def _forward(t: Tensor, p: float, dims, keepdim: bool) -> Tensor:
    check_cpu(t, "vector_norm")
    d = t._dtype
    real = d.to_real()
    if d.category == COMPLEX:
        t = t.detach().abs()
    if p == 0:
        return reduce(t, dims, keepdim, _kernels.COUNT_NONZERO, _dtype.int64, 0, _kernels.SUM_INT64).to(real)
    kernels = _kernels.NORM.get(p)
    if kernels is None:
        return t.detach().abs().pow(p).sum(dims, keepdim).pow(1 / p)
    n = math.prod(t._size[i] for i in dims) if t.ndim else 1
    if n == 0 and abs(p) == _INF and reduced_size(t._size, dims, keepdim).numel():
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {'inf' if p > 0 else '-inf'} norm on an empty "
            + (
                "tensor because the operation does not have an identity"
                if len(dims) == t.ndim
                else "dimension "
                f"{next(i for i in dims if t._size[i] == 0)} because this dimension is empty and the "
                "operation does not have an identity"
            )
        )
    computed = compute_dtype(real)
    result = reduce(t, dims, keepdim, kernels, computed, 0)
    return result if computed is real else result.to(real)


def _rule(ctx, grad):
    return _norm_gradient(grad, ctx.self, ctx.result, ctx.p, ctx.dims, ctx.keepdim)


def _norm_gradient(grad, t, norm, p: float, dims, keepdim: bool):
    """d norm / d x; at the origin, where it has none, 0."""
    grad, norm = restore(grad, dims, keepdim, t.ndim), restore(norm, dims, keepdim, t.ndim)
    if p == 0:
        return None
    if p == 1:
        return t.sgn() * grad
    if p == 2:
        return grad * (t / norm).masked_fill(norm == 0, 0)
    size = t.abs()
    if abs(p) == _INF:
        chosen = (size == norm) | (size.isnan() & norm.isnan())
        return t.sgn() * (grad / chosen.sum(dims, True) * chosen)
    if p < 1:
        powers = size.pow(p - 1).masked_fill(t == 0, 0)
        return t.sgn() * powers * grad * norm.pow(1 - p)
    if p < 2:
        scale = (grad * norm.pow(1 - p)).masked_fill(norm == 0, 0)
        return t.sgn() * size.pow(p - 1) * scale
    scale = (grad / norm.pow(p - 1)).masked_fill(norm == 0, 0)
    return t * size.pow(p - 2) * scale


@primitive("vector_norm_", node="LinalgVectorNormBackward0", save=("self", "result"), public=False)
def _vector_norm(self, p, dims, keepdim):
    return _forward(self, p, dims, keepdim)


_vector_norm.derivative(self=_rule)


_norm_entries: dict = {}  # (dtype, order) -> the compiled kernels
_SMALL = 65536


def _small_norm(t: Tensor, p, dim, keepdim: bool) -> Tensor | None:
    """The norm of a small contiguous tensor of float32 or float64 over neighbouring dims; None for others."""
    flat = t._flat
    if flat is None or not 0 < flat.size < _SMALL or type(dim) not in PLAIN_DIMS:
        return None
    d = t._dtype
    entries = _norm_entries.get((d, p))
    if entries is None:
        if (d is not _dtype.float32 and d is not _dtype.float64) or type(p) not in (int, float) or t._device is not cpu:
            return None
        kernels = _kernels.NORM.get(p)
        if kernels is None:
            return None
        entries = _norm_entries[d, p] = direct_entries(kernels, d)
    layout = direct_layout(t._size, dim, keepdim)
    if layout is None:
        return None
    result = reduced_directly(entries, flat, layout, d)
    if t._requires_grad and mode.enabled:
        values, saved = [None, float(p), layout.dims, keepdim], (t, alias(result))
        _vector_norm.primitive.record_directly(values, (t,), saved, result)
    return result


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None) -> Tensor:
    """(sum |x|**ord)**(1/ord) over dim (all dims flattened if None)."""
    if dtype is None and out is None:
        result = _small_norm(x, ord, dim, keepdim)
        if result is not None:
            return result
    if x._dtype.category < FLOATING:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x._dtype.type_name}"
        )
    if dtype is not None:
        _check_norm_dtype("linalg.vector_norm", x._dtype, dtype)
        x = x.to(dtype)
    dims = dims_of(dim, len(x._size))
    if x._requires_grad:
        result = _vector_norm(x, float(ord), dims, keepdim)
    else:
        result = _forward(x, float(ord), dims, keepdim)
    return result if out is None else write_out(result, out, "linalg_vector_norm")


def _check_norm_dtype(name: str, given, wanted) -> None:
    if wanted.category < FLOATING:
        raise RuntimeError(f"{name}: dtype should be floating point or complex, but got {wanted.type_name}")
    if (given.category == COMPLEX) != (wanted.category == COMPLEX):
        raise RuntimeError(
            f"{name}: dtype should be {'complex' if given.category == COMPLEX else 'real'} for "
            f"{'complex' if given.category == COMPLEX else 'real'} inputs, but got {wanted.type_name}"
        )


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None) -> Tensor:
    """Norm of the matrices in two dims: 'fro', 'nuc', or of order inf, -inf, 1, -1, 2, -2."""
    if ord == "fro" and dim == (-2, -1) and dtype is None and out is None and len(A._size) > 1:
        result = _small_norm(A, 2, dim, keepdim)
        if result is not None:
            return result
    if A.ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if A._dtype.category < FLOATING:
        raise RuntimeError(
            f"linalg.matrix_norm: Expected a floating point or complex tensor as input. Got {A._dtype.type_name}"
        )
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    row, column = wrap_dim(dim[0], A.ndim), wrap_dim(dim[1], A.ndim)
    if row == column:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if dtype is not None:
        _check_norm_dtype("linalg.matrix_norm", A._dtype, dtype)
        A = A.to(dtype)
    result = _matrix_norm(A, ord, row, column, keepdim)
    return result if out is None else write_out(result, out, "linalg_matrix_norm")


def _matrix_norm(A, ord, row: int, column: int, keepdim: bool) -> Tensor:
    if isinstance(ord, str):
        if ord == "fro":
            return vector_norm(A, 2, (row, column), keepdim)
        if ord != "nuc":
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    elif abs(ord) not in (1, 2, _INF):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "nuc" or abs(ord) == 2:
        values = FUNCTIONS["linalg"]["svdvals"](A.movedim((row, column), (-2, -1)))
        result = values.sum(-1) if ord == "nuc" else _outermost(values, -1, False, ord > 0)
        for d in sorted((row, column)) if keepdim else ():
            result = result.unsqueeze(d)
        return result
    first, second = (row, column) if abs(ord) == 1 else (column, row)
    sums = vector_norm(A, 1, first, keepdim)
    if not keepdim and second > first:
        second -= 1
    return _outermost(sums, second, keepdim, ord > 0)


def _outermost(values: Tensor, dim: int, keepdim: bool, greatest: bool) -> Tensor:
    """The greatest (0 of none) or the least value along dim."""
    if not greatest:
        return values.amin(dim, keepdim)
    return values.amax(dim, keepdim) if values.size(dim) else values.sum(dim, keepdim)


def linalg_norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None) -> Tensor:
    """Vector norm where dim is one dim (or A is 1-d, or no order is given), matrix norm where it is two."""
    if ord is None and dtype is None and out is None:
        return vector_norm(A, 2, dim, keepdim)
    if dtype is not None:
        _check_norm_dtype("linalg.norm", A._dtype, dtype)
    if isinstance(dim, int):
        dim = (dim,)
    if ord is None:
        result = vector_norm(A, 2, dim, keepdim, dtype=dtype)
    else:
        if dim is not None and len(dim) not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got [{', '.join(map(str, dim))}]"
            )
        if dim is None and A.ndim not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D."
            )
        if (dim is not None and len(dim) == 1) or (dim is None and A.ndim == 1):
            if isinstance(ord, str):
                raise RuntimeError(f"linalg.norm: Order {ord} not supported for vectors.")
            result = vector_norm(A, ord, dim, keepdim, dtype=dtype)
        else:
            result = matrix_norm(A, ord, (0, 1) if dim is None else tuple(dim), keepdim, dtype=dtype)
    return result if out is None else write_out(result, out, "linalg_norm")


for _name, _fn in (("vector_norm", vector_norm), ("matrix_norm", matrix_norm), ("norm", linalg_norm)):
    FUNCTIONS.setdefault("linalg", {})[_name] = _fn


@op()
def norm(input, p="fro", dim=None, keepdim=False, dtype=None, *, out=None) -> Tensor:
    """Vector norm of order p over dim; 'fro' is order 2, 'nuc' the sum of singular values of a matrix."""
    if input._dtype.category < FLOATING and dtype is None:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {input._dtype.type_name}"
        )
    if p == "nuc":
        result = matrix_norm(input, "nuc", (-2, -1) if dim is None else tuple(dim), keepdim, dtype=dtype)
    elif isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm(): expected p to be a number, 'fro' or 'nuc', but got {p!r}")
    else:
        order = 2.0 if p is None or p.__class__ is str else p
        if dtype is not None and input._dtype.category < FLOATING:
            input = input.to(dtype)
        result = vector_norm(input, order, dim, keepdim, dtype=dtype)
    return result if out is None else write_out(result, out, "norm")


# -- distances -----------------------------------------------------------------------------------------------


@primitive("dist_", node="DistBackward0", save=("self", "other", "result"), public=False)
def _dist(self, other, p):
    difference = self.detach() - other.detach()
    return _forward(difference, p, dims_of(None, difference.ndim), False)


def _dist_rule(sign: int):
    def rule(ctx, grad):
        difference = ctx.self - ctx.other
        found = _norm_gradient(grad, difference, ctx.result, ctx.p, dims_of(None, difference.ndim), False)
        if found is None:
            return None
        target = ctx.self if sign > 0 else ctx.other
        return (found if sign > 0 else -found).sum_to_size(target.shape).to(target.dtype)

    return rule


_dist.derivative(self=_dist_rule(1), other=_dist_rule(-1))


@op()
def dist(input, other, p=2) -> Tensor:
    """The p-norm of input - other, broadcast."""
    if not (mode.enabled and (input._requires_grad or other._requires_grad)):
        result = _small_norm(input.detach() - other.detach(), p, None, False)
        if result is not None:
            return result
    return _dist(input, other, float(p))


def _check_distance(x1, x2, name: str) -> None:
    if x1.ndim < 2 or x2.ndim < 2:
        raise RuntimeError(f"{name} only supports at least 2D tensors, X1 got: {x1.ndim}D")
    if x1.size(-1) != x2.size(-1):
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.size(-1)} X2: {x2.size(-1)}")


@op(method=False)
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """Distance of every row of x1 (..., P, M) from every row of x2 (..., R, M): (..., P, R)."""
    _check_distance(x1, x2, "cdist")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    rows = max(x1.size(-2), x2.size(-2))
    by_product = p == 2 and (
        compute_mode == "use_mm_for_euclid_dist"
        or (compute_mode == "use_mm_for_euclid_dist_if_necessary" and rows > 25)
    )
    return _cdist(x1, x2, float(p), by_product)


@primitive("cdist", node="CdistBackward0", save=("x1", "x2", "result"), public=False)
def _cdist(x1, x2, p, by_product):
    x1, x2 = x1.detach(), x2.detach()
    if by_product:
        # |a - b|**2 = |a|**2 - 2 a.b + |b|**2: one matrix product instead of P x R x M differences
        square1, square2 = x1.pow(2).sum(-1, True), x2.pow(2).sum(-1, True)
        squared = square1 + square2.transpose(-1, -2) - 2 * x1.matmul(x2.transpose(-1, -2))
        return squared.clamp_min(0).sqrt()
    if not _has_kernel(p, x1, x2):
        return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)
    lead, a, b, shape = _batches(x1, x2)
    out = empty(math.prod(shape[:3]), a.dtype)
    _distance_kernels.distances(a, b, *shape, p, out)
    return finished(out, Size((*lead, *shape[1:3])), compute_dtype(x1._dtype), x1._dtype)


def _has_kernel(p: float, *tensors: Tensor) -> bool:
    """Whether distances of order p between rows of these tensors have kernels."""
    first = tensors[0]._dtype
    for t in tensors:
        if t._device is not cpu or t._dtype is not first or 0 in t._size:
            return False
    return p > 0 and first.category == FLOATING


def _batches(x1: Tensor, x2: Tensor):
    """(leading size, elements of x1, elements of x2, (batches, P, R, M)) with their leading dims broadcast."""
    (n, m), k = x1._size[-2:], x2._size[-2]
    lead = x1._size[:-2]
    if lead != x2._size[:-2]:
        lead = tuple(np.broadcast_shapes(lead, x2._size[:-2]))
        x1, x2 = x1.expand(*lead, n, m), x2.expand(*lead, k, m)
    return lead, elements(x1), elements(x2), (math.prod(lead), n, k, m)


def _one_gradient(x1: Tensor, x2: Tensor, distance: Tensor, grad: Tensor, p: float) -> Tensor:
    """The gradient of x1 from that of the distances of its rows from those of x2."""
    lead, a, b, shape = _batches(x1, x2)
    out = empty(a.size, a.dtype)
    _distance_kernels.distances_gradient(elements(grad), elements(distance), a, b, *shape, p, out)
    found = finished(out, Size((*lead, shape[1], shape[3])), compute_dtype(x1._dtype), x1._dtype)
    return found.sum_to_size(x1._size)


_cdist.derivative_of("x1", "x2")


@_cdist.backward
def _(ctx, grad):
    x1, x2, distance = ctx.x1, ctx.x2, ctx.result
    if ctx.by_product:
        # d |a - b| / da = (a - b) / |a - b|, whose sums over b are a matrix product again
        zero = distance == 0
        weight = (grad / distance.masked_fill(zero, 1)).masked_fill(zero, 0)
        return {
            "x1": (x1 * weight.sum(-1, True) - weight.matmul(x2)).sum_to_size(x1._size),
            "x2": (x2 * weight.sum(-2).unsqueeze(-1) - weight.mT.matmul(x1)).sum_to_size(x2._size),
        }
    if not mode.enabled and _has_kernel(ctx.p, x1, x2):
        found = {}
        if ctx.needs("x1"):
            found["x1"] = _one_gradient(x1, x2, distance, grad, ctx.p)
        if ctx.needs("x2"):
            found["x2"] = _one_gradient(x2, x1, distance.mT, grad.mT, ctx.p)
        return found
    found = _norm_gradient(grad, x1.unsqueeze(-2) - x2.unsqueeze(-3), distance, ctx.p, (-1,), False)
    if found is None:
        return {"x1": x1.new_zeros(x1._size), "x2": x2.new_zeros(x2._size)}
    return {"x1": found.sum(-2).sum_to_size(x1._size), "x2": -found.sum(-3).sum_to_size(x2._size)}


@op(method=False)
def pdist(input, p=2) -> Tensor:
    """Distances between all pairs of rows i < j of input (N, M): (N (N - 1) / 2,)."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    return _pdist(input, float(p))


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers of the rows of each pair i < j."""
    first, second = (wrap(a, Size(a.shape), _dtype.int64) for a in np.triu_indices(x._size[0], 1))
    return first.to(x._device), second.to(x._device)


@primitive("pdist", node="PdistBackward0", save=("input", "result"), public=False)
def _pdist(input, p):
    if not _has_kernel(p, input):
        first, second = _pairs(input)
        input = input.detach()
        return vector_norm(input.index_select(0, first) - input.index_select(0, second), p, 1)
    x = elements(input)
    n, m = input._size
    out = empty(n * (n - 1) // 2, x.dtype)
    _distance_kernels.distances_of_pairs(x, n, m, p, out)
    return finished(out, Size((out.size,)), compute_dtype(input._dtype), input._dtype)


def _pdist_rule(ctx, grad):
    t = ctx.input
    if not mode.enabled and _has_kernel(ctx.p, t):
        x = elements(t)
        gx = empty(x.size, x.dtype)
        _distance_kernels.pairs_gradient(elements(grad), elements(ctx.result), x, *t._size, ctx.p, gx)
        return finished(gx, t._size, compute_dtype(t._dtype), t._dtype)
    first, second = _pairs(t)
    differences = t.index_select(0, first) - t.index_select(0, second)
    found = _norm_gradient(grad, differences, ctx.result, ctx.p, (1,), False)
    zeros = t.new_zeros(t._size)
    return zeros if found is None else zeros.index_add(0, first, found).index_add(0, second, -found)


_pdist.derivative(input=_pdist_rule)


@op(method=False)
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False) -> Tensor:
    """|x1 - x2 + eps| of order p along the last dim."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


@op(method=False)
def cosine_similarity(x1, x2, dim=1, eps=1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along dim."""
    if x1._dtype.category < FLOATING or x2._dtype.category < FLOATING:
        raise RuntimeError("expected common dtype to be floating point, yet common dtype is " + x1._dtype.type_name)
    d = result_type(x1, x2)
    x1, x2 = x1.to(d), x2.to(d)
    size = x1._size
    if size != x2._size:
        x1, x2 = FUNCTIONS[""]["broadcast_tensors"](x1, x2)
    elif d.category == FLOATING and d.np is d.compute and x1._device is x2._device is cpu and size and 0 not in size:
        return _cosine(x1, x2, wrap_dim(dim, len(size)), float(eps))
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


@primitive("cosine_similarity_", node="SumBackward1", save=("x1", "x2", "result"), public=False)
def _cosine(x1, x2, dim, eps):
    a, b = elements(x1), elements(x2)
    size = x1._size
    outer, inner = math.prod(size[:dim]), math.prod(size[dim + 1 :])
    out = empty(outer * inner, a.dtype)
    _cosine_kernels.cosine_forward(a, b, outer, size[dim], inner, eps, out)
    return wrap(out, Size((*size[:dim], *size[dim + 1 :])), x1._dtype)


_cosine.derivative_of("x1", "x2")


@_cosine.backward
def _(ctx, grad):
    x1, x2, dim, eps = ctx.x1, ctx.x2, ctx.dim, ctx.eps
    if mode.enabled:
        u, v = _unit(x1, dim, eps), _unit(x2, dim, eps)
        grad, along = grad.unsqueeze(dim), (u * v).sum(dim, True)
        found = {}
        for name, x, other in (("x1", x1, v), ("x2", x2, u)):
            length = vector_norm(x, 2, dim, True)
            turned = other - along * (x / length).masked_fill(length == 0, 0)
            found[name] = grad * turned / _floored(length, eps)
        return found
    a, b = elements(x1), elements(x2)
    size = x1._size
    ga, gb = empty(a.size, a.dtype), empty(a.size, a.dtype)
    shape = math.prod(size[:dim]), size[dim], math.prod(size[dim + 1 :])
    _cosine_kernels.cosine_backward(elements(grad), a, b, elements(ctx.result), *shape, eps, ga, gb)
    return {"x1": wrap(ga, size, x1._dtype), "x2": wrap(gb, size, x1._dtype)}


def _floored(length: Tensor, eps: float) -> Tensor:
    """max(length, eps) with the gradient of the length also where eps takes over."""
    if not length._requires_grad:
        return length.clamp_(min=eps)
    length = length.clone()
    with no_grad():
        length.clamp_(min=eps)
    return length


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    return x / _floored(vector_norm(x, 2, dim, True), eps)


for _name in ("pdist", "pairwise_distance", "cosine_similarity"):
    FUNCTIONS.setdefault("nn.functional", {})[_name] = FUNCTIONS[""][_name]


@op(namespace="nn.functional", method=False)
def normalize(input, p=2.0, dim=1, eps=1e-12, out=None) -> Tensor:
    """input / max(|input| of order p along dim, eps)."""
    length = vector_norm(input, p, dim, True).clamp_min(eps)
    if out is None and not length._requires_grad:
        return input / length
    length = length.expand_as(input)
    return input / length if out is None else FUNCTIONS[""]["div"](input, length, out=out)


@op(out=True, inplace=True)
def renorm(input, p, dim, maxnorm) -> Tensor:
    """Scale each slice along dim whose p-norm exceeds maxnorm down to it."""
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    return _renorm(input, float(p), wrap_dim(dim, input.ndim), maxnorm)


def _renorm_factor(t: Tensor, p: float, dims: list[int], maxnorm):
    """The lengths of the slices, which of them are too long, and what those are scaled by."""
    lengths = vector_norm(t, p, dims, True)
    return lengths, lengths > maxnorm, maxnorm / (lengths + 1e-7)


@primitive("renorm", node="RenormBackward0", save=("self",), public=False)
def _renorm(self, p, dim, maxnorm):
    self = self.detach()
    _, long, factor = _renorm_factor(self, p, [d for d in range(self.ndim) if d != dim], maxnorm)
    return self * factor.where(long, factor.new_ones(()))


def _renorm_rule(ctx, grad):
    # y = x f(|x|) with f = maxnorm / (|x| + eps) and f' = -f / (|x| + eps)
    t = ctx.self
    dims = [d for d in range(t.ndim) if d != ctx.dim]
    lengths, long, factor = _renorm_factor(t, ctx.p, dims, ctx.maxnorm)
    along = grad * t.conj()
    along = (along.real if along._dtype.category == COMPLEX else along).sum(dims, True)
    turned = _norm_gradient(-along * factor / (lengths + 1e-7), t, lengths, ctx.p, dims, True)
    return (grad * factor + turned).where(long, grad)


_renorm.derivative(self=_renorm_rule)
