"""The `reduction` of losses: "none" keeps the loss of each element, "sum" adds up, "mean" divides by their number."""

from __future__ import annotations

import math
import warnings

import numpy as np

from .._size import EMPTY
from .._tensor import Tensor
from .reducing import finished


def reduction_name(reduction, size_average=None, reduce=None) -> str:
    """The reduction as "none", "mean" or "sum"; the arguments of before torch 1.0 override it, with a warning."""
    if size_average is None and reduce is None and reduction in ("mean", "sum", "none"):
        return reduction
    if size_average is not None or reduce is not None:
        if reduce is not None and not reduce:
            reduction = "none"
        else:
            reduction = "mean" if size_average is None or size_average else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    elif isinstance(reduction, int):
        return ("none", "mean", "sum")[reduction]
    elif reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The losses of the elements, reduced."""
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def summary(values: np.ndarray, total: float, n: int, reduction: str, size, computed, d) -> Tensor:
    """What a kernel found as the result: the losses, their sum, or the sum over n."""
    if reduction == "none":
        return finished(values, size, computed, d)
    if reduction == "mean":
        total = total / n if n else math.nan
    one = np.empty(1, computed.np)
    one[0] = total
    return finished(one, EMPTY, computed, d)
