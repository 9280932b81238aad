"""Pooling: maximum, average, their adaptive forms, unpooling and power averages, differentiable to any order.

Each pooling is a table of windows (kernels/cpu/pooling.py) and one of two pairs of maps that are each other's
gradients:

    average over windows    <->  share a gradient out over windows
    take at indices         <->  add at indices                      (maxima: the indices are those of the
    largest elements)

Shapes: input (N, C, *spatial) or (C, *spatial). The one-dimensional forms go through two dimensions, as in
torch.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from numtorch.kernels.cpu import pooling as _kernels

from .. import _dtype
from .._allocator import empty
from .._device import cpu
from .._primitive import primitive
from .._registry import FUNCTIONS, op
from .._size import Size
from .._tensor import Tensor, wrap
from .small_pooling import small_average_pool, small_max_pool
from .spatial import elements, integers, result, triple

_COUNTS = {2: "two", 3: "three"}


class Windows(NamedTuple):
    """Where the outputs look: spatial sizes of input and output, and the kernels' table."""

    src: tuple
    dst: tuple
    table: np.ndarray
    step: tuple = (1, 1, 1)
    divisor: int = 0
    empty: np.ndarray | None = None  # where windows with gaps have no element, of shape dst in three dimensions


@lru_cache(maxsize=1024)
def _pooled_size(size: tuple[int, ...], dst: tuple[int, ...]) -> Size:
    return Size((*size[: len(size) - len(dst)], *dst))


@lru_cache(maxsize=1024)
def _planes(size, dims: int) -> int:
    return math.prod(size[: len(size) - dims])


# -- averages ------------------------------------------------------------------------------------------------


def _average_primitive(name: str, node: str, dims: int):
    def average(input, windows):
        if input._device is not cpu:
            from ..cuda._pooling import average_pool

            return average_pool(input, windows, Size((*input._size[:-dims], *windows.dst)))
        out = _kernels.average_pool_forward(
            elements(input),
            _planes(input._size, dims),
            triple(windows.src, 1),
            triple(windows.dst, 1),
            windows.table,
            windows.divisor,
            empty,
        )
        return result(out, _pooled_size(input._size, windows.dst), input._dtype)

    average.__doc__ = f"Mean of every window of an input (..., *src) over {dims} dimensions: (..., *dst)."
    average = primitive(name, node=node, public=False)(average)
    average.derivative(input=lambda ctx, grad: share_out(grad, ctx.windows))
    return average


_average_windows = {
    2: _average_primitive("average_windows2d", "AvgPool2DBackward0", 2),
    3: _average_primitive("average_windows3d", "AvgPool3DBackward0", 3),
}
_adaptive_average = {
    2: _average_primitive("adaptive_average2d", "AdaptiveAvgPool2DBackward0", 2),
    3: _average_primitive("adaptive_average3d", "AdaptiveAvgPool3DBackward0", 3),
}


@primitive("share_out", node="AvgPoolBackwardBackward0", public=False)
def share_out(grad_output, windows):
    """The gradient of an average: every element of grad_output (..., *dst), divided by its count, added over
    its window."""
    dims = len(windows.src)
    if grad_output._device is not cpu:
        from ..cuda._pooling import share_out as on_cuda

        return on_cuda(grad_output, windows, Size((*grad_output._size[:-dims], *windows.src)))
    out = _kernels.average_pool_backward(
        elements(grad_output),
        _planes(grad_output._size, dims),
        triple(windows.src, 1),
        triple(windows.dst, 1),
        windows.table,
        windows.divisor,
        empty,
    )
    return result(out, (*grad_output._size[:-dims], *windows.src), grad_output._dtype)


share_out.derivative(grad_output=lambda ctx, grad: _average_windows[len(ctx.windows.src)](grad, ctx.windows))

# -- maxima --------------------------------------------------------------------------------------------------


