"""Tensors of data that is there: numbers, nested sequences, numpy arrays, buffers."""

from __future__ import annotations

import warnings

import numpy as np

from .. import _dtype
from .._copy import cast, cast_array, clone
from .._dtype import FLOATING, bool_, dtype, from_numpy_dtype, int64, scalar_dtype
from .._registry import op
from .._size import Size
from .._storage import Storage
from .._tensor import Tensor, strided, wrap
from .creation import finish

_MISSING = object()


def _infer_dtype(data) -> dtype | None:
    """The dtype of nested lists of numbers: the highest that occurs; None for no element at all."""
    if isinstance(data, (list, tuple)):
        found = None
        for item in data:
            d = _infer_dtype(item)
            if d is not None:
                found = d if found is None else _dtype.promote_types(found, d)
        return found
    if isinstance(data, Tensor):
        return data._dtype
    if isinstance(data, (np.generic, np.ndarray)):
        return from_numpy_dtype(data.dtype)
    if isinstance(data, (bool, int, float, complex)):
        return scalar_dtype(data)
    if hasattr(data, "__array__"):
        return from_numpy_dtype(np.asarray(data).dtype)
    raise TypeError(f"new(): invalid data type '{type(data).__name__}'")


def _shape_of(data, depth: int = 0) -> tuple[int, ...]:
    """The shape of nested sequences, from the first element of each."""
    if isinstance(data, (list, tuple)):
        return (len(data), *(_shape_of(data[0], depth + 1) if data else ()))
    if isinstance(data, (Tensor, np.ndarray)):
        return tuple(data.shape)
    return ()


def _flatten_into(data, shape, depth: int, out: list) -> None:
    """Collect the numbers of nested sequences; ValueError where a length differs from its neighbours'."""
    if depth == len(shape):
        if isinstance(data, (list, tuple)):
            raise TypeError(f"'{type(data).__name__}' object cannot be interpreted as an integer")
        out.append(data.item() if isinstance(data, (Tensor, np.generic, np.ndarray)) else data)
        return
    if not isinstance(data, (list, tuple, Tensor, np.ndarray)):
        raise TypeError("not a sequence")
    if len(data) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
    if isinstance(data, (Tensor, np.ndarray)):
        out.extend((data._nd() if isinstance(data, Tensor) else data).reshape(-1).tolist())
        return
    if depth + 1 == len(shape) and not any(isinstance(x, (list, tuple, Tensor, np.ndarray, np.generic)) for x in data):
        out.extend(data)
        return
    for item in data:
        _flatten_into(item, shape, depth + 1, out)


_NUMBERS = {float, int, bool}


def _of_numbers(data, d: dtype | None) -> Tensor | None:
    """A number, or lists of numbers one or two deep, without a look at each; None for anything else."""
    shape: tuple = ()
    if data.__class__ is not list:
        kinds = {data.__class__}
    else:
        shape = (len(data),)
        kinds = set(map(type, data))
        if kinds == {list}:
            lengths = set(map(len, data))
            if len(lengths) != 1:
                return None
            shape = (len(data), lengths.pop())
            kinds = set()
            for row in data:
                kinds.update(map(type, row))
    if not kinds or not kinds <= _NUMBERS:
        return None
    if d is None:
        d = _dtype.get_default_dtype() if float in kinds else int64 if int in kinds else bool_
    if d.np is not d.compute or d.category != FLOATING and (float in kinds or d is not int64):
        return None
    try:
        flat = np.array(data, d.np)
    except OverflowError:
        return None  # the general way finds the words for it
    return wrap(flat.reshape(-1), shape, d)


