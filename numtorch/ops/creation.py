"""Making tensors: from data, filled, in sequences, and like others."""

from __future__ import annotations

import math
import warnings

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu import copy as _copy_kernels
from numtorch.kernels.cpu import sequences as _sequences
from numtorch.kernels.cpu.triangular import triangle_places

from .. import _dtype
from .._compiled import Compiled
from .._copy import cast, cast_array, clone
from .._device import cpu, parse_device
from .._dtype import COMPLEX, FLOATING, bool_, dtype, from_numpy_dtype, int64, scalar_dtype
from .._inplace import resize_out, write_out
from .._registry import op, register
from .._size import Size, dense, flatten_sizes
from .._storage import Storage
from .._tensor import Tensor, _new, strided, wrap


def finish(t: Tensor, device, requires_grad: bool) -> Tensor:
    """Bring a fresh CPU tensor to where and what the caller asked for."""
    if device is not None:
        d = parse_device(device)
        if d.type != "cpu":
            t = t.to(d)
    if requires_grad:
        if t._dtype.category < FLOATING:
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        t._requires_grad = True
    if mode.inference:
        t._inference = True
    return t


def _check_size(size: tuple[int, ...]) -> Size:
    for n in size:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(size)}")
    return Size(size)


# Elements below which numpy's fill is sooner done than a kernel of ours is called.
_FEW = 16384


def filled(size, value, d: dtype) -> Tensor:
    """A contiguous CPU tensor with one value everywhere."""
    size = _check_size(size)
    if value == 0 and not isinstance(value, complex):
        return wrap(np.zeros(size.numel(), d.np), size, d)
    out = np.empty(size.numel(), d.np)
    if d.np is not d.compute:
        bits = cast_array(np.full(1, value, np.float32), _dtype.float32, d)
        out[...] = bits[0]
    else:
        number = _python_number(value, d)
        if d.category == FLOATING and out.size < _FEW:
            out.fill(number)
        else:
            _copy_kernels.fill(out, d.np.type(number))
    return wrap(out, size, d)


def _python_number(value, d: dtype):
    if isinstance(value, Tensor):
        value = value.item()
    if d.category < FLOATING and isinstance(value, float) and not math.isfinite(value):
        raise RuntimeError("value cannot be converted to type int64_t without overflow")
    if isinstance(value, complex) and d.category != COMPLEX:
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    if d.category == _dtype.INTEGRAL:
        low, high = np.iinfo(d.np).min, np.iinfo(d.np).max
        value = int(value)
        if not low <= value <= high:
            raise RuntimeError(f"value cannot be converted to type {d.name}_t without overflow")
    return value


_np_empty = np.empty


