"""How loops over tensors of any strides are cut into blocks.

`meta` describes the walk: [ndim, size of each dim, strides of operand 0, ..., strides of the output], dims ordered from
outer to inner, adjacent ones merged where all operands allow it. The two inner dimensions are a *plane* of rows, the
others count planes. A block is some rows of a plane, or a part of one row.
"""

from __future__ import annotations

from ..compiler import jit

# A block is about so many elements. A row that is read again and again is taken in parts that stay in the first-level
# cache (4096 float32 are 16 KiB): a matrix of rows of 10,000 plus a row takes 102 us for 127; others are not cut, since
# what comes from memory comes faster in long runs.
ELEMENTS = 16384
REPEATED = 4096


@jit(inline=True, bare=True)
def steps(meta, operand):
    """Strides of an operand from row to row of a plane and from element to element."""
    ndim = meta[0]
    last = ndim * (2 + operand)
    return (meta[last - 1] if ndim > 1 else 0), meta[last]


@jit(inline=True, bare=True)
def cut(meta):
    """How the work is cut: (elements of a row that a block takes, such parts, rows of a block, such groups, planes)."""
    ndim = meta[0]
    n, rows, planes = meta[ndim], meta[ndim - 1] if ndim > 1 else 1, 1
    for d in range(1, ndim - 1):
        planes *= meta[d]
    part = min(n, ELEMENTS)
    if ndim > 1:
        for operand in range((meta.size - 1) // ndim - 1):
            row_step, step = steps(meta, operand)
            if row_step == 0 and step != 0:
                part = min(n, REPEATED)
    height = min(max(ELEMENTS // part, 1), rows)
    return part, (n + part - 1) // part, height, (rows + height - 1) // height, planes


@jit(inline=True, bare=True)
def start(meta, plane, row, column, operand):
    """Where an element of plane number `plane` of an operand lies."""
    ndim = meta[0]
    strides = 1 + ndim * (1 + operand)
    position = column * meta[strides + ndim - 1]
    if ndim > 1:
        position += row * meta[strides + ndim - 2]
    for d in range(ndim - 3, -1, -1):
        position += plane % meta[1 + d] * meta[strides + d]
        plane //= meta[1 + d]
    return position


@jit(inline=True, bare=True)
def place(meta, block, part, parts, height, groups):
    """Block number `block`: its plane, first row and first column, how many rows and columns."""
    ndim = meta[0]
    column = block % parts * part
    row = block // parts % groups * height
    rows = meta[ndim - 1] if ndim > 1 else 1
    return block // parts // groups, row, column, min(height, rows - row), min(part, meta[ndim] - column)
