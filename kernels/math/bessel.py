"""Bessel functions of orders 0 and 1, the modified ones, spherical j0 and Airy's Ai.

Each function is a Chebyshev series on an interval near 0 and, beyond it, its asymptotic form with a series in 1 / x for
the slowly varying factor (Abramowitz and Stegun 9.2, 9.7, 10.4; DLMF 10.17, 10.40, 9.7). Where a function has a
logarithm or a pole at 0, the series is of what is left without it (DLMF 10.8, 10.31). The coefficients are
interpolations at Chebyshev points of values computed to 45 digits.
"""

from __future__ import annotations

import math

import numpy as np

from .bessel_tables import (
    AI_LEFT_P,
    AI_LEFT_Q,
    AI_MIDDLE,
    AI_RIGHT,
    I0_FAR,
    I0_NEAR,
    I1_FAR,
    I1_NEAR,
    J0_NEAR,
    J1_NEAR,
    K0_FAR,
    K0_NEAR,
    K1_FAR,
    K1_NEAR,
    P0,
    P1,
    Q0,
    Q1,
    Y0_NEAR,
    Y1_NEAR,
)
from .naming import in_double, wide


@wide
def chebyshev_sum(t, coefficients):
    """sum_k c_k T_k(t) by Clenshaw's recurrence."""
    first, second = 0.0, 0.0
    for k in range(len(coefficients) - 1, 0, -1):
        first, second = 2.0 * t * first - second + coefficients[k], first
    return t * first - second + coefficients[0]


# -- modified Bessel functions of the first kind -----------------------------------------------------------------------


@in_double
def i0e(x):
    """exp(-|x|) I0(x)"""
    a = abs(x)
    if a <= 8.0:
        return chebyshev_sum(a / 4.0 - 1.0, I0_NEAR)
    return chebyshev_sum(16.0 / a - 1.0, I0_FAR) / np.sqrt(a)


@in_double
def i1e(x):
    """exp(-|x|) I1(x)"""
    a = abs(x)
    if a <= 8.0:
        return chebyshev_sum(a / 4.0 - 1.0, I1_NEAR) * x
    return np.copysign(chebyshev_sum(16.0 / a - 1.0, I1_FAR) / np.sqrt(a), x)


@in_double
def i0(x):
    """The modified Bessel function of the first kind, of order 0."""
    a = abs(x)
    half = np.exp(0.5 * a)  # two factors: exp(a) alone overflows before the product does
    return half * i0e(a) * half


@in_double
def i1(x):
    """The modified Bessel function of the first kind, of order 1; the derivative of i0."""
    a = abs(x)
    half = np.exp(0.5 * a)
    return half * i1e(x) * half


# -- modified Bessel functions of the second kind ----------------------------------------------------------------------


@in_double
def scaled_modified_bessel_k0(x):
    """exp(x) K0(x): infinite at 0, nan below it."""
    if x == 0.0:
        return math.inf
    if x < 0.0:
        return math.nan
    if x <= 2.0:
        return (chebyshev_sum(0.5 * x * x - 1.0, K0_NEAR) - np.log(0.5 * x) * i0(x)) * np.exp(x)
    return chebyshev_sum(4.0 / x - 1.0, K0_FAR) / np.sqrt(x)


@in_double
def scaled_modified_bessel_k1(x):
    """exp(x) K1(x): infinite at 0, nan below it."""
    if x == 0.0:
        return math.inf
    if x < 0.0:
        return math.nan
    if x <= 2.0:
        return (chebyshev_sum(0.5 * x * x - 1.0, K1_NEAR) / x + np.log(0.5 * x) * i1(x)) * np.exp(x)
    return chebyshev_sum(4.0 / x - 1.0, K1_FAR) / np.sqrt(x)


@in_double
def modified_bessel_k0(x):
    """The modified Bessel function of the second kind, of order 0."""
    return scaled_modified_bessel_k0(x) * np.exp(-x)


@in_double
def modified_bessel_k1(x):
    """The modified Bessel function of the second kind, of order 1."""
    return scaled_modified_bessel_k1(x) * np.exp(-x)


