"""Views of a tensor's memory: view, reshape, transpose, expand, slices, diagonals, windows; nothing here moves data
except where its name says so (reshape of a strided tensor, contiguous, clone).

Each view has a node that knows the way back; the general one is AsStridedBackward0.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from numtorch.graph import Node, mode, next_sequence
from numtorch.kernels.cpu import copy as _copy_kernels

from .. import _view_geometry
from .._compiled import Compiled
from .._copy import clone as raw_clone
from .._copy import contiguous as raw_contiguous
from .._device import cpu
from .._dtype import INTEGRAL, dtype, float16
from .._registry import op, register
from .._size import (
    PublicSize,
    Size,
    contiguous_strides,
    dense,
    extent,
    flatten_sizes,
    infer_size,
    is_contiguous,
    public_size,
    view_strides,
    wrap_dim,
)
from .._tensor import Tensor, _new, alias, wrap
from .._views import AsStridedBackward0, make_view, plain_view, tracked

# -- the shape, asked for ---------------------------------------------------------------------------------------------


@op(function=False)
def size(self, dim: int | None = None) -> PublicSize | int:
    """The size of every dimension, or of one."""
    if dim is None:
        return public_size(self._size)
    d = wrap_dim(dim, len(self._size))
    if not self._size:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return self._size[d]


@op(function=False)
def stride(self, dim: int | None = None) -> tuple[int, ...] | int:
    """How many elements apart neighbours along each dimension (or one) lie in memory."""
    return self._stride if dim is None else self._stride[wrap_dim(dim, len(self._size))]


@op(function=False, aliases=("ndimension",))
def dim(self) -> int:
    """The number of dimensions."""
    return len(self._size)


@op(aliases=("nelement",))
def numel(input) -> int:
    """The number of elements."""
    return prod(input._size)


@op(function=False)
def storage_offset(self) -> int:
    """Where in its storage the tensor begins, in elements."""
    return self._offset


@op(function=False, name="is_contiguous")
def is_contiguous_(self, memory_format=None) -> bool:
    """Whether the elements lie in row-major order without gaps."""
    return self._flat is not None or is_contiguous(self._size, self._stride)


_address = Compiled(_copy_kernels.address, "x")


@op(function=False)
def data_ptr(self) -> int:
    """The address of the first element."""
    if self._device is not cpu:
        from ..cuda._tensors import address

        return address(self)
    buffer = self._buffer()
    if self._dtype is float16:
        buffer = buffer.view(np.uint16)  # Numba compiles nothing for halves
    return _address[buffer.dtype](buffer) + self._offset * buffer.itemsize


@op(function=False)
def element_size(self) -> int:
    """Bytes of one element."""
    return self._dtype.itemsize


# -- as_strided, the view that all others are ---------------------------------------------------------------------------


def as_strided_backward(grad: Tensor, input_size, size, stride, offset: int) -> Tensor:
    """Add every element of `grad` at the place of a zero tensor of `input_size` that it was read from."""
    return _gather_scatter.as_strided_scatter_add(grad, input_size, size, stride, offset)


@op()
def as_strided(input, size, stride, storage_offset: int | None = None) -> Tensor:
    """A view with any size, stride and offset (in elements); RuntimeError where it would leave the storage."""
    offset = input._offset if storage_offset is None else storage_offset
    size, stride = flatten_sizes((size,)), flatten_sizes((stride,))
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: " + str(list(stride))
        )
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    if any(n < 0 for n in size):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}")
    if offset + extent(size, stride) > input._get_storage().nbytes // input.itemsize and 0 not in size:
        item = input._dtype.itemsize
        need = (offset + extent(size, stride)) * item
        have = input._get_storage().buffer.nbytes
        if need > have:
            raise RuntimeError(
                f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize {item} "
                f"requiring a storage size of {need} are out of bounds for storage of size {have}"
            )
    relative_stride, relative_offset = _relative(input, stride, offset)
    return make_view(
        input, size, stride, offset, AsStridedBackward0, size=size, stride=relative_stride, offset=relative_offset
    )


def _relative(t: Tensor, stride, offset: int):
    """Stride and offset of a view in `t`'s storage, as they are within a contiguous tensor of t's size."""
    from .._inplace import in_dense

    dense = contiguous_strides(t._size)
    if t._stride == dense:
        return stride, offset - t._offset
    return tuple(in_dense(s, t, dense) for s in stride), in_dense(offset - t._offset, t, dense)


# -- view and reshape -------------------------------------------------------------------------------------------------


class ViewBackward0(Node):
    def apply(self, grads) -> tuple:
        return (None if grads[0] is None else grads[0].reshape(self.input_size),)


class UnsafeViewBackward0(ViewBackward0):
    pass


def _view_as(t: Tensor, new_size: Size, node_class) -> Tensor | None:
    """`t` under another size, or None where its layout does not allow a view."""
    if t._flat is not None:
        result = make_view(t, new_size, contiguous_strides(new_size), t._offset, node_class)
        result._flat = t._flat
        return result
    strides = view_strides(t._size, t._stride, new_size)
    if strides is None:
        return None
    return make_view(t, new_size, strides, t._offset, node_class)


def _all_whole(shape: tuple) -> bool:
    for n in shape:  # noqa: SIM110 (all() over a generator costs 0.3 us)
        if n.__class__ is not int or n < 0:
            return False
    return True


def _plain_shape(args: tuple) -> tuple | None:
    """The sizes given as f(2, 3), f((2, 3)) or f([2, 3]), if all are Python ints."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    for n in args:
        if n.__class__ is not int:
            return None
    return args


