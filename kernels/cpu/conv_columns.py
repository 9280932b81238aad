"""Convolutions with long steps: the elements of every window side by side, then one product of matrices an image.

    columns (images, P, C taps)     windows of x one after the other, P of them an image
    forward   out (images, M, P)  = weight (M, C taps) @ columns^T
    weight    gw (M, C taps)      = sum over the images of grad (M, P) @ columns

With a stride of 16 the pixels of one tap lie 16 elements apart, and to bring them side by side costs a gather for each
vector; the taps of one row of a window lie side by side already. A window is copied by whole rows, which the product then
turns as it packs them. Windows that overlap a lot would be copied many times: those go by tiles (conv_tasks.py).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..simd import lanes, load, store
from .matmul import bmm_added, mm_added

# Elements of the shortest row of a window, where windows do not overlap: a row takes 2.5 ns, and 4 to begin a longer one; of
# 8 elements, and of windows that overlap, tiles find their pixels as fast by shuffles and gathers.
LEAST_ROW = 12
# Outputs and windows of an image below which the products would be narrow.
LEAST_OUTPUTS, LEAST_WINDOWS = 16, 16
# Images are taken together up to these columns, which the product then reads from the second-level cache.
COLUMN_BYTES = 640 * 1024
# Elements from which threads share the copying.
PARALLEL_SIZE, CHUNKS = 32 * 1024, 32


def by_columns(groups, outputs, kernel, stride, dilation, out) -> bool:
    """Whether this module computes a convolution."""
    apart = kernel[2] <= stride[2] and kernel[1] <= stride[1] and kernel[0] <= stride[0] and dilation == (1, 1, 1)
    wide = outputs >= LEAST_OUTPUTS and out[0] * out[1] * out[2] >= LEAST_WINDOWS
    return groups == 1 and kernel[2] >= LEAST_ROW and apart and wide


@jit(inline=True, bare=True)
def _copy_row(x, at, columns, to, count):
    """columns[to + e] = x[at + e] for e < count and, in whole vectors, a little beyond."""
    store(columns, to, load(x, at))
    e = lanes(x)
    while e < count:
        store(columns, to + e, load(x, at + e))
        e += lanes(x)


@jit(nogil=True, bare=True)
def _copy_windows(first, last, x, columns, channels, src, kernel, stride, padding, dilation, out):
    """The windows first .. last - 1 of all images; the triples are (depth, height, width).

    What vectors write behind a row is written again by the next one, but for the last rows: these go one by one."""
    sd, sh, sw = src
    kd, kh, kw = kernel
    depth = channels * kd * kh * kw
    zero, end = x.dtype.type(0), last * depth
    beyond = (kw + lanes(x) - 1) // lanes(x) * lanes(x)
    for number in range(first, last):
        line, o = number // out[2], number % out[2]
        image, z = line // (out[0] * out[1]), line // out[1] % out[0] * stride[0] - padding[0]
        y, left = line % out[1] * stride[1] - padding[1], o * stride[2] - padding[2]
        whole = left >= 0 and left + kw <= sw and y >= 0 and y + (kh - 1) * dilation[1] < sh
        to, step = number * depth, sw * dilation[1]
        for c in range(channels):
            for i in range(kd):
                iz = z + i * dilation[0]
                at = (((image * channels + c) * sd + iz) * sh + y) * sw + left
                far, near = at + (kh - 1) * step + beyond, to + (kh - 1) * kw + beyond
                if whole and iz >= 0 and iz < sd and far <= x.size and near <= end:
                    for _ in range(kh):
                        _copy_row(x, at, columns, to, kw)
                        at, to = at + step, to + kw
                else:
                    for j in range(kh):
                        iy = y + j * dilation[1]
                        inside = iz >= 0 and iz < sd and iy >= 0 and iy < sh
                        for e in range(kw):
                            seen = inside and left + e >= 0 and left + e < sw
                            columns[to + e] = x[at + e] if seen else zero
                        at, to = at + step, to + kw


@jit(parallel=True)
def _copy_parallel(chunks, windows, x, columns, channels, src, kernel, stride, padding, dilation, out):
    for i in prange(chunks):
        first, last = i * windows // chunks, (i + 1) * windows // chunks
        _copy_windows(first, last, x, columns, channels, src, kernel, stride, padding, dilation, out)


def _columns(x, images, channels, src, kernel, stride, padding, dilation, out):
    windows = images * out[0] * out[1] * out[2]
    columns = np.empty(windows * channels * kernel[0] * kernel[1] * kernel[2], x.dtype)
    arguments = x, columns, channels, src, kernel, stride, padding, dilation, out
    if columns.size < PARALLEL_SIZE:
        _copy_windows(0, windows, *arguments)
    else:
        _copy_parallel(min(windows, CHUNKS), windows, *arguments)
    return columns


def _sizes(images, channels, src, kernel, out, itemsize):
    """(elements of an image, windows of one, elements of a window, images taken together)."""
    windows, depth = out[0] * out[1] * out[2], channels * kernel[0] * kernel[1] * kernel[2]
    some = max(1, min(images, COLUMN_BYTES // (windows * depth * itemsize)))
    return channels * src[0] * src[1] * src[2], windows, depth, some


def columns_forward(x, weight, bias, images, channels, outputs, src, kernel, stride, padding, dilation, out, result):
    """Fill `result` (images, outputs, *out) for x (images, channels, *src), weight (outputs, channels, *kernel)."""
    volume, windows, depth, some = _sizes(images, channels, src, kernel, out, x.itemsize)
    if bias.size:
        result.reshape(images, outputs, windows)[:] = bias[:, None]
    for n in range(0, images, some):
        count, size = min(some, images - n), outputs * windows
        here, part = x[n * volume : (n + count) * volume], result[n * size : (n + count) * size]
        columns = _columns(here, count, channels, src, kernel, stride, padding, dilation, out)
        bmm_added(
            weight, 0, (0, depth, 1), columns, 0, (windows * depth, 1, depth), part, count, outputs, depth, windows,
            1.0, 1.0 if bias.size else 0.0, part,
        )  # fmt: skip
    return result


def columns_backward_weight(x, grad, images, channels, outputs, src, kernel, stride, padding, dilation, out, result):
    """Fill `result` (outputs, channels, *kernel) for x (images, channels, *src) and grad (images, outputs, *out)."""
    volume, windows, depth, _ = _sizes(images, channels, src, kernel, out, x.itemsize)
    size = outputs * windows
    for n in range(images):
        here, part = x[n * volume : (n + 1) * volume], grad[n * size : (n + 1) * size]
        columns = _columns(here, 1, channels, src, kernel, stride, padding, dilation, out)
        mm_added(part, columns, result, outputs, windows, depth, 1.0, 1.0 if n else 0.0, out=result)
    return result
