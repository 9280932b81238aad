"""Scalar functions that one name gives to kernels, to plain Python and to tensors (see `naming`).

    from numtorch.kernels.math import exp, where

    @jit
    def softplus(x, out):                  # exp of a float32 is the float32 formula, inlined and vectorised
        for i in range(x.size):
            out[i] = log1p(exp(x[i]))

Accuracy is 2 ulp or better over the whole range, with inf, nan, signed zeros and subnormals as C has them.
"""

from .exp_log import exp, expm1, log, log1p, sigmoid, tanh
from .naming import tensor_dispatch

__all__ = ["exp", "expm1", "log", "log1p", "sigmoid", "tanh", "tensor_dispatch"]
