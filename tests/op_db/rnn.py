"""Recurrent layers and cells, against steps written out in numpy."""

import numpy as np

from . import Op, Sample


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _step(kind, x, h, c, w_ih, w_hh, b_ih=None, b_hh=None):
    """(h, c) after one step of a cell."""
    x = x @ w_ih.T + (0 if b_ih is None else b_ih)
    y = h @ w_hh.T + (0 if b_hh is None else b_hh)
    if kind == "lstm":
        i, f, g, o = np.split(x + y, 4, -1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(c), c
    if kind == "gru":
        (x_r, x_z, x_n), (y_r, y_z, y_n) = np.split(x, 3, -1), np.split(y, 3, -1)
        z = _sigmoid(x_z + y_z)
        return (1 - z) * np.tanh(x_n + _sigmoid(x_r + y_r) * y_n) + z * h, c
    return (np.tanh(x + y) if kind == "rnn_tanh" else np.maximum(x + y, 0)), c


def _reference(kind):
    def run(x, hx, params, biases, layers, dropout, train, bidirectional, batch_first):
        h0, c0 = hx if kind == "lstm" else (hx, np.zeros_like(hx))
        x = x.swapaxes(0, 1) if batch_first else x
        each, directions = 4 if biases else 2, 2 if bidirectional else 1
        per_direction = each + (len(params) > each * layers * directions)
        last_h, last_c = [], []
        for layer in range(layers):
            outputs = []
            for d in range(directions):
                k = layer * directions + d
                weights = params[k * per_direction : (k + 1) * per_direction]
                projection = weights[each:]
                h, c, steps = h0[k], c0[k], []
                for row in x[::-1] if d else x:
                    h, c = _step(kind, row, h, c, *weights[:each])
                    h = h @ projection[0].T if projection else h
                    steps.append(h)
                outputs.append(np.stack(steps[::-1] if d else steps))
                last_h.append(h)
                last_c.append(c)
            x = np.concatenate(outputs, -1)
        x = x.swapaxes(0, 1) if batch_first else x
        return (x, np.stack(last_h), np.stack(last_c)) if kind == "lstm" else (x, np.stack(last_h))

    return run


def _cell_reference(kind):
    def run(x, hx, *weights):
        h, c = hx if kind == "lstm" else (hx, None)
        h, c = _step(kind, x, h, c, *weights)
        return (h, c) if kind == "lstm" else h

    return run


GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def _layers(kind):
    gates = GATES[kind]

    def call(make, steps, batch, inputs, size, *, layers=1, biases=True, both=False, batch_first=False, proj=0):
        directions, out = 2 if both else 1, proj or size
        params = []
        for layer in range(layers):
            for _ in range(directions):
                width = inputs if layer == 0 else out * directions
                params += [make(gates * size, width), make(gates * size, out)]
                params += [make(gates * size), make(gates * size)] if biases else []
                params += [make(proj, size)] if proj else []
        h = make(layers * directions, batch, out)
        hx = (h, make(layers * directions, batch, size)) if kind == "lstm" else h
        x = make(*((batch, steps) if batch_first else (steps, batch)), inputs)
        return Sample(x, hx, params, biases, layers, 0.0, False, both, batch_first)

    def samples(make):
        made = [
            call(make, 2, 1, 1, 1, biases=False),
            call(make, 3, 2, 2, 1),
            call(make, 1, 3, 4, 5),
            call(make, 4, 3, 5, 7, layers=2, both=True),
            call(make, 4, 2, 3, 6, layers=2, biases=False, batch_first=True),
        ]
        return [*made, call(make, 3, 2, 3, 4, both=True, layers=2, proj=2)] if kind == "lstm" else made

    return samples


def _cells(kind):
    gates = GATES[kind]

    def samples(make):
        made = []
        for batch, inputs, size, biases in ((1, 1, 1, False), (2, 1, 2, True), (3, 4, 17, True), (5, 2, 3, False)):
            hx = make(batch, size)
            hx = (hx, make(batch, size)) if kind == "lstm" else hx
            weights = [make(gates * size, inputs), make(gates * size, size)]
            weights += [make(gates * size), make(gates * size)] if biases else []
            made.append(Sample(make(batch, inputs), hx, *weights))
        return made

    return samples


def _cell_errors(make):
    x, h, c, w_ih, w_hh = make(2, 3), make(2, 4), make(2, 4), make(16, 3), make(16, 4)
    return [
        (Sample(make(2, 5), (h, c), w_ih, w_hh), RuntimeError, "input has inconsistent input_size: got 5 expected 3"),
        (Sample(x, (make(3, 4), c), w_ih, w_hh), RuntimeError, "Input batch size 2 doesn't match hidden0 batch size 3"),
        (Sample(x, (h, make(2, 5)), w_ih, w_hh), RuntimeError, "hidden1 has inconsistent hidden_size: got 5, exp"),
    ]


NODES = {"skip": {"node": "torch builds cells of small operators or calls oneDNN; a layer of ours is one node"}}

OPS = [
    Op("lstm", _layers("lstm"), _reference("lstm"), **NODES),
    Op("gru", _layers("gru"), _reference("gru"), **NODES),
    Op("rnn_tanh", _layers("rnn_tanh"), _reference("rnn_tanh"), **NODES),
    Op("rnn_relu", _layers("rnn_relu"), _reference("rnn_relu"), **NODES),
    Op("lstm_cell", _cells("lstm"), _cell_reference("lstm"), errors=_cell_errors, **NODES),
    Op("gru_cell", _cells("gru"), _cell_reference("gru"), **NODES),
    Op("rnn_tanh_cell", _cells("rnn_tanh"), _cell_reference("rnn_tanh"), **NODES),
    Op("rnn_relu_cell", _cells("rnn_relu"), _cell_reference("rnn_relu"), **NODES),
]
