"""Powers and roots."""

from __future__ import annotations

import numpy as np

from . import bits
from . import complex_numbers as cplx
from .bits import fabs, fma, product, select, trunc
from .exp_log import exp64, exp_parts64, log64, log_parts64, times_power_of_two64
from .naming import any_type, double, formulas, single


@any_type
def sqrt_real(x):
    return bits.sqrt(x)


@formulas(sqrt_real, sqrt_real, complex=cplx.sqrt, python=np.sqrt)
def sqrt(x):
    """Square root, correctly rounded; nan below 0."""


@single
def rsqrt32(x):
    # One step of Newton's method from the rounded quotient: y + y * (1 - x y^2) / 2, with x y in two numbers. In float64
    # the root and the quotient take three times as long.
    y = 1.0 / bits.sqrt(x)
    high = bits.product(x, y)
    low = bits.fma(x, y, -high)
    error = bits.fma(-low, y, bits.fma(-high, y, 1.0))
    # 0, infinities and nan have no next step.
    return select(fabs(error) < 1.0, bits.fma(0.5 * y, error, y), y)


@double
def rsqrt64(x):
    return 1.0 / bits.sqrt(x)


@formulas(rsqrt32, rsqrt64, complex=cplx.rsqrt, python=lambda x: 1 / np.sqrt(x))
def rsqrt(x):
    """1 / sqrt(x)."""


# A float32 square can neither overflow nor vanish in float64. In float64 the larger side is scaled to [1, 2) first.


@double
def hypot64(a, b):
    u = fabs(a)
    v = fabs(b)
    big = select(u > v, u, v)
    scale = select(big > 1e150, 1e-160, select(big < 1e-150, 1e160, 1.0))
    back = select(big > 1e150, 1e160, select(big < 1e-150, 1e-160, 1.0))
    u = u * scale
    v = v * scale
    y = bits.sqrt(u * u + v * v) * back
    return select((fabs(a) == np.inf) | (fabs(b) == np.inf), np.inf, y)


@double
def hypot32(a, b):
    u = np.float64(a)
    v = np.float64(b)
    y = bits.sqrt(u * u + v * v)
    return np.float32(select((fabs(u) == np.inf) | (fabs(v) == np.inf), np.inf, y))


@formulas(hypot32, hypot64, python=np.hypot)
def hypot(a, b):
    """sqrt(a**2 + b**2) without overflow; inf if either is infinite."""


# x**y = exp(y log(x)), the logarithm and the product with more than 53 bits


@double
def pow_magnitude64(a, y):
    """a**y for a > 0, neither inf."""
    high, low = log_parts64(a)
    p = product(y, high)
    p2 = fma(y, high, -p) + y * low
    p2 = select(fabs(p) < 800.0, p2, 0.0)
    p = select(p > 800.0, 800.0, select(p < -800.0, -800.0, p))
    e, e2, n = exp_parts64(p, p2)
    return times_power_of_two64(e + e2, n)


@double
def pow_limits(x, y, r):
    """x**y, given |x|**y for finite |x| > 0: C's rules for zeros, infinities, signs and nan."""
    a = fabs(x)
    r = select(a == 0.0, select(y < 0.0, np.inf, 0.0), r)
    r = select(a == np.inf, select(y < 0.0, 0.0, np.inf), r)
    grows = (a > 1.0) == (y > 0.0)
    r = select(fabs(y) == np.inf, select(a == 1.0, 1.0, select(grows, np.inf, 0.0)), r)
    whole = trunc(y) == y
    odd = whole & (trunc(0.5 * y) != 0.5 * y)
    r = select(odd & (bits.copysign(1.0, x) < 0.0), -r, r)
    r = select((x < 0.0) & (a < np.inf) & (trunc(y) != y), np.nan, r)
    r = select((x != x) | (y != y), x + y, r)
    return select((y == 0.0) | (x == 1.0), 1.0, r)


@double
def pow64(x, y):
    return pow_limits(x, y, pow_magnitude64(fabs(x), y))


@double
def pow32(x, y):
    u = np.float64(x)
    v = np.float64(y)
    return np.float32(pow_limits(u, v, exp64(v * log64(fabs(u)))))


@any_type
def pow_integer(base, exponent):
    """By squaring; negative powers are 0 except of 1 and -1."""
    if exponent < 0:
        if base == 1:
            return base
        if base == -1:
            return base if exponent & 1 else -base
        return base - base
    result = base - base + 1
    square = base
    while exponent > 0:
        if exponent & 1:
            result *= square
        square *= square
        exponent >>= 1
    return result


@formulas(pow32, pow64, complex=cplx.pow, integer=pow_integer, python=np.power)
def pow(base, exponent):
    """base to the power exponent."""


@double
def exp2_64(x):
    # x log(2) in two parts: the log of the result with more than 53 bits
    y = select(x > 1100.0, 1100.0, select(x < -1100.0, -1100.0, x))
    p = product(y, 0.6931471805599453)
    p2 = fma(y, 0.6931471805599453, -p) + y * 2.3190468138462996e-17
    e, e2, n = exp_parts64(p, p2)
    return times_power_of_two64(e + e2, n)


@double
def exp2_32(x):
    return np.float32(exp64(np.float64(x) * 0.6931471805599453))


@formulas(exp2_32, exp2_64, complex=cplx.exp2, python=np.exp2)
def exp2(x):
    """2 to the power x."""


@double
def log_in_base64(x, a, a2):
    """log(x) times the constant a + a2."""
    high, low = log_parts64(x)
    p = product(high, a)
    y = p + (fma(high, a, -p) + (low * a + high * a2))
    y = select(x < np.inf, y, x)
    y = select(x > 0.0, y, select(x == 0.0, -np.inf, np.nan))
    return select(x == x, y, x)


@double
def log2_64(x):
    return log_in_base64(x, 1.4426950408889634, 2.0355273740931033e-17)


@double
def log2_32(x):
    return np.float32(log64(np.float64(x)) * 1.4426950408889634)


@formulas(log2_32, log2_64, complex=cplx.log2, python=np.log2)
def log2(x):
    """Logarithm to the base 2."""


@double
def log10_64(x):
    return log_in_base64(x, 0.4342944819032518, 1.098319650216765e-17)


@double
def log10_32(x):
    return np.float32(log64(np.float64(x)) * 0.4342944819032518)


@formulas(log10_32, log10_64, complex=cplx.log10, python=np.log10)
def log10(x):
    """Logarithm to the base 10."""


@double
def cbrt64(x):
    a = fabs(x)
    tiny = a < 1e-290
    a = select(tiny, a * 5.846006549323611e48, a)
    y = exp64(log64(a) * 0.3333333333333333)
    square = y * y
    y = y - (square * y - a) / (3.0 * square)  # one step of Newton's method
    y = select(tiny, y * 5.551115123125783e-17, y)
    y = select((a == 0.0) | (a == np.inf), a, y)
    return bits.copysign(y, x)


@double
def cbrt32(x):
    return bits.copysign(np.float32(exp64(log64(np.float64(fabs(x))) * 0.3333333333333333)), x)


@formulas(cbrt32, cbrt64, python=np.cbrt)
def cbrt(x):
    """Cube root, also of negative numbers."""
