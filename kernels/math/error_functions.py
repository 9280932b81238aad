"""erf, erfc: near 0 an odd polynomial, beyond it the decay of 1 - erf, which is exp(-x**2) times a smooth function."""

from __future__ import annotations

import math

import numpy as np

from .bits import copysign, fabs, fma, product, select, sqrt
from .exp_log import SCALE_SHIFT32, exp64, exp_parts64, log64, power_of_two32, times_power_of_two64
from .naming import double, formulas, single


@single
def erf_curve32(x):
    """erf(x) / x - 1 for |x| <= 1."""
    z = x * x
    q = 7.853860734030604e-05
    q = q * z + -0.0008010193705558777
    q = q * z + 0.005188327748328447
    q = q * z + -0.026853812858462334
    q = q * z + 0.1128358542919159
    q = q * z + -0.3761262595653534
    return q * z + 0.12837916612625122


@double
def erf_curve64(x):
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
    return q * z + 0.1283791670955126


@single
def erf32(x):
    a = fabs(x)
    # far: 1 - 2**log2(1 - erf(a)), that logarithm as a polynomial in a - 1, up to where erf is 1
    t = select(a > 3.95, 3.95, a) - 1.0
    q = 0.00026888842694461346
    q = q * t + -0.0026392422150820494
    q = q * t + 0.014276131987571716
    q = q * t + -0.05987688899040222
    q = q * t + -1.21636164188385
    q = q * t + -3.8072245121002197
    q = q * t + -2.668416738510132
    # 2**q = 2**n * 2**r,  |r| <= 1/2: simpler than exp, since q is in [-26, -2.6] and only far must be exact
    n = q + SCALE_SHIFT32
    r = q - (n - SCALE_SHIFT32)
    p = 0.001327647129073739
    p = p * r + 0.009675540961325169
    p = p * r + 0.05550713092088699
    p = p * r + 0.24022120237350464
    p = p * r + 0.6931469440460205
    p = p * r + 1.0000001192092896
    far = 1.0 - p * power_of_two32(n)
    return select(a < 1.0, erf_curve32(x) * x + x, copysign(far, x))


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
    return select(a < 0.85, erf_curve64(x) * x + x, copysign(far, x))


def elementwise(function):
    """A function of Python floats on numpy scalars of any float type."""

    def apply(x):
        return np.asarray(x).dtype.type(function(float(x))) if isinstance(x, np.floating) else function(float(x))

    return apply


@formulas(erf32, erf64, python=elementwise(math.erf))
def erf(x):
    """2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x."""


# erfc(x) = exp(-x**2) q(t) / (x + c),  t = (x - k) / (x + c),  for x >= 0.48


@double
def erfc32(x):
    # in float64, since exp(-x**2) magnifies every rounding before it
    wide = np.float64(x)
    a = fabs(wide)
    b = select(a > 10.2, 10.2, a)
    u = 1.0 / (b + 2.0)
    t = (b - 2.0) * u
    q = 0.00012130104211732826
    q = q * t + 5.9991095342586245e-05
    q = q * t + -0.000653955486817776
    q = q * t + -0.000845798527288494
    q = q * t + 0.003088979707362112
    q = q * t + 0.006480491362838316
    q = q * t + -0.021510532394911377
    q = q * t + -0.03644231509880407
    q = q * t + 0.279472088931119
    q = q * t + -0.6871606829092528
    q = q * t + 1.0215827052572588
    tail = exp64(-(b * b)) * (q * u)
    far = np.float32(select(wide < 0.0, 2.0 - tail, tail))
    return select(a < 0.8, (np.float32(1) - x) - erf_curve32(x) * x, far)


