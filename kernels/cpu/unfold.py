"""Sliding windows as columns (im2col) and their sum back (col2im), over two dimensions.

    unfold   columns[n, (c, i, j), (y, x)] = image[n, c, y * stride - padding + i * dilation, x * stride -
    padding + j * dilation]
    fold     image[n, c, ...] = the sum of all column elements that came from there; the gradient of unfold

Flat arrays: image (planes, height, width), columns (planes, kh, kw, rows, cols), planes being batch x
channels. For users: the convolutions here do not go this way (conv.py).
"""

from __future__ import annotations

import numpy as np

from ..compiler import jit


@jit(nogil=True)
def _unfold(image, columns, planes, size, kernel, stride, padding, dilation, blocks):
    height, width = size
    at = 0
    for plane in range(planes):
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                for y in range(blocks[0]):
                    iy = y * stride[0] - padding[0] + i * dilation[0]
                    inside = 0 <= iy < height
                    line = (plane * height + iy) * width
                    for x in range(blocks[1]):
                        ix = x * stride[1] - padding[1] + j * dilation[1]
                        columns[at] = image[line + ix] if inside and 0 <= ix < width else 0
                        at += 1


@jit(nogil=True)
def _fold(columns, image, planes, size, kernel, stride, padding, dilation, blocks):
    height, width = size
    at = 0
    for plane in range(planes):
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                for y in range(blocks[0]):
                    iy = y * stride[0] - padding[0] + i * dilation[0]
                    inside = 0 <= iy < height
                    line = (plane * height + iy) * width
                    for x in range(blocks[1]):
                        ix = x * stride[1] - padding[1] + j * dilation[1]
                        if inside and 0 <= ix < width:
                            image[line + ix] += columns[at]
                        at += 1


def unfold_forward(
    image,
    planes: int,
    size: tuple,
    kernel: tuple,
    stride: tuple,
    padding: tuple,
    dilation: tuple,
    blocks: tuple,
):
    """columns of image; `blocks` is the number of windows along height and width."""
    columns = np.empty(planes * kernel[0] * kernel[1] * blocks[0] * blocks[1], image.dtype)
    _unfold(image, columns, planes, size, kernel, stride, padding, dilation, blocks)
    return columns


def fold_forward(
    columns,
    planes: int,
    size: tuple,
    kernel: tuple,
    stride: tuple,
    padding: tuple,
    dilation: tuple,
    blocks: tuple,
):
    """image of columns: overlapping windows are added."""
    image = np.zeros(planes * size[0] * size[1], columns.dtype)
    _fold(columns, image, planes, size, kernel, stride, padding, dilation, blocks)
    return image
