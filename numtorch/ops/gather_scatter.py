"""gather and scatter: one index for every element.

Writing operators come in pairs: `<op>_into` writes in a tensor's own memory, whatever its strides. `op` calls
it on a copy, and `op_` on the tensor itself, recorded by `write_recorded` as the same node.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from math import prod

import numpy as np

from numtorch.kernels.cpu import gather_scatter as _kernels
from numtorch.kernels.cpu.gather_scatter import SET
from numtorch.kernels.cpu.indexing import PROD, SUM

from .._allocator import empty
from .._copy import cast, cast_array, clone, contiguous, copy_into
from .._derivatives import record_undifferentiable, undifferentiable
from .._device import cpu
from .._dtype import BOOL, COMPLEX, float32, int32, int64
from .._inplace import inplace_form, write_out
from .._loops import check_devices
from .._primitive import primitive
from .._registry import op, register
from .._size import Size, broadcast_size, is_dense, wrap_dim
from .._tensor import Tensor, wrap
from .._views import part_of, shares_elements
from . import positions as at
from .advanced_indexing import write_recorded
from .creation import filled
from .few_places import fits
from .indexing import slice_backward

# --- in place and not ---------------------------------------------------------------------------------------


def copied(t: Tensor) -> Tensor:
    """A contiguous copy outside the graph."""
    if t._device is not cpu:
        return t.detach().clone().contiguous()
    return contiguous(t) if t.flat() is None else clone(t)


def is_half(t: Tensor) -> bool:
    """Whether kernels must compute in another dtype than t's own buffer (the halves)."""
    return t._dtype.np != t._dtype.compute


def inplace(name: str, prim: Callable, into: Callable) -> Callable:
    """Publish Tensor.name_: `into` in the tensor's memory, recorded as `prim`, with prim's arguments."""
    signature = prim.primitive

    def call(self, *args, **kwargs) -> Tensor:
        if kwargs:
            bound = signature.bind((self, *args), kwargs)
            return write_recorded(self, prim, into, *[bound[name] for name in signature.names[1:]])
        return write_recorded(self, prim, into, *args, *signature.default_values[1 + len(args) :])

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"In-place {name.rstrip('_')}()."
    return register(name, call, function=False)


def values_flat(values: Tensor, target: Tensor) -> np.ndarray:
    """The elements of `values` in order, apart from the memory of `target`."""
    flat = contiguous(values)._flat
    return flat.copy() if np.may_share_memory(flat, target._buffer()) else flat


_NO_INDEX = np.empty(0, np.int64)
# Elements up to which a number to scatter is written out: one for each index.
_FILLED = 4096

# Elements of an operand for each index up to which it is laid out anew rather than followed where it lies: copying is
# ten times as fast.
_LAID_OUT = 8
# Picks below which that takes longer to arrange than to do without.
_FEW_PICKS = 8192

# --- contiguous blocks --------------------------------------------------------------------------------------

_gather_block = at.compiled_pair(_kernels.gather_block, "xinnnnnnnnx")
_scatter_block = at.compiled_pair(_kernels.scatter_block, "xixnnnnnbx")


@lru_cache(maxsize=1024)
def _block_plan(size: tuple[int, ...], index_size: tuple[int, ...], dim: int):
    """(dimension, outer, size, count, inner) where the index covers whole blocks of a contiguous tensor, else None.

    It may be shorter in the first dimension: then the last blocks are not used."""
    ndim = len(size)
    if ndim != len(index_size) or not ndim or not -ndim <= dim < ndim or 0 in size or 0 in index_size:
        return None
    d = dim % ndim
    if any(k != d and n != size[k] and (k or n > size[0]) for k, n in enumerate(index_size)):
        return None
    return d, prod(index_size[:d]), size[d], index_size[d], prod(size[d + 1 :])


def _bad_index(flat: np.ndarray, where: int, dim: int, n: int) -> RuntimeError:
    return RuntimeError(f"index {int(flat[where])} is out of bounds for dimension {dim} with size {n}")


