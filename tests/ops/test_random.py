"""Random tensors: torch's values for a seed, the state of the generator, and what is refused."""

import pickle

import numpy as np
import pytest

import numtorch as torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(1000)


# What torch 2.13 prints after manual_seed(1000), on the CPU.
VALUES = [
    (lambda: torch.rand(4), [0.3189346194267273, 0.6135610938072205, 0.44177669286727905, 0.2580375671386719]),
    (lambda: torch.rand(2, dtype=torch.float64), [0.5514770534142127, 0.5342138339915081]),
    (lambda: torch.randn(3), [-1.1720491647720337, -0.3928842544555664, 0.5264794826507568]),
    (lambda: torch.randperm(8), [3, 1, 5, 6, 7, 4, 0, 2]),
    (lambda: torch.randint(0, 100, (6,)), [7, 79, 47, 48, 51, 74]),
    (lambda: torch.randint(2**40, (2,)), [769681855063, 307564252864]),
    (lambda: torch.empty(8).bernoulli_(0.5), [0, 0, 1, 0, 0, 0, 1, 1]),
    (lambda: torch.bernoulli(torch.full((8,), 0.5)), [1, 0, 1, 1, 1, 0, 1, 1]),
    (lambda: torch.empty(2).exponential_(2.0), [0.40089771151542664, 0.38201430439949036]),
    (lambda: torch.empty(2).cauchy_(), [0.16314467787742615, 0.10790178924798965]),
    (lambda: torch.empty(2).geometric_(0.3), [2, 2]),
    (lambda: torch.empty(2).log_normal_(), [0.26077473163604736, 1.2389094829559326]),
    (lambda: torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4]), 6, True), [2, 2, 1, 2, 3, 3]),
    (lambda: torch.poisson(torch.tensor([0.5, 3.0, 20, 1000.0])), [0, 3, 26, 996]),
]


@pytest.mark.parametrize("draw, values", VALUES)
def test_values_are_torchs(draw, values):
    assert draw().tolist() == values


def test_the_generator_is_the_only_state():
    state = torch.get_rng_state()
    first = torch.rand(3).tolist(), torch.randn(5).tolist()
    torch.set_rng_state(state)
    assert (torch.rand(3).tolist(), torch.randn(5).tolist()) == first
    assert state.dtype is torch.uint8 and state.shape == (5056,)


def test_generators_draw_apart_from_the_default_one():
    g = torch.Generator()
    assert g.manual_seed(1000) is g and g.initial_seed() == 1000
    before = torch.get_rng_state()
    assert torch.rand(4, generator=g).tolist() == VALUES[0][1]
    assert torch.get_rng_state().tolist() == before.tolist()
    copy = pickle.loads(pickle.dumps(g))
    assert torch.rand(2, generator=copy).tolist() == torch.rand(2, generator=g).tolist()


def test_fork_rng_goes_on_as_if_nothing_had_been_drawn():
    with torch.random.fork_rng():
        torch.rand(10)
    assert torch.rand(4).tolist() == VALUES[0][1]


