"""Functions of torch.special: gamma, Bessel, the normal distribution, orthogonal polynomials."""

import numpy as np

from . import BOTH_FLOATS, Op, Sample, unary
from ._reference import special

REALS = ("int64", *BOTH_FLOATS)


def _signs(x):
    return np.sign(x) * special.i1e(np.abs(x))


def _of_points(low, high, *more):
    """Samples of a function that torch defines otherwise than scipy at nan and infinity: finite points only."""
    return lambda make: [Sample(make(*shape, low=low, high=high), *more) for shape in ((5,), (2, 3), (67,), (), (0,))]


def _orders_first(low, high, *orders):
    """Samples f(n, x)."""
    return lambda make: [Sample(n, make(*shape, low=low, high=high)) for n in orders for shape in ((5,), (2, 3), (0,))]


def _pairs(low, high):
    """Samples f(a, x) of two tensors."""
    shapes = (((5,), (5,)), ((2, 3), (3,)), ((3,), (2, 1)), ((), ()), ((0,), (0,)), ((67,), (67,)))
    return lambda make: [Sample(make(*a, low=low, high=high), make(*b, low=low, high=high)) for a, b in shapes]


def _polynomial(x_low, x_high):
    def samples(make):
        x = make(2, 10, low=x_low, high=x_high)
        degrees = np.arange(-1, 9).astype(make.np_dtype)
        return [Sample(x, degrees), Sample(x, 4), Sample(make(3, low=x_low, high=x_high), 11), Sample(make(0), 3)]

    return samples


def _zero_below(evaluate):
    """scipy's polynomial (n, x) as torch's (x, n), which is 0 for negative n."""
    return lambda x, n: np.where(np.asarray(n) < 0, 0.0, evaluate(np.maximum(n, 0).astype(np.int64), x)) + 0 * x


def _shifted(evaluate):
    return _zero_below(lambda n, x: evaluate(n, 2 * x - 1))


def _third(n, x):
    """V_n by U: V(n) = U(n) - U(n - 1)."""
    return special.eval_chebyu(n, x) - np.where(np.asarray(n) > 0, special.eval_chebyu(np.maximum(n - 1, 0), x), 0)


def _fourth(n, x):
    """W_n by U: W(n) = U(n) + U(n - 1)."""
    return special.eval_chebyu(n, x) + np.where(np.asarray(n) > 0, special.eval_chebyu(np.maximum(n - 1, 0), x), 0)


def _plain(name, samples, reference, **options):
    """A row of a function that has no derivative."""
    return Op(f"special.{name}", samples, reference, gradcheck=False, gradgradcheck=False, **options)


def _polynomial_row(name, evaluate, samples=None, **options):
    options = {"rtol": 1e-5, "atol": 1e-5, **options}
    return _plain(name, samples or _polynomial(-1, 1), evaluate, **options)


OPS = [
    Op("special.entr", unary(0.2, 3), special.entr, BOTH_FLOATS),
    Op("special.ndtr", unary(-3, 3), special.ndtr, BOTH_FLOATS, skip={"node": "torch builds it of erfc in C++"}),
    Op(
        "special.log_ndtr",
        unary(-30, 3),
        special.log_ndtr,
        REALS,
        promotes=True,
        torch_error=1e-4,
    ),
    Op("special.ndtri", _of_points(0.01, 0.99), special.ndtri, rtol=1e-5),
    Op("special.erfcx", unary(-3, 30), special.erfcx, REALS, promotes=True),
    Op("erfinv", unary(-0.9, 0.9), special.erfinv, REALS, promotes=True),
    Op("lgamma", _of_points(0.2, 9), special.gammaln, REALS, promotes=True, aliases=("special.gammaln",)),
    Op("digamma", _of_points(0.2, 9), special.digamma, REALS, promotes=True, aliases=("special.psi",)),
    Op(
        "polygamma",
        _orders_first(0.3, 9, 0, 1, 2, 4),
        special.polygamma,
        torch_error=1e-9,
        skip={"method": "takes x first"},
    ),
    Op("mvlgamma", _of_points(2.1, 9, 3), special.multigammaln, rtol=1e-5, aliases=("special.multigammaln",)),
    Op("special.zeta", _pairs(1.2, 9), special.zeta, grad_of=(1,)),
    Op("igamma", _pairs(0.3, 9), special.gammainc, grad_of=(1,), aliases=("special.gammainc",)),
    Op("igammac", _pairs(0.3, 9), special.gammaincc, grad_of=(1,), aliases=("special.gammaincc",)),
    Op("i0", _of_points(-12, 12), special.i0, REALS, promotes=True, rtol=5e-6),
    Op("special.i0e", unary(0.1, 12), special.i0e, REALS, promotes=True),
    Op("special.i1", _of_points(-12, 12), special.i1, REALS, promotes=True, rtol=5e-6),
    Op("special.i1e", unary(-12, 12), _signs, REALS, promotes=True),
    _plain("airy_ai", _of_points(-20, 20), lambda x: special.airy(x)[0], torch_error=1e-5),
    _plain("bessel_j0", _of_points(-40, 40), special.j0, torch_error=1e-6),
    _plain("bessel_j1", _of_points(-40, 40), special.j1, torch_error=1e-6),
    _plain("bessel_y0", _of_points(0, 40), special.y0, rtol=5e-6, torch_error=1e-6),
    _plain("bessel_y1", _of_points(0, 40), special.y1, rtol=5e-6, torch_error=1e-6),
    _plain("modified_bessel_i0", _of_points(-12, 12), special.i0, rtol=5e-6),
    _plain("modified_bessel_i1", _of_points(-12, 12), special.i1, rtol=5e-6),
    _plain("modified_bessel_k0", _of_points(0, 40), special.k0),
    _plain("modified_bessel_k1", _of_points(0, 40), special.k1),
    _plain("scaled_modified_bessel_k0", _of_points(0, 40), special.k0e),
    _plain("scaled_modified_bessel_k1", _of_points(0, 40), special.k1e),
    _plain("spherical_bessel_j0", _of_points(-40, 40), lambda x: special.spherical_jn(0, x)),
    _polynomial_row("chebyshev_polynomial_t", _zero_below(special.eval_chebyt)),
    _polynomial_row("chebyshev_polynomial_u", _zero_below(special.eval_chebyu)),
    _polynomial_row("chebyshev_polynomial_v", _zero_below(_third)),
    _polynomial_row("chebyshev_polynomial_w", _zero_below(_fourth)),
    _polynomial_row("shifted_chebyshev_polynomial_t", _shifted(special.eval_chebyt), _polynomial(0, 1)),
    _polynomial_row("shifted_chebyshev_polynomial_u", _shifted(special.eval_chebyu), _polynomial(0, 1)),
    _polynomial_row("shifted_chebyshev_polynomial_v", _shifted(_third), _polynomial(0, 1)),
    _polynomial_row("shifted_chebyshev_polynomial_w", _shifted(_fourth), _polynomial(0, 1)),
    _polynomial_row("hermite_polynomial_h", _zero_below(special.eval_hermite), _polynomial(-2, 2)),
    _polynomial_row("hermite_polynomial_he", _zero_below(special.eval_hermitenorm), _polynomial(-2, 2)),
    _polynomial_row("laguerre_polynomial_l", _zero_below(special.eval_laguerre), _polynomial(-2, 6)),
    _polynomial_row("legendre_polynomial_p", _zero_below(special.eval_legendre)),
]
