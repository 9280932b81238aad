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
from ..pieces import piece
from .spread import spread

# States are taken in whole vectors of float64: those behind the last one cost nothing, one by one they cost 40 ns each.
LANES = 8


@jit
def whole_vectors(count):
    return (count + LANES - 1) // LANES * LANES


@jit(inline=True)
def log_sum_3(a, b, c):
    """log(exp(a) + exp(b) + exp(c)), -inf of three -inf; without branches, so that a loop of it is one of vectors."""
    top = max(a, max(b, c))
    least = top if top > -np.inf else 0.0
    return least + log(exp(a - least) + exp(b - least) + exp(c - least))


@jit
def spread_labels(labels, lo, count, blank, state_labels, skips):
    """state_labels[s] = l'[s], the blank at even states; skips[s] is 0 where s - 2 may go to s, else -inf.

    It may over a blank, between labels that differ.
    """
    for s in range(count):
        odd = s % 2 == 1
        state_labels[s] = labels[lo + s // 2] if odd else blank
        skips[s] = 0.0 if odd and s > 1 and state_labels[s] != state_labels[s - 2] else -np.inf


@jit
def step_states(before, skips, p, now):
    """now[s] = p[s] + log sum(before[s + 2], before[s + 1], before[s + 0] if the skip is allowed).

    before begins with two states that do not exist, of -inf.
    """
    count = len(now)
    skip, step, stay = piece(before, 0, count), piece(before, 1, count), piece(before, 2, count)
    for s in range(count):
        now[s] = log_sum_3(stay[s], step[s], skip[s] + skips[s]) + p[s]


@jit
def ctc_forward_sample(b, x, batch, classes, labels, starts, steps, lengths, blank, states, alpha, loss):
    """alpha[b, t, s] and loss[b]; x: (T, batch, classes) of log-probabilities, alpha: (batch, T, states)."""
    count = 2 * lengths[b] + 1
    total = len(alpha) // (batch * states)
    base = b * total * states
    for i in range(base, base + total * states):
        alpha[i] = -np.inf
    if steps[b] == 0:
        loss[b] = 0 if lengths[b] == 0 else np.inf
        return
    width = whole_vectors(count)
    state_labels, skips, p = np.empty(count, np.int64), np.full(width, -np.inf), np.zeros(width)
    spread_labels(labels, starts[b], count, blank, state_labels, skips)
    before, now = np.full(width + 2, -np.inf), np.empty(width)
    for s in range(min(2, count)):
        alpha[base + s] = x[b * classes + state_labels[s]]
    for t in range(1, steps[b]):
        row, last = (t * batch + b) * classes, base + (t - 1) * states
        for s in range(count):
            p[s] = x[row + state_labels[s]]
            before[s + 2] = alpha[last + s]
        step_states(before, skips, p, now)
        for s in range(count):
            alpha[last + states + s] = now[s]
    end = base + (steps[b] - 1) * states
    last = alpha[end + count - 2] if count > 1 else -np.inf
    loss[b] = -log_sum_3(alpha[end + count - 1], last, -np.inf)


@jit
def ctc_backward_sample(
    b, grad, x, batch, classes, labels, starts, steps, lengths, blank, states, alpha, loss, zero_infinity, out
):
    """out[t, b, c] = grad[b] * (exp(x) - sum over s with l'[s] = c of exp(alpha + beta + loss - x)).

    Each term of the sum is the probability of being in s at t. A class of probability 0 gets nan, as in torch, and so
    does a sample that cannot be aligned. States run backwards in what belongs to beta: r = count - 1 - s.
    """
    count = 2 * lengths[b] + 1
    total = len(alpha) // (batch * states)
    base = b * total * states
    nothing = x.dtype.type(0)
    for t in range(total):
        piece(out, (t * batch + b) * classes, classes)[:] = nothing
    if steps[b] == 0 or (zero_infinity and loss[b] == np.inf):
        return
    width = whole_vectors(count)
    state_labels, skips, p = np.empty(count, np.int64), np.empty(count), np.zeros(width)
    spread_labels(labels, starts[b], count, blank, state_labels, skips)
    backward_skips = np.full(width, -np.inf)
    for s in range(2, count):
        backward_skips[count - 1 - (s - 2)] = skips[s]
    before, beta, shares = np.full(width + 2, -np.inf), np.empty(width), np.zeros(width)
    g, nll = grad[b], np.float64(loss[b])
    offset = x.dtype.type(loss[b] - loss[b])  # nan for a loss that is infinite
    for t in range(steps[b] - 1, -1, -1):
        v, y = piece(x, (t * batch + b) * classes, classes), piece(out, (t * batch + b) * classes, classes)
        for r in range(count):
            p[r] = v[state_labels[count - 1 - r]]
        if t == steps[b] - 1:
            for r in range(count):
                beta[r] = p[r] if r < 2 else -np.inf
        else:
            step_states(before, backward_skips, p, beta)
        at = base + t * states + count - 1
        for r in range(count):
            before[r + 2] = beta[r]
            shares[r] = alpha[at - r] + (beta[r] + nll - p[r])
        for r in range(width):
            shares[r] = exp(shares[r])
        for c in range(classes):
            y[c] = exp(v[c]) + (v[c] - v[c] + offset)
        for r in range(count):
            c = state_labels[count - 1 - r]
            y[c] = y[c] - shares[r]
        for c in range(classes):
            y[c] *= g


ctc_forward = spread(ctc_forward_sample)
ctc_backward = spread(ctc_backward_sample)