def _reshaped_view(t: Tensor, args: tuple, node_class) -> Tensor | None:
    """The view under a shape given in Python ints, in one look-up; None where the general way has to be taken."""
    shape = _plain_shape(args)
    if shape is None:
        return None
    size, stride = _view_geometry.reshaped(t._size, t._stride, shape)
    if stride is None:
        return None
    if t._requires_grad or t._base is not None:
        result = make_view(t, size, stride, t._offset, node_class)
    else:
        result = plain_view(t, size, stride, t._offset)
    result._flat = t._flat
    return result


@op(function=False)
def view(self, *shape) -> Tensor:
    """The same memory under another shape (one -1 is computed), or under another dtype of elements."""
    flat = self._flat
    if flat is not None and not self._requires_grad and shape and _all_whole(shape):
        # The usual call, view(2, -1) aside: whole numbers that multiply to the number of elements.
        size, stride, numel = dense(shape)
        if numel == flat.size:
            result = _new(Tensor)
            result._flat = flat
            result._size = size
            result._stride = stride
            result._dtype = self._dtype
            result._storage = self._storage or self._get_storage()
            if self._offset:
                result._offset = self._offset
            result._base = self if self._base is None else self._base
            return result
    if len(shape) == 1 and isinstance(shape[0], dtype):
        return _view_dtype(self, shape[0])
    result = _reshaped_view(self, shape, ViewBackward0)
    if result is not None:
        return result
    new_size = infer_size(flatten_sizes(shape, "size"), self._size.numel())
    result = _view_as(self, new_size, ViewBackward0)
    if result is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return result


