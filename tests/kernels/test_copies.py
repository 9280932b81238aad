"""Copies between layouts, at sizes on both sides of tiles, blocks and thresholds, against numpy."""

import numpy as np
import pytest

pytest.importorskip("numba")

import numtorch as torch
from numtorch.kernels.cpu.copy import copy_strided, turn

DTYPES = [np.uint8, np.int16, np.float32, np.float64, np.complex128]


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _numbers(size, dtype):
    return (np.arange(np.prod(size)) % 251).reshape(size).astype(dtype)


def _check(a, change):
    """`change` makes a view of an array and of a tensor alike."""
    np.testing.assert_array_equal(change(torch.from_numpy(a)).contiguous().numpy(), change(a))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 9), (9, 2), (15, 15), (16, 16), (17, 33), (300, 7), (3, 300), (257, 513)])
def test_turned_matrices(dtype, size):
    _check(_numbers(size, dtype), lambda x: x.T)
    _check(_numbers((size[0] + 3, size[1] + 5), dtype), lambda x: x[1:-2, 2:-3].T)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (2, 1, 0), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("size", [(3, 4, 5), (6, 70, 90), (40_000, 1, 2), (2, 3, 20_001)])
def test_permuted_dimensions(dtype, order, size):
    a = _numbers(size, dtype)
    expected = np.ascontiguousarray(a.transpose(order))
    np.testing.assert_array_equal(torch.from_numpy(a).permute(order).contiguous().numpy(), expected)


@pytest.mark.parametrize("size", [(5, 7), (300, 400), (3, 70_000)])
def test_slices_and_writes_into_them(size):
    a = _numbers(size, np.float32)
    _check(a, lambda x: x[:, 1:])
    _check(a, lambda x: x[1:, ::3])
    x, expected = torch.zeros(size), np.zeros(size, np.float32)
    x[1:, ::2] = torch.from_numpy(a[1:, ::2].copy())
    expected[1:, ::2] = a[1:, ::2]
    np.testing.assert_array_equal(x.numpy(), expected)


@pytest.mark.parametrize(("size", "expanded"), [((300, 1), (300, 500)), ((1, 500), (300, 500)), ((), (70_001,))])
def test_expanded(size, expanded):
    a = _numbers(size, np.float32)
    np.testing.assert_array_equal(
        torch.from_numpy(a).expand(expanded).contiguous().numpy(), np.broadcast_to(a, expanded)
    )


@pytest.mark.parametrize("n", [10, 100_000, 1_000_003])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.complex128])
def test_clones(n, dtype):
    x = torch.arange(n).to(dtype)
    assert torch.equal(x.clone(), x)
    y = torch.zeros(n, dtype=dtype)
    y.copy_(x)
    assert torch.equal(x, y)


def test_a_tile_touches_nothing_else():
    side = 16  # of float32 with AVX-512; less elsewhere
    for m, n in ((side, side), (side - 1, 3), (2, side + 1), (2 * side + 1, side)):
        x = np.arange(m * n, dtype=np.float32) + 1
        out = np.zeros((m + 2, n + 4), np.float32)
        turn(x, 0, out.reshape(-1), n + 4 + 2, m, n, m, n + 4)
        np.testing.assert_array_equal(out[1:-1, 2:-2], x.reshape(n, m).T)
        out[1:-1, 2:-2] = 0
        assert not out.any()


def test_a_matrix_turned_by_its_strides():
    x = np.arange(6.0)
    out = np.zeros(6)
    copy_strided(x, 0, out, 0, np.array([2, 3, 2, 1, 3, 2, 1]))
    np.testing.assert_array_equal(out, [0, 3, 1, 4, 2, 5])