@op(method=False)
def tensor(data=_MISSING, *, dtype=None, device=None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A new tensor that copies `data`: a number, nested sequences of numbers, an array or a tensor.

    >>> import numtorch as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    kind = data.__class__
    if kind is float or kind is int or kind is list:
        result = _of_numbers(data, dtype)
        if result is not None:
            return finish(result, device, requires_grad)
    if data is _MISSING:
        raise TypeError('tensor() missing 1 required positional arguments: "data"')
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        result = clone(data.detach())
        if dtype is not None:
            result = cast(result, dtype)
        return finish(result, device, requires_grad)
    if isinstance(data, Storage) or hasattr(data, "_untyped_storage_of"):
        data = data.tolist()
    if isinstance(data, (np.ndarray, np.generic)) or (
        not isinstance(data, (list, tuple, bool, int, float, complex)) and hasattr(data, "__array__")
    ):
        array = np.array(data)
        source = from_numpy_dtype(array.dtype)
        result = wrap(np.ascontiguousarray(array).reshape(-1), array.shape, source)
        if dtype is not None:
            result = cast(result, dtype)
        return finish(result, device, requires_grad)
    inferred = _infer_dtype(data)
    d = dtype or inferred or _dtype.get_default_dtype()
    shape = _shape_of(data)
    numbers: list = []
    if 0 not in shape:
        _flatten_into(data, shape, 0, numbers)
    flat = _array_of(numbers, d)
    return finish(wrap(flat, shape, d), device, requires_grad)


def _array_of(numbers: list, d: dtype):
    """Python numbers as a 1-D array in the dtype; RuntimeError where an integer does not fit."""
    if d.np is not d.compute:
        return cast_array(np.array(numbers, np.float32), _dtype.float32, d)
    try:
        if d.category == _dtype.INTEGRAL:
            return np.array([int(x) for x in numbers], d.np)
        if d is bool_:
            return np.array([bool(x) for x in numbers], np.bool_)
        return np.array(numbers, d.np)
    except OverflowError as error:
        raise RuntimeError(f"value cannot be converted to type {d.name}_t without overflow") from error
    except TypeError as error:
        if d.category == FLOATING and any(isinstance(x, complex) for x in numbers):
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow") from error
        raise


@op(function=False)
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """`torch.tensor(data)` with this tensor's dtype and device unless given."""
    d = dtype or self._dtype
    return tensor(data, dtype=d, device=self._device if device is None else device, requires_grad=requires_grad)


@op(method=False)
def from_numpy(ndarray) -> Tensor:
    """A tensor over the memory of a numpy array: writes to one show in the other."""
    if ndarray.__class__ is np.ndarray:
        flags, found = ndarray.flags, _dtype.FROM_NUMPY.get(ndarray.dtype)
        if found is not None and flags.c_contiguous and flags.writeable:
            return wrap(ndarray if ndarray.ndim == 1 else ndarray.reshape(-1), Size(ndarray.shape), found)
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    d = from_numpy_dtype(ndarray.dtype)
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported."
        )
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array  with array.copy().) "
        )
    item = ndarray.itemsize
    if any(s % item for s in ndarray.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the "
            "memory."
        )
    if not ndarray.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing "
            "to this tensor will result in undefined behavior. You may want to copy the array to protect its data or make "
            "it writable before converting it to a tensor. This type of warning will be suppressed for the rest of this "
            "program.",
            UserWarning,
            stacklevel=2,
        )
    if ndarray.flags.c_contiguous:
        return wrap(ndarray.reshape(-1), ndarray.shape, d)
    from .._size import extent

    stride = tuple(s // item for s in ndarray.strides)
    flat = np.lib.stride_tricks.as_strided(ndarray, (extent(ndarray.shape, stride),), (item,))
    return strided(Storage(flat), ndarray.shape, stride, 0, d)


@op(method=False)
def as_tensor(data, dtype=None, device=None) -> Tensor:
    """`data` as a tensor, sharing memory where it can."""
    if isinstance(data, Tensor):
        result = data if dtype is None or dtype is data._dtype else data.to(dtype)
        return result if device is None else result.to(device)
    if isinstance(data, np.ndarray):
        result = from_numpy(data) if not any(s < 0 for s in data.strides) else tensor(data)
        if dtype is not None and dtype is not result._dtype:
            result = cast(result, dtype)
        return finish(result, device, False)
    return tensor(data, dtype=dtype, device=device)


@op(method=False)
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """`obj` as a tensor; `copy` True always copies, False never does (ValueError if it would have to)."""
    result = as_tensor(obj, dtype=dtype, device=device)
    shares = (isinstance(obj, Tensor) and result is obj) or (
        isinstance(obj, np.ndarray) and np.shares_memory(obj, result._buffer())
    )
    if copy is False and not shares:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    if copy and shares:
        result = clone(result.detach())
    elif isinstance(obj, Tensor) and not requires_grad and obj._requires_grad:
        result = result.detach()
    return result.requires_grad_(True) if requires_grad else result


@op(method=False)
def frombuffer(buffer, *, dtype, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A 1-D tensor over an object that exposes the buffer protocol."""
    view = memoryview(buffer)
    if view.nbytes == 0:
        raise ValueError("both buffer length (0) and count (-1) must not be 0")
    if offset < 0 or offset >= view.nbytes:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({view.nbytes} bytes) minus 1"
        )
    if count < 0 and (view.nbytes - offset) % dtype.itemsize:
        raise ValueError(
            f"buffer length ({view.nbytes - offset} bytes) after offset ({offset} bytes) must be a multiple of element "
            f"size ({dtype.itemsize})"
        )
    flat = np.frombuffer(buffer, dtype.np, count, offset)
    t = wrap(flat, (flat.size,), dtype)
    return t.requires_grad_(True) if requires_grad else t
