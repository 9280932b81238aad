"""kernels/cpu/rnn.py against cells written out in numpy, and its gradients against central differences."""

import numpy as np
import pytest

from numtorch.kernels.cpu import rnn, rnn_product
from numtorch.kernels.cpu.rnn import GATES, GRU, LSTM, RNN_RELU, RNN_TANH

MODES = [LSTM, GRU, RNN_TANH, RNN_RELU]
NAMES = ["lstm", "gru", "rnn_tanh", "rnn_relu"]
TOLERANCE = {"f4": 2e-6, "f8": 1e-14}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell(mode, x, y, h, c):
    if mode == LSTM:
        i, f, g, o = np.split(x + y, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if mode == GRU:
        (xr, xz, xn), (yr, yz, yn) = np.split(x, 3, -1), np.split(y, 3, -1)
        z = sigmoid(xz + yz)
        return (1 - z) * np.tanh(xn + sigmoid(xr + yr) * yn) + z * h, c
    return (np.tanh(x + y) if mode == RNN_TANH else np.maximum(x + y, 0)), c


def reference(mode, sizes, reverse, x, w_ih, w_hh, b_ih, b_hh, h, c):
    """(output (N, H), h, c), written one step at a time."""
    h, c = h.copy(), c.copy()
    output = np.zeros((sum(sizes), h.shape[1]), h.dtype)
    starts = np.cumsum([0, *sizes])
    gates = x @ w_ih.T + b_ih
    for t in reversed(range(len(sizes))) if reverse else range(len(sizes)):
        n, rows = sizes[t], slice(starts[t], starts[t + 1])
        state_c = c[:n] if mode == LSTM else None
        h[:n], new_c = cell(mode, gates[rows], h[:n] @ w_hh.T + b_hh, h[:n], state_c)
        if mode == LSTM:
            c[:n] = new_c
        output[rows] = h[:n]
    return output, h, c


def arguments(mode, sizes, size, dtype="f8", seed=0, inputs=2):
    rng = np.random.default_rng(seed)
    total, batch = GATES[mode] * size, max(sizes)
    state_c = (batch if mode == LSTM else 0, size)
    shapes = [(sum(sizes), inputs), (total, inputs), (total, size), (total,), (total,), (batch, size), state_c]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def forward(mode, sizes, reverse, x, w_ih, w_hh, b_ih, b_hh, h, c, save=True):
    """Run the kernel on copies: (output, h, c, buffers for the backward pass)."""
    size, dtype = h.shape[1], x.dtype
    rows = len(x)
    empty = np.empty(0, dtype)
    given = [array.flatten() for array in (x, w_ih, w_hh, b_ih, b_hh, h, c)]
    h, c = np.empty_like(given[-2]), np.empty_like(given[-1])
    output = np.full(rows * size, 7, dtype)
    gates = np.full(rows * GATES[mode] * size, np.nan, dtype) if save else empty
    saved = [np.full(rows * size, np.nan, dtype) if save else empty for _ in range(3)]
    rnn.rnn_forward(mode, np.array(sizes), reverse, *given, h, c, output, gates, *saved, x.shape[1], size)
    return output.reshape(rows, -1), h.reshape(-1, size), c.reshape(-1, size), (gates, *saved)


@pytest.fixture(params=["one part", "three parts"])
def path(request, monkeypatch):
    monkeypatch.setattr(rnn_product, "PARALLEL", 10**18 if request.param == "one part" else 0)
    monkeypatch.setattr(rnn_product, "get_num_threads", lambda: 3)


SEQUENCES = [[2, 2, 2], [1], [3, 3, 2, 1, 1], [1] * 9]


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
@pytest.mark.parametrize("sizes", SEQUENCES, ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("size", [1, 5, 19])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_values(path, mode, sizes, reverse, size, dtype):
    given = arguments(mode, sizes, size, dtype)
    *got, _ = forward(mode, sizes, reverse, *given)
    want = reference(mode, sizes, reverse, *(x.astype("f8") for x in given))
    for g, w in zip(got, want, strict=True):
        assert g.dtype == np.dtype(dtype)
        scale = max(1.0, np.abs(w).max(initial=0))
        assert np.abs(g - w).max(initial=0) <= TOLERANCE[dtype] * size * len(sizes) * scale


# Batches of more than two tiles of rows, hidden sizes of several panels of columns and a rest of each.
LARGE = [[21, 21, 21], [17, 9, 4, 1], [2, 2, 1]]


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
@pytest.mark.parametrize("sizes", LARGE, ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("size", [48, 67])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_values_over_tiles_and_panels(path, mode, sizes, reverse, size, dtype):
    given = arguments(mode, sizes, size, dtype, inputs=33)
    given = [x / 6 for x in given]
    *got, _ = forward(mode, sizes, reverse, *given)
    want = reference(mode, sizes, reverse, *(x.astype("f8") for x in given))
    for g, w in zip(got, want, strict=True):
        scale = max(1.0, np.abs(w).max(initial=0))
        assert np.abs(g - w).max(initial=0) <= TOLERANCE[dtype] * 20 * scale


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_number_of_parts_changes_no_bit(mode, dtype, monkeypatch):
    given = [x / 6 for x in arguments(mode, [21] * 5, 67, dtype, inputs=33)]
    results = []
    for limit in (10**18, 0):
        monkeypatch.setattr(rnn_product, "PARALLEL", limit)
        monkeypatch.setattr(rnn_product, "get_num_threads", lambda: 5)
        *outputs, kept = forward(mode, [21] * 5, False, *given)
        results.append([*outputs, *kept])
    for one, many in zip(*results, strict=True):
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_gradients_in_parts_are_those_in_one(mode, monkeypatch):
    sizes, size = [21, 21, 13, 2], 67
    x, w_ih, w_hh, *rest = given = [array / 6 for array in arguments(mode, sizes, size, inputs=33)]
    rng = np.random.default_rng(1)
    d_output, d_h, d_c = (rng.standard_normal(shape) for shape in ((sum(sizes), size), rest[2].shape, rest[3].shape))
    results = []
    for limit in (10**18, 0):
        monkeypatch.setattr(rnn_product, "PARALLEL", limit)
        monkeypatch.setattr(rnn_product, "get_num_threads", lambda: 5)
        gates, *saved = forward(mode, sizes, False, *given)[3]
        grad_h, grad_c = d_h.flatten(), d_c.flatten()
        sources = [array.reshape(-1) for array in (w_hh, x, w_ih)]
        found = rnn.rnn_backward(
            mode, np.array(sizes), False, d_output.reshape(-1), gates, sources[0], *saved, grad_h, grad_c,
            *sources[1:], 33, size, (True,) * 5,
        )  # fmt: skip
        results.append([*found, grad_h, grad_c])
    for one, many in zip(*results, strict=True):
        np.testing.assert_allclose(one, many, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_without_bias_and_saved_buffers_the_values_are_the_same(path, mode):
    x, w_ih, w_hh, bias, _, h, c = arguments(mode, [2, 2], 4)
    none = np.empty(0)
    got = forward(mode, [2, 2], False, x, w_ih, w_hh, none, none, h, c, save=False)
    want = reference(mode, [2, 2], False, x, w_ih, w_hh, 0 * bias, 0 * bias, h, c)
    for g, w in zip(got, want, strict=False):
        np.testing.assert_allclose(g, w, rtol=1e-13)


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
@pytest.mark.parametrize("sizes", SEQUENCES, ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("with_output", [True, False], ids=["output", "last state only"])
def test_gradients(path, mode, sizes, reverse, with_output):
    size = 3
    given = arguments(mode, sizes, size)
    x, _, weight, *_, h, c = given
    rng = np.random.default_rng(1)
    d_output = rng.standard_normal((sum(sizes), size)) * with_output
    d_h, d_c = rng.standard_normal(h.shape), rng.standard_normal(c.shape)

    def loss(*changed):
        output, last_h, last_c = reference(mode, sizes, reverse, *changed)
        return (output * d_output).sum() + (last_h * d_h).sum() + (last_c * d_c).sum()

    gates, saved_h, saved_c, saved_tanh = forward(mode, sizes, reverse, *given)[3]
    grad_h, grad_c = d_h.flatten(), d_c.flatten()
    flat = [array.reshape(-1) for array in (weight, x, given[1])]
    got = rnn.rnn_backward(
        mode,
        np.array(sizes),
        reverse,
        d_output.reshape(-1) if with_output else np.empty(0),
        gates,
        flat[0],
        saved_h,
        saved_c,
        saved_tanh,
        grad_h,
        grad_c,
        *flat[1:],
        x.shape[1],
        size,
        (True,) * 5,
    )
    got += [grad_h, grad_c]
    for position, gradient in enumerate(got):
        want = central_differences(loss, given, position)
        np.testing.assert_allclose(gradient.reshape(-1), want, rtol=1e-6, atol=1e-8)


def central_differences(loss, arguments, position, step=1e-5):
    x = arguments[position]
    gradient = np.zeros(x.size)
    for i in range(x.size):
        ends = []
        for sign in (1, -1):
            moved = x.flatten()
            moved[i] += sign * step
            changed = [*arguments[:position], moved.reshape(x.shape), *arguments[position + 1 :]]
            ends.append(loss(*changed))
        gradient[i] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def test_relu_keeps_nan(path):
    x, w_ih, w_hh, b_ih, *rest = arguments(RNN_RELU, [1], 2)
    b_ih[0] = np.nan
    output = forward(RNN_RELU, [1], False, x, w_ih, w_hh, b_ih, *rest)[0]
    assert np.isnan(output[0, 0]) and not np.isnan(output[0, 1])
