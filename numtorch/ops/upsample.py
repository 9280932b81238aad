"""Resampling: interpolate in all its modes, and the shuffles that trade channels for pixels.

Each mode is a table: for every output position the source positions and weights of each dimension, built once
per shape (kernels/cpu/upsample.py has the sum). A mode and its gradient are one linear map and its transpose.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from numtorch.kernels.cpu import padding as _gather
from numtorch.kernels.cpu import upsample as _kernels
from numtorch.kernels.cpu.places import DTYPES, Places, fits, places_of, sum_planes

from .. import _dtype
from .._copy import contiguous
from .._primitive import primitive
from .._tensor import Tensor, wrap
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .spatial import elements, integers, plain, result, triple

# -- tables --------------------------------------------------------------------------------------------------


class Table(NamedTuple):
    """Source positions and weights of depth, height and width in turn, taps[i] for each of dst[i] outputs; src and dst with
    unit dimensions in front as `source` and `target`."""

    src: tuple
    dst: tuple
    source: tuple
    target: tuple
    taps: tuple
    place: np.ndarray
    weight: np.ndarray
    #: Of tables of one tap: the places of small planes, and those of the way back (padding.small_taking).
    small: Places | None
    small_back: Places | None


def _scale(real, n: int, out: int, factor: float | None, align_corners: bool):
    """Source positions per output position."""
    if align_corners:
        return real(n - 1) / real(out - 1) if out > 1 else real(0)
    return real(1.0 / factor) if factor is not None and factor > 0 else real(n) / real(out)


def _nearest(real, n, out, factor, align_corners):
    scale = _scale(real, n, out, factor, False)
    place = np.floor(np.arange(out).astype(real) * scale).astype(np.int64)
    return np.minimum(place, n - 1)[:, None], np.ones((out, 1), real)


def _nearest_exact(real, n, out, factor, align_corners):
    scale = _scale(real, n, out, factor, False)
    place = np.floor((np.arange(out).astype(real) + real(0.5)) * scale).astype(np.int64)
    return np.minimum(place, n - 1)[:, None], np.ones((out, 1), real)


def _source(real, n, out, factor, align_corners):
    scale, o = _scale(real, n, out, factor, align_corners), np.arange(out).astype(real)
    return scale * o if align_corners else scale * (o + real(0.5)) - real(0.5)


def _linear(real, n, out, factor, align_corners):
    """y = (1 - t) x[i] + t x[i + 1] between the two neighbours of the source position i + t."""
    source = np.maximum(_source(real, n, out, factor, align_corners), real(0))
    low = np.minimum(source.astype(np.int64), n - 1)
    t = np.clip(source - low.astype(real), real(0), real(1))
    return np.stack([low, np.minimum(low + 1, n - 1)], 1), np.stack([real(1) - t, t], 1)


def _cubic_inner(x, a):
    return ((a + 2) * x - (a + 3)) * x * x + 1


def _cubic_outer(x, a):
    return ((x - 5) * x + 8) * x * a - 4 * a


def _cubic(real, n, out, factor, align_corners):
    """Keys' cubic convolution over four neighbours, a = -0.75; neighbours outside repeat the edge."""
    source, a = _source(real, n, out, factor, align_corners), real(-0.75)
    low = np.minimum(np.floor(source).astype(np.int64), n - 1)
    t = np.clip(source - low.astype(real), real(0), real(1))
    u = real(1) - t
    weight = [_cubic_outer(t + 1, a), _cubic_inner(t, a), _cubic_inner(u, a), _cubic_outer(u + 1, a)]
    place = [np.clip(low + k, 0, n - 1) for k in (-1, 0, 1, 2)]
    return np.stack(place, 1), np.stack(weight, 1)


def _triangle(x):
    return np.maximum(1 - np.abs(x), 0)


def _keys(x):
    x = np.abs(x)
    a = x.dtype.type(-0.5)
    return np.where(x < 1, _cubic_inner(x, a), np.where(x < 2, _cubic_outer(x, a), 0))


