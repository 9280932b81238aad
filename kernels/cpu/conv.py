"""Convolution on the CPU: forward, transposed (the gradient of the input), and the gradient of the weight.

    out[n, g*M + m, o] = bias[g*M + m] + sum_{c, t} weight[g*M + m, c, t] * x[n, g*C + c, o * stride - padding
    + t * dilation]

over one to three dimensions (unit dimensions in front), without an im2col matrix. A task is a block of
outputs of one group: it copies the input that the block needs to a small zero-padded region in which the
pixels of every tap are consecutive (conv_plan.py says how), then multiplies by register tiles that read the
region through a table of offsets (microkernel.py). Pointwise convolutions read the input in place.

Source for the blocking: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008; for
the offsets, Dukhan, "The indirect convolution algorithm", 2019.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from .conv_plan import (
    BASE,
    BLOCK,
    BLOCK_PIXELS,
    BLOCKS,
    CHANNELS,
    COUNT,
    DEPTH,
    DIRECT,
    EXTENT,
    FIRST_TASK,
    GROUPS,
    IMAGES,
    MERGED,
    OSTART,
    OSTEP,
    OUT,
    OUT_PLANE,
    OUTPUTS,
    PACKED,
    PACKED_OUTPUTS,
    PHASE,
    PHASE_TAPS,
    PHASES,
    PITCH,
    PIXELS,
    REGION,
    ROW_TILES,
    SRC,
    SRC_PLANE,
    STEP,
    TAP_TABLE,
    TASKS,
    VARIANT_TABLE,
    VARIANTS,
    WEIGHT_CHANNEL,
    WEIGHT_GROUP,
    WEIGHT_OUTPUT,
    WIDTH,
    plan,
)
from .matmul import mm
from .microkernel import (
    DOT_COLUMNS,
    DOT_ROWS,
    ROW_VECTORS,
    VECTOR_BYTES,
    VECTORS,
    dot_tile,
    gemm_tile,
    load_row,
    store_row,
)

# Depth of one pass over the reduction: 128 rows of 48 pixels and 128 x 8 weights are 28 KB, inside a 32 KB
# first-level cache.
DEPTH_BLOCK = 128
# Multiply-adds below which a parallel launch (3 us and more) costs more than it gains.
SERIAL_WORK = 400_000
# Chunks of tasks handed to the threads: several for each core to balance, few enough that buffers are seldom
# allocated.
CHUNKS = 32
# Partial sums of the weight gradient: fixed, so that the result does not depend on the number of threads.
PARTIALS = 8
# Output channels of one task of the weight gradient: with many channels its sums are tens of megabytes, and
# partial sums would only move memory.
WEIGHT_OUTPUTS = 128


@jit
def _tile_rows(tile, tiles, packed):
    """(first row, rows) of a row tile: pairs of rows dealt evenly."""
    if packed == 1:
        return 0, 1
    each, extra = (packed // 2) // tiles, (packed // 2) % tiles
    return 2 * (tile * each + min(tile, extra)), 2 * (each + (1 if tile < extra else 0))


@jit(nogil=True)
def _pack_tiles(first, last, weight, packed, head, phases, table):
    """packed[phase][group][tile][c * taps + t][row] for (phase, group, tile) number first .. last - 1."""
    tiles, rows_all, channels = head[ROW_TILES], head[PACKED_OUTPUTS], head[CHANNELS]
    for item in range(first, last):
        phase = phases[item // (tiles * head[GROUPS]) * PHASE :]
        group, tile = item // tiles % head[GROUPS], item % tiles
        row0, rows = _tile_rows(tile, tiles, rows_all)
        taps = phase[PHASE_TAPS]
        start = phase[PACKED] + (group * rows_all + row0) * channels * taps
        panel = packed[start : start + rows * channels * taps]
        tap = table[phase[TAP_TABLE] :]
        for i in range(rows):
            if row0 + i >= head[OUTPUTS]:
                for k in range(channels * taps):
                    panel[k * rows + i] = 0
                continue
            source = weight[group * head[WEIGHT_GROUP] + (row0 + i) * head[WEIGHT_OUTPUT] :]
            for c in range(channels):
                for t in range(taps):
                    panel[(c * taps + t) * rows + i] = source[c * head[WEIGHT_CHANNEL] + tap[3 * t + 2]]


@jit(parallel=True)
def _pack_parallel(chunks, items, weight, packed, head, phases, table):
    for i in prange(chunks):
        _pack_tiles(i * items // chunks, (i + 1) * items // chunks, weight, packed, head, phases, table)


@jit
def _copy_region(src, start, head, phase, table, images, place, region, pitch):
    """region[variant][channel][image, depth, height, width of the block]; `place` is the block's first output
    position."""
    channels, plane = head[CHANNELS], head[SRC_PLANE]
    depth, height, width = head[SRC], head[SRC + 1], head[SRC + 2]
    ed, eh, ew = phase[EXTENT], phase[EXTENT + 1], phase[EXTENT + 2]
    step_d, step_h, step_w = phase[STEP], phase[STEP + 1], phase[STEP + 2]
    first_d = phase[BASE] + place[0] * step_d
    first_h = phase[BASE + 1] + place[1] * step_h
    first_w = phase[BASE + 2] + place[2] * step_w
    at = 0
    for vd in range(phase[VARIANTS]):
        from_d = first_d + table[phase[VARIANT_TABLE] + vd]
        for vh in range(phase[VARIANTS + 1]):
            from_h = first_h + table[phase[VARIANT_TABLE + 1] + vh]
            for vw in range(phase[VARIANTS + 2]):
                from_w = first_w + table[phase[VARIANT_TABLE + 2] + vw]
                for c in range(channels):
                    target = at
                    at += pitch
                    for b in range(images):
                        source = start + (b * head[GROUPS] * channels + c) * plane
                        for z in range(ed):
                            iz = from_d + z * step_d
                            if iz < 0 or iz >= depth:
                                empty = region[target : target + eh * ew]
                                for e in range(empty.size):
                                    empty[e] = 0
                                target += eh * ew
                                continue
                            for y in range(eh):
                                iy = from_h + y * step_h
                                line = source + (iz * height + iy) * width
                                seen = width if 0 <= iy < height else 0  # a row of padding has no elements
                                if step_w == 1:
                                    load_row(0, src, line, from_w, 1, seen, region, target, ew)
                                else:
                                    load_row(1, src, line, from_w, step_w, seen, region, target, ew)
                                target += ew


@jit
def _offsets(offset, channels, phase, table, pitch):
    """offset[c * taps + t]: where in the region the first pixel of channel c, tap t is."""
    taps, tap = phase[PHASE_TAPS], table[phase[TAP_TABLE] :]
    for t in range(taps):
        start = tap[3 * t] * channels * pitch + tap[3 * t + 1]
        for c in range(channels):
            offset[c * taps + t] = start + c * pitch


@jit
def _runs(first, last, images, phase, place, counts, head, run):
    """The pixels first .. last - 1 of a block that are outputs, as runs (pixel - first, length, place in one
    output plane, image).

    `counts` are the outputs of this block per dimension (fewer than phase[BLOCK] at the edge)."""
    ed, eh, ew = phase[EXTENT], phase[EXTENT + 1], phase[EXTENT + 2]
    n = 0
    row = first // ew
    y, z, b = row % eh, row // eh % ed, row // (eh * ed)
    for begin in range(row * ew, min(last, images * ed * eh * ew), ew):
        low, high = max(first, begin), min(last, begin + counts[2])
        if y < counts[1] and z < counts[0] and low < high:
            oz = phase[OSTART] + (place[0] + z) * phase[OSTEP]
            oy = phase[OSTART + 1] + (place[1] + y) * phase[OSTEP + 1]
            ox = phase[OSTART + 2] + (place[2] + low - begin) * phase[OSTEP + 2]
            run[4 * n] = low - first
            run[4 * n + 1] = high - low
            run[4 * n + 2] = (oz * head[OUT + 1] + oy) * head[OUT + 2] + ox
            run[4 * n + 3] = b
            n += 1
        y += 1
        if y == eh:
            y = 0
            z += 1
            if z == ed:
                z = 0
                b += 1
    return n


@jit
def _multiply_block(sums, ldc, panels, group, region, start, offset, depth, pixels, head):
    """sums[row, p] = sum_k weight[row, k] * region[start + offset[k] + p] for p < pixels (rounded up to whole
    vectors)."""
    tiles, rows_all, width = head[ROW_TILES], head[PACKED_OUTPUTS], head[WIDTH]
    vl = VECTOR_BYTES // region.itemsize
    if depth == 0:
        sums[: rows_all * ldc] = 0
    for k in range(0, depth, DEPTH_BLOCK):
        some, more = min(DEPTH_BLOCK, depth - k), k > 0
        for p in range(0, pixels, width):
            left = pixels - p
            for tile in range(tiles):
                row0, rows = _tile_rows(tile, tiles, rows_all)
                a0 = group * rows_all * depth + row0 * depth + k * rows
                at, c0 = start + p, row0 * ldc + p
                if rows == 1:
                    gemm_tile(1, ROW_VECTORS, panels, a0, offset, k, some, region, at, sums, c0, ldc, more)
                elif left > (VECTORS - 1) * vl:
                    if rows == 8:
                        gemm_tile(8, VECTORS, panels, a0, offset, k, some, region, at, sums, c0, ldc, more)
                    elif rows == 6:
                        gemm_tile(6, VECTORS, panels, a0, offset, k, some, region, at, sums, c0, ldc, more)
                    elif rows == 4:
                        gemm_tile(4, VECTORS, panels, a0, offset, k, some, region, at, sums, c0, ldc, more)
                    else:
                        gemm_tile(2, VECTORS, panels, a0, offset, k, some, region, at, sums, c0, ldc, more)
                else:  # the last pixels, a vector at a time
                    for v in range(0, left, vl):
                        if rows == 8:
                            gemm_tile(8, 1, panels, a0, offset, k, some, region, at + v, sums, c0 + v, ldc, more)
                        elif rows == 6:
                            gemm_tile(6, 1, panels, a0, offset, k, some, region, at + v, sums, c0 + v, ldc, more)
                        elif rows == 4:
                            gemm_tile(4, 1, panels, a0, offset, k, some, region, at + v, sums, c0 + v, ldc, more)
                        else:
                            gemm_tile(2, 1, panels, a0, offset, k, some, region, at + v, sums, c0 + v, ldc, more)


@jit
def _task_place(task, phase, place, counts):
    """Block number -> its first output position and its outputs per dimension. Returns what is left of the
    number."""
    for i in range(2, -1, -1):
        blocks, block = phase[BLOCKS + i], phase[BLOCK + i]
        place[i] = task % blocks * block
        counts[i] = min(block, phase[COUNT + i] - place[i])
        task //= blocks
    return task


@jit
def _last_pixel(images, phase, counts):
    """One more than the last pixel of a block that is an output."""
    ed, eh, ew = phase[EXTENT], phase[EXTENT + 1], phase[EXTENT + 2]
    return (((images - 1) * ed + counts[0] - 1) * eh + counts[1] - 1) * ew + counts[2]


@jit(nogil=True)
def _conv_tasks(first, last, src, packed, bias, out, head, phases, table):
    channels, outputs, groups, width = head[CHANNELS], head[OUTPUTS], head[GROUPS], head[WIDTH]
    ldc = head[BLOCK_PIXELS]
    region = np.empty(head[REGION], src.dtype)
    sums = np.empty(head[PACKED_OUTPUTS] * ldc, src.dtype)
    offset = np.empty(head[DEPTH] + 1, np.int64)
    run = np.empty(4 * (ldc + 1), np.int64)
    place, counts = np.empty(3, np.int64), np.empty(3, np.int64)
    number = 0
    for task in range(first, last):
        while number + 1 < head[PHASES] and phases[(number + 1) * PHASE + FIRST_TASK] <= task:
            number += 1
        phase = phases[number * PHASE : (number + 1) * PHASE]
        rest = _task_place(task - phase[FIRST_TASK], phase, place, counts)
        group, image = rest % groups, rest // groups * phase[MERGED]
        images = min(phase[MERGED], head[IMAGES] - image)
        pixels = _last_pixel(images, phase, counts)
        depth = phase[PHASE_TAPS] * channels
        panels = packed[phase[PACKED] :]
        start = (image * groups + group) * channels * head[SRC_PLANE]
        # in place, where the last tile of the last channel does not reach beyond the end of the input
        reach = start + place[2] + (channels - 1) * head[SRC_PLANE] + (pixels + width - 1) // width * width
        direct = head[DIRECT] == 1 and reach <= src.size
        if direct:
            pitch = head[SRC_PLANE]
        else:
            pitch = phase[PITCH]
            _copy_region(src, start, head, phase, table, images, place, region, pitch)
        _offsets(offset, channels, phase, table, pitch)
        for p in range(0, pixels, ldc):
            some = min(ldc, pixels - p)
            if direct:
                _multiply_block(sums, ldc, panels, group, src, start + place[2] + p, offset, depth, some, head)
            else:
                _multiply_block(sums, ldc, panels, group, region, p, offset, depth, some, head)
            runs = _runs(p, p + some, images, phase, place, counts, head, run)
            step = phase[OSTEP + 2]
            for m in range(outputs):
                shift = bias[group * outputs + m] if bias.size > 0 else src.dtype.type(0)
                for r in range(runs):
                    begin, length, image_of = m * ldc + run[4 * r], run[4 * r + 1], image + run[4 * r + 3]
                    target = ((image_of * groups + group) * outputs + m) * head[OUT_PLANE] + run[4 * r + 2]
                    if step == 1:
                        store_row(0, sums, begin, shift, out, target, 1, length)
                    else:
                        store_row(1, sums, begin, shift, out, target, step, length)


@jit(parallel=True)
def _conv_parallel(chunks, tasks, src, packed, bias, out, head, phases, table):
    for i in prange(chunks):
        _conv_tasks(i * tasks // chunks, (i + 1) * tasks // chunks, src, packed, bias, out, head, phases, table)


@jit(nogil=True)
def _weight_tasks(first, last, x, grad, sums, head, phases, table):
    """sums[part][group][m, c * taps + t] = sum over the part's blocks of grad[m, p] * region[offset[c, t] +
    p].

    item = (part * groups + group) * cuts + cut, where a cut is WEIGHT_OUTPUTS of the group's outputs."""
    channels, all_outputs, groups = head[CHANNELS], head[OUTPUTS], head[GROUPS]
    cuts = (all_outputs + WEIGHT_OUTPUTS - 1) // WEIGHT_OUTPUTS
    phase = phases[:PHASE]
    depth = phase[PHASE_TAPS] * channels
    ldc = (depth + DOT_COLUMNS - 1) // DOT_COLUMNS * DOT_COLUMNS
    vl = VECTOR_BYTES // x.itemsize
    # zeros: what lies behind the last pixel is multiplied by a gradient of zero, so it must be a number
    region = np.zeros(head[REGION], x.dtype)
    lda_most = (phase[PIXELS] + vl - 1) // vl * vl
    slopes = np.empty(min(all_outputs, WEIGHT_OUTPUTS) * lda_most, x.dtype)
    offset = np.zeros(ldc, np.int64)
    run = np.empty(4 * (phase[PIXELS] + 1), np.int64)
    place, counts = np.empty(3, np.int64), np.empty(3, np.int64)
    blocks = head[TASKS] // groups
    parts = min(PARTIALS, blocks)
    for item in range(first, last):
        group, part = item // cuts % groups, item // cuts // groups
        first_output = item % cuts * WEIGHT_OUTPUTS
        outputs = min(WEIGHT_OUTPUTS, all_outputs - first_output)
        c_start = ((part * groups + group) * all_outputs + first_output) * ldc
        sums[c_start : c_start + outputs * ldc] = 0
        for block in range(part * blocks // parts, (part + 1) * blocks // parts):
            image = _task_place(block, phase, place, counts) * phase[MERGED]
            images = min(phase[MERGED], head[IMAGES] - image)
            pixels = _last_pixel(images, phase, counts)
            length = (pixels + vl - 1) // vl * vl
            start = (image * groups + group) * channels * head[SRC_PLANE]
            if head[DIRECT] == 1 and length == pixels:
                _offsets(offset, channels, phase, table, head[SRC_PLANE])
                g_start = ((image * groups + group) * all_outputs + first_output) * head[OUT_PLANE] + place[2]
                _dot_block(
                    grad,
                    g_start,
                    head[OUT_PLANE],
                    length,
                    x,
                    start + place[2],
                    offset,
                    depth,
                    outputs,
                    sums,
                    c_start,
                    ldc,
                )
                continue
            _copy_region(x, start, head, phase, table, images, place, region, phase[PITCH])
            _offsets(offset, channels, phase, table, phase[PITCH])
            slopes[: outputs * length] = 0
            runs = _runs(0, pixels, images, phase, place, counts, head, run)
            for m in range(outputs):
                for r in range(runs):
                    size = run[4 * r + 1]
                    g = ((image + run[4 * r + 3]) * groups + group) * all_outputs + first_output + m
                    g = g * head[OUT_PLANE] + run[4 * r + 2]
                    load_row(0, grad, g, 0, 1, size, slopes, m * length + run[4 * r], size)
            _dot_block(slopes, 0, length, length, region, 0, offset, depth, outputs, sums, c_start, ldc)


@jit
def _dot_block(a, a0, lda, length, b, b0, offset, depth, outputs, c, c0, ldc):
    """c[m, k] += sum_{p < length} a[m, p] * b[offset[k] + p]."""
    for k in range(0, depth, DOT_COLUMNS):
        m = 0
        while m + DOT_ROWS <= outputs:
            dot_tile(
                DOT_ROWS,
                DOT_COLUMNS,
                a,
                a0 + m * lda,
                lda,
                length,
                b,
                b0,
                offset,
                k,
                c,
                c0 + m * ldc + k,
                ldc,
            )
            m += DOT_ROWS
        if m + 2 <= outputs:
            dot_tile(2, DOT_COLUMNS, a, a0 + m * lda, lda, length, b, b0, offset, k, c, c0 + m * ldc + k, ldc)
            m += 2
        if m < outputs:
            dot_tile(1, DOT_COLUMNS, a, a0 + m * lda, lda, length, b, b0, offset, k, c, c0 + m * ldc + k, ldc)


@jit(parallel=True)
def _weight_parallel(chunks, items, x, grad, sums, head, phases, table):
    for i in prange(chunks):
        _weight_tasks(i * items // chunks, (i + 1) * items // chunks, x, grad, sums, head, phases, table)


@jit(nogil=True)
def _weight_sum(sums, parts, rows, depth, ldc, out):
    """out[row, k] = sum over the parts, in their order."""
    for row in range(rows):
        target = out[row * depth : (row + 1) * depth]
        for part in range(parts):
            value = sums[(part * rows + row) * ldc :]
            if part == 0:
                for k in range(depth):
                    target[k] = value[k]
            else:
                for k in range(depth):
                    target[k] += value[k]


@jit(nogil=True)
def _bias_sum(grad, images, channels, plane, out):
    """out[c] = sum over images and pixels, in double precision over eight lanes."""
    for c in range(channels):
        lane = np.zeros(8, np.float64)
        total = 0.0
        for n in range(images):
            row = grad[(n * channels + c) * plane : (n * channels + c + 1) * plane]
            whole = plane // 8
            for i in range(whole):
                eight = row[8 * i : 8 * i + 8]
                for j in range(8):
                    lane[j] += eight[j]
            for e in range(8 * whole, plane):
                total += row[e]
        for j in range(8):
            total += lane[j]
        out[c] = total


def choose(kind, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out, dtype) -> str:
    """The name of the algorithm that computes a convolution: "matrix" (one product of matrices) or "tiles" (below).

    kind is "forward", "transposed" or "weight"; the sizes are those of the functions below. From the shape and dtype
    only, so that results do not depend on the number of threads.
    """
    whole, single = (out, src) if kind == "transposed" else (src, out)
    if groups == 1 and single == (1, 1, 1) and kernel == whole and padding == (0, 0, 0):
        return "matrix"  # one window covers the image: each image is one row of a matrix product
    return "tiles"


def _run_plan(p, src, weight, bias, out):
    packed = np.empty(p.packed, src.dtype)
    head, items = p.head, int(p.head[PHASES] * p.head[GROUPS] * p.head[ROW_TILES])
    if p.work < SERIAL_WORK:
        _pack_tiles(0, items, weight, packed, head, p.phases, p.table)
        _conv_tasks(0, p.tasks, src, packed, bias, out, head, p.phases, p.table)
        return out
    if p.packed < 65536:
        _pack_tiles(0, items, weight, packed, head, p.phases, p.table)
    else:
        _pack_parallel(min(items, CHUNKS), items, weight, packed, head, p.phases, p.table)
    _conv_parallel(min(p.tasks, CHUNKS), p.tasks, src, packed, bias, out, head, p.phases, p.table)
    return out


def conv_forward(x, weight, bias, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out):
    """out (images, groups * outputs, *out) of x (images, groups * channels, *src) and weight (groups *
    outputs, channels, *kernel).

    Flat arrays of one floating dtype; bias is empty for none; src .. out are (depth, height, width);
    `padding` is what lies in front, and `out` says how far the convolution goes behind. Returns a new flat
    array.
    """
    result = np.empty(images * groups * outputs * out[0] * out[1] * out[2], x.dtype)
    if result.size == 0:
        return result
    sizes = (images, groups, channels, outputs, src, kernel, stride, padding, dilation, out)
    if choose("forward", *sizes, x.dtype) == "matrix":
        depth = channels * kernel[0] * kernel[1] * kernel[2]
        return mm(x, weight, images, depth, outputs, out=result, bias=bias if bias.size else None, transpose_b=True)
    return _run_plan(
        plan("forward", *sizes, x.itemsize),
        x,
        weight,
        bias,
        result,
    )


def conv_transpose_forward(
    x, weight, bias, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out
):
    """out (images, groups * outputs, *out) of x (images, groups * channels, *src) and weight (groups *
    channels, outputs, *kernel).

        out[n, m, i * stride - padding + t * dilation] += weight[c, m, t] * x[n, c, i]

    The gradient of conv_forward with respect to its input, and the forward of a transposed convolution.
    Arguments as there.
    """
    result = np.empty(images * groups * outputs * out[0] * out[1] * out[2], x.dtype)
    if result.size == 0:
        return result
    sizes = (images, groups, channels, outputs, src, kernel, stride, padding, dilation, out)
    if bias.size == 0 and choose("transposed", *sizes, x.dtype) == "matrix":
        return mm(x, weight, images, channels, outputs * kernel[0] * kernel[1] * kernel[2], out=result)
    return _run_plan(
        plan("transposed", *sizes, x.itemsize),
        x,
        weight,
        bias,
        result,
    )


def conv_backward_weight(x, grad, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out):
    """Gradient (groups * outputs, channels, *kernel) of conv_forward with respect to its weight.

    gw[m, c, t] = sum_{n, o} grad[n, m, o] * x[n, c, o * stride - padding + t * dilation]
    """
    depth = channels * kernel[0] * kernel[1] * kernel[2]
    result = np.zeros(groups * outputs * depth, x.dtype)
    if result.size == 0 or grad.size == 0:
        return result
    sizes = (images, groups, channels, outputs, src, kernel, stride, padding, dilation, out)
    if choose("weight", *sizes, x.dtype) == "matrix":
        return mm(grad, x, outputs, images, depth, out=result, transpose_a=True)
    p = plan("weight", *sizes, x.itemsize)
    parts = min(PARTIALS, p.tasks // groups)
    ldc = -(-depth // DOT_COLUMNS) * DOT_COLUMNS
    items = parts * groups * -(-outputs // WEIGHT_OUTPUTS)
    sums = np.empty(parts * groups * outputs * ldc, x.dtype)
    if p.work < SERIAL_WORK:
        _weight_tasks(0, items, x, grad, sums, p.head, p.phases, p.table)
    else:
        _weight_parallel(min(items, CHUNKS), items, x, grad, sums, p.head, p.phases, p.table)
    _weight_sum(sums, parts, groups * outputs, depth, ldc, result)
    return result


def conv_backward_bias(grad, images, channels, plane):
    """Sum of grad (images, channels, plane) over images and pixels: (channels,)."""
    result = np.empty(channels, grad.dtype)
    _bias_sum(grad, images, channels, plane, result)
    return result
