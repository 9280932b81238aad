"""torch.Size, and the arithmetic of sizes and strides."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod


class Size(tuple):
    """A tensor's size as the library keeps it: a tuple of ints.

    Users get a `PublicSize` (torch.Size), whose slices are sizes again. That takes a Python-level `__getitem__`, which
    would cost 0.15 us at every `size[d]` of every operator; here slices are plain tuples.
    """

    __slots__ = ()

    def numel(self) -> int:
        return prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(repr, self))}])"

    def __reduce__(self):
        return (PublicSize, (tuple(self),))


class PublicSize(Size):
    """torch.Size: a tensor's shape, a tuple of ints that prints as `torch.Size([2, 3])`.

    It holds its numbers a second time, as a plain tuple: `shape[0]` asks that one, in half the time that
    `tuple.__getitem__` takes.
    """

    def __new__(cls, numbers=()):
        size = tuple.__new__(cls, numbers)
        size._numbers = tuple(size)
        return size

    def __getitem__(self, index):
        found = self._numbers[index]
        return public_size(found) if type(found) is tuple else found

    def __add__(self, other):
        return PublicSize(tuple.__add__(self, tuple(other)))

    def __radd__(self, other):
        return PublicSize(tuple(other) + tuple(self))

    def __mul__(self, count):
        return PublicSize(tuple.__mul__(self, count))

    __rmul__ = __mul__


PublicSize.__name__ = PublicSize.__qualname__ = "Size"

EMPTY = Size()


@lru_cache(maxsize=4096)
def public_size(size: Size) -> PublicSize:
    """The size as users see it, made once for each."""
    return PublicSize(size)


@lru_cache(maxsize=4096)
def contiguous_strides(size: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements; a dimension of size 0 counts as 1, as in torch."""
    strides, step = [], 1
    for n in reversed(size):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


class _Geometry(dict):
    """(size, row-major strides) by size, each made once: half of what a look at an lru_cache and a fresh Size take."""

    def __missing__(self, size: tuple[int, ...]) -> tuple[Size, tuple[int, ...]]:
        if len(self) >= 4096:
            self.clear()
        kept = Size([int(n) for n in size])  # numpy's integers are equal to ints, and would be found in their place
        found = self[kept] = (kept, contiguous_strides(kept))
        return found


geometry = _Geometry()