def _lanczos(x):
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def _antialiased(kernel, radius: int):
    """A filter as wide as an output pixel: its `kernel` stretched by the scale where that shrinks."""

    def table(real, n, out, factor, align_corners):
        scale = _scale(real, n, out, factor, align_corners)
        stretch = max(scale, real(1))
        support = real(radius) * stretch
        center = scale * (np.arange(out).astype(real) + real(0.5))
        low = np.maximum((center - support + real(0.5)).astype(np.int64), 0)
        high = np.minimum((center + support + real(0.5)).astype(np.int64), n)
        taps = max(int((high - low).max()), 1)
        place = low[:, None] + np.arange(taps)
        x = (place.astype(real) - center[:, None] + real(0.5)) / stretch
        weight = np.where(place < high[:, None], kernel(x), 0).astype(real)
        total = weight.sum(1, keepdims=True)
        weight = np.divide(weight, total, out=weight, where=total != 0)
        return np.minimum(place, n - 1), weight

    return table


_TABLES = {
    "nearest": _nearest,
    "nearest-exact": _nearest_exact,
    "linear": _linear,
    "cubic": _cubic,
    "linear-aa": _antialiased(_triangle, 1),
    "cubic-aa": _antialiased(_keys, 2),
    "lanczos-aa": _antialiased(_lanczos, 3),
}


@lru_cache(maxsize=512)
def _table(kind: str, src: tuple, dst: tuple, factors: tuple, align_corners: bool, double: bool) -> Table:
    real = np.float64 if double else np.float32
    places, weights, taps = [], [], []
    for n, out, factor in zip(src, dst, factors, strict=True):
        place, weight = _TABLES[kind](real, n, out, factor, align_corners)
        places.append(place.reshape(-1))
        weights.append(weight.reshape(-1))
        taps.append(place.shape[1])
    front = 3 - len(src)
    places = [np.zeros(1, np.int64)] * front + places
    weights = [np.ones(1, real)] * front + weights
    source, target, taps = triple(src, 1), triple(dst, 1), (1,) * front + tuple(taps)
    place, small = np.concatenate(places), (None, None)
    if taps == (1, 1, 1):
        small = [_gather.small_taking(place, source, target, np.dtype(real), back) for back in (False, True)]
    return Table(src, dst, source, target, taps, place, np.concatenate(weights).astype(real, copy=False), *small)


# -- the maps ------------------------------------------------------------------------------------------------


def _resample_primitive(name: str, node: str):
    def resample(input, table):
        before = input._size[: len(input._size) - len(table.src)]
        planes, src, dst, size = math.prod(before), table.source, table.target, (*before, *table.dst)
        if table.taps == (1, 1, 1):
            flat = contiguous(input).flat()
            if table.small is not None and flat.dtype is table.weight.dtype:
                return wrap(sum_planes(flat, planes, table.small), size, input._dtype)
            return wrap(_gather.pad_forward(flat, planes, src, dst, table.place), size, input._dtype)
        if input._dtype is _dtype.uint8:
            x = elements(input, _dtype.float32)
            out = _kernels.interpolate_forward(x, planes, src, dst, table.taps, table.place, table.weight)
            return wrap(np.clip(np.floor(out + np.float32(0.5)), 0, 255).astype(np.uint8), size, _dtype.uint8)
        out = _kernels.interpolate_forward(elements(input), planes, src, dst, table.taps, table.place, table.weight)
        return result(out, size, input._dtype)

    resample.__doc__ = "The weighted sums of the module's formula over the last dimensions of `input`."
    resample = primitive(name, node=node, public=False)(resample)
    resample.derivative(input=lambda ctx, grad: spread_samples(grad, ctx.table))
    return resample


_NAMES = {
    ("nearest", 1): "UpsampleNearest1D",
    ("nearest", 2): "UpsampleNearest2D",
    ("nearest", 3): "UpsampleNearest3D",
    ("nearest-exact", 1): "UpsampleNearestExact1D",
    ("nearest-exact", 2): "UpsampleNearestExact2D",
    ("nearest-exact", 3): "UpsampleNearestExact3D",
    ("linear", 1): "UpsampleLinear1D",
    ("linear", 2): "UpsampleBilinear2D",
    ("linear", 3): "UpsampleTrilinear3D",
    ("cubic", 2): "UpsampleBicubic2D",
    ("linear-aa", 2): "UpsampleBilinear2DAa",
    ("cubic-aa", 2): "UpsampleBicubic2DAa",
    ("lanczos-aa", 2): "UpsampleLanczos2DAa",
}
_RESAMPLE = {
    (kind, dims): _resample_primitive(f"upsample_{kind.replace('-', '_')}{dims}d", node + "Backward0")
    for (kind, dims), node in _NAMES.items()
}


