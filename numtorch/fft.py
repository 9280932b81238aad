"""Discrete Fourier transforms under torch's names, through numpy.fft (pocketfft, which keeps float32).

The three primitives below are the transforms over several dimensions at once: complex to complex, real to complex
(the spectrum or half of it), and back. Each one's derivative is another of them, so any order of derivative
exists. Everything else is a composition: sizes by cutting and padding, Hermitian transforms by conjugates.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _dtype
from ._dtype import COMPLEX, FLOATING, get_default_dtype
from ._primitive import primitive
from ._registry import FUNCTIONS, op
from ._size import wrap_dim
from ._tensor import Tensor
from .ops.linalg import from_array

_NORMS = ("backward", "forward", "ortho")


# -- primitives -------------------------------------------------------------------------------------------------------


def _scaled(x: np.ndarray, scale: float, dtype) -> Tensor:
    if scale != 1.0:
        x *= x.real.dtype.type(scale)
    return from_array(x, dtype)


@primitive("_fft_c2c", node="FftC2CBackward0", public=False)
def _c2c(self, dims, scale, forward):
    """scale sum_n x_n exp(-+ 2 pi i k n / N) over `dims`, minus for `forward`."""
    transform = np.fft.fftn if forward else np.fft.ifftn
    x = transform(self._nd(), axes=dims, norm="backward" if forward else "forward")
    return _scaled(x, scale, self._dtype)


_c2c.derivative(self=lambda ctx, grad: _c2c(grad, ctx.dims, ctx.scale, not ctx.forward))


@primitive("_fft_r2c", node="FftR2CBackward0", public=False)
def _r2c(self, dims, scale, onesided):
    """The forward transform of real values: with `onesided` only frequencies 0 .. N // 2 of the last of `dims`."""
    transform = np.fft.rfftn if onesided else np.fft.fftn
    return _scaled(transform(self._nd(), axes=dims), scale, self._dtype.to_complex())


def _r2c_backward(ctx, grad):
    # The adjoint: the missing half of the spectrum has no gradient, so it is filled with zeros, not mirrored.
    last, n = ctx.dims[-1], ctx.self.shape[ctx.dims[-1]]
    missing = n - grad._size[last]
    if missing:
        rest = [*grad._size]
        rest[last] = missing
        grad = FUNCTIONS[""]["cat"]((grad, FUNCTIONS[""]["zeros"](*rest, dtype=grad._dtype)), last)
    return _c2c(grad, ctx.dims, ctx.scale, False).real


_r2c.derivative(self=_r2c_backward)


@primitive("_fft_c2r", node="FftC2RBackward0", public=False)
def _c2r(self, dims, scale, n):
    """The backward transform to n real values along the last of `dims` of half a mirrored spectrum."""
    sizes = [self._size[d] for d in dims[:-1]] + [n]
    return _scaled(np.fft.irfftn(self._nd(), sizes, dims, norm="forward"), scale, self._dtype.to_real())


