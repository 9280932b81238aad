"""Losses as one sweep: the loss of each element and its sum; the gradient scaled by the incoming one.

`loss(of, slope)` makes the kernels of a pointwise loss from its scalar text: of(x, t, p) and its derivative
slope(x, t, p) by x, with p a parameter (beta, delta, or unused).
The others (nll, multi-margin) are written out below. Targets that index are checked by the caller with
`first_out_of_range` before anything is read.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from ..compiler import jit
from ..math import exp, log, log1p
from ..pieces import piece
from .lanes import lane_add
from .softmax import row_max
from .spread import PARALLEL_SIZE, spread

# One unit of parallel work; inside, sums run in lanes over blocks of BLOCK elements.
UNIT = 16384
BLOCK = 4096
# Elements of the rows that one part of a cross entropy takes.
ROWS = 8192


def loss(of, slope) -> SimpleNamespace:
    """Kernels `total`, `each` and `backward` of a pointwise loss of x, t: (n,)."""

    @jit(bare=True)
    def total_unit(u, x, t, p, parts):
        lo, hi = u * UNIT, min(u * UNIT + UNIT, len(x))
        p = x.dtype.type(p)
        total = 0.0
        for b in range(lo, hi, BLOCK):
            end = min(b + BLOCK, hi)
            v, w = x[b:end], t[b:end]
            s = x.dtype.type(0)
            for i in range(len(v)):
                s = lane_add(s, of(v[i], w[i], p))
            total += s
        parts[u] = total

    @jit(bare=True)
    def each_unit(u, x, t, p, out):
        lo, hi = u * UNIT, min(u * UNIT + UNIT, len(x))
        p = x.dtype.type(p)
        v, w, y = x[lo:hi], t[lo:hi], out[lo:hi]
        for i in range(len(v)):
            y[i] = of(v[i], w[i], p)

    @jit(bare=True)
    def backward_unit(u, grad, x, t, p, scale, out):
        lo, hi = u * UNIT, min(u * UNIT + UNIT, len(x))
        p = x.dtype.type(p)
        v, w, y = x[lo:hi], t[lo:hi], out[lo:hi]
        if len(grad) == 1:
            g = x.dtype.type(grad[0] * scale)
            for i in range(len(v)):
                y[i] = slope(v[i], w[i], p) * g
        else:
            gs = grad[lo:hi]
            for i in range(len(v)):
                y[i] = slope(v[i], w[i], p) * gs[i]

    totals, units, backwards = (spread(unit, bare=True) for unit in (total_unit, each_unit, backward_unit))

    def total(x, t, p):
        """The sum of the loss over all elements, as a float64."""
        count = (x.size + UNIT - 1) // UNIT
        parts = np.empty(count)
        totals(x.size, count, x, t, p, parts)
        return parts[0] if count == 1 else parts.sum()

    def each(x, t, p, out):
        """out[i] = of(x[i], t[i], p)."""
        units(x.size, (x.size + UNIT - 1) // UNIT, x, t, p, out)

    def backward(grad, x, t, p, scale, out):
        """out[i] = slope(x[i], t[i], p) * grad[i]; a grad of one element stands for all, times scale."""
        backwards(x.size, (x.size + UNIT - 1) // UNIT, grad, x, t, p, scale, out)

    return SimpleNamespace(total=total, each=each, backward=backward)


@jit(inline=True, bare=True)
def squared(x, t, p):
    return (x - t) * (x - t)


@jit(inline=True, bare=True)
def squared_slope(x, t, p):
    d = x - t
    return d + d


@jit(inline=True, bare=True)
def smooth_l1(x, t, beta):
    d = abs(x - t)
    half = d * d / (beta + beta)
    return half if d < beta else d - beta * np.float32(0.5)


@jit(inline=True, bare=True)
def smooth_l1_slope(x, t, beta):
    d = x - t
    one = np.float32(1)
    sign = one if d > 0 else (-one if d < 0 else np.float32(0))
    return d / beta if abs(d) < beta else (d if d != d else sign)


@jit(inline=True, bare=True)
def huber(x, t, delta):
    d = abs(x - t)
    half = np.float32(0.5)
    return half * d * d if d <= delta else delta * (d - half * delta)


@jit(inline=True, bare=True)
def huber_slope(x, t, delta):
    d = x - t
    return min(max(d, -delta), delta) if d == d else d


@jit(inline=True, bare=True)
def cross_entropy_of_two(x, t, p):
    """-(t log x + (1 - t) log(1 - x)), the logarithms kept above -100 as torch does."""
    floor = np.float32(-100)
    a = max(log(x), floor)
    b = max(log1p(-x), floor)
    return (t - np.float32(1)) * b - t * a


@jit(inline=True, bare=True)
def cross_entropy_of_two_slope(x, t, p):
    return (x - t) / max((np.float32(1) - x) * x, np.float32(1e-12))


@jit(inline=True, bare=True)
def cross_entropy_of_logit(x, t, p):
    """(1 - t) x + log(1 + exp(-x)), without overflow."""
    zero = np.float32(0)
    return (np.float32(1) - t) * x + (max(-x, zero) + log1p(exp(-abs(x))))


@jit(inline=True, bare=True)
def cross_entropy_of_logit_slope(x, t, p):
    e = exp(-abs(x))
    one = np.float32(1)
    return (one if x >= 0 else e) / (one + e) - t


@jit(inline=True, bare=True)
def soft_margin(x, t, p):
    """log(1 + exp(-t x)), without overflow."""
    z = -t * x
    return max(z, np.float32(0)) + log1p(exp(-abs(z)))


@jit(inline=True, bare=True)
def soft_margin_slope(x, t, p):
    z = -t * x
    e = exp(-abs(z))
    one = np.float32(1)
    return -t * ((one if z >= 0 else e) / (one + e))


@jit(inline=True, bare=True)
def hinge_of_pair(x, t, margin):
    """x but for t = -1, and max(0, margin - x) but for t = 1; nan stays nan."""
    zero = np.float32(0)
    z = margin - x
    apart = zero if t == 1 else (zero if z < 0 else z)
    return apart + (zero if t == -1 else x)


@jit(inline=True, bare=True)
def hinge_of_pair_slope(x, t, margin):
    one, zero = np.float32(1), np.float32(0)
    return (zero if t == -1 else one) - (one if t != 1 and margin - x >= 0 else zero)


MSE = loss(squared, squared_slope)
SMOOTH_L1 = loss(smooth_l1, smooth_l1_slope)
HUBER = loss(huber, huber_slope)
BCE = loss(cross_entropy_of_two, cross_entropy_of_two_slope)
BCE_WITH_LOGITS = loss(cross_entropy_of_logit, cross_entropy_of_logit_slope)
SOFT_MARGIN = loss(soft_margin, soft_margin_slope)
HINGE_OF_PAIR = loss(hinge_of_pair, hinge_of_pair_slope)


#: What becomes of the losses of the elements.
EACH, MEAN, SUM = 0, 1, 2


@jit(bare=True)
def first_out_of_range(target, classes, ignore_index):
    """Position of the first target that is neither in [0, classes) nor ignore_index; -1 if all are fine."""
    for i in range(len(target)):
        t = target[i]
        if (t < 0 or t >= classes) and t != ignore_index:
            return i
    return -1


@jit(bare=True)
def nll_forward(x, target, n, classes, length, weight, ignore_index, reduction, out):
    """Each loss -w[t] x[i, t, k] with t = target[i, k] (0 where ignored), or their sum, or that over the sum of w[t].

    x: (n, classes, length) of log-probabilities, target: (n * length,), weight: (classes,) or empty; out: (n * length,)
    without a reduction, else (1,). Returns the position of the first bad target or -1, and the sum of w[t].
    """
    bad = first_out_of_range(target, classes, ignore_index)
    total, weights = 0.0, 0.0
    if bad >= 0:
        return bad, weights
    for i in range(n):
        for k in range(length):
            t = target[i * length + k]
            value = x.dtype.type(0)
            if t != ignore_index:
                w = weight[t] if len(weight) > 0 else weight.dtype.type(1)
                value = -w * x[(i * classes + t) * length + k]
                total += value
                weights += w
            if reduction == EACH:
                out[i * length + k] = value
    if reduction == SUM:
        out[0] = total
    elif reduction == MEAN:
        out[0] = total / weights if weights != 0.0 else np.nan
    return bad, weights


@jit(bare=True)
def nll_backward(grad, target, n, classes, length, weight, ignore_index, scale, out):
    """out[i, t, k] = -w[t] * grad[i, k] * scale (a grad of one element stands for all); out: zeros on entry."""
    for i in range(n):
        for k in range(length):
            t = target[i * length + k]
            if t != ignore_index:
                w = weight[t] if len(weight) > 0 else weight.dtype.type(1)
                g = grad[i * length + k] if len(grad) > 1 else grad[0]
                out[(i * classes + t) * length + k] = -w * g * scale


@jit(bare=True)
def cross_entropy_rows(p, x, target, n, classes, weight, ignore_index, top, rest, out):
    """out[i] = w[t] (log sum exp x[i, :] - x[i, t]) with t = target[i], 0 where ignored; for the rows of one part.

    top[i] = max x[i, :], rest[i] = log sum exp(x[i, :] - top[i]), kept for the backward: log p = x - top - rest.
    """
    block = max(1, ROWS // classes)
    for i in range(p * block, min(p * block + block, n)):
        v = x[i * classes : i * classes + classes]
        highest = row_max(v)
        total = x.dtype.type(0)
        for j in range(classes):
            total = lane_add(total, exp(v[j] - highest))
        top[i] = highest
        rest[i] = log(total)
        t = target[i]
        if t == ignore_index:
            out[i] = 0
        else:
            w = weight[t] if len(weight) > 0 else weight.dtype.type(1)
            out[i] = w * (rest[i] - (v[t] - highest))


@jit(bare=True)
def cross_entropy_sums(target, weight, ignore_index, out):
    """(sum of out, sum of the weights of the targets), in float64."""
    total, weights = 0.0, 0.0
    for i in range(len(target)):
        if target[i] != ignore_index:
            total += out[i]
            weights += weight[target[i]] if len(weight) > 0 else weight.dtype.type(1)
    return total, weights


@jit(nogil=True, bare=True)
def cross_entropy_serial(x, target, n, classes, weight, ignore_index, top, rest, out):
    """(position of the first bad target or -1, sum of out, sum of weights); see cross_entropy_rows."""
    bad = first_out_of_range(target, classes, ignore_index)
    if bad >= 0:
        return bad, 0.0, 0.0
    block = max(1, ROWS // classes)
    for p in range((n + block - 1) // block):
        cross_entropy_rows(p, x, target, n, classes, weight, ignore_index, top, rest, out)
    total, weights = cross_entropy_sums(target, weight, ignore_index, out)
    return bad, total, weights


@jit(bare=True)
def cross_entropy_backward_rows(p, grad, x, target, n, classes, weight, ignore_index, top, rest, scale, out):
    """out[i, j] = (p[i, j] - [j == t]) w[t] grad[i] scale for the rows of one part, with p = softmax of x."""
    block = max(1, ROWS // classes)
    for i in range(p * block, min(p * block + block, n)):
        v, y = x[i * classes : i * classes + classes], out[i * classes : i * classes + classes]
        t = target[i]
        share = x.dtype.type(0)
        if t != ignore_index:
            w = weight[t] if len(weight) > 0 else weight.dtype.type(1)
            share = x.dtype.type(w * (grad[i] if len(grad) > 1 else grad[0]) * scale)
        highest, log_of_sum = top[i], rest[i]
        for j in range(classes):
            y[j] = exp(v[j] - highest - log_of_sum) * share
        if t != ignore_index:
            y[t] -= share


_cross_entropy_parts = spread(cross_entropy_rows, bare=True)
_cross_entropy_backward_parts = spread(cross_entropy_backward_rows, bare=True)


def cross_entropy_forward(x, target, n, classes, weight, ignore_index, top, rest, out):
    """log_softmax and nll in one sweep over x: (n, classes); (first bad target or -1, sum of out, sum of weights)."""
    if x.size < PARALLEL_SIZE:
        return cross_entropy_serial(x, target, n, classes, weight, ignore_index, top, rest, out)
    bad = first_out_of_range(target, classes, ignore_index)
    if bad >= 0:
        return bad, 0.0, 0.0
    block = max(1, ROWS // classes)
    count = (n + block - 1) // block
    _cross_entropy_parts(x.size, count, x, target, n, classes, weight, ignore_index, top, rest, out)
    return (bad, *cross_entropy_sums(target, weight, ignore_index, out))


def cross_entropy_backward(grad, x, target, n, classes, weight, ignore_index, top, rest, scale, out):
    """Gradient of x, from what the forward kept; a grad of one element stands for all."""
    block = max(1, ROWS // classes)
    count = (n + block - 1) // block
    rest = (weight, ignore_index, top, rest, scale, out)
    _cross_entropy_backward_parts(x.size, count, grad, x, target, n, classes, *rest)


@jit(nogil=True, bare=True)
def smoothed_forward(x, target, n, classes, weight, ignore_index, smoothing, out):
    """out[i] = -(1 - s) w[t] x[i, t] - s / C sum_j w[j] x[i, j] with t = target[i], 0 where ignored; s: the smoothing.

    x: (n, classes) of log-probabilities, weight: (classes,) or empty. Returns the position of the first bad target or -1,
    the sum of out, and the sum of w[t].
    """
    bad = first_out_of_range(target, classes, ignore_index)
    total, weights = 0.0, 0.0
    if bad >= 0:
        return bad, total, weights
    for i in range(n):
        t = target[i]
        if t == ignore_index:
            out[i] = 0
            continue
        row_sum = 0.0
        for first in range(0, classes, BLOCK):
            count = min(BLOCK, classes - first)
            row, some = piece(x, i * classes + first, count), x.dtype.type(0)
            if len(weight) > 0:
                of = piece(weight, first, count)
                for j in range(count):
                    some = lane_add(some, row[j] * of[j])
            else:
                for j in range(count):
                    some = lane_add(some, row[j])
            row_sum += some
        w = np.float64(weight[t]) if len(weight) > 0 else 1.0
        value = (smoothing - 1.0) * w * x[i * classes + t] - smoothing / classes * row_sum
        out[i] = value
        total += value
        weights += w
    return bad, total, weights


@jit(nogil=True, bare=True)
def smoothed_slope(target, n, classes, weight, ignore_index, smoothing, scale, out):
    """out[i, j] = -scale w[j] s / C, and scale w[t] (1 - s) less at j = t = target[i]; 0 where ignored."""
    everywhere = out.dtype.type(-smoothing / classes * scale)
    there = out.dtype.type((1.0 - smoothing) * scale)
    one, nothing = out.dtype.type(1), out.dtype.type(0)
    for i in range(n):
        t, row = target[i], piece(out, i * classes, classes)
        if t == ignore_index:
            for j in range(classes):
                row[j] = nothing
            continue
        if len(weight) > 0:
            for j in range(classes):
                row[j] = weight[j] * everywhere
        else:
            for j in range(classes):
                row[j] = everywhere
        row[t] -= (weight[t] if len(weight) > 0 else one) * there


@jit(bare=True)
def hinge_sum(v, limit, p):
    """sum over j of max(0, limit + v[j])**p; nan counts as nothing."""
    zero = v.dtype.type(0)
    total = zero
    for j in range(len(v)):
        z = limit + v[j]
        z = z if z > zero else zero
        total = lane_add(total, z if p == 1 else z * z)
    return total


@jit(bare=True)
def hinge_slopes(v, limit, p, g, y):
    """y[j] = g times the derivative of the term of v[j]; returns their sum."""
    zero = v.dtype.type(0)
    total = zero
    for j in range(len(v)):
        z = limit + v[j]
        h = (g if p == 1 else (g + g) * z) if z > zero else zero
        y[j] = h
        total = lane_add(total, h)
    return total


@jit(bare=True)
def multi_margin_forward(x, target, n, classes, p, margin, weight, reduction, out):
    """Each loss sum over j != t of w[t] max(0, margin - x[i, t] + x[i, j])**p / classes, or their sum or mean.

    out: (n,) without a reduction, else (1,). Returns the position of the first bad target or -1.
    """
    bad, losses = first_out_of_range(target, classes, 0), 0.0
    if bad >= 0:
        return bad
    for i in range(n):
        t, row = target[i], i * classes
        limit = x.dtype.type(margin) - x[row + t]
        total = np.float64(hinge_sum(piece(x, row, t), limit, p))
        total += hinge_sum(piece(x, row + t + 1, classes - t - 1), limit, p)
        value = (total * weight[t] if len(weight) > 0 else total) / classes
        losses += value
        if reduction == EACH:
            out[i] = value
    if reduction != EACH:
        out[0] = losses / n if reduction == MEAN else losses
    return bad


@jit(bare=True)
def multi_margin_backward(grad, x, target, n, classes, p, margin, weight, scale, out):
    for i in range(n):
        t, row = target[i], i * classes
        share = (grad[i] if len(grad) > 1 else grad[0]) * scale / classes
        g = x.dtype.type(share * weight[t] if len(weight) > 0 else share)
        limit = x.dtype.type(margin) - x[row + t]
        total = np.float64(hinge_slopes(piece(x, row, t), limit, p, g, piece(out, row, t)))
        behind, rest = row + t + 1, classes - t - 1
        total += hinge_slopes(piece(x, behind, rest), limit, p, g, piece(out, behind, rest))
        out[row + t] = -total


@jit
def multilabel_margin_forward(x, target, n, classes, is_target, out):
    """out[i] = sum over labels t of i, j not a label, of max(0, 1 - (x[i, t] - x[i, j])) / classes.

    The labels of row i are target[i, :] up to the first -1. is_target: (n, classes), filled with 0 or 1.
    """
    for i in range(n):
        row = i * classes
        for j in range(classes):
            is_target[row + j] = 0
        labels = 0
        while labels < classes and target[row + labels] >= 0:
            is_target[row + target[row + labels]] = 1
            labels += 1
        total = 0.0
        for k in range(labels):
            at = x[row + target[row + k]]
            for j in range(classes):
                if is_target[row + j] == 0:
                    z = 1 - at + x[row + j]
                    if z > 0:
                        total += z
        out[i] = total / classes


@jit
def multilabel_margin_backward(grad, x, target, n, classes, is_target, scale, out):
    for i in range(n):
        row = i * classes
        g = (grad[i] if len(grad) > 1 else grad[0]) * scale / classes
        for j in range(classes):
            out[row + j] = 0
        for k in range(classes):
            t = target[row + k]
            if t < 0:
                break
            for j in range(classes):
                if is_target[row + j] == 0 and 1 - x[row + t] + x[row + j] > 0:
                    out[row + t] -= g
                    out[row + j] += g
