"""kernels/cpu/indexing.py and gather_scatter.py against numpy's own indexing."""

import numpy as np
import pytest

from numtorch.kernels.cpu import gather_scatter as g
from numtorch.kernels.cpu import indexing as k
from numtorch.kernels.cpu import row_indexing as rows

pytestmark = pytest.mark.nojit

NOTHING = np.empty(0, np.int64)


def ints(*values):
    return np.array(values, np.int64)


def positions(shape, strides, start=0):
    out = np.empty(int(np.prod(shape)), np.int64)
    k.strided_positions(out, np.array(shape, np.int64), np.array(strides, np.int64), start)
    return out


@pytest.mark.parametrize(
    "shape, strides",
    [
        ((2, 3), (3, 1)),
        ((3, 2), (1, 3)),
        ((4,), (2,)),
        ((2, 1, 3), (7, 5, 2)),
        ((), ()),
        ((0, 3), (3, 1)),
        ((3, 2), (0, 1)),
    ],
)
def test_positions_of_a_strided_view(shape, strides):
    want = sum((np.indices(shape)[d] * s for d, s in enumerate(strides)), np.zeros(shape, np.int64)).reshape(-1)
    np.testing.assert_array_equal(positions(shape, strides, 5), want + 5)


@pytest.mark.parametrize(
    "index, low, where",
    [([0, 1, 2], 0, -1), ([0, 3, -1], 0, 1), ([-1], 0, 0), ([-3, 2], -3, -1), ([0, -4], -3, 1), ([], 0, -1)],
)
def test_the_first_bad_index_is_found(index, low, where):
    assert k.first_bad_index(ints(*index), 3, low) == where


def test_nothing_is_added_to_the_positions_for_a_bad_index():
    base = np.zeros(3, np.int64)
    assert k.index_positions(ints(0, 1, 5), 3, 10, base) == 2
    assert k.flat_positions(ints(0, -7, 2), 6, ints(2, 3), ints(3, 1), base) == 1
    np.testing.assert_array_equal(base, 0)


def test_negative_indices_count_from_the_end():
    base = np.zeros(4, np.int64)
    assert k.index_positions(ints(0, -1, 2, -3), 3, 10, base) == -1
    np.testing.assert_array_equal(base, [0, 20, 20, 0])


def test_flat_positions_follow_the_strides():
    x = np.arange(24).reshape(2, 3, 4)
    view = x.transpose(2, 0, 1)[::2]
    base = np.zeros(5, np.int64)
    index = ints(0, 11, -1, 5, -12)
    assert k.flat_positions(index, 12, ints(2, 2, 3), ints(2, 12, 4), base) == -1
    np.testing.assert_array_equal(x.reshape(-1)[base], view.reshape(-1)[index])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.complex128])
@pytest.mark.parametrize("adjacent", [True, False])
def test_reading_and_writing_a_block(dtype, adjacent):
    x = np.arange(2 * 5 * 3).astype(dtype).reshape(2, 5, 3)
    index = ints(4, 0, 0, 2)
    inner = NOTHING if adjacent else ints(0, 1, 2)
    out = np.empty(2 * 4 * 3, dtype)
    k.index_forward(x.reshape(-1), ints(0, 15), index * 3, inner, 3, out)
    np.testing.assert_array_equal(out.reshape(2, 4, 3), x[:, index])
    target, want = np.zeros_like(x), np.zeros_like(x)
    want[:, index] = out.reshape(2, 4, 3)
    k.index_put(target.reshape(-1), ints(0, 15), index * 3, inner, 3, out)
    np.testing.assert_array_equal(target, want)
    k.index_put(target.reshape(-1), ints(0, 15), index * 3, inner, 3, np.array([7], dtype))
    assert (target[:, index] == 7).all() and (target[:, [1, 3]] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.complex64])
