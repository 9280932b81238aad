"""mode: the most frequent of sorted values. (For the k-th smallest see `row_selection`.)"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece

#: Elements of the rows that one task takes: 20 us of work.
TASK = 1 << 13


@jit(parallel=True)
def mode_rows(values, indices, rows, n, out_values, out_indices):
    """The most frequent of each row of the sorted values (rows, n), the smallest of equals, and the last index where it
    stood.

    Whether a run goes on is as hard to guess as a coin toss: it is computed, not branched on."""
    chunk = max(TASK // n, 1)
    for task in prange((rows + chunk - 1) // chunk):
        for r in range(task * chunk, min((task + 1) * chunk, rows)):
            row = piece(values, r * n, n)
            best, longest, run = np.int64(0), np.int64(1), np.int64(1)
            for i in range(1, n):
                run = run * np.int64(row[np.uint64(i)] == row[np.uint64(i - 1)]) + 1
                longer = run > longest
                best = i if longer else best
                longest = run if longer else longest
            out_values[r] = row[np.uint64(best)]
            out_indices[r] = indices[r * n + best]
