"""softmax, scans, normalisation and losses, kernel against numpy where the op table does not reach."""

import numpy as np
import pytest
from scipy import special

import numtorch as torch
from numtorch.kernels.cpu import losses, normalization, scans, softmax

SHAPES = [(3, 7, 1), (5000, 31, 1), (200, 1000, 1), (2, 5, 3), (8, 100, 200), (2, 3, 5000)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("log_of_it", [False, True])
def test_softmax_of_rows_and_columns_alike(shape, log_of_it):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 5
    out = np.empty(x.size, np.float32)
    softmax.softmax_forward(x.reshape(-1), *shape, log_of_it, out)
    want = (special.log_softmax if log_of_it else special.softmax)(x.astype(np.float64), axis=1)
    np.testing.assert_allclose(out.reshape(shape), want, rtol=4e-6, atol=1e-6)


def test_softmax_of_extremes():
    x = np.array([1e4, 0, -1e4, -np.inf, 0, 1, np.inf, 0, 1], np.float32)
    out = np.empty(9, np.float32)
    softmax.softmax_forward(x, 3, 3, 1, False, out)
    np.testing.assert_array_equal(out[:4], [1, 0, 0, 0])
    assert np.isnan(out[6:]).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_running_sums_are_carried_in_float64(shape):
    x = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    out = np.empty(x.size, np.float32)
    scans.CUMSUM(x.reshape(-1), *shape, out)
    want = x.astype(np.float64).cumsum(1).astype(np.float32)
    np.testing.assert_array_equal(out.reshape(shape), want)


def test_rms_norm_of_a_row_with_an_infinite_element():
    x, empty, out = np.array([1, np.inf, -3, 4], np.float32), np.empty(0, np.float32), np.empty(4, np.float32)
    mean, rstd = np.empty(1, np.float32), np.empty(1, np.float32)
    normalization.layer_norm(x, 1, 4, empty, empty, False, 1e-5, out, mean, rstd)
    np.testing.assert_array_equal(out, [0, np.nan, -0.0, 0])


def test_the_mean_of_large_batches_of_channels_of_few_values():
    x = np.random.default_rng(0).normal(100, 1, (1000, 3, 4)).astype(np.float32)
    empty, out = np.empty(0, np.float32), np.empty(x.size, np.float32)
    mean, rstd = np.empty(3, np.float32), np.empty(3, np.float32)
    running_mean, running_var = np.zeros(3, np.float32), np.ones(3, np.float32)
    normalization.batch_norm_train(
        *(x.reshape(-1), 1000, 3, 4, empty, empty, running_mean, running_var, 0.1, 1e-5, out, mean, rstd)
    )
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 2)), rtol=1e-7)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(wide.var((0, 2)) + 1e-5), rtol=1e-5)
    np.testing.assert_allclose(running_var, 0.9 + 0.1 * wide.var((0, 2), ddof=1), rtol=1e-5)
    np.testing.assert_allclose(running_mean, 0.1 * wide.mean((0, 2)), rtol=1e-6)


def test_the_first_bad_target_is_found():
    assert losses.first_out_of_range(np.array([0, 2, -100, 5, 9]), 5, -100) == 3
    assert losses.first_out_of_range(np.array([0, -1]), 5, -100) == 1
    assert losses.first_out_of_range(np.array([0, 4]), 5, -100) == -1


CHANNELS = [(70, 3, 1), (5, 130, 1), (300, 70, 3), (2100, 40, 1), (3, 2, 31), (4, 5, 33), (40, 9, 200)]