def test_values_that_meet_are_added(dtype):
    rng = np.random.default_rng(0)
    x, values = (rng.integers(-9, 9, s).astype(dtype) for s in ((4, 3), (5, 3)))
    index, want = ints(1, 1, 3, 0, 1), x.copy()
    np.add.at(want, index, values)
    k.index_accumulate(x.reshape(-1), ints(0), index * 3, NOTHING, 3, values.reshape(-1))
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize(
    "mode, ufunc", [(k.SUM, np.add), (k.PROD, np.multiply), (k.AMIN, np.minimum), (k.AMAX, np.maximum)]
)
def test_reductions_at_indices_let_nan_win(mode, ufunc):
    x = np.array([1.0, 2.0, np.nan, 4.0])
    index, values = ints(0, 0, 1, 2, 3), np.array([3.0, -2.0, np.nan, 1.0, 5.0])
    want = x.copy()
    with np.errstate(invalid="ignore"):
        ufunc.at(want, index, values)
    k.index_reduce(x, ints(0), index, NOTHING, 1, values, mode)
    np.testing.assert_array_equal(x, want)


def test_masks():
    mask = np.array([True, False, True, True, False])
    x = np.arange(5, dtype=np.uint32)
    assert k.count_true(mask) == 3
    found, out = np.empty(3, np.int64), np.empty(3, np.uint32)
    k.true_positions(mask, found)
    k.masked_select_forward(x, mask, out)
    np.testing.assert_array_equal(found, [0, 2, 3])
    np.testing.assert_array_equal(out, [0, 2, 3])
    k.masked_fill_forward(x, mask, np.uint32(9))
    np.testing.assert_array_equal(x, [9, 1, 9, 9, 4])


def test_coordinates_of_flat_positions():
    out = np.empty(9, np.int64)
    k.nonzero_coordinates(ints(0, 13, 23), ints(2, 3, 4), out)
    np.testing.assert_array_equal(out.reshape(3, 3), np.stack(np.unravel_index([0, 13, 23], (2, 3, 4)), 1))


@pytest.mark.parametrize("width", [1, 3])
def test_rows_are_taken_only_if_every_index_is_good(width):
    x = np.arange(4 * width, dtype=np.int64)
    out = np.full(3 * width, 99, np.int64)
    assert rows.rows_forward(x, ints(0, 4, 1), 4, -4, 1, width, out) == 1
    assert (out == 99).all()
    assert rows.rows_forward(x, ints(-1, 0, 3), 4, -4, 1, width, out) == -1
    np.testing.assert_array_equal(out.reshape(3, width), x.reshape(4, width)[[-1, 0, 3]])


@pytest.mark.parametrize("shape, count, dim", [((5,), 3, 0), ((3, 4), 2, 0), ((3, 4), 6, 1), ((2, 3, 4), 2, 1)])
def test_gather_and_scatter(shape, count, dim):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape)
    size = list(shape)
    size[dim] = count
    index = rng.integers(0, shape[dim], size)
    strides = [s // 8 for s in x.strides]
    outer = positions(shape[:dim], strides[:dim])
    width = int(np.prod(shape[dim + 1 :]))
    for inner in (NOTHING, positions(shape[dim + 1 :], strides[dim + 1 :])):
        block = (outer, inner, index.reshape(-1), strides[dim], count, width)
        out = np.empty(index.size, np.uint64)
        g.gather_forward(x.reshape(-1).view(np.uint64), *block, out)
        np.testing.assert_array_equal(out.view(np.float64).reshape(size), np.take_along_axis(x, index, dim))
        key = list(np.indices(index.shape))
        key[dim] = index
        values = rng.standard_normal(size)
        added, want = x.copy(), x.copy()
        np.add.at(want, tuple(key), values)
        g.scatter_add_forward(added.reshape(-1), *block, values.reshape(-1))
        np.testing.assert_allclose(added, want, rtol=1e-15)
        largest, want = x.copy(), x.copy()
        np.maximum.at(want, tuple(key), values)
        g.scatter_reduce_forward(largest.reshape(-1), *block, values.reshape(-1), k.AMAX)
        np.testing.assert_array_equal(largest, want)
        written, want = x.copy(), x.copy()
        want[tuple(key)] = 7.0
        g.scatter_forward(written.reshape(-1), *block, np.array([7.0]))
        np.testing.assert_array_equal(written, want)
