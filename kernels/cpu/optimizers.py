"""One optimiser step for one parameter: everything that reads or writes its buffers, in one pass.

All buffers are flat and of one length and dtype (float32 or float64); a state that an option does not need is an empty
array. The scalars come in as float64 and are rounded to the dtype once, as torch rounds them; each element then goes
through torch's operations in torch's order.

A parameter is worked through in blocks of BLOCK elements: within a block the loops are short enough in arrays that
LLVM's run-time checks for overlap stay below its limit (so each is vectorised), and the block's arrays stay in L1 from
one loop to the next (5 arrays of 1024 float32 are 20 KiB). `<op>_step_parallel` runs the same blocks on all threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from .lanes import lane_add
from .reductions import reduction

BLOCK = 1024

#: Elements from which a parallel launch pays for itself: below, all five arrays of a step fit in the caches.
PARALLEL_THRESHOLD = 131072


@jit
def _sgd_block(lo, hi, param, grad, buf, lr, momentum, dampening, weight_decay, sign, nesterov, first):
    """d = sign g + weight_decay p; b = momentum b + (1 - dampening) d (d at first); p -= lr (b or d + momentum b)."""
    scalar = param.dtype.type
    step, mu, keep = scalar(-lr), scalar(momentum), scalar(1.0 - dampening)
    decay, s = scalar(weight_decay), scalar(sign)
    p, g = param[lo:hi], grad[lo:hi]
    n = hi - lo
    if momentum == 0.0:
        if weight_decay == 0.0:
            for i in range(n):
                p[i] += step * (s * g[i])
        else:
            for i in range(n):
                p[i] += step * (s * g[i] + decay * p[i])
        return
    b = buf[lo:hi]
    if first:
        for i in range(n):
            d = s * g[i] + decay * p[i]
            b[i] = d
            p[i] += step * (d + mu * d if nesterov else d)
        return
    for i in range(n):
        d = s * g[i] + decay * p[i]
        moved = mu * b[i] + keep * d
        b[i] = moved
        p[i] += step * (d + mu * moved if nesterov else moved)


@jit(nogil=True)
def sgd_step(param, grad, buf, lr, momentum, dampening, weight_decay, sign, nesterov, first):
    """Stochastic gradient descent with momentum; `sign` is -1 to maximise, `first` at the first step with momentum."""
    n = param.size
    for lo in range(0, n, BLOCK):
        hi = min(lo + BLOCK, n)
        _sgd_block(lo, hi, param, grad, buf, lr, momentum, dampening, weight_decay, sign, nesterov, first)


@jit(parallel=True)
def sgd_step_parallel(param, grad, buf, lr, momentum, dampening, weight_decay, sign, nesterov, first):
    """`sgd_step` on all threads."""
    n = param.size
    for block in prange((n + BLOCK - 1) // BLOCK):
        lo = block * BLOCK
        hi = min(lo + BLOCK, n)
        _sgd_block(lo, hi, param, grad, buf, lr, momentum, dampening, weight_decay, sign, nesterov, first)


@jit
def _lerp(a, b, w):
    """a + w (b - a), from the nearer end as torch has it."""
    if w < a.dtype.type(0.5):
        for i in range(a.size):
            a[i] += w * (b[i] - a[i])
    else:
        rest = a.dtype.type(1) - w
        for i in range(a.size):
            a[i] = b[i] - rest * (b[i] - a[i])


@jit
def _adam_block(lo, hi, param, grad, mean, square, largest, shrink, l2, sign, beta1, beta2, step_size, correction, eps):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p -= step_size m / (sqrt(v) / correction + eps).

    Before that p *= shrink (decoupled decay) and g = sign grad + l2 p.
    """
    scalar = param.dtype.type
    p, g, m, v = param[lo:hi], grad[lo:hi], mean[lo:hi], square[lo:hi]
    n = hi - lo
    if shrink != 1.0:
        factor = scalar(shrink)
        for i in range(n):
            p[i] *= factor
    if sign != 1.0 or l2 != 0.0:
        s, decay = scalar(sign), scalar(l2)
        d = np.empty(n, param.dtype)
        for i in range(n):
            d[i] = s * g[i] + decay * p[i]
        g = d
    _lerp(m, g, scalar(1.0 - beta1))
    b2, c2 = scalar(beta2), scalar(1.0 - beta2)
    for i in range(n):
        v[i] = b2 * v[i] + c2 * g[i] * g[i]
    if largest.size:
        top = largest[lo:hi]
        for i in range(n):
            top[i] = max(top[i], v[i])
        v = top
    move, root, e = scalar(-step_size), scalar(correction), scalar(eps)
    for i in range(n):
        p[i] += move * m[i] / (np.sqrt(v[i]) / root + e)


@jit(nogil=True)
def adam_step(param, grad, mean, square, largest, shrink, l2, sign, beta1, beta2, step_size, correction, eps):
    """Adam (l2) and AdamW (shrink); `largest` is the running maximum of amsgrad, or empty."""
    n = param.size
    for lo in range(0, n, BLOCK):
        hi = min(lo + BLOCK, n)
        _adam_block(
            lo, hi, param, grad, mean, square, largest, shrink, l2, sign, beta1, beta2, step_size, correction, eps
        )


