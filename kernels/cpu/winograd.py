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
points:

    slopes   d[point, tile, k] = A dY A^T
    sums     u[point, k, c]    = sum_tile d[point, tile, k] * v[point, tile, c]
    taps     dg = G^T u G

Each line is a kernel. Everything between the images has channels next to each other, so that the maps are vector
operations without a shuffle, whatever the size of the plane. A *unit* is a strip of tiles of one image: its pixels are
turned, a vector of channels at a time, to a small zero-padded region, from which the tiles are taken.

Points are several times the size of what they are made from. So that they stay in the third-level cache the kernels
run over a group of units and a group of outputs at a time (winograd_plan.py).

Error, as the largest difference from the exact result over its largest value, for normally distributed data: 6e-7
for 2 x 2 tiles and 2e-6 for 4 x 4, where the direct kernel has 2e-7. A nan or inf in the image makes the whole of its
tiles nan (as it does in cuDNN), where the direct kernel confines it to its windows. winograd_plan.py says where the
algorithm is used: never for float64, nor under use_deterministic_algorithms(True).
"""

from __future__ import annotations

import threading

import numpy as np
from numba import prange

from ..compiler import jit
from ..simd import lanes, load_part, store
from ..threads import get_num_threads
from .gemm_tiles import product_tile
from .tile_sizes import WIDE_FILE
from .winograd_plan import (
    CHANNEL_PITCH,
    CHANNELS,
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
    WIDTH,
    plan,
    plane_size,
)
from .winograd_tiles import turn_in, turn_out
from .winograd_transforms import gather_sums, gather_taps, spread_pixels, spread_slopes, spread_taps

# Rows and vectors of the register tile: 6 x 4 vectors of sums where there are 32 registers, 6 x 2 where there are 16;
# for a single vector 12 rows, so that it is loaded less often and the chains of sums are long enough.
ROWS = 6
WIDE = 4 if WIDE_FILE else 2
TALL = 12
# Terms of one pass over a sum: 128 rows of 64 columns are 32 KB, as much as the first-level cache.
DEPTH = 128
# Channels of a pass over the taps: the taps of a vector of outputs, copied, take 37 KB.
BLOCK = 64
# Pieces of a parallel kernel: several for each core to balance, few enough that buffers are seldom made.
CHUNKS = 16
# Columns of an item of the sums of the weight's gradient.
WEIGHT_PANEL = 64
# The steps, each a kernel that takes (first item, last item, n, a, b, c, g, place): n are its numbers, a, b and c its
# arrays, of which it writes c, g is the geometry, and place says where pixels or taps are.
PIXELS, TAPS, SUMS, OUTPUTS_STEP, SLOPES, TAP_SUMS = range(6)


@jit
def _multiply(a, a0, row_a, column_a, rows, b, b0, row_b, columns, depth, c, c0, row_c, more):
    """c[i, j] (+)= sum_p a[i, p] * b[p, j]; `columns` is a multiple of a vector."""
    one, vl = a.dtype.type(1), lanes(a)
    j = 0
    while j < columns:
        vectors = (columns - j) // vl
        if vectors >= WIDE:
            whole = rows - rows % ROWS
            for i in range(0, whole, ROWS):
                to = c0 + i * row_c + j
                product_tile(
                    ROWS, WIDE, 0, a, a0 + i * row_a, row_a, column_a, b, b0 + j, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, ROWS, 0,
                )  # fmt: skip
            if whole < rows:
                to = c0 + whole * row_c + j
                product_tile(
                    ROWS, WIDE, 2, a, a0 + whole * row_a, row_a, column_a, b, b0 + j, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, rows - whole, WIDE * vl,
                )  # fmt: skip
            j += WIDE * vl
        elif vectors >= 2:
            whole = rows - rows % ROWS
            for i in range(0, whole, ROWS):
                to = c0 + i * row_c + j
                product_tile(
                    ROWS, 2, 0, a, a0 + i * row_a, row_a, column_a, b, b0 + j, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, ROWS, 0,
                )  # fmt: skip
            if whole < rows:
                to = c0 + whole * row_c + j
                product_tile(
                    ROWS, 2, 2, a, a0 + whole * row_a, row_a, column_a, b, b0 + j, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, rows - whole, 2 * vl,
                )  # fmt: skip
            j += 2 * vl
        else:
            whole = rows - rows % TALL
            for i in range(0, whole, TALL):
                to = c0 + i * row_c + j
                product_tile(
                    TALL, 1, 0, a, a0 + i * row_a, row_a, column_a, b, b0 + j, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, TALL, 0,
                )  # fmt: skip
            if whole < rows:
                to = c0 + whole * row_c + j
                product_tile(
                    TALL, 1, 2, a, a0 + whole * row_a, row_a, column_a, b, b0 + j, row_b, depth,
                    c, to, row_c, more, one, one, c, to, row_c, rows - whole, vl,
                )  # fmt: skip
            j += vl


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


@jit(nogil=True)
def _pixels(first, last, n, x, _, v, g, place):
    """v[point, tile, c] of the units from unit0 on; item = vector of channels * units + unit."""
    unit0, units, plane = n[0], n[1], n[2]
    m, vl, pitch = g[TILE], lanes(x), g[CHANNEL_PITCH]
    size, rows = g[HEIGHT] * g[WIDTH], g[STRIP] * m + 2
    width = (g[TILES_X] * m + 2) * vl
    region = np.zeros(rows * width + vl, x.dtype)  # the last vector is the place of what is outside
    for item in range(first, last):
        c, unit = item // units * vl, item % units
        image, strip = (unit0 + unit) // g[STRIPS], (unit0 + unit) % g[STRIPS]
        start, top = (image * g[CHANNELS] + c) * size, strip * g[STRIP] * m - g[TOP]
        _copy_in(x, start, size, g[CHANNELS] - c, g[HEIGHT], g[WIDTH], top, rows, width, place, region)
        spread_pixels(m, g[STRIP], g[TILES_X], region, width, v, unit * g[UNIT_TILES] * pitch + c, pitch, plane)


@jit(nogil=True)
def _slopes(first, last, n, grad, _, d, g, place):
    """d[point, tile, k - k0] of the units from unit0 on; item = vector of outputs * units + unit."""
    unit0, units, k0, plane = n[0], n[1], n[2], n[3]
    m, vl, pitch = g[TILE], lanes(grad), g[OUTPUT_PITCH]
    size, rows = g[OUT_HEIGHT] * g[OUT_WIDTH], g[STRIP] * m
    width = g[TILES_X] * m * vl
    region = np.zeros(rows * width + vl, grad.dtype)
    for item in range(first, last):
        k, unit = item // units * vl, item % units
        image, strip = (unit0 + unit) // g[STRIPS], (unit0 + unit) % g[STRIPS]
        start, top, some = (image * g[OUTPUTS] + k0 + k) * size, strip * rows, g[OUTPUTS] - k0 - k
        _copy_in(grad, start, size, some, g[OUT_HEIGHT], g[OUT_WIDTH], top, rows, width, place, region)
        spread_slopes(m, g[STRIP], g[TILES_X], region, width, d, unit * g[UNIT_TILES] * pitch + k, pitch, plane)


@jit(nogil=True)
def _taps(first, last, n, weight, _, u, g, nine):
    """u[panel, point, c, k] of the outputs from k0 on; item = vector of outputs * blocks + block of channels.

    `turned`: weight is (channels, outputs, 3, 3), and its taps run backwards.
    """
    blocks, k0, turned, plane = n[0], n[1], n[2] == 1, n[3]
    m, vl, wide = g[TILE], lanes(weight), g[PANEL]
    line = BLOCK * 9 + vl
    stage, rows = np.empty(9 * vl, weight.dtype), np.empty(line * vl, weight.dtype)
    at, step = (8 * vl, -vl) if turned else (0, vl)
    for item in range(first, last):
        k, c0 = item // blocks * vl, item % blocks * BLOCK
        some, depth = min(vl, g[OUTPUTS] - k0 - k), min(BLOCK, g[CHANNELS] - c0)
        if not turned:
            # the taps of a vector of outputs lie in as many distant lines: copied first, they are read line by line
            for i in range(some):
                start = ((k0 + k + i) * g[CHANNELS] + c0) * 9
                for t in range(0, depth * 9, vl):
                    store(rows, i * line + t, load_part(weight, start + t, depth * 9 - t))
        to = k // wide * g[POINTS] * plane + c0 * wide + k % wide
        for c in range(depth):
            for t in range(0, 9, vl):
                if turned:
                    turn_in(weight, ((c0 + c) * g[OUTPUTS] + k0 + k) * 9 + t, 9, some, 9 - t, stage, nine, t)
                else:
                    turn_in(rows, c * 9 + t, line, some, 9 - t, stage, nine, t)
            spread_taps(m, stage, at, step, u, to + c * wide, plane)


@jit(nogil=True)
def _sums(first, last, n, a, b, c, g, place):
    """c[point, i, j] (+)= sum_p a[point, i, p] * b[point, p, j]; item = point * panels + panel of columns of b."""
    panels, plane_a, row_a, column_a, rows, plane_b, row_b, panel_b = n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]
    columns, depth, plane_c, row_c, wide, more = n[8], n[9], n[10], n[11], n[12], n[13] == 1
    for item in range(first, last):
        point, panel = item // panels, item % panels
        a0, b0, c0 = point * plane_a, point * plane_b + panel * panel_b, point * plane_c + panel * wide
        width = min(wide, columns - panel * wide)
        for p in range(0, depth, DEPTH):
            _multiply(
                a, a0 + p * column_a, row_a, column_a, rows, b, b0 + p * row_b, row_b, width, min(DEPTH, depth - p),
                c, c0, row_c, more or p > 0,
            )  # fmt: skip


@jit(nogil=True)
def _outputs(first, last, n, sums, bias, out, g, place):
    """out = A^T s A + bias for the units from unit0 on; item = vector of outputs * units + unit."""
    unit0, units, k0, plane = n[0], n[1], n[2], n[3]
    m, vl, pitch = g[TILE], lanes(sums), g[OUTPUT_PITCH]
    size, rows = g[OUT_HEIGHT] * g[OUT_WIDTH], g[STRIP] * m
    width = g[TILES_X] * m * vl
    region = np.empty(rows * width, sums.dtype)
    for item in range(first, last):
        k, unit = item // units * vl, item % units
        image, strip = (unit0 + unit) // g[STRIPS], (unit0 + unit) % g[STRIPS]
        gather_sums(m, g[STRIP], g[TILES_X], sums, unit * g[UNIT_TILES] * pitch + k, pitch, plane, region, width)
        k += k0
        start = (image * g[OUTPUTS] + k) * size + strip * rows * g[OUT_WIDTH]
        pixels = min(rows, g[OUT_HEIGHT] - strip * rows) * g[OUT_WIDTH]
        for t in range(0, pixels, vl):
            turn_out(region, place, t, g[OUTPUTS] - k, pixels - t, out, start + t, size, bias, k)


@jit(nogil=True)
def _tap_sums(first, last, n, u, none, out, g, nine):
    """out[k, c] = G^T u G of u[point, k - k0, c]; item = output."""
    k0, plane, row = n[0], n[1], n[2]
    m, vl = g[TILE], lanes(u)
    stage = np.empty(9 * vl, u.dtype)
    for k in range(first, last):
        for c in range(0, g[CHANNELS], vl):
            gather_taps(m, u, k * row + c, plane, stage, 0)
            to = ((k0 + k) * g[CHANNELS] + c) * 9
            for t in range(0, 9, vl):
                turn_out(stage, nine, t, g[CHANNELS] - c, 9 - t, out, to + t, 9, none, 0)


# One parallel kernel runs all steps of a kind: compiling the parallel form of each would take longer than the step itself.
@jit(parallel=True)
def _forward_parallel(step, chunks, items, n, a, b, c, g, place):
    for i in prange(chunks):
        first, last = i * items // chunks, (i + 1) * items // chunks
        if step == PIXELS:
            _pixels(first, last, n, a, b, c, g, place)
        elif step == TAPS:
            _taps(first, last, n, a, b, c, g, place)
        elif step == SUMS:
            _sums(first, last, n, a, b, c, g, place)
        else:
            _outputs(first, last, n, a, b, c, g, place)


@jit(parallel=True)
def _backward_parallel(step, chunks, items, n, a, b, c, g, place):
    for i in prange(chunks):
        first, last = i * items // chunks, (i + 1) * items // chunks
        if step == SLOPES:
            _slopes(first, last, n, a, b, c, g, place)
        else:
            _tap_sums(first, last, n, a, b, c, g, place)


_STEPS = (_pixels, _taps, _sums, _outputs, _slopes, _tap_sums)


_kept = threading.local()


def _workspace(name: str, size: int, dtype) -> np.ndarray:
    """An array for points, kept for the next convolution of this Python thread: fresh ones would cost page faults.

    A few tens of megabytes at most, since winograd_plan.py bounds what is made at a time.
    """
    found = getattr(_kept, name, None)
    if found is None or found.size < size or found.dtype != dtype:
        found = np.empty(size, dtype)
        setattr(_kept, name, found)
    return found


def _run(serial, step, items, numbers, *arrays):
    """Items 0 .. items - 1 of a step, on all threads unless `serial`; `arrays` are a, b, c, g, place.

    With one thread the kernel runs as it is: its parallel form would be compiled once more.
    """
    n = np.array(numbers, np.int64)
    if serial or get_num_threads() == 1:
        _STEPS[step](0, items, n, *arrays)
    else:
        parallel = _forward_parallel if step < SLOPES else _backward_parallel
        parallel(step, min(CHUNKS, items), items, n, *arrays)


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
    p = plan(images, channels, outputs, src, padding, out, tile, x.itemsize)
    g, vl = p.geometry, p.vl
    none = np.zeros(vl, x.dtype)
    shift = bias if bias.size else np.zeros(outputs, x.dtype)
    tiles = p.unit_group * p.unit_tiles
    plane_v, plane_s = plane_size(tiles, p.channel_pitch, vl), plane_size(tiles, p.output_pitch, vl)
    plane_u = plane_size(channels, p.panel, vl)
    v = _workspace("pixels", p.points * plane_v, x.dtype)
    u = _workspace("taps", -(-p.output_group // p.panel) * p.points * plane_u, x.dtype)
    sums = _workspace("outputs", p.points * plane_s, x.dtype)
    vectors, blocks = -(-channels // vl), -(-channels // BLOCK)
    for unit in range(0, p.units, p.unit_group):
        units = min(p.unit_group, p.units - unit)
        tiles = units * p.unit_tiles
        _run(p.serial, PIXELS, vectors * units, (unit, units, plane_v), x, none, v, g, p.place_in)
        for k in range(0, outputs, p.output_group):
            some = -(-min(p.output_group, outputs - k) // vl)  # vectors of outputs
            panels = -(-some * vl // p.panel)
            if unit == 0 or p.output_group < outputs:
                _run(p.serial, TAPS, some * blocks, (blocks, k, turned, plane_u), weight, none, u, g, p.nine)
            numbers = (panels, plane_v, p.channel_pitch, 1, tiles, plane_u, p.panel, p.points * plane_u,
                       some * vl, channels, plane_s, p.output_pitch, p.panel, False)  # fmt: skip
            _run(p.serial, SUMS, p.points * panels, numbers, v, u, sums, g, p.nine)
            _run(p.serial, OUTPUTS_STEP, some * units, (unit, units, k, plane_s), sums, shift, result, g, p.place_out)
    return result


def winograd_backward_weight(x, grad, images, channels, outputs, src, padding, out, tile):
    """Gradient (outputs, channels, 3, 3) of winograd_forward (taps not turned) with respect to its weight.

    Arguments as there; grad is (images, outputs, *out).
    """
    result = np.empty(outputs * channels * 9, x.dtype)
    if result.size == 0 or grad.size == 0 or x.size == 0:
        result[:] = 0
        return result
    p = plan(images, channels, outputs, src, padding, out, tile, x.itemsize)
    g, vl = p.geometry, p.vl
    tiles = p.unit_group * p.unit_tiles
    plane_v, plane_d = plane_size(tiles, p.channel_pitch, vl), plane_size(tiles, p.output_pitch, vl)
    plane_u = plane_size(p.output_group, p.channel_pitch, vl)
    v = _workspace("pixels", p.points * plane_v, x.dtype)
    u = _workspace("taps", p.points * plane_u, x.dtype)
    d = _workspace("outputs", p.points * plane_d, x.dtype)
    none = np.zeros(vl, x.dtype)
    vectors = -(-channels // vl)
    panels = -(-vectors * vl // WEIGHT_PANEL)
    for k in range(0, outputs, p.output_group):
        rows = min(p.output_group, outputs - k)
        for unit in range(0, p.units, p.unit_group):
            units = min(p.unit_group, p.units - unit)
            if k == 0 or p.unit_group < p.units:
                _run(p.serial, PIXELS, vectors * units, (unit, units, plane_v), x, none, v, g, p.place_in)
            _run(p.serial, SLOPES, -(-rows // vl) * units, (unit, units, k, plane_d), grad, none, d, g, p.place_out)
            numbers = (panels, plane_d, 1, p.output_pitch, rows, plane_v, p.channel_pitch, WEIGHT_PANEL,
                       vectors * vl, units * p.unit_tiles, plane_u, p.channel_pitch, WEIGHT_PANEL, unit > 0)  # fmt: skip
            _run(p.serial, SUMS, p.points * panels, numbers, d, v, u, g, p.nine)
        _run(p.serial, TAP_SUMS, rows, (k, plane_u, p.channel_pitch), u, none, result, g, p.nine)
    return result
