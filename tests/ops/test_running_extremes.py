"""cummax and cummin at sizes on both sides of every block: short and long rows, few and many columns."""

import numpy as np
import pytest

import numtorch as torch

SIZES = [
    (1, 1, 1),
    (3, 5, 1),
    (1100, 3, 1),
    (2, 1025, 1),
    (40, 7, 3),
    (3, 9, 7),
    (3, 9, 8),
    (2, 5, 64),
    (2, 70, 65),
    (7, 80, 130),
]


def _expected(x, sign):
    """Values and indices along dim 1; later equals and later nans take the place."""
    values, indices = x.copy(), np.zeros(x.shape, np.int64)
    for r in range(1, x.shape[1]):
        v, best = x[:, r], values[:, r - 1]
        takes = np.isnan(v) | ~np.isnan(best) & (sign * v >= sign * best)
        values[:, r] = np.where(takes, v, best)
        indices[:, r] = np.where(takes, r, indices[:, r - 1])
    return values, indices


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name, sign", [("cummax", 1), ("cummin", -1)])
def test_running_extremes_and_their_places(size, name, sign):
    x = np.random.default_rng(1).integers(-9, 9, size).astype(np.float32)
    x[np.random.default_rng(2).random(size) < 0.02] = np.nan
    values, indices = getattr(torch.from_numpy(x), name)(1)
    expected = _expected(x, sign)
    assert np.array_equal(values.numpy(), expected[0], equal_nan=True)
    assert np.array_equal(indices.numpy(), expected[1])
