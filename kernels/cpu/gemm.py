"""Products of matrices of float32 and float64: blocked for the caches, computed by the tiles of gemm_tiles.py.

    out[i, j] = alpha * sum_p a[i, p] b[p, j] + beta * start[i, j]          a (n, k), b (k, m), out (n, m)

Every matrix is a flat buffer, an offset and two strides in elements; only the columns of `start` and `out` have to be
dense. So all four transposes, slices and broadcast rows are read where they lie.

    k   is cut into equal blocks of at most _depth elements: a block of a tile's rows of a then takes three eighths of
        the first-level cache. The cut depends on k alone, so sums are the same for every number of threads.
    m   is cut so that a block of b, depth x columns, fills half of the second-level cache, from which the tiles
        stream it: three vectors for every 24 multiply-adds, an eighth of what that cache delivers.
    b   is read where it lies, unless it is stored transposed (squares are then turned in registers into panels as wide
        as a tile) or so large that its rows hit the same sets of the second-level cache (panels by vector copies).
"""

from __future__ import annotations

import numpy as np

from .. import host
from ..compiler import jit
from ..simd import lanes, load, load_part, store
from .gemm_tiles import product_tile, transpose_tile
from .tile_sizes import ROWS, VECTORS

_DEPTH_BYTES = host.cache_bytes(1) * 3 // 8 // ROWS
BLOCK_BYTES = host.cache_bytes(2) // 2
_FEWER = ROWS // 2
# Rows of a from which it pays to copy a b that does not fit the second-level cache into panels. Measured (Zen 4): tiles
# that read b where it lies run at 114 GFLOP/s up to there, panels included 110; with b of 4 MB and more 99 against 104.
_PACK_ROWS = 192
_PACK_BYTES = host.cache_bytes(2)
# A b that does not fit the last cache either is copied for fewer rows, since copying reads whole rows from memory:
# 64 x 4096 x 4096 runs at 84 GFLOP/s then, and at 80 in place.
_PACK_ROWS_FROM_MEMORY = 2 * ROWS
_MEMORY_BYTES = host.cache_bytes(3)


