"""Gradients where a formula has no value of its own: at nan, inf, 0, at ties, and of tensors without elements."""

import math

import numpy as np
import pytest

import numtorch as torch
from numtorch.nn import functional as F

NAN, INF = math.nan, math.inf
VALUES = [NAN, INF, -INF, 0.0, 1.0, -2.0]

GRADIENTS = {
    "abs": (torch.abs, [0, 1, -1, 0, 1, -1]),
    "l1_loss to 0": (lambda x: F.l1_loss(x, torch.zeros_like(x), reduction="sum"), [0, 1, -1, 0, 1, -1]),
    "elu": (F.elu, [1, 1, 0, 1, 1, math.exp(-2)]),
    "celu of alpha 2": (lambda x: F.celu(x, 2.0), [1, 1, 0, 1, 1, math.exp(-1)]),
    "hardswish": (F.hardswish, [1, 1, 0, 0.5, 1 / 3 + 0.5, 0.5 - 2 / 3]),
    "logit": (torch.logit, [NAN, NAN, NAN, INF, INF, NAN]),
    "pow 0": (lambda x: x**0, [0, 0, 0, 0, 0, 0]),
    "pow 0.0": (lambda x: x.pow(0.0), [0, 0, 0, 0, 0, 0]),
    "clamp from nan": (lambda x: x.clamp(NAN, 1.0), [0, 0, 0, 0, 0, 0]),
    "clamp from nan alone": (lambda x: x.clamp(min=NAN), [0, 0, 0, 0, 0, 0]),
    "clamp to nan": (lambda x: x.clamp(0.0, NAN), [0, 0, 0, 0, 0, 0]),
    "norm of order 1": (lambda x: torch.norm(x, 1), [0, 1, -1, 0, 1, -1]),
    "atan2 beside 0": (lambda x: torch.atan2(x, torch.zeros_like(x)), [NAN, 0, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name, dtype):
    fn, expected = GRADIENTS[name]
    x = torch.tensor(VALUES, dtype=dtype, requires_grad=True)
    fn(x).sum().backward()
    assert x.grad.dtype == dtype
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("bounds", [(NAN, 1.0), (0.0, NAN), (NAN, None), (None, NAN), (NAN, NAN)])
def test_clamp_by_nan_is_nan(bounds):
    x = torch.tensor([-1.0, 0.5, INF, NAN])
    assert torch.clamp(x, *bounds).isnan().all() and x.clone().clamp_(*bounds).isnan().all()


def test_gradient_of_a_complex_magnitude():
    z = torch.tensor([3 + 4j, 0j], requires_grad=True)
    z.abs().sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), [0.6 + 0.8j, 0], rtol=1e-6)


def test_the_divisor_of_a_remainder_counts_whole_quotients():
    a = torch.tensor([1.0, 1.0, -7.0, 6.0], dtype=torch.float64)
    b = torch.tensor([0.1, 0.25, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    torch.remainder(a, b).sum().backward()
    assert b.grad.tolist() == [-9.0, -4.0, 4.0, -2.0]  # 1 / 0.1 is rounded to 10, but 9 tenths leave something


def test_a_distance_of_order_0_has_no_gradient():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    torch.dist(x, torch.zeros(2), 0).backward()
    assert x.grad is None


@pytest.mark.parametrize("fn", [torch.dist, lambda a, b: torch.cat([torch.ones(0), a, b]).sum()])
def test_gradients_have_the_dtypes_of_their_tensors(fn):
    a, b = torch.ones(2, requires_grad=True), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    fn(a, b).backward()
    assert a.grad.dtype == torch.float32 and b.grad.dtype == torch.float64


def test_a_gradient_of_zero_stays_zero_before_the_logarithm_of_zero():
    q = torch.tensor([1.0, 1.0], requires_grad=True)
    torch.xlogy(q, torch.tensor([0.0, 1.0])).backward(torch.tensor([0.0, 1.0]))
    assert q.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("size", [(2, 2, 2), (3, 40, 7), (300, 2), (5000, 3, 1)])
@pytest.mark.parametrize("affine", [False, True])
def test_evaluated_batch_norm_keeps_nan_out_of_the_inputs_gradient(size, affine):
    channels = size[1]
    x = torch.ones(size)
    x[0] = NAN
    x.requires_grad_()
    weight = torch.full((channels,), 3.0) if affine else None
    grad = torch.arange(x.numel(), dtype=torch.float32).view(size)
    F.batch_norm(x, torch.zeros(channels), torch.full((channels,), 4.0), weight, eps=1e-12).backward(grad)
    np.testing.assert_allclose(x.grad.numpy(), grad.numpy() * (1.5 if affine else 0.5), rtol=1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_convolution_without_input_channels_has_none_and_gradients_of_zeros(dims, bias):
    x = torch.ones(2, 0, *(5,) * dims, requires_grad=True)
    weight = torch.ones(4, 0, *(3,) * dims, requires_grad=True)
    b = torch.ones(4, requires_grad=True) if bias else None
    y = getattr(F, f"conv{dims}d")(x, weight, b)
    assert y.shape == (2, 0, *(3,) * dims)
    y.sum().backward()
    assert x.grad.shape == x.shape and weight.grad.shape == weight.shape
    assert b is None or b.grad.tolist() == [0.0] * 4


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_adaptive_pooling_to_nothing_refuses_a_backward(dims, kind):
    x = torch.ones(1, 2, *(4,) * dims, requires_grad=True)
    y = getattr(F, f"adaptive_{kind}_pool{dims}d")(x, 0)
    assert y.numel() == 0
    with pytest.raises(RuntimeError, match="non-zero size"):
        y.sum().backward()


def test_area_of_no_pixels_refuses_a_backward():
    y = F.interpolate(torch.ones(1, 2, 4, 4, requires_grad=True), size=(0, 3), mode="area")
    assert y.shape == (1, 2, 0, 3)
    with pytest.raises(RuntimeError, match="adaptive_avg_pool2d_backward"):
        y.sum().backward()