@jit(parallel=True)
def adam_step_parallel(param, grad, mean, square, largest, shrink, l2, sign, beta1, beta2, step_size, correction, eps):
    """`adam_step` on all threads."""
    n = param.size
    for block in prange((n + BLOCK - 1) // BLOCK):
        lo = block * BLOCK
        hi = min(lo + BLOCK, n)
        _adam_block(
            lo, hi, param, grad, mean, square, largest, shrink, l2, sign, beta1, beta2, step_size, correction, eps
        )


@jit
def _rmsprop_block(lo, hi, param, grad, square, average, buf, lr, alpha, eps, weight_decay, sign, momentum):
    """v = alpha v + (1 - alpha) g^2; d = g / (sqrt(v - a^2) + eps); p -= lr (momentum b + d).

    a is the average of g, or 0 unless centred.
    """
    scalar = param.dtype.type
    p, g, v = param[lo:hi], grad[lo:hi], square[lo:hi]
    n = hi - lo
    if sign != 1.0 or weight_decay != 0.0:
        s, decay = scalar(sign), scalar(weight_decay)
        d = np.empty(n, param.dtype)
        for i in range(n):
            d[i] = s * g[i] + decay * p[i]
        g = d
    keep, take, e = scalar(alpha), scalar(1.0 - alpha), scalar(eps)
    for i in range(n):
        v[i] = keep * v[i] + take * g[i] * g[i]
    denominator = np.empty(n, param.dtype)
    if average.size:
        a = average[lo:hi]
        _lerp(a, g, take)
        for i in range(n):
            denominator[i] = np.sqrt(v[i] - a[i] * a[i]) + e
    else:
        for i in range(n):
            denominator[i] = np.sqrt(v[i]) + e
    step = scalar(-lr)
    if momentum > 0.0:
        b, mu = buf[lo:hi], scalar(momentum)
        for i in range(n):
            b[i] = mu * b[i] + g[i] / denominator[i]
            p[i] += step * b[i]
    else:
        for i in range(n):
            p[i] += step * g[i] / denominator[i]


@jit(nogil=True)
def rmsprop_step(param, grad, square, average, buf, lr, alpha, eps, weight_decay, sign, momentum):
    """RMSprop; `average` is empty unless centred, `buf` is empty without momentum."""
    n = param.size
    for lo in range(0, n, BLOCK):
        hi = min(lo + BLOCK, n)
        _rmsprop_block(lo, hi, param, grad, square, average, buf, lr, alpha, eps, weight_decay, sign, momentum)


@jit(parallel=True)
def rmsprop_step_parallel(param, grad, square, average, buf, lr, alpha, eps, weight_decay, sign, momentum):
    """`rmsprop_step` on all threads."""
    n = param.size
    for block in prange((n + BLOCK - 1) // BLOCK):
        lo = block * BLOCK
        hi = min(lo + BLOCK, n)
        _rmsprop_block(lo, hi, param, grad, square, average, buf, lr, alpha, eps, weight_decay, sign, momentum)


@jit
def _adagrad_block(lo, hi, param, grad, total, lr, eps, weight_decay, sign):
    """v += g^2; p -= lr g / (sqrt(v) + eps), g = sign grad + weight_decay p."""
    scalar = param.dtype.type
    s, decay, e, step = scalar(sign), scalar(weight_decay), scalar(eps), scalar(-lr)
    p, g, v = param[lo:hi], grad[lo:hi], total[lo:hi]
    for i in range(hi - lo):
        d = s * g[i] + decay * p[i]
        v[i] += d * d
        p[i] += step * d / (np.sqrt(v[i]) + e)


@jit(nogil=True)
def adagrad_step(param, grad, total, lr, eps, weight_decay, sign):
    """Adagrad; lr is already divided by 1 + (step - 1) lr_decay."""
    n = param.size
    for lo in range(0, n, BLOCK):
        hi = min(lo + BLOCK, n)
        _adagrad_block(lo, hi, param, grad, total, lr, eps, weight_decay, sign)


@jit(parallel=True)
def adagrad_step_parallel(param, grad, total, lr, eps, weight_decay, sign):
    """`adagrad_step` on all threads."""
    n = param.size
    for block in prange((n + BLOCK - 1) // BLOCK):
        lo = block * BLOCK
        hi = min(lo + BLOCK, n)
        _adagrad_block(lo, hi, param, grad, total, lr, eps, weight_decay, sign)


@jit
def _square_in_double(x):
    value = np.float64(x)
    return value * value


@jit
def _zero_in_double(x, i):
    return np.float64(0)


#: sum of x^2 in float64, whatever x is: squares of float32 gradients neither overflow nor vanish there, and reading
#: the gradients takes longer than the conversion.
SUM_OF_SQUARES = reduction(_square_in_double, lane_add, _zero_in_double)


@jit(nogil=True)
def scale(x, factor):
    """x *= factor, in x's dtype."""
    f = x.dtype.type(factor)
    for i in range(x.size):
        x[i] *= f


@jit(parallel=True)
def scale_parallel(x, factor):
    """`scale` on all threads."""
    n = x.size
    for block in prange((n + BLOCK - 1) // BLOCK):
        part = x[block * BLOCK : min(block * BLOCK + BLOCK, n)]
        f = x.dtype.type(factor)
        for i in range(part.size):
            part[i] *= f
