"""Pointwise operators of three operands (`addcmul`, `lerp`, `where`...), of which the third may be a number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numtorch.graph import mode
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

from ._derivatives import argument_names, record
from ._device import cpu
from ._dtype import COMPLEX, FLOATING
from ._loops import run_three
from ._pointwise import Pointwise, large
from ._registry import OPERATORS
from ._tensor import Tensor, _new, wrap
from ._views import apart, tracked

_np_empty = np.empty


def ternary(
    name: str,
    text: Callable,
    da: Callable | None = None,
    db: Callable | None = None,
    dc: Callable | None = None,
    *,
    node: str | None = None,
    promote: str = "same",
    category: int = COMPLEX,
    refuse: tuple[int, ...] | None = None,
    node_number: str | None = None,
) -> Callable[..., Tensor]:
    """A pointwise operator of three operands, not published: its public form is written around it."""
    names = argument_names(text)
    operand_names, param_names = names[:3], names[3:]
    spec = Pointwise(
        name, text, (da, db, dc), operand_names, param_names, node, promote, "same", category, refuse, node_number
    )

    fast: dict = {}  # dtype -> the contiguous loop
    fast_number: dict = {}  # the same where the third operand is a number
    loops, n_params = spec.loops, len(param_names)

    def flats(a, b, c, params):
        """The arrays of three tensors of one size and floating dtype, which is prepared; None for any others."""
        x, y, z = getattr(a, "_flat", None), getattr(b, "_flat", None), getattr(c, "_flat", None)
        if x is None or y is None or len(params) != n_params:
            return None
        d, size = a._dtype, a._size
        if d not in fast or b._dtype is not d or b._size != size:
            return None
        if z is None:
            return (x, y) if c.__class__ is float else None
        return None if c._dtype is not d or c._size != size else (x, y, z)

    def in_one_walk(a, b, c, params) -> bool:
        """Whether these are CPU tensors with dimensions, of one floating dtype that is prepared."""
        if not (a.__class__ is b.__class__ is c.__class__ is Tensor) or len(params) != n_params:
            return False
        d = a._dtype
        if d not in fast or b._dtype is not d or c._dtype is not d or not (a._size and b._size and c._size):
            return False
        return a._device is b._device is c._device is cpu

    def call(a, b, c, *params):
        found = flats(a, b, c, params)
        if found is not None and len(found) == 3:
            d, n = a._dtype, found[0].size
            if n < PARALLEL_THRESHOLD:
                entry, out = fast[d], _np_empty(n, d.np)
            else:
                entry, out = large(loops, d, n_params, n, d.np)
            entry(*found, out, params)
            y = _new(Tensor)
            y._flat = out
            y._size = a._size
            y._stride = a._stride
            y._dtype = d
            if spec.differentiable and (a._requires_grad or b._requires_grad or c._requires_grad) and mode.enabled:
                record(spec.node_class, (a, b, c), y, params)
            return y
        if found is not None and len(found) == 2 and not (a._requires_grad or b._requires_grad):
            # The third is a number: the loop of two operands, with the number as its first parameter.
            d, n = a._dtype, found[0].size
            if n < PARALLEL_THRESHOLD:
                entry, out = fast_number.get(d), _np_empty(n, d.np)
                if entry is None:
                    entry = fast_number[d] = spec.number_last.entry("contiguous", d.np, 1 + n_params)
            else:
                entry, out = large(spec.number_last, d, 1 + n_params, n, d.np)
            entry(*found, out, (c, *params))
            return wrap(out, a._size, d)
        if in_one_walk(a, b, c, params):
            y = run_three(loops, a, b, c, params, a._dtype)
        else:
            y = spec.compute((a, b, c), params)
        if (
            spec.differentiable
            and mode.enabled
            and (
                getattr(a, "_requires_grad", False)
                or getattr(b, "_requires_grad", False)
                or getattr(c, "_requires_grad", False)
            )
            and y._dtype.category >= FLOATING
        ):
            number = any(not isinstance(t, Tensor) for t in (a, b, c))
            record(spec.node_class_number if number else spec.node_class, (a, b, c), y, params)
        if isinstance(a, Tensor) and a._dtype not in fast and a._device is cpu:
            d = a._dtype
            if d.category == FLOATING and y._dtype is d:
                fast[d] = loops.entry("contiguous", d.np, n_params)
        return y

    def write_over(a, b, c, *params) -> bool:
        """Write the result over `a` if that is a matter of one loop; whether it was done."""
        found = None if tracked(a) else flats(a, b, c, params)
        if found is None or mode.enabled and (b._requires_grad or getattr(c, "_requires_grad", False)):
            return False
        for other in found[1:]:
            if not apart(found[0], other):
                return False
        d = a._dtype
        kind = "inplace" if found[0].size < PARALLEL_THRESHOLD else "inplace parallel"
        if len(found) == 3:
            loops.entry(kind, d.np, n_params)(*found, params)
        else:
            spec.number_last.entry(kind, d.np, 1 + n_params)(*found, (c, *params))
        a._get_storage().version += 1
        return True

    call.write_over = write_over
    call.__name__ = call.__qualname__ = name
    call.pointwise = spec
    OPERATORS[name] = call
    return call
