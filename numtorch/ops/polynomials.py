"""Orthogonal polynomials p(x, n), of both of which one may be a number; without derivatives, as in torch."""

from __future__ import annotations

from numtorch.kernels.math.polynomials import (
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)

from .._binary import binary
from .._dtype import FLOATING

SPECIAL = {"namespace": "special", "method": False, "inplace": False, "promote": "float", "category": FLOATING}

chebyshev_polynomial_t_ = binary("chebyshev_polynomial_t", lambda x, n: chebyshev_polynomial_t(x, n), **SPECIAL)
chebyshev_polynomial_u_ = binary("chebyshev_polynomial_u", lambda x, n: chebyshev_polynomial_u(x, n), **SPECIAL)
chebyshev_polynomial_v_ = binary("chebyshev_polynomial_v", lambda x, n: chebyshev_polynomial_v(x, n), **SPECIAL)
chebyshev_polynomial_w_ = binary("chebyshev_polynomial_w", lambda x, n: chebyshev_polynomial_w(x, n), **SPECIAL)
hermite_polynomial_h_ = binary("hermite_polynomial_h", lambda x, n: hermite_polynomial_h(x, n), **SPECIAL)
hermite_polynomial_he_ = binary("hermite_polynomial_he", lambda x, n: hermite_polynomial_he(x, n), **SPECIAL)
laguerre_polynomial_l_ = binary("laguerre_polynomial_l", lambda x, n: laguerre_polynomial_l(x, n), **SPECIAL)
legendre_polynomial_p_ = binary("legendre_polynomial_p", lambda x, n: legendre_polynomial_p(x, n), **SPECIAL)
shifted_chebyshev_polynomial_t_ = binary(
    "shifted_chebyshev_polynomial_t", lambda x, n: shifted_chebyshev_polynomial_t(x, n), **SPECIAL
)
shifted_chebyshev_polynomial_u_ = binary(
    "shifted_chebyshev_polynomial_u", lambda x, n: shifted_chebyshev_polynomial_u(x, n), **SPECIAL
)
shifted_chebyshev_polynomial_v_ = binary(
    "shifted_chebyshev_polynomial_v", lambda x, n: shifted_chebyshev_polynomial_v(x, n), **SPECIAL
)
shifted_chebyshev_polynomial_w_ = binary(
    "shifted_chebyshev_polynomial_w", lambda x, n: shifted_chebyshev_polynomial_w(x, n), **SPECIAL
)
