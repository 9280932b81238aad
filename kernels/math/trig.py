"""sin, cos, tan and their inverses.

An argument is brought to |r| <= pi / 4 by x = n pi/2 + r, with pi/2 in several parts. That is exact enough up to
|x| = 2e7; beyond it, libm takes over (`beyond`).
"""

from __future__ import annotations

import numpy as np

from . import complex_numbers as cplx
from .bits import beyond, copysign, fabs, float_as_int, fma, int_as_float32, int_as_float64, select, sqrt
from .naming import double, formulas, single

_SHIFT64 = 6755399441055744.0  # 1.5 * 2**52
_LIMIT = 2.0e7
_sin_beyond = beyond(_LIMIT, "sin")
_cos_beyond = beyond(_LIMIT, "cos")
_tan_beyond = beyond(_LIMIT, "tan")
_NAN32 = np.float32(np.nan)


@double
def reduced64(x):
    """r, what its rounding lost, and n + 1.5 * 2**52. x - n times the first of three parts of pi/2 is exact."""
    shifted = x * 0.6366197723675814 + _SHIFT64
    n = shifted - _SHIFT64
    first = fma(-n, 1.5707963267948966, x)
    r = fma(-n, 6.123233995736766e-17, first)
    change = first - r
    change2 = (first - change) - r  # which counts where r is tiny beside what it comes from
    low = (fma(-n, 6.123233995736766e-17, change) + change2) - n * -1.4973849048591698e-33
    return r, low, shifted


@double
def reduced32(x):
    """The same for a float32, by way of float64: 29 and 53 bits of pi/2 are enough."""
    wide = np.float64(x)
    shifted = wide * 0.6366197723675814 + _SHIFT64
    n = shifted - _SHIFT64
    r = wide - n * 1.570796325802803
    r = r - n * 9.920935796805404e-10
    return np.float32(r), np.int32(float_as_int(shifted))


@single
def sin_near32(r):
    z = r * r
    q = -0.00019514973973855376
    q = q * z + 0.00833215843886137
    q = q * z + -0.16666655242443085
    return (q * z) * r + r


@single
def cos_near32(r):
    z = r * r
    q = 2.4438073523924686e-05
    q = q * z + -0.0013887364184483886
    q = q * z + 0.04166664555668831
    q = q * z + -0.5
    return q * z + 1.0


@double
def sin_near64(r, low):
    z = r * r
    q = 1.5896078565689656e-10
    q = q * z + -2.505074524559961e-08
    q = q * z + 2.755731360599118e-06
    q = q * z + -0.00019841269829547352
    q = q * z + 0.00833333333332207
    q = q * z + -0.1666666666666663
    return ((q * z) * r + low) + r


@double
def cos_near64(r):
    z = r * r
    q = -1.1359559854378787e-11
    q = q * z + 2.087572163222715e-09
    q = q * z + -2.7557314340704157e-07
    q = q * z + 2.480158728944354e-05
    q = q * z + -0.0013888888888874064
    q = q * z + 0.0416666666666666
    q = q * z + -0.5
    return q * z + 1.0


@double
def quadrant32(r, n):
    """sin(r + n pi/2): sine or cosine of r by the lowest bit of n, the sign by the next."""
    y = select((n & 1) != 0, cos_near32(r), sin_near32(r))
    return int_as_float32(float_as_int(y) ^ ((n & 2) << 30))


@double
def quadrant64(r, low, n):
    y = select((n & 1) != 0, cos_near64(r), sin_near64(r, low))
    return int_as_float64(float_as_int(y) ^ ((n & 2) << 62))


@double
def sin32(x):
    r, n = reduced32(x)
    y = select(x == np.float32(0), x, quadrant32(r, n))  # -0 stays -0
    return _sin_beyond(x, y)


@double
def sin64(x):
    r, low, shifted = reduced64(x)
    y = select(x == 0.0, x, quadrant64(r, low, float_as_int(shifted)))
    return _sin_beyond(x, y)


@formulas(sin32, sin64, complex=cplx.sin, python=np.sin)
def sin(x):
    """Sine."""


@double
def cos32(x):
    r, n = reduced32(x)
    return _cos_beyond(x, quadrant32(r, n + 1))


@double
def cos64(x):
    r, low, shifted = reduced64(x)
    return _cos_beyond(x, quadrant64(r, low, float_as_int(shifted) + 1))


@formulas(cos32, cos64, complex=cplx.cos, python=np.cos)
def cos(x):
    """Cosine."""


# tan(r) = r + r**3 q(r**2), and -1 / tan(r) in odd quadrants


