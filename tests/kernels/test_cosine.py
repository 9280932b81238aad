"""Cosine similarity and ReLU with a slope for each channel, against numpy at sizes on both sides of every boundary."""

from __future__ import annotations

import numpy as np
import pytest

import numtorch as torch
import numtorch.nn.functional as F


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _lengths(x, dim):
    return np.sqrt((x * x).sum(dim, keepdims=True))


def _gradient(g, x, y, dim, eps):
    """d cosine / dx, the slope of max(|x|, eps) taken as that of |x|."""
    length = _lengths(x, dim)
    a, b = np.maximum(length, eps), np.maximum(_lengths(y, dim), eps)
    along = (x / a * y / b).sum(dim, keepdims=True)
    direction = np.divide(x, length, out=np.zeros_like(x), where=length != 0)
    return np.expand_dims(g, dim) * (y / b - along * direction) / a


# One row, rows of one and of many, rows longer than a block of sums, several parts, tiles of columns and their ends.
SHAPES = [
    ((1, 5), 1),
    ((7, 1), 1),
    ((9, 5000), 1),
    ((9000, 3), 1),
    ((6, 3), 0),
    ((3, 1100), 0),
    ((5, 9, 513), 1),
    ((40, 30, 31), 1),
]


@pytest.mark.parametrize("eps", [1e-8, 6.0])
@pytest.mark.parametrize("size, dim", SHAPES)
def test_cosine_similarity(rng, size, dim, eps):
    a, b = rng.standard_normal(size), rng.standard_normal(size)
    np.moveaxis(a, dim, 0)[:, ..., 0] = 0  # a vector of length 0
    g = rng.standard_normal(size[:dim] + size[dim + 1 :])
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 3e-5)):
        x, y = (torch.from_numpy(v.astype(dtype)).requires_grad_() for v in (a, b))
        z = F.cosine_similarity(x, y, dim, eps)
        expected = (a / np.maximum(_lengths(a, dim), eps) * b / np.maximum(_lengths(b, dim), eps)).sum(dim)
        np.testing.assert_allclose(z.detach().numpy(), expected, rtol=rtol, atol=rtol)
        z.backward(torch.from_numpy(g.astype(dtype)))
        for found, one, other in ((x.grad, a, b), (y.grad, b, a)):
            slope = _gradient(g, one, other, dim, eps)
            scale = np.abs(g).max() / _lengths(one, dim).clip(0.1).min()
            np.testing.assert_allclose(found.numpy(), slope, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize(
    "size", [(5, 7), (9000, 3), (3, 20000), (2, 3, 1), (6, 7, 9), (3, 5, 8, 40), (2, 2, 200, 200), (1, 3, 4, 5)]
)
@pytest.mark.parametrize("single", [False, True])
def test_prelu(rng, size, single):
    x, g = rng.standard_normal(size), rng.standard_normal(size)
    w = rng.standard_normal(1 if single else size[1])
    slopes = w if single else w.reshape(-1, *[1] * (len(size) - 2))
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-5)):
        t, v = (torch.from_numpy(a.astype(dtype)).requires_grad_() for a in (x, w))
        y = F.prelu(t, v)
        np.testing.assert_allclose(y.detach().numpy(), np.where(x > 0, x, x * slopes), rtol=rtol)
        np.testing.assert_array_equal(F.prelu(t.detach(), v.detach()).numpy(), y.detach().numpy())
        y.backward(torch.from_numpy(g.astype(dtype)))
        np.testing.assert_allclose(t.grad.numpy(), np.where(x > 0, g, g * slopes), rtol=rtol)
        below = np.where(x > 0, 0, g * x)
        expected = below.sum() if single else below.sum(tuple(d for d in range(len(size)) if d != 1))
        np.testing.assert_allclose(
            v.grad.numpy(), np.reshape(expected, w.shape), rtol=rtol, atol=rtol * np.sqrt(x.size)
        )


def test_prelu_does_not_promote():
    with pytest.raises(RuntimeError, match="Type promoting not supported. Got Float and Double"):
        F.prelu(torch.ones(3, 2), torch.ones(2, dtype=torch.float64))
