"""Products added to something: addmm, addmv, addr, baddbmm and addbmm, beta * input + alpha * (a product)."""

from __future__ import annotations

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu import matmul as _kernels

from .._device import cpu
from .._dtype import BOOL, COMPLEX, FLOATING, float32, float64, promote_types
from .._inplace import inplace_form, write_out
from .._primitive import primitive
from .._products import (
    are_apart,
    batch_sizes,
    dense_matrix,
    doubles,
    is_plain,
    matrix_sizes,
    multiplied_and_added,
    multiply_batches,
    singles,
)
from .._registry import register
from .._size import dense
from .._tensor import Tensor, _new
from .matmul import _addmm_bias, adjoint_of, bmm, mm, mv, outer

_NUMBERS = (int, float)
_BLAS = frozenset({"addmm", "addmv", "addbmm"})
# Elements from which an outer product is left to the pointwise operators: the tiles would make one multiply-add of every
# load and store.
_LARGE_OUTER = 2**15


def _check_scaled(name: str, input: Tensor, beta, alpha) -> None:
    """torch refuses fractions of integers in addr alone; the others cut beta and alpha down to integers."""
    if name != "addr":
        return
    category = input._dtype.category
    for argument, value in (("beta", beta), ("alpha", alpha)):
        if category < FLOATING and isinstance(value, (float, complex)):
            raise RuntimeError(f"For integral input tensors, argument {argument} must not be a floating point number.")
        if category != BOOL and isinstance(value, bool):
            raise RuntimeError(f"Boolean {argument} only supported for Boolean results.")


def _expands(size, target) -> bool:
    """Whether a tensor of `size` can be read as one of the size `target`."""
    lead = len(target) - len(size)
    return lead >= 0 and all(n == 1 or n == m for n, m in zip(size, target[lead:]))


def _check_expands(size, target) -> None:
    if _expands(size, target):
        return
    sizes = f"Target sizes: {list(target)}.  Tensor sizes: {list(size)}"
    lead = len(target) - len(size)
    if lead < 0:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(target)}) must be greater or equal to the number of dimensions "
            f"in the tensor ({len(size)}).  {sizes}"
        )
    at = max(i for i, n in enumerate(size) if n != 1 and n != target[lead + i])
    raise RuntimeError(
        f"The expanded size of the tensor ({target[lead + at]}) must match the existing size ({size[at]}) at "
        f"non-singleton dimension {lead + at}.  {sizes}"
    )


def _combined(input: Tensor, product: Tensor, beta, alpha, name: str) -> Tensor:
    """beta * input + alpha * product; beta 0 ignores nan and inf in `input`, as BLAS does.

    So does alpha 0 in the product, but for addr and baddbmm, which are none of BLAS.
    """
    if input._dtype is not product._dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {input._dtype.type_name} and {product._dtype.type_name}"
        )
    _check_expands(input._size, product._size)
    if product._dtype.category < FLOATING:
        alpha, beta = int(alpha), int(beta)
    if alpha == 0 and name in _BLAS:
        product = product.new_zeros(product._size)
    scaled = product if alpha == 1 else (product * alpha).to(product._dtype)
    if beta == 0:
        return scaled
    return (input if beta == 1 else (input * beta).to(input._dtype)) + scaled


