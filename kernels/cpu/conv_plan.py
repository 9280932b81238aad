"""The geometry of a convolution, worked out once per shape and kept as flat tables for the kernels of
conv_tasks.py and conv_weight.py.

Every convolution here, 1-d to 3-d, forward or transposed, is one or more *phases* of the same kind:

    out[m, ostart + o * ostep] = sum_{c, t} w[m, c, t] * src[c, base + o * step + place(t)]        o = 0 ..
    count - 1

per dimension. A forward convolution has one phase (step = stride, base = -padding, place(t) = t * dilation).
A transposed one (also the gradient with respect to the input) has a phase for each residue of the output
position modulo the stride, each a convolution of stride 1 with the taps that reach that residue. So no
product with an inserted zero is ever computed.

The kernels copy a block of src to a small *region* laid out so that, for every tap, the input pixels of
consecutive outputs are consecutive: position o of tap t is at shift(t) + o in the plane variant(t). Two
layouts give that, chosen for each dimension:

    shift    a variant for each residue of place(t) modulo step, shift = place(t) // step. Each input pixel is
             copied once; a row is wider than the output's by the largest shift, and the sums in those extra columns
             are thrown away.
    expand   a variant for each tap, shift 0. Copies a pixel once per tap and wastes no sums: for small images, of
             which several then fill the vectors without a gap.

The layout, the block of outputs that one task computes, and how many channels a region holds are those of the least
estimated time among a few dozen candidates.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from .tile_sizes import ROWS, VECTORS, lanes

# A region stays in a core's second-level cache (1 MB) next to the sums of its block of outputs and a strip of weights.
REGION_BYTES = 384 * 1024
SUMS_BYTES = 256 * 1024
# Enough tasks to balance a few cores; from the shape only, so that the blocks (and the results) do not depend
# on the thread count.
WANTED_TASKS = 16
# Multiply-adds below which a parallel launch costs more than it gains (7 us on one core).
SERIAL_WORK = 400_000
# Weight gradient: tasks wanted, and the rows (channels x taps) that a task's sums have at least, so that turning the
# gradient round for them costs a few percent.
WEIGHT_TASKS, WEIGHT_ROWS = 8, 72

# Outputs up to which the weight gradient's vectors run along the pixels, not along the outputs.
DOT_OUTPUTS = 7

# Ways to fill a region: read the input where it is; row by row; planes moved by a constant; by a table of places.
IN_PLACE, BY_ROWS, SHIFTED, MAPPED = range(4)
# Cycles, measured on Zen 4: to copy a row and each of its vectors; a plane and each of its vectors; a gathered vector;
# to work out one pixel's place in a table; to write a run of outputs; for a task; to load and store a vector of sums.
ROW_COST, VECTOR_COST, PLANE_COST, SHIFT_COST, GATHER_COST = 8, 5, 8, 3, 24
PLACE_COST, RUN_COST, TASK_COST, SUMS_COST = 4, 20, 600, 2
# Bytes of the weight that arrive in a cycle from beyond the second-level cache.
WEIGHT_BYTES = 6

# Fields of `head`
GROUPS, CHANNELS, OUTPUTS, IMAGES, SRC_PLANE, OUT_PLANE, TASKS, PHASES = range(8)
SRC, OUT = 8, 11  # three each
WEIGHT_GROUP, WEIGHT_OUTPUT, WEIGHT_CHANNEL = 14, 15, 16
REGION, SUMS, MAP, DEPTH, RUNS, PIXELS = range(17, 23)  # elements of the largest buffer of each kind
PARTS, CHANNEL_TASKS, LDM, DOT = range(23, 27)  # of the weight gradient
HEAD = 27

# Fields of one phase; those from VARIANTS on come in threes
FIRST_TASK, PHASE_TAPS, TAP_TABLE, MERGED, IMAGE_BLOCKS, PITCH, CHUNK, COPY, CUT, CUTS = range(10)
VARIANTS, VARIANT_TABLE, STEP, BASE, COUNT, OSTART, OSTEP, EXTENT, BLOCK, BLOCKS = range(10, 40, 3)
PHASE = 40


class Plan(NamedTuple):
    head: np.ndarray  # int64[HEAD]
    phases: np.ndarray  # int64[phases * PHASE]
    table: np.ndarray  # int64: variant starts, and for each tap (variant, shift, place in the weight)
    tasks: int
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
    places: list  # (kernel index, source offset) of each tap


class _Blocks(NamedTuple):
    """How one phase is cut into tasks."""

    axes: list
    block: list
    merged: int
    copy: int
    chunk: int
    cut: int
    pixels: int
    cost: float

    @property
    def extent(self):
        return [b + a.widest for a, b in zip(self.axes, self.block, strict=True)]


def _axis(places, step, base, count, ostart, ostep) -> _Axis:
    """places: (kernel index, source offset) of each tap. In the shift layout."""
    residues = sorted({place % step for _, place in places}) or [0]
    taps = [(k, residues.index(place % step), place // step) for k, place in places]
    widest = max((place // step for _, place in places), default=0)
    return _Axis(taps, residues, step, base, count, ostart, ostep, widest, places)


def _expanded(axis: _Axis) -> _Axis:
    """The same dimension with a variant for each tap."""
    taps = [(k, v, 0) for v, (k, _) in enumerate(axis.places)]
    return axis._replace(taps=taps, starts=[place for _, place in axis.places], widest=0)


def _forward_axes(kernel, stride, padding, dilation, out):
    return [_axis([(k, k * dilation) for k in range(kernel)], stride, -padding, out, 0, 1)] if out > 0 else []


def _transposed_axes(kernel, stride, padding, dilation, out):
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
            places = [(k, most - b) for k, b in back.items()]
            axes.append(_axis(places, 1, first - most, count, ostart, stride))
    return axes


def _ceil(a, b):
    return -(-a // b)


def _layouts(axes):
    """The shift layout, and those with the last, the last two, all dimensions expanded, where that makes a
    difference."""
    found = [list(axes)]
    for i in (2, 1, 0):
        if axes[i].widest > 0:
            found.append([*found[-1][:i], _expanded(axes[i]), *found[-1][i + 1 :]])
    return found


def _pixels(block, extent, merged):
    """One more than the last output pixel of a block of `merged` images."""
    image = extent[0] * extent[1] * extent[2]
    return ((block[0] - 1) * extent[1] + block[1] - 1) * extent[2] + block[2] + (merged - 1) * image


def _cuttings(axes, images, most, width, mergeable):
    """(block, merged) candidates of about `most` pixels: several whole images, one, or a part of one, cut along
    the outermost dimension first."""
    counts, widest = [a.count for a in axes], [a.widest for a in axes]

    def size(block):
        return _pixels(block, [b + w for b, w in zip(block, widest, strict=True)], 1)

    if size(counts) <= most:
        fitting = min(images, most // size(counts)) if mergeable else 1
        yield from ((counts, m) for m in sorted({fitting, _ceil(fitting, 2), min(fitting, 4), min(fitting, 2), 1}))
        return
    block = list(counts)
    for i in range(3):
        pieces = 1
        while size(block) > most and block[i] > (2 * width if i == 2 else 1):
            pieces += 1
            block[i] = _ceil(counts[i], pieces)
        if size(block) <= most or i == 2:
            for more in range(4):
                cut = list(block)
                cut[i] = _ceil(counts[i], pieces + more)
                if cut[2] < counts[2]:
                    cut[2] = min(counts[2], _ceil(cut[2], width) * width)
                yield cut, 1
            return


def _copy_kind(axes, extent, src, vl):
    """The cheapest way to fill a region, and its cycles for one variant, channel and image."""
    volume = extent[0] * extent[1] * extent[2]
    by_rows = (
        extent[0] * extent[1] * (ROW_COST + (VECTOR_COST if axes[2].step < 3 else GATHER_COST) * _ceil(extent[2], vl))
    )
    mapped = PLANE_COST + GATHER_COST * volume / vl
    kind = (mapped, MAPPED) if mapped < by_rows else (by_rows, BY_ROWS)
    dense = extent[2] == src[2] and (extent[0] == 1 or extent[1] == src[1])
    if dense and all(a.step == 1 for a in axes):
        kind = min(kind, (PLANE_COST + SHIFT_COST * _ceil(volume, vl), SHIFTED))
    return kind


def _pitch(pixels):
    """Distance of two channels' planes in a region: an odd number of cache lines, so that planes do not fall on the
    same cache sets, with room for a whole vector (of at most 16 elements) behind the last pixel."""
    lines = _ceil(pixels + 16, 16)
    return (lines + 1 - lines % 2) * 16


def _best(phase, images, groups, channels, outputs, src, phases, wanted, itemsize, in_place) -> _Blocks:
    """The blocks of one phase: of all candidates, those of the least estimated cycles."""
    vl, rows = lanes(itemsize), _ceil(outputs, 2) * 2 if outputs > 1 else 1
    width = VECTORS * vl
    best = None
    for axes in _layouts(phase):
        variants, taps = len(axes[0].starts) * len(axes[1].starts) * len(axes[2].starts), 1
        for a in axes:
            taps *= len(a.taps)
        for cut in sorted({min(rows, 128), min(rows, 256), rows}):
            most = max(width, SUMS_BYTES // itemsize // cut)
            for block, merged in _cuttings(axes, images, most, width, not in_place):
                extent = [b + a.widest for a, b in zip(axes, block, strict=True)]
                volume = extent[0] * extent[1] * extent[2]
                pixels = _pixels(block, extent, merged)
                blocks = 1
                for a, b in zip(axes, block, strict=True):
                    blocks *= _ceil(a.count, b)
                tasks = blocks * _ceil(images, merged) * groups * phases
                cuts = max(_ceil(rows, cut), min(_ceil(wanted, tasks), _ceil(rows, 2 * ROWS)))
                some = min(rows, _ceil(_ceil(rows, cuts), ROWS) * ROWS)
                cuts = _ceil(rows, some)
                if in_place:
                    copy, kind, chunk = 0, IN_PLACE, channels
                else:
                    copy, kind = _copy_kind(axes, extent, src, vl)
                    table = 0 if kind == BY_ROWS else PLACE_COST * volume * (merged if kind == MAPPED else 1)
                    copy = (copy * channels * merged + table) * variants
                    chunk = max(1, REGION_BYTES // itemsize // (variants * _pitch(volume * merged)))
                    chunk = _ceil(channels, _ceil(channels, min(chunk, channels)))
                products = rows * channels * taps * (_ceil(pixels, vl) + itemsize / WEIGHT_BYTES)
                dense = all(e == a.count for e, a in zip(extent[1:], axes[1:], strict=True)) and phase[2].ostep == 1
                runs = merged * (1 if dense else block[0] * block[1])
                stores = rows * (runs * RUN_COST + 2 * pixels / vl)
                copies = cuts if chunk < channels else min(cuts, 2)
                cost = blocks * images / merged * (products + copies * copy + stores + cuts * TASK_COST)
                cost *= 1 + (max(0, wanted - tasks * cuts) / wanted if wanted > 1 else 0)
                if best is None or cost < best.cost:
                    best = _Blocks(axes, block, merged, kind, chunk, some, pixels, cost)
    return best


def _weight_blocks(phase, images, groups, channels, outputs, src, itemsize, in_place, wanted, dot) -> _Blocks:
    """The blocks of a weight gradient: sums of chunk * taps rows of `outputs` elements, over blocks of pixels.

    Pixels that are no outputs are skipped, so only the copies decide about the layout."""
    vl = lanes(itemsize)
    ldm = outputs * vl if dot else _ceil(outputs, vl) * vl
    most = min(1024, max(64, SUMS_BYTES // itemsize // ldm))
    best = None
    for axes in _layouts(phase)[:1] if dot else _layouts(phase):
        variants, taps = len(axes[0].starts) * len(axes[1].starts) * len(axes[2].starts), 1
        for a in axes:
            taps *= len(a.taps)
        for block, merged in _cuttings(axes, images, most, vl, not in_place):
            extent = [b + a.widest for a, b in zip(axes, block, strict=True)]
            volume = extent[0] * extent[1] * extent[2]
            copy, kind = (0, IN_PLACE) if in_place else _copy_kind(axes, extent, src, vl)
            table = PLACE_COST * volume * (merged if kind == MAPPED else 1) if kind in (SHIFTED, MAPPED) else 0
            blocks = _ceil(images, merged)
            for a, b in zip(axes, block, strict=True):
                blocks *= _ceil(a.count, b)
            chunk = SUMS_BYTES // itemsize // (ldm * taps)
            if not in_place:
                chunk = min(chunk, REGION_BYTES // itemsize // (variants * _pitch(volume * merged)))
            chunk = max(1, min(chunk, channels))
            if wanted > groups * blocks:
                few = _ceil(channels, _ceil(wanted, groups * blocks))
                chunk = min(chunk, max(few, _ceil(WEIGHT_ROWS, taps)))
            chunk = _ceil(channels, _ceil(channels, chunk))
            cost = (copy * channels * merged + table * _ceil(channels, chunk)) * variants * blocks
            cost += blocks * _ceil(channels, chunk) * (TASK_COST + _pixels(block, extent, merged) * ldm // 2)
            cost += blocks * channels * taps * ldm / vl * SUMS_COST
            if best is None or cost < best.cost:
                best = _Blocks(axes, block, merged, kind, chunk, 1, _pixels(block, extent, merged), cost)
    return best


def _tables(best: _Blocks, kernel, table: list):
    """Append the variants' starts and (variant, shift, place in the weight) of each tap; (taps, tap table, variants,
    starts)."""
    starts, extent = [], best.extent
    for a in best.axes:
        starts.append(len(table))
        table += a.starts
    tap_table, counts = len(table), [len(a.starts) for a in best.axes]
    for (kd, vd, sd), (kh, vh, sh), (kw, vw, sw) in product(*(sorted(a.taps) for a in best.axes)):
        variant = (vd * counts[1] + vh) * counts[2] + vw
        table += [variant, (sd * extent[1] + sh) * extent[2] + sw, (kd * kernel[1] + kh) * kernel[2] + kw]
    return (len(table) - tap_table) // 3, tap_table, counts, starts


def _row(best: _Blocks, first_task, kernel, images, rows, table):
    """The fields of one phase, and the tasks and the sizes that it needs: (row, tasks, region, map, depth, runs)."""
    taps, tap_table, counts, starts = _tables(best, kernel, table)
    extent = best.extent
    pitch = _pitch(extent[0] * extent[1] * extent[2] * best.merged)
    blocks = [_ceil(a.count, b) for a, b in zip(best.axes, best.block, strict=True)]
    image_blocks, cuts = _ceil(images, best.merged), _ceil(rows, best.cut)
    row = [first_task, taps, tap_table, best.merged, image_blocks, pitch, best.chunk, best.copy, best.cut, cuts]
    row += [*counts, *starts]
    for field in ("step", "base", "count", "ostart", "ostep"):
        row += [getattr(a, field) for a in best.axes]
    variants = counts[0] * counts[1] * counts[2]
    runs = best.merged * best.block[0] * best.block[1]
    tasks = image_blocks * cuts * blocks[0] * blocks[1] * blocks[2]
    return (
        row + extent + best.block + blocks,
        tasks,
        variants * best.chunk * pitch,
        variants * (pitch + 64),
        taps * best.chunk,
        runs,
    )


def _pointwise(kernel, stride, padding, src, out):
    """A kernel of one element on the whole image: then an image is one row."""
    if kernel == (1, 1, 1) == stride and padding == (0, 0, 0) and src == out:
        return True, (1, 1, src[0] * src[1] * src[2])
    return False, src


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
    pointwise, src = _pointwise(kernel, stride, padding, src, out)
    out = src if pointwise else out
    src_plane, out_plane = src[0] * src[1] * src[2], out[0] * out[1] * out[2]
    taps_all = kernel[0] * kernel[1] * kernel[2]
    transposed = kind == "transposed"
    head = np.zeros(HEAD, dtype=np.int64)
    head[: REGION] = [
        groups, channels, outputs, images, src_plane, out_plane, 0, 0, *src, *out, channels * outputs * taps_all,
        *((taps_all, outputs * taps_all) if transposed else (channels * taps_all, taps_all)),
    ]  # fmt: skip
    make = _transposed_axes if transposed else _forward_axes
    axes = [make(k, s, p, d, o) for k, s, p, d, o in zip(kernel, stride, padding, dilation, out, strict=True)]
    phases = list(product(*axes))
    work = (
        images
        * groups
        * outputs
        * channels
        * sum(int(np.prod([len(a.taps) * a.count for a in phase])) for phase in phases)
    )
    # planes that are a multiple of 2 KB apart would share a few cache sets: copy those
    free = pointwise and src_plane * itemsize % 2048 != 0
    arguments = (images, groups, channels, outputs, src)
    table, rows = [], []
    wanted = 1 if work < SERIAL_WORK else WEIGHT_TASKS if kind == "weight" else WANTED_TASKS
    if kind == "weight":
        dot = outputs <= DOT_OUTPUTS and src[0] == out[0] == kernel[0] == 1
        best = _weight_blocks(phases[0], *arguments, itemsize, free, wanted, dot)
        row, blocks, *sizes = _row(best, 0, kernel, images, 1, table)
        chunks, ldm = _ceil(channels, best.chunk), _ceil(outputs, vl) * vl
        parts = min(blocks, _ceil(wanted, groups * chunks))
        head[[PARTS, CHANNEL_TASKS, LDM, TASKS, PHASES, PIXELS]] = parts, chunks, ldm, blocks, 1, best.pixels
        head[DOT] = dot
        head[SUMS] = (row[PHASE_TAPS] * best.chunk + 1) * (outputs * vl if dot else ldm)
        head[[REGION, MAP, DEPTH, RUNS]] = sizes
        return Plan(head, np.array(row, dtype=np.int64), np.array(table, dtype=np.int64), parts * groups * chunks, work)
    packed = outputs if outputs == 1 else outputs + outputs % 2
    tasks = 0
    for phase in phases:
        candidates = [_best(phase, *arguments, len(phases), wanted, itemsize, False)]
        if free:
            candidates.append(_best(phase, *arguments, len(phases), wanted, itemsize, True))
        best = min(candidates, key=lambda b: b.cost)
        row, more, *sizes = _row(best, tasks, kernel, images, packed, table)
        tasks += more * groups
        rows += row
        sizes += [_pitch(best.pixels) * best.cut]
        for field, size in zip((REGION, MAP, DEPTH, RUNS, SUMS), sizes, strict=True):
            head[field] = max(head[field], size)
    head[[TASKS, PHASES]] = tasks, len(phases)
    return Plan(head, np.array(rows, dtype=np.int64), np.array(table, dtype=np.int64), tasks, work)
