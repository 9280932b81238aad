"""Products of bfloat16 matrices on CPUs that multiply pairs of them: two products a lane and instruction.

    out[i, j] = sum_p a[i, p] b[p, j] + bias[j]         a (n, k), b (k, m), out (n, m) bfloat16; sums and bias float32

bfloat16 are uint16 here. A word is an int32 that holds the elements p (even) and p + 1 of a row of a or of a column of
b; a missing last one is zero. Words are multiplied by the tiles of gemm_tiles.py, cut like the float32 of gemm.py.

    a   is words already where its rows are dense, of even length, and begin at even places. Else the words of a tile's
        rows are made just before the tiles that use them, side by side.
    b   is copied into panels, half of the second-level cache at a time: two rows are joined lane by lane, or, where
        columns are dense and words already, squares of them are turned in registers.

Sums are float32 up to the end and rounded once, a few rows at a time while they are in the first-level cache.
The instruction takes numbers below the normal ones for zero, as torch's products of bfloat16 do.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..compiler import jit
from ..simd import lanes
from ..simd.emit import (
    element_pointer,
    first_lanes,
    load_vector,
    masked_memory,
    round_to_bfloat16,
    store_vector,
)
from .gemm import BLOCK_BYTES, cut_blocks, multiply_tile, pack_columns, panel_vectors
from .gemm_batches import share_of, share_out
from .tile_sizes import ROWS
from .tile_sizes import lanes as lanes_of

_LANES = lanes_of(4)


def _full_or_part(builder, count, lanes, emit):
    """emit(None) where `count` fills all lanes, else emit(mask of the first `count`)."""
    with builder.if_else(builder.icmp_signed(">=", count, count.type(lanes))) as (full, part):
        with full:
            emit(None)
        with part:
            emit(first_lanes(builder, count, lanes))


@intrinsic(prefer_literal=True)
def _join(typingctx, size, x, at, step, count, words, target):
    """words[target + i] = the word of x[at + i] and x[at + step + i], i < count; zeros up to `size`, a literal."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    count_of_lanes, word = size.literal_value, types.int64

    def codegen(context, builder, signature, args):
        _, xv, atv, stepv, countv, wordsv, targetv = args
        narrow, wide = (ir.VectorType(ir.IntType(bits), count_of_lanes) for bits in (16, 32))
        low = element_pointer(context, builder, x, xv, atv)
        high = builder.gep(low, [stepv])
        out = element_pointer(context, builder, words, wordsv, targetv)

        def emit(mask):
            def load(pointer):
                if mask is None:
                    return load_vector(builder, pointer, narrow, 2)
                pointer = builder.bitcast(pointer, narrow.as_pointer())
                arguments = [pointer, ir.IntType(32)(2), mask, ir.Constant(narrow, None)]
                return masked_memory(builder, "load", narrow, arguments)

            upper = builder.shl(builder.zext(load(high), wide), ir.Constant(wide, [16] * count_of_lanes))
            store_vector(builder, builder.or_(builder.zext(load(low), wide), upper), out, 4)

        _full_or_part(builder, countv, count_of_lanes, emit)
        return context.get_dummy_value()

    return types.void(size, x, word, word, word, words, word), codegen


@intrinsic
def _round(typingctx, sums, at, count, out, target):
    """out[target + i] = the bfloat16 nearest to sums[at + i], for one vector of float32 or the first `count` of it."""
    word = types.int64

    def codegen(context, builder, signature, args):
        sumsv, atv, countv, outv, targetv = args
        wide = ir.VectorType(ir.FloatType(), _LANES)
        source = element_pointer(context, builder, sums, sumsv, atv)
        pointer = element_pointer(context, builder, out, outv, targetv)
        value = round_to_bfloat16(builder, load_vector(builder, source, wide, 4))

        def emit(mask):
            if mask is None:
                store_vector(builder, value, pointer, 2)
            else:
                at_vector = builder.bitcast(pointer, value.type.as_pointer())
                masked_memory(builder, "store", value.type, [value, at_vector, ir.IntType(32)(2), mask])

        _full_or_part(builder, countv, _LANES, emit)
        return context.get_dummy_value()

    return types.void(sums, word, word, out, word), codegen


