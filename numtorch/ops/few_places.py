"""x[i, :, j] and x[i, :, j] = v, outside the graph: one plan for the shapes, one call of a kernel for few elements.

What an expression means is worked out once for the sizes and strides that occur in it (`_plan`) and kept; a call looks
the plan up, and hands it with the buffers to a kernel of kernels/cpu/index_expressions.py.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from numtorch.kernels.cpu import index_expressions as _kernels
from numtorch.kernels.cpu.index_expressions import FIRST, HIGH, HIGH_STEP, LEAST, LOW, LOW_STEP, SECOND, SIZE, STRIDE

from .._compiled import Compiled
from .._copy import contiguous
from .._device import cpu
from .._dtype import FLOATING, bool_, int64
from .._size import Size, broadcast_sizes, contiguous_strides, expanded_strides, may_overlap
from .._tensor import Tensor, _new, wrap
from .._views import shares_elements
from .basic_views import basic_geometry, basic_view_at, slice_bounds
from .positions import MOVED_ITSELF, NOTHING, PARALLEL_PICKS, merged, moved_as, positions, read_parts
from .true_places import true_positions

#: Elements read or written, and those of a mask, from which other kernels, which share the work among threads, serve.
_MANY = PARALLEL_PICKS
#: The same of what is read under a mask: room is made for all of it.
_MANY_MASKED = 8192
#: Elements that are written at more than one index: some milliseconds, in which no other thread of Python runs.
_MOST_WRITTEN = 1 << 20
#: Positions kept in a plan for dimensions around the indices that have more than one step.
_MOST_PLACES = 1024
#: The bound of places that were checked when they were joined.
_ANYWHERE = 1 << 62

_places_read = Compiled(_kernels.places_read, "xniiix")
_places_write = Compiled(_kernels.places_write, "xniiix")
_joint_places = Compiled(_kernels.joint_places, "iiii")
_masked_read = Compiled(_kernels.masked_read, "xnimix")
_masked_write = Compiled(_kernels.masked_write, "xnimix")
_INT64 = np.dtype(np.int64)
_np_empty = np.empty
_WHOLE = (None, None, None)


def fits(value, d) -> bool:
    """Whether a Python number can be written to elements of `d` without a thought: no overflow, no halves."""
    kind = value.__class__
    category = d.category
    if kind is float:
        # (inf and nan are what they are in any floating dtype.)
        return category == FLOATING and d.np is d.compute and (-3e38 < value < 3e38 or value - value != 0)
    if kind is int:
        if category == FLOATING:
            return d.np is d.compute and -(2**53) < value < 2**53
        return 0 <= value <= 127 or d is int64 and -(2**63) <= value < 2**63
    return kind is bool and d is bool_


# --- plans ----------------------------------------------------------------------------------------------------


class _Plan(NamedTuple):
    """What the kernels need of an expression, but for the buffers. With a mask the sizes are those around it."""

    numbers: np.ndarray
    joints: tuple[tuple[np.ndarray, int], ...]  # plans of `joint_places` and their points, for more than two indices
    start: int  # of what is indexed, in the tensor
    size: Size  # of the result
    stride: tuple[int, ...]
    numel: int  # at most
    parts: tuple[tuple[int, ...], ...]  # the sizes before the indices in the result, of the indices, and after them
    mask: np.ndarray | None  # the positions of the elements that it is for; none where they have one step


class _Index(NamedTuple):
    """One index of an expression: of a dimension (or those that a mask is for, as one) of n elements and one stride."""

    n: int
    least: int
    stride: int
    shape: tuple[int, ...]


@lru_cache(maxsize=4096)
def _plan(sizes: tuple[int, ...], strides: tuple[int, ...], items: tuple) -> _Plan | None:
    """The plan of t[...]; None where it is wrong, or not a matter of one kernel.

    The items: integers, None and ... as they are, slices as (start, stop, step), the sizes of index tensors as (size,),
    those of masks as (size, True), and (size, n, None, None) for what a mask of n elements became."""
    taken = sum(_dimensions(each) for each in items)
    if taken > len(sizes) or items.count(Ellipsis) > 1:
        return None
    view, indices, mask, masked, start, dim = [], [], None, 0, 0, 0
    for each in items:
        if each is None:
            view.append((1, 1))
        elif each is Ellipsis:
            rest = len(sizes) - taken
            view += zip(sizes[dim : dim + rest], strides[dim : dim + rest], strict=True)
            dim += rest
        elif each.__class__ is int:
            n = sizes[dim]
            if not -n <= each < n:
                return None
            start += (each + n if each < 0 else each) * strides[dim]
            dim += 1
        elif len(each) == 3:
            n, step = sizes[dim], strides[dim]
            first, last, by = slice_bounds(slice(*each), n)
            view.append(((last - first + by - 1) // by, step * by))
            start += first * step
            dim += 1
        elif len(each) != 2:
            n = sizes[dim]
            if len(each) == 4 and each[1] != n:
                return None
            indices.append(_Index(n, -n, strides[dim], tuple(each[0])))
            view.append(indices[-1])
            dim += 1
        else:
            end = dim + len(each[0])
            if each[0] != sizes[dim:end]:
                return None
            of = merged(sizes[dim:end], strides[dim:end])
            masked = prod(each[0])
            mask = NOTHING if of is not None else positions(sizes[dim:end], strides[dim:end])
            indices.append(_Index(_ANYWHERE, 0, 1 if of is None else of[1], (-1,)))
            view.append(indices[-1])
            dim = end
    view += zip(sizes[dim:], strides[dim:], strict=True)
    if mask is not None and len(indices) > 1:
        return None
    # Where the indices are neighbours the result has them where they were, else in front.
    where = [k for k, each in enumerate(view) if each.__class__ is _Index]
    together = where[-1] - where[0] + 1 == len(where)
    before = view[: where[0]] if together else []
    after = [each for each in (view[where[0] :] if together else view) if each.__class__ is not _Index]
    joined = _levels(indices)
    outer, inner = _steps(before), _steps(after)
    if joined is None or outer is None or inner is None:
        return None
    numbers, joints, shape = joined
    ends = _kernels.LENGTH, _kernels.LENGTH + outer[2].size
    numbers[:6] = *outer[:2], *inner[:2], ends[0] if outer[2].size else 0, ends[1] if inner[2].size else 0
    parts = tuple([n for n, _ in before]), shape, tuple([n for n, _ in after])
    size = Size(sum(parts, ()))
    numbers = np.concatenate([numbers, outer[2], inner[2]])
    most = numbers[_kernels.OUTER] * numbers[_kernels.WIDTH] * (prod(shape) if mask is None else masked)
    return _Plan(numbers, joints, start, size, contiguous_strides(size), int(most), parts, mask)


def _dimensions(item) -> int:
    """How many dimensions an item of `_plan` takes."""
    if item is None or item is Ellipsis:
        return 0
    return len(item[0]) if item.__class__ is tuple and len(item) == 2 else 1


def _steps(dims: list[tuple[int, int]]):
    """(elements, the step from one to the next, their positions where they have no such step); None for too many."""
    size, stride = tuple([n for n, _ in dims]), tuple([step for _, step in dims])
    of = merged(size, stride)
    if of is not None:
        return *of, NOTHING
    count = prod(size)
    return None if count > _MOST_PLACES else (count, 0, positions(size, stride))


def _levels(indices: list[_Index]):
    """(numbers of the plan for the last two indices, plans that join those before, the shape of all); None where the
    points do not have two levels."""
    current, joints = indices[0], []
    for k, other in enumerate(indices[1:] or indices, 1):
        numbers = np.zeros(_kernels.LENGTH, np.int64)
        try:
            shape = current.shape if other is current else broadcast_sizes(current.shape, other.shape)
        except RuntimeError:
            return None
        if shape == (-1,):
            levels = [(1, 0, 0), (-1, 1, 1)]  # as many as the mask has
        else:
            steps = [expanded_strides(each.shape, contiguous_strides(each.shape), shape) for each in (current, other)]
            levels = _merged_levels(zip(shape, *steps, strict=True))
            if len(levels) > 2:
                return None
            levels = [(1, 0, 0)] * (2 - len(levels)) + levels
        (numbers[HIGH], *high), (numbers[LOW], *low) = levels
        for at, each, high_step, low_step in zip((FIRST, SECOND), (current, other), high, low, strict=True):
            numbers[at + SIZE], numbers[at + LEAST], numbers[at + STRIDE] = each[:3]
            numbers[at + HIGH_STEP], numbers[at + LOW_STEP] = high_step, low_step
        if len(indices) == 1:
            numbers[SECOND + STRIDE] = 0  # the same index once more
        if k < len(indices) - 1:
            joints.append((numbers, prod(shape)))
            current = _Index(_ANYWHERE, 0, 1, tuple(shape))
    return numbers, tuple(joints), tuple(shape)


def _merged_levels(dims) -> list[tuple[int, int, int]]:
    """Dimensions (n, step of the first index, step of the second) with neighbours made one where both go on alike."""
    levels = []
    for n, a, b in dims:
        if levels and levels[-1][1] == a * n and levels[-1][2] == b * n:
            levels[-1] = levels[-1][0] * n, a, b
        elif n != 1:
            levels.append((n, a, b))
    return levels


# --- calls ----------------------------------------------------------------------------------------------------


def _items(key: tuple):
    """(items of `_plan`, the flat arrays of the indices); None for what is neither int64 nor a mask nor basic."""
    items, arrays, masked = [], [], False
    for each in key:
        kind = each.__class__
        if kind is slice:  # slices have no hash before Python 3.12
            start, stop, step = each.start, each.stop, each.step
            if start is None and stop is None and step is None:
                each = _WHOLE
            else:
                each = start, stop, step
                for bound in each:
                    if bound is not None and bound.__class__ is not int:
                        return None
        elif kind is Tensor:
            if each._device is not cpu:
                return None
            flat, size = each._flat, each._size
            if flat is None:
                flat = contiguous(each)._flat
            if not size:
                if each._dtype is not int64:
                    return None
                each = int(flat[0])
            else:
                arrays.append(flat)
                if each._dtype is int64:
                    each = (size,)
                elif each._dtype is bool_:
                    each, masked = (size, True), True
                else:
                    return None
        elif kind is list or kind is range:
            if not 0 < len(each) < _MANY or kind is list and set(map(type, each)) != {int}:
                return None
            try:
                flat = np.array(each, _INT64)
            except OverflowError:
                return None
            arrays.append(flat)
            each = ((flat.size,),)
        elif kind is not int and each is not None and each is not Ellipsis:
            return None
        items.append(each)
    if masked and len(arrays) > 1 and not _masks_as_indices(items, arrays):
        return None
    return tuple(items), arrays


def _masks_as_indices(items: list, arrays: list[np.ndarray]) -> bool:
    """Puts the positions of their true elements in the place of masks of one dimension; False for others."""
    at = -1
    for k, each in enumerate(items):
        if each.__class__ is not tuple or len(each) == 3:
            continue  # no array
        at += 1
        if len(each) == 2:
            if len(each[0]) > 1:
                return False
            arrays[at] = true_positions(arrays[at])
            items[k] = (arrays[at].size,), each[0][0], None, None
    return True


def _joined(joints: tuple, arrays: list[np.ndarray]) -> np.ndarray | None:
    """The places of all indices but the last, as one index; None where one of them is out of its bounds."""
    i = arrays[0]
    for j, (numbers, points) in zip(arrays[1:], joints):
        places = _np_empty(points, _INT64)
        if _joint_places[_INT64](numbers, i, j, places):
            return None
        i = places
    return i


def few_indexed(self: Tensor, key: tuple) -> Tensor | None:
    """self[key], unrecorded, where it is a view or has few elements; None for other calls, and for wrong ones."""
    found = _items(key)
    if found is None:
        return None
    items, arrays = found
    if not arrays:
        place = basic_geometry(self._size, self._stride, items)
        return None if place is None else basic_view_at(self, place[0], place[1], self._offset + place[2])
    plan = _plan(self._size, self._stride, items)
    if plan is None:
        return None
    numbers, joints, start, size, stride, numel, parts, mask = plan
    if numel >= (_MANY if mask is None else _MANY_MASKED):
        return _many_indexed(self, plan, arrays)
    source = self._flat
    if source is None:
        source, start = self._buffer(), start + self._offset
    d = source.dtype
    out = to = _np_empty(numel, d)
    if d.type not in MOVED_ITSELF:
        d = moved_as(d)
        source, to = source.view(d), out.view(d)
    i, j = arrays[0], arrays[-1]
    if mask is not None:
        count = _masked_read[d](source, start, numbers, i, mask, to)
        size = Size((*parts[0], count, *parts[2]))
        stride = contiguous_strides(size)
        out = out[: prod(size)]
    else:
        if joints:
            i = _joined(joints, arrays)
            if i is None:
                return None
        if _places_read[d](source, start, numbers, i, j, to):
            return None
    result = _new(Tensor)
    result._flat, result._size, result._stride, result._dtype = out, size, stride, self._dtype
    return result


def _many_indexed(self: Tensor, plan: _Plan, arrays: list[np.ndarray]) -> Tensor | None:
    """The same for many elements, by the kernel that shares its work among threads, from the places of all indices."""
    numbers, joints, start, size, _, _, parts, mask = plan
    outer, step, width, across, *tables = numbers[: _kernels.INNER_PLACES + 1].tolist()
    if mask is not None or any(tables):
        return None
    i, n, low, stride = arrays[0], *numbers[FIRST + SIZE : FIRST + STRIDE + 1].tolist()
    if len(arrays) > 1:
        i = _joined((*joints, (numbers, prod(parts[1]))), arrays)
        n, low, stride = _ANYWHERE, 0, 1
    if i is None or not size.numel():
        return None
    found, bad = read_parts(self._buffer(), i, n, low, self._offset + start, outer, step, stride, width, across)
    return wrap(found, size, self._dtype) if bad < 0 else None


def few_put(self: Tensor, key: tuple, value, adds: bool = False) -> bool:
    """self[key] = value (or += value) for index arrays among integers and slices, and few elements.

    False where the call is another one, or wrong: then nothing has happened."""
    found = _items(key)
    plan = None if found is None or not found[1] else _plan(self._size, self._stride, found[0])
    if plan is None:
        return False
    arrays, (numbers, joints, start, size, _, numel, parts, mask) = found[1], plan
    i, j = arrays[0], arrays[-1]
    if numel >= (_MANY if len(arrays) == 1 else _MOST_WRITTEN):
        return False
    target, d = self._flat, self._dtype
    if target is None:
        if may_overlap(self._size, self._stride):
            return False  # the general way warns
        target, start = self._buffer(), start + self._offset
    given = None
    if value.__class__ is Tensor:
        if value._dtype is not d or value._device is not cpu or value._requires_grad:
            return False
        given, values = value._size, value._flat
        if values is None:
            values = contiguous(value)._flat
        if shares_elements(values, target):
            return False
        if len(given) <= len(size) and values.size == 1:
            given = None
    elif fits(value, d):
        values = _np_empty(1, target.dtype)
        values[0] = value
    else:
        return False
    np_dtype = target.dtype
    if adds:
        if np_dtype is not d.compute or d is bool_ or mask is not None:
            return False
        numbers = numbers.copy()
        numbers[_kernels.ADDS] = 1
    elif np_dtype.type not in MOVED_ITSELF:
        np_dtype = moved_as(np_dtype)
        target, values = target.view(np_dtype), values.view(np_dtype)
    if mask is not None:
        if given is not None:
            # The number of true elements is looked at by the kernel.
            before, _, after = parts
            first = len(before)
            if len(given) != len(size) or given[:first] != before or given[first + 1 :] != after or values.size < 2:
                return False
        wrong = _masked_write[np_dtype](target, start, numbers, i, mask, values)
    else:
        if given is not None and given != size:
            steps = _value_steps(given, parts)
            if steps is None:
                return False
            numbers = numbers.copy()
            numbers[_kernels.VALUE_OUTER : _kernels.VALUE_ACROSS + 1] = steps
        if joints:
            i = _joined(joints, arrays)
            if i is None:
                return False
        wrong = _places_write[np_dtype](target, start, numbers, i, j, values)
    if wrong:
        return False  # the general way names what is wrong
    (self._storage or self._get_storage()).version += 1
    return True


@lru_cache(maxsize=2048)
def _value_steps(given: tuple[int, ...], parts: tuple[tuple[int, ...], ...]) -> tuple[int, int, int] | None:
    """The steps of contiguous values of another size along the three parts of what is written; None where one will not
    do, and for values that do not fit."""
    size = sum(parts, ())
    try:
        if len(given) > len(size) or broadcast_sizes(given, size) != size:
            return None
    except RuntimeError:
        return None
    steps, first, strides = [], 0, expanded_strides(given, contiguous_strides(given), size)
    for part in parts:
        of = merged(part, strides[first : first + len(part)])
        if of is None:
            return None
        steps.append(of[1] if of[0] != 1 else 0)
        first += len(part)
    return tuple(steps)
