"""Weight normalisation against its formula: the kernels of rows and of columns, and the form out of operators."""

from __future__ import annotations

import numpy as np
import pytest

import numtorch as torch
from numtorch.ops.weight_norm import norm_except_dim, weight_norm


@pytest.mark.parametrize("dim", [0, 1, -1, 2])
@pytest.mark.parametrize("size", [(3, 4, 5), (2, 3, 1), (30, 40, 50), (3, 1, 2050), (9001, 2, 2)])
def test_values_and_gradients(size, dim):
    rng = np.random.default_rng(0)
    v = torch.from_numpy(rng.standard_normal(size)).requires_grad_()
    g = torch.from_numpy(rng.random(norm_except_dim(v.detach(), dim).shape)).requires_grad_()
    grad = torch.from_numpy(rng.standard_normal(size))
    w = weight_norm(v, g, dim)
    expected = v * (g / norm_except_dim(v, dim))
    np.testing.assert_allclose(w.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    found, wanted = torch.autograd.grad(w, (v, g), grad), torch.autograd.grad(expected, (v, g), grad)
    for a, b in zip(found, wanted):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dim, size", [(0, (3, 1)), (1, (1, 4)), (-1, ())])
def test_derivatives_of_second_order(dim, size):
    v, g = torch.randn(3, 4, dtype=torch.float64), torch.rand(size, dtype=torch.float64) + 0.5
    inputs = v.requires_grad_(), g.requires_grad_()
    assert torch.autograd.gradcheck(lambda v, g: weight_norm(v, g, dim), inputs)
    assert torch.autograd.gradgradcheck(lambda v, g: weight_norm(v, g, dim), inputs)
