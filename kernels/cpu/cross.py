"""Cross products."""

from __future__ import annotations

from ..compiler import jit


@jit
def cross_forward(a, b, outer, inner, out):
    """out[o, :, j] = a[o, :, j] x b[o, :, j] for contiguous blocks (outer, 3, inner)."""
    for o in range(outer):
        for x in range(3 * o * inner, (3 * o + 1) * inner):
            y, z = x + inner, x + 2 * inner
            out[x] = a[y] * b[z] - a[z] * b[y]
            out[y] = a[z] * b[x] - a[x] * b[z]
            out[z] = a[x] * b[y] - a[y] * b[x]
