"""exp, log and their kin as polynomials.

Coefficients are least-maximum fits in 50 digits of the function named beside them, rounded to the dtype.
"""

from __future__ import annotations

import numpy as np

from . import complex_numbers as cplx
from .bits import copysign, fabs, float_as_int, fma, int_as_float32, int_as_float64, product, select
from .naming import double, formulas, single

# 1.5 * 2**23 and 1.5 * 2**52: a float of moderate size plus this has its rounded integer in its low bits
_SHIFT32 = np.float32(12582912.0)
_SHIFT64 = 6755399441055744.0
# the same with the exponent's bias added: shifted left by 23, those low bits are the float32 2**n;
# with twice the bias their two halves each are such a power, and with 24 more they are 2**(n + 24)
SCALE_SHIFT32 = np.float32(12582912.0 + 127)
_TWICE_SHIFT32 = np.float32(12582912.0 + 2 * 127)
_RAISED_SHIFT32 = np.float32(12582912.0 + 127 + 24)
_INF32 = np.float32(np.inf)
_NAN32 = np.float32(np.nan)


# exp(x) = 2**n * exp(r),  n = round(x / ln 2),  |r| <= ln(2) / 2;  ln 2 in two parts, so that n * high is exact


@single
def exp_tail32(r):
    """exp(r) - 1 for |r| <= 0.347."""
    q = 0.001394660328514874
    q = q * r + 0.008366714231669903
    q = q * r + 0.04166628047823906
    q = q * r + 0.16666541993618011
    q = q * r + 0.5
    return q * (r * r) + r


@double
def exp_curve64(r):
    """(exp(r) - 1 - r) / r**2."""
    q = 2.092458246097324e-09
    q = q * r + 2.5109264697016628e-08
    q = q * r + 2.7557242313951027e-07
    q = q * r + 2.7557243600127055e-06
    q = q * r + 2.480158736107276e-05
    q = q * r + 0.00019841269886683295
    q = q * r + 0.0013888888888866579
    q = q * r + 0.008333333333321431
    q = q * r + 0.0416666666666667
    q = q * r + 0.16666666666666677
    return q * r + 0.5


@double
def exp_tail64(r):
    return exp_curve64(r) * (r * r) + r


@single
def times_power_of_two32(y, shifted):
    """y * 2**n, n given as n + 1.5 * 2**23 + 254; by two factors, so that overflow and subnormals come out right.

    Numba widens integer arithmetic to 64 bits; each int32() says that 32 do, which keeps the vector lanes narrow.
    """
    both = float_as_int(shifted)
    half = np.int32(both >> 1)
    rest = np.int32(both - half)
    return y * int_as_float32(half << 23) * int_as_float32(rest << 23)


@double
def times_power_of_two64(y, shifted):
    """y * 2**n, n given as n + 1.5 * 2**52."""
    n = float_as_int(shifted) - 0x4338000000000000
    half = n >> 1
    rest = n - half
    return y * int_as_float64((half + 1023) << 52) * int_as_float64((rest + 1023) << 52)


@single
def scaled_exp32(x, by):
    """exp(x) 2**by for by = 0 or -1, without overflow before that factor."""
    x = select(x > 90.0, 90.0, x)
    x = select(x < -104.0, -104.0, x)
    n = x * 1.4426950408889634 + _TWICE_SHIFT32
    whole = n - _TWICE_SHIFT32
    r = x - whole * 0.693145751953125
    r = r - whole * 1.4286068203094173e-06
    return times_power_of_two32(exp_tail32(r) + 1.0, n + by)


@double
def scaled_exp64(x, by):
    x = select(x > 711.0, 711.0, x)
    x = select(x < -746.0, -746.0, x)
    n = x * 1.4426950408889634 + _SHIFT64
    whole = n - _SHIFT64
    r = x - whole * 0.6931471803691238
    r = r - whole * 1.9082149292705877e-10
    return times_power_of_two64(exp_tail64(r) + 1.0, n + by)


@single
def exp32(x):
    return scaled_exp32(x, 0.0)


@double
def exp64(x):
    return scaled_exp64(x, 0.0)


