"""gradcheck finds wrong derivatives, and says so in torch's words."""

import re

import pytest

import numtorch as torch
from numtorch.autograd import Function, gradcheck, gradgradcheck
from numtorch.autograd.gradcheck import GradcheckError


def fails(message, error=GradcheckError):
    return pytest.raises(error, match="^" + re.escape(message))


def double(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def square(factor=2.0):
    """x * x with the derivative factor * x."""

    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return factor * g * ctx.saved_tensors[0]

    return Square.apply


@pytest.mark.parametrize("fast_mode", [False, True])
class TestBothModes:
    def test_a_right_derivative_passes(self, fast_mode):
        assert gradcheck(square(), double(1.0, 2.0), fast_mode=fast_mode) is True
        assert gradgradcheck(square(), double(1.0, 2.0), fast_mode=fast_mode) is True

    def test_several_inputs_and_outputs(self, fast_mode):
        def fn(a, n, b):
            return a * b.sum(), (b * b).sum() * n

        assert gradcheck(fn, (double(1.0, 2.0), 3, double(3.0, 4.0, 5.0)), fast_mode=fast_mode)
        assert gradgradcheck(fn, (double(1.0, 2.0), 3, double(3.0, 4.0, 5.0)), fast_mode=fast_mode)

    def test_a_wrong_derivative_fails(self, fast_mode):
        with fails("Jacobian mismatch for output 0 with respect to input 0,\nnumerical:"):
            gradcheck(square(3.0), double(1.0, 1.0), fast_mode=fast_mode)

    def test_raise_exception_false_returns_false(self, fast_mode):
        assert gradcheck(square(3.0), double(1.0), raise_exception=False, fast_mode=fast_mode) is False

    def test_a_slightly_wrong_derivative_fails(self, fast_mode):
        with fails("Jacobian mismatch"):
            gradcheck(square(2.0 * 1.002), double(1.0, 1.0), fast_mode=fast_mode)

    def test_complex_inputs(self, fast_mode):
        z = double(1 + 1j, 2.0, dtype=torch.complex128)
        assert gradcheck(lambda z: z * z, z, fast_mode=fast_mode)
        assert gradcheck(torch.abs, z, fast_mode=fast_mode)
        with fails("While considering the imaginary part of complex outputs only, Jacobian mismatch for output 0"):
            gradcheck(square(), z, fast_mode=fast_mode)

    def test_a_random_backward_fails_unless_allowed(self, fast_mode):
        calls = iter(range(10000))

        class Drifting(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return 2 * g * (1 + 1e-9 * next(calls))

        with fails("Backward is not reentrant, i.e., running backward with same input and grad_output multiple times"):
            gradcheck(Drifting.apply, double(1.0), fast_mode=fast_mode)
        assert gradcheck(Drifting.apply, double(1.0), nondet_tol=1e-5, fast_mode=fast_mode)


def test_the_message_shows_both_jacobians():
    message = (
        "Jacobian mismatch for output 0 with respect to input 0,\n"
        "numerical:tensor([[2.0000, 0.0000],\n        [0.0000, 2.0000]], dtype=torch.float64)\n"
        "analytical:tensor([[3., 0.],\n        [0., 3.]], dtype=torch.float64)\n"
    )
    with fails(message):
        gradcheck(square(3.0), double(1.0, 1.0))


def test_a_missing_second_derivative_fails():
    class Cut(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0].detach()

    assert gradcheck(Cut.apply, double(1.0, 2.0))
    with fails("Jacobian mismatch for output 0 with respect to input 0,"):
        gradgradcheck(Cut.apply, double(1.0, 2.0))


def test_a_gradient_that_ignores_grad_output_fails():
    class Constant(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 0 + 2

    with fails("backward not multiplied by grad_output"):
        gradcheck(Constant.apply, double(1.0))


def test_a_backward_that_cannot_do_without_a_gradient_fails():
    class Both(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            if g is not None and h is None:
                return g * 2
            return 2 * g + 3 * h if g is not None else h * 3

    assert gradcheck(Both.apply, double(1.0))

    class Needing(Both):
        @staticmethod
        def backward(ctx, g, h):
            if h is None:
                raise RuntimeError("h is needed")
            return h * 3 if g is None else 2 * g + 3 * h

    with fails("h is needed", RuntimeError):
        gradcheck(Needing.apply, double(1.0))


def test_a_derivative_that_is_not_there_fails():
    with fails("Numerical gradient for function expected to be zero"):
        gradcheck(lambda x: x.detach(), double(1.0))


def test_a_constant_passes():
    assert gradcheck(lambda x: torch.ones(2), double(1.0))


def test_empty_outputs_pass():
    assert gradcheck(lambda x: x[:0], double(1.0, 2.0))


def test_something_must_require_grad():
    with fails("gradcheck expects at least one input tensor to require gradient, but none of them", ValueError):
        gradcheck(square(), torch.ones(2))


def test_single_precision_is_warned_about():
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        assert gradcheck(square(), torch.ones(2, requires_grad=True), eps=1e-2, atol=1e-2)


def test_inputs_that_overlap_are_refused():
    x = torch.ones(1, dtype=torch.float64).expand(2).requires_grad_()
    with fails("The 0th input has a dimension with stride 0.", RuntimeError):
        gradcheck(square(), x)


def test_the_inputs_are_left_as_they_were():
    x = double(0.1, 0.2)
    gradcheck(square(), x)
    assert x.tolist() == [0.1, 0.2] and x.grad is None


def test_non_contiguous_gradients_can_be_tried():
    assert gradgradcheck(square(), double(1.0, 2.0), gen_non_contig_grad_outputs=True)


def test_given_gradients_are_used():
    assert gradgradcheck(square(), double(1.0, 2.0), double(3.0, 4.0))


def test_eps_is_the_step():
    assert gradcheck(torch.sigmoid, double(0.3), eps=1e-3)
