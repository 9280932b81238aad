"""Convolutions with one window an image: its elements side by side are a row of a matrix, and the rest is one product.

    forward      out (images, M)         = columns (images, C taps) @ weight (M, C taps)^T
    transposed   columns (images, M taps) = x (images, C) @ weight (C, M taps), each put where its tap lies
    weight       gw (M, C taps)          = grad (images, M)^T @ columns (images, C taps)

A register tile would hold one image's pixel in a vector of sixteen. The columns are gathered by a table of places.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .matmul import mm
from .places import DTYPES, Places, fits, outer_places, places_of, seen_from, sum_planes

# Taps that lie in the padding are products with zero: at most half of them do.
LEAST_INSIDE = 0.5


@lru_cache(maxsize=256)
def window_places(whole: tuple, kernel: tuple, padding: tuple, dilation: tuple, dtype) -> tuple[Places, Places] | None:
    """The tables from a plane of `whole` to the window's taps and back; None where the window lies too far outside."""
    taps, plane = kernel[0] * kernel[1] * kernel[2], whole[0] * whole[1] * whole[2]
    if dtype not in DTYPES or not fits(1, taps, plane) or not fits(1, plane, taps):
        return None
    dims = []
    for n, k, p, d in zip(whole, kernel, padding, dilation, strict=True):
        place = np.arange(k) * d - p
        dims.append(np.where((place >= 0) & (place < n), place, -1)[:, None])
    there = outer_places(dims, whole)
    if (there >= 0).mean() < LEAST_INSIDE:
        return None
    back = outer_places([seen_from(dim, n) for dim, n in zip(dims, whole, strict=True)], kernel)
    return places_of(there, plane, dtype.itemsize), places_of(back, taps, dtype.itemsize)


def window_forward(x, weight, bias, places, images: int, channels: int, outputs: int):
    """out (images, outputs) of x (images, channels, *whole) and weight (outputs, channels, *kernel); bias may be empty."""
    there, _ = places
    columns = sum_planes(x, images * channels, there)
    depth = channels * there.outputs
    return mm(columns, weight, images, depth, outputs, bias=bias if bias.size else None, transpose_b=True)


def window_transposed(x, weight, bias, places, images: int, channels: int, outputs: int):
    """out (images, outputs, *whole) of x (images, channels) and weight (channels, outputs, *kernel)."""
    there, back = places
    columns = mm(x, weight, images, channels, outputs * there.outputs)
    out = sum_planes(columns, images * outputs, back)
    if bias.size:
        out.reshape(images, outputs, -1)[:] += bias[:, None]
    return out


def window_backward_weight(x, grad, places, images: int, channels: int, outputs: int, out):
    """gw (outputs, channels, *kernel) of x (images, channels, *whole) and grad (images, outputs)."""
    there, _ = places
    columns = sum_planes(x, images * channels, there)
    return mm(grad, columns, outputs, images, channels * there.outputs, out=out, transpose_a=True)
