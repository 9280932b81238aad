"""Module hooks: what they are called with, what they may change, and in which order."""

from __future__ import annotations

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn
from numtorch.nn.modules import module as hooks


def _linear():
    torch.manual_seed(1)
    return nn.Linear(2, 3)


def test_forward_hooks_change_input_and_output_until_removed():
    lin, x = _linear(), torch.ones(1, 2)
    plain = lin(x).detach().numpy()
    before = lin.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    after = lin.register_forward_hook(lambda m, args, out: out + 5)
    np.testing.assert_allclose(lin(x).detach().numpy(), lin.bias.detach().numpy()[None] + 5)
    before.remove()
    after.remove()
    np.testing.assert_array_equal(lin(x).detach().numpy(), plain)
    assert not lin._may_have_hooks, "a call that finds no hooks must not look again"


def test_hooks_run_in_order_of_registration_unless_prepended():
    lin, seen = _linear(), []
    lin.register_forward_hook(lambda *a: seen.append("second"))
    lin.register_forward_hook(lambda *a: seen.append("first"), prepend=True)
    with hooks.register_module_forward_hook(lambda *a: seen.append("global")):
        lin(torch.ones(1, 2))
    lin(torch.ones(1, 2))
    assert seen == ["global", "first", "second", "first", "second"]


def test_hooks_with_keyword_arguments():
    class Add(nn.Module):
        def forward(self, x, *, y):
            return x + y

    add, seen = Add(), []
    add.register_forward_pre_hook(lambda m, args, kwargs: (args, {"y": kwargs["y"] * 10}), with_kwargs=True)
    add.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs["y"]), with_kwargs=True)
    assert add(1, y=2) == 21 and seen == [20]


def test_an_always_called_hook_sees_a_failed_forward():
    lin, seen = _linear(), []
    lin.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(RuntimeError):
        lin(torch.ones(1, 5))
    assert seen == [None]


def test_full_backward_hooks_see_and_change_gradients():
    lin, seen = _linear(), []
    x = torch.ones(4, 2, requires_grad=True)
    lin(x).sum().backward()
    plain = x.grad.numpy().copy()
    x.grad = None

    def hook(module, grad_input, grad_output):
        seen.append((tuple(grad_input[0].shape), tuple(grad_output[0].shape)))
        return (grad_input[0] * 10,)

    handle = lin.register_full_backward_hook(hook)
    lin(x).sum().backward()
    assert seen == [((4, 2), (4, 3))]
    np.testing.assert_allclose(x.grad.numpy(), plain * 10, rtol=1e-6)
    handle.remove()
    x.grad = None
    lin.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    lin(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), plain * 2, rtol=1e-6)


def test_a_full_backward_hook_runs_without_a_gradient_of_the_input():
    lin, seen = _linear(), []
    lin.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].shape)))
    lin(torch.ones(4, 2)).sum().backward()
    assert seen == [((None,), (4, 3))]


def test_the_two_kinds_of_backward_hook_exclude_each_other():
    lin = _linear()
    lin.register_full_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        lin.register_backward_hook(lambda *a: None)
