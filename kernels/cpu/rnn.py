"""Recurrent layers over whole sequences: LSTM, GRU and the plain RNN, forward and backward.

One layer in one direction is one call. The rows of all time steps lie one after the other, `batch_sizes[t]`
of them in step t (all equal for a dense batch, falling for a packed one), so one text serves both. A cell is a
sequence of one step.

Forward, W_ih and W_hh are packed once (`rnn_product`) and stay packed for all steps. A step is its input times
W_ih, its state times W_hh on top, and the gates (`rnn_gates`): the three meet in the caches while the step lasts.
The input product of a few short steps is made at once (`_ROWS_TOGETHER`), since a tile wants eight rows.
Backward, a step is the gates and their gradient times W_hh; the caller makes the gradients of W_ih, W_hh and of the
input as single products over all steps.

Sequences of a batch do not meet inside the loop over time, so a batch is cut into as many parts as there are
threads, and each walks through all steps by itself: one launch, no barrier. A row's arithmetic is the same in
whatever part it falls.

Letters: N rows in all, T steps, B rows of state, I inputs, H = size the hidden size, G = 4, 3 or 1 gates. All arrays
are flat and dense; `output` and `grad_output` are (N, H). Arrays that are not wanted (biases, `saved_*`,
`grad_output`) or that a mode lacks (c outside LSTM) are empty.
"""

from __future__ import annotations

import numpy as np
from numba import config, from_dtype, prange, types

from ..compiler import entry_point, jit
from .gemm import gemm_serial
from .matmul import mm
from .rnn_gates import gru_backward, gru_forward, lstm_backward, lstm_forward, rnn_backward_gate, rnn_forward_gate
from .rnn_product import pack_rows, pack_transposed, panel_memory, panel_size, panel_vectors, parts_of, product

LSTM, GRU, RNN_TANH, RNN_RELU = 0, 1, 2, 3
GATES = (4, 3, 1, 1)

# Rows whose input product is made at once: four tiles share each panel of W_ih on its way through the cache.
_ROWS_TOGETHER = 32

# Multiply-adds of all steps up to which one call makes all gradients: what it saves are five calls of a microsecond.
_SMALL = 500_000


@jit
def _biases(mode, b_ih, b_hh, size, total):
    """What the products with W_ih and W_hh begin with, (2, G H).

    Where they are added up at once, in LSTM and in r and z of a GRU, b_hh goes with b_ih.
    """
    biases = np.zeros(2 * total, b_ih.dtype)
    together = total if mode == LSTM else 2 * size if mode == GRU else 0
    if b_ih.size:
        for j in range(total):
            biases[j] = b_ih[j]
    if b_hh.size:
        for j in range(together):
            biases[j] += b_hh[j]
        for j in range(together, total):
            biases[total + j] = b_hh[j]
    return biases


