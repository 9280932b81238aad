"""Scaled dot-product attention, and multi-head attention over it. Vaswani et al. 2017."""

from __future__ import annotations

import math
import warnings

import numtorch
from numtorch._dtype import C_NAMES
from numtorch._registry import FUNCTIONS
from numtorch._tensor import Tensor
from numtorch.ops.attention import attention_weights, fused_attention
from numtorch.ops.dropout import dropout
from numtorch.ops.padding import pad

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

linear = FUNCTIONS["nn.functional"]["linear"]
softmax = FUNCTIONS[""]["softmax"]
_HALVES = (numtorch.float16, numtorch.bfloat16)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q K^T scale + mask) V; Q (*, L, E), K (*, S, E), V (*, S, Ev) -> (*, L, Ev); scale 1 / sqrt(E).

    attn_mask (broadcast to (*, L, S)): boolean, True where attention is allowed, or added to the scores. is_causal:
    position i attends to positions up to i. A row with nothing to attend to is zero.
    enable_gqa: K and V may have fewer heads.
    """
    factor = 1.0 / math.sqrt(query._size[-1] or 1) if scale is None else float(scale)
    if dropout_p <= 0.0 and not (is_causal and attn_mask is not None):
        result = fused_attention(query, key, value, attn_mask, is_causal, factor)
        if result is not None:
            return result
    _check_attention(query, key, value, attn_mask, is_causal, enable_gqa)
    if enable_gqa and query.size(-3) != key.size(-3):
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    if dropout_p <= 0.0:
        # Halves in float32 throughout: their scores are never rounded.
        wide = [t.float() if t.dtype in _HALVES else t for t in (query, key, value)]
        mask = attn_mask.float() if attn_mask is not None and attn_mask.dtype in _HALVES else attn_mask
        result = fused_attention(*wide, mask, is_causal, factor)
        if result is not None:
            return result.to(query.dtype)
    weights = attention_weights(query, key, attn_mask, is_causal, factor)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p, True)
    return weights.matmul(value)


def _check_attention(query, key, value, attn_mask, is_causal: bool, enable_gqa: bool) -> None:
    if not query.dtype == key.dtype == value.dtype:
        q, k, v = (C_NAMES[t.dtype.name] for t in (query, key, value))
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{q} key.dtype: {k} and value.dtype: {v} instead."
        )
    if query.dim() < 2 or key.dim() < 2 or value.dim() < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.dim()}, key.dim: {key.dim()} and value.dim: {value.dim()} instead."
        )
    if attn_mask is not None:
        if attn_mask.dtype != numtorch.bool and attn_mask.dtype not in (query.dtype, numtorch.float32):
            raise RuntimeError(
                "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
                f"{C_NAMES[attn_mask.dtype.name]} and  query.dtype: {C_NAMES[query.dtype.name]} instead."
            )
        if is_causal:
            raise RuntimeError(
                "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
            )
    if enable_gqa and (query.size(-3) % key.size(-3) or query.size(-3) % value.size(-3)):
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in query, but got "
            f"query: {query.size(-3)}, key: {key.size(-3)}, value: {value.size(-3)}"
        )


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What nn.MultiheadAttention computes: query (L, N, E), key (S, N, Ek), value (S, N, Ev), each also without N.

    Returns the output (L, N, E) and, with need_weights, the weights (N, L, S), or (N, heads, L, S) if not averaged.
    """
    is_batched = _mha_shape_check(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not is_batched:
        query, key, value = _with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    tgt_len, bsz, embed_dim = query.shape
    batch_inside = _batch_inside(query)
    src_len = key.shape[0]
    other_type = None if attn_mask is None else attn_mask.dtype
    key_padding_mask = _canonical_mask(key_padding_mask, "key_padding_mask", other_type, "attn_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the hint says that the mask is the causal one
    else:
        attn_mask = _canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
        if key_padding_mask is not None:
            is_causal = False
    if embed_dim != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}")
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
        q, k, v = _separate_projections(query, key, value, q_proj_weight, k_proj_weight, v_proj_weight, in_proj_bias)
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _in_projection_packed(query, key, value, in_proj_weight, in_proj_bias)
    if attn_mask is not None:
        attn_mask = _three_dimensional(attn_mask, tgt_len, src_len, bsz * num_heads)

    def grow_masks() -> tuple[Tensor | None, Tensor | None]:
        """The masks with one more, open, source position."""
        return tuple(None if m is None else pad(m, (0, 1)) for m in (attn_mask, key_padding_mask))

    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value.")
        k = numtorch.cat([k, bias_k.repeat(1, bsz, 1)])
        v = numtorch.cat([v, bias_v.repeat(1, bsz, 1)])
        attn_mask, key_padding_mask = grow_masks()
    elif bias_k is not None or bias_v is not None:
        raise AssertionError("bias_k and bias_v must be given together")

    if need_weights:
        q = q * math.sqrt(1.0 / head_dim)
    q = _heads(q, None, "", bsz, num_heads, head_dim)
    k = _heads(k, static_k, "static_k", bsz, num_heads, head_dim)
    v = _heads(v, static_v, "static_v", bsz, num_heads, head_dim)
    if add_zero_attn:
        zero = (bsz, num_heads, 1, head_dim)
        k = numtorch.cat([k, numtorch.zeros(zero, dtype=k.dtype, device=k.device)], dim=2)
        v = numtorch.cat([v, numtorch.zeros(zero, dtype=v.dtype, device=v.device)], dim=2)
        attn_mask, key_padding_mask = grow_masks()
    src_len = k.size(2)
    if attn_mask is not None:
        lead = (1, 1) if attn_mask.size(0) == 1 else (bsz, num_heads)
        attn_mask = attn_mask.view(*lead, *attn_mask.shape[1:])
    if key_padding_mask is not None:
        if key_padding_mask.shape != (bsz, src_len):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(bsz, src_len)}, but got {key_padding_mask.shape}"
            )
        per_row = key_padding_mask.view(bsz, 1, 1, src_len)
        attn_mask = per_row if attn_mask is None else attn_mask + per_row
    if not training:
        dropout_p = 0.0

    weights = None
    if need_weights:
        scores = q.matmul(k.transpose(-2, -1))
        if attn_mask is not None:
            scores = scores + attn_mask
        weights = softmax(scores, -1)
        if dropout_p > 0.0:
            weights = dropout(weights, dropout_p, True)
        attended = weights.matmul(v)
        if average_attn_weights:
            weights = weights.mean(dim=1)
    else:
        attended = scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal)
    attended = attended.transpose(1, 2)  # (N, L, heads, head_dim)
    if batch_inside:
        output = linear(attended.reshape(bsz, tgt_len, embed_dim), out_proj_weight, out_proj_bias).transpose(0, 1)
    else:
        output = linear(attended.transpose(0, 1).reshape(tgt_len, bsz, embed_dim), out_proj_weight, out_proj_bias)
    if not is_batched:
        output = output.squeeze(1)
        weights = None if weights is None else weights.squeeze(0)
    return output, weights


