"""Between images, where pixels lie next to each other, and transformed tiles, where channels do.

    turn_in    target[place[t] + c] = source[c, t]             a vector of channels for each of a vector's pixels
    turn_out   target[c, t] = source[place[t] + c] + shift[c]  and back

Both move a square of one vector of channels by one vector of pixels through the registers. `place` is a table: it
puts the pixels of an image into the rows of a zero-padded one.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..simd.emit import element_pointer, first_lanes, load_vector, masked_memory, splat_like, store_vector
from .tile_sizes import VECTOR_BYTES


def _transposed(builder, lines):
    """The columns of a square of vectors: halves of pairs of rows are swapped, then quarters, down to elements."""
    lines, count = list(lines), len(lines)
    half = count // 2
    while half:
        low = [lane if lane // half % 2 == 0 else lane - half + count for lane in range(count)]
        high = [lane + half if lane // half % 2 == 0 else lane + count for lane in range(count)]
        numbers = ir.VectorType(ir.IntType(32), count)
        for i in range(count):
            if i // half % 2 == 0:
                pair = lines[i], lines[i + half]
                lines[i] = builder.shuffle_vector(*pair, ir.Constant(numbers, low))
                lines[i + half] = builder.shuffle_vector(*pair, ir.Constant(numbers, high))
        half //= 2
    return lines


class _Square:
    """What the code of both intrinsics has in common: the vector type of an array, and pointers into it."""

    def __init__(self, context, builder, dtype):
        self.context, self.builder = context, builder
        element = context.get_data_type(dtype)
        self.itemsize = context.get_abi_sizeof(element)
        self.vl = VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(element, self.vl)
        self.align = ir.IntType(32)(self.itemsize)

    def pointer(self, array_type, array, start):
        return element_pointer(self.context, self.builder, array_type, array, start)

    def vector_pointer(self, base, at):
        return self.builder.bitcast(self.builder.gep(base, [at]), self.vector.as_pointer())


@intrinsic
def _turn_in(typingctx, source, s0, lds, channels, pixels, target, place, p0):
    word = types.int64
    signature = types.void(source, word, word, word, word, target, place, word)

    def codegen(context, builder, sig, args):
        sv, s0v, ldsv, channelsv, pixelsv, tv, pv, p0v = args
        square = _Square(context, builder, source.dtype)
        index = s0v.type
        ps, pt = square.pointer(source, sv, s0v), square.pointer(target, tv, index(0))
        pp = square.pointer(place, pv, p0v)
        inside, zero = first_lanes(builder, pixelsv, square.vl), ir.Constant(square.vector, None)
        lines = []
        for c in range(square.vl):
            exists = splat_like(builder, builder.icmp_signed("<", index(c), channelsv), inside.type)
            pointer = square.vector_pointer(ps, builder.mul(ldsv, index(c)))
            mask = builder.and_(inside, exists)
            lines.append(masked_memory(builder, "load", square.vector, [pointer, square.align, mask, zero]))
        for t, line in enumerate(_transposed(builder, lines)):
            with builder.if_then(builder.icmp_signed("<", index(t), pixelsv)):
                at = builder.load(builder.gep(pp, [index(t)]))
                store_vector(builder, line, builder.gep(pt, [at]), square.itemsize)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _turn_out(typingctx, source, place, p0, channels, pixels, target, t0, ldt, shift, b0):
    word = types.int64
    signature = types.void(source, place, word, word, word, target, word, word, shift, word)

    def codegen(context, builder, sig, args):
        sv, pv, p0v, channelsv, pixelsv, tv, t0v, ldtv, shiftv, b0v = args
        square = _Square(context, builder, source.dtype)
        index = t0v.type
        ps, pt = square.pointer(source, sv, index(0)), square.pointer(target, tv, t0v)
        pp, pb = square.pointer(place, pv, p0v), square.pointer(shift, shiftv, b0v)
        lines = []
        for t in range(square.vl):
            at = builder.load(builder.gep(pp, [index(t)]))
            lines.append(load_vector(builder, builder.gep(ps, [at]), square.vector, square.itemsize))
        inside = first_lanes(builder, pixelsv, square.vl)
        for c, line in enumerate(_transposed(builder, lines)):
            with builder.if_then(builder.icmp_signed("<", index(c), channelsv)):
                shifts = splat_like(builder, builder.load(builder.gep(pb, [index(c)])), square.vector)
                pointer = square.vector_pointer(pt, builder.mul(ldtv, index(c)))
                value = builder.fadd(line, shifts)
                masked_memory(builder, "store", square.vector, [value, pointer, square.align, inside])
        return context.get_dummy_value()

    return signature, codegen


def _turn_in_python(source, s0, lds, channels, pixels, target, place, p0):
    """turn_in in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    vl = VECTOR_BYTES // source.itemsize
    for t in range(min(pixels, vl)):
        for c in range(vl):
            target[place[p0 + t] + c] = source[s0 + c * lds + t] if c < channels else 0


def _turn_out_python(source, place, p0, channels, pixels, target, t0, ldt, shift, b0):
    """turn_out in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    vl = VECTOR_BYTES // source.itemsize
    for t in range(min(pixels, vl)):
        for c in range(min(channels, vl)):
            target[t0 + c * ldt + t] = source[place[p0 + t] + c] + shift[b0 + c]


turn_in = _turn_in_python if numba.config.DISABLE_JIT else _turn_in
turn_out = _turn_out_python if numba.config.DISABLE_JIT else _turn_out
