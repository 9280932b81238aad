"""Products with Jacobians and Hessians, and the matrices themselves."""

import re

import pytest

import numtorch as torch
from numtorch.autograd import functional as F


def fails(message, error=RuntimeError):
    return pytest.raises(error, match="^" + re.escape(message))


X = torch.tensor([1.0, 2.0], dtype=torch.float64)
Y = torch.tensor([3.0, 4.0, 5.0], dtype=torch.float64)


def squares(x):
    return x * x


def outer(x, y):
    return (x * x).sum() * y, x * 2


def cubes(x):
    return (x * x * x).sum()


def mixed(x, y):
    return (x * x).sum() * (y * y).sum()


def test_jacobian_of_one_by_one_is_a_matrix():
    assert F.jacobian(squares, X).tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_jacobian_of_a_scalar_has_the_shape_of_the_input():
    assert F.jacobian(cubes, X).tolist() == [3.0, 12.0]


def test_jacobian_of_several_is_a_tuple_over_outputs_of_tuples_over_inputs():
    result = F.jacobian(outer, (X, Y))
    assert [[tuple(each.shape) for each in row] for row in result] == [[(3, 2), (3, 3)], [(2, 2), (2, 3)]]
    assert result[0][0].tolist() == [[6.0, 12.0], [8.0, 16.0], [10.0, 20.0]]
    assert result[0][1].tolist() == [[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]]
    assert result[1][1].tolist() == [[0.0] * 3] * 2


def test_vjp_and_jvp_are_products_with_the_jacobian():
    output, product = F.vjp(squares, X, torch.tensor([1.0, 10.0], dtype=torch.float64))
    assert output.tolist() == [1.0, 4.0] and product.tolist() == [2.0, 40.0]
    output, product = F.jvp(outer, (X, Y), (torch.ones(2).double(), torch.zeros(3).double()))
    assert [each.tolist() for each in product] == [[18.0, 24.0, 30.0], [2.0, 2.0]]


def test_hessian_of_one_is_a_matrix():
    assert F.hessian(cubes, X).tolist() == [[6.0, 0.0], [0.0, 12.0]]


def test_hessian_of_several_is_a_tuple_of_tuples():
    result = F.hessian(mixed, (X, Y))
    assert result[0][0].tolist() == [[100.0, 0.0], [0.0, 100.0]]
    assert result[0][1].tolist() == [[12.0, 16.0, 20.0], [24.0, 32.0, 40.0]]
    assert result[1][0].tolist() == [[12.0, 24.0], [16.0, 32.0], [20.0, 40.0]]


@pytest.mark.parametrize("product", [F.hvp, F.vhp])
def test_products_with_the_hessian(product):
    output, result = product(cubes, X, torch.tensor([1.0, 10.0], dtype=torch.float64))
    assert output.item() == 9.0 and result.tolist() == [6.0, 120.0]


def test_results_are_cut_off_unless_create_graph():
    x = X.clone().requires_grad_()
    assert not F.jacobian(squares, x).requires_grad
    result = F.jacobian(squares, x, create_graph=True)
    assert result.requires_grad
    assert torch.autograd.grad(result.sum(), x)[0].tolist() == [2.0, 2.0]


def test_independence_is_zero_or_in_strict_mode_an_error():
    assert F.jacobian(lambda x: torch.ones(2), X).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with fails("Output 0 of the user-provided function does not require gradients."):
        F.jacobian(lambda x: torch.ones(2), X, strict=True)
    with fails("Output 1 of the user-provided function is independent of input 1."):
        F.jacobian(outer, (X, Y), strict=True)


def test_vectors_are_checked():
    with fails("The vector v can only be None if the user-provided function returns a single Tensor"):
        F.vjp(squares, X)
    with fails("The vector v can only be None if the input to the user-provided function is a single Tensor"):
        F.jvp(squares, X)
    with fails("v has invalid size: should be torch.Size([2]) but got torch.Size([3])."):
        F.vjp(squares, X, Y)


def test_inputs_are_checked():
    message = "The inputs given to jacobian must be either a Tensor or a tuple of Tensors but the given inp"
    with fails(message, TypeError):
        F.jacobian(squares, 3)
    with fails("The Tensor returned by the function given to hessian should contain a single element"):
        F.hessian(squares, X)
