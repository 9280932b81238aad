"""Learning rate schedulers: chained against closed forms, state, and the warning about the order of calls."""

from __future__ import annotations

import warnings

import pytest

import numtorch as torch
from numtorch import optim
from numtorch.optim import lr_scheduler

CLOSED = [
    "StepLR(o, 3)",
    "MultiStepLR(o, [2, 5, 5], gamma=0.5)",
    "ConstantLR(o, factor=0.5, total_iters=4)",
    "LinearLR(o, total_iters=6)",
    "ExponentialLR(o, 0.9)",
    "PolynomialLR(o, total_iters=8, power=2.0)",
    "CosineAnnealingLR(o, T_max=5, eta_min=0.01)",
]
OTHERS = [
    "LambdaLR(o, lambda t: 0.95**t)",
    "CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2)",
    "CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=3)",
    "OneCycleLR(o, max_lr=0.1, total_steps=14)",
    "SequentialLR(o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)], [3])",
    "ChainedScheduler([s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)])",
]


def _optimizer():
    return optim.SGD([torch.ones(1)], lr=0.05, momentum=0.9)


def _make(text, optimizer):
    return eval(f"s.{text}", {"s": lr_scheduler, "o": optimizer})


def _run(optimizer, scheduler, steps):
    rates = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("text", CLOSED)
def test_step_by_step_is_the_closed_form(text):
    optimizer = _optimizer()
    scheduler = _make(text, optimizer)
    for _ in range(12):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(scheduler._get_closed_form_lr()[0], abs=1e-12)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("text", CLOSED + OTHERS)
def test_a_schedule_goes_on_from_its_state(text):
    optimizer = _optimizer()
    whole = _run(optimizer, _make(text, optimizer), 10)
    first = _optimizer()
    scheduler = _make(text, first)
    rates = _run(first, scheduler, 5)
    second = _optimizer()
    resumed = _make(text, second)
    resumed.load_state_dict(scheduler.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates + _run(second, resumed, 5) == pytest.approx(whole, abs=1e-15)


def test_the_order_of_steps_is_checked():
    scheduler = lr_scheduler.StepLR(_optimizer(), 1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    optimizer = _optimizer()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        scheduler.step()


def test_wrong_arguments():
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        lr_scheduler.StepLR(3, 1)
    with pytest.raises(KeyError, match="param 'initial_lr' is not specified"):
        lr_scheduler.StepLR(_optimizer(), 1, last_epoch=3)
    with pytest.raises(ValueError, match="Factor should be < 1.0"):
        lr_scheduler.ReduceLROnPlateau(_optimizer(), factor=1.0)
    with pytest.raises(ValueError, match="mode is invalid and scale_fn is None"):
        lr_scheduler.CyclicLR(_optimizer(), 0.1, 0.2, mode="square")


def test_averaged_model_is_the_mean_of_what_it_was_given():
    model = torch.nn.Linear(1, 1, bias=False)
    average = optim.swa_utils.AveragedModel(model)
    for value in (1.0, 2.0, 6.0):
        model.weight.data.fill_(value)
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(3.0) and average.n_averaged.item() == 3
