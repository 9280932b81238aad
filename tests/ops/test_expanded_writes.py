"""Writes at indices of tensors whose elements share memory: torch allows them, with a warning, outside the graph."""

import pytest

import numtorch as torch

WRITES = {
    "at a mask": lambda x: x.__setitem__(x > 1, 7),
    "masked_fill_": lambda x: x.masked_fill_(x > 1, torch.tensor(7.0)),
    "at an index": lambda x: x.__setitem__((slice(None), torch.tensor([2, 3])), 7),
    "index_fill_": lambda x: x.index_fill_(1, torch.tensor([2, 3]), 7),
    "index_put_": lambda x: x.index_put_((torch.arange(4)[:, None], torch.tensor([2, 3])), torch.tensor(7.0)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
class TestExpandedTensors:
    def test_are_written_with_a_warning(self, write):
        row = torch.arange(4.0)
        with pytest.warns(UserWarning, match="on expanded tensors is deprecated"):
            write(row.expand(4, 4))
        assert row.tolist() == [0.0, 1.0, 7.0, 7.0]

    def test_are_refused_in_the_graph(self, write):
        row = torch.arange(4.0, requires_grad=True) * 1
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            write(row.expand(4, 4))


def test_windows_that_overlap_are_written():
    x = torch.arange(5.0)
    with pytest.warns(UserWarning):
        x.as_strided((3, 3), (1, 1))[torch.tensor([0])] = 9
    assert x.tolist() == [9.0, 9.0, 9.0, 3.0, 4.0]


def test_scatter_and_index_add_refuse_them():
    x, index = torch.zeros(3).expand(2, 3), torch.zeros(2, 3, dtype=torch.int64)
    for write in (lambda: x.scatter_(0, index, 1.0), lambda: x.index_add_(0, index[:, 0], torch.ones(2, 3))):
        with pytest.raises(RuntimeError, match="more than one element"):
            write()
