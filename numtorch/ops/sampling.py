"""Random samples whose parameters are tensors: normal, bernoulli, poisson, multinomial."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cpu import random as _kernels

from .. import _dtype
from .._compiled import Compiled
from .._copy import cast_array, contiguous
from .._device import cpu
from .._dtype import COMPLEX, FLOATING, float32, float64, int64
from .._generator import Generator
from .._registry import op
from .._size import Size, broadcast_size, expanded_strides
from .._tensor import Tensor, empty, strided, wrap, wrap_as
from .creation import finish
from .random import (
    drawn_dtype,
    fill_from,
    fill_normal,
    filled,
    filler,
    no_kernel,
    number_text,
    size_argument,
    stream,
    without_gradient,
)


@op(method=False)
def normal(
    mean,
    std=1.0,
    size=None,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Values of N(mean, std**2): normal(tensor, float), (float, tensor), (tensor, tensor) or (float, float, size)."""
    of_mean, of_std = isinstance(mean, Tensor), isinstance(std, Tensor)
    if size is not None:
        shape = size_argument("normal", (), size)
        result = filled(out, shape, dtype, lambda t: fill_normal(t, mean, std, generator))
        return finish(result, device, requires_grad)
    if not of_mean and not of_std:
        raise TypeError("normal() received an invalid combination of arguments: two numbers need a size")
    if of_std:
        if std._dtype.category == COMPLEX:
            raise RuntimeError("normal expects standard deviation to be non-complex")
        if not bool((cast_array(contiguous(std)._flat, std._dtype, float64) >= 0).all()):
            raise RuntimeError("normal expects all elements of std >= 0.0")
    elif not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {number_text(float(std))}")
    inputs = [t for t in (mean, std) if isinstance(t, Tensor)]
    shape = broadcast_size(mean._size, std._size) if of_mean and of_std else inputs[0]._size

    def fill(t):
        fill_normal(t, 0.0, 1.0 if of_std else std, generator)
        detached_mean = mean.detach() if of_mean else mean
        if of_std:
            t.mul_(std.detach())
        t.add_(detached_mean)

    result = filled(out, Size(shape), None, fill, inputs[0]._dtype)
    node = "NormalBackward3" if of_mean and of_std else "NormalBackward1" if of_mean else "NormalBackward2"
    return without_gradient(result, node, *inputs)


def _bernoulli_fill(t: Tensor, p, generator: Generator | None) -> None:
    if t._dtype.category == COMPLEX:
        raise no_kernel("bernoulli_scalar_cpu_", t._dtype)
    state, _ = stream(generator)
    if not isinstance(p, Tensor):
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={number_text(float(p))}")
        drawn = t._dtype if t._dtype.np == t._dtype.compute else float32
        success = drawn.np.type(1)
        fill_from(t, lambda out: _kernels.bernoulli_scalar(state, out, float(p), success), drawn)
        return
    if p._dtype.category != FLOATING:
        raise no_kernel("bernoulli_tensor_cpu_p_", p._dtype)
    if p._size != t._size:
        if len(p._size) > len(t._size):
            raise RuntimeError(
                f"expand(torch.{p._dtype.type_name}Tensor{{{list(p._size)}}}, size={list(t._size)}): the "
                f"number of sizes provided ({len(t._size)}) must be greater or equal to the number of "
                f"dimensions in the tensor ({len(p._size)})"
            )
        broadcast_size(p._size, t._size)
        stride = expanded_strides(p._size, p._stride, t._size)
        p = strided(p._get_storage(), t._size, stride, p._offset, p._dtype)
    if t.flat() is None:
        order = sorted(range(len(t._size)), key=lambda d: -t._stride[d])
        p = p.detach().permute(order)
    flat = contiguous(p)._flat
    wide = p._dtype is float64
    flat = flat if wide else cast_array(flat, p._dtype, float32)
    kernel = _kernels.bernoulli_float64 if wide else _kernels.bernoulli_float32

    def draw(out):
        if not kernel(state, out, flat):
            raise RuntimeError(_NO_PROBABILITY)

    fill_from(t, draw, _dtype.bool_)


