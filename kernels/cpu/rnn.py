"""Recurrent layers over whole sequences: LSTM, GRU and the plain RNN, forward and backward.

One layer in one direction is one call. The rows of all time steps lie one after the other, `batch_sizes[t]`
of them in step t (all equal for a dense batch, falling for a packed one), so one text serves both. The caller
has multiplied the input of all steps by W_ih in one product (`gates`), and gets back from the backward pass
the gradients of the gates of all steps, so that those of W_ih, W_hh and of the input are single products
again.

What is left inside the loop over time is h W_hh^T and the gates. For small layers both run in one kernel; for
big ones the product of a step goes to BLAS (`_SMALL`), which then outweighs the calls.

Letters: N rows in all, B rows of state, H = size the hidden size, G = 4, 3 or 1 gates. All arrays are flat
and dense; `output` and `grad_output` are (N, H). Arrays that are not wanted (`bias_hh`,
`saved_*`, `grad_output`) or that a mode lacks (c outside LSTM) are empty.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..math import sigmoid, tanh
from .matmul import mm

LSTM, GRU, RNN_TANH, RNN_RELU = 0, 1, 2, 3
GATES = (4, 3, 1, 1)

# Multiply-adds of one step's recurrent product up to which the loops below beat a call of BLAS from Python.
_SMALL = 200_000


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


# The cells below take their rows in several short loops over few arrays each: LLVM checks at run time that
# arrays do not overlap before it vectorises a loop, and gives up when there are too many of them. Arrays are
# reshaped so that the innermost index is the loop variable alone: an offset whose sign LLVM does not know
# would keep Numba's wrap-around of negative indices in the loop, and the loop scalar.


@jit(nogil=True)
def rnn_steps_forward(
    mode,
    batch_sizes,
    reverse,
    start,
    gates,
    weight_t,
    recurrent,
    bias_hh,
    h,
    c,
    output,
    saved_h,
    saved_c,
    saved_tanh,
    size,
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
    batch = h.size // size
    count = recurrent.size // h.size
    x = gates.reshape(gates.size // (count * size), count, size)
    y = recurrent.reshape(batch, count, size)
    state_h = h.reshape(batch, size)
    state_c = c.reshape(c.size // size, size)
    before_h = saved_h.reshape(saved_h.size // size, size)
    before_c = saved_c.reshape(saved_c.size // size, size)
    tanh_c = saved_tanh.reshape(saved_tanh.size // size, size)
    bias = bias_hh.reshape(bias_hh.size // size, size)
    out = output.reshape(output.size // size, size)
    keep = saved_h.size > 0
    steps = batch_sizes.size
    for step in range(steps):
        n = batch_sizes[steps - 1 - step if reverse else step]
        if reverse:
            start -= n
        if weight_t.size:
            recurrent[: count * size * n] = zero
            _add_product(h, weight_t, recurrent, n, size, count * size)
        for b in range(n):
            row = start + b
            for gate in range(bias.shape[0]):
                for j in range(size):
                    y[b, gate, j] += bias[gate, j]
            for gate in range(2 if mode == GRU else count):
                for j in range(size):
                    x[row, gate, j] += y[b, gate, j]
            if keep:
                for j in range(size):
                    before_h[row, j] = state_h[b, j]
            if mode == LSTM:
                for gate in range(4):
                    if gate == 2:
                        for j in range(size):
                            x[row, gate, j] = tanh(x[row, gate, j])
                    else:
                        for j in range(size):
                            x[row, gate, j] = sigmoid(x[row, gate, j])
                if keep:
                    for j in range(size):
                        before_c[row, j] = state_c[b, j]
                for j in range(size):
                    state_c[b, j] = x[row, 1, j] * state_c[b, j] + x[row, 0, j] * x[row, 2, j]
                for j in range(size):
                    state_h[b, j] = tanh(state_c[b, j])
                if keep:
                    for j in range(size):
                        tanh_c[row, j] = state_h[b, j]
                for j in range(size):
                    state_h[b, j] *= x[row, 3, j]
            elif mode == GRU:
                for gate in range(2):
                    for j in range(size):
                        x[row, gate, j] = sigmoid(x[row, gate, j])
                for j in range(size):
                    x[row, 2, j] = tanh(x[row, 2, j] + x[row, 0, j] * y[b, 2, j])
                if keep:
                    for j in range(size):
                        before_c[row, j] = y[b, 2, j]
                for j in range(size):
                    new = x[row, 2, j]
                    state_h[b, j] = new + x[row, 1, j] * (state_h[b, j] - new)
            else:
                if mode == RNN_TANH:
                    for j in range(size):
                        x[row, 0, j] = tanh(x[row, 0, j])
                else:
                    for j in range(size):
                        x[row, 0, j] = zero if x[row, 0, j] < zero else x[row, 0, j]
                for j in range(size):
                    state_h[b, j] = x[row, 0, j]
            for j in range(size):
                out[row, j] = state_h[b, j]
        if not reverse:
            start += n


@jit(nogil=True)
def rnn_steps_backward(
    mode,
    batch_sizes,
    reverse,
    start,
    grad_output,
    gates,
    weight,
    saved_h,
    saved_c,
    saved_tanh,
    grad_h,
    grad_c,
    grad_gates,
    grad_recurrent,
    size,
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
    rows = saved_h.size // size
    count = gates.size // saved_h.size
    x = gates.reshape(rows, count, size)
    dx = grad_gates.reshape(rows, count, size)
    dy = grad_recurrent.reshape(rows, count, size)
    dh = grad_h.reshape(grad_h.size // size, size)
    dc = grad_c.reshape(grad_c.size // size, size)
    before_h = saved_h.reshape(rows, size)
    before_c = saved_c.reshape(saved_c.size // size, size)
    tanh_c = saved_tanh.reshape(saved_tanh.size // size, size)
    d_out = grad_output.reshape(grad_output.size // size, size)
    steps = batch_sizes.size
    for step in range(steps):
        n = batch_sizes[step if reverse else steps - 1 - step]
        if not reverse:
            start -= n
        for b in range(n):
            row = start + b
            if grad_output.size:
                for j in range(size):
                    dh[b, j] += d_out[row, j]
            if mode == LSTM:
                for j in range(size):
                    o = x[row, 3, j]
                    dx[row, 3, j] = dh[b, j] * tanh_c[row, j] * o * (one - o)
                for j in range(size):
                    t = tanh_c[row, j]
                    dc[b, j] += dh[b, j] * x[row, 3, j] * (one - t * t)
                for j in range(size):
                    f = x[row, 1, j]
                    dx[row, 1, j] = dc[b, j] * before_c[row, j] * f * (one - f)
                for j in range(size):
                    i, g = x[row, 0, j], x[row, 2, j]
                    dx[row, 0, j] = dc[b, j] * g * i * (one - i)
                    dx[row, 2, j] = dc[b, j] * i * (one - g * g)
                for j in range(size):
                    dc[b, j] *= x[row, 1, j]
                for j in range(size):
                    dh[b, j] = zero
            elif mode == GRU:
                for j in range(size):
                    z, new = x[row, 1, j], x[row, 2, j]
                    dx[row, 2, j] = dh[b, j] * (one - z) * (one - new * new)
                for j in range(size):
                    z, new = x[row, 1, j], x[row, 2, j]
                    dx[row, 1, j] = dh[b, j] * (before_h[row, j] - new) * z * (one - z)
                for j in range(size):
                    r = x[row, 0, j]
                    dx[row, 0, j] = dx[row, 2, j] * before_c[row, j] * r * (one - r)
                for gate in range(2):
                    for j in range(size):
                        dy[row, gate, j] = dx[row, gate, j]
                for j in range(size):
                    dy[row, 2, j] = dx[row, 2, j] * x[row, 0, j]
                for j in range(size):
                    dh[b, j] *= x[row, 1, j]
            else:
                if mode == RNN_RELU:
                    for j in range(size):
                        dx[row, 0, j] = dh[b, j] if x[row, 0, j] > zero else zero
                else:
                    for j in range(size):
                        dx[row, 0, j] = dh[b, j] * (one - x[row, 0, j] * x[row, 0, j])
                for j in range(size):
                    dh[b, j] = zero
        if weight.size:
            _add_product(grad_recurrent[count * size * start :], weight, grad_h, n, count * size, size)
        if reverse:
            start += n


def rnn_forward(
    mode: int,
    batch_sizes,
    reverse: bool,
    gates,
    weight_hh,
    bias_hh,
    h,
    c,
    output,
    saved_h,
    saved_c,
    saved_tanh,
    size: int,
) -> None:
    """One layer in one direction over all steps; the arguments are those of `rnn_steps_forward`.

    batch_sizes int64 (T,), weight_hh (G H, H). gates, h and c are overwritten, output and saved_* filled.
    """
    if gates.size == 0:
        return
    total = GATES[mode] * size
    batch = h.size // size
    recurrent = np.empty(batch * total, gates.dtype)
    rest = (recurrent, bias_hh, h, c, output, saved_h, saved_c, saved_tanh, size)
    rows = gates.size // total
    # Transposed once for all steps: of a few rows times W^T, BLAS spends half the time on packing W^T.
    weight_t = np.ascontiguousarray(weight_hh.reshape(total, size).T).reshape(-1)
    if batch * size * total <= _SMALL:
        rnn_steps_forward(mode, batch_sizes, reverse, rows if reverse else 0, gates, weight_t, *rest)
        return
    ends = np.cumsum(batch_sizes).tolist()
    for step in range(len(ends) - 1, -1, -1) if reverse else range(len(ends)):
        start = ends[step - 1] if step else 0
        n = ends[step] - start
        mm(h[: n * size], weight_t, n, size, total, recurrent[: n * total])
        rnn_steps_forward(mode, batch_sizes[step : step + 1], False, start, gates, gates[:0], *rest)


def rnn_backward(
    mode: int,
    batch_sizes,
    reverse: bool,
    grad_output,
    gates,
    weight_hh,
    saved_h,
    saved_c,
    saved_tanh,
    grad_h,
    grad_c,
    grad_gates,
    grad_recurrent,
    size: int,
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
        rnn_steps_backward(mode, batch_sizes, reverse, start, grad_output, gates, weight_hh, *rest)
        return
    through = np.empty(batch * size, gates.dtype)
    ends = np.cumsum(batch_sizes).tolist()
    for step in range(len(ends)) if reverse else range(len(ends) - 1, -1, -1):
        start = ends[step - 1] if step else 0
        n = ends[step] - start
        rnn_steps_backward(mode, batch_sizes[step : step + 1], True, start, grad_output, gates, gates[:0], *rest)
        part = through[: n * size]
        mm(grad_recurrent[start * total : ends[step] * total], weight_hh, n, total, size, part)
        grad_h[: n * size] += part
