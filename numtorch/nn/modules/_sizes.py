"""Size arguments: one number for all dimensions, or one for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def ntuple(x: Any, n: int) -> tuple:
    """`x` as a tuple: an iterable as it is, anything else n times."""
    return tuple(x) if isinstance(x, Iterable) else (x,) * n


def reversed_twice(t: Iterable[int]) -> tuple[int, ...]:
    """(a, b) -> (b, b, a, a): per-dimension padding in the order of `F.pad`."""
    return tuple(n for n in reversed(tuple(t)) for _ in range(2))
