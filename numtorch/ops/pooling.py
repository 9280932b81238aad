"""Pooling over windows: maximum, average, and power averages, differentiable to any order.

Shapes: input (N, C, *spatial) or (C, *spatial). The one-dimensional forms go through two dimensions, as in torch.
"""

from __future__ import annotations

from numtorch.graph import mode

from .. import _dtype
from .._device import cpu
from .._registry import op
from .._tensor import Tensor
from .pooling_maps import AVERAGE, MAXIMUM, maxima_alone
from .pooling_windows import (
    COMPLEX,
    NOT_AVERAGED,
    average_windows,
    average_windows_1d,
    check_dtype,
    hashable,
    max_windows,
    max_windows_1d,
    numbers_of,
)
from .small_pooling import small_average_pool, small_max_pool
from .spatial import integers

# -- max pooling ---------------------------------------------------------------------------------------------


def _max_pool(function, dims, input, places, kernel_size, stride, padding, dilation, ceil_mode):
    """(maximum, index) over two or three dimensions; the index is None where neither the caller wants the `places` nor a
    graph does."""
    numbers = kernel_size, stride, padding, dilation, ceil_mode
    both = small_max_pool(input, function, dims, max_windows, MAXIMUM[dims], places, *numbers)
    if both is not None:
        return both
    windows = max_windows(function, dims, input._size, *[hashable(v) for v in numbers])
    check_dtype(input, function, _dtype.bool_, *COMPLEX)
    if places or input._requires_grad and mode.enabled or input._device is not cpu:
        return MAXIMUM[dims](input, windows)
    return maxima_alone(input, windows), None


def _max_pool1d(input, places, kernel_size, stride, padding, dilation, ceil_mode):
    """_max_pool over one dimension."""
    numbers = kernel_size, stride, padding, dilation, ceil_mode
    both = small_max_pool(input, "max_pool1d", 1, max_windows_1d, None, places, *numbers)
    if both is not None:
        return both
    windows = max_windows_1d("max_pool1d", 1, input._size, *[hashable(v) for v in numbers])
    check_dtype(input, "max_pool2d", _dtype.bool_, *COMPLEX)
    lines = input.unsqueeze(-2)
    if places or input._requires_grad and mode.enabled or input._device is not cpu:
        out, index = MAXIMUM[2](lines, windows)
        return out.squeeze(-2), index.squeeze(-2)
    return maxima_alone(lines, windows).squeeze(-2), None


def max_pool2d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> tuple[Tensor, Tensor]:
    """(maximum, index) over windows of input (N, C, H, W) or (C, H, W); an index is y * W + x (int64)."""
    return _max_pool("max_pool2d", 2, input, True, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> tuple[Tensor, Tensor]:
    """(maximum, index) over windows of input (N, C, D, H, W) or (C, D, H, W); an index is (z * H + y) * W + x
    (int64)."""
    return _max_pool("max_pool3d", 3, input, True, kernel_size, stride, padding, dilation, ceil_mode)


@op(method=False)
def max_pool1d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> tuple[Tensor, Tensor]:
    """(maximum, index) over windows of input (N, C, L) or (C, L)."""
    return _max_pool1d(input, True, kernel_size, stride, padding, dilation, ceil_mode)


@op(method=False)
def max_pool1d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over windows of input (N, C, L) or (C, L); with return_indices also where it was."""
    both = _max_pool1d(input, return_indices, kernel_size, stride, padding, dilation, ceil_mode)
    return both if return_indices else both[0]


@op(method=False)
def max_pool2d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over windows of input (N, C, H, W) or (C, H, W); with return_indices also where it was.

    Sizes: (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down, or up with ceil_mode. The
    padding never wins.
    """
    both = _max_pool("max_pool2d", 2, input, return_indices, kernel_size, stride, padding, dilation, ceil_mode)
    return both if return_indices else both[0]


@op(method=False)
def max_pool3d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over windows of input (N, C, D, H, W) or (C, D, H, W); sizes as in max_pool2d."""
    both = _max_pool("max_pool3d", 3, input, return_indices, kernel_size, stride, padding, dilation, ceil_mode)
    return both if return_indices else both[0]


# -- average pooling -----------------------------------------------------------------------------------------


def _avg_pool(function, dims, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    numbers = [hashable(v) for v in (kernel_size, stride, padding)]
    windows = average_windows(function, dims, input._size, *numbers, ceil_mode, count_include_pad, divisor_override)
    check_dtype(input, function if dims == 2 else "avg_pool3d_out_frame", *NOT_AVERAGED)
    return AVERAGE[dims](input, windows)


@op(method=False)
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> Tensor:
    """Mean over windows of input (N, C, L) or (C, L)."""
    numbers = kernel_size, stride, padding, ceil_mode, count_include_pad
    out = small_average_pool(input, "avg_pool1d", 1, average_windows_1d, None, *numbers)
    if out is not None:
        return out
    windows = average_windows_1d("avg_pool1d", 1, input._size, *[hashable(v) for v in numbers])
    check_dtype(input, "avg_pool2d", *NOT_AVERAGED)
    return AVERAGE[2](input.unsqueeze(-2), windows).squeeze(-2)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
) -> Tensor:
    """Mean over windows of input (N, C, H, W) or (C, H, W): sum / count, or / divisor_override.

    The count is that of the window cut at the end of the padding, or without the padding if not count_include_pad.
    """
    if len(input._size) < 3:
        n = len(input._size)
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got -3)")
    numbers = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    result = small_average_pool(input, "avg_pool2d", 2, average_windows, AVERAGE[2], *numbers)
    return _avg_pool("avg_pool2d", 2, input, *numbers) if result is None else result


def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
) -> Tensor:
    """Mean over windows of input (N, C, D, H, W) or (C, D, H, W); as avg_pool2d."""
    numbers = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    result = small_average_pool(input, "avg_pool3d", 3, average_windows, AVERAGE[3], *numbers)
    return _avg_pool("avg_pool3d", 3, input, *numbers) if result is None else result


def _lp_pool(average, input, norm_type, kernel_size, stride, ceil_mode) -> Tensor:
    out = average(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    count = 1
    for k in integers(kernel_size, "lp_pool", "kernel_size"):
        count *= k
    return (out.sign() * out.abs()).mul(count).pow(1.0 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Tensor:
    """(sum over the window of x ** norm_type) ** (1 / norm_type) for input (N, C, L) or (C, L)."""
    return _lp_pool(avg_pool1d, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Tensor:
    """(sum over the window of x ** norm_type) ** (1 / norm_type) for input (N, C, H, W) or (C, H, W)."""
    kernel = numbers_of("lp_pool2d", 2, "kernel_size", kernel_size)
    return _lp_pool(avg_pool2d, input, norm_type, kernel, stride, ceil_mode)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Tensor:
    """(sum over the window of x ** norm_type) ** (1 / norm_type) for input (N, C, D, H, W) or (C, D, H, W)."""
    kernel = numbers_of("lp_pool3d", 3, "kernel_size", kernel_size)
    return _lp_pool(avg_pool3d, input, norm_type, kernel, stride, ceil_mode)
