"""Sampling images at points: grid_sample, and affine_grid, which makes the points of an affine transform."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

import numpy as np

from numtorch.kernels.cpu import grid_coordinates as _coordinates
from numtorch.kernels.cpu import grid_sample as _kernels

from .. import _dtype
from .._copy import cast
from .._primitive import primitive
from .._registry import op
from .._tensor import Tensor, wrap
from .reducing import check_cpu
from .spatial import compute_dtype, elements, integers, result, triple

_MODES = {"bilinear": _kernels.BILINEAR, "nearest": _kernels.NEAREST, "bicubic": _kernels.BICUBIC}
_PADDINGS = {"zeros": _coordinates.ZEROS, "border": _coordinates.BORDER, "reflection": _coordinates.REFLECTION}


@lru_cache(maxsize=1024)
def _geometry(input_size, grid_size):
    """What the kernels take of the sizes: images, channels, points, dims, src."""
    dims = len(input_size) - 2
    return input_size[0], input_size[1], math.prod(grid_size[1:-1]), dims, triple(input_size[2:], 1)


def _sampler(dims: int):
    name = f"grid_sampler_{dims}d"

    @primitive(name, node=f"GridSampler{dims}DBackward0", save=("input", "grid"), method=False)
    def sampler(input, grid, interpolation_mode: int, padding_mode: int, align_corners: bool):
        """input (N, C, *src) at the points grid (N, *dst, dims), coordinates in [-1, 1]: (N, C, *dst)."""
        at, own = input._flat, input._dtype
        if at is not None and grid._flat is not None and grid._dtype is own and own.np is own.compute:
            points = grid._flat
        else:
            at, points = elements(input), elements(grid, compute_dtype(own))
        out = _kernels.grid_sample_forward(
            at,
            points,
            *_geometry(input._size, grid._size),
            interpolation_mode,
            padding_mode,
            bool(align_corners),
        )
        return result(out, (*input._size[:2], *grid._size[1:-1]), input._dtype)

    @primitive(name + "_backward", node=f"GridSampler{dims}DBackwardBackward0", public=False)
    def sampler_backward(grad_output, input, grid, interpolation_mode, padding_mode, align_corners, needs):
        """The gradients with respect to input and grid, each None where `needs` says so."""
        d = compute_dtype(input._dtype)
        found = _kernels.grid_sample_backward(
            elements(grad_output, d),
            elements(input),
            elements(grid, d),
            *_geometry(input._size, grid._size),
            interpolation_mode,
            padding_mode,
            bool(align_corners),
            *needs,
        )
        return tuple(
            [
                result(g, t._size, t._dtype) if need else None
                for g, t, need in zip(found, (input, grid), needs, strict=True)
            ]
        )

    sampler.derivative_of("input", "grid")
    sampler_backward.derivative_of("grad_output", "input", "grid")

    @sampler.backward
    def _(ctx, grad):
        needs = (ctx.needs("input"), ctx.needs("grid"))
        by_input, by_grid = sampler_backward(
            grad, ctx.input, ctx.grid, ctx.interpolation_mode, ctx.padding_mode, ctx.align_corners, needs
        )
        return {"input": by_input, "grid": by_grid}

    @sampler_backward.backward
    def _(ctx, *grads):
        raise RuntimeError(f"derivative for aten::{name}_backward is not implemented")

    return sampler


_SAMPLERS = {2: _sampler(2), 3: _sampler(3)}


@lru_cache(maxsize=1024)
def _check(input_size, grid_size, d: _dtype.dtype, grid_dtype: _dtype.dtype, interpolation_mode: int) -> None:
    """torch's checks of sizes and dtypes; remembered where they pass."""
    size, points = list(input_size), list(grid_size)
    dims = len(size) - 2
    if len(size) < 2 or size[0] != points[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{size} and grid with sizes {points}"
        )
    if points[-1] != dims:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {dims} in last dimension, but got grid with sizes {points}"
        )
    for i in range(2, len(size)):
        if size[i] == 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{size} with dimension {i} being empty"
            )
    if dims not in (2, 3) or len(points) != len(size):
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{size} and grid with sizes {points}"
        )
    if dims == 3 and interpolation_mode == _kernels.BICUBIC:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if d is not grid_dtype:
        raise RuntimeError(f"expected scalar type {d.type_name} but found {grid_dtype.type_name}")
    if d.category != _dtype.FLOATING:
        raise NotImplementedError(f"\"grid_sampler_{dims}d_cpu\" not implemented for '{d.type_name}'")


