"""Products of matrices and vectors (mm, bmm, mv, dot, outer, matmul) and linear, over the kernels of kernels/cpu/matmul.py."""

from __future__ import annotations

from math import prod

import numpy as np

from numtorch.graph import Node, mode, next_sequence, save, unpack
from numtorch.kernels.cpu import matmul as _kernels
from numtorch.kernels.cpu.small_matmul import SMALL

from .. import _dtype
from .._copy import cast, cast_array, contiguous
from .._device import cpu
from .._dtype import C_NAMES, COMPLEX, FLOATING, bfloat16, float16, float32, float64
from .._inplace import write_out
from .._loops import check_devices
from .._primitive import primitive
from .._products import (
    ProductBackward,
    doubles,
    is_plain,
    matrix_sizes,
    multiplied,
    multiplied_batches,
    multiplied_by_vector,
    multiplied_into,
    recorded,
    singles,
)
from .._registry import op, register
from .._size import EMPTY, Size, broadcast_size, dense
from .._tensor import Tensor, _new, wrap
from .shape import unsafe_view

_multiply, _empty = _kernels.mm, np.empty
_uint16 = np.dtype("uint16")
# 16 KiB to 32 KiB, which stay in the first-level cache.
_FEW_TO_COPY = 4096
# Between these lengths a product of two vectors is the loop DOT in one piece, as `mm` finds too; up to the second so many
# multiply-adds of a matrix and a vector run in one piece.
_SHORTEST_DOT, _LONGEST_DOT = 65, min(_kernels.LONG, _kernels.PARALLEL_VECTOR_WORK)
# Elements up to which an outer product is one of small matrices over a dimension of one (those sums start from the bias,
# others add it at the end), and what its sums start from: -0, so that a product of -0 stays one.
_SMALL_OUTER = SMALL
_MINUS_ZEROS = {d: np.full(_SMALL_OUTER, -0.0, d.np) for d in (float32, float64)}


def _compute_dtype(d: _dtype.dtype) -> _dtype.dtype:
    return d if d.np is d.compute else _dtype.float32


# What mm, bmm and mv say of operands of two dtypes: {0} and {1} are those as torch names them, {2} and {3} as C++ does.
_MM_DTYPES = "expected m1 and m2 to have the same dtype, but got: {2} != {3}"
_BMM_DTYPES = "expected scalar type {0} but found {1}"
_MV_DTYPES = "addmv input tensors must have the same dtype, but got {1}, {0}, and {1}"


def _check_same(first: Tensor, second: Tensor, message: str) -> None:
    """RuntimeError where the operands' dtypes (in the words of `message`) or devices differ."""
    a, b = first._dtype, second._dtype
    if a is not b:
        raise RuntimeError(message.format(a.type_name, b.type_name, C_NAMES[a.name], C_NAMES[b.name]))
    if first._device is not second._device:
        check_devices((first, second))


def _product(a: Tensor, b: Tensor, out_size: Size) -> Tensor:
    """a @ b for (*batch, n, k) and (*batch, k, m) of equal batch sizes (strides may be 0), outside the graph."""
    d = a._dtype
    if a._device is cpu and (a._size[-1] == 0 or out_size.numel() == 0):
        return wrap(np.zeros(out_size.numel(), d.np), out_size, d)
    inner = _compute_dtype(d)
    if inner is not d and a._device is cpu and len(out_size) <= 3:
        return _product_of_halfs(a, b)
    if inner is not d:
        a, b = cast(a, inner), cast(b, inner)
    if a._device is not cpu:
        from ..cuda._matmul import product

        return product(a, b, out_size)
    if len(a._size) == 2 and a._flat is not None and b._flat is not None:
        n, k = a._size
        out = _kernels.mm(a._flat, b._flat, n, k, b._size[1])
    else:
        out = _kernels.matmul(a._buffer(), a._offset, a._size, a._stride, b._buffer(), b._offset, b._size, b._stride)
    result = wrap(out, out_size, inner)
    return result if inner is d else cast(result, d)


