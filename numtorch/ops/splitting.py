"""Tensors in several parts: split, chunk, unbind and their relatives, views that share one node."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

from numtorch.graph import Node, mode, next_sequence

from .._device import cpu
from .._registry import op, register
from .._size import Size, wrap_dim
from .._tensor import Tensor, _new
from .._views import make_parts, tracked
from .joining import cat, stack
from .shape import slice_along


class _PartsNode(Node):
    """Gradient of a tensor of which each output is a part: the parts' gradients, put together again."""

    def apply(self, grads):
        known = next((g for g in grads if g is not None), None)
        if known is None:
            return (None,)
        return (self.joined([known.new_zeros(self.part_size(i)) if g is None else g for i, g in enumerate(grads)]),)


class SplitBackward0(_PartsNode):
    def part_size(self, i: int) -> tuple:
        size = self.input_size
        return (*tuple(size[: self.dim]), self.lengths[i], *tuple(size[self.dim + 1 :]))

    def joined(self, grads: list) -> Tensor:
        return cat(grads, self.dim)


class SplitWithSizesBackward0(SplitBackward0):
    pass


class UnbindBackward0(_PartsNode):
    def part_size(self, i: int) -> tuple:
        size = self.input_size
        return (*tuple(size[: self.dim]), *tuple(size[self.dim + 1 :]))

    def joined(self, grads: list) -> Tensor:
        return stack(grads, self.dim)


def _parts(t: Tensor, geometries: tuple, node_class, **arguments) -> tuple[Tensor, ...]:
    """The views of t with each (size, stride, offset from t's own); plain ones are made in one loop."""
    offset = t._offset
    if t._device is not cpu:
        shifted = [(size, stride, offset + away) for size, stride, away in geometries]
        return make_parts(t, shifted, node_class, **arguments)
    storage, dtype, base = t._storage or t._get_storage(), t._dtype, t._base
    if base is None:
        base = t
    node = version = None
    leaves = False
    if tracked(t):
        version = storage.version
        if t._requires_grad and mode.enabled:
            node = _new(node_class)
            node.sequence_nr = next_sequence()
            node.next_nodes = (t._edge(),)
            if t._output_nr:
                node.next_nrs = (t._output_nr,)
            node.input_size = t._size
            node.num_outputs = len(geometries)
            node.__dict__.update(arguments)
        else:
            leaves = t._requires_grad and mode.task is None  # as in track_view
    parts = []
    for size, stride, away in geometries:
        part = _new(Tensor)
        part._flat = None
        part._size, part._stride, part._dtype, part._storage, part._base = size, stride, dtype, storage, base
        away += offset
        if away:
            part._offset = away
        if version is not None:
            part._view_version = version
            if node is not None:
                part._grad_fn = node
                part._requires_grad = True
                if parts:
                    part._output_nr = len(parts)
            elif leaves:
                part._requires_grad = True
        parts.append(part)
    return tuple(parts)


@lru_cache(maxsize=1024)
def _split_geometries(size: tuple, stride: tuple, lengths: tuple[int, ...], d: int) -> tuple:
    before, after, step = tuple(size[:d]), tuple(size[d + 1 :]), stride[d]
    geometries, offset = [], 0
    for n in lengths:
        geometries.append((Size((*before, n, *after)), stride, offset))
        offset += n * step
    return tuple(geometries)


def _split_at(t: Tensor, lengths, d: int, node_class) -> tuple[Tensor, ...]:
    """Parts of the lengths given along dimension d, which they fill."""
    geometries = _split_geometries(t._size, t._stride, tuple(lengths), d)
    return _parts(t, geometries, node_class, dim=d, lengths=lengths) if geometries else ()


@lru_cache(maxsize=1024)
def _equal_lengths(n: int, step: int) -> tuple[int, ...]:
    return tuple([min(step, n - i) for i in range(0, n, step)]) or (0,)


@lru_cache(maxsize=1024)
def _unbound_geometries(size: tuple, stride: tuple, d: int) -> tuple:
    part, steps = Size((*tuple(size[:d]), *tuple(size[d + 1 :]))), (*stride[:d], *stride[d + 1 :])
    return tuple([(part, steps, i * stride[d]) for i in range(size[d])])


