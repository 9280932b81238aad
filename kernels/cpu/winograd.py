"""Winograd's convolution: 3 x 3 taps, stride 1, in 2.25 (F(2x2, 3x3)) or 4 times (F(4x4, 3x3)) fewer multiplications.

    out[n, k, y, x] = bias[k] + sum_{c, i, j} w[k, c, i, j] * image[n, c, y - top + i, x - left + j]

An output is cut into tiles of m x m pixels. The (m + 2)^2 pixels under a tile and the 3 x 3 taps are taken to as many
*points* (winograd_transforms.py), where the convolution is a product for each point; for all tiles, channels and
outputs together that is a matrix product for each point, and most of the work:

    pixels   v[point, tile, c] = B^T d B
    taps     u[point, c, k]    = G g G^T
    sums     s[point, tile, k] = sum_c v[point, tile, c] * u[point, c, k]
    outputs  out = A^T s A + bias

The gradient of the input is the same with the taps turned round; that of the taps goes the way back through the
points: slopes[point, tile, k] = A dY A^T, u[point, k, c] = sum_tile slopes * v, dg = G^T u G.

Everything between the images has channels next to each other, so that the maps are vector operations without a
shuffle, whatever the size of the plane. A *unit* is a strip of tiles of one image: its pixels are turned, a vector of
channels at a time, to a small zero-padded region, from which the tiles are taken.

Two orders of work, chosen by winograd_plan.py:

    by tiles     a task takes a group of tiles through all steps; its points stay in a core's cache, and the taps are
                 taken to their points before. For few channels and many tiles.
    by outputs   all pixels are taken to their points first; a task makes the points of its outputs' taps, block by
                 block in the cache, and uses them for all tiles. For many channels and few tiles, where the points of
                 the taps would be most of the memory traffic (37 MB for 512 x 512).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..simd import lanes, load_part, store
from .gemm_tiles import product_tile
from .microkernel import WIDE_FILE
from .winograd_plan import (
    BLOCK,
    CHANNEL_PITCH,
    CHANNELS,
    GROUP,
    HEIGHT,
    OUT_HEIGHT,
    OUT_WIDTH,
    OUTPUT_PITCH,
    OUTPUTS,
    PANEL,
    POINTS,
    STRIP,
    STRIPS,
    TILE,
    TILES_X,
    TOP,
    UNIT_TILES,
    UNITS,
    WIDTH,
    plan,
)
from .winograd_tiles import turn_in, turn_out
from .winograd_transforms import gather_sums, gather_taps, spread_pixels, spread_slopes, spread_taps

# Rows and vectors of the register tile: 6 x 4 vectors of sums where there are 32 registers, 6 x 2 where there are 16;
# for a single vector 12 rows, so that it is loaded less often and the chains of sums are long enough.
ROWS = 6
WIDE = 4 if WIDE_FILE else 2
TALL = 12
# Chunks of tasks handed to the threads: buffers are made once a chunk.
CHUNKS = 16
# Tiles of one pass of the taps' gradient: 128 rows of 64 channels are 32 KB, as much as the first-level cache.
DEPTH = 128


@jit
def _multiply(a, a0, row_a, column_a, rows, b, b0, row_b, columns, depth, c, c0, row_c, more):
    """c[i, j] (+)= sum_p a[i, p] * b[p, j]; `columns` is a multiple of a vector."""
    one, vl = a.dtype.type(1), lanes(a)
    for j in range(0, columns, WIDE * vl):
        vectors = min(WIDE, (columns - j) // vl)
        if vectors == WIDE:
            for i in range(0, rows, ROWS):
                to = c0 + i * row_c + j
                product_tile(
                    ROWS, WIDE, 0, a, a0 + i * row_a, row_a, column_a, b, b0 + j, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, min(ROWS, rows - i), 0,
                )  # fmt: skip
            continue
        if vectors >= 2:
            for i in range(0, rows, ROWS):
                to = c0 + i * row_c + j
                product_tile(
                    ROWS, 2, 0, a, a0 + i * row_a, row_a, column_a, b, b0 + j, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, min(ROWS, rows - i), 0,
                )  # fmt: skip
        if vectors % 2:
            rest = (vectors - 1) * vl
            for i in range(0, rows, TALL):
                to = c0 + i * row_c + j + rest
                product_tile(
                    TALL, 1, 0, a, a0 + i * row_a, row_a, column_a, b, b0 + j + rest, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, min(TALL, rows - i), 0,
                )  # fmt: skip


@jit
def _copy_in(source, start, plane, channels, height, width, first_row, rows, pitch, place, region):
    """region[y, x, c] = source[c, first_row + y, x], zero above and below the image; place[y * width + x] says where."""
    vl = lanes(source)
    low = min(max(0, -first_row), rows)
    high = max(low, min(rows, height - first_row))
    region[: low * pitch] = 0
    region[high * pitch : rows * pitch] = 0
    for t in range(low * width, high * width, vl):
        pixels = min(vl, high * width - t)
        turn_in(source, start + first_row * width + t, plane, channels, pixels, region, place, t)


@jit
def _pixels_to_points(first_unit, last_unit, first, last, x, v, plane, g, place, region):
    """v[point, tile, c] for the tiles of some units and the vectors first .. last - 1 of channels."""
    m, vl, pitch = g[TILE], lanes(x), g[CHANNEL_PITCH]
    size, rows = g[HEIGHT] * g[WIDTH], g[STRIP] * m + 2
    width = (g[TILES_X] * m + 2) * vl
    for vector in range(first, last):
        c = vector * vl
        for unit in range(first_unit, last_unit):
            image, strip = unit // g[STRIPS], unit % g[STRIPS]
            start = (image * g[CHANNELS] + c) * size
            top = strip * g[STRIP] * m - g[TOP]
            _copy_in(x, start, size, g[CHANNELS] - c, g[HEIGHT], g[WIDTH], top, rows, width, place, region)
            to = (unit - first_unit) * g[UNIT_TILES] * pitch + c
            spread_pixels(m, g[STRIP], g[TILES_X], region, width, v, to, pitch, plane)


@jit
def _slopes_to_points(first_unit, last_unit, first, last, grad, d, plane, g, place, region):
    """d[point, tile, k] of the gradients of the outputs, for the vectors first .. last - 1 of outputs."""
    m, vl, pitch = g[TILE], lanes(grad), g[OUTPUT_PITCH]
    size, rows = g[OUT_HEIGHT] * g[OUT_WIDTH], g[STRIP] * m
    width = g[TILES_X] * m * vl
    for vector in range(first, last):
        k = vector * vl
        for unit in range(first_unit, last_unit):
            image, strip = unit // g[STRIPS], unit % g[STRIPS]
            start = (image * g[OUTPUTS] + k) * size
            top = strip * rows
            _copy_in(grad, start, size, g[OUTPUTS] - k, g[OUT_HEIGHT], g[OUT_WIDTH], top, rows, width, place, region)
            to = (unit - first_unit) * g[UNIT_TILES] * pitch + k
            spread_slopes(m, g[STRIP], g[TILES_X], region, width, d, to, pitch, plane)


@jit
def _nine(vl):
    """Places of nine taps, one vector apart, and of what is read behind them."""
    return np.minimum(np.arange(9 + vl), 8) * vl


@jit
def _taps_to_points(panel, first, depth, weight, turned, u, u0, g, stage):
    """u[u0 + point * plane + (c - first) * PANEL + k] for the outputs of a panel, channels first .. first + depth - 1.

    `turned`: weight is (channels, outputs, 3, 3), and its taps run backwards.
    """
    m, vl, wide = g[TILE], lanes(weight), g[PANEL]
    nine, k0 = _nine(vl), panel * wide
    plane = depth * wide + vl
    if turned:
        for c in range(depth):
            for k in range(k0, min(k0 + wide, g[OUTPUTS]), vl):
                start = ((first + c) * g[OUTPUTS] + k) * 9
                for t in range(0, 9, vl):
                    turn_in(weight, start + t, 9, g[OUTPUTS] - k, 9 - t, stage, nine, t)
                spread_taps(m, stage, 8 * vl, -vl, u, u0 + c * wide + k - k0, plane)
        return
    # The taps of a vector of outputs lie in as many distant lines: copied first, they are read one line at a time.
    rows, line = stage[9 * vl :], depth * 9 + vl
    for k in range(k0, min(k0 + wide, g[OUTPUTS]), vl):
        for i in range(min(vl, g[OUTPUTS] - k)):
            start = ((k + i) * g[CHANNELS] + first) * 9
            for t in range(0, depth * 9, vl):
                store(rows, i * line + t, load_part(weight, start + t, depth * 9 - t))
        for c in range(depth):
            for t in range(0, 9, vl):
                turn_in(rows, c * 9 + t, line, g[OUTPUTS] - k, 9 - t, stage, nine, t)
            spread_taps(m, stage, 0, vl, u, u0 + c * wide + k - k0, plane)


@jit
def _stage(weight, g):
    """Room for nine vectors of taps, and for the taps of a vector of outputs and a block of channels."""
    vl = lanes(weight)
    return np.empty((9 + g[BLOCK] * 9 + vl) * vl, weight.dtype)


@jit
def _block_size(depth, g):
    """Elements of one block of the taps' points; planes are one vector more than a multiple of a cache set apart."""
    return g[POINTS] * (depth * g[PANEL] + 64)


