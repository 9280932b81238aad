"""Pooling, padding and resampling kernels: what the op table's samples do not reach."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numtorch.kernels.cpu import padding, pooling, upsample
from numtorch.kernels.threads import get_num_threads, set_num_threads

ONE = (1, 1, 1)


def windows(src, kernel, stride=ONE, front=(0, 0, 0), dilation=ONE, include_pad=False):
    """(dst, table) of windows that lie inside of the padding."""
    dst = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(src, kernel, stride, front, dilation, strict=True)
    )
    return dst, pooling.pool_windows(src, dst, kernel, stride, front, dilation, include_pad)


@st.composite
def geometries(draw):
    def three(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(3))

    kernel, stride, dilation = three(1, 4), three(1, 3), three(1, 2)
    front = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    # the last dimension is longer: lines of no, one and several vectors of outputs
    room = (5, 5, 70)
    src = tuple(d * (k - 1) + 1 + draw(st.integers(0, more)) for k, d, more in zip(kernel, dilation, room, strict=True))
    return src, kernel, stride, front, dilation


@settings(max_examples=40, deadline=None)
@given(geometries())
def test_every_maximum_is_the_largest_of_its_window(geometry):
    src, kernel, stride, front, dilation = geometry
    dst, table = windows(*geometry)
    x = np.random.default_rng(0).standard_normal((2, *src)).astype(np.float32)
    around = np.pad(x, [(0, 0)] + [(p, p + 9) for p in front], constant_values=-np.inf)
    out, index = pooling.max_pool_forward(x.reshape(-1), 2, src, dst, dilation, table)
    out = out.reshape(2, *dst)
    for at in np.ndindex(*dst):
        box = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d) for i, s, d, k in zip(at, stride, dilation, kernel, strict=True)
        )
        assert np.array_equal(out[(slice(None), *at)], around[(slice(None), *box)].max((1, 2, 3)))
    planes = x.reshape(2, -1)
    assert np.array_equal(np.take_along_axis(planes, index.reshape(2, -1), 1), out.reshape(2, -1))


@settings(max_examples=40, deadline=None)
@given(geometries())
def test_sharing_out_is_the_transpose_of_averaging(geometry):
    """<average(x), g> = <x, share_out(g)>."""
    src, kernel, stride, front, _ = geometry
    dst, table = windows(src, kernel, stride, front, ONE, True)
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal(3 * np.prod(src)), rng.standard_normal(3 * np.prod(dst))
    y = pooling.average_pool_forward(x, 3, src, dst, table)
    back = pooling.average_pool_backward(g, 3, src, dst, table)
    assert np.isclose(y @ g, x @ back, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.int16])
@settings(max_examples=10, deadline=None)
@given(geometry=geometries())
def test_vectors_and_scalars_agree(dtype, geometry):
    """Windows without the numbers of their lines are taken one by one."""
    src, _, _, _, dilation = geometry
    dst, table = windows(*geometry)
    alone = table.copy()
    alone[-pooling.LINES :] = 0
    x = np.random.default_rng(0).integers(-9, 9, 3 * np.prod(src)).astype(dtype)
    for a, b in zip(*(pooling.max_pool_forward(x, 3, src, dst, dilation, t) for t in (table, alone)), strict=True):
        np.testing.assert_array_equal(a, b)


def maxima_one_by_one(x, planes, src, dst, step, table):
    out, index = np.empty(planes * np.prod(dst), x.dtype), np.empty(planes * np.prod(dst), np.int64)
    pooling._max_planes(0, planes, x, out, index, *src, *dst, *step, table)
    return out, index


TIED = [  # kernel, stride, dilation: by lines, by columns together (few windows) and side by side, with gaps
    ((1, 3, 3), (1, 2, 2), ONE),
    ((1, 2, 4), (1, 1, 1), ONE),
    ((1, 3, 3), (1, 3, 3), ONE),
    ((1, 2, 5), (1, 1, 4), ONE),
    ((1, 4, 33), (1, 3, 3), ONE),
    ((1, 3, 2), (1, 3, 3), (1, 2, 3)),
    ((1, 2, 9), (1, 1, 20), (1, 1, 2)),
]


def check_maxima(x, *given):
    """Against the scalar loops; and without places the same maxima."""
    expected = maxima_one_by_one(x, *given)
    for a, b in zip(pooling.max_pool_forward(x, *given), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(pooling.max_pool_forward(x, *given, places=False)[0], expected[0])


def tied(planes, src, dtype, seed):
    """Few values, nans and infinities among them."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 1, (planes, *src)).astype(dtype)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.1] = -np.inf
    return x.reshape(-1)


