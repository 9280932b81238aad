"""mode: the most frequent of sorted values. (For the k-th smallest see `row_selection`.)"""

from __future__ import annotations

from ..compiler import jit
from .spread import spread


@jit
def mode_row(p, values, indices, n, out_values, out_indices):
    """The most frequent of the sorted values[p, :] (the smallest of equals) and the last index where it
    stood.
    """
    best, best_count = 0, 0
    run = 0
    for i in range(n):
        v = values[p * n + i]
        same = i > 0 and (v == values[p * n + i - 1])
        run = run + 1 if same else 1
        if run > best_count:
            best, best_count = i, run
    out_values[p] = values[p * n + best]
    out_indices[p] = indices[p * n + best]


mode = spread(mode_row)
