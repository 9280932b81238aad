"""Derivatives of pointwise operators: a rule's two ways to run, the node that runs it, and its recording.

In an ordinary backward a rule runs as one kernel compiled from its text; where the backward is itself recorded, the text
is called with tensors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numtorch.graph import Node, mode, next_sequence, rare, save, unpack
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

from ._device import cpu
from ._dtype import COMPLEX, FLOATING, dtype
from ._loops import Loops, run
from ._tensor import Tensor, _new, alias, wrap

_np_empty = np.empty


def argument_names(text: Callable) -> tuple[str, ...]:
    """The names of a function's arguments (inspect.signature takes 18 us, and there are hundreds of texts)."""
    return text.__code__.co_varnames[: text.__code__.co_argcount]


class Rule:
    """A derivative: which values it names, and its two ways to run."""

    def __init__(self, text: Callable, operand_names: tuple[str, ...], param_names: tuple[str, ...]):
        self.text = text
        names = argument_names(text)
        values = ("g", *operand_names, "y")
        self.positions = tuple(values.index(n) for n in names if n in values)
        self.params = tuple(param_names.index(n) for n in names if n in param_names)
        unknown = [n for n in names if n not in values and n not in param_names]
        if unknown:
            raise TypeError(f"derivative {text} names {unknown}: only {values} and {param_names} are there")
        self.needs_result = "y" in names
        self.needs = tuple(n in names for n in operand_names)
        self.loops = Loops(text, len(self.positions))
        self.fast: dict = {}  # dtype -> the contiguous loop
        self.identity = names == ("g",) and _is_identity(text)

    def __call__(self, values: tuple, params: tuple):
        """`values` is (g, operands..., y); what the rule does not name may be None."""
        if self.identity:
            return values[0]
        args = [values[i] for i in self.positions]
        if params:
            params = tuple([params[i] for i in self.params])
        if mode.enabled or len(args) > 4:
            return self.text(*args, *params)
        g = args[0]
        d, size, flat = g._dtype, g._size, g._flat
        entry = self.fast.get(d)
        if flat is None and len(args) > 1 and not any(g._stride) and g._device is cpu and d.np is d.compute:
            # The gradient of a sum: one number everywhere. It is written out, for the contiguous loops.
            flat = _np_empty(size.numel(), d.np)
            if flat.size:
                flat.fill(g._buffer()[g._offset])
            args[0] = g = wrap(flat, size, d)
        if entry is not None and flat is not None and flat.size < PARALLEL_THRESHOLD:
            flats = []
            for t in args:
                x = getattr(t, "_flat", None)  # a number among the operands has none
                if x is None or t._dtype is not d or t._size != size:
                    break
                flats.append(x)
            else:
                y = _np_empty(flat.size, d.np)
                entry(*flats, y, params)
                result = _new(Tensor)
                result._flat = y
                result._size = size
                result._stride = g._stride
                result._dtype = d
                return result
        if d.np is d.compute and d.category >= FLOATING:
            for t in args:
                if not isinstance(t, Tensor) or t._dtype is not d:
                    break
            else:
                if entry is None and g._device is cpu:
                    self.fast[d] = self.loops.entry("contiguous", d.np, len(params))
                return run(self.loops, tuple(args), params, d)
        return self.text(*args, *params)


def _is_identity(text: Callable) -> bool:
    """Whether the rule hands the gradient on as it is (`lambda g: g`)."""
    return text.__code__.co_code == (lambda g: g).__code__.co_code


def reduce_to(grad: Tensor, operand_size, operand_dtype: dtype) -> Tensor:
    """The gradient of a broadcast (or promoted) operand: summed over the broadcast dims and cast back."""
    if grad._size != operand_size:
        grad = grad.sum_to_size(operand_size)
    if grad._dtype is not operand_dtype:
        if grad._dtype.category == COMPLEX and operand_dtype.category != COMPLEX:
            grad = grad.real
        grad = grad.to(operand_dtype)
    return grad


_NOTHING = tuple((None,) * (n + 1) for n in range(5))


