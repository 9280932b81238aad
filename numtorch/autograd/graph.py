"""The graph as users see it: nodes, edges, and what nodes save."""

from __future__ import annotations

from typing import Any

from numtorch.graph import (
    GradientEdge,
    Node,
    disable_saved_tensors_hooks,
    saved_tensors_hooks,
)

from .._tensor import Tensor


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place in the graph where this tensor's gradient arrives; usable as an ``inputs`` of ``grad`` in
    its stead.
    """
    if not tensor._requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node = tensor._edge()
    return GradientEdge(node, tensor._output_nr, ownership_token=node)


def increment_version(tensor: Any) -> None:
    """Note an in-place change of the tensor (or of each tensor) that was made behind autograd's back."""
    for each in (tensor,) if isinstance(tensor, Tensor) else tensor:
        each._bump_version()


class save_on_cpu(saved_tensors_hooks):
    """In this block, what nodes save waits in the CPU's memory and goes back to its device for the
    backward.
    """

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
    "save_on_cpu",
    "saved_tensors_hooks",
]
