"""numtorch.nn against torch.nn: construction, parameters drawn, printing, state, outputs and gradients."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import numtorch  # noqa: E402


def f(*size):
    """A float32 input of this size."""
    return ("float", size)


def i(high, *size):
    """An int64 input of this size below `high`."""
    return ("int", high, size)


# One line a case: the constructor as it is written, and its inputs.
CASES = [
    ("Linear(4, 3)", f(5, 4)),
    ("Linear(4, 3, bias=False)", f(2, 5, 4)),
    ("Bilinear(3, 4, 2)", f(5, 3), f(5, 4)),
    ("Identity(54, unused=1)", f(2)),
    ("Conv1d(3, 6, 3)", f(2, 3, 9)),
    ("Conv1d(3, 6, 3, padding=2, padding_mode='circular')", f(2, 3, 9)),
    ("Conv2d(3, 6, 5)", f(2, 3, 9, 9)),
    ("Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(1, 2), dilation=2, groups=2, bias=False)", f(2, 4, 12, 13)),
    ("Conv2d(3, 4, 3, padding='same')", f(2, 3, 5, 5)),
    ("Conv2d(3, 4, 3, padding=1, padding_mode='reflect')", f(2, 3, 5, 5)),
    ("Conv3d(2, 3, 2)", f(1, 2, 4, 4, 4)),
    ("ConvTranspose1d(3, 4, 3, stride=2)", f(2, 3, 5)),
    ("ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2)", f(2, 4, 5, 5)),
    ("ConvTranspose3d(2, 3, 2)", f(1, 2, 3, 3, 3)),
    ("MaxPool1d(2)", f(2, 3, 8)),
    ("MaxPool2d(3, 2, 1)", f(2, 3, 8, 8)),
    ("MaxPool2d(2, return_indices=True)", f(2, 3, 8, 8)),
    ("MaxPool3d(2)", f(1, 2, 4, 4, 4)),
    ("AvgPool1d(2)", f(2, 3, 8)),
    ("AvgPool2d(3, 2, 1, count_include_pad=False)", f(2, 3, 8, 8)),
    ("AvgPool3d(2)", f(1, 2, 4, 4, 4)),
    ("LPPool1d(2, 3)", f(2, 3, 8)),
    ("LPPool2d(1.2, (3, 2), stride=2)", f(2, 3, 8, 8)),
    ("AdaptiveAvgPool1d(3)", f(2, 3, 8)),
    ("AdaptiveAvgPool2d((5, None))", f(2, 3, 8, 9)),
    ("AdaptiveAvgPool3d(2)", f(1, 2, 4, 5, 4)),
    ("AdaptiveMaxPool1d(3)", f(2, 3, 8)),
    ("AdaptiveMaxPool2d(3, return_indices=True)", f(2, 3, 8, 9)),
    ("AdaptiveMaxPool3d(2)", f(1, 2, 4, 5, 4)),
    ("BatchNorm1d(4)", f(6, 4)),
    ("BatchNorm1d(4, momentum=None)", f(3, 4, 5)),
    ("BatchNorm2d(3, eps=1e-3, affine=False)", f(2, 3, 4, 4)),
    ("BatchNorm2d(3, track_running_stats=False)", f(2, 3, 4, 4)),
    ("BatchNorm2d(3, bias=False)", f(2, 3, 4, 4)),
    ("BatchNorm3d(2)", f(2, 2, 3, 3, 3)),
    ("InstanceNorm1d(3)", f(2, 3, 6)),
    ("InstanceNorm2d(3, affine=True, track_running_stats=True)", f(2, 3, 4, 4)),
    ("InstanceNorm3d(2)", f(2, 2, 3, 3, 3)),
    ("LayerNorm(6)", f(2, 5, 6)),
    ("LayerNorm((5, 6), bias=False)", f(2, 5, 6)),
    ("LayerNorm(6, elementwise_affine=False)", f(2, 5, 6)),
    ("GroupNorm(2, 6)", f(2, 6, 4)),
    ("GroupNorm(3, 6, affine=False)", f(2, 6, 4, 3)),
    ("RMSNorm(6)", f(2, 5, 6)),
    ("RMSNorm((5, 6), eps=1e-3)", f(2, 5, 6)),
    ("LocalResponseNorm(3)", f(2, 5, 4, 4)),
    ("CrossMapLRN2d(3)", f(2, 5, 4, 4)),
    ("Dropout(0.3)", f(8, 9)),
    ("Dropout(0.0)", f(8, 9)),
    ("Dropout1d(0.4)", f(4, 6, 5)),
    ("Dropout2d(0.4)", f(4, 6, 5, 5)),
    ("Dropout3d(0.4)", f(2, 6, 3, 3, 3)),
    ("AlphaDropout(0.3)", f(8, 9)),
    ("FeatureAlphaDropout(0.3)", f(4, 6, 5)),
    ("Embedding(7, 3)", i(7, 4, 5)),
    ("Embedding(7, 3, padding_idx=-2)", i(7, 4, 5)),
    ("Embedding(7, 3, max_norm=1.0, scale_grad_by_freq=True)", i(7, 4, 5)),
    ("EmbeddingBag(7, 3)", i(7, 4, 5)),
    ("EmbeddingBag(7, 3, mode='sum', padding_idx=1)", i(7, 4, 5)),
    ("EmbeddingBag(7, 3, mode='max')", i(7, 4, 5)),
    ("ReLU()", f(3, 4)),
    ("ReLU6()", f(3, 4)),
    ("ELU(0.5)", f(3, 4)),
    ("CELU(0.5)", f(3, 4)),
    ("SELU()", f(3, 4)),
    ("GELU()", f(3, 4)),
    ("GELU('tanh')", f(3, 4)),
    ("SiLU()", f(3, 4)),
    ("Mish()", f(3, 4)),
    ("Sigmoid()", f(3, 4)),
    ("Tanh()", f(3, 4)),
    ("Hardtanh(-0.5, 0.7)", f(3, 4)),
    ("Hardsigmoid()", f(3, 4)),
    ("Hardswish()", f(3, 4)),
    ("Hardshrink(0.3)", f(3, 4)),
    ("Softshrink(0.3)", f(3, 4)),
    ("Softplus(2, 1.0)", f(3, 4)),
    ("Softsign()", f(3, 4)),
    ("Tanhshrink()", f(3, 4)),
    ("LogSigmoid()", f(3, 4)),
    ("LeakyReLU(0.2)", f(3, 4)),
    ("PReLU()", f(3, 4)),
    ("PReLU(4, 0.1)", f(3, 4)),
    ("RReLU()", f(3, 40)),
    ("Threshold(0.1, 20)", f(3, 4)),
    ("GLU()", f(3, 4)),
    ("Softmax(1)", f(3, 4)),
    ("Softmin(1)", f(3, 4)),
    ("LogSoftmax(dim=0)", f(3, 4)),
    ("Softmax2d()", f(2, 3, 4, 4)),
    ("L1Loss()", f(3, 4), f(3, 4)),
    ("MSELoss(reduction='sum')", f(3, 4), f(3, 4)),
    ("SmoothL1Loss(beta=0.5)", f(3, 4), f(3, 4)),
    ("HuberLoss(delta=0.5)", f(3, 4), f(3, 4)),
    ("CrossEntropyLoss()", f(5, 4), i(4, 5)),
    ("CrossEntropyLoss(label_smoothing=0.1, reduction='none')", f(5, 4), i(4, 5)),
    ("NLLLoss(ignore_index=1)", f(5, 4), i(4, 5)),
    ("PoissonNLLLoss()", f(3, 4), f(3, 4)),
    ("BCEWithLogitsLoss()", f(3, 4), f(3, 4)),
    ("KLDivLoss(reduction='batchmean', log_target=True)", f(3, 4), f(3, 4)),
    ("HingeEmbeddingLoss()", f(3, 4), f(3, 4)),
    ("SoftMarginLoss()", f(3, 4), f(3, 4)),
    ("MultiMarginLoss()", f(3, 4), i(4, 3)),
    ("MultiLabelSoftMarginLoss()", f(3, 4), f(3, 4)),
    ("TripletMarginLoss()", f(3, 4), f(3, 4), f(3, 4)),
    ("TripletMarginWithDistanceLoss()", f(3, 4), f(3, 4), f(3, 4)),
    ("AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10])", f(6, 8), i(20, 6)),
    ("ZeroPad1d(2)", f(2, 3, 4)),
    ("ZeroPad2d((1, 2, 0, 1))", f(2, 3, 4, 4)),
    ("ZeroPad3d(1)", f(1, 2, 3, 3, 3)),
    ("ConstantPad1d(2, 3.5)", f(2, 3, 4)),
    ("ReflectionPad1d(2)", f(2, 3, 4)),
    ("ReflectionPad2d(1)", f(2, 3, 4, 4)),
    ("ReplicationPad2d(2)", f(2, 3, 4, 4)),
    ("ReplicationPad3d(1)", f(1, 2, 3, 3, 3)),
    ("CircularPad2d((1, 1, 2, 0))", f(2, 3, 4, 4)),
    ("Flatten()", f(2, 3, 4)),
    ("Unflatten(1, (2, 3))", f(2, 6, 4)),
    ("Upsample(scale_factor=2)", f(2, 3, 4, 4)),
    ("Upsample(size=(5, 7), mode='bilinear')", f(2, 3, 4, 4)),
    ("UpsamplingBilinear2d(scale_factor=2)", f(2, 3, 4, 4)),
    ("UpsamplingNearest2d(size=(8, 8))", f(2, 3, 4, 4)),
    ("PixelShuffle(2)", f(2, 8, 3, 4)),
    ("PixelUnshuffle(2)", f(2, 3, 4, 6)),
    ("ChannelShuffle(2)", f(2, 6, 3)),
    ("Fold((4, 5), (2, 2))", f(2, 12, 12)),
    ("Unfold((2, 3), padding=1)", f(2, 3, 4, 5)),
    ("CosineSimilarity()", f(3, 4), f(3, 4)),
    ("PairwiseDistance(keepdim=True)", f(3, 4), f(3, 4)),
    ("RNN(4, 3)", f(5, 2, 4)),
    ("RNN(4, 3, 2, nonlinearity='relu', bidirectional=True)", f(5, 2, 4)),
    ("GRU(4, 3, num_layers=2, batch_first=True)", f(2, 5, 4)),
    ("GRU(4, 3, bias=False, bidirectional=True)", f(5, 2, 4)),
    ("LSTM(4, 3)", f(5, 2, 4)),
    ("LSTM(4, 3, 2, batch_first=True, bidirectional=True)", f(2, 5, 4)),
    ("LSTM(4, 3, proj_size=2)", f(5, 2, 4)),
    ("LSTM(4, 3)", f(5, 4)),
    ("RNNCell(4, 3)", f(2, 4), f(2, 3)),
    ("RNNCell(4, 3, nonlinearity='relu', bias=False)", f(2, 4)),
    ("GRUCell(4, 3)", f(2, 4)),
    ("LSTMCell(4, 3)", f(2, 4)),
    ("MultiheadAttention(8, 2)", f(5, 2, 8), f(6, 2, 8), f(6, 2, 8)),
    ("MultiheadAttention(8, 2, kdim=4, vdim=6, add_bias_kv=True)", f(5, 2, 8), f(6, 2, 4), f(6, 2, 6)),
    ("MultiheadAttention(8, 2, batch_first=True, add_zero_attn=True)", f(2, 5, 8), f(2, 6, 8), f(2, 6, 8)),
    ("TransformerEncoderLayer(8, 2, 16, dropout=0.0)", f(5, 2, 8)),
    ("TransformerEncoderLayer(8, 2, 16, 0.0, 'gelu', norm_first=True, batch_first=True)", f(2, 5, 8)),
    ("TransformerDecoderLayer(8, 2, 16, dropout=0.0)", f(5, 2, 8), f(6, 2, 8)),
    ("Transformer(8, 2, 2, 2, 16, 0.0)", f(5, 2, 8), f(6, 2, 8)),
]


def _net(nn):
    """Two layers of most kinds of a small network, in one Sequential."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
        nn.ReLU(),
        nn.Linear(10, 3),
    )


