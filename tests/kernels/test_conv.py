"""Convolution kernels against sums over the taps, over all the geometries that hypothesis thinks of."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numtorch.kernels.compiler import jit
from numtorch.kernels.cpu import conv
from numtorch.kernels.cpu.conv_layout import LARGE_REGION_BYTES, REGION_BYTES
from numtorch.kernels.cpu.conv_plan import REGION, plan
from numtorch.kernels.cpu.conv_shuffle import SHUFFLES, load_shuffled, pieces
from numtorch.kernels.cpu.conv_tile import conv_tile
from numtorch.kernels.cpu.tile_sizes import ROWS, VECTORS, lanes
from numtorch.kernels.threads import get_num_threads, set_num_threads

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


class Case:
    """One geometry, its arrays, and the sums done a tap at a time in double precision."""

    def __init__(self, images, groups, channels, outputs, src, kernel, stride, padding, dilation, dtype, out=None):
        self.out = out or tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(src, kernel, stride, padding, dilation, strict=True)
        )
        self.forward = (images, groups, channels, outputs, src, kernel, stride, padding, dilation, self.out)
        self.backward = (images, groups, outputs, channels, self.out, kernel, stride, padding, dilation, src)
        rng = np.random.default_rng(0)
        self.dtype = dtype
        self.x = rng.standard_normal((images, groups, channels, *src)).astype(dtype)
        self.w = rng.standard_normal((groups, outputs, channels, *kernel)).astype(dtype)
        self.b = rng.standard_normal((groups, outputs)).astype(dtype)
        self.g = rng.standard_normal((images, groups, outputs, *self.out)).astype(dtype)

    def taps(self):
        """(tap, where it reads in the padded input) for every tap."""
        *_, kernel, stride, _, dilation, out = self.forward
        for tap in itertools.product(*map(range, kernel)):
            yield (
                tap,
                tuple(
                    slice(t * d, t * d + (n - 1) * s + 1, s)
                    for t, d, n, s in zip(tap, dilation, out, stride, strict=True)
                ),
            )

    def padded(self):
        """Zeros round the input, as far as any tap reads."""
        _, _, _, _, src, kernel, stride, padding, dilation, out = self.forward
        behind = [
            max(0, (o - 1) * s + d * (k - 1) + 1 - n - p)
            for o, s, d, k, n, p in zip(out, stride, dilation, kernel, src, padding, strict=True)
        ]
        return np.pad(self.x.astype(np.float64), [(0, 0)] * 3 + list(zip(padding, behind, strict=True)))

    def reference(self):
        """(out, gradient of x, of w)."""
        w, g = self.w.astype(np.float64), self.g.astype(np.float64)
        x = self.padded()
        y, gx, gw = np.zeros(self.g.shape), np.zeros(x.shape), np.zeros(w.shape)
        for tap, at in self.taps():
            here, weight = (..., *at), w[(..., *tap)]
            y += np.einsum("ngcxyz,gmc->ngmxyz", x[here], weight)
            gx[here] += np.einsum("ngmxyz,gmc->ngcxyz", g, weight)
            gw[(..., *tap)] = np.einsum("ngcxyz,ngmxyz->gmc", x[here], g)
        front = self.forward[7]
        gx = gx[(..., *(slice(p, p + n) for p, n in zip(front, self.forward[4], strict=True)))]
        return y + self.b[:, :, None, None, None], gx, gw

    def computed(self):
        x, w, b, g = (a.reshape(-1) for a in (self.x, self.w, self.b, self.g))
        none = np.empty(0, self.dtype)
        return (
            conv.conv_forward(x, w, b, *self.forward),
            conv.conv_transpose_forward(g, w, none, *self.backward),
            conv.conv_backward_weight(x, g, *self.forward),
        )

    def check(self):
        for name, got, expected in zip(
            ("out", "grad_input", "grad_weight"), self.computed(), self.reference(), strict=True
        ):
            assert got.dtype == self.dtype, name
            scale = max(1.0, np.abs(expected).max(initial=0))
            error = np.abs(got - expected.reshape(-1)).max(initial=0) / scale
            assert error < TOLERANCE[self.dtype], f"{name}: error {error} for {self.forward}"


@st.composite
def geometries(draw):
    def three(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(3))

    kernel, stride, padding, dilation = three(1, 4), three(1, 3), three(0, 3), three(1, 3)
    extra = three(0, 7)
    src = tuple(
        max(1, d * (k - 1) + 1 - 2 * p + e) for k, d, p, e in zip(kernel, dilation, padding, extra, strict=True)
    )
    images, groups = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    channels, outputs = draw(st.integers(1, 5)), draw(st.integers(1, 11))
    dtype = draw(st.sampled_from((np.float32, np.float64)))
    return Case(images, groups, channels, outputs, src, kernel, stride, padding, dilation, dtype)


@settings(max_examples=60, deadline=None)
@given(geometries())
def test_any_geometry(case):
    case.check()


ONE = (1, 1, 1)
LAYERS = {
    "3x3": (2, 1, 24, 20, (1, 20, 20), (1, 3, 3), ONE, (0, 1, 1), ONE),
    "several blocks of channels": (1, 1, 140, 9, (1, 6, 6), (1, 3, 3), ONE, (0, 1, 1), ONE),
    "several cuts of outputs": (2, 1, 3, 150, (1, 6, 6), (1, 2, 2), ONE, (0, 0, 0), ONE),
    "several blocks of rows": (1, 1, 40, 8, (1, 70, 70), (1, 3, 3), ONE, (0, 1, 1), ONE),
    "several blocks of a long row": (1, 1, 3, 4, (1, 1, 60000), (1, 1, 5), (1, 1, 2), (0, 0, 2), ONE),
    "stem": (2, 1, 3, 16, (1, 45, 45), (1, 7, 7), (1, 2, 2), (0, 3, 3), ONE),
    "pointwise, read in place": (4, 1, 24, 18, (1, 20, 20), ONE, ONE, (0, 0, 0), ONE),
    "pointwise, planes of 4 KB": (3, 1, 20, 9, (1, 32, 32), ONE, ONE, (0, 0, 0), ONE),
    "pointwise with a stride": (3, 1, 20, 9, (1, 15, 15), ONE, (1, 2, 2), (0, 0, 0), ONE),
    "depthwise": (3, 20, 1, 1, (1, 14, 14), (1, 3, 3), ONE, (0, 1, 1), ONE),
    "depthwise with a multiplier": (3, 10, 1, 2, (1, 14, 14), (1, 3, 3), (1, 2, 2), (0, 1, 1), ONE),
    "depthwise, narrow planes": (3, 7, 1, 2, (1, 9, 7), (1, 5, 3), ONE, (0, 2, 1), ONE),
    "depthwise, narrow planes, dilated": (2, 5, 1, 1, (1, 14, 14), (1, 3, 3), ONE, (0, 2, 2), (1, 2, 2)),
    "depthwise, side by side": (2, 33, 1, 1, (1, 9, 11), (1, 3, 5), (1, 2, 3), (0, 1, 2), ONE),
    "depthwise, side by side, whole vectors of channels": (
        3,
        32,
        1,
        2,
        (1, 14, 13),
        (1, 5, 3),
        (1, 2, 1),
        (0, 2, 1),
        ONE,
    ),
    "depthwise, side by side, dilated": (5, 7, 1, 1, (1, 14, 14), (1, 4, 3), ONE, (0, 2, 3), (1, 2, 3)),
    "depthwise, side by side, taps that fit no step": (
        1,
        40,
        1,
        1,
        (1, 13, 9),
        (1, 3, 3),
        (1, 4, 2),
        (0, 3, 2),
        (1, 2, 3),
    ),
    "depthwise, side by side, one dimension": (4, 12, 1, 1, (1, 1, 50), (1, 1, 7), (1, 1, 5), (0, 0, 3), ONE),
    "depthwise, side by side, windows in the padding": (2, 18, 1, 1, (1, 3, 2), (1, 1, 2), ONE, (0, 2, 1), ONE),
    "depthwise, 5x5 rows of several vectors": (2, 3, 1, 1, (1, 9, 45), (1, 5, 5), ONE, (0, 2, 2), ONE),
    "depthwise, 7x7 with a stride and a dilation": (
        2,
        3,
        1,
        2,
        (1, 23, 40),
        (1, 7, 7),
        (1, 2, 2),
        (0, 3, 3),
        (1, 1, 2),
    ),
    "depthwise, steps of three": (2, 3, 1, 1, (1, 30, 70), (1, 3, 4), (1, 3, 3), (0, 2, 1), ONE),
    "depthwise, one dimension": (2, 5, 1, 1, (1, 1, 100), (1, 1, 3), ONE, (0, 0, 1), ONE),
    "one channel": (3, 1, 1, 1, (1, 14, 14), (1, 3, 3), ONE, (0, 1, 1), ONE),
    "few outputs, several rows of vectors": (3, 1, 5, 7, (1, 12, 40), (1, 5, 5), ONE, (0, 2, 2), ONE),
    "few outputs, small images": (9, 2, 3, 4, (1, 5, 6), (1, 2, 3), (1, 2, 1), (0, 1, 1), ONE),
    "few outputs, pointwise": (2, 1, 10, 3, (1, 11, 9), ONE, ONE, (0, 0, 0), ONE),
    "strided, narrow": (5, 1, 20, 18, (1, 8, 8), (1, 3, 3), (1, 2, 2), (0, 1, 1), ONE),
    "strided, one pixel": (5, 1, 30, 18, (1, 2, 2), (1, 3, 3), (1, 2, 2), (0, 1, 1), ONE),
    "the kernel covers the image": (20, 1, 16, 30, (1, 5, 5), (1, 5, 5), ONE, (0, 0, 0), ONE),
    "the kernel covers it in groups": (20, 2, 8, 15, (1, 5, 5), (1, 5, 5), ONE, (0, 0, 0), ONE),
    "many small images": (40, 1, 12, 40, (1, 4, 4), (1, 3, 3), ONE, (0, 1, 1), ONE),
    "a kernel larger than the plane": (24, 1, 16, 24, (1, 4, 4), (1, 5, 5), ONE, (0, 2, 2), ONE),
    "taps outside of most of the plane": (3, 1, 6, 10, (1, 7, 7), (1, 3, 3), ONE, (0, 6, 6), (1, 6, 6)),
    "taps outside, three dimensions": (3, 2, 8, 16, (3, 5, 5), (3, 3, 3), ONE, (2, 2, 2), (2, 2, 2)),
    "steps of three": (2, 1, 12, 20, (1, 20, 20), (1, 3, 3), (1, 3, 3), (0, 1, 1), ONE),
    "pointwise, steps of three": (2, 1, 12, 20, (1, 20, 20), ONE, (1, 3, 3), (0, 0, 0), ONE),
    "patches": (3, 1, 3, 24, (1, 32, 32), (1, 8, 8), (1, 8, 8), (0, 0, 0), ONE),
    "patches of whole vectors": (3, 1, 3, 24, (1, 64, 67), (1, 16, 16), (1, 16, 16), (0, 0, 0), ONE),
    "patches beyond the edges": (2, 1, 2, 17, (1, 60, 70), (1, 13, 14), (1, 15, 14), (0, 6, 5), ONE),
    "patches in one dimension": (2, 1, 3, 20, (1, 1, 700), (1, 1, 33), (1, 1, 40), (0, 0, 16), ONE),
    "patches in three dimensions": (1, 1, 2, 16, (6, 30, 62), (2, 7, 20), (3, 8, 20), (1, 0, 3), ONE),
    "patches of several blocks of images": (5, 1, 3, 16, (1, 128, 128), (1, 16, 16), (1, 16, 16), (0, 0, 0), ONE),
    "dilated steps": (2, 1, 5, 9, (1, 23, 23), (1, 3, 3), (1, 4, 4), (0, 2, 2), (1, 2, 3)),
    "one window in the corner": (5, 1, 16, 30, (1, 4, 5), (1, 3, 3), (1, 4, 4), (0, 0, 0), ONE),
    "one window that reaches beyond": (3, 1, 9, 12, (2, 3, 3), (3, 3, 3), (4, 4, 4), ONE, ONE),
    "one window with gaps": (2, 1, 7, 5, (1, 6, 6), (1, 3, 3), ONE, (0, 0, 0), (1, 2, 2)),
    "steps of four, small planes": (3, 1, 40, 20, (1, 9, 9), (1, 3, 3), (1, 4, 4), (0, 1, 1), ONE),
    "steps of two, three dimensions": (4, 1, 24, 12, (4, 8, 8), (3, 3, 3), (2, 2, 2), ONE, ONE),
    "stride beyond the kernel": (2, 1, 3, 4, (1, 17, 17), (1, 2, 2), (1, 5, 5), (0, 1, 1), ONE),
}


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_layers_of_networks(layer, dtype):
    Case(*layer, dtype).check()


def test_more_padding_behind_than_in_front():
    """padding="same" with an even kernel: the output's size says how far the convolution goes."""
    Case(2, 1, 3, 4, (1, 9, 9), (1, 4, 4), ONE, (0, 1, 1), ONE, np.float64, out=(1, 9, 9)).check()


