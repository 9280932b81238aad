"""Convolution on the CPU: forward, transposed (the gradient of the input), and the gradient of the weight.

    out[n, g*M + m, o] = bias[g*M + m] + sum_{c, t} weight[g*M + m, c, t] * x[n, g*C + c, o * stride - padding
    + t * dilation]

over one to three dimensions (unit dimensions in front), without an im2col matrix. `choose` names the algorithm; the
general one, register tiles over blocks of outputs, is in conv_tasks.py and conv_weight.py.

Source for the blocking: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008; for
the offsets, Dukhan, "The indirect convolution algorithm", 2019.
"""

from __future__ import annotations

from threading import Lock

import numpy as np

from .conv_columns import by_columns, columns_backward_weight, columns_forward
from .conv_plan import SERIAL_WORK, Plan, plan
from .conv_tasks import run_tasks
from .conv_weight import run_weight_tasks
from .conv_window import window_backward_weight, window_forward, window_places, window_transposed
from .depthwise import depthwise_backward_weight, depthwise_forward, is_depthwise
from .matmul import mm
from .winograd import winograd_backward_weight, winograd_forward
from .winograd_plan import winograd_allowed, winograd_tile


def choose(kind, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out, dtype) -> str:
    """The name of the algorithm that computes a convolution: "matrix" (one product of matrices), "window" (one too, of
    gathered rows; conv_window.py), "columns" (one an image, of copied windows; conv_columns.py), "depthwise"
    (depthwise.py), "winograd 2x2" or "winograd 4x4" (winograd.py), or "tiles" (conv_tasks.py, conv_weight.py).

    kind is "forward", "transposed" or "weight"; the sizes are those of the functions below. From the shape and dtype
    (and use_deterministic_algorithms) only, so that results do not depend on the number of threads.
    """
    whole, single = (out, src) if kind == "transposed" else (src, out)
    if groups == 1 and single == (1, 1, 1) and kernel == whole and padding == (0, 0, 0):
        return "matrix"  # one window covers the image: each image is one row of a matrix product
    if groups == 1 and single == (1, 1, 1) and window_places(whole, kernel, padding, dilation, dtype) is not None:
        return "window"
    if kind != "transposed" and by_columns(groups, outputs, kernel, stride, dilation, out):
        return "columns"
    if is_depthwise(channels, outputs, src, kernel, padding, out, dtype.itemsize):
        return "depthwise"
    tile = winograd_tile(kind, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out, dtype)
    return f"winograd {tile}x{tile}" if tile else "tiles"


# (algorithm, plan of the tiles) for each shape met, the oldest given up when the plans hold more than so many bytes: a plan
# has 10 to 100 KB, that of large images or kernels 1 MB.
KEPT_BYTES = 64 * 1024 * 1024
_ways: dict[tuple, tuple[str, Plan | None]] = {}
_held = {"bytes": 0}
_counting = Lock()


def _bytes(p: Plan | None) -> int:
    return 0 if p is None else p.table.nbytes


def _way(kind, sizes, x) -> tuple[str, Plan | None]:
    """The algorithm for the sizes of a convolution of x, and its plan where it is that of the tiles."""
    key = kind, x.itemsize, winograd_allowed(), sizes
    found = _ways.get(key)
    if found is None:
        how = choose(kind, *sizes, x.dtype)
        found = how, plan(kind, *sizes, x.itemsize) if how == "tiles" else None
        with _counting:
            _, old = _ways.pop(key, (None, None))  # where another thread has made the same meanwhile
            _ways[key] = found
            _held["bytes"] += _bytes(found[1]) - _bytes(old)
            while _held["bytes"] > KEPT_BYTES and len(_ways) > 1:
                _, old = _ways.pop(next(iter(_ways)))
                _held["bytes"] -= _bytes(old)
    return found


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
    how, p = _way("forward", sizes, x)
    if how == "matrix":
        depth = channels * kernel[0] * kernel[1] * kernel[2]
        return mm(x, weight, images, depth, outputs, bias=bias if bias.size else None, transpose_b=True)
    if how == "window":
        places = window_places(src, kernel, padding, dilation, x.dtype)
        return window_forward(x, weight, bias, places, images, channels, outputs)
    if how in _WINOGRAD:
        size = (images, channels, outputs, src[1:], padding[1:], out[1:])
        return winograd_forward(x, weight, bias, *size, False, _WINOGRAD[how])
    result = np.empty(count, x.dtype)
    if how == "columns":
        size = (images, channels, outputs, src, kernel, stride, padding, dilation, out)
        return columns_forward(x, weight, bias, *size, result)
    if how == "depthwise":
        size = (images, groups, outputs, src, kernel, stride, padding, dilation, out)
        return depthwise_forward(x, weight, bias, result, "forward", *size)
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
    how, p = _way("transposed", sizes, x)
    if how == "matrix":
        result = mm(x, weight, images, channels, outputs * kernel[0] * kernel[1] * kernel[2])
        if bias.size:
            result.reshape(images, outputs, -1)[:] += bias[:, None]
        return result
    if how == "window":
        places = window_places(out, kernel, padding, dilation, x.dtype)
        return window_transposed(x, weight, bias, places, images, channels, outputs)
    if how in _WINOGRAD:
        size = (images, channels, outputs, src[1:], (2 - padding[1], 2 - padding[2]), out[1:])
        return winograd_forward(x, weight, bias, *size, True, _WINOGRAD[how])
    result = np.empty(count, x.dtype)
    if how == "depthwise":
        size = (images, groups, outputs, src, kernel, stride, padding, dilation, out)
        return depthwise_forward(x, weight, bias, result, "transposed", *size)
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
    how, p = _way("weight", sizes, x)
    if how == "matrix":
        return mm(grad, x, outputs, images, depth, out=result, transpose_a=True)
    if how == "window":
        places = window_places(src, kernel, padding, dilation, x.dtype)
        return window_backward_weight(x, grad, places, images, channels, outputs, result)
    if how in _WINOGRAD:
        size = (images, channels, outputs, src[1:], padding[1:], out[1:])
        return winograd_backward_weight(x, grad, *size, _WINOGRAD[how])
    if how == "columns":
        size = (images, channels, outputs, src, kernel, stride, padding, dilation, out)
        return columns_backward_weight(x, grad, *size, result)
    if how == "depthwise":
        size = (images, groups, outputs, src, kernel, stride, padding, dilation, out)
        return depthwise_backward_weight(x, grad, result, *size)
    return run_weight_tasks(p, x, grad, result, p.work < SERIAL_WORK)