@double
def erfc64(x):
    a = fabs(x)
    b = select(a > 27.5, 27.5, a)
    d = b + 3.0
    u = 1.0 / d
    s = b - 2.75
    t = s * u
    q = -1.4690594483510013e-08
    q = q * t + 5.057225099082683e-09
    q = q * t + 1.0814172306726952e-07
    q = q * t + 1.9556413215896224e-08
    q = q * t + -5.244351957365095e-07
    q = q * t + -4.5163518787939617e-07
    q = q * t + 2.312615767191707e-06
    q = q * t + 3.6938641994972195e-06
    q = q * t + -1.0812790821848567e-05
    q = q * t + -2.3914762393051348e-05
    q = q * t + 6.186242286307683e-05
    q = q * t + 0.00013922154192911064
    q = q * t + -0.0004694719055482222
    q = q * t + -0.0006062395945430238
    q = q * t + 0.004317188664286593
    q = q * t + -0.00279208579744088
    q = q * t + -0.03264565239713729
    q = q * t + 0.14857371622604063
    q = q * t + -0.37694112550614356
    q = q * t + 0.6882620336069991
    q = q * t + -0.9772373382438446
    # From here on every name ending in 2 is what the rounding of the name before it lost.
    back = d - 3.0
    d2 = (b - back) + (3.0 - (d - back))
    t2 = (fma(-t, d, s) - t * d2) * u
    slope = -0.16
    slope = slope * t + 0.5943
    slope = slope * t + -1.1308
    slope = slope * t + 1.3765
    slope = slope * t + -0.9772
    c = 1.1135570536046449
    y = q * t + c
    y2 = fma(q, t, c - y) + slope * t2
    square = product(b, b)
    e, e2, n = exp_parts64(-square, -fma(b, b, -square))
    p = product(e, y)
    p2 = fma(e, y, -p) + (e * y2 + e2 * y)
    tail = p * u
    tail = times_power_of_two64(tail + (fma(-tail, d, p) + (p2 - tail * d2)) * u, n)
    far = select(x < 0.0, 2.0 - tail, tail)
    return select(a < 0.8, (1.0 - x) - erf_curve64(x) * x, far)


@formulas(erfc32, erfc64, python=elementwise(math.erfc))
def erfc(x):
    """1 - erf(x), exact to the last bits where that is small."""


# erfinv(x) = x q(w),  w = -log(1 - x**2): one polynomial in w where it is small, one in sqrt(w) where it is large


@double
def erfinv_start(x):
    """erfinv(x), good to 27 bits."""
    a = fabs(x)
    w = -log64((1.0 - a) * (1.0 + a))
    t = select(w > 5.25, 5.25, w) - 2.5
    q = 7.892770540189253e-11
    q = q * t + 4.054853185577163e-10
    q = q * t + -1.0076483027643015e-08
    q = q * t + 1.7003297544457977e-08
    q = q * t + 4.736927490283916e-07
    q = q * t + -3.429307910004469e-06
    q = q * t + -4.982275770792069e-06
    q = q * t + 0.00021827160886657808
    q = q * t + -0.001252722986041051
    q = q * t + -0.004177331418125487
    q = q * t + 0.2466402811702454
    q = q * t + 1.5014093525836625
    s = sqrt(select(w < 5.0, 5.0, w)) - 4.0
    p = 6.367231683196443e-08
    p = p * s + -5.279302183281718e-07
    p = p * s + 9.354679915713694e-07
    p = p * s + 2.7870848089540826e-06
    p = p * s + -1.288729030704718e-05
    p = p * s + 2.073636798142148e-05
    p = p * s + -2.6438147395359644e-05
    p = p * s + 5.22612927343347e-05
    p = p * s + -0.00012271305303772484
    p = p * s + 0.0003231617860493076
    p = p * s + -0.0008672375981115745
    p = p * s + 0.001259362297070719
    p = p * s + 1.009493062132207
    p = p * s + 3.839783813330267
    y = select(w < 5.25, q, p) * x
    return select(a == 1.0, x * np.inf, y)


@double
def erfinv32(x):
    return np.float32(erfinv_start(np.float64(x)))


@double
def erfinv64(x):
    a = fabs(x)
    y = fabs(erfinv_start(x))
    # One step of Halley's method triples the bits; near 1 the error is that of erfc, which is exact to the last bits.
    error = select(a < 0.5, erf64(y) - a, (1.0 - a) - erfc64(y))
    step = error * (0.8862269254527580 * exp64(y * y))
    refined = y - step / (1.0 + y * step)
    return copysign(select(a < 1.0, refined, y), x)


def _erfinv_of_number(x):
    """By Newton's method on Python floats; the compiled formulas above are what kernels use."""
    a = abs(x)
    if not a < 1:
        return x * math.inf if a == 1 else math.nan
    y = 0.0 if a < 0.5 else math.sqrt(-math.log(1 - a))
    for _ in range(60):
        error = math.erf(y) - a if a < 0.5 else (1 - a) - math.erfc(y)
        step = error * math.sqrt(math.pi) / 2 * math.exp(y * y)
        y -= step / (1 + y * step)
    return math.copysign(y, x)


@formulas(erfinv32, erfinv64, python=elementwise(_erfinv_of_number))
def erfinv(x):
    """The number of which x is the erf; infinite at -1 and 1, nan outside."""
