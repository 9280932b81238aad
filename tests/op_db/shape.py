"""Views and copies that only move elements."""

import numpy as np

from . import Op, Sample

DTYPES = ("float32", "float64", "complex64", "int64", "bool")


def row(name, samples, reference, dtypes=DTYPES, **options):
    """A row of an operator that keeps the dtype and computes nothing."""
    options.setdefault("rtol", 0.0)
    options.setdefault("atol", 0.0)
    return Op(name, samples, reference, dtypes, **options)


def of(*shapes_and_arguments):
    """Samples from (shape, further arguments...) or (shape, ..., {keyword: value})."""

    def samples(make):
        made = []
        for shape, *arguments in shapes_and_arguments:
            keywords = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
            made.append(Sample(make(*shape), *arguments, **keywords))
        return made

    return samples


def pieces(x, size, dim=0):
    """torch.split: pieces of a size, or of given sizes."""
    if isinstance(size, int):
        return tuple(np.split(x, range(size, x.shape[dim], size), dim)) if x.shape[dim] else (x,)
    return tuple(np.split(x, np.cumsum(size)[:-1], dim))


def chunks(x, count, dim=0):
    return pieces(x, max(1, -(-x.shape[dim] // count)), dim)


def narrowed(x, dim, start, length):
    return np.take(x, range(start, start + length), dim)


def expanded(x, *sizes):
    sizes = sizes[0] if isinstance(sizes[0], (list, tuple)) else sizes
    lead = len(sizes) - x.ndim
    return np.broadcast_to(x, [x.shape[i - lead] if size == -1 else size for i, size in enumerate(sizes)])


def unfolded(x, dim, size, step):
    dim %= x.ndim
    windows = np.lib.stride_tricks.sliding_window_view(x, size, dim)
    return windows[(slice(None),) * dim + (slice(None, None, step),)]


def flattened(x, start_dim=0, end_dim=-1):
    if x.ndim == 0:
        return x.reshape(1)
    start, end = start_dim % x.ndim, end_dim % x.ndim
    return (
        x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])
        if x.size
        else x.reshape(*x.shape[:start], int(np.prod(x.shape[start : end + 1])), *x.shape[end + 1 :])
    )


def squeezed(x, dim=None):
    if dim is None:
        return np.squeeze(x)
    dims = [dim] if isinstance(dim, int) else dim
    return np.squeeze(x, tuple(d % max(x.ndim, 1) for d in dims if x.ndim and x.shape[d] == 1))


def rolled(x, shifts, dims=None):
    return np.roll(x, shifts, dims)


OPS = [
    row(
        "reshape",
        of(
            ((2, 3, 4), (6, 4)),
            ((2, 3, 4), (-1,)),
            ((2, 3), [3, 2]),
            ((), (1, 1)),
            ((0, 3), (3, 0)),
            ((1,), ()),
        ),
        lambda x, shape: x.reshape(shape),
    ),
    row(
        "Tensor.view",
        of(((2, 3, 4), 6, 4), ((2, 3, 4), -1), ((2, 3), (3, 2)), ((), 1), ((0, 3), 3, 0)),
        lambda x, *shape: x.reshape(*shape),
        expanded=False,
        strided=False,
    ),
    row("flatten", of(((2, 3, 4),), ((2, 3, 4), 1), ((2, 3, 4), 0, 1), ((),), ((2, 0, 3), 1)), flattened),
    row("ravel", of(((2, 3),), ((),), ((0, 2),)), np.ravel),
    row(
        "unflatten",
        of(((2, 6), 1, (2, 3)), ((6, 2), 0, (-1, 2)), ((4,), -1, (2, 2))),
        lambda x, dim, sizes: x.reshape(*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :]),
    ),
    row(
        "permute",
        of(((2, 3, 4), (2, 0, 1)), ((2, 3), (-1, 0)), ((), ()), ((0, 3, 2), (1, 2, 0))),
        np.transpose,
    ),
    row(
        "transpose",
        of(((2, 3, 4), 0, 2), ((2, 3), -1, -2), ((), 0, 0), ((0, 3), 0, 1)),
        lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x,
    ),
    row("swapaxes", of(((2, 3, 4), 0, 2)), np.swapaxes),
    row("swapdims", of(((2, 3, 4), 1, 2)), np.swapaxes),
    row("t", of(((2, 3),), ((3,),), ((),), ((0, 2),)), np.transpose),
    row("movedim", of(((2, 3, 4), 0, 2), ((2, 3, 4), (0, 1), (1, 2))), np.moveaxis, aliases=("moveaxis",)),
    row(
        "squeeze",
        of(((1, 3, 1),), ((1, 3, 1), 0), ((1, 3, 1), 1), ((1, 3, 1), (0, 2)), ((),), ((1, 0),)),
        squeezed,
    ),
    row("unsqueeze", of(((2, 3), 0), ((2, 3), -1), ((2, 3), 1), ((), 0), ((0,), 1)), np.expand_dims),
    row(
        "Tensor.expand",
        of(((1, 3), 2, 3), ((3,), 2, -1), ((), 4), ((2, 1), (2, 5)), ((1, 0), 3, 0)),
        expanded,
    ),
    row("broadcast_to", of(((1, 3), (2, 3)), ((), (2,))), np.broadcast_to),
    row(
        "Tensor.repeat",
        of(((2, 3), 2, 1), ((3,), 2, 2), ((2,), (3,)), ((), 3), ((0, 2), 2, 2)),
        lambda x, *reps: np.tile(x, reps[0] if isinstance(reps[0], tuple) else reps),
    ),
    row("tile", of(((2, 3), (2,)), ((3,), (2, 2)), ((), (3,))), np.tile),
    row("narrow", of(((4, 3), 0, 1, 2), ((4, 3), -1, 0, 0), ((5,), 0, 2, 3)), narrowed),
    row(
        "select",
        of(((4, 3), 0, 1), ((4, 3), -1, -1), ((2, 3, 4), 1, 0)),
        lambda x, dim, i: np.take(x, i, dim),
    ),
    row("split", of(((5, 2), 2), ((5, 2), [1, 4]), ((2, 6), 4, 1), ((0, 2), 1)), pieces),
    row("split_with_sizes", of(((5, 2), [1, 4])), pieces),
    row("chunk", of(((5, 2), 2), ((2, 6), 4, 1), ((5,), 7)), chunks),
    row(
        "tensor_split",
        of(((5, 2), 2), ((2, 6), 4, {"dim": 1}), ((7,), (1, 3)), ((3,), 5)),
        lambda x, where, dim=0: tuple(np.array_split(x, where, dim)),
    ),
    row("unbind", of(((3, 2),), ((3, 2), 1), ((0, 2),)), lambda x, dim=0: tuple(np.moveaxis(x, dim, 0))),
    row(
        "diagonal",
        of(((3, 4),), ((3, 4), 1), ((3, 4), -1), ((2, 3, 3), 0, 1, 2), ((0, 3),)),
        lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
    ),
    row("Tensor.unfold", of(((7,), 0, 3, 2), ((2, 5), 1, 2, 1), ((5, 2), 0, 5, 1)), unfolded),
    row(
        "flip",
        of(((2, 3, 4), (0,)), ((2, 3, 4), (0, 2)), ((), ()), ((), (0,)), ((0, 2), (1,))),
        lambda x, dims: np.flip(x, dims) if x.ndim else x,
        covers=("_flipped",),
    ),
    row("fliplr", of(((2, 3),)), np.fliplr),
    row("flipud", of(((2, 3),), ((4,),)), np.flipud),
    row(
        "roll",
        of(((4,), 1), ((2, 3), 1, 0), ((2, 3), (1, -2), (0, 1)), ((2, 3), 2), ((0, 3), 1, 0)),
        rolled,
    ),
    row(
        "rot90",
        of(((2, 3),), ((2, 3), 2), ((2, 3, 4), 3, (1, 2))),
        lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims),
    ),
    row("clone", of(((2, 3),), ((),), ((0,),)), np.copy),
    row("atleast_1d", of(((),), ((2,),)), np.atleast_1d),
    row("atleast_2d", of(((),), ((2,),), ((2, 3),)), np.atleast_2d),
    row("atleast_3d", of(((),), ((2,),), ((2, 3),), ((2, 3, 4),)), np.atleast_3d),
    row(
        "as_strided",
        of(((3, 4), (2, 2), (1, 2)), ((3, 4), (2, 3), (1, 1), 1), ((6,), (2, 3), (0, 1))),
        lambda x, size, stride, offset=0: np.lib.stride_tricks.as_strided(
            x.ravel()[offset:], size, [each * x.itemsize for each in stride]
        ),
        expanded=False,
        strided=False,
    ),
    row(
        "diag",
        of(((3,),), ((3,), -1), ((3, 4),), ((4, 2), 1), ((0, 3),)),
        np.diag,
        covers=(
            "diag_embed",
            "diagonal_copy_",
        ),
    ),
    row("tril", of(((3, 4),), ((3, 4), 1), ((2, 3, 3), -1), ((0, 3),)), np.tril),
    row("triu", of(((3, 4),), ((3, 4), 1), ((2, 3, 3), -1), ((0, 3),)), np.triu),
    row(
        "view_as_real",
        of(((2, 3),), ((),)),
        lambda x: np.stack([x.real, x.imag], -1),
        ("complex64", "complex128"),
        out="real",
    ),
    row(
        "view_as_complex",
        of(((2, 3, 2),), ((2,),)),
        lambda x: x[..., 0] + 1j * x[..., 1],
        ("float32", "float64"),
        out=lambda dtype: {"float32": "complex64", "float64": "complex128"}[dtype],
        strided=False,
        expanded=False,
    ),
]
