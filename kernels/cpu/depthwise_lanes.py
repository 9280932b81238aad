"""Depthwise convolution of small planes: each lane of a vector is a plane of its own.

    out[p, o] = bias[c] + sum_{i, j} weight[c, k(o) + (i, j) every] * x[p, place(o) + (i, j) far]      c = p's channel

Planes of few columns leave vectors along their rows half empty, and with a step each row of outputs has to be gathered.
Here as many planes as a vector has lanes are turned in registers, element by element side by side, and so are their
kernels; then whatever the stride, the padding and the gaps, a tap is one load and one multiply-add for all of them, the taps
in the padding are left out, and the outputs are turned back. Four outputs that see the same taps share the loads of the
weights.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import gcd

import numpy as np
from numba import prange

from ..compiler import jit
from ..simd import fma, lanes, load, store
from .copy import turn

# Outputs of a tile: four sums in registers need five loads for four multiply-adds, one sum two for each.
TILE = 4
CHUNKS = 16

# Fields of a table: elements of a plane of x and of the output, taps, columns of the kernel, columns of x; steps between the
# taps of a tile in the kernel and in the plane, along height and width; how many tiles of four and of one output. Then the
# tiles: first tap (as element of the kernel), rows and columns of taps, then the place of the first tap in the plane and
# that of the output, for each of their outputs.
(PLANE, OUTPUTS, TAPS, KERNEL_DOWN, KERNEL_RIGHT, PLACE_DOWN, PLACE_RIGHT, FOURS, ONES) = range(9)
HEAD, FOUR, ONE = 9, 3 + 2 * TILE, 5


def _axis(kind, n, outputs, kernel, stride, padding, dilation):
    """({(first tap, how many): (outputs, place of the first tap for each)}, step of the taps, step of the places)."""
    forward = kind == "forward"
    every = 1 if forward else stride // gcd(stride, dilation)
    starts = {k * dilation % stride: k for k in reversed(range(min(every, kernel)))}
    found: dict[tuple, tuple] = {}
    for o in range(outputs):
        if forward:  # x[o * stride - padding + k * dilation]
            at = o * stride - padding
            first, end = max(0, -(at // dilation)), min(kernel, (n - 1 - at) // dilation + 1)
            place = at + first * dilation
        else:  # x[i] goes to i * stride - padding + k * dilation
            at = o + padding
            start = starts.get(at % stride, kernel)
            least = max(0, -(((n - 1) * stride - at) // dilation))
            first, end = start + max(0, -((start - least) // every)) * every, min(kernel, at // dilation + 1)
            place = (at - first * dilation) // stride
        count = max(0, -((first - end) // every))
        outs, places = found.setdefault((first, count) if count else (0, 0), ([], []))
        outs.append(o)
        places.append(place if count else 0)
    return found, every, dilation if forward else -(every * dilation // stride)


@lru_cache(maxsize=256)
def lanes_table(kind, src, kernel, stride, padding, dilation, out) -> np.ndarray:
    """The table as int64; the pairs are (height, width), kind is "forward" or "transposed"."""
    axes = [_axis(kind, *each) for each in zip(src, out, kernel, stride, padding, dilation, strict=True)]
    (rows, down, far_down), (columns, right, far_right) = axes
    fours, ones = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for ((ky, ny), (ys, py)), ((kx, nx), (xs, px)) in product(rows.items(), columns.items()):
        places, to = np.add.outer(np.array(py) * src[1], px).ravel(), np.add.outer(np.array(ys) * out[1], xs).ravel()
        whole = to.size if to.size % TILE != 1 else to.size - 1
        at = np.minimum(np.arange(-(-whole // TILE) * TILE), whole - 1)  # the last one again
        taps = np.array([ky * kernel[1] + kx, ny, nx])
        each = np.broadcast_to(taps, (at.size // TILE, 3))
        fours.append(np.concatenate([each, places[at].reshape(-1, TILE), to[at].reshape(-1, TILE)], 1).ravel())
        if whole < to.size:
            ones.append(np.array([*taps, places[-1], to[-1]]))
    fours, ones = np.concatenate(fours), np.concatenate(ones)
    head = [src[0] * src[1], out[0] * out[1], kernel[0] * kernel[1], down * kernel[1], right, far_down * src[1], far_right,
            fours.size // FOUR, ones.size // ONE]  # fmt: skip
    return np.concatenate([np.array(head), fours, ones])


@jit(bare=True)
def _tiles(planes, w, shift, results, table):
    """results[o, lane] for all outputs: planes (elements, lanes), w (taps, lanes), shift (lanes,)."""
    vl = lanes(planes)
    down, right = table[KERNEL_DOWN] * vl, table[KERNEL_RIGHT] * vl
    far_down, far_right = table[PLACE_DOWN] * vl, table[PLACE_RIGHT] * vl
    at = HEAD
    for _ in range(table[FOURS]):
        k, many = table[at] * vl, table[at + 2]
        a, b, c, d = table[at + 3] * vl, table[at + 4] * vl, table[at + 5] * vl, table[at + 6] * vl
        total = load(shift, 0)
        first, second, third, fourth = total, total, total, total
        for i in range(table[at + 1]):
            tap, e = k + i * down, i * far_down
            for _ in range(many):
                weight = load(w, tap)
                first = fma(weight, load(planes, a + e), first)
                second = fma(weight, load(planes, b + e), second)
                third = fma(weight, load(planes, c + e), third)
                fourth = fma(weight, load(planes, d + e), fourth)
                tap, e = tap + right, e + far_right
        store(results, table[at + 7] * vl, first)
        store(results, table[at + 8] * vl, second)
        store(results, table[at + 9] * vl, third)
        store(results, table[at + 10] * vl, fourth)
        at += FOUR
    for _ in range(table[ONES]):
        total, k, a = load(shift, 0), table[at] * vl, table[at + 3] * vl
        for i in range(table[at + 1]):
            tap, e = k + i * down, a + i * far_down
            for _ in range(table[at + 2]):
                total = fma(load(w, tap), load(planes, e), total)
                tap, e = tap + right, e + far_right
        store(results, table[at + 4] * vl, total)
        at += ONE


@jit(bare=True)
def _kernels_of(weight, first, groups, outputs, m, taps, w):
    """w[tap, lane] of the channels that belong to the planes from `first` on."""
    vl, channel = lanes(weight), first % groups
    if channel + vl <= groups:
        turn(weight, (channel * outputs + m) * taps, w, 0, taps, vl, outputs * taps, vl)
    else:
        for lane in range(vl):
            start = ((first + lane) % groups * outputs + m) * taps
            for t in range(taps):
                w[t * vl + lane] = weight[start + t]


@jit(nogil=True)
def _lanes_blocks(first, last, count, src, weight, bias, out, groups, outputs, table):
    """The blocks of planes first .. last - 1, of all `count` planes. The last block begins earlier rather than be smaller.

    Where groups fill whole blocks, those of one stretch of channels follow each other, image by image, and share the kernels."""
    plane, pixels, taps, vl = table[PLANE], table[OUTPUTS], table[TAPS], lanes(src)
    planes, results = np.empty(plane * vl, src.dtype), np.empty(pixels * vl, src.dtype)
    w, shift = np.empty(taps * vl, src.dtype), np.zeros(vl, src.dtype)
    known, images = -1, count // groups if groups % vl == 0 else 1
    for block in range(first, last):
        item = min(block % images * groups + block // images * vl, count - vl)
        turn(src, item * plane, planes, 0, plane, vl, plane, vl)
        for m in range(outputs):
            if outputs > 1 or item % groups != known:
                _kernels_of(weight, item, groups, outputs, m, taps, w)
                known = item % groups
                for lane in range(vl if bias.size > 0 else 0):
                    shift[lane] = bias[(item + lane) % groups * outputs + m]
            _tiles(planes, w, shift, results, table)
            turn(results, 0, out, (item * outputs + m) * pixels, vl, pixels, vl, outputs * pixels)


@jit(parallel=True)
def _lanes_parallel(chunks, blocks, count, src, weight, bias, out, groups, outputs, table):
    for i in prange(chunks):
        first, last = i * blocks // chunks, (i + 1) * blocks // chunks
        _lanes_blocks(first, last, count, src, weight, bias, out, groups, outputs, table)


def lanes_forward(src, weight, bias, out, count, vector, groups, outputs, table, serial):
    """Fill `out` for `count` planes, at least a `vector`."""
    blocks = -(-count // vector)
    if serial or blocks == 1:
        _lanes_blocks(0, blocks, count, src, weight, bias, out, groups, outputs, table)
    else:
        _lanes_parallel(min(blocks, CHUNKS), blocks, count, src, weight, bias, out, groups, outputs, table)
    return out
