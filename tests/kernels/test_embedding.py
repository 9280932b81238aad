"""kernels/cpu/embedding.py against loops over rows."""

import numpy as np
import pytest

from numtorch.kernels.cpu import embedding as k

pytestmark = pytest.mark.nojit

INDEX = np.array([2, 0, 2, 3, 1, 2], np.int64)


def table(rows=4, dim=3, dtype="f8", seed=0):
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("padding", [-1, 2])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_gradients_are_added_by_row(dtype, padding, by_frequency):
    grad, want = table(6, 3, dtype), np.zeros((4, 3))
    np.add.at(want, INDEX[padding != INDEX], grad[padding != INDEX].astype("f8"))
    if by_frequency:
        want /= np.bincount(INDEX)[:, None]
    out = np.zeros(12, dtype)
    k.embedding_backward(grad.reshape(-1), INDEX, 3, padding, by_frequency, out)
    np.testing.assert_allclose(out.reshape(4, 3), want, rtol=1e-6 if dtype == "f4" else 1e-14)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_long_rows_are_scaled_to_the_norm_once(p):
    x = table() * 3
    want = x.copy()
    for row in (0, 2):
        norm = np.linalg.norm(x[row], p)
        if norm > 2:
            want[row] *= 2 / (norm + 1e-7)
    k.embedding_renorm(x.reshape(-1), np.array([2, 0, 2]), 3, 2.0, p)
    np.testing.assert_allclose(x, want, rtol=1e-14)


@pytest.mark.parametrize("mode, reduce", [(k.SUM, np.sum), (k.MEAN, np.mean), (k.MAX, np.max)])
@pytest.mark.parametrize("padding", [-1, 2])
def test_bags(mode, reduce, padding):
    x, offsets = table(), np.array([0, 2, 2, 6])
    out, sizes, rows = np.empty((3, 3)), np.empty(3, np.int64), np.empty((3, 3), np.int64)
    k.embedding_bag_forward(
        x.reshape(-1), INDEX, offsets, np.empty(0), 3, mode, padding, out.reshape(-1), sizes, rows.reshape(-1)
    )
    for b in range(3):
        bag = INDEX[offsets[b] : offsets[b + 1]]
        bag = bag[bag != padding]
        assert sizes[b] == bag.size
        np.testing.assert_allclose(out[b], reduce(x[bag], 0) if bag.size else 0, rtol=1e-14)
        if mode == k.MAX:
            np.testing.assert_array_equal(rows[b], bag[x[bag].argmax(0)] if bag.size else -1)


def test_weighted_bags():
    x, weights = table(), np.arange(6.0)
    out, sizes = np.empty((2, 3)), np.empty(2, np.int64)
    none = np.empty(0, np.int64)
    k.embedding_bag_forward(
        x.reshape(-1), INDEX, np.array([0, 3, 6]), weights, 3, k.SUM, -1, out.reshape(-1), sizes, none
    )
    np.testing.assert_allclose(out, (x[INDEX] * weights[:, None]).reshape(2, 3, 3).sum(1), rtol=1e-14)
