"""The `_copy` forms of views: the same result in memory of its own; and elements repeated one by one."""

from __future__ import annotations

import functools
import itertools
from math import comb, prod

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu import sequences as _kernels

from .._compiled import Compiled
from .._copy import contiguous
from .._device import cpu
from .._dtype import int64
from .._registry import op, register
from .._size import wrap_dim
from .._tensor import Tensor, wrap
from . import shape, splitting
from .block_writes import rows_repeated
from .joining import meshgrid, stack
from .sequences import arange
from .triangular import triangle_flat

_repeats_in_all = Compiled(_kernels.repeats_in_all, "i")
_repeat_places = Compiled(_kernels.repeat_places, "ii")


def _copied(result):
    return tuple(_copied(r) for r in result) if isinstance(result, tuple) else result.contiguous().clone()


def _copy_form(view):
    @functools.wraps(view)
    def call(*args, **kwargs):
        return _copied(view(*args, **kwargs))

    call.__name__ = call.__qualname__ = view.__name__.strip("_") + "_copy"
    call.__doc__ = f"`{view.__name__}`, copied."
    return call


for _view in (
    shape.as_strided,
    shape.diagonal,
    shape.expand,
    shape.narrow,
    shape.permute,
    shape.select,
    splitting.split,
    splitting.split_with_sizes,
    shape.squeeze,
    shape.t,
    shape.transpose,
    splitting.unbind,
    shape.unfold,
    shape.unsqueeze,
    shape.view,
):
    # Only narrow_copy is a method in torch.
    register(_view.__name__ + "_copy", _copy_form(_view), out=True, method=_view is shape.narrow)


@op(method=False, out=True)
def alias_copy(input) -> Tensor:
    """A copy of `input`."""
    return input.clone()


@op()
def repeat_interleave(input, repeats=None, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element repeated: `repeats` times, or as often as a tensor of counts says, along `dim` (None: flattened).

    With counts alone, the index of each repetition.
    """
    if repeats is None:
        if len(input._size) != 1:
            raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
        return repeat_interleave(arange(input._size[0]), input, 0)
    if dim is None:
        input, dim = input.reshape(-1), 0
    d = wrap_dim(dim, len(input._size))
    if not input._size:
        input = input.reshape(1)
    n = input._size[d]
    if isinstance(repeats, Tensor) and repeats._size.numel() == 1:
        repeats = int(repeats.item())
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        flat = input._flat
        plain = repeats.__class__ is int and not input._requires_grad and input._device is cpu
        if plain and flat is not None and flat.size:
            rows = rows_repeated(flat, prod(input._size[d + 1 :]), repeats)
            if rows is not None:
                return wrap(rows, (*input._size[:d], n * repeats, *input._size[d + 1 :]), input._dtype)
        expanded = input.unsqueeze(d + 1).expand((*input._size[: d + 1], repeats, *input._size[d + 1 :]))
        return expanded.clone().reshape((*input._size[:d], n * repeats, *input._size[d + 1 :]))
    if len(repeats._size) != 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    if repeats._size[0] != n:
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {repeats._size[0]} and "
            f"input.size({d}) = {n}"
        )
    counts = contiguous(repeats.long())._flat
    total = _repeats_in_all[counts.dtype](counts)
    if total < 0:
        raise RuntimeError("repeats can not be negative")
    index = np.empty(total, np.int64)
    _repeat_places[index.dtype](counts, index)
    index = wrap(index, (total,), int64)
    return input.index_select(d, index)


def _is_plain_vector(t, d) -> bool:
    """Whether this is a contiguous vector of the dtype on the CPU that nothing is recorded of."""
    plain = t.__class__ is Tensor and t._dtype is d and len(t._size) == 1 and t._device is cpu
    return plain and t.flat() is not None and not (t._requires_grad and mode.enabled)


@op(method=False)
def cartesian_prod(*tensors) -> Tensor:
    """All combinations of one element of each vector, a row each."""
    for t in tensors:
        if len(t._size) != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t._size)}")
    if len(tensors) == 1:
        return tensors[0]
    if all(_is_plain_vector(t, tensors[0]._dtype) for t in tensors):
        sizes = [t._flat.size for t in tensors]
        out = np.empty((*sizes, len(sizes)), tensors[0]._dtype.np)
        for i, t in enumerate(tensors):
            out[..., i] = t._flat.reshape((-1,) + (1,) * (len(sizes) - 1 - i))
        return wrap(out.reshape(-1), (prod(sizes), len(sizes)), tensors[0]._dtype)
    grids = meshgrid(*tensors, indexing="ij")
    return stack([g.reshape(-1) for g in grids], 1)


@op(method=False)
def combinations(input, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of r elements of a vector, a row each."""
    if len(input._size) != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input._size)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty(0)
    n = input._size[0]
    if r == 2:
        places = triangle_flat(n, n, 0 if with_replacement else 1, True, as_pairs=True)
    else:
        choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
        count = comb(n + r - 1, r) if with_replacement and n else comb(n, r)
        places = np.fromiter(itertools.chain.from_iterable(choose(range(n), r)), np.int64, count * r)
    if not places.size:
        return input.new_empty(0, r)
    return input[wrap(places, (places.size // r, r), int64)]
