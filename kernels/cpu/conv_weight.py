"""The gradient of a convolution's weight by register tiles.

    gw[m, c, t] = sum_{n, o} grad[n, m, o] * x[n, c, o * stride - padding + t * dilation]

A task sums some channels (with all taps and all outputs) over a part of the pixels. For a block of pixels it copies
the input to a region (conv_plan.py), turns the gradient round so that the outputs of one pixel are consecutive, and
multiplies

    sums[(c, t), m] += sum_p region[c, t, p] * turned[p, m]

so that vectors run along the outputs and no sum crosses the lanes of a vector; at the end the sums are turned back.
Pixels of the region that are no outputs are skipped. Few outputs would leave most of a vector empty: then vectors run
along the pixels of a row, and their lanes are added up at the end.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from .conv_plan import (
    CHANNEL_TASKS,
    CHANNELS,
    CHUNK,
    COPY,
    DEPTH,
    DOT,
    EXTENT,
    GROUPS,
    IMAGES,
    IN_PLACE,
    LDM,
    MAP,
    MERGED,
    OUT,
    OUT_PLANE,
    OUTPUTS,
    PARTS,
    PHASE_TAPS,
    PITCH,
    PIXELS,
    REGION,
    RUNS,
    SRC_PLANE,
    SUMS,
    TASKS,
)
from .conv_region import copy_region, multiply, output_runs, tap_offsets, task_place
from .conv_tile import pixel_dot
from .gemm_tiles import transpose_tile
from .tile_sizes import VECTOR_BYTES

# Chunks of tasks handed to the threads, as in conv_tasks.py.
CHUNKS = 16


@jit(apart=True)
def _turn(a, a0, row_a, rows, columns, out, o0, row_out):
    """out[j, i] = a[i, j], a square of vectors at a time. Rows of out are written to a whole number of vectors."""
    vl = VECTOR_BYTES // a.itemsize
    for i in range(0, rows, vl):
        for j in range(0, columns, vl):
            at, to = a0 + i * row_a + j, o0 + j * row_out + i
            if i + vl <= rows and j + vl <= columns:
                transpose_tile(0, a, at, row_a, vl, vl, out, to, row_out)
            else:
                transpose_tile(1, a, at, row_a, min(vl, rows - i), min(vl, columns - j), out, to, row_out)


@jit(apart=True)
def _dot_rows(grad, g0, plane, line, outputs, region, s0, pitch, rows, width, row, depth, sums):
    """sums[m, k, lane] += sum over the pixels of rows of grad[m] * region[row[k]]."""
    vl = VECTOR_BYTES // grad.itemsize
    m = 0
    while m < outputs:
        left = outputs - m
        some = 3 if left == 3 or left > 4 else min(left, 2)
        g, k = g0 + m * plane, 0
        while k < depth:
            c = (m * depth + k) * vl
            if k + 4 <= depth:
                if some == 3:
                    pixel_dot(3, 4, grad, g, plane, line, region, s0, pitch, rows, width, row, k, sums, c, depth)
                elif some == 2:
                    pixel_dot(2, 4, grad, g, plane, line, region, s0, pitch, rows, width, row, k, sums, c, depth)
                else:
                    pixel_dot(1, 4, grad, g, plane, line, region, s0, pitch, rows, width, row, k, sums, c, depth)
                k += 4
            else:
                if some == 3:
                    pixel_dot(3, 1, grad, g, plane, line, region, s0, pitch, rows, width, row, k, sums, c, depth)
                elif some == 2:
                    pixel_dot(2, 1, grad, g, plane, line, region, s0, pitch, rows, width, row, k, sums, c, depth)
                else:
                    pixel_dot(1, 1, grad, g, plane, line, region, s0, pitch, rows, width, row, k, sums, c, depth)
                k += 1
        m += some


@jit(nogil=True)
def _weight_tasks(first, last, x, grad, parts, head, phase, table):
    """parts[part][group][m, c, t] for (part, group, chunk of channels) number first .. last - 1."""
    channels, outputs, groups, ldm = head[CHANNELS], head[OUTPUTS], head[GROUPS], head[LDM]
    taps, blocks = phase[PHASE_TAPS], head[TASKS]
    vl = VECTOR_BYTES // x.itemsize
    region = np.empty(head[REGION] + 1, x.dtype)
    turned = np.empty(0 if head[DOT] == 1 else head[PIXELS] * ldm, x.dtype)
    sums = np.empty(head[SUMS], x.dtype)
    back = np.empty(vl * (head[DEPTH] + vl), x.dtype)
    places = np.empty(head[MAP] + 1, np.int64)
    row = np.empty(head[DEPTH] + 1, np.int64)
    depth_places = np.empty(2 * head[PIXELS], np.int64)
    run = np.empty(4 * head[RUNS] + 4, np.int64)
    place, counts = np.empty(3, np.int64), np.empty(3, np.int64)
    for item in range(first, last):
        chunk = item % head[CHANNEL_TASKS] * phase[CHUNK]
        group, part = item // head[CHANNEL_TASKS] % groups, item // head[CHANNEL_TASKS] // groups
        some = min(phase[CHUNK], channels - chunk)
        depth = some * taps
        direct = phase[COPY] == IN_PLACE
        pitch = head[SRC_PLANE] if direct else phase[PITCH]
        tap_offsets(row, 1, some, phase, table, pitch)
        rows = depth
        if depth > 1 and depth % 2 == 1:  # of an odd number the last row is computed twice
            row[depth] = row[depth - 1]
            rows += 1
        if head[DOT] == 1:
            sums[: outputs * depth * vl] = 0
        begin = part * blocks // head[PARTS]
        for block in range(begin, (part + 1) * blocks // head[PARTS]):
            image = task_place(block, phase, place, counts) * phase[MERGED]
            images = min(phase[MERGED], head[IMAGES] - image)
            start = ((image * groups + group) * channels + chunk) * head[SRC_PLANE]
            if head[DOT] == 1:
                if not direct:
                    copy_region(x, start, some, head, phase, table, images, place, region, pitch, places, True)
                line, volume = head[OUT + 2], phase[EXTENT + 1] * phase[EXTENT + 2]
                for b in range(images):
                    g0 = ((image + b) * groups + group) * outputs * head[OUT_PLANE] + place[1] * line + place[2]
                    source, s0 = (x, start + place[2]) if direct else (region, b * volume)
                    _dot_rows(
                        grad, g0, head[OUT_PLANE], line, outputs, source, s0, phase[EXTENT + 2], counts[1], counts[2],
                        row, depth, sums,
                    )  # fmt: skip
                continue
            runs = output_runs(images, phase, place, counts, head, run)
            n = 0
            for r in range(runs):
                length = run[4 * r + 1]
                for e in range(length):
                    depth_places[2 * (n + e)] = run[4 * r] + e
                    depth_places[2 * (n + e) + 1] = (n + e) * ldm
                at = ((image + run[4 * r + 3]) * groups + group) * outputs * head[OUT_PLANE] + run[4 * r + 2]
                _turn(grad, at, head[OUT_PLANE], outputs, length, turned, n * ldm, ldm)
                n += length
            if direct:
                multiply(
                    sums, ldm, rows, x, start + place[2], row, 0, depth_places, n, turned, 0, outputs, block > begin
                )  # fmt: skip
                continue
            copy_region(x, start, some, head, phase, table, images, place, region, pitch, places, True)
            multiply(sums, ldm, rows, region, 0, row, 0, depth_places, n, turned, 0, outputs, block > begin)
        target = ((part * groups + group) * outputs * channels + chunk) * taps
        if head[DOT] == 1:
            for m in range(outputs):
                for k in range(depth):
                    total = sums[(m * depth + k) * vl]
                    for lane in range(1, vl):
                        total += sums[(m * depth + k) * vl + lane]
                    parts[target + m * channels * taps + k] = total
            continue
        for m in range(0, outputs, vl):  # turn a vector of outputs back, and write their rows
            _turn(sums, m, ldm, depth, vl, back, 0, depth + vl)
            for i in range(min(vl, outputs - m)):
                to = target + (m + i) * channels * taps
                parts[to : to + depth] = back[i * (depth + vl) : i * (depth + vl) + depth]


@jit(parallel=True)
def _weight_parallel(chunks, items, x, grad, parts, head, phase, table):
    for i in prange(chunks):
        _weight_tasks(i * items // chunks, (i + 1) * items // chunks, x, grad, parts, head, phase, table)


@jit(nogil=True)
def _add_parts(parts, count, out):
    """out[i] = sum over the parts, in their order."""
    size = out.size
    for i in range(size):
        out[i] = parts[i] + parts[size + i]
    for part in range(2, count):
        more = parts[part * size : (part + 1) * size]
        for i in range(size):
            out[i] += more[i]


def run_weight_tasks(p, x, grad, out, serial):
    """Compute the weight gradient of a plan into out."""
    count = int(p.head[PARTS])
    parts = out if count == 1 else np.empty(count * out.size, out.dtype)
    if serial:
        _weight_tasks(0, p.tasks, x, grad, parts, p.head, p.phases, p.table)
    else:
        _weight_parallel(min(p.tasks, CHUNKS), p.tasks, x, grad, parts, p.head, p.phases, p.table)
    if count > 1:
        _add_parts(parts, count, out)
    return out
