"""median, kthvalue and mode: the k-th smallest without sorting, and the most frequent of sorted values."""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from .spread import spread


@jit
def precedes(a, b):
    """a < b in the order where nan is greater than every number."""
    return a < b or (b != b and a == a)


@jit
def select(values, indices, k):
    """Reorder values and indices so that the k-th smallest (from 0) stands at k; quickselect, middle of
    three.
    """
    lo, hi = 0, len(values) - 1
    while lo < hi:
        mid = (lo + hi) // 2
        if precedes(values[mid], values[lo]):
            values[lo], values[mid] = values[mid], values[lo]
            indices[lo], indices[mid] = indices[mid], indices[lo]
        if precedes(values[hi], values[lo]):
            values[lo], values[hi] = values[hi], values[lo]
            indices[lo], indices[hi] = indices[hi], indices[lo]
        if precedes(values[hi], values[mid]):
            values[mid], values[hi] = values[hi], values[mid]
            indices[mid], indices[hi] = indices[hi], indices[mid]
        pivot = values[mid]
        i, j = lo, hi
        while i <= j:
            while precedes(values[i], pivot):
                i += 1
            while precedes(pivot, values[j]):
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                indices[i], indices[j] = indices[j], indices[i]
                i += 1
                j -= 1
        if k <= j:
            hi = j
        elif k >= i:
            lo = i
        else:
            return


@jit
def kth_value_row(p, x, n, k, values, indices):
    """values[p], indices[p] = the k-th smallest of x[p, :], k from 1."""
    v = x[p * n : p * n + n].copy()
    at = np.arange(n)
    select(v, at, k - 1)
    values[p] = v[k - 1]
    indices[p] = at[k - 1]


@jit
def median_row(p, x, n, skip_nan, values, indices):
    """The lower of the two middle values; a nan (the first) wins unless skip_nan, when nans do not count."""
    v = x[p * n : p * n + n].copy()
    nans = 0
    first_nan = 0
    for i in range(n):
        if v[i] != v[i]:
            if nans == 0:
                first_nan = i
            nans += 1
    if nans == n or (nans > 0 and not skip_nan):
        values[p] = v[first_nan]
        indices[p] = first_nan
        return
    at = np.arange(n)
    k = (n - nans - 1) // 2
    select(v, at, k)
    values[p] = v[k]
    indices[p] = at[k]


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


kth_value = spread(kth_value_row)
median = spread(median_row)
mode = spread(mode_row)
