"""LLVM's own scalar operations as functions for formulas: bit casts, fma, select, rounding.

Each is one instruction on a vector too, so a loop over a formula made of them and of + - * / is vectorised.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

_INTEGER_OF = {types.float32: types.int32, types.float64: types.int64}
_IR_TYPE = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


def _llvm_call(name, *args):
    """Signature and code of a call of LLVM's `name` on floats of one type; None for other arguments."""
    kind = args[0]
    if kind not in _IR_TYPE or any(arg != kind for arg in args):
        return None

    def codegen(context, builder, signature, values):
        ty = _IR_TYPE[kind]
        function = builder.module.declare_intrinsic(name, [ty], ir.FunctionType(ty, [ty] * len(args)))
        return builder.call(function, values)

    return kind(*args), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c with one rounding, in hardware where the CPU can, by libm where it cannot."""
    return _llvm_call("llvm.fma", a, b, c)


@intrinsic
def copysign(typingctx, magnitude, sign):
    """|magnitude| with the sign of `sign`."""
    return _llvm_call("llvm.copysign", magnitude, sign)


@intrinsic
def fabs(typingctx, x):
    """|x|"""
    return _llvm_call("llvm.fabs", x)


@intrinsic
def floor(typingctx, x):
    """The largest integer that is not above x."""
    return _llvm_call("llvm.floor", x)


@intrinsic
def ceil(typingctx, x):
    """The smallest integer that is not below x."""
    return _llvm_call("llvm.ceil", x)


@intrinsic
def trunc(typingctx, x):
    """x without its fraction."""
    return _llvm_call("llvm.trunc", x)


@intrinsic
def rint(typingctx, x):
    """The nearest integer; halves go to the even neighbour, as in torch.round."""
    return _llvm_call("llvm.rint", x)


@intrinsic
def sqrt(typingctx, x):
    """Square root, correctly rounded."""
    return _llvm_call("llvm.sqrt", x)


@intrinsic
def float_as_int(typingctx, x):
    """The bits of a float32 as int32, of a float64 as int64."""
    if x not in _INTEGER_OF:
        return None

    def codegen(context, builder, signature, values):
        return builder.bitcast(values[0], context.get_value_type(signature.return_type))

    return _INTEGER_OF[x](x), codegen


def _int_as(result, width):
    def typer(typingctx, bits):
        if not isinstance(bits, types.Integer):
            return None

        def codegen(context, builder, signature, values):
            value = values[0]
            if bits.bitwidth > width:
                value = builder.trunc(value, ir.IntType(width))
            elif bits.bitwidth < width:
                extend = builder.sext if bits.signed else builder.zext
                value = extend(value, ir.IntType(width))
            return builder.bitcast(value, _IR_TYPE[result])

        return result(bits), codegen

    return typer


@intrinsic
def int_as_float32(typingctx, bits):
    """The float32 whose bits are the low 32 of an integer."""
    return _int_as(types.float32, 32)(typingctx, bits)


@intrinsic
def int_as_float64(typingctx, bits):
    """The float64 whose bits are the 64 of an integer."""
    return _int_as(types.float64, 64)(typingctx, bits)


@intrinsic
def select(typingctx, condition, a, b):
    """`a` where `condition` holds, else `b`, both computed: never a branch, so loops stay vectorised."""
    if not isinstance(condition, types.Boolean) or a != b:
        return None

    def codegen(context, builder, signature, values):
        return builder.select(*values)

    return a(condition, a, b), codegen