@primitive("spread_samples", node="UpsampleBackwardBackward0", public=False)
def spread_samples(grad_output, table) -> Tensor:
    """The transpose of a resampling: every element of grad_output goes back, weighted, to where it was sampled."""
    before = grad_output._size[: len(grad_output._size) - len(table.src)]
    planes, src, dst = math.prod(before), table.source, table.target
    grad = elements(grad_output)
    if table.taps != (1, 1, 1):
        out = _kernels.interpolate_backward(grad, planes, src, dst, table.taps, table.place, table.weight)
    elif table.small_back is not None and grad.dtype is table.weight.dtype:
        out = sum_planes(grad, planes, table.small_back)
    else:
        out = _gather.pad_backward(grad, planes, src, dst, table.place)
    return result(out, (*before, *table.src), grad_output._dtype)


spread_samples.derivative(grad_output=lambda ctx, grad: _RESAMPLE["linear", len(ctx.table.src)](grad, ctx.table))

# -- interpolate ---------------------------------------------------------------------------------------------

_MODES = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact"
_DIMENSIONS = {"linear": 1, "bilinear": 2, "trilinear": 3}
_KINDS = {
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "bicubic": "cubic",
    "lanczos": "lanczos",
}
_EDGES = {1: ("W",), 2: ("H", "W"), 3: ("D", "H", "W")}


def _per_dimension(value, dims: int, spatial, name: str, given: str, letters: str):
    if not isinstance(value, (tuple, list)):
        return (value,) * dims
    if len(value) != dims:
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input with spatial dimensions "
            f"of {list(spatial)} and {given} of {'shape ' if letters == 's' else 'size '}{value}. Please provide input "
            f"tensor in (N, C, d1, d2, ...,dK) format and {given} in ({letters}1, {letters}2, ...,{letters}K) format."
        )
    return tuple(value)


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resample input (N, C, *spatial) of one to three spatial dimensions to `size`, or by `scale_factor`.

    mode: nearest, nearest-exact, linear (3-d input), bilinear, bicubic, lanczos (4-d), trilinear (5-d) or
    area. Position o comes from scale (o + 0.5) - 0.5, or with align_corners from o (n - 1) / (out - 1); the
    scale is 1 / scale_factor as given, or n / out with recompute_scale_factor or an explicit size.
    """
    given = input._size, input._dtype, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
    kept = plain(size) and plain(scale_factor, (int, float))
    resample, way = (_resampling if kept else _resampling.__wrapped__)(*given)
    return resample(input, way)


@lru_cache(maxsize=1024, typed=True)
def _resampling(input_size, d, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias):
    """What interpolate does after torch's checks: (resampling, its table), or for mode "area" (pooling, its size)."""
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                "trilinear"
            )
    elif align_corners is None:
        align_corners = False
    spatial = tuple(input_size[2:])
    dims = len(spatial)
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    factors = (None,) * dims
    if size is not None:
        size = _per_dimension(size, dims, spatial, "output", "output size", "o")
        size = integers(size, "interpolate", "size")
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    else:
        factors = _per_dimension(scale_factor, dims, spatial, "scale_factor", "scale_factor", "s")
        size = tuple([int(np.floor(float(n) * float(f))) for n, f in zip(spatial, factors, strict=True)])
        if recompute_scale_factor or mode == "area":
            factors = (None,) * dims
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and dims == 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    if not _exists(mode, dims):
        if mode in _DIMENSIONS and 1 <= dims <= 3:
            raise NotImplementedError(f"Got {dims + 2}D input, but {mode} mode needs {_DIMENSIONS[mode] + 2}D input")
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {len(input_size)}D) for the modes: "
            f"{_MODES} (got {mode})"
        )
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dims - 1], size if dims > 1 else size[0]
    if mode == "lanczos" and not antialias:
        raise ValueError("lanczos mode is only supported with antialias=True")
    _check_sizes(input_size, spatial, size)
    kind = _KINDS.get(mode, mode) + ("-aa" if antialias else "")
    _check_dtype(d, mode, dims)
    double = d is _dtype.float64
    table = _table(
        kind, spatial, size, tuple(f if f is None else float(f) for f in factors), bool(align_corners), double
    )
    return _RESAMPLE[kind, dims], table


def _exists(mode: str, dims: int) -> bool:
    if mode in ("nearest", "nearest-exact", "area"):
        return 1 <= dims <= 3
    if mode in ("bicubic", "lanczos"):
        return dims == 2
    return _DIMENSIONS.get(mode) == dims