@lru_cache(maxsize=4096)
def byte_strides(stride: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides in elements as numpy's, in bytes."""
    return tuple([s * itemsize for s in stride])


@lru_cache(maxsize=4096)
def dense(shape: tuple[int, ...]) -> tuple[Size, tuple[int, ...], int]:
    """(size, row-major strides, number of elements) of a shape, made once for each."""
    return Size(shape), contiguous_strides(shape), prod(shape)


@lru_cache(maxsize=4096)
def is_contiguous(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether the elements lie one after the other in row-major order (strides of dimensions of size 1 are free)."""
    step = 1
    for n, s in zip(reversed(size), reversed(stride)):
        if n == 0:
            return True
        if n != 1:
            if s != step:
                return False
            step *= n
    return True


@lru_cache(maxsize=4096)
def contiguous_numel(size: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """The number of elements of a contiguous tensor; -1 for any other."""
    return prod(size) if is_contiguous(size, stride) else -1


@lru_cache(maxsize=4096)
def is_dense(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Non-overlapping and dense: some permutation of the dimensions is contiguous."""
    step = 1
    for s, n in sorted(zip(stride, size)):
        if n == 0:
            return True
        if n != 1:
            if s != step:
                return False
            step *= n
    return True


@lru_cache(maxsize=4096)
def may_overlap(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether two index tuples may address one element (as in an expanded tensor)."""
    if 0 in size:
        return False
    reach = 0
    for s, n in sorted(zip(stride, size)):
        if n > 1:
            if s <= reach:
                return True
            reach += s * (n - 1)
    return False


def overlap(size_a, stride_a, bytes_a: range, size_b, stride_b, bytes_b: range) -> str:
    """How two views of one storage, at these bytes, share elements: "no", "partly" or "wholly".

    "no" too where one has gaps or meets itself, which torch does not judge either."""
    if not len(bytes_a) or not len(bytes_b) or bytes_a.stop <= bytes_b.start or bytes_b.stop <= bytes_a.start:
        return "no"
    if not is_dense(size_a, stride_a) or not is_dense(size_b, stride_b):
        return "no"
    return "wholly" if bytes_a == bytes_b and stride_a == stride_b else "partly"


def extent(size: Sequence[int], stride: Sequence[int]) -> int:
    """How many buffer elements a tensor reaches from its offset on."""
    if 0 in size:
        return 0
    return 1 + sum((n - 1) * s for n, s in zip(size, stride))


def wrap_dim(dim: int, ndim: int, name: str = "Dimension") -> int:
    """`dim` in 0..ndim-1, negative ones counted from the end; IndexError in torch's words."""
    n = ndim or 1
    if -n <= dim < n:
        return dim + n if dim < 0 else dim
    raise IndexError(f"{name} out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")


def wrap_dims(dims, ndim: int) -> tuple[int, ...]:
    """Each dim wrapped; RuntimeError where one appears twice."""
    wrapped = tuple(wrap_dim(d, ndim) for d in dims)
    if len(set(wrapped)) != len(wrapped):
        twice = next(d for d in wrapped if wrapped.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return wrapped


@lru_cache(maxsize=4096)
def broadcast_size(a: tuple[int, ...], b: tuple[int, ...]) -> Size:
    """The broadcast of two sizes; RuntimeError in torch's words where they do not match."""
    if a == b:
        return Size(a)
    out = list(a) if len(a) >= len(b) else list(b)
    shift_a, shift_b = len(out) - len(a), len(out) - len(b)
    for i in range(len(out) - 1, -1, -1):
        n = a[i - shift_a] if i >= shift_a else 1
        m = b[i - shift_b] if i >= shift_b else 1
        if n != m and n != 1 and m != 1:
            raise RuntimeError(
                f"The size of tensor a ({n}) must match the size of tensor b ({m}) at non-singleton dimension {i}"
            )
        out[i] = m if n == 1 else n
    return Size(out)


def broadcast_sizes(*sizes) -> Size:
    result = EMPTY
    for size in sizes:
        result = broadcast_size(result, tuple(size))
    return Size(result)


def expanded_strides(size, stride, target) -> tuple[int, ...]:
    """Strides with which a tensor of `size` is read as one of `target` (0 where it is broadcast)."""
    lead = len(target) - len(size)
    return (0,) * lead + tuple(0 if n == 1 and m != 1 else s for n, s, m in zip(size, stride, target[lead:]))


def infer_size(shape: Sequence[int], numel: int) -> Size:
    """A view's shape with its -1 computed; RuntimeError in torch's words."""
    known, unknown = 1, None
    for i, n in enumerate(shape):
        if n == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = i
        elif n < 0:
            raise RuntimeError(f"invalid shape dimension {n} at index {i} of shape {list(shape)}")
        else:
            known *= n
    if unknown is None:
        if known != numel:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
        return Size(shape)
    if known == 0:
        if numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension "
                "size -1 can be any value and is ambiguous"
            )
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    if numel % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    full = list(shape)
    full[unknown] = numel // known
    return Size(full)


@lru_cache(maxsize=4096)
def view_strides(size: tuple[int, ...], stride: tuple[int, ...], new_size: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides that show the same elements, in order, under `new_size`; None where only a copy can.

    Runs of dimensions that are contiguous among themselves may be cut anew; a new dimension may not cross a run.
    """
    if 0 in size:
        return contiguous_strides(new_size)
    if not size:
        return (1,) * len(new_size)
    result = [0] * len(new_size)
    view_d = len(new_size) - 1
    base = stride[-1]
    run, view_run = 1, 1
    for d in range(len(size) - 1, -1, -1):
        run *= size[d]
        if d == 0 or (size[d - 1] != 1 and stride[d - 1] != run * base):
            while view_d >= 0 and (view_run < run or new_size[view_d] == 1):
                result[view_d] = view_run * base
                view_run *= new_size[view_d]
                view_d -= 1
            if view_run != run:
                return None
            if d > 0:
                base = stride[d - 1]
                run = view_run = 1
    return tuple(result) if view_d == -1 else None


def flatten_sizes(args: tuple, name: str = "size") -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))`, `f([2, 3])`, `f(torch.Size([2, 3]))` all mean (2, 3)."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    return tuple(int_argument(n, name) for n in args)


def int_argument(n, name: str) -> int:
    """`n` as a Python int (numpy integers and one-element integer tensors count); TypeError naming the argument."""
    if type(n) is int:
        return n
    if hasattr(n, "__index__") and not isinstance(n, bool):
        return n.__index__()
    raise TypeError(f"argument '{name}' must be tuple of ints, but found element of type {type(n).__name__}")
