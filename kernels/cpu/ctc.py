"""Connectionist temporal classification: all alignments of a label sequence to T steps, in logarithms.

The labels are spread out with blanks, l' = (-, l1, -, l2, ..., -), S = 2 L + 1 states (Graves et al. 2006):

    alpha[t, s] = log p[t, l'[s]] + log sum(alpha[t-1, s], alpha[t-1, s-1], alpha[t-1, s-2] if the skip is
    allowed)

beta runs the same way from the end, and the loss is -log sum(alpha[T-1, S-1], alpha[T-1, S-2]).
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..math import exp, log
from .spread import spread


@jit
def log_sum_3(a, b, c):
    top = max(a, max(b, c))
    if top == -np.inf:
        return top
    return top + log(exp(a - top) + exp(b - top) + exp(c - top))


@jit
def state_label(s, labels, lo, blank):
    """l'[s]: the blank at even states."""
    return blank if s % 2 == 0 else labels[lo + s // 2]


@jit
def may_skip(s, labels, lo):
    """From s - 2 to s: over a blank, between labels that differ."""
    return s % 2 == 1 and s > 1 and labels[lo + s // 2] != labels[lo + s // 2 - 1]


@jit
def ctc_forward_sample(b, x, batch, classes, labels, starts, steps, lengths, blank, states, alpha, loss):
    """alpha[b, t, s] and loss[b]; x: (T, batch, classes) of log-probabilities, alpha: (batch, T, states)."""
    count = 2 * lengths[b] + 1
    total = len(alpha) // (batch * states)
    base, lo = b * total * states, starts[b]
    for i in range(total * states):
        alpha[base + i] = -np.inf
    if steps[b] == 0:
        loss[b] = 0 if lengths[b] == 0 else np.inf
        return
    alpha[base] = x[b * classes + blank]
    if count > 1:
        alpha[base + 1] = x[b * classes + labels[lo]]
    for t in range(1, steps[b]):
        before, now, row = base + (t - 1) * states, base + t * states, (t * batch + b) * classes
        for s in range(count):
            stay = alpha[before + s]
            step = alpha[before + s - 1] if s > 0 else -np.inf
            skip = alpha[before + s - 2] if may_skip(s, labels, lo) else -np.inf
            alpha[now + s] = log_sum_3(stay, step, skip) + x[row + state_label(s, labels, lo, blank)]
    end = base + (steps[b] - 1) * states
    last = alpha[end + count - 2] if count > 1 else -np.inf
    loss[b] = -log_sum_3(alpha[end + count - 1], last, -np.inf)


@jit
def ctc_backward_sample(
    b, grad, x, batch, classes, labels, starts, steps, lengths, blank, states, alpha, loss, zero_infinity, out
):
    """out[t, b, c] = grad[b] * (exp(x) - exp(log sum over s with l'[s] = c of alpha beta, plus loss - x))."""
    count = 2 * lengths[b] + 1
    total = len(alpha) // (batch * states)
    base, lo = b * total * states, starts[b]
    for t in range(total):
        for c in range(classes):
            out[(t * batch + b) * classes + c] = 0
    if steps[b] == 0 or (zero_infinity and loss[b] == np.inf):
        return
    beta, after = np.full(states, -np.inf), np.full(states, -np.inf)
    found = np.empty(classes)
    for t in range(steps[b] - 1, -1, -1):
        row = (t * batch + b) * classes
        beta, after = after, beta
        for c in range(classes):
            found[c] = -np.inf
        for s in range(count):
            p = x[row + state_label(s, labels, lo, blank)]
            if t == steps[b] - 1:
                beta[s] = p if s >= count - 2 else -np.inf
            else:
                stay = after[s]
                step = after[s + 1] if s + 1 < count else -np.inf
                skip = after[s + 2] if s + 2 < count and may_skip(s + 2, labels, lo) else -np.inf
                beta[s] = log_sum_3(stay, step, skip) + p
            c = state_label(s, labels, lo, blank)
            found[c] = log_sum_3(found[c], alpha[base + t * states + s] + beta[s], -np.inf)
        for c in range(classes):
            p = np.float64(x[row + c])
            out[row + c] = (exp(p) - exp(found[c] + loss[b] - p)) * grad[b]


ctc_forward = spread(ctc_forward_sample)
ctc_backward = spread(ctc_backward_sample)
