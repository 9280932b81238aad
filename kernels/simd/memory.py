"""Vectors from arrays and back. Arrays are one-dimensional and contiguous; positions count elements."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .. import host
from .emit import element_pointer, element_pointers
from .vector import Vector, declare, splat


def vector_of(array, count=None) -> Vector | None:
    """The vector type for an array's dtype: a full register, or `count` elements."""
    if not isinstance(array, types.Array) or array.ndim != 1 or array.layout != "C":
        return None
    element = array.dtype
    if not isinstance(element, (types.Float, types.Integer)):
        return None
    return Vector(element, count or host.vector_bytes() * 8 // element.bitwidth)


def _align(vector: Vector) -> int:
    return vector.element.bitwidth // 8


def _first(builder, vector: Vector, count):
    """The mask of the first `count` lanes."""
    wide = ir.IntType(64)
    numbers = ir.Constant(ir.VectorType(wide, vector.count), list(range(vector.count)))
    return builder.icmp_signed("<", numbers, splat(builder, count, vector.count))


@intrinsic
def lanes(typingctx, array):
    """How many elements of the array's dtype one vector holds."""
    vector = vector_of(array)
    if vector is None:
        return None

    def codegen(context, builder, signature, args):
        return ir.IntType(64)(vector.count)

    return types.int64(array), codegen


@intrinsic
def broadcast(typingctx, array, value):
    """A vector for the array's dtype with `value` in every lane."""
    vector = vector_of(array)
    if vector is None:
        return None

    def codegen(context, builder, signature, args):
        return splat(builder, args[1], vector.count)

    return vector(array, vector.element), codegen


@intrinsic
def load(typingctx, array, position):
    """The vector that starts at array[position]."""
    vector = vector_of(array)
    if vector is None or not isinstance(position, types.Integer):
        return None

    def codegen(context, builder, signature, args):
        pointer = element_pointer(context, builder, array, *args)
        return builder.load(builder.bitcast(pointer, vector.ir.as_pointer()), align=_align(vector))

    return vector(array, types.int64), codegen


@intrinsic
def store(typingctx, array, position, value):
    """Write a vector to array[position] and what follows."""
    if not isinstance(value, Vector) or vector_of(array, value.count) != value:
        return None

    def codegen(context, builder, signature, args):
        pointer = element_pointer(context, builder, array, args[0], args[1])
        builder.store(args[2], builder.bitcast(pointer, value.ir.as_pointer()), align=_align(value))
        return context.get_dummy_value()

    return types.void(array, types.int64, value), codegen


@intrinsic
def load_part(typingctx, array, position, count):
    """The first `count` elements from array[position], 0 in the lanes after them, which are not read."""
    vector = vector_of(array)
    if vector is None:
        return None

    def codegen(context, builder, signature, args):
        pointer = builder.bitcast(element_pointer(context, builder, array, args[0], args[1]), vector.ir.as_pointer())
        mask = _first(builder, vector, args[2])
        name = f"llvm.masked.load.{vector.suffix}.p0"
        arguments = [pointer, ir.IntType(32)(_align(vector)), mask, ir.Constant(vector.ir, None)]
        function = declare(builder.module, name, vector.ir, [argument.type for argument in arguments])
        return builder.call(function, arguments)

    return vector(array, types.int64, types.int64), codegen


@intrinsic
def load_every(typingctx, array, position, step, count):
    """array[position], array[position + step], ...: `count` elements, 0 in the lanes after them, which are not read."""
    vector = vector_of(array)
    if vector is None:
        return None

    def codegen(context, builder, signature, args):
        start, long, lanes = element_pointer(context, builder, array, *args[:2]), ir.IntType(64), vector.count
        numbers = ir.Constant(ir.VectorType(long, lanes), list(range(lanes)))
        places = element_pointers(builder, start, builder.mul(numbers, splat(builder, args[2], lanes)), _align(vector))
        name = f"llvm.masked.gather.{vector.suffix}.v{lanes}p0"
        arguments = [places, ir.IntType(32)(_align(vector)), _first(builder, vector, args[3])]
        arguments.append(ir.Constant(vector.ir, None))
        function = declare(builder.module, name, vector.ir, [argument.type for argument in arguments])
        return builder.call(function, arguments)

    return vector(array, types.int64, types.int64, types.int64), codegen


@intrinsic
def load_at(typingctx, array, position, places, count):
    """array[position + place] for the first `count` of a vector of places, 0 in the lanes after them and where a place is
    negative, which are not read."""
    vector = vector_of(array)
    if vector is None or not isinstance(places, Vector) or places.count != vector.count:
        return None

    def codegen(context, builder, signature, args):
        start, long, lanes = element_pointer(context, builder, array, *args[:2]), ir.IntType(64), vector.count
        inside = builder.icmp_signed(">=", args[2], ir.Constant(places.ir, None))
        mask = builder.and_(_first(builder, vector, args[3]), inside)
        far = args[2]
        if places.element.bitwidth < long.width:
            far = builder.sext(far, ir.VectorType(long, lanes))
        pointers = element_pointers(builder, start, far, _align(vector))
        name = f"llvm.masked.gather.{vector.suffix}.v{lanes}p0"
        arguments = [pointers, ir.IntType(32)(_align(vector)), mask, ir.Constant(vector.ir, None)]
        function = declare(builder.module, name, vector.ir, [argument.type for argument in arguments])
        return builder.call(function, arguments)

    return vector(array, types.int64, places, types.int64), codegen


@intrinsic
def store_part(typingctx, array, position, count, value):
    """Write the first `count` elements of a vector to array[position] and what follows."""
    if not isinstance(value, Vector) or vector_of(array, value.count) != value:
        return None

    def codegen(context, builder, signature, args):
        pointer = builder.bitcast(element_pointer(context, builder, array, args[0], args[1]), value.ir.as_pointer())
        mask = _first(builder, value, args[2])
        name = f"llvm.masked.store.{value.suffix}.p0"
        arguments = [args[3], pointer, ir.IntType(32)(_align(value)), mask]
        function = declare(builder.module, name, ir.VoidType(), [argument.type for argument in arguments])
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, value), codegen
