"""numtorch.optim against torch.optim: trajectories, state, printing and learning rates."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import numtorch  # noqa: E402
from numtorch.kernels import host  # noqa: E402

# One line a case, as it is written after `optim.`, with the parameters left out.
OPTIMIZERS = [
    "SGD(p, lr=0.1)",
    "SGD(p, lr=0.1, momentum=0.9)",
    "SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01)",
    "SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True)",
    "Adam(p, lr=0.05)",
    "Adam(p, lr=0.05, weight_decay=0.1, amsgrad=True)",
    "Adam(p, lr=0.05, maximize=True, betas=(0.4, 0.9))",
    "AdamW(p, lr=0.05, weight_decay=0.1)",
    "AdamW(p, lr=0.05, amsgrad=True, eps=1e-3)",
    "Adamax(p, weight_decay=0.1)",
    "NAdam(p)",
    "NAdam(p, lr=0.05, weight_decay=0.1, decoupled_weight_decay=True)",
    "RAdam(p, lr=0.05)",
    "RAdam(p, lr=0.05, betas=(0.9, 0.99), weight_decay=0.1)",
    "RMSprop(p)",
    "RMSprop(p, momentum=0.9, centered=True, weight_decay=0.1)",
    "Adagrad(p, lr=0.1)",
    "Adagrad(p, lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.3)",
    "Adadelta(p)",
    "Adadelta(p, rho=0.8, weight_decay=0.1)",
    "Rprop(p)",
    "ASGD(p, t0=3, weight_decay=0.1)",
    "Adafactor(p)",
    "LBFGS(p, max_iter=3)",
    "LBFGS(p, max_iter=4, line_search_fn='strong_wolfe')",
]

SCHEDULERS = [
    "LambdaLR(o, lambda t: 0.95**t)",
    "MultiplicativeLR(o, lambda t: 0.9)",
    "StepLR(o, 3)",
    "MultiStepLR(o, [2, 5, 5], gamma=0.5)",
    "ConstantLR(o, factor=0.5, total_iters=4)",
    "LinearLR(o, total_iters=6)",
    "ExponentialLR(o, 0.9)",
    "PolynomialLR(o, total_iters=8, power=2.0)",
    "CosineAnnealingLR(o, T_max=5, eta_min=0.01)",
    "CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2)",
    "CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=3)",
    "CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=3, mode='triangular2', cycle_momentum=False)",
    "OneCycleLR(o, max_lr=0.1, total_steps=14)",
    "OneCycleLR(o, max_lr=0.1, epochs=2, steps_per_epoch=7, three_phase=True, anneal_strategy='linear')",
    "SequentialLR(o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)], [3])",
    "ChainedScheduler([s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)])",
]

LIBRARIES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def _problem(lib, dtype):
    """Three parameters and a closure for their loss, which has a gradient with respect to two of them."""
    rng = np.random.default_rng(11)
    arrays = [rng.standard_normal(size).astype(dtype) for size in ((4, 3), (3,), (2, 2))]
    a = lib.from_numpy(rng.standard_normal((6, 4)).astype(dtype))
    params = [lib.nn.Parameter(lib.from_numpy(x.copy())) for x in arrays]

    def loss():
        return ((a @ params[0] + params[1]).tanh() ** 2).mean() + 0.1 * (params[0] ** 2).sum()

    return params, loss


def _trajectory(lib, text, dtype, steps=20):
    params, loss = _problem(lib, dtype)
    optimizer = eval(f"o.{text}", {"o": lib.optim, "p": params})
    values = []

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(closure)
        values.append([p.detach().numpy().copy() for p in params])
    return optimizer, values


def _numbers(state):
    """The numbers in an optimizer's state, whatever holds them."""
    if isinstance(state, dict):
        return [x for k in sorted(state, key=str) for x in _numbers(state[k])]
    if isinstance(state, (list, tuple)):
        return [x for v in state for x in _numbers(v)]
    if state is None:
        return []
    return [np.asarray(state.detach() if hasattr(state, "detach") else state)]


