"""Reductions over dims: sums, extremes, truths, moments, norms, order statistics, histograms."""

import numpy as np

from . import BOTH_FLOATS, EVERY, INTEGERS, NUMERIC, WITH_COMPLEX, Op, Sample
from ._reference import special, stats

REALS = ("uint8", "int32", "int64", *BOTH_FLOATS)


def over_dims(make, low=None, high=None):
    """All dims, one, several apart, kept, a 0-d tensor, nothing to reduce."""
    return [
        (make(3, 4, low=low, high=high),),
        (make(3, 4, 2, low=low, high=high), 1),
        Sample(make(3, 4, 2, low=low, high=high), (0, 2), keepdim=True),
        (make(2, 1, 3, low=low, high=high), (-1, 0)),
        (make(low=low, high=high),),
        (make(0, 3, low=low, high=high), 0),
    ]


def over_distinct(make):
    return [
        (make.distinct(3, 4),),
        (make.distinct(3, 4, 2), 1),
        Sample(make.distinct(3, 4, 2), (0, 2), keepdim=True),
        (make.distinct(1).reshape(()),),
    ]


def along_one_dim(make):
    """One dim at a time: for results with indices."""
    return [(make.distinct(3, 4), 1), Sample(make.distinct(3, 4, 2), 0, keepdim=True), (make.distinct(5), -1)]


def numpy_form(fn):
    """A numpy reduction under torch's argument names."""
    return lambda x, dim=None, keepdim=False, **kw: fn(x, axis=dim, keepdims=keepdim, **kw)


def widened(dtype):
    return "int64" if dtype == "bool" or dtype in INTEGERS else dtype


def with_index(values, places):
    def reference(x, dim, keepdim=False):
        return values(x, axis=dim, keepdims=keepdim), places(x, axis=dim, keepdims=keepdim)

    return reference


def one_dim_or_all(make):
    return [(make.distinct(3, 4),), Sample(make.distinct(3, 4, 2), 1, keepdim=True), (make.distinct(7), 0)]


def moments(make):
    return [
        (make(3, 4),),
        (make(3, 4, 2), 1),
        Sample(make(3, 4, 2), (0, 2), correction=0, keepdim=True),
        Sample(make(5), 0, correction=2),
    ]


def moment(fn):
    return lambda x, dim=None, correction=1, keepdim=False: fn(x, axis=dim, ddof=correction, keepdims=keepdim)


def both(first, second):
    return lambda *args, **kwargs: (first(*args, **kwargs), second(*args, **kwargs))


def _mean_of(x, dim=None, correction=1, keepdim=False):
    return np.mean(x, axis=dim, keepdims=keepdim)


def _logsumexp(x, dim, keepdim=False):
    return special.logsumexp(x, axis=dim, keepdims=keepdim)