def _max_primitive(name: str, node: str, dims: int):
    def maximum(input, windows):
        if input._device is not cpu:
            from ..cuda._pooling import max_pool

            return max_pool(input, windows, Size((*input._size[:-dims], *windows.dst)))
        out, index = _kernels.max_pool_forward(
            elements(input),
            _planes(input._size, dims),
            triple(windows.src, 1),
            triple(windows.dst, 1),
            triple(windows.step, 1),
            windows.table,
            empty,
        )
        if windows.empty is not None:
            lowest = -np.inf if out.dtype.kind == "f" else np.iinfo(out.dtype).min
            out.reshape(-1, *windows.empty.shape)[:, windows.empty] = lowest
        size = _pooled_size(input._size, windows.dst)
        return result(out, size, input._dtype), wrap(index, size, _dtype.int64)

    maximum.__doc__ = f"(maximum, its place) of every window of an input (..., *src) over {dims} dimensions."
    maximum = primitive(name, node=node, save=("result1",), public=False)(maximum)
    maximum.derivative(input=lambda ctx, grad: add_at(grad, ctx.result1, ctx.windows.src))
    return maximum


_max_windows = {
    2: _max_primitive("max_windows2d", "MaxPool2DWithIndicesBackward0", 2),
    3: _max_primitive("max_windows3d", "MaxPool3DWithIndicesBackward0", 3),
}
_adaptive_max = {
    2: _max_primitive("adaptive_max2d", "AdaptiveMaxPool2DBackward0", 2),
    3: _max_primitive("adaptive_max3d", "AdaptiveMaxPool3DBackward0", 3),
}


def _by_index(kernel, value, index, spatial, count_of: int, size, *flags):
    """Run place_by_index or take_by_index; RuntimeError for an index outside of the plane."""
    if value._device is not cpu or index._device is not cpu:
        return _by_index_on_cuda(kernel, value, index, spatial, count_of, size, *flags)
    dims = len(spatial)
    planes = _planes(index._size, dims)
    count = math.prod(index._size[len(index._size) - dims :])
    out, bad = kernel(elements(value), elements(index), planes, count, count_of, *flags)
    if bad >= 0:
        raise _bad_place(int(elements(index)[bad]), spatial)
    return result(out, size, value._dtype)


def _bad_place(place: int, spatial) -> RuntimeError:
    volume = "x".join(str(n) for n in spatial)
    return RuntimeError(f"Found an invalid max index: {place} (output volumes are of size {volume})")


def _by_index_on_cuda(kernel, value, index, spatial, count_of: int, size, *flags) -> Tensor:
    from ..cuda._pooling import by_index

    kind = "take" if kernel is _kernels.take_by_index else "add" if flags[0] else "put"
    count = math.prod(index._size[len(index._size) - len(spatial) :])
    out, bad = by_index(kind, value, index, count, count_of, size)
    if out is None:
        raise _bad_place(bad, spatial)
    return out


@primitive("add_at", node="MaxPoolWithIndicesBackwardBackward0", save=("index",), public=False)
def add_at(value, index, spatial):
    """Zeros (..., *spatial) with value (..., *dst) added at index (..., *dst), the places in the flattened
    plane."""
    size = (*index._size[: -len(spatial)], *spatial)
    return _by_index(_kernels.place_by_index, value, index, spatial, math.prod(spatial), size, True, empty)


@primitive("take_at", node="MaxUnpoolBackwardBackward0", save=("index",), public=False)
def take_at(value, index, spatial):
    """value (..., *spatial) at index (..., *dst)."""
    return _by_index(_kernels.take_by_index, value, index, spatial, math.prod(spatial), index._size)


add_at.derivative(value=lambda ctx, grad: take_at(grad, ctx.index, ctx.spatial))
take_at.derivative(value=lambda ctx, grad: add_at(grad, ctx.index, ctx.spatial))


def _unpool_primitive(name: str, node: str):
    @primitive(name, node=node, save=("index",), public=False)
    def unpool(value, index, spatial):
        """Zeros (..., *spatial) with value written at index; of equal indices the last stays."""
        size = (*index._size[: -len(spatial)], *spatial)
        return _by_index(_kernels.place_by_index, value, index, spatial, math.prod(spatial), size, False, empty)

    unpool.derivative(value=lambda ctx, grad: take_at(grad, ctx.index, ctx.spatial))
    return unpool


_unpool = {
    2: _unpool_primitive("max_unpool_planes2d", "MaxUnpool2DBackward0"),
    3: _unpool_primitive("max_unpool_planes3d", "MaxUnpool3DBackward0"),
}

