"""Triangles of batches of matrices."""

from __future__ import annotations

from ..compiler import jit


@jit
def clear_triangle(x, rows, columns, diagonal, upper):
    """Zero the elements of row-major matrices that lie outside the triangle.

    upper keeps j - i >= diagonal, lower keeps j - i <= diagonal.
    """
    zero = x[0] - x[0]
    for r in range(x.size // columns):
        i = r % rows
        row = x[r * columns : (r + 1) * columns]
        edge = min(max(i + diagonal + (0 if upper else 1), 0), columns)
        if upper:
            for j in range(edge):
                row[j] = zero
        else:
            for j in range(edge, columns):
                row[j] = zero
