"""Scalar functions that one name gives to kernels, to plain Python and to tensors (see `naming`).

    from numtorch.kernels.math import exp, log1p

    @jit
    def softplus(x, out):                  # exp of a float32 is the float32 formula, inlined and vectorised
        for i in range(x.size):
            out[i] = log1p(exp(x[i]))

Accuracy is 2 ulp or better over the whole range, with inf, nan, signed zeros and subnormals as C has them.
"""

from .choice import conj, logaddexp, maximum, minimum, where
from .error_functions import erf, erfc, erfinv
from .exp_log import exp, expm1, log, log1p, sigmoid, tanh
from .gamma import digamma, lgamma
from .hyperbolic import acosh, asinh, atanh, cosh, sinh
from .naming import tensor_dispatch
from .power import cbrt, exp2, hypot, log2, log10, pow, rsqrt, sqrt
from .rounding import ceil, copysign, floor, fmod, isfinite, isinf, isnan, remainder, round, sgn, sign, trunc
from .trig import acos, asin, atan, atan2, cos, sin, tan

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "fmod",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "maximum",
    "minimum",
    "pow",
    "remainder",
    "round",
    "rsqrt",
    "sgn",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "tensor_dispatch",
    "trunc",
    "where",
]
