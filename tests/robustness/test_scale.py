"""Deep graphs, long runs and many threads."""

from __future__ import annotations

import gc
import resource
import threading

import numtorch as torch
from numtorch import nn

NODES = 1_000_000


def test_a_million_chained_nodes_run_backward_and_are_freed_without_recursion():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(NODES):
        y = y + x
    y.backward()
    assert x.grad.item() == NODES + 1
    del y


def _step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()


def test_ten_thousand_training_steps_leave_memory_flat_without_the_garbage_collector():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    x, y = torch.randn(4, 8), torch.randn(4, 1)
    gc.collect()
    gc.disable()
    try:
        for _ in range(1000):
            _step(model, optimizer, x, y)
        before, peak = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(9000):
            _step(model, optimizer, x, y)
        grown = len(gc.get_objects()) - before
        assert grown < 200, f"{grown} objects were left behind by 9,000 steps"
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 20_000, "resident memory grew (KiB)"
    finally:
        gc.enable()


def test_eight_threads_run_forward_and_backward_at_once():
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, padding=1)
    inputs = [torch.randn(3, 2, 8, 8) for _ in range(8)]

    def gradient(x):
        x = x.detach().requires_grad_()
        (nn.functional.relu(conv(x)).exp().sum(dim=(1, 2)) ** 2).mean().backward()
        return x.grad

    expected = [gradient(x) for x in inputs]
    results: list = [None] * 8
    errors: list = []

    def work(i):
        try:
            for _ in range(20):
                results[i] = gradient(inputs[i])
        except Exception as error:  # reported by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors
    for got, want in zip(results, expected, strict=True):
        assert torch.equal(got, want)


def test_grad_mode_belongs_to_its_thread():
    seen = []
    with torch.no_grad():
        t = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]
