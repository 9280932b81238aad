"""The bits of floating point numbers: frexp and nextafter."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.math import where

from .. import _dtype
from .._binary import binary
from .._copy import cast, contiguous
from .._dtype import BOOL, FLOATING, INTEGRAL
from .._primitive import primitive
from .._tensor import Tensor, wrap
from ..return_types import named
from .reducing import check_cpu

_frexp_result = named("frexp", "mantissa", "exponent")


@primitive(save=("result1",), out=True)
def frexp(input) -> tuple[Tensor, Tensor]:
    """(m, e) with input = m * 2 ** e and 0.5 <= |m| < 1; zero, inf and nan are their own m, with e = 0."""
    d = input._dtype
    if d.category != FLOATING:
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes, got '{d.type_name}' instead.")
    check_cpu(input, "frexp")
    inner = d if d.np is d.compute else _dtype.float32
    mantissa, exponent = np.frexp(contiguous(cast(input.detach(), inner))._flat)
    exponent = np.where(np.isfinite(mantissa), exponent, 0).astype(np.int32)
    size = input._size
    return _frexp_result(cast(wrap(mantissa, size, inner), d), wrap(exponent, size, _dtype.int32))


frexp.derivative(input=lambda ctx, grad: grad / ctx.result1.to(grad.dtype).exp2())


def _no_halves(a, b) -> None:
    """A half's neighbour is not the neighbour of the same number as float32, in which its kernels would compute."""
    for t in (a, b):
        if isinstance(t, Tensor) and t._dtype in (_dtype.float16, _dtype.bfloat16):
            raise NotImplementedError(f"\"nextafter_cpu\" not implemented for '{t._dtype.type_name}'")


nextafter_ = binary(
    "nextafter",
    lambda a, b: np.nextafter(a, b),
    lambda g, a, b: where(a != b, g, 0.0),
    lambda g: g * 0.0,
    category=FLOATING,
    refuse=(BOOL, INTEGRAL),
    check=_no_halves,
    doc="The next floating point number after input, towards other.",
)
