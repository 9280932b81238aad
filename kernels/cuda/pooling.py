"""Pooling on the GPU: one thread an output element, over the same tables of windows as on the CPU.

See kernels/cpu/pooling.py for the tables; arrays are flat: x (planes, *src), out (planes, *dst).
"""

from __future__ import annotations

from .compiler import cuda, launch


@cuda.jit
def _maximum(x, out, index, sd, sh, sw, dd, dh, dw, step_d, step_h, step_w, table):
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        ow = i % dw
        oh = i // dw % dh
        od = i // (dw * dh) % dd
        image = i // (dw * dh * dd) * (sd * sh * sw)
        where = (table[od] * sh + table[hs + oh]) * sw + table[ws + ow]
        best = x[image + where]
        for z in range(table[od], table[dd + od], step_d):
            for y in range(table[hs + oh], table[hs + dh + oh], step_h):
                for column in range(table[ws + ow], table[ws + dw + ow], step_w):
                    place = (z * sh + y) * sw + column
                    value = x[image + place]
                    if value > best or value != value:
                        best = value
                        where = place
        out[i] = best
        index[i] = where


@cuda.jit
def _average(x, out, sd, sh, sw, dd, dh, dw, table, divisor):
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        ow = i % dw
        oh = i // dw % dh
        od = i // (dw * dh) % dd
        image = i // (dw * dh * dd) * (sd * sh * sw)
        total = x.dtype.type(0)
        for z in range(table[od], table[dd + od]):
            for y in range(table[hs + oh], table[hs + dh + oh]):
                for column in range(table[ws + ow], table[ws + dw + ow]):
                    total += x[image + (z * sh + y) * sw + column]
        count = divisor
        if count == 0:
            count = table[2 * dd + od] * table[hs + 2 * dh + oh] * table[ws + 2 * dw + ow]
        # a window that lies in the padding alone is 0, not 0 / 0
        out[i] = total / x.dtype.type(count) if count != 0 else x.dtype.type(0)


@cuda.jit
def _spread(grad, out, sd, sh, sw, dd, dh, dw, table, divisor):
    # Windows may overlap, so the additions are atomic.
    hs, ws = 3 * dd, 3 * dd + 3 * dh
    for i in range(cuda.grid(1), grad.size, cuda.gridsize(1)):
        ow = i % dw
        oh = i // dw % dh
        od = i // (dw * dh) % dd
        image = i // (dw * dh * dd) * (sd * sh * sw)
        count = divisor
        if count == 0:
            count = table[2 * dd + od] * table[hs + 2 * dh + oh] * table[ws + 2 * dw + ow]
        if count != 0:
            share = grad[i] / grad.dtype.type(count)
            for z in range(table[od], table[dd + od]):
                for y in range(table[hs + oh], table[hs + dh + oh]):
                    for column in range(table[ws + ow], table[ws + dw + ow]):
                        cuda.atomic.add(out, image + (z * sh + y) * sw + column, share)


@cuda.jit
def _add_by_index(value, index, out, count, size):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        cuda.atomic.add(out, i // count * size + index[i], value[i])


@cuda.jit
def _put_by_index(value, index, out, count, size):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        out[i // count * size + index[i]] = value[i]


@cuda.jit
def _take_by_index(value, index, out, count, size):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = value[i // count * size + index[i]]


def max_pool_forward(x, src: tuple, dst: tuple, step: tuple, table, out, index) -> None:
    """The maximum of each window, the last nan if there is one, and its place in the plane."""
    launch(_maximum, out.size, x, out, index, *src, *dst, *step, table)


def average_pool_forward(x, src: tuple, dst: tuple, table, divisor: int, out) -> None:
    """The mean of each window, or its sum / divisor if that is not 0."""
    launch(_average, out.size, x, out, *src, *dst, table, divisor)


def average_pool_backward(grad, src: tuple, dst: tuple, table, divisor: int, out) -> None:
    """Each output's gradient shared out over its window; `out` (planes, *src) starts as zeros."""
    launch(_spread, grad.size, grad, out, *src, *dst, table, divisor)


def add_by_index(value, index, count: int, size: int, out) -> None:
    """out[plane, index[plane, i]] += value[plane, i] for checked indices; `out` (planes, size) starts as zeros."""
    launch(_add_by_index, value.size, value, index, out, count, size)


def put_by_index(value, index, count: int, size: int, out) -> None:
    """out[plane, index[plane, i]] = value[plane, i]; of equal indices one is kept."""
    launch(_put_by_index, value.size, value, index, out, count, size)


def take_by_index(value, index, count: int, size: int, out) -> None:
    """out[plane, i] = value[plane, index[plane, i]]."""
    launch(_take_by_index, out.size, value, index, out, count, size)
