"""In-place operators and `out=`: one mechanism for every operator.

`x.op_(...)` computes `op(x, ...)`, writes the result into x's memory, notes the write in the version counter and makes
x the result in the graph as well. If x is a view, its base is rewritten too: the base becomes a CopySlices node that
takes the gradient of the written part from the result and of all the rest from the base as it was.
"""

from __future__ import annotations

import functools
import gc
import warnings
from collections.abc import Callable
from sys import getrefcount

import numpy as np

from numtorch.graph import Node, mode, next_sequence

from ._copy import clone, copy_into
from ._device import cpu
from ._dtype import FLOATING, can_cast
from ._ownership import ATTRIBUTE, has_aliases
from ._size import Size, contiguous_strides, may_overlap, overlap
from ._tensor import Tensor, alias, wrap_as
from ._views import part_of

_OVERLAP = (
    "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please "
    "clone() the tensor before performing the operation."
)

_SHARED = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
    "location. Please clone() the tensor before performing the operation."
)
# Operators that torch does not check.
_UNCHECKED = frozenset({"addmm_", "addmv_", "addbmm_", "baddbmm_", "addr_"})


class CopySlices(Node):
    """An in-place write to a view, seen from the view's base."""

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None, None)
        size, stride, offset = self.geometry
        grad_base = grad_view = None
        if self.next_nodes[1] is not None:
            grad_view = part_of(grad, size, stride, offset)
        if self.next_nodes[0] is not None:
            grad_base = grad.clone().contiguous()
            if grad_base is grad:
                grad_base = grad.clone()
            grad_base.as_strided(size, stride, offset).zero_()
        return (grad_base, grad_view)


def check_writable(t: Tensor, alike: bool = False) -> None:
    """RuntimeError where autograd forbids an in-place write, and where elements of `t` share memory.

    With `alike` they may: the same is written to them all."""
    if t._requires_grad and mode.enabled:
        if t.grad_fn is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        base = t._base
        if base is not None:
            if base._requires_grad and base.grad_fn is None:
                raise RuntimeError(
                    "a view of a leaf Variable that requires grad is being used in an in-place operation."
                )
            if t._grad_fn.num_outputs > 1:
                raise RuntimeError(
                    f"Output {t._output_nr} of {type(t._grad_fn).__name__} is a view and is being modified inplace. "
                    "This view is the output of a function that returns multiple views. Such functions do not allow "
                    "the output views to be modified inplace. You should replace the inplace operation by an "
                    "out-of-place one."
                )
    elif t._base is not None and mode.enabled and t._base._requires_grad and t._base.grad_fn is None:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if t._flat is None and not alike and may_overlap(t._size, t._stride):
        raise RuntimeError(_OVERLAP)


def check_apart(t: Tensor, operands, whole: bool = False) -> None:
    """RuntimeError where an operand shares some of its elements with `t`, which is about to be written.

    An operand that is all of `t`, element by element, is fine, unless `whole`; a number (0-d) is then read before."""
    storage = t._storage
    for each in operands:
        if each is t:
            if whole and t._size.numel():
                raise RuntimeError(_SHARED)
        elif isinstance(each, Tensor) and each._storage is not None and storage is not None:
            same = each._storage is storage
            if not same and each._device is t._device is cpu:
                same = each._storage.buffer is storage.buffer
            if same and (each._size or not whole):
                shared = overlap(t._size, t._stride, _bytes_of(t), each._size, each._stride, _bytes_of(each))
                if shared == "partly" or whole and shared == "wholly":
                    raise RuntimeError(_SHARED)


def _bytes_of(t: Tensor) -> range:
    """The place in its storage of a tensor without gaps."""
    item = t._dtype.itemsize
    return range(t._offset * item, (t._offset + t._size.numel()) * item)


def old_self(t: Tensor) -> Tensor:
    """`t` as it is in the graph before the write: what the operator may save without a cycle through `t` itself."""
    if not t._requires_grad:
        return t
    result = alias(t)
    result._requires_grad = True
    result._grad_fn, result._output_nr, result._acc = t.grad_fn, t._output_nr, t._acc
    return result


