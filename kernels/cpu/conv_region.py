"""What the tasks of a convolution share: the copies of the input that they read (conv_layout.py says in which layout), and
the loop over register tiles."""

from __future__ import annotations

from ..compiler import jit
from ..simd.prefetch import prefetch_to_write
from .conv_deal import load_dealt
from .conv_layout import DEALT, MAPPED, SHUFFLED
from .conv_shuffle import SHUFFLES, load_shuffled
from .conv_tile import conv_tile, load_mapped, load_spans
from .tile_sizes import ROWS, VECTOR_BYTES, VECTORS

# Depth of one pass over the reduction: 128 rows of 48 pixels and 128 x 8 weights are 28 KB of a 32 KB first-level cache;
# with 192 the tile falls from 115 to 111 GFLOP/s, with 48 loading and storing the sums shows. From memory 128 is 2-4 %
# ahead of 112, and of 64 still more.
DEPTH_BLOCK = 128
# Where all pixels are in one or two vectors, nothing is used twice, and long strips of the weight stream better.
LONG_BLOCK = 1024


@jit(apart=True)
def copy_region(src, start, plane, channels, way, table, entries, count, region, pitch):
    """Fill the region of some channels, the first of which begins at `start`, by the plan's list of vectors."""
    for c in range(channels):
        source, target = start + c * plane, c * pitch
        if SHUFFLES and way == SHUFFLED:
            load_shuffled(src, source, table, entries, count, region, target)
        elif way == MAPPED:
            load_mapped(src, source, table, entries, count, region, target)
        elif way == DEALT:
            load_dealt(src, source, plane, table, entries, count, region, target)
        else:
            load_spans(src, source, plane, table, entries, count, region, target)


@jit
def _ask_for_outputs(out, to, plane, rows):
    """Have the lines of a tile's outputs in the cache by the time they are written."""
    vl = VECTOR_BYTES // out.itemsize
    for i in range(rows):
        for v in range(VECTORS):
            prefetch_to_write(out, to + i * plane + v * vl)


@jit(apart=True)
def multiply(sums, ldc, rows, a, a0, row, r0, place, p0, depth, b, b0, pixels, more, out, to, plane, shift, s0):
    """sums[i * ldc + p] (+)= sum_{k < depth} a[a0 + row[r0 + i] + place[p0 + 2 k]] * b[b0 + place[p0 + 2 k + 1] + p] for
    i < rows and p < pixels, rounded up to whole vectors.

    If `to` is not negative, whole vectors go to out[to + i * plane + p], with shift[s0 + i] added, in place of the sums
    (64 channels to 256: 83 to 90 GFLOP/s); returned is how many pixels of each row did. Those lines of `out` are asked for
    before the last products; and of b the next pixels, while these are at work: read in place, its rows are a plane apart,
    and no hardware prefetcher follows a hundred of them (256 channels to 64, from memory: 77 to 90 GFLOP/s)."""
    vl = VECTOR_BYTES // b.itemsize
    width = VECTORS * vl
    block = DEPTH_BLOCK if pixels > 2 * vl else LONG_BLOCK
    passes = max(1, (depth + block - 1) // block)
    done = 0
    for i in range(passes):
        k = i * depth // passes
        some, at = (i + 1) * depth // passes - k, p0 + 2 * k
        add = more or i > 0
        p = 0
        while p < pixels:
            wide = pixels - p > width - vl  # otherwise the last pixels, a vector at a time
            first, q, pixel = 0, b0 + p, p + (width if wide else vl)
            last = to >= 0 and i == passes - 1
            to_out = last and pixel <= pixels
            if to_out:
                done = pixel
            while first < rows:
                left, r, c = rows - first, r0 + first, first * ldc + p
                t, s = to + first * plane + p, s0 + first
                # a line of each of the next rows of pixels with each of the first tiles, so that no burst has to wait
                ahead = width + first // ROWS * vl if first < ROWS * VECTORS else 0
                if wide and last:
                    _ask_for_outputs(out, t, plane, min(left, ROWS))
                if ROWS == 8 and left >= 8:
                    if wide:
                        conv_tile(8, VECTORS, a, a0, row, r, place, at, some, b, q, ahead, sums, c, ldc, add,
                                  to_out, out, t, plane, shift, s)  # fmt: skip
                    else:
                        conv_tile(8, 1, a, a0, row, r, place, at, some, b, q, ahead, sums, c, ldc, add,
                                  to_out, out, t, plane, shift, s)  # fmt: skip
                    first += 8
                elif left >= 4:
                    if wide:
                        conv_tile(4, VECTORS, a, a0, row, r, place, at, some, b, q, ahead, sums, c, ldc, add,
                                  to_out, out, t, plane, shift, s)  # fmt: skip
                    else:
                        conv_tile(4, 1, a, a0, row, r, place, at, some, b, q, ahead, sums, c, ldc, add,
                                  to_out, out, t, plane, shift, s)  # fmt: skip
                    first += 4
                elif left >= 2:
                    if wide:
                        conv_tile(2, VECTORS, a, a0, row, r, place, at, some, b, q, ahead, sums, c, ldc, add,
                                  to_out, out, t, plane, shift, s)  # fmt: skip
                    else:
                        conv_tile(2, 1, a, a0, row, r, place, at, some, b, q, ahead, sums, c, ldc, add,
                                  to_out, out, t, plane, shift, s)  # fmt: skip
                    first += 2
                else:
                    if wide:
                        conv_tile(1, VECTORS, a, a0, row, r, place, at, some, b, q, ahead, sums, c, ldc, add,
                                  to_out, out, t, plane, shift, s)  # fmt: skip
                    else:
                        conv_tile(1, 1, a, a0, row, r, place, at, some, b, q, ahead, sums, c, ldc, add,
                                  to_out, out, t, plane, shift, s)  # fmt: skip
                    first += 1
            p = pixel
    return done
