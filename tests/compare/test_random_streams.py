"""kernels/cpu/random.py and torch draw the same bits from the same seed, at sizes around every block boundary."""

from pathlib import Path

import numpy as np
import pytest

from numtorch.kernels.cpu import random as k

from .draws import assert_same_draw

torch = pytest.importorskip("torch")

CPUINFO = Path("/proc/cpuinfo")
# On Intel processors torch fills bernoulli_(p) from another generator (MKL's), so its values differ by machine.
INTEL = CPUINFO.exists() and "GenuineIntel" in CPUINFO.read_text()

SIZES = [1, 2, 15, 16, 17, 31, 623, 624, 2047, 2048, 2049, 2065, 5000]


@pytest.fixture(params=[0, 1, 1000, 2**40 + 5])
def stream(request):
    state, spare = np.empty(626, np.uint32), np.zeros(2)
    k.seed_state(state, spare, request.param)
    torch.manual_seed(request.param)
    return state, spare


def draw(n, dtype, kernel, *args):
    out = np.empty(n, dtype)
    kernel(*args[:-1], out, *args[-1])
    return out


def same(got, want):
    want = want.numpy().reshape(-1)
    assert_same_draw(got.astype(want.dtype), want)


def test_uniform(stream):
    low, high = np.float32(-0.3), np.float32(2.1)
    for n in SIZES:
        same(draw(n, "f4", k.uniform_float32, stream[0], (low, high)), torch.empty(n).uniform_(-0.3, 2.1))
        same(
            draw(n, "f8", k.uniform_float64, stream[0], (-0.3, 2.1)),
            torch.empty(n).double().uniform_(-0.3, 2.1),
        )


def test_normal(stream):
    for n in SIZES:
        same(draw(n, "f4", k.normal_float32, *stream, (2.5, 0.3, False)), torch.empty(n).normal_(2.5, 0.3))
        same(draw(n, "f8", k.normal_float64, *stream, (2.5, 0.3)), torch.empty(n).double().normal_(2.5, 0.3))


def test_normal_into_a_strided_tensor(stream):
    same(draw(1000, "f4", k.normal_serial, *stream, (2.5, 0.3)), torch.empty(1000, 2)[:, 0].normal_(2.5, 0.3))


def test_log_normal(stream):
    same(draw(1000, "f8", k.log_normal, *stream, (0.5, 0.3)), torch.empty(1000).double().log_normal_(0.5, 0.3))


def test_bernoulli(stream):
    p = torch.linspace(0, 1, 1000)
    for n in SIZES:
        if not INTEL:
            same(
                draw(n, "f4", k.bernoulli_scalar, stream[0], (0.3, np.float32(1))),
                torch.empty(n).bernoulli_(0.3),
            )
    same(draw(1000, bool, k.bernoulli_float32, stream[0], (p.numpy(),)), torch.bernoulli(p))
    same(draw(1000, bool, k.bernoulli_float64, stream[0], (p.double().numpy(),)), torch.bernoulli(p.double()))


def test_exponential_cauchy_and_geometric(stream):
    empty = torch.empty(1000, dtype=torch.float64)
    same(draw(1000, "f8", k.exponential, stream[0], (1.5,)), empty.exponential_(1.5))
    same(draw(1000, "f8", k.cauchy, stream[0], (0.5, 1.5)), empty.cauchy_(0.5, 1.5))
    same(draw(1000, "f8", k.geometric, stream[0], (0.2,)), empty.geometric_(0.2))


def test_integers_and_permutations(stream):
    same(draw(3000, "i8", k.randint32, stream[0], (1000, -5)), torch.randint(-5, 995, (3000,)))
    same(draw(99, "i8", k.randint32, stream[0], (2**28 - 1, 0)), torch.randint(0, 2**28 - 1, (99,)))
    same(draw(99, "i8", k.randint64, stream[0], (np.uint64(2**28), 0)), torch.randint(0, 2**28, (99,)))
    same(draw(99, "i8", k.randint64, stream[0], (np.uint64(2**40), -5)), torch.randint(-5, 2**40 - 5, (99,)))
    same(
        draw(99, "i8", k.randint64, stream[0], (np.uint64(2**63), 0)),
        torch.empty(99, dtype=torch.int64).random_(),
    )
    for n in SIZES:
        same(draw(n, "i8", k.randperm, stream[0], ()), torch.randperm(n))


def test_poisson(stream):
    rate = np.concatenate([np.linspace(0, 30, 900), np.full(100, 1e4)])
    same(draw(1000, "f8", k.poisson, stream[0], (rate,)), torch.poisson(torch.from_numpy(rate)))


def test_multinomial_with_replacement(stream):
    weights = torch.linspace(0, 1, 150).view(3, 50)
    out = np.empty(600, np.int64)
    assert k.multinomial_replacement(stream[0], weights.numpy().reshape(-1), out, 3, 50, 200) == 0
    same(out, torch.multinomial(weights, 200, True))