def _c2r_backward(ctx, grad):
    # Each frequency but 0 (and N / 2 of an even N) stands for two.
    last = ctx.dims[-1]
    spectrum = _r2c(grad, ctx.dims, ctx.scale, True)
    weight = np.ones(spectrum._size[last])
    weight[1 : (ctx.n + 1) // 2] = 2
    shape = [1] * len(spectrum._size)
    shape[last] = -1
    return spectrum * from_array(weight.reshape(shape).astype(grad._dtype.np), grad._dtype)


_c2r.derivative(self=_c2r_backward)


# -- arguments --------------------------------------------------------------------------------------------------------


def _promoted(input: Tensor, to_complex: bool) -> Tensor:
    """The input in a dtype that has transforms: integers in the default dtype; complex if asked."""
    d = input._dtype
    if d.category < FLOATING:
        d = get_default_dtype()
    if d in (_dtype.float16, _dtype.bfloat16):
        raise RuntimeError(f"Unsupported dtype {d.type_name}")
    if to_complex:
        d = d.to_complex()
    return input if input._dtype is d else input.to(d)


def _check_norm(norm: str | None) -> str:
    if norm is None:
        return "backward"
    if norm not in _NORMS:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return norm


def _scale(norm: str | None, count: int, forward: bool) -> float:
    """1, 1 / N or 1 / sqrt N, as `norm` says for that direction."""
    norm = _check_norm(norm)
    if norm == "ortho":
        return 1.0 / math.sqrt(count)
    return 1.0 / count if (norm == "forward") == forward else 1.0


def _resized(x: Tensor, dims: list[int], sizes: list[int]) -> Tensor:
    """x cut, or padded with zeros at the end, to `sizes` along `dims`."""
    for d, n in zip(dims, sizes, strict=True):
        if n < x._size[d]:
            x = x.narrow(d, 0, n)
        elif n > x._size[d]:
            more = [*x._size]
            more[d] = n - x._size[d]
            x = FUNCTIONS[""]["cat"]((x, FUNCTIONS[""]["zeros"](*more, dtype=x._dtype, device=x._device)), d)
    return x


def _check_points(sizes: list[int]) -> None:
    for n in sizes:
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")


def _one(input: Tensor, n: int | None, dim: int) -> tuple[list[int], list[int]]:
    """(dims, sizes) of a transform over one dimension."""
    if not input._size:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    d = wrap_dim(dim, len(input._size))
    sizes = [input._size[d] if n is None else n]
    _check_points(sizes)
    return [d], sizes


def _many(input: Tensor, s, dim) -> tuple[list[int], list[int]]:
    """(dims, sizes) of a transform over several dimensions: the last len(s), or all, unless `dim` says which."""
    ndim = len(input._size)
    s = [s] if isinstance(s, int) else s
    dim = [dim] if isinstance(dim, int) else dim
    if dim is not None:
        dims = [wrap_dim(d, ndim) for d in dim]
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
    elif s is not None:
        if len(s) > ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {ndim} dimensions.")
        dims = list(range(ndim - len(s), ndim))
    else:
        dims = list(range(ndim))
    if s is not None and len(s) != len(dims):
        raise RuntimeError(
            f"When given, dim and shape arguments must have the same length, got dim={list(dim)} and shape={list(s)}"
        )
    sizes = [input._size[d] for d in dims] if s is None else list(s)
    sizes = [input._size[d] if n == -1 else n for d, n in zip(dims, sizes, strict=True)]
    _check_points(sizes)
    return dims, sizes


# -- transforms over given dimensions ---------------------------------------------------------------------------------


def _complex_transform(input, dims, sizes, norm, forward, name):
    scale = _scale(norm, math.prod(sizes), forward)
    if name == "fft" and input._dtype.category != COMPLEX:  # as in torch, over one dimension only
        return _r2c(_resized(_promoted(input, False), dims, sizes), tuple(dims), scale, False)
    x = _promoted(input, True)
    return _c2c(_resized(x, dims, sizes), tuple(dims), scale, forward) if dims else x.clone()


def _real_transform(input, dims, sizes, norm, forward, name):
    """Real to half a spectrum; the backward one (of ihfft) is the conjugate of the forward one."""
    if input._dtype.category == COMPLEX:
        raise RuntimeError(f"{name} expects a real input tensor, but got {input._dtype.type_name}")
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    x = _resized(_promoted(input, False), dims, sizes)
    x = _r2c(x, tuple(dims), _scale(norm, math.prod(sizes), forward), True)
    return x if forward else x.conj()


def _inverse_real_transform(input, dims, sizes, norm, forward, name):
    """Half a spectrum to real; the forward one (of hfft) is the backward one of the conjugate."""
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    x = _resized(_promoted(input, True), dims, [*sizes[:-1], sizes[-1] // 2 + 1])
    x = x.conj() if forward else x
    return _c2r(x, tuple(dims), _scale(norm, math.prod(sizes), forward), sizes[-1])


def _last_doubled(input: Tensor, dims: list[int], sizes: list[int], given: bool) -> list[int]:
    """The sizes of a real result: 2 (n - 1) along the last dimension unless given."""
    if given:
        return sizes
    sizes = [*sizes[:-1], 2 * (input._size[dims[-1]] - 1)]
    _check_points(sizes)
    return sizes


# -- the public names -------------------------------------------------------------------------------------------------


def _define_one(name, transform, forward, to_real, doc):
    def call(input, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
        dims, sizes = _one(input, n, dim)
        if to_real:
            sizes = _last_doubled(input, dims, sizes, n is not None)
        return transform(input, dims, sizes, norm, forward, name)

    call.__doc__ = doc
    _publish(name, call)


def _define_many(name, transform, forward, to_real, doc):
    def call(input, s=None, dim=None, norm: str | None = None) -> Tensor:
        dims, sizes = _many(input, s, dim)
        if to_real and dims:
            given = s is not None and (s if isinstance(s, int) else s[-1]) != -1
            sizes = _last_doubled(input, dims, sizes, given)
        return transform(input, dims, sizes, norm, forward, name)

    call.__doc__ = doc
    _publish(name, call)

    def call2(input, s=None, dim=(-2, -1), norm: str | None = None) -> Tensor:
        return call(input, s, dim, norm)

    call2.__doc__ = doc.replace("over several dimensions", "over the last two dimensions unless told")
    _publish(name[:-1] + "2", call2)


def _publish(name, call):
    call.__name__ = call.__qualname__ = name
    globals()[name] = op(name, namespace="fft", method=False, out=True)(call)


_define_one("fft", _complex_transform, True, False, "X_k = sum_n x_n exp(-2 pi i k n / N) along a dimension.")
_define_one("ifft", _complex_transform, False, False, "x_n = 1/N sum_k X_k exp(2 pi i k n / N) along a dimension.")
_define_one("rfft", _real_transform, True, False, "Frequencies 0 .. N // 2 of the transform of real values.")
_define_one("irfft", _inverse_real_transform, False, True, "n real values from half a mirrored spectrum.")
_define_one("hfft", _inverse_real_transform, True, True, "The real spectrum of half of a Hermitian signal.")
_define_one("ihfft", _real_transform, False, False, "The inverse of `hfft`: half of a Hermitian signal.")
_define_many("fftn", _complex_transform, True, False, "`fft` over several dimensions.")
_define_many("ifftn", _complex_transform, False, False, "`ifft` over several dimensions.")
_define_many("rfftn", _real_transform, True, False, "`rfft` of the last, `fft` of the others, over several dimensions.")
_define_many("irfftn", _inverse_real_transform, False, True, "The inverse of `rfftn` over several dimensions.")
_define_many("hfftn", _inverse_real_transform, True, True, "`hfft` of the last, `fft` of others of several dimensions.")
_define_many("ihfftn", _real_transform, False, False, "The inverse of `hfftn` over several dimensions.")


# -- frequencies and shifts -------------------------------------------------------------------------------------------


def _frequencies(values, dtype, device, requires_grad) -> Tensor:
    result = from_array(values, _dtype.float64).to(dtype or get_default_dtype())
    result = result if device is None else result.to(device)
    return result.requires_grad_(requires_grad)


@op(namespace="fft", method=False, out=True)
def fftfreq(n: int, d: float = 1.0, *, dtype=None, layout=None, device=None, requires_grad: bool = False) -> Tensor:
    """The frequencies of `fft`: 0, 1, ..., -2, -1 over n d."""
    return _frequencies(np.fft.fftfreq(n, d), dtype, device, requires_grad)


@op(namespace="fft", method=False, out=True)
def rfftfreq(n: int, d: float = 1.0, *, dtype=None, layout=None, device=None, requires_grad: bool = False) -> Tensor:
    """The frequencies of `rfft`: 0, 1, ..., n // 2 over n d."""
    return _frequencies(np.fft.rfftfreq(n, d), dtype, device, requires_grad)


def _all_dims(input: Tensor, dim) -> list[int]:
    if dim is None:
        return list(range(len(input._size)))
    return [wrap_dim(d, len(input._size)) for d in ([dim] if isinstance(dim, int) else dim)]


@op(namespace="fft", method=False)
def fftshift(input, dim=None) -> Tensor:
    """Frequency 0 to the middle of each dimension."""
    dims = _all_dims(input, dim)
    return input.roll([input._size[d] // 2 for d in dims], dims) if dims else input.clone()


@op(namespace="fft", method=False)
def ifftshift(input, dim=None) -> Tensor:
    """The inverse of `fftshift`."""
    dims = _all_dims(input, dim)
    return input.roll([(input._size[d] + 1) // 2 for d in dims], dims) if dims else input.clone()


__all__ = [*FUNCTIONS["fft"]]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
