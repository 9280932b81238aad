"""Functions around gamma: lgamma and its derivatives, zeta, the incomplete gamma functions."""

from __future__ import annotations

import math

from numtorch.kernels.math import digamma, exp, lgamma, log
from numtorch.kernels.math.gamma_functions import igamma, igammac, polygamma, zeta

from .. import _dtype
from .._binary import binary
from .._dtype import FLOATING
from .._inplace import inplace_form
from .._primitive import primitive
from .._registry import FUNCTIONS, register
from .._tensor import Tensor
from .._unary import unary
from .sequences import arange

FLOAT = {"promote": "float", "category": FLOATING}

lgamma_ = unary("lgamma", lambda x: lgamma(x), lambda g, x: g * digamma(x), **FLOAT)
digamma_ = unary("digamma", lambda x: digamma(x), lambda g, x: g * polygamma(1, x), **FLOAT)
_polygamma = unary(
    "polygamma",
    lambda x, n: polygamma(n, x),
    lambda g, x, n: g * polygamma(n + 1, x),
    function=False,
    method=False,
    inplace=False,
    **FLOAT,
)


def polygamma_of(n: int, input: Tensor, *, out=None) -> Tensor:
    """The n-th derivative of digamma, n >= 0."""
    if isinstance(n, Tensor):
        raise TypeError("polygamma(): argument 'n' (position 1) must be int, not Tensor")
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, but got n={n}.")
    return _polygamma(input, n, out=out)


def polygamma_method(self, n: int) -> Tensor:
    """torch.polygamma(n, self)"""
    return polygamma_of(n, self)


register("polygamma", polygamma_of, method=False)
register("polygamma", polygamma_method, function=False)
register("polygamma_", inplace_form(polygamma_method, "polygamma_"), function=False)


def _halves(p: int, like: Tensor):
    return arange(-p / 2 + 0.5, 0.5, 0.5, dtype=like._dtype, device=like._device)


@primitive("mvlgamma", save=("input",), public=False)
def _mvlgamma(input, p):
    x = input.detach().unsqueeze(-1) + _halves(p, input)
    return lgamma_(x).sum(-1) + p * (p - 1) * 0.25 * math.log(math.pi)


_mvlgamma.derivative(input=lambda ctx, grad: grad * digamma_(ctx.input.unsqueeze(-1) + _halves(ctx.p, grad)).sum(-1))


def mvlgamma(input: Tensor, p: int) -> Tensor:
    """log of the multivariate gamma function: sum_j lgamma(x + (1 - j) / 2), j = 1..p, + p (p - 1) / 4 log pi."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    return _mvlgamma(input if input._dtype.category >= FLOATING else input.to(_dtype.get_default_dtype()), p)


register("mvlgamma", mvlgamma, out=True, inplace=True)

zeta_ = binary(
    "zeta",
    lambda a, b: zeta(a, b),
    "zeta",
    lambda g, a, b: g * -a * zeta(a + 1, b),
    namespace="special",
    method=False,
    inplace=False,
    node="SpecialZetaBackward0",
    **FLOAT,
)


# By the second argument, d/dx P(a, x) = x**(a - 1) exp(-x) / gamma(a); by the first there is none, as in torch.
def _density(a, x):
    return exp((a - 1) * log(x) - x - lgamma(a))


def _positive_density(g, a, b):
    return g * _density(a, b)


def _negative_density(g, a, b):
    return -g * _density(a, b)


igamma_ = binary("igamma", lambda a, b: igamma(a, b), "igamma: input", _positive_density, **FLOAT)
igammac_ = binary("igammac", lambda a, b: igammac(a, b), "igammac: input", _negative_density, **FLOAT)

for _name, _of in (
    ("digamma", "digamma"),
    ("psi", "digamma"),
    ("gammaln", "lgamma"),
    ("polygamma", "polygamma"),
    ("multigammaln", "mvlgamma"),
    ("gammainc", "igamma"),
    ("gammaincc", "igammac"),
):
    FUNCTIONS["special"][_name] = FUNCTIONS[""][_of]