@jit(nogil=True)
def _part_forward(
    mode,
    batch_sizes,
    reverse,
    low,
    high,
    x,
    biases,
    panels,
    h,
    c,
    output,
    gates,
    saved_h,
    saved_c,
    saved_tanh,
    inputs,
    size,
    total,
    vectors,
    panels_hh,
    panels_n,
):
    """All steps of the sequences low <= b < high.

    panels holds W_ih from 0, W_hh from panels_hh and, of a GRU, the third of it that makes n from panels_n.
    """
    keep = gates.size > 0
    batch = h.size // size
    together = low == 0 and high == batch  # then the rows of consecutive steps are consecutive
    steps = batch_sizes.size
    # Without `keep` the gates of a chunk of steps are forgotten after it, and y_n (GRU) after its step, as y always (RNN).
    forgotten = 0 if keep else (max(batch, _ROWS_TOGETHER) + batch) * total
    work = gates if keep else np.empty(forgotten, h.dtype)
    y = saved_c if mode == GRU and saved_c.size else np.empty(0 if mode == LSTM else batch * size, h.dtype)
    row = output.size // size if reverse else 0
    step = 0
    while step < steps:
        first, rows = step, 0
        while step < steps and (step == first or (together and rows < _ROWS_TOGETHER)):
            rows += batch_sizes[steps - 1 - step if reverse else step]
            step += 1
        base = row - rows if reverse else row
        shift = 0 if keep else base + low  # the row that lies at the beginning of `work`
        some = min(high, rows) - low if not together else rows
        if some > 0:
            at = base + low
            product(
                x, at * inputs, inputs, some, panels, 0, inputs, total, vectors,
                biases, 0, 0, work, (at - shift) * total, total,
            )  # fmt: skip
        for s in range(first, step):
            n = batch_sizes[steps - 1 - s if reverse else s]
            if reverse:
                row -= n
            m = min(high, n) - low
            if m > 0:
                at = row + low
                g = (at - shift) * total
                if mode == GRU:
                    y0 = at * size if saved_c.size else 0
                    product(
                        h, low * size, size, m, panels, panels_hh, size, 2 * size, vectors,
                        work, g, total, work, g, total,
                    )  # fmt: skip
                    product(
                        h, low * size, size, m, panels, panels_n, size, size, vectors,
                        biases, total + 2 * size, 0, y, y0, size,
                    )  # fmt: skip
                    gru_forward(m, work, g, y, y0, h, low * size, output, saved_h, at * size, size)
                elif mode == LSTM:
                    product(
                        h, low * size, size, m, panels, panels_hh, size, total, vectors,
                        work, g, total, work, g, total,
                    )  # fmt: skip
                    lstm_forward(m, work, g, h, c, low * size, output, saved_h, saved_c, saved_tanh, at * size, size)
                else:
                    product(
                        h, low * size, size, m, panels, panels_hh, size, size, vectors,
                        biases, total, 0, y, 0, size,
                    )  # fmt: skip
                    rnn_forward_gate(mode == RNN_RELU, m, work, g, y, h, low * size, output, saved_h, at * size, size)
            if not reverse:
                row += n


@jit
def _pack_forward(mode, w_ih, w_hh, inputs, size, total, vectors, panels, panels_hh, panels_n, part, parts):
    """W_ih and W_hh into panels, this thread's part of them."""
    pack_transposed(w_ih, 0, inputs, total, vectors, panels, 0, part, parts)
    if mode == GRU:
        pack_transposed(w_hh, 0, size, 2 * size, vectors, panels, panels_hh, part, parts)
        pack_transposed(w_hh, 2 * size * size, size, size, vectors, panels, panels_n, part, parts)
    else:
        pack_transposed(w_hh, 0, size, total, vectors, panels, panels_hh, part, parts)


@jit
def _first_state(h0, c0, h, c):
    # Loops: an assignment of slices comes with the text of its error, two seconds of compilation.
    for i in range(h.size):
        h[i] = h0[i]
    for i in range(c.size):
        c[i] = c0[i]


@jit(nogil=True)
def _forward(
    mode, batch_sizes, reverse, x, w_ih, w_hh, b_ih, b_hh, h0, c0, h, c, output, gates, saved_h, saved_c, saved_tanh,
    inputs, size, total, vectors, panels, panels_hh, panels_n, parts,
):  # fmt: skip
    biases = _biases(mode, b_ih, b_hh, size, total)
    _first_state(h0, c0, h, c)
    _pack_forward(mode, w_ih, w_hh, inputs, size, total, vectors, panels, panels_hh, panels_n, 0, 1)
    _part_forward(
        mode, batch_sizes, reverse, 0, h.size // size, x, biases, panels, h, c, output, gates,
        saved_h, saved_c, saved_tanh, inputs, size, total, vectors, panels_hh, panels_n,
    )  # fmt: skip


