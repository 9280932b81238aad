"""Variable: since torch 0.4 another word for a tensor."""

from __future__ import annotations

import warnings
from typing import Any

from .._tensor import Tensor, alias


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """``Variable(tensor, requires_grad)`` is a tensor over the same memory; every tensor is an instance of Variable."""

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False) -> Any:
        if data is None:
            data = Tensor()
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                stacklevel=2,
            )
        result = alias(data)
        return result.requires_grad_() if requires_grad else result


__all__ = ["Variable"]
