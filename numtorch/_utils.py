"""Taking tensors apart for pickles and putting them together again.

Two forms. `pickle.dumps(tensor)` keeps the Storage object, so that tensors that share memory still do after
loading. `torch.save` writes what torch writes: `torch._utils._rebuild_tensor_v2` over a storage that carries
a dtype. The functions whose names start with `_rebuild` bear the names that stand in torch's files, and check
all that they are given, since a file may say anything.
"""

from __future__ import annotations

import copyreg
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np

from ._device import cpu, parse_device
from ._dtype import COMPLEX, FLOATING, dtype
from ._size import extent
from ._storage import Storage
from ._tensor import Tensor, strided
from .storage import TypedStorage


class StoredTensor(TypedStorage):
    """A storage of one dtype: what the pickle of a tensor refers to, and what `map_location` is shown."""

    def cpu(self) -> StoredTensor:
        return self._to(cpu)

    def cuda(self, device=None) -> StoredTensor:
        return self._to(parse_device("cuda" if device is None else device))

    def _to(self, device) -> StoredTensor:
        if device == self.device:
            return self
        return StoredTensor(self._as_tensor().to(device)._get_storage(), self.dtype)


def _attributes(tensor: Tensor) -> dict[str, Any]:
    """What the user hung on a tensor, without what a Tensor keeps for itself (names that start with _)."""
    return {name: value for name, value in tensor.__dict__.items() if not name.startswith("_")}


def _warn_of_hooks(tensor: Tensor) -> None:
    if tensor._backward_hooks:
        warnings.warn(
            f"backward hook {tensor._backward_hooks!r} on tensor will not be serialized. If this is expected, you can "
            "decorate the function with @torch.utils.hooks.unserializable_hook to suppress this warning",
            stacklevel=3,
        )


def reduce_tensor(tensor: Tensor) -> tuple:
    """How plain pickle takes a tensor apart."""
    _warn_of_hooks(tensor)
    return _rebuild_tensor, (
        *(type(tensor), tensor._get_storage(), tensor._dtype, tensor._offset, tuple(tensor._size)),
        *(tensor._stride, tensor._requires_grad, _attributes(tensor)),
    )


def _rebuild_tensor(cls, storage, dtype, offset, size, stride, requires_grad, attributes):
    tensor = strided(storage, size, stride, offset, dtype)
    if cls is not Tensor:
        tensor = Tensor._make_subclass(cls, tensor, False)
    tensor._requires_grad = requires_grad
    tensor.__dict__.update(attributes)
    return tensor


def _reduce_storage(storage: Storage) -> tuple:
    buffer = storage.buffer if storage.device is cpu else StoredTensor(storage, _raw(storage)).cpu()._storage.buffer
    return _rebuild_storage, (buffer, storage.device)


def _raw(storage: Storage) -> dtype:
    from ._dtype import FROM_NUMPY, bfloat16

    return FROM_NUMPY.get(np.dtype(storage.np_dtype), bfloat16)


def _rebuild_storage(buffer: np.ndarray, device) -> Storage:
    buffer = buffer if buffer.flags.writeable else buffer.copy()
    storage = Storage(buffer)
    return storage if device == cpu else StoredTensor(storage, _raw(storage))._to(device)._storage


copyreg.pickle(Storage, _reduce_storage)


def reduce_for_file(tensor: Tensor) -> tuple:
    """How torch.save takes a tensor apart: torch's own functions and arguments."""
    from .nn import Parameter

    _warn_of_hooks(tensor)
    attributes = _attributes(tensor)
    data = (
        *(StoredTensor(tensor._get_storage(), tensor._dtype), tensor._offset, tuple(tensor._size)),
        *(tuple(tensor._stride), tensor._requires_grad and type(tensor) is not Parameter, OrderedDict()),
    )
    if type(tensor) is Parameter:
        plain = _Apart(_rebuild_tensor_v2, data)
        if attributes:
            return _rebuild_parameter_with_state, (plain, tensor._requires_grad, OrderedDict(), attributes)
        return _rebuild_parameter, (plain, tensor._requires_grad, OrderedDict())
    if type(tensor) is Tensor and not attributes:
        return _rebuild_tensor_v2, data
    return _rebuild_from_type_v2, (_rebuild_tensor_v2, type(tensor), data, attributes)


class _Apart:
    """Pickles as a call of `function(*arguments)`."""

    __slots__ = ("function", "arguments")

    def __init__(self, function, arguments: tuple):
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple:
        return self.function, self.arguments


def _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks=None, metadata=None):
    """A tensor over part of a loaded storage; RuntimeError where it would reach outside."""
    if type(storage) is not StoredTensor:
        raise TypeError(f"a tensor needs a storage, but the file gives {type(storage).__name__}")
    size, stride = tuple(size), tuple(stride)
    numbers = (offset, *size, *stride)
    if any(type(number) is not int or not 0 <= number < 2**63 for number in numbers) or len(size) != len(stride):
        raise RuntimeError(f"invalid tensor in file: size {size}, stride {stride}, storage offset {offset}")
    last = offset + extent(size, stride)
    if last > storage.size() and 0 not in size:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{storage.dtype.itemsize} requiring a storage size of {last * storage.dtype.itemsize} are out of bounds "
            f"for storage of size {storage.nbytes()}"
        )
    tensor = strided(storage._storage, size, stride, offset, storage.dtype)
    if requires_grad:
        if storage.dtype.category not in (FLOATING, COMPLEX):
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        tensor._requires_grad = True
    return tensor


def _rebuild_parameter(data, requires_grad, backward_hooks=None):
    from .nn import Parameter

    if not isinstance(data, Tensor):
        raise TypeError(f"a Parameter needs a tensor, but the file gives {type(data).__name__}")
    return Parameter(data, bool(requires_grad))


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    parameter = _rebuild_parameter(data, requires_grad)
    _set_attributes(parameter, state)
    return parameter


def _rebuild_from_type_v2(function, cls, arguments, state):
    tensor = function(*arguments)
    if cls is not Tensor and type(tensor) is not cls:
        tensor = Tensor._make_subclass(cls, tensor.detach(), tensor._requires_grad)
    _set_attributes(tensor, state)
    return tensor


def _set_attributes(tensor: Tensor, state: Any) -> None:
    if isinstance(state, tuple) and len(state) == 2:  # torch's form for objects with slots
        state = {**(state[0] or {}), **(state[1] or {})}
    if type(state) is not dict:
        raise TypeError(f"the attributes of a tensor must be a dict, but the file gives {type(state).__name__}")
    for name, value in state.items():
        if type(name) is not str or name.startswith("_") or hasattr(Tensor, name):
            raise RuntimeError(f"invalid attribute of a tensor in file: {name!r}")
        setattr(tensor, name, value)
