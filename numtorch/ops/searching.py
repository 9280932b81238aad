"""Unique elements and binary search: unique, unique_consecutive, searchsorted, bucketize, isin."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cpu import sorting as _kernels
from numtorch.kernels.cpu.row_selection import NETWORK_MAX

from .._allocator import empty
from .._copy import cast_array, contiguous
from .._derivatives import record_undifferentiable, undifferentiable
from .._dtype import BOOL, COMPLEX, INTEGRAL, bool_, float32, float64, int32, int64, promote_types
from .._inplace import write_out
from .._promotion import result_type
from .._registry import op
from .._size import wrap_dim
from .._tensor import Tensor, wrap
from . import positions as at
from .masking import true_positions
from .sorting import bits_to_order, comparable, order_rows, sort_rows, values_of_bits

_INT64 = np.dtype(np.int64)

# --- unique -------------------------------------------------------------------------------------------------


_UNIQUE = undifferentiable("Unique2Backward0", "_unique2")
_UNIQUE_CONSECUTIVE = undifferentiable("UniqueConsecutiveBackward0", "unique_consecutive")
_UNIQUE_DIM = undifferentiable("UniqueDimBackward0", "unique_dim")


def _pick(found: tuple, return_inverse: bool, return_counts: bool):
    values, inverse, counts = found
    if not return_inverse and not return_counts:
        return values
    return (values, *((inverse,) if return_inverse else ()), *((counts,) if return_counts else ()))


def _sorted_flat(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the elements in order, where each of them stood)."""
    n, order = flat.size, empty(flat.size, _INT64)
    if 0 < n <= NETWORK_MAX:
        bits, floating, last = bits_to_order(flat)
        out = np.empty(n, bits.dtype)
        sort_rows[False][bits.dtype](bits, floating, 0, last, 1, n, out, order)
        return values_of_bits(out, flat.dtype), order
    order_rows(_kernels.sort_keys(flat), order, 1, n)
    return _take(flat, order), order


def _take(flat: np.ndarray, order: np.ndarray) -> np.ndarray:
    out = empty(order.size, flat.dtype)
    if order.size:
        _kernels.take_rows(at.bits_of(flat), order, at.bits_of(out), 1, flat.size, order.size)
    return out


def _runs_of_elements(compared: np.ndarray, return_inverse: bool, return_counts: bool):
    """(first positions, inverse if wanted, counts if wanted) of the runs of equal elements."""
    first, inverse = np.empty(compared.size, np.int64), np.empty(compared.size if return_inverse else 0, np.int64)
    runs = _kernels.unique_consecutive_forward(compared, first, inverse)
    first = first[:runs]
    return first, inverse, np.diff(first, append=compared.size) if return_counts else first[:0]


#: Integers are counted, not sorted, where they lie in a range of at most this many values, or of as many as they are.
_COUNTED_RANGE = 1 << 16


def _counted(flat: np.ndarray, return_inverse: bool):
    """(values, inverse, counts) of integers of a small range; None for others."""
    if not flat.size or flat.dtype.kind not in "iu":
        return None
    low, high = int(flat.min()), int(flat.max())
    if high - low >= max(_COUNTED_RANGE if flat.size >= 1024 else 0, flat.size):
        return None
    bins = np.zeros(high - low + 1, np.int64)
    _kernels.count_values(flat, low, bins)
    present = true_positions(bins != 0)
    inverse = np.empty(flat.size if return_inverse else 0, np.int64)
    counts = bins[present]
    if return_inverse:
        bins[present] = np.arange(present.size)
        _kernels.rank_values(flat, low, bins, inverse)
    return (present + low).astype(flat.dtype), inverse, counts


def _runs_of_parts(t: Tensor, dim: int, in_order: bool):
    """(values, inverse, counts) of equal parts along dim: all of them if `in_order` is false, else neighbours."""
    rows = contiguous(t.movedim(dim, 0))
    count = rows._size[0]
    width = rows._flat.size // count if count else 0
    compared = comparable(rows._flat, t._dtype)
    order = np.arange(count)
    if not in_order:
        # Sorting by the last element first, stably, leaves the parts in lexicographic order.
        for j in range(width - 1, -1, -1):
            column = np.ascontiguousarray(compared.reshape(count, width)[order, j])
            order = order[_sorted_flat(column)[1]]
    first, inverse, counts = (np.empty(count, np.int64) for _ in range(3))
    laid = np.ascontiguousarray(compared.reshape(count, width)[order]).reshape(-1)
    runs = _kernels.unique_consecutive_rows(laid, count, width, first, inverse, counts)
    places = np.empty(count, np.int64)
    _kernels.scatter_inverse(order, inverse, places)
    chosen = wrap(order[first[:runs]].astype(np.int64), (runs,), int64)
    values = t.detach().index_select(dim, chosen)
    record_undifferentiable(_UNIQUE_CONSECUTIVE if in_order else _UNIQUE_DIM, values, t)
    return values, wrap(places, (count,), int64), wrap(counts[:runs].copy(), (runs,), int64)


