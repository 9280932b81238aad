"""Activations of nan, the infinities and zeros with a sign, as torch has them."""

import numpy as np
import pytest

import numtorch as torch
import numtorch.nn.functional as F

VALUES = [np.nan, np.inf, -np.inf, -0.0]
EXPECTED = {
    "relu": [np.nan, np.inf, 0.0, -0.0],
    "relu6": [np.nan, 6.0, 0.0, -0.0],
    "leaky_relu": [np.nan, np.inf, -np.inf, -0.0],
    "hardtanh": [np.nan, 1.0, -1.0, -0.0],
    "hardswish": [np.nan, np.inf, np.nan, -0.0],
    "softshrink": [np.nan, np.inf, -np.inf, -0.0],
    "hardshrink": [np.nan, np.inf, -np.inf, 0.0],
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("copies", [1, 20])  # in the loop's tail, and in its vectors
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_activations_of_special_values(name, copies, dtype):
    y = getattr(F, name)(torch.tensor(VALUES * copies, dtype=dtype)).float().numpy()
    expected = np.array(EXPECTED[name] * copies, np.float32)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(np.signbit(y[3::4]), np.signbit(expected[3::4]))


@pytest.mark.parametrize("copies", [1, 20])
def test_the_gradient_of_relu_passes_where_the_input_is_nan(copies):
    x = torch.tensor([np.nan, 1.0, 0.0, -1.0] * copies, requires_grad=True)
    x.relu().backward(torch.ones(4 * copies))
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0] * copies


def test_powers_of_zero_fall_infinitely_fast_at_negative_exponents():
    x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    (0.0**x).sum().backward()
    assert x.grad.tolist() == [-float("inf"), 0.0, 0.0]
