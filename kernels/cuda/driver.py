"""Whether numba can reach a CUDA device; asked once, and only when somebody wants to know."""

from __future__ import annotations

import functools
import importlib.util


@functools.cache
def device_count() -> int:
    """The number of usable CUDA devices; 0 without a driver."""
    if importlib.util.find_spec("numba_cuda_mlir") is not None:
        from numba_cuda_mlir import cuda
    else:
        from numba import cuda
    return len(cuda.gpus) if cuda.is_available() else 0
