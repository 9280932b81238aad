"""Reductions: sum, prod, amax, any, norms... from one text, with the scalar functions plugged in.

Every kernel sees a contiguous tensor whose dims are collapsed to (outer, n, inner) and reduces the middle
one:

    out[o, j] = finish(combine over r of of(x[o, r, j]), n)

There are two loops. *rows* (inner = 1) runs along memory with the running value in vector registers;
*columns* (inner > 1) keeps one running value per column in a tile that stays in the first-level cache. Both
split by fixed sizes, never by the number of threads, so a result is the same on every machine with the same
vector width, serial or parallel.

The parallel kernels also read tensors with gaps (a slice, a permuted tensor) where they lie. x[o] then starts at

    x0 + o // some * far + o % some * near

and its rows are `step` elements apart; a contiguous tensor has some = outer, near = n * inner and step = inner.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from .lanes import lane_add, lane_max, lane_min, lane_mul
from .row_folds import ADDED, GREATEST, LEAST, SQUARED, for_floats

# 4096 elements are folded by lanes in one go (about 64 additions a lane in float32, so a block adds about 6
# bits of rounding at most); 16 such blocks are one unit of parallel work, about 5 us, twice the cost of a
# launch.
LANE_BLOCK = 4096
UNIT = 65536
# Columns are folded in tiles of 1024 (in float64 8 KiB of the 32 KiB first-level cache, beside four pieces of rows), so
# that memory is read in runs of a page: 1024 x 1000 in 60 us, in tiles of 512 in 70. A unit has 129 rows and more.
TILE = 1024
COLUMN_UNIT = 131072
# Rows of up to so many elements that follow each other in memory are folded one after the other where the tensor is larger
# than the second-level cache: the one stream that the machine reads ahead, 26-32 GB/s of the 29 that it can, four rows side
# by side 15-18. What is folded (8 KiB of float32, and as much of LEVEL rows) has to stay in the first-level cache. Of wider
# rows eight come side by side, WIDE elements of each: what is folded then stays in the second-level cache (128 KiB), where
# it is read and written once for eight rows, and the streams are long: 6000 x 5000 at 26 GB/s, by fours 23 and 18 in pieces
# of 4096; 1000 x 5000 from the third-level cache at 29, 25 and 25.
WHOLE = 2048
WIDE = 32768
# Into how many parts wide rows are cut where the rows are too few to make as many, so that all threads have some.
PIECES = 8
# Elements from which a tensor is taken for larger than the second-level cache.
LARGE = 1 << 18
# Rows that are folded before what they make joins the rest, so that rounding does not grow with all of them.
LEVEL = 32
# A plane of up to so many elements is folded element by element: 5 x 7 take 26 ns, and 30 by vectors; 23 x 2 43 and 31.
FEW = 36
# So are rows of less than a vector: sums of 8 take 1 ns a row, and 4 by vectors.
SHORT = 15
# Whole rows that make about so many elements are a part of parallel work: 2 us of sums.
PART = 16384
# A launch of threads costs 2 us; one core sums 2**16 elements in 3 to 8 us, by the length of the rows.
PARALLEL_SIZE = 65536


@jit(bare=True)
def itself(x):
    return x


@jit(bare=True)
def only(total, n):
    return total


@jit(bare=True)
def zero(x, i):
    return x.dtype.type(0)


@jit(bare=True)
def one(x, i):
    return x.dtype.type(1)


@jit(bare=True)
def tile_of(size, step, inner, parts):
    """How many columns of a tensor of so many elements are folded together; `parts`: what its rows are cut into."""
    if size < LARGE:
        return min(TILE, inner)
    if inner <= WHOLE and step == inner:
        return inner
    pieces = (PIECES + parts - 1) // parts
    return min(WIDE, inner, max(TILE, (inner + pieces - 1) // pieces))


def reduction(of, combine, start, finish=only, by_vectors=None):
    """Kernels for one reduction.

    of(v): what is folded, computed from an element. combine(a, b): the step. start(x, i): the value a fold
    that begins at x[i] starts from (0 for a sum; for a maximum the element itself). finish(total, n): the
    result. by_vectors(x, lo, hi): the fold of x[lo:hi] where that holds floats, see `row_folds`. Gives a namespace of
    the serial rows and columns, of `run`, which chooses between all loops, and of `run_apart` for large tensors in any
    layout (and two dictionaries for callers that keep the compiled builtins).
    """

    @jit(bare=True)
    def one_by_one(x, lo, hi):
        v = piece(x, lo, hi - lo)
        total = start(x, lo)
        for i in range(len(v)):
            total = combine(total, of(v[i]))
        return total

    block = for_floats(by_vectors, one_by_one)

    @jit(bare=True)
    def unit(x, lo, hi):
        total = block(x, lo, min(lo + LANE_BLOCK, hi))
        for b in range(lo + LANE_BLOCK, hi, LANE_BLOCK):
            total = combine(total, block(x, b, min(b + LANE_BLOCK, hi)))
        return total

    @jit(bare=True)
    def join(parts, lo, count):
        """Fold `count` partial results by halves: pairwise, so rounding grows with their logarithm."""
        while count > 1:
            half = (count + 1) // 2
            for i in range(count - half):
                parts[lo + i] = combine(parts[lo + i], parts[lo + half + i])
            count = half
        return parts[lo]

    @jit(bare=True)
    def few(x, lo, n, step):
        """The fold of a handful of elements, over before a loop over vectors has begun."""
        total = of(x[np.uint64(lo)])
        for r in range(1, n):
            total = combine(total, of(x[np.uint64(lo + r * step)]))
        return total

    @jit(bare=True)
    def some_rows(x, first, last, n, out):
        if n <= SHORT:
            for o in range(first, last):
                out[o] = finish(few(x, o * n, n, 1), n)
        else:
            for o in range(first, last):
                out[o] = finish(unit(x, o * n, o * n + n), n)

    @jit(nogil=True, bare=True)
    def rows(x, outer, n, out):
        """out[o] = finish(fold of x[o, :], n); x: (outer, n), n >= 1."""
        some_rows(x, 0, outer, n, out)

    @jit(bare=True)
    def some_rows_apart(x, x0, first, last, some, far, near, n, out):
        j = first % some
        at = x0 + first // some * far + j * near
        for o in range(first, last):
            out[o] = finish(unit(x, at, at + n), n)
            j += 1
            at += near
            if j == some:
                j = 0
                at += far - some * near

    @jit(parallel=True)
    def row_blocks_parallel(x, x0, outer, some, far, near, n, out):
        """As rows, as many rows at a time as make a PART spread over the threads."""
        group = max(PART // n, 1)
        for p in prange((outer + group - 1) // group):
            first = np.int64(p * group)
            some_rows_apart(x, x0, first, min(first + group, outer), some, far, near, n, out)

    @jit(parallel=True)
    def rows_parallel(x, x0, outer, some, far, near, n, out):
        """As rows, for rows of several units, which are spread over the threads."""
        units = (n + UNIT - 1) // UNIT
        parts = np.empty(outer * units, out.dtype)
        for p in prange(outer * units):
            o = p // units
            start = x0 + o // some * far + o % some * near
            lo = start + p % units * UNIT
            parts[p] = unit(x, lo, min(lo + UNIT, start + n))
        for o in range(outer):
            out[o] = finish(join(parts, o * units, units), n)

    @jit(bare=True)
    def one_after_another(x, lo, rows, wide, part, total):
        """total[j] = fold over r < rows of x[lo + r * wide + j], j < wide: along memory, LEVEL rows at a time."""
        for r in range(0, rows, LEVEL):
            target = part if r > 0 else total
            v = piece(x, lo + r * wide, wide)
            for j in range(wide):
                target[j] = of(v[j])
            for q in range(r + 1, min(r + LEVEL, rows)):
                v = piece(x, lo + q * wide, wide)
                for j in range(wide):
                    target[j] = combine(target[j], of(v[j]))
            if r > 0:
                for j in range(wide):
                    total[j] = combine(total[j], part[j])

    @jit(bare=True)
    def columns_unit(x, lo, count, stride, group, width, along, side, out, to):
        """out[to + j] = fold over r < count of x[lo + r * stride + j], j < width.

        With group > 1 (few columns, stride == width) `group` rows are folded side by side, in the second half of `side`,
        2 * WHOLE elements, so that vectors are full. `along`: rows that follow each other are taken one by one.
        """
        wide = group * width
        total = piece(side, WHOLE, wide) if group > 1 else piece(out, to, width)
        if along and group * stride == wide and wide <= WHOLE:
            one_after_another(x, lo, count // group, wide, side, total)
        else:
            first = piece(x, lo, wide)
            for j in range(wide):
                total[j] = of(first[j])
            step = group * stride
            rows_left = count // group - 1
            # Eight rows at a time, in pairs: an eighth of the traffic with `total`, and of the rounding.
            for r in range(rows_left // 8):
                at = lo + (1 + 8 * r) * step
                a, b = piece(x, at, wide), piece(x, at + step, wide)
                c, d = piece(x, at + 2 * step, wide), piece(x, at + 3 * step, wide)
                v, w = piece(x, at + 4 * step, wide), piece(x, at + 5 * step, wide)
                y, z = piece(x, at + 6 * step, wide), piece(x, at + 7 * step, wide)
                for j in range(wide):
                    four = combine(combine(of(a[j]), of(b[j])), combine(of(c[j]), of(d[j])))
                    more = combine(combine(of(v[j]), of(w[j])), combine(of(y[j]), of(z[j])))
                    total[j] = combine(total[j], combine(four, more))
            for r in range(rows_left // 8 * 8, rows_left - 1, 2):
                v, w = piece(x, lo + (1 + r) * step, wide), piece(x, lo + (2 + r) * step, wide)
                for j in range(wide):
                    total[j] = combine(total[j], combine(of(v[j]), of(w[j])))
            if rows_left % 2 == 1:
                v = piece(x, lo + rows_left * step, wide)
                for j in range(wide):
                    total[j] = combine(total[j], of(v[j]))
        if group > 1:
            done = count // group * wide
            for i in range(count * width - done):
                total[i] = combine(total[i], of(x[lo + done + i]))
            while group > 1:  # by halves, as in join
                half = (group + 1) // 2
                low, high = piece(total, 0, (group - half) * width), piece(total, half * width, (group - half) * width)
                for i in range(len(low)):
                    low[i] = combine(low[i], high[i])
                group = half
            for j in range(width):
                out[to + j] = total[j]

    @jit
    def columns_of(x, x0, first, last, outer, some, far, near, n, step, inner, tile, j, out):
        """The columns from j on, a tile of them, of x[first] .. x[last - 1] of `outer`."""
        width = min(tile, inner - j)
        group = min(TILE // inner, n) if inner * 8 <= TILE and step == inner else 1
        is_few = n * inner <= FEW
        along = outer * n * inner >= LARGE
        side = np.empty(0 if is_few or group == 1 and not along else 2 * WHOLE, out.dtype)
        for o in range(first, last):
            lo, to = x0 + o // some * far + o % some * near + j, o * inner + j
            if is_few:
                for i in range(width):
                    out[to + i] = finish(few(x, lo + i, n, step), n)
                continue
            columns_unit(x, lo, n, step, group, width, along, side, out, to)
            total = piece(out, to, width)
            for i in range(width):
                total[i] = finish(total[i], n)

    @jit(nogil=True)
    def columns(x, outer, n, inner, out):
        """out[o, j] = finish(fold of x[o, :, j], n); x: (outer, n, inner), n >= 1, inner >= 1."""
        columns_of(x, 0, 0, outer, outer, outer, 0, n * inner, n, inner, inner, inner, 0, out)

    @jit(parallel=True)
    def column_tiles_parallel(x, x0, outer, some, far, near, n, step, inner, out):
        """As columns, in tiles of them and parts of PART elements spread over the threads."""
        tile = tile_of(outer * n * inner, step, inner, outer)
        tiles = (inner + tile - 1) // tile
        many = max(PART // (n * tile), 1)
        for p in prange((outer + many - 1) // many * tiles):
            first = np.int64(p // tiles * many)
            last, j = min(first + many, outer), np.int64(p % tiles * tile)
            columns_of(x, x0, first, last, outer, some, far, near, n, step, inner, tile, j, out)

    @jit(parallel=True)
    def columns_parallel(x, x0, outer, some, far, near, n, step, inner, unit_rows, out):
        """As columns, for columns of several units of so many rows, which are spread over the threads."""
        units = (n + unit_rows - 1) // unit_rows
        tile = tile_of(outer * n * inner, step, inner, outer * units)
        tiles = (inner + tile - 1) // tile
        parts = np.empty(outer * units * inner, out.dtype)
        for p in prange(outer * units * tiles):
            o, u, j = p // tiles // units, p // tiles % units, p % tiles * tile
            count = min(unit_rows, n - u * unit_rows)
            group = min(TILE // inner, count) if inner * 8 <= TILE and step == inner else 1
            lo = x0 + o // some * far + o % some * near + u * unit_rows * step + j
            along = outer * n * inner >= LARGE
            side = np.empty(2 * WHOLE if group > 1 or along else 0, out.dtype)
            width, to = min(tile, inner - j), (o * units + u) * inner + j
            columns_unit(x, lo, count, step, group, width, along, side, parts, to)
        for o in range(outer):
            count = units
            base = o * units * inner
            while count > 1:  # by halves, as in join
                half = (count + 1) // 2
                for i in range((count - half) * inner):
                    parts[base + i] = combine(parts[base + i], parts[base + half * inner + i])
                count = half
            for j in range(inner):
                out[o * inner + j] = finish(parts[base + j], n)

    def run(x, outer, n, inner, out):
        """Reduce the middle dim of x: (outer, n, inner) into out: (outer, inner); all sizes at least 1."""
        if n == 1:
            outer, inner = 1, outer * inner  # one after the other, not a row each
        if x.size >= PARALLEL_SIZE:
            run_apart(x, 0, outer, outer, 0, n * inner, n, inner, inner, out)
        elif inner == 1:
            rows(x, outer, n, out)
        else:
            columns(x, outer, n, inner, out)

    def run_apart(x, x0, outer, some, far, near, n, step, inner, out):
        """As run, of a large tensor that may have gaps."""
        if inner > 1:
            unit_rows = COLUMN_UNIT // min(TILE, inner) // 8 * 8 + 1  # a row to begin with, then eight at a time
            if n <= unit_rows:
                column_tiles_parallel(x, x0, outer, some, far, near, n, step, inner, out)
            else:
                columns_parallel(x, x0, outer, some, far, near, n, step, inner, unit_rows, out)
        else:
            (row_blocks_parallel if n <= UNIT else rows_parallel)(x, x0, outer, some, far, near, n, out)

    return SimpleNamespace(
        rows=rows,
        columns=columns,
        block=block,
        run=run,
        run_apart=run_apart,
        row_entries={},  # the compiled `rows` and `columns`, by whatever callers of small reductions go by
        column_entries={},
    )


@jit(bare=True)
def first_unequal(x, y):
    """The first i with x[i] != y[i], or -1."""
    for i in range(len(x)):
        if x[i] != y[i]:
            return i
    return -1


@jit(bare=True)
def first_outside(x, low, high):
    """The first i for which low <= x[i] <= high does not hold (of nan it never does), or -1."""
    for i in range(len(x)):
        if not (x[i] >= low and x[i] <= high):
            return i
    return -1


# The scalar functions. An element arrives in the dtype of the input; what `of` returns is the dtype of the
# output.


@jit(bare=True)
def as_int64(x):
    return np.int64(x)


@jit(bare=True)
def zero_int64(x, i):
    return np.int64(0)


@jit(bare=True)
def one_int64(x, i):
    return np.int64(1)


@jit(bare=True)
def quotient(total, n):
    return total / n


@jit(bare=True)
def square_root(total, n):
    return np.sqrt(total)


@jit(bare=True)
def number_or_zero(x):
    # np.float32(0) takes the dtype of x when the two branches are unified
    return x if x == x else np.float32(0)


@jit(bare=True)
def is_nonzero(x):
    return x != 0


@jit(bare=True)
def count_nonzero(x):
    return np.int64(x != 0)


@jit(bare=True)
def magnitude(x):
    return abs(x)


@jit(bare=True)
def square(x):
    return x * x


@jit(bare=True)
def false(x, i):
    return False


@jit(bare=True)
def true(x, i):
    return True


@jit(bare=True)
def first(x, i):
    return x[i]


@jit(bare=True)
def first_magnitude(x, i):
    return abs(x[i])


@jit(bare=True)
def either(a, b):
    return a | b


@jit(bare=True)
def both(a, b):
    return a & b


# Floating point and complex: the output has the dtype of the input.
SUM = reduction(itself, lane_add, zero, by_vectors=ADDED)
MEAN = reduction(itself, lane_add, zero, quotient, by_vectors=ADDED)
PROD = reduction(itself, lane_mul, one)
NANSUM = reduction(number_or_zero, lane_add, zero)
# Integers and bool, into int64.
SUM_INT64 = reduction(as_int64, lane_add, zero_int64)
PROD_INT64 = reduction(as_int64, lane_mul, one_int64)
# Anything with an order (bool comes as uint8); nan wins.
AMAX = reduction(itself, lane_max, first, by_vectors=GREATEST)
AMIN = reduction(itself, lane_min, first, by_vectors=LEAST)
# Anything, into bool (nan is true) or int64.
ANY = reduction(is_nonzero, either, false)
ALL = reduction(is_nonzero, both, true)
COUNT_NONZERO = reduction(count_nonzero, lane_add, zero_int64)
# Vector norms of real floats, by order; order 0 is COUNT_NONZERO, any other order is composed of pow and SUM.
NORM = {
    1.0: reduction(magnitude, lane_add, zero),
    2.0: reduction(square, lane_add, zero, square_root, SQUARED),
    float("inf"): reduction(magnitude, lane_max, first_magnitude),
    float("-inf"): reduction(magnitude, lane_min, first_magnitude),
}
