"""What the tasks of a convolution share: their blocks of outputs, the copies of the input that they read
(conv_plan.py says in which layout), and the loop over register tiles."""

from __future__ import annotations

from ..compiler import jit
from .conv_plan import (
    BASE,
    BLOCK,
    BLOCKS,
    CHANNELS,
    CHUNK,
    COPY,
    COUNT,
    EXTENT,
    GROUPS,
    MAPPED,
    OSTART,
    OSTEP,
    OUT,
    PHASE_TAPS,
    SHIFTED,
    SRC,
    SRC_PLANE,
    STEP,
    TAP_TABLE,
    VARIANT_TABLE,
    VARIANTS,
)
from .conv_tile import conv_tile, load_mapped, load_row, load_shifted
from .tile_sizes import ROWS, VECTOR_BYTES, VECTORS

# Depth of one pass over the reduction: 112 rows of 48 pixels and 112 x 8 weights are 25 KB of a 32 KB first-level
# cache; with 192 the tile falls from 115 to 111 GFLOP/s, with 48 loading and storing the sums shows.
DEPTH_BLOCK = 112
# Where all pixels are in one or two vectors, nothing is used twice, and long strips of the weight stream better.
LONG_BLOCK = 1024


@jit
def task_place(task, phase, place, counts):
    """Block number -> its first output position and its outputs per dimension. Returns what is left of the
    number."""
    for i in range(2, -1, -1):
        blocks, block = phase[BLOCKS + i], phase[BLOCK + i]
        place[i] = task % blocks * block
        counts[i] = min(block, phase[COUNT + i] - place[i])
        task //= blocks
    return task


@jit
def last_pixel(images, phase, counts):
    """One more than the last pixel of a block that is an output."""
    ed, eh, ew = phase[EXTENT], phase[EXTENT + 1], phase[EXTENT + 2]
    return (((images - 1) * ed + counts[0] - 1) * eh + counts[1] - 1) * ew + counts[2]


@jit
def output_runs(images, phase, place, counts, head, run):
    """The outputs of a block as runs (first pixel, length, place in one output plane, image); returns how many.

    Rows that follow each other in the block and in the output are one run.
    `counts` are the outputs of this block per dimension (fewer than phase[BLOCK] at the edge)."""
    ed, eh, ew = phase[EXTENT], phase[EXTENT + 1], phase[EXTENT + 2]
    dense = ew == counts[2] and ew == head[OUT + 2] and phase[OSTEP + 2] == 1
    n = 0
    for b in range(images):
        for z in range(counts[0]):
            oz = phase[OSTART] + (place[0] + z) * phase[OSTEP]
            for y in range(counts[1]):
                oy = phase[OSTART + 1] + (place[1] + y) * phase[OSTEP + 1]
                at = (oz * head[OUT + 1] + oy) * head[OUT + 2] + phase[OSTART + 2] + place[2] * phase[OSTEP + 2]
                pixel = ((b * ed + z) * eh + y) * ew
                last = 4 * n - 4
                if dense and n > 0 and (run[last] + run[last + 1], run[last + 2] + run[last + 1], run[last + 3]) == (
                    pixel, at, b,
                ):  # fmt: skip
                    run[last + 1] += ew
                    continue
                run[4 * n], run[4 * n + 1], run[4 * n + 2], run[4 * n + 3] = pixel, counts[2], at, b
                n += 1
    return n


