"""Pooling of tensors on the GPU, over the windows of ops/pooling_windows.py."""

from __future__ import annotations

from numtorch.kernels.cuda import pooling as _kernels
from numtorch.kernels.cuda.gather_scatter import first_bad_index

from .._dtype import dtype, int64
from .._tensor import Tensor
from ..ops.spatial import compute_dtype, triple
from ._devices import activate
from ._indexing import adding_dtype
from ._tensors import common_device, contiguous, elements, fresh, on_device, to_host
from ._transfer import cast, filled


def _prepared(t: Tensor, d: dtype | None = None):
    activate(t._device)
    return elements(contiguous(cast(t, d or compute_dtype(t._dtype))))


def max_pool(input: Tensor, windows, size) -> tuple[Tensor, Tensor]:
    """(maximum, place in its plane) of every window."""
    d = compute_dtype(input._dtype)
    out, index = fresh(size, d, input._device), fresh(size, int64, input._device)
    if out._size.numel():
        src, dst, step = triple(windows.src, 1), triple(windows.dst, 1), triple(windows.step, 1)
        table = on_device(windows.table, input._device)
        _kernels.max_pool_forward(_prepared(input), src, dst, step, table, elements(out), elements(index))
    return cast(out, input._dtype), index


def average_pool(input: Tensor, windows, size) -> Tensor:
    """The mean of every window."""
    out = fresh(size, compute_dtype(input._dtype), input._device)
    if out._size.numel():
        src, dst = triple(windows.src, 1), triple(windows.dst, 1)
        table = on_device(windows.table, input._device)
        _kernels.average_pool_forward(_prepared(input), src, dst, table, windows.divisor, elements(out))
    return cast(out, input._dtype)


def share_out(grad: Tensor, windows, size) -> Tensor:
    """Every element of grad, divided by its count, added over its window."""
    out = filled(size, 0, compute_dtype(grad._dtype), grad._device)
    if grad._size.numel():
        src, dst = triple(windows.src, 1), triple(windows.dst, 1)
        table = on_device(windows.table, grad._device)
        _kernels.average_pool_backward(_prepared(grad), src, dst, table, windows.divisor, elements(out))
    return cast(out, grad._dtype)


def by_index(kind: str, value: Tensor, index: Tensor, count: int, plane: int, size) -> tuple[Tensor | None, int]:
    """(result, the first bad index or -1) of "add", "put" and "take" at places in planes of `plane` elements."""
    where = common_device((value, index))
    places = _prepared(index, int64)
    bad = first_bad_index(places, plane) if index._size.numel() else -1
    if bad >= 0:
        return None, int(to_host(places[bad : bad + 1])[0])
    d = adding_dtype(value._dtype, "max_pool") if kind == "add" else compute_dtype(value._dtype)
    out = fresh(size, d, where) if kind == "take" else filled(size, 0, d, where)
    if value._size.numel() and out._size.numel():
        kernel = {"add": _kernels.add_by_index, "put": _kernels.put_by_index, "take": _kernels.take_by_index}[kind]
        kernel(_prepared(value, d), places, count, plane, elements(out))
    return cast(out, value._dtype), -1
