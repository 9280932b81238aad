"""Embedding tables: lookup, bags of rows, and one_hot."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from numtorch.graph import mode, no_grad
from numtorch.kernels.cpu import embedding as _kernels
from numtorch.kernels.cpu.embedding import MAX, MEAN, SUM
from numtorch.kernels.cpu.row_indexing import ADD

from .._compiled import Compiled
from .._copy import cast, cast_array, contiguous, copy_into
from .._device import cpu
from .._dtype import float32, int32, int64
from .._inplace import check_writable
from .._loops import check_devices
from .._primitive import Meta, primitive
from .._registry import op
from .._size import Size
from .._tensor import Tensor, wrap
from . import positions as at
from .gather_scatter import is_half

# --- lookup -------------------------------------------------------------------------------------------------


def _check_indices(indices: Tensor, name: str, rows: int, table: Tensor) -> np.ndarray:
    if indices._device is not table._device:
        check_devices((table, indices))
    if indices._dtype is not int64 and indices._dtype is not int32:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{indices._dtype.type_name}Tensor instead (while checking arguments for {name})"
        )
    flat = at.index_where_it_is(indices)
    bad = at.first_bad(flat, rows)
    if bad is not None:
        if name == "embedding_bag":
            raise RuntimeError(f"embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be {bad}")
        raise IndexError("index out of range in self")
    return flat


@primitive(node="EmbeddingBackward0", save=("indices",), name="embedding", method=False)
def _embedding(
    weight, indices, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """The rows of weight (rows, dim) at indices; the gradient skips padding_idx."""
    if len(weight._size) != 2:
        raise RuntimeError("'weight' must be 2-D")
    table, flat = weight._flat, indices._flat
    if flat is None and indices._device is cpu:
        flat = indices.flat()
    if table is not None and flat is not None and indices._dtype is int64 and weight._device is indices._device is cpu:
        rows, dim = weight._size
        out, bad = at.read_rows(table, flat, rows, 0, 1, dim)
        if bad >= 0:
            raise IndexError("index out of range in self")
        return wrap(out, Size((*indices._size, dim)), weight._dtype)
    flat = _check_indices(indices, "embedding", weight._size[0], weight)
    if weight._device is not cpu:
        from ..cuda._indexing import index_select

        return index_select(weight, 0, flat, indices._size.numel()).reshape(*indices._size, weight._size[1])
    places = at.along(weight, 0, flat)
    return wrap(at.read(weight, places), Size((*indices._size, weight._size[1])), weight._dtype)


def _table_gradient(ctx, grad):
    if ctx.sparse:
        raise NotImplementedError("embedding(): sparse gradients are not implemented; use sparse=False")
    return embedding_dense_backward(grad, ctx.indices, ctx.weight.shape[0], ctx.padding_idx, ctx.scale_grad_by_freq)


_embedding.derivative(weight=_table_gradient)


@primitive(node="EmbeddingDenseBackwardBackward0", save=("indices",), name="embedding_dense_backward", public=False)
def embedding_dense_backward(grad, indices, num_weights: int, padding_idx: int, scale_grad_by_freq: bool) -> Tensor:
    """The gradient of a table (num_weights, dim): each row of grad added at its index."""
    dim = grad._size[-1]
    rows, flat = grad._flat, indices._flat
    if rows is not None and flat is not None and indices._dtype is int64 and grad._device is indices._device is cpu:
        d = grad._dtype
        if not scale_grad_by_freq and d.np == d.compute and rows.size == flat.size * dim and rows.size:
            out = np.empty(num_weights * dim, d.np)
            if at.write_rows(rows[:0], True, flat, rows, num_weights, 0, int(padding_idx), 1, dim, ADD, out) < 0:
                return wrap(out, Size((num_weights, dim)), d)
    flat = _check_indices(indices, "embedding_backward", num_weights, grad)
    if grad._device is not cpu:
        return _dense_backward_of_parts(grad.detach(), indices, num_weights, padding_idx, scale_grad_by_freq)
    d = float32 if is_half(grad) else grad._dtype
    rows = cast_array(contiguous(grad)._flat, grad._dtype, d)
    out = np.zeros(num_weights * dim, d.np)
    _kernels.embedding_backward(rows, flat, dim, int(padding_idx), bool(scale_grad_by_freq), out)
    return cast(wrap(out, Size((num_weights, dim)), d), grad._dtype)


def _dense_backward_of_parts(grad, indices, num_weights: int, padding_idx: int, scale_grad_by_freq: bool) -> Tensor:
    """The same out of other operators, where there is no kernel for it."""
    index = indices.reshape(-1)
    rows = grad.reshape(-1, grad._size[-1]).masked_fill((index == padding_idx).unsqueeze(1), 0)
    if scale_grad_by_freq:
        ones = index.new_ones(index._size)
        counts = index.new_zeros(num_weights).index_add(0, index, ones)
        rows = rows / counts.index_select(0, index).unsqueeze(1).to(rows._dtype)
    return grad.new_zeros((num_weights, grad._size[-1])).index_add(0, index, rows)


def _dense_double(ctx, grad):
    """What a change of the table's gradient does to the rows that were added up."""
    found = grad.index_select(0, ctx.indices.reshape(-1))
    skipped = (ctx.indices.reshape(-1) == ctx.padding_idx).unsqueeze(1)
    found = found.masked_fill(skipped, 0)
    if ctx.scale_grad_by_freq:
        counts = ctx.indices.reshape(-1).bincount(minlength=ctx.num_weights)
        found = found / counts.index_select(0, ctx.indices.reshape(-1)).unsqueeze(1).to(found.dtype)
    return found.reshape(ctx.grad.shape)


