"""Standard deviations of equal, huge and tiny numbers, and their gradients where they are zero."""

import numpy as np
import pytest

import numtorch as torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_equal_numbers_have_no_gradient_of_their_deviation(dtype):
    x = torch.full((3,), 3.0, dtype=dtype, requires_grad=True)
    torch.std(x, 0, correction=0).backward()
    assert x.grad.eq(0).all()


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-20, 1.0, 1e18, 1e30, 1e36])
@pytest.mark.parametrize("size", [(7,), (9000,), (40, 300), (300, 40)])
def test_deviations_whose_squares_float32_cannot_hold(scale, size):
    x = (np.random.default_rng(0).standard_normal(size) * scale).astype(np.float32)
    for dim in range(len(size)):
        expected = x.astype(np.float64).std(dim, ddof=1)
        np.testing.assert_allclose(torch.tensor(x).std(dim).numpy(), expected, rtol=1e-6)


def test_the_variance_of_equal_numbers_is_not_negative():
    for value in np.random.default_rng(1).standard_normal(50).astype(np.float32):
        for x in (torch.full((1000,), value.item()), torch.full((1000, 3), value.item())):
            assert (x.var(0) >= 0).all() and (x.var(0) <= 1e-12).all()
