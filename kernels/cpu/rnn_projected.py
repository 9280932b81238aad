"""An LSTM layer whose state is projected: u = o tanh(c), h = W_hr u, with h (B, P) and c, u (B, H); Sak et al. 2014.

As in `rnn`, rows of all steps lie one after the other, weights stay packed for all steps, and a batch is cut into parts
that walk through all steps by themselves. Here the caller's gates (N, 4 H) come as x W_ih^T + b_ih + b_hh, since there
are three products and not one inside the loop over time.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from .matmul import mm
from .rnn_gates import lstm_backward, lstm_forward
from .rnn_product import pack_rows, pack_transposed, panel_memory, panel_size, panel_vectors, parts_of, product


@jit
def _copy_rows(count, source, s, target, t):
    for j in range(count):
        target[t + j] = source[s + j]


@jit(nogil=True)
def _part_forward(
    batch_sizes, reverse, low, high, gates, panels, panels_hr, zeros, h, c, hidden, output,
    saved_h, saved_c, saved_tanh, saved_u, size, out, vectors,
):  # fmt: skip
    """All steps of the sequences low <= b < high; `hidden` (B, H) holds the u of the step."""
    keep = saved_h.size > 0
    total = 4 * size
    steps = batch_sizes.size
    row = output.size // out if reverse else 0
    for step in range(steps):
        n = batch_sizes[steps - 1 - step if reverse else step]
        if reverse:
            row -= n
        m = min(high, n) - low
        if m > 0:
            at, g = row + low, (row + low) * total
            product(h, low * out, out, m, panels, 0, out, total, vectors, gates, g, total, gates, g, total)
            if keep:
                _copy_rows(m * out, h, low * out, saved_h, at * out)
            u, u0 = (saved_u, at * size) if keep else (hidden, low * size)
            lstm_forward(m, gates, g, hidden, c, low * size, u, gates[:0], saved_c, saved_tanh, u0, size)
            product(
                hidden, low * size, size, m, panels, panels_hr, size, out, vectors, zeros, 0, 0, h, low * out, out
            )  # fmt: skip
            _copy_rows(m * out, h, low * out, output, at * out)
        if not reverse:
            row += n


@jit(nogil=True)
def _part_backward(
    batch_sizes, reverse, low, high, grad_output, gates, panels, panels_hr, zeros, saved_c, saved_tanh,
    grad_h, grad_c, grad_hidden, grad_gates, grad_projected, size, out, vectors,
):  # fmt: skip
    """All steps of the sequences low <= b < high, the last one first: da and, of each step's h, its whole gradient."""
    total = 4 * size
    steps = batch_sizes.size
    row = 0 if reverse else gates.size // total
    for step in range(steps):
        n = batch_sizes[step if reverse else steps - 1 - step]
        if not reverse:
            row -= n
        m = min(high, n) - low
        if m > 0:
            at, g = row + low, (row + low) * total
            dh = grad_h[low * out : (low + m) * out]
            if grad_output.size:
                d = grad_output[at * out : (at + m) * out]
                for j in range(m * out):
                    dh[j] += d[j]
            _copy_rows(m * out, dh, 0, grad_projected, at * out)
            product(
                grad_h, low * out, out, m, panels, panels_hr, out, size, vectors,
                zeros, 0, 0, grad_hidden, low * size, size,
            )  # fmt: skip
            lstm_backward(
                m,
                gates[:0],
                gates,
                g,
                saved_c,
                saved_tanh,
                at * size,
                grad_hidden,
                grad_c,
                low * size,
                grad_gates,
                size,
            )
            product(
                grad_gates, g, total, m, panels, 0, total, out, vectors, zeros, 0, 0, grad_h, low * out, out
            )  # fmt: skip
        if reverse:
            row += n


@jit(parallel=True)
def _forward(
    batch_sizes, reverse, gates, w_hh, w_hr, h, c, hidden, output, saved_h, saved_c, saved_tanh, saved_u,
    size, out, vectors, panels, panels_hr, zeros, parts,
):  # fmt: skip
    batch = c.size // size
    for part in prange(parts):
        pack_transposed(w_hh, 0, out, 4 * size, vectors, panels, 0, part, parts)
        pack_transposed(w_hr, 0, size, out, vectors, panels, panels_hr, part, parts)
    for part in prange(parts):
        _part_forward(
            batch_sizes, reverse, batch * part // parts, batch * (part + 1) // parts, gates, panels, panels_hr, zeros,
            h, c, hidden, output, saved_h, saved_c, saved_tanh, saved_u, size, out, vectors,
        )  # fmt: skip


