"""Pooling of small images without a detour: what a shape decides is looked up once, then the kernel is called."""

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
def _plan(d, function: str, dims: int, geometry: Callable, size: tuple[int, ...], *numbers) -> _Plan | None:
    """None where the image is not small."""
    windows = geometry(function, dims, size, *numbers)
    pooled = Size((*size[:-dims], *windows.dst[-dims:]))
    numel = math.prod(pooled)
    if math.prod(size) + numel >= _kernels.SERIAL_WORK or windows.empty is not None or not numel:
        return None
    src, dst, step = [triple(each, 1) for each in (windows.src, windows.dst, windows.step)]
    if "max" in function:
        kernel, rest = _kernels.small_max_pool(d.np, src, dst, step, windows.table, windows.kept)
    else:
        kernel, rest = _kernels.small_average_pool(d.np, src, dst, windows.table, windows.divisor, windows.kept)
    return _Plan(windows, kernel, math.prod(size[:-dims]), numel, pooled, rest)


def _plan_of(input: Tensor, function: str, dims: int, geometry: Callable, pool, numbers: tuple) -> _Plan | None:
    """The plan for a small image of floats in memory order; None for others."""
    d = input._dtype
    if input._flat is None or (d is not _dtype.float32 and d is not _dtype.float64) or input._device is not cpu:
        return None
    if pool is None and input._requires_grad and mode.enabled:
        return None
    try:
        return _plan(d, function, dims, geometry, input._size, *numbers)
    except TypeError:  # a list among the numbers, or what is wrong with them: the general way tells
        return None


_NO_INDEX = np.empty(0, np.int64)


def small_max_pool(
    input: Tensor, function: str, dims: int, geometry: Callable, pool, places: bool, *numbers
) -> tuple[Tensor, Tensor | None] | None:
    """(maximum, index) of a max pooling over `dims` dimensions of a small image; None for others. The index is None where
    neither the caller wants the `places` nor a graph does.

    `geometry` checks the numbers (kernel_size, stride, padding, dilation, ceil_mode, or output_size) and makes the
    windows; `pool` is the primitive that the graph knows, or None to leave it to the caller where there is a graph."""
    plan = _plan_of(input, function, dims, geometry, pool, numbers)
    if plan is None:
        return None
    d = input._dtype
    recorded = input._requires_grad and mode.enabled
    out = np.empty(plan.numel, d.np)
    if not places and not recorded:
        plan.kernel(0, plan.planes, input._flat, out, _NO_INDEX, *plan.rest)
        return wrap(out, plan.size, d), None
    index = np.empty(plan.numel, np.int64)
    plan.kernel(0, plan.planes, input._flat, out, index, *plan.rest)
    both = wrap(out, plan.size, d), wrap(index, plan.size, _dtype.int64)
    if recorded:
        pool.primitive.record((input, plan.windows), {}, both)
    return both


def small_average_pool(input: Tensor, function: str, dims: int, geometry: Callable, pool, *numbers) -> Tensor | None:
    """An average pooling likewise. The numbers: kernel_size, stride, padding, ceil_mode, count_include_pad,
    divisor_override, or output_size."""
    plan = _plan_of(input, function, dims, geometry, pool, numbers)
    if plan is None:
        return None
    d = input._dtype
    out = np.empty(plan.numel, d.np)
    plan.kernel(0, plan.planes, input._flat, out, *plan.rest)
    result = wrap(out, plan.size, d)
    if input._requires_grad and mode.enabled:
        pool.primitive.record((input, plan.windows), {}, result)
    return result
