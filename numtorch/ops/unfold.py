"""Sliding windows as columns: F.unfold (im2col) and F.fold (col2im), each the gradient of the other."""

from __future__ import annotations

import math
from functools import lru_cache

from numtorch.kernels.cpu import unfold as _kernels

from .. import _dtype
from .._copy import contiguous
from .._primitive import primitive
from .._tensor import Tensor, wrap
from .spatial import elements, integers, plain, result


def _pair(value, name: str) -> tuple[int, int]:
    values = integers(value, "im2col", name)
    if len(values) not in (1, 2):
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(values)}")
    return values * 2 if len(values) == 1 else values


def _blocks(size, kernel, stride, padding, dilation) -> tuple[int, ...]:
    """The number of windows along height and width."""
    return tuple(
        [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
        ]
    )


def _check(kernel, dilation, padding, stride) -> None:
    for name, short, values, least in (
        ("kernel size", "kernel", kernel, 1),
        ("dilation", "dilation", dilation, 1),
        ("padding", "pad", padding, 0),
        ("stride", "stride", stride, 1),
    ):
        if min(values) < least:
            wanted = "greater than zero" if least else "non-negative"
            raise RuntimeError(
                f"{name} should be {wanted}, but got {short}_height: {values[0]} {short}_width: {values[1]}"
            )


@lru_cache(maxsize=1024)
def _unfolded(size, kernel, dilation, padding, stride):
    """(planes, (height, width), windows along both, size of the columns) for an input of im2col."""
    *batch, channels, height, width = size
    blocks = _blocks((height, width), kernel, stride, padding, dilation)
    columns = (*batch, channels * kernel[0] * kernel[1], blocks[0] * blocks[1])
    return math.prod(batch) * channels, (height, width), blocks, columns


@lru_cache(maxsize=1024)
def _folded(size, output_size, kernel, dilation, padding, stride):
    """(planes, windows along height and width, size of the image) for columns of col2im."""
    *batch, depth, _ = size
    channels = depth // (kernel[0] * kernel[1])
    blocks = _blocks(output_size, kernel, stride, padding, dilation)
    return math.prod(batch) * channels, blocks, (*batch, channels, *output_size)


@primitive(node="Im2ColBackward0", public=False)
def im2col(input, kernel_size, dilation, padding, stride) -> Tensor:
    """Windows of input (..., C, H, W) as columns (..., C * KH * KW, L), L windows in row order."""
    planes, spatial, blocks, size = _unfolded(input._size, kernel_size, dilation, padding, stride)
    out = _kernels.unfold_forward(
        contiguous(input).flat(), planes, spatial, kernel_size, stride, padding, dilation, blocks
    )
    return wrap(out, size, input._dtype)


@primitive(node="Col2ImBackward0", public=False)
def col2im(input, output_size, kernel_size, dilation, padding, stride) -> Tensor:
    """Columns (..., C * KH * KW, L) added up at their places in (..., C, *output_size)."""
    planes, blocks, size = _folded(input._size, output_size, kernel_size, dilation, padding, stride)
    out = _kernels.fold_forward(elements(input), planes, output_size, kernel_size, stride, padding, dilation, blocks)
    return result(out, size, input._dtype)


im2col.derivative(
    input=lambda ctx, grad: col2im(
        grad, tuple(ctx.input.shape[-2:]), ctx.kernel_size, ctx.dilation, ctx.padding, ctx.stride
    )
)
col2im.derivative(input=lambda ctx, grad: im2col(grad, ctx.kernel_size, ctx.dilation, ctx.padding, ctx.stride))

_INTEGERS = (_dtype.uint8, _dtype.int8, _dtype.int16, _dtype.int32, _dtype.int64)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """Sliding windows of input (N, C, H, W) or (C, H, W) as columns (N, C * KH * KW, L)."""
    settings = kernel_size, dilation, padding, stride
    kept = plain(kernel_size) and plain(dilation) and plain(padding) and plain(stride)
    return im2col(input, *(_unfolding if kept else _unfolding.__wrapped__)(input._size, input._dtype, *settings))


@lru_cache(maxsize=1024, typed=True)
def _unfolding(input_size, d: _dtype.dtype, kernel_size, dilation, padding, stride):
    """The settings of unfold as pairs, after torch's checks."""
    kernel, dilation = _pair(kernel_size, "kernel_size"), _pair(dilation, "dilation")
    padding, stride = _pair(padding, "padding"), _pair(stride, "stride")
    given = len(input_size)
    if given < 3:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-given}, {given - 1}], but got {given})"
        )
    _check(kernel, dilation, padding, stride)
    if given > 4 or 0 in input_size[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
            f"but got: {list(input_size)}"
        )
    if d in _INTEGERS:
        raise NotImplementedError(f"\"im2col_out_cpu\" not implemented for '{d.type_name}'")
    size = tuple(input_size[-2:])
    blocks = _blocks(size, kernel, stride, padding, dilation)
    if min(blocks) < 1:
        raise RuntimeError(
            f"Given input with spatial size {size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, "
            f"calculated shape of the array of sliding blocks as {blocks}, but its components must be at least one."
        )
    return kernel, dilation, padding, stride


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """Columns (N, C * KH * KW, L) or (C * KH * KW, L) added up at their places in (N, C, *output_size)."""
    settings = output_size, kernel_size, dilation, padding, stride
    kept = plain(output_size) and plain(kernel_size) and plain(dilation) and plain(padding) and plain(stride)
    return col2im(input, *(_folding if kept else _folding.__wrapped__)(input._size, input._dtype, *settings))


@lru_cache(maxsize=1024, typed=True)
def _folding(input_size, d: _dtype.dtype, output_size, kernel_size, dilation, padding, stride):
    """The settings of fold as pairs, after torch's checks."""
    size, kernel = _pair(output_size, "output_size"), _pair(kernel_size, "kernel_size")
    dilation, padding = _pair(dilation, "dilation"), _pair(padding, "padding")
    stride = _pair(stride, "stride")
    _check(kernel, dilation, padding, stride)
    if len(input_size) not in (2, 3) or 0 in input_size[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(input_size)}"
        )
    if d in _INTEGERS:
        raise NotImplementedError(f"\"col2im_out_cpu\" not implemented for '{d.type_name}'")
    depth, given = input_size[-2:]
    if depth % (kernel[0] * kernel[1]):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={depth} and kernel_size={kernel}."
        )
    blocks = _blocks(size, kernel, stride, padding, dilation)
    settings = (
        f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}"
    )
    if given != blocks[0] * blocks[1]:
        raise RuntimeError(
            f"{settings}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{blocks[0]} * {blocks[1]} = {blocks[0] * blocks[1]}, but got input.size(2)={given}."
        )
    if min(blocks) < 1:
        raise RuntimeError(
            f"{settings}, calculated shape of the array of sliding blocks as {blocks}, which is too "
            "small (non-positive)"
        )
    return size, kernel, dilation, padding, stride
