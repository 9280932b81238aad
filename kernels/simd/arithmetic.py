"""Element by element: operators, fma, comparisons, conversions."""

from __future__ import annotations

import operator

from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

from .vector import Vector, declare, is_float

# operator -> (LLVM instruction on floats, on signed integers, on unsigned integers); None where there is none
_ARITHMETIC = {
    operator.add: ("fadd", "add", "add"),
    operator.sub: ("fsub", "sub", "sub"),
    operator.mul: ("fmul", "mul", "mul"),
    operator.truediv: ("fdiv", None, None),
    operator.and_: (None, "and_", "and_"),
    operator.or_: (None, "or_", "or_"),
    operator.xor: (None, "xor", "xor"),
}
_COMPARISONS = {
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
    operator.ne: "!=",
}


def _instruction(names, element):
    if is_float(element):
        return names[0]
    return names[1] if getattr(element, "signed", False) else names[2]


def _define_arithmetic(symbol, names):
    class Template(AbstractTemplate):
        key = symbol

        def generic(self, args, kws):
            if len(args) == 2 and args[0] == args[1] and isinstance(args[0], Vector):
                return signature(args[0], *args) if _instruction(names, args[0].element) else None
            return None

    infer_global(symbol)(Template)

    @lower_builtin(symbol, Vector, Vector)
    def lower(context, builder, sig, args):
        element = sig.return_type.element
        flags = {"flags": ("contract",)} if is_float(element) else {}
        return getattr(builder, _instruction(names, element))(*args, **flags)


def _define_comparison(symbol, text):
    class Template(AbstractTemplate):
        key = symbol

        def generic(self, args, kws):
            if len(args) == 2 and args[0] == args[1] and isinstance(args[0], Vector):
                return signature(args[0].mask, *args)
            return None

    infer_global(symbol)(Template)

    @lower_builtin(symbol, Vector, Vector)
    def lower(context, builder, sig, args):
        element = sig.args[0].element
        if is_float(element):
            compare = builder.fcmp_unordered if text == "!=" else builder.fcmp_ordered
        else:
            compare = builder.icmp_signed if getattr(element, "signed", False) else builder.icmp_unsigned
        return compare(text, *args)


for _symbol, _names in _ARITHMETIC.items():
    _define_arithmetic(_symbol, _names)
for _symbol, _text in _COMPARISONS.items():
    _define_comparison(_symbol, _text)


@infer_global(operator.neg)
class _Negation(AbstractTemplate):
    key = operator.neg

    def generic(self, args, kws):
        return signature(args[0], *args) if isinstance(args[0], Vector) else None


@lower_builtin(operator.neg, Vector)
def _lower_negation(context, builder, sig, args):
    return builder.fneg(args[0]) if is_float(sig.return_type.element) else builder.neg(args[0])


def _llvm(name, *vectors):
    """Signature and code of LLVM's `name` on vectors of one float type."""
    kind = vectors[0]
    if not isinstance(kind, Vector) or not is_float(kind.element) or any(v != kind for v in vectors):
        return None

    def codegen(context, builder, sig, args):
        function = declare(builder.module, f"{name}.{kind.suffix}", kind.ir, [kind.ir] * len(args))
        return builder.call(function, args)

    return kind(*vectors), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c with one rounding."""
    return _llvm("llvm.fma", a, b, c)


@intrinsic
def square_root(typingctx, a):
    """The square root of every lane."""
    return _llvm("llvm.sqrt", a)


def _extreme(name, text, a, b):
    if not isinstance(a, Vector) or a != b:
        return None

    def codegen(context, builder, sig, args):
        x, y = args
        if is_float(a.element):
            # Which zero of two it is does not matter: three instructions, and four where nan is looked for apart.
            function = declare(builder.module, f"{name}.{a.suffix}", a.ir, [a.ir, a.ir])
            return builder.call(function, args, fastmath=("nsz",))
        chosen = (builder.icmp_signed if a.element.signed else builder.icmp_unsigned)(text, x, y)
        return builder.select(chosen, x, y)

    return a(a, b), codegen


@intrinsic
def larger(typingctx, a, b):
    """The larger element of each lane; nan if either is."""
    return _extreme("llvm.maximum", ">", a, b)


@intrinsic
def smaller(typingctx, a, b):
    """The smaller element of each lane; nan if either is."""
    return _extreme("llvm.minimum", "<", a, b)


@intrinsic
def pick(typingctx, mask, a, b):
    """a in the lanes where the mask holds, b in the others."""
    if not isinstance(a, Vector) or a != b or mask != a.mask:
        return None

    def codegen(context, builder, sig, args):
        return builder.select(*args)

    return a(mask, a, b), codegen


@intrinsic
def bits_as(typingctx, number_class, vector):
    """The same bits as elements of another type of the same width: bits_as(np.int32, v)."""
    if not isinstance(vector, Vector) or not isinstance(number_class, types.NumberClass):
        return None
    element = number_class.instance_type
    if element.bitwidth != vector.element.bitwidth:
        return None
    result = Vector(element, vector.count)

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[1], result.ir)

    return result(number_class, vector), codegen


@intrinsic
def convert(typingctx, number_class, vector):
    """The elements as numbers of another type, as a cast does it: convert(np.float32, v)."""
    if not isinstance(vector, Vector) or not isinstance(number_class, types.NumberClass):
        return None
    source, target = vector.element, number_class.instance_type
    result = Vector(target, vector.count)

    def codegen(context, builder, sig, args):
        return getattr(builder, _conversion(source, target))(args[1], result.ir)

    return result(number_class, vector), codegen


def _conversion(source, target) -> str:
    """The LLVM instruction that casts one number type to another."""
    if is_float(source):
        if is_float(target):
            return "fpext" if target.bitwidth > source.bitwidth else "fptrunc"
        return "fptosi" if target.signed else "fptoui"
    if is_float(target):
        return "sitofp" if source.signed else "uitofp"
    if target.bitwidth > source.bitwidth:
        return "sext" if source.signed else "zext"
    return "trunc" if target.bitwidth < source.bitwidth else "bitcast"
