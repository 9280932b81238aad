"""Scalar functions compiled into loops, and the loops run over tensors of any layout.

A `Loops` holds one scalar text and what was compiled from it; `run` chooses the loop: along memory where all operands
have one layout, row by row for a bias, strided for any other broadcast.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from numba import from_dtype, types

from numtorch.kernels.compiler import entry_point, jit, specialise
from numtorch.kernels.cpu import pointwise as _loops
from numtorch.kernels.cpu import pointwise_inplace as _inplace_loops
from numtorch.kernels.cpu import pointwise_strided as _strided_loops
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD
from numtorch.kernels.cpu.pointwise_halfs import of_halfs
from numtorch.kernels.simd import half_width

from . import _dtype
from ._allocator import empty as _empty
from ._copy import contiguous
from ._device import cpu
from ._dtype import dtype
from ._layout import broadcast, plan, walk_into
from ._size import broadcast_sizes, contiguous_strides, expanded_strides, is_contiguous, is_dense
from ._storage import Storage
from ._tensor import Tensor, _new, alias, wrap
from ._views import shares_elements

_np_empty = np.empty
# Elements from which a transposed operand is worth a copy: below, everything is in the first-level cache anyway.
_WORTH_TURNING = 8192
# Loops that launch threads.
_PARALLEL = frozenset({"parallel", "strided parallel", "turned", "inplace parallel", "inplace strided parallel"})


def _array(np_dtype) -> types.Array:
    return types.Array(_numba_type(np_dtype), 1, "C")


# The buffers of float16 and bfloat16, which kernels take for arrays of uint16 (only the size of an element is checked).
_HALFS = (_dtype.float16.np, _dtype.bfloat16.np)


def _numba_type(np_dtype):
    if np_dtype in _HALFS:
        return types.uint16
    return types.boolean if np_dtype == np.bool_ else from_dtype(np_dtype)


def _swapped(f):
    def swapped(b, a, *params):
        return f(a, b, *params)

    return swapped


class Loops:
    """The compiled loops of one scalar function of `arity` elements and any number of parameters.

    `result` says what comes out: "same" (the dtype that is computed in), "bool", or "real" (|z| of a complex z).
    With `mask` the first operand is bool, whatever the others are (the condition of `where`).
    With `swapped` the element is the text's second operand and the first parameter its first (`2 - x`).
    """

    def __init__(self, text: Callable, arity: int, result: str = "same", mask: bool = False, swapped: bool = False):
        self.text, self.arity, self.result, self.mask, self.swapped = text, arity, result, mask, swapped
        self.functions: dict = {}  # dtype -> the text compiled for its elements
        self.compiled: dict = {}
        self.by_dtype: dict = {}  # the same by our own dtypes, whose hash does not take 0.3 us
        self.small_row: dict = {}  # dtype -> the loops of `run_broadcast`
        self.small_strided: dict = {}
        self.large_strided: dict = {}

    def output(self, np_dtype) -> np.dtype:
        if self.result == "bool":
            return np.dtype(np.bool_)
        if self.result == "real" and np_dtype.kind == "c":
            return np.dtype(np.float32 if np_dtype.itemsize == 8 else np.float64)
        return np_dtype

    def entry(self, kind: str, np_dtype, n_params: int) -> Callable:
        """The compiled loop of this kind ("contiguous", "parallel", "strided", "row", "inplace", ...) for a dtype."""
        key = (kind, np_dtype, n_params)
        found = self.compiled.get(key)
        if found is None:
            found = self.compiled[key] = self._compile(kind, np_dtype, n_params)
        return found

    def entry_for(self, kind: str, d: dtype, n_params: int) -> Callable:
        """`entry` for a dtype of ours."""
        key = (kind, d, n_params)
        found = self.by_dtype.get(key)
        if found is None:
            found = self.by_dtype[key] = self.entry(kind, d.np, n_params)
        return found

    def _function(self, np_dtype):
        """The text as a function of elements of a dtype. One for all kinds of loops: Numba drops the code of a function
        that is collected, and with it what another of the same content has loaded from the cache."""
        f = self.functions.get(np_dtype)
        if f is None:
            half = np_dtype in _HALFS
            f = specialise(self.text, np.float32 if half else np_dtype.type)
            if self.swapped:
                f = jit(_swapped(f))
            if half:
                bfloat, truth, names = (
                    np_dtype is _dtype.bfloat16.np,
                    self.result == "bool",
                    self.text.__code__.co_names,
                )
                f = of_halfs(f, self.arity, bfloat, self.mask, truth, names)
            self.functions[np_dtype] = f
        return f

    def _compile(self, kind: str, np_dtype, n_params: int):
        f, half = self._function(np_dtype), np_dtype in _HALFS
        element, x, out = _numba_type(np_dtype), _array(np_dtype), _array(self.output(np_dtype))
        operands = (x,) * self.arity
        if self.mask:
            operands = (_array(np.dtype(np.bool_)), *operands[1:])
        if half:
            element = types.float32
        params = types.UniTuple(element, n_params) if n_params else types.Tuple(())
        # Two operands and an instruction or two: vectors of half the width.
        width = (half_width,) if self.arity == 2 and not self.text.__code__.co_names and not half else ()
        if kind in ("strided", "strided parallel", "turned"):
            template = _strided_loops.turned if kind == "turned" else _strided_loops.strided[self.arity]
            loop = template(f, *width)
            pairs = tuple(part for operand in operands for part in (operand, types.int64))
            signature = (*pairs, out, types.int64, types.int64[::1], params)
        elif kind in ("inplace strided", "inplace strided parallel"):
            loop = _inplace_loops.strided[self.arity](f)
            pairs = tuple(part for operand in operands for part in (operand, types.int64))
            signature = (*pairs, types.int64[::1], params)
        elif kind == "row":
            loop, signature = _loops.row(f), (*operands, out, params)
        elif kind == "inplace" or kind == "inplace parallel":
            loops = _inplace_loops.serial if kind == "inplace" else _inplace_loops.parallel
            loop, signature = loops[self.arity](f), (*operands, params)
        else:
            loop = getattr(_loops, kind)[self.arity](f, *width)
            signature = (*operands, out, params)
        return entry_point(jit(loop, parallel=kind in _PARALLEL), signature)


def run_apart(loops: Loops, found: tuple, a: Tensor, b: Tensor | None, params: tuple) -> Tensor | None:
    """One or two operands of one dtype, on the CPU, of which not all lie along memory, by one loop and no detour.

    found: the contiguous loop for the dtype, and the result's dtypes. None where that is not a matter of one loop.
    """
    size, stride, d = a._size, a._stride, a._dtype
    entry, out_np, out_dtype = found
    if (b is None or b._size == size and b._stride == stride) and is_dense(size, stride):
        n = prod(size)
        x = _dense_buffer(a, n)
        if n < PARALLEL_THRESHOLD:
            out = _np_empty(n, out_np)
        else:
            entry, out = loops.entry_for("parallel", d, len(params)), _empty(n, out_np)
        if b is None:
            entry(x, out, params)
        else:
            entry(x, _dense_buffer(b, n), out, params)
        if a._flat is not None:
            return _over(out, size, stride, out_dtype)
        result = _new(Tensor)
        result._flat, result._size, result._stride, result._dtype = None, size, stride, out_dtype
        result._storage = Storage(out)
        return result
    if b is None:
        walk = broadcast(size, stride)
    elif size and b._size:
        walk = broadcast(size, stride, b._size, b._stride)
    else:
        return None  # a number is no operand to walk over
    n = walk.numel
    if not n or n >= _WORTH_TURNING and (walk.turned or not walk.vectorises):
        return None
    kind, out = ("strided", _np_empty(n, out_np)) if n < PARALLEL_THRESHOLD else ("strided parallel", _empty(n, out_np))
    entry = loops.entry_for(kind, d, len(params))
    if b is None:
        entry(a._buffer(), a._offset, out, 0, walk.meta, params)
    else:
        entry(a._buffer(), a._offset, b._buffer(), b._offset, out, 0, walk.meta, params)
    return _over(out, walk.size, walk.stride, out_dtype)


def run_broadcast(loops: Loops, found: tuple, a: Tensor, b: Tensor) -> Tensor | None:
    """Two contiguous operands of one dtype and different sizes, on the CPU, as in `run_apart`; small ones fastest."""
    size, stride, n, meta, vectorises, turned, lies_flat, by_row = broadcast(a._size, a._stride, b._size, b._stride)
    if not lies_flat or not n or n >= PARALLEL_THRESHOLD and (turned or not vectorises):
        return run_apart(loops, found, a, b, ())
    d = a._dtype
    if n >= PARALLEL_THRESHOLD:
        out = _empty(n, found[1])
        entry = loops.large_strided.get(d)
        if entry is None:
            entry = loops.large_strided[d] = loops.entry("strided parallel", d.np, 0)
        entry(a._flat, 0, b._flat, 0, out, 0, meta, ())
    elif by_row:
        out = _np_empty(n, found[1])
        entry = loops.small_row.get(d)
        if entry is None:
            entry = loops.small_row[d] = loops.entry("row", d.np, 0)
        entry(a._flat, b._flat, out, ())
    else:
        out = _np_empty(n, found[1])
        entry = loops.small_strided.get(d)
        if entry is None:
            entry = loops.small_strided[d] = loops.entry("strided", d.np, 0)
        entry(a._flat, 0, b._flat, 0, out, 0, meta, ())
    result = _new(Tensor)
    result._flat = out
    result._size = size
    result._stride = stride
    result._dtype = found[2]
    return result


def run_three(loops: Loops, a: Tensor, b: Tensor, c: Tensor, params: tuple, d: dtype) -> Tensor:
    """Three operands with dimensions on the CPU, of the dtype d (a mask in front may be bool): `run` with less ado."""
    size, stride, n, meta, vectorises, *_ = broadcast(a._size, a._stride, b._size, b._stride, c._size, c._stride)
    if not 0 < n < (PARALLEL_THRESHOLD if vectorises else _WORTH_TURNING):
        return run(loops, (a, b, c), params, d)
    out = _np_empty(n, d.np)
    entry = loops.entry_for("strided", d, len(params))
    x, y, z = a._buffer(), b._buffer(), c._buffer()
    entry(x, a._offset, y, b._offset, z, c._offset, out, 0, meta, params)
    return _over(out, size, stride, d)


def run(loops: Loops, operands: tuple, params: tuple, compute: dtype) -> Tensor:
    """Apply the loops to tensors of any layout and broadcastable sizes, all of the dtype `compute`: a fresh tensor."""
    first = operands[0]
    if first._device is not cpu:
        from .cuda._pointwise import run_on_cuda

        return run_on_cuda(loops, operands, params, compute)
    np_dtype = compute.np
    out_np = loops.output(np_dtype)
    out_dtype = compute if out_np is np_dtype else _dtype.FROM_NUMPY[out_np]
    size, stride = first._size, first._stride
    same = all(t._size == size and t._stride == stride for t in operands[1:])
    if same and (first._flat is not None or is_dense(size, stride)):
        # One layout: walk the memory in order, whatever the order of the dimensions is.
        n = size.numel()
        buffers = [_dense_buffer(t, n) for t in operands]
        out = _empty(n, out_np)
        if n:
            kind = "contiguous"
            if n >= PARALLEL_THRESHOLD and loops.arity in _loops.parallel:
                kind = "parallel"
            loops.entry(kind, np_dtype, len(params))(*buffers, out, params)
        return _over(out, size, stride, out_dtype)
    if loops.arity not in (1, 2, 3):
        size = broadcast_sizes(*[t._size for t in operands])
        operands = tuple(contiguous(_expand(t, size)) for t in operands)
        return run(loops, operands, params, compute)
    parts = []
    for t in operands:
        parts += (t._size, t._stride)
    walk = broadcast(*parts)
    size = walk.size
    small = walk.numel < PARALLEL_THRESHOLD
    if small and loops.arity == 2 and size == first._size and _is_row(operands[1], size) and first.flat() is not None:
        out = _empty(first._flat.size, out_np)
        if out.size:
            loops.entry("row", np_dtype, len(params))(first._flat, operands[1].flat(), out, params)
        return wrap(out, size, out_dtype)
    turned = walk.turned and walk.numel >= _WORTH_TURNING
    if walk.numel >= _WORTH_TURNING and not walk.vectorises and not turned:
        # An operand is walked across its rows: turn it by tiles first, so that the loop runs along memory.
        copies = tuple([contiguous(_expand(t, size)) if t._size == size else t for t in operands])
        if any(a is not b for a, b in zip(copies, operands)):
            return run(loops, copies, params, compute)
    out = _empty(walk.numel, out_np)
    if walk.numel:
        arguments = []
        for t in operands:
            arguments += (t._buffer(), t._offset)
        kind = "strided"
        if turned:
            kind = "turned"
        elif not small:
            kind = "strided parallel"
        loops.entry(kind, np_dtype, len(params))(*arguments, out, 0, walk.meta, params)
    return _over(out, size, walk.stride, out_dtype)


def run_over(loops: Loops, target: Tensor, others: tuple, params: tuple) -> bool:
    """Write the result over the first operand, whatever the layouts; the others are broadcast to its size.

    False, and nothing has happened, where that is not a matter of one loop.
    """
    if loops.arity not in _inplace_loops.strided:
        return False
    size, stride, d = target._size, target._stride, target._dtype
    arguments, strides, dense = [target._buffer(), target._offset], [], is_dense(size, stride)
    for t in others:
        if t._size != size and (not t._size or broadcast_sizes(size, t._size) != size):
            return False
        buffer = t._buffer()
        if np.may_share_memory(arguments[0], buffer):
            return False
        arguments += (buffer, t._offset)
        strides.append(t._stride if t._size == size else expanded_strides(t._size, t._stride, size))
        dense = dense and strides[-1] == stride
    n = size.numel()
    if dense:
        kind = "inplace" if n < PARALLEL_THRESHOLD else "inplace parallel"
        loops.entry_for(kind, d, len(params))(*[_dense_buffer(t, n) for t in (target, *others)], params)
    elif n:
        kind = "inplace strided" if n < PARALLEL_THRESHOLD else "inplace strided parallel"
        loops.entry_for(kind, d, len(params))(*arguments, plan(size, *strides, stride), params)
    return True


def run_into(loops: Loops, operands: tuple, params: tuple, out: Tensor) -> bool:
    """Write the result into `out`, a tensor of the result's dtype in any layout; operands of one dtype, on the CPU as it is.

    False, and nothing has happened, where that is not a matter of one loop, or `out` and an operand may share memory.
    """
    size, stride, d = out._size, out._stride, operands[-1]._dtype
    z, n, arguments, parts, dense = out._buffer(), prod(size), [], [], is_dense(size, stride)
    for t in operands:
        buffer = t._buffer()
        if shares_elements(z, buffer):
            return False
        arguments += (buffer, t._offset)
        parts += (t._size, t._stride)
        dense = dense and t._size == size and t._stride == stride
    if dense and n:
        kind = "contiguous" if n < PARALLEL_THRESHOLD or loops.arity not in _loops.parallel else "parallel"
        buffers = [_dense_buffer(t, n) for t in (*operands, out)]
        loops.entry_for(kind, d, len(params))(*buffers, params)
        return True
    meta = walk_into(size, stride, *parts)
    if meta is None:
        return False
    kind = "strided" if n < PARALLEL_THRESHOLD else "strided parallel"
    loops.entry_for(kind, d, len(params))(*arguments, z, out._offset, meta, params)
    return True


def _dense_buffer(t: Tensor, n: int):
    """The n elements of a dense tensor as they lie in memory."""
    flat = t._flat
    if flat is None:
        flat, start = t._buffer(), t._offset
        if flat.size != n:
            flat = flat[start : start + n]
    return flat


def _over(out, size, stride, out_dtype: dtype) -> Tensor:
    """A tensor over a fresh buffer in which the elements lie in the given order."""
    result = _new(Tensor)
    result._size, result._stride, result._dtype = size, stride, out_dtype
    row_major = contiguous_strides(size)
    if stride == row_major or is_contiguous(size, stride):
        result._flat = out
        result._stride = row_major
    else:
        result._flat = None
        result._storage = Storage(out)
    return result


def _expand(t: Tensor, size) -> Tensor:
    if t._size == size:
        return t
    result = alias(t)
    result._flat = None
    result._size, result._stride = size, expanded_strides(t._size, t._stride, size)
    return result


def _is_row(t: Tensor, size) -> bool:
    """Whether `t`, broadcast to `size`, is one contiguous row repeated (a bias), long enough to be worth a loop."""
    inner = t._size
    while inner and inner[0] == 1:
        inner = inner[1:]
    return bool(inner) and inner[-1] >= 4 and size[len(size) - len(inner) :] == inner and t.flat() is not None


def check_devices(tensors) -> bool:
    """RuntimeError where tensors with dimensions lie on different devices (a 0-d CPU tensor goes with any).

    Whether all that counts lies on another device than the CPU.
    """
    for t in tensors:
        if t._device is not cpu:
            break
    else:
        return False
    devices = {t._device for t in tensors if t._size or t._device is not cpu}
    if len(devices) > 1:
        a, b = sorted(map(str, devices), reverse=True)[:2]
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {a} and {b}!"
        )
    return bool(devices) and cpu not in devices
