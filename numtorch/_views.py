"""Views: tensors over the memory of another, and the nodes that carry gradients back through them."""

from __future__ import annotations

import numpy as np

from numtorch.graph import Node, mode, next_sequence

from ._device import cpu
from ._size import Size, contiguous_strides
from ._tensor import Tensor, _new

_node = object.__new__


def make_view(t: Tensor, size, stride, offset: int, node_class=None, /, **arguments) -> Tensor:
    """A view of `t` with this geometry (not checked); `node_class(**arguments)` is its node when `t` needs gradients.

    `arguments` become attributes of the node, next to `input_size`, the size of `t`.
    """
    result = plain_view(t, size if type(size) is Size else Size(size), stride, offset)
    if t._requires_grad:
        return track_view(result, t, node_class, arguments)
    base = t._base
    if base is not None and base._requires_grad:
        result._view_version = result._storage.version
    return result


def plain_view(t: Tensor, size: Size, stride: tuple[int, ...], offset: int) -> Tensor:
    """A view of `t` that the graph does not know of: for a tensor that is not `tracked`."""
    result = _new(Tensor)
    result._flat = None
    result._size = size
    result._stride = stride
    result._dtype = t._dtype
    result._storage = t._storage or t._get_storage()
    if offset:
        result._offset = offset
    if t._device is not cpu:
        result._device = t._device
    base = t._base
    result._base = t if base is None else base
    return result


def tracked(t: Tensor) -> bool:
    """Whether a view of `t` needs a node, or the version of its base."""
    if t._requires_grad:
        return True
    base = t._base
    return base is not None and base._requires_grad


def shares_elements(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays may have elements in common. (To ask numpy takes longer than to see that both own theirs.)"""
    return x is y or (x.base is not None or y.base is not None) and np.may_share_memory(x, y)


def apart(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a loop may write x while it reads y: they are the very same elements, or share none."""
    if x is y or x.base is None and y.base is None:
        return True
    if not np.may_share_memory(x, y):
        return True
    return x.size == y.size and x.__array_interface__["data"] == y.__array_interface__["data"]


def make_parts(t: Tensor, geometries: list, node_class, /, **arguments) -> tuple[Tensor, ...]:
    """Several views of `t`, one for each (size, stride, offset), with one node of as many outputs."""
    recorded = t._requires_grad and mode.enabled
    if not recorded:
        return tuple([make_view(t, *each) for each in geometries])
    first = make_view(t, *geometries[0], node_class, **arguments)
    node = first._grad_fn
    node.num_outputs = len(geometries)
    parts = [first]
    version = first._view_version
    for size, stride, offset in geometries[1:]:
        part = plain_view(t, size if type(size) is Size else Size(size), stride, offset)
        part._grad_fn, part._requires_grad, part._output_nr = node, True, len(parts)
        part._view_version = version
        parts.append(part)
    return tuple(parts)


def track_view(result: Tensor, t: Tensor, node_class, arguments) -> Tensor:
    """Record `result`, a view of `t` that needs gradients, in the graph."""
    base = t._base
    if mode.enabled:
        node = _node(node_class)
        node.sequence_nr = next_sequence()
        node.next_nodes = (t._grad_fn or t._acc or t._edge() if base is None else t._edge(),)
        if t._output_nr:
            node.next_nrs = (t._output_nr,)
        node.input_size = t._size
        for name, value in arguments.items():
            setattr(node, name, value)  # (an update of its __dict__ would cost the node its inline attributes)
        result._grad_fn = node
        result._requires_grad = True
    elif mode.task is None:  # under no_grad a view needs gradients too; a backward's rules do not ask
        result._requires_grad = True
    version = result._storage.version
    if version:
        result._view_version = version
    return result


def part_of(t: Tensor, size, stride, offset: int) -> Tensor:
    """The view of `t`, taken as contiguous, at a place that is counted from its first element."""
    dense = t.contiguous()
    return dense.as_strided(size, stride, dense._offset + offset)


class AsStridedBackward0(Node):
    """Gradient of an arbitrary view: every element of the gradient is added at the place that it was read from."""

    def apply(self, grads) -> tuple:
        (grad,) = grads
        from .ops.shape import as_strided_backward

        return (as_strided_backward(grad, self.input_size, self.size, self.stride, self.offset),)


def as_strided_node(base: Tensor, size, stride, offset: int) -> Node:
    """The node of a view of `base` that is regenerated after the base was written in place."""
    from ._inplace import in_dense

    dense = contiguous_strides(base._size)
    offset -= base._offset
    if base._stride != dense:
        stride = tuple(in_dense(s, base, dense) for s in stride)
        offset = in_dense(offset, base, dense)
    node = _node(AsStridedBackward0)
    before = base._edge()
    # After the write to the base and before whatever uses the view, which may have its number already.
    node.sequence_nr = before.sequence_nr + 0.5
    node.next_nodes = (before,)
    if base._output_nr:
        node.next_nrs = (base._output_nr,)
    node.input_size, node.size, node.stride, node.offset = base._size, size, stride, offset
    return node