@jit(parallel=True)
def _forward_parallel(
    mode, batch_sizes, reverse, x, w_ih, w_hh, b_ih, b_hh, h0, c0, h, c, output, gates, saved_h, saved_c, saved_tanh,
    inputs, size, total, vectors, panels, panels_hh, panels_n, parts,
):  # fmt: skip
    biases = _biases(mode, b_ih, b_hh, size, total)
    _first_state(h0, c0, h, c)
    for part in prange(parts):
        _pack_forward(mode, w_ih, w_hh, inputs, size, total, vectors, panels, panels_hh, panels_n, part, parts)
    batch = h.size // size
    for part in prange(parts):
        _part_forward(
            mode, batch_sizes, reverse, batch * part // parts, batch * (part + 1) // parts, x, biases, panels,
            h, c, output, gates, saved_h, saved_c, saved_tanh, inputs, size, total, vectors, panels_hh, panels_n,
        )  # fmt: skip


@jit(nogil=True)
def _part_backward(
    mode, batch_sizes, reverse, low, high, grad_output, gates, panels, saved_h, saved_c, saved_tanh,
    grad_h, grad_c, grad_gates, grad_recurrent, size, total, vectors,
):  # fmt: skip
    """All steps of the sequences low <= b < high, the last one first; panels holds W_hh as (G H, H)."""
    steps = batch_sizes.size
    row = 0 if reverse else gates.size // total
    state = low * size
    for step in range(steps):
        n = batch_sizes[step if reverse else steps - 1 - step]
        if not reverse:
            row -= n
        m = min(high, n) - low
        if m > 0:
            at = (row + low) * size
            g = (row + low) * total
            if mode == LSTM:
                lstm_backward(
                    m, grad_output, gates, g, saved_c, saved_tanh, at, grad_h, grad_c, state, grad_gates, size
                )
            elif mode == GRU:
                gru_backward(
                    m, grad_output, gates, g, saved_h, saved_c, at, grad_h, state, grad_gates, grad_recurrent, size
                )
            else:
                rnn_backward_gate(mode == RNN_RELU, m, grad_output, gates, g, grad_h, state, grad_gates, size)
            product(
                grad_recurrent, g, total, m, panels, 0, total, size, vectors,
                grad_h, state, size, grad_h, state, size,
            )  # fmt: skip
        if reverse:
            row += n


@jit(nogil=True)
def _backward(
    mode, batch_sizes, reverse, grad_output, gates, w_hh, saved_h, saved_c, saved_tanh,
    grad_h, grad_c, grad_gates, grad_recurrent, size, total, vectors, panels, parts,
):  # fmt: skip
    pack_rows(w_hh, 0, total, size, vectors, panels, 0, 0, 1)
    _part_backward(
        mode, batch_sizes, reverse, 0, grad_h.size // size, grad_output, gates, panels, saved_h, saved_c, saved_tanh,
        grad_h, grad_c, grad_gates, grad_recurrent, size, total, vectors,
    )  # fmt: skip


@jit(parallel=True)
def _backward_parallel(
    mode, batch_sizes, reverse, grad_output, gates, w_hh, saved_h, saved_c, saved_tanh,
    grad_h, grad_c, grad_gates, grad_recurrent, size, total, vectors, panels, parts,
):  # fmt: skip
    for part in prange(parts):
        pack_rows(w_hh, 0, total, size, vectors, panels, 0, part, parts)
    batch = grad_h.size // size
    for part in prange(parts):
        _part_backward(
            mode, batch_sizes, reverse, batch * part // parts, batch * (part + 1) // parts, grad_output, gates, panels,
            saved_h, saved_c, saved_tanh, grad_h, grad_c, grad_gates, grad_recurrent, size, total, vectors,
        )  # fmt: skip


@jit
def _sum_rows(rows, columns, x, out):
    """out[j] = sum_i x[i, j]."""
    out[:] = x.dtype.type(0)
    for i in range(rows):
        row = x[i * columns : (i + 1) * columns]
        for j in range(columns):
            out[j] += row[j]


