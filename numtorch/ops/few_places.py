"""x[...] and x[...] = v by numpy, where few elements are read or written and the graph knows nothing of them."""

from __future__ import annotations

import numpy as np

from .._device import cpu
from .._dtype import FLOATING, bool_, int64
from .._size import Size
from .._tensor import Tensor, wrap
from .basic_views import basic_place, basic_view_at

# Elements of the part that is indexed, and indices, up to which numpy is asked: its calls are short, its loops long.
_FEW = 4096
_FEW_PLACES = 256
_ALL = slice(None)


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


def _numpy_index(self: Tensor, key: tuple):
    """(view of self, index) such that view[index] is self[key] in numpy too: what is small, and of no other kind than
    integers, slices, None, lists of integers and tensors of int64 or bool. None for others.

    Integers are taken off first: numpy counts them among the index arrays, torch does not."""
    basic, index, few = [], [], False
    for each in key:
        kind = each.__class__
        if kind is int:
            basic.append(each)
            continue
        span = 1
        if kind is slice or each is None:
            basic.append(each)
            index.append(_ALL)
            continue
        if kind is Tensor and each._device is cpu and each._size:
            if each._dtype is bool_:
                span = len(each._size)
            elif each._dtype is not int64:
                return None
            each = each._nd()
        elif kind is list and each and set(map(type, each)) == {int}:
            each = np.array(each)
        elif kind is range and each:
            each = np.arange(each.start, each.stop, each.step)
        else:
            return None
        if each.size > _FEW_PLACES:
            return None
        few = True
        basic.extend([_ALL] * span)
        index.append(each)
    place = basic_place(self, basic) if few and self._device is cpu else None
    if place is None or place[0].numel() > _FEW:
        return None
    size, stride, offset = place
    return basic_view_at(self, size, stride, self._offset + offset)._nd(), tuple(index)


def few_indexed(self: Tensor, key: tuple) -> Tensor | None:
    """self[key] for few elements by numpy, unrecorded: half of the time of the general way. None for other calls."""
    found = _numpy_index(self, key)
    if found is None:
        return None
    view, index = found
    try:
        out = view[index]
    except IndexError:
        return None  # the general way names it
    return wrap(out.flatten(), Size(out.shape), self._dtype)


def few_put(self: Tensor, key: tuple, value) -> bool:
    """`_put_directly` for index arrays among integers and slices, and few elements, by numpy."""
    found = _numpy_index(self, key)
    if found is None:
        return False
    view, index = found
    if value.__class__ is Tensor:
        if value._dtype is not self._dtype or value._device is not cpu or value._requires_grad:
            return False
        value = value._nd()
        if np.may_share_memory(value, view):
            return False
    elif not fits(value, self._dtype):
        return False
    try:
        view[index] = value
    except (IndexError, ValueError):
        return False  # the general way names it
    self._get_storage().version += 1
    return True
