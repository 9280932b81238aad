"""Depthwise convolution: every channel has its own kernel, and every output sees one channel.

    out[n, g*M + m, o] = bias[g*M + m] + sum_t weight[g*M + m, t] * x[n, g, o * stride - padding + t * dilation]

in one or two dimensions. There is one multiply-add for each load, so nothing is gained by tiles over channels: each
plane of the input is copied once to a zero-padded plane in the first-level cache, columns of one residue modulo the
stride together, and rows of vectors run over it (depthwise_tile.py). The transposed convolution, also the gradient of
the input, does the same with the kernel turned round and zeros between the elements of its input.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from ..compiler import jit
from .depthwise_tile import copy_row, flat_dot, flat_tile, plane_dot, plane_tile, spread_row
from .tile_sizes import VECTOR_BYTES, lanes

# Rows of the output that plane_tile computes at once.
TILE_ROWS = 4
# Multiply-adds below which a parallel launch (2 us) costs more than it gains: 8 us on one core.
SERIAL_WORK = 120_000
# Chunks of planes handed to the threads.
CHUNKS = 16

# Columns up to which planes are computed flat: a vector there costs a mask for each tap, but holds several rows, and
# no padded copy is made. At 14 x 14 that takes half of the time, at 28 x 28 as much.
FLAT_WIDTH = 20

# Fields of a geometry: sizes of the source, the output, the kernel; step of the output's rows and columns in the
# padded plane; zeros between the source's elements (1 for none); padding in front; padded rows, length of a row of one
# residue, and of a row of all; taps of a column that plane_tile takes together, and columns (or taps) then left;
# vectors of a plane that is computed flat, or 0 (then, behind the offsets, a mask for each tap and vector).
(HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, KERNEL_HEIGHT, KERNEL_WIDTH, STEP_HEIGHT, STEP_WIDTH, APART_HEIGHT, APART_WIDTH,
 FRONT_HEIGHT, FRONT_WIDTH, ROWS, LENGTH, PITCH, TAPS, ENTRIES, TURNED, IMAGES, GROUPS, OUTPUTS, FLAT) = range(22)  # fmt: skip
OFFSETS = 22  # where each entry begins in the padded plane; the weight gradient has an entry for every tap


@lru_cache(maxsize=1024)
def depthwise_plan(kind, images, groups, outputs, src, kernel, stride, padding, dilation, out, itemsize):
    """The geometry as int64: the fields above, then the offsets. kind is "forward", "transposed" or "weight"."""
    transposed = kind == "transposed"
    step, apart = ((1, 1), stride[1:]) if transposed else (stride[1:], (1, 1))
    reach = [d * (k - 1) for d, k in zip(dilation[1:], kernel[1:], strict=True)]
    front = [r - p if transposed else p for r, p in zip(reach, padding[1:], strict=True)]
    rows = (out[1] - 1) * step[0] + reach[0] + 1
    length = out[2] + reach[1] // step[1]
    pitch = length * step[1]
    together = kernel[1] in (3, 5) and dilation[1] == step[0] and out[1] >= TILE_ROWS and kind != "weight"
    taps = kernel[1] if together else 1
    columns = [x * dilation[2] % step[1] * length + x * dilation[2] // step[1] for x in range(kernel[2])]
    offsets = [y * dilation[1] * pitch + x for y in range(1 if together else kernel[1]) for x in columns]
    flat, masks = 0, []
    if src[1:] == out[1:] and step == apart == (1, 1) and out[2] <= FLAT_WIDTH:
        taps, vl = 1, lanes(itemsize)
        flat = -(-out[1] * out[2] // vl)
        moves = [[k * d - f for k in range(n)] for n, d, f in zip(kernel[1:], dilation[1:], front, strict=True)]
        offsets = [y * out[2] + x for y in moves[0] for x in moves[1]]
        inside = [[(np.arange(n) + m >= 0) & (np.arange(n) + m < n) for m in many] for n, many in zip(out[1:], moves)]
        for row in inside[0]:
            for column in inside[1]:
                bits = np.zeros(flat * vl, np.int64)
                bits[: out[1] * out[2]] = np.outer(row, column).reshape(-1)
                masks += (bits.reshape(flat, vl) << np.arange(vl)).sum(1).tolist()
    return np.array([
        *src[1:], *out[1:], *kernel[1:], *step, *apart, *front, rows, length, pitch, taps, len(offsets), transposed,
        images, groups, outputs, flat, *offsets, *masks,
    ], dtype=np.int64)  # fmt: skip


@jit
def _padded_plane(src, start, geometry, plane):
    """plane[y, residue, q] = element (y - front, q * step + residue - front) of the source.

    Only elements of the source are written: the zeros around (and between, where they stand apart) stay."""
    width, length, step = geometry[WIDTH], geometry[LENGTH], geometry[STEP_WIDTH]
    front_h, front, apart_h, apart = (
        geometry[FRONT_HEIGHT], geometry[FRONT_WIDTH], geometry[APART_HEIGHT], geometry[APART_WIDTH]
    )  # fmt: skip
    top = max(0, (apart_h - 1 - front_h) // apart_h)
    bottom = min(geometry[HEIGHT], (geometry[ROWS] - 1 - front_h) // apart_h + 1)
    left = max(0, (apart - 1 - front) // apart)
    right = min(width, (length - 1 - front) // apart + 1)
    pitch = apart_h * geometry[PITCH]
    first = start + top * width
    at = (front_h + top * apart_h) * geometry[PITCH]
    if apart > 1:
        first, at, count = first + left, at + front + left * apart, max(0, right - left)
        for i in range(bottom - top):
            if apart == 2:
                spread_row(src, first + i * width, plane, at + i * pitch, count)
            else:
                for e in range(count):
                    plane[at + i * pitch + e * apart] = src[first + i * width + e]
        return
    for residue in range(step):
        low = max(0, (front - residue + step - 1) // step)
        high = min(length, (width - 1 + front - residue) // step + 1)
        count = max(0, high - low)
        x, to = first + low * step + residue - front, at + residue * length + low
        for i in range(bottom - top):
            if step == 1:
                copy_row(1, src, x + i * width, plane, to + i * pitch, count)
            elif step == 2:
                copy_row(2, src, x + i * width, plane, to + i * pitch, count)
            else:
                for e in range(count):
                    plane[to + i * pitch + e] = src[x + i * width + e * step]


@jit
def _some_rows(rows, vectors, w, geometry, plane, at, shift, out, to, count):
    """plane_tile for the rows and columns that the geometry takes together."""
    taps, entries, offsets, ldo = geometry[TAPS], geometry[ENTRIES], geometry[OFFSETS:], geometry[OUT_WIDTH]
    pitch = geometry[PITCH] * geometry[STEP_HEIGHT]
    if rows == 1:
        if vectors == 2:
            plane_tile(1, 1, 2, w, 0, offsets, entries, plane, at, pitch, shift, out, to, ldo, count)
        else:
            plane_tile(1, 1, 1, w, 0, offsets, entries, plane, at, pitch, shift, out, to, ldo, count)
    elif taps == 3:
        if vectors == 2:
            plane_tile(TILE_ROWS, 3, 2, w, 0, offsets, entries, plane, at, pitch, shift, out, to, ldo, count)
        else:
            plane_tile(TILE_ROWS, 3, 1, w, 0, offsets, entries, plane, at, pitch, shift, out, to, ldo, count)
    elif taps == 5:
        if vectors == 2:
            plane_tile(TILE_ROWS, 5, 2, w, 0, offsets, entries, plane, at, pitch, shift, out, to, ldo, count)
        else:
            plane_tile(TILE_ROWS, 5, 1, w, 0, offsets, entries, plane, at, pitch, shift, out, to, ldo, count)
    elif vectors == 2:
        plane_tile(TILE_ROWS, 1, 2, w, 0, offsets, entries, plane, at, pitch, shift, out, to, ldo, count)
    else:
        plane_tile(TILE_ROWS, 1, 1, w, 0, offsets, entries, plane, at, pitch, shift, out, to, ldo, count)


@jit
def _kernel_of(weight, start, geometry, w):
    """w[entry, tap of the column] in the order of plane_tile, turned round for a transposed convolution."""
    height, width, taps = geometry[KERNEL_HEIGHT], geometry[KERNEL_WIDTH], geometry[TAPS]
    for y in range(height):
        for x in range(width):
            at = y * width + x
            to = x * taps + y if taps > 1 else at
            w[to] = weight[start + (height * width - 1 - at if geometry[TURNED] else at)]


@jit(nogil=True)
def _depthwise_tasks(first, last, src, weight, bias, out, geometry):
    """The planes of (image, group) number first .. last - 1."""
    groups, outputs, offsets = geometry[GROUPS], geometry[OUTPUTS], geometry[OFFSETS:]
    oh, ow = geometry[OUT_HEIGHT], geometry[OUT_WIDTH]
    taps = geometry[KERNEL_HEIGHT] * geometry[KERNEL_WIDTH]
    vl = VECTOR_BYTES // src.itemsize
    # rows are read to a whole number of vectors
    plane = np.zeros(geometry[ROWS] * geometry[PITCH] + 2 * vl, src.dtype)
    w = np.empty(taps, src.dtype)
    rows = TILE_ROWS if oh >= TILE_ROWS else 1
    flat, pixels, masks = geometry[FLAT], oh * ow, geometry[OFFSETS + geometry[ENTRIES] :]
    for item in range(first, last):
        if flat > 0:
            for m in range(outputs):
                channel = item % groups * outputs + m
                _kernel_of(weight, channel * taps, geometry, w)
                shift = bias[channel] if bias.size > 0 else src.dtype.type(0)
                at, to = item * pixels, (item * outputs + m) * pixels
                v = 0
                while v + 4 <= flat:
                    p = v * vl
                    flat_tile(
                        4, w, offsets, taps, masks, v, flat, src, at + p, shift, out, to + p, pixels - p
                    )  # fmt: skip
                    v += 4
                while v < flat:
                    p = v * vl
                    flat_tile(
                        1, w, offsets, taps, masks, v, flat, src, at + p, shift, out, to + p, pixels - p
                    )  # fmt: skip
                    v += 1
            continue
        _padded_plane(src, item * geometry[HEIGHT] * geometry[WIDTH], geometry, plane)
        for m in range(outputs):
            channel = item % groups * outputs + m
            _kernel_of(weight, channel * taps, geometry, w)
            shift = bias[channel] if bias.size > 0 else src.dtype.type(0)
            target = (item * outputs + m) * oh * ow
            for y in range(0, oh, rows):
                y = min(y, oh - rows)  # the last rows again, rather than fewer
                at, to = y * geometry[STEP_HEIGHT] * geometry[PITCH], target + y * ow
                x = 0
                while x < ow:
                    left = ow - x
                    vectors = 2 if left > vl else 1
                    _some_rows(rows, vectors, w, geometry, plane, at + x, shift, out, to + x, left)
                    x += vectors * vl


@jit(parallel=True)
def _depthwise_parallel(chunks, planes, src, weight, bias, out, geometry):
    for i in prange(chunks):
        _depthwise_tasks(i * planes // chunks, (i + 1) * planes // chunks, src, weight, bias, out, geometry)


@jit(nogil=True)
def _weight_tasks(first, last, x, grad, out, geometry):
    """The weight gradients of the groups first .. last - 1, image by image."""
    groups, outputs, offsets = geometry[GROUPS], geometry[OUTPUTS], geometry[OFFSETS:]
    oh, ow, taps = geometry[OUT_HEIGHT], geometry[OUT_WIDTH], geometry[ENTRIES]
    vl = VECTOR_BYTES // x.itemsize
    plane = np.zeros(geometry[ROWS] * geometry[PITCH] + 2 * vl, x.dtype)
    pitch = geometry[PITCH] * geometry[STEP_HEIGHT]
    sums = np.empty(outputs * taps * vl, x.dtype)
    flat, masks = geometry[FLAT], offsets[taps:]
    for group in range(first, last):
        sums[:] = 0
        for n in range(geometry[IMAGES]):
            item = n * groups + group
            if flat > 0:
                for m in range(outputs):
                    at, from_x, t = (item * outputs + m) * oh * ow, item * oh * ow, 0
                    while t + 9 <= taps:
                        flat_dot(
                            9, grad, at, x, from_x, offsets, t, masks, t * flat, flat, oh * ow, sums,
                            (m * taps + t) * vl,
                        )  # fmt: skip
                        t += 9
                    while t < taps:
                        flat_dot(
                            1, grad, at, x, from_x, offsets, t, masks, t * flat, flat, oh * ow, sums,
                            (m * taps + t) * vl,
                        )  # fmt: skip
                        t += 1
                continue
            _padded_plane(x, item * geometry[HEIGHT] * geometry[WIDTH], geometry, plane)
            for m in range(outputs):
                at = (item * outputs + m) * oh * ow
                t = 0
                while t + 9 <= taps:
                    plane_dot(9, grad, at, ow, plane, 0, pitch, oh, ow, offsets, t, sums, (m * taps + t) * vl)
                    t += 9
                while t + 3 <= taps:
                    plane_dot(3, grad, at, ow, plane, 0, pitch, oh, ow, offsets, t, sums, (m * taps + t) * vl)
                    t += 3
                while t < taps:
                    plane_dot(1, grad, at, ow, plane, 0, pitch, oh, ow, offsets, t, sums, (m * taps + t) * vl)
                    t += 1
        for e in range(outputs * taps):
            total = sums[e * vl]
            for lane in range(1, vl):
                total += sums[e * vl + lane]
            out[group * outputs * taps + e] = total


@jit(parallel=True)
def _weight_parallel(chunks, groups, x, grad, out, geometry):
    for i in prange(chunks):
        _weight_tasks(i * groups // chunks, (i + 1) * groups // chunks, x, grad, out, geometry)


def is_depthwise(channels, outputs, src, kernel, padding, out, itemsize) -> bool:
    """Whether this module computes a convolution: one channel a group, few outputs, no third dimension, and padded
    planes that stay in a second-level cache."""
    flat = src[0] == out[0] == kernel[0] == 1 and padding[0] == 0
    most = max(src[1] * src[2], out[1] * out[2])
    return channels == 1 and outputs <= 2 and flat and most * itemsize <= 256 * 1024 and kernel[1] * kernel[2] <= 169


def depthwise_forward(
    x, weight, bias, out, kind, images, groups, outputs, src, kernel, stride, padding, dilation, size
):
    """Fill `out` (images, groups * outputs, *size): the forward (kind "forward") or transposed convolution."""
    geometry = depthwise_plan(
        kind, images, groups, outputs, src, kernel, stride, padding, dilation, size, x.itemsize
    )  # fmt: skip
    planes = images * groups
    if out.size * kernel[1] * kernel[2] < SERIAL_WORK:
        _depthwise_tasks(0, planes, x, weight, bias, out, geometry)
    else:
        _depthwise_parallel(min(planes, CHUNKS), planes, x, weight, bias, out, geometry)
    return out


def depthwise_backward_weight(
    x, grad, out, images, groups, outputs, src, kernel, stride, padding, dilation, size
):  # fmt: skip
    """Fill `out` (groups * outputs, 1, *kernel): the gradient of the weight; `size` is that of grad's planes."""
    geometry = depthwise_plan(
        "weight", images, groups, outputs, src, kernel, stride, padding, dilation, size, x.itemsize
    )  # fmt: skip
    if grad.size * kernel[1] * kernel[2] < SERIAL_WORK:
        _weight_tasks(0, groups, x, grad, out, geometry)
    else:
        _weight_parallel(min(groups, CHUNKS), groups, x, grad, out, geometry)
    return out
