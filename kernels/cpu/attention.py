"""Scaled dot-product attention and its gradients, a block of rows of the scores at a time; Vaswani et al. 2017.

    P = softmax(scale * Q K^T + mask)          out = P V          log_sum[i] = log sum_j exp(score[i, j])
    dP = G V^T      dS = P * (dP - sum_e G out) * scale      dQ = dS K      dK = dS^T Q      dV = P^T G

Q (L, E), K (S, E), V (S, Ev) for each matrix of (batch, heads). The scores of a block stay in the second-level cache
between the products that make and use them; nothing of the size of all scores goes to memory. The backward computes P
again from log_sum (Rabe and Staats 2021, Dao et al. 2022), for which an exponential is cheaper than memory.

Every tensor is a flat buffer, an offset and the strides of batch, head and row, its columns being dense: heads that lie
side by side in a row, as projections leave them, are read in place. A row that may attend to nothing gives zeros.

Threads share blocks forward, and matrices backward, where the gradients of K and V are sums over blocks. A block is cut by
the sizes alone, so the number of threads changes no bit.
"""

from __future__ import annotations

import numpy as np
from numba import from_dtype, prange, types

from .. import host
from ..compiler import entry_point, jit
from ..math import exp, log
from ..pieces import piece
from ..simd import add_up, broadcast, lanes, larger, largest, load, load_part, pick, store, store_part
from ..threads import get_num_threads
from .gemm import gemm, scratch
from .gemm_tiles import transpose_tile
from .gemv import DOT_ROWS, dot, rows_times_rows

#: What may be attended to: everything, columns up to the row's own number, what a boolean mask says, what has a finite
#: number added.
EVERYTHING, CAUSAL, ALLOWED, ADDED = range(4)

# The scores of a block fill an eighth of the second-level cache: K and V are read from there too, and backward there are
# two such blocks. At least two tiles of rows, since each block reads all of K and V; at most 64, from which it gains nothing.
_BLOCK_BYTES = host.cache_bytes(2) // 8
_LEAST_ROWS, _MOST_ROWS = 16, 64

# Multiply-adds from which threads share the work: 10 us of one core, and a launch costs 2.
PARALLEL_WORK = 2**19
# Parts for each thread: under a causal mask the later blocks are the longer ones.
_PARTS = 4


@jit
def _rows_of_block(length, s, itemsize):
    rows = _BLOCK_BYTES // (max(s, 1) * itemsize) // _LEAST_ROWS * _LEAST_ROWS
    return max(min(rows, _MOST_ROWS, length), min(_LEAST_ROWS, length), 1)


@jit
def _whole_vectors(x, count):
    return (count + lanes(x) - 1) & -lanes(x)


@jit
def _columns(x, count):
    """0, 1, 2, ... in the dtype of x."""
    numbers = np.empty(count, x.dtype)
    for j in range(count):
        numbers[j] = j
    return numbers


@jit
def _turn(x, x0, row, rows, columns, out, line):
    """out[c * line + r] = x[r, c]; `line` is rows filled up to whole vectors, whose ends become zero."""
    width = lanes(x)
    for r in range(0, rows, width):
        for c in range(0, columns, width):
            at = x0 + r * row + c
            if r + width <= rows and c + width <= columns:
                transpose_tile(0, x, at, row, width, width, out, c * line + r, line)
            else:
                transpose_tile(1, x, at, row, rows - r, columns - c, out, c * line + r, line)


@jit(bare=True)
def _copy_rows(x, x0, row, rows, columns, out):
    for r in range(rows):
        source, target = piece(x, x0 + r * row, columns), piece(out, r * columns, columns)
        for c in range(columns):
            target[c] = source[c]


@jit
def _place(strides, matrix, heads):
    """Where matrix number `matrix` of (batch, heads) begins."""
    return matrix // heads * strides[0] + matrix % heads * strides[1]


