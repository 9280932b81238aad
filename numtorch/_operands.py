"""The operands of a pointwise operator: numbers beside tensors, and views that a contiguous loop can be called with."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from numtorch.graph import mode

from ._copy import cast
from ._device import cpu
from ._dtype import COMPLEX, FLOATING, bfloat16, bool_, dtype, float32
from ._tensor import Tensor, wrap

# Elements up to which a view with gaps is copied: 1 us, where the way to a strided loop takes 4.
_WORTH_CLOSING = 1024


def laid_flat(t) -> bool:
    """Whether `t` is a contiguous view that has been asked for its elements just now: `t._flat` holds them from here."""
    return t.__class__ is Tensor and t._flat is None and t._device is cpu and t.flat() is not None


@lru_cache(maxsize=4096)
def _has_gaps(size, stride) -> bool:
    """Whether a small tensor lies in memory in the order of its dimensions, but with gaps: a column, part of each row."""
    if prod(size) > _WORTH_CLOSING:
        return False
    last = None
    for n, step in zip(size, stride):
        if step <= 0 or last is not None and step > last:
            return False
        if n > 1:
            last = step
    return True


def without_gaps(t) -> Tensor | None:
    """A small view with gaps as a contiguous tensor, for loops over which it takes longer to walk than to copy.

    The result has the layout that the view itself would give it. None for other tensors, and those to be recorded."""
    if t.__class__ is not Tensor or t._flat is not None or t._device is not cpu or t._requires_grad and mode.enabled:
        return None
    size, stride = t._size, t._stride
    if not _has_gaps(size, stride):
        return None
    if len(size) == 1:
        at, step = t._offset, stride[0]
        return wrap(t._buffer()[at : at + (size[0] - 1) * step + 1 : step].copy(), size, t._dtype)
    return wrap(t._nd().flatten(), size, t._dtype)


def is_number_beside(a: Tensor, b: Tensor, inner: dtype) -> bool:
    """Whether `b` is a 0-d CPU tensor beside one with dimensions: a number, read from memory."""
    if b._size or not a._size or b._device is not cpu:
        return False
    return a._device is not cpu or inner.np is b._dtype.np or inner.np is not inner.compute


def number(value, d: dtype) -> float | complex | bool | int:
    """A Python number as a parameter of a loop over `d`."""
    if d.category == FLOATING:
        return float(value)
    if d.category == COMPLEX:
        return complex(value)
    if d is bool_:
        return bool(value)
    low, high = np.iinfo(d.np).min, np.iinfo(d.np).max
    value = int(value)
    return value if low <= value <= high else int(np.array(value).astype(d.np))


def scalar_tensor(value, d: dtype, device) -> Tensor:
    """A Python number as a 0-d tensor."""
    held = d if d is not bfloat16 else float32
    out = np.empty(1, held.np)
    out[0] = value
    t = cast(wrap(out, (), held), d)
    return t if device is cpu else t.to(device)
