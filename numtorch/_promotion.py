"""Result dtypes of mixed operands: tensors with dimensions outrank 0-d tensors, and those outrank Python numbers."""

from __future__ import annotations

from collections.abc import Callable

from numtorch.graph import mode
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

from . import _dtype
from ._copy import cast
from ._device import cpu
from ._dtype import BOOL, COMPLEX, FLOATING, dtype, promote_types, scalar_dtype
from ._tensor import Tensor, wrap_as


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """The lower-ranked dtype counts only where its category is the higher one."""
    if higher is None or lower is None:
        return higher or lower
    if higher.category == COMPLEX:
        return higher
    if higher.category == FLOATING:
        return higher.to_complex() if lower.category == COMPLEX else higher
    if higher.category == BOOL or lower.category in (FLOATING, COMPLEX):
        return promote_types(higher, lower)
    return higher


def result_type(*operands) -> dtype:
    """The dtype of an operation between tensors and Python numbers (torch.result_type)."""
    if len(operands) == 2:
        a, b = operands
        if a.__class__ is Tensor and a._size:
            if b.__class__ is Tensor and b._size:
                return promote_types(a._dtype, b._dtype)
            if b.__class__ is float or b.__class__ is int:
                return _combine(a._dtype, scalar_dtype(b))
    dimensioned = zero_dim = number = None
    for operand in operands:
        if isinstance(operand, Tensor):
            d = operand._dtype
            if operand._size:
                dimensioned = d if dimensioned is None else promote_types(dimensioned, d)
            else:
                zero_dim = d if zero_dim is None else promote_types(zero_dim, d)
        else:
            d = scalar_dtype(operand)
            number = d if number is None else promote_types(number, d)
    return _combine(_combine(dimensioned, zero_dim), number)


def to_floating(d: dtype) -> dtype:
    """Integers and bools become the default float dtype; the rest stay."""
    return d if d.category >= FLOATING else _dtype.get_default_dtype()


def _cast_up(t: Tensor, d: dtype) -> Tensor:
    """A contiguous operand in the dtype of the result, which holds its values unless it has no dimensions."""
    if t._dtype is d:
        return t
    if not t._size or t._flat.size >= PARALLEL_THRESHOLD:
        return cast(t, d)
    result = wrap_as(t._flat.astype(d.np), t)
    result._dtype = d
    return result


def in_one_dtype(spec, a, b, check: Callable | None) -> tuple | None:
    """The operands of a pointwise operator, `b` a tensor or a number, as tensors of the dtype that it computes in.

    None where nothing has to be cast, and where that is not a matter of contiguous CPU tensors outside the graph."""
    if a.__class__ is not Tensor:
        return None
    held = a._dtype
    if a._flat is None or a._device is not cpu or held.np is not held.compute or a._requires_grad and mode.enabled:
        return None
    tensor = b.__class__ is Tensor
    if tensor:
        other = b._dtype
        if b._flat is None or b._device is not cpu or other.np is not other.compute:
            return None
        if b._requires_grad and mode.enabled:
            return None
    else:
        other = b.__class__
    key = (held, other, not a._size, tensor and not b._size, _dtype.get_default_dtype())
    d = spec.common.get(key)
    if d is None:
        d = spec.common[key] = spec.dtype_of((a, b))
    if d.np is not d.compute or d is held and (d is other or not tensor):
        return None
    if check is not None:
        check(a, b)
    return _cast_up(a, d), (_cast_up(b, d) if tensor else b)
