"""Depthwise convolution: every channel has its own kernel, and every output sees one channel.

    out[n, g*M + m, o] = bias[g*M + m] + sum_t weight[g*M + m, t] * x[n, g, o * stride - padding + t * dilation]

in one or two dimensions. There is one multiply-add for each load, so nothing is gained by tiles over channels: each
plane of the input is copied once to a zero-padded plane in the first-level cache, columns of one residue modulo the
stride together, and rows of vectors run over it (depthwise_tile.py). The transposed convolution, also the gradient of
the input, does the same with the kernel turned round and zeros between the elements of its input. Small planes, and those
with steps, go side by side where there are enough of them (depthwise_lanes.py).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain

import numpy as np
from numba import prange

from ..compiler import jit
from .depthwise_lanes import lanes_forward, lanes_table
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

# Of those with steps of one that keep their size, columns up to which planes go side by side whatever the kernel, and taps
# above which they do so anyway: 3 x 3 at 14 x 14 takes as long both ways.
SIDE_WIDTH, SIDE_TAPS = 10, 9
# Bytes of the planes and their outputs side by side, which stay in a second-level cache; and lanes for each plane.
SIDE_BYTES, SIDE_LANES = 384 * 1024, 1.34

# Taps that follow each other in a column, from which plane_tile takes them together: the first rows of a tile use as many.
TALL_TAPS = TILE_ROWS - 1

# Fields of a geometry: sizes of the source and the output; step of the output's rows and columns in the padded plane; zeros
# between the source's elements in a row (1 for none); padded rows and length of one; the columns of taps that plane_tile takes
# together, how many taps they have if all have as many (else 0), and all columns and single taps; images, groups, outputs of
# a group; vectors of a plane that is computed flat, or 0; all taps; and where lists begin: of the number in the kernel of each
# tap (in the order of the offsets), of a mask for each tap and vector of flat planes, of the rows to copy (place in the
# source, in the padded plane) and of what to copy of each (the same, and how many elements).
(HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, STEP_HEIGHT, STEP_WIDTH, APART, ROWS, PITCH, TALL, TAPS, ENTRIES, IMAGES, GROUPS,
 OUTPUTS, FLAT, KERNEL, ORDER, MASKS, LINES, LINE_COUNT, SPANS, SPAN_COUNT) = range(23)  # fmt: skip
OFFSETS = 23  # where each entry begins in the padded plane; behind them, how many taps each of the tall ones has


def _entries(kernel, dilation, step, rows):
    """(columns, singles): the taps, as (row, column) of the kernel, that plane_tile takes together, and the others. Taps of
    a column follow each other row by row if they are a step of the output's rows apart."""
    columns, singles = [], []
    every = step // dilation if step % dilation == 0 and rows >= TILE_ROWS else kernel[0]
    for x in range(kernel[1]):
        for first in range(min(every, kernel[0])):
            column = [(y, x) for y in range(first, kernel[0], every)]
            if len(column) >= TALL_TAPS:
                columns.append(column)
            else:
                singles += column
    return columns, singles