def _product_of_halfs(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """`_product` of float16 or bfloat16 matrices, or batches of them, plus a bias, rounded once."""
    d, x, y = a._dtype, a._buffer(), b._buffer()
    is_bfloat = d is bfloat16
    if not is_bfloat:
        x, y = x.view(_uint16), y.view(_uint16)
    if bias is not None:
        bias = cast_array(contiguous(bias).flat(), d, float32)
    batch, left, right, size = 1, a._stride, b._stride, (*a._size[:-1], b._size[-1])
    if len(size) == 2:
        left, right = (0, *left), (0, *right)
        n, m = size
    else:
        batch, n, m = size
    flat = _kernels.half_matmul(x, a._offset, left, y, b._offset, right, batch, n, a._size[-1], m, is_bfloat, bias)
    result = _new(Tensor)
    result._flat = flat if is_bfloat else flat.view(d.np)
    result._size, result._stride, _ = dense(size)
    result._dtype = d
    return result


class MmBackward(ProductBackward):
    """The node of mm for float32 and float64 on the CPU."""


class BmmBackward(ProductBackward):
    """The node of bmm for float32 and float64 on the CPU."""


class MatmulBackward(ProductBackward):
    """The node of a matmul with batch dimensions that broadcast, under the name of the last of torch's nodes for it."""


class MvBackward(Node):
    """The node of mv for float32 and float64 on the CPU: gradients grad vec^T and matrix^T grad."""

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None, None)
        matrix, vector = unpack(self)
        to_matrix, to_vector = self.next_nodes
        return (
            None if to_matrix is None else outer(grad, vector),
            None if to_vector is None else mv(matrix.t(), grad),
        )


class DotBackward(Node):
    """The node of dot for float32 and float64 on the CPU."""

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None, None)
        a, b = unpack(self)
        to_a, to_b = self.next_nodes
        return (None if to_a is None else grad * b, None if to_b is None else grad * a)


MvBackward.__name__ = MvBackward.__qualname__ = "MvBackward0"
DotBackward.__name__ = DotBackward.__qualname__ = "DotBackward0"
MmBackward.__name__ = MmBackward.__qualname__ = "MmBackward0"
BmmBackward.__name__ = BmmBackward.__qualname__ = "BmmBackward0"
MatmulBackward.__name__ = MatmulBackward.__qualname__ = "UnsafeViewBackward0"


def _laid_flat(t: Tensor):
    """The elements of a contiguous view on the CPU that has not been asked for them yet; None for anything else."""
    return t.flat() if t._device is cpu else None


def _laid_small(t: Tensor):
    """`_laid_flat`, or the elements of a small tensor with gaps, copied sooner than a strided product is reached."""
    flat = _laid_flat(t)
    if flat is None and t._device is cpu and t._size.numel() <= _FEW_TO_COPY:
        flat = t._nd().flatten()
    return flat


def _turned(t: Tensor):
    """The buffer of a matrix of which it is the whole transpose, as t() gives; None for anything else."""
    if t._stride[0] == 1 and t._device is cpu:
        rows, columns = t._size
        if t._stride[1] == rows:
            buffer = t._buffer()
            if buffer.size == rows * columns:
                return buffer
    return None


@op()
def mm(input, mat2, *, out=None) -> Tensor:
    """The product of two matrices, (n, k) and (k, m) -> (n, m)."""
    if out is not None:
        return out if multiplied_into(out, input, mat2, 2) else write_out(mm(input, mat2), out, "mm")
    found, d = matrix_sizes(input._size, mat2._size), input._dtype
    if found is not None and len(found[1]) == 2:
        flat_a, flat_b = input._flat, mat2._flat
        turned_a = turned_b = False
        if flat_a is None:
            flat_a = _turned(input)
            turned_a = flat_a is not None
            if not turned_a:
                flat_a = _laid_small(input)
        if flat_b is None:
            flat_b = _turned(mat2)
            turned_b = flat_b is not None
            if not turned_b:
                flat_b = _laid_small(mat2)
        if (d is bfloat16 or d is float16) and d is mat2._dtype and input._device is mat2._device is cpu:
            result = _product_of_halfs(input, mat2)
        elif flat_a is None or flat_b is None:
            result = multiplied(input, mat2) if is_plain(input, mat2) else None
        elif d is mat2._dtype and (d is float32 or d is float64):
            result = _new(Tensor)
            (n, k, m), result._size, result._stride, count, small, small_turned = found
            result._dtype = d
            if small_turned if turned_b else small:
                kernels = singles if d is float32 else doubles
                result._flat = flat = _empty(count, d.np)
                kernels.small(flat_a, turned_a, flat_b, turned_b, kernels.none, flat, n, k, m)
            else:
                result._flat = _multiply(flat_a, flat_b, n, k, m, None, None, turned_a, turned_b)
        else:
            result = None
        if result is not None:
            if mode.enabled and (input._requires_grad or mat2._requires_grad):
                return recorded(MmBackward, result, input, mat2)
            return result
    return _mm(input, mat2)