@pytest.mark.parametrize("whole, padding", [((1, 3, 3), (0, 0, 0)), ((1, 4, 4), (0, 0, 0)), ((1, 2, 2), (0, 1, 0))])
def test_a_bias_of_a_transposed_convolution_of_one_element(whole, padding):
    """One product of matrices, also where the window is more or less than the image."""
    x, w, b = (np.random.default_rng(0).standard_normal(n) for n in (2 * 6, 6 * 5 * 9, 5))
    sizes = (2, 1, 6, 5, ONE, (1, 3, 3), ONE, padding, ONE, whole)
    without = conv.conv_transpose_forward(x, w, np.empty(0), *sizes).reshape(2, 5, -1)
    np.testing.assert_array_equal(conv.conv_transpose_forward(x, w, b, *sizes).reshape(2, 5, -1), without + b[:, None])


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_shuffled_copies_are_the_elements_at_their_places(dtype):
    """One piece and several, places that follow each other and places far apart, vectors without any."""
    width = lanes(np.dtype(dtype).itemsize)
    rng = np.random.default_rng(0)
    places = rng.integers(-1, 500, (40, width))
    places[::2] = np.arange(40)[::2, None] * 7 + rng.integers(0, 3 * width, (20, width))
    places[5], places[6], places[39] = -1, 0, 500 - width + np.arange(width)
    source, region = rng.standard_normal(500).astype(dtype), np.full(45 * width, 9, dtype)
    at = rng.permutation(40) * width + 3
    table = pieces(places, at)
    if not SHUFFLES:
        return
    _load_pieces(source, table.reshape(-1), len(table), region)
    expected = np.full(45 * width, 9, dtype)
    for row, first in zip(places, at, strict=True):
        expected[first : first + width] = np.where(row < 0, 0, source[row])
    np.testing.assert_array_equal(region, expected)


