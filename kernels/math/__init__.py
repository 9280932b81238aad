"""Scalar functions that one name gives to kernels, to plain Python and to tensors (see `naming`).

    from numtorch.kernels.math import exp, log1p

    @jit
    def softplus(x, out):                  # exp of a float32 is the float32 formula, inlined and vectorised
        for i in range(x.size):
            out[i] = log1p(exp(x[i]))

Accuracy is 2 ulp or better over the whole range, with inf, nan, signed zeros and subnormals as C has them.
"""

from .choice import conj, logaddexp, maximum, minimum, where
from .error_functions import erf, erfc
from .exp_log import exp, expm1, log, log1p, sigmoid, tanh
from .naming import tensor_dispatch
from .power import hypot, rsqrt, sqrt
from .rounding import ceil, copysign, floor, fmod, isfinite, isinf, isnan, remainder, round, sign, trunc
from .trig import cos, sin

__all__ = [
    "ceil",
    "conj",
    "copysign",
    "cos",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "floor",
    "fmod",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "logaddexp",
    "maximum",
    "minimum",
    "remainder",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "tanh",
    "tensor_dispatch",
    "trunc",
    "where",
]
