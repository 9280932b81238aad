"""Anomaly mode: every node keeps the traceback of the forward call that made it, and backward looks for nan.

Expensive, for debugging only.  The state belongs to the process, as in torch.
"""

from __future__ import annotations

import threading
import traceback
import warnings
from typing import Any

from .grad_mode import mode
from .node import Node, describe_origin


class _Rare:
    """How many rare features (anomaly mode, saved-tensor hooks) are on, in any thread.

    ``if rare.active`` is the one check that a node maker needs before it takes the fast way; ``saved.save``
    is the slow one.
    """

    __slots__ = ("active", "_lock")

    def __init__(self) -> None:
        self.active = 0
        self._lock = threading.Lock()

    def add(self, change: int) -> None:
        with self._lock:
            self.active += change


rare = _Rare()


class _State:
    __slots__ = ("enabled", "check_nan")

    def __init__(self) -> None:
        self.enabled = False
        self.check_nan = True


state = _State()


def set_anomaly(enabled: bool, check_nan: bool = True) -> None:
    if enabled != state.enabled:
        rare.add(1 if enabled else -1)
    state.enabled, state.check_nan = enabled, check_nan


def is_anomaly_enabled() -> bool:
    return state.enabled


def is_anomaly_check_nan_enabled() -> bool:
    return state.check_nan


def record(node: Node) -> None:
    """Keep the traceback of the forward call, and the node whose backward is making this node, if any."""
    node.metadata["traceback_"] = traceback.format_list(traceback.extract_stack()[:-1])
    if mode.running is not None:
        node.metadata["parent_"] = mode.running


def check_nan(node: Node, grads: tuple) -> None:
    """Refuse a nan that this node has just made."""
    for nr, grad in enumerate(grads):
        if grad is not None and grad._has_nan():
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {nr}th output.")


def explain(error: BaseException, node: Node) -> None:
    """Add to an error raised by this node's backward what is known of the forward call that made the node."""
    if state.enabled:
        warnings.warn(_chain_of_forward_calls(node), stacklevel=3)
        return
    where = describe_origin(node)
    if where is None:
        return
    note = f"The error came from the backward of {node.name()}, made by the forward call at\n{where}"
    if hasattr(error, "add_note"):  # Python 3.11
        error.add_note(note)
    elif error.args and isinstance(error.args[0], str):
        error.args = (f"{error.args[0]}\n{note}", *error.args[1:])


def _chain_of_forward_calls(node: Any) -> str:
    lines = node.metadata.get("traceback_")
    if lines is None:
        return (
            f"Error detected in {node.name()}. No forward pass information available. Enable detect anomaly "
            "during forward pass for more information."
        )
    text = f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
    text += "".join(lines)
    parent = node.metadata.get("parent_")
    while parent is not None:
        lines = parent.metadata.get("traceback_")
        text += f"\n\nPrevious calculation was induced by {parent.name()}. "
        if lines is None:
            return text + "No forward pass information available."
        text += "Traceback of forward call that induced the previous calculation:\n" + "".join(lines)
        parent = parent.metadata.get("parent_")
    return text