_NO_PROBABILITY = "Expected p_in >= 0 && p_in <= 1 to be true, but got false."
_bernoulli_32 = Compiled(_kernels.bernoulli_float32, "sxx")


@filler("bernoulli_", "BernoulliBackward2")
def _bernoulli_(self, p=0.5, *, generator: Generator | None = None) -> None:
    """Fill with ones (probability p, a number or a tensor) and zeros."""
    _bernoulli_fill(self, p, generator)


@op()
def bernoulli(input, p=None, *, generator=None, out=None) -> Tensor:
    """Ones with the probabilities in `input` (or with probability p), else zeros, in input's dtype."""
    x = input._flat
    if p is out is None and x is not None and input._dtype is float32 and input._device is cpu:
        drawn = np.empty(x.size, x.dtype)
        if not _bernoulli_32[x.dtype](stream(generator)[0], drawn, x):
            raise RuntimeError(_NO_PROBABILITY)
        result = wrap_as(drawn, input)
        return without_gradient(result, "BernoulliBackward0", input) if input._requires_grad else result
    probability = input.detach() if p is None else p
    result = filled(out, input._size, None, lambda t: _bernoulli_fill(t, probability, generator), input._dtype)
    return without_gradient(result, "BernoulliBackward0" if p is None else "BernoulliBackward1", input)


@op(method=False)
def poisson(input, generator=None) -> Tensor:
    """Poisson samples of the rates in `input`."""
    if input._dtype.category != FLOATING:
        raise no_kernel("poisson_cpu", input._dtype)
    rate = contiguous(input)._flat
    rate = cast_array(rate, input._dtype, float64)
    if not bool((rate >= 0).all()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    state, _ = stream(generator)
    result = empty(input._size, input._dtype)
    fill_from(result, lambda out: _kernels.poisson(state, out, rate), float64)
    return without_gradient(result, "PoissonBackward0", input)


_WEIGHT_FAULTS = {
    1: "invalid multinomial distribution (encountering probability entry < 0)",
    2: "invalid multinomial distribution (encountering probability entry = infinity or NaN)",
    3: "invalid multinomial distribution (sum of probabilities <= 0)",
}


@op(out=True)
def multinomial(input, num_samples: int, replacement: bool = False, *, generator=None) -> Tensor:
    """Category numbers (int64) drawn with the weights in each row of `input`, (n,) or (rows, n)."""
    if not 1 <= len(input._size) <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if input._dtype.category != FLOATING:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input._dtype.type_name}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    categories = input._size[-1]
    if not replacement and num_samples > categories:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if categories > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    rows = input._size[0] if len(input._size) == 2 else 1
    size = Size((*input._size[:-1], num_samples))
    weights = cast_array(contiguous(input)._flat, input._dtype, drawn_dtype(input._dtype))
    state, _ = stream(generator)
    result = empty(size, int64)
    if not size.numel():
        return result
    if replacement:
        fault = _kernels.multinomial_replacement(state, weights, result._flat, rows, categories, num_samples)
        if fault:
            raise RuntimeError(_WEIGHT_FAULTS[fault])
        return result
    if not bool(((weights >= 0) & (weights < np.inf)).all()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not bool((weights.reshape(rows, categories).sum(1) > 0).all()):
        raise RuntimeError(_WEIGHT_FAULTS[3])
    # The largest of weight / Exp(1) is a draw by weight, and the n largest are draws without replacement.
    from .sorting import topk

    waiting = np.empty(weights.size)
    _kernels.exponential(state, waiting, 1.0)
    d = drawn_dtype(input._dtype)
    race = cast_array(weights / waiting.astype(d.np), d, input._dtype)
    race = wrap(race, input._size, input._dtype)
    return topk(race, num_samples, -1)[1]
