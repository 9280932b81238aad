"""The geometry of a convolution, worked out once per shape and kept as one flat table for the kernels of
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

Several images in one region follow each other, or, where rows are expanded, lie side by side in each row: then moving
by whole rows wastes no sums either. What needs no change is read where it is.

The layout, the block of outputs that one task computes, and how many channels a region holds are those of the least
estimated time among a few dozen candidates. Where everything goes is then written down, so that the kernels only
follow: blocks that lie alike in the image (all that do not touch its edge, for one) share their lists of places.
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

# Ways to fill a region: read the input where it is; by vectors of it; by every other element of two vectors; by a
# place for each element.
IN_PLACE, DENSE, EVEN, MAPPED = range(4)
# Cycles, measured on Zen 4: to copy a vector, each way; to write a vector of outputs; for a task; to load and store a
# vector of sums.
COPY_COSTS = {IN_PLACE: 0, DENSE: 4, EVEN: 8, MAPPED: 24}
STORE_COST, TASK_COST, SUMS_COST = 4, 600, 2
# Bytes of the weight that arrive in a cycle from beyond the second-level cache.
WEIGHT_BYTES = 6

# Fields of a plan: of the whole (the sizes of buffers in elements, tables by where they begin) ...
(GROUPS, CHANNELS, OUTPUTS, IMAGES, SRC_PLANE, OUT_PLANE, WEIGHT_GROUP, WEIGHT_CHANNEL, WEIGHT_ROWS_AT, REGION, SUMS,
 PARTS, CHANNEL_TASKS, LDM, DOT, TURNED, OUT_WIDTH) = range(17)  # fmt: skip
HEAD = 17
# ... of a phase; behind the last one the number of all tasks ...
(FIRST_TASK, TAPS, BLOCKS, IMAGE_BLOCKS, MERGED, CUT, CUTS, CHUNK, COPY, PITCH, OSTEP, PLACES, DIRECT_PLACES, WHOLE, LAST,
 IMAGE_PITCH, ROW_PITCH) = range(17)  # fmt: skip
PHASE = 17
# ... and of a block: where its first input and its first output are in their planes, its pixels, how far it reads behind
# its first pixel, the elements of a row of its sums, and its lists: vectors to copy, and vectors or runs of outputs; for
# the weight's gradient also the places of its pixels, and its rows and columns.
(SRC_AT, OUT_AT, PIXELS, REACH, LDC, COPIES, COPY_COUNT, STORES, STORE_COUNT, PIXEL_PLACES, PIXEL_COUNT, LINES,
 WIDTH) = range(13)  # fmt: skip
BLOCK = 13


class Plan(NamedTuple):
    table: np.ndarray  # int64: the fields above, then the lists
    tasks: int
    cuts: int  # tasks that share a block of pixels
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
    beside: bool  # the images of a block lie side by side in each row
    copy: int
    chunk: int
    cut: int
    cost: float

    @property
    def extent(self):
        return [b + a.widest for a, b in zip(self.axes, self.block, strict=True)]

    @property
    def pitches(self):
        """Distance in the region of two images, planes and rows of a block."""
        depth, height, width = self.extent
        row = width * self.merged if self.beside else width
        return (width if self.beside else depth * height * width), height * row, row

    @property
    def variants(self):
        return [len(a.starts) for a in self.axes]

    @property
    def volume(self):
        depth, height, width = self.extent
        return depth * height * width * self.merged

    @property
    def pitch(self):
        """Distance of two channels' planes in a region: an odd number of cache lines, so that planes do not fall on the
        same cache sets, with room for a whole vector (of at most 16 elements) behind the last pixel."""
        lines = _ceil(self.volume + 16, 16)
        return (lines + 1 - lines % 2) * 16

    def pixels(self, images, counts):
        """One more than the last pixel that is an output."""
        image, plane, row = self.pitches
        return (images - 1) * image + (counts[0] - 1) * plane + (counts[1] - 1) * row + counts[2]


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


def _cuttings(axes, images, most, width):
    """(block, merged) candidates of about `most` pixels: several whole images, one, or a part of one, cut along
    the outermost dimension first."""
    counts, widest = [a.count for a in axes], [a.widest for a in axes]

    def size(block):
        rows = ((block[0] - 1) * (block[1] + widest[1]) + block[1] - 1) * (block[2] + widest[2])
        return rows + block[2]

    if size(counts) <= most:
        fitting = min(images, most // size(counts))
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


def _run(made: _Blocks, src) -> int:
    """Elements that follow each other both in the region and in the source: of a row, of a plane, or of all."""
    depth, height, width = made.extent
    if made.beside or any(a.step != 1 for a in made.axes) or width != src[2]:
        return width
    return depth * height * width if depth == 1 or height == src[1] else height * width


def _in_place(made: _Blocks, src) -> bool:
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


def _ways(made: _Blocks, src, vl):
    """(way to fill the region, vectors copied for one channel of all variants and images)."""
    volume, run = made.volume, _run(made, src)
    variants = made.variants[0] * made.variants[1] * made.variants[2]
    yield MAPPED, variants * _ceil(volume, vl)
    if made.axes[2].step <= 2:
        yield (DENSE if made.axes[2].step == 1 else EVEN), variants * (volume // run) * _ceil(run, vl)


def _arranged(axes, images, most, width, src, itemsize, in_place):
    """Candidates: (blocks, cycles to fill a region's channel)."""
    for block, merged in _cuttings(axes, images, most, width):
        for beside in (False, True) if merged > 1 and axes[2].widest == 0 < axes[1].widest else (False,):
            made = _Blocks(axes, block, merged, beside, IN_PLACE, 0, 0, 0.0)
            cost, kind = min((COPY_COSTS[way] * vectors, way) for way, vectors in _ways(made, src, lanes(itemsize)))
            yield made._replace(copy=kind), cost
            if in_place and _in_place(made, src):
                yield made, 0


def _best(phase, images, groups, channels, outputs, src, phases, wanted, itemsize, in_place) -> _Blocks:
    """The blocks of one phase: of all candidates, those of the least estimated cycles."""
    vl = lanes(itemsize)
    width = VECTORS * vl
    best = None
    for axes in _layouts(phase):
        variants, taps = len(axes[0].starts) * len(axes[1].starts) * len(axes[2].starts), 1
        for a in axes:
            taps *= len(a.taps)
        for cut in sorted({min(outputs, 128), min(outputs, 256), outputs}):
            most = max(width, SUMS_BYTES // itemsize // cut)
            for made, copy in _arranged(axes, images, most, width, src, itemsize, in_place):
                block, merged = made.block, made.merged
                blocks = 1
                for a, b in zip(axes, block, strict=True):
                    blocks *= _ceil(a.count, b)
                tasks = blocks * _ceil(images, merged) * groups * phases
                cuts = max(_ceil(outputs, cut), min(_ceil(wanted, tasks), _ceil(outputs, 2 * ROWS)))
                some = min(outputs, _ceil(_ceil(outputs, cuts), ROWS) * ROWS)
                cuts, chunk = _ceil(outputs, some), channels
                if made.copy != IN_PLACE:
                    chunk = max(1, REGION_BYTES // itemsize // (variants * made.pitch))
                    chunk = _ceil(channels, _ceil(channels, min(chunk, channels)))
                pixels = _ceil(made.pixels(merged, block), vl)
                products = outputs * channels * taps * (pixels + itemsize / WEIGHT_BYTES)
                dense = not made.beside and all(
                    e == a.count for e, a in zip(made.extent[1:], axes[1:], strict=True)
                ) and phase[2].ostep == 1  # fmt: skip
                lines = merged * block[0] * block[1]
                vectors = merged * _ceil(lines // merged * block[2], vl) if dense else lines * _ceil(block[2], vl)
                copies = (cuts if chunk < channels else min(cuts, 2)) * copy * channels
                sums = outputs * pixels * SUMS_COST * _ceil(channels, chunk)
                cost = products + copies + sums + outputs * STORE_COST * vectors + cuts * TASK_COST
                cost *= blocks * images / merged
                cost *= 1 + (max(0, wanted - tasks * cuts) / wanted if wanted > 1 else 0)
                if best is None or cost < best.cost:
                    best = made._replace(chunk=chunk, cut=some, cost=cost)
    return best


def _weight_blocks(phase, images, groups, channels, outputs, src, itemsize, in_place, wanted, dot) -> _Blocks:
    """The blocks of a weight gradient: sums of chunk * taps rows of `outputs` elements, over blocks of pixels.

    Pixels that are no outputs are skipped, so only the copies decide about the layout."""
    vl = lanes(itemsize)
    ldm = outputs * vl if dot else _ceil(outputs, vl) * vl
    most = min(1024, max(64, SUMS_BYTES // itemsize // ldm))
    best = None
    for axes in _layouts(phase)[:2] if dot else _layouts(phase):
        variants, taps = len(axes[0].starts) * len(axes[1].starts) * len(axes[2].starts), 1
        for a in axes:
            taps *= len(a.taps)
        for made, copy in _arranged(axes, images, most, vl, src, itemsize, in_place):
            block, merged = made.block, made.merged
            if dot and made.beside:
                continue
            blocks = _ceil(images, merged)
            for a, b in zip(axes, block, strict=True):
                blocks *= _ceil(a.count, b)
            chunk = SUMS_BYTES // itemsize // (ldm * taps)
            if made.copy != IN_PLACE:
                chunk = min(chunk, REGION_BYTES // itemsize // (variants * made.pitch))
            chunk = max(1, min(chunk, channels))
            if wanted > groups * blocks:
                few = _ceil(channels, _ceil(wanted, groups * blocks))
                chunk = min(chunk, max(few, _ceil(WEIGHT_ROWS, taps)))
            chunk = _ceil(channels, _ceil(channels, chunk))
            chunks, pixels = _ceil(channels, chunk), merged * block[0] * block[1] * block[2]
            if dot:  # vectors of each row of pixels, or of all where they follow each other
                row = block[2] if made.extent[2] != phase[2].count else block[1] * block[2]
                vectors = merged * block[0] * block[1] * block[2] // row * _ceil(row, vl)
                products = vectors * channels * taps * outputs
            else:
                products = chunks * pixels * ldm // 2
            cost = copy * channels + chunks * TASK_COST + products + channels * taps * ldm / vl * SUMS_COST
            cost *= blocks
            if best is None or cost < best.cost:
                best = made._replace(chunk=chunk, cut=outputs, cost=cost)
    return best


# -- writing it down -----------------------------------------------------------------------------------------


class _Table:
    """A list of int64 that grows; `add` says where what it was given begins."""

    def __init__(self, fields: int):
        self.parts, self.size = [], fields

    def add(self, values) -> int:
        at = self.size
        self.parts.append(np.asarray(values, np.int64).reshape(-1))
        self.size += self.parts[-1].size
        return at


def _spans(far, near, inside, run, vl, every):
    """Vectors along `run` consecutive elements: (far place, near place + mask * 2**32) of each.

    `far`, `near` and `inside` (which elements count) are given for all elements; in a far place elements are `every`
    (1, or 2: then the mask has 2 * vl bits) apart, otherwise (0) the mask has a bit for each."""
    far, near, inside = (np.broadcast_to(a, inside.shape).reshape(-1, run) for a in (far, near, inside))
    vectors = _ceil(run, vl)
    bits = np.zeros((len(inside), vectors * vl), np.uint64)
    bits[:, :run] = inside
    place = np.arange(vl, dtype=np.uint64) * np.uint64(max(every, 1))
    masks = (bits.reshape(-1, vl) << place).sum(1, dtype=np.uint64)
    words = near[:, ::vl].reshape(-1).astype(np.uint64) | masks << np.uint64(32)
    return np.stack([far[:, ::vl].reshape(-1), words.view(np.int64)], 1)


def _grid(axes_values, images, beside):
    """Sums of one value from each of three axes' arrays (variants, elements) and of the images' one, as an array (variants
    of the three, image, depth, height, width), or with the image next to the width."""
    d, h, w = axes_values
    image = np.asarray(images)
    total = d[:, None, None, :, None, None] + h[None, :, None, None, :, None] + w[None, None, :, None, None, :]
    if beside:
        return total[..., None, :] + image[:, None]
    return total[:, :, :, None] + image[:, None, None, None]


def _copies(made: _Blocks, src, inside, images, image_step, vl):
    """The list of vectors that fill the region's first channel, every variant and image; see conv_tile.py for its
    forms. `inside`: for each axis (variants, elements), which of them the source has."""
    places = [
        (np.array(a.starts)[:, None] + np.arange(n) * a.step) * s
        for a, n, s in zip(made.axes, made.extent, (src[1] * src[2], src[2], 1), strict=True)
    ]
    far = _grid(places, np.arange(images) * image_step, made.beside)
    image, plane, row = made.pitches
    counts = made.variants
    channel = made.chunk * made.pitch
    firsts = (counts[1] * counts[2] * channel, counts[2] * channel, channel)
    places = [
        np.arange(v)[:, None] * first + np.arange(n) * s
        for v, first, n, s in zip(counts, firsts, made.extent, (plane, row, 1), strict=True)
    ]
    near = _grid(places, np.arange(images) * image, made.beside)
    outside = _grid([(~a).astype(np.int64) for a in inside], np.zeros(images, np.int64), made.beside)
    if made.copy == MAPPED:
        size = near[0, 0, 0].max() + 1
        places = np.full((counts[0] * counts[1] * counts[2], _ceil(size, vl) * vl), -1)
        variant = np.arange(len(places)).reshape(*counts, *[1] * (near.ndim - 3))
        places[np.broadcast_to(variant, near.shape), near - variant * channel] = np.where(outside > 0, -1, far)
        at = np.arange(len(places))[:, None] * channel + np.arange(0, places.shape[1], vl)
        return np.concatenate([at.reshape(-1, 1), places.reshape(-1, vl)], 1)
    return _spans(far, near, outside == 0, _run(made, src), vl, made.axes[2].step)


def _outputs(made: _Blocks, counts, images, out, image_step):
    """(place in the output, pixel, run) of the outputs of a block: elements `run` at a time follow each other in both."""
    axes = made.axes
    image, plane, row = made.pitches
    steps = [a.ostep for a in axes]

    def grid(scales, image_scale):
        d, h, w = (np.arange(n)[None] * s for n, s in zip(counts, scales, strict=True))
        return _grid([d, h, w], np.arange(images) * image_scale, False)

    far = grid((steps[0] * out[1] * out[2], steps[1] * out[2], steps[2]), image_step)
    run = counts[2]
    if steps[1:] == [1, 1] and counts[2] == out[2]:
        run *= counts[1]
        if steps[0] == 1 and counts[1] == out[1]:
            run *= counts[0]
    return far, grid((plane, row, 1), image), run


def _classes(a: _Axis, block, extent, size):
    """The blocks along an axis: (first source place, first output place, class) of each, and of each class (outputs,
    which elements (variants, extent) the source has)."""
    rows, known = [], {}
    element = np.array(a.starts)[:, None] + np.arange(extent) * a.step
    for first in range(0, a.count, block):
        origin = a.base + first * a.step
        inside = (element >= -origin) & (element < size - origin)
        count = min(block, a.count - first)
        key = (count, inside.tobytes())
        known.setdefault(key, (len(known), count, inside))
        rows.append((origin, a.ostart + first * a.ostep, known[key][0]))
    return np.array(rows), [entry[1:] for entry in known.values()]


def _blocks_of(made: _Blocks, images, table: _Table, src, out, steps, vl, shift, weight):
    """Descriptions of all blocks of a phase for `images` images; returns where they begin.

    steps: distance of two images in source and output; shift: the largest place of a tap when reading in place; weight:
    (ldm, dot) of a weight's gradient, else None."""
    found = [_classes(*args) for args in zip(made.axes, made.block, made.extent, src, strict=True)]
    kinds = []
    for (nd, d), (nh, h), (nw, w) in product(*(classes for _, classes in found)):
        counts = (nd, nh, nw)
        pixels = made.pixels(images, counts)
        lines = _ceil(pixels, vl)
        row = [
            0,
            0,
            pixels,
            shift + lines * vl,
            (lines + 1 - lines % 2) * vl,
        ]  # rows do not fall on the same cache sets
        copies = _copies(made, src, (d, h, w), images, steps[0], vl) if weight is None or made.copy != IN_PLACE else []
        row += [table.add(copies), len(copies)]
        far, pixel, run = _outputs(made, counts, images, out, steps[1])
        if weight is None:
            if run > counts[2] and (made.beside or made.pitches[2] != counts[2]):
                run = counts[2]
            elif run > counts[1] * counts[2] and made.extent[1] != counts[1]:
                run = counts[1] * counts[2]
            step = made.axes[2].ostep
            stores = _spans(far, pixel, np.ones(far.shape, bool), run, vl, step if step == 2 else 1)
            row += [table.add(stores), len(stores), 0, 0, 0, 0]
        else:
            firsts = far.reshape(-1, run)[:, 0]
            row += [table.add(np.stack([firsts, np.full(len(firsts), run)], 1)), len(firsts)]
            places = np.stack([pixel.reshape(-1), np.arange(pixel.size) * weight[0]], 1)
            row += [table.add([] if weight[1] else places), pixel.size]
            joined = made.extent[2] == counts[2] == out[2]
            row += [1, nh * nw] if joined else [nh, nw]
        kinds.append(row)
    kinds = np.array(kinds).reshape(*(len(classes) for _, classes in found), BLOCK)
    (d, h, w), (sizes_h, sizes_w) = (axis for axis, _ in found), ((src[1], out[1]), (src[2], out[2]))
    rows = kinds[np.ix_(d[:, 2], h[:, 2], w[:, 2])]
    for field in (SRC_AT, OUT_AT):
        part = d[:, field][:, None, None] * sizes_h[field] + h[:, field][:, None]
        rows[..., field] = part * sizes_w[field] + w[:, field]
    return table.add(rows)


def _phase(made: _Blocks, first_task, kernel, images, table: _Table, src, out, head, vl, weight):
    """The fields of one phase, and what it needs: (row, tasks of a group, elements of a region, of its sums)."""
    axes, counts = made.axes, made.variants
    _, plane, row = made.pitches
    taps = []
    for (kd, vd, sd), (kh, vh, sh), (kw, vw, sw) in product(*(sorted(a.taps) for a in axes)):
        variant = (vd * counts[1] + vh) * counts[2] + vw
        taps.append((variant, sd * plane + sh * row + sw, (kd * kernel[1] + kh) * kernel[2] + kw))
    taps = np.array(taps, np.int64).reshape(-1, 3)
    channel = np.arange(made.chunk)[:, None]
    inputs = taps[:, 0] * made.chunk * made.pitch + taps[:, 1] + channel * made.pitch
    direct = taps[:, 1] + channel * head[SRC_PLANE]
    shift = int(taps[:, 1].max(initial=0)) + (head[CHANNELS] - 1) * head[SRC_PLANE]
    if weight is None:
        weights = taps[:, 2] + channel * head[WEIGHT_CHANNEL]
        inputs, direct = np.stack([weights, inputs], -1), np.stack([weights, direct], -1)
    places = table.add(inputs)
    direct_places = table.add(direct) if made.copy == IN_PLACE else 0
    last = images % made.merged or made.merged
    steps = head[GROUPS] * head[CHANNELS] * head[SRC_PLANE], head[GROUPS] * head[OUTPUTS] * head[OUT_PLANE]
    whole, *rest = [
        _blocks_of(made, n, table, src, out, steps, vl, shift, weight)
        for n in ([made.merged] if last == made.merged else [made.merged, last])
    ]
    blocks = 1
    for a, b in zip(axes, made.block, strict=True):
        blocks *= _ceil(a.count, b)
    image_blocks, cuts = _ceil(images, made.merged), _ceil(head[OUTPUTS], made.cut)
    image, _, row = made.pitches
    fields = [first_task, len(taps), blocks, image_blocks, made.merged, made.cut, cuts, made.chunk, made.copy, made.pitch,
              axes[2].ostep, places, direct_places, whole, rest[0] if rest else whole, image, row]  # fmt: skip
    region = counts[0] * counts[1] * counts[2] * made.chunk * made.pitch + 16
    pixels = made.pixels(made.merged, made.block)
    return fields, image_blocks * blocks * cuts, region, (_ceil(pixels, vl) + 1) * vl * made.cut + vl


def _pointwise(kernel, stride, padding, src, out):
    """A kernel of one element on the whole image: then an image is one row."""
    if kernel == (1, 1, 1) == stride and padding == (0, 0, 0) and src == out:
        return (1, 1, src[0] * src[1] * src[2])
    return src


@lru_cache(maxsize=256)
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
    """The plan for images x (groups * channels) x src -> images x (groups * outputs) x out; triples are (depth,
    height, width).

    kind is "forward", "transposed" or "weight" (the forward's geometry in the blocks that its weight gradient
    likes). `padding` is what lies before the first element; what lies behind the last follows from `out`.
    """
    vl = lanes(itemsize)
    joined = _pointwise(kernel, stride, padding, src, out)
    out, src = (joined if joined != src else out), joined
    src_plane, out_plane, taps = src[0] * src[1] * src[2], out[0] * out[1] * out[2], kernel[0] * kernel[1] * kernel[2]
    transposed = kind == "transposed"
    make = _transposed_axes if transposed else _forward_axes
    axes = [make(k, s, p, d, o) for k, s, p, d, o in zip(kernel, stride, padding, dilation, out, strict=True)]
    phases = list(product(*axes))
    work = images * groups * outputs * channels * sum(
        int(np.prod([len(a.taps) * a.count for a in phase])) for phase in phases
    )  # fmt: skip
    # planes that are a multiple of 2 KB apart would share a few cache sets: copy those
    in_place = src_plane * itemsize % 2048 != 0
    wanted = 1 if work < SERIAL_WORK else WEIGHT_TASKS if kind == "weight" else WANTED_TASKS
    table = _Table(HEAD + PHASE * (len(phases) + 1))
    head = [groups, channels, outputs, images, src_plane, out_plane, channels * outputs * taps,
            outputs * taps if transposed else taps, 0, 0, 0, 0, 0, 0, 0, 0, out[2]]  # fmt: skip
    arguments, rows, tasks = (images, groups, channels, outputs, src), [], 0
    if kind == "weight":
        dot = outputs <= DOT_OUTPUTS and src[0] == out[0] == kernel[0] == 1
        made = _weight_blocks(phases[0], *arguments, itemsize, in_place, wanted, dot)
        ldm = _ceil(outputs, vl) * vl
        fields, blocks, head[REGION], _ = _phase(made, 0, kernel, images, table, src, out, head, vl, (ldm, dot))
        rows += fields
        chunks, depth = _ceil(channels, made.chunk), made.chunk * taps
        head[PARTS] = min(blocks, _ceil(wanted, groups * chunks))
        head[CHANNEL_TASKS], head[LDM], head[DOT] = chunks, ldm, dot
        head[TURNED] = 0 if dot else made.merged * made.block[0] * made.block[1] * made.block[2] * ldm
        head[SUMS] = (depth + 3) * (outputs * vl if dot else ldm)
        tasks = head[PARTS] * groups * chunks
    else:
        head[WEIGHT_ROWS_AT] = table.add(np.arange(outputs) * (taps if transposed else channels * taps))
        for phase in phases:
            made = _best(phase, *arguments, len(phases), wanted, itemsize, in_place)
            fields, more, *sizes = _phase(made, tasks, kernel, images, table, src, out, head, vl, None)
            rows += fields
            tasks += more * groups
            head[REGION], head[SUMS] = max(head[REGION], sizes[0]), max(head[SUMS], sizes[1])
    end = [tasks] + [0] * (PHASE - 1)
    fields = np.array(head + rows + end, np.int64)
    return Plan(np.concatenate([fields, *table.parts]), tasks, rows[CUTS], work)
