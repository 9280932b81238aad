"""Batch, layer, RMS and group normalisation, forward and backward, each one sweep of fused work a piece.

    y = (x - mean) * rstd * w + b,    rstd = 1 / sqrt(var + eps),    xhat = (x - mean) * rstd
    gx = rstd * (w * g - mean(w * g) - xhat * mean(w * g * xhat)),   gw = sum g * xhat,   gb = sum g

`mean` above runs over what was normalised together. Absent weights, biases and running buffers are arrays of
size 0.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from .lanes import lane_add
from .moments import merge_moments, range_moments
from .spread import spread

# Rows that one unit of a layer-norm backward sums into its own gw and gb before these are joined.
UNIT_ROWS = 32
# Columns of (N, C) batch norm that one part handles: 64 float32 are four cache lines of each row.
TILE = 64


@jit
def affine(weight, bias, c):
    """(weight[c], bias[c]), or 1 and 0 where they are absent; rounded to the dtype of weight."""
    w = weight[c] if len(weight) > 0 else weight.dtype.type(1)
    b = bias[c] if len(bias) > 0 else weight.dtype.type(0)
    return w, b


@jit
def update_running(running_mean, running_var, c, mean, m2, count, momentum):
    """running = (1 - momentum) * running + momentum * (mean, unbiased variance)."""
    if len(running_mean) > 0:
        running_mean[c] = running_mean[c] * (1 - momentum) + mean * momentum
    if len(running_var) > 0:
        unbiased = m2 / (count - 1)
        running_var[c] = running_var[c] * (1 - momentum) + unbiased * momentum


# -- batch norm over (N, C, L) -------------------------------------------------------------------------------


@jit
def batch_norm_train_channel(
    c,
    x,
    n,
    channels,
    length,
    weight,
    bias,
    running_mean,
    running_var,
    momentum,
    eps,
    out,
    save_mean,
    save_rstd,
):
    mean, m2 = range_moments(x, c * length, c * length + length)
    for i in range(1, n):
        lo = (i * channels + c) * length
        mean_b, m2_b = range_moments(x, lo, lo + length)
        mean, m2 = merge_moments(i * length, mean, m2, length, mean_b, m2_b)
    rstd = 1 / np.sqrt(m2 / (n * length) + eps)
    save_mean[c] = mean
    save_rstd[c] = rstd
    update_running(running_mean, running_var, c, mean, m2, n * length, momentum)
    w, b = affine(weight, bias, c)
    scale = x.dtype.type(rstd * w)
    shift = x.dtype.type(b - mean * rstd * w)
    for i in range(n):
        lo = (i * channels + c) * length
        v, y = x[lo : lo + length], out[lo : lo + length]
        for j in range(length):
            y[j] = v[j] * scale + shift


@jit
def batch_norm_train_tile(
    p, x, n, channels, weight, bias, running_mean, running_var, momentum, eps, out, save_mean, save_rstd
):
    """The same for length 1, by tiles of channels: x is (N, C)."""
    lo = p * TILE
    width = min(TILE, channels - lo)
    mean, m2 = np.zeros(width), np.zeros(width)
    for i in range(n):
        v = x[i * channels + lo : i * channels + lo + width]
        for j in range(width):
            mean[j] += v[j]
    for j in range(width):
        mean[j] /= n
    for i in range(n):
        v = x[i * channels + lo : i * channels + lo + width]
        for j in range(width):
            d = v[j] - mean[j]
            m2[j] += d * d
    scale, shift = np.empty(width, x.dtype), np.empty(width, x.dtype)
    for j in range(width):
        rstd = 1 / np.sqrt(m2[j] / n + eps)
        save_mean[lo + j] = mean[j]
        save_rstd[lo + j] = rstd
        update_running(running_mean, running_var, lo + j, mean[j], m2[j], n, momentum)
        w, b = affine(weight, bias, lo + j)
        scale[j] = rstd * w
        shift[j] = b - mean[j] * rstd * w
    for i in range(n):
        at = i * channels + lo
        v, y = x[at : at + width], out[at : at + width]
        for j in range(width):
            y[j] = v[j] * scale[j] + shift[j]


@jit
def batch_norm_eval_row(p, x, channels, length, mean, var, weight, bias, eps, out):
    """out[n, c, :] = (x[n, c, :] - mean[c]) / sqrt(var[c] + eps) * w + b; p = n * channels + c."""
    c = p % channels
    w, b = affine(weight, bias, c)
    rstd = 1 / np.sqrt(np.float64(var[c]) + eps)
    scale = x.dtype.type(rstd * w)
    shift = x.dtype.type(b - mean[c] * rstd * w)
    v, y = x[p * length : p * length + length], out[p * length : p * length + length]
    for j in range(length):
        y[j] = v[j] * scale + shift


@jit
def batch_norm_backward_channel(c, grad, x, n, channels, length, weight, mean, rstd, train, gx, gw, gb):
    """gx, gw, gb of one channel; mean and rstd as used by the forward (batch or running)."""
    centre = mean[c]
    total, dot = 0.0, 0.0
    for i in range(n):
        lo = (i * channels + c) * length
        g, v = grad[lo : lo + length], x[lo : lo + length]
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
    a = x.dtype.type(total / count if train else 0.0)
    b = x.dtype.type(dot * rstd[c] * rstd[c] / count if train else 0.0)
    for i in range(n):
        lo = (i * channels + c) * length
        g, v, y = grad[lo : lo + length], x[lo : lo + length], gx[lo : lo + length]
        for j in range(length):
            y[j] = (g[j] - a - (v[j] - centre) * b) * scale


@jit
def batch_norm_backward_tile(p, grad, x, n, channels, weight, mean, rstd, train, gx, gw, gb):
    """The same for length 1, by tiles of channels."""
    lo = p * TILE
    width = min(TILE, channels - lo)
    centre = mean[lo : lo + width]
    total, dot = np.zeros(width), np.zeros(width)
    for i in range(n):
        at = i * channels + lo
        g, v = grad[at : at + width], x[at : at + width]
        for j in range(width):
            total[j] += g[j]
            dot[j] += g[j] * (v[j] - centre[j])
    scale, a, b = np.empty(width, x.dtype), np.empty(width, x.dtype), np.empty(width, x.dtype)
    for j in range(width):
        c = lo + j
        gw[c] = dot[j] * rstd[c]
        gb[c] = total[j]
        scale[j] = (weight[c] if len(weight) > 0 else weight.dtype.type(1)) * rstd[c]
        a[j] = total[j] / n if train else 0.0
        b[j] = dot[j] * rstd[c] * rstd[c] / n if train else 0.0
    for i in range(n):
        at = i * channels + lo
        g, v, y = grad[at : at + width], x[at : at + width], gx[at : at + width]
        for j in range(width):
            y[j] = (g[j] - a[j] - (v[j] - centre[j]) * b[j]) * scale[j]


_train_channels, _train_tiles = spread(batch_norm_train_channel), spread(batch_norm_train_tile)
_eval_rows = spread(batch_norm_eval_row)
_backward_channels, _backward_tiles = spread(batch_norm_backward_channel), spread(batch_norm_backward_tile)


def batch_norm_train(
    x, n, channels, length, weight, bias, running_mean, running_var, momentum, eps, out, save_mean, save_rstd
):
    """x: (n, channels, length) -> out; save_*: (channels,); the running buffers are updated in place."""
    rest = (weight, bias, running_mean, running_var, momentum, eps, out, save_mean, save_rstd)
    if length == 1:
        _train_tiles(x.size, (channels + TILE - 1) // TILE, x, n, channels, *rest)
    else:
        _train_channels(x.size, channels, x, n, channels, length, *rest)


def batch_norm_eval(x, n, channels, length, mean, var, weight, bias, eps, out):
    """x: (n, channels, length) -> out, with the given mean and var."""
    _eval_rows(x.size, n * channels, x, channels, length, mean, var, weight, bias, eps, out)


def batch_norm_backward(grad, x, n, channels, length, weight, mean, rstd, train, gx, gw, gb):
    """Gradients of input (gx), weight (gw) and bias (gb)."""
    rest = (weight, mean, rstd, train, gx, gw, gb)
    if length == 1:
        _backward_tiles(x.size, (channels + TILE - 1) // TILE, grad, x, n, channels, *rest)
    else:
        _backward_channels(x.size, channels, grad, x, n, channels, length, *rest)


# -- layer norm and RMS norm: rows (M, N), the affine parameters over N --------------------------------------


@jit
def layer_norm_row(p, x, n, weight, bias, centred, eps, out, save_mean, save_rstd):
    """One row; with centred false (RMS norm) the mean is taken as 0."""
    lo = p * n
    mean, m2 = range_moments(x, lo, lo + n)
    if not centred:
        m2 += mean * mean * n
        mean = 0.0
    rstd = 1 / np.sqrt(m2 / n + eps)
    save_mean[p] = mean
    save_rstd[p] = rstd
    scale = x.dtype.type(rstd)
    centre = x.dtype.type(mean)
    v, y = x[lo : lo + n], out[lo : lo + n]
    if len(weight) > 0 and len(bias) > 0:
        for j in range(n):
            y[j] = (v[j] - centre) * scale * weight[j] + bias[j]
    else:
        for j in range(n):
            y[j] = (v[j] - centre) * scale
        if len(weight) > 0:
            for j in range(n):
                y[j] *= weight[j]
        if len(bias) > 0:
            for j in range(n):
                y[j] += bias[j]


@jit
def layer_norm_backward_unit(p, grad, x, rows, n, weight, centred, mean, rstd, gx, gws, gbs):
    """gx of UNIT_ROWS rows, and their share of gw and gb into gws[p], gbs[p]."""
    gw, gb = gws[p * n : p * n + n], gbs[p * n : p * n + n]
    gw[:] = 0
    gb[:] = 0
    has_weight = len(weight) > 0
    for r in range(p * UNIT_ROWS, min((p + 1) * UNIT_ROWS, rows)):
        g, v, y = grad[r * n : r * n + n], x[r * n : r * n + n], gx[r * n : r * n + n]
        centre, scale = mean[r], rstd[r]
        total, dot = x.dtype.type(0), x.dtype.type(0)
        if has_weight:
            for j in range(n):
                total = lane_add(total, g[j] * weight[j])
                dot = lane_add(dot, g[j] * weight[j] * (v[j] - centre))
        else:
            for j in range(n):
                total = lane_add(total, g[j])
                dot = lane_add(dot, g[j] * (v[j] - centre))
        a = x.dtype.type(total / n if centred else 0.0)
        b = x.dtype.type(dot * scale * scale / n)
        for j in range(n):
            d = v[j] - centre
            gw[j] += g[j] * d * scale
            gb[j] += g[j]
        if has_weight:
            for j in range(n):
                y[j] = (g[j] * weight[j] - a - (v[j] - centre) * b) * scale
        else:
            for j in range(n):
                y[j] = (g[j] - a - (v[j] - centre) * b) * scale


@jit
def add_rows(parts, units, n, out):
    """out[j] = sum of parts[u, j]."""
    for j in range(n):
        out[j] = parts[j]
    for u in range(1, units):
        v = parts[u * n : u * n + n]
        for j in range(n):
            out[j] += v[j]


_layer_rows = spread(layer_norm_row)
_layer_backward_units = spread(layer_norm_backward_unit)


def layer_norm(x, rows, n, weight, bias, centred, eps, out, save_mean, save_rstd):
    """x: (rows, n) normalised row by row; weight, bias: (n,) or empty; save_mean, save_rstd: (rows,)."""
    _layer_rows(x.size, rows, x, n, weight, bias, centred, eps, out, save_mean, save_rstd)


def layer_norm_backward(grad, x, rows, n, weight, centred, mean, rstd, gx, gw, gb):
    """Gradients of input, weight (n,) and bias (n,); rows and n at least 1."""
    units = (rows + UNIT_ROWS - 1) // UNIT_ROWS
    gws, gbs = np.empty(units * n, x.dtype), np.empty(units * n, x.dtype)
    _layer_backward_units(x.size, units, grad, x, rows, n, weight, centred, mean, rstd, gx, gws, gbs)
    add_rows(gws, units, n, gw)
    add_rows(gbs, units, n, gb)


# -- group norm: rows (N * G) of D channels of length L, the affine parameters over channels -----------------


@jit
def group_norm_row(p, x, groups, depth, length, weight, bias, eps, out, save_mean, save_rstd):
    """One group of one sample: depth channels of length elements."""
    n = depth * length
    lo = p * n
    mean, m2 = range_moments(x, lo, lo + n)
    rstd = 1 / np.sqrt(m2 / n + eps)
    save_mean[p] = mean
    save_rstd[p] = rstd
    for d in range(depth):
        w, b = affine(weight, bias, p % groups * depth + d)
        scale = x.dtype.type(rstd * w)
        shift = x.dtype.type(b - mean * rstd * w)
        at = lo + d * length
        v, y = x[at : at + length], out[at : at + length]
        for j in range(length):
            y[j] = v[j] * scale + shift


@jit
def group_norm_backward_row(p, grad, x, groups, depth, length, weight, mean, rstd, gx, gws, gbs):
    """gx of one group, and the sums over length that gw and gb are made of: gws, gbs (N * G * D,)."""
    n = depth * length
    centre, scale = mean[p], rstd[p]
    total, dot = 0.0, 0.0
    for d in range(depth):
        at = p * n + d * length
        g, v = grad[at : at + length], x[at : at + length]
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
        g, v, y = grad[at : at + length], x[at : at + length], gx[at : at + length]
        for j in range(length):
            y[j] = (g[j] * w - a - (v[j] - centre) * b) * scale


_group_rows, _group_backward_rows = spread(group_norm_row), spread(group_norm_backward_row)


def group_norm(x, n, groups, depth, length, weight, bias, eps, out, save_mean, save_rstd):
    """x: (n, groups, depth, length); weight, bias: (groups * depth,) or empty; save_*: (n * groups,)."""
    rest = (weight, bias, eps, out, save_mean, save_rstd)
    _group_rows(x.size, n * groups, x, groups, depth, length, *rest)


def group_norm_backward(grad, x, n, groups, depth, length, weight, mean, rstd, gx, gw, gb):
    """Gradients of input, weight (groups * depth,) and bias (groups * depth,)."""
    gws, gbs = np.empty(n * groups * depth, x.dtype), np.empty(n * groups * depth, x.dtype)
    rest = (weight, mean, rstd, gx, gws, gbs)
    _group_backward_rows(x.size, n * groups, grad, x, groups, depth, length, *rest)
    add_rows(gws, n, groups * depth, gw)
    add_rows(gbs, n, groups * depth, gb)
