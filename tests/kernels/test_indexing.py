"""kernels/cpu/indexing.py and gather_scatter.py against numpy's own indexing."""

import numpy as np
import pytest

from numtorch.kernels.cpu import gather_scatter as g
from numtorch.kernels.cpu import indexing as k
from numtorch.kernels.cpu import joining, masks, triangular
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


def ends_of(mask):
    ends = np.empty(-(-mask.size // masks.BLOCK), np.int64)
    assert masks.true_ends(mask, ends) == mask.sum()
    return ends


@pytest.mark.parametrize("size", [5, masks.BLOCK - 1, masks.BLOCK + 200])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_masks(size, share):
    rng = np.random.default_rng(0)
    mask = rng.random(size) < share
    x = rng.integers(0, 99, size).astype(np.float32)
    ends, count = ends_of(mask), mask.sum()
    found, out = np.empty(count, np.int64), np.empty(count, np.float32)
    masks.true_positions_block(mask, ends, found)
    masks.masked_select_block(x, mask, ends, out)
    np.testing.assert_array_equal(found, np.flatnonzero(mask))
    np.testing.assert_array_equal(out, x[mask])
    filled = np.empty_like(x)
    masks.masked_fill_block(x, mask, np.float32(7), filled)
    np.testing.assert_array_equal(filled, np.where(mask, 7, x))
    if count:
        want = x.copy()
        want[mask] = np.arange(count)
        masks.masked_scatter_block(x, mask, ends, np.arange(count, dtype=np.float32), x)
        np.testing.assert_array_equal(x, want)


def test_a_mask_over_the_last_dimensions_serves_all_others():
    x = np.arange(12, dtype=np.float64)
    out = np.empty_like(x)
    masks.masked_fill_block(x, np.array([True, False, False, True]), -1.0, out)
    np.testing.assert_array_equal(out.reshape(3, 4), [[-1, 1, 2, -1], [-1, 5, 6, -1], [-1, 9, 10, -1]])


@pytest.mark.parametrize("shape", [(2, 3, 4), (7, 1), (1, 9), (300, 5, 41)])
def test_coordinates_of_flat_positions(shape):
    mask = np.random.default_rng(0).random(shape) < 0.4
    found = np.flatnonzero(mask)
    out = np.empty(found.size * len(shape), np.int64)
    masks.coordinates_of(found, np.array(shape), out)
    np.testing.assert_array_equal(out.reshape(-1, len(shape)), np.argwhere(mask))


@pytest.mark.parametrize("width", [1, 3])
def test_rows_are_taken_only_if_every_index_is_good(width):
    x = np.arange(4 * width, dtype=np.int64)
    out = np.full(3 * width, 99, np.int64)
    assert rows.rows_forward(x, ints(0, 4, 1), 4, -4, 0, 1, 0, width, width, 1, out) == 1
    assert (out == 99).all()
    assert rows.rows_forward(x, ints(-1, 0, 3), 4, -4, 0, 1, 0, width, width, 1, out) == -1
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


# --- large blocks, past every boundary of the tasks ---------------------------------------------------------


@pytest.mark.parametrize("outer, size, width, points", [(1, 900, 100, 3000), (3, 700, 17, 1200), (40, 30, 1, 900)])
@pytest.mark.parametrize("mode", [rows.SET, rows.ADD])
@pytest.mark.parametrize("start", ["copy", "zeros", "in place"])
def test_rows_are_updated_in_the_order_of_the_index(outer, size, width, points, mode, start):
    rng = np.random.default_rng(1)
    before, values = rng.integers(-9, 9, (outer, size, width)), rng.integers(-9, 9, (outer, points, width))
    before, values = before.astype(np.float32), values.astype(np.float32)
    index = rng.integers(-size, size, points)
    want = np.zeros_like(before) if start == "zeros" else before.copy()
    for p, i in enumerate(index):
        if i % size != 5:
            want[:, i] = values[:, p] + (want[:, i] if mode == rows.ADD else 0)
    target = before.copy() if start == "in place" else np.full_like(before, 77)
    origin = before.reshape(-1) if start == "copy" else np.empty(0, np.float32)
    arguments = (origin, start == "zeros", index, values.reshape(-1), size, -size, 5, outer, width, mode)
    assert rows.rows_update(*arguments, target.reshape(-1)) == -1
    np.testing.assert_array_equal(target, want)


def test_nothing_is_written_where_one_index_is_bad():
    target, index = np.zeros(12, np.float32), ints(0, 1, 4)
    none = np.empty(0, np.float32)
    assert rows.rows_update(none, False, index, np.ones(9, np.float32), 4, 0, -1, 1, 3, rows.ADD, target) == 2
    assert g.scatter_block(none, index, np.ones(3, np.float32), 4, 1, 3, 1, k.SUM, False, target) == 2
    assert not target.any()


@pytest.mark.parametrize(
    "outer, size, count, inner", [(70, 300, 400, 1), (1, 90, 50, 1100), (5, 40, 9, 700), (1, 9, 4, 1)]
)
def test_blocks_are_gathered_and_scattered(outer, size, count, inner):
    rng = np.random.default_rng(2)
    x = rng.integers(-99, 99, (outer, size, inner)).astype(np.float32)
    index = rng.integers(0, size, (outer, count, inner))
    values = rng.integers(-99, 99, index.shape).astype(np.float32)
    out = np.empty(index.shape, np.float32)
    block = (size, 0, outer, size * inner, inner, 1, count, inner)
    assert g.gather_block(x.reshape(-1), index.reshape(-1), *block, out.reshape(-1)) == -1
    np.testing.assert_array_equal(out, np.take_along_axis(x, index, 1))
    for mode in (g.SET, k.SUM, k.AMAX):
        want, target = x.copy(), np.empty_like(x)
        for n in range(count):
            place = (np.arange(outer)[:, None], index[:, n], np.arange(inner))
            old, new = want[place], values[:, n]
            want[place] = new if mode == g.SET else old + new if mode == k.SUM else np.maximum(old, new)
        arguments = (x.reshape(-1), index.reshape(-1), values.reshape(-1), size, outer, count, inner, mode)
        assert g.scatter_block(*arguments, True, target.reshape(-1)) == -1
        np.testing.assert_array_equal(target, want)
        target, arguments = x.copy(), (x.reshape(-1)[:0], *arguments[1:])
        assert g.scatter_block(*arguments, False, target.reshape(-1)) == -1
        np.testing.assert_array_equal(target, want)
    want, target = np.full_like(x, 3), np.empty_like(x)
    for n in range(count):
        want[np.arange(outer)[:, None], index[:, n], np.arange(inner)] += values[:, n]
    arguments = (np.full(1, 3, np.float32), index.reshape(-1), values.reshape(-1), size, outer, count, inner, k.SUM)
    assert g.scatter_block(*arguments, True, target.reshape(-1)) == -1
    np.testing.assert_array_equal(target, want)
    index[outer - 1, count - 1, inner - 1] = size
    last = index.size - 1
    assert g.gather_block(x.reshape(-1), index.reshape(-1), *block, out.reshape(-1)) == last
    for fresh in (False, True):
        assert g.scatter_block(*arguments, fresh, target.reshape(-1)) == last


@pytest.mark.parametrize("lengths", [(3, 1, 20, 7), (1, 1, 0, 0), (200000, 3, 0, 0), (90, 50, 7, 0)])
@pytest.mark.parametrize("count", [1, 900])
def test_parts_are_joined(lengths, count):
    if max(lengths) * count > 10**7:
        count = 3
    rng = np.random.default_rng(3)
    parts = [rng.integers(0, 99, (count, n)).astype(np.float64) for n in lengths]
    want = np.concatenate(parts, 1)
    out = np.full((count, want.shape[1] + 2), -1.0)
    flats = [part.reshape(-1) for part in parts]
    joining.join_four(*flats, *lengths, out.reshape(-1), 2, want.shape[1] + 2)
    np.testing.assert_array_equal(out[:, 2:], want)
    assert (out[:, :2] == -1).all()


@pytest.mark.parametrize("outer, count, width", [(3, 5, 1), (700, 130, 1), (4, 300, 70), (2, 1, 9)])
def test_blocks_are_turned_rolled_and_repeated(outer, count, width):
    x = np.arange(outer * count * width, dtype=np.float32).reshape(outer, count, width)
    out = np.empty_like(x)
    joining.flip_block(x.reshape(-1), count, width, out.reshape(-1))
    np.testing.assert_array_equal(out, x[:, ::-1])
    shift = count // 2
    joining.roll_block(x.reshape(-1), count * width, shift * width, out.reshape(-1))
    np.testing.assert_array_equal(out, np.roll(x, shift, 1))
    many = np.empty((outer, 3, count, width), np.float32)
    joining.repeat_block(x.reshape(-1), count * width, 3, many.reshape(-1))
    np.testing.assert_array_equal(many, np.repeat(x[:, None], 3, 1))


@pytest.mark.parametrize("diagonal", [-7, -1, 0, 2, 40])
def test_triangles(diagonal):
    x = np.random.default_rng(4).standard_normal((900, 9, 33)).astype(np.float32)
    for upper, want in ((False, np.tril), (True, np.triu)):
        out = np.empty_like(x)
        triangular.keep_triangle(x.reshape(-1), 9, 33, diagonal, upper, out.reshape(-1))
        np.testing.assert_array_equal(out, want(x, diagonal))
