"""kernels/cpu/gemm.py against products in float64, at sizes on both sides of every tile and block."""

import numpy as np
import pytest

from numtorch.kernels.cpu import gemm as g
from numtorch.kernels.cpu.microkernel import ROWS, VECTORS, lanes

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
