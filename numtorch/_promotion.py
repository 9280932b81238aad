"""Result dtypes of mixed operands: tensors with dimensions outrank 0-d tensors, and those outrank Python numbers."""

from __future__ import annotations

from . import _dtype
from ._dtype import BOOL, COMPLEX, FLOATING, dtype, promote_types, scalar_dtype
from ._tensor import Tensor


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
