"""Reductions, flips and rolls of tensors in many layouts, against numpy, at sizes on both sides of every boundary."""

import numpy as np
import pytest

import numtorch as torch

RNG = np.random.default_rng(5)
# (size, order of the dims): rows of a handful of elements, narrow and wide columns, planes of few, dims in another order.
LAYOUTS = [
    ((3, 5), (0, 1)),
    ((700, 2), (0, 1)),
    ((300, 31), (0, 1)),
    ((300, 33), (1, 0)),
    ((5000, 4), (0, 1)),
    ((5000, 4), (1, 0)),
    ((900, 3, 3), (0, 1, 2)),
    ((60, 40, 17), (2, 0, 1)),
    ((60, 30, 40), (1, 2, 0)),
    ((11, 65, 70), (0, 2, 1)),
]


def laid(values, order):
    """(the tensor, the array) over the same values, their dims in `order`."""
    return torch.from_numpy(values.copy()).permute(*order), values.transpose(order)


def first_extreme(x, dim, greatest):
    """Along dim, the first nan if there is one, else the first of the extremes."""
    missing = np.isnan(x)
    found = np.where(missing, np.inf, x if greatest else -x).argmax(dim)
    return np.where(missing.any(dim), missing.argmax(dim), found)


@pytest.mark.parametrize("size, order", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_extremes_are_the_first_along_any_dim_of_any_layout(size, order, dtype):
    values = RNG.integers(0, 6, size).astype(dtype)
    if dtype.startswith("float"):
        values[RNG.random(size) < 0.01] = np.nan
    t, x = laid(values, order)
    for dim in range(len(size)):
        for greatest, found in ((True, t.max(dim)), (False, t.min(dim))):
            places = first_extreme(x.astype("float64"), dim, greatest)
            assert np.array_equal(found.indices.numpy(), places)
            picked = np.take_along_axis(x, np.expand_dims(places, dim), dim).squeeze(dim)
            assert np.array_equal(found.values.numpy(), picked, equal_nan=dtype.startswith("float"))


@pytest.mark.parametrize("size", [(6, 5000), (9, 3000), (130, 2500), (300, 1030), (60, 40000), (3, 100, 3000)])
def test_sums_and_extremes_of_wide_columns(size):
    values = RNG.standard_normal(size).astype("float32")
    t = torch.from_numpy(values)
    assert np.allclose(t.sum(-2).numpy(), values.astype("float64").sum(-2), rtol=1e-5, atol=2e-5)
    assert np.array_equal(t.amax(-2).numpy(), values.max(-2))


@pytest.mark.parametrize("size, dims", [((20, 30, 15, 15), (0, 2, 3)), ((90, 40, 30), (0, 2)), ((90, 400, 3), (0, 2))])
def test_variance_over_dims_that_are_no_neighbours(size, dims):
    for order in (tuple(range(len(size))), tuple(range(len(size)))[::-1]):
        t, x = laid(RNG.standard_normal(size) * 3 + 100, order)
        var, mean = torch.var_mean(t, dims)
        assert np.allclose(var.numpy(), x.var(dims, ddof=1), rtol=1e-12)
        assert np.allclose(mean.numpy(), x.mean(dims), rtol=1e-14)


@pytest.mark.parametrize(
    "size, order", [*LAYOUTS, ((40, 50, 30), (1, 0, 2)), ((9000, 6), (1, 0)), ((40, 1100), (0, 1))]
)
def test_flips_and_rolls(size, order):
    t, x = laid(RNG.standard_normal(size).astype("float32"), order)
    gaps, y = t[..., ::2], x[..., ::2]
    for dim in range(len(size)):
        for a, b in ((t, x), (gaps, y)):
            assert np.array_equal(a.flip(dim).numpy(), np.flip(b, dim))
            assert np.array_equal(a.roll(2, dim).numpy(), np.roll(b, 2, dim))
    assert np.array_equal(t.flip(0, -1).numpy(), np.flip(x, (0, -1)))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 65, 127, 1000])
def test_every_second_element_is_copied(dtype, n):
    values = (np.arange(6 * n) % 251).astype(dtype).reshape(3, 2 * n)
    assert np.array_equal(torch.from_numpy(values)[:, ::2].contiguous().numpy(), values[:, ::2])
    assert np.array_equal(torch.from_numpy(values)[:, 1::2].contiguous().numpy(), values[:, 1::2])


WRITTEN = [
    (lambda x, y, **out: torch.exp(x, **out), lambda x, y: np.exp(x)),
    (lambda x, y, **out: torch.add(x, y, **out), lambda x, y: x + y),
    (lambda x, y, **out: torch.sub(x, 2, **out), lambda x, y: x - 2),
    (lambda x, y, **out: torch.lt(x, y, **out), lambda x, y: x < y),
]
VIEWS = [
    ((40, 60), lambda t: t[:, 3:33]),
    ((80, 30), lambda t: t[::2]),
    ((40, 60), lambda t: t[:, ::2]),
    ((30, 40), lambda t: t.t()),
    ((43, 30), lambda t: t[3:]),
]


@pytest.mark.parametrize("ours, reference", WRITTEN)
@pytest.mark.parametrize("base, view", VIEWS)
@pytest.mark.parametrize("factor", [1, 9])
def test_results_are_written_into_views_and_nowhere_else(ours, reference, base, view, factor):
    x, y = (RNG.standard_normal((40 * factor, 30 * factor)).astype("float32") for _ in range(2))
    expected = reference(x, y)
    size = tuple(n * factor if n != 43 else 40 * factor + 3 for n in base)
    if factor > 1 and base == (40, 60):
        size, view = (40 * factor, 30 * factor + 5), (lambda t: t[:, 2:-3])
    out = torch.full(size, 7, dtype=torch.bool if expected.dtype == bool else torch.float32)
    before, target = out.clone(), view(out)
    version = out._version
    ours(torch.from_numpy(x), torch.from_numpy(y), out=target)
    assert np.allclose(target.numpy(), expected, rtol=1e-6) and out._version > version
    target.copy_(view(before))
    assert torch.equal(out, before)


def test_an_operand_that_shares_memory_with_the_output_is_read_before():
    a = torch.arange(40.0)
    torch.mul(a[:20], 2, out=a[20:])
    assert a[20:].tolist() == [2.0 * i for i in range(20)]
    b = torch.arange(40.0).reshape(4, 10)
    torch.exp(b[:, ::2], out=b[:, 1::2])
    assert torch.equal(b[:, 1::2], b[:, ::2].exp())


@pytest.mark.parametrize(
    "size", [(2000, 1), (2000, 2), (2000, 3), (2000, 4), (2000, 5), (900, 5, 3), (3, 1, 4), (20, 3, 3)]
)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_running_sums_of_few_columns(size, dtype):
    values = RNG.integers(-3, 4, size).astype(dtype)
    for dim in range(len(size)):
        assert np.array_equal(torch.from_numpy(values).cumsum(dim).numpy(), values.cumsum(dim, dtype="int64"))
