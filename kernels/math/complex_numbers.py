"""The same functions of complex arguments, from real ones of the same precision.

z = x + iy throughout. Results keep the precision of the argument, which
some of cmath's functions in Numba do not.
"""

from __future__ import annotations

import cmath

from .bits import complex_like, real_like
from .naming import any_type


@any_type
def exp(z):
    return cmath.exp(z)


@any_type
def expm1(z):
    return cmath.exp(z) - real_like(z, 1.0)


@any_type
def log(z):
    return cmath.log(z)


@any_type
def log1p(z):
    return cmath.log(z + real_like(z, 1.0))


@any_type
def sigmoid(z):
    one = real_like(z, 1.0)
    return one / (one + cmath.exp(-z))


@any_type
def tanh(z):
    return complex_like(z, cmath.tanh(z))


@any_type
def sin(z):
    return cmath.sin(z)


@any_type
def cos(z):
    return cmath.cos(z)


@any_type
def sqrt(z):
    return complex_like(z, cmath.sqrt(z))


@any_type
def rsqrt(z):
    return real_like(z, 1.0) / cmath.sqrt(z)


@any_type
def tan(z):
    return complex_like(z, cmath.tan(z))


@any_type
def asin(z):
    return complex_like(z, cmath.asin(z))


@any_type
def acos(z):
    return complex_like(z, cmath.acos(z))


@any_type
def atan(z):
    return complex_like(z, cmath.atan(z))


@any_type
def sinh(z):
    return complex_like(z, cmath.sinh(z))


@any_type
def cosh(z):
    return complex_like(z, cmath.cosh(z))


@any_type
def asinh(z):
    return complex_like(z, cmath.asinh(z))


@any_type
def acosh(z):
    return complex_like(z, cmath.acosh(z))


@any_type
def atanh(z):
    return complex_like(z, cmath.atanh(z))


@any_type
def pow(z, w):
    if z == 0 and w.real > 0:
        return complex_like(z, z * 0)  # where exp(w log z) is nan
    return complex_like(z, z**w)


@any_type
def exp2(z):
    return cmath.exp(z * real_like(z, 0.6931471805599453))


@any_type
def log2(z):
    return cmath.log(z) * real_like(z, 1.4426950408889634)


@any_type
def log10(z):
    return cmath.log(z) * real_like(z, 0.4342944819032518)
