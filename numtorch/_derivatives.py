"""Derivatives of pointwise operators: a rule's two ways to run, the node that runs it, and its recording.

In an ordinary backward a rule runs as one kernel compiled from its text; where the backward is itself recorded, the text
is called with tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from sys import getrefcount

import numpy as np

from numtorch.graph import Node, mode, next_sequence, rare, save, unpack
from numtorch.graph.node import RELEASED_MESSAGE
from numtorch.graph.saved import changed_since_saved
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

from ._allocator import empty
from ._device import cpu
from ._dtype import COMPLEX, FLOATING, dtype
from ._loops import Loops, run
from ._ownership import ATTRIBUTE, IN_APPLY, alone
from ._tensor import Tensor, _new, alias, wrap

_np_empty = np.empty


def argument_names(text: Callable) -> tuple[str, ...]:
    """The names of a function's arguments (inspect.signature takes 18 us, and there are hundreds of texts)."""
    return text.__code__.co_varnames[: text.__code__.co_argcount]


class Rule:
    """A derivative: which values it names, and its ways to run."""

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
        # Where the values beside g lie in what a node saves, for `run`, which takes g first and at most two more.
        self.others = tuple(i - 1 for i in self.positions[1:])
        self.straight = bool(self.positions) and self.positions[0] == 0 and len(self.others) <= 2
        self.all_params = self.params == tuple(range(len(param_names)))
        # Where a Python number among the operands stands in the text, by operand: None where the text leaves it out.
        self.places = tuple(names.index(n) if n in names else None for n in operand_names)
        self.fast_number: dict = {}  # (dtype, place) -> the contiguous loop with the number as its first parameter

    def run(self, g: Tensor, saved: tuple, params: tuple, reuse: bool) -> Tensor | None:
        """The gradient by one contiguous loop; None where the general way has to be taken.

        With `reuse` the result is written over g, which nobody else holds and which is large.
        """
        d = g._dtype
        entry = self.fast.get(d)
        flat = g._flat
        if entry is None or flat is None:
            return None
        if not self.all_params:
            params = tuple([params[i] for i in self.params])
        n = flat.size
        others = self.others
        if others:
            size = g._size
            t = saved[others[0]]
            x = t._flat
            if x is None or t._dtype is not d or t._size != size:
                return None
            if len(others) == 2:
                t = saved[others[1]]
                z = t._flat
                if z is None or t._dtype is not d or t._size != size:
                    return None
        if n >= PARALLEL_THRESHOLD:
            entry = self.loops.entry("inplace parallel" if reuse else "parallel", d.np, len(self.params))
            if reuse:
                if not others:
                    entry(flat, params)
                elif len(others) == 1:
                    entry(flat, x, params)
                else:
                    entry(flat, x, z, params)
                return g
        y = _np_empty(n, d.np) if n < PARALLEL_THRESHOLD else empty(n, d.np)
        if not others:
            entry(flat, y, params)
        elif len(others) == 1:
            entry(flat, x, y, params)
        else:
            entry(flat, x, z, y, params)
        result = _new(Tensor)
        result._flat = y
        result._size = g._size
        result._stride = g._stride
        result._dtype = d
        return result

    def run_beside_number(self, g: Tensor, saved: tuple, params: tuple, operand: int, number) -> Tensor | None:
        """`run` where one operand was a Python number; None where the general way has to be taken."""
        place = self.places[operand]
        if place is None:
            return self.run(g, saved, params, False)
        d = g._dtype
        entry = self.fast_number.get((d, place))
        flat = g._flat
        if entry is None or flat is None or flat.size >= PARALLEL_THRESHOLD:
            return None
        params = (number, *[params[i] for i in self.params]) if params else (number,)
        y = _np_empty(flat.size, d.np)
        if len(self.positions) == 2:
            entry(flat, y, params)
        else:
            t = saved[self.others[0] if self.others[0] != operand else self.others[1]]
            x = t._flat
            if x is None or t._dtype is not d or t._size != g._size:
                return None
            entry(flat, x, y, params)
        result = _new(Tensor)
        result._flat = y
        result._size = g._size
        result._stride = g._stride
        result._dtype = d
        return result

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
        if flat is None and len(args) > 1 and not any(g._stride) and g._device is cpu:
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
        if d.category >= FLOATING and (d.np is d.compute or g._device is cpu):
            for t in args:
                if not isinstance(t, Tensor) or t._dtype is not d:
                    break
            else:
                if entry is None and g._device is cpu:
                    self.fast[d] = self.loops.entry("contiguous", d.np, len(params))
                return run(self.loops, tuple(args), params, d)
            found = self._beside_number(args, d)
            if found is not None:
                loops, tensors, number = found
                return run(loops, tuple(tensors), (*number, *params), d)
        return self.text(*args, *params)

    def _beside_number(self, args: list, d: dtype):
        """The loop of one operand less where one of them is a Python number: (loops, tensors, (number,)), or None."""
        places = [i for i, t in enumerate(args) if not isinstance(t, Tensor)]
        if len(places) != 1 or not places[0] or d.category != FLOATING or isinstance(args[places[0]], complex):
            return None
        place = places[0]
        for t in args:
            if isinstance(t, Tensor) and t._dtype is not d:
                return None
        if place != len(args) - 1 and len(args) != 3:
            return None
        loops = self.number_loops.get(place)
        if loops is None:
            text = self.text if place == len(args) - 1 else _number_last(self.text)
            loops = self.number_loops[place] = Loops(text, len(args) - 1)
            if self.straight and args[0]._device is cpu:
                key = d, place
                self.fast_number[key] = loops.entry("contiguous", d.np, 1 + len(self.params))
        return loops, [t for i, t in enumerate(args) if i != place], (float(args[place]),)

    @cached_property
    def number_loops(self) -> dict:
        """The loops made by `_beside_number`, by the number's place among the text's arguments."""
        return {}


