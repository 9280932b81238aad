"""Max pooling of small images without a detour: what a shape decides is looked up once, then the kernel is called."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu import pooling as _kernels

from .. import _dtype
from .._device import cpu
from .._size import Size
from .._tensor import Tensor, wrap
from .spatial import triple


class _Plan(NamedTuple):
    """The kernel for one shape and dtype, and what it takes beside the arrays."""

    windows: tuple
    kernel: Callable
    planes: int
    numel: int
    size: Size
    rest: tuple


@lru_cache(maxsize=1024, typed=True)
def _plan(d, geometry: Callable, size: tuple[int, ...], *numbers) -> _Plan | None:
    """None where the image is not small, or its windows cannot be taken a vector at a time."""
    windows = geometry("max_pool2d", 2, size, *numbers)
    pooled = Size((*size[:-2], *windows.dst))
    numel = math.prod(pooled)
    if math.prod(size) + numel >= _kernels.SERIAL_WORK or windows.empty is not None or not numel:
        return None
    parts = [triple(each, 1) for each in (windows.src, windows.dst, windows.step)]
    found = _kernels.small_max_pool(d.np, *parts, windows.table)
    return None if found is None else _Plan(windows, found[0], math.prod(size[:-2]), numel, pooled, found[1])


def small_max_pool(input: Tensor, geometry: Callable, pool: Callable, *numbers) -> tuple[Tensor, Tensor] | None:
    """(maximum, index) of max_pool2d for a small image of floats in memory order; None for others.

    `geometry` checks the numbers (kernel_size, stride, padding, dilation, ceil_mode) and makes the windows; `pool` is
    the primitive that the graph knows."""
    x, d = input._flat, input._dtype
    if x is None or (d is not _dtype.float32 and d is not _dtype.float64) or input._device is not cpu:
        return None
    try:
        plan = _plan(d, geometry, input._size, *numbers)
    except TypeError:  # a list among the numbers, or what is wrong with them: the general way tells
        return None
    if plan is None:
        return None
    out, index = np.empty(plan.numel, d.np), np.empty(plan.numel, np.int64)
    plan.kernel(0, plan.planes, x, out, index, *plan.rest)
    both = wrap(out, plan.size, d), wrap(index, plan.size, _dtype.int64)
    if input._requires_grad and mode.enabled:
        pool.primitive.record((input, plan.windows), {}, both)
    return both
