"""Lanes in another order: every second one of two vectors, and two vectors lane by lane in turn."""

from __future__ import annotations

from llvmlite import ir
from numba.extending import intrinsic

from .vector import Vector


def _shuffle(a, b, numbers_of):
    """The signature and code of a shuffle; numbers_of(count) names lanes of a (0 ..) and b (count ..)."""
    if not isinstance(a, Vector) or a != b:
        return None

    def codegen(context, builder, signature, args):
        numbers = numbers_of(a.count)
        return builder.shuffle_vector(*args, ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers))

    return a(a, b), codegen


@intrinsic
def evens(typingctx, a, b):
    """Lanes 0, 2, 4, ... of a and then of b."""
    return _shuffle(a, b, lambda count: list(range(0, 2 * count, 2)))


@intrinsic
def odds(typingctx, a, b):
    """Lanes 1, 3, 5, ... of a and then of b."""
    return _shuffle(a, b, lambda count: list(range(1, 2 * count, 2)))


@intrinsic
def in_turn_low(typingctx, a, b):
    """a[0], b[0], a[1], b[1], ...: the first half of the two in turn."""
    return _shuffle(a, b, lambda count: [i // 2 + (i % 2) * count for i in range(count)])


@intrinsic
def in_turn_high(typingctx, a, b):
    """The second half of the two in turn: ..., a[-1], b[-1]."""
    return _shuffle(a, b, lambda count: [count // 2 + i // 2 + (i % 2) * count for i in range(count)])
