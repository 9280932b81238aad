"""Products of float32 and float64 tensors outside the graph, and the nodes whose gradients are such products.

`multiplied` reads both operands where they lie, transposed or not, strided, expanded: no copy is made of either. The
nodes below call it for a first derivative; a recorded one (create_graph=True) is written in differentiable operators.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from numtorch.graph import Node, mode, next_sequence, rare, save, stamp, unpack
from numtorch.kernels.cpu.matmul import bmm, in_small_batch, kernels_of, mm, scaled_matmul
from numtorch.kernels.cpu.small_matmul import is_small

from ._device import cpu
from ._dtype import FLOATING, float32, float64
from ._size import broadcast_size, dense, expanded_strides
from ._tensor import Tensor, _new

# Elements from which a product over a dimension of one is an ordinary product: the tiles would make one multiply-add of
# every load and store.
_OUTER = 2**15

#: The compiled kernels of the two dtypes whose products are ours.
singles, doubles = kernels_of("float32"), kernels_of("float64")


@lru_cache(maxsize=4096)
def matrix_sizes(a, b):
    """Of the product of a matrix and a matrix or a vector of these sizes: (n, k, m), size, strides, number of elements.

    Behind them whether the loop for small matrices computes it, as b is stored and with b stored transposed, for which
    the callers skip the way that looks for the kernel. None where the sizes do not match.
    """
    if len(a) != 2 or not 1 <= len(b) <= 2 or a[1] != b[0]:
        return None
    (n, k), m = a, (*b, 1)[1]
    size, stride, count = dense((n, *b[1:]))
    return (n, k, m), size, stride, count, count > 0 and is_small(n, k, m, False), count > 0 and is_small(n, k, m, True)


@lru_cache(maxsize=4096)
def batch_sizes(a, b, is_single: bool):
    """Of the products of two batches of matrices: (batch, n, k, m), size, strides, number of elements, and whether the
    loop for small matrices computes them; None where the sizes do not match."""
    if not len(a) == len(b) == 3 or a[0] != b[0] or a[2] != b[1]:
        return None
    sizes = (*a, b[2])
    size, stride, count = dense((a[0], a[1], b[2]))
    width = (singles if is_single else doubles).width
    return sizes, size, stride, count, count > 0 and in_small_batch(*sizes, width)


def is_plain(a: Tensor, b: Tensor) -> bool:
    """Whether our own kernels multiply these: both float32 or both float64, on the CPU."""
    d = a._dtype
    return d is b._dtype and d.category == FLOATING and d.np is d.compute and a._device is cpu and b._device is cpu


def _result(flat, size, dtype) -> Tensor:
    result = _new(Tensor)
    result._flat = flat
    result._size, result._stride, _ = dense(size)
    result._dtype = dtype
    return result


def dense_matrix(t: Tensor, transposed: bool = False) -> tuple[np.ndarray, bool] | None:
    """(flat buffer, whether it holds the transpose of what is meant), or None for a matrix that is not dense."""
    flat = t._flat
    if flat is not None:
        return flat, transposed
    rows, columns = t._size
    first, second = t._stride
    if second == 1 and first == columns:
        return t.flat(), transposed
    if first == 1 and second == rows:
        return t._buffer()[t._offset : t._offset + rows * columns], not transposed
    return None


def are_apart(flat, *tensors: Tensor) -> bool:
    """Whether a buffer shares no memory with those of the tensors, so that it can be written while they are read."""
    is_view = flat.base is not None
    for t in tensors:
        buffer = t._flat
        if buffer is None:
            buffer = t._buffer()
        # Arrays that own their memory share it with none that does.
        if buffer is flat or ((is_view or buffer.base is not None) and np.may_share_memory(buffer, flat)):
            return False
    return True


def multiplied_into(out, a: Tensor, b: Tensor, rank: int) -> bool:
    """Write the product of a and b (b a vector, a matrix or a batch of matrices, by `rank`) straight into `out`.

    False, and nothing has happened, where one of the three is unusual.
    """
    d = a._dtype
    if (
        out.__class__ is not Tensor
        or (flat := out._flat) is None
        or (d is not float32 and d is not float64)
        or d is not b._dtype
        or d is not out._dtype
        or (mode.enabled and (out._requires_grad or a._requires_grad or b._requires_grad))
        or a._device is not cpu
        or b._device is not cpu
        or out._device is not cpu
        or not flat.size
        or len(b._size) != rank
    ):
        return False
    x, y = a._flat, b._flat
    # Arrays that own their memory share it with none that does.
    apart = (
        x is not None and y is not None and flat is not x and flat is not y and flat.base is x.base is y.base is None
    )
    if not (apart or are_apart(flat, a, b)):
        return False
    kernels = singles if d is float32 else doubles
    found = matrix_sizes(a._size, b._size)
    if found is not None:
        (n, k, m), size, _, _, small, small_turned = found
        turned_x = turned_y = False
        if x is None or y is None:
            left = dense_matrix(a)
            right = dense_matrix(b) if rank == 2 else (b._flat, False) if b.flat() is not None else None
            if left is None or right is None:
                return False
            (x, turned_x), (y, turned_y) = left, right
        if out._size != size:
            return False
        if small_turned if turned_y else small:
            kernels.small(x, turned_x, y, turned_y, kernels.none, flat, n, k, m)
        else:
            mm(x, y, n, k, m, flat, None, turned_x, turned_y)
    else:
        found = batch_sizes(a._size, b._size, d is float32)
        if found is None or out._size != found[1]:
            return False
        multiply_batches(kernels, a, b, found, kernels.none, flat)
    storage = out._storage
    if storage is None:
        out._bump_version()
    else:
        storage.version += 1
    return True


def multiply_batches(kernels, a: Tensor, b: Tensor, found, start, flat) -> None:
    """flat = a b for batches of matrices, of which `batch_sizes` has found something to compute."""
    (batch, n, k, m), _, _, _, small = found
    x, y, x0, y0 = a._flat, b._flat, 0, 0
    if x is None:
        x, x0 = a._buffer(), a._offset
    if y is None:
        y, y0 = b._buffer(), b._offset
    if small:
        kernels.bmm_small_part(x, x0, a._stride, y, y0, b._stride, start, flat, 0, batch, n, k, m)
    else:
        bmm(x, x0, a._stride, y, y0, b._stride, batch, n, k, m, flat)


def multiplied_batches(a: Tensor, b: Tensor) -> Tensor | None:
    """The products of two batches of matrices, outside the graph; None where they are not plain or sizes differ."""
    d = a._dtype
    if (d is not float32 and d is not float64) or d is not b._dtype or a._device is not cpu or b._device is not cpu:
        return None
    found = batch_sizes(a._size, b._size, d is float32)
    if found is None:
        return None
    sizes, size, stride, count, small = found
    if not small:
        return multiplied(a, b)
    result = _new(Tensor)
    result._size, result._stride, result._dtype = size, stride, d
    kernels = singles if d is float32 else doubles
    result._flat = flat = np.empty(count, d.np)
    multiply_batches(kernels, a, b, found, kernels.none, flat)
    return result


def _joins(t: Tensor) -> bool:
    """Whether one stride leads through both of the first two dimensions, so that they are one to the kernels."""
    return t._stride[0] == t._stride[1] * t._size[1] or t._size[0] == 1


def multiplied(a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    """op(a) op(b), where op may swap the last two dimensions; batch dimensions in front of them broadcast.

    For tensors of which `is_plain` holds, with matching sizes. The result is fresh and outside the graph.
    """
    rank = len(a._size)
    if rank == len(b._size) == 2:
        left, right = dense_matrix(a, transpose_a), dense_matrix(b, transpose_b)
        if left is not None and right is not None:
            k, n = a._size if transpose_a else a._size[::-1]
            m = b._size[0] if transpose_b else b._size[1]
            flat = mm(left[0], right[0], n, k, m, None, None, left[1], right[1])
            return _result(flat, (n, m), a._dtype)
    elif rank == len(b._size) == 3 and a._size[0] == b._size[0]:
        batch, n, k = a._size
        m = b._size[1 if transpose_b else 2]
        return _multiplied_batches(a, a._stride, b, b._stride, batch, n, k, m, (batch,), transpose_a, transpose_b)
    elif rank == len(b._size) == 4 and a._size[:2] == b._size[:2] and _joins(a) and _joins(b):
        outer, inner, n, k = a._size
        m = b._size[2 if transpose_b else 3]
        sa, sb, lead = a._stride[1:], b._stride[1:], (outer, inner)
        return _multiplied_batches(a, sa, b, sb, outer * inner, n, k, m, lead, transpose_a, transpose_b)
    return multiplied_and_added(a, b, transpose_a, transpose_b)


def _multiplied_batches(a, sa, b, sb, batch: int, n: int, k: int, m: int, lead, transpose_a, transpose_b) -> Tensor:
    """`multiplied` for batches of matrices, with the strides of the batch, rows and columns; `lead` is the result's
    batch size, n and k are those of a as it is stored."""
    if transpose_a:
        n, k, sa = k, n, (sa[0], sa[2], sa[1])
    if transpose_b:
        sb = (sb[0], sb[2], sb[1])
    if k == 1 and batch * n * m >= _OUTER:
        return a.detach().reshape(*lead, n, 1) * b.detach().reshape(*lead, 1, m)
    result = _new(Tensor)
    result._size, result._stride, count = dense((*lead, n, m))
    result._dtype = d = a._dtype
    result._flat = flat = np.empty(count, d.np)
    if count:
        x, y, x0, y0 = a._flat, b._flat, 0, 0
        if x is None:
            x, x0 = a._buffer(), a._offset
        if y is None:
            y, y0 = b._buffer(), b._offset
        bmm(x, x0, sa, y, y0, sb, batch, n, k, m, flat)
    return result


def multiplied_by_vector(a: Tensor, x: Tensor) -> Tensor:
    """a x for a matrix (n, k) and a vector (k), as `multiplied`."""
    n, k = a._size
    left, vector = dense_matrix(a), x.flat()
    if left is not None and vector is not None:
        flat = mm(left[0], vector, n, k, 1, None, None, left[1])
    else:
        flat = np.empty(n, a._dtype.np)
        if n:
            scaled_matmul(
                a._buffer(), a._offset, a._size, a._stride,
                x._buffer(), x._offset, (k, 1), (x._stride[0], 1), flat,
            )  # fmt: skip
    return _result(flat, (n,), a._dtype)


def _turned(numbers):
    """Sizes or strides with the last two swapped."""
    return (*numbers[:-2], numbers[-1], numbers[-2])


def _expanded(shape, strides, batch):
    """Sizes and strides with the batch dimensions `batch`, of stride 0 where they repeat."""
    lead = len(batch) - (len(shape) - 2)
    steps = [0] * lead
    for size, step in zip(shape[:-2], strides):
        steps.append(0 if size == 1 else step)
    return (*batch, *shape[-2:]), (*steps, *strides[-2:])


def multiplied_and_added(
    a: Tensor, b: Tensor, transpose_a=False, transpose_b=False, start: Tensor | None = None, alpha=1.0, beta=1.0
) -> Tensor:
    """alpha * op(a) op(b) + beta * start, as `multiplied`; `start` broadcasts to the product."""
    a_shape, a_strides = a._size, a._stride
    b_shape, b_strides = b._size, b._stride
    if transpose_a:
        a_shape, a_strides = _turned(a_shape), _turned(a_strides)
    if transpose_b:
        b_shape, b_strides = _turned(b_shape), _turned(b_strides)
    batch = a_shape[:-2]
    if batch != b_shape[:-2]:
        batch = broadcast_size(batch, b_shape[:-2])
        a_shape, a_strides = _expanded(a_shape, a_strides, batch)
        b_shape, b_strides = _expanded(b_shape, b_strides, batch)
    result = _new(Tensor)
    result._size, result._stride, count = dense((*a_shape[:-1], b_shape[-1]))
    result._dtype = a._dtype
    result._flat = out = np.empty(count, a._dtype.np)
    if count:
        added = None
        if start is not None:
            if start._size == result._size:
                strides = start._stride
            else:
                strides = expanded_strides(start._size, start._stride, result._size)
            if strides[-1] != 1 and result._size[-1] > 1:
                start = start.detach().contiguous()
                strides = expanded_strides(start._size, start._stride, result._size)
            if strides[-1] != 1 and result._size[-1] > 1:
                # One number for a whole row: written out, since the kernel reads rows.
                start = start.detach().expand(result._size).contiguous()
                strides = start._stride
            added = (start._buffer(), start._offset, strides[:-1])
        scaled_matmul(
            a._buffer(), a._offset, a_shape, a_strides, b._buffer(), b._offset, b_shape, b_strides, out, added,
            float(alpha), float(beta),
        )  # fmt: skip
    return result


class ProductBackward(Node):
    """The node of a product of two tensors; subclasses have torch's names and the operator for a recorded backward."""

    multiply = None  # (a, b) -> their product, differentiable

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None, None)
        a, b = unpack(self)
        to_a, to_b = self.next_nodes
        grad_a = grad_b = None
        if mode.enabled or not is_plain(a, b) or not is_plain(grad, b):
            multiply = type(self).multiply
            if to_a is not None:
                grad_a = multiply(grad, b.transpose(-2, -1))
            if to_b is not None:
                grad_b = multiply(a.transpose(-2, -1), grad)
        else:
            if to_a is not None:
                grad_a = multiplied(grad, b, False, True)
            if to_b is not None:
                grad_b = multiplied(a, grad, True, False)
        # Batch dimensions that were broadcast are summed over.
        if grad_a is not None and grad_a._size != a._size:
            grad_a = grad_a.sum_to_size(a._size)
        if grad_b is not None and grad_b._size != b._size:
            grad_b = grad_b.sum_to_size(b._size)
        return (grad_a, grad_b)


def recorded(node_class, result: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`result` as the product of `a` and `b` in the graph, if a graph is wanted."""
    if mode.enabled and (a._requires_grad or b._requires_grad):
        node = _new(node_class)
        node.sequence_nr = next_sequence()
        node.next_nodes = (a._edge() if a._requires_grad else None, b._edge() if b._requires_grad else None)
        if a._output_nr or b._output_nr:
            node.next_nrs = (a._output_nr, b._output_nr)
        if rare.active:
            save(node, (a, b))
        else:
            node.saved, node.versions = (a, b), (a._version, b._version)
        stamp(node, 3)
        result._grad_fn, result._requires_grad = node, True
    return result
