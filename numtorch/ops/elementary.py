"""Elementary functions of one tensor: powers and roots, exponentials, trigonometry, rounding, signs."""

from __future__ import annotations

from numtorch.kernels.math import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    ceil,
    conj,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    log,
    log1p,
    log2,
    log10,
    pow,
    round,
    rsqrt,
    sign,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
    trunc,
    where,
)
from numtorch.kernels.math.rounding import sgn as direction

from .._binary import binary
from .._dtype import BOOL, COMPLEX, FLOATING, INTEGRAL
from .._registry import op
from .._tensor import Tensor
from .._unary import unary

LN2, LN10, NAN = 0.6931471805599453, 2.302585092994046, float("nan")

neg = unary("neg", lambda x: -x, lambda g: -g, refuse=(BOOL,), aliases=("negative",))

# -- exponentials, logarithms, roots ----------------------------------------------------------------------------------

exp_ = unary("exp", lambda x: exp(x), lambda g, y: g * conj(y), promote="float")
exp2_ = unary("exp2", lambda x: exp2(x), lambda g, y: g * conj(y) * LN2, promote="float")
expm1_ = unary("expm1", lambda x: expm1(x), lambda g, y: g * (conj(y) + 1), promote="float")
log_ = unary("log", lambda x: log(x), lambda g, x: g / conj(x), promote="float")
log1p_ = unary("log1p", lambda x: log1p(x), lambda g, x: g / (conj(x) + 1), node="Log1PBackward0", promote="float")
log2_ = unary("log2", lambda x: log2(x), lambda g, x: g / (conj(x) * LN2), promote="float")
log10_ = unary("log10", lambda x: log10(x), lambda g, x: g / (conj(x) * LN10), promote="float")
sqrt_ = unary("sqrt", lambda x: sqrt(x), lambda g, y: g / (2 * conj(y)), promote="float")
rsqrt_ = unary("rsqrt", lambda x: rsqrt(x), lambda g, y: -0.5 * g * conj(y * y * y), promote="float")
reciprocal = unary("reciprocal", lambda x: 1 / x, lambda g, y: -g * conj(y * y), promote="float")
_square = unary(
    "square",
    lambda x: x * x,
    lambda g, x: g * conj(2 * x),
    node="PowBackward0",
    function=False,
    method=False,
    inplace=False,
)


@op(inplace=True, out=True)
def square(input) -> Tensor:
    """x ** 2 (of bool: int64)."""
    return _square(input.long() if input._dtype.category == BOOL else input)


# -- trigonometry -----------------------------------------------------------------------------------------------------

sin_ = unary("sin", lambda x: sin(x), lambda g, x: g * conj(cos(x)), promote="float")
cos_ = unary("cos", lambda x: cos(x), lambda g, x: -g * conj(sin(x)), promote="float")
tan_ = unary("tan", lambda x: tan(x), lambda g, y: g * conj(1 + y * y), promote="float")
asin_ = unary("asin", lambda x: asin(x), lambda g, x: g * conj(rsqrt(1 - x * x)), promote="float", aliases=("arcsin",))
acos_ = unary("acos", lambda x: acos(x), lambda g, x: -g * conj(rsqrt(1 - x * x)), promote="float", aliases=("arccos",))
atan_ = unary("atan", lambda x: atan(x), lambda g, x: g / conj(x * x + 1), promote="float", aliases=("arctan",))
sinh_ = unary("sinh", lambda x: sinh(x), lambda g, x: g * conj(cosh(x)), promote="float")
cosh_ = unary("cosh", lambda x: cosh(x), lambda g, x: g * conj(sinh(x)), promote="float")
tanh_ = unary("tanh", lambda x: tanh(x), lambda g, y: g * (1 - conj(y) * conj(y)), promote="float")
asinh_ = unary(
    "asinh", lambda x: asinh(x), lambda g, x: g / conj(sqrt(x * x + 1)), promote="float", aliases=("arcsinh",)
)
acosh_ = unary(
    "acosh",
    lambda x: acosh(x),
    lambda g, x: g * conj(rsqrt(x - 1) * rsqrt(x + 1)),
    promote="float",
    aliases=("arccosh",),
)
atanh_ = unary("atanh", lambda x: atanh(x), lambda g, x: g / conj(1 - x * x), promote="float", aliases=("arctanh",))
atan2_ = binary(
    "atan2",
    lambda a, b: atan2(a, b),
    lambda g, a, b: g * where((a == 0) & (b == 0), 0.0, b / (a * a + b * b)),
    lambda g, a, b: -g * where((a == 0) & (b == 0), 0.0, a / (a * a + b * b)),
    promote="float",
    category=FLOATING,
    aliases=("arctan2",),
)


_NUMBERS = {"promote": "float", "category": FLOATING, "function": False, "method": False, "inplace": False}
_deg2rad = unary(
    "deg2rad",
    lambda x: x * 0.017453292519943295,
    lambda g: g * 0.017453292519943295,
    node="Deg2RadBackward0",
    **_NUMBERS,
)
_rad2deg = unary(
    "rad2deg", lambda x: x * 57.29577951308232, lambda g: g * 57.29577951308232, node="Rad2DegBackward0", **_NUMBERS
)


@op(inplace=True, out=True)
def deg2rad(input) -> Tensor:
    """Degrees as radians."""
    if input._dtype.category == COMPLEX:
        raise RuntimeError("deg2rad is not supported for complex tensors.")
    return _deg2rad(input)


@op(inplace=True, out=True)
def rad2deg(input) -> Tensor:
    """Radians as degrees."""
    if input._dtype.category == COMPLEX:
        raise RuntimeError("rad2deg is not supported for complex tensors.")
    return _rad2deg(input)