# -- Bessel functions --------------------------------------------------------------------------------------------------


@wide
def oscillation(a, slow, fast, shift, turn):
    """sqrt(2 / (pi a)) (p cos(a - shift + turn) - q sin(a - shift + turn)), with p and q series in (8 / a)**2."""
    t = 128.0 / (a * a) - 1.0
    angle = a - shift + turn
    p, q = chebyshev_sum(t, slow), chebyshev_sum(t, fast) / a
    return np.sqrt(0.6366197723675814 / a) * (p * np.cos(angle) - q * np.sin(angle))


QUARTER, THREE_QUARTERS, RIGHT = 0.7853981633974483, 2.356194490192345, 1.5707963267948966


@in_double
def bessel_j0(x):
    """The Bessel function of the first kind, of order 0."""
    a = abs(x)
    if a <= 8.0:
        return chebyshev_sum(a * a / 32.0 - 1.0, J0_NEAR)
    return oscillation(a, P0, Q0, QUARTER, 0.0) if a < math.inf else a - a


@in_double
def bessel_j1(x):
    """The Bessel function of the first kind, of order 1."""
    a = abs(x)
    if a <= 8.0:
        return chebyshev_sum(a * a / 32.0 - 1.0, J1_NEAR) * x
    return np.copysign(1.0, x) * oscillation(a, P1, Q1, THREE_QUARTERS, 0.0) if a < math.inf else a - a


@in_double
def bessel_y0(x):
    """The Bessel function of the second kind, of order 0: -inf at 0, nan below it."""
    if x == 0.0:
        return -math.inf
    if x < 0.0:
        return math.nan
    if x <= 8.0:
        return chebyshev_sum(x * x / 32.0 - 1.0, Y0_NEAR) + 0.6366197723675814 * np.log(x) * bessel_j0(x)
    # sin(angle) is cos(angle - pi / 2)
    return oscillation(x, P0, Q0, QUARTER, -RIGHT) if x < math.inf else x - x


@in_double
def bessel_y1(x):
    """The Bessel function of the second kind, of order 1: -inf at 0, nan below it."""
    if x == 0.0:
        return -math.inf
    if x < 0.0:
        return math.nan
    if x <= 8.0:
        pole = 0.6366197723675814 * (np.log(x) * bessel_j1(x) - 1.0 / x)
        return chebyshev_sum(x * x / 32.0 - 1.0, Y1_NEAR) * x + pole
    return oscillation(x, P1, Q1, THREE_QUARTERS, -RIGHT) if x < math.inf else x - x


@in_double
def spherical_bessel_j0(x):
    """sin(x) / x"""
    if abs(x) < 0.1:
        z = x * x
        return 1.0 - z / 6.0 * (1.0 - z / 20.0 * (1.0 - z / 42.0 * (1.0 - z / 72.0 * (1.0 - z / 110.0))))
    return np.sin(x) / x if abs(x) != math.inf else 0.0


# -- Airy's function ---------------------------------------------------------------------------------------------------

ZETA_RIGHT, ZETA_LEFT = 3.4641016151377544, 7.453559924999299  # 2/3 x**1.5 at 3 and at 5


@in_double
def airy_ai(x):
    """Airy's function Ai; nan at infinity, as torch has it."""
    a = abs(x)
    if not a < math.inf:
        return math.nan
    if -5.0 <= x <= 3.0:
        return chebyshev_sum(0.25 * (x + 1.0), AI_MIDDLE)
    root = np.sqrt(a)
    zeta = 0.6666666666666666 * a * root
    if x > 0.0:
        return chebyshev_sum(2.0 * ZETA_RIGHT / zeta - 1.0, AI_RIGHT) * np.exp(-zeta) / np.sqrt(root)
    t = 2.0 * (ZETA_LEFT / zeta) ** 2 - 1.0
    angle = zeta + QUARTER
    p, q = chebyshev_sum(t, AI_LEFT_P), chebyshev_sum(t, AI_LEFT_Q) / zeta
    return 0.5641895835477563 * (p * np.sin(angle) - q * np.cos(angle)) / np.sqrt(root)
