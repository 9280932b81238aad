"""Where masks are true: the positions, and the elements there."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from numtorch.kernels.cpu import masks as _masks
from numtorch.kernels.cpu.index_expressions import true_places
from numtorch.kernels.cpu.masks import BLOCK

from .._allocator import empty
from . import positions as at

_true_ends = at.compiled_pair(_masks.true_ends, "mi")
_masked_select = at.compiled_pair(_masks.masked_select_block, "xmix")
_true_positions = at.compiled_pair(_masks.true_positions_block, "mix")
_BOOL, _INT64 = np.dtype(np.bool_), np.dtype(np.int64)
_true_places = at.Compiled(true_places, "mii")
_few_coordinates = at.Compiled(_masks.few_coordinates, "xinni")
#: Elements up to which the places that are not zero are written down without having been counted.
FEW = 1024


def true_ends(mask: np.ndarray) -> tuple[int, np.ndarray]:
    """(how many are true, the ends that the kernels of kernels/cpu/masks.py ask for)."""
    ends = np.empty((mask.size + BLOCK - 1) // BLOCK, np.int64)
    return _true_ends[mask.size >= at.PARALLEL_PICKS][_BOOL](mask, ends), ends


@lru_cache(maxsize=1024)
def _sizes(size: tuple[int, ...]) -> np.ndarray:
    return np.array(size, np.int64)


def few_coordinates(flat: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The coordinates of the elements that are not zero, (count, ndim), flat; for up to FEW elements."""
    ndim = len(size)
    out = np.empty(flat.size * ndim, _INT64)
    return out[: _few_coordinates[flat.dtype](flat, _sizes(size), ndim, 1, out) * ndim]


def few_coordinates_apart(flat: np.ndarray, size: tuple[int, ...]) -> list[np.ndarray]:
    """The same as one array a dimension."""
    ndim, n = len(size), flat.size
    out = np.empty(n * ndim, _INT64)
    count = _few_coordinates[flat.dtype](flat, _sizes(size), 1, n, out)
    return [out[d * n : d * n + count] for d in range(ndim)]


def true_positions(mask: np.ndarray) -> np.ndarray:
    """The flat positions of the true elements."""
    if mask.size <= FEW:
        found = np.empty(mask.size, _INT64)
        return found[: _true_places[_INT64](mask, at.NOTHING, found)]
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
