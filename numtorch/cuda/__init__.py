"""torch.cuda: whether there is a GPU, and which. Tensors on the GPU are not there yet; asking for one says so."""

from __future__ import annotations

from .._device import device as _device_class
from .._legacy import CUDA_TYPES

globals().update(CUDA_TYPES)


def device_count() -> int:
    """How many CUDA devices numba can use."""
    from numtorch.kernels.cuda.driver import device_count as count

    return count()


def is_available() -> bool:
    """Whether there is a CUDA device."""
    return device_count() > 0


def _require() -> None:
    if not is_available():
        raise AssertionError("Torch not compiled with CUDA enabled")


def _resolve(where: _device_class) -> _device_class:
    """`where` with its number; AssertionError without a GPU."""
    _require()
    raise NotImplementedError("tensors on CUDA devices are not implemented yet")


def current_device() -> int:
    """The number of the current device."""
    _require()
    return 0


def synchronize(device=None) -> None:
    """Wait until the device has finished."""
    _require()


def manual_seed(seed: int) -> None:
    """Seed the generator of the current device; nothing to do without one."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all devices; nothing to do without one."""


def empty_cache() -> None:
    """Give cached device memory back; nothing to do without a device."""