# -- checks --------------------------------------------------------------------------------------------------


def _numbers(function: str, dims: int, argument: str, value, default=None) -> tuple[int, ...]:
    """An int or `dims` ints; an argument with a default may be None or empty."""
    if default is not None and (value is None or value == () or value == []):
        return default
    values = integers(value, function, argument)
    if len(values) not in (1, dims):
        omitted = "omitted, " if default is not None else ""
        either = "either be " if argument != "dilation" else "be either "
        allowed = f"{either if dims == 2 else 'be '}{omitted}a single int, or a tuple of {_COUNTS[dims]} ints"
        raise RuntimeError(f"{function}: {argument} must {allowed}")
    return values * dims if len(values) == 1 else values


def _one(function: str, argument: str, value) -> int:
    values = integers(value, function, argument)
    if len(values) != 1:
        raise RuntimeError(f"{function}() argument '{argument}' should contain one int (got {len(values)})")
    return values[0]


_EDGES = {2: ("H", "W"), 3: ("T", "H", "W")}


def _check_pool(size, dims: int, kernel, stride, padding, dilation) -> None:
    given = len(size)
    batch = f"{dims + 1}D or {dims + 2}D (batch mode) tensor"
    if given not in (dims + 1, dims + 2):
        raise RuntimeError(f"non-empty {batch} expected for input")
    if any(k <= 0 for k in kernel):
        each = " ".join(f"k{e}: {k}" for e, k in zip(_EDGES[dims], kernel, strict=True))
        raise RuntimeError(
            "stride should not be zero" if 0 in stride else f"kernel size should be greater than zero, but got {each}"
        )
    if 0 in stride:
        raise RuntimeError("stride should not be zero")
    if any(s < 0 for s in stride):
        each = " ".join(f"d{e}: {s}" for e, s in zip(_EDGES[dims], stride, strict=True))
        raise RuntimeError(f"stride should be greater than zero, but got {each}")
    if any(d <= 0 for d in dilation):
        each = " ".join(f"dilation{e}: {d}" for e, d in zip(_EDGES[dims], dilation, strict=True))
        raise RuntimeError(f"dilation should be greater than zero, but got {each}")
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                f"dilation={d}"
            )
    if 0 in size[-dims - 1 :]:
        raise RuntimeError(f"Expected {batch} with optional 0 dim batch size for input, but got:{list(size)}")


def _out_size(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    out = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (out - 1) * s >= n + p:  # the last window must start inside of the input or its left padding
        out -= 1
    return out


def _out_sizes(size, dims: int, kernel, stride, padding, dilation, ceil_mode) -> tuple[int, ...]:
    src = size[-dims:]
    dst = tuple([_out_size(*each, ceil_mode) for each in zip(src, kernel, stride, padding, dilation, strict=True)])
    if any(n < 1 for n in dst):
        channels = size[-dims - 1]
        before, after = ("x".join(str(n) for n in (channels, *sizes)) for sizes in (src, dst))
        raise RuntimeError(f"Given input size: ({before}). Calculated output size: ({after}). Output size is too small")
    return dst


def _windows(src, dst, kernel, stride, padding, dilation, include_pad: bool, divisor: int = 0) -> Windows:
    # a unit dimension in front has one window over it
    table = _kernels.pool_windows(
        triple(src, 1),
        triple(dst, 1),
        triple(kernel, 1),
        triple(stride, 1),
        triple(padding, 0),
        triple(dilation, 1),
        include_pad,
    )
    return Windows(tuple(src), tuple(dst), table, tuple(dilation), divisor)


def _supported(input, name: str, *refused: _dtype.dtype) -> None:
    if input._dtype is not _dtype.float32 and input._dtype in refused:
        raise NotImplementedError(f"\"{name}\" not implemented for '{input._dtype.type_name}'")


_COMPLEX = (_dtype.complex64, _dtype.complex128)
_NOT_FLOATING = (_dtype.bool_, _dtype.uint8, _dtype.int8, _dtype.int16, _dtype.int32, _dtype.int64, *_COMPLEX)
_NOT_AVERAGED = tuple(d for d in _NOT_FLOATING if d is not _dtype.int64)

# -- max pooling ---------------------------------------------------------------------------------------------


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=1024, typed=True)
def _max_geometry(function, dims, size, kernel_size, stride, padding, dilation, ceil_mode) -> Windows:
    """Checks and windows of max pooling, remembered: they cost more than pooling a small image."""
    kernel = _numbers(function, dims, "kernel_size", kernel_size)
    stride = _numbers(function, dims, "stride", stride, default=kernel)
    padding = _numbers(function, dims, "padding", padding)
    dilation = _numbers(function, dims, "dilation", dilation)
    _check_pool(size, dims, kernel, stride, padding, dilation)
    dst = _out_sizes(size, dims, kernel, stride, padding, dilation, ceil_mode)
    windows = _windows(size[-dims:], dst, kernel, stride, padding, dilation, False)
    return (
        windows._replace(empty=_kernels.empty_windows(windows.table, triple(dst, 1))) if max(dilation) > 1 else windows
    )