def _lower_median(x, axis, keepdims=False):
    return np.take(np.sort(x, axis), [(x.shape[axis] - 1) // 2], axis)[... if keepdims else _first(axis)]


def _first(axis):
    return (slice(None),) * axis + (0,) if axis >= 0 else (..., 0)


def _median_place(x, axis, keepdims=False):
    found = np.take(np.argsort(x, axis), [(x.shape[axis] - 1) // 2], axis)
    return found[... if keepdims else _first(axis)]


def _kth(x, k, dim=-1, keepdim=False):
    values, places = np.sort(x, dim), np.argsort(x, dim)
    index = ... if keepdim else _first(dim)
    return np.take(values, [k - 1], dim)[index], np.take(places, [k - 1], dim)[index]


def _mode(x, dim=-1, keepdim=False):
    values = stats.mode(x, axis=dim, keepdims=True).mode
    last = x.shape[dim] - 1 - np.argmax(np.flip(x == values, dim), axis=dim, keepdims=True)
    index = ... if keepdim else _first(dim)
    return values[index], last[index]


def _cosine(x, y, dim=1, eps=1e-8):
    def unit(v):
        return v / np.maximum(np.sqrt((v * v).sum(dim, keepdims=True)), eps)

    return (unit(x) * unit(y)).sum(dim)


def _norm(x, ord=2, dim=None, keepdim=False):
    flat = x.reshape(-1) if dim is None else x
    result = np.linalg.norm(flat, ord, 0 if dim is None else dim)
    return np.expand_dims(result, dim) if keepdim else result


def _norm_samples(make):
    away = [(make(3, 4, low=0.2, high=2),), (-make(3, 4, low=0.2, high=2), 2, 1)]
    return [*away, *((make(3, 4, low=0.2, high=2), p, 0) for p in (0.5, 1, 1.5, 3, np.inf, -np.inf))]


def _matrix_norms(make):
    return [(make(3, 4),), (make(2, 3, 4), np.inf, (0, 2)), (make(3, 4), 1)]


def _renorm(x, p, dim, maxnorm):
    lengths = np.linalg.norm(np.moveaxis(x, dim, 0).reshape(x.shape[dim], -1), p, 1)
    factor = np.where(lengths > maxnorm, maxnorm / (lengths + 1e-7), 1)
    return x * factor.reshape([-1 if d == dim else 1 for d in range(x.ndim)])


def _quantile(x, q, dim=None, keepdim=False, interpolation="linear"):
    return np.quantile(x, q, axis=dim, keepdims=keepdim, method=interpolation)


IN_PLACE = {"node": "torch ends with a squeeze in place of a dimension that is not made here"}

OPS = [
    Op("sum", over_dims, numpy_form(np.sum), EVERY, out=widened),
    Op("trace", lambda make: [(make(3, 4),), (make(3, 3),), (make(0, 3),)], np.trace, ("int64", *WITH_COMPLEX)),
    Op("mean", lambda make: over_dims(make)[:-1], numpy_form(np.mean), WITH_COMPLEX),
    Op("nansum", over_dims, numpy_form(np.nansum), REALS, out=widened, covers=("nansum_",)),
    Op("nanmean", lambda make: over_dims(make)[:-1], numpy_form(np.nanmean), BOTH_FLOATS),
    Op(
        "prod",
        lambda make: [
            (make(3, 4, low=0.5, high=2),),
            Sample(make(3, 4, 2, low=0.5, high=2), 1, keepdim=True),
            (np.array([[2, 0, 3], [1, 2, 3]]).astype(make.np_dtype), 1),
            (make(0, 3), 0),
        ],
        numpy_form(np.prod),
        NUMERIC,
        out=widened,
        covers=("prod_all", "prod_dim"),
    ),
    Op("any", over_dims, numpy_form(np.any), EVERY, out=lambda d: "uint8" if d == "uint8" else "bool"),
    Op("all", over_dims, numpy_form(np.all), EVERY, out=lambda d: "uint8" if d == "uint8" else "bool"),
    Op(
        "count_nonzero",
        lambda make: [(make.bools(3, 4),), (make(3, 4, 2), (0, 2)), (make(0, 3), 1)],
        lambda x, dim=None: np.count_nonzero(x, axis=dim),
        EVERY,
        out="int64",
        gradcheck=False,
    ),
    Op("amax", over_distinct, numpy_form(np.max), REALS, covers=("amax_",)),
    Op("amin", over_distinct, numpy_form(np.min), REALS, covers=("amin_",)),
    Op(
        "aminmax",
        lambda make: [Sample(make.distinct(3, 4)), Sample(make.distinct(3, 4), dim=1, keepdim=True)],
        both(numpy_form(np.min), numpy_form(np.max)),
        REALS,
        covers=("aminmax_",),
    ),
    Op("max", along_one_dim, with_index(np.max, np.argmax), REALS, out=("same", "int64"), covers=("max_dim",)),
    Op("min", along_one_dim, with_index(np.min, np.argmin), REALS, out=("same", "int64"), covers=("min_dim",)),
    Op("Tensor.max", lambda make: [(make.distinct(3, 4),)], np.max, REALS, covers=("max_all",)),
    Op("Tensor.min", lambda make: [(make.distinct(3, 4),)], np.min, REALS, covers=("min_all",)),
    Op("argmax", one_dim_or_all, numpy_form(np.argmax), REALS, out="int64"),
    Op("argmin", one_dim_or_all, numpy_form(np.argmin), REALS, out="int64"),
    Op(
        "logsumexp",
        lambda make: [(make(3, 4), 1), Sample(make(3, 4, 2), (0, 2), keepdim=True), (make(), 0)],
        _logsumexp,
        BOTH_FLOATS,
        promotes=True,
        covers=("logsumexp_",),
    ),
    Op("var", moments, moment(np.var), BOTH_FLOATS, covers=("var_",)),
    Op("std", moments, moment(np.std), BOTH_FLOATS, covers=("std_",)),
    Op("var_mean", moments, both(moment(np.var), _mean_of), BOTH_FLOATS, covers=("var_mean_",)),
    Op("std_mean", moments, both(moment(np.std), _mean_of), BOTH_FLOATS, covers=("std_mean_",)),
    Op("cov", lambda make: [(make(3, 5),), (make(6),)], np.cov, BOTH_FLOATS),
    Op("corrcoef", lambda make: [(make(3, 5),)], np.corrcoef, BOTH_FLOATS),
    Op(
        "median",
        along_one_dim,
        with_index(_lower_median, _median_place),
        REALS,
        out=("same", "int64"),
        covers=("median_dim",),
    ),
    Op(
        "nanmedian",
        along_one_dim,
        with_index(_lower_median, _median_place),
        REALS,
        out=("same", "int64"),
        covers=("nanmedian_dim",),
    ),
    Op(
        "Tensor.median",
        lambda make: [(make.distinct(3, 5),)],
        lambda x: _lower_median(x.reshape(-1), 0),
        REALS,
        covers=("median_all",),
    ),
    Op(
        "Tensor.nanmedian",
        lambda make: [(make.distinct(3, 5),)],
        lambda x: _lower_median(x.reshape(-1), 0),
        REALS,
        covers=("nanmedian_all",),
    ),
    Op(
        "kthvalue",
        lambda make: [(make.distinct(3, 4), 2), Sample(make.distinct(3, 4), 3, 0, keepdim=True)],
        _kth,
        REALS,
        out=("same", "int64"),
        covers=("kthvalue_",),
    ),
    Op(
        "mode",
        lambda make: [(make(3, 7, low=0, high=3).round(),), (make(4, 3, low=0, high=2).round(), 0)],
        _mode,
        REALS,
        out=("same", "int64"),
        covers=("mode_",),
        gradcheck=False,
    ),
    Op(
        "quantile",
        lambda make: [
            (make.distinct(3, 5), 0.3),
            Sample(make.distinct(3, 5), 0.6, dim=1, keepdim=True),
            Sample(make.distinct(5), 0.4, interpolation="lower"),
        ],
        _quantile,
        BOTH_FLOATS,
        skip=IN_PLACE,
    ),
    Op("nanquantile", lambda make: [(make.distinct(3, 5), 0.3, 1)], _quantile, BOTH_FLOATS, skip=IN_PLACE),
    Op(
        "linalg.vector_norm",
        _norm_samples,
        _norm,
        BOTH_FLOATS,
        covers=("vector_norm_",),
        gradgradcheck=True,
        rtol=4e-6,
    ),
    Op("linalg.matrix_norm", _matrix_norms, lambda x, o=None, d=(-2, -1): np.linalg.norm(x, o, d), BOTH_FLOATS),
    Op("norm", lambda make: [(make(3, 4),), (make(3, 4), 3, 1)], lambda x, p=2, dim=None: _norm(x, p, dim)),
    Op(
        "dist",
        lambda make: [(make(3, 4), make(3, 4)), (make(3, 4), make(4), 3)],
        lambda x, y, p=2: _norm(x - y, p),
        covers=("dist_",),
    ),
    Op("renorm", lambda make: [(make(3, 4), 2, 0, 1.0), (make(2, 3, 4), 1, 1, 2.0)], _renorm),
    Op(
        "cdist",
        lambda make: [(make(3, 4), make(5, 4)), (make(2, 3, 4), make(2, 5, 4), 1.0)],
        lambda x, y, p=2: np.linalg.norm(x[..., :, None, :] - y[..., None, :, :], p, -1),
        expanded=False,
    ),
    Op(
        "cosine_similarity",
        lambda make: [
            (make(3, 4), make(3, 4)),
            (make(2, 3, 4), make(2, 3, 4), 1),
            (make(3, 1, 4), make(5, 4), -1),
        ],
        _cosine,
        covers=("cosine_similarity_",),
    ),
    Op(
        "pdist",
        lambda make: [(make(4, 3),), (make(5, 6), 1.0), (make(4, 3), 3.0)],
        lambda x, p=2: np.linalg.norm((x[:, None] - x[None])[np.triu_indices(len(x), 1)], p, -1),
        expanded=False,
    ),
    Op(
        "ops.weight_norm.weight_norm",
        lambda make: [(make(3, 4), make(3, 1), 0), (make(3, 4), make(1, 4), 1), (make(2, 3, 4), make(1, 3, 1), 1)],
        lambda v, g, dim: v * g / np.sqrt((v * v).sum(tuple(d for d in range(v.ndim) if d != dim), keepdims=True)),
        covers=("weight_norm_",),
        skip=dict.fromkeys(("compare", "node"), "no function of torch's"),
    ),
    Op(
        "histc",
        lambda make: [Sample(make(20, low=-3, high=3), 6, -3, 3)],
        lambda x, bins, low, high: np.histogram(x, bins, (low, high))[0],
        gradcheck=False,
    ),
    Op(
        "bincount",
        lambda make: [(make.integers(20),), Sample(make.integers(20), minlength=15)],
        lambda x, minlength=0: np.bincount(x, minlength=minlength),
        ("int64",),
        out="int64",
        gradcheck=False,
    ),
    Op(
        "histogram",
        lambda make: [Sample(make(20, low=-3, high=3), 5, range=(-3.0, 3.0))],
        lambda x, bins, range: np.histogram(x, bins, range),
        gradcheck=False,
        skip={"method": "numpy counts in int64"},
    ),
]
