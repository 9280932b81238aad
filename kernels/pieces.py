"""A part of a flat array as an array, for kernels whose inner loops run over short rows.

    piece(x, at, count)      x[at : at + count]

Numba's slice clamps both ends, which costs some ten instructions, and counts a reference to x, which outside of bare
kernels is an atomic operation; for a row of ten elements that is more than the row. A piece is a pointer and a length: it
checks nothing, and it must not outlive x, which an argument of the kernel never does.
"""

from __future__ import annotations

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from .simd.emit import element_pointer


def array_over(context, builder, array_type, data, count):
    """An array of `count` elements at the pointer `data`, which it does not keep alive."""
    result = make_array(array_type)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
    populate_array(
        result,
        data=data,
        shape=cgutils.pack_array(builder, [count]),
        strides=cgutils.pack_array(builder, [size]),
        itemsize=size,
        meminfo=None,
    )
    return result._getvalue()


@intrinsic
def _piece(typingctx, array, at, count):
    if not isinstance(array, types.Array) or array.ndim != 1 or array.layout != "C":
        return None

    def codegen(context, builder, signature, args):
        return array_over(context, builder, array, element_pointer(context, builder, array, args[0], args[1]), args[2])

    return array(array, types.int64, types.int64), codegen


def _piece_python(array, at, count):
    """`piece` in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    return array[at : at + count]


piece = _piece_python if numba.config.DISABLE_JIT else _piece
