"""AccumulateGrad: the end of every path, which adds the gradient to a leaf's ``.grad``."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .grad_mode import mode
from .hooks import RemovableHandle
from .node import Node

#: Two threads may reach the same leaf: reading, adding and storing its gradient must be one step.
_accumulating = threading.RLock()


class AccumulateGrad(Node):
    """Owned by its leaf, which it holds only weakly: the two form no cycle.

    The leaf implements ``_accumulate_grad(grad, create_graph)`` and ``_requires_grad``.  The engine runs these nodes
    after all others, each once with its total, whence the sequence number below every other.
    """

    sequence_nr = -1
    post_accumulate: OrderedDict[int, Callable] | None = None

    def __init__(self, variable: Any) -> None:
        self._variable = weakref.ref(variable)

    @property
    def variable(self) -> Any:
        """The leaf, or None when it is gone (then nobody can look at its gradient either)."""
        return self._variable()

    def apply(self, grads: tuple) -> tuple:
        variable = self._variable()
        # (A leaf that was frozen or detached since it was used takes nothing.)
        if variable is not None and grads[0] is not None and variable._requires_grad:
            with _accumulating:
                variable._accumulate_grad(grads[0], mode.enabled)
            if self.post_accumulate:
                for fn in list(self.post_accumulate.values()):
                    fn(variable)
        return ()

    def __call__(self, *grads: Any) -> tuple:
        if len(grads) != 1:
            raise TypeError(f"expected 1 arguments, got {len(grads)} instead")
        return self.apply(grads)

    def register_post_accumulate_hook(self, fn: Callable) -> RemovableHandle:
        """Call ``fn(variable)`` whenever the gradient has been added to the leaf."""
        if self.post_accumulate is None:
            self.post_accumulate = OrderedDict()
        return RemovableHandle.adding(fn, self.post_accumulate)

    def _sequence_nr(self) -> int:
        return 2**64 - 1  # what torch shows
