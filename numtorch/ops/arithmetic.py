"""Arithmetic of two operands: add, sub, mul, div and their relatives, and Python's operators."""

from __future__ import annotations

from numtorch.kernels.math import (
    conj,
    copysign,
    exp,
    floor,
    fmod,
    hypot,
    log,
    logaddexp,
    pow,
    remainder,
    trunc,
    where,
)

from .._binary import binary
from .._dtype import BOOL, COMPLEX, FLOATING, INTEGRAL
from .._promotion import to_floating
from .._registry import op, register
from .._tensor import Tensor
from .._ternary import ternary
from .elementary import power_by_number

# -- addition and subtraction -----------------------------------------------------------------------------------------

_add = binary("add", lambda a, b: a + b, lambda g: g, lambda g: g, function=False, method=False)
_add_scaled = binary(
    "add_scaled",
    lambda a, b, alpha: a + alpha * b,
    lambda g: g,
    lambda g, alpha: g * conj(alpha),
    node="AddBackward0",
    function=False,
    method=False,
)


def _no_bool_subtraction(a, b) -> None:
    for t in (a, b):
        if isinstance(t, bool) or (isinstance(t, Tensor) and t._dtype.category == BOOL):
            both = all(isinstance(x, Tensor) and x._dtype.category == BOOL for x in (a, b))
            raise RuntimeError(
                "Subtraction, the `-` operator, with "
                + ("two bool tensors" if both else "a bool tensor")
                + " is not supported. "
                + (
                    "Use the `^` or `logical_xor()` operator instead."
                    if both
                    else "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
                )
            )


_sub = binary(
    "sub",
    lambda a, b: a - b,
    lambda g: g,
    lambda g: -g,
    check=_no_bool_subtraction,
    function=False,
    method=False,
)
_sub_scaled = binary(
    "sub_scaled",
    lambda a, b, alpha: a - alpha * b,
    lambda g: g,
    lambda g, alpha: -g * conj(alpha),
    node="SubBackward0",
    check=_no_bool_subtraction,
    function=False,
    method=False,
)
_rsub = binary(
    "rsub_",
    lambda a, b: b - a,
    lambda g: -g,
    lambda g: g,
    node="RsubBackward0",
    node_number="RsubBackward1",
    check=_no_bool_subtraction,
    function=False,
    method=False,
)