@op(aliases=("unsafe_split",))
def split(tensor, split_size_or_sections, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of equal size (the last may be smaller), or of the sizes given."""
    d = wrap_dim(dim, len(tensor._size))
    if not tensor._size:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    n = tensor._size[d]
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_with_sizes(tensor, split_size_or_sections, d)
    step = int(split_size_or_sections)
    if step < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}")
    if step == 0:
        if n != 0:
            raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
        return _split_at(tensor, [0], d, SplitBackward0)
    return _split_at(tensor, _equal_lengths(n, step), d, SplitBackward0)


@op(aliases=("unsafe_split_with_sizes",))
def split_with_sizes(input, split_sizes, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of the sizes given, which must add up to the dimension."""
    d = wrap_dim(dim, len(input._size))
    sizes = [int(n) for n in split_sizes]
    if any(n < 0 for n in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes}"
        )
    if sum(sizes) != input._size[d]:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {input._size[d]} (input tensor's size at dimension "
            f"{d}), but got split_sizes={sizes}"
        )
    return _split_at(input, sizes, d, SplitWithSizesBackward0)


@op(aliases=("unsafe_chunk",))
def chunk(input, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size (the last may be smaller)."""
    if not input._size:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input._size[wrap_dim(dim, len(input._size))]
    step = (n + chunks - 1) // chunks
    if step == 0:
        return split_with_sizes(input, [0] * chunks, dim)
    return split(input, step, dim)


@op()
def unbind(input, dim: int = 0) -> tuple[Tensor, ...]:
    """Every index of a dimension as a tensor of its own."""
    if not input._size:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, len(input._size))
    geometries = _unbound_geometries(input._size, input._stride, d)
    return _parts(input, geometries, UnbindBackward0, dim=d) if geometries else ()


@lru_cache(maxsize=1024)
def _nearly_equal(n: int, sections: int) -> tuple[int, ...]:
    """n in so many sections of which the first may be longer by one."""
    base, extra = divmod(n, sections)
    return (base + 1,) * extra + (base,) * (sections - extra)


@op()
def tensor_split(input, indices_or_sections, dim: int = 0) -> tuple[Tensor, ...]:
    """Nearly equal parts, or parts that end at the indices given."""
    n = len(input._size)
    if n == 0:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = wrap_dim(dim, n)
    length = input._size[d]
    if isinstance(indices_or_sections, Tensor):
        if indices_or_sections._size:
            indices_or_sections = indices_or_sections.tolist()
        else:
            indices_or_sections = int(indices_or_sections.item())
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
        lengths = _nearly_equal(length, sections)
        if not tracked(input):  # (of a tensor in the graph torch makes each part a slice)
            return _split_at(input, lengths, d, SplitBackward0)
        indices = list(accumulate(lengths[:-1]))
    else:
        indices = [int(i) for i in indices_or_sections]
    parts, start = [], 0
    for stop in [*indices, length]:
        first = min(max(start + length if start < 0 else start, 0), length)
        last = min(max(stop + length if stop < 0 else stop, 0), length)
        parts.append(slice_along(input, d, first, max(first, last), 1))
        start = stop
    return tuple(parts)


def _split_along(name: str, dim: int, least: int):
    def call(input, indices_or_sections) -> tuple[Tensor, ...]:
        n = len(input._size)
        if n < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, but got a "
                f"tensor with {n} dimensions!"
            )
        d = 0 if name == "hsplit" and n == 1 else dim
        if isinstance(indices_or_sections, int) and (indices_or_sections == 0 or input._size[d] % indices_or_sections):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {d}, but the size of the dimension {input._size[d]} is "
                f"not divisible by the split_size {indices_or_sections}!"
            )
        return tensor_split(input, indices_or_sections, d)

    call.__name__ = name
    return register(name, call)


hsplit = _split_along("hsplit", 1, 1)
vsplit = _split_along("vsplit", 0, 2)
dsplit = _split_along("dsplit", 2, 3)