def _both(text):
    """The module built in both libraries from the same seed."""
    built = []
    for lib in (torch, numtorch):
        lib.manual_seed(1234)
        built.append(eval(f"nn.{text}", {"nn": lib.nn}))
    return built


def _array(t):
    return t.detach().numpy()


def _flat(out):
    """The tensors of an output, in order."""
    if isinstance(out, (tuple, list)):
        return [t for o in out for t in _flat(o)]
    return [] if out is None else [out]


def _inputs(specs):
    rng = np.random.default_rng(7)
    for spec in specs:
        if spec[0] == "float":
            yield rng.standard_normal(spec[1]).astype(np.float32)
        else:
            yield rng.integers(0, spec[1], spec[2])


def _close(ours, reference, what):
    reference = _array(reference)
    ours = _array(ours)
    assert ours.dtype == reference.dtype, what
    # Two float32 results: in the Transformer each of them is up to 2.4e-6 away from the one in float64.
    np.testing.assert_allclose(ours, reference, rtol=2e-5, atol=4e-6, err_msg=what)


@pytest.mark.parametrize("text", [c[0] for c in CASES])
def test_parameters_are_drawn_as_torch_draws_them(text):
    theirs, ours = _both(text)
    draws = []
    for lib in (torch, numtorch):
        lib.manual_seed(1234)
        eval(f"nn.{text}", {"nn": lib.nn})
        draws.append(lib.rand(1).item())
    assert draws[0] == draws[1], "as many numbers must be drawn"
    expected, got = theirs.state_dict(), ours.state_dict()
    assert list(got) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(_array(got[name]), _array(expected[name]), err_msg=name)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


