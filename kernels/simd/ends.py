"""What is left of a row behind its whole vectors, read as the end of a vector that begins earlier.

    load_last(x, position, count)      the last `count` lanes of the vector at x[position], 0 in the lanes before them

No mask touches the memory (some masked loads take 80 cycles), so the whole vector must lie in x.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .. import host
from .emit import element_pointer, load_vector
from .vector import Vector, splat


@intrinsic
def _load_last(typingctx, array, position, count):
    if not isinstance(array, types.Array) or not isinstance(array.dtype, (types.Float, types.Integer)):
        return None
    vector = Vector(array.dtype, host.vector_bytes() * 8 // array.dtype.bitwidth)

    def codegen(context, builder, signature, args):
        pointer = element_pointer(context, builder, array, args[0], args[1])
        value = load_vector(builder, pointer, vector.ir, array.dtype.bitwidth // 8)
        wide = ir.IntType(64)
        numbers = ir.Constant(ir.VectorType(wide, vector.count), list(range(vector.count - 1, -1, -1)))
        wanted = builder.icmp_signed("<", numbers, splat(builder, args[2], vector.count))
        return builder.select(wanted, value, ir.Constant(vector.ir, None))

    return vector(array, types.int64, types.int64), codegen


def _load_last_python(array, position, count):
    """`load_last` in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    vector = array[position : position + host.vector_bytes() // array.itemsize].copy()
    vector[: vector.size - count] = 0
    return vector


load_last = _load_last_python if numba.config.DISABLE_JIT else _load_last
