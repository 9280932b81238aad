"""Hooks run in torch's order, once, on complete gradients, and may replace them."""

import pickle
from collections import OrderedDict

import pytest

from numtorch.graph import RemovableHandle, add_tensor_hook, move_retain_grad, run_backward, set_retain_grad

from .test_engine import backward
from .values import Value, leaf


def test_the_order_round_a_node():
    log = []
    a = leaf(2.0)
    y = a * a
    node = y._grad_fn
    node.register_hook(lambda grad_inputs, grad_outputs: log.append("after"))
    node.register_prehook(lambda grad_outputs: log.append("before"))
    set_retain_grad(node, 0, lambda grad: log.append("retain"))
    add_tensor_hook(node, 0, lambda grad: log.append("tensor 1"))
    add_tensor_hook(node, 0, lambda grad: log.append("tensor 2"))
    add_tensor_hook(a.edge(), 0, lambda grad: log.append(f"leaf {grad.number}"))
    a.edge().register_post_accumulate_hook(lambda leaf: log.append(f"stored {leaf.grad.number}"))
    backward(y)
    assert log == ["tensor 1", "tensor 2", "retain", "before", "after", "leaf 4.0", "stored 4.0"]


def test_a_tensor_hook_replaces_the_gradient():
    a = leaf(2.0)
    y = a * a
    add_tensor_hook(y._grad_fn, 0, lambda grad: Value(grad.number * 10))
    backward(y)
    assert a.grad.number == 40.0


def test_a_leaf_hook_sees_the_sum_of_all_paths():
    a, seen = leaf(2.0), []
    add_tensor_hook(a.edge(), 0, lambda grad: seen.append(grad.number))
    backward(a * a + a)
    assert seen == [5.0]


def test_captures_see_the_gradient_after_the_hooks_and_need_no_run_of_the_node():
    a = leaf(2.0)
    middle = a * a
    ran = []
    add_tensor_hook(middle._grad_fn, 0, lambda grad: Value(-1.0))
    middle._grad_fn.register_prehook(ran.append)
    (grad,) = backward(middle * middle, captures=[(middle._grad_fn, 0)], accumulate=False)
    assert grad.number == -1.0 and ran == []


def test_node_hooks_replace_what_goes_in_and_out():
    a = leaf(2.0)
    y = a * leaf(5.0)
    y._grad_fn.register_prehook(lambda grad_outputs: (Value(2.0),))
    y._grad_fn.register_hook(lambda grad_inputs, grad_outputs: (Value(100.0), grad_inputs[1]))
    backward(y)
    assert a.grad.number == 100.0
    assert y._grad_fn.next_nodes[1].variable is None


def test_a_removed_hook_is_silent_and_removing_twice_is_harmless():
    a, seen = leaf(2.0), []
    handle = add_tensor_hook(a.edge(), 0, seen.append)
    handle.remove()
    handle.remove()
    backward(a * a)
    assert seen == []


def test_a_handle_is_a_context_manager():
    a, seen = leaf(2.0), []
    with add_tensor_hook(a.edge(), 0, lambda grad: seen.append(grad.number)):
        backward(a + a)
    backward(a + a)
    assert seen == [2.0]


def test_a_hook_may_remove_itself_while_it_runs():
    a, seen = leaf(2.0), []

    def once(grad):
        seen.append(grad.number)
        handle.remove()

    handle = add_tensor_hook(a.edge(), 0, once)
    backward(a + a)
    backward(a + a)
    assert seen == [2.0]


def test_retain_grad_follows_an_in_place_change():
    a, kept = leaf(2.0), []
    old, new = (a * a)._grad_fn, a * a
    set_retain_grad(old, 0, kept.append)
    move_retain_grad(old, 0, new._grad_fn, 0)
    backward(new, 3.0)
    assert [grad.number for grad in kept] == [3.0]
    assert old.hooks.retain == {}


def wrong(*args):
    return 3


def test_a_tensor_hook_must_return_a_gradient():
    a = leaf(2.0)
    add_tensor_hook(a.edge(), 0, wrong)
    with pytest.raises(TypeError, match="^expected Variable, but hook returned 'int'$"):
        backward(a + a)


@pytest.mark.parametrize("register", ["register_hook", "register_prehook"])
def test_a_node_hook_must_return_a_tuple(register):
    a = leaf(2.0)
    y = a * a
    getattr(y._grad_fn, register)(wrong)
    with pytest.raises(TypeError, match="^expected tuple, but hook returned 'int'"):
        backward(y)


def test_a_node_hook_must_return_as_many_gradients_as_it_got():
    def short(grad_inputs, grad_outputs):
        return (grad_inputs[0],)

    a = leaf(2.0)
    y = a * a
    y._grad_fn.register_hook(short)
    message = r"^hook 'short' has returned an incorrect number of values \(got 1, but expected 2\)"
    with pytest.raises(RuntimeError, match=message):
        backward(y)


def test_a_value_may_refuse_a_replacement():
    class Strict(Value):
        def _check_replacement(self, new, name):
            raise RuntimeError(f"hook '{name}' has changed the size of value")

    def grow(grad):
        return Strict(1.0)

    a = leaf(2.0)
    add_tensor_hook(a.edge(), 0, grow)
    with pytest.raises(RuntimeError, match="hook 'grow' has changed the size of value"):
        run_backward([(a.edge(), 0)], [Strict(1.0)], False, False)


def test_a_handle_holds_its_dictionary_weakly():
    hooks = OrderedDict()
    handle = RemovableHandle(hooks)
    del hooks
    handle.remove()
    assert handle.hooks_dict_ref() is None


def test_a_handle_can_be_pickled_with_its_dictionary():
    hooks = OrderedDict()
    handle = RemovableHandle.adding("hook", hooks)
    extra = OrderedDict({handle.id: "extra"})
    both = RemovableHandle(hooks, extra_dict=extra)
    extra[both.id] = hooks[both.id] = "two"
    copied_hooks, copied = pickle.loads(pickle.dumps((hooks, both)))
    copied.remove()
    assert both.id in hooks and both.id not in copied_hooks
    both.remove()
    assert both.id not in hooks and both.id not in extra
