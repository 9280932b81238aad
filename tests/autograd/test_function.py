"""Custom functions: the contract between forward, context and backward."""

import gc
import re
import weakref

import pytest

import numtorch as torch
from numtorch.autograd import Function, grad, gradcheck
from numtorch.autograd.function import once_differentiable


def ones(n=3, **options):
    return torch.ones(n, requires_grad=True, **options)


def fails(message, error=RuntimeError):
    return pytest.raises(error, match="^" + re.escape(message))


class Scale(Function):
    @staticmethod
    def forward(ctx, a, b, n=3):
        ctx.save_for_backward(a, b)
        ctx.n = n
        return a * b * n

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b * ctx.n, g * a * ctx.n, None


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


def function(backward, forward=None):
    """A Function made of the given static methods."""
    return type("Made", (Function,), {"forward": staticmethod(forward or twice), "backward": staticmethod(backward)})


def twice(ctx, *tensors):
    return tensors[0] * 2


class TestTheNode:
    def test_it_has_the_name_of_the_class(self):
        y = Scale.apply(ones(), ones())
        assert y.grad_fn.name() == type(y.grad_fn).__name__ == "ScaleBackward"
        assert repr(y.grad_fn).startswith("<torch.autograd.function.ScaleBackward object at 0x")
        assert len(y.grad_fn.next_functions) == 2

    def test_it_shows_what_the_context_holds(self):
        a = ones()
        y = Scale.apply(a, ones(), 5)
        assert y.grad_fn.n == 5 and y.grad_fn.saved_tensors[0] is a
        assert y.grad_fn.needs_input_grad == (True, True, False)

    def test_it_can_be_applied_by_hand(self):
        results = Scale.apply(ones(), torch.ones(3)).grad_fn.apply(torch.ones(3))
        assert results[0].tolist() == [3.0] * 3 and results[2] is None

    def test_there_is_none_without_grad(self):
        assert Scale.apply(torch.ones(3), torch.ones(3)).grad_fn is None
        with torch.no_grad():
            assert Scale.apply(ones(), ones()).grad_fn is None