@jit
def _points_to_outputs(first_unit, last_unit, panel, sums, plane, bias, out, g, place, region):
    """out = A^T s A + bias for the tiles of some units and the outputs of a panel."""
    m, vl, wide = g[TILE], lanes(sums), g[PANEL]
    size, rows = g[OUT_HEIGHT] * g[OUT_WIDTH], g[STRIP] * m
    k0 = panel * wide
    for k in range(k0, min(k0 + wide, g[OUTPUTS]), vl):
        for unit in range(first_unit, last_unit):
            image, strip = unit // g[STRIPS], unit % g[STRIPS]
            at = (unit - first_unit) * g[UNIT_TILES] * wide + k - k0
            gather_sums(m, g[STRIP], g[TILES_X], sums, at, wide, plane, region, g[TILES_X] * m * vl)
            start = (image * g[OUTPUTS] + k) * size + strip * rows * g[OUT_WIDTH]
            pixels = min(rows, g[OUT_HEIGHT] - strip * rows) * g[OUT_WIDTH]
            for t in range(0, pixels, vl):
                some = min(vl, pixels - t)
                turn_out(region, place, t, g[OUTPUTS] - k, some, out, start + t, size, bias, k)


@jit
def _multiply_points(tiles, panel, first, depth, v, plane_v, u, u0, sums, plane_s, g):
    """sums[point, tile, k] (+)= sum over channels first .. first + depth - 1 of v * u, for the outputs of a panel."""
    vl, wide = lanes(v), g[PANEL]
    columns = (min(wide, g[OUTPUTS] - panel * wide) + vl - 1) // vl * vl
    plane_u = depth * wide + vl
    for point in range(g[POINTS]):
        _multiply(
            v, point * plane_v + first, g[CHANNEL_PITCH], 1, tiles,
            u, u0 + point * plane_u, wide, columns, depth,
            sums, point * plane_s, wide, first > 0,
        )  # fmt: skip


