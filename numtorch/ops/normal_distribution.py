"""The inverse of erf, the scaled erfc, and the normal distribution's logarithm and quantiles."""

from __future__ import annotations

from numtorch.kernels.math import erfinv, exp
from numtorch.kernels.math.normal import erfcx, log_ndtr, ndtri

from .._dtype import FLOATING
from .._registry import FUNCTIONS
from .._unary import unary

FLOAT = {"promote": "float", "category": FLOATING}
SPECIAL = {"namespace": "special", "method": False, "inplace": False, **FLOAT}

erfinv_ = unary("erfinv", lambda x: erfinv(x), lambda g, y: g * (0.8862269254527580 * exp(y * y)), **FLOAT)
erfcx_ = unary(
    "erfcx",
    lambda x: erfcx(x),
    lambda g, x, y: g * (2.0 * x * y - 1.1283791670955126),
    node="SpecialErfcxBackward0",
    **SPECIAL,
)
log_ndtr_ = unary(
    "log_ndtr",
    lambda x: log_ndtr(x),
    lambda g, x, y: g * (0.3989422804014327 * exp(-(y + x * x * 0.5))),
    node="SpecialLogNdtrBackward0",
    **SPECIAL,
)
ndtri_ = unary(
    "ndtri",
    lambda p: ndtri(p),
    lambda g, y: g * (2.5066282746310002 * exp(y * y * 0.5)),
    node="SpecialNdtriBackward0",
    **SPECIAL,
)

FUNCTIONS["special"]["erfinv"] = FUNCTIONS[""]["erfinv"]
