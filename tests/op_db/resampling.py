"""Padding, sliding windows, interpolation and sampling at points, against dense matrices and loops in numpy."""

import itertools
import math

import numpy as np

from . import BOTH_FLOATS, EVERY, Op, Sample

F = "nn.functional."
ROUNDING = {"rtol": 2e-5, "atol": 2e-5}

# -- padding
# ---------------------------------------------------------------------------------------------------

NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(x, amounts, mode="constant", value=None):
    pairs = [(0, 0)] * (x.ndim - len(amounts) // 2) + list(zip(amounts[-2::-2], amounts[::-2], strict=True))
    cut = tuple(slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(pairs, x.shape, strict=True))
    more = [(max(low, 0), max(high, 0)) for low, high in pairs]
    options = {"constant_values": value or 0} if mode == "constant" else {}
    return np.pad(x[cut], more, NUMPY_MODES[mode], **options)


def pad_samples(make):
    made = [
        Sample(make(3), (1, 2)),
        Sample(make(2, 3), (1, -1, 0, 2), value=1),
        Sample(make(2, 3, 4), (-1, 2, 1, 1, 2, 0)),
        Sample(make(0, 3), (1, 1)),
    ]
    if make.dtype == "bool":
        return made
    for mode in ("reflect", "replicate", "circular"):
        made += [
            Sample(make(2, 3), (2, 1), mode=mode),
            Sample(make(1, 2, 3, 2), (1, 1, 2, 1), mode=mode),
            Sample(make(2, 4, 5, 6), (3, 4, 2, 0, 1, 3), mode=mode),
            Sample(make(0, 2, 3), (1, 2), mode=mode),
        ]
    made += [Sample(make(2, 3, 6), (-2, 1), mode=mode) for mode in ("replicate", "circular")]
    for sample in made:
        if sample.kwargs.get("mode") == "circular":
            sample.skipping(node="torch writes the parts into a buffer; one node here")
    return made


def pad_errors(make):
    x = make(2, 3, 4)
    return [
        (Sample(x, (1, 1, 1)), RuntimeError, "Padding length must be divisible by 2"),
        (Sample(make(2), (1, 1, 1, 1)), RuntimeError, "less than or equal to two times the input dimension"),
        (Sample(x, (-5, 0)), RuntimeError, "length must be non-negative"),
        (Sample(x, (4, 1), mode="reflect"), RuntimeError, "Padding size should be less than the corresponding"),
        (Sample(x, (5, 1), mode="circular"), RuntimeError, "wrapping around more than once"),
        (Sample(make(4), (1, 1), mode="reflect"), NotImplementedError, "Padding size 2 is not supported for 1D"),
        (Sample(x, (1, 1), mode="foo"), NotImplementedError, "Unrecognised padding mode foo"),
        (Sample(x, (1, 1), mode="reflect", value=2), RuntimeError, "doesn't take in value argument"),
    ]


# -- sliding windows
# -------------------------------------------------------------------------------------------


def window_places(size, kernel, dilation, padding, stride):
    """For each column element (tap, window) its place in the padded image, flattened."""
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(padded, dilation, kernel, stride, strict=True)]
    taps = itertools.product(*map(range, kernel))
    return np.array(
        [
            [
                (y * stride[0] + i * dilation[0]) * padded[1] + x * stride[1] + j * dilation[1]
                for y, x in itertools.product(*map(range, counts))
            ]
            for i, j in taps
        ]
    )


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    kernel, dilation, padding, stride = map(pair, (kernel_size, dilation, padding, stride))
    places = window_places(x.shape[-2:], kernel, dilation, padding, stride)
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(p, p) for p in padding])
    columns = padded.reshape(*x.shape[:-2], math.prod(padded.shape[-2:]))[..., places]
    return columns.reshape(*x.shape[:-3], x.shape[-3] * places.shape[0], places.shape[1])


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    size, kernel, dilation, padding, stride = map(pair, (output_size, kernel_size, dilation, padding, stride))
    places = window_places(size, kernel, dilation, padding, stride)
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    rows = x.reshape(x.size // places.size, places.size)
    out = np.zeros((len(rows), math.prod(padded)))
    for target, row in zip(out, rows, strict=True):
        np.add.at(target, places.ravel(), row)
    out = out.reshape(*x.shape[:-2], x.shape[-2] // places.shape[0], *padded)
    return out[..., padding[0] : padded[0] - padding[0], padding[1] : padded[1] - padding[1]]


def unfold_samples(make):
    return [
        Sample(make(1, 1, 3, 3), 2),
        Sample(make(2, 3, 2), (2, 1), padding=1),
        Sample(make(2, 3, 7, 8), (2, 3), dilation=(1, 2), padding=1, stride=2),
        Sample(make(0, 3, 7, 8), 2),
    ]


def fold_samples(make):
    return [
        Sample(make(1, 4, 4), (3, 3), 2),
        Sample(make(8, 1), (2, 2), 2, stride=2),
        Sample(make(2, 12, 12), (7, 8), (2, 3), dilation=(1, 2), padding=1, stride=2),
        Sample(make(0, 12, 4), (3, 3), 2),
    ]


# -- interpolation
# ---------------------------------------------------------------------------------------------


def keys(x, a):
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def lanczos(x):
    return np.sinc(x) * np.sinc(x / 3) if abs(x) < 3 else 0.0


FILTERS = {
    "bilinear": (1, lambda x: max(0.0, 1 - abs(x))),
    "bicubic": (2, lambda x: keys(x, -0.5)),
    "lanczos": (3, lanczos),
}


def resampling_matrix(n, out, factor, mode, align_corners, antialias):
    """The matrix (out, n) that resamples one dimension."""
    scale = (n - 1) / max(out - 1, 1) if align_corners else (1 / factor if factor else n / out)
    matrix = np.zeros((out, n))
    for o in range(out):
        centre = scale * o if align_corners else scale * (o + 0.5) - 0.5
        if mode == "nearest":
            matrix[o, min(int(np.float32(o) * np.float32(scale)), n - 1)] = 1
        elif mode == "nearest-exact":
            matrix[o, min(int((o + 0.5) * scale), n - 1)] = 1
        elif antialias:
            radius, filter_ = FILTERS[mode]
            stretch, middle = max(scale, 1), scale * (o + 0.5)
            low = max(int(middle - radius * stretch + 0.5), 0)
            high = min(int(middle + radius * stretch + 0.5), n)
            row = [filter_((i - middle + 0.5) / stretch) for i in range(low, high)]
            matrix[o, low:high] = np.array(row) / sum(row)
        elif mode == "bicubic":
            for i in range(math.floor(centre) - 1, math.floor(centre) + 3):
                matrix[o, min(max(i, 0), n - 1)] += keys(i - centre, -0.75)
        else:
            i = min(int(max(centre, 0)), n - 1)
            t = max(centre, 0) - i
            matrix[o, i] += 1 - t
            matrix[o, min(i + 1, n - 1)] += t
    return matrix


def interpolate(
    x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False
):
    dims = x.ndim - 2
    factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor,) * dims
    if size is None:
        size = [math.floor(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]
        factors = (None,) * dims if recompute_scale_factor or mode == "area" else factors
    size = size if isinstance(size, (tuple, list)) else (size,) * dims
    for axis, (out, factor) in enumerate(zip(size, factors, strict=True), 2):
        n = x.shape[axis]
        if mode == "area":
            matrix = np.zeros((out, n))
            for o in range(out):
                low, high = o * n // out, -(-(o + 1) * n // out)
                matrix[o, low:high] = 1 / (high - low)
        else:
            matrix = resampling_matrix(n, out, factor, mode, align_corners, antialias)
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


MODES = {
    1: ("nearest", "nearest-exact", "linear", "area"),
    2: ("nearest", "nearest-exact", "bilinear", "bicubic", "area"),
    3: ("nearest", "nearest-exact", "trilinear", "area"),
}


def interpolate_samples(make):
    made = []
    for dims, modes in MODES.items():
        small, large = (4, 2, 2)[:dims], (5, 7, 4)[:dims]
        for mode in modes:
            made += [
                Sample(make(1, 1, *small), size=(3, 3, 2)[:dims], mode=mode),
                Sample(make(2, 3, *large), scale_factor=1.7, mode=mode),
                Sample(make(2, 3, *large), scale_factor=(0.6, 1.3, 2.3)[:dims], mode=mode),
                Sample(make(0, 3, *large), size=(3, 3, 2)[:dims], mode=mode),
            ]
            if mode not in ("nearest", "nearest-exact", "area"):
                made.append(Sample(make(2, 3, *large), (9, 3, 1)[:dims], mode=mode, align_corners=True))
                made.append(Sample(make(2, 3, *large), scale_factor=1.7, mode=mode, recompute_scale_factor=True))
    for mode in FILTERS:
        made.append(Sample(make(1, 1, 4, 3), (2, 4), mode=mode, antialias=True))
        made.append(Sample(make(2, 3, 15, 9), (4, 12), mode=mode, antialias=True))
    return made


def interpolate_errors(make):
    x = make(2, 3, 4, 4)
    return [
        (Sample(x), ValueError, "either size or scale_factor should be defined"),
        (Sample(x, 8, 2), ValueError, "only one of size or scale_factor should be defined"),
        (Sample(x, (8,)), ValueError, "must have the same number of spatial dimensions"),
        (Sample(x, 8, mode="linear"), NotImplementedError, "Got 4D input, but linear mode needs 3D input"),
        (Sample(x, 8, mode="foo"), NotImplementedError, r"\(got foo\)"),
        (Sample(x, 8, align_corners=True), ValueError, "align_corners option can only be set"),
        (Sample(x, 0), RuntimeError, "Input and output sizes should be greater than 0"),
        (Sample(x.astype(np.int64), 8), NotImplementedError, "not implemented for 'Long'"),
    ]


# -- sampling at points
# ----------------------------------------------------------------------------------------


def folded(c, n, padding, align):
    """A coordinate after the padding rule."""
    if padding == "reflection":
        low, span = (0, n - 1) if align else (-0.5, n)
        if span == 0:
            return 0.0
        c = (c - low) % (2 * span)
        c = min(c, 2 * span - c) + low
    return c if padding == "zeros" else min(max(c, 0), n - 1)


def axis_weights(c, n, mode, padding, align):
    """{position: weight} along one dimension for a coordinate in [-1, 1]."""
    c = (c + 1) / 2 * (n - 1) if align else ((c + 1) * n - 1) / 2
    if mode == "bicubic":
        taps = [
            (folded(i, n, padding, align), keys(i - c, -0.75))
            for i in range(int(np.floor(c)) - 1, int(np.floor(c)) + 3)
        ]
    else:
        c = folded(c, n, padding, align)
        low = math.floor(c)
        taps = [(np.rint(c), 1.0)] if mode == "nearest" else [(low, low + 1 - c), (low + 1, c - low)]
    return [(int(i), w) for i, w in taps if 0 <= i < n]


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for at in np.ndindex(*grid.shape[:-1]):
        axes = [
            axis_weights(c, n, mode, padding_mode, align_corners) for c, n in zip(grid[at], x.shape[:1:-1], strict=True)
        ]
        for taps in itertools.product(*axes):
            place = tuple(i for i, _ in reversed(taps))
            out[(at[0], slice(None), *at[1:])] += math.prod(w for _, w in taps) * x[(at[0], slice(None), *place)]
    return out


def grid_samples(make):
    """Points away from the kinks of the weights, which finite differences would straddle."""
    made = []
    for padding, align in itertools.product(("zeros", "border", "reflection"), (True, False)):
        for mode in ("bilinear", "nearest", "bicubic"):
            options = {"mode": mode, "padding_mode": padding, "align_corners": align}
            made.append(Sample(make(1, 1, 3, 3), np.array([[[[0.31, -0.47], [1.33, 0.62]]]], make.np_dtype), **options))
            made.append(Sample(make(2, 3, 5, 6), make(2, 4, 3, 2, low=-2, high=2), **options))
            if mode != "bicubic":
                made.append(Sample(make(2, 2, 3, 4, 5), make(2, 2, 3, 2, 3, low=-2, high=2), **options))
    return made


def affine_grid(theta, size, align_corners=False):
    spatial = size[2:]
    lines = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in spatial]
    if not align_corners:
        lines = [line * (len(line) - 1) / len(line) for line in lines]
    points = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(spatial)], -1)
    return np.einsum("...j,nij->n...i", points, theta)


