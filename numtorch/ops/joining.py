"""Tensors joined: cat, stack and their relatives; and tensors repeated, rolled and flipped."""

from __future__ import annotations

import numpy as np

from .._copy import cast, copy_elements
from .._device import cpu
from .._dtype import COMPLEX, promote_types
from .._inplace import write_out
from .._loops import check_devices
from .._primitive import primitive
from .._registry import op
from .._size import PublicSize, Size, flatten_sizes, wrap_dim, wrap_dims
from .._tensor import Tensor, _new, strided, wrap
from .reducing import check_cpu


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


def _join_vectors(tensors):
    """Contiguous vectors of one dtype, the case that needs no thought; None for anything else."""
    flats, dtype = [], None
    for t in tensors:
        flat = getattr(t, "_flat", None)
        if flat is None or t._requires_grad or len(t._size) != 1:
            return None
        if t._dtype is not dtype:
            if flats:
                return None
            dtype = t._dtype
        flats.append(flat)
    if not flats:
        return None
    out = np.concatenate(flats)
    result = _new(Tensor)
    result._flat = out
    result._size = Size(out.shape)
    result._stride = (1,)
    result._dtype = dtype
    return result


@op(method=False, aliases=("concat", "concatenate"))
def cat(tensors, dim: int = 0, *, out=None) -> Tensor:
    """Tensors one after the other along a dimension; their other sizes must agree."""
    if out is None:
        joined = _join_vectors(tensors) if dim == 0 or dim == -1 else None
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
    out = np.empty(out_size.numel(), dtype.np)
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
            grads.append(grad.new_zeros(meta.shape) if need else None)
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


@primitive(node="StackBackward0", method=False, out=True)
def stack(tensors, dim: int = 0):
    """Tensors of one size along a new dimension."""
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


stack.derivative(tensors=_stack_backward)


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
    def call(*tensors):
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


@op(method=False, out=True)
def hstack(tensors) -> Tensor:
    """Side by side: along dimension 1, or 0 for vectors."""
    tensors = [_at_least(1, t) for t in _check_list("hstack", tensors)]
    return cat(tensors, 0 if len(tensors[0]._size) == 1 else 1)


@op(method=False, out=True, aliases=("row_stack",))
def vstack(tensors) -> Tensor:
    """Below each other: along dimension 0, vectors as rows."""
    return cat([_at_least(2, t) for t in _check_list("vstack", tensors)], 0)


@op(method=False, out=True)
def dstack(tensors) -> Tensor:
    """Behind each other: along dimension 2."""
    return cat([_at_least(3, t) for t in _check_list("dstack", tensors)], 2)


@op(method=False, out=True)
def column_stack(tensors) -> Tensor:
    """Side by side, vectors as columns."""
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
    blocks = [_at_least(2, t.detach()) for t in tensors]
    columns = sum(b._size[1] for b in blocks)
    dtype = blocks[0]._dtype
    for b in blocks[1:]:
        dtype = promote_types(dtype, b._dtype)
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


# -- repeated ---------------------------------------------------------------------------------------------------------


@op(function=False)
def repeat(self, *sizes, repeats=None) -> Tensor:
    """The tensor side by side, `sizes[i]` times along dimension i (leading dimensions are added)."""
    sizes = flatten_sizes(sizes if repeats is None else (repeats,), "repeats")
    old = self._size
    lead = len(sizes) - len(old)
    if lead < 0:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(sizes)}: {list(sizes)}")
    return _repeated(self, sizes)


def _interleaved(size, sizes) -> list[int]:
    """(times, length) of each dimension of `size` repeated, one after the other."""
    padded = (1,) * (len(sizes) - len(size)) + tuple(size)
    return [n for pair in zip(sizes, padded) for n in pair]


@primitive("repeat", node="RepeatBackward0", public=False)
def _repeated(self, sizes):
    target = _interleaved(self._size, sizes)
    final = [times * n for times, n in zip(target[::2], target[1::2])]
    once = _interleaved(self._size, (1,) * len(sizes))
    return self.detach().reshape(once).expand(target).clone().reshape(final)


def _repeated_rule(ctx, grad):
    if not ctx.sizes:
        return grad
    return (
        grad.reshape(_interleaved(ctx.self.shape, ctx.sizes))
        .sum(list(range(0, 2 * len(ctx.sizes), 2)))
        .reshape(ctx.self.shape)
    )


_repeated.derivative(self=_repeated_rule)


@op()
def tile(input, *args, dims=None) -> Tensor:
    """`repeat` that leaves leading dimensions alone where fewer numbers are given."""
    dims = flatten_sizes(args if dims is None else (dims,), "dims")
    missing = len(input._size) - len(dims)
    return repeat(input, (1,) * max(missing, 0) + dims)


@op()
def flip(input, *args, dims=None) -> Tensor:
    """The order of elements reversed along the dimensions given."""
    return _flipped(input, wrap_dims(flatten_sizes(args if dims is None else (dims,), "dims"), len(input._size)))


@primitive(node="FlipBackward0", public=False)
def _flipped(self, dims):
    check_cpu(self, "flip")
    # A copy that reads backwards: the source starts at its last element along each dimension.
    size, stride, offset = self._size, list(self._stride), self._offset
    out = wrap(np.empty(size.numel(), self._dtype.np), size, self._dtype)
    if 0 not in size:
        for d in dims:
            offset += (size[d] - 1) * stride[d]
            stride[d] = -stride[d]
        source = strided(self._get_storage(), size, stride, offset, self._dtype)
        copy_elements(source, out)
    return out


_flipped.derivative(self=lambda ctx, grad: _flipped(grad, ctx.dims))


@op()
def fliplr(input) -> Tensor:
    """Columns in reverse order."""
    if len(input._size) < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@op()
def flipud(input) -> Tensor:
    """Rows in reverse order."""
    if len(input._size) < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@op()
def roll(input, shifts, dims=None) -> Tensor:
    """Elements shifted along dimensions; what leaves at the end comes in at the beginning."""
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        if len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return _rolled(input, shifts, ())
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    return _rolled(input, shifts, tuple([wrap_dim(d, len(input._size)) for d in dims]))


@primitive("roll", node="RollBackward0", public=False)
def _rolled(self, shifts, dims):
    self = result = self.detach()
    if not dims:
        return _rolled(self.reshape(-1), shifts, (0,)).reshape(self._size)
    for shift, d in zip(shifts, dims):
        n = result._size[d]
        if n == 0:
            continue
        shift %= n
        result = cat([result.narrow(d, n - shift, shift), result.narrow(d, 0, n - shift)], d)
    return result.clone() if result is self else result


_rolled.derivative(self=lambda ctx, grad: _rolled(grad, tuple([-n for n in ctx.shifts]), ctx.dims))


@op()
def rot90(input, k: int = 1, dims=(0, 1)) -> Tensor:
    """A quarter turn from the first of two dimensions towards the second, k times."""
    dims = tuple(dims)
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    n = len(input._size)
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}")
    a, b = (wrap_dim(d, n) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    return _rotated(input, k % 4, a, b)


@primitive("rot90", node="Rot90Backward0", public=False)
def _rotated(self, k, a, b):
    self = self.detach()
    if k == 0:
        return self.clone()
    if k == 2:
        return _flipped(self, (a, b))
    return _flipped(self.transpose(a, b), (a,) if k == 1 else (b,))


_rotated.derivative(self=lambda ctx, grad: _rotated(grad, -ctx.k % 4, ctx.a, ctx.b))
