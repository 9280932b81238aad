"""LU with partial pivoting, Cholesky, QR and triangular systems over batches of dense row-major matrices.

LU and the triangular systems numpy keeps to itself. Cholesky and QR are for small matrices, where what stands in front
of LAPACK takes longer than the work; they are handed matrices in double precision, as numpy hands them to LAPACK.
All update whole rows, so that the inner loop runs along memory.
"""

from __future__ import annotations

import math

from ..compiler import jit


@jit(nogil=True)
def lu_forward(a, pivots, info, batch, n, m, pivot):
    """A = P L U in place for `batch` matrices (n, m): L below the unit diagonal, U on and above it.

    pivots int32 (batch, min(n, m)), counted from 1: row k was swapped with row pivots[k], one after the other.
    info int32 (batch,): 0, or k + 1 for the first k with U[k, k] = 0.
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


@jit(nogil=True)
def cholesky_forward(a, info, batch, n):
    """A = U^H U in place for `batch` Hermitian matrices (n, n) of which the upper triangle is read; below it zeros.

    info int32 (batch,): 0, or the order of the first leading minor that is not positive; U is zero beyond those before.
    """
    for s in range(batch):
        block = a[s * n * n : (s + 1) * n * n].reshape(n, n)
        info[s] = 0
        for k in range(n):
            pivot = block[k, k].real
            if not pivot > 0:  # nan too
                info[s] = k + 1
                block[:, k:] = 0
                block[k:, :] = 0
                break
            pivot = math.sqrt(pivot)
            block[k, :k] = 0
            block[k, k] = pivot
            row = block[k]
            for j in range(k + 1, n):
                row[j] /= pivot
            for i in range(k + 1, n):
                factor = row[i].conjugate()
                target = block[i, i:]
                source = row[i:]
                for j in range(target.size):
                    target[j] -= factor * source[j]


@jit(nogil=True)
def qr_forward(a, q, dots, batch, n, m):
    """A = Q R for `batch` real matrices (n, m), k = min(n, m), by Householder's reflections with LAPACK's signs.

    a (batch, n, m) receives R in its first k rows, q (batch, n, k) Q; dots (m,) is room to work.
    A reflection is I - tau v v^T with v[0] = 1; v stands below the diagonal of its column until Q is formed from the
    last reflection to the first. A column of zeros below the diagonal is left as it is (tau = 0), whatever its sign.
    """
    k = min(n, m)
    for s in range(batch):
        block = a[s * n * m : (s + 1) * n * m].reshape(n, m)
        basis = q[s * n * k : (s + 1) * n * k].reshape(n, k)
        for c in range(k):
            largest = 0.0
            for i in range(c + 1, n):
                largest = max(largest, abs(block[i, c]))
            basis[c, c] = 0.0  # tau, until its turn comes
            if largest == 0.0:
                continue
            largest = max(largest, abs(block[c, c]))
            total = 0.0
            for i in range(c, n):
                part = block[i, c] / largest
                total += part * part
            alpha = block[c, c]
            beta = -math.copysign(largest * math.sqrt(total), alpha)
            tau = (beta - alpha) / beta
            block[c, c] = beta
            for i in range(c + 1, n):
                block[i, c] /= alpha - beta
            basis[c, c] = tau
            _reflect(block, block, c, c + 1, tau, dots[:m])
        for c in range(k - 1, -1, -1):
            tau = basis[c, c]
            basis[:c, c] = 0.0
            basis[c, c] = 1.0
            basis[c + 1 :, c] = 0.0
            basis[c, c + 1 :] = 0.0
            _reflect(block, basis, c, c, tau, dots[:k])
        for i in range(1, k):
            block[i, : min(i, m)] = 0.0


@jit
def _reflect(block, target, c, first, tau, dots):
    """target[c:, first:] -= tau v (v^T target[c:, first:]), v = (1, block[c + 1 :, c])."""
    if tau == 0.0:
        return
    head, w = target[c, first:], dots[first:]
    for j in range(w.size):
        w[j] = head[j]
    for i in range(c + 1, len(target)):
        factor, row = block[i, c], target[i, first:]
        for j in range(w.size):
            w[j] += factor * row[j]
    for j in range(w.size):
        w[j] *= tau
        head[j] -= w[j]
    for i in range(c + 1, len(target)):
        factor, row = block[i, c], target[i, first:]
        for j in range(w.size):
            row[j] -= factor * w[j]
