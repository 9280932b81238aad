"""Functions of one number: exponentials, trigonometry, rounding, signs, parts of complex numbers."""

import numpy as np

from . import BOTH_FLOATS, EVERY, FLOATING, NUMERIC, WITH_COMPLEX, Op, unary
from ._reference import special

REALS = ("bool", "uint8", "int32", "int64", *BOTH_FLOATS)


def _abs_derivative_free(make):
    return [(make(5, low=0.1, high=2),), (-make(2, 3, low=0.1, high=2),), (make(0),)]


def _sign(x):
    """torch's sign of nan is 0, and of bool the bool itself."""
    return x if x.dtype == bool else np.where(np.isnan(x), 0, np.sign(x))


def _frexp(x):
    """The exponents of inf and nan are 0."""
    mantissa, exponent = np.frexp(x)
    return mantissa, np.where(np.isfinite(x), exponent, 0)


def _neighbours(make):
    shapes = (((5,), (5,)), ((2, 3), (3,)), ((0,), (1,)))
    return [(make(*a, low=0.2, high=3), -make(*b, low=0.2, high=3)) for a, b in shapes]


OPS = [
    Op("neg", unary(-3, 3), np.negative, NUMERIC, aliases=("negative",)),
    Op("exp", unary(-3, 3), np.exp, EVERY, promotes=True),
    Op("exp2", unary(-3, 3), np.exp2, promotes=True, dtypes=FLOATING),
    Op("expm1", unary(-3, 3), np.expm1, WITH_COMPLEX, promotes=True),
    Op("log", unary(0.1, 3), np.log, WITH_COMPLEX, promotes=True),
    Op("log1p", unary(-0.5, 3), np.log1p, WITH_COMPLEX, promotes=True),
    Op("log2", unary(0.1, 3), np.log2, WITH_COMPLEX, promotes=True),
    Op("log10", unary(0.1, 3), np.log10, WITH_COMPLEX, promotes=True),
    Op("sqrt", unary(0.1, 3), np.sqrt, WITH_COMPLEX, promotes=True),
    Op("rsqrt", unary(0.1, 3), lambda x: 1 / np.sqrt(x), WITH_COMPLEX, promotes=True),
    Op("reciprocal", unary(0.5, 3), lambda x: 1 / x, WITH_COMPLEX, promotes=True),
    Op("square", unary(-3, 3), np.square, NUMERIC),
    Op("sin", unary(-3, 3), np.sin, EVERY, promotes=True),
    Op("cos", unary(-3, 3), np.cos, EVERY, promotes=True),
    Op("tan", unary(-1, 1), np.tan, WITH_COMPLEX, promotes=True),
    Op("asin", unary(-0.9, 0.9), np.arcsin, WITH_COMPLEX, promotes=True, aliases=("arcsin",)),
    Op("acos", unary(-0.9, 0.9), np.arccos, WITH_COMPLEX, promotes=True, aliases=("arccos",)),
    Op("atan", unary(-2, 2), np.arctan, BOTH_FLOATS, promotes=True, aliases=("arctan",)),
    Op("sinh", unary(-2, 2), np.sinh, WITH_COMPLEX, promotes=True),
    Op("cosh", unary(-2, 2), np.cosh, WITH_COMPLEX, promotes=True),
    Op("tanh", unary(-2, 2), np.tanh, EVERY, promotes=True),
    Op("asinh", unary(-2, 2), np.arcsinh, BOTH_FLOATS, promotes=True, aliases=("arcsinh",)),
    Op("acosh", unary(1.2, 3), np.arccosh, BOTH_FLOATS, promotes=True, aliases=("arccosh",)),
    Op("atanh", unary(-0.9, 0.9), np.arctanh, BOTH_FLOATS, promotes=True, aliases=("arctanh",)),
    Op("sinc", unary(-2, 2), np.sinc, promotes=True),
    Op("logit", unary(0.1, 0.9), special.logit, promotes=True),
    Op("erf", unary(-2, 2), special.erf, FLOATING, promotes=True),
    Op("erfc", unary(-2, 2), special.erfc, FLOATING, promotes=True),
    Op("sigmoid", unary(-3, 3), special.expit, promotes=True, dtypes=FLOATING),
    Op("deg2rad", unary(-200, 200), np.deg2rad, promotes=True),
    Op("rad2deg", unary(-3, 3), np.rad2deg, promotes=True),
    Op("floor", unary(-3, 3), np.floor, FLOATING),
    Op("ceil", unary(-3, 3), np.ceil, FLOATING),
    Op("trunc", unary(-3, 3), np.trunc, FLOATING, aliases=("fix",)),
    Op("round", unary(-3, 3), np.round, FLOATING),
    Op("frac", unary(-3, 3), lambda x: x - np.trunc(x), FLOATING),
    Op("abs", _abs_derivative_free, np.abs, NUMERIC, out="real", aliases=("absolute",)),
    Op("sign", unary(-3, 3), _sign, REALS),
    Op("sgn", unary(0.2, 3), _sign, WITH_COMPLEX, covers=("sgn_real",)),
    Op("angle", unary(0.2, 3), lambda x: np.angle(x + 0.0), WITH_COMPLEX, out="real", promotes=True),
    Op("conj_physical", unary(-3, 3), np.conj, WITH_COMPLEX),
    Op("isnan", unary(-3, 3), np.isnan, EVERY, out="bool"),
    Op("isinf", unary(-3, 3), np.isinf, EVERY, out="bool"),
    Op("isfinite", unary(-3, 3), np.isfinite, EVERY, out="bool"),
    Op("isposinf", unary(-3, 3), np.isposinf, REALS, out="bool"),
    Op("isneginf", unary(-3, 3), np.isneginf, REALS, out="bool"),
    Op("signbit", unary(-3, 3), np.signbit, REALS, out="bool"),
    Op("logical_not", unary(-1, 2), np.logical_not, EVERY, out="bool"),
    Op("nan_to_num", unary(-3, 3), np.nan_to_num, ("float64",)),
    Op("frexp", unary(0.3, 3), _frexp, BOTH_FLOATS, out=("same", "int32"), skip={"test_out": "results of two dtypes"}),
    Op("nextafter", _neighbours, np.nextafter, gradgradcheck=False),
    Op("bitwise_not", unary(), np.invert, ("bool", "uint8", "int32", "int64"), gradcheck=False),
]