@pytest.mark.parametrize("n, channels, length", CHANNELS)
def test_batch_norm_of_short_and_long_channels(n, channels, length):
    """Statistics, outputs and gradients against the formula in float64."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((n, channels, length)) * 3 + 50).astype(np.float32)
    g = rng.standard_normal(x.shape).astype(np.float32)
    w, b = rng.standard_normal((2, channels)).astype(np.float32)
    flat, grad = x.reshape(-1), g.reshape(-1)
    out, mean, rstd = np.empty_like(flat), np.empty_like(w), np.empty_like(w)
    running_mean, running_var = np.zeros_like(w), np.ones_like(w)
    rest = (running_mean, running_var, 0.25, 1e-5, out, mean, rstd)
    normalization.batch_norm_train(flat, n, channels, length, w, b, *rest)
    wide = x.astype(np.float64)
    m, v = wide.mean((0, 2)), wide.var((0, 2))
    scale = 1 / np.sqrt(v + 1e-5)
    hat = (wide - m[:, None]) * scale[:, None]
    np.testing.assert_allclose(mean, m, rtol=1e-6)
    np.testing.assert_allclose(rstd, scale, rtol=1e-5)
    np.testing.assert_allclose(running_mean, 0.25 * m, rtol=1e-5)
    count = n * length
    np.testing.assert_allclose(running_var, 0.75 + 0.25 * v * count / (count - 1), rtol=1e-5)
    np.testing.assert_allclose(out.reshape(x.shape), hat * w[:, None] + b[:, None], rtol=1e-4, atol=1e-4)

    gx, gw, gb = np.empty_like(flat), np.empty_like(w), np.empty_like(w)
    normalization.batch_norm_backward(grad, flat, n, channels, length, w, mean, rstd, True, gx, gw, gb)
    by_mean, by_dot = g.mean((0, 2), np.float64), (g * hat).mean((0, 2))
    want = (g - by_mean[:, None] - hat * by_dot[:, None]) * (w * scale)[:, None]
    np.testing.assert_allclose(gx.reshape(x.shape), want, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(gw, (g * hat).sum((0, 2)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(gb, g.sum((0, 2), np.float64), rtol=1e-3, atol=1e-3)

    normalization.batch_norm_eval(flat, n, channels, length, running_mean, running_var, w, b, 1e-5, out)
    want = (wide - running_mean[:, None]) / np.sqrt(running_var + 1e-5)[:, None] * w[:, None] + b[:, None]
    np.testing.assert_allclose(out.reshape(x.shape), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n, classes", [(1, 3), (5, 10), (900, 10), (3, 9000), (70, 1000)])
def test_cross_entropy_in_one_sweep(n, classes):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((n, classes)) * 4).astype(np.float32)
    target = rng.integers(0, classes, n)
    target[::4] = -100
    weight = rng.uniform(0.5, 1.5, classes).astype(np.float32)
    out, top, rest, grad = (np.empty(n, np.float32) for _ in range(4))
    bad, total, weights = losses.cross_entropy_forward(x.reshape(-1), target, n, classes, weight, -100, top, rest, out)
    wide = x.astype(np.float64)
    p = np.exp(wide - wide.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    counted = target >= 0
    place = np.maximum(target, 0)
    w = np.where(counted, weight[place], 0)
    assert bad == -1
    np.testing.assert_allclose(out, -w * np.log(p[np.arange(n), place]), rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose([total, weights], [out.sum(dtype=np.float64), w.sum(dtype=np.float64)], rtol=1e-6)
    grad[:] = rng.standard_normal(n)
    gx = np.empty(x.size, np.float32)
    losses.cross_entropy_backward(grad, x.reshape(-1), target, n, classes, weight, -100, top, rest, 0.5, gx)
    want = p * (w * grad)[:, None] * 0.5
    want[np.arange(n), place] -= w * grad * 0.5
    np.testing.assert_allclose(gx.reshape(x.shape), want, rtol=1e-5, atol=2e-6)
    target[-1] = classes
    assert losses.cross_entropy_forward(x.reshape(-1), target, n, classes, weight, -100, top, rest, out)[0] == n - 1


@pytest.mark.parametrize("shape", SHAPES)
def test_logsumexp_of_rows_and_columns_alike(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 5
    x[0, :, 0] = -np.inf
    out = np.empty(shape[0] * shape[2], np.float32)
    softmax.logsumexp_forward(x.reshape(-1), *shape, out)
    want = special.logsumexp(x.astype(np.float64), axis=1)
    np.testing.assert_allclose(out.reshape(want.shape), want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("classes", [1, 2, 33, 300])
def test_multi_margin_around_the_target(classes, p):
    """The target's own term is left out wherever it stands in the row."""
    rng = np.random.default_rng(0)
    target = np.array([0, classes - 1, classes // 2])
    x = rng.standard_normal((3, classes))
    z = np.maximum(1 - x[np.arange(3), target][:, None] + x, 0)
    z[np.arange(3), target] = 0
    slope = (z > 0) * (1.0 if p == 1 else 2 * z)
    slope[np.arange(3), target] = -slope.sum(1)
    t = torch.from_numpy(x.copy()).requires_grad_()
    loss = torch.nn.functional.multi_margin_loss(t, torch.from_numpy(target), p=p, reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), (z**p).sum(1) / classes, rtol=1e-12)
    loss.sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), slope / classes, rtol=1e-12, atol=1e-14)
