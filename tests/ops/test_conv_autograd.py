"""Convolutions as users call them: nodes, second derivatives, unbatched and strided inputs, halves."""

import numpy as np
import pytest

import numtorch as torch
from numtorch.autograd import grad, gradcheck, gradgradcheck


def random(*shape, dtype=torch.float64, requires_grad=True):
    values = np.random.default_rng(sum(shape)).standard_normal(shape)
    return torch.tensor(values, dtype=dtype, requires_grad=requires_grad)


SAMPLES = {
    "stride, padding and groups": (torch.conv2d, (2, 4, 5, 4), (4, 2, 3, 2), (2, 1), 1, 1, 2),
    "dilation": (torch.conv1d, (2, 2, 7), (3, 2, 2), 1, 0, 3),
    "same": (torch.conv2d, (1, 2, 3, 4), (2, 2, 2, 3), 1, "same", (1, 2)),
    "rows that no window reaches": (torch.conv2d, (1, 1, 6, 6), (1, 1, 2, 2), 4),
    "three dimensions": (torch.conv3d, (1, 1, 3, 3, 2), (2, 1, 2, 2, 2), 1, (1, 0, 0)),
    "transposed": (torch.conv_transpose2d, (1, 2, 2, 3), (2, 2, 3, 2), 2, 1, 1),
    "more output padding than stride": (torch.conv_transpose1d, (1, 2, 3), (2, 1, 2), 1, 0, 2, 1, 3),
    "transposed in groups": (torch.conv_transpose1d, (2, 4, 3), (4, 2, 2), 3, 0, 0, 2),
}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_derivatives_of_input_weight_and_bias(sample):
    function, x, w, *options = sample
    tensors = random(*x), random(*w)
    outputs = function(*tensors, None, *options).shape[1]
    inputs = (*tensors, random(outputs))
    assert gradcheck(lambda *t: function(*t, *options), inputs)
    assert gradgradcheck(lambda *t: function(*t, *options), inputs)


def test_nodes_have_torchs_names():
    x, w = random(2, 3, 6, 6), random(4, 3, 3, 3)
    assert torch.conv2d(x, w).grad_fn.name() == "ConvolutionBackward0"
    assert torch.conv2d(x[0], w).grad_fn.name() == "SqueezeBackward1"
    assert torch.conv_transpose2d(x, random(3, 4, 2, 2)).grad_fn.name() == "ConvolutionBackward0"


def test_only_needed_gradients_are_computed():
    x, w = random(2, 3, 6, 6, requires_grad=False), random(4, 3, 3, 3)
    y = torch.conv2d(x, w)
    (by_weight,) = grad(y.sum(), w)
    assert by_weight.shape == w.shape
    assert y.grad_fn.next_functions[0][0] is None


def test_an_unbatched_input_is_a_batch_of_one():
    x, w, b = random(3, 7, 6), random(4, 3, 3, 3), random(4)
    assert torch.equal(torch.conv2d(x, w, b), torch.conv2d(x.unsqueeze(0), w, b)[0])


def test_strided_inputs_and_expanded_gradients():
    x, w = random(2, 6, 6, 3), random(4, 3, 3, 3)
    y = torch.conv2d(x.permute(0, 3, 1, 2), w)
    assert torch.equal(y, torch.conv2d(x.permute(0, 3, 1, 2).contiguous(), w))
    y.sum().backward()
    assert x.grad.shape == x.shape and w.grad.shape == w.shape


@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
def test_halves_are_computed_in_single_precision(dtype):
    dtype = getattr(torch, dtype)
    x, w = random(2, 3, 6, 6, dtype=dtype), random(4, 3, 3, 3, dtype=dtype)
    y = torch.conv2d(x, w)
    expected = torch.conv2d(x.float(), w.float())
    assert y.dtype == dtype
    assert torch.equal(y, expected.to(dtype))
    y.sum().backward()
    assert x.grad.dtype == w.grad.dtype == dtype


def test_no_images():
    x, w, b = random(0, 3, 6, 6), random(4, 3, 3, 3), random(4)
    y = torch.conv2d(x, w, b)
    assert y.shape == (0, 4, 4, 4)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert not w.grad.any() and not b.grad.any()


def test_inputs_are_left_alone():
    x, w = random(2, 3, 8, 8, requires_grad=False), random(4, 3, 3, 3, requires_grad=False)
    before = x.clone(), w.clone()
    torch.conv2d(x, w, padding=1)
    assert torch.equal(x, before[0]) and torch.equal(w, before[1])
