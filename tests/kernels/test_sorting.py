"""kernels/cpu/sorting.py against numpy's stable sort, at the sizes where the algorithm changes."""

import numpy as np
import pytest

from numtorch.kernels.cpu import row_selection as s
from numtorch.kernels.cpu import sorting as k

pytestmark = pytest.mark.nojit

DTYPES = ["f4", "f8", "?", "u1", "i1", "i2", "i4", "i8"]
SIZES = [1, 2, 16, 17, 33, 511, 512, 3000]


def sample(n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal(n) * 50)
    if np.dtype(dtype).kind == "f":
        x[::7], x[3::11], x[5::13], x[6::17] = np.nan, np.inf, -np.inf, -0.0
        return x.astype(dtype)
    return np.asarray(x.astype(np.int64) % 100 if dtype == "u1" else x).astype(dtype)


def sort(x, rows=1, descending=False):
    keys, order = k.sort_keys(x, descending), np.empty(x.size, np.int64)
    k.sort_forward(keys, order, rows, x.size // rows)
    return order


def expected(x, descending):
    """The stable order with nan as the largest."""
    place = np.argsort(x, kind="stable")
    if not descending:
        return place
    return x.size - 1 - np.argsort(x[::-1], kind="stable")[::-1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("descending", [False, True])
def test_sorting_is_stable_with_nan_last(dtype, descending):
    for n in SIZES:
        x = sample(n, dtype, n)
        np.testing.assert_array_equal(sort(x, 1, descending), expected(x, descending))


def test_rows_are_sorted_apart():
    x = sample(600, "f4")
    want = np.concatenate([expected(row, False) for row in x.reshape(20, 30)])
    np.testing.assert_array_equal(sort(x, 20), want)


@pytest.mark.parametrize("values", [[0, -1, 2**63 - 1, -(2**63)], [5, 5, 5], [1, 0]])
def test_the_whole_range_of_int64_has_its_order(values):
    x = np.array(values, np.int64)
    np.testing.assert_array_equal(sort(x), np.argsort(x, kind="stable"))


@pytest.mark.parametrize("flip", [0, -1])
def test_integers_of_a_small_range_have_keys_of_half_the_size(flip):
    x = np.array([-(2**40) + 7, -(2**40), -(2**40) + 2**32 - 1, -(2**40) + 9])
    keys, back = np.empty(4, np.uint32), np.empty_like(x)
    k.keys_in_range(x, x.min(), keys, flip)
    np.testing.assert_array_equal(np.argsort(keys), np.argsort(-x if flip else x))
    k.values_in_range(keys, x.min(), flip, back)
    np.testing.assert_array_equal(back, x)


# --- rows on keys of their own ------------------------------------------------------------------------------

WIDE = ["f4", "f8", "i4", "i8"]


def bits_of(x):
    if x.dtype.kind == "f":
        return x.view(f"i{x.itemsize}"), True
    return x, False


def last_key(x):
    return np.array([2 ** (8 * x.itemsize) - 1], f"u{x.itemsize}")


ROWS = [(1, 1), (2, 5), (2, 16), (3, 17), (9, 33), (2, 100), (2, 3000), (20, 700), (1, 5000)]


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("rows, n", ROWS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_topk_is_the_head_of_the_sorted_order(dtype, rows, n, share):
    amount = max(int(n * share), 1)
    x = sample(rows * n, dtype, n)
    bits, floating = bits_of(x)
    for flip in (0, -1):
        out, places = np.empty(rows * amount, bits.dtype), np.empty(rows * amount, np.int64)
        s.topk_rows(bits, floating, flip, last_key(x), rows, n, amount, out, places)
        want = np.stack([expected(row, flip == -1)[:amount] for row in x.reshape(rows, n)])
        np.testing.assert_array_equal(places.reshape(rows, amount), want)
        np.testing.assert_array_equal(out.reshape(rows, amount), np.take_along_axis(bits.reshape(rows, n), want, 1))


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("rows, n", ROWS)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_kth_smallest_is_that_of_the_sorted_row(dtype, rows, n, share):
    k_ = int((n - 1) * share)
    x = sample(rows * n, dtype, n)
    bits, floating = bits_of(x)
    out, places = np.empty(rows, bits.dtype), np.empty(rows, np.int64)
    s.select_rows(bits, floating, last_key(x), rows, n, k_, False, False, out, places)
    ordered = np.sort(x.reshape(rows, n), 1)[:, k_]
    np.testing.assert_array_equal(out.view(x.dtype), ordered)
    np.testing.assert_array_equal(x.reshape(rows, n)[np.arange(rows), places], ordered)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 2, 9, 100, 101, 6000])
def test_the_median_is_the_lower_middle_and_nan_wins_unless_skipped(dtype, n):
    x = sample(3 * n, dtype, n).reshape(3, n)
    x[0] = np.where(np.isnan(x[0]), 1, x[0])
    x[2] = np.nan
    bits, floating = bits_of(x.reshape(-1))
    out, places = np.empty(3, bits.dtype), np.empty(3, np.int64)
    for skip in (False, True):
        s.select_rows(bits, floating, last_key(x), 3, n, 0, True, skip, out, places)
        for r in range(3):
            numbers = x[r][~np.isnan(x[r])]
            counts = numbers if skip else x[r]
            missing = numbers.size == 0 or (numbers.size < n and not skip)
            want = np.nan if missing else np.sort(counts)[(counts.size - 1) // 2]
            np.testing.assert_equal(out.view(dtype)[r], want)
            np.testing.assert_equal(x[r, places[r]], want)


@pytest.mark.parametrize("spread", [1, 2, 2**20, 2**31 - 1])
def test_long_rows_of_integers_are_cut_down_by_their_digits(spread):
    x = np.random.default_rng(0).integers(-spread, spread, 20001).astype(np.int32)
    out, places = np.empty(1, np.int32), np.empty(1, np.int64)
    for k_ in (0, 7, 10000, 20000):
        s.select_rows(x, False, last_key(x), 1, x.size, k_, False, False, out, places)
        assert out[0] == np.sort(x)[k_]


@pytest.mark.parametrize("dtype", ["f4", "i4", "f8", "i8"])
@pytest.mark.parametrize(
    "rows, n", [*ROWS[:6], (1, s.RANK_MAX), (1, s.RANK_MAX + 1), (9, 64), (17, 8), (300, 100), (3, 1024), (4, 1024)]
)
def test_short_rows_are_sorted_stably(dtype, rows, n):
    x = sample(rows * n, dtype, n)
    bits, floating = bits_of(x)
    for flip in (0, -1):
        out, places = np.empty_like(bits), np.empty(x.size, np.int64)
        s.sort_short_rows(bits, floating, flip, last_key(x), rows, n, out, places)
        want = np.stack([expected(row, flip == -1) for row in x.reshape(rows, n)])
        np.testing.assert_array_equal(places.reshape(rows, n), want)
        np.testing.assert_array_equal(out.reshape(rows, n), np.take_along_axis(bits.reshape(rows, n), want, 1))


def test_rows_are_taken_in_an_order():
    out = np.empty(4, np.uint8)
    k.take_rows(np.arange(6, dtype=np.uint8), np.array([2, 0, 1, 1]), out, 2, 3, 2)
    np.testing.assert_array_equal(out, [2, 0, 4, 4])


def test_runs_of_equal_elements():
    x = np.array([1.0, 1, 2, np.nan, np.nan, 2])
    first, inverse = np.empty(6, np.int64), np.empty(6, np.int64)
    assert k.unique_consecutive_forward(x, first, inverse) == 5
    np.testing.assert_array_equal(first[:5], [0, 2, 3, 4, 5])
    np.testing.assert_array_equal(inverse, [0, 0, 1, 2, 3, 4])


def test_runs_of_equal_rows():
    x = np.array([1, 2, 1, 2, 1, 3, 1, 2])
    first, inverse, counts = (np.empty(4, np.int64) for _ in range(3))
    assert k.unique_consecutive_rows(x, 4, 2, first, inverse, counts) == 3
    np.testing.assert_array_equal(first[:3], [0, 2, 3])
    np.testing.assert_array_equal(counts[:3], [2, 1, 1])


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "i8"])
def test_binary_search(right, dtype):
    rng = np.random.default_rng(3)
    bounds, values = np.sort(rng.integers(0, 9, (3, 6)).astype(dtype)), rng.integers(-1, 11, (3, 4)).astype(dtype)
    out = np.empty(12, np.int64)
    side = "right" if right else "left"
    none = np.empty(0, np.int64)
    k.searchsorted_forward(bounds.reshape(-1), values.reshape(-1), none, 3, 6, 4, False, right, out)
    want = np.stack([np.searchsorted(b, v, side) for b, v in zip(bounds, values, strict=True)])
    np.testing.assert_array_equal(out.reshape(3, 4), want)
    shuffled = rng.permutation(6)
    k.searchsorted_forward(bounds[0][shuffled], values.reshape(-1), np.argsort(shuffled), 1, 6, 12, True, right, out)
    np.testing.assert_array_equal(out, np.searchsorted(bounds[0], values.reshape(-1), side))


def test_membership():
    out = np.empty(4, np.bool_)
    k.isin_sorted(np.array([0.0, 1, 2, np.nan]), np.array([1.0, 2.0]), out)
    np.testing.assert_array_equal(out, [False, True, True, False])
