"""Making tensors: of one value, uninitialised, like others, and the identity (sequences: sequences.py; data: from_data.py)."""

from __future__ import annotations

import math

import numpy as np

from numtorch.graph import mode

from .. import _allocator, _dtype
from .._copy import cast_array, fill_flat
from .._device import cpu, parse_device
from .._dtype import COMPLEX, FLOATING, bool_, dtype, int64, scalar_dtype
from .._inplace import resize_out, write_out
from .._registry import op, register
from .._size import EMPTY, Size, dense, flatten_sizes
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


_PLAIN_FLOATS = frozenset({_dtype.float32, _dtype.float64})

# Elements below which numpy's fill is called at once.
_FEW = 16384


def filled(size, value, d: dtype) -> Tensor:
    """A contiguous CPU tensor with one value everywhere."""
    size = _check_size(size)
    if value == 0 and not isinstance(value, complex):
        return wrap(np.zeros(size.numel(), d.np), size, d)
    out = _allocator.empty(size.numel(), d.np)
    if d.np is not d.compute:
        bits = cast_array(np.full(1, value, np.float32), _dtype.float32, d)
        out[...] = bits[0]
    else:
        number = python_number(value, d)
        if d.category == FLOATING and out.size < _FEW:
            out.fill(number)
        else:
            fill_flat(out, d.np.type(number))
    return wrap(out, size, d)


def python_number(value, d: dtype) -> bool | int | float | complex:
    """`value` (a number or a tensor of one) as a number that dtype `d` holds; RuntimeError where it does not."""
    if isinstance(value, Tensor):
        value = value.item()
    if d.category < FLOATING and isinstance(value, float) and not math.isfinite(value):
        raise RuntimeError("value cannot be converted to type int64_t without overflow")
    if isinstance(value, complex) and d.category != COMPLEX:
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    if d.category == _dtype.INTEGRAL:
        low, high = np.iinfo(d.np).min, np.iinfo(d.np).max
        if low == 0 and not isinstance(value, float) and -high <= value < 0:
            return int(value) + high + 1  # -1 is 255, as torch has it
        value = int(value)
        if not low <= value <= high:
            raise RuntimeError(f"value cannot be converted to type {d.name}_t without overflow")
    return value


_np_empty = np.empty
# Elements (of 8 bytes) from which the allocator has blocks that start at a cache line. Rows of 64 floats lie in five lines
# otherwise: index_select takes 84 us instead of 64 for 10,000 of them.
_SMALL = _allocator.SMALLEST // 8


def direct(shape: tuple, value, d: dtype) -> Tensor | None:
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
        flat = (_np_empty if numel < _SMALL else _allocator.empty)(numel, d.np)
    elif value:
        flat = (_np_empty if numel < _SMALL else _allocator.empty)(numel, d.np)
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

    def constructor(*args, size=None, dtype=None, device=None, requires_grad=False, **kwargs) -> Tensor:
        if size is not None:
            args = (size,)
        if not kwargs and (device is None or device is cpu or device == "cpu"):
            d = dtype or _dtype.get_default_dtype()
            result = direct(args, value, d) if not requires_grad or d.category >= FLOATING else None
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
            result = direct((size,), None, d)
            if result is not None and result._flat.size < _FEW:
                result._flat.fill(fill_value)
                return result
    d = dtype or (out._dtype if out is not None else None)
    if d is None:
        d = fill_value._dtype if isinstance(fill_value, Tensor) else scalar_dtype(fill_value)
    if out is not None:
        resize_out(out, _check_size(flatten_sizes((size,))))
        return out.fill_(fill_value)
    return finish(filled(flatten_sizes((size,)), python_number(fill_value, d), d), device, requires_grad)


def _like(name: str, value, doc: str):
    def call(
        input, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False, memory_format=None
    ) -> Tensor:
        d = dtype or input._dtype
        if device is None and not requires_grad and input._flat is not None and input._device is cpu:
            result = direct(input._size, value, d)
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
    result = filled(input._size, python_number(fill_value, d), d)
    return finish(result, input._device if device is None else device, requires_grad)


_MISSING = object()


def _new_constructor(name: str, make, value, doc: str):
    def call(
        self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False, **kwargs
    ) -> Tensor:
        if "size" in kwargs:
            size = (kwargs.pop("size"),)
        if device is None and not requires_grad and not kwargs and self._device is cpu:
            if value is not _MISSING:
                result = direct(size, value, dtype or self._dtype)
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
    _check_size(size)
    if any(s < 0 for s in stride):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}")
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


def written(t: Tensor, out: Tensor | None, name: str) -> Tensor:
    return t if out is None else write_out(t, out, name)


@op(method=False)
def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False) -> Tensor:
    """A matrix with ones on its diagonal."""
    m = n if m is None else m
    if n < 0 or m < 0:
        name, value = ("n", n) if n < 0 else ("m", m)
        raise RuntimeError(f"{name} must be greater or equal to 0, got {value}")
    d = dtype or (out._dtype if out is not None else _dtype.get_default_dtype())
    result = direct((n, m), 0, d)
    if result is None:
        result = filled((n, m), 0, d)
    if d.np is d.compute:
        result._flat[: min(n, m) * (m + 1) : m + 1] = 1
    else:
        result.diagonal().fill_(1)
        result._storage.version = 0
    return finish(written(result, out, "eye"), device, requires_grad)


@op(method=False)
def scalar_tensor(s, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False) -> Tensor:
    """A 0-d tensor of a Python number, in the default dtype unless given."""
    d = dtype or _dtype.get_default_dtype()
    plain = s.__class__ is float and (-3e38 < s < 3e38 or s - s != 0)  # what a float32 holds for certain; inf and nan
    if plain and d in _PLAIN_FLOATS and device is None and not requires_grad and not mode.inference:
        flat = np.empty(1, d.np)
        flat[0] = s
        return wrap(flat, EMPTY, d)
    return full((), s, dtype=d, device=device, requires_grad=requires_grad)