def _join_python(size, x, at, step, count, words, target):
    """_join in plain Python, for NUMBA_DISABLE_JIT=1."""
    words[target : target + size] = 0
    for i in range(min(count, size)):
        words[target + i] = _word(x, at + i, step, True)


def _round_python(sums, at, count, out, target):
    """_round in plain Python, for NUMBA_DISABLE_JIT=1."""
    x = sums[at : at + min(count, _LANES)]
    bits = x.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    out[target : target + x.size] = np.where(x == x, rounded, 0x7FC0)


if numba.config.DISABLE_JIT:
    _join, _round = _join_python, _round_python


@jit(inline=True)
def _are_words(x0, row, step, k):
    """Whether rows along k, `row` apart from each other, are words as they lie."""
    return step == 1 and k % 2 == 0 and x0 % 2 == 0 and row % 2 == 0


@jit(inline=True)
def _word(x, at, step, is_pair):
    low = np.int32(x[at])
    return low | (np.int32(x[at + step]) << np.int32(16)) if is_pair else low


@jit
def _pack_tile_words(a, a0, row_a, column_a, rows, pairs, left, words):
    """words[p * ROWS + i]: pair p of row i, for the rows of a tile; `left` elements of a row are there."""
    for p in range(pairs):
        at, is_pair = a0 + 2 * p * column_a, 2 * p + 1 < left
        if row_a == 1 and is_pair:
            _join(ROWS, a, at, column_a, rows, words, p * ROWS)
        else:
            for i in range(rows):
                words[p * ROWS + i] = _word(a, at + i * row_a, column_a, is_pair)


@jit
def _pack_pairs(b, b0, row_b, column_b, pairs, left, columns, panels):
    """Panels of words of b, as _pack_rows of gemm.py makes them of float32; `left` elements of a column are there."""
    width = lanes(panels)
    for p in range(pairs):
        source, is_pair = b0 + 2 * p * row_b, 2 * p + 1 < left
        j = 0
        while j < columns:
            panel = panel_vectors(columns - j, width) * width
            target = j * pairs + p * panel
            here = min(panel, columns - j)
            if column_b == 1 and is_pair:
                for i in range(0, here, _LANES):
                    _join(_LANES, b, source + j + i, row_b, here - i, panels, target + i)
            else:
                for i in range(here):
                    panels[target + i] = _word(b, source + (j + i) * column_b, row_b, is_pair)
            j += panel


