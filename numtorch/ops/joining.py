"""Tensors joined: cat, stack and their relatives, block_diag, and broadcasting to one size."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from numtorch.graph import Node, mode, next_sequence, rare, save, stamp
from numtorch.kernels.cpu import joining as _kernels
from numtorch.kernels.threads import get_num_threads

from .._allocator import empty
from .._copy import cast, copy_elements, layout_copy
from .._device import cpu
from .._dtype import COMPLEX, FLOATING, float32, float64, int64, promote_types, uint8
from .._inplace import write_out
from .._layout import plan as walk
from .._loops import check_devices
from .._primitive import primitive
from .._registry import op
from .._size import PublicSize, Size, contiguous_strides, wrap_dim
from .._tensor import Tensor, _new, strided, wrap
from . import positions as at


def _check_list(name: str, tensors) -> list[Tensor]:
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    if not tensors:
        raise RuntimeError(
            f"{name}(): expected a non-empty list of Tensors"
            if name == "cat"
            else f"{name} expects a non-empty TensorList"
        )
    return list(tensors)


_ndarray, _np_empty = np.ndarray, np.empty
#: Elements and dtypes of a pair that are joined in one call.
_PAIR = 4096
#: Elements of a result that is some runs of memory, up to which one thread copies it as fast as several.
_RUNS = 1 << 17
_PAIR_DTYPES = (float32, float64, int64, uint8)
_join_two = at.Compiled(_kernels.join_two, "xxnnx")
_join_four = at.compiled_pair(_kernels.join_four, "xxxxnnnnxnn")


@lru_cache(maxsize=1024)
def _joined_size(sizes: tuple, dim: int):
    """(size, stride, elements, lengths of a row of each part, whether there is one row) of tensors joined along dim.

    None where they do not fit, or one is empty."""
    first = sizes[0]
    ndim = len(first)
    if type(dim) is not int or not ndim or not -ndim <= dim < ndim:
        return None
    d = dim % ndim
    before, after = first[:d], first[d + 1 :]
    for size in sizes:
        if len(size) != ndim or size[:d] != before or size[d + 1 :] != after or 0 in size:
            return None
    inner = prod(after)
    size = Size((*before, sum([size[d] for size in sizes]), *after))
    return size, contiguous_strides(size), prod(size), tuple([size[d] * inner for size in sizes]), prod(before) == 1


@lru_cache(maxsize=1024)
def _stacked_size(sizes: tuple, dim: int):
    """The same of tensors of one size along a new dimension."""
    size = sizes[0]
    ndim = len(size) + 1
    if type(dim) is not int or 0 in size or not -ndim <= dim < ndim or any(other != size for other in sizes):
        return None
    d = dim % ndim
    joined = Size((*size[:d], len(sizes), *size[d:]))
    return joined, contiguous_strides(joined), prod(joined), (prod(size[d:]),) * len(sizes), prod(size[:d]) == 1


@lru_cache(maxsize=1024)
def _in_fours(lengths: tuple[int, ...]):
    """(length of a row, parts missing in the last four, (first part, the four lengths, where they start in a row) ...)."""
    missing = -len(lengths) % 4
    padded = lengths + (0,) * missing
    return sum(lengths), missing, [(i, *padded[i : i + 4], sum(padded[:i])) for i in range(0, len(padded), 4)]


def _join_pair(a: Tensor, b: Tensor, dim: int, plan_of, tensors) -> Tensor | None:
    """`_join_plain` of two small tensors, without its loops: what skip connections and recurrent cells do."""
    x, y, dtype = a._flat, b._flat, a._dtype
    if type(x) is not _ndarray or type(y) is not _ndarray or b._dtype is not dtype:
        return None
    plan = plan_of((a._size, b._size), dim)
    if plan is None or plan[2] >= _PAIR or dtype not in _PAIR_DTYPES:
        return None
    size, stride, numel, (n, m), _ = plan
    out = _np_empty(numel, x.dtype)
    _join_two[x.dtype](x, y, n, m, out)
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = out, size, stride, dtype
    if (a._requires_grad or b._requires_grad) and mode.enabled:
        _record_joined(tensors, dim, plan_of, result)
    return result


class JoinedNode(Node):
    """The node of cat and stack of tensors of one dtype that are joined along dimension `dim` in parts of `lengths`."""

    dim: int
    lengths: tuple[int, ...]

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None,) * len(self.next_nodes)
        found, start, dim = [], 0, self.dim
        for target, length in zip(self.next_nodes, self.lengths):
            found.append(None if target is None else self.part(grad, dim, start, length))
            start += length
        return tuple(found)


class CatBackward0(JoinedNode):
    @staticmethod
    def part(grad, dim, start, length) -> Tensor:
        return grad.narrow(dim, start, length)


class StackBackward0(JoinedNode):
    @staticmethod
    def part(grad, dim, start, length) -> Tensor:
        return grad.select(dim, start)


def _record_joined(tensors, dim: int, plan_of, result: Tensor) -> None:
    """Make `result` a result of the graph: tensors of one dtype that were joined by such a plan."""
    if result._dtype.category < FLOATING:
        return
    dim = dim if dim >= 0 else dim + len(result._size)
    if plan_of is _stacked_size:
        node = _new(StackBackward0)
        node.lengths = (1,) * len(tensors)
    else:
        node = _new(CatBackward0)
        node.lengths = tuple([t._size[dim] for t in tensors])
    node.dim = dim
    node.sequence_nr = next_sequence()
    edges, later_outputs = [], False
    for t in tensors:
        edge = None
        if t._requires_grad:
            edge = t._grad_fn or t._acc or t._edge() if t._base is None else t._edge()
            if t._output_nr:
                later_outputs = True
        edges.append(edge)
    node.next_nodes = tuple(edges)
    if later_outputs:
        node.next_nrs = tuple([t._output_nr for t in tensors])
    if rare.active:
        save(node, ())
    stamp(node, 4)  # whose caller's caller is cat or stack
    result._grad_fn = node
    result._requires_grad = True


def _copied_at_once(tensors, dim: int, plan_of) -> tuple[np.ndarray, tuple, bool] | None:
    """(elements, plan, whether the graph records it) of views of one storage that lie equally far apart.

    What unbind, chunk and indexing by numbers give back: one copy, and nothing is asked of each but where it lies."""
    first = tensors[0]
    storage, size, stride, dtype = first._storage, first._size, first._stride, first._dtype
    at_first = place = first._offset
    step, recorded = tensors[1]._offset - place, False
    for t in tensors:
        if t.__class__ is not Tensor or t._storage is not storage or t._offset != place or t._stride != stride:
            return None
        if t._size != size or t._dtype is not dtype:
            return None
        if t._requires_grad:
            recorded = True
        place += step
    count = len(tensors)
    plan = plan_of((size,) * count, dim)
    if plan is None:
        return None
    out = empty(plan[2], dtype.np)
    copy, bits = layout_copy(dtype.itemsize, plan[2])
    meta = _progression(size, stride, count, step, plan[1], dim if dim >= 0 else dim + len(plan[0]))
    copy(first._buffer().view(bits), at_first, out.view(bits), 0, meta)
    return out, plan, recorded


@lru_cache(maxsize=1024)
def _progression(size, stride, count: int, step: int, joined_stride, d: int) -> np.ndarray:
    """The walk of a copy that joins `count` parts, `step` elements apart, along dimension d of the result."""
    if len(joined_stride) == len(size):  # cat: the new dimension is counted in parts
        joined_stride = (*joined_stride[:d], size[d] * joined_stride[d], *joined_stride[d:])
    return walk((*size[:d], count, *size[d:]), (*stride[:d], step, *stride[d:]), joined_stride)


def _copied_each(tensors, dim: int, plan_of, dtype) -> tuple[np.ndarray, tuple, bool] | None:
    """The same of tensors of any layouts, part by part; None where they do not fit."""
    sizes, recorded = [], False
    for t in tensors:
        if not isinstance(t, Tensor) or t._dtype is not dtype or t._device is not cpu:
            return None
        if t._requires_grad:
            recorded = True
        sizes.append(t._size)
    plan = plan_of(tuple(sizes), dim)
    if plan is None:
        return None
    size, stride, numel, _, _ = plan
    d = dim if dim >= 0 else dim + len(size)
    out, start = empty(numel, dtype.np), 0
    copy, bits = layout_copy(dtype.itemsize, numel // len(tensors))
    to, step = out.view(bits), stride[d]
    within = stride if plan_of is _joined_size else (*stride[:d], *stride[d + 1 :])
    for t in tensors:
        copy(t._buffer().view(bits), t._offset, to, start, walk(t._size, t._stride, within))
        start += step * t._size[d] if plan_of is _joined_size else step
    return out, plan, recorded


def _join_plain(tensors, dim: int, plan_of) -> Tensor | None:
    """Tensors of one dtype that fit, the case that needs no thought; None for anything else."""
    if (type(tensors) is not list and type(tensors) is not tuple) or not tensors or type(dim) is not int:
        return None
    try:
        first = tensors[0]
        dtype, size, flats, alike, recorded = first._dtype, first._size, [], True, False
        for t in tensors:
            flat = t._flat
            if flat.__class__ is not _ndarray:  # None, or the array of another device
                return _join_views(tensors, dim, plan_of)
            if t._dtype is not dtype:
                return None
            if t._size is not size and t._size != size:
                alike = False
            if t._requires_grad:
                recorded = True
            flats.append(flat)
    except AttributeError:  # not a tensor
        return None
    plan = plan_of((size,) * len(flats) if alike else tuple([t._size for t in tensors]), dim)
    if plan is None:
        return None
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = _copied_flat(flats, plan), plan[0], plan[1], dtype
    if recorded and mode.enabled:
        _record_joined(tensors, dim, plan_of, result)
    return result


def _join_views(tensors, dim: int, plan_of) -> Tensor | None:
    """The same where some have not been asked for their elements yet, or have gaps."""
    first, copied = tensors[0], None
    dtype = first._dtype
    if len(tensors) > 1 and first._storage is not None and tensors[1]._storage is first._storage:
        copied = _copied_at_once(tensors, dim, plan_of) if first._device is cpu else None
    if copied is None:
        flats, recorded = [], False
        for t in tensors:
            if t._dtype is not dtype or t._device is not cpu:
                return None
            flat = t.flat()
            if flat is None:
                copied = _copied_each(tensors, dim, plan_of, dtype)
                if copied is None:
                    return None
                break
            if t._requires_grad:
                recorded = True
            flats.append(flat)
    if copied is None:
        plan = plan_of(tuple([t._size for t in tensors]), dim)
        if plan is None:
            return None
        out = _copied_flat(flats, plan)
    else:
        out, plan, recorded = copied
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = out, plan[0], plan[1], dtype
    if recorded and mode.enabled:
        _record_joined(tensors, dim, plan_of, result)
    return result


def _copied_flat(flats: list, plan) -> np.ndarray:
    """The elements of contiguous parts joined by such a plan."""
    _, _, numel, lengths, is_one_row = plan
    if is_one_row and numel < _RUNS:
        return np.concatenate(flats)
    d = flats[0].dtype
    step, missing, fours = _in_fours(lengths)
    if is_one_row and get_num_threads() == 1:
        # Along the first dimension: runs of memory, one after the other.
        return np.concatenate(flats, out=empty(numel, d))
    out = to = empty(numel, d)
    if d.type not in at.MOVED_ITSELF:
        wide = d.itemsize == 16  # two numbers of 8 bytes
        moved = np.float64 if wide else at.moved_as(d)
        flats = [flat.view(moved) for flat in flats]
        to = out.view(moved)
        if wide:
            step, missing, fours = _in_fours(tuple([2 * length for length in lengths]))
    kernel = _join_four[numel >= at.PARALLEL_ELEMENTS][to.dtype]
    if missing:
        flats += [to[:0]] * missing
    for i, n, m, k, p, start in fours:
        kernel(flats[i], flats[i + 1], flats[i + 2], flats[i + 3], n, m, k, p, to, start, step)
    return out


@op(method=False, aliases=("concat", "concatenate"))
def cat(tensors, dim: int = 0, *, out=None) -> Tensor:
    """Tensors one after the other along a dimension; their other sizes must agree."""
    if out is None:
        kind = tensors.__class__
        if (kind is tuple or kind is list) and len(tensors) == 2:
            a, b = tensors
            if a.__class__ is Tensor and b.__class__ is Tensor:
                joined = _join_pair(a, b, dim, _joined_size, tensors)
                if joined is not None:
                    return joined
        joined = _join_plain(tensors, dim, _joined_size)
        return _cat(tensors, dim) if joined is None else joined
    return write_out(_cat(tensors, dim), out, "cat")


@primitive(name="cat", node="CatBackward0", public=False)
def _cat(tensors, dim: int = 0):
    tensors = _check_list("cat", tensors)
    # torch lets legacy empty 1-D tensors pass in any company.
    real = [t for t in tensors if t._size != (0,)] or tensors[:1]
    first = real[0]
    if not first._size:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    d = wrap_dim(dim, len(first._size))
    dtype = tensors[0]._dtype
    for t in tensors[1:]:
        if t._dtype is not dtype:
            dtype = promote_types(dtype, t._dtype)
        if t._device is not first._device:
            check_devices(tensors)
    total = 0
    size = first._size
    for i, t in enumerate(tensors):
        if t._size == (0,) and len(size) != 1:
            continue
        if len(t._size) != len(size):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(size)} and {len(t._size)}")
        for k, (n, m) in enumerate(zip(size, t._size)):
            if k != d and n != m:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size {n} but got size {m} for tensor "
                    f"number {i} in the list."
                )
        total += t._size[d]
    out_size = Size((*size[:d], total, *size[d + 1 :]))
    if first._device is not cpu:
        from ..cuda._transfer import cat_on_cuda

        return cat_on_cuda(real, d, out_size, dtype)
    out = empty(out_size.numel(), dtype.np)
    result = wrap(out, out_size, dtype)
    start = 0
    if d == 0:
        # Parts along the first dimension are runs of memory.
        for t in real:
            n = t._size.numel()
            if t._dtype is not dtype:
                t = cast(t, dtype)
            flat = t.flat()
            if flat is not None:
                out[start : start + n] = flat
            else:
                copy_elements(t, wrap(out[start : start + n], t._size, dtype))
            start += n
        return result
    storage = result._get_storage()
    for t in real:
        if t._dtype is not dtype:
            t = cast(t, dtype)
        copy_elements(t, strided(storage, t._size, result._stride, start * result._stride[d], dtype))
        start += t._size[d]
    return result


def _cat_backward(ctx, grad):
    needed = ctx.needs_each("tensors")
    metas = ctx.tensors
    ndim = grad.dim()
    d = wrap_dim(ctx.dim, ndim)
    grads, start = [], 0
    for meta, need in zip(metas, needed):
        if meta.ndim != ndim:
            grads.append(grad.new_zeros(meta.shape, dtype=meta.dtype) if need else None)
            continue
        n = meta.shape[d]
        part = None
        if need:
            part = grad.narrow(d, start, n)
            if part.dtype is not meta.dtype:
                part = part.to(meta.dtype)
        grads.append(part)
        start += n
    return grads


_cat.derivative(tensors=_cat_backward)


@op(method=False)
def stack(tensors, dim: int = 0, *, out=None) -> Tensor:
    """Tensors of one size along a new dimension."""
    if out is None:
        kind = tensors.__class__
        if (kind is tuple or kind is list) and len(tensors) == 2:
            a, b = tensors
            if a.__class__ is Tensor and b.__class__ is Tensor:
                stacked = _join_pair(a, b, dim, _stacked_size, tensors)
                if stacked is not None:
                    return stacked
        stacked = _join_plain(tensors, dim, _stacked_size)
        return _stack(tensors, dim) if stacked is None else stacked
    return write_out(_stack(tensors, dim), out, "stack")


@primitive("stack", node="StackBackward0", public=False)
def _stack(tensors, dim: int = 0):
    tensors = _check_list("stack", tensors)
    size = tensors[0]._size
    for i, t in enumerate(tensors):
        if t._size != size:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(size)} at entry 0 and {list(t._size)} at entry "
                f"{i}"
            )
    d = wrap_dim(dim, len(size) + 1)
    return cat([t.detach().unsqueeze(d) for t in tensors], d)


def _stack_backward(ctx, grad):
    d = wrap_dim(ctx.dim, grad.dim())
    return [
        grad.select(d, i).to(meta.dtype) if need else None
        for i, (meta, need) in enumerate(zip(ctx.tensors, ctx.needs_each("tensors")))
    ]


_stack.derivative(tensors=_stack_backward)


def _at_least(n: int, t: Tensor) -> Tensor:
    if n == 1:
        return t.reshape(1) if not t._size else t
    if n == 2:
        return t.reshape(1, 1) if not t._size else t.unsqueeze(0) if len(t._size) == 1 else t
    if not t._size:
        return t.reshape(1, 1, 1)
    if len(t._size) == 1:
        return t.unsqueeze(0).unsqueeze(-1)
    return t.unsqueeze(-1) if len(t._size) == 2 else t


def _register_at_least(n: int):
    def call(*tensors) -> Tensor | tuple[Tensor, ...]:
        if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
            tensors = tensors[0]
            return tuple(_at_least(n, t) for t in tensors)
        if len(tensors) == 1:
            return _at_least(n, tensors[0])
        return tuple(_at_least(n, t) for t in tensors)

    call.__name__ = f"atleast_{n}d"
    call.__doc__ = f"Tensors with leading (for 3: also trailing) dimensions of size 1, so that they have at least {n}."
    return op(method=False)(call)


atleast_1d, atleast_2d, atleast_3d = (_register_at_least(n) for n in (1, 2, 3))


def _are_matrices(tensors) -> bool:
    """Whether these are tensors of two dimensions or more, in a list or tuple: what vstack joins as they are."""
    if type(tensors) is not list and type(tensors) is not tuple:
        return False
    for t in tensors:
        if t.__class__ is not Tensor or len(t._size) < 2:
            return False
    return bool(tensors)


def _are_vectors(tensors) -> bool:
    """Whether these are vectors of one length outside the graph: to stack them is one step, without a view of each."""
    if (tensors.__class__ is not list and tensors.__class__ is not tuple) or not tensors:
        return False
    size = getattr(tensors[0], "_size", ())
    if len(size) != 1:
        return False
    recording = mode.enabled
    return all(t.__class__ is Tensor and t._size == size and not (recording and t._requires_grad) for t in tensors)


@op(method=False, out=True)
def hstack(tensors) -> Tensor:
    """Side by side: along dimension 1, or 0 for vectors."""
    if (tensors.__class__ is not list and tensors.__class__ is not tuple) or not tensors:
        tensors = _check_list("hstack", tensors)
    for t in tensors:
        if not isinstance(t, Tensor) or not t._size:
            tensors = [_at_least(1, t) for t in _check_list("hstack", tensors)]
            break
    return cat(tensors, 0 if len(tensors[0]._size) == 1 else 1)


@op(method=False, out=True, aliases=("row_stack",))
def vstack(tensors) -> Tensor:
    """Below each other: along dimension 0, vectors as rows."""
    if _are_vectors(tensors):
        return stack(tensors)
    if _are_matrices(tensors):
        return cat(tensors)
    return cat([_at_least(2, t) for t in _check_list("vstack", tensors)], 0)


@op(method=False, out=True)
def dstack(tensors) -> Tensor:
    """Behind each other: along dimension 2."""
    if _are_vectors(tensors):
        return stack(tensors, 1).unsqueeze(0)
    return cat([_at_least(3, t) for t in _check_list("dstack", tensors)], 2)


@op(method=False, out=True)
def column_stack(tensors) -> Tensor:
    """Side by side, vectors as columns."""
    if _are_vectors(tensors):
        return stack(tensors, 1)
    columns = [t.reshape(t._size.numel(), 1) if len(t._size) <= 1 else t for t in _check_list("column_stack", tensors)]
    return hstack(columns)


@op(method=False)
def block_diag(*tensors) -> Tensor:
    """Matrices along the diagonal of one that is zero elsewhere."""
    for i, t in enumerate(tensors):
        if len(t._size) > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {len(t._size)} dimensions"
            )
    return _block_diagonal(tensors)


@primitive("block_diag", node="BlockDiagBackward0", public=False)
def _block_diagonal(tensors):
    dtype = tensors[0]._dtype
    for t in tensors[1:]:
        if t._dtype is not dtype:
            dtype = promote_types(dtype, t._dtype)
    if all(t._device is cpu for t in tensors):
        sizes = [(1, 1, *t._size)[-2:] for t in tensors]
        out = np.zeros((sum([n for n, _ in sizes]), sum([m for _, m in sizes])), dtype.np)
        row = column = 0
        for t, (n, m) in zip(tensors, sizes):
            values = t if t._dtype is dtype else cast(t, dtype)
            out[row : row + n, column : column + m] = values._nd().reshape(n, m)
            row += n
            column += m
        return wrap(out.reshape(-1), Size(out.shape), dtype)
    blocks = [_at_least(2, t.detach()) for t in tensors]
    columns = sum(b._size[1] for b in blocks)
    rows, before = [], 0
    for b in blocks:
        n, m = b._size
        left = b.new_zeros(n, before, dtype=dtype)
        right = b.new_zeros(n, columns - before - m, dtype=dtype)
        rows.append(cat([left, b.to(dtype), right], 1))
        before += m
    return cat(rows, 0)


def _blocks(ctx, grad):
    """Of each matrix: its part of the gradient."""
    found, row, column = [], 0, 0
    for meta in ctx.tensors:
        n, m = (1, 1, *meta.shape)[-2:]
        part = grad.narrow(0, row, n).narrow(1, column, m).reshape(meta.shape)
        if part._dtype.category == COMPLEX and meta.dtype.category != COMPLEX:
            part = part.real
        found.append(part.to(meta.dtype))
        row, column = row + n, column + m
    return found


_block_diagonal.derivative(tensors=_blocks)


@op(method=False)
def broadcast_tensors(*tensors) -> tuple[Tensor, ...]:
    """Each tensor expanded to the size that they broadcast to."""
    from .._size import broadcast_sizes

    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    size = broadcast_sizes(*[t._size for t in tensors])
    return tuple(t if t._size == size else t.expand(size) for t in tensors)


@op(method=False)
def broadcast_shapes(*shapes) -> Size:
    """The size that tensors of these shapes broadcast to."""
    from .._size import broadcast_sizes

    try:
        return PublicSize(broadcast_sizes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes]))
    except RuntimeError as error:
        raise RuntimeError("Shape mismatch: objects cannot be broadcast to a single shape") from error


@op(method=False)
def meshgrid(*tensors, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinate grids of 1-D (or 0-d) tensors; `indexing` "ij" (rows first) or "xy"."""
    import warnings

    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    for t in tensors:
        if len(t._size) > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {t}")
        if t._dtype is not tensors[0]._dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    sizes = [t._size.numel() for t in tensors]
    grids = []
    for i, t in enumerate(tensors):
        shape = [1] * len(sizes)
        shape[i] = sizes[i]
        grids.append(t.reshape(shape).expand(sizes))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)
