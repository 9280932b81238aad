"""Powers and roots."""

from __future__ import annotations

import numpy as np

from . import bits
from . import complex_numbers as cplx
from .bits import select
from .naming import any_type, double, formulas


@any_type
def sqrt_real(x):
    return bits.sqrt(x)


@formulas(sqrt_real, sqrt_real, complex=cplx.sqrt, python=np.sqrt)
def sqrt(x):
    """Square root, correctly rounded; nan below 0."""


@double
def rsqrt32(x):
    return np.float32(1.0 / bits.sqrt(np.float64(x)))


@double
def rsqrt64(x):
    return 1.0 / bits.sqrt(x)


@formulas(rsqrt32, rsqrt64, complex=cplx.rsqrt, python=lambda x: 1 / np.sqrt(x))
def rsqrt(x):
    """1 / sqrt(x)."""


# A float32 square can neither overflow nor vanish in float64. In float64 the larger side is scaled to [1, 2) first.


@double
def hypot64(a, b):
    u = bits.fabs(a)
    v = bits.fabs(b)
    big = select(u > v, u, v)
    scale = select(big > 1e150, 1e-160, select(big < 1e-150, 1e160, 1.0))
    back = select(big > 1e150, 1e160, select(big < 1e-150, 1e-160, 1.0))
    u = u * scale
    v = v * scale
    y = bits.sqrt(u * u + v * v) * back
    return select((bits.fabs(a) == np.inf) | (bits.fabs(b) == np.inf), np.inf, y)


@double
def hypot32(a, b):
    u = np.float64(a)
    v = np.float64(b)
    y = bits.sqrt(u * u + v * v)
    return np.float32(select((bits.fabs(u) == np.inf) | (bits.fabs(v) == np.inf), np.inf, y))


@formulas(hypot32, hypot64, python=np.hypot)
def hypot(a, b):
    """sqrt(a**2 + b**2) without overflow; inf if either is infinite."""