def _check_alpha(a, b, alpha) -> None:
    if isinstance(alpha, bool) and not all(isinstance(t, Tensor) and t._dtype.category == BOOL for t in (a, b)):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    tensors = [t for t in (a, b) if isinstance(t, Tensor)]
    highest = max(t._dtype.category for t in tensors)
    if isinstance(alpha, complex) and highest != COMPLEX:
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")
    if isinstance(alpha, float) and highest < FLOATING and not isinstance(b, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")


@op(inplace=True)
def add(input, other, *, alpha=1, out=None) -> Tensor:
    """input + alpha * other, broadcast and promoted.

    >>> import numtorch as torch
    >>> torch.add(torch.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """
    if type(alpha) is int and alpha == 1:
        return _add(input, other, out=out)
    _check_alpha(input, other, alpha)
    return _add_scaled(input, other, alpha, out=out)


@op(inplace=True, aliases=("subtract",))
def sub(input, other, *, alpha=1, out=None) -> Tensor:
    """input - alpha * other."""
    if type(alpha) is int and alpha == 1:
        return _sub(input, other, out=out)
    _check_alpha(input, other, alpha)
    return _sub_scaled(input, other, alpha, out=out)


def _inplace_with_alpha(call, call_scaled, name: str):
    direct, scaled = call.inplace, call_scaled.inplace

    def inplace(self, other, *, alpha=1) -> Tensor:
        if type(alpha) is int and alpha == 1:
            return direct(self, other)
        _check_alpha(self, other, alpha)
        return scaled(self, other, alpha)

    inplace.__name__ = inplace.__qualname__ = name
    return register(name, inplace)


add_ = _inplace_with_alpha(_add, _add_scaled, "add_")
sub_ = _inplace_with_alpha(_sub, _sub_scaled, "sub_")


@op()
def rsub(input, other, *, alpha=1) -> Tensor:
    """other - alpha * input."""
    if type(alpha) is int and alpha == 1:
        return _rsub(input, other)
    return _sub_scaled(other if isinstance(other, Tensor) else input.new_tensor(other), input, alpha)


# -- multiplication and division --------------------------------------------------------------------------------------

mul = binary(
    "mul",
    lambda a, b: a * b,
    lambda g, b: g * conj(b),
    lambda g, a: g * conj(a),
    aliases=("multiply",),
    doc="input * other.",
)
_div = binary(
    "div",
    lambda a, b: a / b,
    lambda g, b: g / conj(b),
    lambda g, a, b: -g * conj(a / b / b),
    promote="float",
    function=False,
    method=False,
)
# Rounded quotients are constant almost everywhere.
_ROUNDED = {"node": "DivBackward2", "category": FLOATING, "function": False, "method": False}
_div_trunc = binary("div_trunc", lambda a, b: trunc(a / b), lambda g: g * 0, lambda g: g * 0, **_ROUNDED)


def _int_floor_text(a, b):
    return a // b if b != 0 else 0


def _int_trunc_text(a, b):
    q = a // b if b != 0 else 0
    return q + 1 if b != 0 and q < 0 and q * b != a else q


def _float_floor_text(a, b):
    # Python's floor division: the quotient of what is left after the remainder, so that 1 // 0.1 is 9. The remainder has
    # the sign of a; where that is not b's, the quotient is one less (of -1 and inf it is 0, and one less -1).
    q = a / b
    rest = fmod(a, b)
    whole = (a - rest) / b
    whole = where((rest != 0) & ((rest < 0) != (b < 0)), whole - 1.0, whole)
    nearest = floor(whole)
    rounded = where(whole - nearest > 0.5, nearest + 1.0, nearest)
    exact = where(whole == 0, copysign(0.0, q), rounded)
    return where(b == 0, q, exact)


_int_floor = binary("int_floor_div", _int_floor_text, function=False, method=False)
_int_trunc = binary("int_trunc_div", _int_trunc_text, function=False, method=False)
_float_floor = binary("div_floor", _float_floor_text, lambda g: g * 0, lambda g: g * 0, **_ROUNDED)


def _is_integral(*operands) -> bool:
    return all(t._dtype.category <= INTEGRAL if isinstance(t, Tensor) else isinstance(t, (int, bool)) for t in operands)


def _check_zero(b) -> None:
    zero = bool((b == 0).any()) if isinstance(b, Tensor) else b == 0
    if zero:
        raise RuntimeError("ZeroDivisionError")


@op(inplace=True, aliases=("divide",))
def div(input, other, *, rounding_mode=None, out=None) -> Tensor:
    """input / other; `rounding_mode` "trunc" or "floor" rounds the quotient, and integers then stay integers."""
    if rounding_mode is None:
        return _div(input, other, out=out)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '" + rounding_mode + "'"
        )
    if _is_integral(input, other):
        _check_zero(other)
        return (_int_trunc if rounding_mode == "trunc" else _int_floor)(input, other, out=out)
    return (_div_trunc if rounding_mode == "trunc" else _float_floor)(input, other, out=out)


@op(inplace=True)
def true_divide(input, other, *, out=None) -> Tensor:
    """input / other, never in integers."""
    return _div(input, other, out=out)


@op(inplace=True)
def floor_divide(input, other, *, out=None) -> Tensor:
    """floor(input / other)."""
    return div(input, other, rounding_mode="floor", out=out)


def _int_remainder_text(a, b):
    return a % b if b != 0 else 0


def _int_fmod_text(a, b):
    r = a % b if b != 0 else 0
    return r - b if r != 0 and a < 0 and b > 0 or r != 0 and a > 0 and b < 0 else r


_int_remainder = binary("int_remainder", _int_remainder_text, function=False, method=False)
_int_fmod = binary("int_fmod", _int_fmod_text, function=False, method=False)


def _remainder_slope(g, a, b):
    # -floor(a / b); where the quotient was rounded up to a whole number, something remains, and it is one less.
    q = a / b
    return -g * where((floor(q) == q) & (remainder(a, b) != 0), q - 1, floor(q))


