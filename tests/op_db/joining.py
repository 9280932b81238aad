"""Operators that put tensors together."""

import numpy as np

from . import Op, Sample

DTYPES = ("float32", "float64", "complex64", "int64", "bool")


def lists(*groups, **options):
    """Samples that are lists of arrays of the given shapes, with what follows each group as further arguments."""

    def samples(make):
        return [Sample([make(*shape) for shape in shapes], *more, **options) for shapes, *more in groups]

    return samples


def row(name, samples, reference, **options):
    return Op(name, samples, reference, DTYPES, rtol=0.0, atol=0.0, **options)


OPS = [
    row(
        "cat",
        lists(
            ([(2, 3), (1, 3)],),
            ([(2, 3), (2, 1), (2, 2)], 1),
            ([(2, 3)], -1),
            ([(0,), (2, 3)],),
            ([(0, 3), (2, 3)], 0),
        ),
        lambda xs, dim=0: np.concatenate([x for x in xs if x.shape != (0,)], dim),
        aliases=("concat", "concatenate"),
    ),
    row(
        "stack",
        lists(([(2, 3), (2, 3)],), ([(2, 3)] * 3, 1), ([(2,)] * 2, -1), ([(), ()],), ([(0, 2)] * 2, 1)),
        np.stack,
    ),
    row("hstack", lists(([(2,), (3,)],), ([(2, 1), (2, 3)],), ([(), ()],)), np.hstack),
    row("vstack", lists(([(2,), (2,)],), ([(2, 3), (1, 3)],)), np.vstack, aliases=("row_stack",)),
    row("dstack", lists(([(2,), (2,)],), ([(2, 3), (2, 3)],)), np.dstack),
    row("column_stack", lists(([(2,), (2,)],), ([(2, 3), (2,)],)), np.column_stack),
    row(
        "block_diag",
        lambda make: [Sample(make(2, 3), make(1, 2)), Sample(make(2), make(2, 2)), Sample(make())],
        lambda *xs: _block_diagonal([np.atleast_2d(x) for x in xs]),
    ),
    row(
        "meshgrid",
        lambda make: [Sample(make(2), make(3), indexing="ij"), Sample(make(2), make(3), indexing="xy")],
        lambda *xs, indexing: tuple(np.meshgrid(*xs, indexing=indexing)),
    ),
    row(
        "broadcast_tensors",
        lambda make: [Sample(make(2, 1), make(3)), Sample(make(), make(2))],
        lambda *xs: tuple(np.broadcast_arrays(*xs)),
    ),
]


def _block_diagonal(blocks):
    rows, columns = sum(x.shape[0] for x in blocks), sum(x.shape[1] for x in blocks)
    result = np.zeros((rows, columns), blocks[0].dtype)
    row = column = 0
    for x in blocks:
        result[row : row + x.shape[0], column : column + x.shape[1]] = x
        row, column = row + x.shape[0], column + x.shape[1]
    return result
