"""Saved values, their version checks and hooks; anomaly mode and notes on errors."""

import sys
import warnings

import pytest

from numtorch.graph import (
    Node,
    active_hooks,
    disable_saved_tensors_hooks,
    next_sequence,
    rare,
    run_backward,
    save,
    saved_tensors_hooks,
    set_anomaly,
    stamp,
    unpack,
)

from .test_engine import backward
from .values import Value, leaf


@pytest.fixture
def anomaly():
    set_anomaly(True)
    yield
    set_anomaly(False)


class TestVersions:
    def test_a_saved_value_that_was_changed_is_refused(self):
        a = leaf(2.0)
        middle = a * a
        y = middle * middle
        middle.add_(1)
        message = (
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            "[Value], which is output 0 of Mul, is at version 1; expected version 0 instead. Hint: "
            "enable anomaly detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True, check_nan=False)."
        )
        with pytest.raises(RuntimeError) as error:
            backward(y)
        assert error.value.args[0].startswith(message)  # Python 3.10 has no notes: the forward call stands below

    def test_a_value_without_history_is_described_without_it(self):
        constant = Value(2.0)
        y = leaf(1.0) * constant
        constant.add_(1)
        with pytest.raises(RuntimeError, match=r"inplace operation: \[Value\] is at version 1; expected"):
            backward(y)

    def test_the_hint_differs_in_anomaly_mode(self, anomaly):
        constant = Value(2.0)
        y = leaf(1.0) * constant
        constant.add_(1)
        hint = "backtrace further above .* Good luck!$"
        with pytest.warns(UserWarning), pytest.raises(RuntimeError, match=hint):
            backward(y)

    def test_changes_before_saving_do_not_matter(self):
        a, constant = leaf(1.0), Value(2.0).add_(1)
        backward(a * constant)
        assert a.grad.number == 3.0

    def test_none_can_be_saved(self):
        node = Node()
        save(node, (None, Value(1.0)))
        assert unpack(node)[0] is None


class TestSavedTensorsHooks:
    def test_they_pack_and_unpack_what_is_saved(self):
        a, b, log = leaf(2.0), leaf(3.0), []

        def pack(value):
            log.append(("pack", value.number, value._requires_grad))
            return value.number

        def unpack(number):
            log.append(("unpack", number))
            return Value(number)

        with saved_tensors_hooks(pack, unpack):
            assert active_hooks() == (pack, unpack)
            y = a * b
        assert active_hooks() is None and rare.active == 0
        assert y._grad_fn.saved == (2.0, 3.0)
        assert log == [("pack", 2.0, False), ("pack", 3.0, False)]
        backward(y)
        assert (a.grad.number, b.grad.number) == (3.0, 2.0)
        assert log[2:] == [("unpack", 2.0), ("unpack", 3.0)]

    def test_unpacked_values_take_their_place_in_the_graph_again(self):
        a = leaf(3.0)
        with saved_tensors_hooks(lambda value: value.number, Value):
            y = a * a * a
        (first,) = backward(y, create_graph=True, keep_graph=True, captures=[(a.edge(), 0)])
        (second,) = backward(first, captures=[(a.edge(), 0)], accumulate=False)
        assert (first.number, second.number) == (27.0, 18.0)

    def test_the_innermost_pair_counts(self):
        with (
            saved_tensors_hooks(lambda value: "outer", None),
            saved_tensors_hooks(lambda value: "inner", None),
        ):
            y = leaf(1.0) * leaf(1.0)
        assert y._grad_fn.saved == ("inner", "inner")

    def test_released_nodes_cannot_be_unpacked(self):
        with saved_tensors_hooks(lambda value: value, lambda value: value):
            y = leaf(1.0) * leaf(1.0)
        backward(y)
        with pytest.raises(RuntimeError, match="second time"):
            y._grad_fn(Value(1.0))

    def test_they_can_be_forbidden(self):
        with (
            disable_saved_tensors_hooks("not here"),
            pytest.raises(RuntimeError, match="^not here$"),
            saved_tensors_hooks(lambda value: value, lambda value: value),
        ):
            pass
        assert rare.active == 0


class Failing(Node):
    def apply(self, grads):
        raise ZeroDivisionError("no derivative here")


class NotANumber(Node):
    def apply(self, grads):
        return (Value(1.0), Value(float("nan")))


def failing(below=None):
    node = Failing()
    node.next_nodes, node.sequence_nr = (below,), next_sequence()
    stamp(node)
    return node


class TestErrors:
    def test_an_error_names_the_forward_line(self):
        node = failing()  # the line that the note must show
        with pytest.raises(ZeroDivisionError) as error:
            run_backward([(node, 0)], [Value(1.0)], False, False)
        if sys.version_info >= (3, 11):
            (text,) = error.value.__notes__
            assert error.value.args == ("no derivative here",)
        else:
            (text,) = error.value.args
        assert "backward of Failing, made by the forward call at" in text
        assert "test_saved.py" in text and "in failing\n    stamp(node)" in text

    def test_an_error_of_a_node_without_stamp_is_left_alone(self):
        node = Failing()
        with pytest.raises(ZeroDivisionError) as error:
            run_backward([(node, 0)], [Value(1.0)], False, False)
        assert not getattr(error.value, "__notes__", None)


class TestAnomalyMode:
    def test_a_failing_node_shows_the_traceback_of_its_forward_call(self, anomaly):
        a, constant = leaf(1.0), Value(2.0)
        y = a * constant  # this line
        constant.add_(1)
        with pytest.warns(UserWarning) as record, pytest.raises(RuntimeError):
            backward(y)
        text = str(record[0].message)
        assert text.startswith("Error detected in MulBackward. Traceback of forward call that caused the er")
        assert "y = a * constant  # this line" in text

    def test_a_node_made_before_has_nothing_to_show(self):
        y = Failing()
        set_anomaly(True)
        try:
            warns = pytest.warns(UserWarning, match="No forward pass information")
            with warns, pytest.raises(ZeroDivisionError):
                run_backward([(y, 0)], [Value(1.0)], False, False)
        finally:
            set_anomaly(False)

    def test_nan_is_found_where_it_is_made(self, anomaly):
        node = NotANumber()
        with (
            pytest.warns(UserWarning),
            pytest.raises(RuntimeError, match="^Function 'NotANumber' returned nan values in its 1th output."),
        ):
            run_backward([(node, 0)], [Value(1.0)], False, False)

    def test_nan_passes_without_check_nan(self):
        node = NotANumber()
        node.next_nodes = (None, None)
        set_anomaly(True, check_nan=False)
        try:
            run_backward([(node, 0)], [Value(1.0)], False, False)
        finally:
            set_anomaly(False)

    def test_a_node_made_by_a_backward_knows_its_parent(self, anomaly):
        a = leaf(3.0)
        y = a * a
        (first,) = backward(y, create_graph=True, keep_graph=True, captures=[(a.edge(), 0)])
        product = first._grad_fn.next_nodes[0] or first._grad_fn.next_nodes[1]
        assert product.metadata["parent_"] is y._grad_fn
        product.saved[0].add_(1)
        with warnings.catch_warnings(record=True) as caught, pytest.raises(RuntimeError):
            warnings.simplefilter("always")
            backward(first)
        assert "Previous calculation was induced by MulBackward." in str(caught[0].message)
