"""where, maximum, minimum, conj: the functions that hold for every type."""

from __future__ import annotations

import numpy as np

from .bits import fabs, select
from .exp_log import exp64, exp_of_negative32, log1p_32, log1p_64
from .naming import any_type, double, formulas, single


@any_type
def where_any(condition, a, b):
    return select(condition, a, b)


@formulas(
    where_any,
    where_any,
    complex=where_any,
    integer=where_any,
    python=lambda condition, a, b: a if condition else b,
    first="boolean",
)
def where(condition, a, b):
    """a where the condition holds, else b. Both are computed: a formula has no branches."""


@any_type
def maximum_any(a, b):
    return select((a > b) | (a != a), a, b)


@any_type
def minimum_any(a, b):
    return select((a < b) | (a != a), a, b)


@formulas(maximum_any, maximum_any, integer=maximum_any, python=np.maximum)
def maximum(a, b):
    """The larger one; nan if either is."""


@formulas(minimum_any, minimum_any, integer=minimum_any, python=np.minimum)
def minimum(a, b):
    """The smaller one; nan if either is."""


@any_type
def less_any(a, b):
    return a < b


@any_type
def less_complex(a, b):
    return a.real < b.real


@formulas(
    less_any,
    less_any,
    complex=less_complex,
    integer=less_any,
    python=lambda a, b: a.real < b.real,
)
def less(a, b):
    """a < b; of complex numbers, which kernels for every dtype never have to order, the real parts."""


@any_type
def conj_real(x):
    return x


@any_type
def conj_complex(z):
    return z.conjugate()


@formulas(conj_real, conj_real, complex=conj_complex, integer=conj_real, python=np.conj)
def conj(z):
    """The complex conjugate; a real number is its own."""


# log(e**a + e**b) = m + log(1 + e**-|a - b|),  m the larger; equal infinities, whose difference is nan, are m


@single
def logaddexp32(a, b):
    m = maximum_any(a, b)
    y = m + log1p_32(exp_of_negative32(-fabs(a - b)))
    return select(a == b, select(fabs(a) < np.float32(np.inf), y, a), y)


@double
def logaddexp64(a, b):
    m = maximum_any(a, b)
    y = m + log1p_64(exp64(-fabs(a - b)))
    return select(a == b, select(fabs(a) < np.inf, y, a), y)


@formulas(logaddexp32, logaddexp64, python=np.logaddexp)
def logaddexp(a, b):
    """log(exp(a) + exp(b)) without overflow."""
