"""Saved values: what a node keeps of the forward call, checked for changes, and handed to users' pack and unpack hooks.

A value of the graph offers ``_version`` (a counter that grows with every in-place change) and ``_describe()``
(its type, sizes and origin, for the error message).  For pack hooks it also offers ``detach()`` and the graph
attributes ``_requires_grad``, ``_grad_fn``, ``_output_nr`` and ``_acc``, with which an unpacked value takes
its place in the graph again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import anomaly
from .anomaly import rare
from .grad_mode import mode
from .node import RELEASED_MESSAGE, Node

_GRAPH_ATTRIBUTES = ("_requires_grad", "_grad_fn", "_output_nr", "_acc")
_refusal: list[str] = []  # messages of the disable_saved_tensors_hooks blocks that are open, innermost last


def active_hooks() -> tuple[Callable, Callable] | None:
    """The innermost (pack, unpack) pair of this thread, or None."""
    if not rare.active:
        return None
    return mode.saved_hooks[-1] if mode.saved_hooks else None


class saved_tensors_hooks:
    """In this block a node keeps ``pack_hook(value)`` of what it saves; ``unpack_hook`` gives it back."""

    def __init__(self, pack_hook: Callable, unpack_hook: Callable) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if _refusal:
            raise RuntimeError(_refusal[-1])
        mode.saved_hooks = (*mode.saved_hooks, (self.pack_hook, self.unpack_hook))
        rare.add(1)

    def __exit__(self, *exc_info: Any) -> None:
        mode.saved_hooks = mode.saved_hooks[:-1]
        rare.add(-1)


class disable_saved_tensors_hooks:
    """In this block, using saved_tensors_hooks is an error with the given message."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __enter__(self) -> None:
        if mode.saved_hooks:
            raise RuntimeError(self.error_message)
        _refusal.append(self.error_message)

    def __exit__(self, *exc_info: Any) -> None:
        _refusal.pop()


def save(node: Node, values: tuple) -> None:
    """Keep the values (Nones stay) in the node: the complete way, which serves the rare features too."""
    hooks = active_hooks()
    if hooks is None or not values:
        node.saved = values
        node.versions = tuple([0 if value is None else value._version for value in values])
    else:
        pack, node.unpack_hook = hooks
        node.states = tuple(_graph_state(value) for value in values)
        node.saved = tuple(None if value is None else pack(_bare(value)) for value in values)
    if anomaly.state.enabled:
        anomaly.record(node)


def unpack(node: Node) -> tuple:
    """The saved values, if nobody has changed them since."""
    if node.released:
        raise RuntimeError(RELEASED_MESSAGE)
    if node.unpack_hook is not None:
        return tuple(
            None if state is None else _with_graph_state(node.unpack_hook(packed), state)
            for packed, state in zip(node.saved, node.states, strict=True)
        )
    for value, version in zip(node.saved, node.versions, strict=True):
        if value is not None and value._version != version:
            raise changed_since_saved(value, version)
    return node.saved


def changed_since_saved(value: Any, version: int) -> RuntimeError:
    """The error for a saved value that has been changed in place."""
    # torch names the operation, not its node: "which is output 0 of Mul, ".
    what = re.sub(r"(which is output \d+ of .*?)(Backward\d*)?$", r"\1,", value._describe())
    if anomaly.state.enabled:
        hint = (
            "the backtrace further above shows the operation that failed to compute its gradient. The "
            "variable in question was changed in there or anywhere later. Good luck!"
        )
    else:
        hint = (
            "enable anomaly detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True, check_nan=False)."
        )
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{what} is at version {value._version}; expected version {version} instead. Hint: {hint}"
    )


def _graph_state(value: Any) -> tuple | None:
    """Where a value stands in the graph."""
    return None if value is None else tuple(getattr(value, name, None) for name in _GRAPH_ATTRIBUTES)


def _bare(value: Any) -> Any:
    """The value without its history: a pack hook that stores it makes no cycle through the graph."""
    return value.detach() if hasattr(value, "detach") else value


def _with_graph_state(value: Any, state: tuple) -> Any:
    """An unpacked value, put where the saved one stood."""
    if not state[0]:  # it required no grad
        return value
    value = value.detach()
    for name, part in zip(_GRAPH_ATTRIBUTES, state, strict=True):
        setattr(value, name, part)
    return value
