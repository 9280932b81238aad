"""Products of matrices and vectors."""

import numpy as np

from . import WITH_COMPLEX, Op, Sample

DTYPES = (*WITH_COMPLEX, "int64")


BUFFER = {"node": "torch multiplies into a buffer"}


def row(name, samples, reference, **options):
    return Op(name, samples, reference, DTYPES, rtol=5e-6, atol=2e-6, **options)


def of(*groups, **options):
    """Samples of arrays of the given shapes."""

    def samples(make):
        return [Sample(*(make(*shape) for shape in shapes), **options) for shapes in groups]

    return samples


def weighted(product):
    """input * beta + product(a, b) * alpha."""
    return lambda input, a, b, beta=1, alpha=1: beta * input + alpha * product(a, b)


def weighted_samples(*groups):
    def samples(make):
        return [*of(*groups)(make), *of(*groups, beta=2, alpha=3)(make), *of(groups[0], beta=0)(make)]

    return samples


OPS = [
    row(
        "mm",
        of(((3, 4), (4, 2)), ((1, 5), (5, 1)), ((0, 4), (4, 2)), ((3, 0), (0, 2)), ((17, 33), (33, 9))),
        np.matmul,
    ),
    row("bmm", of(((2, 3, 4), (2, 4, 2)), ((0, 3, 4), (0, 4, 2)), ((2, 3, 0), (2, 0, 2))), np.matmul),
    row("mv", of(((3, 4), (4,)), ((0, 4), (4,)), ((3, 0), (0,))), np.matmul),
    row("dot", of(((4,), (4,)), ((0,), (0,)), ((67,), (67,))), np.dot),
    row("vdot", of(((4,), (4,)), ((0,), (0,))), np.vdot),
    row("outer", of(((3,), (4,)), ((0,), (2,))), np.outer, aliases=("ger",)),
    row(
        "matmul",
        of(
            ((3, 4), (4, 2)),
            ((4,), (4,)),
            ((3, 4), (4,)),
            ((4,), (4, 2)),
            ((2, 3, 4), (4, 2)),
            ((2, 3, 4), (4,)),
            ((2, 1, 3, 4), (3, 4, 2)),
            ((4,), (2, 4, 3)),
            ((0, 4), (4, 2)),
        ),
        np.matmul,
        covers=("_addmm_bias",),
    ),
    row("addmm", weighted_samples(((3, 2), (3, 4), (4, 2)), ((2,), (3, 4), (4, 2))), weighted(np.matmul)),
    row("addmv", weighted_samples(((3,), (3, 4), (4,))), weighted(np.matmul)),
    row("addr", weighted_samples(((3, 4), (3,), (4,))), weighted(np.outer)),
    row("baddbmm", weighted_samples(((2, 2, 2), (2, 2, 3), (2, 3, 2))), weighted(np.matmul)),
    row(
        "addbmm",
        weighted_samples(((2, 2), (2, 2, 3), (2, 3, 2))),
        weighted(lambda a, b: np.matmul(a, b).sum(0)),
    ),
    row("chain_matmul", of(((2, 3), (3, 4), (4, 2))), lambda a, b, c: a @ b @ c, expanded=False, skip=BUFFER),
    Op(
        "nn.functional.linear",
        lambda make: [
            (make(2, 3), make(4, 3), make(4)),
            (make(2, 3), make(4, 3)),
            (make(3), make(4, 3), make(4)),
            (make(2, 2, 3), make(4, 3), make(4)),
            (make(0, 3), make(4, 3), make(4)),
        ],
        lambda x, weight, bias=0: x @ weight.T + bias,
        rtol=5e-6,
        atol=2e-6,
    ),
]
