"""Attention as one operator over the blocked kernels of kernels/cpu/attention.py, and by other operators elsewhere."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu.attention import (
    ADDED,
    ALLOWED,
    CAUSAL,
    EVERYTHING,
    attention_backward,
    attention_forward,
)

from .._copy import contiguous
from .._device import cpu
from .._dtype import bool_, float32, float64
from .._primitive import primitive
from .._registry import FUNCTIONS
from .._size import broadcast_size, dense, expanded_strides
from .._storage import Storage
from .._tensor import Tensor, _new, alias
from .creation import ones


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, is_causal: bool, scale: float
) -> Tensor | None:
    """softmax(scale * Q K^T + mask) V by one kernel; None where that one does not do it.

    It does float32 and float64 on the CPU, up to two batch dimensions, equal in all three, and a mask without a gradient.
    """
    d = query._dtype
    if (
        (d is not float32 and d is not float64)
        or key._dtype is not d
        or value._dtype is not d
        or query._device is not cpu
        or key._device is not cpu
        or value._device is not cpu
        or not (sizes := _sizes(query._size, key._size, value._size))
    ):
        return None
    kind = CAUSAL if is_causal else EVERYTHING
    if mask is not None:
        if mask._requires_grad or mask._device is not cpu:
            return None
        if mask._dtype is d:
            kind = ADDED
        elif mask._dtype is bool_:
            kind = ALLOWED
        else:
            return None
        if mask._size != (scores := (*query._size[:-1], sizes[3])) and broadcast_size(mask._size, scores) != scores:
            return None
    if mode.enabled and (query._requires_grad or key._requires_grad or value._requires_grad):
        result, log_sum = _forward(query, key, value, mask, kind, scale)
        values, saved = [None, None, None, None, kind, scale, log_sum], (query, key, value, mask, alias(result))
        return _attention.primitive.record_directly(values, (query, key, value), saved, result)
    return _forward(query, key, value, mask, kind, scale)[0]


@lru_cache(maxsize=1024)
def _sizes(q, k, v):
    """(batch, heads, L, S, E, Ev) of the sizes of query, key and value; () where the kernel does not take them."""
    n = len(q)
    if not 2 <= n <= 4 or n != len(k) or q[:-2] != k[:-2] or k[:-1] != v[:-1] or q[-1] != k[-1] or 0 in (*q, *k, *v):
        return ()
    return (*q[:-2], *(1, 1)[: 4 - n], q[-2], k[-2], q[-1], v[-1])


@lru_cache(maxsize=1024)
def _three(strides) -> tuple[int, int, int]:
    """The steps of (batch, head, row); of fewer dimensions, the first is the batch."""
    if len(strides) == 4:
        return strides[:3]
    return (strides[0], 0, strides[1]) if len(strides) == 3 else (0, 0, strides[0])


def _operand(t: Tensor):
    """(flat buffer, offset, steps) of a tensor whose rows are dense, or of a contiguous copy."""
    if t._stride[-1] != 1 and t._size[-1] > 1:
        t = contiguous(t)
    return t._buffer(), t._offset, _three(t._stride)


def _mask_operand(mask: Tensor, scores):
    """`_operand` of a mask that is read as if it had the size of `scores`."""
    steps = _steps_of_mask(mask._size, mask._stride, scores)
    if steps is None:
        mask = mask.detach().expand((*mask._size[:-1], scores[-1])).contiguous()
        steps = _steps_of_mask(mask._size, mask._stride, scores)
    return mask._buffer(), mask._offset, steps


@lru_cache(maxsize=1024)
def _steps_of_mask(size, stride, scores):
    """The steps of a mask that is read as if it had the size of `scores`; None where its rows are not dense."""
    if not size or size[-1] != scores[-1] or (stride[-1] != 1 and size[-1] > 1):
        return None
    return _three(expanded_strides(size, stride, scores))


def _fresh(size, heads_inside: bool, dtype):
    """A tensor of `size`; with `heads_inside` (batch, head, row, column) lies in memory as (batch, row, head, column)."""
    result = _new(Tensor)
    result._size, stride, count = dense(size)
    result._dtype = dtype
    buffer = np.empty(count, dtype.np)
    if heads_inside and size[1] > 1:
        result._flat = None
        result._storage = Storage(buffer)
        stride = (stride[0], size[3], size[1] * size[3], 1)
    else:
        result._flat = buffer
    result._stride = stride
    return result


def _like(t: Tensor) -> Tensor:
    """A fresh tensor for the gradient of `t`, with the heads where t has them."""
    return _fresh(t._size, len(t._size) == 4 and t._stride[1] < t._stride[2], t._dtype)


def _forward(query, key, value, mask, kind, scale):
    """The result, and the logarithms of the sums of the exponentials of each row of the scores.

    Of four dimensions the result has its heads side by side in a row, as torch has it: what follows joins them.
    """
    q, k, v, d = query._size, key._size, value._size, query._dtype
    out = _fresh((*q[:-1], v[-1]), len(q) == 4 and q[-1] == v[-1], d)
    sizes = _sizes(q, k, v)
    log_sum = np.empty(sizes[0] * sizes[1] * sizes[2], d.np)
    attention_forward(
        _operand(query), _operand(key), _operand(value),
        kind, None if mask is None else _mask_operand(mask, (*q[:-1], k[-2])), scale,
        out._buffer(), _three(out._stride), log_sum, sizes,
    )  # fmt: skip
    return out, log_sum


@primitive(
    node="ScaledDotProductFlashAttentionForCpuBackward0",
    save=("query", "key", "value", "mask", "result"),
    differentiable=("query", "key", "value"),
    keeps=("log_sum",),
    public=False,
)
def _attention(query, key, value, mask, kind, scale):
    """`_forward` as an operator of the graph."""
    return _forward(query, key, value, mask, kind, scale)


@_attention.backward
def _(ctx, grad):
    query, key, value, mask, kind, scale = ctx.query, ctx.key, ctx.value, ctx.mask, ctx.kind, ctx.scale
    if mode.enabled:
        weights = attention_weights(query, key, mask, kind == CAUSAL, scale)
        slope = grad.matmul(value.transpose(-2, -1))
        slope = weights * (slope - (slope * weights).sum(-1, keepdim=True)) * scale
        return {
            "query": slope.matmul(key),
            "key": slope.transpose(-2, -1).matmul(query),
            "value": weights.transpose(-2, -1).matmul(grad),
        }
    q, k, v = query._size, key._size, value._size
    to_query, to_key, to_value = _like(query), _like(key), _like(value)
    attention_backward(
        _operand(grad), _operand(query), _operand(key), _operand(value), kind,
        None if mask is None else _mask_operand(mask, (*q[:-1], k[-2])), scale, _operand(ctx.result), ctx.log_sum,
        *[(t._buffer(), _three(t._stride)) for t in (to_query, to_key, to_value)], _sizes(q, k, v),
    )  # fmt: skip
    return {"query": to_query, "key": to_key, "value": to_value}


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None, is_causal: bool, scale: float) -> Tensor:
    """softmax(scale * Q K^T + mask); a row that may attend to nothing is zero."""
    # torch splits the scale over both factors, so that half-precision scores do not overflow.
    root = math.sqrt(abs(scale))
    scores = (query * (math.copysign(root, scale) if scale else 0.0)).matmul((key * root).transpose(-2, -1))
    if is_causal:
        mask = ones(query._size[-2], key._size[-2], dtype=bool_, device=query._device).tril()
    dead = None
    if mask is not None:
        if mask._dtype is bool_:
            dead = ~mask.any(-1, keepdim=True)
            scores = scores.masked_fill(~mask, -math.inf)
        else:
            dead = (mask == -math.inf).all(-1, keepdim=True)
            scores = scores + mask
        if not dead.any():
            dead = None
    if dead is not None:
        # finite scores first: a row of -inf alone would be nan, and so would its gradient
        scores = scores.masked_fill(dead, 0.0)
    weights = FUNCTIONS[""]["softmax"](scores, -1)
    return weights if dead is None else weights.masked_fill(dead, 0.0)
