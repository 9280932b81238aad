"""Sliding windows as columns (im2col) and their sum back (col2im), over two dimensions.

    unfold   columns[n, (c, i, j), (y, x)] = image[n, c, y * stride - padding + i * dilation, x * stride -
    padding + j * dilation]
    fold     image[n, c, ...] = the sum of all column elements that came from there; the gradient of unfold

Flat arrays: image (planes, height, width), columns (planes, kh, kw, rows, cols), planes being batch x
channels. Small planes go by tables of places (places.py), others row by row. For users: the convolutions here do not go this
way (conv.py).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from ..compiler import jit
from .places import DTYPES, Places, fits, outer_places, places_of, seen_from, sum_planes
from .spread import PARALLEL_SIZE

# Windows in a row up to which a plane goes by places: rows of more take 0.6 ns an element too.
NARROW = 24
# Elements gathered for one of the columns up to which fold goes by places: windows with gaps see some pixels more often than
# others, and the table has room for the most.
MOST_GATHERS = 2


@jit(bare=True)
def _inside(width, cols, stride, offset):
    """(first, last): the x for which 0 <= x * stride + offset < width, among 0 .. cols - 1."""
    first = min(cols, max(0, (stride - 1 - offset) // stride))
    return first, max(first, min(cols, (width - 1 - offset + stride) // stride))


@jit(bare=True)
def _unfold_plane(plane, image, columns, size, kernel, stride, padding, dilation, blocks):
    height, width = size
    rows, cols = blocks
    at = plane * kernel[0] * kernel[1] * rows * cols
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            offset = j * dilation[1] - padding[1]
            first, last = _inside(width, cols, stride[1], offset)
            for y in range(rows):
                iy = y * stride[0] - padding[0] + i * dilation[0]
                end = last
                if iy < 0 or iy >= height:
                    end = first
                line = (plane * height + iy) * width + offset
                for x in range(first):
                    columns[np.uint64(at + x)] = 0
                if stride[1] == 1:
                    for x in range(first, end):
                        columns[np.uint64(at + x)] = image[np.uint64(line + x)]
                else:
                    for x in range(first, end):
                        columns[np.uint64(at + x)] = image[np.uint64(line + x * stride[1])]
                for x in range(end, cols):
                    columns[np.uint64(at + x)] = 0
                at += cols


@jit(bare=True)
def _fold_plane(plane, columns, image, size, kernel, stride, padding, dilation, blocks):
    height, width = size
    rows, cols = blocks
    at = plane * kernel[0] * kernel[1] * rows * cols
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            offset = j * dilation[1] - padding[1]
            first, last = _inside(width, cols, stride[1], offset)
            for y in range(rows):
                iy = y * stride[0] - padding[0] + i * dilation[0]
                line = (plane * height + iy) * width + offset
                if 0 <= iy < height:
                    if stride[1] == 1:
                        for x in range(first, last):
                            image[np.uint64(line + x)] += columns[np.uint64(at + x)]
                    else:
                        for x in range(first, last):
                            image[np.uint64(line + x * stride[1])] += columns[np.uint64(at + x)]
                at += cols


# Written out, for `spread` cannot hand tuples on to threads.
@jit(parallel=True)
def _unfold(planes, image, columns, size, kernel, stride, padding, dilation, blocks):
    for plane in prange(planes):
        _unfold_plane(np.int64(plane), image, columns, size, kernel, stride, padding, dilation, blocks)


@jit(parallel=True)
def _fold(planes, columns, image, size, kernel, stride, padding, dilation, blocks):
    for plane in prange(planes):
        _fold_plane(np.int64(plane), columns, image, size, kernel, stride, padding, dilation, blocks)


@lru_cache(maxsize=256)
def _places(back: bool, dtype, size, kernel, stride, padding, dilation, blocks) -> Places | None:
    """The table of unfold, or of fold if `back`; None where rows are cheaper."""
    plane, count = size[0] * size[1], kernel[0] * kernel[1] * blocks[0] * blocks[1]
    if dtype not in DTYPES or blocks[1] > NARROW or not fits(1, count, plane):
        return None
    dims = []
    for n, k, s, p, d, b in zip(size, kernel, stride, padding, dilation, blocks, strict=True):
        place = np.arange(k)[:, None] * d + np.arange(b) * s - p
        dims.append(np.where((place >= 0) & (place < n), place, -1))
    if not back:  # (kh, kw, rows, cols)
        h, w = dims[0][:, None, :, None], dims[1][None, :, None, :]
        return places_of(np.where((h < 0) | (w < 0), -1, h * size[1] + w).reshape(1, count), plane, dtype.itemsize)
    (h, w) = (seen_from(dim.reshape(-1, 1), n) for dim, n in zip(dims, size, strict=True))
    if h.shape[1] * w.shape[1] * plane > MOST_GATHERS * count or not fits(h.shape[1] * w.shape[1], plane, count):
        return None
    # along a dimension an output is k * blocks + b; in the plane ((kh, kw), rows, cols)
    place = outer_places([h, w], (0, kernel[1] * blocks[1]))
    ky, y = np.divmod(place // (kernel[1] * blocks[1]), blocks[0])
    kx, x = np.divmod(place % (kernel[1] * blocks[1]), blocks[1])
    found = ((ky * kernel[1] + kx) * blocks[0] + y) * blocks[1] + x
    return places_of(np.where(place < 0, -1, found), count, dtype.itemsize)


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
    geometry = size, kernel, stride, padding, dilation, blocks
    places = _places(False, image.dtype, *geometry)
    if places is not None:
        return sum_planes(image, planes, places)
    columns = np.empty(planes * kernel[0] * kernel[1] * blocks[0] * blocks[1], image.dtype)
    run = _unfold if columns.size >= PARALLEL_SIZE and planes > 1 else _unfold.serial
    raw = np.dtype(np.uint16) if image.dtype == np.float16 else image.dtype  # Numba has no halves
    run(planes, image.view(raw), columns.view(raw), *geometry)
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
    geometry = size, kernel, stride, padding, dilation, blocks
    places = _places(True, columns.dtype, *geometry)
    if places is not None:
        return sum_planes(columns, planes, places)
    image = np.zeros(planes * size[0] * size[1], columns.dtype)
    run = _fold if columns.size >= PARALLEL_SIZE and planes > 1 else _fold.serial
    run(planes, columns, image, *geometry)
    return image