@single
def power_of_two32(shifted):
    """2**n for n + SCALE_SHIFT32, where that is a normal number."""
    return int_as_float32(float_as_int(shifted) << 23)


@single
def exp_of_negative32(x):
    """exp(x) for x <= 0: nothing overflows, so one factor, 2**24 too large for the subnormals' sake, scales it."""
    x = select(x < -104.0, -104.0, x)
    n = x * 1.4426950408889634 + _RAISED_SHIFT32
    whole = n - _RAISED_SHIFT32
    r = x - whole * 0.693145751953125
    r = r - whole * 1.4286068203094173e-06
    return (exp_tail32(r) + 1.0) * power_of_two32(n) * 5.960464477539063e-08


@double
def exp_parts64(x, low):
    """exp(x + low) as (a + b) 2**n: a, b and the shifted n, for those who go on with more than 53 bits."""
    n = x * 1.4426950408889634 + _SHIFT64
    whole = n - _SHIFT64
    high = x - whole * 0.6931471803691238
    r = high - whole * 1.9082149292705877e-10
    low = ((high - r) - whole * 1.9082149292705877e-10) + low
    top = r + 1.0
    curve = exp_curve64(r) * (r * r)
    rest = (r - (top - 1.0)) + (curve + low * (top + curve))
    a = top + rest
    return a, rest - (a - top), n


@formulas(exp32, exp64, complex=cplx.exp, python=np.exp)
def exp(x):
    """e to the power x."""


# expm1(x) = 2 * (2**(n-1) * (exp(r) - 1) + (2**(n-1) - 1/2)); for n = 0 that is exp(r) - 1 itself


@single
def expm1_32(x):
    y = select(x > 89.0, 89.0, x)
    y = select(y < -20.0, -20.0, y)
    n = y * 1.4426950408889634 + _SHIFT32
    whole = n - _SHIFT32
    r = y - whole * 0.693145751953125
    r = r - whole * 1.4286068203094173e-06
    scale = int_as_float32(float_as_int(n) + (126 - 0x4B400000) << 23)
    result = scale * exp_tail32(r) + (scale - 0.5)
    return copysign(result + result, x)


@double
def expm1_64(x):
    y = select(x > 710.0, 710.0, x)
    y = select(y < -40.0, -40.0, y)
    n = y * 1.4426950408889634 + _SHIFT64
    whole = n - _SHIFT64
    r = y - whole * 0.6931471803691238
    r = r - whole * 1.9082149292705877e-10
    scale = int_as_float64(float_as_int(n) + (1022 - 0x4338000000000000) << 52)
    result = scale * exp_tail64(r) + (scale - 0.5)
    return copysign(result + result, x)


@formulas(expm1_32, expm1_64, complex=cplx.expm1, python=np.expm1)
def expm1(x):
    """e**x - 1, exact to the last bits near 0."""


# log(x) = e * ln 2 + log(1 + f),  1 + f in [sqrt(1/2), sqrt(2))


@single
def log1p_tail32(f):
    """log(1 + f) - f for -0.293 <= f <= 0.415."""
    q = -0.07632862776517868
    q = q * f + 0.12760914862155914
    q = q * f + -0.1316048949956894
    q = q * f + 0.14201869070529938
    q = q * f + -0.1662333607673645
    q = q * f + 0.2000122219324112
    q = q * f + -0.250008225440979
    q = q * f + 0.3333333134651184
    return (q * f - 0.5) * (f * f)


@double
def log1p_tail64(f, low):
    """log(1 + f) - f + low, for a small `low`; with s = f / (2 + f), log(1 + f) = log((1 + s) / (1 - s))."""
    s = f / (f + 2.0)
    z = s * s
    q = 0.1479739529307228
    q = q * z + 0.1531391498913571
    q = q * z + 0.18183569257548549
    q = q * z + 0.22222198485804562
    q = q * z + 0.28571428743160476
    q = q * z + 0.3999999999941159
    q = q * z + 0.6666666666666735
    half = f * f * 0.5
    return (s * (half + q * z) + low) - half