def _direct(shape: tuple, value, d: dtype) -> Tensor | None:
    """A CPU tensor of 0, 1 or (None) anything, for a shape of Python ints; None where it takes more."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    for n in shape:
        if n.__class__ is not int or n < 0:
            return None
    if value and (d.np is not d.compute or d is bool_) or mode.inference:
        return None
    size, stride, numel = dense(shape)
    if value is None:
        flat = _np_empty(numel, d.np)
    elif value:
        flat = _np_empty(numel, d.np)
        flat.fill(1)
    else:
        flat = np.zeros(numel, d.np)
    result = _new(Tensor)
    result._flat = flat
    result._size = size
    result._stride = stride
    result._dtype = d
    return result


def _filled_constructor(name: str, value, doc: str):
    def call(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False, names=None):
        d = dtype or (out._dtype if out is not None else _dtype.get_default_dtype())
        size = flatten_sizes(size)
        if out is not None:
            resize_out(out, _check_size(size))
            return out.fill_(value) if value is not None else out
        if value is None:
            checked = _check_size(size)
            return finish(wrap(np.empty(checked.numel(), d.np), checked, d), device, requires_grad)
        return finish(filled(size, value, d), device, requires_grad)

    def constructor(*args, size=None, dtype=None, device=None, requires_grad=False, **kwargs):
        if size is not None:
            args = (size,)
        if not kwargs and (device is None or device is cpu or device == "cpu"):
            d = dtype or _dtype.get_default_dtype()
            result = _direct(args, value, d) if not requires_grad or d.category >= FLOATING else None
            if result is not None:
                if requires_grad:
                    result._requires_grad = True
                return result
        return call(*args, dtype=dtype, device=device, requires_grad=requires_grad, **kwargs)

    constructor.__name__ = constructor.__qualname__ = name
    constructor.__doc__ = doc
    return register(name, constructor, method=False)


zeros = _filled_constructor("zeros", 0, "zeros(*size, dtype=None, ...): a tensor of zeros.")
ones = _filled_constructor("ones", 1, "ones(*size, dtype=None, ...): a tensor of ones.")
empty = _filled_constructor("empty", None, "empty(*size, dtype=None, ...): a tensor of whatever the memory holds.")


@op(method=False)
def full(
    size, fill_value, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
) -> Tensor:
    """A tensor of one value; its dtype is the value's unless given."""
    kind = fill_value.__class__
    if (kind is float or kind is int) and out is device is None and not requires_grad:
        d = dtype or (_dtype.get_default_dtype() if kind is float else int64)
        # What a float32 or an int64 holds for certain; and inf and nan.
        fits = -3e38 < fill_value < 3e38 or kind is float and fill_value - fill_value != 0
        if d is int64:
            fits = kind is int and -(2**63) <= fill_value < 2**63
        if fits and (d is int64 or d is _dtype.float32 or d is _dtype.float64):
            result = _direct((size,), None, d)
            if result is not None and result._flat.size < _FEW:
                result._flat.fill(fill_value)
                return result
    d = dtype or (out._dtype if out is not None else None)
    if d is None:
        d = fill_value._dtype if isinstance(fill_value, Tensor) else scalar_dtype(fill_value)
    if out is not None:
        resize_out(out, _check_size(flatten_sizes((size,))))
        return out.fill_(fill_value)
    return finish(filled(flatten_sizes((size,)), _python_number(fill_value, d), d), device, requires_grad)


def _like(name: str, value, doc: str):
    def call(input, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False, memory_format=None):
        d = dtype or input._dtype
        if device is None and not requires_grad and input._flat is not None and input._device is cpu:
            result = _direct(input._size, value, d)
            if result is not None:
                return result
        device = input._device if device is None else device
        if value is None:
            result = wrap(np.empty(input._size.numel(), d.np), input._size, d)
        else:
            result = filled(input._size, value, d)
        if input._flat is None and not input.is_contiguous():
            result = _with_layout_of(result, input)
        return finish(result, device, requires_grad)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return register(name, call, method=False)


def _with_layout_of(fresh: Tensor, t: Tensor) -> Tensor:
    """A fresh tensor's memory in the dimension order of `t` (torch's preserve_format)."""
    from .._layout import output_strides

    return strided(fresh._get_storage(), t._size, output_strides(t._size, t._stride), 0, fresh._dtype)


zeros_like = _like("zeros_like", 0, "Zeros with the size, dtype and device of `input`.")
ones_like = _like("ones_like", 1, "Ones with the size, dtype and device of `input`.")
empty_like = _like("empty_like", None, "An uninitialised tensor with the size, dtype and device of `input`.")


@op(method=False)
def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    memory_format=None,
) -> Tensor:
    """`fill_value` everywhere, with the size, dtype and device of `input`."""
    d = dtype or input._dtype
    if device is None and not requires_grad and input._device is cpu and input._flat is not None:
        return full(input._size, fill_value, dtype=d)
    result = filled(input._size, _python_number(fill_value, d), d)
    return finish(result, input._device if device is None else device, requires_grad)


_MISSING = object()