@lru_cache(maxsize=1024)
def depthwise_plan(kind, images, groups, outputs, src, kernel, stride, padding, dilation, out, itemsize):
    """The geometry as int64: the fields above, then the lists. kind is "forward", "transposed" or "weight"."""
    transposed = kind == "transposed"
    step, apart = ((1, 1), stride[1:]) if transposed else (stride[1:], (1, 1))
    dilation, kernel = dilation[1:], kernel[1:]
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    front = [r - p if transposed else p for r, p in zip(reach, padding[1:], strict=True)]
    rows = (out[1] - 1) * step[0] + reach[0] + 1
    length = out[2] + reach[1] // step[1]
    pitch = length * step[1]
    flat, masks, taps = 0, [], [(y, x) for y in range(kernel[0]) for x in range(kernel[1])]
    if src[1:] == out[1:] and step == apart == (1, 1) and out[2] <= FLAT_WIDTH:
        vl = lanes(itemsize)
        flat = -(-out[1] * out[2] // vl)
        columns = []
        moves = [[k * d - f for k in range(n)] for n, d, f in zip(kernel, dilation, front, strict=True)]
        offsets = [moves[0][y] * out[2] + moves[1][x] for y, x in taps]
        inside = [[(np.arange(n) + m >= 0) & (np.arange(n) + m < n) for m in many] for n, many in zip(out[1:], moves)]
        for row in inside[0]:
            for column in inside[1]:
                bits = np.zeros(flat * vl, np.int64)
                bits[: out[1] * out[2]] = np.outer(row, column).reshape(-1)
                masks += (bits.reshape(flat, vl) << np.arange(vl)).sum(1).tolist()
    else:
        columns, singles = _entries(kernel, dilation[0], step[0], out[1]) if kind != "weight" else ([], taps)
        firsts = [column[0] for column in columns] + singles
        across = [x * dilation[1] % step[1] * length + x * dilation[1] // step[1] for x in range(kernel[1])]
        offsets = [y * dilation[0] * pitch + across[x] for y, x in firsts]
        taps = [*chain(*columns), *singles]
    order = [y * kernel[1] + x for y, x in taps]
    if transposed:  # turned round
        order = [len(taps) - 1 - o for o in order]
    # what the taps read of the source, and where it goes; the rest of the padded plane stays zero
    seen = {o * step[0] + y * dilation[0] for o in range(out[1]) for y in range(kernel[0])}
    places = [(y * src[2], front[0] + y * apart[0]) for y in range(src[1])]
    lines = [(far, near * pitch) for far, near in places if near in seen]
    spans = []
    if apart[1] > 1:
        left = max(0, -(front[1] // apart[1]))
        right = min(src[2], (length - 1 - front[1]) // apart[1] + 1)
        spans.append((left, front[1] + left * apart[1], right - left))
    else:
        for residue in sorted({x * dilation[1] % step[1] for x in range(kernel[1])}):
            low = max(0, -((residue - front[1]) // step[1]))
            high = min(length, (src[2] - 1 + front[1] - residue) // step[1] + 1)
            spans.append((low * step[1] + residue - front[1], residue * length + low, high - low))
    spans = [span for span in spans if span[2] > 0]
    counts = {len(column) for column in columns}
    same = counts.pop() if len(counts) == 1 else 0
    lists = [[*offsets, *map(len, columns)], order, masks, [*chain(*lines)], [*chain(*spans)]]
    at = np.cumsum([OFFSETS, *map(len, lists)]).tolist()
    return np.array([
        *src[1:], *out[1:], *step, apart[1], rows, pitch, len(columns), same, len(offsets), images, groups, outputs, flat,
        len(order), at[1], at[2], at[3], len(lines), at[4], len(spans), *chain(*lists),
    ], dtype=np.int64)  # fmt: skip


@jit(bare=True)
def _padded_plane(src, start, geometry, plane):
    """Copy to a zero-padded plane what the taps read of the source, each residue of its columns modulo the step together:
    plane[y, residue, q] = element (y - front, q * step + residue - front).

    The zeros around (and between, where elements stand apart) stay."""
    step, apart, lines, count = geometry[STEP_WIDTH], geometry[APART], geometry[LINES], geometry[LINE_COUNT]
    for span in range(geometry[SPANS], geometry[SPANS] + 3 * geometry[SPAN_COUNT], 3):
        x, to, some = start + geometry[span], geometry[span + 1], geometry[span + 2]
        if apart == 2:
            for line in range(lines, lines + 2 * count, 2):
                spread_row(src, x + geometry[line], plane, to + geometry[line + 1], some)
        elif apart > 2:
            for line in range(lines, lines + 2 * count, 2):
                for e in range(some):
                    plane[to + geometry[line + 1] + e * apart] = src[x + geometry[line] + e]
        elif step == 1:
            for line in range(lines, lines + 2 * count, 2):
                copy_row(1, src, x + geometry[line], plane, to + geometry[line + 1], some)
        elif step == 2:
            for line in range(lines, lines + 2 * count, 2):
                copy_row(2, src, x + geometry[line], plane, to + geometry[line + 1], some)
        else:
            for line in range(lines, lines + 2 * count, 2):
                for e in range(some):
                    plane[to + geometry[line + 1] + e] = src[x + geometry[line] + e * step]


@jit(bare=True)
def _some_rows(rows, vectors, w, geometry, plane, at, shift, out, to, count):
    """plane_tile for some rows and vectors."""
    tall, ldo, pitch = geometry[TALL], geometry[OUT_WIDTH], geometry[PITCH] * geometry[STEP_HEIGHT]
    singles, taps, o0 = geometry[ENTRIES] - tall, geometry[TAPS], OFFSETS
    if rows == 1:
        if vectors == 2:
            plane_tile(1, 0, 2, w, geometry, o0, tall, singles, plane, at, pitch, shift, out, to, ldo, count)
        else:
            plane_tile(1, 0, 1, w, geometry, o0, tall, singles, plane, at, pitch, shift, out, to, ldo, count)
    elif taps == 3:
        if vectors == 2:
            plane_tile(TILE_ROWS, 3, 2, w, geometry, o0, tall, singles, plane, at, pitch, shift, out, to, ldo, count)
        else:
            plane_tile(TILE_ROWS, 3, 1, w, geometry, o0, tall, singles, plane, at, pitch, shift, out, to, ldo, count)
    elif taps == 5:
        if vectors == 2:
            plane_tile(TILE_ROWS, 5, 2, w, geometry, o0, tall, singles, plane, at, pitch, shift, out, to, ldo, count)
        else:
            plane_tile(TILE_ROWS, 5, 1, w, geometry, o0, tall, singles, plane, at, pitch, shift, out, to, ldo, count)
    elif vectors == 2:
        plane_tile(TILE_ROWS, 0, 2, w, geometry, o0, tall, singles, plane, at, pitch, shift, out, to, ldo, count)
    else:
        plane_tile(TILE_ROWS, 0, 1, w, geometry, o0, tall, singles, plane, at, pitch, shift, out, to, ldo, count)


@jit(bare=True)
def _kernel_of(weight, start, geometry, w):
    """The taps in the order of the geometry's offsets."""
    order = geometry[ORDER]
    for e in range(geometry[KERNEL]):
        w[e] = weight[start + geometry[order + e]]


@jit(nogil=True)
def _depthwise_tasks(first, last, src, weight, bias, out, geometry):
    """The planes of (image, group) number first .. last - 1."""
    groups, outputs, offsets = geometry[GROUPS], geometry[OUTPUTS], geometry[OFFSETS:]
    oh, ow = geometry[OUT_HEIGHT], geometry[OUT_WIDTH]
    taps = geometry[KERNEL]
    vl = VECTOR_BYTES // src.itemsize
    # rows are read to a whole number of vectors
    plane = np.zeros(geometry[ROWS] * geometry[PITCH] + 2 * vl, src.dtype)
    w = np.empty(taps, src.dtype)
    rows = TILE_ROWS if oh >= TILE_ROWS else 1
    flat, pixels, masks = geometry[FLAT], oh * ow, geometry[geometry[MASKS] :]
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
    flat, masks = geometry[FLAT], geometry[geometry[MASKS] :]
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


def _side_by_side(count, src, kernel, stride, size, itemsize) -> bool:
    """Whether as many planes as a vector has lanes are computed together."""
    vl = lanes(itemsize)
    blocks = -(-count // vl)
    if (
        count < vl
        or blocks * vl > SIDE_LANES * count
        or (src[1] * src[2] + size[1] * size[2]) * itemsize * vl > SIDE_BYTES
    ):
        return False
    if stride != (1, 1, 1):
        return True
    narrow = SIDE_WIDTH if src == size and kernel[1] * kernel[2] <= SIDE_TAPS else FLAT_WIDTH
    return size[2] <= narrow


def depthwise_forward(
    x, weight, bias, out, kind, images, groups, outputs, src, kernel, stride, padding, dilation, size
):
    """Fill `out` (images, groups * outputs, *size): the forward (kind "forward") or transposed convolution."""
    planes, serial = images * groups, out.size * kernel[1] * kernel[2] < SERIAL_WORK
    if _side_by_side(planes, src, kernel, stride, size, x.itemsize):
        table = lanes_table(kind, src[1:], kernel[1:], stride[1:], padding[1:], dilation[1:], size[1:])
        return lanes_forward(x, weight, bias, out, planes, lanes(x.itemsize), groups, outputs, table, serial)
    geometry = depthwise_plan(
        kind, images, groups, outputs, src, kernel, stride, padding, dilation, size, x.itemsize
    )  # fmt: skip
    if serial:
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
