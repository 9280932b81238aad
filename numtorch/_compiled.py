"""Kernels compiled once for each dtype, and called without a look at the arguments: half of what a small call costs."""

from __future__ import annotations

from types import FunctionType

import numpy as np
from numba import from_dtype, types

from numtorch.kernels.compiler import entry_point


class Compiled(dict):
    """The compiled builtins of one kernel by numpy dtype, made when first asked for.

    `letters` describes the arguments: x an array of the dtype, v one of its numbers, i an array of int64, j one of int32,
    w one of float64, s the words of a random stream, k an array of sorting keys, m a mask, n an integer, d a float64, b a
    boolean. The caller answers for the types. `parallel` chooses the form of a prange kernel.
    """

    def __init__(self, kernel, letters: str, parallel: bool = False):
        self.kernel = kernel if parallel else getattr(kernel, "serial", kernel)
        self.letters = letters

    def __missing__(self, np_dtype):
        found = self[np_dtype] = entry_point(self.kernel, self.kinds(np_dtype))
        return found

    def kinds(self, np_dtype) -> tuple[types.Type, ...]:
        """The types of the arguments."""
        element = types.boolean if np_dtype == np.bool_ else from_dtype(np_dtype)
        kinds = {
            "x": types.Array(element, 1, "C"),
            "v": element,
            "i": types.Array(types.int64, 1, "C"),
            "j": types.Array(types.int32, 1, "C"),
            "w": types.Array(types.float64, 1, "C"),
            "s": types.Array(types.uint32, 1, "C"),
            "m": types.Array(types.boolean, 1, "C"),
            "n": types.int64,
            "d": types.float64,
            "b": types.boolean,
            "k": types.Array(types.uint64 if np_dtype.itemsize == 8 else types.uint32, 1, "C"),
        }
        return tuple([kinds[letter] for letter in self.letters])


class CompiledParts(Compiled):
    """The same of what `spread` (kernels/cpu/spread.py) makes of a part: entries called with (count, arguments of the
    part as a tuple), which run parts 0 .. count - 1 in the calling thread. The launch by name takes 0.5 us more."""

    def __missing__(self, np_dtype):
        if isinstance(self.kernel, FunctionType):  # without Numba

            def found(count, args):
                self.kernel(count, *args)
        else:
            found = entry_point(self.kernel, (types.int64, types.StarArgTuple(self.kinds(np_dtype))))
        self[np_dtype] = found
        return found


def compiled_pair(kernel, letters: str) -> tuple[Compiled, Compiled]:
    """The serial and the parallel form of a prange kernel."""
    return Compiled(kernel, letters), Compiled(kernel, letters, parallel=True)