class MissingRule:
    """In the place of a derivative that nobody has written: NotImplementedError where it is asked for."""

    needs_result = identity = straight = False

    def __init__(self, of: str, operand_names: tuple[str, ...]):
        self.of = of
        self.needs = (False,) * len(operand_names)

    def __call__(self, values: tuple, params: tuple):
        raise NotImplementedError(_MISSING.format(self.of))


_MISSING = "the derivative for '{}' is not implemented."


class UndifferentiableNode(Node):
    """The node of an operator without a derivative: a gradient that is asked of it is refused, not dropped."""

    error: type[Exception] = NotImplementedError
    message = ""

    def apply(self, grads: tuple) -> tuple:
        raise self.error(self.message)


def undifferentiable(
    node: str, of: str, error: type[Exception] = NotImplementedError, message: str = _MISSING
) -> type[UndifferentiableNode]:
    """The class of nodes, under torch's name for them, whose backward says that `of` has no derivative."""
    return type(node, (UndifferentiableNode,), {"error": error, "message": message.format(of)})


def record_undifferentiable(node_class: type[UndifferentiableNode], result: Tensor, *operands) -> Tensor:
    """`result` itself, with such a node where grad mode is on and one of the operands requires a gradient."""
    parents = [t for t in operands if isinstance(t, Tensor) and t._requires_grad]
    if parents and mode.enabled:
        node = _new(node_class)
        node.sequence_nr = next_sequence()
        node.next_nodes = tuple([t._edge() for t in parents])
        node.next_nrs = tuple([t._output_nr for t in parents])
        result._grad_fn, result._requires_grad = node, True
    return result


def rule(derivative, operand_names: tuple[str, ...], param_names: tuple[str, ...]) -> Rule | MissingRule | None:
    """The rule for a derivative's text; None for None. A string says of what there is no derivative."""
    if derivative is None:
        return None
    if isinstance(derivative, str):
        return MissingRule(derivative, operand_names)
    return Rule(derivative, operand_names, param_names)


