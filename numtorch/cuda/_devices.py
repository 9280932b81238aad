"""Which device a thread works on, and where a tensor asked for goes."""

from __future__ import annotations

import functools
import threading

from numtorch.kernels.cuda.compiler import cuda
from numtorch.kernels.cuda.driver import device_count

from .._device import device


class _Here(threading.local):
    index = 0  # what torch.cuda.set_device chose
    selected = -1  # what numba works on


here = _Here()


@functools.cache
def numbered(index: int) -> device:
    """cuda:index, one object a device."""
    return device("cuda", index)


def resolve(where: device) -> device:
    """`where` with its number; AssertionError without a GPU, RuntimeError for a number that there is not."""
    count = device_count()
    if not count:
        raise AssertionError("Torch not compiled with CUDA enabled")
    index = here.index if where.index is None else where.index
    if not 0 <= index < count:
        raise RuntimeError(
            f"CUDA error: invalid device ordinal: cuda:{index} was asked for, and there are {count} device(s)"
        )
    return numbered(index)


def activate(where: device) -> None:
    """Have numba allocate and launch on this device."""
    if here.selected != where.index:
        cuda.select_device(where.index)
        here.selected = where.index