@single
def tan_curve32(r):
    """(tan(r) - r) / r"""
    z = r * r
    q = 0.004381078295409679
    q = q * z + 8.016109495656565e-05
    q = q * z + 0.010842901654541492
    q = q * z + 0.021279580891132355
    q = q * z + 0.05406039208173752
    q = q * z + 0.13332659006118774
    q = q * z + 0.33333349227905273
    return q * z


@double
def tan_curve64(r):
    z = r * r
    q = 9.721288584729168e-06
    q = q * z + -2.392431162436099e-05
    q = q * z + 4.792961598059309e-05
    q = q * z + -2.4787018584260004e-05
    q = q * z + 6.655174975695752e-05
    q = q * z + 8.392742446284142e-05
    q = q * z + 0.00024360680218164744
    q = q * z + 0.0005889051051117352
    q = q * z + 0.0014560374268523927
    q = q * z + 0.003592102023235495
    q = q * z + 0.008863237813031362
    q = q * z + 0.021869488406083333
    q = q * z + 0.053968253972655256
    q = q * z + 0.133333333333258
    q = q * z + 0.33333333333333376
    return q * z


@double
def tan32(x):
    r, n = reduced32(x)
    wide = np.float64(r)
    t = wide + wide * np.float64(tan_curve32(r))  # in float64, since the reciprocal doubles its error
    y = np.float32(select((n & 1) != 0, -1.0 / t, t))
    return _tan_beyond(x, select(x == np.float32(0), x, y))


@double
def tan64(x):
    r, low, shifted = reduced64(x)
    # the derivative 1 + tan(r)**2 carries `low` along
    rest = tan_curve64(r) * r + (low + low * (r * r))
    t = r + rest
    t2 = (r - t) + rest
    inverse = -1.0 / t
    inverse = inverse + inverse * (fma(t, inverse, 1.0) + t2 * inverse)
    y = select((float_as_int(shifted) & 1) != 0, inverse, t)
    return _tan_beyond(x, select(x == 0.0, x, y))


@formulas(tan32, tan64, complex=cplx.tan, python=np.tan)
def tan(x):
    """Tangent."""


# asin(x) = x + x**3 q(x**2) for |x| <= 1/2;  pi/2 - 2 asin(sqrt((1 - x) / 2)) above


@single
def asin_curve32(z):
    """(asin(x) - x) / x of z = x**2 <= 1/4."""
    q = 0.03752584010362625
    q = q * z + 0.014432504773139954
    q = q * z + 0.031809162348508835
    q = q * z + 0.044516805559396744
    q = q * z + 0.07500504702329636
    q = q * z + 0.16666659712791443
    return q * z


@double
def asin_curve64(z):
    q = 0.03262518388115197
    q = q * z + -0.02099323202595948
    q = q * z + 0.021703134463811054
    q = q * z + 0.0037082407894831106
    q = q * z + 0.010779758240254634
    q = q * z + 0.011399000793184942
    q = q * z + 0.013980809884629443
    q = q * z + 0.01735161287005538
    q = q * z + 0.022372214942923425
    q = q * z + 0.030381942709238146
    q = q * z + 0.04464285717458408
    q = q * z + 0.07499999999970829
    q = q * z + 0.1666666666666676
    return q * z


@single
def asin32(x):
    a = fabs(x)
    z = 0.5 - 0.5 * a
    s = sqrt(z)
    far = 0.7853981633974483 - ((2.0 * s * asin_curve32(z) + 4.371139000186241e-08) - (0.7853981633974483 - 2.0 * s))
    return copysign(select(a <= 0.5, asin_curve32(x * x) * a + a, far), x)


@double
def asin64(x):
    a = fabs(x)
    z = 0.5 - 0.5 * a
    s = sqrt(z)
    far = 0.7853981633974483 - ((2.0 * s * asin_curve64(z) - 6.123233995736766e-17) - (0.7853981633974483 - 2.0 * s))
    return copysign(select(a <= 0.5, asin_curve64(x * x) * a + a, far), x)


@formulas(asin32, asin64, complex=cplx.asin, python=np.arcsin)
def asin(x):
    """Inverse sine; nan outside [-1, 1]."""


@single
def acos32(x):
    a = fabs(x)
    z = 0.5 - 0.5 * a
    s = sqrt(z)
    near = 1.5707963267948966 - (x + (asin_curve32(x * x) * x + 4.371139000186241e-08))
    far = 2.0 * (asin_curve32(z) * s + s)
    far = select(x < 0.0, 3.1415926535897931 - (far + 8.742278000372485e-08), far)
    return select(a <= 0.5, near, far)


