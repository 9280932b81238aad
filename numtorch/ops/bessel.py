"""Bessel functions, the modified ones, spherical j0 and Airy's Ai.

Only I0 and I1 (and these scaled by exp(-|x|)) have derivatives, as in torch.
"""

from __future__ import annotations

from numtorch.kernels.math import sign, where
from numtorch.kernels.math.bessel import (
    airy_ai,
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    i0,
    i0e,
    i1,
    i1e,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
)

from .._dtype import FLOATING
from .._registry import FUNCTIONS
from .._unary import unary

FLOAT = {"promote": "float", "category": FLOATING}
SPECIAL = {"namespace": "special", "method": False, "inplace": False, **FLOAT}


def _of_i1(x, y, ratio_at_zero):
    """y / x, and its limit at 0."""
    return where(x == 0, ratio_at_zero, y / where(x == 0, 1.0, x))


i0_ = unary("i0", lambda x: i0(x), lambda g, x: g * i1(x), **FLOAT)
i0e_ = unary("i0e", lambda x: i0e(x), lambda g, x, y: g * (i1e(x) - sign(x) * y), node="SpecialI0EBackward0", **SPECIAL)
i1_ = unary(
    "i1", lambda x: i1(x), lambda g, x, y: g * (i0(x) - _of_i1(x, y, 0.5)), node="SpecialI1Backward0", **SPECIAL
)
i1e_ = unary(
    "i1e",
    lambda x: i1e(x),
    lambda g, x, y: g * (i0e(x) - y * sign(x) - _of_i1(x, y, 0.5)),
    node="SpecialI1EBackward0",
    **SPECIAL,
)

airy_ai_ = unary("airy_ai", lambda x: airy_ai(x), **SPECIAL)
bessel_j0_ = unary("bessel_j0", lambda x: bessel_j0(x), **SPECIAL)
bessel_j1_ = unary("bessel_j1", lambda x: bessel_j1(x), **SPECIAL)
bessel_y0_ = unary("bessel_y0", lambda x: bessel_y0(x), **SPECIAL)
bessel_y1_ = unary("bessel_y1", lambda x: bessel_y1(x), **SPECIAL)
modified_bessel_i0_ = unary("modified_bessel_i0", lambda x: i0(x), **SPECIAL)
modified_bessel_i1_ = unary("modified_bessel_i1", lambda x: i1(x), **SPECIAL)
modified_bessel_k0_ = unary("modified_bessel_k0", lambda x: modified_bessel_k0(x), **SPECIAL)
modified_bessel_k1_ = unary("modified_bessel_k1", lambda x: modified_bessel_k1(x), **SPECIAL)
scaled_modified_bessel_k0_ = unary("scaled_modified_bessel_k0", lambda x: scaled_modified_bessel_k0(x), **SPECIAL)
scaled_modified_bessel_k1_ = unary("scaled_modified_bessel_k1", lambda x: scaled_modified_bessel_k1(x), **SPECIAL)
spherical_bessel_j0_ = unary("spherical_bessel_j0", lambda x: spherical_bessel_j0(x), **SPECIAL)

FUNCTIONS["special"]["i0"] = FUNCTIONS[""]["i0"]
