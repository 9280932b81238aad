"""Memory of large results: kept when nobody needs it any more, and lent to the next result of its size.

The C library gives what is larger than 32 MB back to the system as soon as it is free, and then every page of a fresh
result costs a fault: 64 MB of float32 products took 9.1 ms, of which 4.3 are arithmetic. Below that it starts at a
multiple of 16 bytes only, where a vector is 64: half of the stores then touch two cache lines, which makes a fifth of a
product of 1M floats.

    empty(n, dtype)    like numpy.empty for one dimension; a large buffer starts at a page
    statistics()       what is lent and kept
    release()          give all that is kept back to the system

A block is an anonymous memory map. It is lent as a `Lent`, an array that every view, tensor, memoryview and DLPack
capsule over the buffer keeps alive; when the last of them has gone, so has the `Lent`, and its block is kept, as long as
all blocks together, lent and kept, are within `LIMIT`.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import threading

import numpy as np

#: Results of fewer bytes come from numpy. To lend a block takes 0.8 us more, and 2 MB of results are 50 us of work.
SMALLEST = 2 << 20
_PAGE = 4096
_HUGE_PAGE = 2 << 20

#: What glibc is told to keep of freed memory at the end of its heap, and the largest size that comes from that heap.
_KEPT_BY_MALLOC = 256 << 20
_LARGEST_OF_MALLOC = 32 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_np_empty = np.empty
_ndarray = np.ndarray
_bytes = np.dtype(np.uint8)


def _default_limit() -> int:
    """A sixteenth of the memory of this machine, at most 1 GiB."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 8 << 30
    return min(memory // 16, 1 << 30)


#: Bytes of blocks, lent and kept together, up to which a block that comes back is kept.
LIMIT = _default_limit()

# Blocks by their size. Lending and taking back are one `pop` and one `append`, which no thread and no finalizer can
# interrupt; all that is counted is counted where blocks are made and dropped, under the lock.
_kept: dict[int, list[mmap.mmap]] = {}
# Bytes asked for -> size of the block, where such blocks are kept.
_classes: dict[int, tuple[int, list[mmap.mmap]]] = {}
_MOST_CLASSES = 4096
_lock = threading.Lock()
_reserved = 0
_reserved_peak = 0
_made = 0


class Lent(np.ndarray):
    """The bytes of a block for as long as anybody can reach them."""

    __slots__ = ()

    def __del__(self):
        block = self.base
        if mmap is None or type(block) is not mmap.mmap:  # the process ends, or a view that somebody made of this one
            return
        if _reserved <= LIMIT or not _drop(len(block)):
            _kept[len(block)].append(block)


def _drop(size: int) -> bool:
    """Count a block as gone. False if another thread is at it, or this one is, further up the stack."""
    global _reserved
    if not _lock.acquire(blocking=False):
        return False
    _reserved -= size
    _lock.release()
    return True


def _class_of(nbytes: int) -> tuple[int, list[mmap.mmap]]:
    """Blocks come in eight sizes between powers of two, so that results of nearly one size share them."""
    step = max(_PAGE, (1 << (nbytes - 1).bit_length()) >> 4)
    size = (nbytes + step - 1) // step * step
    if len(_classes) > _MOST_CLASSES:
        _classes.clear()
    found = _classes[nbytes] = (size, _kept.setdefault(size, []))
    return found


def _make(size: int) -> mmap.mmap:
    """A block that nobody has had before."""
    global _reserved, _reserved_peak, _made
    if _reserved + size > LIMIT:
        release()  # blocks of sizes that are not asked for any more would be in the way
    if hasattr(mmap, "MAP_PRIVATE"):
        block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    else:
        block = mmap.mmap(-1, size)
    if size >= _HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            block.madvise(mmap.MADV_HUGEPAGE)
    with _lock:
        _reserved += size
        _reserved_peak = max(_reserved_peak, _reserved)
        _made += 1
    return block


def empty(n: int, dtype: np.dtype) -> np.ndarray:
    """An array of n elements with whatever the memory held."""
    nbytes = n * dtype.itemsize
    if nbytes < SMALLEST or nbytes > LIMIT:
        return _np_empty(n, dtype)
    size, kept = _classes.get(nbytes) or _class_of(nbytes)
    try:
        block = kept.pop()
    except IndexError:
        try:
            block = _make(size)
        except (OSError, ValueError):
            return _np_empty(n, dtype)  # which says what is missing
    return _ndarray((n,), dtype, Lent((size,), _bytes, block))


def release() -> None:
    """Give all blocks that nobody uses back to the system."""
    global _reserved
    dropped = 0
    for size, kept in list(_kept.items()):
        while kept:
            try:
                kept.pop()
            except IndexError:
                break
            dropped += size
    with _lock:
        _reserved -= dropped


def statistics() -> dict[str, int]:
    """Bytes in blocks: "lent", "kept", "reserved" (both together), its peak; and the number of blocks ever made."""
    kept = sum(size * len(blocks) for size, blocks in list(_kept.items()))
    return {
        "lent": _reserved - kept,
        "kept": kept,
        "reserved": _reserved,
        "reserved peak": _reserved_peak,
        "blocks made": _made,
    }


def reset_peak() -> None:
    """Count the peak from here on."""
    global _reserved_peak
    _reserved_peak = _reserved


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed, for results below SMALLEST and for what kernels allocate.

    By itself it gives the end of its heap back as soon as that is twice the largest block freed so far, so a training step
    of 1 MB tensors pays for its pages every time: a fifth of a char-LSTM's. Whoever has set this by the environment has
    the last word; other C libraries have no mallopt, or ignore it.
    """
    if any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")):
        return
    if os.name != "posix":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_OF_MALLOC)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BY_MALLOC)


_keep_freed_memory()


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
