"""Copies, casts and fills on the GPU. Layout copies move bits: one compilation for each element size."""

from __future__ import annotations

import functools

import numpy as np

from .compiler import SIMULATED, cuda, launch
from .positions import position


@cuda.jit
def _strided(x, x0, out, out0, meta, count):
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        out[out0 + position(i, meta, 1)] = x[x0 + position(i, meta, 0)]


@cuda.jit
def _fill(out, out0, meta, count, value):
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        out[out0 + position(i, meta, 0)] = value


@cuda.jit
def _real_part(x, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = x[i].real


@cuda.jit
def _nonzero(x, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = x[i] != 0


@functools.cache
def _cast(convert):
    def kernel(x, out):
        for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
            out[i] = convert(x[i])

    return cuda.jit(kernel)


# -- halves, bit by bit -----------------------------------------------------------------------------------------------


def _device(fn):
    return fn if SIMULATED else cuda.jit(device=True)(fn)


@_device
def _half_to_bits(h):
    """The bits of the float32 with the value of an IEEE half; all numbers are int64."""
    sign, exponent, mantissa = h >> 15 << 31, h >> 10 & 31, h & 1023
    if exponent == 31:
        return sign | 0x7F800000 | mantissa << 13
    if exponent == 0:
        if mantissa == 0:
            return sign
        exponent = 1
        while mantissa < 1024:  # a subnormal half is a normal float32
            mantissa = mantissa << 1
            exponent = exponent - 1
        mantissa = mantissa & 1023
    return sign | exponent + 112 << 23 | mantissa << 13


@_device
def _bits_to_half(b):
    """The IEEE half nearest to a float32 given by its bits, ties to even; all numbers are int64."""
    sign, exponent, mantissa = b >> 31 << 15, (b >> 23 & 255) - 112, b & 0x7FFFFF
    if exponent == 143:  # inf, nan
        return sign | 0x7C00 | (0x200 if mantissa != 0 else 0)
    if exponent >= 31:
        return sign | 0x7C00
    shift = 13
    if exponent <= 0:
        if exponent < -10:
            return sign
        mantissa = mantissa | 0x800000
        shift = 14 - exponent
        exponent = 0
    rest = mantissa & (1 << shift) - 1
    half = 1 << shift - 1
    kept = (exponent << 10) + (mantissa >> shift)
    if rest > half or (rest == half and kept & 1 == 1):
        kept = kept + 1  # may carry into the exponent, up to inf
    return sign | kept


@cuda.jit
def _half_to_float(x, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = _half_to_bits(np.int64(x[i]))


@cuda.jit
def _float_to_half(x, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = _bits_to_half(np.int64(x[i]))


@cuda.jit
def _bfloat16_to_float(x, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = np.int64(x[i]) << 16


@cuda.jit
def _float_to_bfloat16(x, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        b = np.int64(x[i])
        nan = (b & 0x7FFFFFFF) > 0x7F800000
        out[i] = 0x7FC0 if nan else b + 0x7FFF + (b >> 16 & 1) >> 16 & 0xFFFF


def copy_strided(x, x0: int, out, out0: int, meta, count: int) -> None:
    """out[...] = x[...] for two layouts of one size; both seen as unsigned integers (or complex128) of one size."""
    launch(_strided, count, x, x0, out, out0, meta, count)


def fill_strided(out, out0: int, meta, count: int, value) -> None:
    """out[...] = value, a numpy scalar of its dtype."""
    launch(_fill, count, out, out0, meta, count, value)


def cast(x, out) -> None:
    """out[i] = x[i] in the dtype of out; the real part where a complex number becomes a real one."""
    source, target = np.dtype(x.dtype), np.dtype(out.dtype)
    if target.kind == "b":
        kernel = _nonzero
    elif source.kind == "c" and target.kind != "c":
        kernel = _real_part
    else:
        kernel = _cast(target.type)
    launch(kernel, out.size, x, out)


def half_to_float(x, out) -> None:
    """float16 bits (uint16) to float32 bits (uint32)."""
    launch(_half_to_float, out.size, x, out)


def float_to_half(x, out) -> None:
    """float32 bits (uint32) to float16 bits (uint16), ties to even."""
    launch(_float_to_half, out.size, x, out)


def bfloat16_to_float(x, out) -> None:
    """bfloat16 bits (uint16) to float32 bits (uint32)."""
    launch(_bfloat16_to_float, out.size, x, out)


def float_to_bfloat16(x, out) -> None:
    """float32 bits (uint32) to bfloat16 bits (uint16), ties to even; a nan stays a nan."""
    launch(_float_to_bfloat16, out.size, x, out)
