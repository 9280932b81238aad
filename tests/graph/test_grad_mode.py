"""Grad modes as context managers, decorators and functions."""

import pytest

from numtorch.graph import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)


def both():
    return is_grad_enabled(), is_inference_mode_enabled()


def test_recording_is_on_by_default():
    assert both() == (True, False)


def test_blocks_nest_and_restore():
    with no_grad():
        assert not is_grad_enabled()
        with enable_grad():
            assert is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_a_block_restores_after_an_error():
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_set_grad_enabled_acts_at_once_and_as_a_block():
    made = set_grad_enabled(False)
    assert not is_grad_enabled()
    assert repr(made) == str(made) == "torch.autograd.grad_mode.set_grad_enabled(mode=False)"
    with set_grad_enabled(True):
        assert is_grad_enabled()
    assert not is_grad_enabled()
    set_grad_enabled(True)
    assert is_grad_enabled()


def test_set_grad_enabled_as_a_decorator_leaves_the_outside_alone():
    @set_grad_enabled(False)
    def inside():
        return is_grad_enabled()

    assert is_grad_enabled()
    assert inside() is False
    assert is_grad_enabled()


def test_set_grad_enabled_wants_a_bool():
    with pytest.raises(TypeError, match=r"argument 'enabled' \(position 1\) must be bool, not int"):
        set_grad_enabled(3)


def test_inference_mode_switches_both_and_can_be_left_inside():
    with inference_mode():
        assert both() == (False, True)
        with inference_mode(False):
            assert both() == (True, False)
        with enable_grad():
            assert both() == (True, True)
    assert both() == (True, False)


@pytest.mark.parametrize("decorator", [no_grad, no_grad(), inference_mode, inference_mode(True)])
def test_decorators_work_with_and_without_parentheses(decorator):
    @decorator
    def inside(value):
        """Says what it sees."""
        return value, is_grad_enabled()

    assert inside(1) == (1, False)
    assert inside.__name__ == "inside" and inside.__doc__ == "Says what it sees."
    assert is_grad_enabled()


def test_a_decorated_function_may_recurse():
    @no_grad()
    def down(depth):
        return is_grad_enabled() or (depth > 0 and down(depth - 1))

    assert down(3) is False
    assert is_grad_enabled()


def test_a_decorated_generator_has_its_mode_only_while_it_runs():
    @no_grad()
    def generator():
        seen = yield is_grad_enabled()
        try:
            yield seen, is_grad_enabled()
        except ValueError:
            yield "caught", is_grad_enabled()
        return "end"

    running = generator()
    assert next(running) is False
    assert is_grad_enabled()
    assert running.send("sent") == ("sent", False)
    assert running.throw(ValueError()) == ("caught", False)
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "end"


def test_closing_a_decorated_generator_closes_it_inside_the_mode():
    seen = []

    @no_grad()
    def generator():
        try:
            yield
        finally:
            seen.append(is_grad_enabled())

    running = generator()
    next(running)
    running.close()
    assert seen == [False]


def test_decorating_a_class_is_deprecated_but_works():
    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):

        @no_grad()
        class Thing:
            def __init__(self):
                self.recorded = is_grad_enabled()

    assert Thing().recorded is False
