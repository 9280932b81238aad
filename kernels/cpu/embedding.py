"""Embedding tables: gradients, renormalisation and bags.  (The plain lookup is indexing.index_forward.)

A table is (num_embeddings, dim), flat.  Indices are checked by the caller with `indexing.first_bad_index`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..compiler import jit
from .runs import add_run

SUM, MEAN, MAX = 0, 1, 2


@jit(nogil=True)
def embedding_backward(grad, index, dim, padding, by_frequency, out):
    """out[index[p], :] += grad[p, :], skipping index == padding; `out` (num_embeddings, dim) starts at zero.

    With `by_frequency` each row is divided by how often its index occurs."""
    counts = np.zeros(out.size // dim if by_frequency and dim else 0, np.int64)
    if by_frequency:
        for p in range(index.size):
            counts[index[p]] += 1
    one = grad.dtype.type(1)
    for p in range(index.size):
        row = index[p]
        if row == padding:
            continue
        scale = one / grad.dtype.type(counts[row]) if by_frequency else one
        for d in range(dim):
            out[row * dim + d] += grad[p * dim + d] * scale


@jit
def embedding_renorm(table, index, dim, max_norm, norm_type):
    """Scale the rows in `index` whose p-norm exceeds max_norm to max_norm / (norm + 1e-7), each row once."""
    seen = np.zeros(table.size // dim if dim else 0, np.bool_)
    for p in range(index.size):
        row = index[p]
        if seen[row]:
            continue
        seen[row] = True
        norm = 0.0
        for d in range(dim):
            x = abs(float(table[row * dim + d]))
            if norm_type == 2.0:
                norm += x * x
            elif norm_type == 1.0:
                norm += x
            elif norm_type == math.inf:
                norm = max(norm, x)
            else:
                norm += x**norm_type
        if norm_type == 2.0:
            norm = math.sqrt(norm)
        elif norm_type != 1.0 and norm_type != math.inf:
            norm = norm ** (1.0 / norm_type)
        if norm > max_norm:
            scale = table.dtype.type(max_norm / (norm + 1e-7))
            for d in range(dim):
                table[row * dim + d] *= scale


@jit
def bag_ends(offsets, total, ends):
    """ends[b] = where bag b begins, and behind the last its end, total; what offsets has beyond the bags is left out.

    0, or what is wrong: 1 the first offset is not 0, 2 the last one is above total, 3 they decrease.
    """
    n = ends.size - 1
    for b in range(n):
        ends[b] = offsets[b]
    ends[n] = total
    if offsets.size and offsets[0] != 0:
        return 1
    if offsets.size and offsets[offsets.size - 1] > total:
        return 2
    for b in range(n):
        if ends[b + 1] < ends[b]:
            return 3
    return 0


@jit(parallel=True)
def embedding_bag_forward(table, index, offsets, weights, dim, mode, padding, out, sizes, argmax):
    """out[b, :] = sum, mean or max over the bag [offsets[b], offsets[b + 1]) of table[index[p], :] (*
    weights[p]).

    offsets has one entry more than there are bags.  index == padding does not count.  sizes[b] = how many
    counted; argmax[b, d] (mode MAX) = the row of the maximum, or -1 for an empty bag.  An empty bag gives
    zeros."""
    bags = offsets.size - 1
    zero = table.dtype.type(0)
    for b in prange(bags):
        count = 0
        for d in range(dim):
            out[b * dim + d] = zero
        for p in range(offsets[b], offsets[b + 1]):
            row = index[p]
            if row == padding:
                continue
            if mode == MAX:
                for d in range(dim):
                    x = table[row * dim + d]
                    if count == 0 or x > out[b * dim + d] or x != x:
                        out[b * dim + d] = x
                        argmax[b * dim + d] = row
            elif weights.size:
                found, to, weight = table[row * dim : (row + 1) * dim], out[b * dim : (b + 1) * dim], weights[p]
                for d in range(dim):
                    to[d] += found[d] * weight
            else:
                add_run(out, b * dim, table, row * dim, dim)
            count += 1
        sizes[b] = count
        if mode == MAX and count == 0:
            for d in range(dim):
                argmax[b * dim + d] = -1
        if mode == MEAN and count > 0:
            for d in range(dim):
                out[b * dim + d] /= table.dtype.type(count)
