"""Sampling an image at a grid of points, and its gradients with respect to image and grid.

    out[n, c, p] = sum_k weight[k] * x[n, c, place[k]]

where the places and weights of a point follow from its coordinates in [-1, 1]: one place (nearest), 4 or 8
(linear in two or three dimensions) or 16 (bicubic). Flat arrays: x (images, channels, *src), grid (images,
points, dims) with x before y before z, out (images, channels, points); src is (depth, height, width), depth 1
in two dimensions.

Coordinates outside of the image: ZEROS reads zeros there, BORDER goes to the nearest edge, REFLECTION folds
back at the edges (at the centres of the edge pixels with align_corners, else at their outer borders).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2
MOST_TAPS = 16
SERIAL_WORK = 20_000


@jit
def _fold_back(c, size, padding, align):
    """(coordinate after padding, its derivative)."""
    real = type(c)
    one, zero = real(1), real(0)
    slope = one
    if padding == REFLECTION:
        low = zero if align else real(-0.5)
        span = real(size - 1) if align else real(size)
        if span <= zero:
            return zero, zero
        c -= low
        if c < zero:
            c, slope = -c, -one
        flips = np.floor(c / span)
        extra = c - flips * span
        if flips - real(2) * np.floor(flips / real(2)) == zero:
            c = extra + low
        else:
            c, slope = span - extra + low, -slope
    if padding != ZEROS:
        last = real(size - 1)
        if c <= zero:
            return zero, zero
        if c >= last:
            return last, zero
    return c, slope


@jit
def _whole(c):
    """A coordinate as an integer; nan and what no image reaches become -100, which is outside of every
    image."""
    return np.int64(c) if -1e9 < c < 1e9 else np.int64(-100)


@jit
def _axis(c, size, mode, padding, align, place, weight, slope, at):
    """Taps of one dimension for the coordinate c in [-1, 1], from `at` on; returns their number. A place
    outside is -1."""
    real = type(c)
    one, half = real(1), real(0.5)
    if align:
        scale = half * real(size - 1)
        c = (c + one) * scale
    else:
        scale = half * real(size)
        c = ((c + one) * real(size) - one) * half
    if mode == BICUBIC:
        low = np.floor(c)
        t = c - low
        for k in range(4):
            x = t + one if k == 0 else (t if k == 1 else (one - t if k == 2 else real(2) - t))
            a = real(-0.75)
            if k == 1 or k == 2:
                weight[at + k] = ((a + real(2)) * x - (a + real(3))) * x * x + one
                d = (real(3) * (a + real(2)) * x - real(2) * (a + real(3))) * x
            else:
                weight[at + k] = ((x - real(5)) * x + real(8)) * x * a - real(4) * a
                d = ((real(3) * x - real(10)) * x + real(8)) * a
            slope[at + k] = d * scale if k < 2 else -d * scale
            i = _whole(_fold_back(low + real(k - 1), size, padding, align)[0])
            place[at + k] = i if 0 <= i < size else -1
        return 4
    c, bend = _fold_back(c, size, padding, align)
    if mode == NEAREST:
        i = _whole(np.rint(c))
        place[at] = i if 0 <= i < size else -1
        weight[at] = one
        slope[at] = real(0)
        return 1
    low = np.floor(c)
    i = _whole(low)
    weight[at], weight[at + 1] = (low + one) - c, c - low
    slope[at], slope[at + 1] = -bend * scale, bend * scale
    place[at] = i if 0 <= i < size else -1
    place[at + 1] = i + 1 if 0 <= i + 1 < size else -1
    return 2


@jit
def _taps(grid, at, dims, src, mode, padding, align, axis_place, axis_weight, axis_slope, place, weight, slope):
    """Fill place (-1 outside), weight and slope[k * 3 + axis] (d weight / d grid) of the point at grid[at];
    returns their number."""
    real = grid.dtype.type
    nx = _axis(grid[at], src[2], mode, padding, align, axis_place, axis_weight, axis_slope, 0)
    ny = _axis(grid[at + 1], src[1], mode, padding, align, axis_place, axis_weight, axis_slope, 4)
    nz = 1
    if dims == 3:
        nz = _axis(grid[at + 2], src[0], mode, padding, align, axis_place, axis_weight, axis_slope, 8)
    else:
        axis_place[8], axis_weight[8], axis_slope[8] = 0, real(1), real(0)
    n = 0
    for k in range(8, 8 + nz):
        for j in range(4, 4 + ny):
            for i in range(nx):
                inside = axis_place[i] >= 0 and axis_place[j] >= 0 and axis_place[k] >= 0
                place[n] = (axis_place[k] * src[1] + axis_place[j]) * src[2] + axis_place[i] if inside else -1
                weight[n] = axis_weight[i] * axis_weight[j] * axis_weight[k]
                slope[3 * n] = axis_slope[i] * axis_weight[j] * axis_weight[k]
                slope[3 * n + 1] = axis_weight[i] * axis_slope[j] * axis_weight[k]
                slope[3 * n + 2] = axis_weight[i] * axis_weight[j] * axis_slope[k]
                n += 1
    return n


@jit(nogil=True)
def _sample_image(image, x, grid, out, channels, points, dims, src, mode, padding, align):
    axis_place, axis_weight, axis_slope = np.empty(12, np.int64), np.empty(12, x.dtype), np.empty(12, x.dtype)
    place, weight, slope = (
        np.empty(MOST_TAPS, np.int64),
        np.empty(MOST_TAPS, x.dtype),
        np.empty(3 * MOST_TAPS, x.dtype),
    )
    volume = src[0] * src[1] * src[2]
    for p in range(points):
        at = (image * points + p) * dims
        n = _taps(
            grid,
            at,
            dims,
            src,
            mode,
            padding,
            align,
            axis_place,
            axis_weight,
            axis_slope,
            place,
            weight,
            slope,
        )
        for c in range(image * channels, (image + 1) * channels):
            total = x.dtype.type(0)
            for k in range(n):
                if place[k] >= 0:
                    total += weight[k] * x[c * volume + place[k]]
            out[c * points + p] = total


@jit(nogil=True)
def _spread_image(image, grad, x, grid, grad_x, grad_grid, channels, points, dims, src, mode, padding, align):
    axis_place, axis_weight, axis_slope = np.empty(12, np.int64), np.empty(12, x.dtype), np.empty(12, x.dtype)
    place, weight, slope = (
        np.empty(MOST_TAPS, np.int64),
        np.empty(MOST_TAPS, x.dtype),
        np.empty(3 * MOST_TAPS, x.dtype),
    )
    volume = src[0] * src[1] * src[2]
    for p in range(points):
        at = (image * points + p) * dims
        n = _taps(
            grid,
            at,
            dims,
            src,
            mode,
            padding,
            align,
            axis_place,
            axis_weight,
            axis_slope,
            place,
            weight,
            slope,
        )
        for c in range(image * channels, (image + 1) * channels):
            g = grad[c * points + p]
            for k in range(n):
                if place[k] >= 0:
                    if grad_x.size > 0:
                        grad_x[c * volume + place[k]] += weight[k] * g
                    if grad_grid.size > 0:
                        for axis in range(dims):
                            grad_grid[at + axis] += slope[3 * k + axis] * x[c * volume + place[k]] * g


@jit(nogil=True)
def _sample_serial(images, x, grid, out, channels, points, dims, src, mode, padding, align):
    for image in range(images):
        _sample_image(image, x, grid, out, channels, points, dims, src, mode, padding, align)


@jit(parallel=True)
def _sample_parallel(images, x, grid, out, channels, points, dims, src, mode, padding, align):
    for image in prange(images):
        _sample_image(image, x, grid, out, channels, points, dims, src, mode, padding, align)


@jit(nogil=True)
def _spread_serial(images, grad, x, grid, grad_x, grad_grid, channels, points, dims, src, mode, padding, align):
    for image in range(images):
        _spread_image(image, grad, x, grid, grad_x, grad_grid, channels, points, dims, src, mode, padding, align)


@jit(parallel=True)
def _spread_parallel(images, grad, x, grid, grad_x, grad_grid, channels, points, dims, src, mode, padding, align):
    for image in prange(images):
        _spread_image(image, grad, x, grid, grad_x, grad_grid, channels, points, dims, src, mode, padding, align)


def grid_sample_forward(
    x,
    grid,
    images: int,
    channels: int,
    points: int,
    dims: int,
    src: tuple,
    mode: int,
    padding: int,
    align: bool,
):
    """out (images, channels, points) of the module's formula."""
    out = np.empty(images * channels * points, x.dtype)
    kernel = _sample_serial if images == 1 or out.size < SERIAL_WORK else _sample_parallel
    kernel(images, x, grid, out, channels, points, dims, src, mode, padding, align)
    return out


def grid_sample_backward(
    grad,
    x,
    grid,
    images: int,
    channels: int,
    points: int,
    dims: int,
    src: tuple,
    mode: int,
    padding: int,
    align: bool,
    need_x: bool,
    need_grid: bool,
):
    """(gradient of x, gradient of grid); an array that is not needed is empty."""
    grad_x = np.zeros(x.size if need_x else 0, x.dtype)
    grad_grid = np.zeros(grid.size if need_grid else 0, x.dtype)
    kernel = _spread_serial if images == 1 or grad.size < SERIAL_WORK else _spread_parallel
    kernel(images, grad, x, grid, grad_x, grad_grid, channels, points, dims, src, mode, padding, align)
    return grad_x, grad_grid
