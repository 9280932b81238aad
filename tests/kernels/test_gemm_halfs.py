"""kernels/cpu/gemm_halfs.py against products in float64, and the choice between it and gemm_pairs.py."""

import numpy as np
import pytest

from numtorch.kernels.cpu import matmul
from numtorch.kernels.cpu.gemm_halfs import halfs_parallel, halfs_part

TRANSPOSES = [(0, 0), (0, 1), (1, 0), (1, 1)]
SIZES = [(1, 1, 1, 1), (1, 1, 40, 300), (2, 8, 33, 50), (1, 300, 40, 1), (3, 9, 1, 7), (1, 5, 0, 6), (1, 40, 3000, 130)]


def sample(shape, is_bfloat, seed):
    """Halfs, as float32."""
    x = np.random.default_rng(seed).standard_normal(shape).astype("f4")
    return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view("f4") if is_bfloat else x.astype("f2").astype("f4")


def bits(x, is_bfloat):
    return (x.view(np.uint32) >> np.uint32(16)).astype(np.uint16) if is_bfloat else x.astype("f2").view(np.uint16)


def numbers(x, is_bfloat):
    return (x.astype(np.uint32) << np.uint32(16)).view("f4") if is_bfloat else x.view("f2").astype("f4")


def stored(x, transposed, padding, is_bfloat):
    """x (batch, rows, columns) as uint16 among nans, with its offset and strides."""
    y = np.swapaxes(x, 1, 2) if transposed else x
    lines = np.full((*y.shape[:2], y.shape[2] + padding), np.nan, "f4")
    lines[:, :, : y.shape[2]] = y
    flat = np.concatenate([np.full(padding, np.nan, "f4"), lines.reshape(-1)])
    step = lines.shape[2]
    return bits(flat, is_bfloat), padding, (y.shape[1] * step, *((1, step) if transposed else (step, 1)))


@pytest.mark.parametrize("is_bfloat", [False, True])
@pytest.mark.parametrize("transposes", TRANSPOSES, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_are_float32_sums_rounded_once(size, transposes, is_bfloat):
    check(*size, transposes, is_bfloat)


@pytest.mark.nojit
@pytest.mark.parametrize("is_bfloat", [False, True])
@pytest.mark.parametrize("transposes", TRANSPOSES, ids=str)
def test_small_products(transposes, is_bfloat):
    check(2, 9, 5, 4, transposes, is_bfloat)


def check(batch, n, k, m, transposes, is_bfloat):
    a, b, bias = sample((batch, n, k), is_bfloat, 1), sample((batch, k, m), is_bfloat, 2), sample(m, False, 3)
    exact = a.astype("f8") @ b.astype("f8")
    terms = np.abs(a).astype("f8") @ np.abs(b).astype("f8")
    for padding in (0, 3):
        x, x0, left = stored(a, transposes[0], padding, is_bfloat)
        y, y0, right = stored(b, transposes[1], padding, is_bfloat)
        for added in (None, bias):
            outs = [matmul.half_matmul(x, x0, left, y, y0, right, batch, n, k, m, is_bfloat, added)]
            given = np.empty(0, "f4") if added is None else added
            for kernel, cut in ((halfs_part, (0, 1)), (halfs_parallel, (4,))):
                outs.append(np.full(batch * n * m, 0x7E00, np.uint16))
                sizes = (1, batch, n, k, m)
                kernel(x, x0, (0, *left), y, y0, (0, *right), given, outs[-1], sizes, is_bfloat, *cut)
            assert (outs[1] == outs[2]).all(), "the number of parts changed a bit"
            want, scale = (exact, terms) if added is None else (exact + bias, terms + np.abs(bias))
            limit = 2.0 ** (-8 if is_bfloat else -11) * np.abs(want) + (k + 2) * 2.0**-23 * scale + 2.0**-25
            for out in outs:
                assert (np.abs(numbers(out, is_bfloat).reshape(batch, n, m) - want) <= limit).all()


@pytest.mark.nojit
def test_float16_overflows_to_infinity_and_keeps_nan():
    a = bits(np.array([60000, 60000, np.nan, 1], "f4"), False)
    b = bits(np.array([1, 1], "f4"), False)
    out = matmul.half_matmul(a, 0, (0, 2, 1), b, 0, (0, 1, 1), 1, 2, 2, 1, False).view("f2")
    assert out[0] == np.inf and np.isnan(out[1])
