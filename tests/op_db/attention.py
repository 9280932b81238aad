"""Attention."""

import numpy as np

from . import Op, Sample


def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None):
    """softmax(scale * Q K^T + mask) V by numpy."""
    scores = query @ np.swapaxes(key, -2, -1) * (1 / np.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = np.tril(np.ones(scores.shape[-2:], bool))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ value


def attention_samples(make):
    def of(lead, rows, columns, width, out, **options):
        return Sample(make(*lead, rows, width), make(*lead, columns, width), make(*lead, columns, out), **options)

    return [
        of((2, 2), 3, 4, 2, 2),
        of((2,), 3, 2, 3, 1),
        of((), 2, 3, 2, 2, scale=0.3),
        of((1, 2), 9, 5, 3, 3),
        of((1, 2), 4, 3, 2, 2, is_causal=True),
        of((2, 1), 3, 4, 2, 3, attn_mask=np.tril(np.ones((3, 4), bool))),
        of((2, 1), 3, 4, 2, 2, attn_mask=np.array([[True, False, True, True]])),
    ]


OPS = [
    Op(
        "nn.functional.scaled_dot_product_attention",
        attention_samples,
        attention,
        covers=("_attention",),
        skip={"node": "torch attends by several operators where there are not four dimensions or E is not Ev"},
    )
]