def _max_pool(function, dims, input, kernel_size, stride, padding, dilation, ceil_mode):
    numbers = [_hashable(v) for v in (kernel_size, stride, padding, dilation)]
    windows = _max_geometry(function, dims, input._size, *numbers, ceil_mode)
    _supported(input, function, _dtype.bool_, *_COMPLEX)
    return _max_windows[dims](input, windows)


def max_pool2d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """(maximum, index) over windows of input (N, C, H, W) or (C, H, W); an index is y * W + x (int64)."""
    both = small_max_pool(input, _max_geometry, _max_windows[2], kernel_size, stride, padding, dilation, ceil_mode)
    return both or _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """(maximum, index) over windows of input (N, C, D, H, W) or (C, D, H, W); an index is (z * H + y) * W + x
    (int64)."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode)


@op(method=False)
def max_pool1d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """(maximum, index) over windows of input (N, C, L) or (C, L)."""
    kernel = _one("max_pool1d", "kernel_size", kernel_size)
    step = kernel if stride is None or stride in ((), []) else _one("max_pool1d", "stride", stride)
    pad, dilation = _one("max_pool1d", "padding", padding), _one("max_pool1d", "dilation", dilation)
    if len(input._size) not in (2, 3) or 0 in input._size[-2:]:
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
            "input, but got:"
            f"{list(input._size)}"
        )
    for argument, value in (("kernel_size", kernel), ("stride", step), ("dilation", dilation)):
        if value <= 0:
            raise RuntimeError(f"max_pool1d() {argument} must be greater than zero, but got {value}")
    if pad < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {pad}")
    if pad > kernel // 2:
        raise RuntimeError(
            f"max_pool1d() padding should be at most half of kernel size, but got padding={pad} and "
            f"kernel_size={kernel}"
        )
    length = _out_size(input._size[-1], kernel, step, pad, dilation, ceil_mode)
    if length < 1:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {length}")
    out, index = max_pool2d_with_indices(
        input.unsqueeze(-2), (1, kernel), (1, step), (0, pad), (1, dilation), ceil_mode
    )
    return out.squeeze(-2), index.squeeze(-2)


@op(method=False)
def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Maximum over windows of input (N, C, L) or (C, L); with return_indices also where it was."""
    both = max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return both if return_indices else both[0]


