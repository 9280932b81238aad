"""softmax, log_softmax and softmin along one dim."""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
from numba import types

from numtorch.graph import Node, mode, no_grad, unpack
from numtorch.kernels.compiler import entry_point
from numtorch.kernels.cpu import softmax as _kernels

from .._allocator import empty
from .._device import cpu
from .._dtype import COMPLEX, FLOATING, float32, float64
from .._inplace import write_out
from .._primitive import connect
from .._registry import op, register
from .._size import wrap_dim
from .._tensor import Tensor, _new, alias
from .reducing import compute_dtype, elements, finished
from .reductions import collapse_one

# Below this many elements the serial kernel is called without a way in between.
_SMALL = 32768
_entries: dict = {}


def _entry(d, log_of_it: bool, rows: bool):
    """The compiled kernel for rows, or for tiles of columns, of dtype d; None where there is none."""
    if d is not float32 and d is not float64:
        return None
    x, n = types.Array(types.float32 if d is float32 else types.float64, 1, "C"), types.int64
    if rows:
        kernel, signature = _kernels.log_softmax_rows if log_of_it else _kernels.softmax_rows, (x, n, n, x)
    else:
        kernel = _kernels.log_softmax_columns if log_of_it else _kernels.softmax_columns
        signature = (x, n, n, n, n, x)
    entry = _entries[d, log_of_it, rows] = entry_point(kernel, signature)
    return entry


@lru_cache(maxsize=4096)
def _lines(size, dim: int) -> tuple[int, int, int, int]:
    """(outer, n, inner) round a dim, and how many columns make a tile."""
    outer, n, inner = collapse_one(size, dim)
    return outer, n, inner, _kernels.tile_width(n)


def _forward(t: Tensor, dim: int, log_of_it: bool) -> Tensor:
    flat = t._flat
    if flat is None and t._device is cpu:
        flat = t.flat()
    if flat is not None and 0 < flat.size < _SMALL:
        outer, n, inner, width = _lines(t._size, dim)
        d, rows = t._dtype, inner == 1
        entry = _entries.get((d, log_of_it, rows)) or _entry(d, log_of_it, rows)
        if entry is not None:
            out = np.empty(flat.size, flat.dtype)
            if rows:
                entry(flat, outer, n, out)
            else:
                entry(flat, outer, n, inner, width, out)
            result = _new(Tensor)
            result._flat, result._size, result._stride, result._dtype = out, t._size, t._stride, d
            return result
    if t._device is not cpu:
        return _forward_of_parts(t.detach(), dim, log_of_it)
    flat = elements(t)
    out = empty(flat.size, flat.dtype)
    if flat.size:
        _kernels.softmax_forward(flat, *collapse_one(t._size, dim), log_of_it, out)
    return finished(out, t._size, compute_dtype(t._dtype), t._dtype)


def _forward_of_parts(t: Tensor, dim: int, log_of_it: bool) -> Tensor:
    """The same out of other operators, where there is no kernel for it."""
    if not t._size.numel():
        return t.clone()
    with no_grad():
        t = t - t.amax(dim, True)
        return t - t.exp().sum(dim, True).log() if log_of_it else t.exp() / t.exp().sum(dim, True)


def _backward(grad: Tensor, result: Tensor, dim: int, log_of_it: bool) -> Tensor:
    g, y = elements(grad), elements(result)
    out = empty(y.size, y.dtype)
    if y.size:
        _kernels.softmax_backward(g, y, *collapse_one(result._size, dim), log_of_it, out)
    return finished(out, result._size, compute_dtype(result._dtype), result._dtype)


class SoftmaxBackward(Node):
    """y (grad - sum grad y) for a softmax y, which is saved."""

    log_of_it = False
    dim: int

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None,)
        (y,), dim = unpack(self), self.dim
        if not mode.enabled and grad._device is cpu:
            return (_backward(grad, y, dim, self.log_of_it),)
        if mode.enabled:
            # The result in its place in the graph, for derivatives of this one.
            y = alias(y)
            y._grad_fn, y._requires_grad = self, True
        if self.log_of_it:
            return (grad - y.exp() * grad.sum(dim, True),)
        dotted = grad * y
        return (dotted - y * dotted.sum(dim, True),)


