"""Samplers draw torch's random numbers: the orders below are torch 2.13.0's."""

import pytest

import numtorch as torch
from numtorch.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: SequentialSampler(range(4)), [0, 1, 2, 3]),
        (lambda: RandomSampler(range(5)), [3, 4, 0, 1, 2]),
        (lambda: RandomSampler(range(5), num_samples=8), [3, 4, 0, 1, 2, 0, 3, 2]),
        (lambda: RandomSampler(range(5), replacement=True), [3, 0, 2, 1, 0]),
        (lambda: RandomSampler(range(5), generator=torch.Generator().manual_seed(3)), [1, 0, 3, 4, 2]),
        (lambda: SubsetRandomSampler([5, 6, 7]), [5, 6, 7]),
        (lambda: WeightedRandomSampler([1, 2, 3], 6), [1, 1, 2, 2, 2, 2]),
        (lambda: WeightedRandomSampler([1, 2, 3], 2, replacement=False), [1, 0]),
        (lambda: BatchSampler(range(5), 2, False), [[0, 1], [2, 3], [4]]),
        (lambda: BatchSampler(range(5), 2, True), [[0, 1], [2, 3]]),
        (lambda: DistributedSampler(range(5), 2, 0), [4, 1, 2]),
        (lambda: DistributedSampler(range(5), 2, 1, shuffle=False), [1, 3, 0]),
        (lambda: DistributedSampler(range(5), 2, 1, shuffle=False, drop_last=True), [1, 3]),
    ],
)
def test_order_and_length(make, expected):
    torch.manual_seed(7)
    sampler = make()
    assert list(sampler) == expected
    assert len(sampler) == len(expected)


def test_two_passes_differ_and_a_seed_repeats_both():
    sampler = RandomSampler(range(100))
    torch.manual_seed(0)
    first, second = list(sampler), list(sampler)
    torch.manual_seed(0)
    assert (first, second) == (list(sampler), list(sampler)) and first != second


def test_many_draws_with_replacement_come_in_torchs_chunks():
    torch.manual_seed(7)
    assert list(RandomSampler(range(1000), True, 70))[::10] == [293, 356, 740, 547, 707, 141, 854]


def test_weights_decide():
    drawn = list(WeightedRandomSampler([2, 0, 1], 6000))
    assert 1.8 < drawn.count(0) / drawn.count(2) < 2.2 and drawn.count(1) == 0


def test_set_epoch_changes_the_order_in_all_processes_alike():
    samplers = [DistributedSampler(range(8), 2, rank) for rank in range(2)]
    epochs = []
    for epoch in range(2):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        shares = [list(sampler) for sampler in samplers]
        assert sorted(sum(shares, [])) == list(range(8))
        epochs.append(shares)
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: RandomSampler([]),
            ValueError,
            "num_samples should be a positive integer value, but got num_samples=0",
        ),
        (lambda: RandomSampler([1], "yes"), TypeError, "replacement should be a boolean value"),
        (lambda: WeightedRandomSampler([1, 1], 0), ValueError, "num_samples should be a positive integer"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, "weights should be a 1d sequence"),
        (
            lambda: list(WeightedRandomSampler([1, 1], 3, False)),
            RuntimeError,
            "cannot sample n_sample > prob_dist.size",
        ),
        (lambda: BatchSampler([1], 0, False), ValueError, "batch_size should be a positive integer"),
        (lambda: BatchSampler([1], 1, 1), ValueError, "drop_last should be a boolean"),
        (lambda: DistributedSampler([1], 2, 2), ValueError, "Invalid rank 2"),
        (lambda: iter(Sampler()), NotImplementedError, None),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
