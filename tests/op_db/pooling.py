"""Pooling, against loops over the windows in numpy."""

import itertools
import math

import numpy as np

from . import BOTH_FLOATS, FLOATING, INTEGERS, Op, Sample


def each(value, dims):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


def pool_bounds(n, k, s, p, d, ceil_mode):
    """[(first, end)] of the windows along one dimension, reaching into the padding."""
    count = (n + 2 * p - d * (k - 1) - 1) / s
    count = (math.ceil(count) if ceil_mode else math.floor(count)) + 1
    if ceil_mode and (count - 1) * s >= n + p:
        count -= 1
    return [(i * s - p, min(i * s - p + d * (k - 1) + 1, n + p)) for i in range(count)]


def bins(n, count):
    return [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


def over_windows(x, bounds, step, visit):
    """visit(values, places, padded) for every window of every plane; values and places lie inside of the input."""
    dims = len(bounds)
    src = x.shape[-dims:]
    planes = x.reshape(-1, *src)
    shape = [len(b) for b in bounds]
    found = []
    for plane in planes:
        places = np.arange(plane.size).reshape(src)
        for window in itertools.product(*bounds):
            at = tuple(
                [i for i in range(low, high, s) if 0 <= i < n]
                for (low, high), s, n in zip(window, step, src, strict=True)
            )
            padded = math.prod(high - low for low, high in window)
            found.append(visit(plane[np.ix_(*at)].ravel(), places[np.ix_(*at)].ravel(), padded))
    return [np.array(each_result).reshape(*x.shape[:-dims], *shape) for each_result in zip(*found, strict=True)] or [
        np.zeros((*x.shape[:-dims], *shape), t) for t in (x.dtype, np.int64)
    ]


def largest(values, places, padded):
    at = int(np.argmax(values))
    return values[at], places[at]


def max_pool(dims, indices=False):
    def reference(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        k, p, d = (each(v, dims) for v in (kernel_size, padding, dilation))
        s = k if stride is None else each(stride, dims)
        bounds = [pool_bounds(*a, ceil_mode) for a in zip(x.shape[-dims:], k, s, p, d, strict=True)]
        both = over_windows(x, bounds, d, largest)
        return tuple(both) if indices else both[0]

    return reference


def avg_pool(dims):
    def reference(
        x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        k, p = each(kernel_size, dims), each(padding, dims)
        s = k if stride is None else each(stride, dims)
        bounds = [pool_bounds(*a, 1, ceil_mode) for a in zip(x.shape[-dims:], k, s, p, strict=True)]

        def mean(values, places, padded):
            count = divisor_override or (padded if count_include_pad else values.size)
            total = values.sum() / count
            return (int(total) if x.dtype.kind == "i" else total), 0

        return over_windows(x, bounds, (1,) * dims, mean)[0]

    return reference


def adaptive(dims, visit, count=1):
    def reference(x, output_size):
        sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * dims
        sizes = [n if o is None else o for o, n in zip(sizes, x.shape[-dims:], strict=True)]
        bounds = [bins(n, o) for n, o in zip(x.shape[-dims:], sizes, strict=True)]
        both = over_windows(x, bounds, (1,) * dims, visit)
        return tuple(both) if count == 2 else both[0]

    return reference


def mean_of(values, places, padded):
    return values.mean(), 0


def power_mean(dims):
    def reference(x, norm_type, kernel_size, stride=None, ceil_mode=False):
        average = avg_pool(dims)(x**norm_type, kernel_size, stride, 0, ceil_mode)
        return (average * math.prod(each(kernel_size, dims))) ** (1 / norm_type)

    return reference


def unpool(dims):
    def reference(x, index, kernel_size, stride=None, padding=0, output_size=None):
        k = each(kernel_size, dims)
        s = k if stride is None else each(stride, dims)
        size = [(n - 1) * b + a for n, a, b in zip(x.shape[-dims:], k, s, strict=True)]
        size = list(output_size or size)[-dims:]
        planes = x.reshape(-1, math.prod(x.shape[-dims:]))
        out = np.zeros((len(planes), math.prod(size)), x.dtype)
        for target, values, at in zip(out, planes, index.reshape(planes.shape), strict=True):
            target[at] = values
        return out.reshape(*x.shape[:-dims], *size)

    return reference


def fractional(dims):
    def reference(x, kernel_size, output_size, output_ratio=None, return_indices=False, samples=None):
        k, size = each(kernel_size, dims), each(output_size, dims)
        planes = x.reshape(-1, *x.shape[-dims:])
        order = range(dims) if dims == 3 else (1, 0)
        values, places = [], []
        for plane, u in zip(planes, samples.reshape(len(planes), dims), strict=True):
            bounds = []
            for n, o, length, axis in zip(plane.shape, size, k, order, strict=True):
                a = (n - length) / (o - 1) if o > 1 else 0
                starts = [int((i + u[axis]) * a) - int(u[axis] * a) for i in range(o - 1)] + [n - length]
                bounds.append([(start, start + length) for start in starts])
            both = over_windows(plane[None], bounds, (1,) * dims, largest)
            values.append(both[0])
            places.append(both[1])
        shape = (*x.shape[:-dims], *size)
        both = np.concatenate(values).reshape(shape), np.concatenate(places).reshape(shape)
        return both if return_indices else both[0]

    return reference


SIDES = (9, 8, 7)


def max_samples(dims):
    def samples(make):
        return [
            Sample(make.distinct(1, 2, *(3, 3, 2)[:dims]), 2),
            Sample(make.distinct(1, *(3, 3, 2)[:dims]), 2, 1, 1, ceil_mode=True),
            Sample(make.distinct(2, 3, *SIDES[:dims]), 3, stride=2, padding=1, dilation=2),
            Sample(make.distinct(3, *SIDES[:dims]), (3, 2, 3)[:dims], (2, 3, 1)[:dims], ceil_mode=True),
            Sample(make.distinct(0, 3, *SIDES[:dims]), 2),
            Sample(np.ones((2, 1, *SIDES[:dims]), make.np_dtype), 2).only_values(),
        ]

    return samples


def avg_samples(dims):
    def samples(make):
        more = (Sample(make(2, 3, *SIDES[:dims]), 3, 2, 1, True, True, 5),) if dims > 1 else ()
        return [
            Sample(make(1, 1, *(3, 3, 2)[:dims]), 2),
            Sample(make(1, *(3, 2, 2)[:dims]), 2, 1, 1, ceil_mode=True, count_include_pad=False),
            Sample(make(2, 3, *SIDES[:dims]), 3, stride=2, padding=1, ceil_mode=True),
            Sample(make(2, 1, *(20, 21, 20)[:dims]), 12, stride=3, padding=1),
            Sample(make(0, 3, *SIDES[:dims]), 2),
            *more,
        ]

    return samples


def adaptive_samples(dims, made):
    def samples(make):
        fill = make.distinct if made == "distinct" else make
        return [
            Sample(fill(1, 1, *(3, 3, 2)[:dims]), 2),
            Sample(fill(1, *(3, 2, 2)[:dims]), 1),
            Sample(fill(2, 3, *SIDES[:dims]), (3, 5, 2)[:dims] if dims > 1 else 4),
            Sample(fill(2, *SIDES[:dims]), (None, 2, 11)[:dims] if dims > 1 else 11),
            Sample(fill(0, 3, *SIDES[:dims]), 3),
        ]

    return samples


def lp_samples(dims):
    def samples(make):
        return [
            Sample(make(1, 1, *(3, 2, 2)[:dims], low=0.3, high=2), 2, 2),
            Sample(make(2, 2, *SIDES[:dims], low=0.3, high=2), 3, (2, 3, 2)[:dims] if dims > 1 else 2, 2),
        ]

    return samples


def unpool_samples(dims):
    def samples(make):
        small = make(1, 1, *(2, 2, 1)[:dims])
        index = make.rng.permutation(4**dims)[: small.size].reshape(small.shape)
        if dims == 3:
            index %= 32
        large = make(2, 3, *(4, 3, 2)[:dims])
        planes = [make.rng.permutation((9, 63, 315)[dims - 1])[: large[0, 0].size] for _ in range(6)]
        places = np.stack(planes).reshape(large.shape)
        return [
            Sample(small, index, 2),
            Sample(large, places, 2, output_size=(9, 7, 5)[:dims]),
            Sample(large[0], places[0], 2, 2, output_size=(9, 7, 5)[:dims]),
        ]

    return samples


def fractional_samples(dims):
    def samples(make):
        def drawn(*shape):
            return make.rng.random(shape).astype(make.np_dtype)

        return [
            Sample(
                make.distinct(1, 1, *(3, 4, 3)[:dims]), 2, 2 if dims == 2 else (1, 2, 1), None, True, drawn(1, 1, dims)
            ),
            Sample(make.distinct(2, 3, *SIDES[:dims]), 2, (4, 3, 3)[:dims], None, True, drawn(2, 3, dims)),
        ]

    return samples


def max_errors(make):
    x = make(1, 1, 5, 5)
    return [
        (Sample(make(5, 5), 2), RuntimeError, "non-empty 3D or 4D"),
        (Sample(x, 2, padding=2), RuntimeError, "pad should be at most half of effective kernel size"),
        (Sample(x, 2, padding=-1), RuntimeError, "pad must be non-negative"),
        (Sample(x, 2, 0), RuntimeError, "stride should not be zero"),
        (Sample(x, 2, dilation=0), RuntimeError, "dilation should be greater than zero"),
        (Sample(make(1, 1, 2, 2), 3), RuntimeError, r"Calculated output size: \(1x0x0\). Output size is too small"),
        (Sample(x, (1, 2, 3)), RuntimeError, "kernel_size must either be a single int, or a tuple of two ints"),
        (Sample(x > 0, 2), NotImplementedError, "not implemented for 'Bool'"),
    ]


def avg_errors(make):
    x = make(1, 1, 5, 5)
    return [
        (Sample(x, 2, divisor_override=0), RuntimeError, "divisor must be not zero"),
        (Sample(x, 2, padding=2), RuntimeError, "pad should be at most half"),
        (Sample(x.astype(np.int32), 2), NotImplementedError, "not implemented for 'Int'"),
    ]


def unpool_errors(make):
    x, index = make(1, 1, 2, 2), np.array([[[[0, 1], [2, 99]]]])
    return [
        (Sample(x, index, 2), RuntimeError, r"Found an invalid max index: 99 \(output volumes are of size 4x4\)"),
        (Sample(x, np.where(index == 99, -3, index), 2), RuntimeError, "Found an invalid max index: -3"),
        (Sample(x, index.astype(np.int32), 2), RuntimeError, "should be type int64 but got: Int"),
        (Sample(x, index[..., :1], 2), RuntimeError, "Expected shape of indices to be same as that of the input"),
        (Sample(x, index, 2, output_size=(9, 9)), ValueError, "invalid output_size"),
    ]


F = "nn.functional."
INDEXED = ("same", "int64")
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}
COVERED = {
    2: ("max_windows2d", "average_windows2d", "adaptive_average2d", "adaptive_max2d", "max_unpool_planes2d"),
    3: ("max_windows3d", "average_windows3d", "adaptive_average3d", "adaptive_max3d", "max_unpool_planes3d"),
}

OPS = [
    *(
        Op(
            f"max_pool{d}d",
            max_samples(d),
            max_pool(d),
            dtypes=(*INTEGERS[1:], *FLOATING) if d > 1 else BOTH_FLOATS,
            covers=("add_at", "take_at", *COVERED.get(d, ())[:1]),
            errors=max_errors if d == 2 else None,
        )
        for d in (1, 2, 3)
    ),
    *(Op(f"{F}max_pool{d}d_with_indices", max_samples(d), max_pool(d, indices=True), out=INDEXED) for d in (1, 2, 3)),
    *(
        Op(
            "avg_pool1d" if d == 1 else f"{F}avg_pool{d}d",
            avg_samples(d),
            avg_pool(d),
            dtypes=(*BOTH_FLOATS, "int64"),
            covers=("share_out", *COVERED.get(d, ())[1:2]),
            errors=avg_errors if d == 2 else None,
            **ROUNDING,
        )
        for d in (1, 2, 3)
    ),
    *(
        Op(
            f"{F}adaptive_avg_pool{d}d",
            adaptive_samples(d, "any"),
            adaptive(d, mean_of),
            covers=COVERED.get(d, ())[2:3],
            **ROUNDING,
        )
        for d in (1, 2, 3)
    ),
    *(
        Op(
            f"{F}adaptive_max_pool{d}d",
            adaptive_samples(d, "distinct"),
            adaptive(d, largest),
            covers=COVERED.get(d, ())[3:4],
        )
        for d in (1, 2, 3)
    ),
    Op("adaptive_max_pool1d", adaptive_samples(1, "distinct"), adaptive(1, largest, count=2), out=INDEXED),
    *(Op(f"{F}lp_pool{d}d", lp_samples(d), power_mean(d), **ROUNDING) for d in (1, 2, 3)),
    *(
        Op(
            f"{F}max_unpool{d}d",
            unpool_samples(d),
            unpool(d),
            expanded=False,
            covers=COVERED.get(d, ())[4:],
            errors=unpool_errors if d == 2 else None,
        )
        for d in (1, 2, 3)
    ),
    *(
        Op(
            f"{F}fractional_max_pool{d}d",
            fractional_samples(d),
            fractional(d),
            out=INDEXED,
            grad_of=(0,),
            expanded=False,
            covers=(f"fractional_max{d}d",),
        )
        for d in (2, 3)
    ),
]
