"""nextafter to the last bit."""

import numpy as np
import pytest

import numtorch as torch


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nextafter_moves_by_one_bit(dtype):
    start = np.array([1.0, 1.0, 0.0, -0.0, 3.0, np.inf, np.nan, 1e-45], dtype)
    towards = np.array([2.0, 0.0, -1.0, 1.0, 3.0, 0.0, 1.0, 0.0], dtype)
    found = torch.nextafter(torch.from_numpy(start), torch.from_numpy(towards)).numpy()
    np.testing.assert_array_equal(found.view(np.uint8), np.nextafter(start, towards).view(np.uint8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_have_no_nextafter(dtype):
    with pytest.raises(NotImplementedError, match="nextafter_cpu"):
        torch.nextafter(torch.ones(2, dtype=dtype), torch.zeros(2, dtype=dtype))
