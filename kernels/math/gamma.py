"""The logarithm of the gamma function and its derivative."""

from __future__ import annotations

import math

import numpy as np

from .bits import floor, rint, select
from .error_functions import elementwise
from .exp_log import log64
from .naming import any_type, double, formulas
from .trig import tan64


@any_type
def lgamma_any(x):
    """By libm: as exact as a formula would be, but a call for each element."""
    return math.lgamma(x)


def _lgamma_of_number(x):
    return math.inf if x <= 0 and x == math.floor(x) or math.isinf(x) else math.lgamma(x)


@formulas(lgamma_any, lgamma_any, python=elementwise(_lgamma_of_number))
def lgamma(x):
    """log |gamma(x)|."""


# digamma(x) = digamma(x - n) + sum 1 / (x - k), k = 1..n, with x - n in [1, 2), where it is (x - root) q(x - n - 1.5)


@double
def digamma64(x):
    z = select(x < 0.0, 1.0 - x, x)
    n = floor(select(z < 8.0, z, 7.0)) - 1.0
    r = select(z < 8.0, z, 1.5) - n
    below = z < 1.0
    total = select(below, -1.0 / select(below, z, 1.0), 0.0)
    for k in range(1, 7):
        here = (z < 8.0) & (n >= k)
        total += select(here, 1.0 / select(here, z - k, 1.0), 0.0)
    t = r - 1.5
    q = 0.00012149242892234878
    q = q * t + -0.00017883260360893334
    q = q * t + 9.288481997321342e-05
    q = q * t + -0.00014403133757748135
    q = q * t + 0.0003261073665070125
    q = q * t + -0.000486369174279764
    q = q * t + 0.0006902118272233424
    q = q * t + -0.001036332087267868
    q = q * t + 0.0015635168520555843
    q = q * t + -0.0023455180795878164
    q = q * t + 0.0035180870649301355
    q = q * t + -0.005279934540378981
    q = q * t + 0.007927023454623237
    q = q * t + -0.011908220303429275
    q = q * t + 0.017907248229497665
    q = q * t + -0.026975796651178545
    q = q * t + 0.040760833943558096
    q = q * t + -0.06192213327569394
    q = q * t + 0.09498872445284746
    q = q * t + -0.14840492305387867
    q = q * t + 0.24054248424078725
    q = q * t + -0.4236274212814606
    q = q * t + 0.9510558760318328
    near = total + ((r - 1.4616321449683622) - 9.549995429965697e-17) * q
    # for z >= 8 Stirling's series, whose coefficients are Bernoulli's numbers B(2k) / 2k
    far = select(z < 8.0, 8.0, z)
    u = 1.0 / far
    v = u * u
    b = -0.4432598039215686
    b = b * v + 0.08333333333333333
    b = b * v + -0.021092796092796094
    b = b * v + 0.007575757575757576
    b = b * v + -0.004166666666666667
    b = b * v + 0.003968253968253968
    b = b * v + -0.008333333333333333
    b = b * v + 0.08333333333333333
    y = select(z < 8.0, near, log64(far) - (0.5 * u + b * v))
    # reflection: digamma(x) = digamma(1 - x) - pi / tan(pi x)
    whole = rint(x)
    reflected = y - 3.141592653589793 / tan64(3.141592653589793 * (x - whole))
    y = select(x < 0.0, select(x == whole, np.nan, reflected), y)
    return select(x == 0.0, -1.0 / x, y)


@double
def digamma32(x):
    return np.float32(digamma64(np.float64(x)))


def _digamma_of_number(x):
    if x == 0:
        return -math.copysign(math.inf, x)
    if x < 0:
        return math.nan if x == math.floor(x) else _digamma_of_number(1 - x) - math.pi / math.tan(math.pi * (x % 1))
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    v = 1 / (x * x)
    series = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
    return total + math.log(x) - 0.5 / x - sum(b * v ** (k + 1) for k, b in enumerate(series))


@formulas(digamma32, digamma64, python=elementwise(_digamma_of_number))
def digamma(x):
    """The derivative of lgamma."""