@jit
def _load_pieces(source, table, count, region):
    load_shuffled(source, 0, table, 0, count, region, 0)


@pytest.mark.parametrize("name", ("3x3", "many small images", "stem"))
def test_results_do_not_depend_on_the_number_of_threads(name):
    case = Case(*LAYERS[name], np.float32)
    before = get_num_threads()
    several = case.computed()
    try:
        set_num_threads(1)
        one = case.computed()
    finally:
        set_num_threads(before)
    for a, b in zip(several, one, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("channels, most", ((16, REGION_BYTES), (64, LARGE_REGION_BYTES), (4096, REGION_BYTES)))
def test_a_region_stays_in_the_caches(channels, most):
    made = plan("forward", 8, 1, channels, 64, (1, 56, 56), (1, 3, 3), ONE, (0, 1, 1), ONE, (1, 56, 56), 4)
    assert made.table[REGION] * 4 <= 1.1 * most
    assert made.tasks >= 16


def test_plans_are_kept_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(conv, "_ways", {})
    monkeypatch.setattr(conv, "_held", {"bytes": 0})
    monkeypatch.setattr(conv, "KEPT_BYTES", 40_000)
    x = np.ones(3 * 40 * 40, np.float32)
    for width in (*range(20, 40), 39):
        sizes = (1, 1, 3, 8, (1, 40, width), (1, 3, 3), ONE, (0, 1, 1), ONE, (1, 40, width))
        found = conv._way("forward", sizes, x)
        assert conv._way("forward", sizes, x) is found
    assert len(conv._ways) > 1
    assert conv._held["bytes"] == sum(kept.table.nbytes for _, kept in conv._ways.values()) <= 40_000


@jit
def run_conv_tile(a, row, place, depth, b, sums, ldc, more, to_out, out, shift):
    conv_tile(
        ROWS, VECTORS, a, 0, row, 0, place, 0, depth, b, 0, 0, sums, 0, ldc, more, to_out, out, 1, ldc - 1, shift, 2
    )


@pytest.mark.parametrize("more", (False, True))
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_register_tile(dtype, more):
    rng = np.random.default_rng(0)
    width, depth = VECTORS * lanes(np.dtype(dtype).itemsize), 19
    a, b, shift = (rng.standard_normal(n).astype(dtype) for n in (500, 500, ROWS + 2))
    row, place = rng.integers(0, 250, ROWS), rng.integers(0, 250, (depth, 2))
    start = rng.standard_normal((ROWS, width + 3)).astype(dtype)
    expected = a[row[:, None] + place[:, 0]] @ np.stack([b[at : at + width] for at in place[:, 1]])
    if more:
        expected = expected + start[:, :width]
    for to_out in (False, True):
        sums, out = start.copy(), np.full(1 + ROWS * (width + 2), 7, dtype)
        run_conv_tile(a, row, place.reshape(-1), depth, b, sums.reshape(-1), width + 3, more, to_out, out, shift)
        outputs = out[1:].reshape(ROWS, width + 2)
        if to_out:
            assert np.allclose(outputs[:, :width], expected + shift[2:, None], rtol=1e-4, atol=1e-5)
            outputs = outputs[:, width:]
        else:
            assert np.allclose(sums[:, :width], expected, rtol=1e-4, atol=1e-5)
        assert np.array_equal(sums[:, width:], start[:, width:])
        assert out[0] == 7 and (outputs == 7).all()
