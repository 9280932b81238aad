"""Optimiser steps: one call for all parameters, everything that reads or writes a parameter's buffers in one pass.

The parameters are rows of a table that `enter` fills: the addresses of five buffers (the parameter, its gradient and up
to three of state, each flat and of one dtype, float32 or float64) and a length. What all rows share comes in `shared`,
what is a row's own in three numbers of `own`, both float64 and rounded to the dtype once, as torch rounds them; each
element then goes through torch's operations in torch's order. Without decay the parameter has no part in its gradient:
0 times an infinite one would be nan.

Rows are worked through in blocks of BLOCK elements: within a block the loops are short enough in arrays that LLVM's
run-time checks for overlap stay below its limit (so each is vectorised), and the block's arrays stay in L1 from one loop
to the next (5 arrays of 1024 float32 are 20 KiB). The threads share the blocks of all rows, so that many parameters of
middling size keep them as busy as a few large ones.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..addresses import address, array_at
from ..compiler import jit
from .lanes import lane_add, lane_max

BLOCK = 1024

#: Elements of all rows from which a parallel launch pays for itself: below, they fit in the caches of one core.
PARALLEL_THRESHOLD = 131072

#: Pieces that the threads are handed, each a run of blocks.
CHUNKS = 16

COLUMNS = 6  # of a row: five addresses and the length
OWN = 3  # numbers of its own


@jit
def enter(table, row, param, grad, first, second, third):
    """Write a row: False if there is no room or the lengths differ (an empty state is one that is not needed)."""
    n = param.size
    if grad.size != n or first.size not in (0, n) or second.size not in (0, n) or third.size not in (0, n):
        return False
    at = row * COLUMNS
    if at < 0 or at + COLUMNS > table.size:
        return False
    table[at], table[at + 1] = address(param), address(grad)
    table[at + 2] = address(first) if first.size else 0
    table[at + 3] = address(second) if second.size else 0
    table[at + 4] = address(third) if third.size else 0
    table[at + 5] = n
    return True


def over_rows(block):
    """(serial, parallel) kernels that step all rows of a table: block(p, g, a, b, c, shared, own, work), for arrays of
    at most BLOCK elements and work of two blocks. `like` is any array of the dtype."""

    @jit(nogil=True)
    def some_blocks(first, last, rows, table, own, shared, like):
        work = np.empty(2 * BLOCK, like.dtype)
        begin = 0  # the first block of the row
        for row in range(rows):
            at = row * COLUMNS
            n = table[at + 5]
            end = begin + (n + BLOCK - 1) // BLOCK
            for b in range(max(begin, first), min(end, last)):
                lo = (b - begin) * BLOCK
                count = min(BLOCK, n - lo)
                block(
                    array_at(table[at], lo, count, like),
                    array_at(table[at + 1], lo, count, like),
                    array_at(table[at + 2], lo, count, like),
                    array_at(table[at + 3], lo, count, like),
                    array_at(table[at + 4], lo, count, like),
                    shared,
                    own[row * OWN : (row + 1) * OWN],
                    work,
                )
            begin = end
            if begin >= last:
                return

    @jit(parallel=True)
    def all_blocks(blocks, rows, table, own, shared, like):
        for i in prange(CHUNKS):
            some_blocks(i * blocks // CHUNKS, (i + 1) * blocks // CHUNKS, rows, table, own, shared, like)

    return some_blocks, all_blocks


@jit(bare=True)
def _sgd_block(p, g, b, second, third, shared, own, work):
    """d = sign g + weight_decay p; b = momentum b + (1 - dampening) d (d at first); p -= lr (b or d + momentum b)."""
    lr, momentum, dampening, weight_decay, sign = shared[0], shared[1], shared[2], shared[3], shared[4]
    nesterov, first = shared[5] != 0.0, own[0] != 0.0
    scalar = p.dtype.type
    step, mu, keep = scalar(-lr), scalar(momentum), scalar(1.0 - dampening)
    decay, s = scalar(weight_decay), scalar(sign)
    decays, zero = weight_decay != 0.0, scalar(0)
    n = p.size
    if momentum == 0.0:
        if weight_decay == 0.0:
            for i in range(n):
                p[i] += step * (s * g[i])
        else:
            for i in range(n):
                p[i] += step * (s * g[i] + decay * p[i])
        return
    if first:
        for i in range(n):
            d = s * g[i] + decay * (p[i] if decays else zero)
            b[i] = d
            p[i] += step * (d + mu * d if nesterov else d)
        return
    for i in range(n):
        d = s * g[i] + decay * (p[i] if decays else zero)
        moved = mu * b[i] + keep * d
        b[i] = moved
        p[i] += step * (d + mu * moved if nesterov else moved)


#: Stochastic gradient descent with momentum. Shared: lr, momentum, dampening, weight_decay, sign (-1 to maximise),
#: nesterov; own: 1 at the first step with momentum. State: the momentum buffer.
SGD = over_rows(_sgd_block)


@jit(bare=True)
def _lerp(a, b, w):
    """a + w (b - a), from the nearer end as torch has it."""
    if w < a.dtype.type(0.5):
        for i in range(a.size):
            a[i] += w * (b[i] - a[i])
    else:
        rest = a.dtype.type(1) - w
        for i in range(a.size):
            a[i] = b[i] - rest * (b[i] - a[i])


@jit(bare=True)
def _adam_block(p, g, m, v, largest, shared, own, work):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p -= step_size m / (sqrt(v) / correction + eps).

    Before that p *= shrink (decoupled decay) and g = sign grad + l2 p.
    """
    shrink, l2, sign, beta1, beta2, eps = shared[0], shared[1], shared[2], shared[3], shared[4], shared[5]
    step_size, correction = own[0], own[1]
    scalar = p.dtype.type
    n = p.size
    if shrink != 1.0:
        factor = scalar(shrink)
        for i in range(n):
            p[i] *= factor
    if sign != 1.0 or l2 != 0.0:
        s, decay, zero = scalar(sign), scalar(l2), scalar(0)
        d = work[:n]
        for i in range(n):
            d[i] = s * g[i] + decay * (p[i] if l2 != 0.0 else zero)
        g = d
    b1, b2, c2 = scalar(1.0 - beta1), scalar(beta2), scalar(1.0 - beta2)
    move, root, e = scalar(-step_size), scalar(correction), scalar(eps)
    if not largest.size and b1 < scalar(0.5):
        # One loop, so that all four arrays arrive from memory while the square roots are under way.
        for i in range(n):
            d = g[i]
            mean = m[i] + b1 * (d - m[i])
            square = b2 * v[i] + c2 * d * d
            m[i] = mean
            v[i] = square
            p[i] += move * mean / (np.sqrt(square) / root + e)
        return
    _lerp(m, g, b1)
    for i in range(n):
        v[i] = b2 * v[i] + c2 * g[i] * g[i]
    if largest.size:
        for i in range(n):
            largest[i] = largest[i] if v[i] <= largest[i] else v[i]  # nan if v is
        v = largest
    for i in range(n):
        p[i] += move * m[i] / (np.sqrt(v[i]) / root + e)


