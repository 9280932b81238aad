"""LLVM's own scalar operations as functions for formulas: bit casts, fma, select, rounding.

Each is one instruction on a vector too, so a loop over a formula made of them and of + - * / is vectorised.
"""

from __future__ import annotations

from llvmlite import ir
from llvmlite.binding import llvm_version_info
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
def product(typingctx, a, b):
    """a * b, rounded: never contracted with a sum that follows, for the sake of fma(a, b, -product(a, b))."""
    if a not in _IR_TYPE or b != a:
        return None

    def codegen(context, builder, signature, values):
        return builder.fmul(*values)

    return a(a, b), codegen


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
def frem(typingctx, a, b):
    """What is left of a after whole multiples of b, with the sign of a (C's fmod)."""
    if a not in _IR_TYPE or b != a:
        return None

    def codegen(context, builder, signature, values):
        return builder.frem(*values)

    return a(a, b), codegen


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


@intrinsic
def real_like(typingctx, x, value):
    """The float64 `value` in the precision of the real or complex number x."""
    real = getattr(x, "underlying_float", x)
    if real not in _IR_TYPE or value != types.float64:
        return None

    def codegen(context, builder, signature, values):
        return context.cast(builder, values[1], types.float64, real)

    return real(x, value), codegen


@intrinsic
def complex_like(typingctx, z, value):
    """The complex number `value` in the precision of z."""
    if not isinstance(z, types.Complex) or not isinstance(value, types.Complex):
        return None

    def codegen(context, builder, signature, values):
        return context.cast(builder, values[1], value, z)

    return z(z, value), codegen


_RARE_ATTRIBUTES = ("noinline", "nounwind", "willreturn")


def _pure():
    return "memory(none)" if llvm_version_info[0] >= 16 else "readnone"


def beyond(limit, name):
    """An intrinsic f(x, y): y, but LLVM's `name` of x where |x| > limit.

    A loop over it is vectorised although it holds a branch and a call of libm: the function that it calls names
    vector variants of itself (LLVM's "vector-function-abi-variant"), which the vectoriser takes in its place, and
    which branch once for a whole vector, to the scalar function for each lane if any lane is beyond the limit.
    """

    @intrinsic
    def patched(typingctx, x, y):
        if x not in _IR_TYPE or y != x:
            return None

        def codegen(context, builder, signature, values):
            return builder.call(_patch_function(builder.module, _IR_TYPE[x], limit, name), values)

        return x(x, y), codegen

    return patched


def _patch_function(module, ty, limit, name):
    suffix = "f32" if ty == ir.FloatType() else "f64"
    symbol = f"numtorch_beyond_{limit:.0f}_{name}_{suffix}"
    if symbol in module.globals:
        return module.globals[symbol]
    widths = (4, 8, 16) if suffix == "f32" else (2, 4, 8)
    variants = ",".join(f"_ZGV_LLVM_N{width}vv_{symbol}({symbol}_{width})" for width in widths)
    scalar = _new_function(module, symbol, ty, f'"vector-function-abi-variant"="{variants}"')
    builder = ir.IRBuilder(scalar.append_basic_block())
    x, y = scalar.args
    is_beyond = builder.fcmp_ordered(">", builder.call(module.declare_intrinsic("llvm.fabs", [ty]), [x]), ty(limit))
    with builder.if_then(is_beyond, likely=False):
        wide = ir.DoubleType()
        exact = module.declare_intrinsic(f"llvm.{name}", [wide])
        result = builder.call(exact, [x if ty == wide else builder.fpext(x, wide)])
        builder.ret(result if ty == wide else builder.fptrunc(result, ty))
    builder.ret(y)
    _keep(module, [_vector_variant(module, scalar, ty, suffix, width, limit) for width in widths])
    return scalar


def _vector_variant(module, scalar, ty, suffix, width, limit):
    vector = ir.VectorType(ty, width)
    function = _new_function(module, f"{scalar.name}_{width}", vector)
    builder = ir.IRBuilder(function.append_basic_block())
    x, y = function.args
    fabs_name = f"llvm.fabs.v{width}{suffix}"
    absolute = module.globals.get(fabs_name) or ir.Function(module, ir.FunctionType(vector, [vector]), fabs_name)
    is_beyond = builder.fcmp_ordered(">", builder.call(absolute, [x]), ir.Constant(vector, [limit] * width))
    lanes = builder.bitcast(is_beyond, ir.IntType(width))
    with builder.if_then(builder.icmp_unsigned("!=", lanes, lanes.type(0)), likely=False):
        result = y
        for i in range(width):
            lane = ir.IntType(32)(i)
            arguments = [builder.extract_element(x, lane), builder.extract_element(y, lane)]
            result = builder.insert_element(result, builder.call(scalar, arguments), lane)
        builder.ret(result)
    builder.ret(y)
    return function


def _new_function(module, name, ty, *attributes):
    function = ir.Function(module, ir.FunctionType(ty, [ty, ty]), name)
    function.linkage = "linkonce_odr"
    for attribute in (*_RARE_ATTRIBUTES, _pure(), *attributes):
        set.add(function.attributes, attribute)  # llvmlite's own `add` does not know all of them
    return function


def _keep(module, functions):
    """Keep functions that nothing calls yet, until the vectoriser has run."""
    pointer = ir.IntType(8).as_pointer()
    existing = module.globals.get("llvm.compiler.used")
    kept = list(existing.initializer.constant) if existing is not None else []
    kept += [function.bitcast(pointer) for function in functions]
    if existing is not None:
        del module.globals["llvm.compiler.used"]
    array = ir.ArrayType(pointer, len(kept))
    used = ir.GlobalVariable(module, array, "llvm.compiler.used")
    used.linkage = "appending"
    used.section = "llvm.metadata"
    used.initializer = ir.Constant(array, kept)