_remainder = binary(
    "remainder",
    lambda a, b: remainder(a, b),
    lambda g: g,
    _remainder_slope,
    node="RemainderBackward1",
    node_number="RemainderBackward0",
    category=FLOATING,
    function=False,
    method=False,
)
_fmod = binary(
    "fmod",
    lambda a, b: fmod(a, b),
    lambda g: g,
    lambda g, a, b: -g * trunc(a / b),
    node="FmodBackward1",
    node_number="FmodBackward0",
    category=FLOATING,
    function=False,
    method=False,
)


@op("remainder", inplace=True)
def remainder_(input, other, *, out=None) -> Tensor:
    """Python's modulus: the result has the sign of `other`."""
    if _is_integral(input, other):
        _check_zero(other)
        return _int_remainder(input, other, out=out)
    return _remainder(input, other, out=out)


@op("fmod", inplace=True)
def fmod_(input, other, *, out=None) -> Tensor:
    """C's fmod: the result has the sign of `input`."""
    if _is_integral(input, other):
        _check_zero(other)
        return _int_fmod(input, other, out=out)
    return _fmod(input, other, out=out)


# -- powers -----------------------------------------------------------------------------------------------------------


def _pow_da(g, a, b):
    return where(b == 0, 0.0, g * conj(b * pow(a, b - 1)))


def _pow_db(g, a, y):
    # d a**b / db = y log(a), and 0 where a == 0 and b >= 0 (y is then 0 or 1, else infinite).
    still = (a == 0) & (abs(y) <= 1)
    return g * conj(where(still, 0.0, y * log(where(still, a + 1, a))))


_pow = binary(
    "pow",
    lambda a, b: pow(a, b),
    _pow_da,
    _pow_db,
    node="PowBackward1",
    node_number="PowBackward2",
    function=False,
    method=False,
)
_square = None


@op("pow", inplace=True)
def power(input, exponent, *, out=None) -> Tensor:
    """input ** exponent."""
    if not isinstance(exponent, Tensor):
        if isinstance(exponent, int) and exponent < 0 and input._dtype.category <= INTEGRAL:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        return power_by_number(input, exponent, out=out)
    return _pow(input, exponent, out=out)


@op(inplace=True)
def float_power(input, exponent, *, out=None) -> Tensor:
    """input ** exponent computed in float64 (complex128 for complex operands)."""
    from .._dtype import complex128, float64

    is_complex = any(
        (isinstance(t, Tensor) and t._dtype.category == COMPLEX) or isinstance(t, complex) for t in (input, exponent)
    )
    d = complex128 if is_complex else float64
    a = input.to(d) if isinstance(input, Tensor) else input
    b = exponent.to(d) if isinstance(exponent, Tensor) else exponent
    return power(a, b, out=out)


# -- other binary operators -------------------------------------------------------------------------------------------

hypot_ = binary(
    "hypot",
    lambda a, b: hypot(a, b),
    lambda g, a, y: g * (a / y),
    lambda g, b, y: g * (b / y),
    category=FLOATING,
    refuse=(BOOL, INTEGRAL),
)
copysign_ = binary(
    "copysign",
    lambda a, b: copysign(a, b),
    lambda g, a, b: where(a == 0, 0.0, g * where(copysign(a, b) == a, a * 0.0 + 1, a * 0.0 - 1)),
    lambda g: g * 0.0,
    node_number="CopysignBackward1",
    promote="float",
    category=FLOATING,
)


_logaddexp = binary(
    "logaddexp",
    lambda a, b: logaddexp(a, b),
    lambda g, a, b: g / (exp(b - a) + 1),
    lambda g, a, b: g / (exp(a - b) + 1),
    category=FLOATING,
    refuse=(BOOL, INTEGRAL),
    function=False,
    method=False,
    inplace=False,
)


@op("logaddexp", out=True)
def logaddexp_(input, other) -> Tensor:
    """log(exp(input) + exp(other)), without overflow."""
    if input._dtype.category == COMPLEX:
        larger = where(input.real >= other.real, input, other)
        smaller = where(input.real >= other.real, other, input)
        return larger + (smaller - larger).exp().log1p()
    return _logaddexp(input, other)


@op(out=True)
def logaddexp2(input, other) -> Tensor:
    """log2(2 ** input + 2 ** other), without overflow."""
    ln2 = 0.6931471805599453
    return logaddexp_(input * ln2, other * ln2) / ln2


@op(inplace=True, out=True)
def ldexp(input, other) -> Tensor:
    """input * 2 ** other."""
    return input * power(other.new_tensor(2.0, dtype=to_floating(other._dtype)), other)


