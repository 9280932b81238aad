"""Copies of a convolution's input at a stride of two: what lies side by side is dealt out to two rows of the region.

    load_dealt   region[left + e] = source[far + 2 e], region[right + e] = source[far + 2 e + 1] where the mask says so, else
                 zero, for a list of hands

A tap of a stride of two sees every other pixel, and its neighbour sees the others: two vectors of the source are the
even and the odd elements that both need, two shuffles and two stores. A kernel of three has a third tap, which needs the even
ones again from one further on; its odd ones go to the room behind the plane, which nobody reads. A hand costs 8 cycles
(Zen 4), as much as a piece of conv_shuffle.py, which fills one vector or less. What lies `ahead` elements further on, in the
next channel, is asked for: 64 channels to 128 from memory at a stride of two 9.9 to 9.4 ms.

A hand is three integers: the far place; left + right * 2**32; and the mask, two bits for each lane, the even one for the
left. Its vectors are stored whole: what they put behind the end of their row is overwritten by the next row, and behind
the last row is room for a vector. So the hands of a row of the region come in the order of their places.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..simd.emit import counted_loop, element_pointer, lane_mask, masked_memory, store_vector
from ..simd.prefetch import ask_for
from .tile_sizes import VECTOR_BYTES

# Integers of a hand.
HAND = 3


def pairs(starts: list) -> list:
    """(variant, variant that starts one further on, or -1) such that each variant of a row is dealt to once."""
    left, found = list(range(len(starts))), []
    while left:
        one = left.pop(0)
        beside = [v for v in left if starts[v] == starts[one] + 1]
        if beside:
            left.remove(beside[0])
        found.append((one, beside[0] if beside else -1))
    return found


def hands(starts: list, far: np.ndarray, near: np.ndarray, inside: np.ndarray, room: int, lanes: int) -> np.ndarray:
    """The hands (hands, HAND) that fill the rows of a region.

    far, near and inside (variants in depth and height, variants in width, ..., elements of a row) say where each element
    is in the source and in the region, and whether the source has it; `starts` are those of the variants in width, `room`
    is the place behind the plane."""
    found, run = [], far.shape[-1]
    vectors = -(-run // lanes)
    for left, right in pairs(starts):
        rows = far[:, left].reshape(-1, run)[:, ::lanes]
        target = near[:, left].reshape(-1, run)[:, ::lanes]
        other = np.full_like(target, room) if right < 0 else near[:, right].reshape(-1, run)[:, ::lanes]
        bits = np.zeros((len(rows), vectors * lanes, 2), np.uint64)
        bits[:, :run, 0] = inside[:, left].reshape(-1, run)
        if right >= 0:
            bits[:, :run, 1] = inside[:, right].reshape(-1, run)
        masks = (bits.reshape(-1, 2 * lanes) << np.arange(2 * lanes, dtype=np.uint64)).sum(1, dtype=np.uint64)
        found.append(np.stack([rows.reshape(-1), (target + (other << 32)).reshape(-1), masks.view(np.int64)], 1))
    return np.concatenate(found)


@intrinsic
def _load_dealt(typingctx, source, s0, ahead, table, t0, count, region, r0):
    word = types.int64
    signature = types.void(source, word, word, table, word, word, region, word)

    def codegen(context, builder, sig, args):
        sv, s0v, aheadv, tv, t0v, countv, rv, r0v = args
        element = context.get_data_type(region.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align, index = ir.VectorType(element, vl), ir.IntType(32)(itemsize), s0v.type
        zero = ir.Constant(vector, None)
        ps = element_pointer(context, builder, source, sv, s0v)
        pt = element_pointer(context, builder, table, tv, t0v)
        pr = element_pointer(context, builder, region, rv, r0v)

        def part(place, bits):
            pointer = builder.bitcast(builder.gep(ps, [place]), vector.as_pointer())
            return masked_memory(builder, "load", vector, [pointer, align, lane_mask(builder, bits, vl), zero])

        def body(i, nothing):
            hand = builder.gep(pt, [builder.mul(i, index(HAND))])
            far, both = builder.load(hand), builder.load(builder.gep(hand, [index(1)]))
            bits, next_far = builder.load(builder.gep(hand, [index(2)])), builder.add(far, index(vl))
            for place in (far, next_far):
                ask_for(builder, builder.gep(ps, [builder.add(place, aheadv)]))
            one, two = part(far, bits), part(next_far, builder.lshr(bits, index(vl)))
            for lane, near in enumerate((builder.and_(both, index(0xFFFFFFFF)), builder.lshr(both, index(32)))):
                numbers = ir.Constant(ir.VectorType(ir.IntType(32), vl), list(range(lane, 2 * vl, 2)))
                dealt = builder.shuffle_vector(one, two, numbers)
                store_vector(builder, dealt, builder.gep(pr, [near]), itemsize)
            return []

        counted_loop(builder, countv, [], body)
        return context.get_dummy_value()

    return signature, codegen


def _load_dealt_python(source, s0, ahead, table, t0, count, region, r0):
    """load_dealt in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    for i in range(t0, t0 + HAND * count, HAND):
        far, both, bits = int(table[i]), int(table[i + 1]), int(table[i + 2])
        for lane, near in enumerate((both & 0xFFFFFFFF, both >> 32)):
            for e in range(VECTOR_BYTES // region.itemsize):
                at = 2 * e + lane
                region[r0 + near + e] = source[s0 + far + at] if bits >> at & 1 else 0


load_dealt = _load_dealt_python if numba.config.DISABLE_JIT else _load_dealt
