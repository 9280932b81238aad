"""Distances of order p between the rows of two matrices a (n, m) and b (k, m), and their gradients.

    d[i, j] = (sum over c of |a[i, c] - b[j, c]|**p) ** (1 / p),    p > 0;  p = inf: the greatest |a[i, c] - b[j, c]|

    ga[i, c] = sum over j of g[i, j] * s * (|e| / d[i, j])**(p - 1),    e = a[i, c] - b[j, c],  s = sign(e)

where a pair at distance 0 gives nothing, and for p = inf s stands wherever |e| = d. No array of n k m differences is
made. Loops run along j, over b turned to (m, k), or along c, where that does not pay (`_along_rows`, and NARROW).
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..math import pow
from ..pieces import piece
from .lanes import lane_add, lane_max
from .spread import spread

# Below two vectors of float32 what is left behind the last whole vector of a pair of rows costs more than the pair.
NARROW = 32
# Along j the terms of a sum are added one after the other, in fours: up to so many, for accuracy.
LONG = 1024
# Turning b costs what about so many rows of a cost.
FEW = 8
# Rows b[j] that are swept for one a[i] before the next columns, where loops run along j: 4 KiB of float32 for their
# distances and as much for each of the columns, first-level cache.
BLOCK = 1024


@jit(bare=True)
def pair_distance(v, w, p):
    """The distance of two rows of the same length."""
    total = v.dtype.type(0)
    if p == 2.0:
        for c in range(len(v)):
            e = v[c] - w[c]
            total = lane_add(total, e * e)
        return np.sqrt(total)
    if p == 1.0:
        for c in range(len(v)):
            total = lane_add(total, abs(v[c] - w[c]))
        return total
    if p == np.inf:
        for c in range(len(v)):
            total = lane_max(total, abs(v[c] - w[c]))
        return total
    power = v.dtype.type(p)
    for c in range(len(v)):
        total = lane_add(total, pow(abs(v[c] - w[c]), power))
    return pow(total, v.dtype.type(1 / p))


@jit(bare=True)
def distances_along(v, turned, k, first, p, out):
    """out[j] = the distance of v from b[first + j], j < len(out), along j; turned: (m, k), b's columns as rows."""
    for lo in range(0, len(out), BLOCK):
        y = piece(out, lo, min(BLOCK, len(out) - lo))
        y[:] = 0
        fours = len(v) // 4 * 4 if p == 2.0 or p == 1.0 else 0
        for c in range(0, fours, 4):
            at = c * k + first + lo
            w0, w1 = piece(turned, at, len(y)), piece(turned, at + k, len(y))
            w2, w3 = piece(turned, at + 2 * k, len(y)), piece(turned, at + 3 * k, len(y))
            x0, x1, x2, x3 = v[c], v[c + 1], v[c + 2], v[c + 3]
            if p == 2.0:
                for j in range(len(y)):
                    e0, e1, e2, e3 = x0 - w0[j], x1 - w1[j], x2 - w2[j], x3 - w3[j]
                    y[j] += (e0 * e0 + e1 * e1) + (e2 * e2 + e3 * e3)
            else:
                for j in range(len(y)):
                    e0, e1, e2, e3 = x0 - w0[j], x1 - w1[j], x2 - w2[j], x3 - w3[j]
                    y[j] += (abs(e0) + abs(e1)) + (abs(e2) + abs(e3))
        for c in range(fours, len(v)):
            x, w = v[c], piece(turned, c * k + first + lo, len(y))
            if p == 2.0:
                for j in range(len(y)):
                    e = x - w[j]
                    y[j] += e * e
            elif p == 1.0:
                for j in range(len(y)):
                    y[j] += abs(x - w[j])
            elif p == np.inf:
                for j in range(len(y)):
                    y[j] = lane_max(y[j], abs(x - w[j]))
            else:
                power = v.dtype.type(p)
                for j in range(len(y)):
                    y[j] += pow(abs(x - w[j]), power)
        if p == 2.0:
            for j in range(len(y)):
                y[j] = np.sqrt(y[j])
        elif p != 1.0 and p != np.inf:
            power = v.dtype.type(1 / p)
            for j in range(len(y)):
                y[j] = pow(y[j], power)


@jit(bare=True)
def distances_of_row(r, a, b, n, k, m, p, pairs, turned, out):
    """Row r of all batches: out[r, :] from the b of its batch, or with `pairs` only those behind its own place.

    b: (batches, k, m), or (batches, m, k) if turned.
    """
    batch, i = r // n, r % n
    first = i + 1 if pairs else 0
    at = i * (2 * n - i - 1) // 2 if pairs else r * k
    v, y = piece(a, r * m, m), piece(out, at, k - first)
    if turned:
        distances_along(v, piece(b, batch * k * m, k * m), k, first, p, y)
    else:
        for j in range(first, k):
            y[j - first] = pair_distance(v, piece(b, (batch * k + j) * m, m), p)


@jit(bare=True)
def pair_weights(g, d, p, out):
    """out[j] = g[j] / d[j]**(p - 1), what a pair's gradient has in common; 0 at distance 0."""
    zero = g.dtype.type(0)
    if p == 1.0 or p == np.inf:
        for j in range(len(g)):
            out[j] = g[j]
    elif p == 2.0:
        for j in range(len(g)):
            out[j] = zero if d[j] == zero else g[j] / d[j]
    else:
        power = g.dtype.type(p - 1)
        for j in range(len(g)):
            out[j] = zero if d[j] == zero else g[j] / pow(d[j], power)