#: Adam (l2) and AdamW (shrink). Shared: shrink, l2, sign, beta1, beta2, eps; own: step_size, correction. State: the
#: means of the gradient and of its square, and of amsgrad the largest mean so far.
ADAM = over_rows(_adam_block)


@jit(bare=True)
def _rmsprop_block(p, g, v, average, buf, shared, own, work):
    """v = alpha v + (1 - alpha) g^2; d = g / (sqrt(v - a^2) + eps); p -= lr (momentum b + d).

    a is the average of g, or 0 unless centred.
    """
    lr, alpha, eps, weight_decay, sign, momentum = shared[0], shared[1], shared[2], shared[3], shared[4], shared[5]
    scalar = p.dtype.type
    n = p.size
    if sign != 1.0 or weight_decay != 0.0:
        s, decay, zero = scalar(sign), scalar(weight_decay), scalar(0)
        d = work[:n]
        for i in range(n):
            d[i] = s * g[i] + decay * (p[i] if weight_decay != 0.0 else zero)
        g = d
    keep, take, e = scalar(alpha), scalar(1.0 - alpha), scalar(eps)
    for i in range(n):
        v[i] = keep * v[i] + take * g[i] * g[i]
    denominator = work[BLOCK : BLOCK + n]
    if average.size:
        _lerp(average, g, take)
        for i in range(n):
            denominator[i] = np.sqrt(v[i] - average[i] * average[i]) + e
    else:
        for i in range(n):
            denominator[i] = np.sqrt(v[i]) + e
    step = scalar(-lr)
    if momentum > 0.0:
        mu = scalar(momentum)
        for i in range(n):
            buf[i] = mu * buf[i] + g[i] / denominator[i]
            p[i] += step * buf[i]
    else:
        for i in range(n):
            p[i] += step * g[i] / denominator[i]