@LIBRARIES
@pytest.mark.parametrize("text", OPTIMIZERS)
def test_twenty_steps_go_where_torch_goes(text, dtype):
    steps = 5 if "LBFGS" in text else 20  # it has converged by then, and only rounding is left
    theirs, expected = _trajectory(torch, text, dtype, steps)
    ours, got = _trajectory(numtorch, text, dtype, steps)
    tolerance = {"float32": (1e-4, 1e-5), "float64": (1e-9, 1e-10)}[dtype]
    if dtype == "float32" and not host.has_fma():
        tolerance = (1e-3, 1e-4)  # a rounding more each operation: twenty steps of NAdam make 4e-5 of it
    for step, (a, b) in enumerate(zip(got, expected, strict=True)):
        for x, y in zip(a, b, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_allclose(x, y, *tolerance, err_msg=f"step {step}")
    mine, torchs = ours.state_dict(), theirs.state_dict()
    assert mine["param_groups"] == torchs["param_groups"]
    assert {k: sorted(v) for k, v in mine["state"].items()} == {k: sorted(v) for k, v in torchs["state"].items()}
    if "LBFGS" not in text:
        for x, y in zip(_numbers(mine["state"]), _numbers(torchs["state"]), strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_allclose(x, y, *tolerance)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("text", ["SGD(p, momentum=0.9)", "Adam(p)", "RMSprop(p)", "Adagrad(p)", "NAdam(p)"])
def test_training_goes_on_from_a_state_dict(text):
    whole, expected = _trajectory(numtorch, text, "float64", steps=12)
    params, loss = _problem(numtorch, "float64")
    first = eval(f"o.{text}", {"o": numtorch.optim, "p": params})
    values = []
    for step in range(12):
        if step == 6:
            second = eval(f"o.{text}", {"o": numtorch.optim, "p": params})
            second.load_state_dict(first.state_dict())
            first = second
        first.zero_grad()
        loss().backward()
        first.step()
        values.append([p.detach().numpy().copy() for p in params])
    for a, b in zip(values, expected, strict=True):
        for x, y in zip(a, b, strict=True):
            # not equal: loading casts NAdam's float32 mu_product to the parameter's dtype, as in torch
            np.testing.assert_allclose(x, y, rtol=1e-10)


@pytest.mark.parametrize("name", sorted({t.partition("(")[0] for t in OPTIMIZERS}))
def test_optimizers_take_the_same_arguments(name):
    theirs, ours = (inspect.signature(getattr(lib.optim, name)).parameters.values() for lib in (torch, numtorch))
    assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in theirs]


def _rates(lib, text):
    params, _ = _problem(lib, "float64")
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.02}]
    optimizer = lib.optim.SGD(groups, lr=0.05, momentum=0.9)
    schedulers = lib.optim.lr_scheduler
    scheduler = eval(f"s.{text}", {"s": schedulers, "o": optimizer})
    rates = [[(g["lr"], g["momentum"]) for g in optimizer.param_groups]]
    for _ in range(12):
        optimizer.step()
        scheduler.step()
        rates.append([(g["lr"], g["momentum"]) for g in optimizer.param_groups])
    return scheduler, rates


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("text", SCHEDULERS)
def test_learning_rates_are_torchs(text):
    theirs, expected = _rates(torch, text)
    ours, got = _rates(numtorch, text)
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
    assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-14)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_plateau_reduces_the_rate():
    rates = []
    for lib in (torch, numtorch):
        params, _ = _problem(lib, "float32")
        optimizer = lib.optim.SGD(params, lr=1.0)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, cooldown=1, factor=0.5)
        rates.append([])
        for metric in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.95, 0.95, 0.1, 0.2, 0.2, 0.2):
            scheduler.step(metric)
            rates[-1].append(optimizer.param_groups[0]["lr"])
    assert rates[1] == rates[0]


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0, float("inf")])
def test_gradients_are_clipped_alike(norm):
    results = []
    for lib in (torch, numtorch):
        params, loss = _problem(lib, "float64")
        loss().backward()
        total = lib.nn.utils.clip_grad_norm_(params, 0.1, norm)
        results.append([total.item(), *(p.grad.numpy() for p in params[:2])])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)
