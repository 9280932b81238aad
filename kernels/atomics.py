"""Words of memory shared between threads, by address: what compiled code needs to build a thread pool in Python.

    load(address)              the int64 at `address`             all of them sequentially consistent, so that what
    store(address, value)      write it                           one thread wrote before a `store` is there for
    add(address, value)        add to it                          every thread that `load`s the stored value
    swap_if(address, a, b)     b in place of a; was it a?
    read(address)              the int64 at `address`, where no other thread writes it meanwhile
    write(address, value)      write it, where no other thread looks meanwhile
    call(function, ...)        call the C function at an address with int64 arguments; its int64 result
    pause()                    tell the core that this is a waiting loop
    stack_words(n)             the address of n words on this function's stack (n a literal)
    symbol(name)               the address that llvmlite.binding.add_symbol gave to `name` (a literal)

They exist in compiled code only: threads have no part in what runs under NUMBA_DISABLE_JIT=1.
"""

from __future__ import annotations

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_WORD = ir.IntType(64)
_BYTES = 8
_ORDER = "seq_cst"
_TRIPLE = llvm.get_default_triple()


def _pointer(builder, address):
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def load(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_pointer(builder, args[0]), _ORDER, _BYTES)

    return types.int64(types.int64), codegen


@intrinsic
def store(typingctx, address, value):
    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], _pointer(builder, args[0]), _ORDER, _BYTES)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def add(typingctx, address, value):
    def codegen(context, builder, signature, args):
        builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], _ORDER)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def swap_if(typingctx, address, expected, new):
    def codegen(context, builder, signature, args):
        pair = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], _ORDER, _ORDER)
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def read(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.load(_pointer(builder, args[0]))

    return types.int64(types.int64), codegen


@intrinsic
def write(typingctx, address, value):
    def codegen(context, builder, signature, args):
        builder.store(args[1], _pointer(builder, args[0]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def call(typingctx, function, *words):
    words = words[0] if words and isinstance(words[0], types.BaseTuple) else words

    def codegen(context, builder, signature, args):
        given = [
            context.cast(builder, builder.extract_value(args[1], position), kind, types.int64)
            for position, kind in enumerate(words)
        ]
        kind = ir.FunctionType(_WORD, [_WORD] * len(given))
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)

    return types.int64(types.int64, types.StarArgTuple(words)), codegen


@intrinsic
def pause(typingctx):
    def codegen(context, builder, signature, args):
        if _TRIPLE.startswith(("x86_64", "i686")):
            name, given = "llvm.x86.sse2.pause", []
        elif _TRIPLE.startswith(("aarch64", "arm64")):
            name, given = "llvm.aarch64.hint", [ir.IntType(32)(1)]
        else:
            return context.get_dummy_value()
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic(prefer_literal=True)
def stack_words(typingctx, count):
    if not isinstance(count, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(cgutils.alloca_once(builder, _WORD, size=count.literal_value), _WORD)

    return types.int64(count), codegen


@intrinsic(prefer_literal=True)
def symbol(typingctx, name):
    if not isinstance(name, types.StringLiteral):
        return None

    def codegen(context, builder, signature, args):
        found = builder.module.globals.get(name.literal_value)
        if found is None:
            found = ir.GlobalVariable(builder.module, _WORD, name.literal_value)
            found.linkage = "external"
        return builder.ptrtoint(found, _WORD)

    return types.int64(name), codegen
