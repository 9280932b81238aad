"""Convolution on the CPU: forward, transposed (the gradient of the input), and the gradient of the weight.

    out[n, g*M + m, o] = bias[g*M + m] + sum_{c, t} weight[g*M + m, c, t] * x[n, g*C + c, o * stride - padding
    + t * dilation]

over one to three dimensions (unit dimensions in front), without an im2col matrix. `choose` names the algorithm; the
general one, register tiles over blocks of outputs, is in conv_tasks.py and conv_weight.py.

Source for the blocking: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008; for
the offsets, Dukhan, "The indirect convolution algorithm", 2019.
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit
from .conv_plan import SERIAL_WORK, plan
from .conv_tasks import run_tasks
from .conv_weight import run_weight_tasks
from .depthwise import depthwise_backward_weight, depthwise_forward, is_depthwise
from .matmul import mm
from .winograd import winograd_backward_weight, winograd_forward
from .winograd_plan import winograd_tile


@jit(nogil=True)
def _bias_sum(grad, images, channels, plane, out):
    """out[c] = sum over images and pixels, in double precision over eight lanes."""
    for c in range(channels):
        lane = np.zeros(8, np.float64)
        total = 0.0
        for n in range(images):
            row = grad[(n * channels + c) * plane : (n * channels + c + 1) * plane]
            whole = plane // 8
            for i in range(whole):
                eight = row[8 * i : 8 * i + 8]
                for j in range(8):
                    lane[j] += eight[j]
            for e in range(8 * whole, plane):
                total += row[e]
        for j in range(8):
            total += lane[j]
        out[c] = total


def choose(kind, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out, dtype) -> str:
    """The name of the algorithm that computes a convolution: "matrix" (one product of matrices), "depthwise"
    (depthwise.py), "winograd 2x2" or "winograd 4x4" (winograd.py), or "tiles" (conv_tasks.py, conv_weight.py).

    kind is "forward", "transposed" or "weight"; the sizes are those of the functions below. From the shape and dtype
    (and use_deterministic_algorithms) only, so that results do not depend on the number of threads.
    """
    whole, single = (out, src) if kind == "transposed" else (src, out)
    if groups == 1 and single == (1, 1, 1) and kernel == whole and padding == (0, 0, 0):
        return "matrix"  # one window covers the image: each image is one row of a matrix product
    if is_depthwise(channels, outputs, src, kernel, padding, out, dtype.itemsize):
        return "depthwise"
    tile = winograd_tile(kind, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out, dtype)
    return f"winograd {tile}x{tile}" if tile else "tiles"


# Names of `choose` -> side of the output tiles of winograd.py
_WINOGRAD = {"winograd 2x2": 2, "winograd 4x4": 4}


def conv_forward(x, weight, bias, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out):
    """out (images, groups * outputs, *out) of x (images, groups * channels, *src) and weight (groups *
    outputs, channels, *kernel).

    Flat arrays of one floating dtype; bias is empty for none; src .. out are (depth, height, width);
    `padding` is what lies in front, and `out` says how far the convolution goes behind. Returns a new flat
    array.
    """
    count = images * groups * outputs * out[0] * out[1] * out[2]
    if count == 0:
        return np.empty(0, x.dtype)
    sizes = (images, groups, channels, outputs, src, kernel, stride, padding, dilation, out)
    how = choose("forward", *sizes, x.dtype)
    if how == "matrix":
        depth = channels * kernel[0] * kernel[1] * kernel[2]
        return mm(x, weight, images, depth, outputs, bias=bias if bias.size else None, transpose_b=True)
    if how in _WINOGRAD:
        size = (images, channels, outputs, src[1:], padding[1:], out[1:])
        return winograd_forward(x, weight, bias, *size, False, _WINOGRAD[how])
    result = np.empty(count, x.dtype)
    if how == "depthwise":
        size = (images, groups, outputs, src, kernel, stride, padding, dilation, out)
        return depthwise_forward(x, weight, bias, result, "forward", *size)
    p = plan("forward", *sizes, x.itemsize)
    return run_tasks(p, x, weight, bias, result, p.work < SERIAL_WORK)


def conv_transpose_forward(
    x, weight, bias, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out
):
    """out (images, groups * outputs, *out) of x (images, groups * channels, *src) and weight (groups *
    channels, outputs, *kernel).

        out[n, m, i * stride - padding + t * dilation] += weight[c, m, t] * x[n, c, i]

    The gradient of conv_forward with respect to its input, and the forward of a transposed convolution.
    Arguments as there.
    """
    count = images * groups * outputs * out[0] * out[1] * out[2]
    if count == 0:
        return np.empty(0, x.dtype)
    sizes = (images, groups, channels, outputs, src, kernel, stride, padding, dilation, out)
    how = choose("transposed", *sizes, x.dtype)
    if bias.size == 0 and how == "matrix":
        return mm(x, weight, images, channels, outputs * kernel[0] * kernel[1] * kernel[2])
    if how in _WINOGRAD:
        size = (images, channels, outputs, src[1:], (2 - padding[1], 2 - padding[2]), out[1:])
        return winograd_forward(x, weight, bias, *size, True, _WINOGRAD[how])
    result = np.empty(count, x.dtype)
    if how == "depthwise":
        size = (images, groups, outputs, src, kernel, stride, padding, dilation, out)
        return depthwise_forward(x, weight, bias, result, "transposed", *size)
    p = plan("transposed", *sizes, x.itemsize)
    return run_tasks(p, x, weight, bias, result, p.work < SERIAL_WORK)


def conv_backward_weight(x, grad, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out):
    """Gradient (groups * outputs, channels, *kernel) of conv_forward with respect to its weight.

    gw[m, c, t] = sum_{n, o} grad[n, m, o] * x[n, c, o * stride - padding + t * dilation]
    """
    depth = channels * kernel[0] * kernel[1] * kernel[2]
    result = np.empty(groups * outputs * depth, x.dtype)
    if result.size == 0 or grad.size == 0 or x.size == 0:
        result[:] = 0
        return result
    sizes = (images, groups, channels, outputs, src, kernel, stride, padding, dilation, out)
    how = choose("weight", *sizes, x.dtype)
    if how == "matrix":
        return mm(grad, x, outputs, images, depth, out=result, transpose_a=True)
    if how in _WINOGRAD:
        size = (images, channels, outputs, src[1:], padding[1:], out[1:])
        return winograd_backward_weight(x, grad, *size, _WINOGRAD[how])
    if how == "depthwise":
        size = (images, groups, outputs, src, kernel, stride, padding, dilation, out)
        return depthwise_backward_weight(x, grad, result, *size)
    p = plan("weight", *sizes, x.itemsize)
    return run_weight_tasks(p, x, grad, result, p.work < SERIAL_WORK)


def conv_backward_bias(grad, images, channels, plane):
    """Sum of grad (images, channels, plane) over images and pixels: (channels,)."""
    result = np.empty(channels, grad.dtype)
    _bias_sum(grad, images, channels, plane, result)
    return result
