"""Sampling an image at a grid of points, and its gradients with respect to image and grid.

    out[n, c, p] = sum_k weight[k, p] * x[n, c, place[k, p]]

where the places and weights of a point follow from its coordinates in [-1, 1]: one place (nearest), 4 or 8
(linear in two or three dimensions) or 16 (bicubic). Flat arrays: x (images, channels, *src), grid (images,
points, dims) with x before y before z, out (images, channels, points); src is (depth, height, width), depth 1
in two dimensions.

Coordinates outside of the image go where the padding says (grid_coordinates.py); with ZEROS zeros are read there. Nearest
and linear samples in two dimensions have a forward of their own (grid_pairs.py).

The points are taken in blocks, those of small images together. First the taps of a block are found, by loops along its
points that have no branches and become vectors; then they serve all channels. The elements at the taps are read one by
one, what is computed with them goes by vectors, in which a tap outside of the image counts as zero whatever was read.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange, typeof

from ..compiler import entry_point, jit
from ..pieces import piece
from ..simd import broadcast, fma, lanes, load, load_part, pick, store, store_part
from .grid_coordinates import fold_back, fold_slopes, grid_pixels
from .grid_pairs import sample_pairs, serial_pairs

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
MOST_TAPS = 16
#: Points of a block: the tables of four taps take 6 KB, those of sixteen with their slopes 48.
BLOCK = 128
#: Elements of the tables of all taps: vectors of the last one may reach a little beyond its block.
TABLE = MOST_TAPS * BLOCK + 64
#: Points that one task takes, and tasks that are wanted: enough for tables to be made once, few enough for the threads to
#: share an image.
TASK, WANTED = 1024, 8
#: Taps of all channels below which one thread is enough: 10 us of work.
SERIAL_WORK = 10_000
#: Elements of a plane whose places fit in integers of 32 bits.
MOST_ELEMENTS = 2**31 - 1
# An array of the integers for the places of elements of so many bytes: vectors of both have as many lanes.
_INDEX = {4: np.empty(0, np.int32), 8: np.empty(0, np.int64)}


# --- the taps of a block ------------------------------------------------------------------------------------


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
    one = real(1)
    c, bend, moved = piece(room, 0, count), piece(room, BLOCK, count), piece(room, 2 * BLOCK, count)
    scale = grid_pixels(grid, at, dims, size, align, c)
    size = np.int32(size)
    if mode == NEAREST:
        fold_back(c, size, padding, align)
        for p in range(count):
            i = _whole(np.rint(c[p]))
            place[p] = i if (i >= 0) & (i < size) else np.int32(-1)
            weight[p] = one
        return 1
    if mode == BILINEAR:
        fold_slopes(c, bend, size, padding, align)
        fold_back(c, size, padding, align)
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
        fold_back(moved, size, padding, align)
        for p in range(count):
            i = _whole(moved[p])
            to[p] = i if (i >= 0) & (i < size) else np.int32(-1)
    return 4


@jit(bare=True)
def _block_taps(grid, at, dims, count, src, mode, padding, align, sloped, axis, place, weight, slope):
    """The taps of points at .. at + count - 1: place and weight[k * BLOCK + p], and with `sloped` slope[(3 * k + d) * BLOCK
    + p], d weight / d grid. A place outside is -1. Returns how many taps a point has.

    `axis` = (place, weight, slope) is room for the taps of the three dimensions, 4 * BLOCK each, the last of them with
    3 * BLOCK more."""
    zero, one = weight.dtype.type(0), weight.dtype.type(1)
    number = place.dtype.type
    height, width, outside = number(src[1]), number(src[2]), number(-1)
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
                        to[p] = iy[p] * width + ix[p] if (ix[p] | iy[p]) >= 0 else outside
                    for p in range(count):
                        by[p] = a[p] * b[p] if to[p] >= 0 else zero
                else:
                    for p in range(count):
                        inside = (ix[p] | iy[p] | iz[p]) >= 0
                        to[p] = (iz[p] * height + iy[p]) * width + ix[p] if inside else outside
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


@jit(bare=True)
def _read_taps(x, place, taps, count, values):
    """values[k, p] = x[place[k, p]], x[0] for a place outside. One by one: the instruction that gathers is slower (Zen 4,
    0.40 ns an element; 0.28 by this loop)."""
    for k in range(taps):
        at, to = piece(place, k * BLOCK, count), piece(values, k * BLOCK, count)
        for p in range(count):
            to[p] = x[np.uint64(max(at[p], 0))]


@jit(inline=True, bare=True)
def _inside(value, place, e, room):
    """A vector for the dtype of `room`, with 0 in the lanes whose place in place[e] and what follows is outside."""
    zero = broadcast(room, room.dtype.type(0))
    return pick(load(place, e) >= broadcast(place, place.dtype.type(0)), value, zero)


# --- forward ------------------------------------------------------------------------------------------------


@jit(bare=True)
def _sum_taps(values, place, weight, taps, count, out, to):
    """out[to + p] = sum_k weight[k, p] * values[k, p] of the taps inside. Tables are read to a whole number of vectors."""
    width = lanes(values)
    for p in range(0, count, width):
        total = _inside(load(values, p), place, p, values) * load(weight, p)
        for k in range(1, taps):
            e = k * BLOCK + p
            total = fma(_inside(load(values, e), place, e, values), load(weight, e), total)
        if count - p >= width:
            store(out, to + p, total)
        else:
            store_part(out, to + p, count - p, total)


@jit(parallel=True)
def _sample(images, task, x, grid, out, index, channels, points, dims, src, mode, padding, align):
    # A task is so many points, whichever images they belong to, and a block of them has its taps found together.
    volume, total = src[0] * src[1] * src[2], images * points
    for i in prange((total + task - 1) // task):
        number = np.int64(i)
        axis = np.empty(12 * BLOCK, index.dtype), np.empty(12 * BLOCK, x.dtype), np.empty(15 * BLOCK, x.dtype)
        place, weight = np.empty(TABLE, index.dtype), np.empty(TABLE, x.dtype)
        values = np.empty(TABLE, x.dtype)
        last = min((number + 1) * task, total)
        for start in range(number * task, last, BLOCK):
            block = min(BLOCK, last - start)
            n = _block_taps(grid, start, dims, block, src, mode, padding, align, False, axis, place, weight, weight)
            at = start
            while at < start + block:  # the points of one image
                image = at // points
                count = min(start + block, (image + 1) * points) - at
                first = at - start
                here, by = piece(place, first, TABLE - first), piece(weight, first, TABLE - first)
                for c in range(image * channels, (image + 1) * channels):
                    _read_taps(piece(x, c * volume, volume), here, n, count, values)
                    _sum_taps(values, here, by, n, count, out, c * points + at - image * points)
                at += count


# --- backward -----------------------------------------------------------------------------------------------


@jit(bare=True)
def _spread_plane(grad, at, place, weight, taps, count, shares, out):
    """out[place[k, p]] += weight[k, p] * grad[at + p] for one channel, tap by tap; `shares` is room for a block."""
    width = lanes(shares)
    for k in range(taps):
        for p in range(0, count, width):
            g = load(grad, at + p) if count - p >= width else load_part(grad, at + p, count - p)
            store(shares, p, _inside(load(weight, k * BLOCK + p) * g, place, k * BLOCK + p, shares))
        to = piece(place, k * BLOCK, count)
        for p in range(count):  # what lies outside adds 0 to element 0
            out[np.uint64(max(to[p], 0))] += shares[p]


@jit(bare=True)
def _point_plane(grad, at, values, place, slope, taps, count, dims, total):
    """total[d, p] += grad[at + p] * sum_k slope[k, d, p] * values[k, p] for one channel."""
    width = lanes(values)
    for p in range(0, count, width):
        g = load(grad, at + p) if count - p >= width else load_part(grad, at + p, count - p)
        for d in range(dims):
            change = broadcast(values, values.dtype.type(0))
            for k in range(taps):
                value = _inside(load(values, k * BLOCK + p), place, k * BLOCK + p, values)
                change = fma(value, load(slope, (3 * k + d) * BLOCK + p), change)
            store(total, d * BLOCK + p, fma(g, change, load(total, d * BLOCK + p)))


@jit(parallel=True)
def _spread(images, task, grad, x, grid, grad_x, grad_grid, index, channels, points, dims, src, mode, padding, align):
    # A task is some images: the points of one meet in the gradient of x, its channels in that of the grid.
    volume = src[0] * src[1] * src[2]
    sloped = grad_grid.size > 0 and mode != NEAREST  # which no step changes
    for i in prange((images + task - 1) // task):
        number = np.int64(i)
        axis = np.empty(12 * BLOCK, index.dtype), np.empty(12 * BLOCK, x.dtype), np.empty(15 * BLOCK, x.dtype)
        place, weight = np.empty(TABLE, index.dtype), np.empty(TABLE, x.dtype)
        slope, total = np.empty(3 * TABLE, x.dtype), np.empty(3 * BLOCK, x.dtype)
        values = np.empty(TABLE, x.dtype)
        last = min((number + 1) * task, images) * points
        for start in range(number * task * points, last, BLOCK):
            block = min(BLOCK, last - start)
            n = _block_taps(grid, start, dims, block, src, mode, padding, align, sloped, axis, place, weight, slope)
            at = start
            while at < start + block:  # the points of one image
                image = at // points
                count = min(start + block, (image + 1) * points) - at
                first = at - start
                here, by = piece(place, first, TABLE - first), piece(weight, first, TABLE - first)
                change = piece(slope, first, 3 * TABLE - first)
                total[:] = 0
                for c in range(image * channels, (image + 1) * channels):
                    g = c * points + at - image * points
                    if grad_x.size > 0:
                        _spread_plane(grad, g, here, by, n, count, values, piece(grad_x, c * volume, volume))
                    if sloped:
                        _read_taps(piece(x, c * volume, volume), here, n, count, values)
                        _point_plane(grad, g, values, here, change, n, count, dims, total)
                if sloped:
                    for p in range(count):
                        for d in range(dims):
                            grad_grid[(at + p) * dims + d] = total[d * BLOCK + p]
                at += count


@lru_cache(maxsize=8)
def _serial_sample(dtype):
    """The compiled serial form of _sample for a dtype."""
    x, index = np.empty(0, dtype), _INDEX[dtype.itemsize]
    arguments = (0, 0, x, x, x, index, 0, 0, 0, (0, 0, 0), 0, 0, False)
    return entry_point(getattr(_sample, "serial", _sample), tuple([typeof(a) for a in arguments]))


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
    if x.itemsize == 4 and x.size > images * channels * MOST_ELEMENTS:  # places that 32 bits do not hold
        wide = x.astype(np.float64), grid.astype(np.float64)
        return grid_sample_forward(*wide, images, channels, points, dims, src, mode, padding, align).astype(x.dtype)
    out = np.empty(images * channels * points, x.dtype)
    serial = out.size < SERIAL_WORK
    task = max(1, TASK if serial else min(TASK, -(-images * points // WANTED)))
    index = _INDEX[x.itemsize]
    if dims == 2 and mode != BICUBIC and src[2] > 1:
        kernel = serial_pairs(x, index) if serial else sample_pairs
        kernel(images, task, x, grid, out, index, channels, points, *src[1:], mode == NEAREST, padding, align)
        return out
    kernel = _serial_sample(x.dtype) if serial else _sample
    kernel(images, task, x, grid, out, index, channels, points, dims, src, mode, padding, align)
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
    if x.itemsize == 4 and x.size > images * channels * MOST_ELEMENTS:
        wide = grad.astype(np.float64), x.astype(np.float64), grid.astype(np.float64)
        both = grid_sample_backward(*wide, images, channels, points, dims, src, mode, padding, align, need_x, need_grid)
        return both[0].astype(x.dtype), both[1].astype(x.dtype)
    grad_x = np.zeros(x.size if need_x else 0, x.dtype)
    grad_grid = np.zeros(grid.size if need_grid else 0, x.dtype)
    task = max(1, BLOCK // max(points, 1))  # images whose points fill a block
    kernel = getattr(_spread, "serial", _spread) if images <= task or grad.size < SERIAL_WORK else _spread
    kernel(
        images,
        task,
        grad,
        x,
        grid,
        grad_x,
        grad_grid,
        _INDEX[x.itemsize],
        channels,
        points,
        dims,
        src,
        mode,
        padding,
        align,
    )
    return grad_x, grad_grid