class LogSoftmaxBackward(SoftmaxBackward):
    """grad - exp(y) sum grad for a log softmax y."""

    log_of_it = True


SoftmaxBackward.__name__ = SoftmaxBackward.__qualname__ = "SoftmaxBackward0"
LogSoftmaxBackward.__name__ = LogSoftmaxBackward.__qualname__ = "LogSoftmaxBackward0"


def _input(t: Tensor, dim: int, dtype, name: str) -> tuple[Tensor, int]:
    """The tensor in the dtype that is asked for, and `dim` counted from the front; softmax wants floating types."""
    if dtype is None and (t._dtype is float32 or t._dtype is float64):
        n = len(t._size)
        return t, dim if type(dim) is int and 0 <= dim < n else wrap_dim(dim, n)
    if dtype is not None and dtype is not t._dtype:
        t = t.to(dtype)
    if t._dtype.category < FLOATING or t._dtype.category == COMPLEX:
        last = t.ndim == 0 or wrap_dim(dim, t.ndim) == t.ndim - 1
        kernel = f"{name}_lastdim_kernel_impl" if last else f"{name}_kernel_impl"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{t._dtype.type_name}'")
    return t, wrap_dim(dim, t.ndim)


def _record(node_class, result: Tensor, t: Tensor, dim: int) -> None:
    """Make `result` the softmax of t along dim in the graph."""
    node = _new(node_class)
    node.dim = dim
    connect(node, result, (t,), (alias(result),))  # saved is not itself, which holds the node


@op("softmax")
def softmax_along(input, dim, dtype=None, *, out=None) -> Tensor:
    """exp(x) / sum exp(x) along dim."""
    input, dim = _input(input, dim, dtype, "softmax")
    result = _forward(input, dim, False)
    if input._requires_grad and mode.enabled:
        _record(SoftmaxBackward, result, input, dim)
    return result if out is None else write_out(result, out, "softmax")


@op("log_softmax")
def log_softmax_along(input, dim, dtype=None, *, out=None) -> Tensor:
    """log softmax(x) along dim, computed without leaving the logarithm."""
    input, dim = _input(input, dim, dtype, "log_softmax")
    result = _forward(input, dim, True)
    if input._requires_grad and mode.enabled:
        _record(LogSoftmaxBackward, result, input, dim)
    return result if out is None else write_out(result, out, "log_softmax")


register("softmax", softmax_along, namespace="special", method=False)
register("log_softmax", log_softmax_along, namespace="special", method=False)


# -- the forms of nn.functional, where dim may be left out ---------------------------------------------------


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


@op(namespace="nn.functional", method=False)
def softmax(input, dim=None, _stacklevel=3, dtype=None) -> Tensor:
    """exp(x) / sum exp(x) along dim."""
    if dim is None:
        dim = _implicit_dim("softmax", input.ndim, _stacklevel)
    return softmax_along(input, dim, dtype)


@op(namespace="nn.functional", method=False)
def log_softmax(input, dim=None, _stacklevel=3, dtype=None) -> Tensor:
    """log softmax(x) along dim."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input.ndim, _stacklevel)
    return log_softmax_along(input, dim, dtype)


@op(namespace="nn.functional", method=False)
def softmin(input, dim=None, _stacklevel=3, dtype=None) -> Tensor:
    """softmax(-x) along dim."""
    dim = _implicit_dim("softmin", input.ndim, _stacklevel) if dim is None else dim
    return softmax_along(-input, dim, dtype)


@op(namespace="nn.functional", method=False)
def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1) -> Tensor:
    """softmax((logits + Gumbel noise) / tau); hard: one-hot values with the gradient of the soft ones."""
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    gumbels = -logits.detach().new_empty(logits.size()).exponential_().log()
    soft = softmax_along((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = soft.detach().new_zeros(soft.size()).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
