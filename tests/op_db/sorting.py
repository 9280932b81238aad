"""Sorting, selection, unique elements and binary search."""

import numpy as np

from . import FLOATING, INTEGERS, Op, Sample

REAL = (*FLOATING, *INTEGERS)
WITH_BOOL = ("bool", *REAL)


def sort_samples(make):
    return [
        Sample(make.distinct(3, 5)),
        Sample(make.distinct(3, 5), 0),
        Sample(make.distinct(3, 5), -2, True),
        Sample(make.distinct(2, 3, 4), dim=1, descending=True, stable=True),
        Sample(make.distinct(40)),
        Sample(make(6, low=-1, high=2), stable=True).only_values(),
        Sample(make()),
        Sample(make(0, 3)),
        Sample(make(3, 0)),
        *([Sample(make.extremes(), stable=True).only_values()] if make.np_dtype.kind == "f" else []),
    ]


def argsort(x, dim=-1, descending=False, stable=True):
    if not x.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    turned = np.flip(x, dim)
    return x.shape[dim] - 1 - np.flip(np.argsort(turned, axis=dim, kind="stable"), dim)


def sort(x, dim=-1, descending=False, stable=True):
    order = argsort(x, dim, descending)
    return (np.take_along_axis(x, order, dim) if x.ndim else x), order


def topk_samples(make):
    return [
        Sample(make.distinct(3, 5), 2),
        Sample(make.distinct(3, 5), 2, 0),
        Sample(make.distinct(3, 5), 5, -1, False),
        Sample(make.distinct(2, 3, 4), 2, 1, largest=True),
        Sample(make.distinct(100), 30),
        Sample(make.distinct(100), 1, 0, False, True),
        Sample(make(4), 0),
        Sample(make(), 1),
    ]


def topk(x, k, dim=-1, largest=True, sorted=True):
    values, order = sort(x, dim, largest)
    if not x.ndim:
        return values, order
    first = np.arange(k)
    return np.take(values, first, dim), np.take(order, first, dim)


def topk_errors(make):
    return [
        (Sample(make(3), 4), RuntimeError, "selected index k out of range"),
        (Sample(make(3), -1), RuntimeError, "selected index k out of range"),
        (Sample(make(3), 1, 1), IndexError, "Dimension out of range"),
    ]


def few(make, *shape):
    return make(*shape, low=-2, high=3) if make.np_dtype.kind in "iub" else np.round(make(*shape, low=-2, high=2))


def unique_samples(make):
    return [
        Sample(few(make, 12), return_inverse=True, return_counts=True),
        Sample(few(make, 3, 4), return_inverse=True, return_counts=True),
        Sample(few(make, 6, 2), return_inverse=True, return_counts=True, dim=0),
        Sample(few(make, 2, 6), return_inverse=True, return_counts=True, dim=1),
        Sample(make(0), return_inverse=True, return_counts=True),
        Sample(make(), return_inverse=True, return_counts=True),
    ]


def unique(x, return_inverse, return_counts, dim=None):
    values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=dim)
    return values, inverse.reshape(x.shape if dim is None else -1), counts


def unique_consecutive(x, return_inverse, return_counts, dim=None):
    if dim is None:
        values, inverse, counts = runs_of(x.reshape(-1, 1))
        return values.reshape(-1), inverse.reshape(x.shape), counts
    values, inverse, counts = runs_of(np.moveaxis(x, dim, 0))
    return np.moveaxis(values, 0, dim), inverse, counts


def runs_of(rows):
    fresh = np.ones(len(rows), bool)
    fresh[1:] = (rows[1:] != rows[:-1]).any(axis=tuple(range(1, rows.ndim)))
    inverse = np.cumsum(fresh) - 1
    return rows[fresh], inverse, np.bincount(inverse) if len(rows) else np.zeros(0, np.int64)


def search_samples(make):
    one, rows = np.sort(few(make, 6)), np.sort(few(make, 3, 5))
    return [
        Sample(one, few(make, 2, 4)),
        Sample(one, few(make, 7), right=True),
        Sample(one, few(make, 7), out_int32=True),
        Sample(rows, few(make, 3, 2)),
        Sample(rows, few(make, 3, 2), side="right"),
        Sample(make(0), few(make, 3)),
        Sample(one, few(make, 0)),
    ]


def search(bounds, values, *, right=False, side=None, out_int32=False):
    side = side or ("right" if right else "left")
    if bounds.ndim == 1:
        found = np.searchsorted(bounds, values, side)
    else:
        found = np.stack([np.searchsorted(b, v, side) for b, v in zip(bounds, values, strict=True)])
    return found.astype(np.int32 if out_int32 else np.int64)


def search_errors(make):
    return [
        (Sample(make(2, 3), make(3, 1)), RuntimeError, "boundaries tensor should be 1 dimension"),
        (Sample(make(2, 3), 1.0), RuntimeError, "input value can be a scalar only when"),
        (Sample(make(3), make(3), right=True, side="left"), RuntimeError, "side and right can't be set to opposites"),
    ]


NO_GRADIENT = {"gradcheck": False, "gradgradcheck": False}
INT32_TOO = {"test_values": "out_int32 changes the dtype of one sample", "test_out": "likewise"}

OPS = [
    Op("sort", sort_samples, sort, REAL, out=("same", "int64")),
    Op(
        "argsort",
        lambda make: [Sample(make.distinct(3, 5)), Sample(make.distinct(3, 5), dim=0, stable=True), Sample(make())],
        argsort,
        REAL,
        out="int64",
        **NO_GRADIENT,
    ),
    Op("msort", lambda make: [Sample(make.distinct(4, 3)), Sample(make(3))], lambda x: np.sort(x, 0), REAL),
    Op(
        "topk",
        topk_samples,
        topk,
        REAL,
        out=("same", "int64"),
        errors=topk_errors,
        # Which of equal elements comes first is not defined.
        expanded=False,
    ),
    Op("unique", unique_samples, unique, WITH_BOOL, out=("same", "int64", "int64"), **NO_GRADIENT),
    Op(
        "unique_consecutive",
        unique_samples,
        unique_consecutive,
        WITH_BOOL,
        out=("same", "int64", "int64"),
        **NO_GRADIENT,
    ),
    Op(
        "searchsorted",
        search_samples,
        search,
        REAL,
        errors=search_errors,
        skip=INT32_TOO,
        expanded=False,
        **NO_GRADIENT,
    ),
    Op(
        "bucketize",
        lambda make: [
            Sample(few(make, 2, 4), np.sort(few(make, 6))),
            Sample(few(make, 3), np.sort(few(make, 6)), right=True),
        ],
        lambda values, bounds, right=False: search(bounds, values, right=right),
        REAL,
        out="int64",
        expanded=False,
        **NO_GRADIENT,
    ),
    Op(
        "isin",
        lambda make: [
            Sample(few(make, 3, 4), few(make, 3)),
            Sample(few(make, 5), few(make, 2, 2), invert=True),
            Sample(few(make, 5), 1),
            Sample(make(0), few(make, 2)),
            Sample(few(make, 3), make(0)),
        ],
        lambda elements, tests, invert=False: np.isin(elements, tests, invert=invert),
        REAL,
        out="bool",
        **NO_GRADIENT,
    ),
]
