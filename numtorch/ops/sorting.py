"""sort, argsort, msort and topk.

All of them work on rows: the dimension is moved to the end, and kernels/cpu/sorting.py orders keys of its own making.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from numtorch.kernels.cpu import row_selection as _short
from numtorch.kernels.cpu import sorting as _kernels

from .. import return_types
from .._allocator import empty
from .._copy import cast_array, contiguous
from .._device import cpu
from .._dtype import BOOL, COMPLEX, dtype, float32, float64, int64
from .._inplace import write_out
from .._primitive import primitive
from .._registry import op
from .._size import Size, wrap_dim
from .._tensor import Tensor, wrap
from . import positions as at
from .gather_scatter import gather_backward

sort_rows = at.compiled_pair(_short.sort_short_rows, "xbnknnxi")
_topk_rows = at.compiled_pair(_short.topk_rows, "xbnknnnxi")
_new_tuple = tuple.__new__  # past the look of return_types at what they are given
_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
_LAST_KEY = {4: np.full(1, 0xFFFFFFFF, np.uint32), 8: np.full(1, 0xFFFFFFFFFFFFFFFF, np.uint64)}

#: (bits, floating, greatest key) of the dtypes that small calls are made for.
DIRECT = {
    float32: (_INT32, True, _LAST_KEY[4]),
    float64: (_INT64, True, _LAST_KEY[8]),
    int64: (_INT64, False, _LAST_KEY[8]),
}


def bits_to_order(flat: np.ndarray) -> tuple[np.ndarray, bool, np.ndarray]:
    """(bits, floating, greatest key) of a flat array of a real dtype, as kernels/cpu/row_selection.py takes them."""
    d = flat.dtype
    if d.kind == "f":
        return flat.view(np.int32 if d.itemsize == 4 else np.int64), True, _LAST_KEY[d.itemsize]
    if d.itemsize < 4:
        flat = flat.astype(np.int32)
    return flat, False, _LAST_KEY[flat.itemsize]


def values_of_bits(bits: np.ndarray, d: np.dtype) -> np.ndarray:
    """The numbers that `bits_to_order` took apart."""
    return bits.view(d) if d.kind == "f" else bits.astype(d, copy=False)


def is_parallel(rows: int, n: int) -> bool:
    """Whether ordering rows of n elements is worth several threads."""
    return rows > 1 and rows * n * 8 >= at.PARALLEL_ELEMENTS


def by_network(itemsize: int, rows: int, n: int) -> bool:
    """Whether rows of n elements are sorted by `sort_short_rows`: eight of them fit its tile, or there are only few."""
    return n * (4 if rows < _short.FEW_ROWS else max(itemsize, 4)) <= 4 * _short.NETWORK_MAX


def order_rows(keys: np.ndarray, order: np.ndarray, rows: int, n: int) -> None:
    """Sort rows of keys in place; `order` becomes the permutation of each."""
    kernel = _kernels.sort_forward if is_parallel(rows, n) else getattr(_kernels.sort_forward, "serial", None)
    (kernel or _kernels.sort_forward)(keys, order, rows, n)


#: Elements up to which numpy turns a dimension to the end and back: calls are what counts then.
_FEW = 4096


def _exchanged(size: tuple[int, ...], a: int, b: int) -> tuple[int, ...]:
    """A size with two dimensions, a < b, in each other's place."""
    return (*size[:a], size[b], *size[a + 1 : b], size[a], *size[b + 1 :])


class Rows:
    """A tensor as rows of `n` along one dimension, and back."""

    def __init__(self, t: Tensor, dim: int):
        self.tensor, self.dtype = t, t._dtype
        self.scalar = not t._size
        self.dim = wrap_dim(dim, len(t._size))
        last = len(t._size) - 1
        self.size = tuple(t._size)  # with the dimension last
        self.n = t._size[self.dim] if not self.scalar else 1
        if self.dim >= last:
            self.flat = contiguous(t)._flat
        else:
            self.size = _exchanged(self.size, self.dim, last)
            if t._flat is not None and t._flat.size < _FEW:
                self.flat = t._flat.reshape(t._size).swapaxes(self.dim, last).flatten()
            else:
                self.flat = contiguous(t.detach().transpose(self.dim, last))._flat
        self.rows = self.flat.size // self.n if self.n else 0

    def keys(self, descending: bool = False) -> np.ndarray:
        return _kernels.sort_keys(comparable(self.flat, self.dtype), descending)

    def values(self, order: np.ndarray, count: int) -> np.ndarray:
        """The elements at `order` (rows, count)."""
        out = empty(order.size, self.flat.dtype)
        _kernels.take_rows(at.bits_of(self.flat), order, at.bits_of(out), self.rows, self.n, count)
        return out

    def back(self, flat: np.ndarray, d: dtype, count: int) -> Tensor:
        """A flat (rows, count) array as a tensor with `count` elements along the dimension."""
        if self.scalar:
            return wrap(flat, Size(), d)
        size, last = (*self.size[:-1], count), len(self.size) - 1
        if self.dim >= last:
            return wrap(flat, Size(size), d)
        if flat.size < _FEW:
            back = flat.reshape(size).swapaxes(self.dim, last).flatten()
            return wrap(back, Size(_exchanged(size, self.dim, last)), d)
        return contiguous(wrap(flat, Size(size), d).transpose(self.dim, last))