@primitive(name="mm", node="MmBackward0", save=("self", "mat2"), public=False)
def _mm(self, mat2):
    a, b = self._size, mat2._size
    if len(a) != 2:
        raise RuntimeError("self must be a matrix")
    if len(b) != 2:
        raise RuntimeError("mat2 must be a matrix")
    if a[1] != b[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({a[0]}x{a[1]} and {b[0]}x{b[1]})")
    if self._dtype is not mat2._dtype or self._device is not mat2._device:
        _check_same(self, mat2, _MM_DTYPES)
    return _product(self, mat2, Size((a[0], b[1])))


def adjoint_of(t: Tensor) -> Tensor:
    """The conjugate transpose of the last two dimensions (the transpose, for real numbers)."""
    t = t.transpose(-2, -1)
    return t.conj() if t._dtype.category == COMPLEX else t


_mm.derivative(
    self=lambda ctx, grad: mm(grad, adjoint_of(ctx.mat2)),
    mat2=lambda ctx, grad: mm(adjoint_of(ctx.self), grad),
)


@op()
def bmm(input, mat2, *, out=None) -> Tensor:
    """The products of two batches of matrices, (b, n, k) and (b, k, m) -> (b, n, m)."""
    if out is not None:
        return out if multiplied_into(out, input, mat2, 3) else write_out(bmm(input, mat2), out, "bmm")
    result = multiplied_batches(input, mat2)
    if result is not None:
        if mode.enabled and (input._requires_grad or mat2._requires_grad):
            return recorded(BmmBackward, result, input, mat2)
        return result
    return _bmm(input, mat2)


@primitive(name="bmm", node="BmmBackward0", save=("self", "mat2"), public=False)
def _bmm(self, mat2):
    a, b = self._size, mat2._size
    if len(a) != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if len(b) != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    if a[0] != b[0] or a[2] != b[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{a[0]}, {a[2]}] but got: [{b[0]}, {b[1]}]."
        )
    _check_same(self, mat2, _BMM_DTYPES)
    return _product(self, mat2, Size((a[0], a[1], b[2])))


_bmm.derivative(
    self=lambda ctx, grad: bmm(grad, adjoint_of(ctx.mat2)),
    mat2=lambda ctx, grad: bmm(adjoint_of(ctx.self), grad),
)


@op()
def mv(input, vec, *, out=None) -> Tensor:
    """The product of a matrix and a vector, (n, k) and (k) -> (n)."""
    if out is not None:
        return out if multiplied_into(out, input, vec, 1) else write_out(mv(input, vec), out, "mv")
    found, d = matrix_sizes(input._size, vec._size), input._dtype
    in_graph = mode.enabled and (input._requires_grad or vec._requires_grad)
    if found is not None and len(found[1]) == 1:
        x, flat = vec._flat, input._flat
        is_turned = flat is None
        if is_turned:
            flat = _turned(input)
        if flat is not None and x is not None and d is vec._dtype and (d is float32 or d is float64):
            result = _new(Tensor)
            (n, k, _), result._size, result._stride, count, small, _ = found
            result._dtype = d
            kernels = singles if d is float32 else doubles
            # The first two are what `mm` finds for these sizes.
            if small:
                result._flat = y = _empty(count, d.np)
                kernels.small(flat, is_turned, x, False, kernels.none, y, n, k, 1)
            elif n > 1 and n * k < _LONGEST_DOT:
                result._flat = y = _empty(count, d.np)
                form = _kernels.TRANSPOSED_TIMES_COLUMN if is_turned else _kernels.MATRIX_TIMES_COLUMN
                kernels.vectors_dense(flat, is_turned, x, False, kernels.none, y, n, k, 1, form)
            else:
                result._flat = _multiply(flat, x, n, k, 1, None, None, is_turned)
            if in_graph:
                recorded(MvBackward, result, input, vec)
            return result
        if not in_graph and is_plain(input, vec):
            return multiplied_by_vector(input, vec)
    return _mv(input, vec)