@jit
def _gemm_pairs(
    a, a0, row_a, column_a, b, b0, row_b, column_b, bias, s0, out, o0, row_out, n, k, m, panels, words, sums
):
    """out = a b + bias for one matrix, on the calling thread; see `_memory` for the last three.

    a[i, p] is a[a0 + i * row_a + p * column_a], b likewise, out[i, j] is out[o0 + i * row_out + j]; bias may be empty.
    """
    width = lanes(panels)
    one = sums.dtype.type(1)
    all_pairs = (k + 1) // 2
    depth, most_columns = cut_blocks(all_pairs, m, width, panels.itemsize)
    a_is_words = _are_words(a0, row_a, column_a, k)
    b_is_words = _are_words(b0, column_b, row_b, k) and m > 1
    a_words = a[: a.size // 2 * 2].view(np.int32)
    b_words = b[: b.size // 2 * 2].view(np.int32)
    for j0 in range(0, m, most_columns):
        columns = min(most_columns, m - j0)
        for p0 in range(0, max(all_pairs, 1), depth):
            pairs = min(depth, all_pairs - p0)
            source = b0 + 2 * p0 * row_b + j0 * column_b
            if b_is_words:
                pack_columns(b_words, source // 2, 1, column_b // 2, pairs, columns, panels)
            else:
                _pack_pairs(b, source, row_b, column_b, pairs, k - 2 * p0, columns, panels)
            is_last = p0 + pairs >= all_pairs
            for i in range(0, n, ROWS):
                rows = min(ROWS, n - i)
                at = a0 + i * row_a + 2 * p0 * column_a
                if not a_is_words:
                    _pack_tile_words(a, at, row_a, column_a, rows, pairs, k - 2 * p0, words)
                # With one block of k every tile's rows use the same part of `sums`.
                strip = 0 if pairs == all_pairs else i * most_columns
                j = 0
                while j < columns:
                    vectors = panel_vectors(columns - j, width)
                    target = strip + j
                    adds_bias = p0 == 0 and bias.size > 0
                    multiply_tile(
                        a_words if a_is_words else words, at // 2 if a_is_words else 0,
                        row_a // 2 if a_is_words else 1, 1 if a_is_words else ROWS,
                        panels, j * pairs, vectors * width, pairs,
                        bias if adds_bias else sums, s0 + j0 + j if adds_bias else target,
                        0 if adds_bias else most_columns, adds_bias or p0 > 0, one, one,
                        sums, target, most_columns, rows, vectors, min(vectors * width, columns - j),
                    )  # fmt: skip
                    j += vectors * width
                if is_last:
                    for r in range(rows):
                        x, y = strip + r * most_columns, o0 + (i + r) * row_out + j0
                        for j in range(0, columns, _LANES):
                            _round(sums, x + j, columns - j, out, y + j)


@jit
def _memory(n, k, m, width):
    """Sizes of a block of b in panels, of a tile's rows of a in words, and of the sums that are kept.

    Those are the rows of one tile, or all rows of a block of columns where k is cut.
    """
    pairs = (k + 1) // 2
    depth, columns = cut_blocks(pairs, m, width, 4)
    # Parts of m are cut by their own size, up to a whole block, where the cut above may be a little narrower.
    columns = min((m + width - 1) & -width, max(columns, BLOCK_BYTES // (depth * 4)))
    return depth * columns, depth * ROWS, columns * (ROWS if depth >= pairs else (n + ROWS - 1) // ROWS * ROWS)


@jit(nogil=True)
def pairs_part(a, a0, a_strides, b, b0, b_strides, bias, out, sizes, part, parts):
    """Part `part` of `parts` of out = a b + bias for batches of bfloat16 matrices, as multiply_part of gemm_batches.py.

    `sizes` are (batch, batch, n, k, m); the strides are those of both batch dimensions, rows and columns; bias (m,) is
    float32, or empty; `out` is dense.
    """
    outer, inner, n, k, m = sizes
    width = lanes(bias)
    pieces, by_columns = share_out(sizes, width, parts)
    for_panels, for_words, for_sums = _memory(n, k, m, width)
    panels, words, sums = np.empty(for_panels, np.int32), np.empty(for_words, np.int32), np.empty(for_sums, np.float32)
    total = outer * inner * pieces
    for number in range(part * total // parts, (part + 1) * total // parts):
        x, y, i0, i1, j0, j1 = share_of(number, pieces, by_columns, sizes, width)
        if i0 < i1 and j0 < j1:
            _gemm_pairs(
                a, a0 + x * a_strides[0] + y * a_strides[1] + i0 * a_strides[2], a_strides[2], a_strides[3],
                b, b0 + x * b_strides[0] + y * b_strides[1] + j0 * b_strides[3], b_strides[2], b_strides[3],
                bias, j0, out, ((x * inner + y) * n + i0) * m + j0, m, i1 - i0, k, j1 - j0, panels, words, sums,
            )  # fmt: skip


@jit(parallel=True)
def pairs_parallel(a, a0, a_strides, b, b0, b_strides, bias, out, sizes, parts):
    """pairs_part for all parts, on as many threads."""
    for part in numba.prange(parts):
        pairs_part(a, a0, a_strides, b, b0, b_strides, bias, out, sizes, np.int64(part), parts)
