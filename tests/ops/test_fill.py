"""One value written into views with gaps, of every dtype."""

import pytest

import numtorch as torch

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.bool, torch.complex64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_view_with_gaps_is_filled_and_nothing_else(dtype):
    x = torch.ones(4, 6).to(dtype)
    assert x[:, ::2].zero_().tolist() == torch.zeros(4, 3).to(dtype).tolist()
    assert x[:, 1::2].tolist() == torch.ones(4, 3).to(dtype).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_halves_are_filled_with_any_number(dtype):
    x = torch.zeros(3, 3, dtype=dtype)
    x.t()[1:, ::2].fill_(1.5)
    assert x.tolist() == [[0.0, 1.5, 1.5], [0.0, 0.0, 0.0], [0.0, 1.5, 1.5]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_whole_tensors_of_halves_are_filled(dtype):
    x = torch.ones(5, dtype=dtype)
    assert x.zero_().tolist() == [0.0] * 5 and x.fill_(-2.5).tolist() == [-2.5] * 5
    x[1:3] = 4
    assert x.tolist() == [-2.5, 4.0, 4.0, -2.5, -2.5]
