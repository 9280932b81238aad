"""Hooks: functions that users hang on the gradients of a tensor or on a node.

A node keeps its hooks in one ``NodeHooks`` object, absent as long as there are none, so that a node without
hooks costs the engine a single check.  The order round a node, as in torch: tensor hooks (in the order of
registration), retain_grad, the node's pre-hooks, the node itself, its post-hooks.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class RemovableHandle:
    """Takes a registered hook out again: by ``remove()``, or at the end of a ``with`` block.

    Holds the dictionary of hooks weakly, so a forgotten handle keeps nothing alive.
    """

    next_id = 0

    def __init__(self, hooks_dict: OrderedDict, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extras = [] if extra_dict is None else extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.extra_dict_ref = tuple(weakref.ref(each) for each in extras)

    @classmethod
    def adding(cls, fn: Any, hooks_dict: OrderedDict) -> RemovableHandle:
        """Add ``fn`` to the dictionary; the handle removes it."""
        handle = cls(hooks_dict)
        hooks_dict[handle.id] = fn
        return handle

    def remove(self) -> None:
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks_dict = reference()
            if hooks_dict is not None:
                hooks_dict.pop(self.id, None)

    def __getstate__(self) -> tuple:
        if not self.extra_dict_ref:
            return (self.hooks_dict_ref(), self.id)
        return (self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref))

    def __setstate__(self, state: tuple) -> None:
        # A copy of a handle whose dictionary is gone points to a dictionary of its own, so that remove()
        # stays harmless.
        self.hooks_dict_ref = weakref.ref(OrderedDict() if state[0] is None else state[0])
        self.id = state[1]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        extras = state[2] if len(state) > 2 else ()
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if each is None else each) for each in extras)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.remove()


class NodeHooks:
    """All the hooks of one node."""

    def __init__(self) -> None:
        self.tensor: OrderedDict[int, tuple[int, Callable]] = OrderedDict()  # (output number, fn(grad))
        self.retain: dict[int, Callable] = {}  # output number -> fn(grad) that stores it
        self.before: OrderedDict[int, Callable] = OrderedDict()  # fn(grad_outputs)
        self.after: OrderedDict[int, Callable] = OrderedDict()  # fn(grad_inputs, grad_outputs)

    def run_tensor_hooks(self, grads: tuple) -> tuple:
        """The gradients that arrived at the node, after the hooks of the tensors that they belong to."""
        if self.tensor:
            changed = list(grads)
            for nr, fn in list(self.tensor.values()):
                result = fn(changed[nr])  # called for an undefined gradient too, with None
                if result is not None:
                    if changed[nr] is None:
                        raise RuntimeError("can't replace a None gradient with a non-None value")
                    check_replacement(fn, changed[nr], result)
                    changed[nr] = result
            grads = tuple(changed)
        for nr, fn in list(self.retain.items()):
            if grads[nr] is not None:
                fn(grads[nr])
        return grads

    def run_before(self, grad_outputs: tuple) -> tuple:
        for fn in list(self.before.values()):
            grad_outputs = _replaced(fn, grad_outputs, fn(grad_outputs))
        return grad_outputs

    def run_after(self, grad_inputs: tuple, grad_outputs: tuple) -> tuple:
        for fn in list(self.after.values()):
            grad_inputs = _replaced(fn, grad_inputs, fn(grad_inputs, grad_outputs))
        return grad_inputs


def _name(fn: Callable) -> str:
    return getattr(fn, "__name__", None) or repr(fn)


def _replaced(fn: Callable, grads: tuple, result: Any) -> tuple:
    """What a node hook's answer makes of the gradients that it was given."""
    if result is None:
        return grads
    if not isinstance(result, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(result).__name__}'")
    if len(result) != len(grads):
        raise RuntimeError(
            f"hook '{_name(fn)}' has returned an incorrect number of values "
            f"(got {len(result)}, but expected {len(grads)})"
        )
    for old, new in zip(grads, result, strict=True):
        if old is not None and new is not None:
            check_replacement(fn, old, new)
    return result


def check_replacement(fn: Callable, old: Any, new: Any) -> None:
    """A gradient may replace one of its kind only; ``old._check_replacement(new, name)`` may ask for more."""
    if not isinstance(new, type(old)) and not isinstance(old, type(new)):
        raise TypeError(f"expected Variable, but hook returned '{type(new).__name__}'")
    check = getattr(old, "_check_replacement", None)
    if check is not None:
        check(new, _name(fn))


def add_tensor_hook(node: Any, nr: int, fn: Callable) -> RemovableHandle:
    """Call ``fn(grad)`` on the complete gradient of the node's output ``nr``; what it returns replaces it."""
    return RemovableHandle.adding((nr, fn), node.own_hooks().tensor)


def set_retain_grad(node: Any, nr: int, fn: Callable) -> None:
    """Call ``fn(grad)`` with the final gradient of output ``nr``, after every tensor hook; one an output."""
    node.own_hooks().retain[nr] = fn


def move_retain_grad(old: Any, old_nr: int, new: Any, new_nr: int) -> None:
    """After an in-place change retain_grad follows the tensor to its new node; hooks stay behind."""
    if old is not None and old.hooks is not None and old_nr in old.hooks.retain:
        set_retain_grad(new, new_nr, old.hooks.retain.pop(old_nr))