def _number_last(f):
    """f(g, number, x) as a function of (g, x, number)."""

    def number_last(g, x, number, *params):
        return f(g, number, x, *params)

    return number_last


def _is_identity(text: Callable) -> bool:
    """Whether the rule hands the gradient on as it is (`lambda g: g`)."""
    return text.__code__.co_code == (lambda g: g).__code__.co_code


def reduce_to(grad: Tensor, operand_size, operand_dtype: dtype) -> Tensor:
    """The gradient of a broadcast (or promoted) operand: summed over the broadcast dims and cast back."""
    if grad._size != operand_size:
        lead = len(grad._size) - len(operand_size)
        if lead and operand_size and grad._size[lead:] == operand_size:
            grad = grad.sum(tuple(range(lead)))  # a bias: no dimension of 1 to be kept
        else:
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
    plain = True  # no numbers among the operands, no broadcasting, no promotion
    number: tuple | None = None  # (operand, value) of the one Python number of two operands

    def apply(self, grads: tuple) -> tuple:
        g = grads[0]
        rules = self.rules
        if g is None:
            return (None,) * len(rules)
        if not self.plain or mode.enabled or self.unpack_hook is not None:
            if self.number is not None and not mode.enabled and self.unpack_hook is None:
                found = self._apply_beside_number(g)
                if found is not None:
                    return found
            return self._apply_any(g)
        saved = self.saved
        if saved:
            for value, version in zip(saved, self.versions):
                if value is not None:
                    storage = value._storage
                    if storage is not None and storage.version != version:
                        raise changed_since_saved(value, version)
        elif self.released:
            raise RuntimeError(RELEASED_MESSAGE)
        params = self.params
        targets = self.next_nodes
        if g._flat is None and not any(g._stride) and g._device is cpu:
            # The gradient of a sum: one number everywhere. It is written out, once for all rules.
            flat = empty(g._size.numel(), g._dtype.np)
            if flat.size:
                flat.fill(g._buffer()[g._offset])
            g = wrap(flat, g._size, g._dtype)
            grads = (g,)
        if len(rules) == 1:
            rule = rules[0]
            if rule.identity:
                return grads
            if rule.straight:
                flat = g._flat
                own = (
                    flat is not None
                    and flat.size >= PARALLEL_THRESHOLD
                    and getrefcount(flat) == ATTRIBUTE
                    and getrefcount(g) == IN_APPLY
                    and g._storage is None
                    and alone(flat)
                )
                grad = rule.run(g, saved, params, own)
                if grad is not None:
                    return (grad,)
            return (rule((g, *(saved or _NOTHING[1])), params),)
        out = []
        last = len(targets) - 1
        while last >= 0 and targets[last] is None:
            last -= 1
        for i, node in enumerate(targets):
            rule = rules[i]
            if node is None or rule is None:
                out.append(None)
                continue
            grad = None
            if rule.identity:
                grad = g
            elif rule.straight:
                own = False
                if i == last:
                    flat = g._flat
                    own = (
                        flat is not None
                        and flat.size >= PARALLEL_THRESHOLD
                        and getrefcount(flat) == ATTRIBUTE
                        and getrefcount(g) == IN_APPLY
                        and g._storage is None
                        and alone(flat)
                    )
                grad = rule.run(g, saved, params, own)
            if grad is None:
                grad = rule((g, *(saved or _NOTHING[len(rules)])), params)
            out.append(grad)
        return tuple(out)

    def _apply_beside_number(self, g):
        """`apply` for two operands of which one was a number; None where the general way has to be taken."""
        operand, number = self.number
        saved = self.saved
        if saved:
            for value, version in zip(saved, self.versions):
                if value is not None:
                    storage = value._storage
                    if storage is not None and storage.version != version:
                        raise changed_since_saved(value, version)
        elif self.released:
            raise RuntimeError(RELEASED_MESSAGE)
        rule = self.rules[1 - operand]
        if rule.identity:
            grad = g
        else:
            grad = rule.run_beside_number(g, saved, self.params, operand, number) if rule.straight else None
            if grad is None:
                return None
        return (grad, None) if operand else (None, grad)

    def _apply_any(self, g):
        """`apply` with everything that may occur: numbers, broadcast operands, hooks, a recorded backward."""
        rules = self.rules
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
        node.plain = False
    if not plain:
        node.plain = False
        node.metas = tuple([(t._size, t._dtype) if isinstance(t, Tensor) else None for t in operands])
    if params:
        node.params = params
    result._grad_fn = node
    result._requires_grad = True
    if any_saved or rare.active:
        save(node, tuple(saved))