@primitive(name="mv", node="MvBackward0", save=("self", "vec"), public=False)
def _mv(self, vec):
    if len(self._size) != 2 or len(vec._size) != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {len(self._size)}, {len(vec._size)}")
    if self._size[1] != vec._size[0]:
        raise RuntimeError(
            f"size mismatch, got input ({self._size[0]}), mat ({self._size[0]}x{self._size[1]}), vec ({vec._size[0]})"
        )
    _check_same(self, vec, _MV_DTYPES)
    if is_plain(self, vec):
        return multiplied_by_vector(self, vec)
    column = vec.detach().unsqueeze(1)
    result = _product(self.detach(), column, Size((self._size[0], 1)))
    if result._device is not cpu:
        return result.view(self._size[0]).detach()
    return wrap(result._flat, (self._size[0],), result._dtype)


_mv.derivative(
    self=lambda ctx, grad: outer(grad, ctx.vec.conj()),
    vec=lambda ctx, grad: mv(adjoint_of(ctx.self), grad),
)


def _check_vectors(a: Tensor, b: Tensor) -> None:
    if len(a._size) != 1 or len(b._size) != 1:
        raise RuntimeError(f"1D tensors expected, but got {len(a._size)}D and {len(b._size)}D tensors")
    if a._dtype is not b._dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {a._dtype.type_name} and {b._dtype.type_name}"
        )
    if a._size != b._size:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{a._size[0]}] and src [{b._size[0]}] to have the same number of "
            f"elements, but got {a._size[0]} and {b._size[0]} elements respectively"
        )


@op()
def dot(input, tensor, *, out=None) -> Tensor:
    """The sum of the products of two vectors' elements."""
    x, y, d = input._flat, tensor._flat, input._dtype
    if x is None:
        x = _laid_flat(input)
    if y is None:
        y = _laid_flat(tensor)
    if (
        x is not None
        and y is not None
        and out is None
        and input._size == tensor._size
        and len(input._size) == 1
        and d is tensor._dtype
        and (d is float32 or d is float64)
    ):
        result, n = _new(Tensor), x.size
        if _SHORTEST_DOT <= n < _LONGEST_DOT:
            kernels = singles if d is float32 else doubles
            result._flat = total = _empty(1, d.np)
            kernels.vectors_dense(x, False, y, False, kernels.none, total, 1, n, 1, _kernels.DOT)
        else:
            result._flat = _multiply(x, y, 1, n, 1)
        result._size = result._stride = EMPTY
        result._dtype = d
        if mode.enabled and (input._requires_grad or tensor._requires_grad):
            recorded(DotBackward, result, input, tensor)
        return result
    result = _dot(input, tensor)
    return result if out is None else write_out(result, out, "dot")


@primitive(name="dot", node="DotBackward0", save=("self", "tensor"), public=False)
def _dot(self, tensor):
    _check_vectors(self, tensor)
    n = self._size[0]
    if is_plain(self, tensor):
        x, y = self.flat(), tensor.flat()
        if x is not None and y is not None:
            return wrap(_multiply(x, y, 1, n, 1), (), self._dtype)
    row = contiguous(self).detach().view(1, n)
    column = contiguous(tensor).detach().view(n, 1)
    result = _product(row, column, Size((1, 1)))
    return wrap(result._flat, (), result._dtype)


_dot.derivative(
    self=lambda ctx, grad: grad * ctx.tensor.conj(),
    tensor=lambda ctx, grad: grad * ctx.self.conj(),
)


@op(out=True)
def vdot(input, other) -> Tensor:
    """dot of the conjugate of `input` with `other`."""
    if input._dtype.category < COMPLEX and not (mode.enabled and (input._requires_grad or other._requires_grad)):
        return dot(input, other)
    return _vdot(input, other)


@primitive(name="vdot", node="VdotBackward0", save=("self", "other"), public=False)
def _vdot(self, other) -> Tensor:
    return dot(self.detach().conj(), other.detach())


_vdot.derivative(
    self=lambda ctx, grad: grad.conj() * ctx.other,
    other=lambda ctx, grad: grad * ctx.self,
)


