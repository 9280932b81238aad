"""The maps of pooling: two pairs that are each other's gradients, differentiable to any order.

    average over windows    <->  share a gradient out over windows
    take at indices         <->  add at indices                      (maxima: the indices are those of the largest elements)

Each works on a table of windows (kernels/cpu/pooling.py), which pooling_windows.py makes. Shapes: (..., *src) to (..., *dst).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from numtorch.kernels.cpu import pooling as _kernels

from .. import _dtype
from .._allocator import empty
from .._device import cpu
from .._primitive import primitive
from .._size import Size
from .._tensor import Tensor, wrap
from .spatial import elements, result, triple


@lru_cache(maxsize=1024)
def _pooled_size(size: tuple[int, ...], dst: tuple[int, ...]) -> Size:
    return Size((*size[: len(size) - len(dst)], *dst))


@lru_cache(maxsize=1024)
def planes_of(size, dims: int) -> int:
    return math.prod(size[: len(size) - dims])


def _check_gradient(grad, name: str) -> None:
    """RuntimeError for a gradient without elements in a dimension behind the first: adaptive pooling refuses it."""
    for i, n in enumerate(grad._size):
        if n == 0 and i > 0:
            raise RuntimeError(
                f"{name}_backward(): Expected grad_output to have non-zero size for non-batch dimensions, but grad_output "
                f"has sizes {list(grad._size)} with dimension {i} being empty"
            )


# -- averages ------------------------------------------------------------------------------------------------


def _average_primitive(name: str, node: str, dims: int):
    def average(input, windows):
        if input._device is not cpu:
            from ..cuda._pooling import average_pool

            return average_pool(input, windows, Size((*input._size[:-dims], *windows.dst)))
        out = _kernels.average_pool_forward(
            elements(input),
            planes_of(input._size, dims),
            triple(windows.src, 1),
            triple(windows.dst, 1),
            windows.table,
            windows.divisor,
            empty,
            windows.kept,
        )
        return result(out, _pooled_size(input._size, windows.dst), input._dtype)

    average.__doc__ = f"Mean of every window of an input (..., *src) over {dims} dimensions: (..., *dst)."
    average = primitive(name, node=node, public=False)(average)

    def rule(ctx, grad):
        if node.startswith("Adaptive"):
            _check_gradient(grad, f"adaptive_avg_pool{dims}d")
        return share_out(grad, ctx.windows)

    average.derivative(input=rule)
    return average


AVERAGE = {
    2: _average_primitive("average_windows2d", "AvgPool2DBackward0", 2),
    3: _average_primitive("average_windows3d", "AvgPool3DBackward0", 3),
}
ADAPTIVE_AVERAGE = {
    2: _average_primitive("adaptive_average2d", "AdaptiveAvgPool2DBackward0", 2),
    3: _average_primitive("adaptive_average3d", "AdaptiveAvgPool3DBackward0", 3),
}


@primitive("share_out", node="AvgPoolBackwardBackward0", public=False)
def share_out(grad_output, windows) -> Tensor:
    """The gradient of an average: every element of grad_output (..., *dst), divided by its count, added over
    its window."""
    dims = len(windows.src)
    if grad_output._device is not cpu:
        from ..cuda._pooling import share_out as on_cuda

        return on_cuda(grad_output, windows, Size((*grad_output._size[:-dims], *windows.src)))
    out = _kernels.average_pool_backward(
        elements(grad_output),
        planes_of(grad_output._size, dims),
        triple(windows.src, 1),
        triple(windows.dst, 1),
        windows.table,
        windows.divisor,
        empty,
        windows.kept,
    )
    return result(out, (*grad_output._size[:-dims], *windows.src), grad_output._dtype)


share_out.derivative(grad_output=lambda ctx, grad: AVERAGE[len(ctx.windows.src)](grad, ctx.windows))

# -- maxima --------------------------------------------------------------------------------------------------


def _maxima(input, windows, places: bool):
    """The arrays of maxima and of their places, which are not looked for without `places`."""
    out, index = _kernels.max_pool_forward(
        elements(input),
        planes_of(input._size, len(windows.src)),
        triple(windows.src, 1),
        triple(windows.dst, 1),
        triple(windows.step, 1),
        windows.table,
        empty,
        windows.kept,
        places,
    )
    if windows.empty is not None:
        lowest = -np.inf if out.dtype.kind == "f" else np.iinfo(out.dtype).min
        out.reshape(-1, *windows.empty.shape)[:, windows.empty] = lowest
    return out, index


def maxima_alone(input, windows) -> Tensor:
    """The maximum of every window of an input on the CPU that no graph records: their places are not needed."""
    return result(_maxima(input, windows, False)[0], _pooled_size(input._size, windows.dst), input._dtype)


def _max_primitive(name: str, node: str, dims: int):
    def maximum(input, windows):
        if input._device is not cpu:
            from ..cuda._pooling import max_pool

            return max_pool(input, windows, Size((*input._size[:-dims], *windows.dst)))
        out, index = _maxima(input, windows, True)
        size = _pooled_size(input._size, windows.dst)
        return result(out, size, input._dtype), wrap(index, size, _dtype.int64)

    maximum.__doc__ = f"(maximum, its place) of every window of an input (..., *src) over {dims} dimensions."
    maximum = primitive(name, node=node, save=("result1",), public=False)(maximum)

    def rule(ctx, grad):
        if node.startswith("Adaptive"):
            _check_gradient(grad, f"adaptive_max_pool{dims}d")
        return add_at(grad, ctx.result1, ctx.windows.src)

    maximum.derivative(input=rule)
    return maximum


MAXIMUM = {
    2: _max_primitive("max_windows2d", "MaxPool2DWithIndicesBackward0", 2),
    3: _max_primitive("max_windows3d", "MaxPool3DWithIndicesBackward0", 3),
}
ADAPTIVE_MAXIMUM = {
    2: _max_primitive("adaptive_max2d", "AdaptiveMaxPool2DBackward0", 2),
    3: _max_primitive("adaptive_max3d", "AdaptiveMaxPool3DBackward0", 3),
}


def _by_index(kernel, value, index, spatial, count_of: int, size, *flags):
    """Run place_by_index or take_by_index; RuntimeError for an index outside of the plane."""
    if value._device is not cpu or index._device is not cpu:
        return _by_index_on_cuda(kernel, value, index, spatial, count_of, size, *flags)
    dims = len(spatial)
    planes = planes_of(index._size, dims)
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
def add_at(value, index, spatial) -> Tensor:
    """Zeros (..., *spatial) with value (..., *dst) added at index (..., *dst), the places in the flattened plane."""
    size = (*index._size[: -len(spatial)], *spatial)
    return _by_index(_kernels.place_by_index, value, index, spatial, math.prod(spatial), size, True, empty)


@primitive("take_at", node="MaxUnpoolBackwardBackward0", save=("index",), public=False)
def take_at(value, index, spatial) -> Tensor:
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


UNPOOL = {
    2: _unpool_primitive("max_unpool_planes2d", "MaxUnpool2DBackward0"),
    3: _unpool_primitive("max_unpool_planes3d", "MaxUnpool3DBackward0"),
}