def record_unary(node_class, x: Tensor, result: Tensor, params: tuple = ()) -> None:
    """`record` for one tensor of the result's dtype: the hot path of relu and exp."""
    node = _new(node_class)
    node.sequence_nr = next_sequence()
    edge = x._grad_fn if x._base is None else x._edge()
    if edge is None:
        edge = x._acc or x._edge()
    node.next_nodes = (edge,)
    if x._output_nr:
        node.next_nrs = (x._output_nr,)
    if params:
        node.params = params
    result._grad_fn = node
    result._requires_grad = True
    keep, keep_result = node_class.keeps[1]
    if keep_result:
        node.saves_result = True
    if rare.active:
        save(node, (x if keep else None, alias(result) if keep_result else None))
    elif keep or keep_result:
        node.saved = (x if keep else None, alias(result) if keep_result else None)
        storage = x._storage if keep else None
        node.versions = (0 if storage is None else storage.version, 0)


def record_beside_number(node_class, x: Tensor, number, left: bool, result: Tensor) -> None:
    """`record` for a tensor and a Python number (`left`: the number comes first) where the result has x's dtype."""
    node = _new(node_class)
    node.sequence_nr = next_sequence()
    edge = x._grad_fn if x._base is None else x._edge()
    if edge is None:
        edge = x._acc or x._edge()
    node.next_nodes = (None, edge) if left else (edge, None)
    if x._output_nr:
        node.next_nrs = (0, x._output_nr) if left else (x._output_nr, 0)
    node.numbers = (number, None) if left else (None, number)
    node.number = (0, number) if left else (1, number)
    node.plain = False
    result._grad_fn = node
    result._requires_grad = True
    keep_a, keep_b, keep_result = node_class.keeps[2 if left else 1]
    keep = keep_b if left else keep_a
    if keep_result:
        node.saves_result = True
    if keep or keep_result or rare.active:
        kept, y = x if keep else None, alias(result) if keep_result else None
        saved = (None, kept, y) if left else (kept, None, y)
        if rare.active:
            save(node, saved)
        else:
            node.saved = saved
            storage = x._storage
            version = 0 if storage is None or not keep else storage.version
            node.versions = (0, version, 0) if left else (version, 0, 0)


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
        left, right = a._storage if keep_a else None, b._storage if keep_b else None
        node.versions = (0 if left is None else left.version, 0 if right is None else right.version, 0)


def record_broadcast(node_class, a: Tensor, b: Tensor, result: Tensor) -> None:
    """`record_pair` for two tensors of one dtype that were broadcast to each other."""
    record_pair(node_class, a, b, result)
    node = result._grad_fn
    node.plain = False
    node.metas = ((a._size, a._dtype), (b._size, b._dtype))


def keeps_of(rules) -> tuple:
    """For each subset of operands that need gradients: which operands, and whether the result, must be saved."""
    table = []
    for subset in range(1 << len(rules)):
        used = [r for i, r in enumerate(rules) if subset >> i & 1 and r is not None]
        operands = [any(r.needs[i] for r in used) for i in range(len(rules))]
        table.append((*operands, any(r.needs_result for r in used)))
    return tuple(table)
