"""Optimizers: every one descends, the fused kernels agree with the tensor operations, state and errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn, optim
from numtorch.kernels.cpu import optimizers as kernels

ALL = [
    "SGD(p, lr=0.1, momentum=0.5)",
    "Adam(p, lr=0.1)",
    "AdamW(p, lr=0.1)",
    "Adamax(p, lr=0.1)",
    "NAdam(p, lr=0.1)",
    "RAdam(p, lr=0.3)",
    "RMSprop(p, lr=0.05)",
    "Adagrad(p, lr=0.5)",
    "Adadelta(p, lr=20.0)",
    "Rprop(p)",
    "ASGD(p, lr=0.1)",
    "Adafactor(p, lr=0.3)",
    "Muon(p, lr=0.1)",
    "LBFGS(p)",
]

# differentiable=True keeps an optimizer from its kernel
FUSED = [
    "SGD(p, lr=0.1, weight_decay=0.1{})",
    "SGD(p, lr=0.1, momentum=0.9, dampening=0.2{})",
    "SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True, weight_decay=0.01{})",
    "Adam(p, lr=0.1, weight_decay=0.1{})",
    "Adam(p, lr=0.1, amsgrad=True, maximize=True{})",
    "Adam(p, lr=0.1, betas=(0.3, 0.9){})",
    "AdamW(p, lr=0.1{})",
    "RMSprop(p, weight_decay=0.1{})",
    "RMSprop(p, momentum=0.9, centered=True, maximize=True{})",
    "Adagrad(p, lr_decay=0.1, weight_decay=0.1{})",
]


def _make(text, params):
    return eval(f"optim.{text}", {"optim": optim, "p": params})


@pytest.mark.nojit
@pytest.mark.parametrize("text", ALL)
def test_a_quadratic_goes_down(text):
    target = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    x = nn.Parameter(torch.zeros(2, 2))
    optimizer = _make(text, [x])

    def closure():
        optimizer.zero_grad()
        loss = ((x - target) ** 2).sum()
        loss.backward()
        return loss

    first = closure().item()
    for _ in range(60):
        optimizer.step(closure)
    assert closure().item() < 0.3 * first


@pytest.mark.parametrize("size", [3, kernels.BLOCK + 5, kernels.PARALLEL_THRESHOLD + 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("text", FUSED)
def test_the_fused_kernel_does_what_the_operators_do(text, dtype, size):
    results = []
    for extra in ("", ", differentiable=True"):
        torch.manual_seed(0)
        param = torch.randn(size, dtype=dtype)
        optimizer = _make(text.format(extra), [param])
        for step in range(3):
            param.grad = torch.randn(size, dtype=dtype) * (step + 1)
            optimizer.step()
        results.append([param, *(v for v in optimizer.state[param].values())])
    for fused, plain in zip(*results, strict=True):
        rtol, atol = (2e-6, 1e-5) if dtype is torch.float32 else (1e-14, 1e-14)
        np.testing.assert_allclose(fused.numpy(), plain.numpy(), rtol=rtol, atol=atol)


def test_a_step_counts_as_a_write():
    w = nn.Parameter(torch.ones(2))
    y = (w * w).sum()
    w.grad = torch.ones(2)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_strided_and_half_parameters_take_the_slow_path():
    for param in (nn.Parameter(torch.ones(3, 4).t()), nn.Parameter(torch.ones(3).half())):
        param.grad = torch.ones_like(param)
        optim.Adam([param], lr=0.5).step()
        np.testing.assert_allclose(param.detach().float().numpy(), 0.5, rtol=1e-3)


def test_groups_have_their_own_options():
    a, b = (nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.5)
    a.grad, b.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.0)
    assert "Parameter Group 1\n    dampening: 0" in repr(optimizer)
    assert optimizer.state_dict()["param_groups"][1]["params"] == [1]


def test_named_parameters_keep_their_names():
    optimizer = optim.SGD(nn.Linear(1, 1).named_parameters(), lr=0.1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_copies_and_pickles_keep_the_state():
    w = nn.Parameter(torch.ones(2))
    w.grad = torch.ones(2)
    optimizer = optim.Adam([w])
    optimizer.step()
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        (state,) = other.state.values()
        assert state["step"].item() == 1 and other.param_groups[0]["lr"] == 1e-3
        other.zero_grad()


def test_hooks_run_round_a_step():
    w, seen = nn.Parameter(torch.ones(1)), []
    optimizer = optim.SGD([w], lr=0.1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    after = optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
    optimizer.step()
    after.remove()
    optimizer.step()
    assert seen == ["before", "after", "before"]


def test_an_optimizer_of_ones_own():
    class Plain(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(group["lr"] * p.grad)

    w = nn.Parameter(torch.ones(1))
    (w * 3).sum().backward()
    Plain([w], 0.5).step()
    assert w.item() == -0.5


# what is called, the exception, what its message says
ERRORS = [
    (lambda: optim.SGD([torch.ones(1)], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: optim.Adam([torch.ones(1)], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
    (lambda: optim.SGD([torch.ones(1)], nesterov=True), ValueError, "Nesterov momentum requires a momentum"),
    (lambda: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
    (
        lambda: optim.SGD(torch.ones(1)),
        TypeError,
        "should be an iterable of Tensors or dicts, but got torch.FloatTensor",
    ),
    (lambda: optim.SGD([3]), TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
    (lambda: optim.SGD([{"params": {torch.ones(1)}}]), TypeError, "ordered collections"),
    (lambda: optim.SGD([nn.Parameter(torch.ones(1)) * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    (lambda: optim.SGD([{"params": W}, {"params": W}]), ValueError, "appear in more than one parameter group"),
    (lambda: optim.LBFGS([{"params": W}, {"params": V}]), ValueError, "doesn't support per-parameter options"),
    (lambda: optim.SGD(W).load_state_dict(optim.SGD(W + V).state_dict()), ValueError, "doesn't match the size"),
]
W, V = [nn.Parameter(torch.ones(1))], [nn.Parameter(torch.ones(1))]


@pytest.mark.parametrize("call, error, message", ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_wrong_use_says_what_is_wrong(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


def test_clipping_limits_the_norm_and_the_values():
    params = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(4))]
    for p in params:
        p.grad = torch.full_like(p, 2.0)
    total = nn.utils.clip_grad_norm_(params, 1.0)
    assert total.item() == pytest.approx(2 * np.sqrt(7), rel=1e-6)
    clipped = np.concatenate([p.grad.numpy() for p in params])
    assert np.linalg.norm(clipped) == pytest.approx(1.0, rel=1e-5)
    nn.utils.clip_grad_value_(params, 0.1)
    assert max(p.grad.max().item() for p in params) == pytest.approx(0.1)
    params[0].grad[0] = float("nan")
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)


SIZES = [3, 0, 1, kernels.BLOCK, kernels.BLOCK + 1, 5, kernels.PARALLEL_THRESHOLD + 3, 7]


@pytest.mark.parametrize("text", FUSED)
def test_one_call_over_all_parameters_does_what_one_for_each_does(text):
    results = []
    for together in (True, False):
        torch.manual_seed(0)
        params = [torch.randn(size) for size in SIZES] + [torch.randn(3, dtype=torch.float64)]
        optimizers = [_make(text.format(""), group) for group in ([params] if together else [[p] for p in params])]
        for _ in range(3):
            for p in params:
                p.grad = torch.randn(p.shape[0], dtype=p.dtype)
            for optimizer in optimizers:
                optimizer.step()
        results.append(params)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_state_of_another_length_is_refused_before_anything_is_written():
    w = torch.ones(4)
    w.grad = torch.ones(4)
    optimizer = optim.Adam([w])
    optimizer.step()
    before = w.clone()
    optimizer.state[w]["exp_avg"] = torch.zeros(3)
    with pytest.raises(RuntimeError):
        optimizer.step()
    assert torch.equal(w, before)


def test_a_parameter_given_twice_takes_two_steps():
    w = torch.zeros(kernels.PARALLEL_THRESHOLD)
    w.grad = torch.ones(w.shape[0])
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = optim.SGD([w, w], lr=1.0)
    optimizer.step()
    assert torch.equal(w, torch.full_like(w, -2.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_norm_of_many_gradients_is_that_of_one_vector(dtype):
    torch.manual_seed(0)
    params = [torch.zeros(size, dtype=dtype) for size in SIZES]
    for p in params:
        p.grad = torch.randn(p.shape[0], dtype=dtype)
    before = np.concatenate([p.grad.numpy() for p in params]).astype(np.float64)
    norm = nn.utils.clip_grad_norm_(params, 2.0)
    np.testing.assert_allclose(norm.item(), np.linalg.norm(before), rtol=1e-6 if dtype is torch.float32 else 1e-14)
    after = np.concatenate([p.grad.numpy() for p in params])
    np.testing.assert_allclose(after, before * (2.0 / np.linalg.norm(before)), rtol=1e-5)


@pytest.mark.parametrize("text", [*FUSED, "Adagrad(p{})", "SGD(p, momentum=0.9{})", "RMSprop(p, maximize=True{})"])
def test_kernels_take_infinities_and_nan_as_the_operators_do(text):
    inf, nan = float("inf"), float("nan")
    results = []
    for how in ("", ", differentiable=True"):
        p = torch.tensor([1.0, inf, -inf, nan, 1.0, 1.0, 1.0, 0.0] * 5)
        optimizer = _make(text.format(how), [p])
        for grad in ([1.0, 1.0, -1.0, 1.0, inf, -inf, nan, 0.0], [1.0] * 8):
            p.grad = torch.tensor(grad * 5)
            optimizer.step()
        state = [value.numpy() for value in optimizer.state[p].values() if isinstance(value, torch.Tensor)]
        results.append([p.numpy(), *state])
    for fused, by_operators in zip(*results, strict=True):
        np.testing.assert_allclose(fused, by_operators, rtol=1e-5)