def _block_scattered(input: Tensor, dim: int, index: Tensor, src, mode: int, in_place: bool) -> Tensor | None:
    """The usual scatter in one kernel, in a copy of input (or in place): contiguous operands, whole blocks.

    None where the call is another one, or wrong: then nothing has happened."""
    if index._dtype is not int64 or input._device is not cpu or index._device is not cpu:
        return None
    held, flat = input.flat(), index.flat()
    if held is None or flat is None:
        return None
    d = input._dtype
    if isinstance(src, Tensor):
        if src._dtype is not d or src._size != index._size or src._device is not cpu:
            return None
        values = src.flat()
        if values is None:
            return None
    elif fits(src, d):
        values = np.empty(flat.size if flat.size <= _FILLED else 1, held.dtype)
        values.fill(src)
    else:
        return None
    if d.category == COMPLEX if mode == SET else d.category in (COMPLEX, BOOL) or d.np != d.compute:
        return None
    plan = _block_plan(input._size, index._size, dim)
    if plan is None:
        return None
    where, outer, n, count, inner = plan
    if in_place:
        target, before = held, held[:0]
        if shares_elements(values, held):
            values = values.copy()
    elif outer * n * inner != held.size or (inner > 1 and outer == 1):
        # A shorter first dimension: what no task owns is copied here. So is what tasks share as strips of columns, which
        # take 2.5 times as long to copy.
        target, before = clone(input)._flat, held[:0]
    else:
        target, before = empty(held.size, held.dtype), held
    into = target
    if mode == SET and held.dtype.type not in at.MOVED_ITSELF:
        before, values, into = at.as_moved(before), at.as_moved(values), at.as_moved(target)
    kernel = _scatter_block[flat.size + held.size >= at.PARALLEL_PICKS][into.dtype]
    bad = kernel(before, flat, values, n, outer, count, inner, mode, not in_place, into)
    if bad >= 0:
        raise _bad_index(flat, bad, where, n)
    return input if in_place else wrap(target, input._size, d)


def _block_summed(values: Tensor, dim: int, index: Tensor, size: tuple[int, ...]) -> Tensor | None:
    """The usual sum of `values` at index along dim into zeros of `size`, in one kernel; None for any other call."""
    d = values._dtype
    if index._dtype is not int64 or values._device is not cpu or index._device is not cpu:
        return None
    flat = index.flat()
    if flat is None:
        return None
    plan = _block_plan(size, index._size, dim)
    if plan is None or values._size != index._size or d.category in (COMPLEX, BOOL) or d.np != d.compute:
        return None
    where, outer, n, count, inner = plan
    numel, given = prod(size), contiguous(values)._flat
    if outer * n * inner == numel:
        target, before = empty(numel, given.dtype), np.zeros(1, given.dtype)
    else:
        target, before = np.zeros(numel, given.dtype), given[:0]
    kernel = _scatter_block[flat.size + numel >= at.PARALLEL_PICKS][given.dtype]
    bad = kernel(before, flat, given, n, outer, count, inner, SUM, True, target)
    if bad >= 0:
        raise _bad_index(flat, bad, where, n)
    return wrap(target, size, d)


# --- gather -------------------------------------------------------------------------------------------------


def _check_gather_index(index: Tensor, name: str, *others) -> np.ndarray:
    for t in others:
        if isinstance(t, Tensor) and t._device is not index._device:
            check_devices([t, index, *[o for o in others if isinstance(o, Tensor)]])
    if index._size.numel() and index._dtype is not int64 and index._dtype is not int32:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    return at.index_where_it_is(index)


def _check_range(flat: np.ndarray, n: int, dim: int) -> None:
    bad = at.first_bad(flat, n)
    if bad is not None:
        raise RuntimeError(f"index {bad} is out of bounds for dimension {dim} with size {n}")


def _block(t: Tensor, index_size: tuple[int, ...], dim: int):
    """The arguments of the gather kernels for `t`: (outer, inner, stride, count, width)."""
    stride = t._stride
    if not index_size:
        return at.positions((), (), t._offset), at.NOTHING, 1, 1, 1
    if not stride:
        stride = (1,) * len(index_size)
    outer = at.positions(index_size[:dim], stride[:dim], t._offset)
    inner, width = at.inner_block(index_size[dim + 1 :], stride[dim + 1 :])
    return outer, inner, stride[dim], index_size[dim], width


def dim_of(t: Tensor, dim: int) -> int:
    return wrap_dim(dim.__index__(), len(t._size))


def length(t: Tensor, dim: int) -> int:
    return t._size[dim] if t._size else 1


