"""Gated linear unit: x (outer, 2, width) holds a and b, the halves along one dimension.

y = a * s,  s = 1 / (1 + exp(-b))            ga = g * s,   gb = g * a * s * (1 - s)
"""

from __future__ import annotations

from ..compiler import jit
from ..math import sigmoid
from ..pieces import piece
from .spread import spread

# Elements of a unit: the three or five runs it sweeps are 32 KiB each at most, second-level cache, and handing them to
# a thread costs a hundredth of their exponentials.
PART = 8192


@jit(bare=True)
def unit_rows(u, outer, width):
    """(first row, one past the last, first column, columns) of unit u: some short rows, or a part of a long one."""
    cuts = (width + PART - 1) // PART
    block = max(1, PART // width)
    first, column = u // cuts * block, u % cuts * PART
    return first, min(first + block, outer), column, min(PART, width - column)


@jit(bare=True)
def glu_forward_unit(u, x, outer, width, out):
    first, last, column, count = unit_rows(u, outer, width)
    for r in range(first, last):
        at = 2 * r * width + column
        a, b, y = piece(x, at, count), piece(x, at + width, count), piece(out, r * width + column, count)
        for i in range(count):
            y[i] = a[i] * sigmoid(b[i])


@jit(bare=True)
def glu_backward_unit(u, grad, x, outer, width, gx):
    one = x.dtype.type(1)
    first, last, column, count = unit_rows(u, outer, width)
    for r in range(first, last):
        at = 2 * r * width + column
        a, b, g = piece(x, at, count), piece(x, at + width, count), piece(grad, r * width + column, count)
        ga, gb = piece(gx, at, count), piece(gx, at + width, count)
        # two loops: with five runs in one of them LLVM has too many pairs of addresses to compare, and gives up on vectors
        for i in range(count):
            gb[i] = sigmoid(b[i])
        for i in range(count):
            s = gb[i]
            slope = g[i] * s
            ga[i] = slope
            gb[i] = slope * a[i] * (one - s)


_forward, _backward = spread(glu_forward_unit, bare=True), spread(glu_backward_unit, bare=True)


def _units(outer: int, width: int) -> int:
    block = max(1, PART // width)
    return (outer + block - 1) // block * ((width + PART - 1) // PART)


def glu_forward(x, outer, width, out):
    """x: (outer, 2, width) -> out: (outer, width); both at least 1."""
    _forward(x.size, _units(outer, width), x, outer, width, out)


def glu_backward(grad, x, outer, width, gx):
    """gx: (outer, 2, width) from grad: (outer, width)."""
    _backward(x.size, _units(outer, width), grad, x, outer, width, gx)
