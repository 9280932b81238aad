"""Special functions: x log y and its kin, entropy, the normal distribution; torch.special's names."""

from __future__ import annotations

import math

from numtorch.kernels.math import erf, erfc, exp, isnan, log, log1p, where

from .._binary import binary
from .._dtype import FLOATING
from .._registry import FUNCTIONS, op
from .._tensor import Tensor
from .._unary import unary

_XLOGY = {"promote": "float", "category": FLOATING}

xlogy = binary(
    "xlogy",
    lambda a, b: where(isnan(b), b, where(a == 0, 0.0, a * log(b))),
    lambda g, a, b: g * where(((a == 0) | (g == 0)) & (b <= 0), 0.0, log(b)),  # 0 log(0) = 0 for the gradient too
    lambda g, a, b: g * a / b,
    node_number="XlogyBackward2",
    **_XLOGY,
)
xlog1py = binary(
    "xlog1py",
    lambda a, b: where(isnan(b), b, where(a == 0, 0.0, a * log1p(b))),
    lambda g, a, b: g * where(((a == 0) | (g == 0)) & (b <= -1), 0.0, log1p(b)),
    lambda g, a, b: g * a / (b + 1),
    node="SpecialXlog1PyBackward0",
    node_number="SpecialXlog1PyBackward2",
    namespace="special",
    method=False,
    inplace=False,
    **_XLOGY,
)
entr = unary(
    "entr",
    lambda x: where(isnan(x), x, where(x > 0, -x * log(where(x > 0, x, 1.0)), where(x == 0, 0.0, -math.inf))),
    lambda g, x: g * where(isnan(x), x, -log(x) - 1),
    namespace="special",
    method=False,
    inplace=False,
    promote="float",
    category=FLOATING,
    node="SpecialEntrBackward0",
)
ndtr = unary(
    "ndtr",
    lambda x: where(
        x < -0.7071067811865476,
        0.5 * erfc(-x * 0.7071067811865476),
        0.5 * (1.0 + erf(x * 0.7071067811865476)),
    ),
    lambda g, x: g * (0.3989422804014327 * exp(x * x * -0.5)),
    namespace="special",
    method=False,
    inplace=False,
    promote="float",
    category=FLOATING,
    node="SpecialNdtrBackward0",
)

_SAME = {
    "exp2": "exp2",
    "expm1": "expm1",
    "log1p": "log1p",
    "logit": "logit",
    "erf": "erf",
    "erfc": "erfc",
    "sinc": "sinc",
    "round": "round",
    "xlogy": "xlogy",
}


@op(namespace="special", method=False)
def expit(input, *, out=None) -> Tensor:
    """1 / (1 + exp(-x)): torch.sigmoid."""
    return FUNCTIONS[""]["sigmoid"](input, out=out)


for _name, _of in _SAME.items():
    if _of in FUNCTIONS[""]:
        FUNCTIONS["special"][_name] = FUNCTIONS[""][_of]