@jit(nogil=True)
def _gradients(
    mode, batch_sizes, reverse, grad_output, gates, w_hh, saved_h, saved_c, saved_tanh,
    grad_h, grad_c, grad_gates, grad_recurrent, size, total, vectors, panels,
    x, w_ih, inputs, grad_x, grad_w_ih, grad_w_hh, grad_b_ih, grad_b_hh,
):  # fmt: skip
    """`_backward` and all the rest of a small layer's gradients; those that are empty are not wanted."""
    rows = gates.size // total
    _backward(
        mode, batch_sizes, reverse, grad_output, gates, w_hh, saved_h, saved_c, saved_tanh,
        grad_h, grad_c, grad_gates, grad_recurrent, size, total, vectors, panels, 1,
    )  # fmt: skip
    if grad_x.size:
        gemm_serial(grad_gates, 0, total, 1, w_ih, 0, inputs, 1, grad_x, 0, inputs, rows, total, inputs, False)
    if grad_w_ih.size:
        gemm_serial(grad_gates, 0, 1, total, x, 0, inputs, 1, grad_w_ih, 0, inputs, total, rows, inputs, False)
    if grad_w_hh.size:
        gemm_serial(grad_recurrent, 0, 1, total, saved_h, 0, size, 1, grad_w_hh, 0, size, total, rows, size, False)
    if grad_b_ih.size:
        _sum_rows(rows, total, grad_gates, grad_b_ih)
    if grad_b_hh.size:
        _sum_rows(rows, total, grad_recurrent, grad_b_hh)


_entries: dict = {}  # (kernel, dtype) -> its compiled entry


def _entry(kernel, layout: str, dtype):
    """The entry of `kernel` for a dtype; `layout` has a letter an argument: a array, b batch_sizes, i int, ? bool."""
    found = _entries.get((kernel, dtype))
    if found is None:
        flat = types.Array(from_dtype(dtype), 1, "C")
        kinds = {"a": flat, "b": types.Array(types.int64, 1, "C"), "i": types.int64, "?": types.boolean}
        found = entry_point(kernel, tuple(kinds[letter] for letter in layout)) if not config.DISABLE_JIT else kernel
        _entries[kernel, dtype] = found
    return found


def rnn_forward(
    mode: int, batch_sizes, reverse: bool, x, w_ih, w_hh, b_ih, b_hh, h0, c0, h, c, output, gates, saved_h, saved_c,
    saved_tanh, inputs: int, size: int,
) -> None:  # fmt: skip
    """One layer in one direction over all steps: a = W_ih x_t + b_ih, y = W_hh h + b_hh, (B, G H) each.

    LSTM  i, f, o = sigmoid, g = tanh of a + y; c = f c + i g; h = o tanh(c)     gates in the order i, f, g, o
    GRU   r, z = sigmoid(a + y); n = tanh(a_n + r y_n); h = n + z (h - n)        gates in the order r, z, n
    RNN   h = tanh(a + y) or max(0, a + y), which keeps nan

    batch_sizes int64 (T,), x (N, I), w_ih (G H, I), w_hh (G H, H). From h0 and c0 (B, H), h and c become the last
    state and output (N, H) all states; of a single step output and h may be one array. Unless they are empty
    gates (N, G H) takes what the activations gave, saved_h (N, H) the h of before, saved_c the c of before (LSTM) or
    y_n (GRU), saved_tanh tanh(c).
    """
    if output.size == 0:
        return
    rows = output.size // size
    total = GATES[mode] * size
    batch = h.size // size
    vectors = panel_vectors(batch)
    itemsize = x.itemsize
    panels_hh = panel_size(total, inputs, itemsize)
    panels_n = panels_hh + panel_size(2 * size, size, itemsize)
    end = panels_n + panel_size(size, size, itemsize) if mode == GRU else panels_hh + panel_size(total, size, itemsize)
    parts = parts_of(batch, rows * total * (inputs + size))
    kernel = _forward if parts == 1 else _forward_parallel
    _entry(kernel, "ib?aaaaaaaaaaaaaaiiiiaiii", x.dtype)(
        mode, batch_sizes, reverse, x, w_ih, w_hh, b_ih, b_hh, h0, c0, h, c, output, gates, saved_h, saved_c, saved_tanh,
        inputs, size, total, vectors, panel_memory(end, x.dtype), panels_hh, panels_n, parts,
    )  # fmt: skip