@jit(parallel=True)
def _backward(
    batch_sizes, reverse, grad_output, gates, w_hh, w_hr, saved_c, saved_tanh, grad_h, grad_c, grad_hidden,
    grad_gates, grad_projected, size, out, vectors, panels, panels_hr, zeros, parts,
):  # fmt: skip
    batch = grad_c.size // size
    for part in prange(parts):
        pack_rows(w_hh, 0, 4 * size, out, vectors, panels, 0, part, parts)
        pack_rows(w_hr, 0, out, size, vectors, panels, panels_hr, part, parts)
    for part in prange(parts):
        _part_backward(
            batch_sizes, reverse, batch * part // parts, batch * (part + 1) // parts, grad_output, gates, panels,
            panels_hr, zeros, saved_c, saved_tanh, grad_h, grad_c, grad_hidden, grad_gates, grad_projected,
            size, out, vectors,
        )  # fmt: skip


def projected_forward(
    batch_sizes, reverse: bool, gates, w_hh, w_hr, h, c, output, saved_h, saved_c, saved_tanh, saved_u,
    size: int, out: int,
) -> None:  # fmt: skip
    """All steps: gates (N, 4 H) as they are before W_hh h, h (B, P) and c (B, H) become the last state.

    w_hh (4 H, P), w_hr (P, H), output (N, P); saved_h (N, P), saved_c, saved_tanh and saved_u (N, H), or all empty, take
    h and c of before, tanh(c) and u. gates become what the activations gave.
    """
    if output.size == 0:
        return
    dtype = gates.dtype
    batch = c.size // size
    parts = parts_of(batch, output.size * 5 * size)
    vectors = panel_vectors(batch)
    panels_hr = panel_size(4 * size, out, gates.itemsize)
    panels = panel_memory(panels_hr + panel_size(out, size, gates.itemsize), dtype)
    kernel = _forward if parts > 1 else getattr(_forward, "serial", _forward)
    kernel(
        batch_sizes, reverse, gates, w_hh, w_hr, h, c, np.empty(c.size, dtype), output, saved_h, saved_c, saved_tanh,
        saved_u, size, out, vectors, panels, panels_hr, np.zeros(max(size, out), dtype), parts,
    )  # fmt: skip


def projected_backward(
    batch_sizes, reverse: bool, grad_output, gates, w_hh, w_hr, saved_h, saved_c, saved_tanh, saved_u,
    grad_h, grad_c, x, w_ih, inputs: int, size: int, out: int, wanted,
):  # fmt: skip
    """Gradients of x, w_ih, w_hh, b_ih, b_hh and w_hr, each None unless `wanted`.

    du = W_hr^T dh, then the gates as in an LSTM; dW_hr = sum over rows of dh u^T. grad_h and grad_c hold the gradients
    of the last state and become those of the first.
    """
    dtype = x.dtype
    total = 4 * size
    rows = gates.size // total
    grad_gates = np.empty(rows * total, dtype)
    grad_projected = np.empty(rows * out, dtype)
    if rows:
        batch = grad_c.size // size
        parts = parts_of(batch, rows * 5 * size * out)
        vectors = panel_vectors(batch)
        panels_hr = panel_size(out, total, x.itemsize)
        panels = panel_memory(panels_hr + panel_size(size, out, x.itemsize), dtype)
        kernel = _backward if parts > 1 else getattr(_backward, "serial", _backward)
        kernel(
            batch_sizes, reverse, grad_output, gates, w_hh, w_hr, saved_c, saved_tanh, grad_h, grad_c,
            np.empty(grad_c.size, dtype), grad_gates, grad_projected, size, out, vectors, panels, panels_hr,
            np.zeros(max(size, out), dtype), parts,
        )  # fmt: skip
    to_x, to_w_ih, to_w_hh, to_b_ih, to_b_hh, to_w_hr = wanted
    return [
        mm(grad_gates, w_ih, rows, total, inputs) if to_x else None,
        mm(grad_gates, x, total, rows, inputs, transpose_a=True) if to_w_ih else None,
        mm(grad_gates, saved_h, total, rows, out, transpose_a=True) if to_w_hh else None,
        grad_gates.reshape(rows, total).sum(0) if to_b_ih else None,
        grad_gates.reshape(rows, total).sum(0) if to_b_hh else None,
        mm(grad_projected, saved_u, out, rows, size, transpose_a=True) if to_w_hr else None,
    ]
