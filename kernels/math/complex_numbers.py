"""The same functions of complex arguments, from real ones of the same precision.

z = x + iy throughout. Real parts and results keep the precision of the argument.
"""

from __future__ import annotations

import cmath

from .naming import any_type


@any_type
def exp(z):
    return cmath.exp(z)


@any_type
def expm1(z):
    return cmath.exp(z) - 1


@any_type
def log(z):
    return cmath.log(z)


@any_type
def log1p(z):
    return cmath.log(z + 1)


@any_type
def sigmoid(z):
    return 1 / (1 + cmath.exp(-z))


@any_type
def tanh(z):
    return cmath.tanh(z)


@any_type
def sin(z):
    return cmath.sin(z)


@any_type
def cos(z):
    return cmath.cos(z)


@any_type
def sqrt(z):
    return cmath.sqrt(z)


@any_type
def rsqrt(z):
    return 1 / cmath.sqrt(z)
