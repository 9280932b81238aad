"""Choosing between values: where, clamp, maximum, minimum and their relatives."""

from __future__ import annotations

import math

import numpy as np

from numtorch.graph import mode, next_sequence, rare, save
from numtorch.kernels import math as scalar_math
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD
from numtorch.kernels.math import isnan, maximum, minimum, where

from .. import _dtype
from .._binary import binary
from .._copy import cast
from .._derivatives import PointwiseNode, Rule, record
from .._device import cpu
from .._dtype import BOOL, COMPLEX, FLOATING
from .._inplace import write_out
from .._loops import Loops, check_devices, run, run_three
from .._promotion import result_type
from .._registry import FUNCTIONS, OPERATORS, op
from .._tensor import Tensor, _new, scalar, wrap
from .._unary import unary

# Where both operands are equal, each receives half of the gradient, as in torch.
maximum_ = binary(
    "maximum",
    lambda a, b: maximum(a, b),
    lambda g, a, b: where(a == b, g / 2, where(a < b, 0.0, g)),
    lambda g, a, b: where(a == b, g / 2, where(a > b, 0.0, g)),
    category=FLOATING,
    inplace=False,
)
minimum_ = binary(
    "minimum",
    lambda a, b: minimum(a, b),
    lambda g, a, b: where(a == b, g / 2, where(a > b, 0.0, g)),
    lambda g, a, b: where(a == b, g / 2, where(a < b, 0.0, g)),
    category=FLOATING,
    inplace=False,
)
fmax = binary(
    "fmax",
    lambda a, b: where(isnan(a), b, where(isnan(b), a, where(a > b, a, b))),
    lambda g, a, b: where(isnan(b), g, where(a >= b, g, 0.0)),
    lambda g, a, b: where(isnan(b), 0.0, where(a >= b, 0.0, g)),
    category=FLOATING,
    inplace=False,
)
fmin = binary(
    "fmin",
    lambda a, b: where(isnan(a), b, where(isnan(b), a, where(a < b, a, b))),
    lambda g, a, b: where(isnan(b), g, where(a <= b, g, 0.0)),
    lambda g, a, b: where(isnan(b), 0.0, where(a <= b, 0.0, g)),
    category=FLOATING,
    inplace=False,
)

_clamp_low = unary(
    "clamp_low",
    lambda x, low: maximum(x, low),
    lambda g, x, low: where(x >= low, g, 0.0),
    node="ClampBackward1",
    category=FLOATING,
    function=False,
    method=False,
)
_clamp_high = unary(
    "clamp_high",
    lambda x, high: minimum(x, high),
    lambda g, x, high: where(x <= high, g, 0.0),
    node="ClampBackward1",
    category=FLOATING,
    function=False,
    method=False,
)
_clamp_both = unary(
    "clamp_both",
    lambda x, low, high: minimum(maximum(x, low), high),
    lambda g, x, low, high: where((x >= low) & (x <= high), g, 0.0),
    node="ClampBackward1",
    category=FLOATING,
    function=False,
    method=False,
)
_clamp_min_tensor = binary(
    "clamp_min_tensor",
    lambda a, b: maximum(a, b),
    lambda g, a, b: where(a >= b, g, 0.0),
    lambda g, a, b: where(a < b, g, 0.0),
    node="ClampBackward0",
    category=FLOATING,
    function=False,
    method=False,
)
_clamp_max_tensor = binary(
    "clamp_max_tensor",
    lambda a, b: minimum(a, b),
    lambda g, a, b: where(a <= b, g, 0.0),
    lambda g, a, b: where(a > b, g, 0.0),
    node="ClampBackward0",
    category=FLOATING,
    function=False,
    method=False,
)


def _promoted(input: Tensor, *bounds) -> Tensor:
    """`input` in the dtype that its clamp with these numbers has."""
    d = result_type(input, *[b for b in bounds if b is not None])
    if d.category == COMPLEX:
        raise NotImplementedError("clamp is not supported for complex types")
    if d.category == BOOL:
        raise NotImplementedError("\"clamp\" not implemented for 'Bool'")
    return input if d is input._dtype else input.to(d)


def _plain_clamp(input: Tensor, min, max):
    """The operator that does a clamp of floats by Python numbers; None for other clamps."""
    if input._dtype.category != FLOATING:
        return None
    for bound in (min, max):
        kind = bound.__class__
        if bound is not None and kind is not int and kind is not float:
            return None
    if min is None:
        return None if max is None else _clamp_high
    return _clamp_low if max is None else _clamp_both


