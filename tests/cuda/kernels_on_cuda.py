"""The CUDA kernels against numpy and the CPU kernels: layouts, ties, nan, empty blocks, bad indices."""

import numpy as np
import pytest

from numtorch._layout import plan
from numtorch._size import Size
from numtorch.kernels.cpu import pooling as cpu_pooling
from numtorch.kernels.cuda import copy, gather_scatter, pointwise, pooling, reductions
from numtorch.kernels.cuda.compiler import cuda

RNG = np.random.default_rng(0)
NAN = np.nan


def there(x):
    return cuda.to_device(np.ascontiguousarray(x))


def room(count, dtype):
    return there(np.full(max(count, 1), 77, dtype))


def meta(size, *strides):
    return there(plan(Size(size), *strides))


# -- pointwise --------------------------------------------------------------------------------------------------------

LAYOUTS = [
    # size, strides and offsets of a and b
    ((3, 4), (4, 1), 0, (4, 1), 0),
    ((3, 4), (1, 3), 0, (4, 1), 0),
    ((3, 4), (0, 1), 2, (1, 0), 1),
    ((2, 3, 2), (6, 2, 1), 0, (0, 0, 0), 5),
    ((2, 1, 3), (1, 0, 2), 1, (9, 1, 3), 0),
    ((), (), 3, (), 2),
]


@pytest.mark.parametrize("size, sa, a0, sb, b0", LAYOUTS)
def test_strided_loops_follow_any_layout(size, sa, a0, sb, b0):
    a, b = RNG.standard_normal(24), RNG.standard_normal(24)
    count = int(np.prod(size))
    out_stride = tuple(int(np.prod(size[i + 1 :])) for i in range(len(size)))
    out = room(count, np.float64)
    pointwise.strided(
        lambda x, y: x - 2 * y,
        np.dtype("f8"),
        [there(a), there(b)],
        [a0, b0],
        out,
        meta(size, sa, sb, out_stride),
        count,
    )
    x = np.lib.stride_tricks.as_strided(a[a0:], size, [8 * s for s in sa])
    y = np.lib.stride_tricks.as_strided(b[b0:], size, [8 * s for s in sb])
    np.testing.assert_array_equal(out.copy_to_host(), (x - 2 * y).ravel())


def test_float32_stays_float32():
    x = RNG.standard_normal(9).astype(np.float32)
    out = room(9, np.float32)
    pointwise.contiguous(lambda x, p: 1 / (x * 3 + p), np.dtype("f4"), [there(x)], out, (np.float32(0.1),))
    expected = np.float32(1) / (x * np.float32(3) + np.float32(0.1))
    np.testing.assert_array_equal(out.copy_to_host(), expected)


def test_nothing_is_launched_for_no_elements():
    pointwise.strided(lambda x: x, np.dtype("f4"), [None], [0], None, None, 0)
    gather_scatter.gather_forward(None, 0, 1, None, None, 0, None)
    copy.copy_strided(None, 0, None, 0, None, 0)


# -- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.complex128])
def test_copies_transpose(dtype):
    x = np.arange(12).astype(dtype)
    out = room(14, dtype)
    copy.copy_strided(there(x), 0, out, 2, meta((4, 3), (1, 4), (3, 1)), 12)
    np.testing.assert_array_equal(out.copy_to_host()[2:], x.reshape(3, 4).T.ravel())


def test_fill_writes_only_its_view():
    out = there(np.zeros(12, np.float32))
    copy.fill_strided(out, 1, meta((3, 2), (4, 1)), 6, np.float32(5))
    np.testing.assert_array_equal(out.copy_to_host().reshape(3, 4), [[0, 5, 5, 0]] * 3)


DTYPES = ["bool", "uint8", "int8", "int32", "int64", "float32", "float64", "complex64"]


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_casts(source, target):
    x = np.array([0, 1, 2.75, 100, 0.25]).astype(source)
    out = room(5, target)
    copy.cast(there(x), out)
    expected = x != 0 if target == "bool" else (x.real if target[0] != "c" else x).astype(target)
    np.testing.assert_array_equal(out.copy_to_host(), expected)


def all_kinds_of_floats():
    x = np.concatenate([2.0 ** np.arange(-30, 18), [0, 65504, 65519, 65520, 1e30, np.inf, NAN, 1.0004883, 1.00146484]])
    return np.concatenate([x, -x, RNG.standard_normal(20)]).astype(np.float32)