@jit
def _times_columns(a, a0, row_a, turned, line, b, b0, row_b, scale, out, pitch, n, k, m):
    """out[i * pitch + j] = scale * sum_e a[i, e] b[j, e]; `turned` holds b as columns, or nothing: then rows are multiplied."""
    if turned.size:
        gemm(
            a, a0, row_a, 1, turned, 0, line, 1, out, 0, 0, False, scale, scale, out, 0, pitch, n, k, m,
            scratch(a, n, k, m, row_a, 1, line, 1),
        )  # fmt: skip
    else:
        rows_times_rows(
            a, a0, row_a, b, b0, row_b, out, 0, 0, 0, False, scale, scale, out, 0, pitch, 1, n, k, m
        )  # fmt: skip


@jit
def _times_rows(a, row_a, column_a, b, b0, row_b, accumulate, out, o0, row_out, n, k, m):
    """out[i, j] (+)= sum_p a[i, p] b[p, j] for a block a of scores."""
    one = a.dtype.type(1)
    gemm(
        a, 0, row_a, column_a, b, b0, row_b, 1, out, o0, row_out, accumulate, one, one, out, o0, row_out, n, k, m,
        scratch(a, n, k, m, row_a, column_a, row_b, 1),
    )  # fmt: skip


@jit(bare=True)
def _flags_to_numbers(allowed, m0, count, numbers):
    """numbers[j] = 0 where allowed, else -inf."""
    zero, none = numbers.dtype.type(0), numbers.dtype.type(-np.inf)
    flags = piece(allowed, m0, count)
    for j in range(count):
        numbers[j] = zero if flags[j] else none


@jit
def _mask_row(scores, at, count, seen, added, a0, has_added, columns):
    """Adds added[a0 : a0 + count] to a row of scores, and makes what follows the first `seen` -inf, up to a whole vector.

    Returns the maximum. `columns` holds 0, 1, 2, ...
    """
    width = lanes(scores)
    none = broadcast(scores, scores.dtype.type(-np.inf))
    end = broadcast(scores, scores.dtype.type(seen))
    top = none
    for j in range(0, count, width):
        x = load(scores, at + j)
        if has_added:
            x = x + (load(added, a0 + j) if j + width <= count else load_part(added, a0 + j, count - j))
        if j + width > seen:
            x = pick(load(columns, j) < end, x, none)
        store(scores, at + j, x)
        top = larger(top, x)
    return largest(top)


@jit
def _subtract(scores, at, count, number):
    width = lanes(scores)
    numbers = broadcast(scores, number)
    for j in range(0, count, width):
        store(scores, at + j, load(scores, at + j) - numbers)


@jit(bare=True)
def _exponentials(scores, count):
    """exp of all scores of a block in place. One loop for all rows: LLVM's vectors suit long loops, rows are often short."""
    x = piece(scores, 0, count)
    for j in range(count):
        x[j] = exp(x[j])


@jit
def _sum_of_row(scores, at, count):
    width = lanes(scores)
    total = broadcast(scores, scores.dtype.type(0))
    for j in range(0, count, width):
        total = total + load(scores, at + j)
    return add_up(total)


@jit
def _scale_row(out, at, count, factor):
    width = lanes(out)
    factors = broadcast(out, factor)
    for j in range(0, count, width):
        store_part(out, at + j, count - j, load_part(out, at + j, count - j) * factors)


@jit(bare=True)
def _clear_row(x, at, count):
    y = piece(x, at, count)
    for j in range(count):
        y[j] = x.dtype.type(0)


@jit
def _score_gradients(weights, slopes, at, count, mean, scale):
    """Slopes (dP) become dS = P (dP - mean) scale, in whole vectors."""
    width = lanes(weights)
    means, scales = broadcast(weights, mean), broadcast(weights, scale)
    for j in range(0, count, width):
        store(slopes, at + j, load(weights, at + j) * (load(slopes, at + j) - means) * scales)