@op(method=False)
def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Maximum over windows of input (N, C, H, W) or (C, H, W); with return_indices also where it was.

    Sizes: (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down, or up with ceil_mode. The
    padding never wins.
    """
    both = max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return both if return_indices else both[0]


@op(method=False)
def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Maximum over windows of input (N, C, D, H, W) or (C, D, H, W); sizes as in max_pool2d."""
    both = max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return both if return_indices else both[0]


# -- average pooling -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1024, typed=True)
def _avg_geometry(function, dims, size, kernel_size, stride, padding, ceil_mode, include_pad, divisor) -> Windows:
    """Checks and windows of average pooling."""
    kernel = _numbers(function, dims, "kernel_size", kernel_size)
    stride = _numbers(function, dims, "stride", stride, default=kernel)
    padding = _numbers(function, dims, "padding", padding)
    ones = (1,) * dims
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    _check_pool(size, dims, kernel, stride, padding, ones)
    src = size[-dims:]
    if dims == 3 and any(n + 2 * p < k for n, k, p in zip(src, kernel, padding, strict=True)):
        image, kernels = (
            " ".join(f"{prefix}{e}: {n}" for e, n in zip("THW", values, strict=True))
            for prefix, values in (("", src), ("k", kernel))
        )
        raise RuntimeError(f"input image ({image}) smaller than kernel size ({kernels})")
    dst = _out_sizes(size, dims, kernel, stride, padding, ones, ceil_mode)
    return _windows(src, dst, kernel, stride, padding, ones, bool(include_pad), divisor or 0)


def _avg_pool(function, dims, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    numbers = [_hashable(v) for v in (kernel_size, stride, padding)]
    windows = _avg_geometry(function, dims, input._size, *numbers, ceil_mode, count_include_pad, divisor_override)
    _supported(input, function if dims == 2 else "avg_pool3d_out_frame", *_NOT_AVERAGED)
    return _average_windows[dims](input, windows)


@op(method=False)
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> Tensor:
    """Mean over windows of input (N, C, L) or (C, L)."""
    kernel = _one("avg_pool1d", "kernel_size", kernel_size)
    step = kernel if stride is None or stride in ((), []) else _one("avg_pool1d", "stride", stride)
    pad = _one("avg_pool1d", "padding", padding)
    _check_1d("avg_pool1d", input)
    out = avg_pool2d(input.unsqueeze(-2), (1, kernel), (1, step), (0, pad), ceil_mode, count_include_pad)
    return out.squeeze(-2)


def _check_1d(function: str, input) -> None:
    if len(input._size) not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {len(input._size)}-dimensional tensor for argument "
            "#1 'self' "
            f"(while checking arguments for {function})"
        )


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
) -> Tensor:
    """Mean over windows of input (N, C, H, W) or (C, H, W): sum / count, or / divisor_override.

    The count is that of the window cut at the end of the padding, or without the padding if not
    count_include_pad.
    """
    if len(input._size) < 3:
        n = len(input._size)
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got -3)")
    numbers = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    result = small_average_pool(input, _avg_geometry, _average_windows[2], *numbers)
    return _avg_pool("avg_pool2d", 2, input, *numbers) if result is None else result


def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
) -> Tensor:
    """Mean over windows of input (N, C, D, H, W) or (C, D, H, W); as avg_pool2d."""
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


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
    kernel = _numbers("lp_pool2d", 2, "kernel_size", kernel_size)
    return _lp_pool(avg_pool2d, input, norm_type, kernel, stride, ceil_mode)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Tensor:
    """(sum over the window of x ** norm_type) ** (1 / norm_type) for input (N, C, D, H, W) or (C, D, H,
    W)."""
    kernel = _numbers("lp_pool3d", 3, "kernel_size", kernel_size)
    return _lp_pool(avg_pool3d, input, norm_type, kernel, stride, ceil_mode)


# -- adaptive pooling ----------------------------------------------------------------------------------------


def _adaptive_windows(function, dims, input, output_size, colon: str = "") -> Windows:
    if isinstance(output_size, (tuple, list)) and len(input._size) <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}, got {len(input._size)}")
    if len(input._size) not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{function}(): Expected {dims + 1}D or {dims + 2}D tensor, but got{colon} {list(input._size)}"
        )
    src = tuple(input._size[-dims:])
    for i in range(len(input._size) - dims, len(input._size)):
        if input._size[i] == 0:
            raise RuntimeError(
                f"{function}(): Expected input to have non-zero size for non-batch dimensions, but "
                "input has sizes "
                f"{list(input._size)} with dimension {i} being empty"
            )
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    if len(wanted) != dims:
        name = f"{function}:" if "avg" in function else f"{function}(): internal error:"
        size = "output_size" if "avg" in function else "output_size.size()"
        raise RuntimeError(f"{name} {size} must be {dims}")
    dst = integers(tuple(n if o is None else o for n, o in zip(src, wanted, strict=True)), function, "output_size")
    if any(n < 0 for n in dst):
        if "avg" in function:
            raise RuntimeError(
                f"{function}: elements of output_size must be greater than or equal to 0 but received "
                f"{{{', '.join(str(n) for n in dst)}}}"
            )
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(dst)}: {[*input._size[:-dims], *dst]}"
        )
    return Windows(src, dst, _kernels.adaptive_windows(triple(src, 1), triple(dst, 1)))


