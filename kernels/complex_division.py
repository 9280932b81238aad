"""Division of complex numbers in compiled code: by zero it gives inf and nan, as real division does and as in torch.

Numba's own raises ZeroDivisionError there, whatever the error model is. Importing this module puts the division below
in its place for complex64 and complex128.
"""

from __future__ import annotations

import math
import operator

from numba import config, types
from numba.core.imputils import lower_builtin


def divide(a, b):
    """a / b by Smith's method (Algorithm 116, Communications of the ACM 5, 1962): the smaller part of b is divided by
    the larger, so that nothing overflows on the way.
    """
    real, imag = abs(b.real), abs(b.imag)
    if real == 0.0 and imag == 0.0:
        return complex(a.real * math.inf, a.imag * math.inf)
    if real >= imag:
        ratio = b.imag / b.real
        scale = b.real + b.imag * ratio
        return complex((a.real + a.imag * ratio) / scale, (a.imag - a.real * ratio) / scale)
    if imag > real:
        ratio = b.real / b.imag
        scale = b.real * ratio + b.imag
        return complex((a.real * ratio + a.imag) / scale, (a.imag * ratio - a.real) / scale)
    return complex(math.nan, math.nan)


def _lower(context, builder, signature, args):
    return context.compile_internal(builder, divide, signature, args)


if not config.DISABLE_JIT:
    for _complex in (types.complex64, types.complex128):
        for _operator in (operator.truediv, operator.itruediv):
            lower_builtin(_operator, _complex, _complex)(_lower)