embedding_dense_backward.derivative(grad=_dense_double)


@op(method=False)
def embedding_renorm_(weight, indices, max_norm: float, norm_type: float) -> Tensor:
    """Scale down in place those rows of weight in indices whose p-norm exceeds max_norm."""
    check_writable(weight)
    flat = _check_indices(indices, "embedding_renorm_", weight._size[0], weight)
    direct = weight.flat() is not None and not is_half(weight)
    table = contiguous(weight)._flat if direct else cast(contiguous(weight), float32)._flat
    _kernels.embedding_renorm(table, flat, weight._size[1], float(max_norm), float(norm_type))
    if not direct:
        copy_into(weight, wrap(table, weight._size, float32))
    weight._bump_version()
    return weight


def _padding_row(padding_idx: int | None, rows: int) -> int:
    """A negative padding_idx counts from the end; -1 stands for none."""
    if padding_idx is None:
        return -1
    if padding_idx >= 0:
        if padding_idx >= rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        return padding_idx
    if padding_idx < -rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return rows + padding_idx


def embedding(
    input,
    weight,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of weight (num_embeddings, dim) at input: result (*input.shape, dim).

    The row padding_idx gets no gradient. With max_norm the rows used are first scaled down, in place."""
    if len(weight._size) != 2:
        raise RuntimeError("'weight' must be 2-D")
    padding = _padding_row(padding_idx, weight._size[0])
    if max_norm is not None:
        with no_grad():
            embedding_renorm_(weight, input, max_norm, norm_type)
    result = _embedding.primitive.forward(weight, input, padding, scale_grad_by_freq, sparse)
    if weight._requires_grad and mode.enabled:
        table = Meta((weight._size, weight._dtype, weight._device, True))
        values = [table, None, padding, scale_grad_by_freq, sparse]
        _embedding.primitive.record_directly(values, (weight,), (input,), result)
    return result


# --- bags ---------------------------------------------------------------------------------------------------

_bag_ends = Compiled(_kernels.bag_ends, "ini")
_MODES = {"sum": SUM, "mean": MEAN, "max": MAX}


@primitive(node="EmbeddingBagBackward0", save=("weight", "per_sample_weights"), name="embedding_bag", public=False)
def _bag(weight, per_sample_weights, bags):
    d = float32 if is_half(weight) else weight._dtype
    table = cast_array(contiguous(weight)._flat, weight._dtype, d)
    dim = weight._size[1]
    count = bags.offsets.size - 1
    out = np.empty(count * dim, d.np)
    argmax = np.empty(out.size if bags.mode == MAX else 0, np.int64)
    scales = np.empty(0, d.np)
    if per_sample_weights is not None:
        scales = cast_array(contiguous(per_sample_weights)._flat, per_sample_weights._dtype, d)
    bags.sizes = np.empty(count, np.int64)
    forward = _kernels.embedding_bag_forward
    if bags.index.size * dim < at.PARALLEL_ELEMENTS:
        forward = getattr(forward, "serial", forward)
    forward(table, bags.index, bags.offsets, scales, dim, bags.mode, bags.padding, out, bags.sizes, argmax)
    bags.argmax = argmax
    return cast(wrap(out, Size((count, dim)), d), weight._dtype)


class Bags:
    """Which rows go to which bag, checked; and what the forward call found out about them."""

    def __init__(
        self,
        index: np.ndarray,
        offsets: np.ndarray,
        mode: int,
        padding: int,
        by_frequency: bool,
        sparse: bool,
    ):
        self.index, self.offsets = index, offsets
        self.mode, self.padding, self.by_frequency = mode, padding, by_frequency
        self.sparse = sparse
        self.sizes = self.argmax = None

    def tensor(self, flat: np.ndarray, *size: int) -> Tensor:
        return wrap(flat, size or (flat.size,), int64)

    def of_index(self) -> Tensor:
        """The bag of each index."""
        return self.tensor(np.repeat(np.arange(self.offsets.size - 1), np.diff(self.offsets)))


_bag.derivative_of("weight", "per_sample_weights")


@_bag.backward
def _(ctx, grad):
    bags, weight, scales = ctx.bags, ctx.weight, ctx.per_sample_weights
    if bags.sparse:
        raise NotImplementedError("embedding_bag(): sparse gradients are not implemented; use sparse=False")
    if bags.mode == MAX:
        rows = bags.tensor(bags.argmax.copy(), *grad.shape)
        grad = grad.masked_fill(rows < 0, 0)
        return {"weight": grad.new_zeros(weight.shape).scatter_add(0, rows.clamp(min=0), grad)}
    index = bags.tensor(bags.index)
    if bags.mode == MEAN:
        sizes = bags.tensor(np.maximum(bags.sizes, 1), bags.sizes.size, 1)
        grad = grad / sizes.to(grad.dtype)
    spread = grad.index_select(0, bags.of_index())
    found = {}
    if ctx.needs("weight"):
        scaled = spread if scales is None else spread * scales.unsqueeze(1)
        found["weight"] = embedding_dense_backward(scaled, index, weight.shape[0], bags.padding, bags.by_frequency)
    if scales is not None and ctx.needs("per_sample_weights"):
        products = (spread * weight.index_select(0, index)).sum(1)
        found["per_sample_weights"] = products.masked_fill(index == bags.padding, 0)
    return found


def _offsets_of(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> np.ndarray:
    """Where the bags begin, and the end of the last, checked."""
    total = input._size.numel()
    if len(input._size) == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        return np.arange(input._size[0] + 1) * input._size[1]
    if len(input._size) != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {len(input._size)}")
    if offsets is None or not isinstance(offsets, Tensor):
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if len(offsets._size) != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    flat = at.index_array(offsets)
    if include_last_offset and not flat.size:
        raise RuntimeError("include_last_offset: number of offsets should be at least 1")
    # (torch lets the last bag reach to the end of the input also where include_last_offset gives another
    # end.)
    ends = np.empty(flat.size + (not include_last_offset), np.int64)
    wrong = _bag_ends[ends.dtype](flat, total, ends)
    if wrong == 1:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, "
            f"got {flat[0]}"
        )
    if wrong == 2:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {total} but got offsets[-1] of {flat[-1]}"
        )
    if wrong:
        raise RuntimeError("offsets must not decrease")
    return ends


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights=None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of weight in each bag of indices.

    A 2-d input holds one bag a row; a 1-d input is cut at offsets. per_sample_weights (mode "sum") scale the rows."""
    if weight._dtype is int64 and input.is_floating_point():
        # The argument order of old releases.
        input, weight = weight, input
    if per_sample_weights is not None and input._size != per_sample_weights._size:
        raise ValueError(
            "embedding_bag: If per_sample_weights is not None, then it must have the same shape as the input"
        )
    if len(weight._size) != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {len(weight._size)}")
    if mode not in _MODES:
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got "
            f"mode='{mode}'). Please open a feature request on GitHub."
        )
    ends = _offsets_of(input, offsets, bool(include_last_offset))
    index = _check_indices(input, "embedding_bag", weight._size[0], weight)
    padding = _padding_row(padding_idx, weight._size[0])
    if max_norm is not None:
        with no_grad():
            embedding_renorm_(weight, input, max_norm, norm_type)
    scales = per_sample_weights.reshape(-1) if per_sample_weights is not None else None
    return _bag(weight, scales, Bags(index, ends, _MODES[mode], padding, bool(scale_grad_by_freq), bool(sparse)))


# --- one_hot ------------------------------------------------------------------------------------------------


#: Rows whose beginnings are kept.
_FEW_ROWS = 1024


@lru_cache(maxsize=64)
def _row_starts(rows: int, columns: int) -> np.ndarray:
    """Where the rows of a matrix begin."""
    return np.arange(rows) * columns


def one_hot(tensor, num_classes: int = -1) -> Tensor:
    """Rows of zeros with a one at each class number: (*tensor.shape, num_classes), int64."""
    if tensor._dtype is not int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    flat = contiguous(tensor)._flat
    if not flat.size:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return wrap(np.zeros(0, np.int64), (*tensor._size, num_classes), int64)
    greatest = int(flat.view(np.uint64).max())  # (a negative number is beyond all others so: one look for both ends)
    if greatest >> 63:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = greatest + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    elif greatest >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    out = np.zeros(flat.size * num_classes, np.int64)
    starts_of = _row_starts if flat.size <= _FEW_ROWS else _row_starts.__wrapped__
    out[starts_of(flat.size, num_classes) + flat] = 1
    return wrap(out, (*tensor._size, num_classes), int64)