def test_halves_round_as_numpy_does():
    x = all_kinds_of_floats()
    half = room(x.size, np.uint16)
    copy.float_to_half(there(x.view(np.uint32)), half)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(half.copy_to_host().view(np.float16), x.astype(np.float16))
    back = room(x.size, np.uint32)
    copy.half_to_float(half, back)
    np.testing.assert_array_equal(back.copy_to_host().view(np.float32), half.copy_to_host().view(np.float16))


def test_bfloat16_is_the_nearest():
    x = all_kinds_of_floats()
    there_and_back, bits = room(x.size, np.uint32), room(x.size, np.uint16)
    copy.float_to_bfloat16(there(x.view(np.uint32)), bits)
    copy.bfloat16_to_float(bits, there_and_back)
    np.testing.assert_allclose(there_and_back.copy_to_host().view(np.float32), x, rtol=2.0**-8)


# -- reductions -------------------------------------------------------------------------------------------------------

R = reductions
SHAPES = [(1, 1, 1), (1, 40, 1), (3, 7, 1), (2, 5, 3), (1, 300, 2), (4, 17, 1)]


def folded(x, outer, n, inner, of, combine, start, dtype):
    out = room(outer * inner, dtype)
    reductions.fold(there(x), outer, n, inner, out, combine, start, of, lambda count: room(count, dtype))
    return out.copy_to_host()


@pytest.mark.parametrize("outer, n, inner", SHAPES)
def test_folds(outer, n, inner):
    x = RNG.integers(-3, 4, (outer, n, inner)).astype(np.float32)
    flat = x.ravel()
    np.testing.assert_array_equal(folded(flat, outer, n, inner, R.itself, R.add, 0, np.float32), x.sum(1).ravel())
    np.testing.assert_array_equal(
        folded(flat, outer, n, inner, R.itself, R.greatest, -np.inf, np.float32), x.max(1).ravel()
    )
    np.testing.assert_array_equal(folded(flat, outer, n, inner, R.nonzero, R.both, True, np.bool_), x.all(1).ravel())
    np.testing.assert_array_equal(
        folded(flat, outer, n, inner, R.nonzero, R.add, 0, np.int64), np.count_nonzero(x, 1).ravel()
    )


def test_small_integers_add_up_in_int64():
    x = np.full(50, 100, np.int8)
    assert folded(x, 1, 50, 1, R.itself, R.add, 0, np.int64)[0] == 5000


def test_products_and_nan():
    x = np.array([1.5, NAN, 2, -3])
    assert np.isnan(folded(x, 1, 4, 1, R.itself, R.multiply, 1, np.float64)[0])
    assert np.isnan(folded(x, 1, 4, 1, R.itself, R.least, np.inf, np.float64)[0])
    assert folded(x, 1, 4, 1, R.without_nan, R.add, 0, np.float64)[0] == 0.5
    assert folded(np.array([0, NAN]), 1, 2, 1, R.nonzero, R.either, False, np.bool_)[0]


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(
    "line",
    [[3], [1, 5, 5, 2], [2, 2], [1, NAN, 3, NAN], [NAN] * 20, [-np.inf, np.inf, np.inf], [7.0] * 33, [*range(30)]],
    ids=str,
)
def test_extremes_are_the_first_of_equals(line, largest):
    x = np.array(line, np.float32)
    x = np.stack([x, x[::-1]], 1).ravel()  # (n, inner = 2)
    n = len(line)
    out, index = room(2, np.float32), room(2, np.int64)
    reductions.extreme_forward(there(x), 1, n, 2, out, index, largest)
    pick = np.argmax if largest else np.argmin  # both take the first nan
    expected = pick(x.reshape(n, 2), 0)
    np.testing.assert_array_equal(index.copy_to_host(), expected)
    np.testing.assert_array_equal(out.copy_to_host(), x.reshape(n, 2)[expected, [0, 1]])


# -- indices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index, size, bad",
    [([0, 2, 1], 3, -1), ([0, 3, 1], 3, 1), ([0, 1, -1, 9], 3, 2), ([5] * 40, 3, 0), ([], 3, -1), ([0], 0, 0)],
    ids=str,
)
def test_first_bad_index(index, size, bad):
    index = np.array(index, np.int64)
    assert gather_scatter.first_bad_index(there(index) if index.size else index, size) == bad


def test_gather_from_a_transposed_tensor():
    x, index = RNG.standard_normal((4, 3)), RNG.integers(0, 4, (2, 3))
    out = room(6, np.uint64)
    layout = meta((2, 3), (0, 4), (3, 1), (3, 1))  # x lies transposed: strides (1, 4), dim 0 is indexed
    gather_scatter.gather_forward(there(x.T).ravel().view(np.uint64), 0, 1, there(index).ravel(), layout, 6, out)
    np.testing.assert_array_equal(out.copy_to_host().view(np.float64).reshape(2, 3), np.take_along_axis(x, index, 0))


