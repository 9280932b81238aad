"""The engine sends every gradient where it belongs, once, in the right order."""

import gc
import sys
import threading
import weakref

import pytest

from numtorch.graph import (
    AccumulateGrad,
    Node,
    add_tensor_hook,
    enable_grad,
    is_grad_enabled,
    next_sequence,
    no_grad,
    run_backward,
)

from .values import SplitBackward, Value, leaf, split


def backward(value, grad=1.0, keep_graph=False, create_graph=False, **options):
    roots = [(value.edge(), value._output_nr)]
    return run_backward(roots, [Value(grad)], keep_graph, create_graph, **options)


class Step(Node):
    """Passes its gradient on to every input, and writes its name down."""

    def apply(self, grads):
        self.log.append(self.label)
        return grads * len(self.next_nodes)


def step(label, log, *nodes):
    node = Step.__new__(Step)
    node.next_nodes = nodes
    node.sequence_nr = next_sequence()
    node.label, node.log = label, log
    return node


def chain(length):
    x = leaf(1.0)
    node = x.edge()
    for _ in range(length):
        node = step(None, [], node)
        node.log = _Nothing
    return x, node


class _Nothing:
    append = staticmethod(lambda label: None)


def test_products_and_sums_have_their_derivatives():
    a, b = leaf(2.0), leaf(3.0)
    backward(a * b + a)
    assert (a.grad.number, b.grad.number) == (4.0, 2.0)


def test_a_leaf_used_twice_gets_the_sum():
    a = leaf(3.0)
    backward(a * a)
    assert a.grad.number == 6.0


def test_a_second_backward_adds_to_the_gradient():
    a = leaf(3.0)
    backward(a * a)
    backward(a * a)
    assert a.grad.number == 12.0


def test_a_leaf_can_be_the_root():
    a = leaf(3.0)
    backward(a, 5.0)
    assert a.grad.number == 5.0


def test_several_roots_add_up():
    a = leaf(3.0)
    y, z = a * a, a + a
    run_backward([(y._grad_fn, 0), (z._grad_fn, 0)], [Value(1.0), Value(10.0)], False, False)
    assert a.grad.number == 26.0


def test_nodes_run_newest_first_and_only_once():
    log = []
    first = step("first", log)
    left, right = step("left", log, first), step("right", log, first)
    last = step("last", log, left, right, first)
    run_backward([(last, 0)], [1.0], False, False)
    assert log == ["last", "right", "left", "first"]


def test_a_node_waits_for_a_gradient_that_takes_the_long_way():
    log = []
    bottom = step("bottom", log)
    middle = step("middle", log, bottom)
    for _ in range(3):
        middle = step("long", log, middle)
    top = step("top", log, bottom, middle)
    run_backward([(top, 0)], [1.0], False, False)
    assert log == ["top", "long", "long", "long", "middle", "bottom"]


def test_leaves_come_last_with_their_total():
    a, log = leaf(1.0), []
    a.edge().register_prehook(lambda grads: log.append(grads[0]))
    top = step("top", log, a.edge(), step("under", log, a.edge()))
    run_backward([(top, 0)], [1.0], False, False)
    assert log == ["top", "under", 2.0]


def test_a_node_of_several_outputs_gets_a_gradient_for_each():
    x = leaf(2.0)
    first, second = split(x)
    backward(first + second * second)
    assert x.grad.number == 5.0
    assert [grad.number for grad in first._grad_fn.seen] == [1.0, 4.0]


def test_an_output_that_nobody_used_has_the_gradient_none():
    x = leaf(2.0)
    _, second = split(x)
    backward(second, 7.0)
    assert second._grad_fn.seen[0] is None
    assert x.grad.number == 7.0


def test_a_node_without_any_gradient_does_not_run():
    class Stop(Step):
        def apply(self, grads):
            return (None,)

    log = []
    below = step("below", log)
    stop = Stop()
    stop.next_nodes, stop.sequence_nr = (below,), next_sequence()
    run_backward([(stop, 0)], [1.0], False, False)
    assert log == []


def test_sums_never_change_a_gradient_that_was_passed_in():
    x = leaf(1.0)
    given = Value(1.0)
    run_backward([((x + x)._grad_fn, 0)], [given], False, False)
    assert given.number == 1.0 and given._version == 0
    assert x.grad.number == 2.0


def test_a_number_of_gradients_other_than_the_roots_is_refused():
    with pytest.raises(ValueError):
        run_backward([(step("s", []), 0)], [1.0, 2.0], False, False)


