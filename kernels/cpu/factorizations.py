"""LU with partial pivoting and triangular systems over batches of dense row-major matrices.

Where numpy hands on LAPACK there is nothing to write; these two it keeps to itself.
"""

from __future__ import annotations

from ..compiler import jit


@jit(nogil=True)
def lu_forward(a, pivots, info, batch, n, m, pivot):
    """A = P L U in place for `batch` matrices (n, m): L below the unit diagonal, U on and above it.

    pivots int32 (batch, min(n, m)), counted from 1: row k was swapped with row pivots[k], one after the other.
    info int32 (batch,): 0, or k + 1 for the first k with U[k, k] = 0. Rows are updated whole, so that the inner
    loop runs along memory.
    """
    for s in range(batch):
        block = a[s * n * m : (s + 1) * n * m].reshape(n, m)
        info[s] = 0
        for k in range(min(n, m)):
            best = k
            if pivot:
                largest = abs(block[k, k].real) + abs(block[k, k].imag)
                for i in range(k + 1, n):
                    size = abs(block[i, k].real) + abs(block[i, k].imag)
                    if size > largest:
                        largest = size
                        best = i
            pivots[s * min(n, m) + k] = best + 1
            if best != k:
                for j in range(m):
                    swapped = block[k, j]
                    block[k, j] = block[best, j]
                    block[best, j] = swapped
            if block[k, k] == 0:
                if info[s] == 0:
                    info[s] = k + 1
                continue
            row = block[k, k + 1 :]
            for i in range(k + 1, n):
                factor = block[i, k] / block[k, k]
                block[i, k] = factor
                target = block[i, k + 1 :]
                for j in range(row.size):
                    target[j] -= factor * row[j]


@jit(nogil=True)
def solve_triangular_forward(a, x, batch, n, m, upper, unit):
    """x = A^-1 x in place: A (batch, n, n) triangular, x (batch, n, m); the other triangle of A is not read."""
    for s in range(batch):
        block = a[s * n * n : (s + 1) * n * n].reshape(n, n)
        rows = x[s * n * m : (s + 1) * n * m].reshape(n, m)
        for step in range(n):
            i = n - 1 - step if upper else step
            target = rows[i]
            for k in range(i + 1 if upper else 0, n if upper else i):
                factor = block[i, k]
                row = rows[k]
                for j in range(m):
                    target[j] -= factor * row[j]
            if not unit:
                for j in range(m):
                    target[j] /= block[i, i]
