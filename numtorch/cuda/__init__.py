"""torch.cuda: which GPUs there are, which one is worked on, streams, and memory.

Kernels are compiled by numba when they are first used; with NUMBA_ENABLE_CUDASIM=1 they run in its simulator instead, as
one device without a GPU. Nothing of numba's CUDA half is imported before a CUDA device is asked for.
"""

from __future__ import annotations

from collections import OrderedDict

from .. import _device as _devices_of_all_kinds
from .._legacy import CUDA_TYPES

globals().update(CUDA_TYPES)
_device_class = _devices_of_all_kinds.device

_STREAMS = ("Event", "Stream", "current_stream", "default_stream", "set_stream", "stream")


def __getattr__(name: str):
    if name in _STREAMS:
        from . import streams

        return getattr(streams, name)
    if name == "OutOfMemoryError":
        from ._memory import OutOfMemoryError

        return OutOfMemoryError
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")


# -- devices ----------------------------------------------------------------------------------------------------------


def device_count() -> int:
    """How many CUDA devices numba can use."""
    from numtorch.kernels.cuda.driver import device_count as count

    return count()


def is_available() -> bool:
    """Whether there is a CUDA device."""
    return device_count() > 0


def is_initialized() -> bool:
    """Whether there is a CUDA device that could be used at once: it needs no preparation."""
    return is_available()


def init() -> None:
    """Nothing to prepare; AssertionError without a GPU."""
    _require()


def _require() -> None:
    if not is_available():
        raise AssertionError("Torch not compiled with CUDA enabled")


def _resolve(where: _device_class) -> _device_class:
    """`where` with its number; AssertionError without a GPU."""
    _require()
    from ._devices import resolve

    return resolve(where)


def _chosen(device) -> _device_class:
    """A `device` argument (None is the current one) with its number."""
    if device is None:
        device = "cuda"
    found = _device_class(device)
    if found.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {found}")
    return _resolve(found)


def current_device() -> int:
    """The number of the current device."""
    return _chosen(None).index


def set_device(device) -> None:
    """Make a device the one that "cuda" means in this thread; a negative number changes nothing."""
    if isinstance(device, int) and device < 0:
        return
    from ._devices import here

    here.index = _chosen(device).index


class device:
    """`with torch.cuda.device(1):` makes a device the current one; None or a negative number changes nothing."""

    def __init__(self, device):
        self._wanted = device

    def __enter__(self) -> None:
        self._previous = current_device()
        if self._wanted is not None:
            set_device(self._wanted)

    def __exit__(self, *exception) -> None:
        set_device(self._previous)


class device_of(device):
    """`with torch.cuda.device_of(t):` makes the device of a tensor the current one; a CPU tensor changes nothing."""

    def __init__(self, obj):
        super().__init__(obj._device.index if obj.is_cuda else -1)


def _numba_device(device):
    from numtorch.kernels.cuda.compiler import cuda

    from ._devices import activate

    activate(_chosen(device))
    return cuda.current_context().device


def get_device_name(device=None) -> str:
    """What the vendor calls the device."""
    from numtorch.kernels.cuda.compiler import SIMULATED

    found = _numba_device(device)
    if SIMULATED:
        return "numba's CUDA simulator"
    name = found.name
    return name.decode() if isinstance(name, bytes) else name


def get_device_capability(device=None) -> tuple[int, int]:
    """The device's compute capability, (major, minor)."""
    return tuple(_numba_device(device).compute_capability)


def synchronize(device=None) -> None:
    """Wait until the device has finished."""
    from numtorch.kernels.cuda.compiler import cuda

    _numba_device(device)
    cuda.synchronize()


# -- random numbers ---------------------------------------------------------------------------------------------------
# Random tensors are drawn on the CPU and moved, so there is one generator for all devices.


def manual_seed(seed: int) -> None:
    """Seed the generator, which all devices share; nothing to do without a GPU."""
    if is_available():
        from ..random import manual_seed as seed_all

        seed_all(seed)


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all devices; nothing to do without one."""
    manual_seed(seed)


def initial_seed() -> int:
    """The seed that the generator started from."""
    _require()
    from ..random import initial_seed as seed

    return seed()


# -- memory -----------------------------------------------------------------------------------------------------------


def empty_cache() -> None:
    """Give cached device memory back; nothing to do without a device."""
    if is_available():
        from ._memory import empty_cache as empty

        empty()


def _counts(device):
    from ._memory import counts_of

    return counts_of(_chosen(device).index)


def memory_allocated(device=None) -> int:
    """Bytes that tensors hold, rounded up to whole blocks."""
    return _counts(device)["allocated"]


def max_memory_allocated(device=None) -> int:
    """The most that memory_allocated() has been."""
    return _counts(device)["allocated peak"]


def memory_reserved(device=None) -> int:
    """Bytes taken from the driver: what tensors hold and what is kept for the next ones."""
    return _counts(device)["reserved"]


def max_memory_reserved(device=None) -> int:
    """The most that memory_reserved() has been."""
    return _counts(device)["reserved peak"]


def reset_peak_memory_stats(device=None) -> None:
    """Begin the search for the highest values anew."""
    from ._memory import reset_peaks

    reset_peaks(_chosen(device).index)


def memory_stats(device=None) -> OrderedDict:
    """The allocator's numbers under torch's names."""
    counts = _counts(device)
    rows = {
        "active.all.current": counts["active blocks"],
        "allocated_bytes.all.allocated": counts["total allocated"],
        "allocated_bytes.all.current": counts["allocated"],
        "allocated_bytes.all.freed": counts["freed"],
        "allocated_bytes.all.peak": counts["allocated peak"],
        "allocation.all.allocated": counts["total blocks"],
        "allocation.all.current": counts["active blocks"],
        "reserved_bytes.all.current": counts["reserved"],
        "reserved_bytes.all.peak": counts["reserved peak"],
    }
    return OrderedDict(rows)


def mem_get_info(device=None) -> tuple[int, int]:
    """(free, total) bytes of the device, as the driver says."""
    from numtorch.kernels.cuda.compiler import cuda

    _numba_device(device)
    free, total = cuda.current_context().get_memory_info()
    return free, total