@op(method=False)
def grid_sampler(input, grid, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:
    """grid_sample with its modes as numbers: bilinear, nearest, bicubic; zeros, border, reflection."""
    _check(input._size, grid._size, input._dtype, grid._dtype, interpolation_mode)
    return _SAMPLERS[len(input._size) - 2](input, grid, interpolation_mode, padding_mode, align_corners)


def _corners(align_corners: bool | None) -> bool:
    """Whether -1 and 1 are the centres of the edge pixels; told as torch tells where the caller has not said."""
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
            "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.",
            stacklevel=3,
        )
    return bool(align_corners)


def grid_sample(
    input, grid, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """input (N, C, H, W) at the points grid (N, H', W', 2) of (x, y) in [-1, 1], or in three dimensions (N,
    D', H', W', 3).

    -1 and 1 are the centres of the edge pixels with align_corners, else their outer borders.
    """
    if mode not in _MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    align_corners = _corners(align_corners)
    return grid_sampler(input, grid, _MODES[mode], _PADDINGS[padding_mode], align_corners)


def _base_points(spatial, d: _dtype.dtype, align_corners: bool) -> Tensor:
    """(1, points, dims + 1): x, y, (z,) 1 of every point of a regular grid over [-1, 1]."""
    rank = len(spatial)
    points = np.empty((*spatial, rank + 1), np.float32 if d is _dtype.float32 else np.float64)
    for i, n in enumerate(spatial):
        points[..., rank - 1 - i] = _line(n, align_corners).reshape(n, *(1,) * (rank - 1 - i))
    points[..., rank] = 1
    wide = _dtype.FROM_NUMPY[points.dtype]
    return cast(wrap(points.reshape(-1), (1, points.size // (rank + 1), rank + 1), wide), d)


@lru_cache(maxsize=256)
def _line(n: int, align_corners: bool) -> np.ndarray:
    """n points over [-1, 1]: from its ends, or in the middle of n equal parts."""
    line = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
    return line if align_corners or n == 1 else line * (n - 1) / n


@primitive(node="AffineGridGeneratorBackward0", method=False)
def affine_grid_generator(theta, size, align_corners: bool) -> Tensor:
    """Points (N, *spatial, dims) of a regular grid after the affine transforms theta (N, dims, dims + 1)."""
    check_cpu(theta, "affine_grid_generator")
    spatial = tuple(size[2:])
    base = _base_points(spatial, theta._dtype, align_corners)
    out = base.expand(theta._size[0], -1, -1).bmm(theta.detach().transpose(1, 2))
    return out.view(theta._size[0], *spatial, len(spatial))


def _theta_rule(ctx, grad):
    spatial = tuple(ctx.size[2:])
    base = _base_points(spatial, grad.dtype, ctx.align_corners)
    images = grad.shape[0]
    flat = grad.reshape(images, -1, len(spatial))
    return flat.transpose(1, 2).bmm(base.expand(images, -1, -1))


affine_grid_generator.derivative(theta=_theta_rule)


def affine_grid(theta, size, align_corners: bool | None = None) -> Tensor:
    """The grid for grid_sample of an output `size` (N, C, H, W) or (N, C, D, H, W) under theta (N, 2, 3) or
    (N, 3, 4)."""
    align_corners = _corners(align_corners)
    if theta._dtype.category != _dtype.FLOATING:
        raise ValueError(f"Expected theta to have floating point type, but got {theta._dtype}")
    dims = len(size) - 2
    if dims not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{size}."
        )
    if len(theta._size) != 3 or tuple(theta._size[1:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. Got "
            f"{theta._size}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if theta._size[0] != size[0]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{size[0]}, {dims + 1}] but got: [{theta._size[0]}, {dims + 1}]."
        )
    return affine_grid_generator(theta, integers(tuple(size), "affine_grid", "size"), align_corners)
