"""Operators of three operands that are broadcast or have gaps, at sizes on both sides of the tiles they are closed up in."""

import numpy as np
import pytest

import numtorch as torch

SIZES = [(3, 5), (40, 60), (9, 2500), (700, 3)]
# How each operand is cut out of a matrix of twice the size.
CUTS = {
    "whole": lambda x, n, m: x[:n, :m].copy(),
    "slice": lambda x, n, m: x[:n, :m],
    "every second": lambda x, n, m: x[::2, ::2],
    "row": lambda x, n, m: x[:1, :m],
    "column": lambda x, n, m: x[:n, :1],
    "number": lambda x, n, m: x[:1, :1],
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("third", CUTS, ids=str)
@pytest.mark.parametrize("second", CUTS, ids=str)
def test_three_operands_of_any_layout(size, second, third):
    random, (n, m) = np.random.default_rng(0), size
    a, b, c = (CUTS[cut](random.normal(size=(2 * n, 2 * m)), n, m) for cut in ("slice", second, third))
    x, y, z = (torch.from_numpy(each) for each in (a, b, c))
    for _ in range(2):  # the first call prepares the dtype
        assert np.allclose(torch.addcmul(x, y, z, value=0.5).numpy(), a + 0.5 * b * c, rtol=1e-12)
        assert np.allclose(torch.addcmul(y, z, x, value=0.5).numpy(), b + 0.5 * c * a, rtol=1e-12)
        assert np.array_equal(torch.where(z > 0, y, x).numpy(), np.where(c > 0, b, a))
