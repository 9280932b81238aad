"""Complex tensors: parts, conjugates, and views between complex numbers and pairs of reals."""

from __future__ import annotations

import numpy as np

from numtorch.graph import Node, mode
from numtorch.kernels.math import conj, where

from .. import _dtype
from .._device import cpu
from .._dtype import COMPLEX, FLOATING
from .._registry import op, register
from .._tensor import Tensor, wrap
from .._unary import unary
from .._views import track_view
from .creation import written

_conj = unary(
    "conj_physical",
    lambda x: conj(x),
    lambda g: conj(g),
    node="ConjPhysicalBackward0",
    function=False,
    method=False,
)


@op("conj")
def conjugate(input) -> Tensor:
    """The complex conjugate (computed at once: there is no lazy conjugate bit); a real tensor itself."""
    return _conj(input) if input._dtype.category == COMPLEX else input


@op(inplace=True, out=True)
def conj_physical(input) -> Tensor:
    """The complex conjugate, computed at once; a real tensor itself."""
    return _conj(input) if input._dtype.category == COMPLEX else input


@op()
def resolve_conj(input) -> Tensor:
    """`input`: conjugates are never lazy here."""
    return input


@op()
def resolve_neg(input) -> Tensor:
    """`input`: negation is never lazy here."""
    return input


@op()
def is_conj(input) -> bool:
    """Always False: conjugates are never lazy here."""
    return False


@op()
def is_neg(input) -> bool:
    """Always False: negation is never lazy here."""
    return False


class ViewAsRealBackward0(Node):
    def apply(self, grads) -> tuple:
        return (None if grads[0] is None else view_as_complex(grads[0].contiguous()),)


class ViewAsComplexBackward0(Node):
    def apply(self, grads) -> tuple:
        return (None if grads[0] is None else view_as_real(grads[0]),)


def _as_view(result: Tensor, t: Tensor, node_class) -> Tensor:
    """`result`, a view of `t` in another dtype, with its base and its node."""
    base = result._base = t if t._base is None else t._base
    if t._requires_grad:
        return track_view(result, t, node_class, {})
    if base._requires_grad:
        result._view_version = result._storage.version
    return result


@op()
def view_as_real(input) -> Tensor:
    """A complex tensor's memory as real numbers, the parts in a new last dimension of size 2."""
    if input._dtype.category != COMPLEX:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    d = input._dtype.to_real()
    result = input.detach()
    result._flat, result._dtype = None, d
    result._size = input._size.__class__((*input._size, 2))
    result._stride = (*[2 * s for s in input._stride], 1)
    result._offset = 2 * input._offset
    return _as_view(result, input, ViewAsRealBackward0)


@op()
def view_as_complex(input) -> Tensor:
    """Real numbers whose last dimension has size 2 as complex numbers over the same memory."""
    if input._dtype not in (_dtype.float32, _dtype.float64):
        raise RuntimeError(
            f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: "
            f"{input._dtype.type_name}"
        )
    if not input._size:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input._size[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if input._stride[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in input._stride[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if input._offset % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    result = input.detach()
    result._flat, result._dtype = None, input._dtype.to_complex()
    result._size = input._size.__class__(input._size[:-1])
    result._stride = tuple(s // 2 for s in input._stride[:-1])
    result._offset = input._offset // 2
    return _as_view(result, input, ViewAsComplexBackward0)


def _real(input) -> Tensor:
    """The real parts, a view; a real tensor itself."""
    return view_as_real(input).select(-1, 0) if input._dtype.category == COMPLEX else input


def _imag(input) -> Tensor:
    """The imaginary parts, a view; RuntimeError for real tensors."""
    if input._dtype.category != COMPLEX:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return view_as_real(input).select(-1, 1)


register("real", _real, method=False)
register("imag", _imag, method=False)
Tensor.real = property(_real, lambda self, value: _real(self).copy_(value))
Tensor.imag = property(_imag, lambda self, value: _imag(self).copy_(value))

_angle_real = unary(
    "angle",
    lambda x: where(x != x, x, where(x < 0, 3.141592653589793, 0.0)),
    lambda g: g * 0,
    promote="float",
    function=False,
    method=False,
)


@op(out=True)
def angle(input) -> Tensor:
    """The argument of each complex number; 0 or pi for reals."""
    if input._dtype.category != COMPLEX:
        return _angle_real(input)
    if not (mode.enabled and input._requires_grad):
        return _imag(input).atan2(_real(input))
    zero = input.detach() == 0  # where the gradient is 0, not that of atan2
    return _imag(input).masked_fill(zero, 0).atan2(_real(input).masked_fill(zero, 1)).masked_fill(zero, 0)


@op(method=False, out=True)
def polar(abs, angle) -> Tensor:
    """abs (cos(angle) + i sin(angle))."""
    return complex_(abs * angle.cos(), abs * angle.sin())


@op(method=False, name="complex")
def complex_(real, imag, *, out=None) -> Tensor:
    """real + 1j * imag."""
    if real._dtype is not imag._dtype:
        raise RuntimeError(
            f"Expected object of scalar type {real._dtype.type_name} but got scalar type {imag._dtype.type_name} for "
            "second argument"
        )
    if real._dtype.category != FLOATING:
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {real._dtype.type_name} and "
            f"{imag._dtype.type_name}"
        )
    return written(make_complex(real, imag), out, "complex")


def make_complex(real: Tensor, imag: Tensor) -> Tensor:
    """The differentiable construction of a complex tensor from its parts."""
    in_graph = mode.enabled and (real._requires_grad or imag._requires_grad)
    if not in_graph and real._flat is not None and imag._flat is not None and real._size == imag._size:
        d = real._dtype.to_complex()
        if real._device is imag._device is cpu and d.to_real() is real._dtype:
            flat = np.empty(real._flat.size, d.np)
            flat.real, flat.imag = real._flat, imag._flat
            return wrap(flat, real._size, d)
    from .joining import stack

    parts = stack(broadcast_pair(real, imag), -1)
    return view_as_complex(parts)


def broadcast_pair(a: Tensor, b: Tensor) -> list[Tensor]:
    from .._size import broadcast_size

    size = broadcast_size(a._size, b._size)
    return [a.expand(size), b.expand(size)]
