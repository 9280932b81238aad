"""Regions filled by dealing out every other element, against their definition an element at a time."""

import numpy as np
import pytest

from numtorch.kernels.compiler import jit
from numtorch.kernels.cpu import conv
from numtorch.kernels.cpu.conv_deal import hands, load_dealt, pairs
from numtorch.kernels.cpu.conv_layout import DEALT
from numtorch.kernels.cpu.conv_plan import COPY, HEAD, plan
from numtorch.kernels.cpu.tile_sizes import lanes


@pytest.mark.parametrize(
    "starts, expected",
    (
        ([0, 1], [(0, 1)]),
        ([0, 1, 2], [(0, 1), (2, -1)]),
        ([0, 2, 4], [(0, -1), (1, -1), (2, -1)]),
        ([3, 0, 1, 2], [(0, -1), (1, 2), (3, -1)]),
    ),
)
def test_variants_side_by_side_are_dealt_to_together(starts, expected):
    assert pairs(starts) == expected


@jit
def _load(source, first, table, count, region):
    load_dealt(source, first, 11, table, 0, count, region, 0)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("starts", ([0, 1], [0, 1, 2], [0, 3], [1, 0, 4, 5]))
@pytest.mark.parametrize("rows, run", ((1, 1), (3, 7), (2, 16), (4, 29), (1, 100)))
def test_rows_are_dealt_out_and_the_rest_is_zero(dtype, starts, rows, run):
    rng, vl = np.random.default_rng(run), lanes(np.dtype(dtype).itemsize)
    pitch = rows * run + 2 * vl
    line = 2 * run + max(starts)
    source = rng.standard_normal(rows * line).astype(dtype)  # its first and last elements are read, none beyond
    far = np.array(starts)[None, :, None, None] + np.arange(rows)[:, None] * line + 2 * np.arange(run)
    near = np.arange(len(starts))[None, :, None, None] * pitch + np.arange(rows)[:, None] * run + np.arange(run)
    inside = rng.random(far.shape) < 0.8
    table = hands(starts, far, near, inside, pitch - vl, vl).reshape(-1)
    region = np.full(len(starts) * pitch, 9, dtype)
    _load(source, 0, table, len(table) // 3, region)
    expected = np.where(inside, source[far], 0)[0].reshape(len(starts), -1)
    np.testing.assert_array_equal(region.reshape(len(starts), -1)[:, : rows * run], expected)


GEOMETRIES = {
    "one row each, three taps": (2, 1, 5, 9, (1, 28, 56), (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), (1, 14, 28)),
    "several images": (5, 2, 3, 8, (1, 28, 28), (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), (1, 14, 14)),
    "a long signal": (1, 1, 3, 9, (1, 1, 999), (1, 1, 8), (1, 1, 2), (0, 0, 3), (1, 1, 1), (1, 1, 499)),
    "a stem": (1, 1, 3, 20, (1, 64, 64), (1, 7, 7), (1, 2, 2), (0, 3, 3), (1, 1, 1), (1, 32, 32)),
    "three dimensions": (1, 1, 4, 9, (6, 20, 40), (3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), (3, 10, 20)),
    "a dilation": (2, 1, 3, 9, (1, 40, 41), (1, 3, 3), (1, 2, 2), (0, 2, 3), (1, 3, 3), (1, 19, 21)),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolutions_of_a_stride_of_two_take_it(name):
    images, groups, channels, outputs, src, kernel, stride, padding, dilation, out = sizes = GEOMETRIES[name]
    assert plan("forward", *sizes, 4).table[HEAD + COPY] == DEALT
    rng = np.random.default_rng(1)
    x = rng.standard_normal((images, groups, channels, *src)).astype(np.float32)
    w = rng.standard_normal((groups, outputs, channels, *kernel)).astype(np.float32)
    padded = np.pad(x.astype(np.float64), [(0, 0)] * 3 + [(p, p + 20) for p in padding])
    expected = np.zeros((images, groups, outputs, *out))
    for tap in np.ndindex(*kernel):
        places = [slice(t * d, t * d + s * n, s) for t, d, s, n in zip(tap, dilation, stride, out, strict=True)]
        expected += np.einsum("ngcdhw,gmc->ngmdhw", padded[(..., *places)], w[(..., *tap)].astype(np.float64))
    got = conv.conv_forward(x.reshape(-1), w.reshape(-1), np.empty(0, np.float32), *sizes)
    np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=2e-5, atol=2e-4)