@double
def acos64(x):
    a = fabs(x)
    z = 0.5 - 0.5 * a
    s = sqrt(z)
    near = 1.5707963267948966 - (x + (asin_curve64(x * x) * x - 6.123233995736766e-17))
    far = 2.0 * (asin_curve64(z) * s + s)
    far = select(x < 0.0, 3.1415926535897931 - (far - 1.2246467991473532e-16), far)
    return select(a <= 0.5, near, far)


@formulas(acos32, acos64, complex=cplx.acos, python=np.arccos)
def acos(x):
    """Inverse cosine; nan outside [-1, 1]."""


# atan(x) = x + x**3 q(x**2) for |x| <= 1;  pi/2 - atan(1 / x) above


@single
def atan_near32(x):
    z = x * x
    q = -0.0017933627823367715
    q = q * z + 0.0109134241938591
    q = q * z + -0.031175626441836357
    q = q * z + 0.05795538052916527
    q = q * z + -0.08403324335813522
    q = q * z + 0.10952144861221313
    q = q * z + -0.14264234900474548
    q = q * z + 0.19998547434806824
    q = q * z + -0.33333298563957214
    return (q * z) * x + x


@double
def atan_near64(x):
    z = x * x
    q = -8.653551923982334e-06
    q = q * z + 0.0001038650477014542
    q = q * z + -0.0005928599890310647
    q = q * z + 0.00215148858572284
    q = q * z + -0.005612182555964436
    q = q * z + 0.011317342856209769
    q = q * z + -0.018613850631118697
    q = q * z + 0.026151364249213542
    q = q * z + -0.032785225416504485
    q = q * z + 0.038209957764610496
    q = q * z + -0.04286386613034263
    q = q * z + 0.04744924774268024
    q = q * z + -0.05259433473037636
    q = q * z + 0.058817160999594165
    q = q * z + -0.06666583716462345
    q = q * z + 0.07692299711338574
    q = q * z + -0.09090908547247621
    q = q * z + 0.11111111086448718
    q = q * z + -0.14285714285036744
    q = q * z + 0.1999999999999045
    q = q * z + -0.33333333333333287
    return (q * z) * x + x


@single
def atan32(x):
    a = fabs(x)
    y = atan_near32(select(a > 1.0, 1.0 / a, a))
    return copysign(select(a > 1.0, 1.5707963267948966 - (y + 4.371139000186241e-08), y), x)


@double
def atan64(x):
    a = fabs(x)
    y = atan_near64(select(a > 1.0, 1.0 / a, a))
    return copysign(select(a > 1.0, 1.5707963267948966 - (y - 6.123233995736766e-17), y), x)


@formulas(atan32, atan64, complex=cplx.atan, python=np.arctan)
def atan(x):
    """Inverse tangent."""


@double
def atan_near64_in_single(x):
    """atan_near64 as far as float32 sees it: to 7e-11, for half of the terms."""
    z = x * x
    q = -0.0007112667935040482
    q = q * z + 0.004999108908607047
    q = q * z + -0.016470966364763744
    q = q * z + 0.03470400494358243
    q = q * z + -0.05470394875491887
    q = q * z + 0.07269355866832432
    q = q * z + -0.08988782506113066
    q = q * z + 0.11095200457675379
    q = q * z + -0.14284250626272096
    q = q * z + 0.19999932183103541
    q = q * z + -0.333333322350153
    return (q * z) * x + x


@double
def steepness(y, x):
    """The smaller of |x| and |y| over the larger; 0 / 0 counts as 0 and inf / inf as 1."""
    a = fabs(x)
    b = fabs(y)
    low = select(b > a, a, b)
    high = select(b > a, b, a)
    return select(low == high, select(high == 0.0, 0.0, 1.0), low / high)


@double
def turned_to(angle, y, x):
    """The angle of (x, y) from the arctangent of its steepness."""
    angle = select(fabs(y) > fabs(x), 1.5707963267948966 - (angle - 6.123233995736766e-17), angle)
    angle = select(copysign(1.0, x) < 0.0, 3.1415926535897931 - (angle - 1.2246467991473532e-16), angle)
    angle = select((x != x) | (y != y), x + y, angle)
    return copysign(angle, y)


@double
def atan2_64(y, x):
    return turned_to(atan_near64(steepness(y, x)), y, x)


@double
def atan2_32(y, x):
    b, a = np.float64(y), np.float64(x)
    return np.float32(turned_to(atan_near64_in_single(steepness(b, a)), b, a))


@formulas(atan2_32, atan2_64, python=np.arctan2)
def atan2(y, x):
    """The angle of the point (x, y), in (-pi, pi]."""
