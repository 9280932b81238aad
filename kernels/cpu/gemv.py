"""Products with a vector, and with a few rows: bound by the memory that holds the matrix, so it is read once, along rows.

    vector_times_matrix     out[j] = sum_p x[p] b[p, j]         rows of b are added up, eight at a time
    rows_times_rows         out[i, j] = sum_p a[i, p] b[j, p]   scalar products of a few rows of a with those of b

    row_times_short_rows    the same for one row of a, of at most a vector's length
    long_sums               out[j] = sum_p x[p] b[p, j]         few columns, in blocks of p
    dot                     sum_p x[p] y[p]

A matrix times a vector is the second, with the vector as its only row of a. The first two give alpha * that + beta * start.
`vector_form` tells which of them computes a product, `multiply_vectors` calls it.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..simd import add_up, broadcast, fma, lanes, load, load_part, store, store_part
from ..simd.row_products import products_with_rows

# Columns of which the sums are kept at a time: 8 KB of float32, a quarter of the first-level cache.
VECTOR_CHUNK = 2048
# Up to so many rows of a, or of a transposed b, that b is used by scalar products of rows: turning it would cost more
# than that, or a tile have empty lanes.
DOT_ROWS = 8


# Up to so many rows of b, columns are added up in registers: twice as fast at 10 rows of 1000, a third at 10 of 100000.
# From 24 rows on so many places of b at a time are more than the prefetchers follow.
_FEW_ROWS = 16


@jit
def _finish(total, alpha, beta, start, s, count, has_start):
    """alpha * total + beta * start for the first `count` lanes of a vector."""
    result = broadcast(start, alpha) * total
    return fma(broadcast(start, beta), load_part(start, s, count), result) if has_start else result


@jit(nogil=True)
def vector_times_few_rows(x, x0, step_x, b, b0, row_b, start, s0, has_start, alpha, beta, out, o0, k, m):
    """`vector_times_matrix` for a matrix of few rows: four vectors of columns at a time."""
    width = lanes(b)
    zero = broadcast(b, b.dtype.type(0))
    fours = m // (4 * width) * (4 * width)
    for j in range(0, fours, 4 * width):
        t0, t1, t2, t3 = zero, zero, zero, zero
        for p in range(k):
            q, number = b0 + p * row_b + j, broadcast(b, x[x0 + p * step_x])
            t0 = fma(number, load(b, q), t0)
            t1 = fma(number, load(b, q + width), t1)
            t2 = fma(number, load(b, q + 2 * width), t2)
            t3 = fma(number, load(b, q + 3 * width), t3)
        s, o = s0 + j, o0 + j
        store(out, o, _finish(t0, alpha, beta, start, s, width, has_start))
        store(out, o + width, _finish(t1, alpha, beta, start, s + width, width, has_start))
        store(out, o + 2 * width, _finish(t2, alpha, beta, start, s + 2 * width, width, has_start))
        store(out, o + 3 * width, _finish(t3, alpha, beta, start, s + 3 * width, width, has_start))
    for j in range(fours, m, width):
        total = zero
        for p in range(k):
            total = fma(broadcast(b, x[x0 + p * step_x]), load_part(b, b0 + p * row_b + j, m - j), total)
        store_part(out, o0 + j, m - j, _finish(total, alpha, beta, start, s0 + j, m - j, has_start))


@jit(nogil=True)
def vector_times_matrix(x, x0, step_x, b, b0, row_b, start, s0, has_start, alpha, beta, out, o0, k, m, work):
    """out (m) = alpha * x b + beta * start, with x[p] at x0 + p * step_x and b (k, m) with dense rows.

    `work` holds VECTOR_CHUNK elements and a vector more. Eight rows of b are read side by side: few enough for the
    prefetchers, and the sums are loaded and stored once for eight multiply-adds.
    """
    if k <= _FEW_ROWS:
        vector_times_few_rows(x, x0, step_x, b, b0, row_b, start, s0, has_start, alpha, beta, out, o0, k, m)
        return
    width = lanes(b)
    zero = b.dtype.type(0)
    for j0 in range(0, m, VECTOR_CHUNK):
        columns = min(VECTOR_CHUNK, m - j0)
        whole = columns // width * width
        rest = columns - whole
        for j in range(0, columns, width):
            store(work, j, broadcast(b, zero))
        eights = k // 8 * 8
        for p in range(0, eights, 8):
            at, q = x0 + p * step_x, b0 + p * row_b + j0
            x_0, x_1 = broadcast(b, x[at]), broadcast(b, x[at + step_x])
            x_2, x_3 = broadcast(b, x[at + 2 * step_x]), broadcast(b, x[at + 3 * step_x])
            x_4, x_5 = broadcast(b, x[at + 4 * step_x]), broadcast(b, x[at + 5 * step_x])
            x_6, x_7 = broadcast(b, x[at + 6 * step_x]), broadcast(b, x[at + 7 * step_x])
            for j in range(0, whole, width):
                total = fma(x_0, load(b, q + j), load(work, j))
                total = fma(x_1, load(b, q + row_b + j), total)
                total = fma(x_2, load(b, q + 2 * row_b + j), total)
                total = fma(x_3, load(b, q + 3 * row_b + j), total)
                total = fma(x_4, load(b, q + 4 * row_b + j), total)
                total = fma(x_5, load(b, q + 5 * row_b + j), total)
                total = fma(x_6, load(b, q + 6 * row_b + j), total)
                store(work, j, fma(x_7, load(b, q + 7 * row_b + j), total))
            if rest:
                total = load(work, whole)
                for r in range(8):
                    v = load_part(b, q + r * row_b + whole, rest)
                    total = fma(broadcast(b, x[at + r * step_x]), v, total)
                store(work, whole, total)
        for p in range(eights, k):
            x_0 = broadcast(b, x[x0 + p * step_x])
            q = b0 + p * row_b + j0
            for j in range(0, whole, width):
                store(work, j, fma(x_0, load(b, q + j), load(work, j)))
            if rest:
                store(work, whole, fma(x_0, load_part(b, q + whole, rest), load(work, whole)))
        if has_start:
            for j in range(columns):
                out[o0 + j0 + j] = alpha * work[j] + beta * start[s0 + j0 + j]
        else:
            for j in range(columns):
                out[o0 + j0 + j] = alpha * work[j]


@jit(nogil=True)
def dot(x, x0, y, y0, k):
    """sum_p x[p] y[p] of dense vectors, in four chains of multiply-adds: one would wait for its latency."""
    width = lanes(x)
    t0 = broadcast(x, x.dtype.type(0))
    t1, t2, t3 = t0, t0, t0
    fours = k // (4 * width) * (4 * width)
    for p in range(0, fours, 4 * width):
        t0 = fma(load(x, x0 + p), load(y, y0 + p), t0)
        t1 = fma(load(x, x0 + p + width), load(y, y0 + p + width), t1)
        t2 = fma(load(x, x0 + p + 2 * width), load(y, y0 + p + 2 * width), t2)
        t3 = fma(load(x, x0 + p + 3 * width), load(y, y0 + p + 3 * width), t3)
    for p in range(fours, k, width):
        t0 = fma(load_part(x, x0 + p, k - p), load_part(y, y0 + p, k - p), t0)
    return add_up((t0 + t1) + (t2 + t3))


@jit
def _scaled(total, alpha, beta, start, s, has_start):
    return alpha * total + beta * start[s] if has_start else alpha * total


@jit
def _put_four(t0, t1, t2, t3, start, s, step_s, has_start, alpha, beta, out, o, step):
    """The sums of four vectors of products, scaled, to out[o], out[o + step]..."""
    out[o] = _scaled(add_up(t0), alpha, beta, start, s, has_start)
    out[o + step] = _scaled(add_up(t1), alpha, beta, start, s + step_s, has_start)
    out[o + 2 * step] = _scaled(add_up(t2), alpha, beta, start, s + 2 * step_s, has_start)
    out[o + 3 * step] = _scaled(add_up(t3), alpha, beta, start, s + 3 * step_s, has_start)


@jit(nogil=True)
def rows_times_rows(
    a,
    a0,
    row_a,
    b,
    b0,
    row_b,
    start,
    s0,
    row_s,
    column_s,
    has_start,
    alpha,
    beta,
    out,
    o0,
    row_out,
    column_out,
    n,
    k,
    m,
):
    """out[i, j] = alpha * sum_p a[i, p] b[j, p] + beta * start[i, j], with dense rows of a (n, k) and b (m, k).

    Four rows of b are multiplied with two of a, so that there are more multiply-adds than loads; they stay in the
    first-level cache for the other rows of a. The lanes of a sum are added up by halves, so every element has one order
    of summation.
    """
    width = lanes(b)
    whole = k // width * width
    rest = k - whole
    zero = broadcast(b, b.dtype.type(0))
    fours, pairs = m // 4 * 4, n // 2 * 2
    for j in range(0, fours, 4):
        q0 = b0 + j * row_b
        q1, q2, q3 = q0 + row_b, q0 + 2 * row_b, q0 + 3 * row_b
        for i in range(0, pairs, 2):
            at = a0 + i * row_a
            below = at + row_a
            t0, t1, t2, t3 = zero, zero, zero, zero
            u0, u1, u2, u3 = zero, zero, zero, zero
            for p in range(0, whole, width):
                v, w = load(a, at + p), load(a, below + p)
                row = load(b, q0 + p)
                t0, u0 = fma(v, row, t0), fma(w, row, u0)
                row = load(b, q1 + p)
                t1, u1 = fma(v, row, t1), fma(w, row, u1)
                row = load(b, q2 + p)
                t2, u2 = fma(v, row, t2), fma(w, row, u2)
                row = load(b, q3 + p)
                t3, u3 = fma(v, row, t3), fma(w, row, u3)
            if rest:
                v, w = load_part(a, at + whole, rest), load_part(a, below + whole, rest)
                row = load_part(b, q0 + whole, rest)
                t0, u0 = fma(v, row, t0), fma(w, row, u0)
                row = load_part(b, q1 + whole, rest)
                t1, u1 = fma(v, row, t1), fma(w, row, u1)
                row = load_part(b, q2 + whole, rest)
                t2, u2 = fma(v, row, t2), fma(w, row, u2)
                row = load_part(b, q3 + whole, rest)
                t3, u3 = fma(v, row, t3), fma(w, row, u3)
            s, o = s0 + i * row_s + j * column_s, o0 + i * row_out + j * column_out
            _put_four(t0, t1, t2, t3, start, s, column_s, has_start, alpha, beta, out, o, column_out)
            s, o = s + row_s, o + row_out
            _put_four(u0, u1, u2, u3, start, s, column_s, has_start, alpha, beta, out, o, column_out)
        for i in range(pairs, n):
            at = a0 + i * row_a
            t0, t1, t2, t3 = zero, zero, zero, zero
            for p in range(0, whole, width):
                v = load(a, at + p)
                t0 = fma(v, load(b, q0 + p), t0)
                t1 = fma(v, load(b, q1 + p), t1)
                t2 = fma(v, load(b, q2 + p), t2)
                t3 = fma(v, load(b, q3 + p), t3)
            if rest:
                v = load_part(a, at + whole, rest)
                t0 = fma(v, load_part(b, q0 + whole, rest), t0)
                t1 = fma(v, load_part(b, q1 + whole, rest), t1)
                t2 = fma(v, load_part(b, q2 + whole, rest), t2)
                t3 = fma(v, load_part(b, q3 + whole, rest), t3)
            s, o = s0 + i * row_s + j * column_s, o0 + i * row_out + j * column_out
            _put_four(t0, t1, t2, t3, start, s, column_s, has_start, alpha, beta, out, o, column_out)
    for j in range(fours, m):
        q0 = b0 + j * row_b
        for i in range(n):
            at = a0 + i * row_a
            t0 = zero
            for p in range(0, whole, width):
                t0 = fma(load(a, at + p), load(b, q0 + p), t0)
            if rest:
                t0 = fma(load_part(a, at + whole, rest), load_part(b, q0 + whole, rest), t0)
            s, o = s0 + i * row_s + j * column_s, o0 + i * row_out + j * column_out
            out[o] = _scaled(add_up(t0), alpha, beta, start, s, has_start)


@jit(nogil=True)
def row_times_short_rows(a, a0, b, b0, row_b, start, s0, has_start, alpha, beta, out, o0, k, m):
    """`rows_times_rows` for one row of at most a vector's length, where start and out have a step of 1.

    As many rows of b as a vector has lanes are multiplied side by side: their sums are folded in 3 instructions a row,
    where each by itself takes 8.
    """
    width = lanes(b)
    v = load_part(a, a0, k)
    for j in range(0, m - width + 1, width):
        total = products_with_rows(0, v, b, b0 + j * row_b, row_b, k, width)
        store(out, o0 + j, _finish(total, alpha, beta, start, s0 + j, width, has_start))
    j = m // width * width
    if j < m:
        total = products_with_rows(1, v, b, b0 + j * row_b, row_b, k, m - j)
        store_part(out, o0 + j, m - j, _finish(total, alpha, beta, start, s0 + j, m - j, has_start))


# Elements of b in a block of `long_sums`: 128 KB of float32, 4 us. Blocks follow from the sizes alone, so the sums are the
# same for every number of threads.
_LONG_BLOCK = 2**15
#: Elements from which, and columns up to which, a product with a vector is cut along the sum.
LONG, LONG_COLUMNS = 2**17, 64


@jit(nogil=True)
def _vector_times_narrow(x, x0, step_x, b, b0, row_b, out, o0, k, m):
    """out (m) = x b for at most a vector of columns: eight chains of multiply-adds, where one would wait for itself."""
    zero = broadcast(b, b.dtype.type(0))
    t0, t1, t2, t3, t4, t5, t6, t7 = zero, zero, zero, zero, zero, zero, zero, zero
    eights = k // 8 * 8
    for p in range(0, eights, 8):
        at, q = x0 + p * step_x, b0 + p * row_b
        t0 = fma(broadcast(b, x[at]), load_part(b, q, m), t0)
        t1 = fma(broadcast(b, x[at + step_x]), load_part(b, q + row_b, m), t1)
        t2 = fma(broadcast(b, x[at + 2 * step_x]), load_part(b, q + 2 * row_b, m), t2)
        t3 = fma(broadcast(b, x[at + 3 * step_x]), load_part(b, q + 3 * row_b, m), t3)
        t4 = fma(broadcast(b, x[at + 4 * step_x]), load_part(b, q + 4 * row_b, m), t4)
        t5 = fma(broadcast(b, x[at + 5 * step_x]), load_part(b, q + 5 * row_b, m), t5)
        t6 = fma(broadcast(b, x[at + 6 * step_x]), load_part(b, q + 6 * row_b, m), t6)
        t7 = fma(broadcast(b, x[at + 7 * step_x]), load_part(b, q + 7 * row_b, m), t7)
    for p in range(eights, k):
        t0 = fma(broadcast(b, x[x0 + p * step_x]), load_part(b, b0 + p * row_b, m), t0)
    store_part(out, o0, m, ((t0 + t1) + (t2 + t3)) + ((t4 + t5) + (t6 + t7)))


@jit(nogil=True)
def _block_of_sums(x, b, k, m, out, number, size):
    """out[number * m + j] = the sum of x[p] b[p, j] over block `number` of `size` rows."""
    p = number * size
    here = min(size, k - p)
    none, one = b[:0], b.dtype.type(1)
    if m == 1:
        out[number] = dot(x, p, b, p, here)
    elif m <= lanes(b):
        _vector_times_narrow(x, p, 1, b, p * m, m, out, number * m, here, m)
    else:
        work = np.empty(VECTOR_CHUNK, b.dtype)
        vector_times_matrix(x, p, 1, b, p * m, m, none, 0, False, one, one, out, number * m, here, m, work)


@jit(parallel=True)
def long_sums(x, b, out, k, m):
    """out (m) = x b for a long dense x (k) and a dense b (k, m) of few columns: blocks of rows, then their sums in order."""
    size = max(_LONG_BLOCK // m, 1)
    blocks = (k + size - 1) // size
    parts = np.empty(blocks * m, b.dtype)
    for number in prange(blocks):
        _block_of_sums(x, b, k, m, parts, np.int64(number), size)
    for j in range(m):
        total = parts[j]
        for number in range(1, blocks):
            total += parts[number * m + j]
        out[j] = total


# What vector_form gives.
TILES, DOT, ROW_TIMES_MATRIX, TRANSPOSED_TIMES_COLUMN, MATRIX_TIMES_COLUMN, SCALAR_PRODUCTS, OUTER = range(7)


def vector_form(n, k, m, row_a, column_a, row_b, column_b, row_s, width):
    """Which loops compute the product, TILES for none of these. `row_s` is the step of start's rows, 1 without one.

    They add up in different orders, so the parts of a product must all take the form of the whole.
    """
    if n == 1 and m == 1 and column_a == 1 and row_b == 1:
        return DOT
    if n == 1 and m > 1 and column_b == 1:
        return ROW_TIMES_MATRIX
    if m == 1 and row_a == 1 and row_s == 1:
        return TRANSPOSED_TIMES_COLUMN
    if m == 1 and column_a == 1:
        return MATRIX_TIMES_COLUMN
    if row_b == 1 and column_a == 1:
        if n <= DOT_ROWS and (k >= width or n == 1):
            return SCALAR_PRODUCTS
        # A few columns fill a part of a tile's vectors; eight vectors of products pay for adding up their lanes.
        if m <= DOT_ROWS and k >= 8 * width:
            return SCALAR_PRODUCTS
    if k == 1 and m >= 4 * width and column_b == 1:
        return OUTER
    return TILES


@jit
def vector_scratch(a, k, form):
    """The memory that `multiply_vectors` needs."""
    if form in (SCALAR_PRODUCTS, DOT) or (form != MATRIX_TIMES_COLUMN and k <= _FEW_ROWS):
        return a[:0]
    return np.empty(max(VECTOR_CHUNK, k), a.dtype)


@jit(nogil=True)
def multiply_vectors(
    a, a0, row_a, column_a, b, b0, row_b, column_b, start, s0, row_s, has_start, alpha, beta,
    out, o0, row_out, n, k, m, form, work,
):  # fmt: skip
    """out[i, j] = alpha * sum_p a[i, p] b[p, j] + beta * start[i, j] by the loops that `form` names.

    The arguments are those of `gemm`, `work` is vector_scratch(...).
    """
    if form == DOT:
        total = alpha * dot(a, a0, b, b0, k)
        out[o0] = total + beta * start[s0] if has_start else total
    elif form == ROW_TIMES_MATRIX:
        vector_times_matrix(
            a, a0, column_a, b, b0, row_b, start, s0, has_start, alpha, beta, out, o0, k, m, work
        )  # fmt: skip
    elif form == TRANSPOSED_TIMES_COLUMN:
        vector_times_matrix(
            b, b0, row_b, a, a0, column_a, start, s0, has_start, alpha, beta, out, o0, k, n, work
        )  # fmt: skip
    elif form == MATRIX_TIMES_COLUMN:
        vector, v0 = b, b0
        if row_b != 1:
            vector, v0 = work, 0
            for p in range(k):
                work[p] = b[b0 + p * row_b]
        if k <= lanes(a) and row_out == 1 and (row_s == 1 or not has_start):
            row_times_short_rows(
                vector, v0, a, a0, row_a, start, s0, has_start, alpha, beta, out, o0, k, n
            )  # fmt: skip
            return
        # The vector is the only row: the result and start have a step where rows_times_rows has its columns.
        rows_times_rows(
            vector, v0, 0, a, a0, row_a, start, s0, 0, row_s, has_start, alpha, beta,
            out, o0, 0, row_out, 1, k, n,
        )  # fmt: skip
    elif form == OUTER:
        # Row by row, as the result lies in memory: tiles write a dozen rows side by side.
        for i in range(n):
            vector_times_few_rows(
                a, a0 + i * row_a, column_a, b, b0, row_b, start, s0 + i * row_s, has_start, alpha, beta,
                out, o0 + i * row_out, k, m,
            )  # fmt: skip
    elif n == 1 and k <= lanes(a):
        row_times_short_rows(a, a0, b, b0, column_b, start, s0, has_start, alpha, beta, out, o0, k, m)
    elif m < n:
        # The more rows are taken four at a time.
        rows_times_rows(
            b, b0, column_b, a, a0, row_a, start, s0, 1, row_s, has_start, alpha, beta,
            out, o0, 1, row_out, m, k, n,
        )  # fmt: skip
    else:
        rows_times_rows(
            a, a0, row_a, b, b0, column_b, start, s0, row_s, 1, has_start, alpha, beta,
            out, o0, row_out, 1, n, k, m,
        )  # fmt: skip
