"""kernels/cpu/gemm.py against products in float64, at sizes on both sides of every tile and block."""

import numpy as np
import pytest

from numtorch.kernels.cpu import gemm as g
from numtorch.kernels.cpu import gemm_batches as batches
from numtorch.kernels.cpu import matmul
from numtorch.kernels.cpu.gemv import long_sums, vector_form
from numtorch.kernels.cpu.tile_sizes import ROWS, VECTORS, lanes

DTYPES = ["f4", "f8"]


def sample(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def stored(x, transposed):
    """x in a flat buffer of odd offset and padded rows, with its row and column strides."""
    y = np.ascontiguousarray(x.T) if transposed else x
    rows = np.full((y.shape[0], y.shape[1] + 3), np.nan, x.dtype)
    rows[:, : y.shape[1]] = y
    flat = np.concatenate([np.full(5, np.nan, x.dtype), rows.reshape(-1)])
    stride = rows.shape[1]
    return flat, 5, *((1, stride) if transposed else (stride, 1))


def bound(a, b, extra=0.0):
    """|fl(ab) - ab| <= (k + 2) eps |a||b| for a sum in any order."""
    eps = np.finfo(a.dtype).eps
    return (a.shape[1] + 2) * eps * (np.abs(a).astype("f8") @ np.abs(b).astype("f8") + extra)


def check(n, k, m, transpose_a, transpose_b, dtype, accumulate):
    a, b = sample((n, k), dtype, 1), sample((k, m), dtype, 2)
    row_out = m + 2
    out = np.full(3 + n * row_out, 7.0, dtype)
    before = out[3:].reshape(n, row_out).copy()
    g.gemm_serial(*stored(a, transpose_a), *stored(b, transpose_b), out, 3, row_out, n, k, m, accumulate)
    got = out[3:].reshape(n, row_out)
    want = a.astype("f8") @ b.astype("f8") + (before[:, :m] if accumulate else 0)
    assert (np.abs(got[:, :m] - want) <= bound(a, b, 7.0 * accumulate)).all()
    assert (got[:, m:] == 7).all() and (out[:3] == 7).all(), "written outside of the result"


def check_whole(n, k, m, transpose_a, transpose_b, dtype):
    """Two dense matrices as users multiply them, with and without a bias."""
    a, b, bias = sample((n, k), dtype, 1), sample((k, m), dtype, 2), sample(m, dtype, 3)
    flat_a = np.ascontiguousarray(a.T if transpose_a else a).reshape(-1)
    flat_b = np.ascontiguousarray(b.T if transpose_b else b).reshape(-1)
    for added in (None, bias):
        got = matmul.mm(flat_a, flat_b, n, k, m, None, added, bool(transpose_a), bool(transpose_b)).reshape(n, m)
        want = a.astype("f8") @ b.astype("f8") + (0 if added is None else added)
        assert (np.abs(got - want) <= bound(a, b, np.abs(bias))).all()


WIDTH = VECTORS * lanes(4)
EDGES = [1, 2, ROWS // 2 + 1, ROWS, ROWS + 1, 2 * ROWS - 1]
COLUMNS = [1, lanes(8) - 1, lanes(4), lanes(4) + 1, WIDTH - 1, WIDTH, WIDTH + 1, WIDTH + lanes(4), 2 * WIDTH + 5]


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposes", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
@pytest.mark.parametrize("n", EDGES)
@pytest.mark.parametrize("m", COLUMNS)
def test_every_edge_of_a_tile(n, m, transposes, dtype):
    for k in (0, 1, lanes(4) + 1):
        check(n, k, m, *transposes, dtype, accumulate=(n + m) % 2 == 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposes", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
@pytest.mark.parametrize("size", [(49, 400, 700), (130, 1000, 65), (5, 2000, 400), (200, 17, 801)], ids=str)
def test_several_blocks_of_every_dimension(size, transposes, dtype):
    for accumulate in (False, True):
        check(*size, *transposes, dtype, accumulate)


@pytest.mark.nojit
def test_an_empty_result_and_an_empty_sum():
    for n, k, m in ((0, 3, 2), (3, 3, 0), (0, 0, 0), (3, 0, 2)):
        check(n, k, m, False, False, "f4", False)
        check(n, k, m, False, False, "f4", True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "size",
    [(1, 300, 2500), (2500, 300, 1), (8, 100, 33), (3, 17, 5), (1, 33, 1), (33, 300, 2), (61, 150, 7), (20, 1, 300)],
    ids=str,
)
@pytest.mark.parametrize("transposes", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
def test_vectors_and_few_rows(size, transposes, dtype):
    for accumulate in (False, True):
        check(*size, *transposes, dtype, accumulate)
    check_whole(*size, *transposes, dtype)


@pytest.mark.parametrize("transposes", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
@pytest.mark.parametrize("size", [(700, 520, 1010), (1030, 513, 600)], ids=str)
def test_operands_larger_than_the_second_level_cache(size, transposes):
    check(*size, *transposes, "f4", False)
    check(*size, *transposes, "f4", True)


SHARED = [(9, 40, 50), (1, 300, 2500), (2500, 300, 1), (8, 100, 33), (70, 1000, 17), (700, 520, 1010), (5, 0, 7)]
SHARED += [(131, 400, 3), (50, 1, 200)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SHARED, ids=str)
@pytest.mark.parametrize("batch", [1, 3, 8], ids=str)
@pytest.mark.parametrize("transposes", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
def test_the_number_of_parts_changes_no_bit(transposes, batch, size, dtype):
    if batch * np.prod(size) > 2e8:
        pytest.skip("large enough without a batch")
    n, k, m = size
    left = (n * k, 0, 1, n) if transposes[0] else (n * k, 0, k, 1)
    right = (0, 0, 1, k) if transposes[1] else (0, 0, m, 1)  # one matrix for the whole batch
    a, b, bias = sample(batch * n * k, dtype, 1), sample(k * m, dtype, 2), sample(m, dtype, 3)
    results = []
    form = vector_form(n, k, m, *left[2:], *right[2:], 0, lanes(np.dtype(dtype).itemsize))
    for parts, parallel in ((1, False), (3, False), (4, True)):
        out = np.full(batch * n * m, np.nan, dtype)
        one = a.dtype.type(1)
        operands = (a, 0, left, b, 0, right, bias, 0, (0, 0, 0), True, one, one, out, (batch, 1, n, k, m))
        if form:
            operands += (form,)
        if parallel:
            (batches.vectors_parallel if form else batches.multiply_parallel)(*operands, parts)
        else:
            for part in range(parts):
                (batches.vectors_part if form else batches.multiply_part)(*operands, part, parts)
        results.append(out)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    first = a[: n * k].reshape(k, n).T if transposes[0] else a[: n * k].reshape(n, k)
    second = b.reshape(m, k).T if transposes[1] else b.reshape(k, m)
    want = first.astype("f8") @ second.astype("f8") + bias
    assert (np.abs(results[0][: n * m].reshape(n, m) - want) <= bound(first, second, np.abs(bias))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "size", [(20, 30, 40), (1, 30, 40), (20, 30, 1), (4, 30, 40), (60, 900, 50), (30, 200, 3), (20, 1, 80)], ids=str
)
def test_alpha_and_beta_in_one_pass(size, dtype):
    n, k, m = size
    a, b, start = sample((n, k), dtype, 1), sample((k, m), dtype, 2), sample((n, m), dtype, 3)
    for stored_b, strides in ((b, (m, 1)), (np.ascontiguousarray(b.T), (1, k))):
        out = np.empty(n * m, dtype)
        matmul.scaled_matmul(
            a.reshape(-1), 0, (n, k), (k, 1), stored_b.reshape(-1), 0, (k, m), strides,
            out, (start.reshape(-1), 0, (m,)), -0.5, 3.0,
        )  # fmt: skip
        want = -0.5 * (a.astype("f8") @ b) + 3.0 * start
        assert (np.abs(out.reshape(n, m) - want) <= 2 * bound(a, b, 3 * np.abs(start))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 3, lanes(4), lanes(4) + 1, 64], ids=str)
def test_a_long_sum_is_cut_the_same_way_for_every_number_of_threads(columns, dtype):
    k = 2 * 2**17 // columns + 5
    x, b = sample((1, k), dtype, 1), sample((k, columns), dtype, 2)
    got = matmul.mm(x.reshape(-1), b.reshape(-1), 1, k, columns)
    alone = np.empty(columns, dtype)
    long_sums.serial(x.reshape(-1), b.reshape(-1), alone, k, columns)
    assert (got == alone).all()
    assert (np.abs(got - x.astype("f8") @ b.astype("f8")) <= bound(x, b)).all()
    turned = matmul.mm(b.reshape(-1), x.reshape(-1), columns, k, 1, transpose_a=True)
    assert (got == turned).all()


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 2, lanes(8) - 1, lanes(8), lanes(4)], ids=str)
@pytest.mark.parametrize("n", [1, lanes(8), lanes(4), lanes(4) + 1, 100], ids=str)
def test_many_short_rows_times_a_vector(n, k, dtype):
    a, x = sample((n, k), dtype, 1), sample((k, 1), dtype, 2)
    check_whole(n, k, 1, False, False, dtype)
    check_whole(1, k, n, False, True, dtype)
    got = matmul.mm_added(a.reshape(-1), x.reshape(-1), np.ones(n, dtype), n, k, 1, 2.0, 0.5)
    assert (np.abs(got - (2 * (a.astype("f8") @ x)[:, 0] + 0.5)) <= 3 * bound(a, x, 1)[:, 0]).all()
