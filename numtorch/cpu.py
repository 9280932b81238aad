"""The CPU as a device: what torch.cpu has, and numbers of the memory that large results live in.

The memory functions are those of torch.cuda under the same names; torch has none for the CPU. They tell of results of
2 MiB and more, which come from a cache of blocks (`_allocator`); smaller ones are numpy's.
"""

from __future__ import annotations

from collections import OrderedDict

from . import _allocator


def is_available() -> bool:
    """Whether there is a CPU: True."""
    return True


def device_count() -> int:
    """The number of CPU devices: 1."""
    return 1


def current_device() -> str:
    """The name of the CPU device."""
    return "cpu"


def synchronize(device=None) -> None:
    """Wait for what runs on the CPU: nothing does."""


def memory_stats(device=None) -> OrderedDict:
    """The allocator's numbers under torch's names: bytes lent to tensors ("allocated"), and those with what is kept for
    the next tensors ("reserved"); a segment is one block.
    """
    numbers = _allocator.statistics()
    return OrderedDict(
        {
            "allocated_bytes.all.current": numbers["lent"],
            "inactive_split_bytes.all.current": numbers["kept"],
            "reserved_bytes.all.current": numbers["reserved"],
            "reserved_bytes.all.peak": numbers["reserved peak"],
            "segment.all.allocated": numbers["blocks made"],
        }
    )


def memory_allocated(device=None) -> int:
    """Bytes lent to tensors."""
    return _allocator.statistics()["lent"]


def memory_reserved(device=None) -> int:
    """Bytes lent to tensors or kept for the next ones."""
    return _allocator.statistics()["reserved"]


def max_memory_reserved(device=None) -> int:
    """The most bytes that were reserved since the start or the last `reset_peak_memory_stats`."""
    return _allocator.statistics()["reserved peak"]


def reset_peak_memory_stats(device=None) -> None:
    """Count the peak from here on."""
    _allocator.reset_peak()


def empty_cache() -> None:
    """Give the memory that no tensor uses back to the system."""
    _allocator.release()
