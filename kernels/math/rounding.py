"""Whole numbers next to a float, remainders, signs, and tests for inf and nan."""

from __future__ import annotations

import numpy as np

from .. import host
from . import bits
from .bits import frem, rint, select
from .naming import any_type, double, formulas, single


@any_type
def unchanged(x):
    """Integers are whole already."""
    return x


def _rounding(operation):
    """Formula of one LLVM rounding operation, for both dtypes."""

    @any_type
    def formula(x):
        return operation(x)

    return formula


_floor = _rounding(bits.floor)
_ceil = _rounding(bits.ceil)
_trunc = _rounding(bits.trunc)
_round = _rounding(rint)


@formulas(_floor, _floor, integer=unchanged, python=np.floor)
def floor(x):
    """The largest whole number that is not above x."""


@formulas(_ceil, _ceil, integer=unchanged, python=np.ceil)
def ceil(x):
    """The smallest whole number that is not below x."""


@formulas(_trunc, _trunc, integer=unchanged, python=np.trunc)
def trunc(x):
    """x without its fraction."""


@formulas(_round, _round, integer=unchanged, python=np.rint)
def round(x):
    """The nearest whole number, halves to the even one."""


# fmod(a, b) has the sign of a, remainder(a, b) that of b (as Python's %)


@any_type
def fmod_any(a, b):
    return frem(a, b)


@double
def fmod_by_steps(a, b):
    """fmod of float32, exactly, without a branch: in float64 every step takes off 52 bits of the quotient.

    What a step leaves, |r| <= |b| / 2 or 2**-52 of what there was, is a multiple of b's last bit (times a power of two) and
    fits into the 53 bits, so fma rounds nothing. The greatest quotient, 2**277, needs six steps.
    """
    x, m = np.float64(bits.fabs(a)), np.float64(bits.fabs(b))
    inverse = 1.0 / m
    r = bits.fma(-rint(x * inverse), m, x)
    r = bits.fma(-rint(r * inverse), m, r)
    r = bits.fma(-rint(r * inverse), m, r)
    r = bits.fma(-rint(r * inverse), m, r)
    r = bits.fma(-rint(r * inverse), m, r)
    r = bits.fma(-rint(r * inverse), m, r)
    r = select(r < 0.0, r + m, r)
    r = select((m == np.inf) & (x < np.inf), x, r)
    return bits.copysign(np.float32(r), a)


# Where fma and rint are calls of libm's, one call of its fmod takes less.
_in_vectors = host.has_fma() and host.rounds()
fmod_single = fmod_by_steps if _in_vectors else fmod_any


@double
def remainder_single(a, b):
    r = fmod_single(a, b)
    return select((r != 0) & ((r < 0) != (b < 0)), r + b, r)


@any_type
def remainder_any(a, b):
    r = frem(a, b)
    return select((r != 0) & ((r < 0) != (b < 0)), r + b, r)


@any_type
def fmod_integer(a, b):
    r = a % b
    return r - b if (r != 0) and ((r < 0) != (a < 0)) else r


@any_type
def remainder_integer(a, b):
    return a % b


@formulas(fmod_single, fmod_any, integer=fmod_integer, python=np.fmod)
def fmod(a, b):
    """What is left of a after whole multiples of b, with the sign of a."""


@formulas(remainder_single, remainder_any, integer=remainder_integer, python=np.remainder)
def remainder(a, b):
    """What is left of a after whole multiples of b, with the sign of b."""


@single
def sign32(x):
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, 0.0))


@double
def sign64(x):
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, 0.0))


@any_type
def sign_integer(x):
    return x - x + (x > 0) - (x < 0)


def _sign_of_number(x):
    return np.where(np.isnan(x), 0, np.sign(x)).astype(np.asarray(x).dtype)[()]


@formulas(sign32, sign64, integer=sign_integer, python=_sign_of_number)
def sign(x):
    """-1, 0 or 1; 0 for nan, as in torch."""


@any_type
def sgn_complex(z):
    size = abs(z)
    return select(size == 0, z, z / size)


def _direction_of_number(z):
    if not np.iscomplexobj(z):
        return _sign_of_number(z)
    return z if z == 0 else (z / abs(z)).astype(np.asarray(z).dtype)


@formulas(sign32, sign64, complex=sgn_complex, integer=sign_integer, python=_direction_of_number)
def sgn(z):
    """z / |z| of a complex number, the sign of a real one; 0 for 0."""


@any_type
def copysign_any(magnitude, sign):
    return bits.copysign(magnitude, sign)


@formulas(copysign_any, copysign_any, python=np.copysign)
def copysign(magnitude, sign):
    """|magnitude| with the sign of `sign`, which a zero has too."""


@any_type
def isnan_any(x):
    return x != x


@any_type
def isinf_any(x):
    return (x == x) & (x - x != 0)


@any_type
def isfinite_any(x):
    return x - x == 0


@formulas(isnan_any, isnan_any, complex=isnan_any, integer=isnan_any, python=np.isnan)
def isnan(x):
    """Whether x is not a number."""


@any_type
def isinf_complex(z):
    return isinf_any(z.real) | isinf_any(z.imag)


@formulas(isinf_any, isinf_any, complex=isinf_complex, integer=isinf_any, python=np.isinf)
def isinf(x):
    """Whether x is infinite."""


@any_type
def isfinite_complex(z):
    return isfinite_any(z.real) & isfinite_any(z.imag)


@formulas(isfinite_any, isfinite_any, complex=isfinite_complex, integer=isfinite_any, python=np.isfinite)
def isfinite(x):
    """Whether x is neither infinite nor nan."""