@lru_cache(maxsize=1024)
def _gather_plan(size: tuple[int, ...], stride: tuple[int, ...], index_size: tuple[int, ...], dim: int):
    """(dimension, size, outer, its stride, that of the dimension, that within parts, count, inner) where the part that the
    index covers has one step before and after the dimension, else None."""
    ndim = len(size)
    if ndim != len(index_size) or not ndim or not -ndim <= dim < ndim or 0 in size:
        return None
    d = dim % ndim
    if any(k != d and n > size[k] for k, n in enumerate(index_size)):
        return None
    parts = at.strided_parts(index_size, stride, d, d)
    if parts is None:
        return None
    outer, outer_stride, inner, across = parts
    return d, size[d], outer, outer_stride, stride[d], across, index_size[d], inner


def _block_gathered(input: Tensor, dim: int, index: Tensor) -> Tensor | None:
    """The usual gather in one kernel, of operands that it can follow; None for any other call."""
    if index._dtype is not int64 or type(dim) is not int or input._device is not cpu or index._device is not cpu:
        return None
    flat = index.flat()
    if flat is None:
        return None
    stride = input._stride
    if input.flat() is None and flat.size >= _FEW_PICKS and stride and stride[-1] != 1:
        return None  # laid out first
    plan = _gather_plan(input._size, stride, index._size, dim)
    if plan is None:
        return None
    d, n, outer, outer_stride, step, across, count, inner = plan
    numel, source = flat.size, input._buffer()
    dtype = source.dtype
    out = to = empty(numel, dtype)
    if dtype.type not in at.MOVED_ITSELF:
        source, to = at.as_moved(source), at.as_moved(out)
        dtype = to.dtype
    kernel = _gather_block[numel >= at.PARALLEL_PICKS][dtype]
    bad = kernel(source, flat, n, input._offset, outer, outer_stride, step, across, count, inner, to)
    if bad >= 0:
        raise _bad_index(flat, bad, d, n)
    return wrap(out, index._size, input._dtype)


@op()
def gather(input, dim: int, index, *, sparse_grad: bool = False, out=None) -> Tensor:
    """out[..., i, ...] = input[..., index[..., i, ...], ...] along dim; the result has the size of index.

    index may be smaller than input in the other dimensions. RuntimeError for an index outside 0 .. size -
    1."""
    if out is None:
        result = None if input._requires_grad else _block_gathered(input, dim, index)
        return _gather(input, dim, index, sparse_grad) if result is None else result
    return write_out(_gather(input, dim, index, sparse_grad), out, "gather")