# by places: a group of planes and a part of one; by lines and columns; as those, too large for places
SIZES = [(37, (1, 9, 13)), (4, (1, 40, 71)), (2, (1, 130, 151))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("planes, src", SIZES)
@pytest.mark.parametrize("kernel, stride, dilation", TIED)
def test_equal_maxima_and_nans_have_the_place_of_the_scalar_loops_in_vectors_too(
    kernel, stride, dilation, planes, src, dtype
):
    kernel = tuple(min(k, n // d) for k, n, d in zip(kernel, src, dilation, strict=True))
    front = (0, min(1, kernel[1] // 2), min(1, kernel[2] // 2))
    dst, table = windows(src, kernel, stride, front, dilation)
    check_maxima(tied(planes, src, dtype, 1), planes, src, dst, dilation, table)


@pytest.mark.parametrize("src, dst", [((1, 40, 71), (1, 1, 1)), ((1, 40, 71), (1, 7, 6)), ((1, 40, 71), (1, 40, 70)),
                                      ((1, 1, 999), (1, 1, 3)), ((3, 20, 20), (2, 1, 1)), ((1, 9, 9), (1, 4, 5))])  # fmt: skip
def test_equal_maxima_and_nans_of_bins_have_the_place_of_the_scalar_loops(src, dst):
    x = tied(4, src, np.float32, 2)
    x[: x.size // 2] = np.nan_to_num(x[: x.size // 2])
    check_maxima(x, 4, src, dst, ONE, pooling.adaptive_windows(src, dst))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("include_pad, divisor", [(True, 0), (False, 0), (False, 5)])
@pytest.mark.parametrize("planes, src", SIZES)
@pytest.mark.parametrize("kernel, stride", [((1, 3, 3), (1, 2, 2)), ((1, 2, 2), (1, 3, 3)), ((1, 5, 4), (1, 1, 1))])
def test_averages_and_their_gradients_are_those_of_every_window(
    kernel, stride, planes, src, include_pad, divisor, dtype
):
    front = tuple(k // 2 for k in kernel)
    dst, table = windows(src, kernel, stride, front, ONE, include_pad)
    rng = np.random.default_rng(3)
    x, grad = rng.standard_normal((planes, *src)), rng.standard_normal((planes, *dst))
    mean, back = np.zeros_like(grad), np.zeros_like(x)
    for z, y, w in np.ndindex(*dst):
        box = tuple(
            slice(max(0, i * s - p), min(n, i * s - p + k))
            for i, s, p, k, n in zip((z, y, w), stride, front, kernel, src, strict=True)
        )
        size = x[(slice(None), *box)][0].size
        count = divisor or (np.prod(kernel) if include_pad else size)
        mean[:, z, y, w] = x[(slice(None), *box)].sum((1, 2, 3)) / count
        back[(slice(None), *box)] += grad[:, z, y, w, None, None, None] / count
    found = pooling.average_pool_forward(x.astype(dtype).reshape(-1), planes, src, dst, table, divisor)
    tolerance = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, mean.reshape(-1), rtol=tolerance, atol=tolerance)
    found = pooling.average_pool_backward(grad.astype(dtype).reshape(-1), planes, src, dst, table, divisor)
    np.testing.assert_allclose(found, back.reshape(-1), rtol=tolerance, atol=2 * tolerance)


def test_nan_wins_and_minus_infinity_has_a_place():
    x = np.array([[1, np.nan, 3, -np.inf, -np.inf, np.nan, np.nan, 2]], np.float32)
    dst, table = windows((1, 1, 8), (1, 1, 2), (1, 1, 2))
    out, index = pooling.max_pool_forward(x.reshape(-1), 1, (1, 1, 8), dst, ONE, table)
    np.testing.assert_array_equal(out, [np.nan, 3, np.nan, np.nan])
    np.testing.assert_array_equal(index, [1, 2, 5, 6])
    out, index = pooling.max_pool_forward(
        np.full(2, -np.inf), 1, (1, 1, 2), (1, 1, 1), ONE, windows((1, 1, 2), (1, 1, 2))[1]
    )
    assert out[0] == -np.inf and index[0] == 0


@pytest.mark.parametrize("index", ([0, 9, 1], [0, -1, 1], [0, 2**62, 1]))
def test_an_index_outside_is_reported_and_not_used(index):
    value, index = np.ones(3), np.array(index)
    assert pooling.place_by_index(value, index, 1, 3, 9, True)[1] == 1
    assert pooling.take_by_index(np.ones(9), index, 1, 3, 9)[1] == 1


def test_equal_indices_add_or_keep_the_last():
    value, index = np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0])
    assert pooling.place_by_index(value, index, 1, 3, 3, True)[0].tolist() == [4, 3, 0]
    assert pooling.place_by_index(value, index, 1, 3, 3, False)[0].tolist() == [4, 2, 0]


def test_results_do_not_depend_on_the_number_of_threads():
    x = np.random.default_rng(0).standard_normal(64 * 900).astype(np.float32)
    src = (1, 30, 30)
    dst, table = windows(src, (1, 3, 3), (1, 2, 2), (0, 1, 1))

    def results():
        y, index = pooling.max_pool_forward(x, 64, src, dst, ONE, table)
        mean = pooling.average_pool_forward(x, 64, src, dst, table)
        return y, index, mean, pooling.average_pool_backward(mean, 64, src, dst, table)

    before, several = get_num_threads(), results()
    try:
        set_num_threads(1)
        one = results()
    finally:
        set_num_threads(before)
    for a, b in zip(several, one, strict=True):
        assert np.array_equal(a, b)


def test_a_window_in_the_padding_alone_is_zero():
    table = np.array([0, 1, 1, 0, 1, 1, 2, 2, 0])  # the width's only window is 2 .. 2
    assert pooling.average_pool_forward(np.ones(2), 1, (1, 1, 2), ONE, table).tolist() == [0]
    assert pooling.average_pool_backward(np.ones(1), 1, (1, 1, 2), ONE, table).tolist() == [0, 0]


def test_padding_and_its_gradient_are_transposes():
    rng = np.random.default_rng(0)
    src, before, after = (3, 4, 5), (2, -1, 3), (1, 2, -2)
    dst = tuple(n + b + a for n, b, a in zip(src, before, after, strict=True))
    x, g = rng.standard_normal(2 * np.prod(src)), rng.standard_normal(2 * np.prod(dst))
    for mode in ("constant", "reflect", "replicate", "circular"):
        at = padding.pad_positions(mode, src, before, after)
        y, back = padding.pad_forward(x, 2, src, dst, at), padding.pad_backward(g, 2, src, dst, at)
        assert np.isclose(y @ g, x @ back, rtol=1e-12)


def test_resampling_and_its_gradient_are_transposes():
    rng = np.random.default_rng(0)
    src, dst, taps = (2, 5, 4), (3, 4, 7), (2, 4, 3)
    sizes = [(o, t, n) for o, t, n in zip(dst, taps, src, strict=True)]
    place = np.concatenate([rng.integers(0, n, o * t) for o, t, n in sizes])
    weight = np.concatenate([rng.standard_normal(o * t) for o, t, _ in sizes])
    x, g = rng.standard_normal(3 * np.prod(src)), rng.standard_normal(3 * np.prod(dst))
    y = upsample.interpolate_forward(x, 3, src, dst, taps, place, weight)
    back = upsample.interpolate_backward(g, 3, src, dst, taps, place, weight)
    assert np.isclose(y @ g, x @ back, rtol=1e-12)
