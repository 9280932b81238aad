"""The gradient of a convolution's weight by register tiles.

    gw[m, c, t] = sum_{n, o} grad[n, m, o] * x[n, c, o * stride - padding + t * dilation]

A task sums some channels (with all taps and all outputs) over a part of the pixels. For a block of pixels it copies
the input to a region (conv_layout.py), turns the gradient round so that the outputs of one pixel are consecutive, and
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
from .conv_layout import IN_PLACE
from .conv_plan import (
    BLOCK,
    BLOCKS,
    CHANNEL_TASKS,
    CHANNELS,
    CHUNK,
    COPIES,
    COPY,
    COPY_COUNT,
    DIRECT_PLACES,
    DOT,
    GROUPS,
    HEAD,
    IMAGE_BLOCKS,
    IMAGE_PITCH,
    IMAGES,
    LAST,
    LDM,
    LINES,
    MERGED,
    OUT_AT,
    OUT_PLANE,
    OUT_WIDTH,
    OUTPUTS,
    PARTS,
    PITCH,
    PIXEL_COUNT,
    PIXEL_PLACES,
    PLACES,
    REGION,
    ROW_PITCH,
    SRC_AT,
    SRC_PLANE,
    STORE_COUNT,
    STORES,
    SUMS,
    TAPS,
    TURNED,
    WHOLE,
    WIDTH,
)
from .conv_region import copy_region, multiply
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
    """sums[m, k, lane] += sum over the pixels of rows of grad[m] * region[row[k]]; depth is a multiple of 4."""
    vl = VECTOR_BYTES // grad.itemsize
    m = 0
    while m < outputs:
        for k in range(0, depth, 4):
            g, c = g0 + m * plane, (m * depth + k) * vl
            if m + 3 <= outputs:
                pixel_dot(3, 4, grad, g, plane, line, region, s0, pitch, rows, width, row, k, sums, c, depth)
            else:
                pixel_dot(1, 4, grad, g, plane, line, region, s0, pitch, rows, width, row, k, sums, c, depth)
        m += 3 if m + 3 <= outputs else 1


@jit(nogil=True)
def _weight_tasks(first, last, x, grad, parts, plan):
    """parts[part][group][m, c, t] for (part, group, chunk of channels) number first .. last - 1."""
    channels, outputs, groups, ldm, dot = plan[CHANNELS], plan[OUTPUTS], plan[GROUPS], plan[LDM], plan[DOT] == 1
    phase, plane, out_plane = HEAD, plan[SRC_PLANE], plan[OUT_PLANE]
    # the taps and their places are the same for all blocks
    at = plan[phase + WHOLE]
    taps, blocks, chunks = plan[at + TAPS], plan[phase + BLOCKS], plan[CHANNEL_TASKS]
    all_blocks = blocks * plan[phase + IMAGE_BLOCKS]
    vl = VECTOR_BYTES // x.itemsize
    width = plan[phase + CHUNK] * taps + vl
    region = np.empty(plan[REGION], x.dtype)
    turned = np.empty(plan[TURNED], x.dtype)
    sums = np.empty(plan[SUMS], x.dtype)
    back = np.empty(vl * width, x.dtype)
    row = np.empty(plan[phase + CHUNK] * taps + 3, np.int64)  # `depth` up to the next multiple of four
    direct = plan[phase + COPY] == IN_PLACE
    places = plan[at + DIRECT_PLACES] if direct else plan[at + PLACES]
    for item in range(first, last):
        chunk = item % chunks * plan[phase + CHUNK]
        group, part = item // chunks % groups, item // chunks // groups
        some = min(plan[phase + CHUNK], channels - chunk)
        depth = some * taps
        fours = (depth + 3) // 4 * 4
        if dot:
            sums[: outputs * fours * vl] = 0
            for k in range(fours):
                row[k] = plan[places + min(k, depth - 1)]
        begin = part * all_blocks // plan[PARTS]
        for block in range(begin, (part + 1) * all_blocks // plan[PARTS]):
            image, some_images = block // blocks * plan[phase + MERGED], plan[phase + MERGED]
            at = plan[phase + WHOLE]
            if image + some_images >= plan[IMAGES]:
                at, some_images = plan[phase + LAST], plan[IMAGES] - image
            at += block % blocks * BLOCK
            start = ((image * groups + group) * channels + chunk) * plane + plan[at + SRC_AT]
            target = (image * groups + group) * outputs * out_plane + plan[at + OUT_AT]
            source, s0 = x, start
            if not direct:
                source, s0 = region, 0
                copy_region(
                    x, start, plane, some, plan[phase + COPY], plan, plan[at + COPIES], plan[at + COPY_COUNT], region,
                    plan[phase + PITCH],
                )  # fmt: skip
            if dot:
                for b in range(some_images):
                    _dot_rows(
                        grad, target + b * groups * outputs * out_plane, out_plane, plan[OUT_WIDTH], outputs, source,
                        s0 + b * plan[phase + IMAGE_PITCH], plan[phase + ROW_PITCH], plan[at + LINES], plan[at + WIDTH],
                        row, fours, sums,
                    )  # fmt: skip
                continue
            n, runs = 0, plan[at + STORES]
            for r in range(runs, runs + 2 * plan[at + STORE_COUNT], 2):
                _turn(grad, target + plan[r], out_plane, outputs, plan[r + 1], turned, n * ldm, ldm)
                n += plan[r + 1]
            multiply(
                sums, ldm, depth, source, s0, plan, places, plan, plan[at + PIXEL_PLACES], plan[at + PIXEL_COUNT],
                turned, np.int64(0), outputs, block > begin, turned, -1, 0, turned, 0,
            )  # fmt: skip
        target = ((part * groups + group) * outputs * channels + chunk) * taps
        if dot:
            for m in range(outputs):
                for k in range(depth):
                    total = sums[(m * fours + k) * vl]
                    for lane in range(1, vl):
                        total += sums[(m * fours + k) * vl + lane]
                    parts[target + m * channels * taps + k] = total
            continue
        for m in range(0, outputs, vl):  # turn a vector of outputs back, and write their rows
            _turn(sums, m, ldm, depth, vl, back, np.int64(0), width)
            for i in range(min(vl, outputs - m)):
                to = target + (m + i) * channels * taps
                line, turned_back = parts[to : to + depth], back[i * width : i * width + depth]
                for k in range(depth):
                    line[k] = turned_back[k]


@jit(parallel=True)
def _weight_parallel(chunks, items, x, grad, parts, plan):
    for i in prange(chunks):
        _weight_tasks(i * items // chunks, (i + 1) * items // chunks, x, grad, parts, plan)


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
    count = int(p.table[PARTS])
    parts = out if count == 1 else np.empty(count * out.size, out.dtype)
    if serial or p.tasks == 1:
        _weight_tasks(0, p.tasks, x, grad, parts, p.table)
    else:
        _weight_parallel(min(p.tasks, CHUNKS), p.tasks, x, grad, parts, p.table)
    if count > 1:
        _add_parts(parts, count, out)
    return out
