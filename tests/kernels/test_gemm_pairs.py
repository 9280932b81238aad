"""kernels/cpu/gemm_pairs.py against products in float64, at sizes on both sides of every tile, block and pair."""

import numba
import numpy as np
import pytest

from numtorch.kernels import host
from numtorch.kernels.cpu.gemm_pairs import pairs_parallel, pairs_part
from numtorch.kernels.cpu.tile_sizes import ROWS, VECTORS, lanes

pytestmark = pytest.mark.skipif(
    not host.multiplies_bfloat16() and not numba.config.DISABLE_JIT, reason="no instruction for pairs of bfloat16"
)
TRANSPOSES = [(0, 0), (0, 1), (1, 0), (1, 1)]


def sample(shape, seed):
    """bfloat16 numbers as float32: the upper halves of normal ones."""
    x = np.random.default_rng(seed).standard_normal(shape).astype("f4")
    return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view("f4")


def stored(x, transposed, padding):
    """x (batch, rows, columns) as uint16 among nans, with its offset and strides; `padding` odd: no words anywhere."""
    y = np.swapaxes(x, 1, 2) if transposed else x
    lines = np.full((*y.shape[:2], y.shape[2] + padding), np.nan, "f4")
    lines[:, :, : y.shape[2]] = y
    flat = np.concatenate([np.full(padding, np.nan, "f4"), lines.reshape(-1)])
    step = lines.shape[2]
    strides = (0, y.shape[1] * step, *((1, step) if transposed else (step, 1)))
    return (flat.view(np.uint32) >> np.uint32(16)).astype(np.uint16), padding, strides


def check(batch, n, k, m, transposes, padding, biased=False):
    a, b = sample((batch, n, k), 1), sample((batch, k, m), 2)
    bias = sample(m if biased else 0, 3)
    got = []
    for kernel, cut in ((pairs_part, (0, 1)), (pairs_parallel, (4,))):
        out = np.full(batch * n * m, 0x7FC0, np.uint16)
        kernel(
            *stored(a, transposes[0], padding), *stored(b, transposes[1], padding), bias, out, (1, batch, n, k, m), *cut
        )
        got.append(out)
    assert (got[0] == got[1]).all(), "the number of parts changed a bit"
    result = (got[0].astype(np.uint32) << np.uint32(16)).view("f4").reshape(batch, n, m).astype("f8")
    want = a.astype("f8") @ b.astype("f8") + (bias if biased else 0)
    size = np.abs(a).astype("f8") @ np.abs(b).astype("f8") + (np.abs(bias) if biased else 0)
    # One rounding to 8 bits of what float32 sums are.
    assert (np.abs(result - want) <= 2.0**-8 * np.abs(want) + (k + 2) * 2.0**-23 * size).all()


@pytest.mark.nojit
@pytest.mark.parametrize("transposes", TRANSPOSES, ids=str)
@pytest.mark.parametrize("n", [1, ROWS // 2 + 1, ROWS, ROWS + 1])
@pytest.mark.parametrize("m", [1, lanes(4), lanes(4) + 1, VECTORS * lanes(4) + 5])
def test_every_edge_of_a_tile_and_of_a_pair(n, m, transposes):
    for k in (0, 1, 2, 5, 8):
        for padding in (0, 2, 3):
            check(1, n, k, m, transposes, padding, biased=(n + m + k) % 2 == 0)


@pytest.mark.parametrize("transposes", TRANSPOSES, ids=str)
@pytest.mark.parametrize("size", [(1, 33, 1000, 700), (1, 9, 1601, 400), (3, 130, 66, 65), (40, 7, 30, 9)], ids=str)
def test_several_blocks_and_batches(size, transposes):
    for padding in (0, 1):
        check(*size, transposes, padding, biased=True)


def test_a_last_pair_that_is_not_there_reads_nothing():
    """Beside an odd row lie nans; and neither infinity nor nan in the row is lost."""
    a, b = sample((1, 9, 3), 1), sample((1, 3, 20), 2)
    a[0, 4, 1], a[0, 5, 2] = np.inf, np.nan
    b[0, 1] = 1.0
    out = np.zeros(9 * 20, np.uint16)
    pairs_part(*stored(a, 0, 1), *stored(b, 0, 1), np.empty(0, "f4"), out, (1, 1, 9, 3, 20), 0, 1)
    result = (out.astype(np.uint32) << np.uint32(16)).view("f4").reshape(9, 20)
    assert (result[4] == np.inf).all() and np.isnan(result[5]).all()
    assert np.isfinite(np.delete(result, (4, 5), 0)).all()