def _no_complex(t: Tensor) -> None:
    if t._dtype.category == COMPLEX:
        raise NotImplementedError(f"\"unique\" not implemented for '{t._dtype.type_name}'")


@op()
def unique(
    input,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """The distinct elements (or parts along dim) in ascending order.

    With return_inverse also where each element of input went, with return_counts how often each occurs."""
    _no_complex(input)
    if dim is not None:
        d = wrap_dim(dim, len(input._size))
        return _pick(
            _runs_of_parts(input if input._size else input.reshape(1), d, False),
            return_inverse,
            return_counts,
        )
    flat = contiguous(input)._flat
    compared = comparable(flat, input._dtype)
    counted = _counted(flat, return_inverse) if input._dtype.category <= INTEGRAL else None
    if counted is not None:
        values, inverse, counts = counted
    else:
        ordered, order = _sorted_flat(compared)
        first, inverse, counts = _runs_of_elements(ordered, return_inverse, return_counts)
        if return_inverse:
            places = empty(flat.size, _INT64)
            _kernels.scatter_inverse(order, inverse, places)
            inverse = places
        values = _take(ordered, first) if compared is flat else _take(flat, _take(order, first))
    values = record_undifferentiable(_UNIQUE, wrap(values, (values.size,), input._dtype), input)
    places = wrap(inverse, input._size, int64) if return_inverse else None
    return _pick((values, places, wrap(counts, (counts.size,), int64)), return_inverse, return_counts)


@op()
def unique_consecutive(
    input, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Tensor | tuple[Tensor, ...]:
    """The elements (or parts along dim) without those that equal the one before."""
    _no_complex(input)
    if dim is not None:
        d = wrap_dim(dim, len(input._size))
        return _pick(_runs_of_parts(input if input._size else input.reshape(1), d, True), return_inverse, return_counts)
    flat = contiguous(input)._flat
    if not return_inverse and not return_counts and input._dtype.np == input._dtype.compute:
        kept = empty(flat.size, flat.dtype)
        runs = _kernels.unique_consecutive_values(flat, kept)
        kept = kept[:runs] if 2 * runs > kept.size else kept[:runs].copy()
        return record_undifferentiable(_UNIQUE_CONSECUTIVE, wrap(kept, (runs,), input._dtype), input)
    first, inverse, counts = _runs_of_elements(comparable(flat, input._dtype), return_inverse, return_counts)
    values = record_undifferentiable(_UNIQUE_CONSECUTIVE, wrap(_take(flat, first), (first.size,), input._dtype), input)
    places = wrap(inverse, input._size, int64) if return_inverse else None
    return _pick((values, places, wrap(counts, (counts.size,), int64)), return_inverse, return_counts)


# --- binary search ------------------------------------------------------------------------------------------


def _common(a: Tensor, b: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The elements of both in one dtype that kernels compare."""
    d = promote_types(a._dtype, b._dtype)
    if d.np != d.compute:
        d = float32
    return tuple(cast_array(contiguous(t)._flat, t._dtype, d) for t in (a, b))


_NO_SORTER = np.empty(0, np.int64)
_searchsorted = at.compiled_pair(_kernels.searchsorted_forward, "xxinnnbbi")
_isin = at.compiled_pair(_kernels.isin_sorted, "xxm")
_COMPARED_AS_THEY_ARE = frozenset({float32, float64, int64})
#: Searches that several threads share: some 10 ns each.
_PARALLEL_SEARCH = 1 << 14


def _side(side: str | None, right: bool) -> bool:
    if side is None:
        return bool(right)
    if side not in ("left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    return side == "right"


def _sorter_flat(sorter: Tensor | None, boundaries: Tensor) -> np.ndarray:
    if sorter is None:
        return _NO_SORTER
    if sorter._size != boundaries._size:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
            f"{list(boundaries._size)} and got sorter tensor {list(sorter._size)}"
        )
    if sorter._dtype is not int64:
        raise RuntimeError(
            f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {sorter._dtype.type_name}"
        )
    flat = contiguous(sorter)._flat
    if at.first_bad(flat, boundaries._size[-1] if boundaries._size else 1) is not None:
        raise IndexError("torch.searchsorted(): sorter index out of range")
    return flat


def _search(boundaries: Tensor, values: Tensor, right: bool, sorter: np.ndarray, out_int32: bool) -> Tensor:
    shared = len(boundaries._size) <= 1
    bounds, wanted = boundaries._flat, values._flat
    if (
        shared
        and values._dtype is boundaries._dtype in _COMPARED_AS_THEY_ARE
        and bounds.__class__ is wanted.__class__ is np.ndarray
        and wanted.size
        and sorter is _NO_SORTER
        and not out_int32
    ):
        out = np.empty(wanted.size, np.int64)
        kernel = _searchsorted[out.size >= _PARALLEL_SEARCH][bounds.dtype]
        kernel(bounds, wanted, sorter, 1, bounds.size, wanted.size, True, right, out)
        return wrap(out, values._size, int64)
    n = boundaries._size[-1] if boundaries._size else 1
    bounds, wanted = _common(boundaries, values)
    count = values._size[-1] if values._size and not shared else wanted.size
    rows = 1 if shared else (wanted.size // count if count else 0)
    out = np.empty(wanted.size, np.int32 if out_int32 else np.int64)
    if out.size:
        kernel = _kernels.searchsorted_forward
        if not out_int32:
            kernel = _searchsorted[out.size >= _PARALLEL_SEARCH][bounds.dtype]
        kernel(bounds, wanted, sorter, rows, n, count, shared, right, out)
    return wrap(out, values._size, int32 if out_int32 else int64)


def places_behind(bounds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value would go in the ascending bounds, behind equal ones: arrays of one dtype, flat and contiguous."""
    out = np.empty(values.size, np.int64)
    kernel = _searchsorted[out.size >= _PARALLEL_SEARCH][bounds.dtype]
    kernel(bounds, values, _NO_SORTER, 1, bounds.size, values.size, True, True, out)
    return out


def _number_tensor(value) -> Tensor:
    from .from_data import tensor

    return tensor(value)


@op(method=False)
def searchsorted(
    sorted_sequence, input, *, out_int32: bool = False, right: bool = False, side=None, sorter=None, out=None
) -> Tensor:
    """Where each element of input would go in the ascending last dimension of sorted_sequence.

    Before equal elements, or after them with right=True (side="right")."""
    after = _side(side, right)
    number = not isinstance(input, Tensor)
    if number:
        input = _number_tensor(input)
    own, given = sorted_sequence._size, input._size
    if not given and len(own) != 1:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got "
            f"boundaries tensor dim({len(own)}) and input value's dim({len(given)}) numel(1)"
        )
    if len(own) != 1 and (len(own) != len(given) or tuple(own)[:-1] != tuple(given)[:-1]):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            f"tensor and input value tensor must match, but we got boundaries tensor {list(own)} and input value "
            f"tensor {list(given)}"
        )
    result = _search(sorted_sequence, input, after, _sorter_flat(sorter, sorted_sequence), bool(out_int32))
    return result if out is None else write_out(result, out, "searchsorted")


@op(method=False)
def bucketize(input, boundaries, *, out_int32: bool = False, right: bool = False, out=None) -> Tensor:
    """The bucket of each element between the ascending boundaries (1-d); with right=True the left ends are closed."""
    if len(boundaries._size) != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({len(boundaries._size)})")
    if not isinstance(input, Tensor):
        input = _number_tensor(input)
    result = _search(boundaries, input, bool(right), _NO_SORTER, bool(out_int32))
    return result if out is None else write_out(result, out, "bucketize")


@op(method=False)
def isin(elements, test_elements, *, assume_unique: bool = False, invert: bool = False, out=None) -> Tensor:
    """Which elements are among test_elements (bool)."""
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin() received an invalid combination of arguments: at least one must be a Tensor")
    d = result_type(elements, test_elements)
    tensors = [t if isinstance(t, Tensor) else _number_tensor(t) for t in (elements, test_elements)]
    for t in tensors:
        if t._dtype.category in (BOOL, COMPLEX):
            raise RuntimeError(f"Unsupported input type encountered for isin(): {t._dtype.type_name}")
    if d.np != d.compute:
        d = float32
    flat, members = (cast_array(contiguous(t)._flat, t._dtype, d) for t in tensors)
    members = _sorted_flat(members)[0]
    if members.dtype.kind == "f":
        # nan equals nothing, and at the end of the order it would confuse the search.
        members = members[members == members]
    out_flat = np.empty(flat.size, np.bool_)
    _isin[flat.size >= _PARALLEL_SEARCH][flat.dtype](flat, members, out_flat)
    if invert:
        out_flat = ~out_flat
    result = wrap(out_flat, tensors[0]._size, bool_)
    return result if out is None else write_out(result, out, "isin")
