"""Triangles of batches of matrices."""

from __future__ import annotations

from numba import prange

from ..compiler import jit
from .runs import copy_run


@jit(bare=True)
def trace_forward(x, step, count, out):
    """out[0] = x[0] + x[step] + ... (count terms), added in float64."""
    total = 0.0
    for i in range(count):
        total += x[i * step]
    out[0] = total


@jit
def triangle_places(rows, columns, diagonal, upper, step, apart, out):
    """out[p step], out[p step + apart] = the row and the column of the p-th place of a triangle, row by row.

    upper: the places with j - i >= diagonal; else those with j - i <= diagonal.
    """
    p = 0
    for i in range(rows):
        edge = i + diagonal
        first = min(max(edge, 0), columns) if upper else 0
        last = columns if upper else min(max(edge + 1, 0), columns)
        for j in range(first, last):
            out[p * step] = i
            out[p * step + apart] = j
            p += 1


#: Elements a task copies: some 20 us of work.
PIECE = 1 << 16


@jit(parallel=True)
def keep_triangle(x, rows, columns, diagonal, upper, out):
    """out = row-major matrices x (batch, rows, columns) with zeros outside the triangle.

    upper keeps j - i >= diagonal, lower keeps j - i <= diagonal.
    """
    zero = x.dtype.type(0)
    lines = x.size // columns
    chunk = max(PIECE // columns, 1)
    for task in prange((lines + chunk - 1) // chunk):
        for r in range(task * chunk, min((task + 1) * chunk, lines)):
            edge = min(max(r % rows + diagonal + (0 if upper else 1), 0), columns)
            first = r * columns
            if upper:
                out[first : first + edge] = zero
                copy_run(out, first + edge, x, first + edge, columns - edge)
            else:
                copy_run(out, first, x, first, edge)
                out[first + edge : first + columns] = zero