class TestGradients:
    def test_of_the_arguments(self):
        a, b = ones(), torch.full((3,), 2.0, requires_grad=True)
        Scale.apply(a, b).sum().backward()
        assert a.grad.tolist() == [6.0] * 3 and b.grad.tolist() == [3.0] * 3

    def test_keywords_are_arguments(self):
        a = ones()
        Scale.apply(a, b=torch.ones(3)).sum().backward()
        assert a.grad.tolist() == [3.0] * 3

    def test_pass_gradcheck_to_second_order(self):
        x = torch.tensor([0.3, -0.5], dtype=torch.float64, requires_grad=True)
        assert gradcheck(Exp.apply, x)
        assert torch.autograd.gradgradcheck(Exp.apply, x)

    def test_a_saved_output_leads_on_to_higher_orders(self):
        x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        value = Exp.apply(x)
        for _ in range(3):
            (value,) = grad(value, x, create_graph=True)
            assert value.item() == pytest.approx(1.6487212707001282, rel=1e-14)

    def test_are_summed_over_broadcast_dimensions(self):
        a = torch.ones(1, requires_grad=True)
        function(lambda ctx, g: torch.ones(4, 1) * 2).apply(a).backward()
        assert a.grad.tolist() == [8.0]

    def test_take_the_dtype_of_the_argument(self):
        a = ones()
        function(lambda ctx, g: g.double()).apply(a).sum().backward()
        assert a.grad.dtype == torch.float32

    def test_trailing_nones_may_be_left_in(self):
        a = ones()
        function(lambda ctx, g: (g, None, None)).apply(a).sum().backward()
        assert a.grad.tolist() == [1.0] * 3

    def test_too_few_are_refused(self):
        with fails("function MadeBackward returned an incorrect number of gradients (expected 2, got 1)"):
            function(lambda ctx, g: g).apply(ones(), ones()).sum().backward()

    def test_too_many_are_refused(self):
        with fails("function MadeBackward returned an incorrect number of gradients (expected 1, got 2)"):
            function(lambda ctx, g: (g, g)).apply(ones()).sum().backward()

    def test_a_wrong_shape_is_refused(self):
        message = (
            "Function MadeBackward returned an invalid gradient at index 0 - got [2] but expected shape "
            "compatible with [3]"
        )
        with fails(message):
            function(lambda ctx, g: g[:2]).apply(ones()).sum().backward()

    def test_something_else_is_refused(self):
        with fails("expected Variable or None (got int)"):
            function(lambda ctx, g: 3).apply(ones()).sum().backward()

    def test_a_gradient_of_what_is_no_tensor_is_refused(self):
        made = function(lambda ctx, g: (g, g), lambda ctx, x, n: x * n)
        message = (
            "function MadeBackward returned a gradient different than None at position 2, but the "
            "corresponding forward "
            "input was not a Variable"
        )
        with fails(message):
            made.apply(ones(), 3).sum().backward()

    def test_a_backward_must_be_written(self):
        class NoBackward(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

        message = "You must implement either the backward or vjp method for your custom autograd.Function"
        with fails(message, NotImplementedError):
            NoBackward.apply(ones()).sum().backward()

    def test_a_forward_must_be_written(self):
        with fails("You must implement the forward function for custom autograd.Function.", NotImplementedError):
            type("Empty", (Function,), {}).apply(ones())

    def test_vjp_is_another_name_for_backward(self):
        made = type("Made", (Function,), {"forward": staticmethod(twice), "vjp": staticmethod(lambda ctx, g: g * 7)})
        a = ones()
        made.apply(a).sum().backward()
        assert a.grad.tolist() == [7.0] * 3


class TestOutputs:
    @staticmethod
    def several(ctx, x):
        index = x.argmax()
        ctx.mark_non_differentiable(index)
        return x * 2, index, x * 3

    def test_a_tuple_comes_out_as_a_tuple(self):
        first, index, last = function(lambda ctx, g, h, k: g * 2 + k * 3, self.several).apply(ones())
        assert first.requires_grad and last.requires_grad and not index.requires_grad

    def test_unused_outputs_have_zero_gradients(self):
        seen = []

        def backward(ctx, g, h, k):
            seen.append([each.tolist() for each in (g, h, k)])
            return g

        function(backward, self.several).apply(ones())[0].sum().backward()
        assert seen == [[[1.0] * 3, 0, [0.0] * 3]]

    def test_or_none_if_they_are_not_materialized(self):
        seen = []

        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return self.several(ctx, x)

        def backward(ctx, g, h, k):
            seen.append((g.tolist(), h, k))
            return g

        function(backward, forward).apply(ones())[0].sum().backward()
        assert seen == [([1.0] * 3, None, None)]

    def test_a_function_beyond_an_undefined_gradient_runs_with_zeros(self):
        seen = []
        inner = function(lambda ctx, g: seen.append(g.tolist()) or g)
        outer = function(lambda ctx, g: None)
        x = ones()
        y = inner.apply(x)
        y.register_hook(lambda g: seen.append(g))
        outer.apply((y * 3).exp()).sum().backward()
        assert seen == [None, [0.0] * 3] and x.grad.tolist() == [0.0] * 3

    def test_an_undefined_gradient_adds_nothing_to_a_sum(self):
        x = ones()
        y = x * 2
        (function(lambda ctx, g: None).apply(y) + y).sum().backward()
        assert x.grad.tolist() == [2.0] * 3

    def test_what_is_no_tensor_passes_through(self):
        made = function(lambda ctx, *g: g[0], lambda ctx, x: (x * 2, 3, None))
        first, number, nothing = made.apply(ones())
        assert first.requires_grad and (number, nothing) == (3, None)
        assert function(None, lambda ctx, x: 3).apply(ones()) == 3

    def test_an_argument_returned_is_another_tensor_in_the_graph(self):
        x = ones()
        y = function(lambda ctx, g: g * 5, lambda ctx, x: x).apply(x)
        assert y is not x and y.grad_fn.name() == "MadeBackward"
        y.sum().backward()
        assert x.grad.tolist() == [5.0] * 3

    def test_an_argument_changed_in_place_is_returned_itself(self):
        def forward(ctx, x):
            x.add_(1)
            ctx.mark_dirty(x)
            return x

        made = function(lambda ctx, g: g * 5, forward)
        x = ones()
        inner = x * 2
        y = made.apply(inner)
        assert y is inner and inner.grad_fn.name() == "MadeBackward" and inner.tolist() == [3.0] * 3
        y.sum().backward()
        assert x.grad.tolist() == [10.0] * 3
        with fails("a leaf Variable that requires grad has been used in an in-place operation."):
            made.apply(ones())

    def test_an_argument_marked_dirty_must_be_returned(self):
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x * 2

        with fails("Some elements marked as dirty during the forward method were not returned as output."):
            function(lambda ctx, g: g, forward).apply(ones() * 2)


class TestContext:
    def test_setup_context_sees_inputs_and_output(self):
        seen = []

        class Multiply(Function):
            @staticmethod
            def forward(a, b, n=2):
                return a * b * n

            @staticmethod
            def setup_context(ctx, inputs, output):
                seen.append((len(inputs), inputs[2], output.tolist()))
                ctx.save_for_backward(inputs[0], inputs[1], output)
                ctx.n = inputs[2]

            @staticmethod
            def backward(ctx, g):
                a, b, output = ctx.saved_tensors
                seen.append((output.tolist(), ctx.needs_input_grad))
                return g * b * ctx.n, None, None

        a = ones()
        Multiply.apply(a, torch.ones(3)).sum().backward()
        assert seen == [(3, 2, [2.0] * 3), ([2.0] * 3, (True, False, False))]
        assert a.grad.tolist() == [2.0] * 3

    def test_only_tensors_can_be_saved(self):
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x * 2

        with fails("save_for_backward can only save variables, but argument 1 is of type int", TypeError):
            function(None, forward).apply(ones())

    def test_none_can_be_saved(self):
        def forward(ctx, x):
            ctx.save_for_backward(None, x)
            return x * 2

        def backward(ctx, g):
            assert ctx.saved_tensors[0] is None
            return g

        function(backward, forward).apply(ones()).sum().backward()

    def test_saved_tensors_go_with_the_graph(self):
        y = Scale.apply(ones(), ones())
        y.sum().backward()
        with fails("Trying to backward through the graph a second time"):
            y.sum().backward()
        with fails("Trying to backward through the graph a second time"):
            _ = y.grad_fn.saved_tensors

    def test_changes_of_saved_tensors_are_noticed(self):
        b = torch.ones(3)
        y = Scale.apply(ones(), b).sum()
        b.add_(1)
        with fails("one of the variables needed for gradient computation has been modified by an inplace operation"):
            y.backward()

    @pytest.mark.parametrize("name", ["saved", "versions", "hooks", "states", "origin", "released", "next_nodes"])
    def test_any_attribute_name_may_be_used(self, name):
        def forward(ctx, x):
            setattr(ctx, name, 4)
            return x * 2

        def backward(ctx, g):
            return g * getattr(ctx, name)

        x = ones()
        function(backward, forward).apply(x).sum().backward()
        assert x.grad.tolist() == [4.0] * 3

    def test_forward_runs_without_recording_and_backward_as_asked(self):
        seen = []

        def forward(ctx, x):
            seen.append(torch.is_grad_enabled())
            return x * 2

        def backward(ctx, g):
            seen.append(torch.is_grad_enabled())
            return g

        x = ones()
        y = function(backward, forward).apply(x).sum()
        grad(y, x, create_graph=True)
        grad(y, x)
        assert seen == [False, True, False] and torch.is_grad_enabled()

    def test_an_error_in_forward_leaves_the_mode_alone(self):
        def forward(ctx, x):
            raise KeyError("forward")

        with pytest.raises(KeyError):
            function(None, forward).apply(ones())
        assert torch.is_grad_enabled()

    def test_no_cycle_keeps_the_graph_alive(self):
        gc.collect()
        gc.disable()
        try:
            y = Exp.apply(ones())
            gone = weakref.ref(y.grad_fn)
            del y
            assert gone() is None
        finally:
            gc.enable()


class TestInstances:
    def test_functions_are_not_instantiated(self):
        with pytest.warns(DeprecationWarning, match="should not be instantiated"):
            made = Scale()
        with fails("Legacy autograd function with non-static forward method is deprecated."):
            made(ones(), ones())


class TestOnceDifferentiable:
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            assert not torch.is_grad_enabled()
            return 2 * g * ctx.saved_tensors[0]

    def test_the_first_derivative(self):
        x = ones()
        self.Square.apply(x).sum().backward()
        assert x.grad.tolist() == [2.0] * 3

    def test_the_second_is_an_error(self):
        x, v = ones(), ones()
        (first,) = grad(self.Square.apply(x), x, v, create_graph=True)
        with fails("trying to differentiate twice a function that was marked with @once_differentiable"):
            first.sum().backward()


def test_an_error_in_backward_names_the_line_of_the_forward_call():
    def backward(ctx, g):
        raise ValueError("no")

    y = function(backward).apply(ones())  # the line to be named
    with pytest.raises(ValueError, match="no") as error:
        y.sum().backward()
    text = "".join(getattr(error.value, "__notes__", error.value.args))
    assert "y = function(backward).apply(ones())  # the line to be named" in text


def test_variable_is_a_tensor():
    from numtorch.autograd import Variable

    x = torch.ones(2)
    v = Variable(x, requires_grad=True)
    assert type(v) is torch.Tensor and isinstance(x, Variable) and v is not x
    assert v.requires_grad and not x.requires_grad
    v.data[0] = 5
    assert x[0] == 5
    with fails("Variable data has to be a tensor, but got int", TypeError):
        Variable(3)
    with pytest.warns(UserWarning, match="volatile was removed and now has no effect"):
        Variable(x, volatile=True)
