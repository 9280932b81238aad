"""Storage on the GPU, and the allocator behind it.

A cudaMalloc waits for the device, so freed blocks are kept and handed out again: by size, device and stream. A block may
be reused at once, for what its stream still has to do with it comes before whatever the next owner launches there.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import NoReturn

import numpy as np

from numtorch.kernels.cuda.compiler import SIMULATED, cuda, state

from .._device import device
from .._storage import Storage
from ._devices import activate
from ._missing import not_on_cuda

# Requests are rounded up to whole pieces, small ones to 512 bytes and large ones to 2 MiB, so that sizes repeat.
_SMALL, _LARGE = 512, 2 << 20

_lock = threading.RLock()
_free: dict[tuple, list] = defaultdict(list)
_counts: dict[int, Counter] = defaultdict(Counter)  # device index -> statistics, in bytes and in blocks


class Block:
    """A piece of device memory; goes back to the allocator with its last storage."""

    __slots__ = ("raw", "key")

    def __init__(self, raw, key: tuple):
        self.raw, self.key = raw, key

    def __del__(self):
        if _lock is not None:  # None when the interpreter ends
            with _lock:
                size = self.key[-1]
                counts = _counts[self.key[0]]
                counts["allocated"] -= size
                counts["active blocks"] -= 1
                counts["freed"] += size
                _free[self.key].append(self.raw)


def _note(counts: Counter, size: int) -> None:
    counts["allocated"] += size
    counts["total allocated"] += size
    counts["active blocks"] += 1
    counts["total blocks"] += 1
    counts["allocated peak"] = max(counts["allocated peak"], counts["allocated"])
    counts["reserved peak"] = max(counts["reserved peak"], counts["reserved"])


def _block(nbytes: int, where: device) -> Block:
    unit = _SMALL if nbytes <= _LARGE else _LARGE
    size = max(-(-nbytes // unit), 1) * unit
    key = (where.index, id(state.stream) if state.stream else 0, size)
    with _lock:
        counts = _counts[where.index]
        kept = _free.get(key)
        if kept:
            raw = kept.pop()
        else:
            raw = _fresh(size, where)
            counts["reserved"] += size
        _note(counts, size)
    return Block(raw, key)


def _fresh(size: int, where: device):
    try:
        return cuda.device_array(size, np.uint8)
    except cuda.cudadrv.driver.CudaAPIError:
        # Perhaps there is room in what is kept.
        empty_cache()
        try:
            return cuda.device_array(size, np.uint8)
        except cuda.cudadrv.driver.CudaAPIError as error:
            raise OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {size / (1 << 20):.2f} MiB on {where}, where tensors hold "
                f"{_counts[where.index]['allocated'] / (1 << 20):.2f} MiB."
            ) from error


class OutOfMemoryError(RuntimeError):
    """There is no device memory left."""


class CudaStorage(Storage):
    """A flat buffer on a device.

    `memory` is the 1-D device array, `block` keeps it from being reused. `buffer`, which operators of the CPU read, is
    what is not there: an operator without kernels for the GPU ends at it, with its name.
    """

    __slots__ = ("memory", "block", "count")

    def __init__(self, memory, block, count: int, where: device, version: int = 0):
        self.memory, self.block, self.count, self.device, self.version = memory, block, count, where, version

    @property
    def buffer(self) -> NoReturn:
        raise not_on_cuda()

    @property
    def nbytes(self) -> int:
        return self.count * self.memory.dtype.itemsize

    @property
    def address(self) -> int:
        array = self.memory
        return (array.__array_interface__ if SIMULATED else array.__cuda_array_interface__)["data"][0]

    @property
    def np_dtype(self) -> np.dtype:
        return np.dtype(self.memory.dtype)

    def twin(self, version: int) -> CudaStorage:
        """Another storage over the same memory, with a version counter of its own."""
        return CudaStorage(self.memory, self.block, self.count, self.device, version)


def allocate(count: int, np_dtype, where: device) -> CudaStorage:
    """Uninitialised memory for `count` elements (at least one, so that there is an array to speak of)."""
    np_dtype = np.dtype(np_dtype)
    activate(where)
    block = _block(count * np_dtype.itemsize, where)
    return CudaStorage(block.raw.view(np_dtype)[: max(count, 1)], block, count, where)


def empty_cache() -> None:
    """Give the blocks that no tensor holds back to the driver."""
    with _lock:
        for key, kept in _free.items():
            _counts[key[0]]["reserved"] -= key[-1] * len(kept)
        _free.clear()


def counts_of(index: int) -> Counter:
    """The statistics of a device."""
    return _counts[index]


def reset_peaks(index: int) -> None:
    """Begin the search for the highest values anew."""
    counts = _counts[index]
    counts["allocated peak"], counts["reserved peak"] = counts["allocated"], counts["reserved"]
