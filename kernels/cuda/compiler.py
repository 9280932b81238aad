"""The one place that imports the CUDA compiler, and how scalar functions and kernels are compiled with it.

`numba_cuda_mlir` is taken if it is installed, else `numba.cuda` (numba-cuda replaces the built-in one where it is). With
NUMBA_ENABLE_CUDASIM=1 numba runs kernels as Python threads, so everything here can be tested and stepped through
without a GPU. Kernels keep to what all three understand.

Kernels are compiled at their first launch in a process. numba.cuda's own disk cache does not serve kernels that are made
around a scalar function (it never hits and adds a file a run), so none is used.
"""

from __future__ import annotations

import functools
import math
import threading
import types as python_types
import warnings

import numba
import numpy as np

from .. import math as public_math
from ..compiler import typed_literals
from ..math.naming import Formula
from . import scalars

try:
    from numba_cuda_mlir import cuda
except ImportError:
    from numba import cuda

# Small tensors are launched on few blocks, and mean to be.
numba.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

#: Whether kernels run in numba's simulator.
SIMULATED = bool(numba.config.ENABLE_CUDASIM)
# 256 threads a block: eight warps, enough to hide memory latency, and small enough that a kernel with 100 registers a
# thread still runs two blocks on a multiprocessor. The simulator starts a Python thread for each.
THREADS = 8 if SIMULATED else 256
# More blocks than this loop over the rest ("grid stride"): 4096 blocks fill the largest GPUs several times over.
MAX_BLOCKS = 2 if SIMULATED else 4096


class _State(threading.local):
    stream = 0


#: `state.stream` is the stream that this thread launches on; 0 is the default one.
state = _State()


def launch(kernel, count: int, *arguments) -> None:
    """Run `kernel` on enough blocks for `count` elements; a kernel loops over what its grid does not cover."""
    if count:
        launch_blocks(kernel, min((count + THREADS - 1) // THREADS, MAX_BLOCKS), *arguments)


def launch_blocks(kernel, blocks: int, *arguments) -> None:
    """Run `kernel` on exactly so many blocks."""
    configured = kernel[blocks, THREADS, state.stream]
    if not SIMULATED:
        configured(*arguments)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, for what C computes in silence: 1 / 0, overflow
        configured(*arguments)


@functools.cache
def device_function(text, dtype):
    """The scalar function `text` for elements of `dtype`, to be called from a kernel on the GPU.

    Its literals have the dtype, and the functions of kernels.math that it calls become the GPU's (`scalars`).
    """
    copy = _translated(text, np.dtype(dtype))
    return copy if SIMULATED else cuda.jit(device=True)(copy)


_LIBRARY = scalars.simulated_math if SIMULATED else math


def _translated(fn, dtype):
    def replace(value):
        if isinstance(value, Formula):
            # Written for the vector units of a CPU.
            raise NotImplementedError(f"{value.fn.__name__}() is not implemented for CUDA tensors yet")
        if value is fn or not isinstance(value, python_types.FunctionType):
            return value
        if value.__module__.startswith(public_math.__name__) and hasattr(value, "__wrapped__"):
            # a public name of kernels.math, which stands for a formula
            value = scalars.version(value.__name__, dtype, _LIBRARY)
        return device_function(value, dtype) if isinstance(value, python_types.FunctionType) else value

    scope = {n: replace(fn.__globals__[n]) for n in fn.__code__.co_names if n in fn.__globals__}
    if scope.get("math") is math:
        scope["math"] = _LIBRARY
    closure = fn.__closure__
    if closure:
        closure = tuple(python_types.CellType(replace(cell.cell_contents)) for cell in closure)
    kinds = {}
    if dtype.kind in "fc":
        real = np.empty(0, dtype).real.dtype.type
        kinds = {int: real, float: real, complex: dtype.type}
    return typed_literals(fn, kinds, {**fn.__globals__, **scope}, closure)
