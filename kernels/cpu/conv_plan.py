"""The geometry of a convolution, worked out once per shape and kept as one flat table for the kernels of
conv_tasks.py and conv_weight.py.

conv_layout.py chooses the blocks and the layout of what is copied. Here it is written down where everything goes, so that
the kernels only follow: a list of the vectors that each block copies, of the vectors of outputs that it writes, and of
the places of its taps. Blocks that lie alike in the image (all that do not touch its edge, for one) share their lists.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from .conv_deal import hands
from .conv_layout import (
    DEALT,
    IN_PLACE,
    MAPPED,
    SHUFFLED,
    Axis,
    Blocks,
    best_blocks,
    ceil,
    forward_axes,
    run_length,
    transposed_axes,
    weight_blocks,
    within,
)
from .conv_shuffle import pieces
from .tile_sizes import lanes

# Enough tasks to balance a few cores; from the shape only, so that the blocks (and the results) do not depend
# on the thread count.
WANTED_TASKS, WEIGHT_TASKS = 16, 8
# Multiply-adds below which a parallel launch (2 us) costs more than it gains: 6 us on one core.
SERIAL_WORK = 250_000
# Outputs up to which the weight gradient's vectors run along the pixels, not along the outputs.
DOT_OUTPUTS = 7

# Fields of a plan: of the whole (the sizes of buffers in elements, tables by where they begin) ...
(GROUPS, CHANNELS, OUTPUTS, IMAGES, SRC_PLANE, OUT_PLANE, WEIGHT_GROUP, WEIGHT_CHANNEL, WEIGHT_ROWS_AT, REGION, SUMS,
 PARTS, CHANNEL_TASKS, LDM, DOT, TURNED, OUT_WIDTH) = range(17)  # fmt: skip
HEAD = 17
# ... of a phase (its shifts are the distances of its taps and outputs from those of the first phase that is like it);
# behind the last one the number of all tasks ...
(FIRST_TASK, BLOCKS, IMAGE_BLOCKS, MERGED, CUT, CUTS, CHUNK, COPY, PITCH, OSTEP, WHOLE, LAST, IMAGE_PITCH, ROW_PITCH,
 TAP_SHIFT, OUT_SHIFT) = range(16)  # fmt: skip
PHASE = 16
# ... and of a block: where its first input and its first output are in their planes, its pixels, how far it reads behind
# its first pixel, the elements of a row of its sums, and its lists: vectors to copy, and vectors or runs of outputs; its
# taps, and where they are in the region and in the source; for the weight's gradient also the places of its pixels, and
# its rows and columns; for the others whether its sums follow each other in the output as they do in their row.
(SRC_AT, OUT_AT, PIXELS, REACH, LDC, COPIES, COPY_COUNT, STORES, STORE_COUNT, TAPS, PLACES, DIRECT_PLACES, PIXEL_PLACES,
 PIXEL_COUNT, LINES, WIDTH, STRAIGHT) = range(17)  # fmt: skip
BLOCK = 17


class Plan(NamedTuple):
    table: np.ndarray  # int64: the fields above, then the lists
    tasks: int
    cuts: int  # tasks that share a block of pixels
    work: int  # multiply-adds, to choose between serial and parallel
    sparse: bool  # some outputs belong to no task, for no tap reaches them


class _Table:
    """A list of int64 that grows; `add` says where what it was given begins. Equal lists are kept once."""

    def __init__(self, fields: int):
        self.parts, self.size, self.known = [], fields, {}

    def add(self, values) -> int:
        values = np.asarray(values, np.int64).reshape(-1)
        at = self.known.setdefault(values.tobytes(), self.size)
        if at == self.size:
            self.parts.append(values)
            self.size += values.size
        return at


def _spans(far, near, inside, run, vl, every):
    """Vectors along `run` consecutive elements: (far place, near place + mask * 2**32) of each.

    `far`, `near` and `inside` (which elements count) are given for all elements; in a far place elements are `every`
    apart (1, or 2: then the mask has 2 * vl bits; 0: in its place stands how many elements count)."""
    far, near, inside = (np.broadcast_to(a, inside.shape).reshape(-1, run) for a in (far, near, inside))
    vectors = ceil(run, vl)
    bits = np.zeros((len(inside), vectors * vl), np.uint64)
    bits[:, :run] = inside
    place = np.arange(vl, dtype=np.uint64) * np.uint64(every)
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


def _copies(made: Blocks, src, inside, images, image_step, vl):
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
    if made.copy in (MAPPED, SHUFFLED):
        size = near[0, 0, 0].max() + 1
        places = np.full((counts[0] * counts[1] * counts[2], ceil(size, vl) * vl), -1)
        variant = np.arange(len(places)).reshape(*counts, *[1] * (near.ndim - 3))
        places[np.broadcast_to(variant, near.shape), near - variant * channel] = np.where(outside > 0, -1, far)
        at = np.arange(len(places))[:, None] * channel + np.arange(0, places.shape[1], vl)
        if made.copy == SHUFFLED:
            return pieces(places.reshape(-1, vl), at.reshape(-1))
        return np.concatenate([at.reshape(-1, 1), places.reshape(-1, vl)], 1)
    if made.copy == DEALT:
        far, near, inside = (
            np.broadcast_to(a, near.shape).reshape(counts[0] * counts[1], counts[2], -1, run_length(made, src))
            for a in (far, near, outside == 0)
        )
        return hands(made.axes[2].starts, far, near, inside, made.pitch - vl, vl)
    return _spans(far, near, outside == 0, run_length(made, src), vl, 1)


def _outputs(made: Blocks, counts, images, out, image_step):
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


def _follow(places, first) -> bool:
    """Whether places follow each other, from `first` on."""
    return bool((places.reshape(-1) == first + np.arange(places.size)).all())


def _classes(a: Axis, block, extent, size, all_taps):
    """The blocks along an axis: (first source place, first output place, class) of each, and of each class (outputs,
    which elements (variants, extent) the source has, its taps).

    Taps that find only what lies outside of the source are left out, unless all are asked for."""
    rows, known = [], {}
    element = np.array(a.starts)[:, None] + np.arange(extent) * a.step
    taps = sorted(a.taps)
    for first in range(0, a.count, block):
        origin = a.base + first * a.step
        inside = (element >= -origin) & (element < size - origin)
        count = min(block, a.count - first)
        key = (count, inside.tobytes())
        if key not in known:
            some = taps if all_taps or inside.all() else [t for t in taps if inside[t[1], t[2] : t[2] + count].any()]
            known[key] = (len(known), count, inside, some)
        rows.append((origin, a.ostart + first * a.ostep, known[key][0]))
    return np.array(rows), [entry[1:] for entry in known.values()]


def _tap_places(made: Blocks, taps, kernel, table: _Table, head, weight):
    """(number of taps, their places in the region and in the source, the largest place in the source's first channel) for
    the taps of three axes; a place in the weight stands before each but for its own gradient."""
    counts = made.variants
    _, plane, row = made.pitches
    found = []
    for (kd, vd, sd), (kh, vh, sh), (kw, vw, sw) in product(*taps):
        variant = (vd * counts[1] + vh) * counts[2] + vw
        found.append((variant, sd * plane + sh * row + sw, (kd * kernel[1] + kh) * kernel[2] + kw))
    variant, shift, number = np.array(found, np.int64).reshape(-1, 3).T
    channel = np.arange(made.chunk)[:, None]
    inputs = variant * made.chunk * made.pitch + shift + channel * made.pitch
    direct = shift + channel * head[SRC_PLANE]
    if weight is None:
        weights = number + channel * head[WEIGHT_CHANNEL]
        inputs, direct = np.stack([weights, inputs], -1), np.stack([weights, direct], -1)
    direct_at = table.add(direct) if made.copy == IN_PLACE else 0
    return len(found), table.add(inputs), direct_at, int(shift.max(initial=0))


def _blocks_of(made: Blocks, images, kernel, table: _Table, src, out, head, vl, weight):
    """Descriptions of all blocks of a phase for `images` images; returns where they begin.

    weight: (ldm, dot) of a weight's gradient, else None."""
    steps = head[GROUPS] * head[CHANNELS] * head[SRC_PLANE], head[GROUPS] * head[OUTPUTS] * head[OUT_PLANE]
    sized = zip(made.axes, made.block, made.extent, src, strict=True)
    found = [_classes(*args, weight is not None) for args in sized]
    kinds = []
    for (nd, d, taps_d), (nh, h, taps_h), (nw, w, taps_w) in product(*(classes for _, classes in found)):
        counts = (nd, nh, nw)
        taps, places, direct, shift = _tap_places(made, (taps_d, taps_h, taps_w), kernel, table, head, weight)
        pixels = made.pixels(images, counts)
        lines = ceil(pixels, vl)
        reach = shift + (head[CHANNELS] - 1) * head[SRC_PLANE] + lines * vl
        # rows of sums do not fall on the same cache sets
        row = [0, 0, pixels, reach, (lines + 1 - lines % 2) * vl]
        copies = _copies(made, src, (d, h, w), images, steps[0], vl) if weight is None or made.copy != IN_PLACE else []
        row += [table.add(copies), len(copies)]
        far, pixel, run = _outputs(made, counts, images, out, steps[1])
        if weight is None:
            if run > counts[2] and (made.beside or made.pitches[2] != counts[2]):
                run = counts[2]
            elif run > counts[1] * counts[2] and made.extent[1] != counts[1]:
                run = counts[1] * counts[2]
            step = made.axes[2].ostep
            straight = step == 1 and _follow(pixel, 0) and _follow(far, far.flat[0])
            if straight:
                run = pixel.size
            stores = _spans(far, pixel, np.ones(far.shape, bool), run, vl, step if step <= 2 else 0)
            row += [table.add(stores), len(stores), taps, places, direct, 0, 0, 0, 0, straight]
        else:
            firsts = far.reshape(-1, run)[:, 0]
            row += [table.add(np.stack([firsts, np.full(len(firsts), run)], 1)), len(firsts), taps, places, direct]
            pixels_at = np.stack([pixel.reshape(-1), np.arange(pixel.size) * weight[0]], 1)
            row += [table.add([] if weight[1] else pixels_at), pixel.size]
            joined = made.extent[2] == counts[2] == out[2]
            row += [1, nh * nw, 0] if joined else [nh, nw, 0]
        kinds.append(row)
    kinds = np.array(kinds).reshape(*(len(classes) for _, classes in found), BLOCK)
    (d, h, w), (sizes_h, sizes_w) = (axis for axis, _ in found), ((src[1], out[1]), (src[2], out[2]))
    rows = kinds[np.ix_(d[:, 2], h[:, 2], w[:, 2])]
    for field in (SRC_AT, OUT_AT):
        part = d[:, field][:, None, None] * sizes_h[field] + h[:, field][:, None]
        rows[..., field] = part * sizes_w[field] + w[:, field]
    return table.add(rows)


def _phase(made: Blocks, kernel, images, table: _Table, src, out, head, vl, weight):
    """The fields of one phase, and what it needs: (row, tasks of a group, elements of a region, of its sums)."""
    axes, counts = made.axes, made.variants
    last = images % made.merged or made.merged
    whole, *rest = [
        _blocks_of(made, n, kernel, table, src, out, head, vl, weight)
        for n in ([made.merged] if last == made.merged else [made.merged, last])
    ]
    blocks = 1
    for a, b in zip(axes, made.block, strict=True):
        blocks *= ceil(a.count, b)
    image_blocks, cuts = ceil(images, made.merged), ceil(head[OUTPUTS], made.cut)
    image, _, row = made.pitches
    fields = [0, blocks, image_blocks, made.merged, made.cut, cuts, made.chunk, made.copy, made.pitch, axes[2].ostep,
              whole, rest[0] if rest else whole, image, row, 0, 0]  # fmt: skip
    region = counts[0] * counts[1] * counts[2] * made.chunk * made.pitch + 16
    pixels = made.pixels(made.merged, made.block)
    return fields, image_blocks * blocks * cuts, region, (ceil(pixels, vl) + 1) * vl * made.cut + vl


def _pointwise(kernel, stride, padding, src, out):
    """A kernel of one element on the whole image: then an image is one row."""
    if kernel == (1, 1, 1) == stride and padding == (0, 0, 0) and src == out:
        return (1, 1, src[0] * src[1] * src[2])
    return src


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
    likes). It takes half a millisecond: conv.py keeps it. `padding` is what lies before the first element; what lies
    behind the last follows from `out`.
    """
    vl = lanes(itemsize)
    joined = _pointwise(kernel, stride, padding, src, out)
    out, src = (joined if joined != src else out), joined
    src_plane, out_plane, taps = src[0] * src[1] * src[2], out[0] * out[1] * out[2], kernel[0] * kernel[1] * kernel[2]
    transposed = kind == "transposed"
    make = transposed_axes if transposed else forward_axes
    axes = [make(k, s, p, d, o) for k, s, p, d, o in zip(kernel, stride, padding, dilation, out, strict=True)]
    sparse = False
    if kind != "weight":
        reached = [[a for a in (within(a, n) for a in each) if a.taps] for each, n in zip(axes, src, strict=True)]
        sparse = [len(each) for each in reached] != [len(each) for each in axes]
        axes = reached
    phases = list(product(*axes))
    work = images * groups * outputs * channels
    for each in axes:
        work *= sum(len(a.taps) * a.count for a in each)
    # planes that are a multiple of 2 KB apart would share a few cache sets: copy those
    in_place = src_plane * itemsize % 2048 != 0
    wanted = 1 if work < SERIAL_WORK else WEIGHT_TASKS if kind == "weight" else WANTED_TASKS
    table = _Table(HEAD + PHASE * (len(phases) + 1))
    head = [groups, channels, outputs, images, src_plane, out_plane, channels * outputs * taps,
            outputs * taps if transposed else taps, 0, 0, 0, 0, 0, 0, 0, 0, out[2]]  # fmt: skip
    arguments, rows, tasks, cuts = (images, groups, channels, outputs, src), [], 0, 1
    if kind == "weight":
        dot = outputs <= DOT_OUTPUTS and src[0] == out[0] == kernel[0] == 1
        made = weight_blocks(phases[0], *arguments, itemsize, in_place, wanted, dot)
        ldm = ceil(outputs, vl) * vl
        fields, blocks, head[REGION], _ = _phase(made, kernel, images, table, src, out, head, vl, (ldm, dot))
        rows += fields
        chunks, depth = ceil(channels, made.chunk), made.chunk * taps
        head[PARTS] = min(blocks, ceil(wanted, groups * chunks))
        head[CHANNEL_TASKS], head[LDM], head[DOT] = chunks, ldm, dot
        head[TURNED] = 0 if dot else made.merged * made.block[0] * made.block[1] * made.block[2] * ldm
        head[SUMS] = (depth + 3) * (outputs * vl if dot else ldm)
        tasks = head[PARTS] * groups * chunks
    else:
        head[WEIGHT_ROWS_AT] = table.add(np.arange(outputs) * (taps if transposed else channels * taps))
        alike: dict[tuple, tuple] = {}  # of a wide stride most phases are, but for where their taps and outputs begin
        forms = [{id(a): a.form() for a in each} for each in axes]
        for phase in phases:
            key = tuple([form[id(a)] for form, a in zip(forms, phase, strict=True)])
            if key not in alike:
                made = best_blocks(phase, *arguments, taps, len(phases), wanted, itemsize, in_place)
                alike[key] = phase, _phase(made, kernel, images, table, src, out, head, vl, None)
            first, (fields, more, *sizes) = alike[key]
            fields, cuts = fields.copy(), fields[CUTS]
            moved = [(a.places[0][0] - b.places[0][0], a.ostart - b.ostart) for a, b in zip(phase, first, strict=True)]
            (kd, od), (kh, oh), (kw, ow) = moved
            fields[FIRST_TASK], fields[TAP_SHIFT] = tasks, (kd * kernel[1] + kh) * kernel[2] + kw
            fields[OUT_SHIFT] = (od * out[1] + oh) * out[2] + ow
            rows += fields
            tasks += more * groups
            head[REGION], head[SUMS] = max(head[REGION], sizes[0]), max(head[SUMS], sizes[1])
    end = [tasks] + [0] * (PHASE - 1)
    fields = np.array(head + rows + end, np.int64)
    return Plan(np.concatenate([fields, *table.parts]), tasks, cuts, work, sparse)
