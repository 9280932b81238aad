"""Running log-sum-exps of rows: y[i] = log(exp(x[0]) + ... + exp(x[i])).

One step at a time this is an exp and a log in a chain, 50 ns an element. Here a span of elements is scaled by its
greatest, exp(x - top) and top + log(sum) are taken by vectors, and only an addition is left in the chain. In float64 that
costs no accuracy as long as the span's elements lie close together; where they do not, or one is infinite or nan, the span
goes step by step (`scans.log_add_exp`).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..math import exp, log
from ..pieces import piece
from .lanes import lane_max, lane_min
from .scans import LOGCUMSUMEXP, log_add_exp

#: Elements of a span: enough for vectors, few enough that most spans are close.
SPAN = 64
#: How far apart a span's elements may lie. top + log(sum) loses what log(sum) is larger than the result by, at most 32
#: of its own rounding errors.
CLOSE = 32.0
#: Elements of the rows that one task takes, some 20 us.
TASK = 1 << 13


@jit(bare=True)
def _log_sum_row(x, first, by, n, work, out):
    """out[first + i * by] for i < n, by 1 or -1."""
    carried = -np.inf
    for start in range(0, n, SPAN):
        count = min(SPAN, n - start)
        at = first + start * by
        top, low = -np.inf, np.inf
        finite = True
        for i in range(count):
            work[i] = np.float64(x[np.uint64(at + i * by)])
        for i in range(count):
            finite &= abs(work[i]) < np.inf
        for i in range(count):
            top, low = lane_max(top, work[i]), lane_min(low, work[i])
        if finite and top - low <= CLOSE and carried < np.inf:
            top = max(top, carried)
            total = np.exp(carried - top)
            for i in range(count):
                work[i] = exp(work[i] - top)
            for i in range(count):
                total += work[i]
                work[i] = total
            for i in range(count):
                work[i] = top + log(work[i])
            carried = work[count - 1]
        else:
            for i in range(count):
                carried = work[i] if start + i == 0 else log_add_exp(carried, work[i])
                work[i] = carried
        for i in range(count):
            out[np.uint64(at + i * by)] = work[i]


@jit(parallel=True)
def log_sum_rows(x, rows, n, reverse, out):
    """The running log-sum-exps of rows (rows, n), from their ends with `reverse`."""
    chunk = max(TASK // n, 1)
    for task in prange((rows + chunk - 1) // chunk):
        work = np.empty(SPAN, np.float64)
        for r in range(task * chunk, min((task + 1) * chunk, rows)):
            row, to = piece(x, r * n, n), piece(out, r * n, n)
            _log_sum_row(row, n - 1 if reverse else 0, -1 if reverse else 1, n, work, to)


def log_cumulative(x, outer, n, inner, out, reverse=False):
    """Along the middle dim of a contiguous (outer, n, inner)."""
    if inner == 1:
        log_sum_rows(x, outer, n, reverse, out)
    else:
        LOGCUMSUMEXP(x, outer, n, inner, out, reverse)
