"""Floor division where remainders are infinite, and dtypes that have none."""

import math

import pytest

import numtorch as torch

INF = math.inf


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("divisor, expected", [(INF, [-1.0, -1.0, 0.0, 0.0]), (-INF, [0.0, 0.0, -1.0, -1.0])])
def test_by_infinity_gives_zero_or_minus_one(dtype, divisor, expected):
    x = torch.tensor([-7.0, -0.5, 0.5, 7.0], dtype=dtype)
    assert (x // divisor).tolist() == expected
    assert (x // torch.full((4,), divisor, dtype=dtype)).tolist() == expected


def test_integers_by_infinity():
    assert (torch.arange(-1, 2) // INF).tolist() == [-1.0, 0.0, 0.0]


@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_complex_numbers_are_refused(mode):
    with pytest.raises(NotImplementedError, match=f"\"div_{mode}_cpu\" not implemented for 'ComplexFloat'"):
        torch.div(torch.ones(3), 1j, rounding_mode=mode)