def _view_dtype(t: Tensor, d) -> Tensor:
    """The same bytes read as another dtype; the last dimension shrinks or grows with the element size."""
    old, new = t._dtype.itemsize, d.itemsize
    size, stride, offset = list(t._size), list(t._stride), t._offset
    if new != old:
        if not size:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {t._dtype.type_name} as {d.type_name} (different element sizes)"
            )
        if stride[-1] != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {t._dtype.type_name} as {d.type_name} (different element sizes), but "
                f"got {stride[-1]}"
            )
        if (size[-1] * old) % new:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {new // old} to view {t._dtype.type_name} as {d.type_name} "
                f"(different element sizes), but got {size[-1]}"
            )
        size[-1] = size[-1] * old // new
        stride = [s if i == len(stride) - 1 else s * old // new for i, s in enumerate(stride)]
        offset = offset * old // new
    result = alias(t)
    result._flat, result._dtype, result._offset = None, d, offset
    result._size, result._stride = Size(size), tuple(stride)
    result._base = t if t._base is None else t._base
    return result


@op()
def reshape(input, *args, shape=None) -> Tensor:
    """A view under another shape where the layout allows one, else a copy."""
    if shape is None:
        result = _reshaped_view(input, args, ViewBackward0)
        if result is not None:
            return result
        plain = _plain_shape(args)
        if plain is not None and not input._requires_grad and input._device is cpu:
            size, _ = _view_geometry.reshaped(input._size, input._stride, plain)
            return wrap(raw_contiguous(input)._flat, size, input._dtype)
    new_size = infer_size(flatten_sizes(args if shape is None else (shape,), "shape"), input._size.numel())
    result = _view_as(input, new_size, ViewBackward0)
    if result is None:
        result = _view_as(contiguous(input), new_size, UnsafeViewBackward0)
    return result


def unsafe_view(t: Tensor, size) -> Tensor:
    """A fresh contiguous tensor under another size."""
    return _view_as(t, Size(size), UnsafeViewBackward0)


@op(function=False)
def view_as(self, other) -> Tensor:
    """`self.view(other.size())`."""
    return view(self, *other._size)


@op(function=False)
def reshape_as(self, other) -> Tensor:
    """`self.reshape(other.shape)`."""
    return reshape(self, other._size)


@op()
def flatten(input, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim as one."""
    shape = _view_geometry.flattened(input._size, start_dim, end_dim)
    if shape is None:
        return input
    size, stride = _view_geometry.reshaped(input._size, input._stride, shape)
    if stride is None or input._requires_grad or input._base is not None:
        return reshape(input, shape)
    result = plain_view(input, size, stride, input._offset)
    result._flat = input._flat
    return result


@op()
def unflatten(input, dim, sizes) -> Tensor:
    """One dimension as several."""
    d = wrap_dim(dim, len(input._size))
    sizes = tuple(sizes) if isinstance(sizes, (tuple, list)) else (sizes,)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    n = input._size[d]
    known = 1
    for s in sizes:
        if s != -1:
            known *= s
    if -1 in sizes:
        sizes = tuple(n // known if s == -1 and known else s for s in sizes)
    if Size(sizes).numel() != n:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} ({n}) in the input tensor"
        )
    return view(input, (*input._size[:d], *sizes, *input._size[d + 1 :]))


@op()
def ravel(input) -> Tensor:
    """All elements in one dimension."""
    return reshape(input, -1)


# -- permutations -----------------------------------------------------------------------------------------------------


class TransposeBackward0(Node):
    def apply(self, grads) -> tuple:
        return (None if grads[0] is None else transpose(grads[0], self.dim0, self.dim1),)


class TBackward0(Node):
    def apply(self, grads) -> tuple:
        return (None if grads[0] is None else t(grads[0]),)


class PermuteBackward0(Node):
    def apply(self, grads) -> tuple:
        if grads[0] is None:
            return (None,)
        inverse = [0] * len(self.dims)
        for i, d in enumerate(self.dims):
            inverse[d] = i
        return (permute(grads[0], inverse),)


@op(aliases=("swapaxes", "swapdims"))
def transpose(input, dim0: int, dim1: int) -> Tensor:
    """Swap two dimensions."""
    size, stride, i, j = _view_geometry.transposed(input._size, input._stride, dim0, dim1)
    if input._requires_grad or input._base is not None:
        return make_view(input, size, stride, input._offset, TransposeBackward0, dim0=i, dim1=j)
    return plain_view(input, size, stride, input._offset)


@op()
def t(input) -> Tensor:
    """The transpose of a matrix (a vector or 0-d tensor as it is)."""
    size = input._size
    if len(size) == 2:
        size, stride, _, _ = _view_geometry.transposed(size, input._stride, 0, 1)
        if input._requires_grad or input._base is not None:
            return make_view(input, size, stride, input._offset, TBackward0)
        return plain_view(input, size, stride, input._offset)
    if len(size) > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {len(size)}D")
    return make_view(input, size, input._stride, input._offset, TBackward0)


@op()
def permute(input, *args, dims=None) -> Tensor:
    """The dimensions in another order."""
    order = _plain_shape(args if dims is None else (dims,))
    if order is None:
        order = flatten_sizes(args if dims is None else (dims,), "dims")
    size, stride, order = _view_geometry.permuted(input._size, input._stride, order)
    if input._requires_grad or input._base is not None:
        return make_view(input, size, stride, input._offset, PermuteBackward0, dims=order)
    return plain_view(input, size, stride, input._offset)


@op(aliases=("moveaxis",))
def movedim(input, source, destination) -> Tensor:
    """Move dimensions to new positions; the others keep their order."""
    source = (source,) if isinstance(source, int) else tuple(source)
    destination = (destination,) if isinstance(destination, int) else tuple(destination)
    return permute(input, _view_geometry.moved(len(input._size), source, destination))


@property
def _transposed(self):
    if len(self._size) == 2:
        return t(self)
    return permute(self, tuple(range(len(self._size) - 1, -1, -1)))


@property
def _matrix_transposed(self):
    if len(self._size) == 0:
        return self
    if len(self._size) < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {len(self._size)}-D tensor."
        )
    return transpose(self, -2, -1)


@property
def _matrix_adjoint(self):
    if len(self._size) == 0:
        return self.conj() if self.is_complex() else self
    if len(self._size) < 2:
        raise RuntimeError(
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {len(self._size)}-D tensor."
        )
    return transpose(self, -2, -1).conj() if self.is_complex() else transpose(self, -2, -1)


@property
def _adjoint(self):
    if len(self._size) not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {len(self._size)}-D tensor.")
    return _matrix_adjoint.fget(self)


Tensor.T = _transposed
Tensor.mT = _matrix_transposed
Tensor.mH = _matrix_adjoint
Tensor.H = _adjoint


@op()
def adjoint(input) -> Tensor:
    """The conjugate transpose of the last two dimensions."""
    return _matrix_adjoint.fget(input)


# -- dimensions of size one -------------------------------------------------------------------------------------------


class UnsqueezeBackward0(Node):
    def apply(self, grads) -> tuple:
        return (None if grads[0] is None else squeeze(grads[0], self.dim),)


class SqueezeBackward0(ViewBackward0):
    pass


class SqueezeBackward1(ViewBackward0):
    pass


class SqueezeBackward2(ViewBackward0):
    pass


@op()
def unsqueeze(input, dim: int) -> Tensor:
    """A new dimension of size 1 before `dim`."""
    size, stride, d = _view_geometry.unsqueezed(input._size, input._stride, dim)
    if input._requires_grad or input._base is not None:
        result = make_view(input, size, stride, input._offset, UnsqueezeBackward0, dim=d)
    else:
        result = plain_view(input, size, stride, input._offset)
    result._flat = input._flat
    return result


@op()
def squeeze(input, dim=None) -> Tensor:
    """Without the dimensions of size 1: all of them, one, or those in a tuple."""
    if isinstance(dim, list):
        dim = tuple(dim)
    size, stride = _view_geometry.squeezed(input._size, input._stride, dim)
    if input._requires_grad or input._base is not None:
        node = SqueezeBackward0 if dim is None else SqueezeBackward1 if isinstance(dim, int) else SqueezeBackward2
        result = make_view(input, size, stride, input._offset, node)
    else:
        result = plain_view(input, size, stride, input._offset)
    result._flat = input._flat
    return result


# -- expand -----------------------------------------------------------------------------------------------------------


class ExpandBackward0(Node):
    def apply(self, grads) -> tuple:
        return (None if grads[0] is None else grads[0].sum_to_size(self.input_size),)


@op(function=False)
def expand(self, *sizes, size=None, implicit: bool = False) -> Tensor:
    """expand(*sizes) -> Tensor: a view broadcast to a larger size, without copying.

    The new dimensions have stride 0; -1 keeps a size.
    """
    given = sizes if size is None else (size,)
    sizes = _plain_shape(given)
    if sizes is None:
        sizes = flatten_sizes(given, "size")
    return _expanded(self, sizes)


def _expanded(t: Tensor, sizes: tuple) -> Tensor:
    try:
        size, stride = _view_geometry.expanded(t._size, t._stride, sizes)
    except _view_geometry.NotExpandable as error:
        raise RuntimeError(str(error).replace("TYPE", t.type(), 1)) from None
    if t._requires_grad or t._base is not None:
        return make_view(t, size, stride, t._offset, ExpandBackward0)
    return plain_view(t, size, stride, t._offset)


@op(function=False)
def expand_as(self, other) -> Tensor:
    """`self.expand(other.size())`."""
    return _expanded(self, other._size)


@op()
def broadcast_to(input, *sizes, size=None) -> Tensor:
    """`input.expand(size)`."""
    return expand(input, *sizes, size=size)


@op(function=False)
def sum_to_size(self, *size) -> Tensor:
    """Sum over the dimensions in which `self` is larger: the reverse of expand."""
    size = Size(flatten_sizes(size))
    if not size:
        return self.sum()  # of one element too: the sum of a bool is an int64
    if self._size == size:
        return self
    lead = len(self._size) - len(size)
    if lead < 0 or any(n not in (m, 1) for n, m in zip(size, self._size[lead:])):
        raise RuntimeError(f"size {{{list(size)}}} is not expandable to size {{{list(self._size)}}}.")
    if lead and self._size[lead:] == size:
        return self.sum(tuple(range(lead)))
    dims = [d for d in range(len(self._size)) if d < lead or (size[d - lead] == 1 and self._size[d] != 1)]
    result = self.sum(dims, keepdim=True) if dims else self
    return reshape(result, size) if lead else result


# -- parts ------------------------------------------------------------------------------------------------------------


class SliceBackward0(Node):
    """Gradient of a part taken along one dimension: zeros with the gradient in its place."""

    def apply(self, grads) -> tuple:
        if grads[0] is None:
            return (None,)
        return (_indexing.slice_backward(grads[0], self.input_size, self.dim, self.start, self.step),)


class SelectBackward0(Node):
    def apply(self, grads) -> tuple:
        if grads[0] is None:
            return (None,)
        return (_indexing.select_backward(grads[0], self.input_size, self.dim, self.index),)


@op()
def select(input, dim: int, index: int) -> Tensor:
    """The part of `input` at one index of a dimension, which disappears."""
    size, stride = input._size, input._stride
    if not size:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, len(size))
    n = size[d]
    index = index.__index__()
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(size)} at dimension {d}")
    if index < 0:
        index += n
    offset = input._offset + index * stride[d]
    rest, rest_stride = _view_geometry.without(size, stride, d)
    if input._requires_grad or input._base is not None:
        return make_view(input, rest, rest_stride, offset, SelectBackward0, dim=d, index=index)
    return plain_view(input, rest, rest_stride, offset)


def slice_along(input: Tensor, dim: int, start: int, end: int, step: int) -> Tensor:
    """input[start:end:step] along a dimension, with 0 <= start <= end <= size and step > 0."""
    size, stride = _view_geometry.sliced(input._size, input._stride, dim, (end - start + step - 1) // step, step)
    offset = input._offset + start * input._stride[dim]
    if input._requires_grad or input._base is not None:
        return make_view(input, size, stride, offset, SliceBackward0, dim=dim, start=start, step=step)
    return plain_view(input, size, stride, offset)


@op()
def narrow(input, dim: int, start, length: int) -> Tensor:
    """`length` indices of a dimension from `start` on."""
    if not input._size:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    d = wrap_dim(dim, len(input._size))
    n = input._size[d]
    if isinstance(start, Tensor) and (start._size or start._dtype.category != INTEGRAL):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    start = start.__index__()
    if not -n <= start <= n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n}], but got {start})")
    if start < 0:
        start += n
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return slice_along(input, d, start, start + length, 1)


class DiagonalBackward0(Node):
    def apply(self, grads) -> tuple:
        if grads[0] is None:
            return (None,)
        return (_indexing.diagonal_backward(grads[0], self.input_size, self.offset, self.dim1, self.dim2),)


@op()
def diagonal(input, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions, as the last dimension of a view."""
    size, stride, start, d1, d2 = _view_geometry.diagonal(input._size, input._stride, offset, dim1, dim2)
    start += input._offset
    if tracked(input):
        return make_view(input, size, stride, start, DiagonalBackward0, offset=offset, dim1=d1, dim2=d2)
    return plain_view(input, size, stride, start)


class UnfoldBackward0(Node):
    def apply(self, grads) -> tuple:
        if grads[0] is None:
            return (None,)
        return (as_strided_backward(grads[0], self.input_size, self.out_size, self.out_stride, 0),)


@op(function=False)
def unfold(self, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` along a dimension, `step` apart, in a new last dimension."""
    n = len(self._size)
    d = wrap_dim(dimension, n)
    length = self._size[d] if n else 1
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {length} but size is {size}")
    if n == 0:
        return make_view(self, (size,), (1,), self._offset, UnfoldBackward0, out_size=(size,), out_stride=(1,))

    out_size, out_stride, dense = _windows(self._size, self._stride, d, size, step)
    return make_view(self, out_size, out_stride, self._offset, UnfoldBackward0, out_size=out_size, out_stride=dense)


@lru_cache(maxsize=1024)
def _windows(sizes: tuple[int, ...], strides: tuple[int, ...], d: int, size: int, step: int):
    """(size, strides, strides over contiguous memory) of the windows of `size` along dimension d."""

    def windows(stride):
        return (*stride[:d], stride[d] * step, *stride[d + 1 :], stride[d])

    count = (sizes[d] - size) // step + 1
    out_size = Size((*sizes[:d], count, *sizes[d + 1 :], size))
    return out_size, windows(strides), windows(contiguous_strides(sizes))


# -- copies -----------------------------------------------------------------------------------------------------------


class CloneBackward0(Node):
    def apply(self, grads) -> tuple:
        return grads


def _recorded_copy(result: Tensor, source: Tensor) -> Tensor:
    if source._requires_grad and mode.enabled:
        node = CloneBackward0.__new__(CloneBackward0)
        node.sequence_nr = next_sequence()
        node.next_nodes = (source._edge(),)
        if source._output_nr:
            node.next_nrs = (source._output_nr,)
        result._grad_fn, result._requires_grad = node, True
    return result


@op(function=False)
def contiguous(self, memory_format=None) -> Tensor:
    """`self` if its elements lie in row-major order, else a copy in which they do."""
    if self._flat is not None:
        return self
    if self._device is cpu:
        copy = raw_contiguous(self)
    else:
        from ..cuda._tensors import contiguous as contiguous_on_cuda

        copy = contiguous_on_cuda(self)
    return self if copy is self else _recorded_copy(copy, self)


@op()
def clone(input, *, memory_format=None) -> Tensor:
    """A copy with memory of its own; gradients flow through it."""
    return _recorded_copy(raw_clone(input), input)


register("detach", Tensor.detach, method=False)
register("detach_", Tensor.detach_, method=False)

# They import views from here; imported in the rules that call them, they would cost each call 0.7 us.
from . import gather_scatter as _gather_scatter  # noqa: E402
from . import indexing as _indexing  # noqa: E402