@primitive("gather", node="GatherBackward0", save=("index",), public=False)
def _gather(input, dim: int, index, sparse_grad: bool = False):
    result = _block_gathered(input, dim, index)
    if result is not None:
        return result
    d = dim_of(input, dim)
    flat = _check_gather_index(index, "gather", input)
    if not index._size.numel():
        return input.new_empty(index._size)
    if max(len(input._size), 1) != max(len(index._size), 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    size = tuple(index._size)
    if any(k != d and n > input._size[k] for k, n in enumerate(size) if input._size):
        raise RuntimeError(
            f"Size does not match at dimension {next(k for k, n in enumerate(size) if k != d and n > input._size[k])} "
            f"expected index {list(size)} to be no larger than self {list(input._size)} apart from dimension {d}"
        )
    _check_range(flat, length(input, d), d)
    if input._device is not cpu:
        from ..cuda._indexing import gather as gather_on_cuda

        return gather_on_cuda(input, d, flat, index._size)
    result = _gathered_in_order(input, d, index) if flat.size >= _FEW_PICKS else None
    if result is not None:
        return result
    outer, inner, stride, count, width = _block(input, size, d)
    out = empty(flat.size, input._dtype.np)
    _kernels.gather_forward(at.bits(input), outer, inner, flat, stride, count, width, at.bits_of(out))
    return wrap(out, index._size, input._dtype)


def _gathered_in_order(input: Tensor, d: int, index: Tensor) -> Tensor | None:
    """gather of other layouts by the kernel for contiguous ones: in the order in which index lies in memory.

    None where that would copy much more of input than is gathered; index is a valid one of int32 or int64."""
    size = index._size
    part = input.detach()
    for k, n in enumerate(size):
        if k != d and part._size[k] != n:
            part = part.narrow(k, 0, n)
    turned, order = index.flat() is None and is_dense(size, index._stride), []
    if turned:
        order = sorted(range(len(size)), key=lambda k: -index._stride[k])
        part, index, d = part.permute(order), index.permute(order), order.index(d)
    if part.flat() is None and prod(part._size) > _LAID_OUT * prod(size):
        return None
    result = _block_gathered(contiguous(part), d, contiguous(cast(index, int64)))
    if result is None or not turned:
        return result
    return contiguous(result.permute([order.index(k) for k in range(len(size))]))


def _gather_gradient(ctx, grad):
    return gather_backward(grad, ctx.dim, ctx.index, ctx.input.shape)


_gather.derivative(input=_gather_gradient)


@primitive(node="ScatterAddBackward0", save=("index",), public=False)
def gather_backward(grad, dim: int, index, size) -> Tensor:
    """Zeros of `size` to which grad is added at index along dim."""
    result = _block_summed(grad, dim, index, tuple(size))
    return grad.detach().new_zeros(size).scatter_add(dim, index, grad.detach()) if result is None else result


gather_backward.derivative(grad=lambda ctx, grad: grad.gather(ctx.dim, ctx.index))


@op()
def take_along_dim(input, indices, dim: int | None = None, *, out=None) -> Tensor:
    """gather with broadcasting: the sizes of input and indices are broadcast except along dim (None: both flat)."""
    if indices._dtype is not int64 and indices._dtype is not int32:
        raise RuntimeError(
            f"torch.take_along_dim(): dtype of indices should be Long but got {indices._dtype.type_name}"
        )
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1), out=out)
    if len(input._size) != len(indices._size):
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{len(input._size)} dimensions for input, and {len(indices._size)} dimensions for indices"
        )
    d = dim_of(input, dim)
    size, flat = input._size, indices._flat
    alike = flat.__class__ is np.ndarray and indices._size == (*size[:d], indices._size[d], *size[d + 1 :])
    if alike and indices._dtype is int64 and at.first_bad(flat, size[d]) is None:
        return gather(input, d, indices, out=out)  # nothing to broadcast, and no index from outside
    a, b = list(input._size), list(indices._size)
    n, m = a[d], b[d]
    a[d] = b[d] = 1
    common = list(broadcast_size(tuple(a), tuple(b)))
    common[d] = n
    wide = input if input._size == tuple(common) else input.expand(common)
    common[d] = m
    if n and indices._device is cpu and at.first_bad(at.index_array(indices), n) is not None:
        indices = indices.remainder(n)  # as torch does
    return gather(wide, d, indices if indices._size == tuple(common) else indices.expand(common), out=out)


# --- scatter ------------------------------------------------------------------------------------------------


def check_scatter(self: Tensor, dim: int, index: Tensor, src, name: str) -> np.ndarray:
    """The checked index of a scatter; an empty one means that nothing is to be done."""
    flat = _check_gather_index(index, "scatter", self, src)
    if isinstance(src, Tensor) and src._dtype is not self._dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if not index._size.numel():
        return _NO_INDEX
    ndim = max(len(self._size), 1)
    if max(len(index._size), 1) != ndim:
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    size = tuple(index._size) or (1,)
    own = tuple(self._size) or (1,)
    fits = all(k == dim or n <= own[k] for k, n in enumerate(size))
    if isinstance(src, Tensor):
        if max(len(src._size), 1) != ndim:
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
        given = tuple(src._size) or (1,)
        if not fits or any(n > m for n, m in zip(size, given, strict=True)):
            raise RuntimeError(
                f"Expected index {list(index._size)} to be no larger than self {list(self._size)} apart from "
                f"dimension {dim} and to be no larger size than src {list(src._size)}"
            )
    elif not fits:
        raise RuntimeError(
            f"Expected index {list(index._size)} to be no larger than self {list(self._size)} apart from dimension "
            f"{dim}"
        )
    _check_range(flat, length(self, dim), dim)
    return flat


def _part(src: Tensor, size) -> Tensor:
    """The leading part of `src` that the index covers."""
    if src._size == size:
        return src
    part = src.detach()
    if not part._size:
        return part.reshape((1,) * len(size))
    for d, n in enumerate(size):
        if part._size[d] != n:
            part = part.narrow(d, 0, n)
    return part


def _source_flat(self: Tensor, index: Tensor, src) -> np.ndarray:
    """The values to scatter: one for each index, or a single one for a number."""
    if isinstance(src, Tensor):
        return values_flat(_part(src, index._size), self)
    return contiguous(filled((), src, self._dtype))._flat


