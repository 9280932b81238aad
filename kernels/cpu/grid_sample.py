"""Sampling an image at a grid of points, and its gradients with respect to image and grid.

    out[n, c, p] = sum_k weight[k, p] * x[n, c, place[k, p]]

where the places and weights of a point follow from its coordinates in [-1, 1]: one place (nearest), 4 or 8
(linear in two or three dimensions) or 16 (bicubic). Flat arrays: x (images, channels, *src), grid (images,
points, dims) with x before y before z, out (images, channels, points); src is (depth, height, width), depth 1
in two dimensions.

Coordinates outside of the image: ZEROS reads zeros there, BORDER goes to the nearest edge, REFLECTION folds
back at the edges (at the centres of the edge pixels with align_corners, else at their outer borders).

The points are taken in blocks. First the taps of a block are found, by loops along its points that have no branches and
become vectors; then they serve all channels. A tap outside of the image gets the weight 0 and reads element 0, which
is wrong only if that is infinite or nan: then the sum is not finite either, and the point is done again with care.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2
MOST_TAPS = 16
#: Points of a block: the tables of four taps take 10 KB, those of sixteen with their slopes 60.
BLOCK = 128
#: Points that one task takes: enough for tables to be made once, few enough for the threads to share an image.
TASK = 1024
#: Taps of all channels below which one thread is enough: 10 us of work.
SERIAL_WORK = 10_000


# --- the taps of a block ------------------------------------------------------------------------------------


@jit(bare=True)
def _fold_back(c, bend, size, padding, align):
    """Coordinates after padding, in place, and their derivatives. Loops of few cases each become vectors."""
    real = c.dtype.type
    one, zero, half = real(1), real(0), real(0.5)
    last = real(size - 1)
    for p in range(c.size):
        bend[p] = one
    if padding == REFLECTION:
        low = zero if align else -half
        span = last if align else real(size)
        if span <= zero:
            for p in range(c.size):
                c[p], bend[p] = zero, zero
            return
        for p in range(c.size):
            away = c[p] - low
            turned = away < zero
            away = abs(away)
            flips = np.floor(away / span)
            extra = away - flips * span
            odd = flips - real(2) * np.floor(flips * half) != zero
            c[p] = span - extra + low if odd else extra + low
            bend[p] = one if odd == turned else -one
    if padding != ZEROS:
        for p in range(c.size):
            v = c[p]
            bend[p] = zero if (v <= zero) | (v >= last) else bend[p]
            c[p] = zero if v <= zero else last if v >= last else v


@jit(inline=True, bare=True)
def _whole(c):
    """A coordinate as an integer; nan and what no image reaches become -100, which is outside of every image."""
    real = type(c)
    return np.int32(c if (c > real(-1e9)) & (c < real(1e9)) else real(-100))


@jit(bare=True)
def _axis_taps(grid, at, dims, size, mode, padding, align, room, count, place, weight, slope):
    """Taps of one dimension for the coordinates grid[at + p * dims]: tap k of point p stands at k * BLOCK + p. A place
    outside is -1. Returns how many taps there are. `room` is for three numbers a point."""
    real = grid.dtype.type
    one, half = real(1), real(0.5)
    c, bend, moved = piece(room, 0, count), piece(room, BLOCK, count), piece(room, 2 * BLOCK, count)
    # From [-1, 1] to pixels.
    length = real(size - 1) if align else real(size)
    scale = half * length
    if align:
        for p in range(count):
            c[p] = (grid[np.uint64(at + p * dims)] + one) * scale
    else:
        for p in range(count):
            c[p] = ((grid[np.uint64(at + p * dims)] + one) * length - one) * half
    size = np.int32(size)
    if mode == NEAREST:
        _fold_back(c, bend, size, padding, align)
        for p in range(count):
            i = _whole(np.rint(c[p]))
            place[p] = i if (i >= 0) & (i < size) else np.int32(-1)
            weight[p] = one
        return 1
    if mode == BILINEAR:
        _fold_back(c, bend, size, padding, align)
        above, other = piece(place, BLOCK, count), piece(weight, BLOCK, count)
        for p in range(count):
            i = _whole(np.floor(c[p]))
            place[p] = i if (i >= 0) & (i < size) else np.int32(-1)
            above[p] = np.int32(i + np.int32(1)) if (i >= -1) & (i < np.int32(size - 1)) else np.int32(-1)
        for p in range(count):
            low = np.floor(c[p])
            weight[p] = (low + one) - c[p]
            other[p] = c[p] - low
        other = piece(slope, BLOCK, count)
        for p in range(count):
            slope[p], other[p] = -bend[p] * scale, bend[p] * scale
        return 2
    a = real(-0.75)
    for k in range(4):
        to, by, change = piece(place, k * BLOCK, count), piece(weight, k * BLOCK, count), piece(slope, k * BLOCK, count)
        shift, sign = real(k - 1), one if k < 2 else -one
        near = k == 1 or k == 2
        for p in range(count):
            x = abs(c[p] - np.floor(c[p]) - shift)
            inner = ((a + real(2)) * x - (a + real(3))) * x * x + one
            outer = ((x - real(5)) * x + real(8)) * x * a - real(4) * a
            by[p] = inner if near else outer
            inner = (real(3) * (a + real(2)) * x - real(2) * (a + real(3))) * x
            outer = ((real(3) * x - real(10)) * x + real(8)) * a
            change[p] = (inner if near else outer) * scale * sign
        for p in range(count):
            moved[p] = np.floor(c[p]) + shift
        _fold_back(moved, bend, size, padding, align)
        for p in range(count):
            i = _whole(moved[p])
            to[p] = i if (i >= 0) & (i < size) else np.int32(-1)
    return 4


@jit(bare=True)
def _block_taps(grid, at, dims, count, src, mode, padding, align, sloped, axis, place, weight, slope):
    """The taps of points at .. at + count - 1: place (-1 outside) and weight[k * BLOCK + p], and with `sloped`
    slope[(3 * k + d) * BLOCK + p], d weight / d grid. Returns how many taps a point has.

    `axis` = (place, weight, slope) is room for the taps of the three dimensions, 4 * BLOCK each, the last of them with
    3 * BLOCK more."""
    zero, one = weight.dtype.type(0), weight.dtype.type(1)
    height, width = src[1], src[2]
    part = 4 * BLOCK
    axis_place, axis_weight, axis_slope = axis
    px, py, pz = piece(axis_place, 0, part), piece(axis_place, part, part), piece(axis_place, 2 * part, part)
    wx, wy, wz = piece(axis_weight, 0, part), piece(axis_weight, part, part), piece(axis_weight, 2 * part, part)
    sx, sy, sz = piece(axis_slope, 0, part), piece(axis_slope, part, part), piece(axis_slope, 2 * part, part)
    room = piece(axis_slope, 3 * part, 3 * BLOCK)
    nx = _axis_taps(grid, at * dims, dims, src[2], mode, padding, align, room, count, px, wx, sx)
    ny = _axis_taps(grid, at * dims + 1, dims, src[1], mode, padding, align, room, count, py, wy, sy)
    nz = 1
    if dims == 3:
        nz = _axis_taps(grid, at * dims + 2, dims, src[0], mode, padding, align, room, count, pz, wz, sz)
    else:
        for p in range(count):
            pz[p], wz[p], sz[p] = 0, one, zero
    n = 0
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                # Loops of few arrays each: LLVM compares no more than eight pairs of addresses, and gives up beyond.
                ix, iy, iz = piece(px, i * BLOCK, count), piece(py, j * BLOCK, count), piece(pz, k * BLOCK, count)
                a, b, c = piece(wx, i * BLOCK, count), piece(wy, j * BLOCK, count), piece(wz, k * BLOCK, count)
                to, by = piece(place, n * BLOCK, count), piece(weight, n * BLOCK, count)
                if dims == 2:
                    for p in range(count):
                        to[p] = np.int64(iy[p]) * width + ix[p] if (ix[p] | iy[p]) >= 0 else -1
                    for p in range(count):
                        by[p] = a[p] * b[p] if to[p] >= 0 else zero
                else:
                    for p in range(count):
                        inside = (ix[p] | iy[p] | iz[p]) >= 0
                        to[p] = (np.int64(iz[p]) * height + iy[p]) * width + ix[p] if inside else -1
                    for p in range(count):
                        by[p] = a[p] * b[p] * c[p] if to[p] >= 0 else zero
                if sloped:
                    da, db, dc = piece(sx, i * BLOCK, count), piece(sy, j * BLOCK, count), piece(sz, k * BLOCK, count)
                    by = piece(slope, 3 * n * BLOCK, count)
                    for p in range(count):
                        by[p] = da[p] * b[p] * c[p] if to[p] >= 0 else zero
                    by = piece(slope, (3 * n + 1) * BLOCK, count)
                    for p in range(count):
                        by[p] = a[p] * db[p] * c[p] if to[p] >= 0 else zero
                    by = piece(slope, (3 * n + 2) * BLOCK, count)
                    for p in range(count):
                        by[p] = a[p] * b[p] * dc[p] if to[p] >= 0 else zero
                n += 1
    return n


@jit(inline=True, bare=True)
def _read(x, place):
    """x[place], and x[0] for a place outside."""
    return x[np.uint64(max(place, 0))]


# --- forward ------------------------------------------------------------------------------------------------


@jit(bare=True)
def _sample_plane(x, place, weight, taps, count, out):
    """out[p] = sum_k weight[k, p] * x[place[k, p]] for one channel."""
    zero = x.dtype.type(0)
    if taps == 1:
        for p in range(count):
            value = _read(x, place[p])
            out[p] = value if place[p] >= 0 else zero
        return
    if taps == 4:
        second, third, fourth = (
            piece(place, BLOCK, count),
            piece(place, 2 * BLOCK, count),
            piece(place, 3 * BLOCK, count),
        )
        b, c, d = piece(weight, BLOCK, count), piece(weight, 2 * BLOCK, count), piece(weight, 3 * BLOCK, count)
        for p in range(count):
            total = weight[p] * _read(x, place[p])
            total += b[p] * _read(x, second[p])
            total += c[p] * _read(x, third[p])
            out[p] = total + d[p] * _read(x, fourth[p])
    else:
        for p in range(count):
            total = zero
            for k in range(taps):
                total += weight[k * BLOCK + p] * _read(x, place[k * BLOCK + p])
            out[p] = total
    careful = False
    for p in range(count):
        careful |= not (abs(out[p]) < np.inf)
    if careful:
        for p in range(count):
            if not (abs(out[p]) < np.inf):
                total = zero
                for k in range(taps):
                    at = place[k * BLOCK + p]
                    if at >= 0:
                        total += weight[k * BLOCK + p] * x[at]
                out[p] = total


@jit(parallel=True)
def _sample(images, x, grid, out, channels, points, dims, src, mode, padding, align):
    volume = src[0] * src[1] * src[2]
    tasks = (points + TASK - 1) // TASK
    for task in prange(images * tasks):
        image = task // tasks
        first = (task - image * tasks) * TASK
        axis = np.empty(12 * BLOCK, np.int32), np.empty(12 * BLOCK, x.dtype), np.empty(15 * BLOCK, x.dtype)
        place, weight = np.empty(MOST_TAPS * BLOCK, np.int64), np.empty(MOST_TAPS * BLOCK, x.dtype)
        for start in range(first, min(first + TASK, points), BLOCK):
            count = min(BLOCK, points - start)
            at = image * points + start
            n = _block_taps(grid, at, dims, count, src, mode, padding, align, False, axis, place, weight, weight)
            for c in range(image * channels, (image + 1) * channels):
                _sample_plane(
                    piece(x, c * volume, volume), place, weight, n, count, piece(out, c * points + start, count)
                )


# --- backward -----------------------------------------------------------------------------------------------


@jit(inline=True, bare=True)
def _add(out, place, amount):
    """out[place] += amount, to out[0] for a place outside."""
    out[np.uint64(max(place, 0))] += amount


@jit(bare=True)
def _spread_plane(g, place, weight, taps, count, out):
    """out[place[k, p]] += weight[k, p] * g[p] for one channel."""
    second, third, fourth = piece(place, BLOCK, count), piece(place, 2 * BLOCK, count), piece(place, 3 * BLOCK, count)
    b, c, d = piece(weight, BLOCK, count), piece(weight, 2 * BLOCK, count), piece(weight, 3 * BLOCK, count)
    for p in range(count):
        value = g[p]
        # What lies outside adds 0 * g to element 0: nothing, if g is finite.
        if not (abs(value) < np.inf):
            for k in range(taps):
                if place[k * BLOCK + p] >= 0:
                    out[place[k * BLOCK + p]] += weight[k * BLOCK + p] * value
        elif taps == 4:
            _add(out, place[p], weight[p] * value)
            _add(out, second[p], b[p] * value)
            _add(out, third[p], c[p] * value)
            _add(out, fourth[p], d[p] * value)
        else:
            for k in range(taps):
                _add(out, place[k * BLOCK + p], weight[k * BLOCK + p] * value)


@jit(bare=True)
def _point_plane(g, x, place, slope, taps, count, dims, total):
    """total[d, p] += g[p] * sum_k slope[k, d, p] * x[place[k, p]] for one channel."""
    zero = g.dtype.type(0)
    second, third, fourth = piece(place, BLOCK, count), piece(place, 2 * BLOCK, count), piece(place, 3 * BLOCK, count)
    x1, y1 = piece(slope, 3 * BLOCK, count), piece(slope, 4 * BLOCK, count)
    x2, y2 = piece(slope, 6 * BLOCK, count), piece(slope, 7 * BLOCK, count)
    x3, y3 = piece(slope, 9 * BLOCK, count), piece(slope, 10 * BLOCK, count)
    y0 = piece(slope, BLOCK, count)
    for p in range(count):
        dx, dy, dz = zero, zero, zero
        if taps == 4 and dims == 2:
            v0, v1, v2, v3 = _read(x, place[p]), _read(x, second[p]), _read(x, third[p]), _read(x, fourth[p])
            dx = slope[p] * v0 + x1[p] * v1 + x2[p] * v2 + x3[p] * v3
            dy = y0[p] * v0 + y1[p] * v1 + y2[p] * v2 + y3[p] * v3
        else:
            for k in range(taps):
                value = _read(x, place[k * BLOCK + p])
                dx += slope[3 * k * BLOCK + p] * value
                dy += slope[(3 * k + 1) * BLOCK + p] * value
                if dims == 3:
                    dz += slope[(3 * k + 2) * BLOCK + p] * value
        dx, dy, dz = g[p] * dx, g[p] * dy, g[p] * dz
        if abs(dx) + abs(dy) + abs(dz) < np.inf:
            total[p] += dx
            total[BLOCK + p] += dy
            total[2 * BLOCK + p] += dz
        else:
            for k in range(taps):
                at = place[k * BLOCK + p]
                if at >= 0:
                    for d in range(dims):
                        total[d * BLOCK + p] += slope[(3 * k + d) * BLOCK + p] * x[at] * g[p]


@jit(parallel=True)
def _spread(images, grad, x, grid, grad_x, grad_grid, channels, points, dims, src, mode, padding, align):
    # A task is an image: its points meet in the gradient of x, its channels in that of the grid.
    volume = src[0] * src[1] * src[2]
    for image in prange(images):
        axis = np.empty(12 * BLOCK, np.int32), np.empty(12 * BLOCK, x.dtype), np.empty(15 * BLOCK, x.dtype)
        place, weight = np.empty(MOST_TAPS * BLOCK, np.int64), np.empty(MOST_TAPS * BLOCK, x.dtype)
        slope, total = np.empty(3 * MOST_TAPS * BLOCK, x.dtype), np.empty(3 * BLOCK, x.dtype)
        sloped = grad_grid.size > 0 and mode != NEAREST  # which no step changes
        for start in range(0, points, BLOCK):
            count = min(BLOCK, points - start)
            at = image * points + start
            n = _block_taps(grid, at, dims, count, src, mode, padding, align, sloped, axis, place, weight, slope)
            total[:] = 0
            for c in range(image * channels, (image + 1) * channels):
                g = piece(grad, c * points + start, count)
                if grad_x.size > 0:
                    _spread_plane(g, place, weight, n, count, piece(grad_x, c * volume, volume))
                if sloped:
                    _point_plane(g, piece(x, c * volume, volume), place, slope, n, count, dims, total)
            if sloped:
                for p in range(count):
                    for d in range(dims):
                        grad_grid[(at + p) * dims + d] = total[d * BLOCK + p]


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
    kernel = getattr(_sample, "serial", _sample) if out.size < SERIAL_WORK else _sample
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
    kernel = getattr(_spread, "serial", _spread) if images == 1 or grad.size < SERIAL_WORK else _spread
    kernel(images, grad, x, grid, grad_x, grad_grid, channels, points, dims, src, mode, padding, align)
    return grad_x, grad_grid
