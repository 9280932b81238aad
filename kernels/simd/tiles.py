"""Square tiles of a matrix turned in registers.

    tile_side(x)                                        N: a tile is N x N elements of x's dtype
    turn_tile(x, p, sx, out, q, so)                     out[q + i * so + j] = x[p + i + j * sx], i < N, j < N

N lines are read, N are written. Between them lie log2(N) rounds in which line i is shuffled with line i + N / 2, as the
two halves of a pack of cards. One round takes the element at address a (2 log2(N) bits: line and lane) to the address
rotated by one bit, so that log2(N) rounds have changed lines and lanes.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .. import host
from .emit import element_pointer

_WORD = ir.IntType(64)
# 16 lines and the 16 that come of them are all of AVX-512's registers.
_MOST = 16


def _side(itemsize: int) -> int:
    return min(_MOST, max(2, host.vector_bytes() // itemsize))


def _shuffled(builder, lines: list) -> list:
    count = len(lines)
    half = count // 2
    numbers = ir.VectorType(ir.IntType(32), count)
    low = ir.Constant(numbers, [i // 2 + count * (i % 2) for i in range(count)])
    high = ir.Constant(numbers, [half + i // 2 + count * (i % 2) for i in range(count)])
    rounds = count.bit_length() - 1
    for _ in range(rounds):
        pairs = zip(lines[:half], lines[half:], strict=True)
        lines = [builder.shuffle_vector(a, b, order) for a, b in pairs for order in (low, high)]
    return lines


class _Tile:
    """Reads and writes lines of one dtype, moved as integers of its size."""

    def __init__(self, context, builder, array):
        self.builder = builder
        self.size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        self.count = _side(self.size)
        self.element = ir.IntType(8 * self.size)
        self.vector = ir.VectorType(self.element, self.count)

    def places(self, context, array_type, array, start, step):
        """The address of each line."""
        b = self.builder
        base = element_pointer(context, b, array_type, array, start)
        base = b.bitcast(base, self.element.as_pointer())
        return [b.bitcast(b.gep(base, [b.mul(step, _WORD(k))]), self.vector.as_pointer()) for k in range(self.count)]


def _fits(x, out) -> bool:
    return (
        isinstance(x, types.Array)
        and isinstance(out, types.Array)
        and x.dtype == out.dtype
        and x.ndim == out.ndim == 1
        and x.layout == out.layout == "C"
    )


@intrinsic
def _tile_side(typingctx, x):
    def codegen(context, builder, signature, args):
        return _WORD(_side(context.get_abi_sizeof(context.get_data_type(x.dtype))))

    return types.int64(x), codegen


@intrinsic
def _turn_tile(typingctx, x, p, sx, out, q, so):
    if not _fits(x, out):
        return None
    place = types.int64

    def codegen(context, builder, signature, args):
        tile = _Tile(context, builder, x)
        align = min(tile.size, 16)
        lines = [builder.load(each, align=align) for each in tile.places(context, x, args[0], args[1], args[2])]
        targets = tile.places(context, out, args[3], args[4], args[5])
        for target, line in zip(targets, _shuffled(builder, lines), strict=True):
            builder.store(line, target, align=align)
        return context.get_dummy_value()

    return types.void(x, place, place, out, place, place), codegen


def _tile_side_python(x):
    return _side(x.itemsize)


def _turn_tile_python(x, p, sx, out, q, so):
    side = _side(x.itemsize)
    for i in range(side):
        for j in range(side):
            out[q + i * so + j] = x[p + i + j * sx]


if numba.config.DISABLE_JIT:
    tile_side, turn_tile = _tile_side_python, _turn_tile_python
else:
    tile_side, turn_tile = _tile_side, _turn_tile