@op(out=True, aliases=("ger",))
def outer(input, vec2) -> Tensor:
    """The matrix of all products of two vectors' elements."""
    for name, t in (("self", input), ("vec2", vec2)):
        if len(t._size) != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {len(t._size)}-D")
    x, y, d = input._flat, vec2._flat, input._dtype
    if x is None:
        x = _laid_flat(input)
    if y is None:
        y = _laid_flat(vec2)
    if (
        x is not None
        and y is not None
        and 0 < x.size * y.size <= _SMALL_OUTER
        and y.size > 1
        and d is vec2._dtype
        and (d is float32 or d is float64)
        and not (mode.enabled and (input._requires_grad or vec2._requires_grad))
    ):
        result = _new(Tensor)
        result._flat = _multiply(x, y, x.size, 1, y.size, None, _MINUS_ZEROS[d])
        result._size, result._stride, _ = dense((x.size, y.size))
        result._dtype = d
        return result
    return input.unsqueeze(1) * vec2


def _folded_product(a: Tensor, b: Tensor) -> Tensor | None:
    """(*, k) times (k, m) or (k) outside the graph, all rows as one matrix; None where anything is unusual."""
    x, y, d, k = a.flat(), b._flat, a._dtype, a._size[-1]
    is_turned = y is None and len(b._size) == 2
    if is_turned:
        y = _turned(b)
    if x is None or y is None or d is not b._dtype or (d is not float32 and d is not float64):
        return None
    if b._size[0] != k or not x.size:
        return None
    columns = b._size[1:]
    m = columns[0] if columns else 1
    result = _new(Tensor)
    result._flat = _multiply(x, y, x.size // k, k, m, None, None, False, is_turned)
    result._size, result._stride, _ = dense((*a._size[:-1], *columns))
    result._dtype = d
    return result


def _row_product(a: Tensor, b: Tensor) -> Tensor | None:
    """(k) times (k, m) outside the graph; None where anything is unusual."""
    x, y, d = a._flat, b._flat, a._dtype
    is_turned = y is None
    if is_turned:
        y = _turned(b)
    if x is None or y is None or d is not b._dtype or (d is not float32 and d is not float64) or b._size[0] != x.size:
        return None
    m = b._size[1]
    result = _new(Tensor)
    result._flat = _multiply(x, y, 1, x.size, m, None, None, False, is_turned)
    result._size, result._stride, _ = dense((m,))
    result._dtype = d
    return result


def matmul(input, other, *, out=None) -> Tensor:
    """numpy's matmul: vectors, matrices, and batches of matrices whose batch dimensions broadcast."""
    if out is not None:
        written = multiplied_into(out, input, other, len(other._size))
        return out if written else write_out(matmul(input, other), out, "matmul")
    a, b = input, other
    na, nb = len(a._size), len(b._size)
    if na == 2 and nb == 2:
        return mm(a, b)
    if na == 0 or nb == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {na}D and {nb}D")
    if na == 1 and nb == 1:
        return dot(a, b)
    if na == 2 and nb == 1:
        return mv(a, b)
    if na == 1 and nb == 2:
        result = None if mode.enabled and (a._requires_grad or b._requires_grad) else _row_product(a, b)
        return mm(a.unsqueeze(0), b).squeeze_(0) if result is None else result
    if nb <= 2 and not (mode.enabled and (a._requires_grad or b._requires_grad)):
        result = _folded_product(a, b)
        if result is not None:
            return result
    if nb == 1:
        # One product of the folded rows with a column.
        rows = a.reshape(prod(a._size[:-1]), a._size[-1])
        return unsafe_view(mv(rows, b), a._size[:-1])
    if na > 2 and nb == 2:
        rows = mm(a.reshape(prod(a._size[:-1]), a._size[-1]), b)
        return unsafe_view(rows, (*a._size[:-1], b._size[-1]))
    column = na == 1
    if column:
        a = a.unsqueeze(0)
    if a._size[-1] != b._size[-2]:
        n, k = a._size[-2:]
        batch = broadcast_size(a._size[:-2], b._size[:-2])
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{batch.numel()}, {k}] but got: [{batch.numel()}, {b._size[-2]}]."
        )
    batch = broadcast_size(a._size[:-2], b._size[:-2])
    if not column and is_plain(a, b):
        return recorded(MatmulBackward, multiplied(a, b), a, b)
    left = a.expand((*batch, *a._size[-2:])).reshape((batch.numel(), *a._size[-2:]))
    right = b.expand((*batch, *b._size[-2:])).reshape((batch.numel(), *b._size[-2:]))
    rows = (b._size[-1],) if column else (a._size[-2], b._size[-1])
    return unsafe_view(bmm(left, right), (*batch, *rows))


