"""Fourier transforms, against numpy.fft."""

import numpy as np

from . import BOTH_FLOATS, WITH_COMPLEX, Op, Sample

COMPLEX_OF = {"float32": "complex64", "float64": "complex128"}
REAL_OF = {value: key for key, value in COMPLEX_OF.items()}


def _complex(dtype):
    return COMPLEX_OF.get(dtype, dtype)


def _real(dtype):
    return REAL_OF.get(dtype, dtype)


def _one(make):
    return [
        Sample(make(6)),
        Sample(make(2, 5), None, 0),
        Sample(make(3, 4), 7),
        Sample(make(3, 4), 2, 1, "ortho"),
        Sample(make(2, 4), None, -1, "forward"),
    ]


def _many(make):
    return [
        Sample(make(3, 4)),
        Sample(make(2, 3, 4), None, (0, 2)),
        Sample(make(3, 4), (5, 3)),
        Sample(make(3, 4), None, (1,), "ortho"),
        Sample(make(2, 3, 3), (2, 4), (2, 0), "forward"),
    ]


def _two(make):
    return [Sample(make(2, 3, 4)), Sample(make(3, 4), (2, 5)), Sample(make(3, 4), None, (1, 0), "ortho")]


def _numpy(name):
    function = getattr(np.fft, name)
    if name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
        return lambda x, n=None, dim=-1, norm=None: function(x, n, dim, norm)
    default = (-2, -1) if name.endswith("2") else None

    def run(x, s=None, dim=default, norm=None):
        axes = tuple(range(x.ndim - len(s), x.ndim)) if dim is None and s is not None else dim
        return function(x, s, axes, norm)

    return run


def _hermitian(forward, axes_default):
    """hfftn and ihfftn, which numpy does not have, from irfftn and rfftn of the other direction."""
    other = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}

    def run(x, s=None, dim=axes_default, norm=None):
        axes = tuple(range(x.ndim - len(s), x.ndim)) if dim is None and s is not None else dim
        if forward:
            return np.fft.irfftn(x.conj(), s, axes, other[norm])
        return np.fft.rfftn(x, s, axes, other[norm]).conj()

    return run


CONJUGATES = {"node": "torch conjugates lazily, and has a node for that"}


def _op(name, samples, reference, dtypes, out, **options):
    options["skip"] = CONJUGATES if name == "ifft" or name.startswith("ihfft") else {}
    return Op(f"fft.{name}", samples, reference, dtypes, out=out, rtol=5e-6, atol=5e-6, **options)


PRIMITIVES = {"fft": ("_fft_c2c",), "rfft": ("_fft_r2c",), "irfft": ("_fft_c2r",)}
OPS = []
for _suffix, _samples, _default in (("", _one, -1), ("n", _many, None), ("2", _two, (-2, -1))):
    for _name, _dtypes, _out in (
        ("fft", WITH_COMPLEX, _complex),
        ("ifft", WITH_COMPLEX, _complex),
        ("rfft", BOTH_FLOATS, _complex),
        ("irfft", WITH_COMPLEX, _real),
    ):
        _full = _name + _suffix
        OPS.append(_op(_full, _samples, _numpy(_full), _dtypes, _out, covers=PRIMITIVES.get(_full, ())))
    for _name, _dtypes, _out, _forward in (
        ("hfft", WITH_COMPLEX, _real, True),
        ("ihfft", BOTH_FLOATS, _complex, False),
    ):
        _reference = _hermitian(_forward, _default) if _suffix else _numpy(_name)
        OPS.append(_op(_name + _suffix, _samples, _reference, _dtypes, _out))


def _shifts(make):
    return [Sample(make(5)), Sample(make(2, 4), 1), Sample(make(3, 4), (0, 1)), Sample(make(0))]


OPS += [
    Op("fft.fftshift", _shifts, lambda x, dim=None: np.fft.fftshift(x, dim), WITH_COMPLEX),
    Op("fft.ifftshift", _shifts, lambda x, dim=None: np.fft.ifftshift(x, dim), WITH_COMPLEX),
]
