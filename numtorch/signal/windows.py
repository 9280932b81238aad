"""torch.signal.windows: tapers for spectral analysis, each given by its formula over n = 0 .. M - 1.

A periodic window (sym=False) of M points is the symmetric one of M + 1 without its last point.
"""

from __future__ import annotations

import math

from .. import _dtype
from .._dtype import dtype as _dtype_class
from .._tensor import Tensor
from ..ops.creation import empty, ones, scalar_tensor
from ..ops.sequences import linspace


def _prepared(name: str, M: int, dtype, device, requires_grad: bool):
    dtype = _dtype.get_default_dtype() if dtype is None else dtype
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if not isinstance(dtype, _dtype_class) or dtype.category != _dtype.FLOATING:
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    if M <= 1:
        make = empty if M == 0 else ones
        return make((M,), dtype=dtype, device=device, requires_grad=requires_grad), dtype
    return None, dtype


def _finished(w: Tensor, requires_grad: bool) -> Tensor:
    return w.requires_grad_(True) if requires_grad else w


def general_cosine(M, *, a, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """w_n = sum_i (-1)^i a_i cos(2 pi i n / (M - 1))."""
    done, dtype = _prepared("general_cosine", M, dtype, device, requires_grad)
    if done is not None:
        return done
    if not hasattr(a, "__iter__"):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    angle = 2 * math.pi / (M if not sym else M - 1)
    k = linspace(0, (M - 1) * angle, M, dtype=dtype, device=device)
    w = None
    for i, c in enumerate(a):
        term = (k * i).cos() * ((-1) ** i * c)
        w = term if w is None else w + term
    return _finished(w, requires_grad)


def general_hamming(M, *, alpha=0.54, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """w_n = alpha - (1 - alpha) cos(2 pi n / (M - 1))."""
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)


def hamming(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """The Hamming window: general_hamming with alpha 0.54."""
    return general_hamming(M, sym=sym, dtype=dtype, device=device, requires_grad=requires_grad)


def hann(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """The Hann window: general_hamming with alpha 0.5."""
    return general_hamming(M, alpha=0.5, sym=sym, dtype=dtype, device=device, requires_grad=requires_grad)


def blackman(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """The Blackman window."""
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """Nuttall's minimum four-term Blackman-Harris window."""
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def bartlett(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """w_n = 1 - |2 n / (M - 1) - 1|."""
    done, dtype = _prepared("bartlett", M, dtype, device, requires_grad)
    if done is not None:
        return done
    increment = 2 / (M if not sym else M - 1)
    k = linspace(-1, -1 + (M - 1) * increment, M, dtype=dtype, device=device)
    return _finished(1 - abs(k), requires_grad)


def cosine(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """w_n = sin(pi (n + 0.5) / M)."""
    done, dtype = _prepared("cosine", M, dtype, device, requires_grad)
    if done is not None:
        return done
    start, step = 0.5, math.pi / (M + 1 if not sym else M)
    k = linspace(start * step, (start + (M - 1)) * step, M, dtype=dtype, device=device)
    return _finished(k.sin(), requires_grad)


def exponential(
    M, *, center=None, tau=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False
) -> Tensor:
    """w_n = exp(-|n - center| / tau)."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    done, dtype = _prepared("exponential", M, dtype, device, requires_grad)
    if done is not None:
        return done
    if center is None:
        center = (M if not sym else M - 1) / 2.0
    k = linspace(-center / tau, (-center + (M - 1)) / tau, M, dtype=dtype, device=device)
    return _finished((-abs(k)).exp(), requires_grad)


def gaussian(M, *, std=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """w_n = exp(-(n / (2 std))^2), n counted from the middle."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    done, dtype = _prepared("gaussian", M, dtype, device, requires_grad)
    if done is not None:
        return done
    start = -(M if not sym else M - 1) / 2.0
    constant = 1 / (std * math.sqrt(2))
    k = linspace(start * constant, (start + (M - 1)) * constant, M, dtype=dtype, device=device)
    return _finished((-k * k).exp(), requires_grad)


def kaiser(M, *, beta=12.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """w_n = I0(beta sqrt(1 - (2 n / (M - 1) - 1)^2)) / I0(beta)."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    done, dtype = _prepared("kaiser", M, dtype, device, requires_grad)
    if done is not None:
        return done
    scale = scalar_tensor(beta, dtype=dtype, device=device)
    start, step = -beta, 2.0 * beta / (M if not sym else M - 1)
    # The last point is kept from overstepping beta, where the root would be nan.
    end = scale.clamp(max=start + (M - 1) * step)
    k = linspace(start, end, M, dtype=dtype, device=device)
    return _finished((beta * beta - k * k).sqrt().i0() / scale.i0(), requires_grad)


__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]
