"""Gradients of the standard deviation where it is zero."""

import pytest

import numtorch as torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_equal_numbers_have_no_gradient_of_their_deviation(dtype):
    x = torch.full((3,), 3.0, dtype=dtype, requires_grad=True)
    torch.std(x, 0, correction=0).backward()
    assert x.grad.eq(0).all()
