"""Recurrent layers over whole sequences: LSTM, GRU and the plain RNN, forward and backward.

One layer in one direction is one call. The rows of all time steps lie one after the other, `batch_sizes[t]`
of them in step t (all equal for a dense batch, falling for a packed one), so one text serves both. The caller
has multiplied the input of all steps by W_ih in one product (`gates`), and gets back from the backward pass
the gradients of the gates of all steps, so that those of W_ih, W_hh and of the input are single products
again.

What is left inside the loop over time is h W_hh^T and the gates. For small layers both run in one kernel; for
big ones the product of a step goes to BLAS (`_SMALL`), which then outweighs the calls.

Letters: N rows in all, B rows of state, H = size the hidden size, G = 4, 3 or 1 gates. All arrays are flat
and dense; `output` and `grad_output` are (N, width), this direction at columns column .. column + H. Arrays
that are not wanted (`bias_hh`, `saved_*`, `grad_output`) or that a mode lacks (c outside LSTM) are empty.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiler import jit
from .matmul import mm

LSTM, GRU, RNN_TANH, RNN_RELU = 0, 1, 2, 3
GATES = (4, 3, 1, 1)

# Multiply-adds of one step's recurrent product up to which the loops below beat a call of BLAS from Python.
_SMALL = 65536


@jit
def _add_product(a, w, out, n, k, m):
    """out[i, j] += sum_p a[i, p] w[p, j]; a (n, k), w (k, m), out (n, m)."""
    k8 = k // 8 * 8
    for i in range(n):
        s = i * k
        row = out[i * m : (i + 1) * m]
        # Eight rows of w at a time: an eighth of the loads and stores of the row of the result.
        for p in range(0, k8, 8):
            a0, a1, a2, a3 = a[s + p], a[s + p + 1], a[s + p + 2], a[s + p + 3]
            a4, a5, a6, a7 = a[s + p + 4], a[s + p + 5], a[s + p + 6], a[s + p + 7]
            q = p * m
            for j in range(m):
                r = q + j
                low = row[j] + a0 * w[r] + a1 * w[r + m] + a2 * w[r + 2 * m] + a3 * w[r + 3 * m]
                r += 4 * m
                row[j] = low + a4 * w[r] + a5 * w[r + m] + a6 * w[r + 2 * m] + a7 * w[r + 3 * m]
        for p in range(k8, k):
            a0 = a[s + p]
            q = p * m
            for j in range(m):
                row[j] += a0 * w[q + j]


@jit
def _sigmoid(x, start, stop):
    one = x.dtype.type(1)
    for j in range(start, stop):
        x[j] = one / (one + math.exp(-x[j]))


@jit
def _tanh(x, start, stop):
    for j in range(start, stop):
        x[j] = math.tanh(x[j])


# The cells below take their rows in several short loops over few arrays each: LLVM checks at run time that
# arrays do not overlap before it vectorises a loop, and gives up when there are too many of them. They
# compute offsets instead of slicing because each slice adds to the time of compilation.


@jit(nogil=True)
def rnn_steps_forward(
    mode, batch_sizes, reverse, start, gates, weight_t, recurrent, bias_hh, h, c, output, width, column,
    saved_h, saved_c, saved_tanh, size,
):
    """Steps of a cell: x = gates (N, G H), y = h W_hh^T + bias_hh, the state h (and c) (B, H).

    LSTM  i, f, o = sigmoid, g = tanh of x + y; c = f c + i g; h = o tanh(c)     gates in the order i, f, g, o
    GRU   r, z = sigmoid(x + y); n = tanh(x_n + r y_n); h = n + z (h - n)        gates in the order r, z, n
    RNN   h = tanh(x + y) or max(0, x + y), which keeps nan

    gates becomes what the activations gave; h, also written to output, and c the new state. Unless they are
    empty saved_h (N, H) takes the h of before, saved_c the c of before (LSTM) or y_n (GRU), saved_tanh
    tanh(c). weight_t (H, G H) is W_hh transposed; if it is empty, recurrent (B, G H) holds the product of a
    single step.
    """
    zero = gates.dtype.type(0)
    total = recurrent.size // (h.size // size)
    keep = saved_h.size > 0
    steps = batch_sizes.size
    for step in range(steps):
        n = batch_sizes[steps - 1 - step if reverse else step]
        if reverse:
            start -= n
        if weight_t.size:
            recurrent[: total * n] = zero
            _add_product(h, weight_t, recurrent, n, size, total)
        for b in range(n):
            row = start + b
            x = total * row
            y = total * b
            state = size * b
            here = size * row
            if bias_hh.size:
                for j in range(total):
                    recurrent[y + j] += bias_hh[j]
            if keep:
                for j in range(size):
                    saved_h[here + j] = h[state + j]
            for j in range(2 * size if mode == GRU else total):
                gates[x + j] += recurrent[y + j]
            if mode == LSTM:
                _sigmoid(gates, x, x + 2 * size)
                _tanh(gates, x + 2 * size, x + 3 * size)
                _sigmoid(gates, x + 3 * size, x + 4 * size)
                if keep:
                    for j in range(size):
                        saved_c[here + j] = c[state + j]
                for j in range(size):
                    c[state + j] = gates[x + size + j] * c[state + j] + gates[x + j] * gates[x + 2 * size + j]
                for j in range(size):
                    h[state + j] = c[state + j]
                _tanh(h, state, state + size)
                if keep:
                    for j in range(size):
                        saved_tanh[here + j] = h[state + j]
                for j in range(size):
                    h[state + j] *= gates[x + 3 * size + j]
            elif mode == GRU:
                _sigmoid(gates, x, x + 2 * size)
                for j in range(size):
                    gates[x + 2 * size + j] += gates[x + j] * recurrent[y + 2 * size + j]
                _tanh(gates, x + 2 * size, x + 3 * size)
                if keep:
                    for j in range(size):
                        saved_c[here + j] = recurrent[y + 2 * size + j]
                for j in range(size):
                    new = gates[x + 2 * size + j]
                    h[state + j] = new + gates[x + size + j] * (h[state + j] - new)
            else:
                if mode == RNN_TANH:
                    _tanh(gates, x, x + size)
                else:
                    for j in range(size):
                        gates[x + j] = zero if gates[x + j] < zero else gates[x + j]
                for j in range(size):
                    h[state + j] = gates[x + j]
            for j in range(size):
                output[width * row + column + j] = h[state + j]
        if not reverse:
            start += n


@jit(nogil=True)
def rnn_steps_backward(
    mode, batch_sizes, reverse, start, grad_output, width, column, gates, weight, saved_h, saved_c,
    saved_tanh, grad_h, grad_c, grad_gates, grad_recurrent, size,
):
    """Gradient of steps, last first: grad_gates (N, G H) is dx and, in a GRU, grad_recurrent (N, G H) is dy.

    LSTM  do = dh tanh(c), dc += dh o (1 - tanh(c)^2), di = dc g, df = dc c_prev, dg = dc i, dc_prev = dc f
    GRU   dn = dh (1 - z), dz = dh (h_prev - n), dr = dn y_n, dy_n = dn r
    RNN   dx = dh (1 - h^2), or dh where h > 0
    each times the derivative of its activation. grad_h and grad_c become those of the state before; without
    weight, W_hh (G H, H), of grad_h only the part that does not come through recurrent: dh z in a GRU, else
    nothing.
    """
    one = gates.dtype.type(1)
    zero = gates.dtype.type(0)
    total = gates.size // (saved_h.size // size)
    steps = batch_sizes.size
    for step in range(steps):
        n = batch_sizes[step if reverse else steps - 1 - step]
        if not reverse:
            start -= n
        for b in range(n):
            x = total * (start + b)
            dh = size * b
            here = size * (start + b)
            if grad_output.size:
                for j in range(size):
                    grad_h[dh + j] += grad_output[width * (start + b) + column + j]
            if mode == LSTM:
                for j in range(size):
                    o = gates[x + 3 * size + j]
                    grad_gates[x + 3 * size + j] = grad_h[dh + j] * saved_tanh[here + j] * o * (one - o)
                for j in range(size):
                    t = saved_tanh[here + j]
                    grad_c[dh + j] += grad_h[dh + j] * gates[x + 3 * size + j] * (one - t * t)
                for j in range(size):
                    f = gates[x + size + j]
                    grad_gates[x + size + j] = grad_c[dh + j] * saved_c[here + j] * f * (one - f)
                for j in range(size):
                    i, g = gates[x + j], gates[x + 2 * size + j]
                    grad_gates[x + j] = grad_c[dh + j] * g * i * (one - i)
                    grad_gates[x + 2 * size + j] = grad_c[dh + j] * i * (one - g * g)
                for j in range(size):
                    grad_c[dh + j] *= gates[x + size + j]
                    grad_h[dh + j] = zero
            elif mode == GRU:
                for j in range(size):
                    z, new = gates[x + size + j], gates[x + 2 * size + j]
                    grad_gates[x + 2 * size + j] = grad_h[dh + j] * (one - z) * (one - new * new)
                    grad_gates[x + size + j] = grad_h[dh + j] * (saved_h[here + j] - new) * z * (one - z)
                for j in range(size):
                    r = gates[x + j]
                    grad_gates[x + j] = grad_gates[x + 2 * size + j] * saved_c[here + j] * r * (one - r)
                for j in range(size):
                    grad_recurrent[x + j] = grad_gates[x + j]
                    grad_recurrent[x + size + j] = grad_gates[x + size + j]
                    grad_recurrent[x + 2 * size + j] = grad_gates[x + 2 * size + j] * gates[x + j]
                    grad_h[dh + j] *= gates[x + size + j]
            else:
                for j in range(size):
                    value = gates[x + j]
                    slope = (one if value > zero else zero) if mode == RNN_RELU else one - value * value
                    grad_gates[x + j] = grad_h[dh + j] * slope
                    grad_h[dh + j] = zero
        if weight.size:
            _add_product(grad_recurrent[total * start :], weight, grad_h, n, total, size)
        if reverse:
            start += n


def rnn_forward(
    mode: int, batch_sizes, reverse: bool, gates, weight_hh, bias_hh, h, c, output, width, column, saved_h,
    saved_c, saved_tanh, size: int,
) -> None:
    """One layer in one direction over all steps; the arguments are those of `rnn_steps_forward`.

    batch_sizes int64 (T,), weight_hh (G H, H). gates, h and c are overwritten, output and saved_* filled.
    """
    if gates.size == 0:
        return
    total = GATES[mode] * size
    batch = h.size // size
    recurrent = np.empty(batch * total, gates.dtype)
    rest = (recurrent, bias_hh, h, c, output, width, column, saved_h, saved_c, saved_tanh, size)
    rows = gates.size // total
    if batch * size * total <= _SMALL:
        weight_t = np.ascontiguousarray(weight_hh.reshape(total, size).T).reshape(-1)
        rnn_steps_forward(mode, batch_sizes, reverse, rows if reverse else 0, gates, weight_t, *rest)
        return
    ends = np.cumsum(batch_sizes).tolist()
    for step in range(len(ends) - 1, -1, -1) if reverse else range(len(ends)):
        start = ends[step - 1] if step else 0
        n = ends[step] - start
        mm(h[: n * size], weight_hh, n, size, total, recurrent[: n * total], None, False, True)
        rnn_steps_forward(mode, batch_sizes[step : step + 1], False, start, gates, gates[:0], *rest)


def rnn_backward(
    mode: int, batch_sizes, reverse: bool, grad_output, width, column, gates, weight_hh, saved_h, saved_c,
    saved_tanh, grad_h, grad_c, grad_gates, grad_recurrent, size: int,
) -> None:
    """Gradient of `rnn_forward`: fills grad_gates and, in a GRU, grad_recurrent (else pass grad_gates twice).

    grad_h and grad_c hold the gradients of the last state and become those of the first. What is left is
    grad W_ih = grad_gates^T input, grad W_hh = grad_recurrent^T saved_h, grad input = grad_gates W_ih.
    """
    if gates.size == 0:
        return
    total = GATES[mode] * size
    batch = grad_h.size // size
    rest = (saved_h, saved_c, saved_tanh, grad_h, grad_c, grad_gates, grad_recurrent, size)
    rows = gates.size // total
    if batch * size * total <= _SMALL:
        start = 0 if reverse else rows
        rnn_steps_backward(
            mode, batch_sizes, reverse, start, grad_output, width, column, gates, weight_hh, *rest
        )
        return
    through = np.empty(batch * size, gates.dtype)
    ends = np.cumsum(batch_sizes).tolist()
    for step in range(len(ends)) if reverse else range(len(ends) - 1, -1, -1):
        start = ends[step - 1] if step else 0
        n = ends[step] - start
        rnn_steps_backward(
            mode, batch_sizes[step : step + 1], True, start, grad_output, width, column, gates, gates[:0],
            *rest
        )
        part = through[: n * size]
        mm(grad_recurrent[start * total : ends[step] * total], weight_hh, n, total, size, part)
        grad_h[: n * size] += part
