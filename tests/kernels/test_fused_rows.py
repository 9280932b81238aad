"""softmax, scans, normalisation, losses and selection, kernel against numpy where the op table does not reach."""

import numpy as np
import pytest
from scipy import special

from numtorch.kernels.cpu import losses, normalization, scans, selection, softmax

SHAPES = [(3, 7, 1), (200, 1000, 1), (2, 5, 3), (8, 100, 200)]


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


@pytest.mark.parametrize("n", [1, 2, 3, 10, 101])
def test_every_kth_value_of_equal_and_nan_values(n):
    x = np.random.default_rng(n).integers(0, 4, n).astype(np.float64)
    x[x == 3] = np.nan
    value, index = np.empty(1), np.empty(1, np.int64)
    for k in range(1, n + 1):
        selection.kth_value(n, 1, x, n, k, value, index)
        np.testing.assert_array_equal(value, np.sort(x)[k - 1 : k])
        np.testing.assert_array_equal(x[index], value)
