"""Functions around gamma: Hurwitz's zeta, derivatives of digamma, the regularised incomplete gamma functions."""

from __future__ import annotations

import math

import numpy as np

from .gamma import digamma, lgamma
from .naming import in_double, wide

# (2k)! / B(2k), k = 1 .. 12: the denominators of Euler and Maclaurin's correction
EULER_MACLAURIN = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1892437580.3183792, 74724249600.0, -2950130727918.1643,
    116467828143500.67, -4597978722407473.0, 1.8152105401943546e17, -7.166165256175668e18,
)  # fmt: skip


@in_double
def zeta(x, q):
    """Hurwitz's zeta function, sum of (k + q)**-x over k >= 0, by Euler and Maclaurin's formula (DLMF 25.11)."""
    if x == 1.0:
        return math.inf
    if not x > 1.0 or q != q:
        return math.nan
    if q <= 0.0:
        if q == np.floor(q):
            return math.inf
        if x != np.floor(x):
            return math.nan  # powers of negative numbers
    total = q**-x
    a, term = q, 0.0
    steps = 0
    while steps < 9 or a <= 9.0:
        steps += 1
        a += 1.0
        term = a**-x
        total += term
        if abs(term) < 1e-17 * abs(total):
            return total
    total += term * a / (x - 1.0) - 0.5 * term
    factor, k = 1.0, 0.0
    for divisor in EULER_MACLAURIN:
        factor *= x + k
        term /= a
        part = factor * term / divisor
        total += part
        if abs(part) < 1e-17 * abs(total):
            return total
        k += 1.0
        factor *= x + k
        term /= a
        k += 1.0
    return total


@in_double
def trigamma(x):
    """The derivative of digamma: shifted up to 8 and more, then its asymptotic series (DLMF 5.15)."""
    sign, total = 1.0, 0.0
    if x < 0.5:
        s = np.sin(math.pi * (x - np.floor(x)))
        sign, total = -1.0, -((math.pi / s) ** 2)
        x = 1.0 - x
    while x < 8.0:
        total += 1.0 / (x * x)
        x += 1.0
    u = 1.0 / (x * x)
    series = 1.0 / 6.0 - u * (
        1.0 / 30.0 - u * (1.0 / 42.0 - u * (1.0 / 30.0 - u * (5.0 / 66.0 - u * (691.0 / 2730.0 - u * 7.0 / 6.0))))
    )
    return sign * (total + (1.0 + 0.5 / x + u * series) / x)


@in_double
def polygamma(n, x):
    """The n-th derivative of digamma, (-1)**(n + 1) n! zeta(n + 1, x) for n > 1."""
    if n == 0.0:
        return digamma(x)
    if n == 1.0:
        return trigamma(x)
    sign = -1.0 if n % 2.0 == 0.0 else 1.0
    return sign * np.exp(lgamma(n + 1.0)) * zeta(n + 1.0, x)


# -- incomplete gamma functions ----------------------------------------------------------------------------------------


@wide
def log1p_minus(x):
    """log(1 + x) - x without cancellation where x is small: the series 2 artanh(x / (2 + x)), less x."""
    if abs(x) > 0.3:
        return np.log1p(x) - x
    r = x / (2.0 + x)
    square = r * r
    power, total = r * square, 0.0
    for k in range(3, 43, 2):
        total += power / k
        power *= square
    return 2.0 * total - x * r


@wide
def gamma_density(a, x):
    """x**a exp(-x) / gamma(a), for large a with Stirling's series, in which the large terms cancel (DLMF 5.11)."""
    if a < 20.0:
        return np.exp(a * np.log(x) - x - lgamma(a))
    u = 1.0 / (a * a)
    stirling = (1.0 / 12.0 - u * (1.0 / 360.0 - u * (1.0 / 1260.0 - u / 1680.0))) / a
    return np.sqrt(a / 6.283185307179586) * np.exp(a * log1p_minus((x - a) / a) - stirling)


@wide
def lower_series(a, x):
    """P(a, x) = density sum_n x**n / (a (a + 1) ... (a + n)) (DLMF 8.7)."""
    term = 1.0 / a
    total, k = term, a
    for _ in range(100000):
        k += 1.0
        term *= x / k
        total += term
        if term < 1e-17 * total:
            break
    return total * gamma_density(a, x)


@wide
def upper_fraction(a, x):
    """Q(a, x) by its continued fraction (DLMF 8.9) in Lentz's form."""
    b = x + 1.0 - a
    c, d = 1e300, 1.0 / b
    h = d
    for i in range(1, 100000):
        p = -i * (i - a)
        b += 2.0
        d = p * d + b
        d = 1.0 / (d if abs(d) > 1e-300 else 1e-300)
        c = b + p / c
        c = c if abs(c) > 1e-300 else 1e-300
        h *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return h * gamma_density(a, x)


@wide
def upper_near_zero(a, x):
    """Q(a, x) where x and a are small and 1 - P would cancel: 1 - x**a / gamma(a + 1), less the rest of the series."""
    term, total = 1.0, 0.0
    for n in range(1, 200):
        term *= -x / n
        part = term / (a + n)
        total += part
        if abs(part) < 1e-17 * abs(total):
            break
    head = np.expm1(a * np.log(x) - lgamma(1.0 + a))
    return -head - np.exp(a * np.log(x) - lgamma(a)) * total


@in_double
def igamma(a, x):
    """P(a, x), the regularised lower incomplete gamma function: nan for negative arguments."""
    if x < 0.0 or a < 0.0 or x != x or a != a:
        return math.nan
    if a == 0.0:
        return 1.0 if x > 0.0 else math.nan
    if x == 0.0:
        return 0.0
    if a == math.inf:
        return math.nan if x == math.inf else 0.0
    if x == math.inf:
        return 1.0
    if x > 1.0 and x > a:
        return 1.0 - upper_fraction(a, x)
    return lower_series(a, x)


@in_double
def igammac(a, x):
    """Q(a, x) = 1 - P(a, x), the regularised upper incomplete gamma function: nan for negative arguments."""
    if x < 0.0 or a < 0.0 or x != x or a != a:
        return math.nan
    if a == 0.0:
        return 0.0 if x > 0.0 else math.nan
    if x == 0.0:
        return 1.0
    if a == math.inf:
        return math.nan if x == math.inf else 1.0
    if x == math.inf:
        return 0.0
    if x > 1.1 and x >= a:
        return upper_fraction(a, x)
    if x <= 1.1 and a < 1.1 * x or x <= 0.5 and a < -0.4 / np.log(x):
        return upper_near_zero(a, x)
    return 1.0 - lower_series(a, x)