@jit(nogil=True)
def forward_part(
    q, q0, qs, k, k0, ks, v, v0, vs, kind, allowed, added, m0, ms, scale, out, os, log_sum, sizes, part, parts
):
    """Part `part` of `parts` of the blocks of all matrices: out (at strides os) and log_sum (batch, heads, L).

    `sizes` are (batch, heads, L, S, E, Ev); the strides are those of batch, head and row, also of the mask (ms).
    """
    batch, heads, length, s, e, ev = sizes
    line = _whole_vectors(q, s)
    step = _rows_of_block(length, s, q.itemsize)
    blocks = (length + step - 1) // step
    scores = np.empty(step * line, q.dtype)
    # A few rows of Q are multiplied with rows of K: turning it would cost more than that.
    turned = np.empty(e * line, q.dtype) if length > DOT_ROWS else q[:0]
    # Rows of V at a great distance fall into few sets of the caches.
    dense = np.empty(s * ev, q.dtype) if length > DOT_ROWS and vs[2] != ev else q[:0]
    tops, totals = np.empty(step, q.dtype), np.empty(step, q.dtype)
    columns, numbers = _columns(q, line), (np.empty(line, q.dtype) if kind == ALLOWED else q[:0])
    zero, one, infinity = q.dtype.type(0), q.dtype.type(1), q.dtype.type(np.inf)
    before = -1
    total = batch * heads * blocks
    for unit in range(part * total // parts, (part + 1) * total // parts):
        matrix = unit // blocks
        i0 = unit % blocks * step
        n = min(step, length - i0)
        seen = min(s, i0 + n) if kind == CAUSAL else s
        pitch = _whole_vectors(q, seen)
        kp, vp = k0 + _place(ks, matrix, heads), v0 + _place(vs, matrix, heads)
        if matrix != before:
            before = matrix
            if turned.size:
                _turn(k, kp, ks[2], s, e, turned, line)
            if dense.size:
                _copy_rows(v, vp, vs[2], s, ev, dense)
        qp = q0 + _place(qs, matrix, heads) + i0 * qs[2]
        _times_columns(q, qp, qs[2], turned, line, k, kp, ks[2], scale, scores, pitch, n, e, seen)
        mp = m0 + _place(ms, matrix, heads) + i0 * ms[2]
        for i in range(n):
            mask, at = added, mp + i * ms[2]
            if kind == ALLOWED:
                _flags_to_numbers(allowed, at, seen, numbers)
                mask, at = numbers, 0
            last = min(seen, i0 + i + 1) if kind == CAUSAL else seen
            top = _mask_row(scores, i * pitch, seen, last, mask, at, kind >= ALLOWED, columns)
            # From a row of -inf alone come zeros.
            tops[i] = zero if top == -infinity else top
            _subtract(scores, i * pitch, seen, tops[i])
        _exponentials(scores, n * pitch)
        for i in range(n):
            totals[i] = _sum_of_row(scores, i * pitch, seen)
        for i in range(n):
            log_sum[matrix * length + i0 + i] = tops[i] + log(totals[i]) if totals[i] != zero else infinity
            totals[i] = one / totals[i] if totals[i] != zero else zero
        op = _place(os, matrix, heads) + i0 * os[2]
        if dense.size:
            _times_rows(scores, pitch, 1, dense, 0, ev, False, out, op, os[2], n, seen, ev)
        else:
            _times_rows(scores, pitch, 1, v, vp, vs[2], False, out, op, os[2], n, seen, ev)
        for i in range(n):
            _scale_row(out, op + i * os[2], ev, totals[i])


@jit(nogil=True)
def backward_part(
    grad, g0, gs, q, q0, qs, k, k0, ks, v, v0, vs, kind, allowed, added, m0, ms, scale, out, o0, os, log_sum,
    grad_q, dqs, grad_k, dks, grad_v, dvs, sizes, part, parts,
):  # fmt: skip
    """Part `part` of `parts` of all matrices: the gradients of q, k and v, given that of out; as `forward_part`."""
    batch, heads, length, s, e, ev = sizes
    line = _whole_vectors(q, s)
    step = _rows_of_block(length, s, q.itemsize)
    few = length <= DOT_ROWS
    scores, slopes = np.empty(step * line, q.dtype), np.empty(step * line, q.dtype)
    turned_k, turned_v = np.empty(0 if few else e * line, q.dtype), np.empty(0 if few else ev * line, q.dtype)
    dense = np.empty(0 if few or ks[2] == e else s * e, q.dtype)
    columns, numbers = _columns(q, line), (np.empty(line, q.dtype) if kind == ALLOWED else q[:0])
    one = q.dtype.type(1)
    total = batch * heads
    for matrix in range(part * total // parts, (part + 1) * total // parts):
        kp, vp = k0 + _place(ks, matrix, heads), v0 + _place(vs, matrix, heads)
        dkp, dvp = _place(dks, matrix, heads), _place(dvs, matrix, heads)
        if not few:
            _turn(k, kp, ks[2], s, e, turned_k, line)
            _turn(v, vp, vs[2], s, ev, turned_v, line)
            if dense.size:
                _copy_rows(k, kp, ks[2], s, e, dense)
        for j in range(s):
            _clear_row(grad_k, dkp + j * dks[2], e)
            _clear_row(grad_v, dvp + j * dvs[2], ev)
        for i0 in range(0, length, step):
            n = min(step, length - i0)
            seen = min(s, i0 + n) if kind == CAUSAL else s
            pitch = _whole_vectors(q, seen)
            qp, gp = q0 + _place(qs, matrix, heads) + i0 * qs[2], g0 + _place(gs, matrix, heads) + i0 * gs[2]
            _times_columns(q, qp, qs[2], turned_k, line, k, kp, ks[2], scale, scores, pitch, n, e, seen)
            _times_columns(grad, gp, gs[2], turned_v, line, v, vp, vs[2], one, slopes, pitch, n, ev, seen)
            mp = m0 + _place(ms, matrix, heads) + i0 * ms[2]
            op = o0 + _place(os, matrix, heads) + i0 * os[2]
            for i in range(n):
                if kind:
                    mask, at = added, mp + i * ms[2]
                    if kind == ALLOWED:
                        _flags_to_numbers(allowed, at, seen, numbers)
                        mask, at = numbers, 0
                    last = min(seen, i0 + i + 1) if kind == CAUSAL else seen
                    _mask_row(scores, i * pitch, seen, last, mask, at, kind >= ALLOWED, columns)
                _subtract(scores, i * pitch, seen, log_sum[matrix * length + i0 + i])
            _exponentials(scores, n * pitch)
            for i in range(n):
                mean = dot(grad, gp + i * gs[2], out, op + i * os[2], ev)
                _score_gradients(scores, slopes, i * pitch, seen, mean, scale)
            dqp = _place(dqs, matrix, heads) + i0 * dqs[2]
            if dense.size:
                _times_rows(slopes, pitch, 1, dense, 0, e, False, grad_q, dqp, dqs[2], n, seen, e)
            else:
                _times_rows(slopes, pitch, 1, k, kp, ks[2], False, grad_q, dqp, dqs[2], n, seen, e)
            _times_rows(slopes, 1, pitch, q, qp, qs[2], True, grad_k, dkp, dks[2], seen, n, e)
            _times_rows(scores, 1, pitch, grad, gp, gs[2], True, grad_v, dvp, dvs[2], seen, n, ev)


@jit(parallel=True)
def forward_parallel(
    q, q0, qs, k, k0, ks, v, v0, vs, kind, allowed, added, m0, ms, scale, out, os, log_sum, sizes, parts
):
    """forward_part for all parts, on as many threads."""
    for part in prange(parts):
        forward_part(
            q, q0, qs, k, k0, ks, v, v0, vs, kind, allowed, added, m0, ms, scale, out, os, log_sum, sizes,
            np.int64(part), parts,
        )  # fmt: skip


@jit(parallel=True)
def backward_parallel(
    grad, g0, gs, q, q0, qs, k, k0, ks, v, v0, vs, kind, allowed, added, m0, ms, scale, out, o0, os, log_sum,
    grad_q, dqs, grad_k, dks, grad_v, dvs, sizes, parts,
):  # fmt: skip
    """backward_part for all parts, on as many threads."""
    for part in prange(parts):
        backward_part(
            grad, g0, gs, q, q0, qs, k, k0, ks, v, v0, vs, kind, allowed, added, m0, ms, scale, out, o0, os, log_sum,
            grad_q, dqs, grad_k, dks, grad_v, dvs, sizes, np.int64(part), parts,
        )  # fmt: skip


class _Kernels:
    """The compiled kernels of one dtype, each when it is first asked for."""

    def __init__(self, dtype):
        self.none = np.empty(0, dtype)
        self.scalar = from_dtype(dtype)

    def __getattr__(self, name):
        if name not in _entries:
            raise AttributeError(name)
        size, scalar = types.int64, self.scalar
        flat, three = types.Array(scalar, 1, "C"), types.UniTuple(size, 3)
        operand = (flat, size, three)
        mask = (size, types.Array(types.boolean, 1, "C"), flat, size, three, scalar)
        count = (types.UniTuple(size, 6), *((size, size) if name.endswith("part") else (size,)))
        if name.startswith("forward"):
            signature = (*operand * 3, *mask, flat, three, flat, *count)
        else:
            signature = (*operand * 4, *mask, *operand, flat, *(flat, three) * 3, *count)
        entry = entry_point(_entries[name], signature)
        setattr(self, name, entry)
        return entry


_entries = {
    "forward_part": forward_part,
    "forward_parallel": forward_parallel,
    "backward_part": backward_part,
    "backward_parallel": backward_parallel,
}
_single, _double = _Kernels(np.dtype("float32")), _Kernels(np.dtype("float64"))
_no_flags = np.empty(0, np.bool_)
_NOWHERE = (0, 0, 0)


def _mask_arguments(kernels, kind, mask):
    """(kind, flags, numbers, offset, strides) of a mask (buffer, offset, strides), or of none."""
    if kind == ALLOWED:
        return kind, mask[0], kernels.none, *mask[1:]
    if kind == ADDED:
        return kind, _no_flags, *mask
    return kind, _no_flags, kernels.none, 0, _NOWHERE


def _parts(work: int, units: int) -> int:
    if work < PARALLEL_WORK or (threads := get_num_threads()) == 1:
        return 1
    return min(units, threads * _PARTS)


def attention_forward(q, k, v, kind: int, mask, scale: float, out, out_strides, log_sum, sizes) -> None:
    """out = softmax(scale * Q K^T + mask) V and the logarithms of the sums of exponentials; all sizes at least 1.

    q, k, v and mask are (flat buffer, offset, strides of batch, head and row), float32 or float64, the mask boolean for
    ALLOWED and None where there is none. out is flat too; log_sum (batch * heads * L). sizes (batch, heads, L, S, E, Ev).
    """
    kernels = _single if out.itemsize == 4 else _double
    batch, heads, length, s, e, ev = sizes
    masked = _mask_arguments(kernels, kind, mask)
    parts = _parts(batch * heads * length * s * (e + ev), batch * heads * length)
    if parts == 1:
        kernels.forward_part(*q, *k, *v, *masked, scale, out, out_strides, log_sum, sizes, 0, 1)
    else:
        kernels.forward_parallel(*q, *k, *v, *masked, scale, out, out_strides, log_sum, sizes, parts)


def attention_backward(
    grad, q, k, v, kind: int, mask, scale: float, out, log_sum, grad_q, grad_k, grad_v, sizes
) -> None:
    """The gradients of q, k and v, each (flat buffer, strides), from that of the result; otherwise as `attention_forward`."""
    kernels = _single if log_sum.itemsize == 4 else _double
    batch, heads, length, s, e, ev = sizes
    arguments = (
        *grad, *q, *k, *v, *_mask_arguments(kernels, kind, mask), scale, *out, log_sum, *grad_q, *grad_k, *grad_v, sizes
    )  # fmt: skip
    parts = _parts(batch * heads * length * s * (e + ev), batch * heads)
    if parts == 1:
        kernels.backward_part(*arguments, 0, 1)
    else:
        kernels.backward_parallel(*arguments, parts)
