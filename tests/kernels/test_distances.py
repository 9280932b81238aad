"""Distances between rows, and the gated linear unit, against numpy at sizes on both sides of every boundary."""

from __future__ import annotations

import numpy as np
import pytest

import numtorch as torch
import numtorch.nn.functional as F

INF = float("inf")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


SHAPES = [(3, 5, 2), (9, 7, 3), (1, 4, 40), (20, 6, 33), (9, 1030, 6), (10, 10, 1030), (40, 30, 31)]


def _differences(a, b):
    return a[:, None, :].astype(np.float64) - b[None, :, :]


def _distances(e, p):
    return np.abs(e).max(-1) if p == INF else (np.abs(e) ** p).sum(-1) ** (1 / p)


def _slopes(e, p):
    """d distance / d a, (n, k, m)."""
    d = _distances(e, p)[..., None]
    if p == INF:
        return np.sign(e) * (np.abs(e) == d)
    return np.sign(e) * np.abs(e) ** (p - 1) / d ** (p - 1)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 1.5, INF])
@pytest.mark.parametrize("n, k, m", SHAPES)
def test_cdist(rng, n, k, m, p):
    a, b, g = (rng.standard_normal(s) for s in ((n, m), (k, m), (n, k)))
    e = _differences(a, b)
    x, y = (torch.from_numpy(v.copy()).requires_grad_() for v in (a, b))
    d = torch.cdist(x, y, p, compute_mode="donot_use_mm_for_euclid_dist")
    np.testing.assert_allclose(d.detach().numpy(), _distances(e, p), rtol=1e-12)
    d.backward(torch.from_numpy(g))
    found = g[..., None] * _slopes(e, p)
    np.testing.assert_allclose(x.grad.numpy(), found.sum(1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(y.grad.numpy(), -found.sum(0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, INF])
@pytest.mark.parametrize("n, m", [(2, 3), (7, 40), (40, 31), (200, 5), (30, 1030)])
def test_pdist(rng, n, m, p):
    a, i, j = rng.standard_normal((n, m)), *np.triu_indices(n, 1)
    g = rng.standard_normal(i.size)
    e = _differences(a, a)
    x = torch.from_numpy(a.copy()).requires_grad_()
    d = torch.pdist(x, p)
    np.testing.assert_allclose(d.detach().numpy(), _distances(e, p)[i, j], rtol=1e-12)
    d.backward(torch.from_numpy(g))
    expected = np.zeros_like(a)
    slopes = g[:, None] * _slopes(e[i, j][:, None], p)[:, 0]
    np.add.at(expected, i, slopes)
    np.add.at(expected, j, -slopes)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_equal_rows_have_no_gradient():
    x = torch.ones(3, 4, requires_grad=True)
    torch.pdist(x, 2).sum().backward()
    assert x.grad.tolist() == [[0.0] * 4] * 3


@pytest.mark.parametrize("size, dim", [((3, 4), 1), ((2, 40000), 0), ((5000, 6), 1), ((2, 6, 9), 1), ((4, 16388), 1)])
def test_glu(rng, size, dim):
    x = rng.standard_normal(size)
    a, b = np.split(x, 2, dim)
    s = 1 / (1 + np.exp(-b))
    g = rng.standard_normal(a.shape)
    t = torch.from_numpy(x.copy()).requires_grad_()
    y = F.glu(t, dim)
    np.testing.assert_allclose(y.detach().numpy(), a * s, rtol=1e-12)
    y.backward(torch.from_numpy(g))
    np.testing.assert_allclose(
        t.grad.numpy(), np.concatenate([g * s, g * a * s * (1 - s)], dim), rtol=1e-12, atol=1e-15
    )
