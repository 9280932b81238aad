"""gather, scatter and the reductions at indices."""

import numpy as np

from . import EVERY, INTEGERS, WITH_COMPLEX, Op, Sample

ANY = (*EVERY, "float16", "bfloat16")
ORDERED = ("float32", "float64", *INTEGERS)


def places(index, dim):
    """The numpy index of every element that a gather refers to."""
    key = list(np.indices(index.shape))
    if key:
        key[dim] = index
    return tuple(key)


def unique_index(make, shape, dim, n):
    """An index of `shape` below n that refers to no place twice."""
    order = np.argsort(make.rng.random((*shape[:dim], n, *shape[dim + 1 :])), axis=dim)
    return np.take(order, np.arange(shape[dim]), axis=dim).astype(np.int64)


SHAPES = [((5,), (3,), 0), ((3, 4), (2, 4), 0), ((3, 4), (2, 3), 1), ((2, 3, 4), (2, 2, 3), -2), ((3, 2), (0, 2), 0)]


def gather_samples(make):
    made = [Sample(make(*x), d, make.integers(*i, high=x[d])) for x, i, d in SHAPES]
    return [*made, Sample(make(), 0, np.array(0)), Sample(make(), 0, np.array([0]))]


def gather(x, dim, index):
    return x[places(index, dim)] if x.ndim else np.broadcast_to(x, index.shape)


def gather_errors(make):
    x = make(3, 4)
    return [
        (Sample(x, 0, np.array([[3]])), RuntimeError, "index 3 is out of bounds for dimension 0 with size 3"),
        (Sample(x, 0, np.array([[-1]])), RuntimeError, "index -1 is out of bounds for dimension 0 with size 3"),
        (Sample(x, 0, np.array([1])), RuntimeError, "Index tensor must have the same number of dimensions"),
        (Sample(x, 0, np.zeros((1, 5), np.int64)), RuntimeError, "Size does not match at dimension 1"),
        (Sample(x, 0, np.zeros((1, 1))), RuntimeError, "Expected dtype int32/int64 for index"),
        (Sample(x, 2, np.array([[0]])), IndexError, "Dimension out of range"),
    ]


def scatter_samples(make):
    made = [Sample(make(*x), d, unique_index(make, i, d % len(x), x[d]), make(*i)) for x, i, d in SHAPES]
    return [
        *made,
        Sample(make(3, 4), 0, np.array([[2, 0]]), make(2, 3)).only_values(),
        Sample(make(3, 4), 1, np.array([[2], [0]]), 1),
        Sample(make(), 0, np.array(0), make()),
    ]


def scatter(x, dim, index, src):
    out = x.copy()
    src = np.asarray(src)
    part = src[tuple(slice(n) for n in index.shape)] if src.ndim else src
    out[places(index, dim)] = part
    return out


def scatter_errors(make):
    x = make(3, 4)
    return [
        (Sample(x, 0, np.array([[3]]), x), RuntimeError, "index 3 is out of bounds for dimension 0 with size 3"),
        (Sample(x, 0, np.array([[-1]]), x), RuntimeError, "index -1 is out of bounds"),
        (Sample(x, 0, np.zeros((1, 5), np.int64), x), RuntimeError, r"Expected index \[1, 5\] to be no larger"),
        (Sample(x, 0, np.array([[0]]), x.astype(np.float64)), RuntimeError, "Expected self.dtype to be equal"),
    ]


def meeting_samples(*extra, **options):
    """(x, dim, index, src) where several values meet at a place."""

    def samples(make):
        made = [Sample(make(*x), d, make.integers(*i, high=x[d]), make(*i), *extra, **options) for x, i, d in SHAPES]
        return [*made, Sample(make(4), 0, np.array([1, 1, 1, 3]), make(4), *extra, **options)]

    return samples


def scatter_add(x, dim, index, src):
    out = x.copy()
    np.add.at(out, places(index, dim), src)
    return out


UFUNCS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def reduce_at(x, key, src, reduce, include_self):
    """The values of src reduced into x at `key`, one by one."""
    out = x.copy()
    counts = np.zeros(x.shape, np.int64)
    np.add.at(counts, key, 1)
    if not include_self:
        kind = x.dtype.kind
        low, high = (-np.inf, np.inf) if kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        out[counts > 0] = {"sum": 0, "mean": 0, "prod": 1, "amax": low, "amin": high}[reduce]
    UFUNCS[reduce].at(out, key, src)
    if reduce == "mean":
        counts = np.maximum(counts + include_self, 1)
        out = out / counts if x.dtype.kind == "f" else out // counts.astype(x.dtype)
    return out


def scatter_reduce(x, dim, index, src, reduce, *, include_self=True):
    return reduce_at(x, places(index, dim), src, reduce, include_self)


def reduce_samples(make):
    made = []
    for reduce in UFUNCS:
        for include_self in (True, False):
            # No value of x is one of src: the derivative of an extreme halves there, in torch even if x is left out.
            x, src = 2 * make.distinct(2, 4), 2 * make.distinct(4, 4) + 1
            made.append(Sample(x, 0, make.integers(4, 4, high=2), src, reduce, include_self=include_self))
    return [*made, Sample(make(3), 0, np.zeros(0, np.int64), make(0), "sum")]


def part_samples(make):
    made = []
    for reduce in ("mean", "prod", "amax", "amin"):
        for include_self in (True, False):
            made.append(
                Sample(
                    make.distinct(2, 3),
                    1,
                    np.array([2, 0, 2]),
                    make.distinct(2, 3) + 0.5,
                    reduce,
                    include_self=include_self,
                )
            )
    return made


def index_reduce(x, dim, index, source, reduce, *, include_self=True):
    return reduce_at(x, (slice(None),) * dim + (index,), source, reduce, include_self)


def along_samples(make):
    return [
        Sample(make(3, 4), make.integers(3, 2, high=4), 1),
        Sample(make(3, 4), make.integers(1, 4, high=3), 0),
        Sample(make(1, 4), make.integers(3, 2, high=4), 1),
        Sample(make(3, 4), make.integers(5, high=12)),
        Sample(make(3, 4), np.array([[-1], [0], [3]]), 1),
    ]


def take_along(x, index, dim=None):
    if dim is None:
        return x.reshape(-1)[index]
    shape = list(np.broadcast_shapes(*[[1 if k == dim else n for k, n in enumerate(a.shape)] for a in (x, index)]))
    wide = [np.broadcast_to(a, [a.shape[k] if k == dim else n for k, n in enumerate(shape)]) for a in (x, index)]
    return np.take_along_axis(*wide, dim)


OPS = [
    Op("gather", gather_samples, gather, ANY, errors=gather_errors, covers=("gather_backward",)),
    Op(
        "scatter",
        scatter_samples,
        scatter,
        ANY,
        errors=scatter_errors,
        covers=("_scatter_tensor", "_scatter_value"),
        # The gradient of a place written twice is undefined, so its rows may not be one row in memory.
        expanded=False,
    ),
    Op("scatter_add", meeting_samples(), scatter_add, ("float16", *INTEGERS, *WITH_COMPLEX), errors=scatter_errors),
    Op(
        "scatter_reduce",
        reduce_samples,
        scatter_reduce,
        ORDERED,
        expanded=False,
        gradgradcheck=False,
        skip={"compare": "integer means of negative numbers round as numpy's do"},
    ),
    Op("index_reduce", part_samples, index_reduce, ("float32", "float64"), expanded=False, gradgradcheck=False),
    Op("take_along_dim", along_samples, take_along, ANY),
]
