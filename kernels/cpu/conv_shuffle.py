"""Copies of a convolution's input by shuffles: vectors of the region whose elements lie near each other in the source.

    load_shuffled   region[near + e] = source[far + number[e]] where the number is not negative, for a list of pieces

A piece takes its elements from the two vectors at `far` by one instruction that picks among 2 * lanes elements; a vector whose
elements lie further apart has several pieces, of which the later ones leave alone what they do not have. A piece costs 8 cycles
(Zen 4), a gather of 16 elements 26: strides and small images need two or three pieces a vector.

A piece is two integers and the numbers of a vector, packed to the width of the elements: `far`; near + more * 2**32 + count *
2**40, where `more` says that the vector has had a piece before and `count` is one more than the largest number, behind which
nothing is read. The instruction is AVX-512's; elsewhere no plan asks for it.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..simd.emit import counted_loop, element_pointer, first_lanes, load_vector, masked_memory, store_vector
from .tile_sizes import VECTOR_BYTES

SHUFFLES = VECTOR_BYTES == 64
WORDS = VECTOR_BYTES // 8
# Integers of a piece.
PIECE = 2 + WORDS


def pieces(places: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The pieces (pieces, PIECE) of vectors with these source places (vectors, lanes), negative for zero, that begin at `at`
    in the region: all first ones, then all second ones, so that none waits for what was just written."""
    lanes = places.shape[1]
    left, found, more = places >= 0, [], 0
    vectors = np.arange(len(places))
    while more == 0 or len(vectors):
        some = places[vectors]
        far = np.where(left, some, np.iinfo(np.int64).max).min(1, initial=np.iinfo(np.int64).max)
        far[~left.any(1)] = 0
        taken = left & (some < far[:, None] + 2 * lanes)
        number = np.where(taken, some - far[:, None], -1)
        piece = np.empty((len(vectors), PIECE), np.int64)
        piece[:, 0] = far
        piece[:, 1] = at[vectors] + (more << 32) + ((number.max(1) + 1) << 40)
        piece[:, 2:] = np.ascontiguousarray(number.astype(np.int32 if lanes * 4 == VECTOR_BYTES else np.int64)).view(
            np.int64
        )
        found.append(piece)
        left &= ~taken
        again = left.any(1)
        vectors, left, more = vectors[again], left[again], 1
    return np.concatenate(found)


@intrinsic
def _load_shuffled(typingctx, source, s0, table, t0, count, region, r0):
    word = types.int64
    signature = types.void(source, word, table, word, word, region, word)

    def codegen(context, builder, sig, args):
        if not SHUFFLES:
            return context.get_dummy_value()
        sv, s0v, tv, t0v, countv, rv, r0v = args
        element = context.get_data_type(region.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align, index = ir.VectorType(element, vl), ir.IntType(32)(itemsize), s0v.type
        numbers = ir.VectorType(ir.IntType(8 * itemsize), vl)
        ps = element_pointer(context, builder, source, sv, s0v)
        pt = element_pointer(context, builder, table, tv, t0v)
        pr = element_pointer(context, builder, region, rv, r0v)
        zero = ir.Constant(vector, None)
        kind = "ps" if itemsize == 4 else "pd"
        select = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [vector, numbers, vector]),
            f"llvm.x86.avx512.vpermi2var.{kind}.512",
        )

        def part(place, some):
            pointer = builder.bitcast(builder.gep(ps, [place]), vector.as_pointer())
            return masked_memory(builder, "load", vector, [pointer, align, first_lanes(builder, some, vl), zero])

        def body(i, nothing):
            entry = builder.gep(pt, [builder.mul(i, index(PIECE))])
            far, both = builder.load(entry), builder.load(builder.gep(entry, [index(1)]))
            some = builder.lshr(both, index(40))
            number = builder.bitcast(builder.gep(entry, [index(2)]), numbers.as_pointer())
            number = builder.load(number, align=8)
            one, two = part(far, some), part(builder.add(far, index(vl)), builder.sub(some, index(vl)))
            value = builder.call(select, [one, number, two])
            pointer = builder.gep(pr, [builder.and_(both, index(0xFFFFFFFF))])
            more = builder.trunc(builder.lshr(both, index(32)), ir.IntType(1))
            old = builder.select(more, load_vector(builder, pointer, vector, itemsize), zero)
            has = builder.icmp_signed(">=", number, ir.Constant(numbers, None))
            store_vector(builder, builder.select(has, value, old), pointer, itemsize)
            return []

        counted_loop(builder, countv, [], body)
        return context.get_dummy_value()

    return signature, codegen


def _load_shuffled_python(source, s0, table, t0, count, region, r0):
    """load_shuffled in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    kind = np.int32 if region.itemsize == 4 else np.int64
    for i in range(t0, t0 + PIECE * count, PIECE):
        far, both = int(table[i]), int(table[i + 1])
        near, more = both & 0xFFFFFFFF, both >> 32 & 1
        for e, number in enumerate(table[i + 2 : i + PIECE].view(kind)):
            if number >= 0:
                region[r0 + near + e] = source[s0 + far + number]
            elif not more:
                region[r0 + near + e] = 0


load_shuffled = _load_shuffled_python if numba.config.DISABLE_JIT else _load_shuffled
