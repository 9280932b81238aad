"""The constructors of torch before 0.4: Tensor(2, 3), LongTensor([0, 1]), .type(torch.FloatTensor), default types."""

from __future__ import annotations

import numpy as np

from . import _dtype
from ._copy import cast
from ._device import cpu, device, parse_device
from ._dtype import ALL, dtype
from ._size import Size
from ._tensor import Tensor, alias, empty
from .ops.from_data import from_numpy, tensor


def construct(cls, args: tuple, where, kwargs: dict) -> Tensor:
    """`Tensor(*sizes)`, `Tensor(data)`, `Tensor(storage)`, `Tensor(other)`, `Tensor()`: always the class's dtype."""
    if kwargs:
        raise TypeError(f"new() received an unexpected keyword argument '{next(iter(kwargs))}'")
    result = _construct(args, _dtype.get_default_dtype())
    if where is not None and parse_device(where).type != "cpu":
        result = result.to(where)
    return result if cls is Tensor else alias(result, cls)


Tensor._construct = staticmethod(construct)


def _construct(args: tuple, d: dtype) -> Tensor:
    if not args:
        return empty((0,), d)
    if set(map(type, args)) == {int} and min(args) >= 0:
        return empty(Size(args), d)
    if args[0].__class__ is list and len(args) == 1:
        return tensor(args[0], dtype=d)
    if all(isinstance(a, (int, np.integer)) and not isinstance(a, bool) for a in args):
        for n in args:
            if n < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(args)}")
        return empty(tuple(int(a) for a in args), d)
    if len(args) > 1:
        raise TypeError(
            f"new() received an invalid combination of arguments - got ({', '.join(type(a).__name__ for a in args)})"
        )
    (data,) = args
    if isinstance(data, Size):
        return empty(data, d)
    if isinstance(data, Tensor):
        return alias(data) if data._dtype is d else cast(data, d)
    if hasattr(data, "_as_tensor"):
        if data.dtype is not d:
            raise TypeError(f"new(): expected a storage of {d}, got one of {data.dtype}")
        return data._as_tensor(d)
    if isinstance(data, np.ndarray):
        shared = from_numpy(data)
        return shared if shared._dtype is d else cast(shared, d)
    if isinstance(data, (list, tuple)):
        return tensor(data, dtype=d)
    if hasattr(data, "__iter__"):
        return tensor(list(data), dtype=d)
    raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")


class _LegacyType(type):
    """FloatTensor and its like are no classes of objects, but names for Tensor with a dtype and a device."""

    def __call__(cls, *args, **kwargs):
        if not cls._cuda:
            return _construct(args, cls.dtype)
        from .cuda import is_available

        if not is_available():
            raise_without_cuda(cls)
        return _construct(args, cls.dtype).to("cuda")

    def __instancecheck__(cls, instance) -> bool:
        return (
            isinstance(instance, Tensor)
            and instance._dtype is cls.dtype
            and (instance._device.type == "cuda") == cls._cuda
        )

    def __subclasscheck__(cls, other) -> bool:
        return other is cls

    def __repr__(cls) -> str:
        return f"<class '{cls.full_name}'>"


def raise_without_cuda(cls) -> None:
    raise TypeError(f"type {cls.full_name} not available. Torch not compiled with CUDA enabled.")


def _make(d: dtype, cuda: bool):
    name = d.type_name + "Tensor"
    module = "torch.cuda" if cuda else "torch"
    return _LegacyType(name, (), {"dtype": d, "_cuda": cuda, "full_name": f"{module}.{name}", "__module__": module})


TYPES = {d.type_name + "Tensor": _make(d, False) for d in ALL if d.category != _dtype.COMPLEX}
CUDA_TYPES = {d.type_name + "Tensor": _make(d, True) for d in ALL if d.category != _dtype.COMPLEX}


def parse_type(spec) -> tuple[dtype, device | None]:
    """A legacy type, given as class or as name, as (dtype, device); ValueError for an unknown name."""
    if isinstance(spec, _LegacyType):
        return spec.dtype, device("cuda") if spec._cuda else cpu
    if spec is Tensor:
        return _dtype.get_default_dtype(), cpu
    if isinstance(spec, str):
        module, _, name = spec.rpartition(".")
        if module == "torch" and name == "Tensor":
            return _dtype.get_default_dtype(), cpu
        table = {"torch": TYPES, "torch.cuda": CUDA_TYPES}.get(module, {})
        if name in table:
            return table[name].dtype, cpu if module == "torch" else device("cuda")
        raise ValueError(f"invalid type: '{spec}'")
    raise TypeError(f"type(): dtype must be a type, str, or dtype object, got {type(spec).__name__}")


def set_default_tensor_type(t) -> None:
    """Set the default dtype by a legacy type or its name, e.g. 'torch.DoubleTensor'."""
    d, where = parse_type(t)
    if d.category != _dtype.FLOATING:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    if where is not None and where.type == "cuda":
        from .cuda import is_available

        if is_available():
            raise NotImplementedError("set_default_tensor_type() of a CUDA type is not implemented; pass device='cuda'")
        raise TypeError(f"type torch.cuda.{d.type_name}Tensor not available. Torch not compiled with CUDA enabled.")
    _dtype.set_default_dtype(d)


def new(self: Tensor, *args, **kwargs) -> Tensor:
    """`x.new(2, 3)`: the legacy constructor of x's type."""
    return _construct(args, self._dtype)


Tensor.new = new
