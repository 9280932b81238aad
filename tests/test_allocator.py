"""Memory of large results: lent, kept, bounded, and never lent twice."""

import gc
import threading

import numpy as np
import pytest

import numtorch as torch
from numtorch import _allocator

BIG = _allocator.SMALLEST // 4 * 2  # float32 numbers


@pytest.fixture(autouse=True)
def empty_pool():
    gc.collect()
    _allocator.release()
    yield
    _allocator.release()


def _filled(value):
    return torch.zeros(BIG) + value


def test_a_result_that_nobody_needs_is_the_memory_of_the_next():
    first = _filled(1)
    place = first.data_ptr()
    del first
    made = _allocator.statistics()["blocks made"]
    assert _filled(2).data_ptr() == place
    assert _allocator.statistics()["blocks made"] == made


@pytest.mark.parametrize(
    ("hold", "look"),
    [
        (lambda t: t[5:], lambda held: held.numpy()),
        (lambda t: t.view(2, -1).t(), lambda held: held.numpy()),
        (lambda t: t.detach(), lambda held: held.numpy()),
        (lambda t: t.numpy(), np.asarray),
        (lambda t: t.numpy()[::2].reshape(-1, 2), np.asarray),
        (lambda t: memoryview(t.numpy()), lambda held: np.frombuffer(held, np.float32)),
        (lambda t: np.from_dlpack(t), np.asarray),
        (lambda t: t.untyped_storage(), lambda held: np.array([held.nbytes() // 4 - BIG + 7])),
    ],
)
def test_memory_that_somebody_can_reach_is_not_lent_again(hold, look):
    t = _filled(7)
    held = hold(t)
    del t
    others = [_filled(-1) for _ in range(3)]
    assert (look(held) == 7).all()
    del others


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(_allocator, "LIMIT", 10 * 4 * BIG)
    tensors = [_filled(i) for i in range(20)]
    assert _allocator.statistics()["lent"] >= 20 * 4 * BIG
    del tensors
    after = _allocator.statistics()
    assert after["kept"] <= 10 * 4 * BIG and after["reserved"] <= 10 * 4 * BIG


def test_emptying_the_cache_gives_everything_back():
    a, b = _filled(1), _filled(2)
    del a
    assert torch.cpu.memory_stats()["reserved_bytes.all.current"] > torch.cpu.memory_allocated() > 0
    torch.cpu.empty_cache()
    stats = torch.cpu.memory_stats()
    assert stats["reserved_bytes.all.current"] == stats["allocated_bytes.all.current"] == torch.cpu.memory_allocated()
    assert (b == 2).all()


def test_blocks_of_a_size_that_is_out_of_use_make_room(monkeypatch):
    monkeypatch.setattr(_allocator, "LIMIT", _allocator.statistics()["reserved"] + 5 * 4 * BIG)
    for factor in (1, 2, 3):
        t = torch.zeros(factor * BIG) + 1
        assert (t == 1).all()
        del t
        assert _allocator.statistics()["kept"] <= 5 * 4 * BIG


def test_threads_never_share_a_block():
    wrong = []

    def work(number):
        for _ in range(50):
            t = _filled(number)
            if not (t.numpy() == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_small_results_come_from_numpy():
    before = _allocator.statistics()
    small = torch.zeros(100) + 1
    assert _allocator.statistics() == before and small.sum() == 100