def _adaptive_avg_pool(function, dims, input, output_size) -> Tensor:
    windows = _adaptive_windows(function, dims, input, output_size)
    _supported(input, function, *_NOT_FLOATING)
    if windows.dst == (1,) * dims:
        return input.mean(tuple(range(-dims, 0)), keepdim=True)
    return _adaptive_average[dims](input, windows)


@op(method=False)
def adaptive_avg_pool1d(input, output_size) -> Tensor:
    """Mean over output_size bins of input (N, C, L) or (C, L); bin i is floor(i L / n) .. ceil((i + 1) L /
    n)."""
    _check_1d("adaptive_avg_pool1d", input)
    length = _one("adaptive_avg_pool1d", "output_size", output_size)
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, length)).squeeze(-2)


def adaptive_avg_pool2d(input, output_size) -> Tensor:
    """Mean over bins of input (N, C, H, W) or (C, H, W); a None in output_size keeps that dimension."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input, output_size) -> Tensor:
    """Mean over bins of input (N, C, D, H, W) or (C, D, H, W); a None in output_size keeps that dimension."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max_pool(function, dims, input, output_size):
    windows = _adaptive_windows(function, dims, input, output_size, colon=":")
    _supported(input, function, *_NOT_FLOATING)
    return _adaptive_max[dims](input, windows)


@op("adaptive_max_pool1d", method=False)
def adaptive_max_pool1d_with_indices(input, output_size, return_indices=False):
    """(maximum, index) over output_size bins of input (N, C, L) or (C, L)."""
    _check_1d("adaptive_max_pool1d", input)
    length = _one("adaptive_max_pool1d", "output_size", output_size)
    out, index = adaptive_max_pool2d_with_indices(input.unsqueeze(-2), (1, length))
    return out.squeeze(-2), index.squeeze(-2)


def adaptive_max_pool2d_with_indices(input, output_size, return_indices=False):
    """(maximum, index) over bins of input (N, C, H, W) or (C, H, W)."""
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size)


