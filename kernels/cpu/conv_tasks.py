"""The forward and the transposed convolution by register tiles.

A task is a block of outputs of one group: some pixels, of one or more images, and some output channels. It copies the
input that the block needs, a chunk of channels at a time, to a small zero-padded region in which the pixels of every
tap are consecutive (conv_plan.py says how), multiplies by register tiles that read region and weight through tables
of places (conv_tile.py), and writes the sums out with the bias. Pointwise convolutions read the input in place, and
the weight is never packed.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..threads import get_num_threads
from .conv_plan import (
    CHANNELS,
    CHUNK,
    COPY,
    CUT,
    CUTS,
    DEPTH,
    FIRST_TASK,
    GROUPS,
    IMAGES,
    IN_PLACE,
    MAP,
    MERGED,
    OSTEP,
    OUT_PLANE,
    OUTPUTS,
    PHASE,
    PHASE_TAPS,
    PHASES,
    PITCH,
    REGION,
    RUNS,
    SRC_PLANE,
    SUMS,
    TAP_TABLE,
    WEIGHT_CHANNEL,
    WEIGHT_GROUP,
    WEIGHT_OUTPUT,
)
from .conv_region import copy_region, last_pixel, multiply, output_runs, tap_offsets, task_place
from .conv_tile import store_row
from .tile_sizes import VECTOR_BYTES


@jit
def _weight_places(place, channels, head, phase, table):
    """place[2 (c * taps + t)]: where the weight of channel c, tap t is, from its output's first on."""
    taps, tap = phase[PHASE_TAPS], table[phase[TAP_TABLE] :]
    for c in range(channels):
        for t in range(taps):
            place[2 * (c * taps + t)] = c * head[WEIGHT_CHANNEL] + tap[3 * t + 2]


@jit
def _store(sums, ldc, rows, runs, run, bias, out, channel, image, phase, head):
    """Write rows of sums, the first of which is output channel `channel` of all, to the images from `image` on."""
    step, all_channels = phase[OSTEP + 2], head[GROUPS] * head[OUTPUTS]
    for m in range(rows):
        shift = bias[channel + m] if bias.size > 0 else sums.dtype.type(0)
        for r in range(runs):
            begin, length = m * ldc + run[4 * r], run[4 * r + 1]
            target = ((image + run[4 * r + 3]) * all_channels + channel + m) * head[OUT_PLANE] + run[4 * r + 2]
            if step == 1:
                store_row(1, sums, begin, shift, out, target, 1, length)
            elif step == 2:
                store_row(2, sums, begin, shift, out, target, 2, length)
            else:
                store_row(0, sums, begin, shift, out, target, step, length)


@jit(nogil=True)
def _conv_tasks(first, last, src, weight, bias, out, head, phases, table):
    channels, outputs, groups = head[CHANNELS], head[OUTPUTS], head[GROUPS]
    packed = outputs if outputs == 1 else outputs + outputs % 2
    lines = VECTOR_BYTES // src.itemsize
    region = np.empty(head[REGION] + 1, src.dtype)
    sums = np.empty(head[SUMS], src.dtype)
    places = np.empty(head[MAP] + 1, np.int64)
    depth_places = np.empty(2 * head[DEPTH] + 2, np.int64)
    run = np.empty(4 * head[RUNS] + 4, np.int64)
    row = np.empty(packed, np.int64)
    for m in range(packed):  # of an odd number the last row is computed twice
        row[m] = min(m, outputs - 1) * head[WEIGHT_OUTPUT]
    place, counts = np.empty(3, np.int64), np.empty(3, np.int64)
    number, copied, tabled = 0, -1, -1
    for task in range(first, last):
        while number + 1 < head[PHASES] and phases[(number + 1) * PHASE + FIRST_TASK] <= task:
            number += 1
        phase = phases[number * PHASE : (number + 1) * PHASE]
        cut = (task - phase[FIRST_TASK]) % phase[CUTS]
        rest = task_place((task - phase[FIRST_TASK]) // phase[CUTS], phase, place, counts)
        group, image = rest % groups, rest // groups * phase[MERGED]
        images = min(phase[MERGED], head[IMAGES] - image)
        row0 = cut * phase[CUT]
        rows = min(phase[CUT], packed - row0)
        pixels = last_pixel(images, phase, counts)
        ldc = (pixels + lines - 1) // lines * lines
        ldc += lines if ldc // lines % 2 == 0 else 0  # rows do not fall on the same cache sets
        taps, start = phase[PHASE_TAPS], (image * groups + group) * channels * head[SRC_PLANE]
        # in place, unless the last vector of the last channel reaches beyond the end of the input
        reach = start + place[2] + (channels - 1) * head[SRC_PLANE] + (pixels + lines - 1) // lines * lines
        direct = phase[COPY] == IN_PLACE and reach <= src.size
        pitch = head[SRC_PLANE] if direct else phase[PITCH]
        block = task - cut
        for chunk in range(0, channels, phase[CHUNK]):
            some = min(phase[CHUNK], channels - chunk)
            depth = some * taps
            key = (number * 2 + direct) * (channels + 1) + some
            if key != tabled:
                tap_offsets(depth_places[1:], 2, some, phase, table, pitch)
                _weight_places(depth_places, some, head, phase, table)
                tabled = key
            a0 = group * head[WEIGHT_GROUP] + chunk * head[WEIGHT_CHANNEL]
            if direct:
                b0 = start + chunk * head[SRC_PLANE] + place[2]
                multiply(sums, ldc, rows, weight, a0, row, row0, depth_places, depth, src, b0, pixels, chunk > 0)
                continue
            if block != copied or some < channels:  # the block's other output channels find the region as it is
                copy_region(
                    src, start + chunk * head[SRC_PLANE], some, head, phase, table, images, place, region, pitch,
                    places, block != copied,
                )  # fmt: skip
                copied = block
            multiply(sums, ldc, rows, weight, a0, row, row0, depth_places, depth, region, 0, pixels, chunk > 0)
        if taps == 0:
            sums[: rows * ldc] = 0
        runs = output_runs(images, phase, place, counts, head, run)
        wanted = min(rows, outputs - row0)
        _store(sums, ldc, wanted, runs, run, bias, out, group * outputs + row0, image, phase, head)


@jit(parallel=True)
def _conv_parallel(chunks, tasks, src, weight, bias, out, head, phases, table):
    for i in prange(chunks):
        _conv_tasks(i * tasks // chunks, (i + 1) * tasks // chunks, src, weight, bias, out, head, phases, table)


def run_tasks(p, src, weight, bias, out, serial):
    """Compute a plan's convolution of src into out."""
    threads = 1 if serial else get_num_threads()
    if threads == 1:
        _conv_tasks(0, p.tasks, src, weight, bias, out, p.head, p.phases, p.table)
        return out
    # The tasks of one block of pixels follow each other and share its region: hand them out together, several blocks
    # to a thread, where there are enough of them.
    blocks = p.tasks // int(p.phases[CUTS])
    chunks = min(blocks, 8 * threads) if blocks >= 2 * threads else min(p.tasks, 2 * threads)
    _conv_parallel(chunks, p.tasks, src, weight, bias, out, p.head, p.phases, p.table)
    return out