MmBackward.multiply, BmmBackward.multiply, MatmulBackward.multiply = mm, bmm, matmul
register("matmul", matmul)
Tensor.__matmul__ = matmul
Tensor.__rmatmul__ = lambda self, other: matmul(other, self)
Tensor.__imatmul__ = lambda self, other: self.copy_(matmul(self, other))
register("__rmatmul__", Tensor.__rmatmul__, function=False)


# -- linear -----------------------------------------------------------------------------------------------------------


@primitive(node="AddmmBackward0", save=("mat1", "mat2"), public=False)
def _addmm_bias(bias, mat1, mat2):
    """mat1 @ mat2 + bias (m,), the sum done while the product is in cache."""
    a, b = mat1._size, mat2._size
    if a[1] != b[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({a[0]}x{a[1]} and {b[0]}x{b[1]})")
    d = mat1._dtype
    if d is not mat2._dtype:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {d.type_name} and {mat2._dtype.type_name}")
    if mat1._device is not mat2._device:
        check_devices((mat1, mat2))
    if d.np is not d.compute or mat1._device is not cpu:
        if mat1._device is cpu and bias._dtype is d and bias._size == b[1:] and b[0] and a[0] * b[1]:
            return _product_of_halfs(mat1, mat2, bias)
        return (_product(mat1.detach(), mat2.detach(), Size((a[0], b[1]))) + bias.detach()).to(d)
    flat_bias = contiguous(bias)._flat
    if mat1._flat is not None and mat2._flat is None and mat2._stride == (1, b[0]) and not mat2._offset:
        flat = mat2._buffer()
        if flat.size == b[0] * b[1]:
            # nn.Linear: the weight is stored (m, k) and used transposed.
            out = _kernels.mm(mat1._flat, flat, a[0], a[1], b[1], bias=flat_bias, transpose_b=True)
            return wrap(out, (a[0], b[1]), d)
    out = _kernels.matmul(
        mat1._buffer(),
        mat1._offset,
        a,
        mat1._stride,
        mat2._buffer(),
        mat2._offset,
        b,
        mat2._stride,
        bias=flat_bias,
    )
    return wrap(out, (a[0], b[1]), d)


_addmm_bias.derivative(
    bias=lambda ctx, grad: grad.sum_to_size(ctx.bias.shape),
    mat1=lambda ctx, grad: mm(grad, adjoint_of(ctx.mat2)),
    mat2=lambda ctx, grad: mm(adjoint_of(ctx.mat1), grad),
)


class LinearBackward(Node):
    """The node of `linear` with a bias: an addmm whose second matrix is the transposed weight, as one step."""

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None, None, None)
        to_bias, to_input, to_weight = self.next_nodes
        grad_bias = grad.sum(0) if to_bias is not None else None
        return (grad_bias, *_linear_gradients(grad, *unpack(self), to_input, to_weight))


class LinearWithoutBiasBackward(Node):
    """The node of `linear` without a bias: a product with the transposed weight."""

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None, None)
        return _linear_gradients(grad, *unpack(self), *self.next_nodes)


LinearBackward.__name__ = LinearBackward.__qualname__ = "AddmmBackward0"
LinearWithoutBiasBackward.__name__ = LinearWithoutBiasBackward.__qualname__ = "MmBackward0"


def _linear_gradients(grad: Tensor, input: Tensor, weight: Tensor, to_input, to_weight):
    """The gradients of input @ weight.T for its operands: grad @ weight and grad.T @ input, where they are wanted."""
    grad_input = grad_weight = None
    if mode.enabled or not is_plain(grad, weight):
        if to_input is not None:
            grad_input = mm(grad, weight)
        if to_weight is not None:
            grad_weight = mm(grad.t(), input)
    else:
        if to_input is not None:
            grad_input = multiplied(grad, weight)
        if to_weight is not None:
            grad_weight = multiplied(grad, input, True)
    return grad_input, grad_weight