def test_seeds():
    assert torch.manual_seed(-1).initial_seed() == 2**64 - 1 == torch.initial_seed()
    assert isinstance(torch.seed(), int)
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        torch.manual_seed(2**64)
    with pytest.raises(RuntimeError, match="Expected a CPUGeneratorImplState of size 5056"):
        torch.set_rng_state(torch.zeros(5, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        torch.set_rng_state(torch.zeros(5056, dtype=torch.uint8))
    with pytest.raises(TypeError, match="RNG state must be a torch.ByteTensor"):
        torch.set_rng_state(torch.zeros(5056))


def test_strided_tensors_are_filled_in_memory_order():
    x = torch.zeros(3, 4).t().uniform_()
    torch.manual_seed(1000)
    assert x.t().tolist() == torch.rand(3, 4).tolist()
    base = torch.zeros(4, 6)
    base[1:3, ::2].normal_()
    assert base[0].tolist() == [0] * 6 and (base[1:3, ::2] != 0).all() and (base[:, 1::2] == 0).all()


FACTORIES = [
    lambda **o: torch.rand(2, 3, **o),
    lambda **o: torch.rand((2, 3), **o),
    lambda **o: torch.randn(2, 3, **o),
    lambda **o: torch.randint(5, (2, 3), **o),
    lambda **o: torch.rand_like(torch.zeros(2, 3), **o),
    lambda **o: torch.randn_like(torch.zeros(2, 3), **o),
    lambda **o: torch.randint_like(torch.zeros(2, 3), 5, **o),
]


@pytest.mark.parametrize("make", FACTORIES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_factories_take_a_dtype(make, dtype):
    x = make(dtype=dtype, device="cpu", requires_grad=True)
    assert x.dtype is dtype and x.shape == (2, 3) and x.requires_grad and x.is_leaf


def test_out_is_filled():
    out = torch.empty(0)
    assert torch.rand(2, 3, out=out) is out and out.shape == (2, 3)
    with pytest.raises(RuntimeError, match="does not match dtype of out parameter"):
        torch.rand(2, out=out, dtype=torch.float64)


def test_filling_cuts_the_graph():
    x = torch.ones(4, requires_grad=True)
    y = (x * 2).normal_()
    assert y.grad_fn.name() == "NormalBackward0"
    y.sum().backward()
    assert x.grad.tolist() == [0] * 4
    z = torch.normal(x, 1.0)
    assert z.grad_fn.name() == "NormalBackward1"
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.uniform_()


def test_normal_of_tensors():
    mean, std = torch.arange(4.0), torch.tensor([1.0, 2, 3, 4])
    noise = torch.randn(4)
    torch.manual_seed(1000)
    assert torch.normal(mean, std).tolist() == (noise * std + mean).tolist()


def test_multinomial_without_replacement_draws_each_category_once():
    drawn = torch.multinomial(torch.rand(20, 6), 6)
    assert drawn.sort(1).values.tolist() == [list(range(6))] * 20
    assert torch.multinomial(torch.tensor([0.0, 1.0, 0.0]), 1).tolist() == [1]


ERRORS = [
    (lambda: torch.rand(-1), RuntimeError, "negative dimension"),
    (lambda: torch.rand(2.0), TypeError, "argument 'size'"),
    (lambda: torch.rand(2, dtype=torch.int64), NotImplementedError, "not implemented for 'Long'"),
    (lambda: torch.randn(2, dtype=torch.bool), NotImplementedError, "not implemented for 'Bool'"),
    (lambda: torch.randint(3, 3, (2,)), RuntimeError, "random_ expects 'from' to be less than 'to'"),
    (lambda: torch.randint(300, (2,), dtype=torch.uint8), RuntimeError, "to - 1 is out of bounds"),
    (lambda: torch.randperm(-1), RuntimeError, "negative dimension"),
    (lambda: torch.randperm(300, dtype=torch.uint8), RuntimeError, "without overflow"),
    (lambda: torch.empty(2).uniform_(2, 1), RuntimeError, r"uniform_ expects to return a \[from, to\) range"),
    (lambda: torch.empty(2).normal_(0, -1), RuntimeError, "normal expects std >= 0.0"),
    (lambda: torch.normal(torch.zeros(2), -torch.ones(2)), RuntimeError, "all elements of std >= 0.0"),
    (lambda: torch.empty(2).exponential_(-1), RuntimeError, "exponential_ expects lambda > 0.0"),
    (lambda: torch.empty(2).cauchy_(0, -1), RuntimeError, "cauchy_ expects sigma > 0.0"),
    (lambda: torch.empty(2).log_normal_(0, -1), RuntimeError, "log_normal_ expects std > 0.0"),
    (lambda: torch.empty(2).geometric_(-1), RuntimeError, r"geometric_ expects p to be in \(0, 1\)"),
    (lambda: torch.empty(2).bernoulli_(2.0), RuntimeError, r"bernoulli_ expects p to be in \[0, 1\]"),
    (lambda: torch.bernoulli(torch.tensor([2.0])), RuntimeError, "p_in >= 0 && p_in <= 1"),
    (lambda: torch.poisson(torch.tensor([-1.0])), RuntimeError, "invalid Poisson rate"),
    (lambda: torch.multinomial(torch.tensor([-1.0, 2]), 1), RuntimeError, "element < 0"),
    (lambda: torch.multinomial(torch.zeros(2), 1, True), RuntimeError, "sum of probabilities <= 0"),
    (lambda: torch.multinomial(torch.ones(2), 3), RuntimeError, "without replacement"),
    (lambda: torch.multinomial(torch.ones(2), 0), RuntimeError, "n_sample <= 0"),
    (lambda: torch.multinomial(torch.ones(1, 1, 1), 1), RuntimeError, "prob_dist must be 1 or 2 dim"),
    (lambda: torch.rand(2, generator=1), TypeError, "generator"),
]


@pytest.mark.parametrize("call, error, text", ERRORS)
def test_what_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_the_mean_of_many_values():
    for draw, mean in ((torch.rand(20000), 0.5), (torch.randn(20000), 0.0), (torch.empty(20000).exponential_(), 1.0)):
        assert abs(float(np.mean(draw.numpy())) - mean) < 0.03
