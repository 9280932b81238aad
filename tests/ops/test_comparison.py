"""Comparisons in place: the result stays in the graph, and zeros come back through it, as in torch."""

import pytest

import numtorch as torch

NAMES = {"eq_": "Eq", "ne_": "Ne", "lt_": "Lt", "le_": "Le", "gt_": "Gt", "ge_": "Ge", "greater_equal_": "Ge"}


@pytest.mark.parametrize("name", NAMES)
def test_beside_a_number_the_gradient_is_zero(name):
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    assert getattr(y, name)(4.0) is y
    assert y.requires_grad and y.grad_fn.name() == f"{NAMES[name]}Backward0"
    (y * 3).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", NAMES)
def test_beside_a_tensor_both_gradients_are_zero(name):
    x, z = torch.ones(3, requires_grad=True), torch.ones(1, dtype=torch.float64, requires_grad=True)
    y = getattr(x * 1, name)(z)
    assert y.grad_fn.name() == f"{NAMES[name]}Backward1" and y.dtype == torch.float32
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
    assert z.grad.tolist() == [0.0] and z.grad.dtype == torch.float64


def test_through_a_view_the_rest_of_the_base_keeps_its_gradient():
    x = torch.ones(3, requires_grad=True)
    y = x * 1
    y[:2].lt_(5)
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 1.0]


def test_a_leaf_that_needs_gradients_is_refused():
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        torch.ones(3, requires_grad=True).ge_(0)
