"""Arrays by their addresses, for a kernel that works on any number of them in one call.

    address(x)                          where the elements of x begin
    array_at(place, at, count, like)    elements at .. at + count - 1 of the array that begins at `place`, of the dtype of
                                        `like`; an empty array where `place` is 0

Nothing is checked and nothing is kept alive: the caller holds the arrays until the kernel returns.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from .pieces import array_over


@intrinsic
def _address(typingctx, array):
    if not isinstance(array, types.Array):
        return None

    def codegen(context, builder, signature, args):
        data = make_array(array)(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.int64))

    return types.int64(array), codegen


@intrinsic
def _array_at(typingctx, place, at, count, like):
    if not isinstance(like, types.Array) or like.ndim != 1 or like.layout != "C":
        return None

    def codegen(context, builder, signature, args):
        begin, first, length, _ = args
        element = context.get_data_type(like.dtype)
        data = builder.gep(builder.inttoptr(begin, element.as_pointer()), [first])
        there = builder.icmp_unsigned("!=", begin, begin.type(0))
        return array_over(context, builder, like, data, builder.select(there, length, length.type(0)))

    return like(types.int64, types.int64, types.int64, like), codegen


def _address_python(array):
    return array.ctypes.data


def _array_at_python(place, at, count, like):
    if place == 0:
        return like[:0]
    kind = np.ctypeslib.as_ctypes_type(like.dtype)
    return np.ctypeslib.as_array((kind * int(count)).from_address(int(place) + int(at) * like.itemsize))


address = _address_python if numba.config.DISABLE_JIT else _address
array_at = _array_at_python if numba.config.DISABLE_JIT else _array_at