def old_values(t: Tensor) -> Tensor:
    """A copy of a contiguous `t` with its place in the graph: what an operator saves of it that then writes over it."""
    result = wrap_as(t._flat.copy(), t)
    result._requires_grad, result._grad_fn, result._output_nr = t._requires_grad, t._grad_fn, t._output_nr
    return result


def assign(t: Tensor, result: Tensor) -> Tensor:
    """Make `t` hold `result`: memory, version and history."""
    if result._size != t._size:
        raise RuntimeError(f"output with shape {list(t._size)} doesn't match the broadcast shape {list(result._size)}")
    if result._dtype is not t._dtype and not can_cast(result._dtype, t._dtype):
        raise RuntimeError(
            f"result type {result._dtype.type_name} can't be cast to the desired output type {t._dtype.type_name}"
        )
    copy_into(t, result)
    t._bump_version()
    rebase(t, result)
    return t


def rebase(t: Tensor, result: Tensor) -> None:
    """Give `t` the history of `result`, whose values it now holds."""
    if not mode.enabled:
        return
    needs_grad = result._requires_grad
    base = t._base
    if not needs_grad and not t._requires_grad and not (base is not None and base._requires_grad):
        return
    if result._dtype is not t._dtype:
        result = result.to(t._dtype)
    if base is None:
        joins = needs_grad and not t._requires_grad
        t._grad_fn = result._grad_fn
        t._output_nr = result._output_nr
        t._requires_grad = needs_grad
        if joins and has_aliases(t):
            _join_views(t)
        return
    node = CopySlices.__new__(CopySlices)
    node.sequence_nr = next_sequence()
    node.next_nodes = (base._edge(), result._edge() if needs_grad else None)
    if base._output_nr or result._output_nr:
        node.next_nrs = (base._output_nr, result._output_nr)
    # The gradient arrives contiguous in the base's shape; the view's place is given relative to that.
    dense, stride, offset = contiguous_strides(base._size), t._stride, t._offset - base._offset
    if base._stride != dense:
        stride, offset = tuple([in_dense(s, base, dense) for s in stride]), in_dense(offset, base, dense)
    node.geometry = (t._size, stride, offset)
    joins = not base._requires_grad
    base._grad_fn, base._output_nr, base._requires_grad = node, 0, True
    t._requires_grad = True
    t._view_version = -1  # its own node is made when somebody asks for it, as those of the base's other views
    storage = t._storage
    if joins and getrefcount(storage) != ATTRIBUTE + 1:  # the base's, beside that of `t`
        _join_views(base)


def _join_views(base: Tensor) -> None:
    """Have the views that were taken of `base` before it joined the graph need gradients too.

    No tensor knows its views: to keep a list would cost every view, while a tensor that joins the graph by a write has
    some in few programs. So the collector's list of all objects is looked through, a few milliseconds."""
    for each in gc.get_objects():
        if issubclass(type(each), Tensor) and each._base is base and each._dtype.category >= FLOATING:
            each._requires_grad = True
            each._view_version = -1


def in_dense(distance: int, base: Tensor, dense: tuple[int, ...]) -> int:
    """A distance in the base's memory as one in a contiguous tensor of its shape."""
    result = 0
    for s, c, n in sorted(zip(base._stride, dense, base._size), reverse=True):
        if s and n > 1:  # (the stride of a dimension of size 1 leads nowhere, and may be that of another)
            result += distance // s * c
            distance %= s
    return result


def _keep_old_values(node: Node, start: int, old: Tensor) -> None:
    """Where nodes made since `start` saved the tensor that is about to be overwritten, save a copy of it instead."""
    copy, stack, seen = None, [node], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen or node.sequence_nr < start:
            continue
        seen.add(node)
        if any(value is old for value in node.saved):
            if copy is None:
                copy = clone(old)
                copy._requires_grad, copy._grad_fn = old._requires_grad, old._grad_fn
                copy._output_nr, copy._acc = old._output_nr, old._acc
            node.saved = tuple(copy if value is old else value for value in node.saved)
            node.versions = tuple(0 if value is copy else v for value, v in zip(node.saved, node.versions))
        stack.extend(node.next_nodes)


