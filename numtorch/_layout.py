"""How a strided loop walks its operands: dimensions ordered, merged, and packed for a kernel."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ._size import Size, broadcast_sizes, contiguous_strides, expanded_strides, may_overlap


def _order(size, strides) -> list[int]:
    """Dimensions from outer to inner as TensorIterator orders them: by the first operand whose strides decide."""
    dims = list(range(len(size)))

    def outer(i: int, j: int) -> bool | None:
        for stride in strides:
            a, b = stride[i], stride[j]
            if a == 0 or b == 0:
                continue
            if a != b:
                return a > b
            if size[i] != size[j]:
                return size[i] > size[j]
        return None

    # Insertion sort, because the comparison is partial: undecided pairs keep their order.
    for i in range(1, len(dims)):
        j = i
        while j > 0 and outer(dims[j], dims[j - 1]):
            dims[j], dims[j - 1] = dims[j - 1], dims[j]
            j -= 1
    return dims


@lru_cache(maxsize=4096)
def output_strides(size: tuple[int, ...], *strides: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a fresh result: dense, in the order of the operands' dimensions (so x.t() + 1 stays transposed)."""
    result = [0] * len(size)
    step = 1
    for d in reversed(_order(size, strides)):
        result[d] = step
        step *= max(size[d], 1)
    return tuple(result)


@lru_cache(maxsize=4096)
def plan(size: tuple[int, ...], *strides: tuple[int, ...]) -> np.ndarray:
    """`meta` for the strided kernels: [ndim, sizes, strides of each operand], ordered by the last operand's layout.

    Neighbouring dimensions that every operand walks without a gap become one, so most layouts end as one or two.
    """
    order = [d for d in _order(size, (strides[-1], *strides[:-1])) if size[d] != 1]
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d in order:
        if sizes and all(s[-1] == stride[d] * size[d] for s, stride in zip(steps, strides)):
            sizes[-1] *= size[d]
            for s, stride in zip(steps, strides):
                s[-1] = stride[d]
        else:
            sizes.append(size[d])
            for s, stride in zip(steps, strides):
                s.append(stride[d])
    if not sizes:
        sizes = [1]
        steps = [[1] for _ in strides]
    meta = [len(sizes), *sizes]
    for s in steps:
        meta += s
    return np.array(meta, np.int64)


# Elements from one to the next that are read in place: up to here a cache line is read once, not once for each element.
NEAR = 4


# Elements up to which any walk takes less than a second one over what it has computed.
FEW = 2048


class Broadcast(NamedTuple):
    """How two or three operands are walked together: the result's size and strides, and the loop's `meta`."""

    size: Size
    stride: tuple[int, ...]
    numel: int
    meta: np.ndarray
    vectorises: bool  # every operand runs along memory, in short steps, or stands still, in the inner dimension
    turned: bool  # of two operands, the second lies transposed to the first and the result
    lies_flat: bool  # the result is contiguous
    by_row: bool  # of two operands, the first is laid out as the result and the second is a row of it


@lru_cache(maxsize=4096)
def broadcast(*sizes_and_strides: tuple[int, ...]) -> Broadcast:
    """The walk over operands given as size, stride, size, stride, ...; RuntimeError where sizes do not match."""
    sizes, strides = sizes_and_strides[::2], sizes_and_strides[1::2]
    size = broadcast_sizes(*sizes)
    walked = tuple(expanded_strides(n, s, size) for n, s in zip(sizes, strides))
    stride = output_strides(size, *walked)
    meta = plan(size, *walked, stride)
    ndim = meta[0]
    vectorises = all(int(step) <= NEAR for step in meta[2 * ndim :: ndim])
    turned = len(sizes) == 2 and _lies_turned(meta.tolist())
    lies_flat = stride == contiguous_strides(size)
    by_row = lies_flat and len(sizes) == 2 and sizes[0] == size and strides[0] == stride and sizes[1] == size[-1:]
    return Broadcast(size, stride, size.numel(), meta, vectorises, turned, lies_flat, by_row and strides[1] == (1,))


@lru_cache(maxsize=4096)
def walk_into(size: tuple[int, ...], stride: tuple[int, ...], *sizes_and_strides: tuple[int, ...]) -> np.ndarray | None:
    """The `meta` of a loop over operands given as size, stride, size, stride, ... that writes a tensor of this layout.

    None where that tensor has another size than the result, holds an element twice or none, or the loop would not run along
    memory in short steps: then the result is sooner computed by itself and copied."""
    if 0 in size or may_overlap(size, stride):
        return None
    sizes, strides = sizes_and_strides[::2], sizes_and_strides[1::2]
    if any(len(n) > len(size) for n in sizes) or broadcast_sizes(*sizes) != size:
        return None
    meta = plan(size, *[expanded_strides(n, s, size) for n, s in zip(sizes, strides)], stride)
    steps = meta[2 * meta[0] :: meta[0]].tolist()
    near = steps[-1] == 1 and all(step <= NEAR for step in steps)
    return meta if near or prod(size) <= FEW else None


def _lies_turned(meta: list[int]) -> bool:
    """Whether a walk of two operands is that of matrices and transposed ones."""
    ndim = meta[0]
    a, b, out = (meta[1 + ndim * i : 1 + ndim * (i + 1)] for i in (1, 2, 3))
    return ndim > 1 and a[-1] == 1 and out[-1] == 1 and b[-2] == 1 and b[-1] > 1
