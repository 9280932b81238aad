"""sin, cos, tan and their inverses.

An argument is brought to |r| <= pi / 4 by x = n pi/2 + r, with pi/2 in parts so short that n times a part is exact.
That holds up to |x| = 2e7; beyond it, libm takes over (`beyond`).
"""

from __future__ import annotations

import numpy as np

from . import complex_numbers as cplx
from .bits import beyond, copysign, fabs, float_as_int, int_as_float32, int_as_float64, select, sqrt
from .naming import double, formulas, single

_SHIFT64 = 6755399441055744.0  # 1.5 * 2**52
_LIMIT = 2.0e7
_sin_beyond = beyond(_LIMIT, "sin")
_cos_beyond = beyond(_LIMIT, "cos")
_NAN32 = np.float32(np.nan)


@double
def reduced64(x):
    """r and n + 1.5 * 2**52 of x = n pi/2 + r. The parts of pi/2 have 27, 27, 27 and 53 bits."""
    shifted = x * 0.6366197723675814 + _SHIFT64
    n = shifted - _SHIFT64
    r = x - n * 1.570796325802803
    r = r - n * 9.920935739593517e-10
    r = r - n * 5.721188709663575e-18
    r = r - n * 1.6446256936324258e-26
    return r, shifted


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
def sin_near64(r):
    z = r * r
    q = 1.5896078565689656e-10
    q = q * z + -2.505074524559961e-08
    q = q * z + 2.755731360599118e-06
    q = q * z + -0.00019841269829547352
    q = q * z + 0.00833333333332207
    q = q * z + -0.1666666666666663
    return (q * z) * r + r


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
def quadrant64(r, n):
    y = select((n & 1) != 0, cos_near64(r), sin_near64(r))
    return int_as_float64(float_as_int(y) ^ ((n & 2) << 62))


@double
def sin32(x):
    r, n = reduced32(x)
    y = select(x == np.float32(0), x, quadrant32(r, n))  # -0 stays -0
    return _sin_beyond(x, y)


@double
def sin64(x):
    r, shifted = reduced64(x)
    y = select(x == 0.0, x, quadrant64(r, float_as_int(shifted)))
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
    r, shifted = reduced64(x)
    return _cos_beyond(x, quadrant64(r, float_as_int(shifted) + 1))


@formulas(cos32, cos64, complex=cplx.cos, python=np.cos)
def cos(x):
    """Cosine."""
