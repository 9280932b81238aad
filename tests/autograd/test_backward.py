"""backward and grad: what they compute, and what they refuse, in torch's words."""

import re

import pytest

import numtorch as torch
from numtorch.autograd import backward, grad
from numtorch.autograd.graph import register_multi_grad_hook


def ones(n=3, **options):
    return torch.ones(n, requires_grad=True, **options)


def fails(message, error=RuntimeError):
    return pytest.raises(error, match="^" + re.escape(message))


class TestBackward:
    def test_it_adds_to_grad(self):
        x = ones()
        (x * 2).sum().backward()
        (x * 3).sum().backward()
        assert x.grad.tolist() == [5.0, 5.0, 5.0]

    def test_it_returns_nothing(self):
        assert ones().sum().backward() is None

    def test_a_vector_needs_a_gradient(self):
        with fails("grad can be implicitly created only for scalar outputs"):
            (ones() * 2).backward()

    def test_a_vector_with_a_gradient(self):
        x = ones()
        (x * 2).backward(torch.tensor([1.0, 2.0, 3.0]))
        assert x.grad.tolist() == [2.0, 4.0, 6.0]

    def test_one_element_of_any_shape_is_a_scalar(self):
        x = ones(1)
        (x * 2).backward()
        assert x.grad.tolist() == [2.0]

    def test_a_tensor_outside_the_graph_is_refused(self):
        with fails("element 0 of tensors does not require grad and does not have a grad_fn"):
            torch.ones(3).sum().backward()

    def test_the_refused_element_is_named(self):
        with fails("element 1 of tensors does not require grad and does not have a grad_fn"):
            backward([ones().sum(), torch.ones(3).sum()])

    def test_gradient_shape(self):
        message = (
            "Mismatch in shape: grad_output[0] has a shape of torch.Size([2]) and output[0] has a shape of "
            "torch.Size([3])."
        )
        with fails(message):
            (ones() * 2).backward(torch.ones(2))

    def test_gradient_must_be_complex_where_the_output_is(self):
        message = (
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch "
            "in dtype: "
            "grad_output[0] has a dtype of torch.complex64 and output[0] has a dtype of torch.float32."
        )
        with fails(message):
            (ones() * 2).backward(torch.ones(3, dtype=torch.complex64))

    @pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
    def test_gradient_of_another_dtype_is_converted(self, dtype):
        x = ones()
        (x * 2).backward(torch.ones(3, dtype=dtype))
        assert x.grad.dtype == torch.float32 and x.grad.tolist() == [2.0, 2.0, 2.0]

    def test_gradient_must_be_a_tensor(self):
        with fails("'float' object is not iterable", TypeError):
            (ones() * 2).backward(3.0)

    def test_as_many_gradients_as_tensors(self):
        x = ones()
        with fails("got 2 tensors and 1 gradients"):
            backward([x * 2, x * 3], [torch.ones(3)])

    def test_complex_scalars_need_a_gradient(self):
        with fails("grad can be implicitly created only for real scalar outputs but got torch.complex64"):
            ones(dtype=torch.complex64).sum().backward()

    def test_several_tensors(self):
        x = ones()
        backward([(x * 2).sum(), x * 3], [None, torch.ones(3)])
        assert x.grad.tolist() == [5.0, 5.0, 5.0]

    def test_the_graph_goes_unless_retained(self):
        x = ones()
        y = (x * x).sum()
        y.backward(retain_graph=True)
        y.backward()
        with fails("Trying to backward through the graph a second time"):
            y.backward()
        assert x.grad.tolist() == [4.0, 4.0, 4.0]

    def test_create_graph_makes_the_gradient_differentiable(self):
        x = ones()
        (x * x * x).sum().backward(create_graph=True)
        (second,) = grad(x.grad.sum(), x)
        assert second.tolist() == [6.0, 6.0, 6.0]
        x.grad = None

    def test_inputs_limit_what_is_filled(self):
        x, y = ones(), ones()
        (x * y).sum().backward(inputs=[x])
        assert x.grad is not None and y.grad is None

    def test_inputs_may_lie_inside_the_graph(self):
        x = ones()
        inner = x * 2
        inner.sum().backward(inputs=inner)
        assert inner.grad.tolist() == [1.0, 1.0, 1.0] and x.grad is None

    def test_inputs_must_be_there(self):
        with fails("`inputs` argument to `backward()` cannot be empty."):
            ones().sum().backward(inputs=[])

    def test_inputs_must_require_grad(self):
        with fails("can't retain_grad on Tensor that has requires_grad=False"):
            ones().sum().backward(inputs=torch.ones(3))

    def test_grad_variables_is_the_old_name(self):
        x = ones()
        with pytest.warns(FutureWarning, match="`grad_variables` is deprecated"):
            backward(x * 2, grad_variables=torch.ones(3))
        assert x.grad.tolist() == [2.0, 2.0, 2.0]
        with (
            pytest.warns(FutureWarning),
            fails("`grad_tensors` and `grad_variables` (deprecated) arguments both"),
        ):
            backward(x * 2, torch.ones(3), grad_variables=torch.ones(3))

    def test_gradients_of_two_leaves_are_never_one_tensor(self):
        x, y = ones(), ones()
        (x + y).backward(torch.ones(3))
        x.grad.add_(1)
        assert y.grad.tolist() == [1.0, 1.0, 1.0]

    def test_the_given_gradient_is_not_changed_by_later_backwards(self):
        x, given = ones(), torch.ones(3)
        x.backward(given)
        x.backward(given)
        assert given.tolist() == [1.0, 1.0, 1.0] and x.grad.tolist() == [2.0, 2.0, 2.0]