def _scaled(name: str, multiply, first_rule, second_rule, doc: str, direct=None):
    """The public function beta * input + alpha * multiply(first, second), and the primitive behind it.

    The rules are the gradients of multiply's operands: functions of grad, the other operand and ctx. `direct` is
    `_dense_added` or one like it.
    """

    in_one_pass = multiply is bmm or multiply is _addmm_product

    @primitive(name, save=("first", "second"), public=False)
    def forward(input, first, second, beta, alpha):
        result = None if direct is None else direct(input, first, second, beta, alpha)
        if result is not None:
            return result
        if in_one_pass:
            result = _added_in_one_pass(input, first, second, beta, alpha)
            if result is not None:
                return result
        return _combined(input.detach(), multiply(first.detach(), second.detach()), beta, alpha, name)

    forward.derivative(
        input=lambda ctx, grad: _times(grad, ctx.beta).sum_to_size(ctx.input.shape),
        first=lambda ctx, grad: _times(first_rule(ctx, grad), ctx.alpha),
        second=lambda ctx, grad: _times(second_rule(ctx, grad), ctx.alpha),
    )

    def call(input, first, second, *, beta=1, alpha=1, out=None) -> Tensor:
        if not _in_graph(input, first, second):
            result = None if direct is None else direct(input, first, second, beta, alpha, out)
            if result is None and in_one_pass and out is None:
                result = _added_in_one_pass(input, first, second, beta, alpha)
            if result is not None:
                return result
        if name == "addr":  # which alone promotes, whatever the dimensions
            d = promote_types(promote_types(input._dtype, first._dtype), second._dtype)
            input, first, second = input.to(d), first.to(d), second.to(d)
        _check_scaled(name, input, beta, alpha)
        result = forward(input, first, second, beta, alpha)
        return result if out is None else write_out(result, out, name)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


def _register(name: str, call, direct=None) -> None:
    """Publish a function and its in-place form, which writes over `input` by `direct` where that can."""
    register(name, call)
    general = inplace_form(call, name + "_")
    if direct is None:
        register(name + "_", general)
        return

    def in_place(self, first, second, *, beta=1, alpha=1) -> Tensor:
        if not _in_graph(self, first, second) and direct(self, first, second, beta, alpha, self) is not None:
            return self
        return general(self, first, second, beta=beta, alpha=alpha)

    in_place.__name__ = in_place.__qualname__ = name + "_"
    in_place.__doc__ = call.__doc__
    register(name + "_", in_place)


def _in_graph(input: Tensor, first: Tensor, second: Tensor) -> bool:
    return mode.enabled and (input._requires_grad or first._requires_grad or second._requires_grad)


def _target(out, input: Tensor, size, d, first: Tensor, second: Tensor):
    """The flat buffer of `out` for a result of this size and dtype; None where that cannot be written straight.

    It must not be read for the operands meanwhile; that `input` is `out` itself is fine.
    """
    flat = out._flat if out.__class__ is Tensor else None
    if flat is None or out._size != size or out._dtype is not d:
        return None
    if mode.enabled and (out._requires_grad or (out._base is not None and out._base._requires_grad)):
        return None
    x, y = first._flat, second._flat
    # Arrays that own their memory share it with none that does.
    apart = (
        x is not None and y is not None and flat is not x and flat is not y and flat.base is x.base is y.base is None
    )
    if not (apart or are_apart(flat, first, second)) or (out is not input and not are_apart(flat, input)):
        return None
    return flat


def _finished(out, flat, size, d) -> Tensor:
    """`out`, into which the buffer has been written, or a fresh tensor over it."""
    if out is not None:
        out._bump_version()
        return out
    result = _new(Tensor)
    result._flat, result._dtype = flat, d
    result._size, result._stride, _ = dense(size)
    return result


def _dense_added(input: Tensor, mat1: Tensor, mat2: Tensor, beta, alpha, out=None) -> Tensor | None:
    """beta * input + alpha * mat1 @ mat2 outside the graph; None where they are not all dense matrices or sizes differ.

    mat2 may be a vector, input then is one too. With `out` the result is written there, which may be `input`.
    """
    d, start = input._dtype, input._flat
    if start is None and input._device is cpu:
        start = input.flat()
    if (
        (d is not float32 and d is not float64)
        or start is None
        or mat1._dtype is not d
        or mat2._dtype is not d
        or not alpha  # nan and inf of the product do not count
        or type(alpha) not in _NUMBERS
        or type(beta) not in _NUMBERS
    ):
        return None
    found = matrix_sizes(mat1._size, mat2._size)
    if found is None or found[1] != input._size:
        return None
    (n, k, m), size, stride, count, _, small = found
    x, y = mat1._flat, mat2._flat
    turned_x = turned_y = False
    if x is None:
        left = dense_matrix(mat1) if mat1._device is cpu else None
        if left is None:
            return None
        x, turned_x = left
    if y is None:
        right = None
        if mat2._device is cpu:
            right = dense_matrix(mat2) if len(mat2._size) == 2 else (mat2.flat(), False)
        if right is None or right[0] is None:
            return None
        y, turned_y = right
    flat = None
    if out is not None:
        flat = _target(out, input, size, d, mat1, mat2)
        if flat is None:
            return None
    if small and alpha == beta == 1:
        if flat is None:
            flat = np.empty(count, d.np)
        (singles if d is float32 else doubles).small(x, turned_x, y, turned_y, start, flat, n, k, m)
    else:
        flat = _kernels.mm_added(x, y, start, n, k, m, float(alpha), float(beta), turned_x, turned_y, flat)
    if out is not None:
        out._bump_version()
        return out
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = flat, size, stride, d
    return result


