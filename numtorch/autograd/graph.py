"""The graph as users see it: nodes, edges, and what nodes save."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from numtorch.graph import (
    GradientEdge,
    Node,
    RemovableHandle,
    disable_saved_tensors_hooks,
    reached_by_backward,
    saved_tensors_hooks,
)
from numtorch.graph import mode as grad_mode

from .._tensor import Tensor


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place in the graph where this tensor's gradient arrives; usable as an ``inputs`` of ``grad`` in its stead."""
    if not tensor._requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node = tensor._edge()
    return GradientEdge(node, tensor._output_nr, ownership_token=node)


def increment_version(tensor: Any) -> None:
    """Note an in-place change of the tensor (or of each tensor) that was made behind autograd's back."""
    for each in (tensor,) if isinstance(tensor, Tensor) else tensor:
        each._bump_version()


class _MultiHandle(RemovableHandle):
    """Takes the hooks out of all tensors at once."""

    def __init__(self, handles: tuple[RemovableHandle, ...]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __getstate__(self) -> tuple:
        return self.handles

    def __setstate__(self, state: tuple) -> None:
        self.handles = state


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable, *, mode: str = "all") -> RemovableHandle:
    """Call ``fn`` when the gradients of several tensors are there.

    With ``mode="all"``, ``fn(grads)`` is called once a backward, as soon as each of the ``tensors`` that this backward
    reaches has its gradient; the list holds None for the others. With ``mode="any"``, ``fn(grad)`` is called with the
    first gradient that arrives. Returns a handle whose ``remove()`` ends it.

        >>> import numtorch as torch
        >>> a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
        >>> c, d = a * b, a + b
        >>> handle = torch.autograd.graph.register_multi_grad_hook(
        ...     (a, b, c, d), lambda grads: print([grad is not None for grad in grads])
        ... )
        >>> c.sum().backward()
        [True, True, True, False]

    Raises ValueError for another mode. Source: torch.autograd.graph.register_multi_grad_hook.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    if mode == "any":
        called = [-1]  # the number of the backward in which fn was called last

        @functools.wraps(fn)
        def first_only(grad: Tensor) -> None:
            number = grad_mode.task[2]
            if called[0] != number:
                called[0] = number
                fn(grad)

        return _MultiHandle(tuple(each.register_hook(first_only) for each in tensors if each._requires_grad))

    nodes = [each._edge() for each in tensors]
    arrived: dict[int, list] = {}  # for each backward under way: the hooks yet to come, the gradients

    def collect(index: int, grad: Tensor) -> None:
        number = grad_mode.task[2]
        state = arrived.get(number)
        if state is None:
            state = arrived[number] = [sum(reached_by_backward(nodes)), [None] * len(nodes)]
        state[0] -= 1
        state[1][index] = grad
        if state[0] == 0:
            fn(arrived.pop(number)[1])

    return _MultiHandle(
        tuple(each.register_hook(functools.partial(collect, index)) for index, each in enumerate(tensors))
    )


class save_on_cpu(saved_tensors_hooks):
    """In this block, what nodes save waits in the CPU's memory and goes back to its device for the backward."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack_to_cpu(tensor: Tensor) -> tuple:
            return tensor.device, tensor.cpu() if tensor.is_cuda else tensor

        def unpack_from_cpu(packed: tuple) -> Tensor:
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack_to_cpu, unpack_from_cpu)


__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]