class TestCaptures:
    def test_they_return_what_arrives_and_touch_no_leaf(self):
        a, b = leaf(2.0), leaf(3.0)
        grads = backward(a * b, captures=[(a.edge(), 0), (b.edge(), 0)], accumulate=False)
        assert [grad.number for grad in grads] == [3.0, 2.0]
        assert a.grad is None and b.grad is None

    def test_of_a_value_in_the_middle(self):
        a = leaf(2.0)
        middle = a * a
        (grad,) = backward(middle * middle, captures=[(middle._grad_fn, 0)], accumulate=False)
        assert grad.number == 8.0

    def test_of_the_root_itself(self):
        a = leaf(2.0)
        y = a * a
        (grad,) = backward(y, 5.0, captures=[(y._grad_fn, 0)], accumulate=False)
        assert grad.number == 5.0

    def test_of_something_outside_the_graph_are_none(self):
        a, b = leaf(2.0), leaf(3.0)
        assert backward(a * a, captures=[(b.edge(), 0)], accumulate=False) == [None]

    def test_of_one_value_twice(self):
        a = leaf(2.0)
        grads = backward(a * a, captures=[(a.edge(), 0)] * 2, accumulate=False)
        assert [grad.number for grad in grads] == [4.0, 4.0]

    def test_of_each_output_of_a_node(self):
        x = leaf(2.0)
        first, second = split(x)
        grads = backward(
            first + second * second,
            captures=[(second._grad_fn, 1), (first._grad_fn, 0)],
            accumulate=False,
        )
        assert [grad.number for grad in grads] == [4.0, 1.0]

    def test_nodes_that_lead_to_no_capture_do_not_run(self):
        log = []
        a = leaf(1.0)
        wanted, unwanted = step("wanted", log, a.edge()), step("unwanted", log, leaf(1.0).edge())
        top = step("top", log, wanted, unwanted)
        run_backward([(top, 0)], [1.0], False, False, [(a.edge(), 0)], False)
        assert log == ["top", "wanted"]

    def test_with_accumulate_only_the_captured_leaves_get_gradients(self):
        a, b = leaf(2.0), leaf(3.0)
        backward(a * b, captures=[(a.edge(), 0)])
        assert a.grad.number == 3.0 and b.grad is None

    def test_an_upper_and_a_lower_value_together(self):
        a = leaf(2.0)
        middle = a * a
        grads = backward(middle * a, captures=[(a.edge(), 0), (middle._grad_fn, 0)], accumulate=False)
        assert [grad.number for grad in grads] == [12.0, 2.0]


class TestRelease:
    def test_a_second_backward_needs_the_graph_kept(self):
        a = leaf(2.0)
        y = a * a
        backward(y)
        with pytest.raises(RuntimeError, match="^Trying to backward through the graph a second time"):
            backward(y)

    def test_a_kept_graph_runs_again(self):
        a = leaf(2.0)
        y = a * a
        backward(y, keep_graph=True)
        backward(y)
        assert a.grad.number == 8.0

    def test_a_node_that_saved_nothing_runs_again(self):
        a = leaf(2.0)
        y = a + a
        backward(y)
        backward(y)
        assert a.grad.number == 4.0

    def test_calling_a_released_node_is_refused(self):
        y = leaf(2.0) * leaf(3.0)
        backward(y)
        with pytest.raises(RuntimeError, match="second time"):
            y._grad_fn(Value(1.0))

    def test_saved_values_go_as_nodes_run(self):
        a = leaf(2.0)
        middle = a * a
        gone = weakref.ref(middle)
        y = middle * middle
        del middle
        assert gone() is not None
        backward(y)
        assert gone() is None


class TestHigherOrder:
    def test_a_recorded_backward_can_be_differentiated(self):
        a = leaf(3.0)
        (first,) = backward(a * a * a, create_graph=True, keep_graph=True, captures=[(a.edge(), 0)])
        (second,) = backward(first, captures=[(a.edge(), 0)], accumulate=False)
        assert (first.number, second.number) == (27.0, 18.0)

    def test_an_ordinary_backward_records_nothing(self):
        a = leaf(3.0)
        backward(a * a)
        assert not a.grad._requires_grad

    def test_the_grad_mode_is_that_of_create_graph_and_comes_back(self):
        modes = []
        a = leaf(1.0)
        add_tensor_hook(a.edge(), 0, lambda grad: modes.append(is_grad_enabled()))
        y = a + a
        with no_grad():
            backward(y, create_graph=True)
            assert not is_grad_enabled()
        backward(y)
        assert is_grad_enabled()
        assert modes == [True, False]

    def test_the_grad_mode_comes_back_after_an_error(self):
        with no_grad(), pytest.raises(NotImplementedError):
            run_backward([(Node(), 0)], [1.0], False, True)
        assert is_grad_enabled()