@single
def log32(x):
    # subnormals are scaled into the normal range
    tiny = x < 1.1754943508222875e-38
    bits = float_as_int(select(tiny, x * 8388608.0, x))
    shifted = np.int32(bits - 0x3F3504F3)  # bits of sqrt(1/2)
    e = np.float32(np.int32(shifted >> 23)) - select(tiny, 23.0, 0.0)
    f = int_as_float32((shifted & 0x7FFFFF) + 0x3F3504F3) - 1.0
    y = (log1p_tail32(f) + e * 1.4286068203094173e-06) + f
    y = e * 0.693145751953125 + y
    return _log_limits32(x, y)


@single
def _log_limits32(x, y):
    """`y`, or what log gives at 0, below 0, at inf and nan."""
    y = select(x < _INF32, y, x)
    y = select(x > 0.0, y, select(x == 0.0, -_INF32, _NAN32))
    return select(x == x, y, x)


@double
def log64(x):
    tiny = x < 2.2250738585072014e-308
    bits = float_as_int(select(tiny, x * 4503599627370496.0, x))
    shifted = bits - 0x3FE6A09E667F3BCD
    # an int64 becomes a float64 by way of a shifted float: no such conversion before AVX-512
    e = int_as_float64((shifted >> 52) + 0x4338000000000000) - (_SHIFT64 + select(tiny, 52.0, 0.0))
    f = int_as_float64((shifted & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    y = log1p_tail64(f, e * 1.9082149292705877e-10) + f
    y = e * 0.6931471803691238 + y
    return _log_limits64(x, y)


@double
def _log_limits64(x, y):
    y = select(x < np.inf, y, x)
    y = select(x > 0.0, y, select(x == 0.0, -np.inf, np.nan))
    return select(x == x, y, x)


@double
def log_parts64(x):
    """log(x) as a + b for 0 < x < inf, good to 70 bits: the series of atanh with its two leading terms doubled."""
    tiny = x < 2.2250738585072014e-308
    bits = float_as_int(select(tiny, x * 4503599627370496.0, x))
    shifted = bits - 0x3FE6A09E667F3BCD
    e = int_as_float64((shifted >> 52) + 0x4338000000000000) - (_SHIFT64 + select(tiny, 52.0, 0.0))
    m = int_as_float64((shifted & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    # s = (m - 1) / (m + 1);  every name ending in 2 is what the rounding of the name before it lost
    f = m - 1.0
    d = m + 1.0
    d2 = m - (d - 1.0)
    s = f / d
    s2 = (fma(-s, d, f) - s * d2) / d
    z = product(s, s)
    z2 = fma(s, s, -z) + 2.0 * (s * s2)
    q = 0.11990404078047541
    q = q * z + 0.11674651370920416
    q = q * z + 0.13336325660445916
    q = q * z + 0.1538455665652534
    q = q * z + 0.18181818873463296
    q = q * z + 0.22222222217510748
    q = q * z + 0.2857142857144522
    q = q * z + 0.3999999999999998
    t = q * z + 3.700743415417188e-17  # 2/3 in two parts
    p = t + 0.6666666666666666
    p2 = t - (p - 0.6666666666666666)
    w = product(z, s)
    w2 = fma(z, s, -w) + (z * s2 + z2 * s)
    v = product(w, p)
    v2 = fma(w, p, -v) + (w * p2 + w2 * p)
    a = 2.0 * s + v
    a2 = (2.0 * s - a) + v + (2.0 * s2 + v2)
    # ln 2 in two parts, of which the first has 42 bits
    top = e * 0.6931471805598903
    y = top + a
    return y, ((top - y) + a) + (a2 + e * 5.497923018708371e-14)


@formulas(log32, log64, complex=cplx.log, python=np.log)
def log(x):
    """Natural logarithm."""


# log1p(x) = log(u) + c / u,  u the rounded 1 + x and c what the rounding lost


@single
def log1p_32(x):
    u = x + 1.0
    shifted = np.int32(float_as_int(u) - 0x3F3504F3)
    e = np.float32(np.int32(shifted >> 23))
    f = int_as_float32((shifted & 0x7FFFFF) + 0x3F3504F3) - 1.0
    lost = select(x > 1.0, 1.0 - (u - x), x - (u - 1.0))
    near = e == 0.0
    f = select(near, x, f)
    lost = select(near, 0.0, lost / u)
    y = (log1p_tail32(f) + (e * 1.4286068203094173e-06 + lost)) + f
    y = e * 0.693145751953125 + y
    y = select(x < _INF32, y, x)
    y = select(x > -1.0, y, select(x == -1.0, -_INF32, _NAN32))
    y = select(x == x, y, x)
    return select(x == 0.0, x, y)


@double
def log1p_64(x):
    u = x + 1.0
    shifted = float_as_int(u) - 0x3FE6A09E667F3BCD
    e = int_as_float64((shifted >> 52) + 0x4338000000000000) - _SHIFT64
    f = int_as_float64((shifted & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    lost = select(x > 1.0, 1.0 - (u - x), x - (u - 1.0))
    near = e == 0.0
    f = select(near, x, f)
    lost = select(near, 0.0, lost / u)
    y = log1p_tail64(f, e * 1.9082149292705877e-10 + lost) + f
    y = e * 0.6931471803691238 + y
    y = select(x < np.inf, y, x)
    y = select(x > -1.0, y, select(x == -1.0, -np.inf, np.nan))
    y = select(x == x, y, x)
    return select(x == 0.0, x, y)


@formulas(log1p_32, log1p_64, complex=cplx.log1p, python=np.log1p)
def log1p(x):
    """log(1 + x), exact to the last bits near 0."""


def _sigmoid_of_number(x):
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, x.dtype.type(1), z)[()] / (1 + z)


@single
def sigmoid32(x):
    z = exp_of_negative32(-fabs(x))
    d = z + 1.0
    y = select(x >= 0.0, 1.0, z) / d
    return y - y * (z - (d - 1.0))  # the bracket is what rounding took from d; it matters where d is close to 1


@double
def sigmoid64(x):
    z = exp64(-fabs(x))
    d = z + 1.0
    y = select(x >= 0.0, 1.0, z) / d
    inverse = select(x >= 0.0, y, 1.0 - y)
    return y - y * inverse * (z - (d - 1.0))  # the last bracket is what rounding took from d


@formulas(sigmoid32, sigmoid64, complex=cplx.sigmoid, python=_sigmoid_of_number)
def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow and without losing the small values at large negative x."""


# tanh(x) = 1 - 2 z / (1 + z),  z = exp(-2 |x|); below 0.57 that cancels and x + x**3 q(x**2) stands for it


@single
def tanh32(x):
    a = fabs(x)
    # z without the care for large |x|: from 10 on it adds nothing to the 1
    b = select(a > 10.0, 10.0, a)
    n = b * -2.8853900817779268 + SCALE_SHIFT32
    whole = n - SCALE_SHIFT32
    r = b * -2.0 - whole * 0.693145751953125
    r = r - whole * 1.4286068203094173e-06
    z = (exp_tail32(r) + 1.0) * power_of_two32(n)
    far = 1.0 - (z + z) / (z + 1.0)
    s = x * x
    q = -0.006123109720647335
    q = q * s + 0.0209675095975399
    q = q * s + -0.05382784456014633
    q = q * s + 0.13332362473011017
    q = q * s + -0.3333331048488617
    near = (q * s) * a + a
    return copysign(select(a < 0.57, near, far), x)


@double
def tanh64(x):
    a = fabs(x)
    z = exp64(-2.0 * a)
    far = 1.0 - (z + z) / (z + 1.0)
    s = x * x
    q = -1.855175480746402e-05
    q = q * s + 8.177055229552912e-05
    q = q * s + -0.0002322902773983832
    q = q * s + 0.0005880106603943318
    q = q * s + -0.0014554362241496208
    q = q * s + 0.0035920752919783193
    q = q * s + -0.008863230926859055
    q = q * s + 0.021869488282601948
    q = q * s + -0.05396825396011723
    q = q * s + 0.13333333333320285
    q = q * s + -0.3333333333333326
    near = (q * s) * a + a
    return copysign(select(a < 0.57, near, far), x)


@formulas(tanh32, tanh64, complex=cplx.tanh, python=np.tanh)
def tanh(x):
    """Hyperbolic tangent."""
