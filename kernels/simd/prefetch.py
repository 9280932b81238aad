"""Asking for memory before it is needed.

Hardware prefetchers follow addresses that go on, not a tile that takes three lines from each of a hundred rows and then
moves on along all of them. What such a tile will need next is asked for here; an address may lie anywhere, even outside of
an array, since a line that cannot be had is not brought.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .emit import element_pointer

# Into the first-level cache; for the levels beyond, instructions that Zen 4 carried out no faster than no prefetch at all.
_NEAREST = 3


def ask_for(builder, pointer, write: bool = False):
    """Ask for the cache line of an address, to be read or to be written."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(function, [builder.bitcast(pointer, byte), number(int(write)), number(_NEAREST), number(1)])


@intrinsic
def _prefetch_to_write(typingctx, array, at):
    def codegen(context, builder, sig, args):
        ask_for(builder, element_pointer(context, builder, array, *args), write=True)
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


def _prefetch_to_write_python(array, at):
    """Nothing, in plain Python: only the time that a later store takes would change."""


prefetch_to_write = _prefetch_to_write_python if numba.config.DISABLE_JIT else _prefetch_to_write
