"""sinh, cosh and the inverse hyperbolic functions; tanh stands with exp."""

from __future__ import annotations

import numpy as np

from . import complex_numbers as cplx
from .bits import copysign, fabs, select, sqrt
from .exp_log import log1p_64, log64, scaled_exp32, scaled_exp64
from .naming import double, formulas, single

# sinh(x) = h - 1 / (4 h), cosh(x) = h + 1 / (4 h),  h = exp(x) / 2


@single
def sinh32(x):
    a = fabs(x)
    h = scaled_exp32(a, -1.0)
    far = h - 0.25 / h
    z = x * x
    q = 2.816946789607755e-06
    q = q * z + 0.00019836160936392844
    q = q * z + 0.008333349600434303
    q = q * z + 0.1666666716337204
    return copysign(select(a < 1.0, (q * z) * a + a, far), x)


@double
def sinh64(x):
    a = fabs(x)
    h = scaled_exp64(a, -1.0)
    far = h - 0.25 / h
    z = x * x
    q = 2.8482310577410465e-15
    q = q * z + 7.646482988192502e-13
    q = q * z + 1.6059050599727832e-10
    q = q * z + 2.5052108346522274e-08
    q = q * z + 2.7557319224116225e-06
    q = q * z + 0.000198412698412696
    q = q * z + 0.008333333333333333
    q = q * z + 0.16666666666666666
    return copysign(select(a < 1.0, (q * z) * a + a, far), x)


@formulas(sinh32, sinh64, complex=cplx.sinh, python=np.sinh)
def sinh(x):
    """Hyperbolic sine."""


@single
def cosh32(x):
    h = scaled_exp32(fabs(x), -1.0)
    return h + 0.25 / h


@double
def cosh64(x):
    h = scaled_exp64(fabs(x), -1.0)
    return h + 0.25 / h


@formulas(cosh32, cosh64, complex=cplx.cosh, python=np.cosh)
def cosh(x):
    """Hyperbolic cosine."""


# The inverses are logarithms of sums that round; in float32 they go by way of float64.


@double
def asinh64(x):
    a = fabs(x)
    small = select(a < 1e150, a, 1.0)
    square = small * small
    near = log1p_64(small + square / (1.0 + sqrt(square + 1.0)))
    return copysign(select(a < 1e150, near, log64(a) + 0.6931471805599453), x)


@double
def asinh32(x):
    a = fabs(np.float64(x))
    square = a * a
    return copysign(np.float32(select(a < np.inf, log1p_64(a + square / (1.0 + sqrt(square + 1.0))), a)), x)


@formulas(asinh32, asinh64, complex=cplx.asinh, python=np.arcsinh)
def asinh(x):
    """Inverse hyperbolic sine."""


@double
def acosh64(x):
    t = x - 1.0
    small = select(t >= 1e150, 1.0, t)
    near = log1p_64(small + sqrt(small * small + (small + small)))
    y = select(t >= 1e150, log64(x) + 0.6931471805599453, near)
    return select(x < 1.0, np.nan, y)


@double
def acosh32(x):
    t = np.float64(x) - 1.0
    y = select(t < np.inf, log1p_64(t + sqrt(t * t + (t + t))), t)
    return np.float32(select(t < 0.0, np.nan, y))


@formulas(acosh32, acosh64, complex=cplx.acosh, python=np.arccosh)
def acosh(x):
    """Inverse hyperbolic cosine; nan below 1."""


@double
def atanh64(x):
    a = fabs(x)
    return copysign(0.5 * log1p_64((a + a) / (1.0 - a)), x)


@double
def atanh32(x):
    return np.float32(atanh64(np.float64(x)))


@formulas(atanh32, atanh64, complex=cplx.atanh, python=np.arctanh)
def atanh(x):
    """Inverse hyperbolic tangent; infinite at -1 and 1, nan outside."""