def _laid_out_scattered(self: Tensor, d: int, flat: np.ndarray, size: Size, src, mode: int) -> bool:
    """Whether a scatter with the checked indices `flat` of `size` into a contiguous self has been done, by its kernel."""
    if self.flat() is None:
        return False
    if isinstance(src, Tensor):
        src = contiguous(_part(src, size))
    return _block_scattered(self, d, wrap(flat, size, int64), src, mode, True) is not None


def scatter_into(self: Tensor, dim: int, index: Tensor, src) -> None:
    """self[..., index[i], ...] = src[i] along dim, in the memory of self; src may be a number."""
    if _block_scattered(self, dim, index, src, SET, True) is not None:
        return
    d = dim_of(self, dim)
    flat = check_scatter(self, d, index, src, "scatter")
    if flat.size and self._device is not cpu:
        from ..cuda._indexing import scatter_into as on_cuda

        values = src if isinstance(src, Tensor) else self.new_full((), src)
        on_cuda(self, d, flat, index._size, values.detach())
    elif flat.size and not _laid_out_scattered(self, d, flat, index._size, src, SET):
        outer, inner, stride, count, width = _block(self, tuple(index._size), d)
        values = at.bits_of(_source_flat(self, index, src))
        _kernels.scatter_forward(at.bits(self), outer, inner, flat, stride, count, width, values)


def _scatter_add_into(self: Tensor, dim: int, index: Tensor, src: Tensor) -> None:
    reduce_into(self, dim, index, src, SUM, "scatter")


def _reduce_buffer(self: Tensor, dim: int, flat: np.ndarray, index_size, values: np.ndarray, mode: int) -> None:
    outer, inner, stride, count, width = _block(self, tuple(index_size), dim)
    if mode == SUM and values.size == flat.size:
        _kernels.scatter_add_forward(self._buffer(), outer, inner, flat, stride, count, width, values)
    else:
        _kernels.scatter_reduce_forward(self._buffer(), outer, inner, flat, stride, count, width, values, mode)


def reduce_into(self: Tensor, dim: int, index: Tensor, src, mode: int, name: str) -> None:
    """As scatter_into, with what stands there and src combined by `mode`, in the order of index; `name` is for errors."""
    if _block_scattered(self, dim, index, src, mode, True) is not None:
        return
    d = dim_of(self, dim)
    flat = check_scatter(self, d, index, src, name)
    if not flat.size:
        return
    if self._device is not cpu:
        from ..cuda._indexing import scatter_add_into as on_cuda

        if mode != SUM:
            raise NotImplementedError(f"{name} with a reduction other than sum is not implemented for CUDA tensors yet")
        on_cuda(self, d, flat, index._size, src.detach() if isinstance(src, Tensor) else self.new_full((), src))
        return
    if _laid_out_scattered(self, d, flat, index._size, src, mode):
        return
    values = _source_flat(self, index, src)
    if is_half(self):
        wide = cast(contiguous(self), float32)
        _reduce_buffer(wide, d, flat, index._size, cast_array(values, self._dtype, float32), mode)
        copy_into(self, cast(wide, self._dtype))
    else:
        _reduce_buffer(self, d, flat, index._size, values, mode)


def _src_gradient(ctx, grad):
    """The gradient of a src of which only the part covered by the index was used."""
    found = grad.gather(ctx.dim, ctx.index)
    return found if ctx.src.shape == found.shape else _padded(found, ctx.src.shape)


def _padded(part: Tensor, size) -> Tensor:
    """`part` at the start of zeros of `size`."""
    for d, n in enumerate(size):
        if part._size[d] != n:
            part = slice_backward(part, Size((*part._size[:d], n, *part._size[d + 1 :])), d, 0, 1)
    return part


def _mask_places(ctx, grad):
    """grad with zeros at the places that were written."""
    return grad.scatter(ctx.dim, ctx.index, 0)


@primitive(node="ScatterBackward0", save=("index",), public=False)
def _scatter_tensor(self, dim: int, index, src):
    result = _block_scattered(self, dim, index, src, SET, False)
    if result is not None:
        return result
    result = copied(self)
    scatter_into(result, dim, index, src)
    return result


_scatter_tensor.derivative(self=_mask_places, src=_src_gradient)


@primitive(node="ScatterBackward1", save=("index",), public=False)
def _scatter_value(self, dim: int, index, value):
    result = copied(self)
    scatter_into(result, dim, index, value)
    return result


