"""any() and all() over no dimension: the truth of each element."""

import math

import pytest

import numtorch as torch


@pytest.mark.parametrize("reduce", [torch.any, torch.all])
@pytest.mark.parametrize("keepdim", [False, True])
def test_over_no_dimension_each_element_stands_by_itself(reduce, keepdim):
    x = torch.tensor([[0.0, 2.0], [math.nan, -0.0]])
    result = reduce(x, dim=(), keepdim=keepdim)
    assert result.dtype == torch.bool and result.tolist() == [[False, True], [True, False]]


def test_of_bytes_the_result_is_bytes():
    assert torch.all(torch.tensor([3, 0], dtype=torch.uint8), dim=[]).dtype == torch.uint8