@jit(inline=True)
def multiply_tile(
    a, a0, row_a, column_a, b, b0, row_b, depth, start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used,
    vectors, width,
):  # fmt: skip
    """One tile of the result: `used` rows, `width` columns in `vectors` vectors."""
    if used == ROWS:
        if vectors == VECTORS:
            if width == VECTORS * lanes(a):
                product_tile(
                    ROWS, VECTORS, 0, a, a0, row_a, column_a, b, b0, row_b, depth,
                    start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
                )  # fmt: skip
            else:
                product_tile(
                    ROWS, VECTORS, 1, a, a0, row_a, column_a, b, b0, row_b, depth,
                    start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
                )  # fmt: skip
        elif vectors == 2:
            product_tile(
                ROWS, 2, 1, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
        else:
            product_tile(
                ROWS, 1, 1, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
    elif used > _FEWER:
        if vectors == VECTORS:
            product_tile(
                ROWS, VECTORS, 2, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
        elif vectors == 2:
            product_tile(
                ROWS, 2, 2, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
        else:
            product_tile(
                ROWS, 1, 2, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
    elif used > 1:
        if vectors == VECTORS:
            product_tile(
                _FEWER, VECTORS, 2, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
        elif vectors == 2:
            product_tile(
                _FEWER, 2, 2, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
        else:
            product_tile(
                _FEWER, 1, 2, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
    else:
        if vectors == VECTORS:
            product_tile(
                1, VECTORS, 1, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
        elif vectors == 2:
            product_tile(
                1, 2, 1, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip
        else:
            product_tile(
                1, 1, 1, a, a0, row_a, column_a, b, b0, row_b, depth,
                start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
            )  # fmt: skip


@jit(inline=True)
def panel_vectors(columns, width):
    """How many vectors wide the next panel is, with `columns` columns left: three, but four are two and two."""
    vectors = (columns + width - 1) // width
    if vectors > VECTORS + 1 or vectors == VECTORS:
        return VECTORS
    return min(vectors, 2)


@jit
def _pack_rows(b, b0, row_b, depth, columns, panels):
    """Panels of b where rows are dense: b's rows are read along, each panel gets `vectors` vectors of every row."""
    width = lanes(b)
    for p in range(depth):
        source = b0 + p * row_b
        j = 0
        while j < columns:
            vectors = panel_vectors(columns - j, width)
            target = j * depth + p * vectors * width
            for v in range(vectors):
                at = j + v * width
                if at + width <= columns:
                    store(panels, target + v * width, load(b, source + at))
                else:
                    store(panels, target + v * width, load_part(b, source + at, columns - at))
            j += vectors * width


@jit
def pack_columns(b, b0, row_b, column_b, depth, columns, panels):
    """Panels of b where columns are dense (row_b is 1), in squares turned in registers; any other b element-wise."""
    width = lanes(b)
    j = 0
    while j < columns:
        vectors = panel_vectors(columns - j, width)
        for v in range(vectors):
            at = j + v * width
            target = j * depth + v * width
            for p in range(0, depth, width):
                if row_b != 1:
                    for q in range(p, min(p + width, depth)):
                        for i in range(width):
                            x = b[b0 + (at + i) * column_b + q * row_b] if at + i < columns else b.dtype.type(0)
                            panels[target + q * vectors * width + i] = x
                elif at + width <= columns and p + width <= depth:
                    transpose_tile(
                        0, b, b0 + at * column_b + p, column_b, width, width,
                        panels, target + p * vectors * width, vectors * width,
                    )  # fmt: skip
                else:
                    transpose_tile(
                        1, b, b0 + at * column_b + p, column_b, columns - at, depth - p,
                        panels, target + p * vectors * width, vectors * width,
                    )  # fmt: skip
        j += vectors * width


@jit(inline=True)
def cut_blocks(k, m, width, itemsize):
    """(depth, columns): how k and m are cut. Equal cuts of k; columns in whole panels."""
    depth = max(k, 1)
    if depth * itemsize > _DEPTH_BYTES:
        most = _DEPTH_BYTES // itemsize
        blocks = (k + most - 1) // most
        depth = (k + blocks - 1) // blocks
    whole = max((m + width - 1) & -width, width)
    if depth * whole * itemsize <= BLOCK_BYTES:
        return depth, whole
    panel = VECTORS * width
    return depth, max(1, BLOCK_BYTES // (depth * itemsize * panel)) * panel


@jit(inline=True)
def _packs(n, k, row_b, column_b, itemsize):
    """Whether panels of b are made: where its rows are not dense, and where enough rows of a use a large one.

    Large is the memory from its first row to its last, so that a part of m is read like the whole.
    """
    size = k * row_b * itemsize
    many = n >= _PACK_ROWS_FROM_MEMORY if size > _MEMORY_BYTES else n >= _PACK_ROWS
    return column_b != 1 or (many and size > _PACK_BYTES)


@jit(inline=True)
def _packs_rows(m, k, row_a, column_a, itemsize):
    """Whether a tile's rows of a are copied side by side: where a large a is stored transposed and used by many tiles."""
    return row_a == 1 and m >= _PACK_ROWS and k * column_a * itemsize > _PACK_BYTES


@jit
def _pack_tile_rows(a, a0, column_a, rows, depth, work, at):
    """work[at + p * ROWS + i] = a[i, p] for the rows of a tile, where rows are dense; writes a vector too many.

    For two tiles at a time, the second one behind the first: their rows share cache lines of a.
    """
    second = at + depth * ROWS + lanes(a)
    for p in range(depth):
        store(work, at + p * ROWS, load_part(a, a0 + p * column_a, rows))
        store(work, second + p * ROWS, load_part(a, a0 + ROWS + p * column_a, rows - ROWS))


@jit
def scratch(a, n, k, m, row_a, column_a, row_b, column_b):
    """The memory that `gemm` needs for a product of these sizes and for parts of it."""
    width = lanes(a)
    depth, columns = cut_blocks(k, m, width, a.itemsize)
    size = 0
    if _packs(n, k, row_b, column_b, a.itemsize):
        # Parts of m are cut by their own size: up to a whole block, where the cut above may be a little narrower.
        size += depth * min((m + width - 1) & -width, max(columns, BLOCK_BYTES // (depth * a.itemsize)))
    if _packs_rows(m, k, row_a, column_a, a.itemsize):
        size += 2 * (depth * ROWS + width)
    # An empty allocation costs a tenth of the smallest products.
    return np.empty(size, a.dtype) if size else a[:0]


@jit(nogil=True)
def gemm(
    a, a0, row_a, column_a, b, b0, row_b, column_b, start, s0, row_s, has_start, alpha, beta,
    out, o0, row_out, n, k, m, work,
):  # fmt: skip
    """out[i, j] = alpha * sum_p a[i, p] b[p, j] + beta * start[i, j], on the calling thread.

    a[i, p] is a[a0 + i * row_a + p * column_a], b likewise; start[i, j] is start[s0 + i * row_s + j], so that
    row_s = 0 adds one row (a bias) everywhere; it is read where `has_start`, and may be `out` itself. n x k x m.
    `work` is scratch(...) of the whole product of which this may be a part. Nothing is checked.
    """
    width = lanes(a)
    depth, most_columns = cut_blocks(k, m, width, a.itemsize)
    packs = _packs(n, k, row_b, column_b, a.itemsize)
    packs_rows = _packs_rows(m, k, row_a, column_a, a.itemsize)
    tile_rows = depth * ROWS + width
    one = a.dtype.type(1)
    p0 = 0
    while True:
        here = min(depth, k - p0)
        for j0 in range(0, m, most_columns):
            columns = min(most_columns, m - j0)
            source = b0 + p0 * row_b + j0 * column_b
            if packs:
                if column_b == 1:
                    _pack_rows(b, source, row_b, here, columns, work)
                else:
                    pack_columns(b, source, row_b, column_b, here, columns, work)
            for i in range(0, n, ROWS):
                rows_at = work.size - 2 * tile_rows
                if packs_rows:
                    if i // ROWS % 2:
                        rows_at += here * ROWS + width
                    else:
                        _pack_tile_rows(a, a0 + i + p0 * column_a, column_a, n - i, here, work, rows_at)
                j = 0
                while j < columns:
                    vectors = panel_vectors(columns - j, width)
                    o = o0 + i * row_out + j0 + j
                    multiply_tile(
                        work if packs_rows else a, rows_at if packs_rows else a0 + i * row_a + p0 * column_a,
                        row_a, ROWS if packs_rows else column_a,
                        work if packs else b, j * here if packs else source + j,
                        vectors * width if packs else row_b, here,
                        out if p0 else start, o if p0 else s0 + i * row_s + j0 + j,
                        row_out if p0 else row_s, has_start or p0 > 0, alpha, one if p0 else beta,
                        out, o, row_out, min(ROWS, n - i), vectors, min(vectors * width, columns - j),
                    )  # fmt: skip
                    j += vectors * width
        p0 += depth
        if p0 >= k:
            break


@jit(nogil=True)
def gemm_serial(a, a0, row_a, column_a, b, b0, row_b, column_b, out, o0, row_out, n, k, m, accumulate):
    """out[i, j] (+)= sum_p a[i, p] b[p, j] on the calling thread, for other kernels to call.

    The matrices a (n, k), b (k, m), out (n, m) lie in flat buffers: a[i, p] = a[a0 + i * row_a + p * column_a], b
    likewise, out[i, j] = out[o0 + i * row_out + j]. With `accumulate` the product is added to what `out` holds. `out`
    must not overlap a or b. All are float32 or all float64; nothing is checked.
    """
    one = a.dtype.type(1)
    work = scratch(a, n, k, m, row_a, column_a, row_b, column_b)
    gemm(
        a, a0, row_a, column_a, b, b0, row_b, column_b, out, o0, row_out, accumulate, one, one,
        out, o0, row_out, n, k, m, work,
    )  # fmt: skip
