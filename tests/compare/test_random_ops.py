"""Random operators against torch after the same seed: every value, in every dtype, and the stream after it."""

import numpy as np
import pytest

import numtorch
from numtorch.ops import dropout as our_dropout

from .draws import assert_same_draw

torch = pytest.importorskip("torch", minversion="2.13")

FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]


def same(draw, *dtypes):
    """draw(library, *dtypes) gives the same in both, and leaves both generators at the same place."""
    results = []
    for library in (numtorch, torch):
        library.manual_seed(7)
        result = draw(library, *(getattr(library, d) for d in dtypes))
        if result.dtype == library.bfloat16:
            result = result.float()
        results.append((result.detach().numpy(), library.rand(3).numpy()))
    (got, after), (want, want_after) = results
    assert got.dtype == want.dtype
    assert_same_draw(got, want)
    np.testing.assert_array_equal(after, want_after)


@pytest.mark.parametrize("dtype", [*FLOATS, "complex64", "complex128"])
@pytest.mark.parametrize("n", [1, 5, 16, 33, 700])
def test_rand_and_randn(dtype, n):
    same(lambda t, d: t.rand(n, dtype=d), dtype)
    same(lambda t, d: t.randn(n, dtype=d), dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_fillers(dtype):
    for name, args in (
        ("uniform_", (-1, 2)),
        ("normal_", (2.5, 0.3)),
        ("exponential_", (1.5,)),
        ("cauchy_", (0.5, 2)),
        ("log_normal_", (0.5, 0.3)),
        ("geometric_", (0.2,)),
        ("bernoulli_", (0.3,)),
        ("random_", ()),
        ("random_", (100,)),
        ("random_", (-7, 100)),
    ):
        same(lambda t, d, name=name, args=args: getattr(t.empty(50, dtype=d), name)(*args), dtype)


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_integer_fillers(dtype):
    same(lambda t, d: t.empty(50, dtype=d).random_(), dtype)
    same(lambda t, d: t.empty(50, dtype=d).bernoulli_(0.3), dtype)
    same(lambda t, d: t.empty(50, dtype=d).random_(0, 2), dtype)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float64"])
@pytest.mark.parametrize("high", [2**27, 2**28 - 1, 2**28, 2**29 + 12345])
def test_wide_integers(dtype, high):
    same(lambda t, d: t.empty(50, dtype=d).random_(3, high), dtype)


def test_integers_and_permutations():
    same(lambda t: t.randint(5, (7, 3)))
    same(lambda t: t.randint(-5, 2**40, (50,)))
    same(lambda t: t.empty(50, dtype=t.int64).random_(5, None))
    same(lambda t: t.randperm(100))
    same(lambda t, d: t.randperm(100, dtype=d), "float32")


LAYOUTS = [
    lambda t: t.zeros(3, 4).t(),
    lambda t: t.zeros(2, 3, 4).permute(2, 0, 1),
    lambda t: t.zeros(2, 3, 4)[:, :, 1].t(),
    lambda t: t.zeros(6, 8)[1::2, ::3],
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["uniform_", "normal_", "bernoulli_", "random_"])
def test_strided_tensors(layout, name):
    same(lambda t: getattr(layout(t), name)())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_like(layout):
    same(lambda t: t.rand_like(layout(t)))
    same(lambda t: t.randn_like(layout(t)))
    same(lambda t: t.randint_like(layout(t), 3, 9))


def test_distributions_of_tensors():
    same(lambda t: t.bernoulli(t.rand(20, 3)))
    same(lambda t: t.bernoulli(t.rand(20, 3, dtype=t.float64).t()))
    same(lambda t: t.empty(4, 5).t().bernoulli_(t.rand(4)))
    same(lambda t: t.normal(t.rand(20), t.rand(20)))
    same(lambda t: t.normal(t.rand(3, 4), 2.0))
    same(lambda t: t.normal(1.0, t.rand(3, 4)))
    same(lambda t: t.normal(1.0, 2.0, (3, 4)))
    same(lambda t: t.poisson(t.rand(50) * 30))
    same(lambda t: t.multinomial(t.rand(3, 50), 20, True))
    same(lambda t: t.multinomial(t.rand(3, 50), 20))
    same(lambda t: t.multinomial(t.rand(50), 1))


def functional(library):
    return our_dropout if library is numtorch else library.nn.functional


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(
    "name", ["dropout", "alpha_dropout", "feature_alpha_dropout", "dropout1d", "dropout2d", "dropout3d"]
)
def test_dropout(name, p):
    # (alpha dropout multiplies and adds in another order of roundings)
    shape = (4, 3, 5, 2) if name == "dropout2d" else (4, 3, 5, 2, 2) if name == "dropout3d" else (4, 3, 5)
    same(lambda t: getattr(functional(t), name)(t.rand(shape, dtype=t.float64), p, True) * 2 // 1)


def test_states_are_exchanged():
    numtorch.manual_seed(3)
    numtorch.randn(3)
    torch.set_rng_state(torch.from_numpy(numtorch.get_rng_state().numpy().copy()))
    assert torch.randn(40).tolist() == numtorch.randn(40).tolist()
    torch.rand(5)
    numtorch.set_rng_state(numtorch.from_numpy(torch.get_rng_state().numpy().copy()))
    assert torch.randn(5).tolist() == numtorch.randn(5).tolist()
