"""Choosing, rounding and signs: functions that are exact in every type."""

from __future__ import annotations

import math

import numpy as np

from .naming import any_type, formulas


@any_type
def _where(condition, a, b):
    return a if condition else b


@formulas(_where, _where, complex=_where, integer=_where, first="boolean", python=lambda c, a, b: a if c else b)
def where(condition, a, b):
    """a where the condition holds, else b; both are computed."""


@any_type
def _same(x):
    return x


@any_type
def _conj(z):
    return z.conjugate()


@formulas(_same, _same, complex=_conj, integer=_same, python=np.conj)
def conj(x):
    """The complex conjugate; a real number itself."""


@any_type
def _maximum(a, b):
    return a if a > b or a != a else b


@any_type
def _minimum(a, b):
    return a if a < b or a != a else b


@formulas(_maximum, _maximum, integer=_maximum, python=np.maximum)
def maximum(a, b):
    """The larger of two; nan if either is."""


@formulas(_minimum, _minimum, integer=_minimum, python=np.minimum)
def minimum(a, b):
    """The smaller of two; nan if either is."""


@any_type
def _floor(x):
    return np.floor(x)


@any_type
def _ceil(x):
    return np.ceil(x)


@any_type
def _trunc(x):
    return np.trunc(x)


@any_type
def _rint(x):
    return np.rint(x)


@formulas(_floor, _floor, integer=_same, python=np.floor)
def floor(x):
    """The largest integer not above x."""


@formulas(_ceil, _ceil, integer=_same, python=np.ceil)
def ceil(x):
    """The smallest integer not below x."""


@formulas(_trunc, _trunc, integer=_same, python=np.trunc)
def trunc(x):
    """x without its fraction."""


@formulas(_rint, _rint, integer=_same, python=np.rint)
def round(x):
    """The nearest integer, ties to even."""


@any_type
def _copysign(a, b):
    return np.copysign(a, b)


@formulas(_copysign, _copysign, python=np.copysign)
def copysign(a, b):
    """|a| with the sign of b."""


@any_type
def _fmod(a, b):
    return math.fmod(a, b)


@any_type
def _remainder(a, b):
    r = math.fmod(a, b)
    return r + b if r != 0 and (r < 0) != (b < 0) else r


@formulas(_fmod, _fmod, python=np.fmod)
def fmod(a, b):
    """a - n b for the n nearest to a / b towards zero: the result has the sign of a."""


@formulas(_remainder, _remainder, python=np.remainder)
def remainder(a, b):
    """a - n b for n = floor(a / b): the result has the sign of b."""


@any_type
def _isnan(x):
    return x != x


@formulas(_isnan, _isnan, complex=_isnan, integer=_isnan, python=np.isnan)
def isnan(x):
    """Whether x is not a number."""


@any_type
def _sqrt(x):
    return np.sqrt(x)


@formulas(_sqrt, _sqrt, complex=_sqrt, python=np.sqrt)
def sqrt(x):
    """The square root."""


@any_type
def _hypot(a, b):
    return math.hypot(a, b)


@formulas(_hypot, _hypot, python=np.hypot)
def hypot(a, b):
    """sqrt(a**2 + b**2) without overflow."""