class TestGrad:
    def test_it_returns_and_leaves_grad_alone(self):
        x, y = ones(), ones()
        gradients = grad((x * y * 3).sum(), [x, y])
        assert isinstance(gradients, tuple)
        assert [each.tolist() for each in gradients] == [[3.0] * 3] * 2
        assert x.grad is None and y.grad is None

    def test_of_a_value_inside_the_graph(self):
        x = ones()
        inner = x * 2
        (gradient,) = grad((inner * inner).sum(), inner)
        assert gradient.tolist() == [4.0, 4.0, 4.0]

    def test_of_a_tensor_with_respect_to_itself(self):
        x = ones()
        assert grad(x, x, torch.full((3,), 2.0))[0].tolist() == [2.0, 2.0, 2.0]

    def test_what_was_not_used_is_refused(self):
        message = (
            "The differentiated Tensor at index 0 appears to not have been used in the graph. Set "
            "allow_unused=True if "
            "this is the desired behavior."
        )
        with fails(message):
            grad(ones().sum(), ones())

    def test_allow_unused_gives_none(self):
        assert grad(ones().sum(), ones(), allow_unused=True) == (None,)

    def test_materialize_grads_gives_zeros(self):
        assert grad(ones().sum(), ones(), materialize_grads=True)[0].tolist() == [0.0] * 3

    def test_materialize_grads_contradicts_allow_unused_false(self):
        message = "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_"
        with fails(message, ValueError):
            grad(ones().sum(), ones(), allow_unused=False, materialize_grads=True)

    def test_inputs_must_require_grad(self):
        with fails("One of the differentiated Tensors does not require grad"):
            grad(ones().sum(), torch.ones(3))

    def test_inputs_must_be_there(self):
        with fails("`inputs` argument to `grad()` cannot be empty."):
            grad(ones().sum(), [])

    def test_higher_orders(self):
        x = torch.tensor(2.0, requires_grad=True)
        value, factor = x**4, 1
        for order in range(4):
            (value,) = grad(value, x, create_graph=True)
            factor *= 4 - order
            assert value.item() == factor * 2.0 ** (3 - order)

    def test_batched_gradients_are_one_backward_each(self):
        x = ones()
        (rows,) = grad(x * x, x, torch.eye(3), is_grads_batched=True)
        assert rows.tolist() == [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]

    def test_an_edge_may_stand_for_a_tensor(self):
        from numtorch.autograd.graph import get_gradient_edge

        x = ones()
        inner = x * 2
        edge = get_gradient_edge(inner)
        assert edge.node is inner.grad_fn and edge.output_nr == 0
        (gradient,) = grad((inner * inner).sum(), [edge])
        assert gradient.tolist() == [4.0, 4.0, 4.0]
        assert grad(edge, x, torch.ones(3))[0].tolist() == [2.0, 2.0, 2.0]

    def test_an_edge_needs_a_graph(self):
        from numtorch.autograd.graph import get_gradient_edge

        with fails("It is not possible to get the gradient edge for a Tensor that does not require gradients"):
            get_gradient_edge(torch.ones(3))


