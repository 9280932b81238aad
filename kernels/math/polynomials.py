"""Orthogonal polynomials p(x, n) by their recurrences (DLMF 18.9); of n the whole part counts, below 0 the value is 0.

At the ends of the interval, and inside it for larger n, Chebyshev's have closed forms, which torch uses too.
"""

from __future__ import annotations

import math

import numpy as np

from .naming import in_double, wide


@wide
def chebyshev_recurrence(x, n, first):
    """p(n) from p(0) = 1, p(1) = first and p(k + 1) = 2 x p(k) - p(k - 1)."""
    if n == 0.0:
        return 1.0
    before, now = 1.0, first
    for _ in range(1, int(n)):
        before, now = now, 2.0 * x * now - before
    return now


@wide
def order(n):
    """The whole part of n; -1 for nan and what no int64 holds, for which a recurrence would never end."""
    return np.trunc(n) if abs(n) < 9e18 else -1.0


@wide
def sign_of(n):
    """(-1)**n"""
    return 1.0 if n % 2.0 == 0.0 else -1.0


@in_double
def chebyshev_polynomial_t(x, n):
    """T_n(x), cos(n acos(x))."""
    n = order(n)
    if n < 0.0:
        return 0.0
    if abs(x) == 1.0:
        return 1.0 if x > 0.0 else sign_of(n)
    if n > 6.0 and abs(x) < 1.0:
        return np.cos(n * np.arccos(x))
    return chebyshev_recurrence(x, n, x)


@in_double
def chebyshev_polynomial_u(x, n):
    """U_n(x), sin((n + 1) t) / sin(t) with t = acos(x)."""
    n = order(n)
    if n < 0.0:
        return 0.0
    if abs(x) == 1.0:
        return (n + 1.0) * (1.0 if x > 0.0 else sign_of(n))
    if n > 8.0 and abs(x) < 1.0:
        t = np.arccos(x)
        return np.sin((n + 1.0) * t) / np.sin(t) if np.sin(t) != 0.0 else (n + 1.0) * np.cos((n + 1.0) * t) / x
    return chebyshev_recurrence(x, n, 2.0 * x)


@in_double
def chebyshev_polynomial_v(x, n):
    """V_n(x), cos((n + 1/2) t) / cos(t / 2) with t = acos(x)."""
    n = order(n)
    if n < 0.0:
        return 0.0
    if abs(x) == 1.0:
        return 1.0 if x > 0.0 else sign_of(n) * (2.0 * n + 1.0)
    if n > 8.0 and abs(x) < 1.0:
        t = np.arccos(x)
        return np.cos((n + 0.5) * t) / np.cos(0.5 * t) if np.sin(0.5 * t) != 1.0 else sign_of(n) * (2.0 * n + 1.0)
    return chebyshev_recurrence(x, n, 2.0 * x - 1.0)


@in_double
def chebyshev_polynomial_w(x, n):
    """W_n(x), sin((n + 1/2) t) / sin(t / 2) with t = acos(x)."""
    n = order(n)
    if n < 0.0:
        return 0.0
    if abs(x) == 1.0:
        return 2.0 * n + 1.0 if x > 0.0 else sign_of(n)
    if n > 8.0 and abs(x) < 1.0:
        t = np.arccos(x)
        return np.sin((n + 0.5) * t) / np.sin(0.5 * t) if np.cos(0.5 * t) != 1.0 else 2.0 * n + 1.0
    return chebyshev_recurrence(x, n, 2.0 * x + 1.0)


@in_double
def shifted_chebyshev_polynomial_t(x, n):
    """T_n(2 x - 1)"""
    return chebyshev_polynomial_t(2.0 * x - 1.0, n)


@in_double
def shifted_chebyshev_polynomial_u(x, n):
    """U_n(2 x - 1)"""
    return chebyshev_polynomial_u(2.0 * x - 1.0, n)


@in_double
def shifted_chebyshev_polynomial_v(x, n):
    """V_n(2 x - 1)"""
    return chebyshev_polynomial_v(2.0 * x - 1.0, n)


@in_double
def shifted_chebyshev_polynomial_w(x, n):
    """W_n(2 x - 1)"""
    return chebyshev_polynomial_w(2.0 * x - 1.0, n)


@in_double
def hermite_polynomial_h(x, n):
    """The physicists' Hermite polynomial: H(k + 1) = 2 x H(k) - 2 k H(k - 1)."""
    n = order(n)
    if n <= 0.0:
        return 1.0 if n == 0.0 else 0.0
    if n > 128.0:
        return math.nan
    before, now = 1.0, 2.0 * x
    for k in range(1, int(n)):
        before, now = now, 2.0 * x * now - 2.0 * k * before
    return now


@in_double
def hermite_polynomial_he(x, n):
    """The probabilists' Hermite polynomial: He(k + 1) = x He(k) - k He(k - 1)."""
    n = order(n)
    if n <= 0.0:
        return 1.0 if n == 0.0 else 0.0
    if n > 128.0:
        return math.nan
    before, now = 1.0, x
    for k in range(1, int(n)):
        before, now = now, x * now - k * before
    return now


@in_double
def laguerre_polynomial_l(x, n):
    """(k + 1) L(k + 1) = (2 k + 1 - x) L(k) - k L(k - 1)"""
    n = order(n)
    if n <= 0.0:
        return 1.0 if n == 0.0 else 0.0
    if x == 0.0:
        return 1.0
    before, now = 1.0, 1.0 - x
    for k in range(1, int(n)):
        before, now = now, ((2.0 * k + 1.0 - x) * now - k * before) / (k + 1.0)
    return now


@in_double
def legendre_polynomial_p(x, n):
    """(k + 1) P(k + 1) = (2 k + 1) x P(k) - k P(k - 1)"""
    n = order(n)
    if n <= 0.0:
        return 1.0 if n == 0.0 else 0.0
    if abs(x) == 1.0:
        return 1.0 if x > 0.0 else sign_of(n)
    before, now = 1.0, x
    for k in range(1, int(n)):
        before, now = now, ((2.0 * k + 1.0) * x * now - k * before) / (k + 1.0)
    return now
