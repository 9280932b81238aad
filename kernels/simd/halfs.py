"""float16 and bfloat16, kept as uint16, to float32 and back: scalar functions that loops over them vectorise.

float16 converts by one instruction where the CPU has it, else by integer arithmetic; bfloat16 is the upper half of a
float32. Both round to the nearest, ties to even, and keep nan a nan.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .. import host
from ..math.bits import float_as_int, int_as_float32, select
from ..math.naming import double


@intrinsic
def _extended(typingctx, bits):
    if bits != types.uint16:
        return None

    def codegen(context, builder, signature, args):
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(bits), codegen


@intrinsic
def _truncated(typingctx, value):
    if value != types.float32:
        return None

    def codegen(context, builder, signature, args):
        return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(value), codegen


@double
def _half_to_single_in_integers(bits):
    wide = np.int32(bits)
    # exponent and fraction to their places; a multiplication moves the bias from 15 to 127 and normalises subnormals
    magnitude = int_as_float32((wide & 0x7FFF) << 13) * np.float32(2.0**112)
    special = int_as_float32(((wide & 0x7FFF) << 13) | 0x7F800000)
    magnitude = select((wide & 0x7C00) == 0x7C00, special, magnitude)
    return int_as_float32(float_as_int(magnitude) | ((wide & 0x8000) << 16))


@double
def _single_to_half_in_integers(value):
    bits = float_as_int(value)
    magnitude = np.int32(bits & 0x7FFFFFFF)
    sign = np.int32((bits >> 16) & 0x8000)
    # normal results: round off 13 bits; subnormal ones: adding 0.5 leaves the result in the low bits, rounded
    normal = np.int32((magnitude + 0xFFF + ((magnitude >> 13) & 1)) - 0x38000000) >> 13
    small = float_as_int(int_as_float32(magnitude) + np.float32(0.5)) - 0x3F000000
    result = select(magnitude < 0x38800000, np.int32(small), np.int32(normal))
    result = select(magnitude >= 0x477FF000, np.int32(0x7C00), result)
    result = select(magnitude > 0x7F800000, np.int32(0x7E00), result)
    return np.uint16(result | sign)


_OVERFLOWING = np.float32(1e30)


@double
def _half_to_single_in_hardware(bits):
    return _extended(bits)


@double
def _single_to_half_in_hardware(value):
    # Everything from 65520 up is inf. The bound keeps LLVM from rounding a float64 that has just been made a float32 in one
    # step, for which x86 has neither an instruction nor we a function; it costs one instruction, a choice by nan two.
    return _truncated(select(value > _OVERFLOWING, _OVERFLOWING, value))


#: The float32 of the IEEE half in a uint16, and the uint16 of the half nearest to a float32.
half_to_single = _half_to_single_in_hardware if host.converts_halfs() else _half_to_single_in_integers
single_to_half = _single_to_half_in_hardware if host.converts_halfs() else _single_to_half_in_integers


@double
def bfloat16_to_single(bits):
    """The float32 of the bfloat16 in a uint16."""
    return int_as_float32(np.int32(bits) << 16)


@double
def single_to_bfloat16(value):
    """The uint16 of the bfloat16 nearest to a float32."""
    bits = float_as_int(value)
    rounded = np.int32(bits + 0x7FFF + ((bits >> 16) & 1))  # back to 32 bits at once: Numba adds in 64
    kept = select(value == value, rounded, np.int32(0x7FC00000))
    return np.uint16(np.uint32(kept) >> np.uint32(16))


def _half_to_single_python(bits):
    return np.float32(np.uint16(bits).view(np.float16))


def _single_to_half_python(value):
    with np.errstate(over="ignore"):
        return np.float16(value).view(np.uint16)


def _bfloat16_to_single_python(bits):
    return (np.uint32(bits) << np.uint32(16)).view(np.float32)


def _single_to_bfloat16_python(value):
    bits = int(np.float32(value).view(np.uint32))
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.uint16(rounded & 0xFFFF if value == value else 0x7FC0)


if numba.config.DISABLE_JIT:
    half_to_single, single_to_half = _half_to_single_python, _single_to_half_python
    bfloat16_to_single, single_to_bfloat16 = _bfloat16_to_single_python, _single_to_bfloat16_python
