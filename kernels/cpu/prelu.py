"""ReLU with a slope for each channel: x is (outer, channels, inner), the slopes are (channels,).

y = x above 0, w x below            gx = g above 0, g w below,   gw = the sum of g x below 0
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from ..pieces import piece
from .lanes import lane_add
from .spread import spread

# Elements of a unit: three runs of 32 KiB at most, second-level cache. A single slope has rows of so many.
PART = 8192


@jit(bare=True)
def prelu_forward_unit(u, x, w, rows, channels, inner, out):
    """Some rows of `inner` elements of one channel each; with inner = 1 rows of all channels."""
    zero = x.dtype.type(0)
    width = channels if inner == 1 else inner
    block = max(1, PART // width)
    for r in range(u * block, min((u + 1) * block, rows)):
        at = r * width
        count = min(width, x.size - at)
        v, y = piece(x, at, count), piece(out, at, count)
        if inner == 1:
            for j in range(count):
                y[j] = v[j] if v[j] > zero else v[j] * w[j]
        else:
            slope = w[r % channels]
            for j in range(count):
                y[j] = v[j] if v[j] > zero else v[j] * slope


@jit(bare=True)
def prelu_backward_unit(u, grad, x, w, rows, channels, inner, gx, gws):
    """gx, and what adds up to gw: a number of each row in gws (rows,), or with inner = 1 of each channel in gws[u]."""
    zero = x.dtype.type(0)
    width = channels if inner == 1 else inner
    block = max(1, PART // width)
    if inner == 1:
        sums = piece(gws, u * channels, channels)
        for j in range(channels):
            sums[j] = 0.0
    for r in range(u * block, min((u + 1) * block, rows)):
        at = r * width
        count = min(width, x.size - at)
        if inner == 1:
            g, v, y = piece(grad, at, count), piece(x, at, count), piece(gx, at, count)
            for j in range(count):
                y[j] = g[j] if v[j] > zero else g[j] * w[j]
            sums = piece(gws, u * channels, channels)
            for j in range(count):
                sums[j] += zero if v[j] > zero else g[j] * v[j]
        else:
            slope, total = w[r % channels], 0.0
            for lo in range(0, count, PART):  # in float64 from block to block: rows may be long
                some = min(PART, count - lo)
                g, v, y = piece(grad, at + lo, some), piece(x, at + lo, some), piece(gx, at + lo, some)
                s = zero
                for j in range(some):
                    s = lane_add(s, zero if v[j] > zero else g[j] * v[j])
                for j in range(some):
                    y[j] = g[j] if v[j] > zero else g[j] * slope
                total += s
            gws[r] = total


@jit(bare=True)
def add_parts(gws, parts, channels, gw):
    """gw[c] = the sum over p of gws[p, c]."""
    for c in range(channels):
        total = 0.0
        for p in range(parts):
            total += gws[p * channels + c]
        gw[c] = total


_forward, _backward = spread(prelu_forward_unit, bare=True), spread(prelu_backward_unit, bare=True)


def layout(size: int, outer: int, channels: int, inner: int) -> tuple[int, int, int]:
    """(rows, inner, units) as the units take them: a single slope leaves the elements in rows of PART."""
    if channels == 1:
        inner = PART
        rows = (size + PART - 1) // PART
        return rows, inner, rows
    rows, width = (outer, channels) if inner == 1 else (outer * channels, inner)
    block = max(1, PART // width)
    return rows, inner, (rows + block - 1) // block


def prelu_forward(x, w, outer: int, channels: int, inner: int, out) -> None:
    """x: (outer, channels, inner), all at least 1 -> out."""
    rows, inner, units = layout(x.size, outer, channels, inner)
    _forward(x.size, units, x, w, rows, channels, inner, out)


def prelu_backward(grad, x, w, outer: int, channels: int, inner: int, gx, gw) -> None:
    """Gradients of input (gx) and slopes (gw: (channels,))."""
    rows, inner, units = layout(x.size, outer, channels, inner)
    parts = units if inner == 1 else rows // channels
    gws = np.empty(parts * channels)
    _backward(x.size, units, grad, x, w, rows, channels, inner, gx, gws)
    add_parts(gws, parts, channels, gw)