@jit
def _regions(x, g):
    """Zeroed regions for the pixels and for the outputs of a unit, each with a place for what belongs nowhere."""
    m, vl = g[TILE], lanes(x)
    pixels = np.zeros(((g[STRIP] * m + 2) * (g[TILES_X] * m + 2) + 1) * vl, x.dtype)
    return pixels, np.zeros((g[STRIP] * m * g[TILES_X] * m + 1) * vl, x.dtype)


@jit
def _plane(rows, pitch, vl):
    """Elements from one point to the next: an odd number of vectors, so that the points do not share cache sets."""
    size = rows * pitch
    return size + (vl if size // vl % 2 == 0 else 2 * vl)


@jit(nogil=True)
def _taps(first, last, weight, turned, u, g):
    """Points of all taps: item = panel * blocks + block of channels."""
    blocks = (g[CHANNELS] + g[BLOCK] - 1) // g[BLOCK]
    stage = _stage(weight, g)
    for item in range(first, last):
        c = item % blocks * g[BLOCK]
        depth = min(g[BLOCK], g[CHANNELS] - c)
        _taps_to_points(item // blocks, c, depth, weight, turned, u, item * _block_size(g[BLOCK], g), g, stage)


@jit(nogil=True)
def _by_tiles(first, last, x, u, bias, out, g, place_in, place_out):
    """Tasks: a group of units each, all channels and outputs."""
    vl, wide = lanes(x), g[PANEL]
    most = g[GROUP] * g[UNIT_TILES]
    plane_v, plane_s = _plane(most, g[CHANNEL_PITCH], vl), _plane(most, wide, vl)
    v, sums = np.empty(g[POINTS] * plane_v, x.dtype), np.empty(g[POINTS] * plane_s, x.dtype)
    region_in, region_out = _regions(x, g)
    blocks = (g[CHANNELS] + g[BLOCK] - 1) // g[BLOCK]
    vectors = (g[CHANNELS] + vl - 1) // vl
    for task in range(first, last):
        unit0 = task * g[GROUP]
        unit1 = min(unit0 + g[GROUP], g[UNITS])
        tiles = (unit1 - unit0) * g[UNIT_TILES]
        _pixels_to_points(unit0, unit1, 0, vectors, x, v, plane_v, g, place_in, region_in)
        for panel in range((g[OUTPUTS] + wide - 1) // wide):
            for block in range(blocks):
                c = block * g[BLOCK]
                depth = min(g[BLOCK], g[CHANNELS] - c)
                u0 = (panel * blocks + block) * _block_size(g[BLOCK], g)
                _multiply_points(tiles, panel, c, depth, v, plane_v, u, u0, sums, plane_s, g)
            _points_to_outputs(unit0, unit1, panel, sums, plane_s, bias, out, g, place_out, region_out)


@jit(nogil=True)
def _all_pixels(first, last, x, v, g, place):
    """Points of all tiles, for the vectors first .. last - 1 of channels."""
    vl = lanes(x)
    region, _ = _regions(x, g)
    plane = _plane(g[UNITS] * g[UNIT_TILES], g[CHANNEL_PITCH], vl)
    _pixels_to_points(0, g[UNITS], first, last, x, v, plane, g, place, region)


@jit(nogil=True)
def _by_outputs(first, last, v, weight, turned, bias, out, g, place):
    """Tasks: a panel of outputs each, all tiles and channels."""
    vl, tiles = lanes(v), g[UNITS] * g[UNIT_TILES]
    plane_v, plane_s = _plane(tiles, g[CHANNEL_PITCH], vl), _plane(tiles, g[PANEL], vl)
    u, sums = np.empty(_block_size(g[BLOCK], g), v.dtype), np.empty(g[POINTS] * plane_s, v.dtype)
    stage = _stage(weight, g)
    _, region = _regions(v, g)
    for panel in range(first, last):
        for c in range(0, g[CHANNELS], g[BLOCK]):
            depth = min(g[BLOCK], g[CHANNELS] - c)
            _taps_to_points(panel, c, depth, weight, turned, u, 0, g, stage)
            _multiply_points(tiles, panel, c, depth, v, plane_v, u, 0, sums, plane_s, g)
        _points_to_outputs(0, g[UNITS], panel, sums, plane_s, bias, out, g, place, region)


@jit(parallel=True)
def _taps_parallel(chunks, items, weight, turned, u, g):
    for i in prange(chunks):
        _taps(i * items // chunks, (i + 1) * items // chunks, weight, turned, u, g)


@jit(parallel=True)
def _by_tiles_parallel(chunks, tasks, x, u, bias, out, g, place_in, place_out):
    for i in prange(chunks):
        _by_tiles(i * tasks // chunks, (i + 1) * tasks // chunks, x, u, bias, out, g, place_in, place_out)


@jit(parallel=True)
def _all_pixels_parallel(chunks, vectors, x, v, g, place):
    for i in prange(chunks):
        _all_pixels(i * vectors // chunks, (i + 1) * vectors // chunks, x, v, g, place)


@jit(parallel=True)
def _by_outputs_parallel(chunks, panels, v, weight, turned, bias, out, g, place):
    for i in prange(chunks):
        _by_outputs(i * panels // chunks, (i + 1) * panels // chunks, v, weight, turned, bias, out, g, place)


# -- the gradient of the taps ------------------------------------------------------------------------------------


@jit
def _correlate_points(tiles, d, plane_d, k0, rows, v, plane_v, c0, columns, u, plane_u, row_u, more, g):
    """u[point, k, c] (+)= sum_tile d[point, tile, k0 + k] * v[point, tile, c0 + c], k < rows, c < columns."""
    for point in range(g[POINTS]):
        for t in range(0, tiles, DEPTH):
            _multiply(
                d, point * plane_d + t * g[OUTPUT_PITCH] + k0, 1, g[OUTPUT_PITCH], rows,
                v, point * plane_v + t * g[CHANNEL_PITCH] + c0, g[CHANNEL_PITCH], columns, min(DEPTH, tiles - t),
                u, point * plane_u, row_u, more or t > 0,
            )  # fmt: skip


@jit
def _points_to_taps(u, plane, row, k0, rows, c0, columns, out, o0, g, stage):
    """out[o0 + (k * channels + c) * 9 + t] = G^T u G for the outputs k0 .. and channels c0 .. of u[point, k, c]."""
    vl = lanes(u)
    nine, none = _nine(vl), np.zeros(vl, u.dtype)
    for k in range(min(rows, g[OUTPUTS] - k0)):
        for c in range(0, min(columns, g[CHANNELS] - c0), vl):
            gather_taps(g[TILE], u, k * row + c, plane, stage, 0)
            to = o0 + ((k0 + k) * g[CHANNELS] + c0 + c) * 9
            for t in range(0, 9, vl):
                turn_out(stage, nine, t, g[CHANNELS] - c0 - c, 9 - t, out, to + t, 9, none, 0)


@jit(nogil=True)
def _taps_by_tiles(first, last, parts, x, grad, partial, g, place_in, place_out):
    """Tasks: a part of the groups of units each; partial[part] is the gradient of all taps from its tiles."""
    vl, most = lanes(x), g[GROUP] * g[UNIT_TILES]
    vectors_in, vectors_out = (g[CHANNELS] + vl - 1) // vl, (g[OUTPUTS] + vl - 1) // vl
    plane_v, plane_d = _plane(most, g[CHANNEL_PITCH], vl), _plane(most, g[OUTPUT_PITCH], vl)
    plane_u = _plane(g[OUTPUTS], vectors_in * vl, vl)
    v, d = np.empty(g[POINTS] * plane_v, x.dtype), np.empty(g[POINTS] * plane_d, x.dtype)
    u, stage = np.empty(g[POINTS] * plane_u, x.dtype), np.empty(9 * vl, x.dtype)
    region_in, region_out = _regions(x, g)
    groups = (g[UNITS] + g[GROUP] - 1) // g[GROUP]
    size = g[OUTPUTS] * g[CHANNELS] * 9
    for part in range(first, last):
        begin = part * groups // parts
        for group in range(begin, (part + 1) * groups // parts):
            unit0 = group * g[GROUP]
            unit1 = min(unit0 + g[GROUP], g[UNITS])
            tiles = (unit1 - unit0) * g[UNIT_TILES]
            _pixels_to_points(unit0, unit1, 0, vectors_in, x, v, plane_v, g, place_in, region_in)
            _slopes_to_points(unit0, unit1, 0, vectors_out, grad, d, plane_d, g, place_out, region_out)
            _correlate_points(
                tiles, d, plane_d, 0, g[OUTPUTS], v, plane_v, 0, vectors_in * vl,
                u, plane_u, vectors_in * vl, group > begin, g,
            )  # fmt: skip
        _points_to_taps(u, plane_u, vectors_in * vl, 0, g[OUTPUTS], 0, vectors_in * vl, partial, part * size, g, stage)


@jit(nogil=True)
def _all_slopes(first, last, grad, d, g, place):
    """Points of all gradients' tiles, for the vectors first .. last - 1 of outputs."""
    vl = lanes(grad)
    _, region = _regions(grad, g)
    plane = _plane(g[UNITS] * g[UNIT_TILES], g[OUTPUT_PITCH], vl)
    _slopes_to_points(0, g[UNITS], first, last, grad, d, plane, g, place, region)


@jit(nogil=True)
def _all_points(first, last, x, grad, v, d, g, place_in, place_out):
    """Items: the vectors of channels of x, then those of the outputs of grad."""
    vl = lanes(x)
    vectors = (g[CHANNELS] + vl - 1) // vl
    if first < vectors:
        _all_pixels(first, min(last, vectors), x, v, g, place_in)
    if last > vectors:
        _all_slopes(max(first, vectors) - vectors, last - vectors, grad, d, g, place_out)


@jit(nogil=True)
def _taps_by_outputs(first, last, v, d, out, g):
    """Tasks: the taps from a block of channels to a panel of outputs each, from all tiles."""
    vl, wide, tiles = lanes(v), g[PANEL], g[UNITS] * g[UNIT_TILES]
    plane_v, plane_d = _plane(tiles, g[CHANNEL_PITCH], vl), _plane(tiles, g[OUTPUT_PITCH], vl)
    plane_u = _plane(wide, g[BLOCK], vl)
    u, stage = np.empty(g[POINTS] * plane_u, v.dtype), np.empty(9 * vl, v.dtype)
    blocks = (g[CHANNELS] + g[BLOCK] - 1) // g[BLOCK]
    for task in range(first, last):
        k, c = task // blocks * wide, task % blocks * g[BLOCK]
        rows, columns = min(wide, g[OUTPUTS] - k), (min(g[BLOCK], g[CHANNELS] - c) + vl - 1) // vl * vl
        _correlate_points(tiles, d, plane_d, k, rows, v, plane_v, c, columns, u, plane_u, g[BLOCK], False, g)
        _points_to_taps(u, plane_u, g[BLOCK], k, rows, c, columns, out, 0, g, stage)


@jit(nogil=True)
def _sum_parts(first, last, parts, size, partial, out):
    """out = the sum of the parts, in their order."""
    target = out[first:last]
    target[:] = partial[first:last]
    for part in range(1, parts):
        value = partial[part * size + first : part * size + last]
        for i in range(last - first):
            target[i] += value[i]


@jit(parallel=True)
def _taps_by_tiles_parallel(chunks, parts, x, grad, partial, g, place_in, place_out):
    for i in prange(chunks):
        _taps_by_tiles(i * parts // chunks, (i + 1) * parts // chunks, parts, x, grad, partial, g, place_in, place_out)


@jit(parallel=True)
def _all_points_parallel(chunks, items, x, grad, v, d, g, place_in, place_out):
    for i in prange(chunks):
        _all_points(i * items // chunks, (i + 1) * items // chunks, x, grad, v, d, g, place_in, place_out)


@jit(parallel=True)
def _taps_by_outputs_parallel(chunks, tasks, v, d, out, g):
    for i in prange(chunks):
        _taps_by_outputs(i * tasks // chunks, (i + 1) * tasks // chunks, v, d, out, g)


@jit(parallel=True)
def _sum_parts_parallel(chunks, parts, size, partial, out):
    for i in prange(chunks):
        _sum_parts(i * size // chunks, (i + 1) * size // chunks, parts, size, partial, out)


# -- entry points ------------------------------------------------------------------------------------------------


def winograd_forward(x, weight, bias, images, channels, outputs, src, padding, out, turned, tile):
    """out (images, outputs, *out) of x (images, channels, *src) and weight (outputs, channels, 3, 3).

    Flat arrays of one floating dtype; bias is empty for none; src, padding and out are (height, width), where
    `padding` is what lies in front (below zero: what is left out) and `out` says how far the result goes behind.
    With `turned` the weight is (channels, outputs, 3, 3) and its taps run backwards: with padding 2 - p that is the
    gradient of a forward convolution of padding p with respect to its input. `tile` is 2 or 4. Returns a new array.
    """
    result = np.empty(images * outputs * out[0] * out[1], x.dtype)
    if result.size == 0:
        return result
    p = plan("forward", images, channels, outputs, src, padding, out, tile, x.itemsize)
    g = p.geometry
    shift = bias if bias.size else np.zeros(outputs, x.dtype)
    if p.by_tiles:
        u = np.empty(p.taps, x.dtype)
        if p.serial:
            _taps(0, p.tap_items, weight, turned, u, g)
            _by_tiles(0, p.tasks, x, u, shift, result, g, p.place_in, p.place_out)
        else:
            _taps_parallel(min(CHUNKS, p.tap_items), p.tap_items, weight, turned, u, g)
            _by_tiles_parallel(min(CHUNKS, p.tasks), p.tasks, x, u, shift, result, g, p.place_in, p.place_out)
        return result
    v = np.empty(p.points_in, x.dtype)
    if p.serial:
        _all_pixels(0, p.vectors_in, x, v, g, p.place_in)
        _by_outputs(0, p.tasks, v, weight, turned, shift, result, g, p.place_out)
    else:
        _all_pixels_parallel(min(CHUNKS, p.vectors_in), p.vectors_in, x, v, g, p.place_in)
        _by_outputs_parallel(min(CHUNKS, p.tasks), p.tasks, v, weight, turned, shift, result, g, p.place_out)
    return result


def winograd_backward_weight(x, grad, images, channels, outputs, src, padding, out, tile):
    """Gradient (outputs, channels, 3, 3) of winograd_forward (taps not turned) with respect to its weight.

    Arguments as there; grad is (images, outputs, *out).
    """
    result = np.zeros(outputs * channels * 9, x.dtype)
    if result.size == 0 or grad.size == 0:
        return result
    p = plan("weight", images, channels, outputs, src, padding, out, tile, x.itemsize)
    g = p.geometry
    if p.by_tiles:
        partial = np.empty(p.tasks * result.size, x.dtype) if p.tasks > 1 else result
        if p.serial:
            _taps_by_tiles(0, p.tasks, p.tasks, x, grad, partial, g, p.place_in, p.place_out)
            if p.tasks > 1:
                _sum_parts(0, result.size, p.tasks, result.size, partial, result)
        else:
            _taps_by_tiles_parallel(p.tasks, p.tasks, x, grad, partial, g, p.place_in, p.place_out)
            if p.tasks > 1:
                _sum_parts_parallel(CHUNKS, p.tasks, result.size, partial, result)
        return result
    v, d = np.empty(p.points_in, x.dtype), np.empty(p.points_out, x.dtype)
    items = p.vectors_in + p.vectors_out
    if p.serial:
        _all_points(0, items, x, grad, v, d, g, p.place_in, p.place_out)
        _taps_by_outputs(0, p.tasks, v, d, result, g)
    else:
        _all_points_parallel(min(CHUNKS, items), items, x, grad, v, d, g, p.place_in, p.place_out)
        _taps_by_outputs_parallel(min(CHUNKS, p.tasks), p.tasks, v, d, result, g)
    return result
