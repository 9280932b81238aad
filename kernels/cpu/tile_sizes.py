"""How large a block of sums fits the vector registers of this machine.

With 32 registers, 8 rows of 3 vectors of sums leave room for 3 vectors of b and keep 24 independent chains in flight (two
multiply-adds a cycle at a latency of four need 8); with 16 registers 4 x 3.
"""

from __future__ import annotations

from .. import host

VECTOR_BYTES = host.vector_bytes()
WIDE_FILE = host.vector_registers() == 32
ROWS = 8 if WIDE_FILE else 4  # rows of a tile
VECTORS = 3  # vectors along the row of a tile


def lanes(itemsize: int) -> int:
    """Elements of `itemsize` bytes in one vector register of this machine."""
    return VECTOR_BYTES // itemsize
