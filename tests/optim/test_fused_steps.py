"""The kernels of the optimisers against the same update in tensor operators, below and above the size for threads."""

from __future__ import annotations

import numpy as np
import pytest

import numtorch as torch

STEPS = [
    ("Adamax", {}),
    ("Adamax", {"weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"weight_decay": 0.1, "betas": (0.8, 0.9)}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("ASGD", {"t0": 3, "lr": 0.1, "lambd": 0.01}),
    ("ASGD", {"weight_decay": 0.1, "maximize": True}),
]


@pytest.mark.parametrize("name, options", STEPS)
def test_kernel_is_the_update(name, options, monkeypatch):
    rng = np.random.default_rng(0)
    sizes = [(3,), (1025,), (300, 500), (0,)]
    start = [rng.standard_normal(size) for size in sizes]
    grads = [[rng.standard_normal(size) for size in sizes] for _ in range(8)]
    kind = getattr(torch.optim, name)

    def train():
        params = [torch.tensor(x, requires_grad=True) for x in start]
        optimizer = kind(params, **options)
        for step, given in enumerate(grads):
            for p, g in zip(params, given):
                p.grad = torch.tensor(g)
            if step == 4:
                params[0].grad = None  # its count of steps falls behind
            optimizer.step()
        return [p.detach().numpy() for p in params], optimizer.state_dict()["state"]

    values, states = train()
    monkeypatch.setattr(kind, "_fused_step", None)
    expected, expected_states = train()
    for a, b in zip(values, expected):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)
    for i, state in states.items():
        for key, value in state.items():
            np.testing.assert_allclose(value.numpy(), expected_states[i][key].numpy(), rtol=1e-13, atol=1e-13)