@jit(bare=True)
def slope(e, d, p, zero, one, power):
    """sign(e) * |e|**(p - 1); for p = inf sign(e) where |e| = d. zero, one and power = p - 1 have the dtype of e."""
    sign = one if e > zero else (-one if e < zero else e)
    if p == 1.0:
        return sign
    if p == 2.0:
        return e
    if p == np.inf:
        return sign if abs(e) == d or e != e else zero
    return zero if e == zero else sign * pow(abs(e), power)


@jit(inline=True, bare=True)
def add_slopes(v, w, weight, d, p, y):
    """y[c] += weight * slope(v[c] - w[c])."""
    zero, one, power = v.dtype.type(0), v.dtype.type(1), v.dtype.type(p - 1)
    for c in range(len(y)):
        y[c] += weight * slope(v[c] - w[c], d, p, zero, one, power)


@jit(inline=True, bare=True)
def sum_slopes(x, w, weights, d, p):
    """sum over j of weights[j] * slope(x - w[j])."""
    zero, one, power = w.dtype.type(0), w.dtype.type(1), w.dtype.type(p - 1)
    total = zero
    for j in range(len(w)):
        total = lane_add(total, weights[j] * slope(x - w[j], d[j], p, zero, one, power))
    return total


@jit(bare=True)
def gradient_of_row(r, grad, distance, a, b, n, k, m, p, weights, out):
    """out[r, :] (m,) of row r of a in all batches; grad, distance, weights (left behind): (batches, n, k)."""
    batch = r // n
    g, d, scale = piece(grad, r * k, k), piece(distance, r * k, k), piece(weights, r * k, k)
    v, y = piece(a, r * m, m), piece(out, r * m, m)
    pair_weights(g, d, p, scale)
    if m < NARROW:
        for c in range(m):
            w = piece(b, (batch * m + c) * k, k)
            if p == 2.0:
                y[c] = sum_slopes(v[c], w, scale, d, 2.0)
            elif p == 1.0:
                y[c] = sum_slopes(v[c], w, scale, d, 1.0)
            else:
                y[c] = sum_slopes(v[c], w, scale, d, p)
        return
    y[:] = 0
    fours = k // 4 * 4 if p == 2.0 else 0
    for j in range(0, fours, 4):
        at = (batch * k + j) * m
        w0, w1, w2, w3 = piece(b, at, m), piece(b, at + m, m), piece(b, at + 2 * m, m), piece(b, at + 3 * m, m)
        s0, s1, s2, s3 = scale[j], scale[j + 1], scale[j + 2], scale[j + 3]
        for c in range(m):
            x = v[c]
            y[c] += (s0 * (x - w0[c]) + s1 * (x - w1[c])) + (s2 * (x - w2[c]) + s3 * (x - w3[c]))
    for j in range(fours, k):
        w = piece(b, (batch * k + j) * m, m)
        if p == 2.0:
            add_slopes(v, w, scale[j], d[j], 2.0, y)
        elif p == 1.0:
            add_slopes(v, w, scale[j], d[j], 1.0, y)
        else:
            add_slopes(v, w, scale[j], d[j], p, y)


@jit(bare=True)
def square_of_pairs(values, n, out):
    """out (n, n), symmetric with zeros on its diagonal, from values (n (n - 1) / 2,) of the pairs i < j."""
    at = 0
    for i in range(n):
        out[i * n + i] = 0
        for j in range(i + 1, n):
            out[i * n + j] = values[at]
            out[j * n + i] = values[at]
            at += 1


_distances, _gradients = spread(distances_of_row, bare=True), spread(gradient_of_row, bare=True)


def _along_rows(n: int, m: int) -> bool:
    """Whether distances from n rows of m elements take b's rows as they lie."""
    return m > LONG or n < FEW and m >= NARROW


def _turned(b, batches: int, k: int, m: int):
    """b (batches, k, m) as (batches, m, k)."""
    return np.ascontiguousarray(b.reshape(batches, k, m).transpose(0, 2, 1)).reshape(-1)


def distances(a, b, batches, n, k, m, p, out):
    """a: (batches, n, m), b: (batches, k, m) -> out: (batches, n, k); n, k and m at least 1, p > 0."""
    turned = not _along_rows(n, m)
    b = _turned(b, batches, k, m) if turned else b
    _distances(batches * n * k * m, batches * n, a, b, n, k, m, p, False, turned, out)


def distances_of_pairs(a, n, m, p, out):
    """a: (n, m) -> out: (n (n - 1) / 2,), of the pairs i < j in order."""
    turned = not _along_rows(n, m)
    b = _turned(a, 1, n, m) if turned else a
    _distances(n * n * m // 2, n, a, b, n, n, m, p, True, turned, out)


def distances_gradient(grad, distance, a, b, batches, n, k, m, p, out):
    """out (batches, n, m), the gradient of a: (batches, n, m); grad, distance: (batches, n, k)."""
    b = _turned(b, batches, k, m) if m < NARROW else b
    weights = np.empty(grad.size, grad.dtype)
    _gradients(batches * n * k * m, batches * n, grad, distance, a, b, n, k, m, p, weights, out)


def pairs_gradient(grad, distance, a, n, m, p, out):
    """out (n, m), the gradient of a: (n, m); grad, distance: (n (n - 1) / 2,)."""
    square_grad, square_distance = np.empty(n * n, a.dtype), np.empty(n * n, a.dtype)
    square_of_pairs(grad, n, square_grad)
    square_of_pairs(distance, n, square_distance)
    distances_gradient(square_grad, square_distance, a, a, 1, n, n, m, p, out)
