"""Pieces of vector IR, for intrinsics that hold a tile of vectors in registers.

LLVM turns a Numba loop into 256-bit code at best and does not keep a two-dimensional block of sums in registers, so the
innermost loops of products and convolutions are emitted through llvmlite. These are the words they are written in.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from .vector import splat

_SHORT_NAMES = {"float": "f32", "double": "f64"}


class _BFloat16(ir.Type):
    """LLVM's bfloat, which llvmlite has no name for."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, _BFloat16)

    def __hash__(self):
        return hash(_BFloat16)


def splat_like(builder, scalar, vector_type):
    """A vector of that type, of the same value throughout."""
    return splat(builder, scalar, vector_type.count)


def first_lanes(builder, count, lanes):
    """The mask of the first `count` of so many lanes (none for a count below 1).

    Compared in 32 bits, half the registers of 64: `count` is what is left of a row, and fits.
    """
    number = ir.IntType(32)
    numbers = ir.Constant(ir.VectorType(number, lanes), list(range(lanes)))
    return builder.icmp_signed("<", numbers, splat_like(builder, builder.trunc(count, number), numbers.type))


def lane_mask(builder, bits, lanes):
    """The mask whose lanes are the low bits of an integer."""
    return builder.bitcast(builder.trunc(bits, ir.IntType(lanes)), ir.VectorType(ir.IntType(1), lanes))


def element_pointer(context, builder, array_type, array, start):
    """The address of `array`[start]."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [start])


def element_pointers(builder, base, places, itemsize):
    """A vector of addresses base + places (llvmlite has no vector getelementptr)."""
    longs = places.type
    start = splat_like(builder, builder.ptrtoint(base, longs.element), longs)
    size = ir.Constant(longs, [itemsize] * longs.count)
    return builder.inttoptr(builder.add(start, builder.mul(places, size)), ir.VectorType(base.type, longs.count))


def load_vector(builder, pointer, vector_type, itemsize):
    """The vector at an address that need be no multiple of its size."""
    return builder.load(builder.bitcast(pointer, vector_type.as_pointer()), align=itemsize)


def store_vector(builder, value, pointer, itemsize):
    """Write a vector to an address that need be no multiple of its size."""
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=itemsize)


def masked_memory(builder, kind, vector, args):
    """Call llvm.masked.{load,store,gather,scatter} for `vector`."""
    count = f"v{vector.count}"
    element = _SHORT_NAMES.get(str(vector.element), str(vector.element))
    many = f"{count}p0" if kind in ("gather", "scatter") else "p0"
    names = [f"{count}{element}", many]
    returns = vector if kind in ("load", "gather") else ir.VoidType()
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(returns, [a.type for a in args]),
        f"llvm.masked.{kind}.{'.'.join(names)}",
    )
    return builder.call(function, args)


def multiply_add(builder, a, b, total):
    """a * b + total; the two contract flags let the backend fuse it where the machine has FMA, and only
    there."""
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), total, flags=("contract",))


def add_products_of_pairs(builder, a, b, total):
    """total + a.low * b.low + a.high * b.high for vectors whose 32-bit lanes hold two bfloat16 each; `total` is float32.

    One instruction where host.multiplies_bfloat16() holds; nothing else may call it.
    """
    lanes = ir.VectorType(_BFloat16(), 2 * total.type.count)
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(total.type, [total.type, lanes, lanes]),
        f"llvm.x86.avx512bf16.dpbf16ps.{32 * total.type.count}",
    )
    return builder.call(function, [total, builder.bitcast(a, lanes), builder.bitcast(b, lanes)])


def round_to_bfloat16(builder, vector):
    """The bfloat16 nearest to each float32, ties to even, as 16-bit words."""
    narrow = builder.fptrunc(vector, ir.VectorType(_BFloat16(), vector.type.count))
    return builder.bitcast(narrow, ir.VectorType(ir.IntType(16), vector.type.count))


def counted_loop(builder, count, sums, body):
    """for index in range(count): sums = body(index, sums), with `sums` in registers. Returns the last
    sums."""
    word = count.type
    entry = builder.block
    head, inside, after = (builder.append_basic_block(n) for n in ("tile.head", "tile.body", "tile.end"))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(word)
    index.add_incoming(word(0), entry)
    phis = [builder.phi(s.type) for s in sums]
    for phi, start in zip(phis, sums, strict=True):
        phi.add_incoming(start, entry)
    builder.cbranch(builder.icmp_signed("<", index, count), inside, after)
    builder.position_at_end(inside)
    new = body(index, phis)
    index.add_incoming(builder.add(index, word(1)), builder.block)
    for phi, value in zip(phis, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return phis