@jit
def _block_map(head, phase, table, images, place, vl, places):
    """What load_shifted or load_mapped need for every variant of a block.

    SHIFTED: for each variant the shift, then a mask for each vector of one image's part of the region. MAPPED: the
    source of each pixel of all images, -1 for padding, rounded up to whole vectors. Returns the entries a variant."""
    ed, eh, ew = phase[EXTENT], phase[EXTENT + 1], phase[EXTENT + 2]
    depth, height, width = head[SRC], head[SRC + 1], head[SRC + 2]
    volume = ed * eh * ew
    mapped = phase[COPY] == MAPPED
    pixels = volume * images if mapped else volume
    vectors = (pixels + vl - 1) // vl
    size = vectors * vl if mapped else vectors + 1
    image_step = head[GROUPS] * head[CHANNELS] * head[SRC_PLANE]
    start = 0
    for vd in range(phase[VARIANTS]):
        from_d = phase[BASE] + place[0] * phase[STEP] + table[phase[VARIANT_TABLE] + vd]
        for vh in range(phase[VARIANTS + 1]):
            from_h = phase[BASE + 1] + place[1] * phase[STEP + 1] + table[phase[VARIANT_TABLE + 1] + vh]
            for vw in range(phase[VARIANTS + 2]):
                from_w = phase[BASE + 2] + place[2] * phase[STEP + 2] + table[phase[VARIANT_TABLE + 2] + vw]
                if mapped:
                    for e in range(size):
                        places[start + e] = -1
                else:
                    for e in range(size):
                        places[start + e] = 0
                    places[start] = (from_d * height + from_h) * width + from_w
                p = 0
                for b in range(images if mapped else 1):
                    for z in range(ed):
                        iz = from_d + z * phase[STEP]
                        for y in range(eh):
                            iy = from_h + y * phase[STEP + 1]
                            if iz < 0 or iz >= depth or iy < 0 or iy >= height:
                                p += ew
                                continue
                            line = b * image_step + (iz * height + iy) * width
                            for x in range(ew):
                                ix = from_w + x * phase[STEP + 2]
                                if 0 <= ix < width:
                                    if mapped:
                                        places[start + p] = line + ix
                                    else:
                                        places[start + 1 + p // vl] |= 1 << (p % vl)
                                p += 1
                start += size
    return size


@jit
def _copy_rows(src, start, channels, head, phase, table, images, place, region, pitch):
    """The region row by row, a row of padding having no elements."""
    plane = head[SRC_PLANE]
    depth, height, width = head[SRC], head[SRC + 1], head[SRC + 2]
    ed, eh, ew = phase[EXTENT], phase[EXTENT + 1], phase[EXTENT + 2]
    step_d, step_h, step_w = phase[STEP], phase[STEP + 1], phase[STEP + 2]
    variant = 0
    for vd in range(phase[VARIANTS]):
        from_d = phase[BASE] + place[0] * step_d + table[phase[VARIANT_TABLE] + vd]
        for vh in range(phase[VARIANTS + 1]):
            from_h = phase[BASE + 1] + place[1] * step_h + table[phase[VARIANT_TABLE + 1] + vh]
            for vw in range(phase[VARIANTS + 2]):
                from_w = phase[BASE + 2] + place[2] * step_w + table[phase[VARIANT_TABLE + 2] + vw]
                for c in range(channels):
                    target = (variant * phase[CHUNK] + c) * pitch
                    for b in range(images):
                        source = start + (b * head[GROUPS] * head[CHANNELS] + c) * plane
                        for z in range(ed):
                            iz = from_d + z * step_d
                            for y in range(eh):
                                iy = from_h + y * step_h
                                line = source + (iz * height + iy) * width
                                seen = width if 0 <= iy < height and 0 <= iz < depth else 0
                                if step_w == 1:
                                    load_row(1, src, line, from_w, 1, seen, region, target, ew)
                                elif step_w == 2:
                                    load_row(2, src, line, from_w, 2, seen, region, target, ew)
                                else:
                                    load_row(0, src, line, from_w, step_w, seen, region, target, ew)
                                target += ew
                variant += 1


@jit(apart=True)
def copy_region(src, start, channels, head, phase, table, images, place, region, pitch, places, fresh):
    """region[variant][channel][image, depth, height, width of the block]; `place` is the block's first output
    position, `start` where the first channel of the first image begins. `places` is room for the block's map, which
    is worked out if `fresh`."""
    vl = VECTOR_BYTES // src.itemsize
    ed, eh, ew = phase[EXTENT], phase[EXTENT + 1], phase[EXTENT + 2]
    plane, image_step = head[SRC_PLANE], head[GROUPS] * head[CHANNELS] * head[SRC_PLANE]
    variants = phase[VARIANTS] * phase[VARIANTS + 1] * phase[VARIANTS + 2]
    volume = ed * eh * ew
    if phase[COPY] == SHIFTED:
        vectors = (volume + vl - 1) // vl
        if fresh:
            _block_map(head, phase, table, images, place, vl, places)
        for v in range(variants):
            entry, at = v * (vectors + 1), v * phase[CHUNK] * pitch
            for c in range(channels):
                source = start + c * plane + places[entry]
                for b in range(images):
                    load_shifted(
                        src, source + b * image_step, places, entry + 1, region, at + c * pitch + b * volume, vectors
                    )
    elif phase[COPY] == MAPPED:
        vectors = (volume * images + vl - 1) // vl
        if fresh:
            _block_map(head, phase, table, images, place, vl, places)
        for v in range(variants):
            at = v * phase[CHUNK] * pitch
            for c in range(channels):
                load_mapped(src, start + c * plane, places, v * vectors * vl, region, at + c * pitch, vectors)
    else:
        _copy_rows(src, start, channels, head, phase, table, images, place, region, pitch)


@jit
def tap_offsets(offset, step, channels, phase, table, pitch):
    """offset[(c * taps + t) * step]: where in the region the first pixel of channel c, tap t is."""
    taps, tap = phase[PHASE_TAPS], table[phase[TAP_TABLE] :]
    for t in range(taps):
        start = tap[3 * t] * phase[CHUNK] * pitch + tap[3 * t + 1]
        for c in range(channels):
            offset[(c * taps + t) * step] = start + c * pitch


@jit
def _tile_rows(tile, tiles, rows):
    """(first row, rows) of a row tile: pairs of rows dealt evenly."""
    if rows == 1:
        return 0, 1
    each, extra = (rows // 2) // tiles, (rows // 2) % tiles
    return 2 * (tile * each + min(tile, extra)), 2 * (each + (1 if tile < extra else 0))


@jit(apart=True)
def multiply(sums, ldc, rows, a, a0, row, r0, place, depth, b, b0, pixels, more):
    """sums[i * ldc + p] (+)= sum_{k < depth} a[a0 + row[r0 + i] + place[2 k]] * b[b0 + place[2 k + 1] + p] for i < rows
    (even, or 1) and p < pixels, rounded up to whole vectors."""
    vl = VECTOR_BYTES // b.itemsize
    width = VECTORS * vl
    tiles = (rows + ROWS - 1) // ROWS
    block = DEPTH_BLOCK if pixels > 2 * vl else LONG_BLOCK
    passes = (depth + block - 1) // block
    for i in range(passes):
        k = i * depth // passes
        some = (i + 1) * depth // passes - k
        add = more or i > 0
        for p in range(0, pixels, width):
            left = pixels - p
            at = b0 + p
            for tile in range(tiles):
                first, count = _tile_rows(tile, tiles, rows)
                r, c = r0 + first, first * ldc + p
                if left > (VECTORS - 1) * vl:
                    if count == 8:
                        conv_tile(8, VECTORS, a, a0, row, r, place, k, some, b, at, sums, c, ldc, add)
                    elif count == 6:
                        conv_tile(6, VECTORS, a, a0, row, r, place, k, some, b, at, sums, c, ldc, add)
                    elif count == 4:
                        conv_tile(4, VECTORS, a, a0, row, r, place, k, some, b, at, sums, c, ldc, add)
                    elif count == 2:
                        conv_tile(2, VECTORS, a, a0, row, r, place, k, some, b, at, sums, c, ldc, add)
                    else:
                        conv_tile(1, VECTORS, a, a0, row, r, place, k, some, b, at, sums, c, ldc, add)
                else:  # the last pixels, a vector at a time
                    for v in range(0, left, vl):
                        if count == 8:
                            conv_tile(8, 1, a, a0, row, r, place, k, some, b, at + v, sums, c + v, ldc, add)
                        elif count == 6:
                            conv_tile(6, 1, a, a0, row, r, place, k, some, b, at + v, sums, c + v, ldc, add)
                        elif count == 4:
                            conv_tile(4, 1, a, a0, row, r, place, k, some, b, at + v, sums, c + v, ldc, add)
                        elif count == 2:
                            conv_tile(2, 1, a, a0, row, r, place, k, some, b, at + v, sums, c + v, ldc, add)
                        else:
                            conv_tile(1, 1, a, a0, row, r, place, k, some, b, at + v, sums, c + v, ldc, add)