addcmul_ = ternary(
    "addcmul",
    lambda a, b, c, value: a + value * b * c,
    lambda g: g,
    lambda g, c, value: g * conj(c * value),
    lambda g, b, value: g * conj(b * value),
)
addcdiv_ = ternary(
    "addcdiv",
    lambda a, b, c, value: a + value * b / c,
    lambda g: g,
    lambda g, c, value: g * conj(value / c),
    lambda g, b, c, value: -g * conj(value * b / c / c),
)
_lerp = ternary(
    "lerp",
    lambda a, b, w: where(abs(w) < 0.5, a + w * (b - a), b - (b - a) * (1 - w)),
    lambda g, w: g * (1 - conj(w)),
    lambda g, w: g * conj(w),
    lambda g, a, b: g * conj(b - a),
    node="LerpBackward1",
    node_number="LerpBackward0",
)


@op(inplace=True)
def lerp(input, end, weight, *, out=None) -> Tensor:
    """input + weight * (end - input); `weight` is a number or a tensor."""
    return _finish(_lerp(input, end, weight), out, "lerp")


@op(inplace=True)
def addcmul(input, tensor1, tensor2, *, value=1, out=None) -> Tensor:
    """input + value * tensor1 * tensor2."""
    return _finish(addcmul_(input, tensor1, tensor2, value), out, "addcmul")


@op(inplace=True)
def addcdiv(input, tensor1, tensor2, *, value=1, out=None) -> Tensor:
    """input + value * tensor1 / tensor2; RuntimeError for integers, as in torch."""
    if _is_integral(tensor1, tensor2):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true "
            "division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * "
            "torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
            "tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: (input + value * "
            "tensor1 / tensor2), for all dtypes."
        )
    return _finish(addcdiv_(input, tensor1, tensor2, value), out, "addcdiv")


def _in_one_loop(call, name: str):
    """`name` (addcmul_, addcdiv_) by one loop where that will do, else by its general form."""
    general = getattr(Tensor, name)

    def inplace(self, tensor1, tensor2, *, value=1) -> Tensor:
        if call.write_over(self, tensor1, tensor2, value):
            return self
        return general(self, tensor1, tensor2, value=value)

    inplace.__name__ = inplace.__qualname__ = name
    return register(name, inplace)


_in_one_loop(addcmul_, "addcmul_")
_in_one_loop(addcdiv_, "addcdiv_")
_lerp_general = Tensor.lerp_


@op()
def lerp_(self, end, weight) -> Tensor:
    """In-place lerp()."""
    return self if _lerp.write_over(self, end, weight) else _lerp_general(self, end, weight)


def _finish(result, out, name):
    if out is None:
        return result
    from .._inplace import write_out

    return write_out(result, out, name)


# -- operators --------------------------------------------------------------------------------------------------------


def _reflected(call):
    def operator(self, other):
        return call(other, self)

    return operator


Tensor.__add__ = Tensor.__radd__ = _add
Tensor.__sub__ = _sub
Tensor.__rsub__ = _rsub
Tensor.__mul__ = Tensor.__rmul__ = mul
Tensor.__truediv__ = _div
Tensor.__rtruediv__ = lambda self, other: self.reciprocal() * other  # as torch has it, node and rounding included
Tensor.__floordiv__ = lambda self, other: floor_divide(self, other)
Tensor.__rfloordiv__ = _reflected(floor_divide)
Tensor.__mod__ = lambda self, other: remainder_(self, other)
Tensor.__rmod__ = _reflected(remainder_)
Tensor.__pow__ = lambda self, other: power(self, other)
Tensor.__rpow__ = _reflected(_pow)
register("__rdiv__", Tensor.__rtruediv__, function=False)


def _augmented(name: str):
    def operator(self, other):
        return getattr(self, name)(other)

    return operator


Tensor.__iadd__ = _augmented("add_")
Tensor.__isub__ = _augmented("sub_")
Tensor.__imul__ = _augmented("mul_")
Tensor.__itruediv__ = _augmented("div_")
Tensor.__ifloordiv__ = _augmented("floor_divide_")
Tensor.__imod__ = _augmented("remainder_")
Tensor.__ipow__ = _augmented("pow_")
