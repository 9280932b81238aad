"""Few elements copied in one call: x[1:3, ::2] = v, the gradients of such views, repeated rows."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from numtorch.kernels.cpu import index_expressions as _kernels

from .._compiled import Compiled
from .._tensor import Tensor
from .positions import MOVED_ITSELF, PARALLEL_PICKS, moved_as

_block_fill = Compiled(_kernels.block_fill, "xnnnnnnnv")
_block_copy = Compiled(_kernels.block_copy, "xnnnnnnnxnnnn")
#: Elements from which rows are repeated by the copy that shares its work among threads.
_MOST_REPEATED = 1 << 18


@lru_cache(maxsize=4096)
def _levels(size: tuple[int, ...], stride: tuple[int, ...], given: tuple[int, ...]):
    """(three levels of (elements, step) as one tuple, the steps of what is read along them) of a block of `size`, written
    with the steps `stride` and read with those `given`; None for blocks of more levels, or too many elements."""
    if prod(size) >= PARALLEL_PICKS:
        return None
    levels: list[tuple[int, int, int]] = []
    for n, a, b in zip(size, stride, given, strict=True):
        if levels and levels[-1][1] == a * n and levels[-1][2] == b * n:
            levels[-1] = levels[-1][0] * n, a, b
        elif n != 1:
            levels.append((n, a, b))
    if len(levels) > 3:
        return None
    levels = [(1, 0, 0)] * (3 - len(levels)) + levels
    return tuple([part for n, a, _ in levels for part in (n, a)]), tuple([b for _, _, b in levels])


def block_filled(target: np.ndarray, start: int, size, stride, number) -> bool:
    """Writes a number to the block of a buffer that begins at `start`. False, and nothing has happened, for large ones."""
    levels = _levels(size, stride, stride)
    if levels is None:
        return False
    _block_fill[target.dtype](target, start, *levels[0], number)
    return True


def block_copied(target: np.ndarray, start: int, size, stride, value: Tensor) -> bool:
    """The same with the elements of a tensor of this size and of the buffer's dtype, in other memory."""
    levels = _levels(size, stride, value._stride)
    if levels is None:
        return False
    source, at = value._flat, 0
    if source is None:
        source, at = value._buffer(), value._offset
    d = target.dtype
    if d.type not in MOVED_ITSELF:
        d = moved_as(d)
        target, source = target.view(d), source.view(d)
    _block_copy[d](target, start, *levels[0], source, at, *levels[1])
    return True


def rows_repeated(source: np.ndarray, width: int, repeats: int) -> np.ndarray | None:
    """Each row of `width` elements of a flat array as often as that; None for many elements."""
    numel = source.size * repeats
    if numel >= _MOST_REPEATED:
        return None
    out = to = np.empty(numel, source.dtype)
    d = source.dtype
    if d.type not in MOVED_ITSELF:
        d = moved_as(d)
        source, to = source.view(d), out.view(d)
    rows = source.size // width
    if width == 1:  # the inner loop runs over the rows, of which there are more than repeats
        _block_copy[d](to, 0, 1, 0, repeats, 1, rows, repeats, source, 0, 0, 0, 1)
    else:
        _block_copy[d](to, 0, rows, repeats * width, repeats, width, width, 1, source, 0, width, 0, 1)
    return out
