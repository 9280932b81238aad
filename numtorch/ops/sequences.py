"""Evenly spaced values: arange, range, linspace and logspace."""

from __future__ import annotations

import math
import warnings

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu import sequences as _sequences

from .. import _dtype
from .._compiled import Compiled
from .._copy import cast_array
from .._dtype import COMPLEX, FLOATING, dtype, from_numpy_dtype, int64
from .._registry import op
from .._tensor import Tensor, wrap
from .creation import finish, written

_arange = Compiled(_sequences.arange_forward, "ddwx")
_linspace = Compiled(_sequences.linspace_forward, "vvvx")


#: Integers below are numbers of float64 as they are.
_EXACT = 1 << 53


@op(method=False)
def arange(
    start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
) -> Tensor:
    """start, start + step, ... up to but without `end`; integers give int64, floats the default dtype."""
    if end is None:
        start, end = 0, start
    whole = start.__class__ is int and end.__class__ is int and step.__class__ is int
    plain = whole and out is device is None and not requires_grad and not mode.inference
    if plain and step and (end - start) * step >= 0:
        if dtype is None or dtype is int64:
            flat = np.arange(start, end, step, np.int64)
            return wrap(flat, (flat.size,), int64)
        if dtype is _dtype.float32 and -_EXACT < start < _EXACT and -_EXACT < end < _EXACT:
            flat = np.arange(start, end, step, np.float64).astype(np.float32)
            return wrap(flat, (flat.size,), dtype)
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
    return finish(written(wrap(cast_array(flat, source, d), (count,), d), out, "arange"), device, requires_grad)


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
    return finish(written(wrap(cast_array(flat, _dtype.float64, d), (count,), d), out, "range"), device, requires_grad)


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
    return finish(written(wrap(flat, (int(steps),), d), out, "linspace"), device, requires_grad)


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
    return finish(written(wrap(flat, (int(steps),), d), out, "logspace"), device, requires_grad)
