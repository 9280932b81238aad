"""kernels/cpu/matmul.py against sums written out with einsum in a wider type."""

import numpy as np
import pytest

from numtorch.kernels.cpu import matmul as k

TOLERANCE = {"f4": 2e-6, "f8": 4e-15, "c8": 2e-6, "c16": 4e-15}
SIZES = [(1, 1, 1), (16, 16, 16), (3, 5, 7), (1, 40, 9), (33, 1, 20), (70, 130, 300)]
SIZES += [(0, 3, 2), (3, 0, 2), (3, 2, 0)]


def sample(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.random(shape) < 0.2
    if kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if kind == "c" else x).astype(dtype)


def exact(a, b):
    kind = a.dtype.kind
    if kind == "b":
        return np.einsum("...nk,...km->...nm", a.astype(int), b.astype(int)) > 0
    wide = {"f": "f8", "c": "c16"}.get(kind, "i8")
    with np.errstate(over="ignore"):
        return np.einsum("...nk,...km->...nm", a.astype(wide), b.astype(wide))


def check(got, want, k, dtype):
    assert got.dtype == np.dtype(dtype) and got.ndim == 1
    if np.dtype(dtype).kind in "fc":
        scale = max(1.0, np.abs(want).max(initial=0))
        assert np.abs(got - want.reshape(-1)).max(initial=0) <= TOLERANCE[dtype] * scale * max(1, k**0.5)
    else:
        np.testing.assert_array_equal(got, want.astype(dtype).reshape(-1))


def strided(x, layout):
    """(buffer, offset, strides in elements) holding x in the given layout."""
    order = {
        "C": lambda y: y,
        "transposed": lambda y: np.ascontiguousarray(y.swapaxes(-1, -2)).swapaxes(-1, -2),
        "every other column": lambda y: np.repeat(y, 2, -1)[..., ::2],
        "rows of a wider matrix": lambda y: np.concatenate([y, y], -1)[..., : y.shape[-1]],
        "batch last": lambda y: np.moveaxis(np.ascontiguousarray(np.moveaxis(y, 0, -1)), -1, 0),
    }[layout](x)
    base = order
    while base.base is not None:
        base = base.base
    flat = np.concatenate([np.full(3, 7, x.dtype), base.reshape(-1)])
    return flat, 3, tuple(s // x.itemsize for s in order.strides)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", "i1", "u1", "i2", "i4", "i8", "?"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_mm_for_every_dtype_and_pair_of_transposes(dtype, size):
    n, inner, m = size
    a, b = sample((n, inner), dtype, 1), sample((inner, m), dtype, 2)
    for ta in (False, True):
        for tb in (False, True):
            stored_a = np.ascontiguousarray(a.T if ta else a).reshape(-1)
            stored_b = np.ascontiguousarray(b.T if tb else b).reshape(-1)
            got = k.mm(stored_a, stored_b, n, inner, m, transpose_a=ta, transpose_b=tb)
            check(got, exact(a, b), inner, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16", "i4"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_mm_adds_the_bias_to_every_row_and_fills_out(dtype, size):
    n, inner, m = size
    a, b, bias = sample((n, inner), dtype, 1), sample((inner, m), dtype, 2), sample(m, dtype, 3)
    out = np.empty(n * m, dtype)
    got = k.mm(a.reshape(-1), b.reshape(-1), n, inner, m, out, bias)
    assert got is out
    check(out, exact(a, b) + bias, inner, dtype)


LAYOUTS = ["C", "transposed", "every other column", "rows of a wider matrix", "batch last"]


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "i8", "?"])
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("size", [(4, 3, 5), (1, 6, 1), (20, 30, 9)], ids=str)
@pytest.mark.parametrize("batch", [(), (2,), (3, 2)], ids=str)
def test_matmul_reads_every_layout(dtype, left, right, size, batch):
    n, inner, m = size
    a, b = sample((*batch, n, inner), dtype, 1), sample((*batch, inner, m), dtype, 2)
    buffer_a, offset_a, strides_a = strided(a, left)
    buffer_b, offset_b, strides_b = strided(b, right)
    got = k.matmul(buffer_a, offset_a, a.shape, strides_a, buffer_b, offset_b, b.shape, strides_b)
    check(got, exact(a, b), inner, dtype)


