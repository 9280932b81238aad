"""Parameter and Buffer: tensors that a Module recognises by their type; and their not yet shaped forms."""

from __future__ import annotations

from collections import OrderedDict
from typing import NoReturn

import numtorch
from numtorch._tensor import Tensor


class Parameter(Tensor):
    """A tensor that becomes a parameter of the Module it is assigned to. Requires a gradient by default.

    `Parameter(data)` shares `data`'s storage and is a leaf of the graph, whatever `data` was.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True):
        if data is None:
            data = numtorch.empty(0)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = result
        return result

    def __repr__(self) -> str:
        return "Parameter containing:\n" + Tensor.__repr__(self)

    def __reduce_ex__(self, protocol):
        state = dict(self.__dict__) if getattr(self, "__dict__", None) else None
        if state:
            return _rebuild_parameter_with_state, (type(self), self.data, self.requires_grad, OrderedDict(), state)
        return _rebuild_parameter, (type(self), self.data, self.requires_grad, OrderedDict())


def _rebuild_parameter(cls, data, requires_grad, backward_hooks):
    param = cls(data, requires_grad)
    param._backward_hooks = backward_hooks
    return param


def _rebuild_parameter_with_state(cls, data, requires_grad, backward_hooks, state):
    param = _rebuild_parameter(cls, data, requires_grad, backward_hooks)
    param.__dict__.update(state)
    return param


class Buffer(Tensor):
    """A tensor that becomes a buffer of the Module it is assigned to; with persistent=False not in its state_dict."""

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True):
        if data is None:
            data = numtorch.empty(0)
        result = Tensor._make_subclass(cls, data.detach(), data.requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result


_NOT_SHAPED = (
    "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` "
    "when trying to load an uninitialized parameter into an initialized one. "
    "Call `forward` to initialize the parameters before accessing their attributes."
)


class UninitializedTensorMixin:
    """What a parameter and a buffer of a lazy module share until `materialize` gives them a shape."""

    cls_to_become: type | None = None

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Allocate `shape` and turn into an ordinary parameter or buffer, in place."""
        data = self.data
        self.data = numtorch.empty(shape, device=device or data.device, dtype=dtype or data.dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> NoReturn:
        raise RuntimeError(_NOT_SHAPED)

    def share_memory_(self) -> NoReturn:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the "
            "parameters before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol):
        return type(self), (self.requires_grad,)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first call of its lazy module decides."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device=None, dtype=None):
        return Tensor._make_subclass(cls, numtorch.empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = result
        return result


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape the first call of its lazy module decides."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad: bool = False, device=None, dtype=None, persistent: bool = True):
        result = Tensor._make_subclass(cls, numtorch.empty(0, device=device, dtype=dtype), requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result


def is_lazy(param) -> bool:
    """Is `param` a parameter or buffer that has no shape yet?"""
    return isinstance(param, UninitializedTensorMixin)
