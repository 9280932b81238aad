"""How a convolution is cut into blocks and in which layout each block's input is copied: the cheapest of a few dozen
candidates.

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

Several images in one region follow each other, or, where rows are expanded, lie side by side in each row: then moving
by whole rows wastes no sums either. What needs no change is read where it is.

The layout, the block of outputs that one task computes, and how many channels a region holds are those of the least
estimated time.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

from .conv_deal import pairs
from .conv_shuffle import SHUFFLES
from .tile_sizes import ROWS, VECTORS, lanes

# A region stays in a core's second-level cache (1 MB) next to the sums of its block of outputs and a strip of weights.
REGION_BYTES = 384 * 1024
# Where that does not hold all channels, one in the third-level cache may, which then serves all outputs of its pixels.
LARGE_REGION_BYTES = 4 * 1024 * 1024
# One up to this size still stays there, though not with all that could stand beside it.
ROOMY_REGION_BYTES = 640 * 1024
SUMS_BYTES = 256 * 1024
# Weight gradient: the rows (channels x taps) that a task's sums have at least, so that turning the
# gradient round for them costs a few percent.
WEIGHT_ROWS = 72

# Ways to fill a region: read the input where it is; by vectors of it; by dealing out two vectors
# (conv_deal.py); by a place for each element; by shuffles of two vectors (conv_shuffle.py).
IN_PLACE, DENSE, DEALT, MAPPED, SHUFFLED = range(5)
# Cycles, measured on Zen 4: to copy a vector (or a piece of one, or a hand of two), each way; to write a vector of
# outputs; for a task; to load and store a vector of sums.
COPY_COSTS = {IN_PLACE: 0, DENSE: 4, DEALT: 8, MAPPED: 26, SHUFFLED: 8}
STORE_COST, TASK_COST, SUMS_COST = 4, 600, 4
# Bytes of the weight, and of a large region, that arrive in a cycle from beyond the second-level cache. A region is asked for
# while it is read, and costs next to nothing there: of 300 random shapes whose blocks are others with 32 than with 10, which
# counts every wait, the mean gains 7 %, for the region is filled once and not for each cut of the outputs.
WEIGHT_BYTES, FAR_BYTES = 6, 32
# Tasks fewer than this leave a second core idle.
FEW = 2
# Share of the taps that blocks of single rows have, from which they are tried.
RAGGED = 0.85


class Axis(NamedTuple):
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

    def form(self) -> tuple:
        """What the blocks of the axis follow from: all but where its outputs and the taps in the kernel begin."""
        first = self.places[0][0]
        places = tuple([(k - first, place) for k, place in self.places])
        return self.step, self.base, self.count, self.ostep, places


class Blocks:
    """How one phase is cut into tasks: blocks of `block` outputs of `merged` images each, and how a region is laid out."""

    def __init__(self, axes: list, block: list, merged: int, beside: bool):
        self.axes, self.block, self.merged = axes, block, merged
        self.beside = beside  # the images of a block lie side by side in each row
        self.copy, self.chunk, self.cut, self.cost = IN_PLACE, 0, 0, 0.0
        depth, height, width = self.extent = [b + a.widest for a, b in zip(axes, block, strict=True)]
        self.variants = [len(a.starts) for a in axes]
        self.volume = depth * height * width * merged
        row = width * merged if beside else width
        # distance in the region of two images, planes and rows of a block
        self.pitches = (width if beside else depth * height * width), height * row, row
        # Distance of two channels' planes in a region: an odd number of cache lines, so that planes do not fall on the
        # same cache sets, with room for a whole vector (of at most 16 elements) behind the last pixel.
        lines = ceil(self.volume + 16, 16)
        self.pitch = (lines + 1 - lines % 2) * 16

    def but(self, **fields) -> Blocks:
        """The same blocks with other values of some fields, which no other field follows from."""
        made = copy.copy(self)
        vars(made).update(fields)
        return made

    def pixels(self, images, counts):
        """One more than the last pixel that is an output."""
        image, plane, row = self.pitches
        return (images - 1) * image + (counts[0] - 1) * plane + (counts[1] - 1) * row + counts[2]


def _axis(places, step, base, count, ostart, ostep) -> Axis:
    """places: (kernel index, source offset) of each tap. In the shift layout."""
    residues = sorted({place % step for _, place in places}) or [0]
    taps = [(k, residues.index(place % step), place // step) for k, place in places]
    widest = max((place // step for _, place in places), default=0)
    return Axis(taps, residues, step, base, count, ostart, ostep, widest, places)


def expanded(axis: Axis) -> Axis:
    """The same dimension with a variant for each tap."""
    taps = [(k, v, 0) for v, (k, _) in enumerate(axis.places)]
    return axis._replace(taps=taps, starts=[place for _, place in axis.places], widest=0)


def within(axis: Axis, size) -> Axis:
    """The same dimension of a source of `size` elements without the taps that find none of them at any output."""
    last = axis.base + (axis.count - 1) * axis.step
    places = [(k, place) for k, place in axis.places if axis.base + place < size and last + place >= 0]
    if len(places) == len(axis.places):
        return axis
    return _axis(places, axis.step, axis.base, axis.count, axis.ostart, axis.ostep)


def _mean_taps(axis: Axis, block, size) -> float:
    """The taps of a block of `block` outputs, in the mean over the blocks: at the edges of the source some are left out."""
    blocks, far, total = ceil(axis.count, block), block * axis.step, 0
    for _, place in axis.places:  # block b sees axis.base + b * far + place and what follows
        first = max(0, ceil(axis.step - far - axis.base - place, far))
        total += max(0, min(blocks - 1, (size - 1 - axis.base - place) // far) - first + 1)
    return total / blocks


def forward_axes(kernel, stride, padding, dilation, out):
    return [_axis([(k, k * dilation) for k in range(kernel)], stride, -padding, out, 0, 1)] if out > 0 else []


def transposed_axes(kernel, stride, padding, dilation, out):
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


def ceil(a, b):
    return -(-a // b)


def _layouts(axes):
    """The shift layout, and those with the last, the last two, all dimensions expanded, where that makes a
    difference."""
    found = [list(axes)]
    for i in (2, 1, 0):
        if axes[i].widest > 0:
            found.append([*found[-1][:i], expanded(axes[i]), *found[-1][i + 1 :]])
    return found


def _cuttings(axes, images, most, width, few, ragged):
    """(block, merged) candidates of about `most` pixels: several whole images, one, or a part of one, cut along
    the outermost dimension first; where the images are `few` parts all the same, and where they are `ragged` some rows of
    several images."""
    counts, widest = [a.count for a in axes], [a.widest for a in axes]

    def size(block):
        rows = ((block[0] - 1) * (block[1] + widest[1]) + block[1] - 1) * (block[2] + widest[2])
        return rows + block[2]

    if size(counts) <= most:
        fitting = min(images, most // size(counts))
        some = {fitting, ceil(fitting, 2), min(fitting, 4), min(fitting, 2), 1}
        yield from ((counts, m) for m in sorted({ceil(images, ceil(images, m)) for m in some}))  # in equal shares
        if few:
            i = 0 if counts[0] > 1 else 1 if counts[1] > 1 else 2
            for pieces in (2, 4):
                part = ceil(counts[i], pieces)
                yield [*counts[:i], min(counts[i], ceil(part, width) * width) if i == 2 else part, *counts[i + 1 :]], 1
        if ragged:
            for rows in sorted({1, ceil(counts[1], 3)}):
                block = [1, rows, counts[2]]
                some = {max(1, min(images, n // size(block))) for n in (most, 2 * width, width)}
                yield from ((block, m) for m in sorted({ceil(images, ceil(images, m)) for m in some}))
        return
    block = list(counts)
    for i in range(3):
        pieces = 1
        while size(block) > most and block[i] > (2 * width if i == 2 else 1):
            pieces += 1
            block[i] = ceil(counts[i], pieces)
        if size(block) <= most or i == 2:
            for more in range(4):
                cut = list(block)
                cut[i] = ceil(counts[i], pieces + more)
                if cut[2] < counts[2]:
                    cut[2] = min(counts[2], ceil(cut[2], width) * width)
                yield cut, 1
            return


def run_length(made: Blocks, src) -> int:
    """Elements that follow each other both in the region and in the source: of a row, of a plane, or of all."""
    depth, height, width = made.extent
    if made.beside or any(a.step != 1 for a in made.axes) or width != src[2]:
        return width
    return depth * height * width if depth == 1 or height == src[1] else height * width


def _in_place(made: Blocks, src) -> bool:
    """Whether the source itself is a region: every row is whole, and nothing lies outside."""
    depth, height, width = made.extent
    inside = all(
        a.step == 1 and a.base >= 0 and a.base + a.count + a.widest <= n for a, n in zip(made.axes, src, strict=True)
    )
    return (
        inside
        and made.merged == 1
        and made.variants == [1, 1, 1]
        and (height == depth == 1 or width == src[2])
        and (depth == 1 or height == src[1])
    )


def _pieces(made: Blocks, src, vl) -> float:
    """About how many pieces a vector of a shuffled copy has: stretches of two vectors of the source that hold its elements."""
    depth, height, width = made.extent
    row = (width - 1) * made.axes[2].step + 1
    if row > 2 * vl:
        return max(1.0, min(vl, width) * made.axes[2].step / (2 * vl)) * max(1.0, vl / width)
    far = src[2] * made.axes[1].step if height > 1 else src[1] * src[2] * made.axes[0].step
    together = 1 + (2 * vl - row) // max(far, 1)  # rows that lie in one stretch
    vectors = ceil(made.volume, vl)
    rows = made.volume / vectors / width + (0.5 if vectors > 1 else 0)
    return max(1.0, rows / together)


def _ways(made: Blocks, src, vl):
    """(way to fill the region, vectors copied for one channel of all variants and images)."""
    volume, run = made.volume, run_length(made, src)
    variants = made.variants[0] * made.variants[1] * made.variants[2]
    yield MAPPED, variants * ceil(volume, vl) * vl / 16  # a gather takes its time for each element
    if SHUFFLES:
        yield SHUFFLED, variants * ceil(volume, vl) * _pieces(made, src, vl)
    if made.axes[2].step == 1:
        yield DENSE, variants * (volume // run) * ceil(run, vl)
    elif made.axes[2].step == 2:
        hands = made.variants[0] * made.variants[1] * len(pairs(made.axes[2].starts))
        yield DEALT, hands * (volume // run) * ceil(run, vl)


def _arranged(axes, images, most, width, src, itemsize, in_place, few=False, ragged=False):
    """Candidates: (blocks, cycles to fill a region's channel)."""
    for block, merged in _cuttings(axes, images, most, width, few, ragged):
        for beside in (False, True) if merged > 1 and axes[2].widest == 0 < axes[1].widest else (False,):
            made = Blocks(axes, block, merged, beside)
            cost, made.copy = min(
                [(COPY_COSTS[way] * vectors, way) for way, vectors in _ways(made, src, lanes(itemsize))]
            )
            yield made, cost
            if in_place and _in_place(made, src):
                yield made.but(copy=IN_PLACE), 0


def _chunks(made: Blocks, channels, itemsize):
    """(channels of a region, bytes of it beyond the second-level cache) candidates."""
    if made.copy == IN_PLACE:
        yield channels, 0
        return
    channel = made.variants[0] * made.variants[1] * made.variants[2] * made.pitch * itemsize
    chunk = ceil(channels, ceil(channels, max(1, min(channels, REGION_BYTES // channel))))
    yield chunk, 0
    if chunk < channels and channels * channel <= LARGE_REGION_BYTES:
        yield channels, channels * channel if channels * channel > ROOMY_REGION_BYTES else 0


def best_blocks(phase, images, groups, channels, outputs, src, all_taps, phases, wanted, itemsize, in_place) -> Blocks:
    """The blocks of one phase: of all candidates, those of the least estimated cycles."""
    vl = lanes(itemsize)
    width = VECTORS * vl
    best, least = None, float("inf")
    few = images * groups * phases < min(wanted, FEW)
    means = {}  # (dimension, outputs of a block) -> taps
    # where single rows leave out many taps, blocks of whole images are not all that is tried
    ragged = _mean_taps(phase[0], 1, src[0]) * _mean_taps(phase[1], 1, src[1]) < RAGGED * len(phase[0].taps) * len(
        phase[1].taps
    )
    for axes in _layouts(phase):
        arranged = {}  # several cuts of the outputs often leave room for the same number of pixels
        for cut in sorted({min(outputs, 128), min(outputs, 256), outputs}):
            most = max(width, SUMS_BYTES // itemsize // cut)
            if most not in arranged:
                arranged[most] = list(_arranged(axes, images, most, width, src, itemsize, in_place, few, ragged))
            for made, copying in arranged[most]:
                block, merged = made.block, made.merged
                taps = 1.0
                for i in range(3):
                    key = (i, block[i])
                    if key not in means:
                        means[key] = _mean_taps(phase[i], block[i], src[i])
                    taps *= means[key]
                blocks = ceil(axes[0].count, block[0]) * ceil(axes[1].count, block[1]) * ceil(axes[2].count, block[2])
                tasks = blocks * ceil(images, merged) * groups * phases
                cuts = max(ceil(outputs, cut), min(ceil(wanted, tasks), ceil(outputs, 2 * ROWS)))
                some = min(outputs, ceil(ceil(outputs, cuts), ROWS) * ROWS)
                cuts = ceil(outputs, some)
                pixels = ceil(made.pixels(merged, block), vl)
                # of the weight whole lines arrive, with the taps of the other phases too
                products = outputs * channels * (taps * pixels + all_taps * itemsize / WEIGHT_BYTES)
                _, height, row = made.extent
                dense = not made.beside and height == axes[1].count and row == axes[2].count and phase[2].ostep == 1
                lines = merged * block[0] * block[1]
                vectors = merged * ceil(lines // merged * block[2], vl) if dense else lines * ceil(block[2], vl)
                products += outputs * STORE_COST * vectors + cuts * TASK_COST
                for chunk, far in _chunks(made, channels, itemsize):
                    copies = (cuts if chunk < channels else min(cuts, 2)) * copying * channels
                    sums = outputs * pixels * SUMS_COST * ceil(channels, chunk)
                    cost = (products + copies + sums + cuts * far / FAR_BYTES) * blocks
                    cost *= ceil(images, merged) if made.beside else images / merged
                    if wanted > 1:
                        cost *= 1 + max(0, wanted - tasks * cuts) / wanted / 2
                        cost *= 1 + max(0, FEW - tasks * cuts) / FEW / 2
                    if cost < least:
                        best, least = (made, chunk, some), cost
    made, chunk, some = best
    return made.but(chunk=chunk, cut=some, cost=least)


def weight_blocks(phase, images, groups, channels, outputs, src, itemsize, in_place, wanted, dot) -> Blocks:
    """The blocks of a weight gradient: sums of chunk * taps rows of `outputs` elements, over blocks of pixels.

    Pixels that are no outputs are skipped, so only the copies decide about the layout."""
    vl = lanes(itemsize)
    ldm = outputs * vl if dot else ceil(outputs, vl) * vl
    most = min(1024, max(64, SUMS_BYTES // itemsize // ldm))
    best, least = None, float("inf")
    for axes in _layouts(phase)[:2] if dot else _layouts(phase):
        variants, taps = len(axes[0].starts) * len(axes[1].starts) * len(axes[2].starts), 1
        for a in axes:
            taps *= len(a.taps)
        for made, copying in _arranged(axes, images, most, vl, src, itemsize, in_place):
            block, merged = made.block, made.merged
            if dot and made.beside:
                continue
            blocks = ceil(images, merged)
            for a, b in zip(axes, block, strict=True):
                blocks *= ceil(a.count, b)
            chunk = SUMS_BYTES // itemsize // (ldm * taps)
            if made.copy != IN_PLACE:
                chunk = min(chunk, REGION_BYTES // itemsize // (variants * made.pitch))
            chunk = max(1, min(chunk, channels))
            if wanted > groups * blocks:
                few = ceil(channels, ceil(wanted, groups * blocks))
                chunk = min(chunk, max(few, ceil(WEIGHT_ROWS, taps)))
            chunk = ceil(channels, ceil(channels, chunk))
            chunks, pixels = ceil(channels, chunk), merged * block[0] * block[1] * block[2]
            if dot:  # vectors of each row of pixels, or of all where they follow each other
                row = block[2] if made.extent[2] != phase[2].count else block[1] * block[2]
                vectors = merged * block[0] * block[1] * block[2] // row * ceil(row, vl)
                products = vectors * channels * taps * outputs
            else:
                products = chunks * pixels * ldm // 2
            cost = copying * channels + chunks * TASK_COST + products + channels * taps * ldm / vl * SUMS_COST
            cost *= blocks
            if cost < least:
                best, least = (made, chunk), cost
    made, chunk = best
    return made.but(chunk=chunk, cut=outputs, cost=least)
