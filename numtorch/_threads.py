"""set_num_threads and its relatives: thin names over kernels/threads.py."""

from __future__ import annotations

from numtorch.kernels.threads import get_num_threads, set_num_threads


def get_num_interop_threads() -> int:
    """Threads that run operators beside each other: one, for operators run in the caller's thread."""
    return 1


def set_num_interop_threads(num_threads: int) -> None:
    """Accepted for compatibility; RuntimeError below 1."""
    if num_threads <= 0:
        raise RuntimeError("Expected positive number of threads")


__all__ = ["get_num_interop_threads", "get_num_threads", "set_num_interop_threads", "set_num_threads"]