def rnn_backward(
    mode: int, batch_sizes, reverse: bool, grad_output, gates, w_hh, saved_h, saved_c, saved_tanh,
    grad_h, grad_c, x, w_ih, inputs: int, size: int, wanted,
):  # fmt: skip
    """Gradient of `rnn_forward`: those of x, w_ih, w_hh, b_ih and b_hh, each None unless `wanted` says so.

    Of the gates, with da (N, G H) the gradient of a and dy that of y, which is da but in a GRU:
    LSTM  do = dh tanh(c), dc += dh o (1 - tanh(c)^2), di = dc g, df = dc c_prev, dg = dc i, dc_prev = dc f
    GRU   dn = dh (1 - z), dz = dh (h_prev - n), dr = dn y_n, dy_n = dn r
    RNN   dh (1 - h^2), or dh where h > 0
    each times the derivative of its activation. dx = da W_ih, dW_ih = da^T x, dW_hh = dy^T saved_h, and biases get the
    sums over rows.

    grad_h and grad_c hold the gradients of the last state and become those of the first; grad_output may be empty.
    """
    dtype = x.dtype
    total = GATES[mode] * size
    nothing = np.empty(0, dtype)
    rows = gates.size // total if total else 0
    sizes = (x.size, w_ih.size, w_hh.size, total, total)
    if rows == 0:
        return [np.zeros(n, dtype) if want else None for n, want in zip(sizes, wanted, strict=True)]
    batch = grad_h.size // size
    work = rows * total * size
    parts = parts_of(batch, work)
    grad_gates = np.empty(rows * total, dtype)
    grad_recurrent = np.empty(rows * total, dtype) if mode == GRU else grad_gates
    panels = panel_memory(panel_size(size, total, x.itemsize), dtype)
    arguments = (
        mode, batch_sizes, reverse, grad_output, gates, w_hh, saved_h, saved_c, saved_tanh,
        grad_h, grad_c, grad_gates, grad_recurrent, size, total, panel_vectors(batch), panels,
    )  # fmt: skip
    if parts == 1 and work < _SMALL:
        found = [np.empty(n, dtype) if want else nothing for n, want in zip(sizes, wanted, strict=True)]
        _entry(_gradients, "ib?aaaaaaaaaaiiiaaaiaaaaa", dtype)(*arguments, x, w_ih, inputs, *found)
        return [array if want else None for array, want in zip(found, wanted, strict=True)]
    _entry(_backward if parts == 1 else _backward_parallel, "ib?aaaaaaaaaaiiiai", dtype)(*arguments, parts)
    to_x, to_w_ih, to_w_hh, to_b_ih, to_b_hh = wanted
    grad_x = mm(grad_gates, w_ih, rows, total, inputs) if to_x else None
    grad_w_ih = mm(grad_gates, x, total, rows, inputs, transpose_a=True) if to_w_ih else None
    grad_w_hh = mm(grad_recurrent, saved_h, total, rows, size, transpose_a=True) if to_w_hh else None
    grad_b_ih = grad_gates.reshape(rows, total).sum(0) if to_b_ih else None
    if to_b_hh and to_b_ih and mode != GRU:
        grad_b_hh = grad_b_ih.copy()
    else:
        grad_b_hh = grad_recurrent.reshape(rows, total).sum(0) if to_b_hh else None
    return [grad_x, grad_w_ih, grad_w_hh, grad_b_ih, grad_b_hh]
