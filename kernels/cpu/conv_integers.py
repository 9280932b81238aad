"""Convolution of integers, which wrap around: the plain sum, for there is no gradient and nothing to tune.

Formulas, shapes and arguments are those of conv.py; `bias` has a number for every output channel.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit


@jit
def _source(o, tap, size, stride, padding, dilation, transposed):
    """The input position that output position `o` multiplies with `tap`, or -1."""
    if not transposed:
        i = o * stride - padding + tap * dilation
        return i if i < size else -1
    i = o + padding - tap * dilation
    return i // stride if i % stride == 0 and i // stride < size else -1


@jit(nogil=True)
def _conv(
    x,
    weight,
    bias,
    out,
    images,
    groups,
    channels,
    outputs,
    src,
    kernel,
    stride,
    padding,
    dilation,
    dst,
    transposed,
):
    taps = kernel[0] * kernel[1] * kernel[2]
    at = 0
    for n in range(images):
        for m in range(groups * outputs):
            group = m // outputs
            for od in range(dst[0]):
                for oh in range(dst[1]):
                    for ow in range(dst[2]):
                        total = bias[m]
                        for c in range(channels):
                            plane = (n * groups + group) * channels + c
                            if transposed:
                                w = ((group * channels + c) * outputs + m % outputs) * taps
                            else:
                                w = (m * channels + c) * taps
                            for i in range(kernel[0]):
                                z = _source(od, i, src[0], stride[0], padding[0], dilation[0], transposed)
                                for j in range(kernel[1]):
                                    y = _source(oh, j, src[1], stride[1], padding[1], dilation[1], transposed)
                                    for k in range(kernel[2]):
                                        v = _source(ow, k, src[2], stride[2], padding[2], dilation[2], transposed)
                                        if z >= 0 and y >= 0 and v >= 0:
                                            place = ((plane * src[0] + z) * src[1] + y) * src[2] + v
                                            total += weight[w] * x[place]
                                        w += 1
                        out[at] = total
                        at += 1


def conv_integers_forward(
    x,
    weight,
    bias,
    images,
    groups,
    channels,
    outputs,
    src,
    kernel,
    stride,
    padding,
    dilation,
    out,
    transposed: bool,
):
    """conv_forward, or conv_transpose_forward, of integer arrays.

    All are summed as int64: its lower bits are what a narrower type would wrap around to, and one loop is compiled.
    """
    result = np.empty(images * groups * outputs * out[0] * out[1] * out[2], np.int64)
    sizes = (images, groups, channels, outputs, src, kernel, stride, padding, dilation, out)
    _conv(*(array.astype(np.int64, copy=False) for array in (x, weight, bias)), result, *sizes, transposed)
    return result.astype(x.dtype, copy=False)
