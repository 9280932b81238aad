"""What the functions of kernels.math are on the GPU: libdevice's through the math module, and a few of our own.

Plain Python functions; the compiler gives their literals the dtype that they are called with. In the simulator `math` is
replaced by numpy's functions, which, as libdevice's, return inf and nan where Python's raise.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np


def _elementwise(fn):
    def call(x):
        return type(x)(fn(x))

    return call


simulated_math = SimpleNamespace(
    **{
        name: getattr(np, name)
        for name in ("ceil", "copysign", "cos", "cosh", "exp", "expm1", "floor", "fmod", "hypot", "log", "log10")
    },
    **{name: getattr(np, name) for name in ("log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh", "trunc")},
    **{name: getattr(np, "arc" + name[1:]) for name in ("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh")},
    pow=np.power,
    erf=_elementwise(math.erf),
    erfc=_elementwise(math.erfc),
    inf=math.inf,
)


def where(condition, a, b):
    return a if condition else b


def maximum(a, b):
    return a if a > b or a != a else b


def minimum(a, b):
    return a if a < b or a != a else b


def conj_real(x):
    return x


def conj_complex(x):
    return x.conjugate()


def isnan(x):
    return x != x


def isinf(x):
    return x == math.inf or x == -math.inf


def isfinite(x):
    return abs(x) < math.inf


def sign(x):
    return 1.0 if x > 0 else (-1.0 if x < 0 else 0.0)


def sgn_complex(z):
    size = abs(z)
    return z if size == 0.0 else z / size


def rsqrt(x):
    return 1.0 / math.sqrt(x)


def exp2(x):
    return math.pow(2.0, x)


def sigmoid(x):
    # Of a negative number through exp(x), which cannot overflow.
    e = math.exp(-abs(x))
    return 1.0 / (1.0 + e) if x >= 0 or x != x else e / (1.0 + e)


def round_half_even(x):
    below = math.floor(x)
    rest = x - below
    up = rest > 0.5 or (rest == 0.5 and below - 2.0 * math.floor(below * 0.5) != 0.0)
    return math.copysign(below + 1.0 if up else below, x)


def trunc(x):
    return math.copysign(math.floor(abs(x)), x)


def remainder(a, b):
    r = math.fmod(a, b)
    return r + b if r != 0.0 and (r < 0.0) != (b < 0.0) else r


def logaddexp(a, b):
    larger = a if a > b else b
    if a == b and not abs(a) < math.inf:
        return a
    return larger + math.log1p(math.exp(-abs(a - b)))


# -- integers ---------------------------------------------------------------------------------------------------------


def integer_sign(x):
    return 1 if x > 0 else (-1 if x < 0 else 0)


def never(x):
    return False


def always(x):
    return True


def integer_remainder(a, b):
    return a % b if b != 0 else b


def integer_fmod(a, b):
    if b == 0:
        return b
    r = a % b
    return r - b if r != 0 and (r < 0) != (a < 0) else r


def integer_pow(base, exponent):
    """By squaring; a negative exponent gives what is left of 1 / base**n: 1, -1 or 0."""
    if exponent < 0:
        if base == 1:
            return base
        if base == -1:
            return base if exponent % 2 != 0 else -base
        return base * 0
    result = base * 0 + 1
    while exponent > 0:
        if exponent % 2 == 1:
            result = result * base
        base = base * base
        exponent = exponent // 2
    return result


_ANY = {"where": where, "maximum": maximum, "minimum": minimum}
_REAL = {
    **_ANY,
    "conj": conj_real,
    "exp2": exp2,
    "isfinite": isfinite,
    "isinf": isinf,
    "isnan": isnan,
    "logaddexp": logaddexp,
    "remainder": remainder,
    "round": round_half_even,
    "rsqrt": rsqrt,
    "sgn": sign,
    "sigmoid": sigmoid,
    "sign": sign,
    "trunc": trunc,
}
_INTEGER = {
    **_ANY,
    "ceil": conj_real,
    "conj": conj_real,
    "floor": conj_real,
    "fmod": integer_fmod,
    "isfinite": always,
    "isinf": never,
    "isnan": never,
    "pow": integer_pow,
    "remainder": integer_remainder,
    "round": conj_real,
    "sgn": integer_sign,
    "sign": integer_sign,
    "trunc": conj_real,
}
_COMPLEX = {"conj": conj_complex, "isnan": isnan, "sgn": sgn_complex, "where": where}


# libdevice's functions, under the names that kernels.math shares with the math module.
_LIBRARY = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "floor",
    "fmod",
    "hypot",
    "log",
    "log10",
    "log1p",
    "log2",
    "pow",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]


def version(name: str, dtype: np.dtype, library):
    """The GPU's version of a function of kernels.math for a dtype; NotImplementedError where there is none.

    `library` is the math module, or what stands for it in the simulator.
    """
    table = _COMPLEX if dtype.kind == "c" else _REAL if dtype.kind == "f" else _INTEGER
    if name in table:
        return table[name]
    if dtype.kind == "f" and name in _LIBRARY:
        return getattr(library, name)
    raise NotImplementedError(f"{name}() of {dtype} is not implemented for CUDA tensors yet")