_scatter_value.derivative(self=_mask_places)


@op()
def scatter_add(input, dim: int, index, src, *, out=None) -> Tensor:
    """A copy of input with src added at index along dim: out[index[i][j]][j] += src[i][j] for dim 0."""
    if out is None:
        recorded = input._requires_grad or src._requires_grad
        result = None if recorded else _block_scattered(input, dim, index, src, SUM, False)
        return _scatter_add(input, dim, index, src) if result is None else result
    return write_out(_scatter_add(input, dim, index, src), out, "scatter_add")


@primitive("scatter_add", node="ScatterAddBackward0", save=("index",), public=False)
def _scatter_add(input, dim: int, index, src):
    result = _block_scattered(input, dim, index, src, SUM, False)
    if result is not None:
        return result
    result = copied(input)
    _scatter_add_into(result, dim, index, src)
    return result


_scatter_add.derivative(input=lambda ctx, grad: grad, src=_src_gradient)


inplace("scatter_add_", _scatter_add, _scatter_add_into)

_SCATTER_MODES = {"add": SUM, "multiply": PROD}
# scatter with a reduction has no derivative, as in torch; scatter_reduce has one.
_NOT_IMPLEMENTED = undifferentiable(
    "NotImplemented", "aten::scatter", RuntimeError, "derivative for {} is not implemented"
)


def _scatter_with(self: Tensor, dim: int, index: Tensor, src, reduce: str) -> Tensor:
    if reduce not in _SCATTER_MODES:
        raise RuntimeError("reduce argument must be either add or multiply.")
    if isinstance(src, Tensor):
        warnings.warn(
            "The reduce argument of torch.scatter with Tensor src is deprecated and will be removed in a future "
            "PyTorch release. Use torch.scatter_reduce instead for more reduction options.",
            UserWarning,
            stacklevel=3,
        )
    result = copied(self)
    reduce_into(result, dim, index, src, _SCATTER_MODES[reduce], "scatter")
    return record_undifferentiable(_NOT_IMPLEMENTED, result, self, src)


def _source(src, value):
    return value if src is None else src


@op(out=True)
def scatter(input, dim: int, index, src=None, *, value=None, reduce: str | None = None) -> Tensor:
    """A copy of input with src (a tensor or a number) written at index along dim; `reduce` is "add" or "multiply"."""
    src = _source(src, value)
    if reduce is not None:
        return _scatter_with(input, dim, index, src, reduce)
    prim = _scatter_tensor if isinstance(src, Tensor) else _scatter_value
    return prim(input, dim, index, src)


@op(function=False)
def scatter_(self, dim: int, index, src=None, *, value=None, reduce: str | None = None) -> Tensor:
    """In-place scatter()."""
    src = _source(src, value)
    if reduce is not None:
        return inplace_form(_scatter_with, "scatter_")(self, dim, index, src, reduce)
    prim = _scatter_tensor if isinstance(src, Tensor) else _scatter_value
    return write_recorded(self, prim, scatter_into, dim, index, src)


# --- as_strided ---------------------------------------------------------------------------------------------


@primitive(node="AsStridedScatterAddBackward0", public=False)
def as_strided_scatter_add(grad, input_size, size, stride, offset: int) -> Tensor:
    """Zeros of input_size to which `grad` is added at the places of an as_strided view of it.

    A view may reach past its tensor into the rest of the storage; what lies there has no gradient here."""
    d = grad._dtype
    if grad._device is not cpu:
        from ..cuda._indexing import strided_scatter_add

        return strided_scatter_add(grad, Size(input_size), tuple(size), tuple(stride), offset)
    wide = cast(grad, float32) if is_half(grad) else grad
    out = np.zeros(Size(input_size).numel(), wide._dtype.np)
    base = at.positions(tuple(size), tuple(stride), offset)
    values = contiguous(wide)._flat
    inside = (base >= 0) & (base < out.size)
    if not inside.all():
        base, values = base[inside], values[inside]
    result = wrap(out, Size(input_size), wide._dtype)
    at.accumulate(result, at.Places(at.ORIGIN, base, at.NOTHING, 1, Size((base.size,))), values)
    return cast(result, d)


as_strided_scatter_add.derivative(grad=lambda ctx, grad: part_of(grad, ctx.size, ctx.stride, ctx.offset))