class TestHooks:
    def test_a_leaf_hook_replaces_the_gradient(self):
        x = ones()
        handle = x.register_hook(lambda gradient: gradient * 10)
        x.sum().backward()
        handle.remove()
        x.sum().backward()
        assert x.grad.tolist() == [11.0, 11.0, 11.0]

    def test_a_hook_inside_the_graph_sees_its_gradient_once(self):
        x, seen = ones(), []
        inner = x * 2
        inner.register_hook(lambda gradient: seen.append(gradient.tolist()))
        (inner * 3 + inner).sum().backward()
        assert seen == [[4.0, 4.0, 4.0]]

    def test_a_post_accumulate_hook_sees_the_leaf(self):
        x, seen = ones(), []
        x.register_post_accumulate_grad_hook(lambda leaf: seen.append((leaf is x, leaf.grad.tolist())))
        x.sum().backward()
        assert seen == [(True, [1.0, 1.0, 1.0])]

    def test_a_hook_of_several_tensors_runs_when_all_that_are_reached_have_their_gradient(self):
        a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
        c, d, seen = a * b, a + b, []
        handle = register_multi_grad_hook((a, b, c, d), lambda grads: seen.append([g is not None for g in grads]))
        c.sum().backward(retain_graph=True)
        c.sum().backward(inputs=(a,), retain_graph=True)
        handle.remove()
        c.sum().backward()
        assert seen == [[True, True, True, False], [True, False, True, False]]

    def test_or_with_the_first_of_them(self):
        a, seen = torch.ones(2, requires_grad=True), []
        b = a * 3
        register_multi_grad_hook((a, b), lambda grad: seen.append(grad.tolist()), mode="any")
        for _ in range(2):
            b.sum().backward(retain_graph=True)
        assert seen == [[1.0, 1.0]] * 2
        with pytest.raises(ValueError, match="mode"):
            register_multi_grad_hook((a,), print, mode="some")

    def test_retain_grad_keeps_the_gradient_after_the_hooks(self):
        inner = ones() * 2
        inner.retain_grad()
        inner.register_hook(lambda gradient: gradient * 5)
        inner.sum().backward()
        assert inner.grad.tolist() == [5.0, 5.0, 5.0]

    def test_hooks_must_keep_type_size_and_dtype(self):
        x = ones()
        with (
            x.register_hook(lambda gradient: 3),
            fails("expected Variable, but hook returned 'int'", TypeError),
        ):
            x.sum().backward()

        def cut(gradient):
            return gradient[:2]

        with x.register_hook(cut), fails("hook 'cut' has changed the size of value"):
            x.sum().backward()

        def double(gradient):
            return gradient.double()

        message = "hook 'double' has changed the type of value (was torch.FloatTensor got torch.DoubleTensor)"
        with x.register_hook(double), fails(message):
            x.sum().backward()

    def test_a_tensor_outside_the_graph_takes_no_hook(self):
        with fails("cannot register a hook on a tensor that doesn't require gradient"):
            torch.ones(3).register_hook(print)


class TestInPlace:
    message = "one of the variables needed for gradient computation has been modified by an inplace operation: "

    def test_a_changed_value_is_noticed(self):
        x = ones()
        y = x * 2
        z = (y * y).sum()
        y.detach().add_(1)
        message = self.message + (
            "[torch.FloatTensor [3]], which is output 0 of Mul, is at version 1; expected version 0 "
            "instead. Hint: enable "
            "anomaly detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True, check_nan=False)."
        )
        with fails(message):
            z.backward()

    def test_a_changed_constant_is_noticed(self):
        x, constant = ones(), torch.ones(3)
        y = (x * constant).sum()
        constant.add_(1)
        with fails(self.message + "[torch.FloatTensor [3]] is at version 1; expected version 0 instead."):
            y.backward()

    def test_data_changes_unnoticed(self):
        x = ones()
        y = (x * x).sum()
        x.data.add_(1)
        y.backward()
        assert x.grad.tolist() == [4.0, 4.0, 4.0]

    @pytest.mark.parametrize("use", ["select", "sigmoid_", "mul", "mm", "sum", "cat", "split", "relu"])
    def test_a_view_of_what_was_written_comes_before_its_uses_in_the_graph(self, use):
        uses = {
            "select": lambda v: v[1],
            "sigmoid_": lambda v: v[1].sigmoid_(),
            "mul": lambda v: v * v,
            "mm": lambda v: v @ v,
            "sum": lambda v: v.sum(0),
            "cat": lambda v: torch.cat([v, v]),
            "split": lambda v: torch.split(v, 1)[0],
            "relu": lambda v: v.relu(),
        }
        x = ones(4)
        base = x.clone()
        view = base.view(2, 2)
        base.mul_(3)
        result = uses[use](view)
        nodes = [result.grad_fn, base.grad_fn]
        while nodes:
            node = nodes.pop()
            following = [each for each in node.next_nodes if each is not None]
            assert all(each.sequence_nr < node.sequence_nr for each in following)
            nodes += following

    def test_the_gradient_asked_for_by_name_is_that_of_backward(self):
        def written_twice(x):
            base = x.clone()
            rows = base.view(2, -1)
            rows[0].copy_(rows[1])
            rows[1].sigmoid_()
            return (base * base).sum()

        x = torch.linspace(-1, 1, 6, dtype=torch.float64).requires_grad_()
        (asked,) = grad(written_twice(x), x)
        written_twice(x).backward()
        assert torch.equal(asked, x.grad)
        assert torch.autograd.gradcheck(written_twice, (x,))


