"""Max unpooling: the elements of a pooled tensor back at the places they were taken from, among zeros."""

from __future__ import annotations

from .. import _dtype
from .._tensor import Tensor
from .pooling_maps import UNPOOL
from .pooling_windows import numbers_of, one_number


def _unpool_size(input, dims: int, kernel, stride, padding, output_size) -> tuple[int, ...]:
    """The spatial size to unpool to: (n - 1) stride + kernel - 2 padding, or output_size if it is less than a
    stride away."""
    default = tuple(
        [(n - 1) * s + k - 2 * p for n, k, s, p in zip(input._size[-dims:], kernel, stride, padding, strict=True)]
    )
    if output_size is None:
        return default
    output_size = tuple(output_size)
    if len(output_size) == dims + 2:
        output_size = output_size[2:]
    if len(output_size) != dims:
        raise ValueError(
            f"output_size should be a sequence containing {dims} or {dims + 2} elements, but it has a length of "
            f"'{len(output_size)}'"
        )
    for d, (size, n, s) in enumerate(zip(output_size, default, stride, strict=True)):
        if not n - s < size < n + s:
            raise ValueError(f'invalid output_size "{output_size}" (dim {d} must be between {n - s} and {n + s})')
    return output_size


def _max_unpool(dims, input, indices, kernel_size, stride, padding, output_size) -> Tensor:
    name = f"max_unpool{dims}d"
    kernel = numbers_of(name, dims, "kernel_size", kernel_size)
    stride = numbers_of(name, dims, "stride", stride, default=kernel)
    padding = numbers_of(name, dims, "padding", padding)
    if len(input._size) not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Input to max_unpooling{dims}d should be a {dims + 1}d or {dims + 2}d Tensor, but got a tensor with "
            f"{len(input._size)} dimensions."
        )
    spatial = _unpool_size(input, dims, kernel, stride, padding, output_size)
    if indices._dtype is not _dtype.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices._dtype.type_name}")
    if indices._size != input._size:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input._size)}) but got indices "
            f"tensor with shape: {list(indices._size)}"
        )
    return UNPOOL[dims](input, indices, spatial)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
    """The inverse of max_pool1d as far as there is one: input (N, C, L) or (C, L) at `indices` of zeros."""
    kernel = one_number("max_unpool1d", "kernel_size", kernel_size)
    step = kernel if stride is None or stride in ((), []) else one_number("max_unpool1d", "stride", stride)
    pad = one_number("max_unpool1d", "padding", padding)
    if len(input._size) not in (2, 3):
        raise RuntimeError(
            "Input to max_unpooling2d should be a 3d or 4d Tensor, but got a tensor with "
            f"{len(input._size) + 1} dimensions."
        )
    (length,) = _unpool_size(input, 1, (kernel,), (step,), (pad,), output_size)
    # the extra dimension stands behind, as in torch, so that a bad index is reported for a plane of (length,
    # 1)
    one = _max_unpool(2, input.unsqueeze(-1), indices.unsqueeze(-1), (kernel, 1), (step, 1), (pad, 0), (length, 1))
    return one.squeeze(-1)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
    """The inverse of max_pool2d as far as there is one: input (N, C, H, W) or (C, H, W) at `indices` of zeros."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
    """The inverse of max_pool3d as far as there is one: input (N, C, D, H, W) or (C, D, H, W) at `indices` of zeros."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