#: RMSprop. Shared: lr, alpha, eps, weight_decay, sign, momentum. State: the mean of the squares, that of the gradients
#: if centred, the momentum buffer.
RMSPROP = over_rows(_rmsprop_block)


@jit(bare=True)
def _adagrad_block(p, g, v, second, third, shared, own, work):
    """v += g^2; p -= rate g / (sqrt(v) + eps), g = sign grad + weight_decay p."""
    scalar = p.dtype.type
    e, decay, s, step = scalar(shared[0]), scalar(shared[1]), scalar(shared[2]), scalar(-own[0])
    decays, zero = shared[1] != 0.0, scalar(0)
    for i in range(p.size):
        d = s * g[i] + decay * (p[i] if decays else zero)
        v[i] += d * d
        p[i] += step * d / (np.sqrt(v[i]) + e)


#: Adagrad. Shared: eps, weight_decay, sign; own: lr / (1 + (step - 1) lr_decay). State: the sum of the squares.
ADAGRAD = over_rows(_adagrad_block)


@jit(bare=True)
def _decayed(p, g, shrink, l2, sign, work):
    """work = sign g + l2 p; False, and work is as it was, where that is g. Before that p *= shrink (decoupled decay)."""
    n, scalar = p.size, p.dtype.type
    if shrink != 1.0:
        factor = scalar(shrink)
        for i in range(n):
            p[i] *= factor
    if sign == 1.0 and l2 == 0.0:
        return False
    s, decay, zero = scalar(sign), scalar(l2), scalar(0)
    for i in range(n):
        work[i] = s * g[i] + decay * (p[i] if l2 != 0.0 else zero)
    return True


@jit(bare=True)
def _adamax_block(p, g, m, u, third, shared, own, work):
    """m = beta1 m + (1 - beta1) g; u = max(beta2 u, |g| + eps); p -= rate m / u."""
    scalar = p.dtype.type
    if _decayed(p, g, 1.0, shared[0], shared[1], work):
        g = work[: p.size]
    _lerp(m, g, scalar(1.0 - shared[2]))
    b2, e, rate = scalar(shared[3]), scalar(shared[4]), scalar(-own[0])
    for i in range(p.size):
        u[i] = lane_max(b2 * u[i], abs(g[i]) + e)
        p[i] += rate * m[i] / u[i]


#: Adamax. Shared: weight_decay, sign, beta1, beta2, eps; own: lr / (1 - beta1^t). State: the mean, the greatest size.
ADAMAX = over_rows(_adamax_block)


@jit(bare=True)
def _radam_block(p, g, m, v, third, shared, own, work):
    """m and v as Adam's; p -= m / bias lr (root / (sqrt(v) + eps)) rectified, without what follows lr if that is 0."""
    scalar = p.dtype.type
    n = p.size
    if _decayed(p, g, shared[0], shared[1], shared[2], work):
        g = work[: p.size]
    _lerp(m, g, scalar(1.0 - shared[3]))
    b2, c2, e, lr = scalar(shared[4]), scalar(1.0 - shared[4]), scalar(shared[5]), scalar(shared[6])
    for i in range(n):
        v[i] = b2 * v[i] + c2 * g[i] * g[i]
    bias, root, rectified = scalar(own[0]), scalar(own[1]), scalar(own[2])
    if own[2] == 0.0:
        for i in range(n):
            p[i] -= m[i] / bias * lr
    else:
        for i in range(n):
            p[i] -= m[i] / bias * lr * (root / (np.sqrt(v[i]) + e)) * rectified


