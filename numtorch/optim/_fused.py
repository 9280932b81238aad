"""Calls of the fused step kernels: compiled entry points by dtype, and the checks that stand before them."""

from __future__ import annotations

import numpy as np
from numba import types

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.compiler import entry_point
from numtorch.kernels.cpu.optimizers import PARALLEL_THRESHOLD

NOTHING = {np.float32: np.empty(0, np.float32), np.float64: np.empty(0, np.float64)}

_FLOATS = {numtorch.float32: types.float32, numtorch.float64: types.float64}


class FusedStep:
    """A step kernel and its parallel twin: `arrays` buffers, then `scalars` float64 and `flags` bool arguments."""

    def __init__(self, serial, parallel, arrays: int, scalars: int, flags: int = 0) -> None:
        self.kernels = serial, parallel
        self.arguments = arrays, scalars, flags
        self.serial: dict = {}
        self.parallel: dict = {}

    def entry(self, dtype, size: int):
        """The compiled kernel for `size` elements of `dtype`; None for a dtype that has none."""
        big = size >= PARALLEL_THRESHOLD
        known = self.parallel if big else self.serial
        found = known.get(dtype)
        if found is None and dtype in _FLOATS:
            arrays, scalars, flags = self.arguments
            signature = (_FLOATS[dtype][::1],) * arrays + (types.float64,) * scalars + (types.boolean,) * flags
            found = known[dtype] = entry_point(self.kernels[big], signature)
        return found


def flat_array(t: Tensor, dtype) -> np.ndarray | None:
    """The 1-D array of a contiguous CPU tensor of `dtype`, or None."""
    array = t.flat()
    return array if t._dtype is dtype and type(array) is np.ndarray else None
