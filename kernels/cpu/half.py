"""float16 and bfloat16 buffers to float32 and back; both are handed over as raw uint16."""

from __future__ import annotations

from numba import prange

from ..compiler import jit
from ..simd.halfs import bfloat16_to_single, half_to_single, single_to_bfloat16, single_to_half

# Elements of a block that is handed to a thread: 64 KiB of float32 beside 32 of halfs, some 3 us of work.
BLOCK = 16384


def _blocks(convert):
    """`convert` over fixed blocks, on all threads; compiled without threads, one block after the other."""
    convert = jit(convert, inline=True)

    def convert_blocks(x, out):
        n = out.size
        for block in prange((n + BLOCK - 1) // BLOCK):
            lo, hi = block * BLOCK, min(block * BLOCK + BLOCK, n)
            convert(x[lo:hi], out[lo:hi])

    return jit(convert_blocks, parallel=True)


def _half_to_float(x, out):
    """float16 bits to float32."""
    for i in range(out.size):
        out[i] = half_to_single(x[i])


def _float_to_half(x, out):
    """float32 to float16 bits, ties to even."""
    for i in range(out.size):
        out[i] = single_to_half(x[i])


def _bfloat16_to_float(x, out):
    """bfloat16 bits to float32: they are its upper half."""
    for i in range(out.size):
        out[i] = bfloat16_to_single(x[i])


def _float_to_bfloat16(x, out):
    """float32 to bfloat16 bits, ties to even; a nan stays a nan."""
    for i in range(out.size):
        out[i] = single_to_bfloat16(x[i])


half_to_float, float_to_half = _blocks(_half_to_float), _blocks(_float_to_half)
bfloat16_to_float, float_to_bfloat16 = _blocks(_bfloat16_to_float), _blocks(_float_to_bfloat16)
