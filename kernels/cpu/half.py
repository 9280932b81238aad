"""float16 and bfloat16 buffers to float32 and back; both are handed over as raw uint16."""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..simd.halfs import half_to_single, single_to_half


@jit
def half_to_float(x, out):
    """float16 bits to float32."""
    for i in range(out.size):
        out[i] = half_to_single(x[i])


@jit
def float_to_half(x, out):
    """float32 to float16 bits, ties to even."""
    for i in range(out.size):
        out[i] = single_to_half(x[i])


@jit
def bfloat16_to_float(x, out):
    """bfloat16 bits to float32: they are its upper half."""
    bits = out.view(np.uint32)
    for i in range(out.size):
        bits[i] = np.uint32(x[i]) << np.uint32(16)


@jit
def float_to_bfloat16(x, out):
    """float32 to bfloat16 bits, ties to even; a nan stays a nan."""
    bits = x.view(np.uint32)
    for i in range(out.size):
        b = bits[i]
        rounded = b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))
        kept = np.uint32(0x7FC00000) if x[i] != x[i] else rounded
        out[i] = np.uint16(kept >> np.uint32(16))