class TestSavedTensorsHooks:
    def test_they_see_what_is_saved(self):
        from numtorch.autograd.graph import saved_tensors_hooks

        x, packed = ones(), []

        def pack(tensor):
            packed.append(tensor.tolist())
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            y = x * x
        y.sum().backward()
        assert packed == [[1.0] * 3] * 2 and x.grad.tolist() == [2.0] * 3

    @pytest.mark.parametrize("operation", ["exp", "sigmoid", "tanh", "sqrt"])
    def test_second_derivatives_pass_through_them(self, operation):
        from numtorch.autograd.graph import save_on_cpu

        x = torch.tensor([0.5, 0.7], dtype=torch.float64, requires_grad=True)
        with save_on_cpu():
            y = getattr(x, operation)()
            (first,) = grad(y.sum(), x, create_graph=True)
        (second,) = grad(first.sum(), x)
        y = getattr(x, operation)()
        (expected,) = grad(grad(y.sum(), x, create_graph=True)[0].sum(), x)
        assert torch.equal(second, expected)


class TestAnomaly:
    def test_nan_is_an_error(self):
        x = torch.zeros(3, requires_grad=True)
        with (
            pytest.warns(UserWarning, match="Anomaly Detection has been enabled"),
            torch.autograd.detect_anomaly(),
        ):
            y = (torch.sqrt(x) * 0).sum()
            detected = pytest.warns(UserWarning, match="Error detected in SqrtBackward0")
            with detected as record, fails("Function 'SqrtBackward0' returned nan values in its 0th output."):
                y.backward()
        assert any("y = (torch.sqrt(x) * 0).sum()" in str(each.message) for each in record)

    def test_the_mode_is_restored(self):
        with torch.autograd.set_detect_anomaly(True):
            assert torch.is_anomaly_enabled()
        assert not torch.is_anomaly_enabled()


@pytest.mark.parametrize(
    "f, of",
    [
        (torch.special.gammainc, "igamma: input"),
        (torch.special.gammaincc, "igammac: input"),
        (torch.special.zeta, "zeta"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_derivative_that_nobody_has_written_is_missed_aloud(f, of):
    x, y = torch.rand(3, requires_grad=True), torch.rand(3).add_(1).requires_grad_()
    f(x.detach(), y).sum().backward()
    assert y.grad is not None
    with pytest.raises(NotImplementedError, match=f"the derivative for '{of}' is not implemented"):
        f(x, y).sum().backward()


class TestGradientsThatLieInsideOfALargerTensor:
    """A gradient may be a view: what is taken from it is counted from its own first element."""

    gradient = torch.arange(10.0)[3:7]

    def test_through_a_write_to_a_view(self):
        x = torch.ones(4, requires_grad=True)
        y = x * 1
        y[1:3] = y[1:3] * torch.tensor([10.0, 100.0])
        y.backward(self.gradient)
        assert x.grad.tolist() == [3.0, 40.0, 500.0, 6.0]

    def test_through_as_strided_scatter(self):
        x, part = torch.ones(4, requires_grad=True), torch.ones(2, requires_grad=True)
        torch.as_strided_scatter(x, part, (2,), (2,), 1).backward(self.gradient)
        assert x.grad.tolist() == [3.0, 0.0, 5.0, 0.0] and part.grad.tolist() == [4.0, 6.0]

    def test_through_the_gradient_of_as_strided(self):
        g = torch.ones(2, requires_grad=True)
        x = torch.ones(4, requires_grad=True)
        (found,) = torch.autograd.grad(x.as_strided((2,), (2,), 1), x, g, create_graph=True)
        found.backward(self.gradient)
        assert g.grad.tolist() == [4.0, 6.0]


def test_a_gradient_has_the_dtype_of_its_leaf():
    x, y = torch.tensor([1.0, 3.0], requires_grad=True), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    torch.dist(x, y, 1).backward()
    assert x.grad.dtype == torch.float32 and y.grad.dtype == torch.float64


def test_a_leaf_that_was_frozen_since_takes_no_gradient():
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    total = (x * y).sum()
    x.requires_grad_(False)
    total.backward()
    assert x.grad is None and y.grad.tolist() == [1.0, 1.0]
