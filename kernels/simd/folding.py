"""One number from the lanes of a vector. Halves are folded onto each other: the order is the same on every run."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .vector import Vector, declare, is_float


def _fold(vector, combine):
    if not isinstance(vector, Vector) or vector.element == types.boolean:
        return None

    def codegen(context, builder, signature, args):
        value, count = args[0], vector.count
        while count > 1:
            count //= 2
            value = combine(builder, *(_lanes(builder, value, start, count) for start in (0, count)))
        return builder.extract_element(value, ir.IntType(32)(0))

    return vector.element(vector), codegen


def _lanes(builder, value, start, count):
    """`count` lanes from `start` on."""
    numbers = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(start, start + count)))
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), numbers)


def _extreme(vector, name, text):
    if not isinstance(vector, Vector):
        return None

    def combine(builder, a, b):
        if is_float(vector.element):
            part = Vector(vector.element, a.type.count)
            return builder.call(
                declare(builder.module, f"{name}.{part.suffix}", part.ir, [part.ir] * 2), [a, b], fastmath=("nsz",)
            )
        chosen = (builder.icmp_signed if vector.element.signed else builder.icmp_unsigned)(text, a, b)
        return builder.select(chosen, a, b)

    return _fold(vector, combine)


@intrinsic
def add_up(typingctx, vector):
    """The sum of the lanes."""

    def combine(builder, a, b):
        return builder.fadd(a, b) if is_float(vector.element) else builder.add(a, b)

    return _fold(vector, combine)


@intrinsic
def largest(typingctx, vector):
    """The largest lane; nan if one is nan."""
    return _extreme(vector, "llvm.maximum", ">")


@intrinsic
def smallest(typingctx, vector):
    """The smallest lane; nan if one is nan."""
    return _extreme(vector, "llvm.minimum", "<")


@intrinsic
def lane(typingctx, vector, number):
    """One element."""
    if not isinstance(vector, Vector) or not isinstance(number, types.Integer):
        return None

    def codegen(context, builder, signature, args):
        return builder.extract_element(args[0], args[1])

    return vector.element(vector, types.int64), codegen
