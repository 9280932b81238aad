"""Padding by tables of positions: out[plane, d, h, w] = x[plane, id[d], ih[h], iw[w]], and its gradient.

A position of -1 stands for the fill value. Constant, reflecting, replicating and circular padding (and
cropping, by negative amounts) differ only in their tables, which `pad_positions` builds. Arrays are flat: x
(planes, *src), out (planes, *dst).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..compiler import jit


@lru_cache(maxsize=1024)
def pad_positions(mode: str, src: tuple, before: tuple, after: tuple) -> np.ndarray:
    """Positions of depth, height and width in turn, before[i] + src[i] + after[i] of each; mode as in
    F.pad."""
    parts = []
    for n, low, high in zip(src, before, after, strict=True):
        i = np.arange(-low, n + high, dtype=np.int64)
        if mode == "constant":
            i[(i < 0) | (i >= n)] = -1
        elif mode == "replicate":
            i = np.clip(i, 0, n - 1)
        elif mode == "circular":  # what is cut away does not come back
            first, last = max(-low, 0), n - max(-high, 0)
            i = first + (i - first) % max(last - first, 1)
        else:  # reflect, without repeating the edge
            i = np.abs(i)
            i = np.where(i >= n, 2 * (n - 1) - i, i)
        parts.append(i)
    return np.concatenate(parts)


@jit(nogil=True)
def _take_positions(x, out, planes, src, dst, position, fill):
    sh, sw = src[1], src[2]
    h0, w0 = dst[0], dst[0] + dst[1]
    at = 0
    for plane in range(planes):
        for d in range(dst[0]):
            for h in range(dst[1]):
                iz, iy = position[d], position[h0 + h]
                line = ((plane * src[0] + iz) * sh + iy) * sw
                for w in range(dst[2]):
                    ix = position[w0 + w]
                    out[at] = fill if iz < 0 or iy < 0 or ix < 0 else x[line + ix]
                    at += 1


@jit(nogil=True)
def _add_positions(grad, out, planes, src, dst, position):
    sh, sw = src[1], src[2]
    h0, w0 = dst[0], dst[0] + dst[1]
    at = 0
    for plane in range(planes):
        for d in range(dst[0]):
            for h in range(dst[1]):
                iz, iy = position[d], position[h0 + h]
                line = ((plane * src[0] + iz) * sh + iy) * sw
                for w in range(dst[2]):
                    ix = position[w0 + w]
                    if iz >= 0 and iy >= 0 and ix >= 0:
                        out[line + ix] += grad[at]
                    at += 1


def pad_forward(x, planes: int, src: tuple, dst: tuple, position, fill=0):
    """x (planes, *src) read at `position`: (planes, *dst)."""
    out = np.empty(planes * dst[0] * dst[1] * dst[2], x.dtype)
    _take_positions(x, out, planes, src, dst, position, x.dtype.type(fill))
    return out


def pad_backward(grad, planes: int, src: tuple, dst: tuple, position):
    """Gradient (planes, *src) of pad_forward: each output's gradient is added where it was read."""
    out = np.zeros(planes * src[0] * src[1] * src[2], grad.dtype)
    _add_positions(grad, out, planes, src, dst, position)
    return out
