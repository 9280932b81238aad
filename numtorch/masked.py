"""torch.masked: reductions and normalisations of the elements that a mask selects.

    masked.mean(x, 1, mask=x > 0)

What the mask (bool, broadcast to the input; True: counted) leaves out is replaced by the operation's identity: 0 in a
sum, 1 in a product, -inf in a maximum. `dim` is an int, a tuple of ints or None for all; `dtype` is the result's.
"""

from __future__ import annotations

import builtins
import math

import numtorch as _torch

from ._dtype import BOOL, COMPLEX, FLOATING
from ._limits import iinfo
from ._size import wrap_dim
from ._tensor import Tensor

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]


def _mask_of(input: Tensor, mask: Tensor) -> Tensor:
    """The mask as bool, in the size of the input."""
    if len(mask.shape) > len(input.shape):
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    return mask.bool().expand(input.shape)


def _kept(input: Tensor, mask: Tensor | None, identity) -> Tensor:
    """`input` with `identity` where the mask is False."""
    if mask is None:
        return input
    fill = _torch.tensor(identity, dtype=input.dtype, device=input.device)
    return _torch.where(_mask_of(input, mask), input, fill)


def _lowest(name: str, d):
    if d.category >= FLOATING:
        return -math.inf
    if d.category == BOOL:
        raise NotImplementedError(f"identity of {name} on {d} input")
    return iinfo(d).min


def _highest(name: str, d):
    return math.inf if d.category >= FLOATING else -1 - _lowest(name, d) if d.is_signed else iinfo(d).max


def _dims(dim, ndim: int) -> tuple[int, ...]:
    """The dimensions to reduce, in order."""
    if dim is None or dim == ():
        return tuple(range(ndim))
    dims = (dim,) if isinstance(dim, int) else dim
    found: list[int] = []
    for d in dims:
        if d in found:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        found.append(wrap_dim(d, builtins.max(ndim, 1)))
    return tuple(sorted(found))


