"""Adaptive pooling: the mean or the maximum over a given number of bins, which cover the input in equal shares."""

from __future__ import annotations

from numtorch.graph import mode

from .._device import cpu
from .._registry import op
from .._tensor import Tensor
from .pooling_maps import ADAPTIVE_AVERAGE, ADAPTIVE_MAXIMUM, maxima_alone
from .pooling_windows import NOT_FLOATING, adaptive_windows, adaptive_windows_1d, check_dtype, hashable
from .small_pooling import small_average_pool, small_max_pool


def _adaptive_avg_pool(function, dims, input, output_size) -> Tensor:
    output_size = hashable(output_size)
    windows = adaptive_windows(function, dims, input._size, output_size)
    if windows.dst == (1,) * dims:
        check_dtype(input, function, *NOT_FLOATING)
        return input.mean(tuple(range(-dims, 0)), keepdim=True)
    out = small_average_pool(input, function, dims, adaptive_windows, ADAPTIVE_AVERAGE[dims], output_size)
    if out is None:
        check_dtype(input, function, *NOT_FLOATING)
        out = ADAPTIVE_AVERAGE[dims](input, windows)
    return out


@op(method=False)
def adaptive_avg_pool1d(input, output_size) -> Tensor:
    """Mean over output_size bins of input (N, C, L) or (C, L); bin i is floor(i L / n) .. ceil((i + 1) L / n)."""
    output_size = hashable(output_size)
    windows = adaptive_windows_1d("adaptive_avg_pool1d", 1, input._size, output_size)
    if windows.dst != (1, 1):
        out = small_average_pool(input, "adaptive_avg_pool1d", 1, adaptive_windows_1d, None, output_size)
        if out is not None:
            return out
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input.unsqueeze(-2), windows.dst).squeeze(-2)


def adaptive_avg_pool2d(input, output_size) -> Tensor:
    """Mean over bins of input (N, C, H, W) or (C, H, W); a None in output_size keeps that dimension."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input, output_size) -> Tensor:
    """Mean over bins of input (N, C, D, H, W) or (C, D, H, W); a None in output_size keeps that dimension."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max_pool(function, dims, input, output_size, places):
    """(maximum, index); the index is None where neither the caller wants the `places` nor a graph does."""
    output_size = hashable(output_size)
    both = small_max_pool(input, function, dims, adaptive_windows, ADAPTIVE_MAXIMUM[dims], places, output_size)
    if both is not None:
        return both
    windows = adaptive_windows(function, dims, input._size, output_size)
    check_dtype(input, function, *NOT_FLOATING)
    if places or input._requires_grad and mode.enabled or input._device is not cpu:
        return ADAPTIVE_MAXIMUM[dims](input, windows)
    return maxima_alone(input, windows), None


def _adaptive_max_pool1d(input, output_size, places):
    """_adaptive_max_pool over one dimension."""
    output_size = hashable(output_size)
    both = small_max_pool(input, "adaptive_max_pool1d", 1, adaptive_windows_1d, None, places, output_size)
    if both is not None:
        return both
    windows = adaptive_windows_1d("adaptive_max_pool1d", 1, input._size, output_size)
    out, index = _adaptive_max_pool("adaptive_max_pool2d", 2, input.unsqueeze(-2), windows.dst, places)
    return out.squeeze(-2), None if index is None else index.squeeze(-2)


@op("adaptive_max_pool1d", method=False)
def adaptive_max_pool1d_with_indices(input, output_size, return_indices=False) -> tuple[Tensor, Tensor]:
    """(maximum, index) over output_size bins of input (N, C, L) or (C, L)."""
    return _adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(input, output_size, return_indices=False) -> tuple[Tensor, Tensor]:
    """(maximum, index) over bins of input (N, C, H, W) or (C, H, W)."""
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, True)


def adaptive_max_pool3d_with_indices(input, output_size, return_indices=False) -> tuple[Tensor, Tensor]:
    """(maximum, index) over bins of input (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, True)


def adaptive_max_pool1d(input, output_size, return_indices=False) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over output_size bins of input (N, C, L) or (C, L); with return_indices also where it was."""
    both = _adaptive_max_pool1d(input, output_size, return_indices)
    return both if return_indices else both[0]


def adaptive_max_pool2d(input, output_size, return_indices=False) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over bins of input (N, C, H, W) or (C, H, W); with return_indices also where it was."""
    both = _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)
    return both if return_indices else both[0]


def adaptive_max_pool3d(input, output_size, return_indices=False) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over bins of input (N, C, D, H, W) or (C, D, H, W); with return_indices also where it was."""
    both = _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices)
    return both if return_indices else both[0]