@op(inplace=True, out=True, aliases=("clip",))
def clamp(input, min=None, max=None) -> Tensor:
    """min(max(input, min), max); the bounds are numbers, tensors or None (not both)."""
    call = _plain_clamp(input, min, max)
    if call is not None:
        return call(input, *[bound for bound in (min, max) if bound is not None])
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        result = _promoted(input, min, max)
        if min is not None:
            result = _clamp_min_tensor(result, min)
        return result if max is None else _clamp_max_tensor(result, max)
    input = _promoted(input, min, max)
    if min is None:
        return _clamp_high(input, max)
    return _clamp_low(input, min) if max is None else _clamp_both(input, min, max)


_clamp_general = Tensor.clamp_


@op(name="clamp_", aliases=("clip_",))
def _clamp_in_place(self, min=None, max=None) -> Tensor:
    """In-place clamp()."""
    call = _plain_clamp(self, min, max)
    if call is None:
        return _clamp_general(self, min, max)
    return call.inplace(self, *[bound for bound in (min, max) if bound is not None])


_REAL = {int, float}


@op(inplace=True, out=True)
def clamp_min(input, min) -> Tensor:
    """clamp(input, min=min); bool is allowed here."""
    if min.__class__ in _REAL and input._dtype.category == FLOATING:
        return _clamp_min(input, min)  # which has input's dtype
    return _clamp_min(input, min) if isinstance(min, Tensor) else _clamp_min(_promoted(input, min), min)


@op(inplace=True, out=True)
def clamp_max(input, max) -> Tensor:
    """clamp(input, max=max); bool is allowed here."""
    if max.__class__ in _REAL and input._dtype.category == FLOATING:
        return _clamp_max(input, max)
    return _clamp_max(input, max) if isinstance(max, Tensor) else _clamp_max(_promoted(input, max), max)


_BOUND = {"category": FLOATING, "function": False, "method": False, "inplace": False}
_clamp_min = binary(
    "clamp_min",
    lambda a, b: maximum(a, b),
    lambda g, a, b: where(a >= b, g, 0.0),
    lambda g, a, b: where(a < b, g, 0.0),
    node="ClampMinBackward1",
    node_number="ClampMinBackward0",
    **_BOUND,
)
_clamp_max = binary(
    "clamp_max",
    lambda a, b: minimum(a, b),
    lambda g, a, b: where(a <= b, g, 0.0),
    lambda g, a, b: where(a > b, g, 0.0),
    node="ClampMaxBackward1",
    node_number="ClampMaxBackward0",
    **_BOUND,
)
_choose = Loops(lambda condition, a, b: a if condition else b, 3, mask=True)
_choose_or_number = Loops(lambda condition, a, number: a if condition else number, 2, mask=True)
_choose_number_or = Loops(lambda condition, b, number: number if condition else b, 2, mask=True)
_where_node = type(
    "WhereBackward0",
    (PointwiseNode,),
    {
        "rules": (
            None,
            Rule(lambda g, condition: where(condition, g, 0.0), ("condition", "a", "b"), ()),
            Rule(lambda g, condition: where(condition, 0.0, g), ("condition", "a", "b"), ()),
        )
    },
)


def choose(condition: Tensor, a, b) -> Tensor:
    """Elements of `a` where the condition holds, else of `b`; either may be a number."""
    if isinstance(condition, bool):
        # A comparison of two numbers, in a derivative one of whose operands is a number.
        chosen, other = (a, b) if condition else (b, a)
        return chosen if isinstance(chosen, Tensor) else other.new_full(other._size, chosen)
    if condition._dtype is not _dtype.bool_:
        if condition._dtype is not _dtype.uint8:
            raise RuntimeError(
                f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition._dtype.type_name}"
            )
        condition = condition.to(_dtype.bool_)
    y = _chosen_directly(condition, a, b)
    if y is not None:
        return y
    d = a._dtype if a.__class__ is Tensor else None
    if (
        d is not None
        and b.__class__ is Tensor
        and b._dtype is d
        and d.np is d.compute
        and condition._device is a._device is b._device is cpu
        and condition._size
        and a._size
        and b._size
    ):
        y = run_three(_choose, condition, a, b, (), d)
    else:
        d = result_type(a, b)
        a, b = (t if isinstance(t, Tensor) else scalar(t, d) for t in (a, b))
        check_devices([condition, a, b])
        inner = d if d.np is d.compute else _dtype.float32
        y = run(_choose, (condition, cast(a, inner), cast(b, inner)), (), inner)
        if inner is not d:
            y = cast(y, d)
    if mode.enabled and (a._requires_grad or b._requires_grad) and d.category >= FLOATING:
        record(_where_node, (condition, a, b), y)
    return y


_choices: dict = {}