@pytest.mark.parametrize("text", [c[0] for c in CASES])
def test_printed_as_torch_prints_it(text):
    theirs, ours = _both(text)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_outputs_and_gradients(case, training):
    text, *specs = case
    results = []
    for lib, module in zip((torch, numtorch), _both(text), strict=True):
        module.train(training)
        lib.manual_seed(5)
        inputs = [lib.from_numpy(a.copy()) for a in _inputs(specs)]
        for t in inputs[:1] if "Loss" in text else inputs:  # targets have no gradient
            if t.is_floating_point():
                t.requires_grad_()
        outputs = _flat(module(*inputs))
        rng = np.random.default_rng(3)
        for o in outputs:
            weights = lib.from_numpy(np.asarray(rng.standard_normal(tuple(o.shape)), dtype=np.float32))
            if o.requires_grad:
                (o * weights).sum().backward(retain_graph=True)
        results.append((module, inputs, outputs))
    (theirs, inputs, outputs), (ours, our_inputs, our_outputs) = results
    assert len(our_outputs) == len(outputs)
    for k, (a, b) in enumerate(zip(our_outputs, outputs, strict=True)):
        _close(a, b, f"output {k}")
        assert a.requires_grad == b.requires_grad
    for k, (a, b) in enumerate(zip(our_inputs, inputs, strict=True)):
        assert (a.grad is None) == (b.grad is None)
        if b.grad is not None:
            _close(a.grad, b.grad, f"gradient of input {k}")
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        if b.grad is not None:
            _close(a.grad, b.grad, f"gradient of {name}")
    for (name, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        _close(a, b, name)


def _signature(obj):
    parameters = inspect.signature(obj).parameters.values()
    return [
        (p.name, p.kind) + ((p.default,) if isinstance(p.default, (int, str, type(None))) else ()) for p in parameters
    ]


@pytest.mark.parametrize("name", sorted({c[0].partition("(")[0] for c in CASES}))
def test_constructors_take_the_same_arguments(name):
    theirs, ours = getattr(torch.nn, name), getattr(numtorch.nn, name)
    assert _signature(ours.__init__) == _signature(theirs.__init__)


def test_a_network_prints_and_names_its_state_as_in_torch():
    theirs, ours = _net(torch.nn), _net(numtorch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata
