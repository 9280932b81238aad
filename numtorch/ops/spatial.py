"""What convolution, pooling, padding and resampling share: per-dimension numbers, unbatched inputs, and
buffers for kernels.

The kernels work on three spatial dimensions (depth, height, width); fewer get unit dimensions in front.
"""

from __future__ import annotations

from operator import index

import numpy as np

from .. import _dtype
from .._copy import cast, contiguous
from .._tensor import Tensor, wrap


def triple(values, fill: int) -> tuple[int, int, int]:
    """One to three numbers as (depth, height, width), with `fill` for the dimensions in front."""
    values = tuple(values)
    return (fill,) * (3 - len(values)) + values


def integers(value, function: str, argument: str) -> tuple[int, ...]:
    """An int or a sequence of ints as a tuple; TypeError for anything else."""
    items = value if isinstance(value, (tuple, list)) else (value,)
    try:
        return tuple([index(v) for v in items])
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{function}(): argument '{argument}' must be tuple of ints, not {kind}") from None


def plain(value, numbers: tuple[type, ...] = (int,)) -> bool:
    """Whether a size or another setting is None, an ordinary number or a tuple of them, so that what follows from it may be
    remembered: equal ones are alike."""
    if value.__class__ is tuple:
        return {v.__class__ for v in value} <= set(numbers)
    return value is None or value.__class__ in numbers


def compute_dtype(d: _dtype.dtype) -> _dtype.dtype:
    """The dtype that kernels calculate `d` in: float32 for the halves."""
    return d if d.np is d.compute else _dtype.float32


def elements(t: Tensor, d: _dtype.dtype | None = None) -> np.ndarray:
    """The elements of `t` as a dense flat array of the dtype `d` (default: the one that kernels calculate in)."""
    own = t._dtype
    if d is None:
        d = own if own.np is own.compute else _dtype.float32
    return contiguous(t if own is d else cast(t, d)).flat()


def result(flat: np.ndarray, size, d: _dtype.dtype) -> Tensor:
    """A fresh tensor of dtype `d` over what a kernel calculated."""
    return wrap(flat, size, d) if d.np is d.compute else cast(wrap(flat, size, _dtype.float32), d)
