"""Sums, products, extremes and truths of tensors on the GPU."""

from __future__ import annotations

from math import prod

import numpy as np

from numtorch.kernels.cpu import extremes as _cpu_extremes
from numtorch.kernels.cpu import reductions as _cpu
from numtorch.kernels.cuda import reductions as _kernels

from .._dtype import dtype, int64
from .._tensor import Tensor
from ..ops.reducing import collapse, compute_dtype, reduced_size
from ._devices import activate
from ._memory import allocate
from ._missing import not_on_cuda
from ._tensors import contiguous, elements, fresh
from ._transfer import cast, fill_on_cuda

_k = _kernels
# CPU kernels -> what the GPU folds with: (of each element, the step, where it starts)
_FOLDS = {
    id(_cpu.SUM): (_k.itself, _k.add, 0),
    id(_cpu.SUM_INT64): (_k.itself, _k.add, 0),
    id(_cpu.NANSUM): (_k.without_nan, _k.add, 0),
    id(_cpu.PROD): (_k.itself, _k.multiply, 1),
    id(_cpu.PROD_INT64): (_k.itself, _k.multiply, 1),
    id(_cpu.ANY): (_k.nonzero, _k.either, False),
    id(_cpu.ALL): (_k.nonzero, _k.both, True),
    id(_cpu.COUNT_NONZERO): (_k.nonzero, _k.add, 0),
    id(_cpu.AMAX): (_k.itself, _k.greatest, "lowest"),
    id(_cpu.AMIN): (_k.itself, _k.least, "highest"),
}


def _start(start, d: np.dtype):
    """Where a fold over elements of `d` starts: what changes no result."""
    if not isinstance(start, str):
        return start
    low, high = (-np.inf, np.inf) if d.kind == "f" else (np.iinfo(d).min, np.iinfo(d).max)
    return low if start == "lowest" else high


def reduce_on_cuda(t: Tensor, dims, keepdim: bool, kernels, computed: dtype, empty) -> Tensor:
    """`ops.reducing.reduce` for a tensor on the GPU."""
    if id(kernels) not in _FOLDS:
        raise not_on_cuda()
    of, combine, start = _FOLDS[id(kernels)]
    result = fresh(reduced_size(t._size, dims, keepdim), computed, t._device)
    if t._size.numel() == 0:
        fill_on_cuda(result, empty)
        return result
    x = cast(t, compute_dtype(t._dtype))
    shape = collapse(x._size, dims)
    if shape is None:
        kept = [d for d in range(x.ndim) if d not in dims]
        x = x.detach().permute(*kept, *dims)
        n = prod(t._size[d] for d in dims)
        shape = (t._size.numel() // n, n, 1)
    flat = elements(contiguous(x))
    activate(t._device)
    kept_alive = []

    def scratch(count: int):
        kept_alive.append(allocate(count, computed.np, t._device))
        return kept_alive[-1].memory

    _kernels.fold(flat, *shape, elements(result), combine, _start(start, computed.np), of, scratch)
    return result


def extreme_on_cuda(t: Tensor, size, shape, kernels) -> tuple[Tensor, Tensor]:
    """(values, places) of the extremes over the middle of `shape` (outer, n, inner), in the dtype computed in."""
    x = contiguous(cast(t, compute_dtype(t._dtype)))
    values, places = fresh(size, x._dtype, t._device), fresh(size, int64, t._device)
    if x._size.numel():
        activate(t._device)
        largest = kernels is _cpu_extremes.MAX
        _kernels.extreme_forward(elements(x), *shape, elements(values), elements(places), largest)
    return values, places