#: RAdam. Shared: shrink, l2, sign, beta1, beta2, eps, lr; own: 1 - beta1^t, sqrt(1 - beta2^t), the rectification or 0.
#: State: the means of the gradient and of its square.
RADAM = over_rows(_radam_block)


@jit(bare=True)
def _nadam_block(p, g, m, v, third, shared, own, work):
    """m and v as Adam's; d = sqrt(v / bias) + eps; p -= a g / d; p -= b m / d."""
    scalar = p.dtype.type
    n = p.size
    if _decayed(p, g, shared[0], shared[1], shared[2], work):
        g = work[: p.size]
    _lerp(m, g, scalar(1.0 - shared[3]))
    b2, c2, e = scalar(shared[4]), scalar(1.0 - shared[4]), scalar(shared[5])
    bias, a, b = scalar(own[0]), scalar(-own[1]), scalar(-own[2])
    for i in range(n):
        v[i] = b2 * v[i] + c2 * g[i] * g[i]
    for i in range(n):
        d = np.sqrt(v[i] / bias) + e
        p[i] = (p[i] + a * g[i] / d) + b * m[i] / d


#: NAdam. Shared: shrink, l2, sign, beta1, beta2, eps; own: 1 - beta2^t and the rates of gradient and mean. State: the
#: means of the gradient and of its square.
NADAM = over_rows(_nadam_block)


@jit(bare=True)
def _asgd_block(p, g, average, second, third, shared, own, work):
    """p = (1 - lambd rate) p - rate g; average += weight (p - average)."""
    scalar = p.dtype.type
    n = p.size
    if _decayed(p, g, 1.0, shared[0], shared[1], work):
        g = work[: p.size]
    keep, rate, weight = scalar(1.0 - shared[2] * own[0]), scalar(-own[0]), scalar(own[1])
    if own[1] == 1.0:
        for i in range(n):
            p[i] = p[i] * keep + rate * g[i]
            average[i] = p[i]
    else:
        for i in range(n):
            p[i] = p[i] * keep + rate * g[i]
            average[i] += weight * (p[i] - average[i])


#: Averaged SGD. Shared: weight_decay, sign, lambd; own: the rate and the weight of the average. State: the average.
ASGD = over_rows(_asgd_block)


@jit(bare=True)
def _scale_block(p, g, first, second, third, shared, own, work):
    """p *= shared[0], in p's dtype."""
    factor = p.dtype.type(shared[0])
    for i in range(p.size):
        p[i] *= factor


SCALE = over_rows(_scale_block)


@jit(nogil=True)
def some_squares(first, last, rows, table, out, like):
    """out[b] = sum of the squares in block b of all rows' first arrays, for first <= b < last.

    In float64 whatever the arrays are: squares of float32 gradients neither overflow nor vanish there, and reading the
    gradients takes longer than the conversion.
    """
    begin = 0
    for row in range(rows):
        n = table[row * COLUMNS + 5]
        end = begin + (n + BLOCK - 1) // BLOCK
        for b in range(max(begin, first), min(end, last)):
            lo = (b - begin) * BLOCK
            x = array_at(table[row * COLUMNS], lo, min(BLOCK, n - lo), like)
            total = 0.0
            for i in range(x.size):
                value = np.float64(x[i])
                total = lane_add(total, value * value)
            out[b] = total
        begin = end


@jit(parallel=True)
def all_squares(blocks, rows, table, out, like):
    """some_squares for all blocks, on all threads."""
    for i in prange(CHUNKS):
        some_squares(i * blocks // CHUNKS, (i + 1) * blocks // CHUNKS, rows, table, out, like)