def _check_sizes(input_size, spatial, size) -> None:
    dims = len(spatial)
    if min(spatial) <= 0 or min(size) <= 0:
        before, after = (", ".join(f"{e}: {n}" for e, n in zip(_EDGES[dims], s, strict=True)) for s in (spatial, size))
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({before}) output ({after})"
        )
    if input_size[1] == 0:
        raise RuntimeError(f"Non-empty {dims + 2}D data tensor expected but got a tensor with sizes {list(input_size)}")


def _check_dtype(d: _dtype.dtype, mode: str, dims: int) -> None:
    if d.category == _dtype.FLOATING or (d is _dtype.uint8 and (mode != "lanczos")):
        return
    name = f"upsample_{mode.replace('-', '_')}{dims if mode.startswith('nearest') else ''}d"
    name = name if mode.startswith("nearest") else f"upsample_{mode}{dims}d"
    raise NotImplementedError(f"\"{name}_channels_last\" not implemented for '{d.type_name}'")


def upsample(input, size=None, scale_factor=None, mode: str = "nearest", align_corners: bool | None = None) -> Tensor:
    """interpolate under its former name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None) -> Tensor:
    """interpolate with mode nearest."""
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None) -> Tensor:
    """interpolate with mode bilinear and align_corners."""
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# -- shuffles ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _shuffled_places(split: tuple, order: tuple, dtype) -> Places | None:
    """The table of the places at which a permutation of small planes finds their elements."""
    count = math.prod(split)
    if dtype not in DTYPES or not fits(1, count, count):
        return None
    return places_of(np.arange(count).reshape(split).transpose(order).reshape(1, -1), count, dtype.itemsize)


def _rearranged(t: Tensor, split, order, size) -> Tensor:
    """A fresh tensor of `size` with the elements of t.reshape(split).permute(order)."""
    flat, n = t._flat, max(len(split) - 4, 0)
    if flat is not None and order[:n] == tuple(range(n)):  # planes of four dimensions
        places = _shuffled_places(split[n:], tuple([o - n for o in order[n:]]), flat.dtype)
        if places is not None:
            return wrap(sum_planes(flat, math.prod(split[:n]), places), size, t._dtype)
    values = t._nd().reshape(split).transpose(order)
    return wrap(np.ascontiguousarray(values).reshape(-1), size, t._dtype)


@primitive(node="PixelShuffleBackward0", method=False)
def pixel_shuffle(input, upscale_factor: int) -> Tensor:
    """(..., C r r, H, W) -> (..., C, H r, W r): out[c, h r + i, w r + j] = input[(c r + i) r + j, h, w]."""
    r = upscale_factor
    if len(input._size) < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {len(input._size)} "
            "dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *batch, channels, height, width = input._size
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    n, c = len(batch), channels // (r * r)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return _rearranged(input, (*batch, c, r, r, height, width), order, (*batch, c, height * r, width * r))


@primitive(node="PixelUnshuffleBackward0", method=False)
def pixel_unshuffle(input, downscale_factor: int) -> Tensor:
    """(..., C, H r, W r) -> (..., C r r, H, W): the inverse of pixel_shuffle."""
    r = downscale_factor
    if len(input._size) < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {len(input._size)} "
            "dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *batch, c, height, width = input._size
    for name, dim, n in (("height", -2, height), ("width", -1, width)):
        if n % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({dim})={n} is not "
                f"divisible by {r}"
            )
    n = len(batch)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    split = (*batch, c, height // r, r, width // r, r)
    return _rearranged(input, split, order, (*batch, c * r * r, height // r, width // r))


pixel_shuffle.derivative(input=lambda ctx, grad: pixel_unshuffle(grad, ctx.upscale_factor))
pixel_unshuffle.derivative(input=lambda ctx, grad: pixel_shuffle(grad, ctx.downscale_factor))


@primitive(node="ChannelShuffleBackward0", method=False, aliases=("native_channel_shuffle",))
def channel_shuffle(input, groups: int) -> Tensor:
    """(N, C, ...): channel g (C / groups) + i becomes channel i groups + g."""
    size = input._size
    if len(size) <= 2:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(size)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    if size[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {size[1]} channels and {groups} groups."
        )
    order = (0, 2, 1, *range(3, len(size) + 1))
    return _rearranged(input, (size[0], groups, size[1] // groups, *size[2:]), order, size)


channel_shuffle.derivative(
    input=lambda ctx, grad: channel_shuffle(grad, ctx.input.shape[1] // ctx.groups if ctx.input.shape[1] else 1)
)