def _sinc_text(x):
    return where(x == 0, 1.0, sin(x * 3.141592653589793) / where(x == 0, 1.0, x * 3.141592653589793))


def _sinc_derivative(g, x):
    z = x * 3.141592653589793
    safe = where(x == 0, 1.0, x)
    return g * conj(where(x == 0, 0.0, (cos(z) - sin(z) / where(x == 0, 1.0, z)) / safe))


sinc = unary("sinc", _sinc_text, _sinc_derivative, promote="float")


_logit = unary(
    "logit",
    lambda x: log(x / (1 - x)),
    lambda g, x: where((x < 0) | (x > 1), NAN, g / (x * (1 - x))),
    promote="float",
    category=FLOATING,
    function=False,
    method=False,
)


@op(inplace=True, out=True)
def logit(input, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x first clipped to [eps, 1 - eps] if eps is given."""
    if input._dtype.category < FLOATING:
        input = input.to(_default_for(1.0))
    return _logit(input if eps is None else input.clamp(eps, 1 - eps))


# -- error function ---------------------------------------------------------------------------------------------------

erf_ = unary(
    "erf",
    lambda x: erf(x),
    lambda g, x: g * (1.1283791670955126 * exp(-x * x)),
    promote="float",
    category=FLOATING,
)
erfc_ = unary(
    "erfc",
    lambda x: erfc(x),
    lambda g, x: -g * (1.1283791670955126 * exp(-x * x)),
    promote="float",
    category=FLOATING,
)

# -- rounding and signs -----------------------------------------------------------------------------------------------

floor_ = unary("floor", lambda x: floor(x), lambda g: g * 0, category=FLOATING)
ceil_ = unary("ceil", lambda x: ceil(x), lambda g: g * 0, category=FLOATING)
trunc_ = unary("trunc", lambda x: trunc(x), lambda g: g * 0, category=FLOATING, aliases=("fix",))
_round = unary(
    "round", lambda x: round(x), lambda g: g * 0, category=FLOATING, function=False, method=False, inplace=False
)


@op("round", inplace=True, out=True)
def round_(input, *, decimals: int = 0) -> Tensor:
    """The nearest integer, ties to even, or the nearest multiple of 10 ** -decimals."""
    if decimals == 0:
        return _round(input)
    if input._dtype.category < FLOATING:
        raise RuntimeError("round_cpu with decimals not implemented for integer tensors")
    scale = 10.0 ** abs(decimals)
    return _round(input * scale) / scale if decimals > 0 else _round(input / scale) * scale


frac = unary("frac", lambda x: x - trunc(x), lambda g: g, category=FLOATING, refuse=(BOOL, INTEGRAL))


def _power_text(x, p):
    return pow(x, p)


def _power_derivative(g, x, p):
    return where(p == 0, 0.0, g * (p * conj(pow(x, p - 1))))


_power = unary(
    "pow_number", _power_text, _power_derivative, node="PowBackward0", function=False, method=False, inplace=False
)
_cube = unary(
    "pow3",
    lambda x: x * x * x,
    lambda g, x: g * conj(3 * x * x),
    node="PowBackward0",
    function=False,
    method=False,
    inplace=False,
)

_root = unary(
    "pow_half",
    lambda x: sqrt(x),
    lambda g, y: g / (2 * conj(y)),
    node="PowBackward0",
    promote="float",
    function=False,
    method=False,
    inplace=False,
)


def power_by_number(x: Tensor, p, out=None) -> Tensor:
    """x ** p for a Python number p; the exponents that code uses most are products and roots."""
    if x._dtype.category < FLOATING and isinstance(p, (float, complex)):
        x = x.to(_default_for(p))
    if x._dtype.category < COMPLEX and isinstance(p, complex):
        x = x.to(x._dtype.to_complex())
    if p == 2 and not isinstance(p, bool):
        return _square(x, out=out)
    if p == 3:
        return _cube(x, out=out)
    if p == 0.5:
        return _root(x, out=out)
    if x._dtype.category >= FLOATING:
        if p == 1:
            return _power(x, 1, out=out)
        if p == 0:
            from .creation import ones_like

            return _power(x, 0, out=out) if x._requires_grad or out is not None else ones_like(x)
    return _power(x, p, out=out)


def _default_for(p):
    from .. import _dtype

    return _dtype.get_default_dtype().to_complex() if isinstance(p, complex) else _dtype.get_default_dtype()


@op()
def positive(input) -> Tensor:
    """`input` itself; RuntimeError for bool."""
    if input._dtype.category == BOOL:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


Tensor.__neg__ = neg
Tensor.__pos__ = positive


# |z| of a complex z is real; its derivative is the direction of z.
abs_ = unary(
    "abs",
    lambda x: abs(x),
    lambda g, x: g * direction(x),
    result="real",
    refuse=(BOOL,),
    aliases=("absolute",),
)
_sgn = unary(
    "sgn",
    lambda x: where(x == 0, x * 0, x / abs(where(x == 0, x + 1, x))),
    lambda g, x, y: where(x == 0, 0.0, (g - (g * conj(y)).real * y) / abs(where(x == 0, 1.0, x))),
    function=False,
    method=False,
)
_sgn_real = unary(
    "sgn_real", lambda x: sign(x), lambda g: g * 0, node="SgnBackward0", category=FLOATING, function=False, method=False
)
sign_ = unary("sign", lambda x: sign(x), lambda g: g * 0, category=FLOATING)


@op(inplace=True, out=True)
def sgn(input) -> Tensor:
    """The sign of a real number, z / |z| of a complex one (0 at 0)."""
    return _sgn(input) if input._dtype.category == COMPLEX else _sgn_real(input)


Tensor.__abs__ = abs_
