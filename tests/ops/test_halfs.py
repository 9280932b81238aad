"""Pointwise operators of float16 and bfloat16: what float32 gives, rounded once, by every kind of loop."""

import numpy as np
import pytest

import numtorch as torch

HALFS = (torch.float16, torch.bfloat16)
SPECIAL = (0.0, -0.0, float("inf"), -float("inf"), float("nan"), 6e-8, 6e-5, 65504.0, 65520.0, 1e-40, 3e38, 1.0, -1.0)


def _data(size, dtype, seed):
    values = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    values.reshape(-1)[::7] = np.resize(np.array(SPECIAL, np.float32), values.reshape(-1)[::7].size)
    return torch.from_numpy(values).to(dtype)


def _same(result, wide, dtype):
    assert result.dtype is dtype
    expected = wide.to(dtype).float().numpy()
    np.testing.assert_array_equal(result.float().numpy(), expected)


def _layouts(dtype):
    """Pairs of operands for the loop along memory, rows, broadcasts, transposed, stepped; below and above the threads'
    threshold."""
    for n, m in ((5, 7), (33, 64), (200, 203)):
        a, b = _data((n, m), dtype, 1), _data((n, m), dtype, 2)
        yield a, b
        yield a, b[:1]
        yield a, b[:, :1]
        yield a[:, :1], b[:1]
        yield a.t(), _data((m, n), dtype, 3)
        yield a[:, ::2], b[:, 1::2] if m % 2 == 0 else b[:, ::2]
        yield a[:, 1:-1], b[:, 2:]


@pytest.mark.parametrize("dtype", HALFS, ids=str)
@pytest.mark.parametrize("f", (torch.add, torch.mul, torch.div, torch.maximum, torch.atan2), ids=lambda f: f.__name__)
def test_two_operands(dtype, f):
    for a, b in _layouts(dtype):
        _same(f(a, b), f(a.float(), b.float()), dtype)


@pytest.mark.parametrize("dtype", HALFS, ids=str)
def test_one_operand_and_a_number(dtype):
    for a, _ in _layouts(dtype):
        for f in (torch.relu, torch.exp, lambda x: x * 1.5, lambda x: 2 - x, lambda x: x.clamp(-0.5, 0.5)):
            _same(f(a), f(a.float()), dtype)


@pytest.mark.parametrize("dtype", HALFS, ids=str)
def test_three_operands_and_choices(dtype):
    for a, b in _layouts(dtype):
        x, y = a.float(), b.float()
        _same(torch.addcmul(a, b, b, value=0.5), torch.addcmul(x, y, y, value=0.5), dtype)
        _same(torch.where(a > 0, a, b), torch.where(x > 0, x, y), dtype)
        _same(torch.where(a > 0, a, 0.1), torch.where(x > 0, x, 0.1), dtype)


@pytest.mark.parametrize("dtype", HALFS, ids=str)
def test_comparisons_are_bool(dtype):
    for a, b in _layouts(dtype):
        result = a < b
        assert result.dtype is torch.bool
        assert torch.equal(result, a.float() < b.float())


@pytest.mark.parametrize("dtype", HALFS, ids=str)
def test_in_place(dtype):
    for a, b in _layouts(dtype):
        if torch.broadcast_shapes(a.shape, b.shape) != a.shape:
            continue
        wide = a.float() * b.float()
        written = a.clone()
        written.mul_(b)
        _same(written, wide, dtype)
        view = a.clone().t().contiguous().t()
        view.mul_(b).relu_()
        _same(view, wide.to(dtype).float().relu(), dtype)


@pytest.mark.parametrize("dtype", HALFS, ids=str)
def test_a_number_in_memory_beside_a_half(dtype):
    a, number = _data((5, 7), dtype, 1), torch.tensor([0.3]).to(dtype)
    for other in (number, number[0]):
        _same(a * other, a.float() * number.float(), dtype)


@pytest.mark.parametrize("dtype", HALFS, ids=str)
def test_gradients_are_rounded_once(dtype):
    for n in (40, 40000):
        a, b = _data((n,), dtype, 1), _data((n,), dtype, 2)
        grad = _data((n,), dtype, 3)
        for f in (lambda x, y: x * y, lambda x, y: torch.sigmoid(x) + y, lambda x, y: torch.where(x > 0, x, y)):
            x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
            f(x, y).backward(grad)
            wide = a.float().requires_grad_(), b.float().requires_grad_()
            f(*wide).backward(grad.float())
            _same(y.grad, wide[1].grad, dtype)
        _same(x.grad, wide[0].grad, dtype)


@pytest.mark.parametrize("f", (torch.round, torch.floor, torch.ceil, torch.trunc, torch.frac), ids=lambda f: f.__name__)
def test_every_float16_is_rounded_to_a_whole_number(f):
    every = torch.from_numpy(np.arange(65536, dtype=np.uint16).view(np.float16).copy())
    _same(f(every), f(every.float()), torch.float16)


@pytest.mark.parametrize("dtype", HALFS, ids=str)
@pytest.mark.parametrize("n", (1, 100, 70001))
def test_casts_there_and_back(dtype, n):
    a = _data((n,), dtype, 4)
    np.testing.assert_array_equal(a.float().to(dtype).float().numpy(), a.float().numpy())
