"""Pointwise operators: a scalar text and its derivative, and everything that follows from the two.

    sigmoid = unary("sigmoid", lambda x: 1 / (1 + exp(-x)), lambda g, y: g * y * (1 - y), promote="float")
    mul = binary("mul", lambda a, b: a * b, lambda g, b: g * conj(b), lambda g, a: g * conj(a))

The text is compiled into the loops of `kernels/cpu/pointwise.py` for each dtype that it meets. A derivative names what
it needs: `g` is the gradient of the result, `y` the result, `x` (or `a`, `b`, `c`) the operands, then any parameters;
only what it names is saved. It runs as one kernel in an ordinary backward, and is *called with tensors* when the
backward itself is recorded (create_graph=True), so derivatives of any order come from the same line.

What comes of a definition: the function, the method, `op_` and `out=`, and a node under torch's name. Here is what all
operators share; `_unary.py`, `_binary.py` and `_ternary.py` hold the ways by which a call reaches its loop.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numtorch.graph import mode

from . import _dtype
from ._allocator import empty as _empty
from ._copy import cast
from ._derivatives import PointwiseNode, keeps_of, rule
from ._device import cpu
from ._dtype import FLOATING, dtype
from ._loops import Loops, check_devices, run, run_into
from ._operands import is_number_beside, number, scalar_tensor
from ._promotion import result_type, to_floating
from ._registry import FUNCTIONS, OPERATORS, register
from ._tensor import Tensor
from ._views import tracked


class Pointwise:
    """What an operator's definition holds; `unary`, `binary` and `ternary` make them."""

    def __init__(
        self,
        name,
        text,
        derivatives,
        operand_names,
        param_names,
        node,
        promote,
        result,
        category,
        refuse,
        node_number=None,
    ):
        self.name, self.text, self.promote = name, text, promote
        self.arity = len(operand_names)
        self.loops = Loops(text, self.arity, result)
        self.category, self.refuse, self.result, self.rule_texts = category, refuse, result, derivatives
        self.common: dict = {}  # what the operands are -> the dtype to compute in (see in_one_dtype)
        self.differentiable = any(d is not None for d in derivatives)
        rules = tuple(rule(d, operand_names, param_names) for d in derivatives)
        self.node_class = type(node or _node_name(name), (PointwiseNode,), {"rules": rules, "keeps": keeps_of(rules)})
        # torch names some nodes differently where an operand is a Python number.
        self.node_class_number = (
            type(node_number, (PointwiseNode,), {"rules": rules, "keeps": keeps_of(rules)})
            if node_number
            else self.node_class
        )
        # One Python number among two operands: the loop of one element less, with the number as a parameter.
        if self.arity == 2:
            self.number_right = Loops(text, 1, result)
            self.number_left = Loops(text, 1, result, swapped=True)
        elif self.arity == 3:
            self.number_last = Loops(text, 2, result)

    def dtype_of(self, operands) -> dtype:
        """The dtype to compute in."""
        d = operands[0]._dtype if len(operands) == 1 else result_type(*operands)
        if self.promote == "float":
            d = to_floating(d)
        if d.category > self.category or (self.refuse is not None and d.category in self.refuse):
            raise NotImplementedError(f"\"{self.name}_cpu\" not implemented for '{d.type_name}'")
        return d

    def compute(self, operands: tuple, params: tuple = ()) -> Tensor:
        """The result, outside the graph, whatever the operands' dtypes, devices and layouts."""
        d = self.dtype_of(operands)
        inner, loops = d, self.loops
        tensors = [t for t in operands if t.__class__ is Tensor or isinstance(t, Tensor)]
        if len(tensors) > 1 and check_devices(tensors) and tensors[0]._device is cpu:
            where = next(t._device for t in tensors if t._device is not cpu)
            tensors[0] = tensors[0].to(where)
        if d.np is not d.compute and tensors[-1]._device is not cpu:
            inner = _dtype.float32
        if len(tensors) < len(operands):
            if (
                self.arity == 3
                and len(tensors) == 2
                and not isinstance(operands[2], Tensor)
                and inner.category == FLOATING
            ):
                loops, params = self.number_last, (number(operands[2], inner), *params)
            elif self.arity == 2 and len(tensors) == 1:
                left = not isinstance(operands[0], Tensor)
                loops = self.number_left if left else self.number_right
                params = (number(operands[0] if left else operands[1], inner), *params)
            else:
                device = tensors[0]._device
                tensors = [t if isinstance(t, Tensor) else scalar_tensor(t, inner, device) for t in operands]
        elif len(tensors) == 2 and is_number_beside(*tensors, inner):
            params = (number(tensors[1].item(), inner), *params)
            loops, tensors = self.number_right, tensors[:1]
        result = run(loops, tuple([cast(t, inner) for t in tensors]), params, inner)
        if inner is not d and self.result != "bool":
            result = cast(result, d)
        return result

    def into(self, operands: tuple, params: tuple, out) -> bool:
        """Write the result straight into `out`, whatever the layouts, where nothing is cast, moved or recorded; whether that
        was done."""
        tensors = tuple([t for t in operands if t.__class__ is Tensor])
        if out.__class__ is not Tensor or out._device is not cpu or tracked(out) or not tensors:
            return False
        d = tensors[0]._dtype
        for t in tensors:
            if t._dtype is not d or t._device is not cpu or not t._size or t._requires_grad and mode.enabled:
                return False
        loops = self.loops
        if self.dtype_of(operands) is not d or params and d.category != FLOATING:
            return False
        if self.arity == 2 and len(tensors) == 1 and not isinstance(operands[operands[0] is tensors[0]], Tensor):
            left = operands[0] is not tensors[0]
            loops = self.number_left if left else self.number_right
            params = (number(operands[0] if left else operands[1], d), *params)
        elif len(tensors) < self.arity:
            return False
        out_np = loops.output(d.np)
        if out._dtype is not (d if out_np is d.np else _dtype.FROM_NUMPY[out_np]):
            return False
        if not run_into(loops, tensors, params, out):
            return False
        out._bump_version()
        return True


def large(loops: Loops, d: dtype, n_params: int, n: int, out_np) -> tuple[Callable, np.ndarray]:
    """The loop that all threads share, and room for its n results."""
    return loops.entry("parallel", d.np, n_params), _empty(n, out_np)


def _node_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.strip("_").split("_")) + "Backward0"


def publish(
    spec: Pointwise, call: Callable, call_inplace: Callable, *, function, method, inplace, namespace, aliases
) -> Callable:
    spec.call = call
    OPERATORS[spec.name] = call
    call.pointwise = spec
    call.inplace = call_inplace
    register(spec.name, call, function=function, method=method, namespace=namespace, aliases=aliases)
    if inplace:
        for each in (spec.name, *aliases):
            if method:
                setattr(Tensor, each + "_", call_inplace)
            if function and not namespace:
                FUNCTIONS[""][each + "_"] = call_inplace
    return call