#: Elements up to which the places of a turned tensor are kept: `take` at them is one call of numpy's, the rest five.
_KEPT = 1024


class RowPlan(NamedTuple):
    """A contiguous tensor as rows along one dimension, in the order of the others, and a result of `count` a row."""

    rows: int
    n: int
    size: Size  # of the result
    there: np.ndarray | None  # where the elements of the rows lie; None where they lie in order already
    back: np.ndarray | None  # where those of the result lie in its rows


@lru_cache(maxsize=512)
def row_plan(size: tuple[int, ...], dim: int, count: int = -1) -> RowPlan | None:
    """None where the tensor holds nothing, or is too large to be turned by kept places; `count` < 0 means all."""
    ndim, numel = len(size), prod(size)
    if not numel or not ndim or not -ndim <= dim < ndim:
        return None
    d = dim % ndim
    n = size[d]
    result = Size((*size[:d], n if count < 0 else count, *size[d + 1 :]))
    if prod(size[d + 1 :]) == 1:
        return RowPlan(numel // n, n, result, None, None)
    if numel > _KEPT:
        return None
    turned = (*size[:d], *size[d + 1 :], result[d])
    there = np.moveaxis(np.arange(numel).reshape(size), d, -1).flatten()
    back = np.moveaxis(np.arange(prod(result)).reshape(turned), -1, d).flatten()
    return RowPlan(numel // n, n, result, there, back)


def comparable(flat: np.ndarray, d: dtype) -> np.ndarray:
    """The elements in a dtype that kernels compare (halves as float32)."""
    return flat if d.np == d.compute else cast_array(flat, d, float32)


def _no_complex(t: Tensor, message: str) -> None:
    if t._dtype.category == COMPLEX:
        raise RuntimeError(message)


def _values_back(ctx, grad, indices, dim: int):
    """Gradients of picked elements, back in their places."""
    return gather_backward(grad, dim, indices, ctx.input.shape) if ctx.input.shape else grad


# --- sort ---------------------------------------------------------------------------------------------------


def sorted_rows(flat: np.ndarray, d: dtype, plan: RowPlan, descending: bool) -> tuple[np.ndarray, np.ndarray]:
    """(elements, where they stood) of the rows of a plan, each in order; of a `DIRECT` dtype."""
    rows, n, _, there, _ = plan
    bits, floating, last = DIRECT[d]
    if there is not None:
        flat = flat.take(there)
    out, order = empty(flat.size, bits), empty(flat.size, _INT64)
    sort_rows[is_parallel(rows, n)][bits](flat.view(bits), floating, -1 if descending else 0, last, rows, n, out, order)
    return out.view(flat.dtype), order


def sort_along(input, dim: int, descending: bool) -> return_types.sort:
    """(values, indices) in order along dim, outside the graph; equal elements stay in their order."""
    flat = input._flat
    if flat is not None and input._dtype in DIRECT and input._device is cpu and type(dim) is int:
        plan = row_plan(input._size, dim)
        if plan is not None and by_network(flat.itemsize, plan[0], plan[1]):
            _, _, size, _, back = plan
            values, order = sorted_rows(flat, input._dtype, plan, descending)
            if back is not None:
                values, order = values.take(back), order.take(back)
            return _new_tuple(return_types.sort, (wrap(values, size, input._dtype), wrap(order, size, int64)))
    _no_complex(input, " Sort does not support complex dtypes on CPU")
    rows = Rows(input, dim)
    order = empty(rows.flat.size, _INT64)
    if rows.flat.size and by_network(input._dtype.itemsize, rows.rows, rows.n):
        flat = comparable(rows.flat, input._dtype)
        bits, floating, last = bits_to_order(flat)
        out = empty(bits.size, bits.dtype)
        kernel = sort_rows[is_parallel(rows.rows, rows.n)][bits.dtype]
        kernel(bits, floating, -1 if descending else 0, last, rows.rows, rows.n, out, order)
        values = values_of_bits(out, flat.dtype)
        if flat is not rows.flat:
            values = cast_array(values, float32, input._dtype)
        return return_types.sort(rows.back(values, input._dtype, rows.n), rows.back(order, int64, rows.n))
    if input._dtype is int64 and rows.flat.size:
        low = int(rows.flat.min())
        if int(rows.flat.max()) - low < 1 << 32:
            keys, flip = np.empty(order.size, np.uint32), -1 if descending else 0
            _kernels.keys_in_range(rows.flat, low, keys, flip)
            order_rows(keys, order, rows.rows, rows.n)
            values = empty(order.size, _INT64)
            _kernels.values_in_range(keys, low, flip, values)
            return return_types.sort(rows.back(values, int64, rows.n), rows.back(order, int64, rows.n))
    order_rows(rows.keys(descending), order, rows.rows, rows.n)
    return return_types.sort(
        rows.back(rows.values(order, rows.n), input._dtype, rows.n), rows.back(order, int64, rows.n)
    )


# One computation under torch's two names: its node tells whether `stable` was given.
_sort = primitive("sort", node="SortBackward0", save=("result1",), nondifferentiable=(1,), public=False)(sort_along)
_sort.derivative(input=lambda ctx, grad: _values_back(ctx, grad, ctx.result1, ctx.dim))
_sort_stable = primitive("sort", node="SortBackward1", save=("result1",), nondifferentiable=(1,), public=False)(
    sort_along
)
_sort_stable.derivative(input=lambda ctx, grad: _values_back(ctx, grad, ctx.result1, ctx.dim))


@op(out=True)
def sort(input, dim: int = -1, descending: bool = False, stable: bool | None = None) -> return_types.sort:
    """(values, indices) in ascending (or descending) order along dim; nan is last.

    Equal elements keep their order whether `stable` asks for it or not."""
    if type(dim) is bool:
        dim, descending = -1, dim
    if not input._requires_grad:
        return sort_along(input, dim, bool(descending))
    return (_sort if stable is None else _sort_stable)(input, dim, bool(descending))


@op()
def argsort(input, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort `input` along dim."""
    if type(dim) is bool:
        dim, descending = -1, dim
    return sort_along(input, dim, bool(descending))[1]


@op(out=True)
def msort(input) -> Tensor:
    """`input` sorted along its first dimension."""
    return (_sort if input._requires_grad else sort_along)(input, 0, False)[0]


# --- topk, kthvalue, median, mode ---------------------------------------------------------------------------


# Where more than this share of a long row is wanted, it is sorted as a whole.
_SORT_SHARE = 64


def _largest(input, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> return_types.topk:
    flat = input._flat
    if flat is not None and input._dtype in DIRECT and input._device is cpu and type(dim) is type(k) is int:
        plan = row_plan(input._size, dim, k) if k > 0 else None
        if plan is not None and k <= plan[1] and k <= _short.NETWORK_MAX:
            rows, n, size, there, back = plan
            bits, floating, last = DIRECT[input._dtype]
            if there is not None:
                flat = flat.take(there)
            out, order = np.empty(rows * k, bits), np.empty(rows * k, np.int64)
            kernel = _topk_rows[is_parallel(rows, n)][bits]
            kernel(flat.view(bits), floating, -1 if largest else 0, last, rows, n, k, out, order)
            if back is not None:
                out, order = out.take(back), order.take(back)
            pair = wrap(out.view(flat.dtype), size, input._dtype), wrap(order, size, int64)
            return _new_tuple(return_types.topk, pair)
    _no_complex(input, " topk does not support complex dtypes on CPU")
    if input._dtype.category == BOOL:
        raise RuntimeError("topk does not support bool dtypes on CPU")
    rows = Rows(input, dim)
    if not 0 <= k <= rows.n:
        raise RuntimeError("selected index k out of range")
    if rows.scalar:
        k = 1
    order = np.empty(rows.rows * k, np.int64)
    if k > _short.NETWORK_MAX and k * _SORT_SHARE > rows.n:
        full = empty(rows.flat.size, _INT64)
        order_rows(rows.keys(bool(largest)), full, rows.rows, rows.n)
        order = np.ascontiguousarray(full.reshape(rows.rows, rows.n)[:, :k]).reshape(-1)
    elif order.size:
        flat = comparable(rows.flat, input._dtype)
        bits, floating, last = bits_to_order(flat)
        out = np.empty(order.size, bits.dtype)
        kernel = _topk_rows[is_parallel(rows.rows, rows.n)][bits.dtype]
        kernel(bits, floating, -1 if largest else 0, last, rows.rows, rows.n, k, out, order)
        values = values_of_bits(out, flat.dtype)
        if flat is not rows.flat:
            values = cast_array(values, float32, input._dtype)
        return return_types.topk(rows.back(values, input._dtype, k), rows.back(order, int64, k))
    return return_types.topk(rows.back(rows.values(order, k), input._dtype, k), rows.back(order, int64, k))


_topk = primitive("topk", node="TopkBackward0", save=("result1",), nondifferentiable=(1,), public=False)(_largest)
_topk.derivative(input=lambda ctx, grad: _values_back(ctx, grad, ctx.result1, ctx.dim))


@op()
def topk(input, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out=None) -> return_types.topk:
    """(values, indices) of the k largest (or smallest) elements along dim, in order."""
    found = (_topk if input._requires_grad else _largest)(input, k, dim, largest, sorted)
    return found if out is None else write_out(found, out, "topk")
