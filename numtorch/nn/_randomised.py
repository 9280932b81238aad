"""Functions of the functional interface that draw random numbers: rrelu and gumbel_softmax."""

from __future__ import annotations

import numtorch
from numtorch._registry import register
from numtorch._tensor import Tensor

__all__ = ["gumbel_softmax", "rrelu", "rrelu_"]


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x if x >= 0 else a x; a ~ U(lower, upper) in training, (lower + upper) / 2 otherwise. Xu et al. 2015."""
    if not training:
        return numtorch.nn.functional.leaky_relu(input, (lower + upper) / 2, inplace)
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    # torch draws one double for each element that is not positive, in memory order, and none for the others.
    slopes = numtorch.ones_like(input)
    with numtorch.no_grad():
        sloped = input <= 0
        count = int(sloped.sum())
        drawn = numtorch.empty(count, dtype=numtorch.float64, device=input.device).uniform_(lower, upper)
        slopes[sloped] = drawn.to(input.dtype)
    return input.mul_(slopes) if inplace else input * slopes


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


register(
    "rrelu",
    lambda input, lower=1.0 / 8, upper=1.0 / 3, training=False, generator=None: rrelu(input, lower, upper, training),
    method=False,
)
register("rrelu_", rrelu_, method=False)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """softmax((logits + g) / tau), g ~ Gumbel(0, 1); hard: the one-hot of its maximum, with the soft gradient."""
    gumbels = -numtorch.empty_like(logits).exponential_().log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = numtorch.zeros_like(logits).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
