"""DataLoader: orders, batches and errors in this process."""

import warnings

import pytest

import numtorch as torch
from numtorch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    get_worker_info,
)

TEN = list(range(10))
PAIRS = TensorDataset(torch.arange(6), torch.arange(12).view(6, 2))


class Stream(IterableDataset):
    def __init__(self, n=5, length=None):
        self.n, self.length = n, n if length is None else length

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.length


def lists(loader):
    return [batch.tolist() if isinstance(batch, torch.Tensor) else batch for batch in loader]


def test_defaults():
    loader = DataLoader(TEN)
    assert lists(loader) == [[i] for i in TEN] and len(loader) == 10
    assert isinstance(loader.sampler, SequentialSampler) and isinstance(loader.batch_sampler, BatchSampler)


@pytest.mark.parametrize(
    "drop_last, expected",
    [(False, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]), (True, [[0, 1, 2, 3], [4, 5, 6, 7]])],
)
def test_batches(drop_last, expected):
    loader = DataLoader(TEN, 4, drop_last=drop_last)
    assert lists(loader) == expected and len(loader) == len(expected)


def test_shuffling_is_torchs():
    torch.manual_seed(7)
    loader = DataLoader(TEN, 4, shuffle=True)
    assert [lists(loader), lists(loader)] == [
        [[3, 2, 7, 8], [6, 1, 5, 9], [0, 4]],
        [[1, 3, 5, 2], [8, 9, 6, 7], [4, 0]],
    ]
    generator = torch.Generator().manual_seed(3)
    assert lists(DataLoader(TEN, 5, shuffle=True, generator=generator)) == [[7, 4, 2, 9, 1], [5, 0, 8, 6, 3]]


def test_a_pass_draws_the_seed_of_workers_as_torch_does():
    torch.manual_seed(7)
    next(iter(DataLoader(TEN)))
    assert torch.rand(1).item() == pytest.approx(0.6592116951942444, abs=1e-7)


def test_samplers():
    assert lists(DataLoader(TEN, 2, sampler=[9, 1, 1])) == [[9, 1], [1]]
    assert lists(DataLoader(TEN, batch_sampler=[[1, 2], [3]])) == [[1, 2], [3]]
    assert lists(DataLoader(TEN, None)) == TEN
    assert len(DataLoader(TEN, 2, sampler=RandomSampler(TEN, num_samples=5))) == 3


def test_a_batch_of_tensors_is_one_gather_of_rows():
    class Named(TensorDataset):
        pass

    named = Named(*PAIRS.tensors)
    for dataset in (PAIRS, named, Subset(named, range(6)), Subset(Subset(PAIRS, [0, 1, 2]), [0, 1])):
        first, second = next(iter(DataLoader(dataset, 2)))
        assert first.tolist() == [0, 1] and second.tolist() == [[0, 1], [2, 3]]
    with pytest.raises(IndexError):
        lists(DataLoader(PAIRS, 2, sampler=[6]))


def test_datasets_may_give_whole_batches():
    class Batched(Dataset):
        def __getitems__(self, indices):
            return [10 * i for i in indices]

        def __len__(self):
            return 3

    assert lists(DataLoader(Batched(), 2)) == [[0, 10], [20]]


def test_collate_fn():
    assert list(DataLoader(TEN[:3], 2, collate_fn=sum)) == [1, 2]


def test_streams():
    assert lists(DataLoader(Stream(), 2)) == [[0, 1], [2, 3], [4]]
    assert lists(DataLoader(Stream(), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert lists(DataLoader(Stream(), None)) == [0, 1, 2, 3, 4]
    assert (len(DataLoader(Stream(), 2)), len(DataLoader(Stream(), 2, drop_last=True))) == (3, 2)


def test_a_stream_longer_than_it_said_warns():
    loader = DataLoader(Stream(5, length=1))
    assert len(loader) == 1
    with pytest.warns(UserWarning, match="Length of IterableDataset .* was reported to be 1"):
        lists(loader)


@pytest.mark.skipif(hasattr(torch, "cuda") and torch.cuda.is_available(), reason="there is an accelerator")
def test_pin_memory_warns_without_an_accelerator():
    with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but no accelerator is found"):
        lists(DataLoader(TEN, pin_memory=True))


def test_nothing_else_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lists(DataLoader(TEN, 3, shuffle=True))


def test_no_worker_here():
    assert get_worker_info() is None


def test_loaders_keep_what_they_were_made_with():
    loader = DataLoader(TEN)
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader is initialized"):
        loader.batch_size = 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batch_size should be a positive integer value, but got batch_size=0"),
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified in multiprocessing"),
        ({"prefetch_factor": -1, "num_workers": 1}, "prefetch_factor option should be non-negative"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"sampler": TEN, "shuffle": True}, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[1]], "drop_last": True}, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
        ({"multiprocessing_context": "fork"}, "can only be used with multi-process loading"),
        ({"multiprocessing_context": "knife", "num_workers": 1}, "should specify a valid start method"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(TEN, **options)


@pytest.mark.parametrize("option", ["shuffle", "sampler", "batch_sampler"])
def test_streams_have_no_order(option):
    with pytest.raises(ValueError, match=f"expected unspecified {option} option"):
        DataLoader(Stream(), **{option: True})