def _chosen_directly(condition: Tensor, a, b) -> Tensor | None:
    """`choose` for small contiguous operands of one size, of which one may be a float; None for others."""
    x = condition._flat
    t = a if isinstance(a, Tensor) else b
    if not isinstance(t, Tensor):
        return _number_chosen(condition, a, b)
    d, size = t._dtype, condition._size
    if x is None or x.size >= PARALLEL_THRESHOLD or d.category != FLOATING or d.np is not d.compute:
        return None
    loops, operands, params = _choose, [x], ()
    for other in (a, b):
        if isinstance(other, Tensor):
            flat = other._flat
            if flat is None or other._dtype is not d or other._size != size or other._device is not cpu:
                return None
            operands.append(flat)
        elif other.__class__ is float or other.__class__ is int:
            loops, params = (_choose_number_or if other is a else _choose_or_number), (float(other),)
        else:
            return None
    if condition._device is not cpu:
        return None
    out = np.empty(x.size, d.np)
    entry = _choices.get((loops, d))
    if entry is None:
        entry = _choices[loops, d] = loops.entry("contiguous", d.np, len(params))
    entry(*operands, out, params)
    y = wrap(out, size, d)
    if mode.enabled and (getattr(a, "_requires_grad", False) or getattr(b, "_requires_grad", False)):
        _record_choice(condition, a, b, y)
    return y


def _number_chosen(condition: Tensor, a, b) -> Tensor | None:
    """`choose` between two floats, or two integers, by a small mask; None for others."""
    mask, kind = condition._flat, a.__class__
    if mask is None or kind is not b.__class__ or mask.size >= PARALLEL_THRESHOLD or condition._device is not cpu:
        return None
    d = _dtype.get_default_dtype() if kind is float else _dtype.int64 if kind is int else None
    if d is None or d.np is not d.compute or kind is int and not -(2**63) <= min(a, b) <= max(a, b) < 2**63:
        return None
    out = np.empty(mask.size, d.np)
    out.fill(b)
    np.putmask(out, mask, a)
    return wrap(out, condition._size, d)


def _record_choice(condition: Tensor, a, b, y: Tensor) -> None:
    """`record` for operands of y's own size and dtype, or numbers: their gradients need no reduction."""
    node = _new(_where_node)
    node.sequence_nr = next_sequence()
    a_nr = b_nr = 0
    a_edge = b_edge = None
    if isinstance(a, Tensor) and a._requires_grad:
        a_edge, a_nr = a._edge(), a._output_nr
    if isinstance(b, Tensor) and b._requires_grad:
        b_edge, b_nr = b._edge(), b._output_nr
    node.next_nodes = (None, a_edge, b_edge)
    if a_nr or b_nr:
        node.next_nrs = (0, a_nr, b_nr)
    node.plain = False
    if rare.active:
        save(node, (condition, None, None, None))
    else:
        storage = condition._storage
        node.saved = (condition, None, None, None)
        node.versions = (0 if storage is None else storage.version, 0, 0, 0)
    y._grad_fn = node
    y._requires_grad = True


OPERATORS["where"] = choose


@op(method=False, name="where")
def where_(condition, input=None, other=None, *, out=None) -> Tensor | tuple[Tensor, ...]:
    """input where the condition holds, else other; with the condition alone, nonzero(condition, as_tuple=True)."""
    if out is None and condition.__class__ is Tensor and condition._dtype is _dtype.bool_:
        y = _chosen_directly(condition, input, other)
        if y is not None:
            return y
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    y = choose(condition, input, other)
    return y if out is None else write_out(y, out, "where")


def _where_method(self, condition, other) -> Tensor:
    """self where the condition is true, else other."""
    return where_(condition, self, other)


Tensor.where = _where_method

heaviside = binary(
    "heaviside",
    lambda a, b: where(isnan(a), a, where(a == 0, b, where(a < 0, a * 0, a * 0 + 1))),
    category=FLOATING,
)


@op(inplace=True, out=True)
def nan_to_num(input, nan=None, posinf=None, neginf=None) -> Tensor:
    """nan, inf and -inf replaced (by 0 and the dtype's limits unless given)."""
    if input._dtype.category < FLOATING:
        return input.clone()
    if input._dtype.category == COMPLEX:
        from .complex_ops import make_complex

        return make_complex(*[nan_to_num(part, nan, posinf, neginf) for part in (input.real, input.imag)])
    from .._limits import finfo

    info = finfo(input._dtype)
    return _nan_to_num(
        input,
        0.0 if nan is None else nan,
        info.max if posinf is None else posinf,
        info.min if neginf is None else neginf,
    )


_nan_to_num = unary(
    "nan_to_num",
    lambda x, nan, high, low: where(isnan(x), nan, where(x == math.inf, high, where(x == -math.inf, low, x))),
    lambda g, x: where(abs(x) < math.inf, g, 0.0),
    function=False,
    method=False,
)


def _dispatch(name: str, *args):
    """What a scalar function does when a derivative calls it with tensors."""
    return (FUNCTIONS[""].get(name) or FUNCTIONS["special"][name])(*args)


scalar_math.tensor_dispatch = _dispatch