def _keep_written(node: Node, result: Tensor, t: Tensor) -> None:
    """Where `node` saved its result, which has been written into `t`, let it hold `t`'s memory instead.

    So the result is kept once, and a later write to `t` is noticed."""
    if node.unpack_hook is not None:
        return
    storage = result._storage
    for i, value in enumerate(node.saved):
        if value is not None and storage is not None and value._storage is storage and value._size == t._size:
            node.saved = (*node.saved[:i], alias(t), *node.saved[i + 1 :])
            node.versions = (*node.versions[:i], t._version, *node.versions[i + 1 :])


def write_back(t: Tensor, fn, *args, **kwargs) -> Tensor:
    """`t` = `fn(t, ...)`, in t's memory; t may be written."""
    if not mode.enabled:
        return assign(t, fn(t, *args, **kwargs))
    old, start = old_self(t), next_sequence()
    result = fn(old, *args, **kwargs)
    if not result._requires_grad:
        return assign(t, result)
    node = result._grad_fn
    _keep_old_values(node, start, old)
    assign(t, result)
    if node.sequence_nr > start and result._dtype is t._dtype:
        _keep_written(node, result, t)
    return t


def inplace_form(fn, name: str) -> Callable:
    """`x.name(...)`: `fn(x, ...)` written back into x."""
    checked = name not in _UNCHECKED

    @functools.wraps(fn)
    def inplace(self, *args, **kwargs) -> Tensor:
        check_writable(self)
        if checked:
            check_apart(self, args)
        return write_back(self, fn, *args, **kwargs)

    inplace.__name__ = inplace.__qualname__ = name
    return inplace


def resize_out(out: Tensor, size: Size) -> None:
    """Bring an `out=` tensor to `size`; torch warns when it already had elements."""
    if out._size == size:
        return
    if out._size.numel() != 0:
        warnings.warn(
            f"An output with one or more elements was resized since it had shape {list(out._size)}, which does not "
            f"match the required output shape {list(size)}. This behavior is deprecated, and in a future PyTorch "
            "release outputs will not be resized unless they have zero elements. You can explicitly reuse an out tensor "
            "t by resizing it, inplace, to zero elements with t.resize_(0).",
            UserWarning,
            stacklevel=4,
        )
    resize(out, size)


def make_room(t: Tensor, needed: int) -> None:
    """Let the storage of `t` (for all its views) grow to `needed` of its elements where it is smaller."""
    storage = t._storage
    if needed > storage.buffer.size * storage.buffer.itemsize // t._dtype.itemsize:
        grown = np.empty(needed, t._dtype.np)
        old = t._buffer()
        grown[: old.size] = old
        storage.buffer = grown


def resize(t: Tensor, size) -> None:
    """Give `t` a new contiguous size; the storage grows (for all its views) when it is too small."""
    size = Size(size)
    t._get_storage()
    make_room(t, t._offset + size.numel())
    t._size, t._stride, t._flat = size, contiguous_strides(size), None
    t.flat()


def write_out(result: Tensor | tuple, out: Tensor | tuple | list, name: str) -> Tensor | tuple:
    """Write `result` (a tensor or a tuple of them) to `out` and return `out`."""
    if isinstance(result, tuple):
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise TypeError(f"{name}(): argument 'out' must be tuple of Tensors, not {type(out).__name__}")
        written = [write_out(r, o, name) for r, o in zip(result, out)]
        return type(result)(*written) if hasattr(result, "_fields") else tuple(written)
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if mode.enabled and (out._requires_grad or result._requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )
    if not can_cast(result._dtype, out._dtype):
        raise RuntimeError(
            f"result type {result._dtype.type_name} can't be cast to the desired output type {out._dtype.type_name}"
        )
    if out._flat is None and may_overlap(out._size, out._stride):
        raise RuntimeError(_OVERLAP)
    resize_out(out, result._size)
    copy_into(out, result)
    out._bump_version()
    return out
