"""Elementary functions of one tensor: powers and roots, exponentials, trigonometry, rounding, signs."""

from __future__ import annotations

from numtorch.kernels.math import ceil, conj, cos, erf, erfc, exp, expm1, floor, log, log1p, round, sin, sqrt, tanh, trunc, where

from .._dtype import BOOL, COMPLEX, FLOATING, INTEGRAL
from .._pointwise import unary
from .._registry import op
from .._tensor import Tensor


def _no_bool(name):
    return {"refuse": (BOOL,)}


neg = unary("neg", lambda x: -x, lambda g: -g, refuse=(BOOL,), aliases=("negative",))
exp_ = unary("exp", lambda x: exp(x), lambda g, y: g * conj(y), promote="float")
expm1_ = unary("expm1", lambda x: expm1(x), lambda g, y: g * (conj(y) + 1), promote="float")
exp2 = unary("exp2", lambda x: exp(x * 0.6931471805599453), lambda g, y: g * conj(y) * 0.6931471805599453, promote="float")
log_ = unary("log", lambda x: log(x), lambda g, x: g / conj(x), promote="float")
log1p_ = unary("log1p", lambda x: log1p(x), lambda g, x: g / (conj(x) + 1), promote="float")
log2 = unary("log2", lambda x: log(x) * 1.4426950408889634, lambda g, x: g / (conj(x) * 0.6931471805599453), promote="float")
log10 = unary("log10", lambda x: log(x) * 0.4342944819032518, lambda g, x: g / (conj(x) * 2.302585092994046), promote="float")
sqrt_ = unary("sqrt", lambda x: sqrt(x), lambda g, y: g / (2 * conj(y)), promote="float")
rsqrt = unary("rsqrt", lambda x: 1 / sqrt(x), lambda g, y: -0.5 * g * conj(y * y * y), promote="float")
reciprocal = unary("reciprocal", lambda x: 1 / x, lambda g, y: -g * conj(y * y), promote="float")
square = unary("square", lambda x: x * x, lambda g, x: g * conj(2 * x), node="PowBackward0")
sin_ = unary("sin", lambda x: sin(x), lambda g, x: g * conj(cos(x)), promote="float")
cos_ = unary("cos", lambda x: cos(x), lambda g, x: -g * conj(sin(x)), promote="float")
tanh_ = unary("tanh", lambda x: tanh(x), lambda g, y: g * (1 - conj(y) * conj(y)), promote="float")
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
floor_ = unary("floor", lambda x: floor(x), lambda g: g * 0, category=FLOATING)
ceil_ = unary("ceil", lambda x: ceil(x), lambda g: g * 0, category=FLOATING)
trunc_ = unary("trunc", lambda x: trunc(x), lambda g: g * 0, category=FLOATING, aliases=("fix",))
_round = unary("round", lambda x: round(x), lambda g: g * 0, category=FLOATING)
frac = unary("frac", lambda x: x - trunc(x), lambda g: g, category=FLOATING, refuse=(BOOL, INTEGRAL))


def _power_text(x, p):
    return x**p


def _power_derivative(g, x, p):
    return g * (p * conj(x ** (p - 1)))


_power = unary("pow_number", _power_text, _power_derivative, node="PowBackward0", function=False, method=False, inplace=False)
_cube = unary("pow3", lambda x: x * x * x, lambda g, x: g * conj(3 * x * x), node="PowBackward0", function=False, method=False, inplace=False)


def power_by_number(x: Tensor, p, out=None) -> Tensor:
    """x ** p for a Python number p; the exponents that code uses most are products and roots."""
    if x._dtype.category < FLOATING and isinstance(p, (float, complex)):
        x = x.to(_default_for(p))
    if x._dtype.category < COMPLEX and isinstance(p, complex):
        x = x.to(x._dtype.to_complex())
    if p == 2 and not isinstance(p, bool):
        return square(x, out=out)
    if p == 3:
        return _cube(x, out=out)
    if p == 0.5:
        return sqrt_(x, out=out)
    if x._dtype.category >= FLOATING:
        if p == 1:
            return _power(x, 1, out=out)
        if p == 0:
            from .creation import ones_like

            return _power(x, 0, out=out) if x._requires_grad else ones_like(x)
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


# |z| of a complex z is real, so its gradient has a text of its own.
abs_ = unary(
    "abs",
    lambda x: abs(x),
    lambda g, x: g * sgn(x),
    result="real",
    refuse=(BOOL,),
    aliases=("absolute",),
)
sgn = unary("sgn", lambda x: where(x == 0, x * 0, x / abs(x)), lambda g: g * 0, method=True)
sign = unary("sign", lambda x: where(x > 0, x * 0 + 1, where(x < 0, x * 0 - 1, x * 0)), lambda g: g * 0, category=FLOATING)
Tensor.__abs__ = abs_