def _linear_rows(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
    """`linear` of a contiguous (n, in) with a contiguous weight; None where anything is unusual."""
    x, w, d = input._flat, weight._flat, input._dtype
    if x is None:
        x = _laid_small(input)  # a batch that has been cut out of the data just now
    if w is None:
        w = _laid_small(weight)
    if x is None or w is None or d is not weight._dtype or d.category != FLOATING:
        return None
    n, k = input._size
    m, columns = weight._size
    if k != columns or not x.size:
        return None
    if bias is None:
        b = None
    else:
        b = bias._flat
        if b is None or bias._size != (m,) or d is not bias._dtype:
            return None
    result = _new(Tensor)
    if d.np is not d.compute:
        is_bfloat = d is bfloat16
        if not is_bfloat:
            x, w = x.view(_uint16), w.view(_uint16)
        if b is not None:
            b = cast_array(b, d, float32)
        flat = _kernels.half_matmul(x, 0, (0, k, 1), w, 0, (0, 1, k), 1, n, k, m, is_bfloat, b)
        result._flat = flat if is_bfloat else flat.view(d.np)
    else:
        result._flat = _multiply(x, w, n, k, m, None, b, False, True)
    result._size, result._stride, _ = dense((n, m))
    result._dtype = d
    if mode.enabled:
        if bias is None:
            if input._requires_grad or weight._requires_grad:
                return recorded(LinearWithoutBiasBackward, result, input, weight)
        elif input._requires_grad or weight._requires_grad or bias._requires_grad:
            node = _new(LinearBackward)
            node.sequence_nr = next_sequence()
            node.next_nodes = (bias._edge(), input._edge(), weight._edge())
            if input._output_nr or weight._output_nr or bias._output_nr:
                node.next_nrs = (bias._output_nr, input._output_nr, weight._output_nr)
            save(node, (input, weight))
            result._grad_fn, result._requires_grad = node, True
    return result


def _linear_of_any(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
    """`linear` of a contiguous (*, in) outside the graph; None where anything is unusual."""
    x, w, d = input._flat, weight._flat, input._dtype
    if x is None:
        x = _laid_small(input)
    if w is None:
        w = _laid_small(weight)
    if x is None or w is None or d is not weight._dtype or (d is not float32 and d is not float64):
        return None
    m, k = weight._size
    if k != input._size[-1] or not x.size:
        return None
    b = None
    if bias is not None:
        b = bias._flat
        if b is None or bias._size != (m,) or d is not bias._dtype or (mode.enabled and bias._requires_grad):
            return None
    result = _new(Tensor)
    result._flat = _multiply(x, w, x.size // k, k, m, None, b, False, True)
    result._size, result._stride, _ = dense((*input._size[:-1], m))
    result._dtype = d
    return result


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias, with input (*, in), weight (out, in) or (in), bias (out)."""
    n = len(input._size)
    if n == 2 and len(weight._size) == 2:
        result = _linear_rows(input, weight, bias)
        if result is not None:
            return result
    elif n and not (mode.enabled and (input._requires_grad or weight._requires_grad)) and len(weight._size) == 2:
        result = _linear_of_any(input, weight, bias)
        if result is not None:
            return result
    if len(weight._size) == 1:
        result = matmul(input, weight)
        return result if bias is None else result + bias
    if n == 2:
        if bias is None:
            return mm(input, weight.t())
        if bias._size == weight._size[:1] and bias._dtype is input._dtype:
            return _addmm_bias(bias, input, weight.t())
        from .add_multiply import addmm

        return addmm(bias, input, weight.t())  # which tells what is wrong, if it does not broadcast
    if n == 1:
        result = linear(input.unsqueeze(0), weight, bias)
        return result.squeeze_(0) if bias is None else result.view(weight._size[0])
    if n == 0:
        raise RuntimeError("both arguments to linear need to be at least 1D, but they are 0D and 2D")
    rows = input.reshape(prod(input._size[:-1]), input._size[-1])
    size = (*input._size[:-1], weight._size[0])
    if bias is None:
        return unsafe_view(linear(rows, weight), size)
    if len(bias._size) != 1:
        return unsafe_view(linear(rows, weight), size) + bias
    return linear(rows, weight, bias).view(size)


register("linear", linear, namespace="nn.functional", method=False)


@op(method=False)
def chain_matmul(*matrices, out=None) -> Tensor:
    """The product of several matrices, in the order of fewest multiplications."""
    from .linalg import multi_dot

    for m in matrices:
        if len(m._size) != 2:
            raise RuntimeError(f"Tensor dimension is {len(m._size)}, expected 2 instead.")
    result = matrices[0].clone() if len(matrices) == 1 else multi_dot(matrices)
    return result if out is None else write_out(result, out, "chain_matmul")
