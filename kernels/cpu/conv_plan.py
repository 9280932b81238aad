"""The geometry of a convolution, worked out once per shape and kept as flat tables for the kernels of
conv.py.

Every convolution here, 1-d to 3-d, forward or transposed, is one or more *phases* of the same kind:

    out[m, ostart + o * ostep] = sum_{c, t} w[m, c, t] * src[c, base + o * step + place(t)]        o = 0 ..
    count - 1

per dimension. A forward convolution has one phase (step = stride, base = -padding, place(t) = t * dilation).
A transposed one (also the gradient with respect to the input) has a phase for each residue of the output
position modulo the stride, each a convolution of stride 1 with the taps that reach that residue. So no
product with an inserted zero is ever computed.

The kernel copies a block of src to a small *region* laid out so that, for every tap, the input pixels of
consecutive outputs are consecutive: position o of tap t is at shift(t) + o in the plane variant(t). Two
layouts give that, chosen for each dimension:

    shift    a variant for each residue of place(t) modulo step, shift = place(t) // step. Each input pixel is
    copied once; a row is wider than
             the output's by the largest shift, and the sums in those extra columns are thrown away.
    expand   a variant for each tap, shift 0. Copies a pixel once per tap, wastes no sums: for outputs much
    narrower than the kernel.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from .microkernel import ROW_VECTORS, ROWS, VECTORS, lanes

# A region of half a megabyte stays in a core's second-level cache next to the packed weights of its block of
# channels.
REGION_BYTES = 512 * 1024
# Enough tasks to balance a few cores; from the shape only, so that the blocks (and the results) do not depend
# on the thread count.
WANTED_TASKS = 16
# The weight gradient adds up the lanes of its sums at the end of a block, so it wants longer ones: several
# images in a region.
WEIGHT_REGION_BYTES = 2 * 1024 * 1024
WEIGHT_TASKS = 8
# Cycles to copy a row into the region: for the row, and for each vector of it.
ROW_COST, VECTOR_COST = 12, 4
# Below this share of wasted sums a copy per tap never paid: the last vector of a row is seldom full anyway.
LEAST_WASTE = 0.5

# Fields of `head`
GROUPS, CHANNELS, OUTPUTS, IMAGES, SRC_PLANE, OUT_PLANE, TAPS, ROW_TILES = range(8)
SRC, OUT = 8, 11  # three each
WEIGHT_GROUP, WEIGHT_OUTPUT, WEIGHT_CHANNEL = 14, 15, 16
PACKED_OUTPUTS, TASKS, PHASES, REGION, WIDTH, DIRECT, DEPTH, BLOCK_PIXELS = range(17, 25)
HEAD = 25

# Fields of one phase; those from STEP on come in threes
FIRST_TASK, PHASE_TAPS, TAP_TABLE, PACKED, MERGED, IMAGE_BLOCKS, PITCH, PIXELS = range(8)
VARIANTS, VARIANT_TABLE, STEP, BASE, COUNT, OSTART, OSTEP, EXTENT, BLOCK, BLOCKS = range(8, 38, 3)
PHASE = 38


class Plan(NamedTuple):
    head: np.ndarray  # int64[HEAD]
    phases: np.ndarray  # int64[phases * PHASE]
    table: np.ndarray  # int64: variant starts, and for each tap (variant, shift, place in the weight)
    tasks: int
    packed: int  # elements of the packed weights
    work: int  # multiply-adds, to choose between serial and parallel


class _Axis(NamedTuple):
    """One dimension of one phase."""

    taps: list  # (kernel index, variant, shift)
    starts: list  # first source offset of each variant
    step: int
    base: int
    count: int
    ostart: int
    ostep: int
    widest: int  # the largest shift


def _layout(places, step, base, count, ostart, ostep, limit) -> _Axis:
    """places: (kernel index, source offset) of each tap."""
    residues = sorted({place % step for _, place in places}) or [0]
    widest = max((place // step for _, place in places), default=0)
    if len(places) > 1 and widest > limit * count:
        taps = [(k, v, 0) for v, (k, _) in enumerate(places)]
        return _Axis(taps, [place for _, place in places], step, base, count, ostart, ostep, 0)
    taps = [(k, residues.index(place % step), place // step) for k, place in places]
    return _Axis(taps, residues, step, base, count, ostart, ostep, widest)


def _forward_axes(kernel, stride, padding, dilation, out, limit):
    places = [(k, k * dilation) for k in range(kernel)]
    return [_layout(places, stride, -padding, out, 0, 1, limit)] if out > 0 else []


def _transposed_axes(kernel, stride, padding, dilation, out, limit):
    """out position o = q * stride + residue - padding; tap k reaches it from source q - (k * dilation -
    residue) / stride."""
    axes = []
    for residue in range(stride):
        back = {k: (k * dilation - residue) // stride for k in range(kernel) if (k * dilation - residue) % stride == 0}
        first = -((residue - padding) // stride)
        ostart = first * stride + residue - padding
        count = -((ostart - out) // stride)
        if count > 0:
            most = max(back.values(), default=0)
            places = sorted(((k, most - b) for k, b in back.items()), key=lambda kp: kp[0])
            axes.append(_layout(places, 1, first - most, count, ostart, stride, limit))
    return axes


def row_tiles(outputs: int) -> tuple[int, int]:
    """(packed rows, row tiles): rows are padded to an even number, and dealt to tiles of at most ROWS in
    pairs."""
    packed = outputs if outputs == 1 else outputs + outputs % 2
    return packed, -(-packed // ROWS)


def _pixels(block, extent, merged):
    """One more than the last output pixel of a block of `merged` images."""
    image = extent[0] * extent[1] * extent[2]
    return ((block[0] - 1) * extent[1] + block[1] - 1) * extent[2] + block[2] + (merged - 1) * image


def _blocks(axes, channels, images, groups, phases, budget, width, vl, wanted, weight):
    """Largest block of outputs whose region fits `budget` elements: cut the outermost dimension first, then
    merge images if all fits."""
    variants = np.prod([len(a.starts) for a in axes]) * channels
    block = [a.count for a in axes]

    def size():
        return int(variants * np.prod([b + a.widest for b, a in zip(block, axes, strict=True)]))

    for i in range(3):
        least = min(block[i], 2 * width) if i == 2 else 1
        while size() > budget and block[i] > least:
            block[i] = max(least, -(-block[i] // 2))
    whole = all(b == a.count for b, a in zip(block, axes, strict=True))
    tasks = images * groups * phases
    if whole and tasks < wanted and not weight:  # one or a few large images: cut rows to make tasks
        cut = 1 if axes[1].count > 1 else 2
        pieces = min(-(-wanted // tasks), axes[cut].count // (4 if cut == 1 else 4 * width))
        if pieces > 1 and size() > 16384:
            block[cut] = -(-axes[cut].count // pieces)
            whole = False
    if block[2] < axes[2].count:
        block[2] = min(axes[2].count, -(-block[2] // width) * width)
    merged = 1
    if whole:
        extent = [b + a.widest for b, a in zip(block, axes, strict=True)]
        most = max(1, min(images, budget // max(size(), 1), tasks // wanted))
        # several images fill the vectors better, but the rows between them are thrown away
        one, many = (-(-_pixels(block, extent, n) // vl) * vl / n for n in (1, most))
        merged = most if many < one or weight and one < 40 * vl else 1
    return block, merged


@lru_cache(maxsize=1024)
def plan(
    kind: str,
    images: int,
    groups: int,
    channels: int,
    outputs: int,
    src: tuple,
    kernel: tuple,
    stride: tuple,
    padding: tuple,
    dilation: tuple,
    out: tuple,
    itemsize: int,
) -> Plan:
    """Tables for images x (groups * channels) x src -> images x (groups * outputs) x out; triples are (depth,
    height, width).

    kind is "forward", "transposed" or "weight" (the forward's geometry in the blocks that its weight gradient
    likes). `padding` is what lies before the first element; what lies behind the last follows from `out`.
    """
    vl = lanes(itemsize)
    width = (ROW_VECTORS if outputs == 1 else VECTORS) * vl
    pointwise = kernel == (1, 1, 1) == stride and padding == (0, 0, 0) and src == out
    if pointwise:
        src = out = (1, 1, src[0] * src[1] * src[2])
    transposed, weight = kind == "transposed", kind == "weight"
    make = _transposed_axes if transposed else _forward_axes
    # A vector of pixels costs half a cycle per output channel; thrown away, it must not cost more than
    # copying one.
    row = max(1, -(-out[2] // stride[2]) if transposed else out[2])
    limit = max(LEAST_WASTE, (ROW_COST + VECTOR_COST * -(-row // vl)) / row * vl / (outputs / 2))
    axes = [make(k, s, p, d, o, limit) for k, s, p, d, o in zip(kernel, stride, padding, dilation, out, strict=True)]
    phases = list(product(*axes))
    packed_outputs, tiles = row_tiles(outputs)
    src_plane, taps = src[0] * src[1] * src[2], kernel[0] * kernel[1] * kernel[2]

    rows, table, packed, tasks, region, work, pixels_most = [], [], 0, 0, 0, 0, 0
    for phase in phases:
        budget = (WEIGHT_REGION_BYTES if weight else REGION_BYTES) // itemsize
        # the weight gradient also makes tasks of its output channels
        wanted = max(1, WEIGHT_TASKS * 64 // max(outputs, 64)) if weight else WANTED_TASKS
        block, merged = _blocks(phase, channels, images, groups, len(phases), budget, width, vl, wanted, weight)
        extent = [b + a.widest for b, a in zip(block, phase, strict=True)]
        volume = extent[0] * extent[1] * extent[2]
        pitch = -(-volume * merged // 16)
        pitch = (pitch + 1 - pitch % 2) * 16  # an odd number of cache lines: planes do not fall on the same cache sets
        blocks = [-(-a.count // b) for a, b in zip(phase, block, strict=True)]
        image_blocks = -(-images // merged)

        starts = []
        for a in phase:
            starts.append(len(table))
            table += a.starts
        tap_table = len(table)
        counts = [len(a.starts) for a in phase]
        for (kd, vd, sd), (kh, vh, sh), (kw, vw, sw) in product(*(a.taps for a in phase)):
            variant = (vd * counts[1] + vh) * counts[2] + vw
            shift = (sd * extent[1] + sh) * extent[2] + sw
            table += [variant, shift, (kd * kernel[1] + kh) * kernel[2] + kw]
        n_taps = (len(table) - tap_table) // 3

        pixels = _pixels(block, extent, merged)
        row = [tasks, n_taps, tap_table, packed, merged, image_blocks, pitch, pixels, *counts, *starts]
        for field in ("step", "base", "count", "ostart", "ostep"):
            row += [getattr(a, field) for a in phase]
        rows.append(row + extent + block + blocks)
        packed += groups * n_taps * channels * packed_outputs
        tasks += image_blocks * groups * blocks[0] * blocks[1] * blocks[2]
        region = max(region, counts[0] * counts[1] * counts[2] * channels * pitch)
        pixels_most = max(pixels_most, pixels)
        work += images * groups * outputs * channels * n_taps * phase[0].count * phase[1].count * phase[2].count

    # The sums of a block of pixels are kept together until they are written: 256 KB, next to the region in
    # the second-level cache.
    most = max(1, 256 * 1024 // itemsize // (packed_outputs * width))
    head = np.zeros(HEAD, dtype=np.int64)
    head[: len(head)] = [
        groups,
        channels,
        outputs,
        images,
        src_plane,
        out[0] * out[1] * out[2],
        taps,
        tiles,
        *src,
        *out,
        *(
            (channels * outputs * taps, taps, outputs * taps)
            if transposed
            else (channels * outputs * taps, channels * taps, taps)
        ),
        packed_outputs,
        tasks,
        len(phases),
        region + ROW_VECTORS * vl,
        width,
        # planes that are a multiple of 2 KB apart would share a few cache sets: copy those
        int(pointwise and src_plane * itemsize % 2048 != 0),
        max((r[PHASE_TAPS] for r in rows), default=0) * channels,
        min(most, -(-pixels_most // width)) * width,
    ]
    return Plan(head, np.array(rows, dtype=np.int64).reshape(-1), np.array(table, dtype=np.int64), tasks, packed, work)
