"""The gates of recurrent layers, one step at a time: what stands between the products (see `rnn`).

`m` rows of a step; `gates` (m, G H) begins at g, the state (m, H) at s, and everything that has a row for each row of
the input (output, saved_*) at `at`. Gates become what their activations give. H = size.

A row is taken in several short loops over few arrays each: LLVM checks at run time that arrays do not overlap before
it vectorises a loop, and gives up when there are too many of them. The rows fit the first-level cache.
"""

from __future__ import annotations

from ..compiler import jit
from ..math import sigmoid, tanh


@jit(apart=True)
def lstm_forward(m, gates, g, h, c, s, output, saved_h, saved_c, saved_tanh, at, size):
    """i, f, o = sigmoid, g = tanh; c = f c + i g; h = o tanh(c)."""
    for b in range(m):
        row = gates[g + b * 4 * size : g + (b + 1) * 4 * size]
        i_and_f, new, out = row[: 2 * size], row[2 * size : 3 * size], row[3 * size :]
        for j in range(2 * size):
            i_and_f[j] = sigmoid(i_and_f[j])
        for j in range(size):
            new[j] = tanh(new[j])
        for j in range(size):
            out[j] = sigmoid(out[j])
        i, f = row[:size], row[size : 2 * size]
        begin = s + b * size
        state_h, state_c = h[begin : begin + size], c[begin : begin + size]
        begin = at + b * size
        if saved_h.size:
            before_h = saved_h[begin : begin + size]
            for j in range(size):
                before_h[j] = state_h[j]
        if saved_c.size:
            before_c = saved_c[begin : begin + size]
            for j in range(size):
                before_c[j] = state_c[j]
        for j in range(size):
            state_c[j] = f[j] * state_c[j] + i[j] * new[j]
        for j in range(size):
            state_h[j] = tanh(state_c[j])
        if saved_tanh.size:
            tanh_c = saved_tanh[begin : begin + size]
            for j in range(size):
                tanh_c[j] = state_h[j]
        y = output[begin : begin + size]
        for j in range(size):
            state_h[j] = out[j] * state_h[j]
        for j in range(size):
            y[j] = state_h[j]


@jit(apart=True)
def gru_forward(m, gates, g, y_n, y0, h, s, output, saved_h, at, size):
    """r, z = sigmoid; n = tanh(a_n + r y_n); h = n + z (h - n)."""
    for b in range(m):
        row = gates[g + b * 3 * size : g + (b + 1) * 3 * size]
        r_and_z, new = row[: 2 * size], row[2 * size :]
        for j in range(2 * size):
            r_and_z[j] = sigmoid(r_and_z[j])
        r, z = row[:size], row[size : 2 * size]
        y = y_n[y0 + b * size : y0 + (b + 1) * size]
        for j in range(size):
            new[j] = tanh(new[j] + r[j] * y[j])
        state = h[s + b * size : s + (b + 1) * size]
        begin = at + b * size
        if saved_h.size:
            before = saved_h[begin : begin + size]
            for j in range(size):
                before[j] = state[j]
        for j in range(size):
            state[j] = new[j] + z[j] * (state[j] - new[j])
        out = output[begin : begin + size]
        for j in range(size):
            out[j] = state[j]


@jit(apart=True)
def rnn_forward_gate(relu, m, gates, g, y, h, s, output, saved_h, at, size):
    """h = tanh(a + y), or max(0, a + y), which keeps nan."""
    zero = gates.dtype.type(0)
    for b in range(m):
        row = gates[g + b * size : g + (b + 1) * size]
        recurrent = y[b * size : (b + 1) * size]
        for j in range(size):
            row[j] += recurrent[j]
        if relu:
            for j in range(size):
                row[j] = zero if row[j] < zero else row[j]
        else:
            for j in range(size):
                row[j] = tanh(row[j])
        state = h[s + b * size : s + (b + 1) * size]
        begin = at + b * size
        if saved_h.size:
            before = saved_h[begin : begin + size]
            for j in range(size):
                before[j] = state[j]
        out = output[begin : begin + size]
        for j in range(size):
            state[j] = row[j]
        for j in range(size):
            out[j] = row[j]


@jit
def _add_output(grad_output, begin, dh, size):
    """dh += the gradient of this step's output, if there is one."""
    if grad_output.size:
        d = grad_output[begin : begin + size]
        for j in range(size):
            dh[j] += d[j]


