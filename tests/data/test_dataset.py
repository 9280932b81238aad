"""Datasets and their combinations."""

import pytest

import numtorch as torch
from numtorch.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)

PAIRS = TensorDataset(torch.arange(6), torch.arange(6) * 10)


class Count(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def values(sample):
    return tuple(part.item() for part in sample)


def test_tensor_dataset():
    assert len(PAIRS) == 6 and values(PAIRS[2]) == (2, 20)
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(torch.zeros(2), torch.zeros(3))


def test_a_dataset_without_getitem():
    with pytest.raises(NotImplementedError, match="Subclasses of Dataset should implement __getitem__"):
        Dataset()[0]


def test_subset():
    part = Subset(PAIRS, [4, 1])
    assert len(part) == 2 and values(part[0]) == (4, 40)
    assert [values(sample) for sample in part.__getitems__([1, 0])] == [(1, 10), (4, 40)]


def test_a_subclass_of_subset_must_override_both():
    class Half(Subset):
        def __getitem__(self, index):
            return 0

    with pytest.raises(NotImplementedError, match="Half overrides __getitem__ but not __getitems__"):
        Half(PAIRS, [0])


def test_concat():
    both = PAIRS + Subset(PAIRS, [1, 3])
    assert isinstance(both, ConcatDataset) and len(both) == 8 and both.cumulative_sizes == [6, 8]
    assert values(both[7]) == values(both[-1]) == (3, 30)
    with pytest.raises(ValueError, match="absolute value of index should not exceed"):
        both[-9]
    with pytest.raises(AssertionError, match="should not be an empty iterable"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        ConcatDataset([Count(2)])


def test_chain():
    chain = Count(2) + Count(3)
    assert isinstance(chain, ChainDataset) and list(chain) == [0, 1, 0, 1, 2] and len(chain) == 5
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(ChainDataset([PAIRS]))


def test_stack():
    assert StackDataset([1, 2], [3, 4])[1] == (2, 4)
    assert StackDataset(a=[1, 2], b=[3, 4]).__getitems__([1, 0]) == [{"a": 2, "b": 4}, {"a": 1, "b": 3}]
    with pytest.raises(ValueError, match="Size mismatch between datasets"):
        StackDataset([1], [2, 3])
    with pytest.raises(ValueError, match="At least one dataset"):
        StackDataset()
    with pytest.raises(ValueError, match="both types are given"):
        StackDataset([1], b=[2])


def test_random_split_of_torchs_stream():
    parts = random_split(range(10), [3, 7], generator=torch.Generator().manual_seed(42))
    assert [part.indices for part in parts] == [[2, 6, 1], [8, 4, 5, 0, 9, 3, 7]]


def test_random_split_by_fractions():
    assert [len(part) for part in random_split(range(10), [0.35, 0.65])] == [4, 6]
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(1), [0.9, 0.1])
    with pytest.raises(ValueError, match="does not equal the length of the input dataset"):
        random_split(range(3), [1, 1])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(range(3), [-0.5, 1.5])
