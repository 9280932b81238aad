"""One value written into views with gaps, of every dtype."""

import numpy as np
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


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("size", [(3, 3), (7, 3), (3, 7), (9, 1), (3, 3, 3), (0, 3)], ids=str)
def test_the_main_diagonal_is_filled_as_numpy_does(size, wrap):
    expected = np.zeros(size)
    if expected.size:
        np.fill_diagonal(expected, 2, wrap and len(size) == 2)
    whole = torch.zeros([n + 2 for n in size])
    part = whole[tuple(slice(1, -1) for _ in size)]
    assert part.fill_diagonal_(2, wrap) is part
    assert part.tolist() == expected.tolist() and whole.sum().item() == expected.sum()


def test_what_lies_on_a_filled_diagonal_has_no_gradient():
    x = torch.ones(3, 2, requires_grad=True)
    (x * 2).fill_diagonal_(7.0).sum().backward()
    assert x.grad.tolist() == [[0.0, 2.0], [2.0, 0.0], [2.0, 2.0]]


LAYOUTS = {
    "transposed": lambda x: x.t(),
    "part of each row": lambda x: x[:, 3:-4],
    "every second column": lambda x: x[:, ::2],
    "every second row": lambda x: x[::2],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("size", [(5, 11), (300, 257)], ids=str)
def test_views_of_any_layout_are_overwritten_where_they_lie(layout, size):
    x = np.random.default_rng(0).normal(size=size).astype(np.float32)
    expected, t = x.copy(), torch.from_numpy(x.copy())
    view = expected.T if layout is LAYOUTS["transposed"] else layout(expected)
    layout(t).relu_().neg_()
    view[...] = -np.maximum(view, 0)
    assert np.array_equal(t.numpy(), expected)
    layout(t).fill_(2.0)
    view[...] = 2
    assert np.array_equal(t.numpy(), expected)