def _accumulated(input: Tensor, dtype):
    """The dtype of a sum or product: small integers give int64."""
    return dtype or (input.dtype if input.dtype.category >= FLOATING else _torch.int64)


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The sum."""
    kept = _kept(input, mask, 0)
    return kept.sum(_dims(dim, input.ndim), bool(keepdim), dtype=_accumulated(input, dtype))


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The product."""
    result = _kept(input, mask, 1).to(_accumulated(input, dtype))
    for d in reversed(_dims(dim, input.ndim)):
        result = result.prod(d, bool(keepdim))
    return result


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The largest."""
    kept = _kept(input, mask, _lowest("amax", input.dtype))
    return kept.amax(_dims(dim, input.ndim), bool(keepdim)).to(dtype or input.dtype)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The smallest."""
    kept = _kept(input, mask, _highest("amin", input.dtype))
    return kept.amin(_dims(dim, input.ndim), bool(keepdim)).to(dtype or input.dtype)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The index of the largest, in the input's dtype unless `dtype` is given."""
    kept = _kept(input, mask, _lowest("argmax", input.dtype))
    return kept.argmax(dim, bool(keepdim)).to(dtype or input.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The index of the smallest, in the input's dtype unless `dtype` is given."""
    kept = _kept(input, mask, _highest("argmin", input.dtype))
    return kept.argmin(dim, bool(keepdim)).to(dtype or input.dtype)


def _count(input: Tensor, dims, keepdim: bool, mask) -> Tensor:
    """How many elements count."""
    counted = input.new_ones(input.shape, dtype=_torch.int64) if mask is None else _mask_of(input, mask)
    return counted.sum(dims, keepdim)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The mean; nan where nothing counts."""
    d = dtype or input.dtype
    if d.category < FLOATING:
        source = "Input" if dtype is None else "Optional"
        raise ValueError(
            f"mean(): Could not infer output dtype. {source} dtype must be either a floating point or complex dtype. "
            f"Got: {d}"
        )
    dims = _dims(dim, input.ndim)
    total = sum(input, dims, keepdim=keepdim, dtype=d, mask=mask)
    return total / _count(input, dims, bool(keepdim), mask)


def _variance(input, dim, unbiased, correction, keepdim, dtype, mask) -> Tensor:
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1.0 if unbiased is None or unbiased else 0.0
    d = dtype or (input.dtype if input.dtype.category >= FLOATING else _torch.float32)
    inner = d if d.category >= FLOATING else _torch.float32
    dims = _dims(dim, input.ndim)
    count = _count(input, dims, True, mask)
    away = input - sum(input, dims, keepdim=True, dtype=d, mask=mask) / count
    total = sum(away * away.conj(), dims, keepdim=keepdim, dtype=inner, mask=mask)
    count = count.reshape(total.shape).to(inner.to_real() if inner.category == COMPLEX else inner)
    return total / (count - correction).clamp(min=0)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The variance, over n - correction (n - 1 unless given)."""
    result = _variance(input, dim, unbiased, correction, keepdim, dtype, mask)
    return result.to(dtype) if dtype is not None else result


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The root of `var`."""
    result = _variance(input, dim, unbiased, correction, keepdim, dtype, mask).sqrt()
    return result.to(dtype) if dtype is not None else result


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """The lower median; nan where nothing counts, which integers refuse with a ValueError."""
    is_floating = input.dtype.category >= FLOATING
    kept = _kept(input if is_floating else input.float(), mask, math.nan)
    found = kept.nanmedian(_dims(dim, input.ndim)[0], keepdim).values
    if is_floating:
        return found
    if found.isnan().any():
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return found.to(dtype or input.dtype)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """linalg.vector_norm."""
    kept = _kept(input, mask, math.inf if ord == -math.inf else 0)
    return _torch.linalg.vector_norm(kept, ord, _dims(dim, input.ndim), bool(keepdim), dtype=dtype or input.dtype)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None) -> Tensor:
    """input / max(norm, eps), 0 where the mask is False."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _kept(input, mask, 0) / _torch.maximum(length, length.new_full((), eps))


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None) -> Tensor:
    """log of the sum of exp."""
    kept = _kept(input, mask, _lowest("logsumexp", input.dtype))
    return kept.logsumexp(_dims(dim, input.ndim), keepdim).to(dtype or input.dtype)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None) -> Tensor:
    """log(exp(input) + exp(other)), each of them masked."""
    a = _kept(input, input_mask, _lowest("logaddexp", input.dtype))
    b = _kept(other, other_mask, _lowest("logaddexp", other.dtype))
    return _torch.logaddexp(a, b).to(dtype or input.dtype)


def cumsum(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Running sums."""
    return _kept(input, mask, 0).cumsum(_dims(dim, input.ndim)[0], dtype=dtype or input.dtype)


def cumprod(input, dim, *, dtype=None, mask=None) -> Tensor:
    """Running products."""
    return _kept(input, mask, 1).cumprod(_dims(dim, input.ndim)[0], dtype=dtype or input.dtype)


def softmax(input, dim, *, dtype=None, mask=None) -> Tensor:
    """softmax over the elements that count, 0 for the others."""
    kept = _kept(input, mask, _lowest("softmax", input.dtype))
    return kept.softmax(_dims(dim, input.ndim)[0], dtype=dtype or input.dtype)


def log_softmax(input, dim, *, dtype=None, mask=None) -> Tensor:
    """The logarithm of `softmax`."""
    kept = _kept(input, mask, _lowest("log_softmax", input.dtype))
    return kept.log_softmax(_dims(dim, input.ndim)[0], dtype=dtype or input.dtype)


def softmin(input, dim, *, dtype=None, mask=None) -> Tensor:
    """softmax(-input)"""
    kept = _kept(input, mask, _highest("softmin", input.dtype))
    return (-kept).softmax(_dims(dim, input.ndim)[0], dtype=dtype or input.dtype)
