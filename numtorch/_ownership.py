"""Who else holds a gradient: reference counts, by which one that nobody needs any more is taken over or written over.

A count is compared with that of an object of which we know that nobody else holds it, in code of the same shape, and
not with a number: later Pythons count fewer references of local variables.
"""

from __future__ import annotations

from sys import getrefcount

from ._allocator import Lent


class _Held:
    def __init__(self):
        self.flat = object()


def _of_attribute() -> int:
    holder = _Held()
    flat = holder.flat
    return getrefcount(flat)


def _in_apply(grads: tuple) -> int:
    grad = grads[0]
    return getrefcount(grad)


def _of_node() -> int:
    grad = _Held()
    grad_outputs = (grad,)  # the engine has both, see graph/engine.py
    return _in_apply(grad_outputs)


def _of_argument(grad) -> int:
    return getrefcount(grad)


def _of_attribute_and_another() -> int:
    holder = _Held()
    another = [holder.flat]
    flat = holder.flat
    return getrefcount(flat) - len(another)


#: `flat = t._flat; getrefcount(flat)` where only the attribute holds it.
ATTRIBUTE = _of_attribute()
#: `grad = grads[0]; getrefcount(grad)` in a node's apply where only the engine holds it.
IN_APPLY = _of_node()
#: `getrefcount(grad)` of an argument that a tuple holds, `f(grads[0])`.
ARGUMENT = _of_argument((_Held(),)[0]) + 1  # the tuple

if _of_attribute_and_another() != ATTRIBUTE:  # a Python that does not count so: every gradient is taken for held
    ATTRIBUTE = IN_APPLY = ARGUMENT = -1


def alone(flat) -> bool:
    """Whether no other array shares the memory of `flat`, which nobody else holds."""
    base = flat.base
    return base is None or base.__class__ is Lent and getrefcount(base) == ATTRIBUTE


def has_aliases(t) -> bool:
    """Whether another tensor may lie over the storage of `t`."""
    storage = t._storage
    return storage is not None and getrefcount(storage) != ATTRIBUTE