def _with_batch(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three with a batch of one, the same tensor staying the same."""
    seen: dict[int, Tensor] = {}
    return tuple(seen.setdefault(id(t), t.unsqueeze(1)) for t in (query, key, value))


def _batch_inside(t: Tensor) -> bool:
    """Whether (length, N, width) is the transpose of a contiguous (N, length, width), as modules with batch_first give."""
    length, batch, width = t._size
    return length > 1 and batch > 1 and t._stride == (width, length * width, 1)


def _projected(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """linear(x, weight, bias) of (length, N, width), whose rows stay where they lie if the batch is inside."""
    if _batch_inside(x):
        return linear(x.transpose(0, 1), weight, bias).transpose(0, 1)
    return linear(x, weight, bias)


def _in_projection_packed(q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Tensor | None = None):
    """Projections of the three by the thirds of w (3E, E): one product where the inputs are the same tensor."""
    embed = q.size(-1)
    if k is v and q is k:
        return _projected(q, w, b).chunk(3, -1)
    wq, wk, wv = w.chunk(3)
    bq, bk, bv = (None, None, None) if b is None else b.chunk(3)
    if k is v:
        both = _projected(k, w[embed:], None if b is None else b[embed:])
        return (_projected(q, wq, bq), *both.chunk(2, -1))
    return _projected(q, wq, bq), _projected(k, wk, bk), _projected(v, wv, bv)


def _separate_projections(q, k, v, wq, wk, wv, bias):
    for name, w in (("q_proj_weight", wq), ("k_proj_weight", wk), ("v_proj_weight", wv)):
        if w is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name} is None")
    bq, bk, bv = (None, None, None) if bias is None else bias.chunk(3)
    return _projected(q, wq, bq), _projected(k, wk, bk), _projected(v, wv, bv)


def _heads(t: Tensor, static: Tensor | None, name: str, bsz: int, num_heads: int, head_dim: int) -> Tensor:
    """(length, N, heads head_dim) as (N, heads, length, head_dim): a view, which attention reads in place."""
    if static is None:
        return t.reshape(t.size(0), bsz, num_heads, head_dim).permute(1, 2, 0, 3)
    if static.size(0) != bsz * num_heads:
        raise AssertionError(f"expecting {name}.size(0) of {bsz * num_heads}, but got {static.size(0)}")
    if static.size(2) != head_dim:
        raise AssertionError(f"expecting {name}.size(2) of {head_dim}, but got {static.size(2)}")
    return static.reshape(bsz, num_heads, static.size(1), head_dim)


def _three_dimensional(mask: Tensor, tgt_len: int, src_len: int, batch_heads: int) -> Tensor:
    if mask.dim() == 2:
        if mask.shape != (tgt_len, src_len):
            raise RuntimeError(f"The shape of the 2D attn_mask is {mask.shape}, but should be {(tgt_len, src_len)}.")
        return mask.unsqueeze(0)
    if mask.dim() == 3:
        if mask.shape != (batch_heads, tgt_len, src_len):
            raise RuntimeError(
                f"The shape of the 3D attn_mask is {mask.shape}, but should be {(batch_heads, tgt_len, src_len)}."
            )
        return mask
    raise RuntimeError(f"attn_mask's dimension {mask.dim()} is not supported")


def _mha_shape_check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    num_heads: int,
) -> bool:
    """Is the input batched? AssertionError where the arguments do not agree on it."""
    dims = query.dim()
    if dims not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {dims}-D query tensor")
    kind = "batched (3-D)" if dims == 3 else "unbatched (2-D)"
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {dims}-D"
            f" but found {key.dim()}-D and {value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != dims - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {dims - 1}-D"
            f" but found {key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D"
                f" but found {attn_mask.dim()}-D tensor instead"
            )
        expected = (num_heads, query.shape[0], key.shape[0])
        if dims == 2 and attn_mask.dim() == 3 and attn_mask.shape != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return dims == 3


def _canonical_mask(
    mask: Tensor | None,
    mask_name: str,
    other_type,
    other_name: str,
    target_type,
    check_other: bool = True,
) -> Tensor | None:
    """A mask to be added to scores: a boolean one becomes 0 and -inf (where True) of `target_type`."""
    if mask is None:
        return None
    is_float = mask.is_floating_point()
    if mask.dtype != numtorch.bool and not is_float:
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    if is_float:
        return mask
    return numtorch.zeros_like(mask, dtype=target_type).masked_fill_(mask, -math.inf)