@pytest.mark.parametrize("dtype", ["f4", "i4"])
def test_matmul_broadcasts_a_batch_of_stride_zero(dtype):
    a, b, bias = sample((4, 5, 6), dtype, 1), sample((6, 3), dtype, 2), sample(3, dtype, 3)
    got = k.matmul(a.reshape(-1), 0, (4, 5, 6), (30, 6, 1), b.reshape(-1), 0, (4, 6, 3), (0, 3, 1), bias=bias)
    check(got, exact(a, b) + bias, 6, dtype)


def test_matmul_of_an_expanded_matrix():
    row, b = sample(6, "f4", 1), sample((6, 3), "f4", 2)
    got = k.matmul(row, 0, (5, 6), (0, 1), b.reshape(-1), 0, (6, 3), (3, 1))
    check(got, exact(np.broadcast_to(row, (5, 6)), b), 6, "f4")


@pytest.mark.parametrize("size", [(3, 4, 5), (20, 30, 40)], ids=str)
def test_nan_and_inf_pass_through(size):
    n, inner, m = size
    a, b = sample((n, inner), "f4", 1), sample((inner, m), "f4", 2)
    a[0, 0], a[1, 0], b[0, 1] = np.nan, np.inf, 0.0
    got = k.mm(a.reshape(-1), b.reshape(-1), n, inner, m).reshape(n, m)
    assert np.isnan(got[0]).all() and np.isnan(got[1, 1])
    assert np.isinf(got[1, 0]) and np.isfinite(got[2]).all()


def test_integers_wrap_as_two_complements():
    a = np.full(9, 100, "i1")
    np.testing.assert_array_equal(k.mm(a, a, 3, 3, 3), np.full(9, np.int64(30000).astype("i1")))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    "size", [(1, 3, 5), (4, 4, 1), (5, 7, 17), (9, 0, 3), (8, 16, 33), (20, 20, 20), (21, 20, 20)], ids=str
)
def test_products_are_added_to_what_is_there(dtype, size):
    n, inner, m = size
    a, b, start = sample((n, inner), dtype, 1), sample((inner, m), dtype, 2), sample((n, m), dtype, 3)
    for ta, tb, alpha, beta in ((False, False, 1, 1), (True, True, 1, 1), (True, False, 0.5, 1), (False, True, 1, -2)):
        stored_a = np.ascontiguousarray(a.T if ta else a).reshape(-1)
        stored_b = np.ascontiguousarray(b.T if tb else b).reshape(-1)
        out = start.reshape(-1).copy()
        assert k.mm_added(stored_a, stored_b, out, n, inner, m, float(alpha), float(beta), ta, tb, out) is out
        check(out, alpha * exact(a, b) + beta * start, inner, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", [(2, 2, 2), (3, 4, 5), (8, 9, 17), (17, 16, 18)], ids=str)
@pytest.mark.parametrize("layout", ["C", "transposed", "rows of a wider matrix", "batch last"])
def test_batches_are_added_to_what_is_there(dtype, size, layout):
    n, inner, m = size
    a, b, start = sample((3, n, inner), dtype, 1), sample((3, inner, m), dtype, 2), sample((3, n, m), dtype, 3)
    for alpha, beta in ((1.0, 1.0), (0.5, 1.0)):
        out = start.reshape(-1).copy()
        k.bmm_added(*strided(a, layout), *strided(b, layout), out, 3, n, inner, m, alpha, beta, out)
        check(out, alpha * exact(a, b) + beta * start, inner, dtype)