def adaptive_max_pool3d_with_indices(input, output_size, return_indices=False):
    """(maximum, index) over bins of input (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """Maximum over output_size bins of input (N, C, L) or (C, L); with return_indices also where it was."""
    both = adaptive_max_pool1d_with_indices(input, output_size)
    return both if return_indices else both[0]


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """Maximum over bins of input (N, C, H, W) or (C, H, W); with return_indices also where it was."""
    both = adaptive_max_pool2d_with_indices(input, output_size)
    return both if return_indices else both[0]


def adaptive_max_pool3d(input, output_size, return_indices=False):
    """Maximum over bins of input (N, C, D, H, W) or (C, D, H, W); with return_indices also where it was."""
    both = adaptive_max_pool3d_with_indices(input, output_size)
    return both if return_indices else both[0]


# -- unpooling -----------------------------------------------------------------------------------------------


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
            f"output_size should be a sequence containing {dims} or {dims + 2} elements, but it has a "
            "length of "
            f"'{len(output_size)}'"
        )
    for d, (size, n, s) in enumerate(zip(output_size, default, stride, strict=True)):
        if not n - s < size < n + s:
            raise ValueError(f'invalid output_size "{output_size}" (dim {d} must be between {n - s} and {n + s})')
    return output_size


def _max_unpool(dims, input, indices, kernel_size, stride, padding, output_size) -> Tensor:
    name = f"max_unpool{dims}d"
    kernel = _numbers(name, dims, "kernel_size", kernel_size)
    stride = _numbers(name, dims, "stride", stride, default=kernel)
    padding = _numbers(name, dims, "padding", padding)
    if len(input._size) not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Input to max_unpooling{dims}d should be a {dims + 1}d or {dims + 2}d Tensor, but got a "
            "tensor with "
            f"{len(input._size)} dimensions."
        )
    spatial = _unpool_size(input, dims, kernel, stride, padding, output_size)
    if indices._dtype is not _dtype.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices._dtype.type_name}")
    if indices._size != input._size:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input._size)}) "
            "but got indices "
            f"tensor with shape: {list(indices._size)}"
        )
    return _unpool[dims](input, indices, spatial)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
    """The inverse of max_pool1d as far as there is one: input (N, C, L) or (C, L) at `indices` of zeros."""
    kernel = _one("max_unpool1d", "kernel_size", kernel_size)
    step = kernel if stride is None or stride in ((), []) else _one("max_unpool1d", "stride", stride)
    pad = _one("max_unpool1d", "padding", padding)
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
    """The inverse of max_pool2d as far as there is one: input (N, C, H, W) or (C, H, W) at `indices` of
    zeros."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
    """The inverse of max_pool3d as far as there is one: input (N, C, D, H, W) or (C, D, H, W) at `indices` of
    zeros."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


# -- fractional max pooling ----------------------------------------------------------------------------------


def _fractional_primitive(name: str, node: str, dims: int):
    @primitive(name, node=node, save=("result1",), public=False)
    def fractional(input, kernel, dst, samples):
        """(maximum, its place) of windows of input (..., *src) placed by samples (planes, dims)."""
        out, index = _kernels.fractional_max_pool_forward(
            elements(input),
            _planes(input._size, dims),
            triple(input._size[-dims:], 1),
            triple(dst, 1),
            triple(kernel, 1),
            elements(samples),
        )
        size = (*input._size[:-dims], *dst)
        return result(out, size, input._dtype), wrap(index, size, _dtype.int64)

    fractional.derivative(input=lambda ctx, grad: add_at(grad, ctx.result1, tuple(ctx.input.shape[-dims:])))
    return fractional


_fractional_max = {
    2: _fractional_primitive("fractional_max2d", "FractionalMaxPool2DBackward0", 2),
    3: _fractional_primitive("fractional_max3d", "FractionalMaxPool3DBackward0", 3),
}


def _fractional_max_pool(dims, input, kernel_size, output_size, output_ratio, return_indices, samples):
    name = f"fractional_max_pool{dims}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    kernel = _numbers(name, dims, "kernel_size", kernel_size)
    if output_size is None:
        ratio = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
        if any(not 0 < r < 1 for r in ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        output_size = [int(n * r) for n, r in zip(input._size[-dims:], ratio, strict=True)]
    dst = _numbers(name, dims, "output_size", output_size)
    if len(input._size) not in (dims + 1, dims + 2) or 0 in input._size[-dims - 1 :]:
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor with non-empty dimensions other "
            "than batch size, "
            f"but got: {list(input._size)}"
        )
    _supported(input, name, *_NOT_FLOATING)
    for edge, n, o, k in zip(_EDGES[dims], input._size[-dims:], dst, kernel, strict=True):
        # torch leaves no room to spare in three dimensions
        if o < 1 or k < 1 or o + k - 1 > n - (dims == 3):
            edge = {"T": "time", "H": "height", "W": "width"}[edge]
            raise RuntimeError(
                f"{name}{'_out' if dims == 3 else ''}(): pool {edge} {k} too large relative to input {edge} {n}"
            )
    if samples is None:
        images = 1 if len(input._size) == dims + 1 else input._size[0]
        samples = FUNCTIONS[""]["rand"](images, input._size[-dims - 1], dims, dtype=input._dtype)
    elif len(input._size) == dims + 1:
        samples = samples[:1]
    both = _fractional_max[dims](input, kernel, dst, samples)
    return both if return_indices else both[0]


def fractional_max_pool2d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Maximum over randomly spaced windows of input (N, C, H, W) or (C, H, W), to output_size or by
    output_ratio."""
    return _fractional_max_pool(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Maximum over randomly spaced windows of input (N, C, D, H, W) or (C, D, H, W); as
    fractional_max_pool2d."""
    return _fractional_max_pool(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool2d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """(maximum, index) of fractional_max_pool2d."""
    return _fractional_max_pool(2, input, kernel_size, output_size, output_ratio, True, _random_samples)


def fractional_max_pool3d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """(maximum, index) of fractional_max_pool3d."""
    return _fractional_max_pool(3, input, kernel_size, output_size, output_ratio, True, _random_samples)
