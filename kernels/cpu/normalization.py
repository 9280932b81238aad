"""Batch, layer, RMS and group normalisation, forward and backward, each one sweep of fused work a piece.

    y = (x - mean) * rstd * w + b,    rstd = 1 / sqrt(var + eps),    xhat = (x - mean) * rstd
    gx = rstd * (w * g - mean(w * g) - xhat * mean(w * g * xhat)),   gw = sum g * xhat,   gb = sum g

`mean` above runs over what was normalised together. Absent weights, biases and running buffers are arrays of
size 0.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..pieces import piece
from .lanes import lane_add
from .moments import PIECE, merge_moments, moments, range_moments
from .spread import PARALLEL_SIZE, spread

# Rows that one unit of a layer-norm backward sums into its own gw and gb before these are joined.
UNIT_ROWS = 32
# A part is whole rows of about this many elements: handing arrays to a part costs up to 80 ns, which for a row of 64
# is more than its arithmetic.
PART = 8192
# Channels of fewer elements than this are too short for loops along them: (N, C, L) is then taken as N rows of C * L
# columns, each with the coefficients of its channel.
SHORT = 32
# Batches of fewer samples than this are taken channel by channel also where channels are short: a column of one or two
# elements has no use for its own statistics (25x296x8x2 as one sample of 7400 channels: 650 to 200 us).
FEW_SAMPLES = 4
# Elements that one unit of column sums reads: 256 KiB of float32, second-level cache.
UNIT = 65536
# Rows that column sums add up in float32 before they go on in float64: converting every element costs twice the time.
FEW = 16


@jit(bare=True)
def affine(weight, bias, c):
    """(weight[c], bias[c]), or 1 and 0 where they are absent; rounded to the dtype of weight."""
    w = weight[c] if len(weight) > 0 else weight.dtype.type(1)
    b = bias[c] if len(bias) > 0 else weight.dtype.type(0)
    return w, b


@jit(bare=True)
def line(like, mean, rstd, w, b):
    """(centre, scale, shift) of y = (x - centre) * scale + shift, in the dtype of like.

    Where x is the mean, that is exactly b; x * scale + shift would not be, as one fused instruction. What rounding the
    centre took from the mean is in the shift.
    """
    centre, scale = like.dtype.type(mean), rstd * w
    return centre, like.dtype.type(scale), like.dtype.type(b + (centre - mean) * scale)


@jit(bare=True)
def update_running(running_mean, running_var, c, mean, m2, count, momentum):
    """running = (1 - momentum) * running + momentum * (mean, unbiased variance)."""
    if len(running_mean) > 0:
        running_mean[c] = running_mean[c] * (1 - momentum) + mean * momentum
    if len(running_var) > 0:
        unbiased = m2 / (count - 1)
        running_var[c] = running_var[c] * (1 - momentum) + unbiased * momentum


# -- batch norm over (N, C, L) -------------------------------------------------------------------------------


@jit(inline=True, bare=True)
def train_channel(c, mean, m2, count, weight, bias, running_mean, running_var, momentum, eps, save_mean, save_rstd):
    """Keep the statistics of one channel; gives its `line`."""
    rstd = 1 / np.sqrt(m2 / count + eps)
    save_mean[c] = mean
    save_rstd[c] = rstd
    update_running(running_mean, running_var, c, mean, m2, count, momentum)
    w, b = affine(weight, bias, c)
    return line(weight, mean, rstd, w, b)


@jit(bare=True)
def batch_norm_train_channel(
    c, x, n, channels, length, weight, bias, running_mean, running_var, momentum, eps, out, save_mean, save_rstd
):
    mean, m2 = range_moments(x, c * length, c * length + length)
    for i in range(1, n):
        lo = (i * channels + c) * length
        mean_b, m2_b = range_moments(x, lo, lo + length)
        mean, m2 = merge_moments(i * length, mean, m2, length, mean_b, m2_b)
    rest = (weight, bias, running_mean, running_var, momentum, eps, save_mean, save_rstd)
    centre, scale, shift = train_channel(c, mean, m2, n * length, *rest)
    for i in range(n):
        lo = (i * channels + c) * length
        v, y = piece(x, lo, length), piece(out, lo, length)
        for j in range(length):
            y[j] = (v[j] - centre) * scale + shift


@jit(bare=True)
def batch_norm_train_channels(
    p, x, n, channels, length, weight, bias, running_mean, running_var, momentum, eps, out, save_mean, save_rstd
):
    """The channels of one part of PART elements."""
    block = max(1, PART // (n * length))
    rest = (weight, bias, running_mean, running_var, momentum, eps, out, save_mean, save_rstd)
    for c in range(p * block, min((p + 1) * block, channels)):
        batch_norm_train_channel(c, x, n, channels, length, *rest)


@jit(bare=True)
def train_columns(
    n,
    channels,
    length,
    means,
    m2s,
    weight,
    bias,
    running_mean,
    running_var,
    momentum,
    eps,
    save_mean,
    save_rstd,
    centre,
    scale,
    shift,
):
    """The statistics of short channels from those of their columns; centre, scale, shift: (channels * length,)."""
    for c in range(channels):
        # columns of equally many elements: the mean of their means, their M2 and what the means lie apart
        at = c * length
        mean, m2, apart = 0.0, 0.0, 0.0
        for k in range(length):
            mean += means[at + k]
        mean /= length
        for k in range(length):
            d = means[at + k] - mean
            apart += d * d
            m2 += m2s[at + k]
        m2 += apart * n
        rest = (weight, bias, running_mean, running_var, momentum, eps, save_mean, save_rstd)
        m, s, t = train_channel(c, mean, m2, n * length, *rest)
        for k in range(length):
            centre[c * length + k] = m
            scale[c * length + k] = s
            shift[c * length + k] = t


@jit(bare=True)
def eval_columns(channels, repeat, mean, var, weight, bias, eps, centre, scale, shift):
    """centre, scale, shift: (channels * repeat,) of y = (x - mean) / sqrt(var + eps) * w + b, see `line`."""
    for c in range(channels):
        w, b = affine(weight, bias, c)
        m, s, t = line(scale, mean[c], 1 / np.sqrt(np.float64(var[c]) + eps), w, b)
        for k in range(repeat):
            centre[c * repeat + k] = m
            scale[c * repeat + k] = s
            shift[c * repeat + k] = t


@jit(bare=True)
def scale_rows(p, x, rows, channels, length, centre, scale, shift, out):
    """out = (x - centre) * scale + shift on PART elements of x: (rows, length); row r is of channel r % channels."""
    block = max(1, PART // length)
    for r in range(p * block, min((p + 1) * block, rows)):
        m, s, t = centre[r % channels], scale[r % channels], shift[r % channels]
        v, y = piece(x, r * length, length), piece(out, r * length, length)
        for j in range(length):
            y[j] = (v[j] - m) * s + t


@jit(bare=True)
def scale_columns(p, x, n, columns, centre, scale, shift, out):
    """out = (x - centre) * scale + shift on PART elements of x: (n, columns); centre, scale, shift: (columns,)."""
    block = max(1, PART // columns)
    m, s, t = centre[:columns], scale[:columns], shift[:columns]
    for r in range(p * block, min((p + 1) * block, n)):
        v, y = piece(x, r * columns, columns), piece(out, r * columns, columns)
        for j in range(columns):
            y[j] = (v[j] - m[j]) * s[j] + t[j]


@jit(bare=True)
def batch_norm_eval_few(x, n, channels, length, mean, var, weight, bias, eps, out):
    """`batch_norm_eval` of few elements: no arrays of scales, which cost more than the square roots of every batch."""
    typed = x[:1]
    for c in range(channels):
        w, b = affine(weight, bias, c)
        m, s, t = line(typed, mean[c], 1 / np.sqrt(np.float64(var[c]) + eps), w, b)
        for i in range(n):
            at = (i * channels + c) * length
            v, y = piece(x, at, length), piece(out, at, length)
            for j in range(length):
                y[j] = (v[j] - m) * s + t


@jit(bare=True)
def batch_norm_backward_channel(c, grad, x, n, channels, length, weight, mean, rstd, train, gx, gw, gb):
    """gx, gw, gb of one channel; mean and rstd as used by the forward (batch or running)."""
    centre = mean[c]
    total, dot = 0.0, 0.0
    for i in range(n):
        lo = (i * channels + c) * length
        g, v = piece(grad, lo, length), piece(x, lo, length)
        s, d = x.dtype.type(0), x.dtype.type(0)
        for j in range(length):
            s = lane_add(s, g[j])
            d = lane_add(d, g[j] * (v[j] - centre))
        total += s
        dot += d
    gw[c] = dot * rstd[c]
    gb[c] = total
    w = weight[c] if len(weight) > 0 else weight.dtype.type(1)
    scale = x.dtype.type(w * rstd[c])
    count = n * length
    a, b = x.dtype.type(total / count), x.dtype.type(dot * rstd[c] * rstd[c] / count)
    for i in range(n):
        lo = (i * channels + c) * length
        g, v, y = piece(grad, lo, length), piece(x, lo, length), piece(gx, lo, length)
        if train:
            for j in range(length):
                y[j] = (g[j] - a - (v[j] - centre) * b) * scale
        else:  # x takes no part: nan in it stays out of gx
            for j in range(length):
                y[j] = g[j] * scale


@jit(bare=True)
def batch_norm_backward_channels(p, grad, x, n, channels, length, weight, mean, rstd, train, gx, gw, gb):
    """The channels of one part of PART elements."""
    block = max(1, PART // (n * length))
    rest = (weight, mean, rstd, train, gx, gw, gb)
    for c in range(p * block, min((p + 1) * block, channels)):
        batch_norm_backward_channel(c, grad, x, n, channels, length, *rest)


@jit(bare=True)
def backward_column_sums(u, grad, x, n, columns, unit_rows, centre, few, totals, dots):
    """totals, dots[u, j] = sum over one unit of rows of grad[r, j], and of grad[r, j] * (x[r, j] - centre[j]).

    FEW rows are added up in the dtype of x, in few: (units, 2, columns), before they join the float64 sums.
    """
    first, last = u * unit_rows, min((u + 1) * unit_rows, n)
    total, dot = piece(totals, u * columns, columns), piece(dots, u * columns, columns)
    some, some_dot = few[2 * u * columns : (2 * u + 1) * columns], few[(2 * u + 1) * columns : (2 * u + 2) * columns]
    m = centre[:columns]
    for j in range(columns):
        total[j] = 0
        dot[j] = 0
        some[j] = 0
        some_dot[j] = 0
    for r in range(first, last):
        g, v = piece(grad, r * columns, columns), piece(x, r * columns, columns)
        for j in range(columns):
            some[j] += g[j]
            some_dot[j] += g[j] * (v[j] - m[j])
        if (r - first) % FEW == FEW - 1 or r == last - 1:
            for j in range(columns):
                total[j] += some[j]
                dot[j] += some_dot[j]
                some[j] = 0
                some_dot[j] = 0


@jit(bare=True)
def backward_columns(n, channels, length, units, totals, dots, weight, rstd, a, b, scale, gw, gb):
    """gw, gb from the sums of the units; a, b, scale: (columns,) of gx = (g - a - (x - centre) * b) * scale."""
    columns = channels * length
    for u in range(1, units):
        for j in range(columns):
            totals[j] += totals[u * columns + j]
            dots[j] += dots[u * columns + j]
    for c in range(channels):
        total, dot = 0.0, 0.0
        for k in range(length):
            total += totals[c * length + k]
            dot += dots[c * length + k]
        gw[c] = dot * rstd[c]
        gb[c] = total
        w = weight[c] if len(weight) > 0 else weight.dtype.type(1)
        for k in range(length):
            scale[c * length + k] = w * rstd[c]
            a[c * length + k] = total / (n * length)
            b[c * length + k] = dot * rstd[c] * rstd[c] / (n * length)


@jit(bare=True)
def backward_scale_columns(p, grad, x, n, columns, centre, train, a, b, scale, gx):
    """gx = (grad - a - (x - centre) * b) * scale on PART elements; grad * scale without train, where x may be nan."""
    block = max(1, PART // columns)
    m, a, b, s = centre[:columns], a[:columns], b[:columns], scale[:columns]
    for r in range(p * block, min((p + 1) * block, n)):
        at = r * columns
        g, v, y = piece(grad, at, columns), piece(x, at, columns), piece(gx, at, columns)
        if train:
            for j in range(columns):
                y[j] = (g[j] - a[j] - (v[j] - m[j]) * b[j]) * s[j]
        else:
            for j in range(columns):
                y[j] = g[j] * s[j]


_train_channels, _backward_channels = (
    spread(batch_norm_train_channels, bare=True),
    spread(batch_norm_backward_channels, bare=True),
)
_scale_rows, _scale_columns = spread(scale_rows, bare=True), spread(scale_columns, bare=True)
_column_sums, _backward_scale_columns = (
    spread(backward_column_sums, bare=True),
    spread(backward_scale_columns, bare=True),
)


def _parts(rows: int, n: int) -> int:
    """Parts of PART elements that rows of n make, as the kernels cut them."""
    block = max(1, PART // n)
    return (rows + block - 1) // block


def _along_channels(n: int, length: int) -> bool:
    """Whether (n, C, length) is taken channel by channel, not as n rows of C * length columns."""
    return length >= SHORT or length > 1 and n < FEW_SAMPLES or n == 1


def batch_norm_train(
    x, n, channels, length, weight, bias, running_mean, running_var, momentum, eps, out, save_mean, save_rstd
):
    """x: (n, channels, length) -> out; save_*: (channels,); the running buffers are updated in place."""
    rest = (weight, bias, running_mean, running_var, momentum, eps)
    if _along_channels(n, length):
        _train_channels(x.size, _parts(channels, n * length), x, n, channels, length, *rest, out, save_mean, save_rstd)
        return
    columns = channels * length
    means, m2s = np.empty(columns), np.empty(columns)
    centre, scale, shift = np.empty(columns, x.dtype), np.empty(columns, x.dtype), np.empty(columns, x.dtype)
    moments(x, 1, n, columns, means, m2s)
    train_columns(n, channels, length, means, m2s, *rest, save_mean, save_rstd, centre, scale, shift)
    _scale_columns(x.size, _parts(n, columns), x, n, columns, centre, scale, shift, out)


def batch_norm_eval(x, n, channels, length, mean, var, weight, bias, eps, out):
    """x: (n, channels, length) -> out, with the given mean and var."""
    along = _along_channels(n, length)
    repeat = 1 if along else length
    centre, scale, shift = (np.empty(channels * repeat, x.dtype) for _ in range(3))
    eval_columns(channels, repeat, mean, var, weight, bias, eps, centre, scale, shift)
    if not along:
        columns = channels * length
        _scale_columns(x.size, _parts(n, columns), x, n, columns, centre, scale, shift, out)
    else:
        rows = n * channels
        _scale_rows(x.size, _parts(rows, length), x, rows, channels, length, centre, scale, shift, out)


def batch_norm_backward(grad, x, n, channels, length, weight, mean, rstd, train, gx, gw, gb):
    """Gradients of input (gx), weight (gw) and bias (gb)."""
    if _along_channels(n, length):
        rest = (weight, mean, rstd, train, gx, gw, gb)
        _backward_channels(x.size, _parts(channels, n * length), grad, x, n, channels, length, *rest)
        return
    columns = channels * length
    unit_rows = max(16, UNIT // columns)
    units = (n + unit_rows - 1) // unit_rows
    few = np.empty(units * 2 * columns, x.dtype)
    totals, dots = np.empty(units * columns), np.empty(units * columns)
    centre = mean if length == 1 else np.repeat(mean, length)
    a, b, scale = np.empty(columns, x.dtype), np.empty(columns, x.dtype), np.empty(columns, x.dtype)
    _column_sums(x.size, units, grad, x, n, columns, unit_rows, centre, few, totals, dots)
    backward_columns(n, channels, length, units, totals, dots, weight, rstd, a, b, scale, gw, gb)
    _backward_scale_columns(x.size, _parts(n, columns), grad, x, n, columns, centre, train, a, b, scale, gx)


# -- layer norm and RMS norm: rows (M, N), the affine parameters over N --------------------------------------


@jit(bare=True)
def sum_of_squares(x, lo, hi):
    """In the dtype of x over a PIECE of it, in float64 from piece to piece."""
    total = 0.0
    for at in range(lo, hi, PIECE):
        v = piece(x, at, min(PIECE, hi - at))
        s = x.dtype.type(0)
        for j in range(len(v)):
            s = lane_add(s, v[j] * v[j])
        total += s
    return total


@jit(inline=True, bare=True)
def row_moments(x, lo, n, inverse):
    """(mean, variance) of n elements of x at lo; inverse = 1 / n. Divisions cost short rows more than their sums."""
    if n > PIECE:
        mean, m2 = range_moments(x, lo, lo + n)
        return mean, m2 * inverse
    v = piece(x, lo, n)
    total = x.dtype.type(0)
    for j in range(n):
        total = lane_add(total, v[j])
    centre = x.dtype.type(np.float64(total) * inverse)
    squares, off = x.dtype.type(0), x.dtype.type(0)
    for j in range(n):
        d = v[j] - centre
        squares = lane_add(squares, d * d)
        off = lane_add(off, d)
    rest = np.float64(off) * inverse  # what the rounding of the mean left over
    return centre + rest, np.float64(squares) * inverse - rest * rest


@jit(inline=True, bare=True)
def layer_norm_row(p, x, n, inverse, weight, bias, centred, eps, out, save_mean, save_rstd):
    """One row; with centred false (RMS norm) the mean is taken as 0."""
    lo = p * n
    mean, variance = row_moments(x, lo, n, inverse) if centred else (0.0, sum_of_squares(x, lo, lo + n) * inverse)
    rstd = 1 / np.sqrt(variance + eps)
    save_mean[p] = mean
    save_rstd[p] = rstd
    scale = x.dtype.type(rstd)
    centre = x.dtype.type(mean)
    v, y = piece(x, lo, n), piece(out, lo, n)
    if len(weight) > 0 and len(bias) > 0:
        for j in range(n):
            y[j] = (v[j] - centre) * scale * weight[j] + bias[j]
    elif len(weight) > 0:
        for j in range(n):
            y[j] = (v[j] - centre) * scale * weight[j]
    else:
        for j in range(n):
            y[j] = (v[j] - centre) * scale
        if len(bias) > 0:
            for j in range(n):
                y[j] += bias[j]


@jit(bare=True)
def layer_norm_rows(p, x, rows, n, weight, bias, centred, eps, out, save_mean, save_rstd):
    """The rows of one part of PART elements."""
    block = max(1, PART // n)
    for r in range(p * block, min((p + 1) * block, rows)):
        layer_norm_row(r, x, n, 1 / n, weight, bias, centred, eps, out, save_mean, save_rstd)


@jit(nogil=True, bare=True)
def layer_norm_all_rows(x, rows, n, weight, bias, centred, eps, out, save_mean, save_rstd):
    """All rows in one serial call; see layer_norm. save_mean and save_rstd may be one array if nobody reads them."""
    for r in range(rows):
        layer_norm_row(r, x, n, 1 / n, weight, bias, centred, eps, out, save_mean, save_rstd)


@jit(bare=True)
def layer_norm_backward_unit(p, grad, x, rows, n, weight, centred, mean, rstd, gx, gws, gbs):
    """gx of UNIT_ROWS rows, and their share of gw and gb into gws[p], gbs[p]."""
    gw, gb = piece(gws, p * n, n), piece(gbs, p * n, n)
    gw[:] = 0
    gb[:] = 0
    has_weight = len(weight) > 0
    for r in range(p * UNIT_ROWS, min((p + 1) * UNIT_ROWS, rows)):
        g, v, y = piece(grad, r * n, n), piece(x, r * n, n), piece(gx, r * n, n)
        centre, scale = mean[r], rstd[r]
        total, dot = x.dtype.type(0), x.dtype.type(0)
        if has_weight:
            for j in range(n):
                h = g[j] * weight[j]
                total = lane_add(total, h)
                dot = lane_add(dot, h * (v[j] - centre))
        else:
            for j in range(n):
                total = lane_add(total, g[j])
                dot = lane_add(dot, g[j] * (v[j] - centre))
        a = x.dtype.type(total / n if centred else 0.0)
        b = x.dtype.type(dot * scale * scale / n)
        # two loops, since LLVM compares the addresses of at most eight pairs of arrays before it gives up on vectors
        for j in range(n):
            gw[j] += g[j] * ((v[j] - centre) * scale)
            gb[j] += g[j]
        if has_weight:
            for j in range(n):
                y[j] = (g[j] * weight[j] - a - (v[j] - centre) * b) * scale
        else:
            for j in range(n):
                y[j] = (g[j] - a - (v[j] - centre) * b) * scale


@jit(bare=True)
def add_rows(parts, units, n, out):
    """out[j] = sum of parts[u, j]."""
    for j in range(n):
        out[j] = parts[j]
    for u in range(1, units):
        v = piece(parts, u * n, n)
        for j in range(n):
            out[j] += v[j]


_layer_rows = spread(layer_norm_rows, bare=True)
_layer_backward_units = spread(layer_norm_backward_unit, bare=True)


def layer_norm(x, rows, n, weight, bias, centred, eps, out, save_mean, save_rstd):
    """x: (rows, n) normalised row by row; weight, bias: (n,) or empty; save_mean, save_rstd: (rows,)."""
    if x.size < PARALLEL_SIZE:
        layer_norm_all_rows(x, rows, n, weight, bias, centred, eps, out, save_mean, save_rstd)
        return
    _layer_rows(x.size, _parts(rows, n), x, rows, n, weight, bias, centred, eps, out, save_mean, save_rstd)


def layer_norm_backward(grad, x, rows, n, weight, centred, mean, rstd, gx, gw, gb):
    """Gradients of input, weight (n,) and bias (n,); rows and n at least 1."""
    units = (rows + UNIT_ROWS - 1) // UNIT_ROWS
    if units == 1:
        _layer_backward_units(x.size, 1, grad, x, rows, n, weight, centred, mean, rstd, gx, gw, gb)
        return
    gws, gbs = np.empty(units * n, x.dtype), np.empty(units * n, x.dtype)
    _layer_backward_units(x.size, units, grad, x, rows, n, weight, centred, mean, rstd, gx, gws, gbs)
    add_rows(gws, units, n, gw)
    add_rows(gbs, units, n, gb)


# -- group norm: rows (N * G) of D channels of length L, the affine parameters over channels -----------------


@jit(inline=True, bare=True)
def group_norm_row(p, x, first, depth, length, inverse, weight, bias, eps, out, save_mean, save_rstd):
    """One group of one sample: depth channels of length elements, from channel `first`; inverse = 1 / their number."""
    n = depth * length
    lo = p * n
    mean, variance = row_moments(x, lo, n, inverse)
    rstd = 1 / np.sqrt(variance + eps)
    save_mean[p] = mean
    save_rstd[p] = rstd
    for d in range(depth):
        w, b = affine(weight, bias, first + d)
        centre, scale, shift = line(x, mean, rstd, w, b)
        at = lo + d * length
        v, y = piece(x, at, length), piece(out, at, length)
        for j in range(length):
            y[j] = (v[j] - centre) * scale + shift


@jit(bare=True)
def group_norm_backward_row(p, grad, x, groups, depth, length, weight, mean, rstd, gx, gws, gbs):
    """gx of one group, and the sums over length that gw and gb are made of: gws, gbs (N * G * D,)."""
    n = depth * length
    centre, scale = mean[p], rstd[p]
    total, dot = 0.0, 0.0
    for d in range(depth):
        at = p * n + d * length
        g, v = piece(grad, at, length), piece(x, at, length)
        s, t = x.dtype.type(0), x.dtype.type(0)
        for j in range(length):
            s = lane_add(s, g[j])
            t = lane_add(t, g[j] * (v[j] - centre))
        gws[p * depth + d] = t * scale
        gbs[p * depth + d] = s
        w = weight[p % groups * depth + d] if len(weight) > 0 else weight.dtype.type(1)
        total += s * w
        dot += t * w
    a = x.dtype.type(total / n)
    b = x.dtype.type(dot * scale * scale / n)
    for d in range(depth):
        w = weight[p % groups * depth + d] if len(weight) > 0 else weight.dtype.type(1)
        at = p * n + d * length
        g, v, y = piece(grad, at, length), piece(x, at, length), piece(gx, at, length)
        for j in range(length):
            y[j] = (g[j] * w - a - (v[j] - centre) * b) * scale


@jit(bare=True)
def group_norm_rows(p, x, rows, groups, depth, length, weight, bias, eps, out, save_mean, save_rstd):
    """The groups of one part of PART elements."""
    block = max(1, PART // (depth * length))
    for r in range(p * block, min((p + 1) * block, rows)):
        first = r % groups * depth
        group_norm_row(r, x, first, depth, length, 1 / (depth * length), weight, bias, eps, out, save_mean, save_rstd)


@jit(nogil=True, bare=True)
def group_norm_all_rows(x, rows, groups, depth, length, weight, bias, eps, out, save_mean, save_rstd):
    """All groups in one serial call; see group_norm. save_mean and save_rstd may be one array if nobody reads them."""
    for r in range(rows):
        first = r % groups * depth
        group_norm_row(r, x, first, depth, length, 1 / (depth * length), weight, bias, eps, out, save_mean, save_rstd)


@jit(bare=True)
def group_norm_backward_rows(p, grad, x, rows, groups, depth, length, weight, mean, rstd, gx, gws, gbs):
    """The groups of one part of PART elements."""
    block = max(1, PART // (depth * length))
    for r in range(p * block, min((p + 1) * block, rows)):
        group_norm_backward_row(r, grad, x, groups, depth, length, weight, mean, rstd, gx, gws, gbs)


_group_rows, _group_backward_rows = spread(group_norm_rows, bare=True), spread(group_norm_backward_rows, bare=True)


def group_norm(x, n, groups, depth, length, weight, bias, eps, out, save_mean, save_rstd):
    """x: (n, groups, depth, length); weight, bias: (groups * depth,) or empty; save_*: (n * groups,)."""
    rest = (weight, bias, eps, out, save_mean, save_rstd)
    rows = n * groups
    if x.size < PARALLEL_SIZE:
        group_norm_all_rows(x, rows, groups, depth, length, *rest)
        return
    _group_rows(x.size, _parts(rows, depth * length), x, rows, groups, depth, length, *rest)


def group_norm_backward(grad, x, n, groups, depth, length, weight, mean, rstd, gx, gw, gb):
    """Gradients of input, weight (groups * depth,) and bias (groups * depth,)."""
    gws, gbs = np.empty(n * groups * depth, x.dtype), np.empty(n * groups * depth, x.dtype)
    rest = (weight, mean, rstd, gx, gws, gbs)
    rows = n * groups
    _group_backward_rows(x.size, _parts(rows, depth * length), grad, x, rows, groups, depth, length, *rest)
    add_rows(gws, n, groups * depth, gw)
    add_rows(gbs, n, groups * depth, gb)
