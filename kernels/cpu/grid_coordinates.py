"""The coordinates of grid_sample: from [-1, 1] to pixels, and where those outside of the image go.

ZEROS leaves them, BORDER takes the nearest edge, REFLECTION folds back at the edges (at the centres of the edge pixels with
`align`, else at their outer borders). Loops of few cases each become vectors.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit

ZEROS, BORDER, REFLECTION = 0, 1, 2


@jit(bare=True)
def grid_pixels(grid, at, dims, size, align, c):
    """c[p] = the pixel of grid[at + p * dims] along a dimension of `size`; returns its derivative."""
    real = grid.dtype.type
    one, half = real(1), real(0.5)
    length = real(size - 1) if align else real(size)
    scale = half * length
    if align:
        for p in range(c.size):
            c[p] = (grid[np.uint64(at + p * dims)] + one) * scale
    else:
        for p in range(c.size):
            c[p] = ((grid[np.uint64(at + p * dims)] + one) * length - one) * half
    return scale


@jit(bare=True)
def fold_back(c, size, padding, align):
    """Coordinates after padding, in place."""
    real = c.dtype.type
    zero, half = real(0), real(0.5)
    last = real(size - 1)
    if padding == REFLECTION:
        low = zero if align else -half
        span = last if align else real(size)
        if span <= zero:
            for p in range(c.size):
                c[p] = zero
            return
        for p in range(c.size):
            away = abs(c[p] - low)
            flips = np.floor(away / span)
            extra = away - flips * span
            odd = flips - real(2) * np.floor(flips * half) != zero
            c[p] = span - extra + low if odd else extra + low
    if padding != ZEROS:
        for p in range(c.size):
            v = c[p]
            c[p] = zero if v <= zero else last if v >= last else v


@jit(bare=True)
def fold_slopes(c, slope, size, padding, align):
    """slope[p] = the derivative of fold_back at c[p], before it folds: 1, -1, or 0 beyond an edge."""
    real = c.dtype.type
    one, zero, half = real(1), real(0), real(0.5)
    last = real(size - 1)
    for p in range(c.size):
        slope[p] = one
    if padding == REFLECTION:
        low = zero if align else -half
        span = last if align else real(size)
        if span <= zero:
            for p in range(c.size):
                slope[p] = zero
            return
        for p in range(c.size):
            away = c[p] - low
            turned = away < zero
            away = abs(away)
            flips = np.floor(away / span)
            extra = away - flips * span
            odd = flips - real(2) * np.floor(flips * half) != zero
            to = span - extra + low if odd else extra + low
            slope[p] = zero if (to <= zero) | (to >= last) else one if odd == turned else -one
    elif padding == BORDER:
        for p in range(c.size):
            slope[p] = zero if (c[p] <= zero) | (c[p] >= last) else one
