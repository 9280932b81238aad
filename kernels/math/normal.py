"""The normal distribution's logarithm and quantiles, and the scaled complementary error function they rest on."""

from __future__ import annotations

import math

import numpy as np

from .bessel import chebyshev_sum
from .bessel_tables import ERFCX
from .error_functions import erfc, erfinv
from .naming import in_double


@in_double
def erfcx(x):
    """exp(x**2) erfc(x): for x >= 0 a Chebyshev series in (x - 2) / (x + 2), below by reflection (DLMF 7.4)."""
    a = abs(x)
    if not a < math.inf:
        return x if a != a else (0.0 if x > 0.0 else math.inf)
    y = chebyshev_sum((a - 2.0) / (a + 2.0), ERFCX) / (a + 2.0)
    if x >= 0.0:
        return y
    return 2.0 * np.exp(x * x) - y if a < 26.7 else math.inf


@in_double
def log_ndtr(x):
    """log of the normal distribution function."""
    if x < -1.0:
        return np.log(0.5 * erfcx(-0.7071067811865476 * x)) - 0.5 * x * x if x > -math.inf else x
    return np.log1p(-0.5 * erfc(0.7071067811865476 * x))


@in_double
def ndtri(p):
    """The quantile function of the normal distribution.

    In the middle by erfinv; in the tails Newton's method on log_ndtr, which is nearly a parabola there.
    """
    if not 0.0 < p < 1.0:
        return -math.inf if p == 0.0 else (math.inf if p == 1.0 else math.nan)
    if 0.05 < p < 0.95:
        return 1.4142135623730951 * erfinv(2.0 * p - 1.0)
    log_tail = np.log(min(p, 1.0 - p))
    z = -2.0 * log_tail
    x = -np.sqrt(z - np.log(6.283185307179586 * (z - np.log(6.283185307179586 * z))))
    for _ in range(6):
        # The slope of log_ndtr is the density over the distribution: sqrt(2 / pi) / erfcx(-x / sqrt(2)).
        step = (log_ndtr(x) - log_tail) * erfcx(-0.7071067811865476 * x) * 1.2533141373155003
        x -= step
        if abs(step) < 1e-15 * abs(x):
            break
    return x if p < 0.5 else -x
