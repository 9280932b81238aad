"""Winograd's convolution against the direct one in double precision.

The error is measured as its authors and cuDNN's users do: the largest difference of a result over the largest value
of the exact one, for normally distributed images, weights and gradients.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numtorch as torch
from numtorch.kernels import host
from numtorch.kernels.cpu import conv, winograd_plan
from numtorch.kernels.cpu.winograd import winograd_backward_weight, winograd_forward
from numtorch.kernels.threads import get_num_threads, set_num_threads

TOLERANCE = {2: 1e-5, 4: 1e-4}
# What is seen is well below, so that a wrong constant is not missed; without fused multiply-adds one rounding more counts.
SEEN = {2: 1e-6, 4: 5e-6} if host.has_fma() else {2: 2e-6, 4: 7e-6}


class Case:
    """One geometry, its arrays in float32, and what the direct kernel makes of them in float64."""

    def __init__(self, images, channels, outputs, height, width, top=1, left=1, out=None):
        out = out or (height + 2 * top - 2, width + 2 * left - 2)
        self.images, self.channels, self.outputs = images, channels, outputs
        self.src, self.padding, self.out = (height, width), (top, left), out
        rng = np.random.default_rng(0)
        self.x, self.w, self.b, self.g = (
            rng.standard_normal(size).astype(np.float32)
            for size in (
                images * channels * height * width,
                outputs * channels * 9,
                outputs,
                images * outputs * out[0] * out[1],
            )
        )

    def computed(self, tile):
        """(out, gradient of x, of w)."""
        forward = (self.images, self.channels, self.outputs, self.src, self.padding, self.out)
        turned = tuple(2 - p for p in self.padding)
        backward = (self.images, self.outputs, self.channels, self.out, turned, self.src)
        none = np.empty(0, np.float32)
        return (
            winograd_forward(self.x, self.w, self.b, *forward, False, tile),
            winograd_forward(self.g, self.w, none, *backward, True, tile),
            winograd_backward_weight(self.x, self.g, *forward, tile),
        )

    def exact(self):
        x, w, b, g = (a.astype(np.float64) for a in (self.x, self.w, self.b, self.g))
        src, out, padding = (1, *self.src), (1, *self.out), (0, *self.padding)
        rest = ((1, 3, 3), (1, 1, 1), padding, (1, 1, 1))
        return (
            conv.conv_forward(x, w, b, self.images, 1, self.channels, self.outputs, src, *rest, out),
            conv.conv_transpose_forward(g, w, b[:0], self.images, 1, self.outputs, self.channels, out, *rest, src),
            conv.conv_backward_weight(x, g, self.images, 1, self.channels, self.outputs, src, *rest, out),
        )


def error(computed, exact):
    assert computed.dtype == np.float32
    return np.abs(computed - exact).max(initial=0) / max(np.abs(exact).max(initial=0), 1e-30)


def check(case, tile):
    for name, computed, exact in zip(
        ("out", "gradient of x", "gradient of w"), case.computed(tile), case.exact(), strict=True
    ):
        assert error(computed, exact) < SEEN[tile] < TOLERANCE[tile], name


@pytest.fixture(params=["all at once", "in small groups"])
def groups(request, monkeypatch):
    """All units and outputs at a time, or as few as there may be."""
    if request.param == "in small groups":
        for name in ("POINT_BYTES", "TAP_BYTES", "LEAST_TILES"):
            monkeypatch.setattr(winograd_plan, name, 1)
        monkeypatch.setattr(winograd_plan, "PANEL_VECTORS", 2)
    winograd_plan.plan.cache_clear()
    yield
    winograd_plan.plan.cache_clear()


CASES = {
    "one pixel": (1, 1, 1, 1, 1),
    "one tile": (1, 16, 16, 4, 4),
    "channels around a vector": (2, 15, 17, 8, 8),
    "channels around a block, outputs around a panel": (2, 65, 130, 6, 5),
    "three vectors of outputs": (1, 32, 48, 9, 9),
    "odd plane": (3, 20, 33, 7, 7),
    "a row": (2, 16, 16, 1, 70),
    "a column": (2, 16, 16, 70, 1),
    "several strips, the last one short": (1, 8, 16, 61, 58),
    "a wide image": (1, 4, 4, 9, 600),
    "many small images": (33, 16, 16, 3, 2),
    "no padding": (2, 16, 20, 9, 12, 0, 0),
    "paddings that differ": (2, 16, 20, 9, 12, 0, 2),
    "more padding than taps": (2, 16, 20, 5, 6, 4, 3),
    "padding behind only": (1, 16, 16, 8, 8, 0, 0, (9, 8)),
    "a result that stops early": (1, 16, 16, 12, 12, 1, 1, (7, 6)),
}


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_against_the_direct_kernel_in_double_precision(name, tile, groups):
    check(Case(*CASES[name]), tile)


@pytest.mark.parametrize("tile", [2, 4])
def test_many_channels(tile):
    check(Case(2, 512, 256, 6, 6), tile)


@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(1, 5),
    channels=st.integers(1, 40),
    outputs=st.integers(1, 40),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    padding=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    tile=st.sampled_from([2, 4]),
)
def test_any_geometry(images, channels, outputs, size, padding, tile):
    check(Case(images, channels, outputs, *size, *padding), tile)


def test_the_gradients_are_adjoint_to_the_forward():
    case = Case(2, 24, 40, 13, 10)
    out, gx, gw = (a.astype(np.float64) for a in case.computed(4))
    out = out.reshape(2, 40, -1) - case.b[:, None]
    left = np.vdot(out, case.g.reshape(out.shape))
    scale = np.linalg.norm(out) * np.linalg.norm(case.g)
    assert abs(left - np.vdot(case.x, gx)) < 1e-5 * scale
    assert abs(left - np.vdot(case.w, gw)) < 1e-5 * scale


@pytest.mark.parametrize("shape", [(8, 48, 32, 30, 30), (4, 160, 160, 9, 9)])
def test_results_do_not_depend_on_the_number_of_threads(shape):
    before = get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            found.append(Case(*shape).computed(4))
    finally:
        set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("tile", [2, 4])
def test_nan_and_inf_reach_their_windows_and_no_further_than_their_tiles(tile):
    for value in (np.nan, np.inf):
        x = np.ones((1, 1, 20, 20), np.float32)
        x[0, 0, 9, 9] = value
        w = np.ones(9, np.float32)
        out = winograd_forward(x.ravel(), w, w[:0], 1, 1, 1, (20, 20), (1, 1), (20, 20), False, tile).reshape(20, 20)
        assert not np.isfinite(out[8:11, 8:11]).any()
        low, high = 8 // tile * tile, (10 // tile + 1) * tile
        outside = np.ones((20, 20), bool)
        outside[low:high, low:high] = False
        assert np.isfinite(out[outside]).all()


# -- where it is used --------------------------------------------------------------------------------------------


def chosen(kind="forward", **changes):
    sizes = {
        "images": 8,
        "groups": 1,
        "channels": 64,
        "outputs": 64,
        "src": (1, 28, 28),
        "kernel": (1, 3, 3),
        "stride": (1, 1, 1),
        "padding": (0, 1, 1),
        "dilation": (1, 1, 1),
        "out": (1, 28, 28),
        "dtype": np.dtype(np.float32),
    }
    return conv.choose(kind, **{**sizes, **changes})


@pytest.mark.parametrize("kind", ["forward", "transposed", "weight"])
def test_it_is_chosen_for_3x3_of_stride_1_in_float32(kind):
    assert chosen(kind) == "winograd 4x4"
    assert chosen(kind, src=(1, 6, 6), out=(1, 6, 6)) == "winograd 2x2"
    assert not chosen(kind, dtype=np.dtype(np.float64)).startswith("winograd")
    assert not chosen(kind, stride=(1, 2, 2), out=(1, 14, 14)).startswith("winograd")
    assert not chosen(kind, dilation=(1, 2, 2), padding=(0, 2, 2)).startswith("winograd")
    assert not chosen(kind, groups=2, channels=32, outputs=32).startswith("winograd")
    assert not chosen(kind, kernel=(1, 5, 5), padding=(0, 2, 2)).startswith("winograd")
    assert not chosen(kind, kernel=(3, 3, 3), padding=(1, 1, 1), src=(4, 28, 28), out=(4, 28, 28)).startswith(
        "winograd"
    )
    assert not chosen(kind, images=1, channels=3, outputs=4, src=(1, 5, 5), out=(1, 5, 5)).startswith("winograd")


def test_it_is_not_used_where_algorithms_must_be_deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        assert chosen() == "tiles"
    finally:
        torch.use_deterministic_algorithms(False)
    assert chosen() == "winograd 4x4"


def _results(function, size, weight_size, padding, dtype):
    torch.manual_seed(0)
    x, w, b = (torch.randn(*s) for s in (size, weight_size, (32,)))
    x, w, b = (t.to(dtype).requires_grad_() for t in (x, w, b))
    out = function(x, w, b, padding=padding)
    torch.manual_seed(1)
    out.backward(torch.randn(*out.shape).to(dtype))
    return [t.detach().numpy() for t in (out, x.grad, w.grad, b.grad)]


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_gradients_in_float32_are_those_of_float64(padding):
    for function in (torch.nn.functional.conv2d, torch.nn.functional.conv_transpose2d):
        given = (function, (4, 32, 18, 15), (32, 32, 3, 3), padding)
        for single, double in zip(_results(*given, torch.float32), _results(*given, torch.float64), strict=True):
            assert error(single, double) < SEEN[4]


def test_second_derivatives_in_float32_are_those_of_float64():
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        x, w = torch.randn(2, 32, 9, 9).to(dtype).requires_grad_(), torch.randn(32, 32, 3, 3).to(dtype).requires_grad_()
        gx, gw = torch.autograd.grad((torch.conv2d(x, w, padding=1) ** 2).sum(), (x, w), create_graph=True)
        found.append([g.numpy() for g in torch.autograd.grad((gx**2).sum() + (gw**2).sum() * 1e-3, (x, w))])
    for single, double in zip(*found, strict=True):
        assert error(single, double) < 1e-4


def test_no_images_and_no_pixels():
    for size in ((0, 32, 16, 16), (4, 32, 16, 16)):
        x = torch.randn(*size, requires_grad=True)
        w = torch.randn(32, 32, 3, 3, requires_grad=True)
        torch.conv2d(x, w, padding=1).sum().backward()
        assert x.grad.shape == size and torch.isfinite(w.grad).all()


def test_it_runs_as_plain_python():
    code = """
import numpy as np
from tests.kernels.test_winograd import Case, check
check(Case(1, 3, 17, 5, 6), 2)
check(Case(1, 17, 3, 5, 6), 4)
"""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=environment, timeout=100)
