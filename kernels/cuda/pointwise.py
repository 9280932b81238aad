"""The pointwise loops on the GPU: one thread an element, the same scalar texts as on the CPU.

Elements beyond the grid are taken in strides of the grid, so one launch serves any size. `meta` is that of the CPU's
strided loops: [ndim, sizes, strides of each operand and of the result].
"""

from __future__ import annotations

import functools

from .compiler import cuda, device_function, launch
from .positions import position


def _contiguous_unary(f):
    def kernel(x, out, params):
        for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
            out[i] = f(x[i], *params)

    return kernel


def _contiguous_binary(f):
    def kernel(a, b, out, params):
        for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
            out[i] = f(a[i], b[i], *params)

    return kernel


def _contiguous_ternary(f):
    def kernel(a, b, c, out, params):
        for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
            out[i] = f(a[i], b[i], c[i], *params)

    return kernel


def _contiguous_quaternary(f):
    def kernel(a, b, c, d, out, params):
        for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
            out[i] = f(a[i], b[i], c[i], d[i], *params)

    return kernel


def _strided_unary(f):
    def kernel(x, x0, out, meta, count, params):
        for i in range(cuda.grid(1), count, cuda.gridsize(1)):
            out[position(i, meta, 1)] = f(x[x0 + position(i, meta, 0)], *params)

    return kernel


def _strided_binary(f):
    def kernel(a, a0, b, b0, out, meta, count, params):
        for i in range(cuda.grid(1), count, cuda.gridsize(1)):
            x, y = a[a0 + position(i, meta, 0)], b[b0 + position(i, meta, 1)]
            out[position(i, meta, 2)] = f(x, y, *params)

    return kernel


def _strided_ternary(f):
    def kernel(a, a0, b, b0, c, c0, out, meta, count, params):
        for i in range(cuda.grid(1), count, cuda.gridsize(1)):
            x, y, z = a[a0 + position(i, meta, 0)], b[b0 + position(i, meta, 1)], c[c0 + position(i, meta, 2)]
            out[position(i, meta, 3)] = f(x, y, z, *params)

    return kernel


def _strided_quaternary(f):
    def kernel(a, a0, b, b0, c, c0, d, d0, out, meta, count, params):
        for i in range(cuda.grid(1), count, cuda.gridsize(1)):
            x, y, z = a[a0 + position(i, meta, 0)], b[b0 + position(i, meta, 1)], c[c0 + position(i, meta, 2)]
            w = d[d0 + position(i, meta, 3)]
            out[position(i, meta, 4)] = f(x, y, z, w, *params)

    return kernel


_CONTIGUOUS = {1: _contiguous_unary, 2: _contiguous_binary, 3: _contiguous_ternary, 4: _contiguous_quaternary}
_STRIDED = {1: _strided_unary, 2: _strided_binary, 3: _strided_ternary, 4: _strided_quaternary}


@functools.cache
def contiguous_kernel(text, arity: int, dtype):
    """The loop over buffers of equal length for elements of `dtype`."""
    return cuda.jit(_CONTIGUOUS[arity](device_function(text, dtype)))


@functools.cache
def strided_kernel(text, arity: int, dtype):
    """The loop over operands of any strides for elements of `dtype`."""
    return cuda.jit(_STRIDED[arity](device_function(text, dtype)))


def contiguous(text, dtype, operands, out, params=()) -> None:
    """out[i] = text(operands[0][i], ..., *params) for device arrays of equal length."""
    launch(contiguous_kernel(text, len(operands), dtype), out.size, *operands, out, params)


def strided(text, dtype, operands, offsets, out, meta, count: int, params=()) -> None:
    """The same for any strides and broadcasting; `meta` is a device array, `count` the number of elements."""
    arguments = [part for pair in zip(operands, offsets, strict=True) for part in pair]
    launch(strided_kernel(text, len(operands), dtype), count, *arguments, out, meta, count, params)