class PointwiseNode(Node):
    """The node of a pointwise operator; each operator has a subclass named as torch names it."""

    rules: tuple[Rule | None, ...] = ()
    params: tuple = ()
    numbers: tuple = ()  # operands that were Python numbers, by position; None for tensors
    metas: tuple | None = None  # (size, dtype) of each operand where broadcasting or promotion took place
    saves_result = False

    def apply(self, grads):
        g = grads[0]
        rules = self.rules
        if g is None:
            return (None,) * len(rules)
        saved = unpack(self) if self.saved else _NOTHING[len(rules)]
        if self.saves_result and mode.enabled and saved[-1] is not None and not saved[-1]._requires_grad:
            result = alias(saved[-1])
            result._grad_fn, result._requires_grad = self, True
            saved = (*saved[:-1], result)
        if self.numbers:
            saved = tuple([n if s is None else s for s, n in zip(saved, (*self.numbers, None))])
        values = (g, *saved)
        metas, params = self.metas, self.params
        out = []
        for i, node in enumerate(self.next_nodes):
            if node is None or rules[i] is None:
                out.append(None)
                continue
            grad = rules[i](values, params)
            if metas is not None:
                grad = reduce_to(grad, *metas[i])
            out.append(grad)
        return tuple(out)


def record(node_class, operands: tuple, result: Tensor, params: tuple = ()) -> None:
    """Make `result` a result of the graph: called when grad mode is on and an operand requires grad."""
    rules = node_class.rules
    node = _new(node_class)
    node.sequence_nr = next_sequence()
    edges, numbers, saved = [], None, [None] * (len(operands) + 1)
    plain = True
    keep = [False] * len(operands)
    for i, t in enumerate(operands):
        if isinstance(t, Tensor):
            if t._requires_grad and rules[i] is not None:
                edges.append(t._edge())
                for j, needed in enumerate(rules[i].needs):
                    if needed:
                        keep[j] = True
                if rules[i].needs_result:
                    saved[-1] = True
            else:
                edges.append(None)
            if t._size != result._size or t._dtype is not result._dtype:
                plain = False
        else:
            edges.append(None)
            numbers = True
    node.next_nodes = tuple(edges)
    for i, t in enumerate(operands):
        if isinstance(t, Tensor) and t._output_nr and edges[i] is not None:
            node.next_nrs = tuple([t._output_nr if isinstance(t, Tensor) else 0 for t in operands])
            break
    any_saved = False
    for i, t in enumerate(operands):
        if keep[i] and isinstance(t, Tensor):
            saved[i] = t
            any_saved = True
    if saved[-1]:
        saved[-1] = alias(result)
        node.saves_result = any_saved = True
    if numbers:
        node.numbers = tuple([None if isinstance(t, Tensor) else t for t in operands])
    if not plain:
        node.metas = tuple([(t._size, t._dtype) if isinstance(t, Tensor) else None for t in operands])
    if params:
        node.params = params
    result._grad_fn = node
    result._requires_grad = True
    if any_saved or rare.active:
        save(node, tuple(saved))


def record_pair(node_class, a: Tensor, b: Tensor, result: Tensor) -> None:
    """`record` for two tensors of the result's size and dtype: the hot path of x + y and x * y."""
    node = _new(node_class)
    node.sequence_nr = next_sequence()
    grad_a, grad_b = a._requires_grad, b._requires_grad
    edge_a = edge_b = None
    if grad_a:
        edge_a = a._grad_fn if a._base is None else a._edge()
        if edge_a is None:
            edge_a = a._acc or a._edge()
    if grad_b:
        edge_b = b._grad_fn if b._base is None else b._edge()
        if edge_b is None:
            edge_b = b._acc or b._edge()
    node.next_nodes = (edge_a, edge_b)
    if a._output_nr or b._output_nr:
        node.next_nrs = (a._output_nr, b._output_nr)
    result._grad_fn = node
    result._requires_grad = True
    keep_a, keep_b, keep_result = node_class.keeps[grad_a + 2 * grad_b]
    if keep_result or rare.active:
        saved = alias(result) if keep_result else None
        node.saves_result = keep_result
        save(node, (a if keep_a else None, b if keep_b else None, saved))
    elif keep_a or keep_b:
        node.saved = (a if keep_a else None, b if keep_b else None, None)
        node.versions = (a._version if keep_a else 0, b._version if keep_b else 0, 0)


def _keeps(rules) -> tuple:
    """For each subset of operands that need gradients: which operands, and whether the result, must be saved."""
    table = []
    for subset in range(1 << len(rules)):
        used = [r for i, r in enumerate(rules) if subset >> i & 1 and r is not None]
        operands = [any(r.needs[i] for r in used) for i in range(len(rules))]
        table.append((*operands, any(r.needs_result for r in used)))
    return tuple(table)