@jit(apart=True)
def lstm_backward(m, grad_output, gates, g, saved_c, saved_tanh, at, grad_h, grad_c, s, grad_gates, size):
    """do = dh tanh(c), dc += dh o (1 - tanh(c)^2), di = dc g, df = dc c_prev, dg = dc i, each times the derivative of
    its activation; dc_prev = dc f, and of dh nothing is left but what comes through the product."""
    one = gates.dtype.type(1)
    zero = gates.dtype.type(0)
    for b in range(m):
        begin = g + b * 4 * size
        i, f = gates[begin : begin + size], gates[begin + size : begin + 2 * size]
        n, o = gates[begin + 2 * size : begin + 3 * size], gates[begin + 3 * size : begin + 4 * size]
        d_i, d_f = grad_gates[begin : begin + size], grad_gates[begin + size : begin + 2 * size]
        d_n, d_o = grad_gates[begin + 2 * size : begin + 3 * size], grad_gates[begin + 3 * size : begin + 4 * size]
        dh, dc = grad_h[s + b * size : s + (b + 1) * size], grad_c[s + b * size : s + (b + 1) * size]
        begin = at + b * size
        before, t = saved_c[begin : begin + size], saved_tanh[begin : begin + size]
        _add_output(grad_output, begin, dh, size)
        for j in range(size):
            d_o[j] = dh[j] * t[j] * o[j] * (one - o[j])
        for j in range(size):
            dc[j] += dh[j] * o[j] * (one - t[j] * t[j])
        for j in range(size):
            d_f[j] = dc[j] * before[j] * f[j] * (one - f[j])
        for j in range(size):
            d_i[j] = dc[j] * n[j] * i[j] * (one - i[j])
        for j in range(size):
            d_n[j] = dc[j] * i[j] * (one - n[j] * n[j])
        for j in range(size):
            dc[j] *= f[j]
        for j in range(size):
            dh[j] = zero


@jit(apart=True)
def gru_backward(m, grad_output, gates, g, saved_h, saved_y, at, grad_h, s, grad_gates, grad_recurrent, size):
    """dn = dh (1 - z), dz = dh (h_prev - n), dr = dn y_n, each times the derivative of its activation; dy_n = dn r,
    and dh z is the part of dh that does not come through the product."""
    one = gates.dtype.type(1)
    for b in range(m):
        begin = g + b * 3 * size
        r, z = gates[begin : begin + size], gates[begin + size : begin + 2 * size]
        n = gates[begin + 2 * size : begin + 3 * size]
        d_r, d_z = grad_gates[begin : begin + size], grad_gates[begin + size : begin + 2 * size]
        d_n = grad_gates[begin + 2 * size : begin + 3 * size]
        y_rz = grad_recurrent[begin : begin + 2 * size]
        y_n = grad_recurrent[begin + 2 * size : begin + 3 * size]
        d_rz = grad_gates[begin : begin + 2 * size]
        dh = grad_h[s + b * size : s + (b + 1) * size]
        begin = at + b * size
        before, y = saved_h[begin : begin + size], saved_y[begin : begin + size]
        _add_output(grad_output, begin, dh, size)
        for j in range(size):
            d_n[j] = dh[j] * (one - z[j]) * (one - n[j] * n[j])
        for j in range(size):
            d_z[j] = dh[j] * (before[j] - n[j]) * z[j] * (one - z[j])
        for j in range(size):
            d_r[j] = d_n[j] * y[j] * r[j] * (one - r[j])
        for j in range(2 * size):
            y_rz[j] = d_rz[j]
        for j in range(size):
            y_n[j] = d_n[j] * r[j]
        for j in range(size):
            dh[j] *= z[j]


@jit(apart=True)
def rnn_backward_gate(relu, m, grad_output, gates, g, grad_h, s, grad_gates, size):
    """dx = dh (1 - h^2), or dh where h > 0."""
    one = gates.dtype.type(1)
    zero = gates.dtype.type(0)
    for b in range(m):
        begin = g + b * size
        y, d = gates[begin : begin + size], grad_gates[begin : begin + size]
        dh = grad_h[s + b * size : s + (b + 1) * size]
        _add_output(grad_output, begin, dh, size)
        if relu:
            for j in range(size):
                d[j] = dh[j] if y[j] > zero else zero
        else:
            for j in range(size):
                d[j] = dh[j] * (one - y[j] * y[j])
        for j in range(size):
            dh[j] = zero
