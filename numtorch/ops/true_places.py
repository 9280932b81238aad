"""Where masks are true: the positions, and the elements there."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cpu import masks as _masks
from numtorch.kernels.cpu.masks import BLOCK

from .._allocator import empty
from . import positions as at

_true_ends = at.compiled_pair(_masks.true_ends, "mi")
_masked_select = at.compiled_pair(_masks.masked_select_block, "xmix")
_true_positions = at.compiled_pair(_masks.true_positions_block, "mix")
_BOOL, _INT64 = np.dtype(np.bool_), np.dtype(np.int64)
#: Elements up to which the places that are not zero are found by numpy, whose call costs less than that of a kernel.
FEW = 1024


def true_ends(mask: np.ndarray) -> tuple[int, np.ndarray]:
    """(how many are true, the ends that the kernels of kernels/cpu/masks.py ask for)."""
    ends = np.empty((mask.size + BLOCK - 1) // BLOCK, np.int64)
    return _true_ends[mask.size >= at.PARALLEL_PICKS][_BOOL](mask, ends), ends


def true_positions(mask: np.ndarray) -> np.ndarray:
    """The flat positions of the true elements."""
    if mask.size <= FEW:
        return mask.nonzero()[0]
    count, ends = true_ends(mask)
    found = empty(count, _INT64)
    _true_positions[mask.size >= at.PARALLEL_PICKS][_INT64](mask, ends, found)
    return found


def selected(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The elements of a flat array where the mask is true."""
    count, ends = true_ends(mask)
    out = empty(count, source.dtype)
    source, to = at.as_moved(source), at.as_moved(out)
    _masked_select[mask.size >= at.PARALLEL_PICKS][to.dtype](source, mask, ends, to)
    return out
