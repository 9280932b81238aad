"""DataLoader with worker processes: the same batches in the same order, and what happens when something fails."""

import os
import random
import threading

import numpy as np
import pytest

import numtorch as torch
from numtorch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

PAIRS = TensorDataset(torch.arange(10.0), torch.arange(20).view(10, 2))
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Items(Dataset):
    """Sample i is `function(i)`."""

    def __init__(self, function, n=4):
        self.function, self.n = function, n

    def __getitem__(self, index):
        return self.function(index)

    def __len__(self):
        return self.n


class Shares(IterableDataset):
    """Worker k yields 10 k, 10 k + 1, ...; the second worker has more."""

    def __iter__(self):
        worker = get_worker_info()
        return iter(range(10 * worker.id, 10 * worker.id + 3 + 4 * worker.id))


def lists(loader):
    return [[part.tolist() for part in batch] if isinstance(batch, list) else batch.tolist() for batch in loader]


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("options", [{}, {"prefetch_factor": 1}])
def test_the_same_batches_in_the_same_order(num_workers, options):
    torch.manual_seed(0)
    here = DataLoader(PAIRS, 3, shuffle=True)
    expected = [lists(here), lists(here)]
    torch.manual_seed(0)
    there = DataLoader(PAIRS, 3, shuffle=True, num_workers=num_workers, **options)
    assert [lists(there), lists(there)] == expected


def test_persistent_workers_stay():
    loader = DataLoader(Items(lambda i: os.getpid()), 2, num_workers=2, persistent_workers=True)
    first, second = lists(loader), lists(loader)
    assert first == second and os.getpid() not in first[0] + first[1]


def test_a_pass_broken_off_leaves_nothing_behind():
    loader = DataLoader(Items(int, 10), 2, num_workers=2, persistent_workers=True)
    next(iter(loader))
    assert lists(loader) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def test_streams_of_unequal_length():
    assert lists(DataLoader(Shares(), 2, num_workers=2)) == [[0, 1], [10, 11], [2], [12, 13], [14, 15], [16]]
    assert lists(DataLoader(Shares(), 2, num_workers=2, drop_last=True)) == [
        [0, 1],
        [10, 11],
        [12, 13],
        [14, 15],
    ]
    samples = list(DataLoader(Shares(), None, num_workers=2, persistent_workers=True))
    assert samples == [0, 10, 1, 11, 2, 12, 13, 14, 15, 16]


def test_out_of_order():
    loader = DataLoader(Items(int, 9), 2, num_workers=2, in_order=False)
    assert sorted(sum(lists(loader), [])) == list(range(9))


def test_workers_are_seeded_as_torch_seeds_them():
    def draw(index):
        return (
            random.random(),
            np.random.rand(),
            torch.rand(1, dtype=torch.float64).item(),
            get_worker_info().seed % 1000,
        )

    torch.manual_seed(0)
    batches = [[part.item() for part in batch] for batch in DataLoader(Items(draw, 2), 1, num_workers=2)]
    assert np.allclose(
        batches,
        [
            [0.21315340548154382, 0.8371640508861415, 0.25711931484490447, 455],
            [0.7733861492043289, 0.6702704958690073, 0.550542841289116, 456],
        ],
        rtol=0,
        atol=1e-12,
    )


def test_worker_info_and_init_fn():
    def describe(index):
        worker = get_worker_info()
        return (
            worker.id,
            worker.num_workers,
            type(worker.dataset).__name__,
            os.environ["NUMTORCH_TEST_WORKER"],
        )

    def start(worker_id):
        os.environ["NUMTORCH_TEST_WORKER"] = f"worker {worker_id}"

    loader = DataLoader(Items(describe, 2), None, num_workers=2, worker_init_fn=start)
    assert list(map(tuple, loader)) == [(0, 2, "Items", "worker 0"), (1, 2, "Items", "worker 1")]


def test_state_of_the_dataset_does_not_come_back():
    seen = []
    assert lists(DataLoader(Items(lambda i: seen.append(i) or i), 2, num_workers=1)) == [[0, 1], [2, 3]]
    assert seen == []


def test_kernels_run_in_workers():
    loader = DataLoader(Items(lambda i: (torch.ones(64, 64) @ torch.ones(64, 64)).sum() * i), 2, num_workers=2)
    torch.ones(300, 300) @ torch.ones(300, 300)
    assert lists(loader) == [[0.0, 64.0**3], [2 * 64.0**3, 3 * 64.0**3]]


def test_only_the_part_that_a_tensor_shows_is_sent():
    base = torch.zeros(1000, 4)
    (row,) = list(DataLoader(Items(lambda i: base[i], 1), None, num_workers=1))
    assert row.shape == (4,) and row.untyped_storage().nbytes() == 16


def fail(error):
    def function(index):
        if index == 2:
            raise error
        return index

    return function


@pytest.mark.parametrize("error", [ValueError("bad sample"), KeyError("missing"), StopIteration("early")])
def test_errors_come_back_with_their_traceback(error):
    iterator = iter(DataLoader(Items(fail(error)), 1, num_workers=1))
    assert [next(iterator).item(), next(iterator).item()] == [0, 1]
    with pytest.raises(type(error)) as caught:
        next(iterator)
    text = str(caught.value)
    assert f"Caught {type(error).__name__} in DataLoader worker process 0.\nOriginal Traceback" in text
    assert "in function" in text


def test_an_exception_that_takes_other_arguments():
    class Odd(Exception):
        def __init__(self, a, b):
            super().__init__(a)

    with pytest.raises(RuntimeError, match="Odd"):
        lists(DataLoader(Items(fail(Odd(1, 2))), 1, num_workers=1))


def test_errors_of_init_fn():
    def start(worker_id):
        raise OSError("no disk")

    with pytest.raises(OSError, match="Caught OSError in DataLoader worker process 0"):
        lists(DataLoader(Items(int), 1, num_workers=1, worker_init_fn=start))


def test_what_can_not_be_pickled_is_an_error_not_a_hang():
    with pytest.raises((AttributeError, TypeError, RuntimeError), match="pickle"):
        list(DataLoader(Items(lambda i: lambda: i), 1, num_workers=1, collate_fn=list))


def test_results_of_a_graph_are_not_sent():
    weight = torch.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="non-leaf tensor which requires_grad"):
        list(DataLoader(Items(lambda i: weight * i), 1, num_workers=1, collate_fn=list))


def test_a_dead_worker_is_noticed():
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly"):
        lists(DataLoader(Items(lambda i: os._exit(3)), 1, num_workers=1))


def test_timeout():
    def wait(index):
        get_worker_info().dataset.event.wait(1)

    dataset = Items(wait)
    dataset.event = threading.Event()
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.2 seconds"):
        lists(DataLoader(dataset, 1, num_workers=1, timeout=0.2))


def test_more_workers_than_cores_warn():
    with pytest.warns(UserWarning, match="This DataLoader will create 10000 worker processes in total"):
        DataLoader([1], num_workers=10000)
