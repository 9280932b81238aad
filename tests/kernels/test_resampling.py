"""Padding, resampling, sampling at points and running log-sum-exps at sizes that cross what their kernels are cut into."""

import numpy as np
import pytest

from numtorch.kernels.cpu import grid_coordinates, grid_sample, padding, unfold, upsample
from numtorch.kernels.cpu.log_sums import SPAN, log_cumulative

MODES = ("constant", "reflect", "replicate", "circular")


def taken(x, position, dst):
    """x (planes, *src) at a table of positions, 0 for those of -1."""
    depth, height, width = np.split(position, np.cumsum(dst)[:2])
    out = x[:, depth][:, :, height][:, :, :, width]
    return np.where((depth[:, None, None] < 0) | (height[:, None] < 0) | (width < 0), 0, out)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("src", [(1, 3, 3), (2, 4, 40), (1, 300, 130)])
@pytest.mark.parametrize("dtype", ["f4", "i8", "c8", "?"])
def test_padding_reads_its_table(mode, src, dtype):
    x = (np.random.default_rng(0).standard_normal((3, *src)) * 3).astype(dtype)
    before, after = (0, 2, -1), (0, -1, 2)
    dst = tuple(n + b + a for n, b, a in zip(src, before, after, strict=True))
    at = padding.pad_positions(mode, src, before, after)
    found = padding.pad_forward(x.reshape(-1), 3, src, dst, at).reshape(3, *dst)
    np.testing.assert_array_equal(found, taken(x, at, dst))


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("src", [(1, 1, 1), (2, 5, 17), (1, 60, 70)])
def test_repeated_rows_and_columns_give_back_their_sums(times, src):
    dst = tuple(n * times for n in src)
    at = np.concatenate([np.arange(n * times) // times for n in src])
    x, g = np.arange(2.0 * np.prod(src)), np.random.default_rng(1).integers(-9, 9, 2 * np.prod(dst)).astype("f8")
    shape = [k for n in src for k in (n, times)]
    np.testing.assert_array_equal(
        padding.pad_forward(x, 2, src, dst, at).reshape(2, *dst), taken(x.reshape(2, *src), at, dst)
    )
    np.testing.assert_array_equal(
        padding.pad_backward(g, 2, src, dst, at), g.reshape(2, *shape).sum((2, 4, 6)).reshape(-1)
    )


@pytest.mark.parametrize("taps", [(1, 1, 1), (1, 2, 2), (2, 2, 1), (1, 4, 4), (1, 3, 5)])
@pytest.mark.parametrize(
    "src, dst",
    [((1, 1, 1), (1, 3, 2)), ((2, 9, 33), (3, 17, 70)), ((1, 40, 90), (1, 20, 33)), ((1, 110, 100), (1, 120, 130))],
)
def test_resampling_is_the_sum_over_its_tables(taps, src, dst):
    rng = np.random.default_rng(0)
    place = [rng.integers(0, n, (o, t)) for n, o, t in zip(src, dst, taps, strict=True)]
    weight = [rng.standard_normal((o, t)) for o, t in zip(dst, taps, strict=True)]
    tables = np.concatenate([p.reshape(-1) for p in place]), np.concatenate([w.reshape(-1) for w in weight])
    matrices = [np.zeros((o, n)) for o, n in zip(dst, src, strict=True)]
    for matrix, p, w in zip(matrices, place, weight, strict=True):
        np.add.at(matrix, (np.arange(len(p))[:, None], p), w)
    x, g = rng.standard_normal((3, *src)), rng.standard_normal((3, *dst))
    y = upsample.interpolate_forward(x.reshape(-1), 3, src, dst, taps, *tables)
    np.testing.assert_allclose(
        y.reshape(3, *dst), np.einsum("ad,bh,cw,pdhw->pabc", *matrices, x, optimize=True), rtol=1e-9, atol=1e-11
    )
    back = upsample.interpolate_backward(g.reshape(-1), 3, src, dst, taps, *tables)
    np.testing.assert_allclose(
        back.reshape(3, *src), np.einsum("ad,bh,cw,pabc->pdhw", *matrices, g, optimize=True), rtol=1e-9, atol=1e-11
    )


def bilinear_by_hand(image, x, y):
    """One point of a (height, width) image, zeros outside, corners not aligned."""
    height, width = image.shape
    x, y = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
    low_x, low_y = int(np.floor(x)), int(np.floor(y))
    total = 0.0
    for j in (low_y, low_y + 1):
        for i in (low_x, low_x + 1):
            if 0 <= i < width and 0 <= j < height:
                total += (1 - abs(x - i)) * (1 - abs(y - j)) * image[j, i]
    return total


@pytest.mark.parametrize(
    "points", [1, grid_sample.BLOCK - 1, grid_sample.BLOCK + 1, grid_sample.TASK + grid_sample.BLOCK + 3]
)
def test_points_are_sampled_across_blocks_and_tasks(points):
    rng = np.random.default_rng(0)
    x, grid = rng.standard_normal((2, 3, 5, 7)), rng.uniform(-1.3, 1.3, (2, points, 2))
    geometry = (2, 3, points, 2, (1, 5, 7), grid_sample.BILINEAR, grid_coordinates.ZEROS, False)
    found = grid_sample.grid_sample_forward(x.reshape(-1), grid.reshape(-1), *geometry).reshape(2, 3, points)
    want = [[[bilinear_by_hand(x[n, c], *p) for p in grid[n]] for c in range(3)] for n in range(2)]
    np.testing.assert_allclose(found, want, rtol=1e-11, atol=1e-13)
    g = rng.standard_normal(found.shape)
    gx, _ = grid_sample.grid_sample_backward(g.reshape(-1), x.reshape(-1), grid.reshape(-1), *geometry, True, True)
    assert np.isclose(gx @ x.reshape(-1), (g * found).sum(), rtol=1e-10)


def test_an_infinite_first_element_does_not_reach_points_outside():
    x = np.ones(20)
    x[0] = np.inf
    grid = np.array([5.0, 5.0, 0.0, 0.0, -1.0, -1.0])
    out = grid_sample.grid_sample_forward(
        x, grid, 1, 1, 3, 2, (1, 4, 5), grid_sample.BILINEAR, grid_coordinates.ZEROS, False
    )
    assert out.tolist() == [0, 1, np.inf]


@pytest.mark.parametrize("n", [1, SPAN - 1, SPAN, SPAN + 1, 3 * SPAN + 5])
@pytest.mark.parametrize("spread", [1, 10, 1000])
@pytest.mark.parametrize("reverse", [False, True])
def test_running_log_sum_exps(n, spread, reverse):
    x = np.random.default_rng(n).standard_normal((5, n)) * spread
    x[1, n // 2], x[2, 0], x[3, n // 3], x[4, -1] = np.inf, -np.inf, np.nan, -np.inf
    out = np.empty(x.size)
    log_cumulative(x.reshape(-1), 5, n, 1, out, reverse)
    turned = x[:, ::-1] if reverse else x
    with np.errstate(invalid="ignore"):
        want = np.logaddexp.accumulate(turned, axis=1)
    np.testing.assert_allclose(out.reshape(5, n), want[:, ::-1] if reverse else want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("size", [(5, 7), (9, 40)])  # by places, by rows
@pytest.mark.parametrize("kernel, stride, padding, dilation", [((3, 3), (1, 1), (1, 1), (1, 1)), ((2, 3), (2, 1), (1, 2), (1, 2)),
                                                               ((3, 2), (3, 3), (0, 1), (2, 1))])  # fmt: skip
def test_columns_are_the_windows_and_fold_is_their_transpose(kernel, stride, padding, dilation, size, dtype):
    blocks = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    geometry = 5, size, kernel, stride, padding, dilation, blocks
    x = np.random.default_rng(0).integers(-4, 5, (5, *size)).astype(dtype)
    around = np.pad(x, [(0, 0)] + [(p, p) for p in padding])
    expected = np.empty((5, *kernel, *blocks), dtype)
    for i, j in np.ndindex(*kernel):
        top, left = i * dilation[0], j * dilation[1]
        part = around[:, top :: stride[0], left :: stride[1]]
        expected[:, i, j] = part[:, : blocks[0], : blocks[1]]
    columns = unfold.unfold_forward(x.reshape(-1), *geometry)
    np.testing.assert_array_equal(columns, expected.reshape(-1))
    if dtype != np.float16:
        grad = np.random.default_rng(1).integers(-4, 5, columns.size).astype(dtype)
        image = unfold.fold_forward(grad, *geometry)
        assert image @ x.reshape(-1) == grad @ columns


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("width", [5, 30])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_by_places_is_padding_by_rows(mode, width, dtype):
    src, before, after = (1, 4, width), (0, 2, 3), (0, 1, -1)
    dst = tuple(n + b + a for n, b, a in zip(src, before, after, strict=True))
    x = np.random.default_rng(0).integers(-4, 5, (37, 4, width)).astype(dtype)
    at = padding.pad_positions(mode, src, before, after)
    rows, columns = np.split(at[1:], (dst[1],))
    expected = x[:, rows][:, :, columns].reshape(-1)
    np.testing.assert_array_equal(padding.pad_forward(x.reshape(-1), 37, src, dst, at), expected)
    places = padding.small_padding(mode, src, before, after, x.dtype, False)
    assert (places is None) == (width == 30 or dtype == np.float16)
    if places is not None:
        np.testing.assert_array_equal(padding.pad_small(x.reshape(-1), 37, places), expected)