# -- shuffles
# --------------------------------------------------------------------------------------------------


def pixel_shuffle(x, r):
    *batch, channels, height, width = x.shape
    out = np.zeros((*batch, channels // (r * r), height * r, width * r), x.dtype)
    for i, j in np.ndindex(r, r):
        out[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
    return out


def pixel_unshuffle(x, r):
    *batch, channels, height, width = x.shape
    out = np.zeros((*batch, channels * r * r, height // r, width // r), x.dtype)
    for i, j in np.ndindex(r, r):
        out[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
    return out


def channel_shuffle(x, groups):
    return np.concatenate([x[:, i :: x.shape[1] // groups] for i in range(x.shape[1] // groups)], 1)


PADS = tuple(f"{name}_pad{d}d" for name in ("reflection", "replication", "circular") for d in (1, 2, 3))
UPSAMPLES = tuple(
    f"upsample_{kind}d"
    for kind in (
        *(f"nearest{d}" for d in (1, 2, 3)),
        *(f"nearest_exact{d}" for d in (1, 2, 3)),
        *(f"linear{d}" for d in (1, 2, 3)),
        "cubic2",
        "linear_aa2",
        "cubic_aa2",
        "lanczos_aa2",
    )
)

OPS = [
    Op(F + "pad", pad_samples, pad, dtypes=EVERY, errors=pad_errors, covers=("add_padding", *PADS)),
    Op(
        "constant_pad_nd",
        lambda make: [(make(3), (1, 2)), (make(2, 3), (1, -1, 0, 2), 1), (make(2), ())],
        lambda x, amounts, value=0: pad(x, amounts, "constant", value),
        dtypes=EVERY,
    ),
    Op(F + "unfold", unfold_samples, unfold, covers=("im2col",)),
    Op(F + "fold", fold_samples, fold, covers=("col2im",), **ROUNDING),
    Op(
        F + "interpolate",
        interpolate_samples,
        interpolate,
        errors=interpolate_errors,
        covers=("spread_samples", *UPSAMPLES),
        **ROUNDING,
    ),
    Op(
        F + "grid_sample",
        grid_samples,
        grid_sample,
        gradgradcheck=False,  # torch has none
        covers=tuple(f"grid_sampler_{d}d{end}" for d in (2, 3) for end in ("", "_backward")),
        **ROUNDING,
    ),
    Op(
        "affine_grid_generator",
        lambda make: [
            (make(1, 2, 3), (1, 1, 2, 2), True),
            (make(2, 2, 3), (2, 3, 4, 5), False),
            (make(2, 3, 4), (2, 3, 4, 1, 5), False),
        ],
        affine_grid,
        dtypes=BOTH_FLOATS,
        **ROUNDING,
    ),
    Op(
        "pixel_shuffle",
        lambda make: [
            (make(4, 2, 1), 2),
            (make(2, 18, 3, 2), 3),
            Sample(make(0, 4, 2, 2), 2).skipping(compare="torch's gradient has the shape of the result"),
        ],
        pixel_shuffle,
        dtypes=EVERY,
    ),
    Op(
        "pixel_unshuffle",
        lambda make: [
            (make(1, 2, 4), 2),
            (make(2, 2, 9, 6), 3),
            Sample(make(0, 4, 2, 2), 2).skipping(compare="torch gives what is empty back as it was"),
        ],
        pixel_unshuffle,
        dtypes=EVERY,
    ),
    Op(
        "channel_shuffle",
        lambda make: [(make(1, 4, 2), 2), (make(2, 6, 3, 2), 3), (make(0, 4, 2), 2)],
        channel_shuffle,
        dtypes=EVERY,
    ),
]
