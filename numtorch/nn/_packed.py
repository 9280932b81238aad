"""Recurrent layers over packed sequences, step by step.

A packed sequence holds, for each time step t, the rows of the batch_sizes[t] sequences that are that long; sequences
are sorted by decreasing length, so step t works on the first batch_sizes[t] rows of the state.
"""

from __future__ import annotations

from typing import Any

import numtorch
from numtorch._tensor import Tensor
from numtorch.ops import rnn as _ops


def run_packed(
    mode: str,
    data: Tensor,
    batch_sizes: list[int],
    hx: Any,
    weights: list[list[Tensor]],
    has_biases: bool,
    dropout: float,
    bidirectional: bool,
) -> tuple[Tensor, Any]:
    """All layers and directions: (output data (sum of batch_sizes, directions H), final state)."""
    state_parts = hx if mode == "LSTM" else (hx,)
    directions = 2 if bidirectional else 1
    final: list[tuple[Tensor, ...]] = []
    for layer in range(len(weights) // directions):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            state = tuple(part[k] for part in state_parts)
            step = _step(mode, weights[k], has_biases)
            run = _backwards if direction else _forwards
            output, last = run(step, data, batch_sizes, state)
            outputs.append(output)
            final.append(last)
        data = outputs[0] if directions == 1 else numtorch.cat(outputs, 1)
        if dropout and layer < len(weights) // directions - 1:
            data = numtorch.nn.functional.dropout(data, dropout, True)
    stacked = tuple(numtorch.stack([f[i] for f in final]) for i in range(len(state_parts)))
    return data, stacked if mode == "LSTM" else stacked[0]


def _step(mode: str, weights: list[Tensor], has_biases: bool):
    """step(x, state) -> state, for one layer and direction."""
    w_ih, w_hh, *rest = weights
    b_ih, b_hh = rest[:2] if has_biases else (None, None)
    projection = rest[2 if has_biases else 0 :]
    if mode == "LSTM":
        if projection:
            w_hr = projection[0]
            return lambda x, state: projected_lstm_cell(x, state, w_ih, w_hh, b_ih, b_hh, w_hr)
        return lambda x, state: _ops.lstm_cell(x, state, w_ih, w_hh, b_ih, b_hh)
    cell = {"GRU": _ops.gru_cell, "RNN_TANH": _ops.rnn_tanh_cell, "RNN_RELU": _ops.rnn_relu_cell}[mode]
    return lambda x, state: (cell(x, state[0], w_ih, w_hh, b_ih, b_hh),)


def projected_lstm_cell(x: Tensor, state, w_ih, w_hh, b_ih, b_hh, w_hr) -> tuple[Tensor, Tensor]:
    """One LSTM step whose h is projected: h' = W_hr (o tanh(c')). x (N, I), h (N, P), c (N, H)."""
    linear = numtorch.nn.functional.linear
    h, c = state
    i, f, g, o = (linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return linear(o.sigmoid() * c.tanh(), w_hr), c


def _forwards(step, data: Tensor, batch_sizes: list[int], state: tuple) -> tuple[Tensor, tuple]:
    outputs, ended = [], []  # ended: states of sequences that are over, the shortest first
    offset = 0
    for size in batch_sizes:
        if size < state[0].size(0):
            ended.append(tuple(s[size:] for s in state))
            state = tuple(s[:size] for s in state)
        state = tuple(step(data[offset : offset + size], state))
        outputs.append(state[0])
        offset += size
    ended.append(state)
    ended.reverse()
    final = tuple(numtorch.cat([e[i] for e in ended], 0) for i in range(len(state)))
    return numtorch.cat(outputs, 0), final


def _backwards(step, data: Tensor, batch_sizes: list[int], initial: tuple) -> tuple[Tensor, tuple]:
    outputs = []
    offset = data.size(0)
    state = tuple(s[:0] for s in initial)
    for size in reversed(batch_sizes):
        active = state[0].size(0)
        if size > active:  # sequences that end here enter with their initial state
            state = tuple(numtorch.cat([s, s0[active:size]], 0) for s, s0 in zip(state, initial, strict=True))
        offset -= size
        state = tuple(step(data[offset : offset + size], state))
        outputs.append(state[0])
    outputs.reverse()
    return numtorch.cat(outputs, 0), state
