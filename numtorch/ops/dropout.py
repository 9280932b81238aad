"""The dropout family: noise from torch's stream, times the input.

The noise is drawn as torch draws it, by bernoulli_(1 - p) on a tensor like the input (or with one value a
channel), so a seeded network drops the same elements. The functions here are those of torch.nn.functional;
`torch.dropout` and its kin, which take (input, p, train), are registered below them.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from numtorch.kernels.cpu import random as _kernels

from .._dtype import COMPLEX, FLOATING, float32
from .._registry import op
from .._tensor import Tensor, empty
from .random import empty_like, fill_from, stream

# The value that SELU sends -infinity to, with the sign changed: what alpha dropout drops elements to.
_ALPHA = 1.7580993408473766


def _check_floating(input: Tensor) -> None:
    if input._dtype.category not in (FLOATING, COMPLEX):
        raise RuntimeError(f"result type Float can't be cast to the desired output type {input._dtype.type_name}")


def _noise(input: Tensor, p: float, feature: bool, scaled: bool) -> Tensor:
    """Zeros with probability p, else 1 (or 1 / (1 - p)): one for each element, or for each channel of (N, C,
    ...)."""
    d = input._dtype.to_real()
    if feature:
        if len(input._size) < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        noise = empty((*tuple(input._size)[:2], *(1 for _ in input._size[2:])), d)
    else:
        noise = empty_like(input, d)
    drawn = d if d.np == d.compute else float32
    keep = drawn.np.type(1)
    if scaled and p != 1:
        keep = keep / drawn.np.type(1 - p)
    state, _ = stream(None)
    fill_from(noise, lambda out: _kernels.bernoulli_scalar(state, out, 1.0 - p, keep), drawn)
    return noise


def _drop(input: Tensor, p: float, train: bool, feature: bool, alpha: bool, inplace: bool) -> Tensor:
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    if p == 0 or not train or not input._size.numel():
        return input
    _check_floating(input)
    if p == 1:
        zero = input.new_zeros(())
        return input.mul_(zero) if inplace else input.mul(zero)
    noise = _noise(input, p, feature, not alpha)
    if not alpha:
        return input.mul_(noise) if inplace else input.mul(noise)
    a = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    shift = (noise - 1) * (_ALPHA * a) + _ALPHA * a * p
    noise = noise * a
    return input.mul_(noise).add_(shift) if inplace else input * noise + shift


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p); the input itself in evaluation."""
    _check(p)
    return _drop(input, p, training, False, False, inplace)


def alpha_dropout(input, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for SELU networks: dropped elements take SELU's negative limit, and mean and variance are kept."""
    _check(p)
    return _drop(input, p, training, False, True, inplace)


def feature_alpha_dropout(input, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Alpha dropout of whole channels of (N, C, ...)."""
    _check(p)
    return _drop(input, p, training, True, True, inplace)


def dropout1d(input, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L) with probability p."""
    _check(p)
    ndim = len(input._size)
    if ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {ndim}D input. Note that dropout1d exists to provide "
            "channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch "
            "dimension (i.e. 2D or 3D inputs)."
        )
    return _drop_batched(input, ndim == 3, p, training, inplace)


def _drop_batched(input: Tensor, batched: bool, p: float, training: bool, inplace: bool) -> Tensor:
    if batched:
        return _drop(input, p, training, True, False, inplace)
    wide = _drop(input.unsqueeze(0), p, training, True, False, inplace)
    return input if inplace else wide.squeeze(0)


def dropout2d(input, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, H, W) with probability p."""
    _check(p)
    ndim = len(input._size)
    if ndim not in (3, 4):
        _warn_dimensions("dropout2d", ndim, 2, "3D or 4D")
    if ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired "
            "- input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a "
            "future release to interpret the input as one without a batch dimension, i.e. shape (C, H, W). To maintain "
            "the 1D channel-wise dropout behavior, please switch to using dropout1d instead.",
            UserWarning,
            stacklevel=2,
        )
    return _drop(input, p, training, True, False, inplace)


def dropout3d(input, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability p."""
    _check(p)
    ndim = len(input._size)
    if ndim not in (4, 5):
        _warn_dimensions("dropout3d", ndim, 3, "4D or 5D")
    return _drop_batched(input, ndim != 4, p, training, inplace)


def _warn_dimensions(name: str, ndim: int, spatial: int, expected: str) -> None:
    warnings.warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an error in a future "
        f"release. To retain the behavior and silence this warning, please use dropout instead. Note that {name} "
        f"exists to provide channel-wise dropout on inputs with {spatial} spatial dimensions, a channel dimension, and "
        f"an optional batch dimension (i.e. {expected} inputs).",
        UserWarning,
        stacklevel=3,
    )


def _publish(name: str, feature: bool, alpha: bool) -> None:
    """torch.<name>(input, p, train) and torch.<name>_(input, p, train)."""

    def call(input, p: float, train: bool) -> Tensor:
        return _drop(input, p, train, feature, alpha, False)

    def inplace(input, p: float, train: bool) -> Tensor:
        return _drop(input, p, train, feature, alpha, True)

    for fn, public in ((call, name), (inplace, name + "_")):
        fn.__name__ = fn.__qualname__ = public
        op(public, method=False)(fn)


_publish("dropout", False, False)
_publish("feature_dropout", True, False)
_publish("alpha_dropout", False, True)
_publish("feature_alpha_dropout", True, True)


@op(method=False)
def native_dropout(input, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """(result, mask): dropout that also returns what it kept."""
    if not train or not input._size.numel():
        ones = empty(input._size, input._dtype).fill_(1).bool()
        return input, ones
    mask = _noise(input, p, False, False)
    scale = 0.0 if p == 1 else 1.0 / (1.0 - p)
    return input * mask * np.float64(scale).item(), mask.bool()