def _new_constructor(name: str, make, value, doc: str):
    def call(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False, **kwargs):
        if "size" in kwargs:
            size = (kwargs.pop("size"),)
        if device is None and not requires_grad and not kwargs and self._device is cpu:
            if value is not _MISSING:
                result = _direct(size, value, dtype or self._dtype)
                if result is not None:
                    return result
            return make(*size, dtype=dtype or self._dtype)
        device = self._device if device is None else device
        return make(*size, dtype=dtype or self._dtype, device=device, requires_grad=requires_grad, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return register(name, call, function=False)


_new_constructor("new_zeros", zeros, 0, "Zeros with this tensor's dtype and device unless given.")
_new_constructor("new_ones", ones, 1, "Ones with this tensor's dtype and device unless given.")
_new_constructor("new_empty", empty, None, "An uninitialised tensor with this tensor's dtype and device unless given.")
_new_constructor(
    "new_full", full, _MISSING, "`fill_value` everywhere, with this tensor's dtype and device unless given."
)


@op(function=False)
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """`torch.tensor(data)` with this tensor's dtype and device unless given."""
    d = dtype or self._dtype
    return tensor(data, dtype=d, device=self._device if device is None else device, requires_grad=requires_grad)


@op(function=False)
def new_empty_strided(self, size, stride, *, dtype=None, device=None, requires_grad=False, **_) -> Tensor:
    """An uninitialised tensor with the strides given."""
    d = dtype or self._dtype
    return empty_strided(size, stride, dtype=d, device=self._device, requires_grad=requires_grad)


@op(method=False)
def empty_strided(
    size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> Tensor:
    """An uninitialised tensor with the strides given."""
    from .._size import extent

    size, stride = flatten_sizes((size,)), flatten_sizes((stride,))
    if len(size) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(size)}) must match dimensionality of strides ({len(stride)})"
        )
    d = dtype or _dtype.get_default_dtype()
    storage = Storage(np.empty(extent(size, stride), d.np))
    result = strided(storage, _check_size(size), stride, 0, d)
    result.flat()
    return finish(result, device, requires_grad)