def _outer_added(input: Tensor, vec1: Tensor, vec2: Tensor, beta, alpha, out=None) -> Tensor | None:
    """beta * input + alpha * outer(vec1, vec2) as `_dense_added`, as a product over a dimension of one."""
    a, b, d, start = vec1._size, vec2._size, input._dtype, input._flat
    x, y = vec1._flat, vec2._flat
    if (
        (d is not float32 and d is not float64)
        or start is None
        or x is None
        or y is None
        or not len(a) == len(b) == 1
        or input._size != (*a, *b)
        or vec1._dtype is not d
        or vec2._dtype is not d
        or start.size >= _LARGE_OUTER
        or type(alpha) not in _NUMBERS
        or type(beta) not in _NUMBERS
    ):
        return None
    flat = None
    if out is not None:
        flat = _target(out, input, input._size, d, vec1, vec2)
        if flat is None:
            return None
    flat = _kernels.mm_added(x, y, start, a[0], 1, b[0], float(alpha), float(beta), False, False, flat)
    return _finished(out, flat, input._size, d)


def _batches_added(input: Tensor, batch1: Tensor, batch2: Tensor, beta, alpha, out=None) -> Tensor | None:
    """beta * input + alpha * batch1 @ batch2 as `_dense_added`, for batches of matrices in any layout."""
    d, start = input._dtype, input._flat
    if (
        start is None
        or (d is not float32 and d is not float64)
        or batch1._dtype is not d
        or batch2._dtype is not d
        or not (input._device is batch1._device is batch2._device is cpu)
        or type(alpha) not in _NUMBERS
        or type(beta) not in _NUMBERS
    ):
        return None
    found = batch_sizes(batch1._size, batch2._size, d is float32)
    if found is None or found[1] != input._size:
        return None
    sizes, size, stride, count, small = found
    flat = None
    if out is not None:
        flat = _target(out, input, size, d, batch1, batch2)
        if flat is None:
            return None
    if small and alpha == beta == 1:
        if flat is None:
            flat = np.empty(count, d.np)
        multiply_batches(singles if d is float32 else doubles, batch1, batch2, found, start, flat)
    else:
        flat = _kernels.bmm_added(
            batch1._buffer(), batch1._offset, batch1._stride, batch2._buffer(), batch2._offset, batch2._stride, start,
            *sizes, float(alpha), float(beta), flat,
        )  # fmt: skip
    if out is not None:
        out._bump_version()
        return out
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = flat, size, stride, d
    return result


def _added_in_one_pass(input: Tensor, first: Tensor, second: Tensor, beta, alpha) -> Tensor | None:
    """beta * input + alpha * first @ second as one kernel; None where that one does not do it, or cannot."""
    a, b = first._size, second._size
    if (
        len(a) != len(b)
        or len(a) < 2
        or a[:-2] != b[:-2]
        or a[-1] != b[-2]
        or (len(a) == 2 and not alpha)
        or not is_plain(first, second)
        or not is_plain(first, input)
    ):
        return None
    size = (*a[:-1], b[-1])
    if input._size != size and not _expands(input._size, size):
        return None
    return multiplied_and_added(first, second, start=input if beta else None, alpha=alpha, beta=beta)


def _times(grad: Tensor, number) -> Tensor:
    if number == 1:
        return grad
    return grad * (number.conjugate() if grad._dtype.category == COMPLEX else number)


