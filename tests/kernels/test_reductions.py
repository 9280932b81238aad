"""Reductions, extremes and moments over (outer, n, inner): values, nan, ties, and serial against parallel."""

import numpy as np
import pytest

from numtorch.kernels.cpu import extremes, moments, reductions

SHAPES = [
    (1, 7, 1),
    (30000, 5, 1),
    (3, 5000, 1),
    (2, 70000, 1),
    (4, 5, 3),
    (1, 30000, 3),
    (2, 300, 70),
    (3, 1, 5),
    (1, 9, 600),
]


def run(kernels, x, out, threads):
    """`kernels` over the middle axis, in a loop or over the threads."""
    outer, n, inner = x.shape
    result = np.empty(outer * inner, out)
    if threads:
        kernels.run_apart(x.reshape(-1), 0, outer, outer, 0, n * inner, n, inner, inner, result)
    elif inner == 1:
        kernels.rows(x.reshape(-1), outer, n, result)
    else:
        kernels.columns(x.reshape(-1), outer, n, inner, result)
    return result.reshape(outer, inner)


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_float32_sums_are_right_to_a_few_parts_in_ten_million(shape, threads):
    x = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    want = x.astype(np.float64).sum(1)
    assert np.abs(run(reductions.SUM, x, np.float32, threads) / want - 1).max() < 8e-7


@pytest.mark.parametrize("n", [5, 700, 70000])
@pytest.mark.parametrize("inner", [1, 3, 1500])
def test_tensors_with_gaps_are_read_where_they_lie(n, inner):
    planes, rows = 2, 3
    base = (
        np.random.default_rng(0).integers(0, 9, (planes, rows + 1, min(n, 70000 // inner) + 2, inner + 1)).astype(float)
    )
    part = base[:, 1:, 1:-1, :inner] if inner > 1 else base[:, 1:, 1:-1, 0].copy()[..., None]
    source = base if inner > 1 else part
    step, near, far = (source.strides[i] // 8 for i in (2, 1, 0))
    start = (part.__array_interface__["data"][0] - source.__array_interface__["data"][0]) // 8
    out = np.empty(planes * rows * inner)
    reductions.SUM.run_apart(source.reshape(-1), start, planes * rows, rows, far, near, part.shape[2], step, inner, out)
    np.testing.assert_array_equal(out.reshape(planes, rows, inner), part.sum(2))


@pytest.mark.parametrize("shape", SHAPES)
def test_int8_sums_do_not_overflow(shape):
    x = np.full(shape, 127, np.int8)
    assert (run(reductions.SUM_INT64, x, np.int64, True) == 127 * shape[1]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_one_nan_is_the_greatest_and_the_least(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x[0, shape[1] // 2, 0] = np.nan
    for kernels, numpy in ((reductions.AMAX, np.max), (reductions.AMIN, np.min)):
        np.testing.assert_array_equal(run(kernels, x, np.float32, True), numpy(x, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("n", [*range(1, 35), 63, 64, 65, 79, 127, 128, 129, 4096, 4097, 4111])
def test_rows_of_every_length_are_folded_to_their_end(n, dtype):
    x = np.random.default_rng(n).integers(-9, 9, (3, n, 1)).astype(dtype)
    np.testing.assert_array_equal(run(reductions.AMAX, x, dtype, False), x.max(1))
    np.testing.assert_array_equal(run(reductions.AMIN, x, dtype, True), x.min(1))
    if dtype is not np.int32:
        np.testing.assert_array_equal(run(reductions.SUM, x, dtype, False), x.sum(1))
        np.testing.assert_allclose(run(reductions.NORM[2.0], x, dtype, True), np.sqrt((x * x).sum(1)), rtol=1e-6)
        x[1, n - 1] = np.nan
        assert np.isnan(run(reductions.AMAX, x, dtype, False)).ravel().tolist() == [False, True, False]


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize(
    "shape", [(5000, 3, 3), (3000, 23, 2), (700, 9, 33), (40, 10, 133), (7, 2, 9000), (1, 9, 9000)]
)
def test_planes_of_few_elements_and_columns_of_few_rows(shape, threads):
    x = np.random.default_rng(0).integers(-9, 9, shape).astype(np.float32)
    np.testing.assert_array_equal(run(reductions.SUM, x, np.float32, threads), x.sum(1))
    np.testing.assert_array_equal(run(reductions.MEAN, x, np.float32, threads), x.sum(1) / np.float32(shape[1]))
    np.testing.assert_array_equal(run(reductions.AMAX, x, np.float32, threads), x.max(1))


def test_infinities_survive():
    x = np.array([np.inf, 1.0, -np.inf] * 20, np.float32)
    assert np.isnan(run(reductions.SUM, x.reshape(1, -1, 1), np.float32, False))
    assert run(reductions.AMAX, x.reshape(1, -1, 1), np.float32, False) == np.inf
    assert run(reductions.MEAN, np.abs(x).reshape(1, -1, 1), np.float32, False) == np.inf


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["ties", "nans"])
def test_the_index_is_that_of_the_first_of_equals(shape, kind):
    x = np.random.default_rng(1).integers(0, 3, shape).astype(np.float64)
    if kind == "nans":
        x[x == 2] = np.nan
    outer, n, inner = shape
    for kernels, numpy in ((extremes.MAX, np.argmax), (extremes.MIN, np.argmin)):
        values, indices = np.empty(outer * inner), np.empty(outer * inner, np.int64)
        kernels.run(x.reshape(-1), outer, n, inner, values, indices)
        want = numpy(x, 1)
        np.testing.assert_array_equal(indices.reshape(outer, inner), want)
        np.testing.assert_array_equal(values.reshape(outer, inner), np.take_along_axis(x, want[:, None], 1).squeeze(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_variance_far_from_zero_keeps_its_digits(shape):
    x = (np.random.default_rng(2).normal(size=shape) + 1000).astype(np.float32)
    outer, n, inner = shape
    mean, squares = np.empty(outer * inner), np.empty(outer * inner)
    moments.moments(x.reshape(-1), outer, n, inner, mean, squares)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(1).reshape(-1), rtol=1e-9)
    np.testing.assert_allclose(squares, (wide.var(1) * n).reshape(-1), rtol=1e-5, atol=1e-9)
