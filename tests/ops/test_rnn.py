"""Packed sequences, double backward, dropout and dtypes of recurrent layers; values are in the op table."""

import numpy as np
import pytest

import numtorch as torch
from numtorch.autograd import gradcheck, gradgradcheck
from numtorch.kernels.cpu import rnn as kernels
from numtorch.kernels.cpu import rnn_product
from numtorch.ops import rnn as layers

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def random(*shape, seed):
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, shape))


def arguments(kind, batch, inputs, size, layers=1, directions=1, proj=0, biases=True):
    """(hx, params) of a layer."""
    params, out, gates = [], proj or size, GATES[kind]
    for k in range(layers * directions):
        width = inputs if k < directions else out * directions
        shapes = [(gates * size, width), (gates * size, out)]
        shapes += [(gates * size,), (gates * size,)] if biases else []
        shapes += [(proj, size)] if proj else []
        params += [random(*shape, seed=10 * k + i) for i, shape in enumerate(shapes)]
    h = random(layers * directions, batch, out, seed=100)
    return ((h, random(layers * directions, batch, size, seed=101)) if kind == "lstm" else h), params


@pytest.fixture(params=["one part", "three parts"])
def path(request, monkeypatch):
    monkeypatch.setattr(rnn_product, "PARALLEL", 10**18 if request.param == "one part" else 0)
    monkeypatch.setattr(rnn_product, "get_num_threads", lambda: 3)


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("both", [False, True], ids=["forward", "both directions"])
def test_a_packed_batch_is_its_sequences_one_by_one(path, kind, both):
    lengths, inputs, size = [4, 2, 1], 3, 5
    hx, params = arguments(kind, len(lengths), inputs, size, directions=2 if both else 1)
    sequences = [random(n, inputs, seed=n) for n in lengths]
    sizes = [sum(n > t for n in lengths) for t in range(max(lengths))]
    data = torch.cat([torch.stack([s[t] for s in sequences[:n]]) for t, n in enumerate(sizes)])
    options = (True, 1, 0.0, False, both)
    layer = getattr(torch, kind)
    output, *state = layer(data, torch.tensor(sizes), hx, params, *options)
    starts = np.cumsum([0, *sizes])
    for i, sequence in enumerate(sequences):
        own = tuple(h[:, i : i + 1] for h in hx) if kind == "lstm" else hx[:, i : i + 1]
        want, *want_state = layer(sequence.unsqueeze(1), own, params, *options, False)
        got = torch.stack([output[int(starts[t]) + i] for t in range(len(sequence))])
        np.testing.assert_allclose(got.numpy(), want[:, 0].numpy(), rtol=1e-12, atol=1e-14)
        for a, b in zip(state, want_state, strict=True):
            np.testing.assert_allclose(a[:, i].numpy(), b[:, 0].numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", GATES)
def test_derivatives_of_packed_batches(path, kind):
    hx, params = arguments(kind, 2, 2, 2)
    data, sizes = random(3, 2, seed=0), torch.tensor([2, 1])
    leaves = [data, *(hx if kind == "lstm" else [hx]), *params]
    for leaf in leaves:
        leaf.requires_grad_()
    states = 2 if kind == "lstm" else 1

    def run(data, *rest):
        hx = rest[:states] if kind == "lstm" else rest[0]
        return getattr(torch, kind)(data, sizes, hx, rest[states:], True, 1, 0.0, False, False)

    assert gradcheck(run, leaves) and gradgradcheck(run, leaves)


def test_dropout_falls_between_layers_only_and_only_in_training():
    hx, params = arguments("lstm", 2, 3, 4, layers=2)
    x = random(3, 2, 3, seed=7)
    plain = torch.lstm(x, hx, params, True, 2, 0.0, True, False, False)[0]
    assert torch.lstm(x, hx, params, True, 2, 0.9, False, False, False)[0].equal(plain)
    torch.manual_seed(0)
    dropped = torch.lstm(x, hx, params, True, 2, 0.9, True, False, False)[0]
    assert not dropped.equal(plain) and bool((dropped != 0).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_halves_run_in_float32(dtype):
    hx, params = arguments("lstm", 2, 3, 4)
    x = random(3, 2, 3, seed=7).to(dtype)
    hx, params = tuple(h.to(dtype) for h in hx), [p.to(dtype) for p in params]
    got = torch.lstm(x, hx, params, True, 1, 0.0, False, False, False)
    wide_hx, wide_params = [h.float() for h in hx], [p.float() for p in params]
    want = torch.lstm(x.float(), wide_hx, wide_params, True, 1, 0.0, False, False, False)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == dtype and a.equal(b.to(dtype))


def test_a_cell_in_a_loop_is_the_layer():
    (h, c), params = arguments("lstm", 2, 3, 4)
    x = random(5, 2, 3, seed=7)
    output, last_h, last_c = torch.lstm(x, (h, c), params, True, 1, 0.0, False, False, False)
    state = h[0], c[0]
    for t in range(5):
        state = torch.lstm_cell(x[t], state, *params)
        np.testing.assert_allclose(state[0].numpy(), output[t].numpy(), rtol=1e-12)
    np.testing.assert_allclose(state[1].numpy(), last_c[0].numpy(), rtol=1e-12)


def test_only_what_needs_a_gradient_gets_one():
    (h, c), params = arguments("lstm", 2, 3, 4)
    params[1].requires_grad_()
    torch.lstm(random(2, 2, 3, seed=7), (h, c), params, True, 1, 0.0, False, False, False)[0].sum().backward()
    assert params[1].grad is not None and params[0].grad is None and h.grad is None


def test_arguments_that_do_not_fit_are_refused_before_anything_is_read():
    x, h, params = random(2, 1, 3, seed=0), random(1, 1, 4, seed=1), [random(16, 3, seed=2), random(16, 4, seed=3)]
    rest = (False, 1, 0.0, False, False, False)
    for message, arguments in (
        ("input has 5 features", (random(2, 1, 5, seed=0), (h, h), params)),
        ("expected 2 params", (x, (h, h), params[:1])),
        ("expected hidden state with 1 rows", (x, (random(1, 2, 4, seed=1), h), params)),
        (r"expected w_hh to be \[16, 4\]", (x, (h, h), [params[0], random(16, 5, seed=3)])),
        ("expected w_ih of the input's dtype", (x, (h, h), [params[0].float(), params[1]])),
    ):
        with pytest.raises(RuntimeError, match=message):
            torch.lstm(*arguments, *rest)


REFUSED = [
    ([1, 2], 3, "batch_sizes must be positive and must not rise"),
    ([2, 2], 3, "batch_sizes add up to 4, but data has 3 rows"),
    ([], 0, "batch_sizes must be positive"),
]


@pytest.mark.parametrize(("sizes", "rows", "message"), REFUSED, ids=[str(each[0]) for each in REFUSED])
def test_bad_batch_sizes_are_refused_before_anything_is_read(sizes, rows, message):
    hx, params = arguments("gru", 2, 3, 4)
    with pytest.raises(RuntimeError, match=message):
        data, steps = random(rows, 3, seed=0), torch.tensor(sizes, dtype=torch.int64)
        torch.gru(data, steps, hx, params, True, 1, 0.0, False, False)


@pytest.mark.parametrize("lengths", [[21] * 4, [17, 9, 4, 1], [2, 1]], ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_projected_layer_is_its_steps_written_out(path, lengths, reverse):
    inputs, size, proj = 5, 40, 19
    (h, c), params = arguments("lstm", lengths[0], inputs, size, proj=proj)
    rows = random(sum(lengths), inputs, seed=3)
    sizes = np.array(lengths)
    leaves = [rows, h, c, *params]
    results = []
    for run in (layers._run_projected, layers._layer_by_steps):
        given = [leaf.detach().clone().requires_grad_() for leaf in leaves]
        x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr = given
        if run is layers._layer_by_steps:
            outputs = run(x, h0[0], c0[0], w_ih, w_hh, b_ih, b_hh, w_hr, kernels.LSTM, lengths, reverse)
        else:
            ends = (len(x), proj), (lengths[0], proj), (lengths[0], size)
            outputs = run(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, sizes, reverse, *ends)
        torch.cat([(y * random(*y.shape, seed=9)).reshape(-1) for y in outputs]).sum().backward()
        results.append([*outputs, *(leaf.grad for leaf in given)])
    for ours, steps in zip(*results, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), steps.detach().numpy(), rtol=1e-11, atol=1e-12)
