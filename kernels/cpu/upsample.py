"""Resampling with separable weights: nearest, linear, cubic and antialiased interpolation, and their
gradients.

    out[plane, od, oh, ow] = sum_{a, b, c} wd[od, a] wh[oh, b] ww[ow, c] x[plane, id[od, a], ih[oh, b], iw[ow,
    c]]

Per dimension a table of T source positions and T weights for each output (T = 1 nearest, 2 linear, 4 cubic,
more antialiased) holds all that the modes differ in. A row of the output is made in two steps: the input rows
it needs are added up with their weights (contiguous, vectorised), then that one row is sampled along the
width. Arrays are flat: x (planes, *src), out (planes, *dst).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit

SERIAL_WORK = 50_000
CHUNKS = 32


@jit(nogil=True)
def _forward_planes(first, last, x, out, src, dst, taps, place, weight):
    td, th, tw = taps[0], taps[1], taps[2]
    h0, w0 = dst[0] * td, dst[0] * td + dst[1] * th
    volume, width = src[0] * src[1] * src[2], src[2]
    row = np.empty(width, x.dtype)
    for plane in range(first, last):
        at = plane * dst[0] * dst[1] * dst[2]
        for od in range(dst[0]):
            for oh in range(dst[1]):
                row[:] = 0
                for a in range(td):
                    for b in range(th):
                        factor = weight[od * td + a] * weight[h0 + oh * th + b]
                        line = plane * volume + (place[od * td + a] * src[1] + place[h0 + oh * th + b]) * width
                        source = x[line : line + width]
                        if factor != 0:
                            for e in range(width):
                                row[e] += factor * source[e]
                for ow in range(dst[2]):
                    total = x.dtype.type(0)
                    for c in range(tw):
                        total += weight[w0 + ow * tw + c] * row[place[w0 + ow * tw + c]]
                    out[at] = total
                    at += 1


@jit(parallel=True)
def _forward_parallel(chunks, planes, x, out, src, dst, taps, place, weight):
    for i in prange(chunks):
        _forward_planes(i * planes // chunks, (i + 1) * planes // chunks, x, out, src, dst, taps, place, weight)


@jit(nogil=True)
def _backward_planes(first, last, grad, out, src, dst, taps, place, weight):
    td, th, tw = taps[0], taps[1], taps[2]
    h0, w0 = dst[0] * td, dst[0] * td + dst[1] * th
    volume, width = src[0] * src[1] * src[2], src[2]
    row = np.empty(width, grad.dtype)
    for plane in range(first, last):
        at = plane * dst[0] * dst[1] * dst[2]
        for od in range(dst[0]):
            for oh in range(dst[1]):
                row[:] = 0
                for ow in range(dst[2]):
                    for c in range(tw):
                        row[place[w0 + ow * tw + c]] += weight[w0 + ow * tw + c] * grad[at]
                    at += 1
                for a in range(td):
                    for b in range(th):
                        factor = weight[od * td + a] * weight[h0 + oh * th + b]
                        line = plane * volume + (place[od * td + a] * src[1] + place[h0 + oh * th + b]) * width
                        target = out[line : line + width]
                        if factor != 0:
                            for e in range(width):
                                target[e] += factor * row[e]


@jit(parallel=True)
def _backward_parallel(chunks, planes, grad, out, src, dst, taps, place, weight):
    for i in prange(chunks):
        _backward_planes(i * planes // chunks, (i + 1) * planes // chunks, grad, out, src, dst, taps, place, weight)


def interpolate_forward(x, planes: int, src: tuple, dst: tuple, taps: tuple, place, weight):
    """out of the module's formula; `place` (int64) and `weight` (dtype of x) hold the tables of depth, height
    and width in turn."""
    out = np.empty(planes * dst[0] * dst[1] * dst[2], x.dtype)
    if x.size + out.size < SERIAL_WORK or planes == 1:
        _forward_planes(0, planes, x, out, src, dst, taps, place, weight)
    else:
        _forward_parallel(min(planes, CHUNKS), planes, x, out, src, dst, taps, place, weight)
    return out


def interpolate_backward(grad, planes: int, src: tuple, dst: tuple, taps: tuple, place, weight):
    """Gradient (planes, *src) of interpolate_forward: the transposed sum."""
    out = np.zeros(planes * src[0] * src[1] * src[2], grad.dtype)
    if grad.size + out.size < SERIAL_WORK or planes == 1:
        _backward_planes(0, planes, grad, out, src, dst, taps, place, weight)
    else:
        _backward_parallel(min(planes, CHUNKS), planes, grad, out, src, dst, taps, place, weight)
    return out
