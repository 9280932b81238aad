"""Counting into bins: bincount, histc, histogram, histogramdd."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.compiler import jit

from .. import _dtype, return_types
from .._dtype import FLOATING, INTEGRAL, int64
from .._registry import op
from .._tensor import Tensor, wrap
from .reducing import check_cpu, elements
from .searching import places_behind


@jit
def _add_at(bins, places, weights):
    """bins[places[i]] += weights[i], or 1 where there are no weights; places outside are skipped."""
    one = bins.dtype.type(1)
    for i in range(len(places)):
        p = places[i]
        if 0 <= p < len(bins):
            bins[p] += weights[i] if len(weights) > 0 else one


@jit
def _greatest(places):
    """The greatest of the places, -1 if there are none, or -2 if one is negative."""
    top, signs = np.int64(-1), np.int64(0)
    for i in range(places.size):
        top = max(top, places[i])
        signs |= places[i]
    return np.int64(-2) if signs < 0 else top


@jit
def _count_at(bins, places):
    """bins[places[i]] += 1 for places within."""
    for i in range(places.size):
        bins[np.uint64(places[i])] += 1


@op()
def bincount(input, weights=None, minlength=0) -> Tensor:
    """How often (or with what total weight) each of 0, 1, 2... occurs in a 1-d tensor of them."""
    check_cpu(input, "bincount")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if input._dtype.category != INTEGRAL:
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{input._dtype.type_name}'")
    places, greatest = None, -2
    if len(input._size) == 1:
        places = input._flat
        if places is None or input._dtype is not int64:
            places = elements(input.detach().to(int64))
        greatest = _greatest(places)
    if greatest == -2:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and (weights.ndim != 1 or weights.numel() != input.numel()):
        raise RuntimeError("weights should be 1-d and have the same length as input")
    length = max(minlength, greatest + 1)
    if weights is None:
        bins = np.zeros(length, np.int64)
        _count_at(bins, places)
        return wrap(bins, (length,), int64)
    d = weights._dtype if weights._dtype in (_dtype.float32, _dtype.float64) else _dtype.float64
    bins = np.zeros(length, d.np)
    _add_at(bins, places, elements(weights.detach().to(d)))
    return wrap(bins, (length,), d)


def _check_range(low, high, name: str) -> None:
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min")


def _range_of(flat, low, high, name: str, margin: float):
    """The outer edges: as given, or the extremes of the data; widened where they coincide."""
    if low == high and flat.size:
        low, high = float(flat.min()), float(flat.max())
    _check_range(low, high, name)
    return (low - margin, high + margin) if low == high else (low, high)


@op(out=True)
def histc(input, bins=100, min=0, max=0) -> Tensor:
    """Counts in `bins` bins of equal width between min and max (both 0: the extremes of the data)."""
    check_cpu(input, "histc")
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    if input._dtype.category < FLOATING:
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{input._dtype.type_name}'")
    flat = elements(input.detach())
    low, high = _range_of(flat, min, max, "torch.histc", 1.0)
    counts = np.zeros(bins, flat.dtype)
    inside = flat[(flat >= low) & (flat <= high)]
    places = ((inside - flat.dtype.type(low)) * bins / flat.dtype.type(high - low)).astype(np.int64)
    np.minimum(places, bins - 1, out=places)
    _add_at(counts, places, counts[:0])
    return (
        wrap(counts, (bins,), input._dtype)
        if counts.dtype == input._dtype.np
        else wrap(counts, (bins,), _dtype.float32).to(input._dtype)
    )


def _places_in(values, edges):
    """Which bin each value falls in (-1 for none); the last bin holds its right edge too."""
    places = places_behind(edges, values) - 1
    places[values == edges[-1]] = len(edges) - 2
    places[(values < edges[0]) | (values > edges[-1]) | np.isnan(values)] = -1
    return places


def _edges(flat, bins, given, name: str, d) -> np.ndarray:
    if isinstance(bins, Tensor):
        return elements(bins.detach())
    low, high = (float(given[0]), float(given[1])) if given is not None else (0.0, 0.0)
    if given is None and flat.size == 0:
        low, high = 0.0, 1.0
    elif given is not None and low == high:
        _check_range(low, high, name)
        low, high = low - 0.5, high + 0.5
    else:
        low, high = _range_of(flat, low, high, name, 0.5)
    # torch.linspace: counted from the nearer end
    step = (d.type(high) - d.type(low)) / d.type(bins)
    i = np.arange(bins + 1)
    return np.where(i < (bins + 1) // 2, low + step * i, high - step * (bins - i)).astype(d)


def _binned(points: np.ndarray, edges: list[np.ndarray], weights, density: bool) -> np.ndarray:
    """Counts (or densities) of points (N, D) in the grid of edges."""
    shape = tuple(len(e) - 1 for e in edges)
    place = np.zeros(len(points), np.int64)
    outside = np.zeros(len(points), bool)
    for k, e in enumerate(edges):
        p = _places_in(np.ascontiguousarray(points[:, k]), e)
        outside |= p < 0
        place = place * shape[k] + p
    place[outside] = -1
    counts = np.zeros(int(np.prod(shape)), points.dtype)
    _add_at(counts, place, counts[:0] if weights is None else weights)
    if density:
        volume = np.ones((), points.dtype)
        for e in edges:
            volume = volume[..., None] * np.diff(e)
        counts = counts / counts.sum() / volume.reshape(-1)
    return counts


def _check_histogram(input, weight, name: str) -> None:
    check_cpu(input, name)
    if input._dtype not in (_dtype.float32, _dtype.float64):
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{input._dtype.type_name}'")
    if weight is not None and weight._dtype is not input._dtype:
        raise RuntimeError(
            f"{name}(): if weight tensor is provided, input tensor and weight tensor should have the same dtype, but "
            f"got input({input._dtype.type_name}), and weight({weight._dtype.type_name})"
        )


@op(out=True)
def histogram(input, bins, *, range=None, weight=None, density=False) -> tuple[Tensor, Tensor]:
    """(hist, bin_edges): counts, weights or densities in bins of equal width or between the given edges."""
    _check_histogram(input, weight, "histogram")
    flat = elements(input.detach()).reshape(-1)
    edges = _edges(flat, bins, range, "torch.histogram", flat.dtype)
    weights = None if weight is None else elements(weight.detach())
    counts = _binned(flat[:, None], [edges], weights, density)
    return return_types.histogram(
        wrap(counts.astype(flat.dtype), (len(counts),), input._dtype),
        wrap(edges.copy(), (len(edges),), input._dtype),
    )


@op(method=False)
def histogramdd(input, bins, *, range=None, weight=None, density=False) -> tuple[Tensor, tuple[Tensor, ...]]:
    """(hist, bin_edges) of points in the last dim of input: D edges, and counts in the D-dimensional grid."""
    _check_histogram(input, weight, "histogramdd")
    if input.ndim < 2:
        raise RuntimeError(
            "torch.histogramdd: input tensor should have at least 2 dimensions, but got " + str(input.ndim)
        )
    depth = input.size(-1)
    points = elements(input.detach()).reshape(-1, depth)
    bins = [bins] * depth if isinstance(bins, int) else list(bins)
    if len(bins) != depth:
        raise RuntimeError(
            f"torch.histogramdd: bins must be a single integer or a sequence of one for each of the {depth} dimensions"
        )
    pairs = [None] * depth if range is None else [tuple(range[2 * k : 2 * k + 2]) for k in np.arange(depth)]
    edges = [
        _edges(np.ascontiguousarray(points[:, k]), b, r, "torch.histogramdd", points.dtype)
        for k, (b, r) in enumerate(zip(bins, pairs, strict=True))
    ]
    weights = None if weight is None else elements(weight.detach())
    counts = _binned(points, edges, weights, density)
    size = tuple(len(e) - 1 for e in edges)
    return return_types.histogramdd(
        wrap(counts.astype(points.dtype), size, input._dtype),
        tuple(wrap(e.copy(), (len(e),), input._dtype) for e in edges),
    )
