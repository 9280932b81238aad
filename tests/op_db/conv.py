"""Convolutions, against sums over the taps in numpy."""

import itertools

import numpy as np

from . import BOTH_FLOATS, FLOATING, NUMERIC, Op, Sample


def each(value, dims):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


def convolve(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """sum_{c, t} w[m, c, t] x[n, c, o stride - padding + t dilation], a tap at a time."""
    dims = w.ndim - 2
    if x.ndim == dims + 1:
        return convolve(x[None], w, b, stride, padding, dilation, groups)[0]
    stride, dilation = each(stride, dims), each(dilation, dims)
    total = [d * (k - 1) for k, d in zip(w.shape[2:], dilation, strict=True)]
    if padding == "same":
        around = [(t // 2, t - t // 2) for t in total]
    else:
        around = [(p, p) for p in each(0 if padding == "valid" else padding, dims)]
    x = np.pad(x, [(0, 0), (0, 0), *around])
    size = [(n - t - 1) // s + 1 for n, t, s in zip(x.shape[2:], total, stride, strict=True)]
    out = np.zeros((x.shape[0], w.shape[0], *size), np.result_type(x, w))
    channels, outputs = w.shape[1], w.shape[0] // groups
    for tap in itertools.product(*(range(k) for k in w.shape[2:])):
        at = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(tap, dilation, size, stride, strict=True)
        )
        for g in range(groups):
            rows = slice(g * outputs, (g + 1) * outputs)
            image = x[(slice(None), slice(g * channels, (g + 1) * channels), *at)]
            out[:, rows] += np.einsum("nc...,mc->nm...", image, w[(rows, slice(None), *tap)])
    return out if b is None else out + b.reshape(-1, *(1,) * dims)


def convolve_transposed(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """out[n, m, i stride - padding + t dilation] += w[c, m, t] x[n, c, i], a tap at a time."""
    dims = w.ndim - 2
    if x.ndim == dims + 1:
        return convolve_transposed(x[None], w, b, stride, padding, output_padding, groups, dilation)[0]
    stride, padding, more, dilation = (each(v, dims) for v in (stride, padding, output_padding, dilation))
    full = [
        (n - 1) * s + d * (k - 1) + 1 + o
        for n, k, s, d, o in zip(x.shape[2:], w.shape[2:], stride, dilation, more, strict=True)
    ]
    channels, outputs = w.shape[0] // groups, w.shape[1]
    out = np.zeros((x.shape[0], groups * outputs, *full), np.result_type(x, w))
    for tap in itertools.product(*(range(k) for k in w.shape[2:])):
        at = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilation, x.shape[2:], stride, strict=True)
        )
        for g in range(groups):
            rows = slice(g * channels, (g + 1) * channels)
            target = (slice(None), slice(g * outputs, (g + 1) * outputs), *at)
            out[target] += np.einsum("nc...,cm->nm...", x[:, rows], w[(rows, slice(None), *tap)])
    out = out[(..., *(slice(p, n - p) for p, n in zip(padding, full, strict=True)))]
    return out if b is None else out + b.reshape(-1, *(1,) * dims)


def beyond_torch(make, *args, **kwargs):
    """A sample that torch has no loops for in small integers: transposed or dilated."""
    sample = Sample(*args, **kwargs)
    small = make.np_dtype.kind in "iu" and make.np_dtype.itemsize < 8
    return sample.skipping(compare="torch refuses small integers") if small else sample


def conv1d_samples(make):
    return [
        Sample(make(1, 1, 4), make(1, 1, 2)),
        Sample(make(2, 2, 5), make(3, 2, 2), make(3), stride=2, padding=1),
        beyond_torch(make, make(2, 6), make(2, 1, 3), make(2), groups=2, dilation=2),
        Sample(make(2, 3, 40), make(4, 3, 4), None, padding="same"),
        Sample(make(2, 3, 9), make(4, 3, 3), make(4), padding="valid"),
        Sample(make(0, 3, 9), make(4, 3, 3), make(4)),
        beyond_torch(make, make(2, 3, 300), make(4, 3, 3), make(4), stride=3, padding=5, dilation=4),
    ]


def conv2d_samples(make):
    return [
        Sample(make(1, 1, 3, 3), make(1, 1, 2, 2)),
        Sample(make(1, 2, 3, 3), make(2, 2, 2, 2), make(2), stride=2, padding=1),
        Sample(make(2, 3, 4), make(2, 1, 2, 1), make(2), groups=2, dilation=(1, 2)),
        Sample(make(2, 3, 9, 8), make(4, 3, 4, 2), make(4), padding="same", dilation=(1, 3)),
        Sample(make(3, 8, 14, 14), make(16, 8, 5, 5), make(16)),
        Sample(make(2, 16, 20, 17), make(9, 16, 3, 3), make(9), padding=1),
        Sample(make(3, 32, 8, 8), make(32, 32, 3, 3), make(32), padding=1),  # by Winograd's algorithm in float32
        Sample(make(2, 20, 16, 16), make(30, 20, 1, 1), make(30)),
        Sample(make(2, 20, 7, 9), make(30, 20, 1, 1), None, stride=2),
        Sample(make(4, 6, 5, 5), make(10, 6, 5, 5), make(10)),
        Sample(make(2, 3, 30, 31), make(8, 3, 7, 7), make(8), stride=2, padding=3),
        Sample(make(2, 12, 9, 9), make(24, 1, 3, 3), make(24), padding=1, groups=12),
        Sample(make(2, 3, 6, 23), make(3, 1, 5, 3), make(3), padding=(2, 1), groups=3),
        Sample(make(1, 4, 11, 8), make(4, 1, 3, 3), None, stride=2, padding=1, groups=4),
        Sample(make(2, 2, 9, 8), make(2, 1, 2, 3), make(2), stride=(3, 1), padding=1, dilation=2, groups=2),
        Sample(make(4, 20, 4, 4), make(18, 20, 3, 3), None, stride=2, padding=1),
        Sample(make(0, 3, 5, 5), make(4, 3, 3, 3), make(4)),
    ]


def conv3d_samples(make):
    return [
        Sample(make(1, 1, 2, 2, 2), make(1, 1, 2, 1, 2)),
        Sample(make(1, 2, 2, 2, 3), make(1, 2, 2, 2, 2), make(1), padding=(1, 0, 1)),
        Sample(make(2, 4, 5, 6, 7), make(6, 2, 3, 2, 3), make(6), stride=(2, 1, 3), padding=1, groups=2),
        beyond_torch(make, make(3, 6, 5, 7), make(4, 3, 2, 2, 3), make(4), dilation=(2, 1, 3)),
    ]


def transpose1d_samples(make):
    return [
        beyond_torch(make, make(1, 1, 3), make(1, 1, 2)),
        beyond_torch(make, make(1, 2, 3), make(2, 2, 3), make(2), stride=2, padding=1, output_padding=1),
        beyond_torch(make, make(4, 9), make(4, 3, 3), make(6), stride=3, groups=2, dilation=2),
        beyond_torch(make, make(2, 4, 9), make(4, 3, 1), None, stride=3),
        beyond_torch(make, make(0, 4, 9), make(4, 3, 1), None, stride=3),
    ]


def transpose2d_samples(make):
    return [
        Sample(make(1, 1, 2, 2), make(1, 1, 2, 2)),
        Sample(make(1, 1, 2, 3), make(1, 2, 3, 2), make(2), stride=2, padding=1, output_padding=(1, 0)),
        Sample(make(2, 4, 5, 6), make(4, 3, 3, 3), make(3), dilation=3, output_padding=2),
        Sample(make(2, 16, 7, 7), make(16, 4, 4, 4), make(8), stride=2, padding=1, groups=2),
        Sample(make(2, 3, 5, 7), make(3, 1, 3, 3), make(3), stride=2, padding=1, output_padding=1, groups=3),
        Sample(make(3, 32, 6, 6), make(32, 32, 3, 3), make(32), padding=1),  # by Winograd's algorithm in float32
        Sample(make(3, 10, 1, 1), make(10, 6, 4, 4), None),
    ]


def transpose3d_samples(make):
    return [
        Sample(make(1, 1, 2, 1, 2), make(1, 1, 1, 2, 2)),
        Sample(make(2, 4, 3, 4, 5), make(4, 3, 2, 3, 1), make(3), stride=(2, 1, 3), padding=(1, 1, 0)),
        Sample(make(4, 3, 4, 5), make(4, 1, 2, 3, 2), make(2), groups=2, output_padding=1, stride=2),
    ]


def conv2d_errors(make):
    x, w = make(1, 3, 5, 5), make(2, 3, 3, 3)
    return [
        (Sample(make(5, 5), w), RuntimeError, r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d"),
        (Sample(make(1, 4, 5, 5), w), RuntimeError, "to have 3 channels, but got 4 channels instead"),
        (
            Sample(make(1, 3, 2, 2), w),
            RuntimeError,
            r"Calculated padded input size per channel: \(2 x 2\). Kernel size: \(3 x 3\)",
        ),
        (Sample(x, w, make(3)), RuntimeError, "expected bias to be 1-dimensional with 2 elements"),
        (Sample(x, w, padding=-1), RuntimeError, "negative padding is not supported"),
        (Sample(x, w, stride=0), RuntimeError, "non-positive stride is not supported"),
        (Sample(x, w, dilation=0), RuntimeError, "dilation should be greater than zero"),
        (Sample(x, w, groups=2), RuntimeError, "to have 6 channels, but got 3 channels instead"),
        (Sample(x, w, groups=0), RuntimeError, "non-positive groups is not supported"),
        (Sample(x, w, stride=(1, 2, 3)), RuntimeError, "expected stride to be a single integer value or a list"),
        (Sample(x, w, padding="foo"), RuntimeError, "Invalid padding string: 'foo'"),
        (Sample(x, w, padding="same", stride=2), RuntimeError, "padding='same' is not supported for strided"),
        (Sample(x.astype(np.float64), w), RuntimeError, "expected scalar type Double but found Float"),
        (Sample(x.astype(np.float64), w, make(2)), RuntimeError, r"Input type \(double\) and bias type \(float\)"),
    ]


def transpose2d_errors(make):
    x = make(1, 3, 5, 5)
    return [
        (Sample(x, make(4, 2, 3, 3)), RuntimeError, "Given transposed=1, weight of size .* to have 4 channels"),
        (Sample(x, make(3, 2, 3, 3), output_padding=1), RuntimeError, "output padding must be smaller than"),
        (Sample(make(1, 3, 1, 1), make(3, 2, 1, 1), padding=1), RuntimeError, "Output size is too small"),
    ]


def tbc(x, w, b, pad=0):
    return convolve(x.transpose(1, 2, 0), w.transpose(2, 1, 0), b, 1, pad).transpose(2, 0, 1)


# sums of up to 200 float32 products
ROUNDING = {"rtol": 2e-5, "atol": 2e-5}
REAL_AND_COMPLEX = (*FLOATING[2:], "complex64", "complex128")

OPS = [
    Op("conv1d", conv1d_samples, convolve, dtypes=NUMERIC, covers=("convolution_to", "weight_correlation"), **ROUNDING),
    Op("conv2d", conv2d_samples, convolve, dtypes=REAL_AND_COMPLEX, errors=conv2d_errors, **ROUNDING),
    Op("conv3d", conv3d_samples, convolve, dtypes=NUMERIC, **ROUNDING),
    Op("conv_transpose1d", transpose1d_samples, convolve_transposed, dtypes=NUMERIC, **ROUNDING),
    Op(
        "conv_transpose2d",
        transpose2d_samples,
        convolve_transposed,
        dtypes=REAL_AND_COMPLEX,
        errors=transpose2d_errors,
        **ROUNDING,
    ),
    Op("conv_transpose3d", transpose3d_samples, convolve_transposed, **ROUNDING),
    Op(
        "convolution",
        lambda make: [
            Sample(make(1, 2, 3, 3), make(2, 1, 2, 2), make(2), [1], [1], [1], False, [0], 2),
            Sample(make(1, 2, 2), make(2, 1, 2), None, [2], [0], [1], True, [1], 1),
        ],
        lambda x, w, b, stride, padding, dilation, transposed, more, groups: (
            convolve_transposed(x, w, b, stride * (w.ndim - 2), padding * (w.ndim - 2), more, groups, 1)
            if transposed
            else convolve(x, w, b, stride * (w.ndim - 2), padding * (w.ndim - 2), 1, groups)
        ),
        dtypes=BOTH_FLOATS,
        **ROUNDING,
    ),
    Op("conv_tbc", lambda make: [(make(3, 2, 2), make(2, 2, 3), make(3), 1)], tbc, **ROUNDING),
]