def test_scatter_writes_and_adds():
    x, index, values = np.zeros((2, 5), np.float32), np.array([[0, 4, 4], [1, 1, 1]]), np.ones((2, 3), np.float32)
    layout = meta((2, 3), (5, 0), (3, 1), (3, 1))
    target = there(x.ravel())
    gather_scatter.scatter_forward(target, 0, 1, there(index.ravel()), layout, 6, there(values.ravel()), 0)
    gather_scatter.scatter_add_forward(target, 0, 1, there(index.ravel()), layout, 6, there(values.ravel()), 0)
    np.testing.assert_array_equal(target.copy_to_host().reshape(2, 5), [[2, 0, 0, 0, 3], [0, 4, 0, 0, 0]])


# -- pooling ----------------------------------------------------------------------------------------------------------

POOLS = [
    # source, kernel, stride, padding, dilation
    ((1, 4, 4), (1, 2, 2), (1, 2, 2), (0, 0, 0), (1, 1, 1)),
    ((1, 5, 4), (1, 3, 2), (1, 1, 2), (0, 1, 1), (1, 1, 1)),
    ((1, 6, 7), (1, 2, 3), (1, 2, 1), (0, 1, 1), (1, 2, 2)),
    ((3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 0, 1), (1, 1, 1)),
]


def windows(src, kernel, stride, padding, dilation, include_pad=False):
    dst = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(src, kernel, stride, padding, dilation, strict=True)
    )
    return dst, cpu_pooling.pool_windows(src, dst, kernel, stride, padding, dilation, include_pad)


@pytest.mark.parametrize("src, kernel, stride, padding, dilation", POOLS)
@pytest.mark.parametrize("special", [0.0, NAN, -np.inf])
def test_max_pooling(src, kernel, stride, padding, dilation, special):
    dst, table = windows(src, kernel, stride, padding, dilation)
    x = RNG.integers(-4, 4, 2 * int(np.prod(src))).astype(np.float32)
    x[5::7] = special
    expected, places = cpu_pooling.max_pool_forward(x, 2, src, dst, dilation, table)
    out, index = room(expected.size, np.float32), room(expected.size, np.int64)
    pooling.max_pool_forward(there(x), src, dst, dilation, there(table), out, index)
    np.testing.assert_array_equal(out.copy_to_host(), expected)
    np.testing.assert_array_equal(index.copy_to_host(), places)
    grad = RNG.standard_normal(expected.size).astype(np.float32)
    plane, count = int(np.prod(src)), int(np.prod(dst))
    spread = there(np.zeros(x.size, np.float32))
    pooling.add_by_index(there(grad), index, count, plane, spread)
    expected_grad, _ = cpu_pooling.place_by_index(grad, places, 2, count, plane, True)
    np.testing.assert_allclose(spread.copy_to_host(), expected_grad, rtol=1e-6, atol=1e-6)
    taken = room(grad.size, np.float32)
    pooling.take_by_index(there(x), index, count, plane, taken)
    np.testing.assert_array_equal(taken.copy_to_host(), expected)


@pytest.mark.parametrize("src, kernel, stride, padding, dilation", POOLS)
@pytest.mark.parametrize("include_pad, divisor", [(True, 0), (False, 0), (False, 3)])
def test_average_pooling(src, kernel, stride, padding, dilation, include_pad, divisor):
    dst, table = windows(src, kernel, stride, padding, (1, 1, 1), include_pad)
    x = RNG.standard_normal(2 * int(np.prod(src)))
    expected = cpu_pooling.average_pool_forward(x, 2, src, dst, table, divisor)
    out = room(expected.size, np.float64)
    pooling.average_pool_forward(there(x), src, dst, there(table), divisor, out)
    # The CPU's kernel adds up rows first, then columns.
    np.testing.assert_allclose(out.copy_to_host(), expected, rtol=1e-14, atol=1e-15)
    grad = RNG.standard_normal(expected.size)
    spread = there(np.zeros(x.size))
    pooling.average_pool_backward(there(grad), src, dst, there(table), divisor, spread)
    expected = cpu_pooling.average_pool_backward(grad, 2, src, dst, table, divisor)
    np.testing.assert_allclose(spread.copy_to_host(), expected, rtol=1e-13, atol=1e-14)
