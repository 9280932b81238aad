"""Fractional max pooling (Graham, 2014): maxima over windows at pseudo-random distances."""

from __future__ import annotations

from numtorch.kernels.cpu import pooling as _kernels

from .. import _dtype
from .._primitive import primitive
from .._registry import FUNCTIONS
from .._tensor import Tensor, wrap
from .pooling_maps import add_at, planes_of
from .pooling_windows import EDGES, NOT_FLOATING, check_dtype, numbers_of
from .spatial import elements, result, triple


def _fractional_primitive(name: str, node: str, dims: int):
    @primitive(name, node=node, save=("result1",), public=False)
    def fractional(input, kernel, dst, samples):
        """(maximum, its place) of windows of input (..., *src) placed by samples (planes, dims)."""
        out, index = _kernels.fractional_max_pool_forward(
            elements(input),
            planes_of(input._size, dims),
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


def _checked_samples(samples: Tensor, input: Tensor, dims: int) -> Tensor:
    """Samples (images, channels, dims) as many as there are images; RuntimeError where they do not fit the input."""
    if samples._dtype is not input._dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    if len(samples._size) != 3:
        raise RuntimeError(f"Expect _random_samples to have 3 dimensions, got {len(samples._size)}")
    images = 1 if len(input._size) == dims + 1 else input._size[0]
    if samples._size[0] < images:
        raise RuntimeError("Expect _random_samples.size(0) no less then input batch size.")
    if samples._size[1] != input._size[-dims - 1]:
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    if samples._size[2] != dims:
        raise RuntimeError(f"Expect _random_samples.size(2) equals to {dims} got {samples._size[2]}.")
    return samples[:images]


def _fractional_max_pool(dims, input, kernel_size, output_size, output_ratio, return_indices, samples):
    name = f"fractional_max_pool{dims}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    kernel = numbers_of(name, dims, "kernel_size", kernel_size)
    if output_size is None:
        ratio = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
        if any(not 0 < r < 1 for r in ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        output_size = [int(n * r) for n, r in zip(input._size[-dims:], ratio, strict=True)]
    dst = numbers_of(name, dims, "output_size", output_size)
    if len(input._size) not in (dims + 1, dims + 2) or 0 in input._size[-dims - 1 :]:
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor with non-empty dimensions other "
            "than batch size, "
            f"but got: {list(input._size)}"
        )
    check_dtype(input, name, *NOT_FLOATING)
    for edge, n, o, k in zip(EDGES[dims], input._size[-dims:], dst, kernel, strict=True):
        # torch leaves no room to spare in three dimensions
        if o < 1 or k < 1 or o + k - 1 > n - (dims == 3):
            edge = {"T": "time", "H": "height", "W": "width"}[edge]
            raise RuntimeError(
                f"{name}{'_out' if dims == 3 else ''}(): pool {edge} {k} too large relative to input {edge} {n}"
            )
    if samples is None:
        images = 1 if len(input._size) == dims + 1 else input._size[0]
        samples = FUNCTIONS[""]["rand"](images, input._size[-dims - 1], dims, dtype=input._dtype)
    else:
        samples = _checked_samples(samples, input, dims)
    both = _fractional_max[dims](input, kernel, dst, samples)
    return both if return_indices else both[0]


def fractional_max_pool2d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over randomly spaced windows of input (N, C, H, W) or (C, H, W), to output_size or by
    output_ratio."""
    return _fractional_max_pool(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
) -> Tensor | tuple[Tensor, Tensor]:
    """Maximum over randomly spaced windows of input (N, C, D, H, W) or (C, D, H, W); as
    fractional_max_pool2d."""
    return _fractional_max_pool(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool2d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
) -> tuple[Tensor, Tensor]:
    """(maximum, index) of fractional_max_pool2d."""
    return _fractional_max_pool(2, input, kernel_size, output_size, output_ratio, True, _random_samples)


def fractional_max_pool3d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
) -> tuple[Tensor, Tensor]:
    """(maximum, index) of fractional_max_pool3d."""
    return _fractional_max_pool(3, input, kernel_size, output_size, output_ratio, True, _random_samples)