def _addmm_product(mat1: Tensor, mat2: Tensor) -> Tensor:
    if len(mat1._size) != 2:
        raise RuntimeError(f"mat1 must be a matrix, got {len(mat1._size)}-D tensor")
    if len(mat2._size) != 2:
        raise RuntimeError(f"mat2 must be a matrix, got {len(mat2._size)}-D tensor")
    return mm(mat1, mat2)


_addmm = _scaled(
    "addmm",
    _addmm_product,
    lambda ctx, grad: mm(grad, adjoint_of(ctx.second)),
    lambda ctx, grad: mm(adjoint_of(ctx.first), grad),
    "beta * input + alpha * (mat1 @ mat2).",
    _dense_added,
)
addmv = _scaled(
    "addmv",
    mv,
    lambda ctx, grad: outer(grad, ctx.second.conj()),
    lambda ctx, grad: mv(adjoint_of(ctx.first), grad),
    "beta * input + alpha * (mat @ vec).",
    _dense_added,
)
addr = _scaled(
    "addr",
    outer,
    lambda ctx, grad: mv(grad, ctx.second.conj()),
    lambda ctx, grad: mv(grad.t(), ctx.first.conj()),
    "beta * input + alpha * outer(vec1, vec2).",
    _outer_added,
)
baddbmm = _scaled(
    "baddbmm",
    bmm,
    lambda ctx, grad: bmm(grad, adjoint_of(ctx.second)),
    lambda ctx, grad: bmm(adjoint_of(ctx.first), grad),
    "beta * input + alpha * (batch1 @ batch2).",
    _batches_added,
)


def _each(ctx, grad: Tensor) -> Tensor:
    """The gradient of a sum over the batch, for every matrix of it."""
    return grad.expand((ctx.first.shape[0], *grad._size))


addbmm = _scaled(
    "addbmm",
    lambda a, b: bmm(a, b).sum(0),
    lambda ctx, grad: bmm(_each(ctx, grad), adjoint_of(ctx.second)),
    lambda ctx, grad: bmm(adjoint_of(ctx.first), _each(ctx, grad)),
    "beta * input + alpha * sum over the batch of batch1 @ batch2.",
)
_register("addmv", addmv, _dense_added)
_register("addr", addr, _outer_added)
_register("baddbmm", baddbmm, _batches_added)
_register("addbmm", addbmm)


def _rows_and_bias(bias: Tensor, mat1: Tensor, mat2: Tensor) -> Tensor | None:
    """mat1 @ mat2 + bias outside the graph for contiguous operands; None where anything is unusual."""
    x, y, b, d = mat1._flat, mat2._flat, bias._flat, mat1._dtype
    turned = False
    if y is None and mat2._device is cpu:
        right = dense_matrix(mat2)
        if right is not None:
            y, turned = right
    if b is None and bias._device is cpu:
        b = bias.flat()
    n, k = mat1._size
    rows, m = mat2._size
    if (
        x is None
        or y is None
        or b is None
        or (d is not float32 and d is not float64)
        or d is not mat2._dtype
        or k != rows
    ):
        return None
    result = _new(Tensor)
    result._flat = _kernels.mm(x, y, n, k, m, None, b, False, turned)
    result._size, result._stride, _ = dense((n, m))
    result._dtype = d
    return result


def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    if not _in_graph(input, mat1, mat2):
        result = _dense_added(input, mat1, mat2, beta, alpha, out)
        if result is not None:
            return result
    if (
        out is None
        and type(beta) is int
        and type(alpha) is int
        and beta == alpha == 1
        and len(input._size) == 1
        and len(mat1._size) == len(mat2._size) == 2
        and input._size[0] == mat2._size[1]
        and input._dtype is mat1._dtype
    ):
        result = None if _in_graph(input, mat1, mat2) else _rows_and_bias(input, mat1, mat2)
        return _addmm_bias(input, mat1, mat2) if result is None else result
    return _addmm(input, mat1, mat2, beta=beta, alpha=alpha, out=out)


_register("addmm", addmm, _dense_added)
