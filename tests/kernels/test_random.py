"""kernels/cpu/random.py against values that torch 2.13 printed for manual_seed(1000), and against its own rules."""

import numpy as np
import pytest

from numtorch.kernels.cpu import random as k

pytestmark = pytest.mark.nojit


def start(seed):
    state, spare = np.empty(626, np.uint32), np.zeros(2)
    k.seed_state(state, spare, seed)
    return state, spare


def uniform32(state, spare, n):
    out = np.empty(n, np.float32)
    k.uniform_float32(state, out, np.float32(0), np.float32(1))
    return out


def uniform64(state, spare, n):
    out = np.empty(n)
    k.uniform_float64(state, out, 0.0, 1.0)
    return out


def normal32(state, spare, n):
    out = np.empty(n, np.float32)
    k.normal_float32(state, spare, out, 0.0, 1.0, False)
    return out


def normal64(state, spare, n):
    out = np.empty(n)
    k.normal_float64(state, spare, out, 0.0, 1.0)
    return out


def integers(state, spare, n):
    out = np.empty(n, np.int64)
    k.randint32(state, out, 100, 0)
    return out


def wide_integers(state, spare, n):
    out = np.empty(n, np.int64)
    k.randint64(state, out, np.uint64(2**40), 0)
    return out


def permutation(state, spare, n):
    out = np.empty(n, np.int64)
    k.randperm(state, out)
    return out


def bernoulli(state, spare, n):
    out = np.empty(n, np.float32)
    k.bernoulli_scalar(state, out, 0.5, np.float32(1))
    return out


def bernoulli_of_tensor(state, spare, n):
    out = np.empty(n, bool)
    k.bernoulli_float32(state, out, np.full(n, 0.5, np.float32))
    return out


def multinomial(state, spare, n):
    out = np.empty(n, np.int64)
    assert k.multinomial_replacement(state, np.array([0.1, 0.2, 0.3, 0.4], np.float32), out, 1, 4, n) == 0
    return out


def poisson(state, spare, n):
    out = np.empty(n)
    k.poisson(state, out, np.array([0.5, 3, 20, 1000.0]))
    return out


def one_by_one(kernel, *args):
    def draw(state, spare, n):
        out = np.empty(n)
        kernel(state, *((spare, out) if kernel is k.log_normal else (out,)), *args)
        return out.astype(np.float32)

    return draw


TORCH = [
    (uniform32, [0.3189346194267273, 0.6135610938072205, 0.44177669286727905, 0.2580375671386719]),
    (uniform64, [0.5514770534142127, 0.5342138339915081]),
    (normal32, [-1.1720491647720337, -0.3928842544555664, 0.5264794826507568]),
    (permutation, [3, 1, 5, 6, 7, 4, 0, 2]),
    (integers, [7, 79, 47, 48, 51, 74]),
    (wide_integers, [769681855063, 307564252864]),
    (bernoulli, [0, 0, 1, 0, 0, 0, 1, 1]),
    (bernoulli_of_tensor, [1, 0, 1, 1, 1, 0, 1, 1]),
    (one_by_one(k.exponential, 2.0), [0.40089771151542664, 0.38201430439949036]),
    (one_by_one(k.cauchy, 0.0, 1.0), [0.16314467787742615, 0.10790178924798965]),
    (one_by_one(k.geometric, 0.3), [2, 2]),
    (one_by_one(k.log_normal, 1.0, 2.0), [0.26077473163604736, 1.2389094829559326]),
    (multinomial, [2, 2, 1, 2, 3, 3]),
    (poisson, [0, 3, 26, 996]),
]


@pytest.mark.parametrize("draw, values", TORCH)
def test_first_values_are_torchs_to_the_last_bit(draw, values):
    got = draw(*start(1000), len(values))
    np.testing.assert_array_equal(got, np.array(values).astype(got.dtype))


def test_the_last_block_of_a_normal_fill_is_drawn_anew():
    got = normal32(*start(1000), 18)[-4:]
    want = [-0.3571907579898834, 0.46100345253944397, -0.7925962805747986, -0.14138951897621155]
    np.testing.assert_array_equal(got, np.array(want, np.float32))


def test_words_are_numpys_legacy_generator_at_any_chunk_boundary():
    state, spare = start(7)
    got = []
    for n in (1, 622, 1, 1, 623, 5000, 3):
        out = np.empty(n, np.uint32)
        k._draw_words(state, out, n)
        got.append(out)
    want = np.random.RandomState(7).randint(0, 2**32, 6251, dtype=np.uint32)
    np.testing.assert_array_equal(np.concatenate(got), want)


@pytest.mark.parametrize("span", [1, 2, 3, 7, 77, 1000, 2**16, 99999, 2**27 + 5, 2**28 - 1])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64])
def test_integers_are_the_remainders_of_words(span, dtype):
    words = np.random.RandomState(7).randint(0, 2**32, 5000, dtype=np.uint32)
    out = np.empty(5000, dtype)
    k.randint32(start(7)[0], out, span, -5)
    np.testing.assert_array_equal(out, (words % np.uint32(span)).astype(np.int64) - 5)


@pytest.mark.parametrize("draw", [uniform32, uniform64, integers, bernoulli, bernoulli_of_tensor])
def test_two_fills_continue_the_stream_of_one(draw):
    whole = draw(*start(3), 5000)
    stream = start(3)
    np.testing.assert_array_equal(np.concatenate([draw(*stream, n) for n in (1, 2047, 2952)]), whole)


@pytest.mark.parametrize("n", [1, 15, 16, 2047, 2049, 4100])
@pytest.mark.parametrize("draw", [normal32, normal64])
def test_normals_are_finite_and_of_unit_variance(draw, n):
    x = draw(*start(n), n).astype(np.float64)
    assert np.isfinite(x).all()
    assert n < 1000 or (abs(x.mean()) < 0.1 and abs(x.std() - 1) < 0.1)


@pytest.mark.parametrize("draw", [uniform32, uniform64, normal32, normal64, integers, permutation, bernoulli])
def test_nothing_is_drawn_for_nothing(draw):
    stream = start(5)
    assert draw(*stream, 0).size == 0
    np.testing.assert_array_equal(uniform32(*stream, 3), uniform32(*start(5), 3))


def test_a_uniform_value_rounded_up_to_the_bound_becomes_the_lower_one():
    out = np.empty(200, np.float32)
    k.uniform_float32(start(0)[0], out, np.float32(1), np.float32(1 + 2**-23))
    assert set(out.tolist()) == {1.0}


@pytest.mark.parametrize("n", [0, 1, 2, 3000])
def test_a_permutation_holds_every_number_once(n):
    np.testing.assert_array_equal(np.sort(permutation(*start(n), n)), np.arange(n))


@pytest.mark.parametrize("weights, fault", [([1, -1], 1), ([1, np.nan], 1), ([1, np.inf], 2), ([0, 0], 3), ([0, 1], 0)])
def test_multinomial_names_the_fault_of_its_weights(weights, fault):
    out = np.empty(1, np.int64)
    assert k.multinomial_replacement(start(0)[0], np.array(weights, np.float64), out, 1, 2, 1) == fault


@pytest.mark.parametrize("rate", [0.0, 0.1, 5.0, 12.0, 400.0])
def test_poisson_has_its_rate_as_mean_and_variance(rate):
    out = np.empty(20000)
    k.poisson(start(1)[0], out, np.full(20000, rate))
    assert abs(out.mean() - rate) <= 0.05 * max(rate, 0.2)
    assert abs(out.var() - rate) <= 0.08 * max(rate, 0.2)
