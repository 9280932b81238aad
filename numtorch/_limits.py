"""torch.finfo and torch.iinfo."""

from __future__ import annotations

import numpy as np

from . import _dtype
from ._dtype import FLOATING, INTEGRAL, dtype

# bfloat16 is the upper half of float32: 8 bits of exponent, 7 of mantissa.
_BFLOAT16 = {
    "bits": 16,
    "eps": 2.0**-7,
    "max": (2 - 2.0**-7) * 2.0**127,
    "min": -(2 - 2.0**-7) * 2.0**127,
    "tiny": 2.0**-126,
    "resolution": 0.01,
}


_known: dict[dtype, finfo] = {}


class finfo:
    """Limits of a floating dtype: bits, eps, max, min, tiny (smallest_normal), resolution."""

    def __new__(cls, type: dtype | None = None):
        d = _dtype.get_default_dtype() if type is None else type
        found = _known.get(d)
        if found is None:
            found = object.__new__(cls)
            found._look_up(d)
            _known[d] = found
        return found

    def _look_up(self, type: dtype) -> None:
        d = type
        if d.category < FLOATING:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{d}'")
        d = d.to_real()
        self.dtype = d.name
        if d is _dtype.bfloat16:
            self.__dict__.update(_BFLOAT16)
        else:
            info = np.finfo(d.np)
            self.bits = info.bits
            for name in ("eps", "max", "min", "tiny", "resolution"):
                setattr(self, name, float(getattr(info, name)))
        self.smallest_normal = self.tiny

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )

    def __eq__(self, other) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self):
        return finfo, (getattr(_dtype, self.dtype),)


class iinfo:
    """Limits of an integer dtype: bits, max, min."""

    def __init__(self, type: dtype):
        if type.category != INTEGRAL:
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'"
                if type.category > INTEGRAL
                else "torch.bool is not supported by torch.iinfo"
            )
        info = np.iinfo(type.np)
        self.bits, self.max, self.min, self.dtype = info.bits, int(info.max), int(info.min), type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"

    def __eq__(self, other) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)