class TestDepth:
    def test_a_million_nodes_run_and_disappear_without_recursion(self):
        x, node = chain(1_000_000)
        run_backward([(node, 0)], [1.0], False, False)
        assert x.grad == 1.0
        del node

    def test_a_million_nodes_disappear_without_a_backward(self):
        x, node = chain(1_000_000)
        gone = weakref.ref(node)
        del node
        assert gone() is None

    def test_captures_reach_through_a_deep_graph(self):
        x, node = chain(200_000)
        assert run_backward([(node, 0)], [1.0], False, False, [(x.edge(), 0)], False) == [1.0]


def test_a_training_loop_leaves_no_cycles():
    gc.collect()
    gc.disable()
    try:
        a = leaf(2.0)
        y = a * a + a
        backward(y)
        watched = [weakref.ref(each) for each in (a, y, y._grad_fn, a.edge(), y._grad_fn.next_nodes[0])]
        del a, y
        assert [each() for each in watched] == [None] * 5
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 holds one more: leaves copy their gradient there")
def test_the_leaf_alone_holds_a_gradient_that_arrives_once():
    counts = []

    class Counting(Value):
        def _accumulate_grad(self, grad, create_graph):
            counts.append(sys.getrefcount(grad))

    class Fresh(Node):
        def apply(self, grads):
            return (Value(1.0),)

    x = Counting(1.0, True)
    shared = Value(1.0)
    fresh, keeping = Fresh(), step("keeping", [], x.edge())
    fresh.next_nodes = (x.edge(),)
    run_backward([(fresh, 0)], [Value(1.0)], False, False)
    run_backward([(keeping, 0)], [shared], False, False)
    assert counts[1] == counts[0] + 1  # ``shared`` is ours as well; the list of roots has been let go of


class TestConcurrency:
    def test_backward_inside_a_hook(self):
        a, inner = leaf(2.0), leaf(3.0)
        y = a * a

        def hook(grad):
            with enable_grad():
                backward(inner * inner)

        add_tensor_hook(y._grad_fn, 0, hook)
        backward(y)
        assert (a.grad.number, inner.grad.number) == (4.0, 6.0)

    def test_backward_inside_a_backward(self):
        class Nested(Node):
            def apply(self, grads):
                with enable_grad():
                    x = leaf(5.0)
                    backward(x * x)
                return (grads[0] * x.grad,)

        a = leaf(2.0)
        node = Nested()
        node.next_nodes, node.sequence_nr = (a.edge(),), next_sequence()
        run_backward([(node, 0)], [Value(1.0)], False, False)
        assert a.grad.number == 10.0

    def test_threads_share_a_leaf_without_losing_a_gradient(self):
        a = leaf(1.0)

        def work():
            for _ in range(200):
                backward(a + a)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert a.grad.number == 4 * 200 * 2

    def test_the_grad_mode_belongs_to_its_thread(self):
        seen = []
        with no_grad():
            thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
            thread.start()
            thread.join()
        assert seen == [True]


class TestNode:
    def test_names_and_edges_are_shown_as_in_torch(self):
        a, b = leaf(1.0), Value(2.0)
        y = a * b
        assert y._grad_fn.name() == "MulBackward"
        assert repr(y._grad_fn) == f"<MulBackward object at {hex(id(y._grad_fn))}>"
        assert y._grad_fn.next_functions == ((a.edge(), 0), (None, 0))
        assert y._grad_fn.metadata == {}

    def test_edges_name_the_output_that_was_used(self):
        _, second = split(leaf(1.0))
        y = second * Value(2.0)
        assert y._grad_fn.next_functions == ((second._grad_fn, 1), (None, 0))

    def test_metadata_is_kept(self):
        node = Node()
        node.metadata["key"] = 1
        assert node.metadata == {"key": 1}

    def test_a_direct_call_gives_one_result_bare_and_several_as_a_tuple(self):
        split_node = split(leaf(2.0))[0]._grad_fn
        assert isinstance(split_node, SplitBackward)
        assert split_node(Value(1.0), Value(2.0)).number == 3.0
        assert [each.number for each in (leaf(2.0) * leaf(3.0))._grad_fn(Value(1.0))] == [3.0, 2.0]

    def test_a_direct_call_with_the_wrong_number_of_gradients_is_refused(self):
        with pytest.raises(TypeError, match="expected 1 arguments, got 2 instead"):
            Node()(1.0, 2.0)

    def test_the_leaf_owns_its_accumulator(self):
        a = leaf(1.0)
        accumulator = a.edge()
        assert accumulator.variable is a and isinstance(accumulator, AccumulateGrad)
        assert accumulator(Value(3.0)) == () and a.grad.number == 3.0
        del a
        assert accumulator.variable is None
        run_backward([(accumulator, 0)], [Value(1.0)], False, False)  # nobody is there to look

    def test_later_nodes_have_higher_numbers(self):
        a = leaf(1.0)
        first = a * a
        second = first * a
        assert a.edge().sequence_nr < first._grad_fn.sequence_nr < second._grad_fn._sequence_nr()
