"""Pointwise loops over every layout, at sizes on both sides of their blocks, tiles and thresholds, against numpy."""

import numpy as np
import pytest

pytest.importorskip("numba")

import numtorch as torch
from numtorch.kernels.cpu.pointwise import BLOCK, PARALLEL_THRESHOLD

DTYPES = [np.float32, np.float64, np.int64]


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _numbers(size, dtype, seed=0):
    return (np.random.default_rng(seed).integers(-50, 50, size)).astype(dtype)


def _check(a, b):
    """a + 2 * b is exact in every dtype here, so the sums have to be equal."""
    expected = a + 2 * b
    result = torch.add(torch.from_numpy(a), torch.from_numpy(b), alpha=2)
    assert result.numpy().dtype == expected.dtype
    np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, BLOCK - 1, PARALLEL_THRESHOLD - 1, PARALLEL_THRESHOLD, 5 * BLOCK + 3])
def test_one_layout(n, dtype):
    _check(_numbers(n, dtype), _numbers(n, dtype, 1))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((300, 1), (1, 300)),
        ((1, 300), (300, 1)),
        ((3, 1), (1, 40_000)),
        ((20_000, 1), (1, 3)),
        ((40, 50, 60), (50, 1)),
        ((40, 1, 60), (50, 1)),
        ((7, 1, 30, 1), (1, 11, 1, 33)),
        ((2, 1, 3, 1, 20_000), (1, 2, 1, 1, 1)),
        ((4097,), (9, 1)),
        ((4097,), (17, 4097)),
        ((10_000, 10), (10,)),
        ((1, 1), (70_001,)),
        ((30_001, 2), (1, 2)),
        ((5, 4), (1, 4)),
        ((0, 3), (1, 3)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_broadcasts(left, right, dtype):
    _check(_numbers(left, dtype), _numbers(right, dtype, 1))
    _check(_numbers(right, dtype), _numbers(left, dtype, 1))


@pytest.mark.parametrize("rows", [64, 63, 129, 300])
@pytest.mark.parametrize("columns", [128, 127, 200, 331])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_matrix_and_a_transposed_one(rows, columns, dtype):
    a, b = _numbers((rows, columns), dtype), _numbers((columns, rows), dtype, 1)
    _check(a, b.T)
    _check(b.T, a)
    wide = _numbers((columns + 5, rows + 7), dtype, 2)[3:-2, 1:-6]
    _check(a, wide.T)


@pytest.mark.parametrize("size", [(3, 70, 200), (2, 5, 64, 40), (30, 40, 15), (4000, 3, 17)])
def test_planes_of_transposed_matrices(size):
    a = _numbers(size, np.float32)
    b = _numbers((*size[:-2], size[-1], size[-2]), np.float32, 1).swapaxes(-1, -2)
    _check(a, b)
    _check(a, np.array(b[:1]))


def test_one_operand_of_any_layout():
    a = _numbers((300, 400), np.float32)
    whole = torch.from_numpy(a)
    for x in (whole[:, :350], whole[::2, ::3], whole[:, :1].expand(300, 500), whole[:1].expand(200, 400)):
        np.testing.assert_array_equal(torch.neg(x).numpy(), -x.numpy())


@pytest.mark.parametrize("weight", [(), (1,), (50, 1), (4, 1, 60), (60,), (4, 50, 60)])
def test_three_operands_of_any_layout(weight):
    a, b = _numbers((4, 50, 60), np.float32), _numbers((4, 50, 60), np.float32, 1)
    w = _numbers(weight, np.float32, 2)
    result = torch.addcmul(*(torch.from_numpy(np.asarray(each)) for each in (a, b, w)), value=2)
    np.testing.assert_array_equal(result.numpy(), a + 2 * b * w)


@pytest.mark.parametrize("steps", [(2, 1), (1, 2), (3, 3)])
def test_strides(steps):
    a, b = _numbers((600, 400), np.float32), _numbers((600, 400), np.float32, 1)
    _check(a[:: steps[0], :: steps[1]], b[:: steps[0], :: steps[1]])
    _check(a[:: steps[0], :: steps[1]], np.ascontiguousarray(b[:: steps[0], :: steps[1]]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.complex64])
@pytest.mark.parametrize("size", [(3, 5), (7, 33), (2000, 22), (90, 2), (3, 4500), (5, 2048)])
def test_gaps_between_elements_are_closed(size, dtype):
    a, b = _numbers((size[0], size[1] * 4), dtype), _numbers((size[0], size[1] * 4), dtype, 1)
    closed = np.ascontiguousarray
    for step in (2, 3, 4):
        x, y = a[:, : size[1] * step : step], b[:, : size[1] * step : step]
        _check(x, y)
        _check(x, closed(y))
        _check(closed(x), y)
        _check(x, closed(y[:1]))
        np.testing.assert_array_equal(torch.neg(torch.from_numpy(a)[:, : size[1] * step : step]).numpy(), -x)
        out = torch.from_numpy(np.zeros_like(a))
        out[:, : size[1] * step : step].copy_(torch.from_numpy(x))
        np.testing.assert_array_equal(out.numpy()[:, : size[1] * step : step], x)


@pytest.mark.parametrize("size", [(3, 5), (300, 200)])
def test_views_of_any_kind_are_operands_without_a_detour(size):
    t, m = _numbers(size[::-1], np.float32).T, _numbers(size, np.float32, 1)
    whole = _numbers((size[0] + 2, size[1] + 3), np.float32, 2)
    part = whole[1:-1, 1:-2]
    for x in (t, m, part):
        given = torch.from_numpy(x)
        np.testing.assert_array_equal((given * 2).numpy(), x * 2)
        np.testing.assert_array_equal((given * 1.5).numpy(), x * np.float32(1.5))
        np.testing.assert_array_equal((given > 0).numpy(), x > 0)
        np.testing.assert_array_equal(given.abs().numpy(), abs(x))
        for y in (t, m, part, m[:1], m[:, :1]):
            other = torch.from_numpy(y)
            np.testing.assert_array_equal((given - other).numpy(), x - y)
            np.testing.assert_array_equal((given < other).numpy(), x < y)
            written = given.clone()
            np.testing.assert_array_equal(written.mul_(other).numpy(), x * y)
            want = whole.copy()
            want[1:-1, 1:-2] += y
            into = torch.from_numpy(whole.copy())
            into[1:-1, 1:-2].add_(other)
            np.testing.assert_array_equal(into.numpy(), want)


def test_gradients_through_views_that_are_added():
    a, b = torch.randn(4, 6, requires_grad=True), torch.randn(6, 4, requires_grad=True)
    ((a * b.t())[:, ::2] * a[:, 1::2] * 3).sum().backward()
    x, y = a.detach().numpy(), b.detach().numpy().T
    want = np.zeros_like(x)
    want[:, ::2] = 3 * y[:, ::2] * x[:, 1::2]
    want[:, 1::2] = 3 * x[:, ::2] * y[:, ::2]
    np.testing.assert_allclose(a.grad.numpy(), want, rtol=1e-6)
    assert b.grad.shape == (6, 4)


@pytest.mark.parametrize("other", [(300, 400), (1, 400), (300, 1), (1, 1)])
@pytest.mark.parametrize("part", [np.s_[:, :350], np.s_[::2, ::3], np.s_[10:, 7:207]], ids=["rows", "steps", "both"])
def test_views_are_written_over_where_they_lie(part, other):
    want, b = _numbers((300, 400), np.float32), _numbers(other, np.float32, 1)
    given = torch.from_numpy(want.copy())
    same = tuple(np.s_[:] if n == 1 else p for n, p in zip(other, part))
    given[part].add_(torch.from_numpy(b)[same])
    given[part].mul_(2)
    want[part] = (want[part] + b[same]) * 2
    np.testing.assert_array_equal(given.numpy(), want)
