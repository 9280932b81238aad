"""The forward and the transposed convolution by register tiles.

A task is a block of outputs of one group: some pixels, of one or more images, and some output channels. It copies the
input that the block needs, a chunk of channels at a time, to a small zero-padded region in which the pixels of every
tap are consecutive (conv_layout.py says how), multiplies by register tiles that read region and weight through tables
of places (conv_tile.py), and writes the sums out with the bias. Pointwise convolutions, and others without padding where
that is cheaper, read the input in place, and the weight is never packed.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..threads import get_num_threads
from .conv_layout import IN_PLACE
from .conv_plan import (
    BLOCK,
    BLOCKS,
    CHANNELS,
    CHUNK,
    COPIES,
    COPY,
    COPY_COUNT,
    CUT,
    CUTS,
    DIRECT_PLACES,
    FIRST_TASK,
    GROUPS,
    HEAD,
    IMAGE_BLOCKS,
    LAST,
    LDC,
    MERGED,
    OSTEP,
    OUT_AT,
    OUT_PLANE,
    OUT_SHIFT,
    OUTPUTS,
    PHASE,
    PITCH,
    PIXELS,
    PLACES,
    REACH,
    REGION,
    SRC_AT,
    SRC_PLANE,
    STORE_COUNT,
    STORES,
    STRAIGHT,
    SUMS,
    TAP_SHIFT,
    TAPS,
    WEIGHT_CHANNEL,
    WEIGHT_GROUP,
    WEIGHT_ROWS_AT,
    WHOLE,
)
from .conv_region import copy_region, multiply
from .conv_tile import store_spans
from .tile_sizes import VECTOR_BYTES


@jit
def _scatter(step, sums, v0, shift, table, t0, count, target, o0):
    """store_spans for steps of three and more, an element at a time; their number stands in place of the mask."""
    for i in range(t0, t0 + 2 * count, 2):
        near, far = v0 + (table[i + 1] & 0xFFFFFFFF), o0 + table[i]
        for e in range(table[i + 1] >> 32):
            target[np.uint64(far + e * step)] = sums[np.uint64(near + e)] + shift


@jit(nogil=True)
def _conv_tasks(first, last, src, weight, bias, out, plan):
    channels, outputs, groups, plane = plan[CHANNELS], plan[OUTPUTS], plan[GROUPS], plan[SRC_PLANE]
    region = np.empty(plan[REGION], src.dtype)
    sums = np.empty(plan[SUMS], src.dtype)
    shifts = bias if bias.size > 0 else np.zeros(groups * outputs, src.dtype)
    phase, copied, vl = HEAD, -1, VECTOR_BYTES // src.itemsize
    for task in range(first, last):
        while task >= plan[phase + PHASE + FIRST_TASK]:
            phase += PHASE
        blocks, cuts = plan[phase + BLOCKS], plan[phase + CUTS]
        number = task - plan[phase + FIRST_TASK]
        row0, number = number % cuts * plan[phase + CUT], number // cuts
        rows = min(plan[phase + CUT], outputs - row0)
        image_block, group = number // blocks // groups, number // blocks % groups
        image = image_block * plan[phase + MERGED]
        at = plan[phase + LAST] if image_block == plan[phase + IMAGE_BLOCKS] - 1 else plan[phase + WHOLE]
        at += number % blocks * BLOCK
        start = (image * groups + group) * channels * plane + plan[at + SRC_AT]
        ldc, taps = plan[at + LDC], plan[at + TAPS]
        weights = group * plan[WEIGHT_GROUP] + plan[phase + TAP_SHIFT]
        # in place, unless the last vector of the last channel reaches beyond the end of the input
        direct = plan[phase + COPY] == IN_PLACE and start + plan[at + REACH] <= src.size
        block = phase * last + number
        step, stores, count = plan[phase + OSTEP], plan[at + STORES], plan[at + STORE_COUNT]
        target = plan[at + OUT_AT] + plan[phase + OUT_SHIFT]
        first_out = (image * groups * outputs + group * outputs + row0) * plan[OUT_PLANE] + target
        for chunk in range(0, channels, plan[phase + CHUNK]):
            some = min(plan[phase + CHUNK], channels - chunk)
            a0, c0 = weights + chunk * plan[WEIGHT_CHANNEL], start + chunk * plane
            if direct:
                source, b0, places = src, c0, plan[at + DIRECT_PLACES]
            else:
                source, b0, places = region, 0, plan[at + PLACES]
                if block != copied or some < channels:  # the block's other output channels find the region as it is
                    copy_region(
                        src, c0, plane, some, plan[phase + COPY], plan, plan[at + COPIES], plan[at + COPY_COUNT],
                        region, plan[phase + PITCH],
                    )  # fmt: skip
                    copied = block
            done = multiply(
                sums, ldc, rows, weight, a0, plan, plan[WEIGHT_ROWS_AT] + row0, plan, places, some * taps, source, b0,
                plan[at + PIXELS], chunk > 0, out,
                first_out if plan[at + STRAIGHT] > 0 and chunk + some == channels else -1, plan[OUT_PLANE],
                shifts, group * outputs + row0,
            )  # fmt: skip
        stores, count = stores + done // vl * 2, count - done // vl  # the tiles have written the first ones
        for m in range(rows if count > 0 else 0):
            shift = shifts[group * outputs + row0 + m]
            to = first_out + m * plan[OUT_PLANE]
            if step == 1:
                store_spans(1, sums, m * ldc, shift, plan, stores, count, out, to)
            elif step == 2:
                store_spans(2, sums, m * ldc, shift, plan, stores, count, out, to)
            else:
                _scatter(step, sums, m * ldc, shift, plan, stores, count, out, to)


@jit(parallel=True)
def _conv_parallel(chunks, tasks, src, weight, bias, out, plan):
    for i in prange(chunks):
        _conv_tasks(i * tasks // chunks, (i + 1) * tasks // chunks, src, weight, bias, out, plan)


def run_tasks(p, src, weight, bias, out, serial):
    """Compute a plan's convolution of src into out."""
    if p.sparse:
        out.reshape(-1, bias.size or 1, int(p.table[OUT_PLANE]))[:] = bias[:, None] if bias.size else 0
    threads = 1 if serial or p.tasks == 1 else get_num_threads()
    if threads == 1:
        _conv_tasks(0, p.tasks, src, weight, bias, out, p.table)
        return out
    # The tasks of one block of pixels follow each other and share its region: hand them out together, several blocks
    # to a thread, where there are enough of them.
    blocks = p.tasks // p.cuts
    chunks = min(blocks, 8 * threads) if blocks >= 2 * threads else min(p.tasks, 2 * threads)
    _conv_parallel(chunks, p.tasks, src, weight, bias, out, p.table)
    return out
