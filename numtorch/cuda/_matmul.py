"""Matrix products on the GPU, by cuBLAS through cupy: what the vendor's library does well is not written again."""

from __future__ import annotations

import importlib.util

from .._dtype import FLOATING
from .._size import Size
from .._tensor import Tensor
from ._devices import activate
from ._tensors import common_device, contiguous, elements, fresh, state
from ._transfer import filled


def product(a: Tensor, b: Tensor, out_size: Size) -> Tensor:
    """a @ b for (*batch, n, k) and (*batch, k, m), outside the graph."""
    where = common_device((a, b))
    if a._size[-1] == 0 or out_size.numel() == 0:
        return filled(out_size, 0, a._dtype, where)
    if a._dtype.category < FLOATING:
        raise NotImplementedError(f"matmul of {a._dtype} is not implemented for CUDA tensors yet: cuBLAS has none")
    if importlib.util.find_spec("cupy") is None:
        raise NotImplementedError(
            "matmul is not implemented for CUDA tensors without cuBLAS, which is reached through cupy: pip install "
            "cupy-cuda12x (or cupy-cuda13x, as the driver is)"
        )
    activate(where)
    result = fresh(out_size, a._dtype, where)
    _by_cupy(contiguous(a), contiguous(b), result)
    return result


def _by_cupy(a: Tensor, b: Tensor, result: Tensor) -> None:
    import cupy

    stream = state.stream
    external = cupy.cuda.ExternalStream(stream.handle.value if stream else 0)
    with cupy.cuda.Device(result._device.index), external:
        # cupy reads numba's arrays where they lie.
        x, y, z = (cupy.asarray(elements(t)).reshape(tuple(t._size)) for t in (a, b, result))
        cupy.matmul(x, y, out=z)
