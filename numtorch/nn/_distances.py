"""Distances and similarities of vectors, and the bilinear form."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor

__all__ = ["bilinear", "cosine_similarity", "pairwise_distance", "pdist"]


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(||x1||, eps) max(||x2||, eps)) along `dim`; the two broadcast."""
    dtype = numtorch.promote_types(x1.dtype, x2.dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {_name(dtype)}")
    x1, x2 = numtorch.broadcast_tensors(x1.to(dtype), x2.to(dtype))
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


def _name(dtype) -> str:
    names = {"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}
    short = str(dtype).rpartition(".")[2]
    return names.get(short, short)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    norm = numtorch.linalg.vector_norm(x, 2, dim, True).clone()
    with numtorch.no_grad():
        norm.clamp_(min=eps)  # outside the graph: the gradient is that of the norm also where eps takes over
    return x / norm


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """||x1 - x2 + eps||_p along the last dimension; the two broadcast."""
    dim = max(x1.dim(), x2.dim()) - 1
    return numtorch.norm(x1 - x2 + eps, p, dim, keepdim)


def pdist(input: Tensor, p: float = 2) -> Tensor:
    """||x_i - x_j||_p for all i < j: (N, M) -> (N (N - 1) / 2)."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    n = input.size(0)
    pairs = numtorch.triu_indices(n, n, 1, device=input.device)
    return numtorch.norm(input.index_select(0, pairs[0]) - input.index_select(0, pairs[1]), p, 1)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = x1^T A_k x2 + b_k; x1 (*, in1), x2 (*, in2), A (out, in1, in2) -> (*, out)."""
    if input1.dim() != input2.dim():
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}"
        )
    for i in range(input1.dim() - 1):
        if input1.size(i) != input2.size(i):
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {i}: got {input1.size(i)} and {input2.size(i)}"
            )
    for i, x in enumerate((input1, input2), 1):
        if x.size(-1) != weight.size(i):
            raise RuntimeError(
                f"bilinear(): input{i} size does not match weight size: got {x.size(-1)} but expected {weight.size(i)}"
            )
    if bias is not None and bias.size(0) != weight.size(0):
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.size(0)} but expected {weight.size(0)}"
        )
    out, in1, in2 = weight.shape
    half = input1.matmul(weight.permute(1, 0, 2).reshape(in1, out * in2)).reshape(*input1.shape[:-1], out, in2)
    result = (half * input2.unsqueeze(-2)).sum(-1)
    return result if bias is None else result + bias
