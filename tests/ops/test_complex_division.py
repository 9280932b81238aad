"""Complex numbers divided by zero, infinity and nan, as real ones are: no error, but inf and nan."""

import numpy as np
import pytest

import numtorch as torch

VALUES = [(1 + 1j, 0), (0, 0), (1, np.inf), (1 + 2j, 3 - 4j), (np.nan, 1), (1, np.nan), (1e30 + 1e30j, 1e30 - 1e30j)]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_quotients_are_numpys(dtype):
    a, b = (np.array(values, dtype) for values in zip(*VALUES, strict=True))
    with np.errstate(all="ignore"):
        expected = a / b
    found = (torch.from_numpy(a) / torch.from_numpy(b)).numpy()
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "complex64" else 1e-15)


def test_numbers_divide_as_tensors_do():
    z = torch.tensor([1 + 1j])
    assert torch.isinf(z / 0).all() and torch.isnan(0 / (z * 0)).all()