@op(method=False)
def empty_permuted(
    size, physical_layout=(), *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> Tensor:
    """An uninitialised tensor whose dimensions lie in memory in the order given."""
    size = flatten_sizes((size,))
    order = tuple(d + len(size) if d < 0 else d for d in physical_layout)
    if len(order) != len(size):
        raise RuntimeError("Number of dimensions in size does not match the length of the physical_layout")
    if sorted(order) != list(range(len(size))):
        raise RuntimeError("Duplicate or out of range dim in physical_layout")
    stride, step = [0] * len(size), 1
    for d in reversed(order):
        stride[d] = step
        step *= max(size[d], 1)
    return empty_strided(size, stride, dtype=dtype, device=device, requires_grad=requires_grad)


# -- sequences --------------------------------------------------------------------------------------------------------


def _written(t: Tensor, out: Tensor | None, name: str) -> Tensor:
    return t if out is None else write_out(t, out, name)


_arange = Compiled(_sequences.arange_forward, "ddwx")
_linspace = Compiled(_sequences.linspace_forward, "vvvx")


@op(method=False)
def arange(
    start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
) -> Tensor:
    """start, start + step, ... up to but without `end`; integers give int64, floats the default dtype."""
    if end is None:
        start, end = 0, start
    whole = start.__class__ is int and end.__class__ is int and step.__class__ is int
    plain = whole and dtype is out is device is None and not requires_grad and not mode.inference
    if plain and step and (end - start) * step >= 0:
        flat = np.arange(start, end, step, np.int64)
        return wrap(flat, (flat.size,), int64)
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if out is dtype is device is None and float in (start.__class__, end.__class__, step.__class__):
        d = _dtype.get_default_dtype()
        if d is _dtype.float32 or d is _dtype.float64:
            count = max(math.ceil((end - start) / step), 0)
            flat = np.empty(count, d.np)
            _arange[d.np](start, step, np.empty(count), flat)
            return finish(wrap(flat, (count,), d), None, requires_grad)
    integral = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    d = dtype or (out._dtype if out is not None else (int64 if integral else _dtype.get_default_dtype()))
    if d.category < FLOATING:
        start, end, step = int(start), int(end), int(step)
    count = max(math.ceil((end - start) / step), 0) if not integral else max(-((start - end) // step), 0)
    compute = np.float64 if d.category >= FLOATING else np.int64
    # torch computes start + i * step in the accumulate type of the dtype, float64 for every float.
    flat = np.arange(count, dtype=compute)
    flat *= step
    flat += start
    source = _dtype.float64 if compute is np.float64 else int64
    return finish(_written(wrap(cast_array(flat, source, d), (count,), d), out, "arange"), device, requires_grad)


@op("range", method=False)
def range_(start=0, end=None, step=1, *, out=None, dtype=None, device=None, requires_grad=False, layout=None) -> Tensor:
    """`arange` with the end included (deprecated in torch)."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    if end is None:
        start, end = 0, start
    count = math.floor((end - start) / step) + 1
    d = dtype or _dtype.get_default_dtype()
    flat = start + np.arange(count, dtype=np.float64) * step
    return finish(_written(wrap(cast_array(flat, _dtype.float64, d), (count,), d), out, "range"), device, requires_grad)


_REAL = {int, float}


def _spaced(start, end, steps: int, d: dtype):
    """torch's linspace: from the start in the first half, from the end in the second, in the dtype itself."""
    real = d.to_real() if d.category == COMPLEX else d
    inner = real if real.category == FLOATING and real.np is real.compute else _dtype.float32
    if d.category < FLOATING:
        # Integers: the ends are truncated first, the steps between them computed in double precision.
        inner = _dtype.float64
        start, end = int(start), int(end)
    np_type = (inner.to_complex() if d.category == COMPLEX else inner).np.type
    start, end = np_type(start), np_type(end)
    if steps == 1:
        return np.array([start])
    step = np_type((end - start) / np_type(steps - 1))
    i = np.arange(steps).astype(np_type)
    half = steps // 2
    out = np.empty(steps, np_type)
    out[:half] = start + step * i[:half]
    out[half:] = end - step * i[: half + steps % 2][::-1]
    return out


@op(method=False)
def linspace(
    start, end, steps, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
) -> Tensor:
    """`steps` values from start to end, both included."""
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    d = dtype or (out._dtype if out is not None else None)
    plain = steps.__class__ is int and start.__class__ in _REAL and end.__class__ in _REAL
    if d is None and plain and steps > 1:
        default = _dtype.get_default_dtype()
        if default is _dtype.float32 or default is _dtype.float64:
            np_type = default.np.type
            first, last = np_type(start), np_type(end)
            flat = np.empty(steps, default.np)
            _linspace[default.np](first, last, (last - first) / np_type(steps - 1), flat)
            return finish(wrap(flat, (steps,), default), device, requires_grad)
    if d is None:
        is_complex = isinstance(start, complex) or isinstance(end, complex)
        d = _dtype.get_default_dtype().to_complex() if is_complex else _dtype.get_default_dtype()
    flat = _spaced(start, end, int(steps), d) if steps else np.empty(0, np.float32)
    flat = cast_array(flat, from_numpy_dtype(flat.dtype), d)
    return finish(_written(wrap(flat, (int(steps),), d), out, "linspace"), device, requires_grad)


@op(method=False)
def logspace(
    start,
    end,
    steps,
    base=10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
) -> Tensor:
    """base ** linspace(start, end, steps)."""
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if out is dtype is None and steps.__class__ is int and steps > 1 and _dtype.get_default_dtype() is _dtype.float32:
        powers = linspace(start, end, steps)._flat
        np.power(powers.dtype.type(base), powers, out=powers)
        return finish(wrap(powers, (steps,), _dtype.float32), device, requires_grad)
    d = dtype or (out._dtype if out is not None else _dtype.get_default_dtype())
    exponents = _spaced(start, end, int(steps), d) if steps else np.empty(0, np.float32)
    flat = np.power(exponents.dtype.type(base), exponents)
    flat = cast_array(flat, from_numpy_dtype(flat.dtype), d)
    return finish(_written(wrap(flat, (int(steps),), d), out, "logspace"), device, requires_grad)


@op(method=False)
def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False) -> Tensor:
    """A matrix with ones on its diagonal."""
    m = n if m is None else m
    for value, name in ((n, "n"), (m, "m")):
        if value < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {value}")
    d = dtype or (out._dtype if out is not None else _dtype.get_default_dtype())
    result = _direct((n, m), 0, d)
    if result is None:
        result = filled((n, m), 0, d)
    if d.np is d.compute:
        result._flat[: min(n, m) * (m + 1) : m + 1] = 1
    else:
        result.diagonal().fill_(1)
        result._storage.version = 0
    return finish(_written(result, out, "eye"), device, requires_grad)


@op(method=False)
def scalar_tensor(s, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False) -> Tensor:
    """A 0-d tensor of a Python number, in the default dtype unless given."""
    return full((), s, dtype=dtype or _dtype.get_default_dtype(), device=device, requires_grad=requires_grad)


_triangle_places = Compiled(triangle_places, "nnnbnni")


def _lower_places(rows: int, columns: int, diagonal: int) -> int:
    """How many places of a matrix have j - i <= diagonal: min(max(i + diagonal + 1, 0), columns) in row i."""
    first = min(max(-diagonal, 0), rows)  # the first row that has any
    full = min(max(columns - diagonal - 1, first), rows)  # the first that has all
    growing = full - first
    return growing * (first + diagonal + 1) + growing * (growing - 1) // 2 + (rows - full) * columns


def triangle_flat(rows: int, columns: int, diagonal: int, upper: bool, as_pairs: bool = False) -> np.ndarray:
    """The rows of the places of a triangle and then their columns; as_pairs: each row beside its column."""
    count = _lower_places(rows, columns, diagonal - 1 if upper else diagonal)
    if upper:
        count = rows * columns - count
    flat = np.empty(2 * count, np.int64)
    step, apart = (2, 1) if as_pairs else (1, count)
    _triangle_places[flat.dtype](rows, columns, diagonal, upper, step, apart, flat)
    return flat


def _triangle_indices(name: str, upper: bool):
    def call(row, col, offset=0, *, dtype=int64, layout=None, device=None, pin_memory=False):
        flat = triangle_flat(row, col, offset, upper)
        if dtype is not int64:
            flat = flat.astype(dtype.np)
        return finish(wrap(flat, (2, flat.size // 2), dtype), device, False)

    call.__name__ = name
    return register(name, call, method=False)


tril_indices = _triangle_indices("tril_indices", False)
triu_indices = _triangle_indices("triu_indices", True)


# -- from data --------------------------------------------------------------------------------------------------------


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


@op(method=False, name="complex")
def complex_(real, imag, *, out=None) -> Tensor:
    """real + 1j * imag."""
    if real._dtype is not imag._dtype:
        raise RuntimeError(
            f"Expected object of scalar type {real._dtype.type_name} but got scalar type {imag._dtype.type_name} for "
            "second argument"
        )
    if real._dtype.category != FLOATING:
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {real._dtype.type_name} and "
            f"{imag._dtype.type_name}"
        )
    return _written(make_complex(real, imag), out, "complex")


def make_complex(real: Tensor, imag: Tensor) -> Tensor:
    """The differentiable construction of a complex tensor from its parts."""
    in_graph = mode.enabled and (real._requires_grad or imag._requires_grad)
    if not in_graph and real._flat is not None and imag._flat is not None and real._size == imag._size:
        d = real._dtype.to_complex()
        if real._device is imag._device is cpu and d.to_real() is real._dtype:
            flat = np.empty(real._flat.size, d.np)
            flat.real, flat.imag = real._flat, imag._flat
            return wrap(flat, real._size, d)
    from .complex_ops import view_as_complex
    from .joining import stack

    parts = stack(broadcast_pair(real, imag), -1)
    return view_as_complex(parts)


def broadcast_pair(a: Tensor, b: Tensor) -> list[Tensor]:
    from .._size import broadcast_size

    size = broadcast_size(a._size, b._size)
    return [a.expand(size), b.expand(size)]
