"""Sizes and strides of views: what transpose, permute, squeeze, expand, ... make of a tensor's geometry.

Each is computed once for every combination that a program meets; a training loop meets the same few.
`typed` keeps `dim=True` and `dim=1.0` apart from `dim=1`.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

from ._size import Size, expanded_strides, infer_size, view_strides, wrap_dim, wrap_dims


def _swap(values: tuple, i: int, j: int) -> tuple:
    swapped = list(values)
    swapped[i], swapped[j] = swapped[j], swapped[i]
    return tuple(swapped)


@lru_cache(maxsize=4096)
def reshaped(size: tuple, stride: tuple, shape: tuple) -> tuple[Size, tuple[int, ...] | None]:
    """(size, stride) of a view of such a tensor under `shape`; stride None where only a copy can."""
    new_size = infer_size(shape, size.numel())
    return new_size, view_strides(size, stride, new_size)


@lru_cache(maxsize=4096, typed=True)
def flattened(size: tuple, start_dim: int, end_dim: int) -> tuple | None:
    """The shape with the dimensions start_dim to end_dim as one; None where it stays as it is."""
    n = len(size)
    start, end = wrap_dim(start_dim, n), wrap_dim(end_dim, n)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if n == 0:
        return (1,)
    if start == end:
        return None
    return (*size[:start], prod(size[start : end + 1]), *size[end + 1 :])


@lru_cache(maxsize=4096, typed=True)
def transposed(size: tuple, stride: tuple, dim0: int, dim1: int) -> tuple[Size, tuple[int, ...], int, int]:
    """(size, stride, dim0, dim1) with two dimensions swapped and the dims counted from the front."""
    n = len(size)
    i, j = wrap_dim(dim0, n), wrap_dim(dim1, n)
    if n == 0:
        return size, stride, 0, 0
    return Size(_swap(size, i, j)), _swap(stride, i, j), i, j


@lru_cache(maxsize=4096)
def permuted(size: tuple, stride: tuple, dims: tuple) -> tuple[Size, tuple[int, ...], tuple[int, ...]]:
    """(size, stride, dims) with the dimensions in the order `dims`, which are counted from the front."""
    n = len(size)
    if len(dims) != n:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {n} is not equal to len(dims) = {len(dims)}"
        )
    try:
        dims = wrap_dims(dims, n)
    except RuntimeError as error:
        raise RuntimeError("permute(): duplicate dims are not allowed.") from error
    return Size([size[d] for d in dims]), tuple([stride[d] for d in dims]), dims


@lru_cache(maxsize=4096)
def moved(n: int, source: tuple, destination: tuple) -> tuple[int, ...]:
    """The order of n dimensions after moving some of them."""
    src, dst = wrap_dims(source, n), wrap_dims(destination, n)
    if len(src) != len(dst):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source "
            f"({list(src)} dims) should contain the same number of dims as destination ({list(dst)} dims)"
        )
    if not n:
        return ()
    order = [-1] * n
    for s, d in zip(src, dst):
        order[d] = s
    rest = iter(d for d in range(n) if d not in src)
    return tuple([next(rest) if d == -1 else d for d in order])


@lru_cache(maxsize=4096, typed=True)
def unsqueezed(size: tuple, stride: tuple, dim: int) -> tuple[Size, tuple[int, ...], int]:
    n = len(size)
    d = wrap_dim(dim, n + 1)
    step = size[d] * stride[d] if d < n else 1
    return Size((*size[:d], 1, *size[d:])), (*stride[:d], step, *stride[d:]), d


@lru_cache(maxsize=4096, typed=True)
def squeezed(size: tuple, stride: tuple, dim) -> tuple[Size, tuple[int, ...]]:
    n = len(size)
    if dim is None:
        keep = [i for i in range(n) if size[i] != 1]
    else:
        dims = wrap_dims((dim,) if isinstance(dim, int) else dim, n)
        keep = [i for i in range(n) if not (i in dims and size[i] == 1)]
    return Size([size[i] for i in keep]), tuple([stride[i] for i in keep])


class NotExpandable(RuntimeError):
    """Carries a message in which TYPE stands for the tensor's type."""


@lru_cache(maxsize=4096)
def expanded(old: tuple, stride: tuple, sizes: tuple) -> tuple[Size, tuple[int, ...]]:
    """(size, stride) of a tensor expanded to `sizes`; RuntimeError where that cannot be."""
    lead = len(sizes) - len(old)
    if lead < 0:
        raise NotExpandable(
            f"expand(TYPE{{{list(old)}}}, size={list(sizes)}): the number of sizes provided ({len(sizes)}) must "
            f"be greater or equal to the number of dimensions in the tensor ({len(old)})"
        )
    target = []
    for i, n in enumerate(sizes):
        have = old[i - lead] if i >= lead else None
        if n == -1:
            if have is None:
                raise RuntimeError(
                    f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing dimension {i}"
                )
            n = have
        elif n < 0:
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing dimension {i}"
            )
        elif have is not None and have != n and have != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at non-singleton dimension "
                f"{i}.  Target sizes: {list(sizes)}.  Tensor sizes: {list(old)}"
            )
        target.append(n)
    target = Size(target)
    return target, expanded_strides(old, stride, target)


@lru_cache(maxsize=4096)
def without(size: tuple, stride: tuple, d: int) -> tuple[Size, tuple[int, ...]]:
    return Size((*size[:d], *size[d + 1 :])), (*stride[:d], *stride[d + 1 :])


@lru_cache(maxsize=4096)
def sliced(size: tuple, stride: tuple, dim: int, count: int, step: int) -> tuple[Size, tuple[int, ...]]:
    if step != 1:
        stride = (*stride[:dim], stride[dim] * step, *stride[dim + 1 :])
    return Size((*size[:dim], count, *size[dim + 1 :])), stride


@lru_cache(maxsize=4096, typed=True)
def diagonal(
    size: tuple, stride: tuple, offset: int, dim1: int, dim2: int
) -> tuple[Size, tuple[int, ...], int, int, int]:
    """(size, stride, offset within the tensor, dim1, dim2) of a diagonal."""
    n = len(size)
    d1, d2 = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if d1 == d2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = size[d1], size[d2]
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    start = 0
    if count:
        start = offset * stride[d2] if offset >= 0 else -offset * stride[d1]
    keep = [d for d in range(n) if d not in (d1, d2)]
    return (
        Size([*[size[d] for d in keep], count]),
        (*[stride[d] for d in keep], stride[d1] + stride[d2]),
        start,
        d1,
        d2,
    )
