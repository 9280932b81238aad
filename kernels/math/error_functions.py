"""erf, erfc: near 0 an odd polynomial, beyond it the decay of 1 - erf, which is exp(-x**2) times a smooth function."""

from __future__ import annotations

import math

import numpy as np

from .bits import copysign, fabs, fma, select
from .exp_log import exp32, exp64
from .naming import double, formulas, single


@single
def erf_near32(x):
    """erf(x) for |x| <= 0.85."""
    z = x * x
    q = 8.837170025799423e-05
    q = q * z + -0.0008244505734182894
    q = q * z + 0.005209318362176418
    q = q * z + -0.0268624909222126
    q = q * z + 0.11283747106790543
    q = q * z + -0.37612637877464294
    q = q * z + 0.12837916612625122
    return q * x + x


@double
def erf_near64(x):
    z = x * x
    q = -8.827477170835343e-10
    q = q * z + 1.4185720261159027e-08
    q = q * z + -1.6299833391086313e-07
    q = q * z + 1.645761228905979e-06
    q = q * z + -1.4925446228028524e-05
    q = q * z + 0.00012055326782800264
    q = q * z + -0.0008548326899184992
    q = q * z + 0.0052239776238596335
    q = q * z + -0.026866170645012125
    q = q * z + 0.11283791670954661
    q = q * z + -0.3761263890318374
    q = q * z + 0.1283791670955126
    return q * x + x


@single
def erf32(x):
    a = fabs(x)
    # far: 1 - exp(log(1 - erf(a))), that logarithm as a polynomial in a - 0.9, up to where erf is 1
    t = select(a > 3.95, 3.95, a) - 0.9
    q = -0.00020254083210602403
    q = q * t + 0.0020135724917054176
    q = q * t + -0.010957416146993637
    q = q * t + 0.04573903977870941
    q = q * t + 0.8300216794013977
    q = q * t + 2.4716339111328125
    q = q * t + 1.5940972566604614
    far = 1.0 - exp32(-q)
    return select(a < 0.85, erf_near32(x), copysign(far, x))


@double
def erf64(x):
    a = fabs(x)
    # far: 1 - exp(-a**2) q(t) / (a + 3), up to where erf is 1
    b = select(a > 5.95, 5.95, a)
    u = 1.0 / (b + 3.0)
    t = (b - 0.9) * u
    q = 0.001618553192564172
    q = q * t + 0.002087287220997801
    q = q * t + -0.009559803008272577
    q = q * t + -0.007699360429324093
    q = q * t + 0.033404229073882026
    q = q * t + 0.03452063547288019
    q = q * t + -0.165174254276438
    q = q * t + -0.028738903389805507
    q = q * t + 0.9446711961088294
    q = q * t + -2.302345528754969
    q = q * t + 3.164357530388824
    q = q * t + -2.8832501414382916
    q = q * t + 1.7804734401601565
    far = 1.0 - exp64(-(b * b)) * (q * u)
    return select(a < 0.85, erf_near64(x), copysign(far, x))


def _elementwise(function):
    """A function of Python floats on numpy scalars of any float type."""

    def apply(x):
        return np.asarray(x).dtype.type(function(float(x))) if isinstance(x, np.floating) else function(float(x))

    return apply


@formulas(erf32, erf64, python=_elementwise(math.erf))
def erf(x):
    """2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x."""


@double
def erfc32(x):
    # in float64, since exp(-x**2) magnifies every rounding before it
    wide = np.float64(x)
    a = fabs(wide)
    b = select(a > 10.2, 10.2, a)
    u = 1.0 / (b + 2.0)
    t = (b - 2.75) * u
    q = 4.893659112703755e-05
    q = q * t + -8.732114097903857e-05
    q = q * t + -0.0004651591497680935
    q = q * t + 0.0006102264501161591
    q = q * t + 0.0037374511543631717
    q = q * t + -0.007734686541902324
    q = q * t + -0.028778204961647603
    q = q * t + 0.18386196107663796
    q = q * t + -0.5069042427941741
    q = q * t + 0.9198949578134085
    tail = exp64(-(b * b)) * (q * u)
    far = np.float32(select(wide < 0.0, 2.0 - tail, tail))
    return select(a < 0.85, np.float32(1) - erf_near32(x), far)


@double
def erfc64(x):
    a = fabs(x)
    b = select(a > 27.5, 27.5, a)
    u = 1.0 / (b + 3.0)
    t = (b - 3.75) * u
    q = -1.7678137930969684e-09
    q = q * t + 1.0547468604637555e-09
    q = q * t + 1.606231231805215e-08
    q = q * t + -3.784807039622235e-09
    q = q * t + -1.0620066128327983e-07
    q = q * t + -8.111550054391268e-09
    q = q * t + 6.997757660673882e-07
    q = q * t + 9.989454826604655e-08
    q = q * t + -5.045429669224834e-06
    q = q * t + 1.1177306625592742e-06
    q = q * t + 3.9750325495095006e-05
    q = q * t + -4.9302503682926716e-05
    q = q * t + -0.00029614945399999466
    q = q * t + 0.0010710102428782846
    q = q * t + 0.0004585572024870448
    q = q * t + -0.014925289564239726
    q = q * t + 0.06526286625211603
    q = q * t + -0.1830792988094232
    q = q * t + 0.3912876672549508
    q = q * t + -0.6783076152282057
    q = q * t + 0.9827306186065101
    square = b * b
    tail = exp64(-square) * (q * u)
    tail = tail - tail * fma(b, b, -square)
    far = select(x < 0.0, 2.0 - tail, tail)
    return select(a < 0.85, 1.0 - erf_near64(x), far)


@formulas(erfc32, erfc64, python=_elementwise(math.erfc))
def erfc(x):
    """1 - erf(x), exact to the last bits where that is small."""
