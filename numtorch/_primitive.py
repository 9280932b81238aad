"""Primitives: operators with a forward of their own and a backward rule, defined in one place.

    @primitive(node="MmBackward0", save=("self", "mat2"))
    def mm(self, mat2):
        ...checks; kernels on flat buffers...
        return wrap(out, (n, p), self._dtype)          # a fresh tensor, outside the graph

    mm.derivative(self=lambda ctx, grad: grad.mm(ctx.mat2.mH),
                  mat2=lambda ctx, grad: ctx.self.mH.mm(grad))

The arguments named in `derivative` are the differentiable ones; a rule runs only if its argument needs a gradient. Rules
are written in differentiable operators, so a recorded backward (create_graph=True) is itself differentiable. Where the
gradients come out of one computation:

    @conv.backward
    def _(ctx, grad):
        return {"input": ..., "weight": ..., "bias": ...}      # may leave out what ctx.needs(name) says is not needed

with `conv.derivative_of("input", "weight", "bias")` naming the differentiable arguments (or `differentiable=(...)` in
the decorator).

In a rule, `ctx.<name>` is: the tensor, for arguments in `save`; the value, for arguments that are not tensors; and a
`Meta` (shape, dtype, device) for other tensors. `save` may name "result" (or "result0", "result1", ... of a tuple).
An argument may be a list of tensors (as in cat): its rule returns a list. Rules receive one gradient for each
differentiable (floating) output, None where undefined.

Several outputs: return a tuple (or a namedtuple). Outputs of integer or bool dtype are not differentiable;
`nondifferentiable=(1,)` names others by position.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

from numtorch.graph import Node, mode, next_sequence, rare, save, stamp, unpack

from ._dtype import FLOATING
from ._registry import OPERATORS, register
from ._size import PublicSize
from ._tensor import Tensor, _new, alias

_new_tuple = tuple.__new__


class Meta(tuple):
    """What remains of a tensor argument that the rule does not need as a tensor: (size, dtype, device, requires_grad).

    A tuple, since one is made for each such argument of each recorded call.
    """

    __slots__ = ()

    _size = property(itemgetter(0))
    dtype = property(itemgetter(1))
    device = property(itemgetter(2))
    requires_grad = property(itemgetter(3))

    @property
    def shape(self) -> PublicSize:
        return PublicSize(self[0])

    @property
    def ndim(self) -> int:
        return len(self[0])

    def dim(self) -> int:
        return len(self[0])

    def size(self, dim: int | None = None):
        return self.shape if dim is None else self[0][dim]

    def numel(self) -> int:
        return self[0].numel()


def _meta(t: Tensor) -> Meta:
    return _new_tuple(Meta, (t._size, t._dtype, t._device, t._requires_grad))


class PrimitiveNode(Node):
    """The node of a primitive; each primitive has a subclass named as torch names it."""

    spec: Primitive
    arguments: dict  # argument name -> value; a Meta for tensors (and for each tensor of a list)
    spans: tuple | None = None  # how many edges each differentiable argument has, where lists occur

    def apply(self, grads):
        spec = self.spec
        if spec.picked is not None:
            grads = tuple([grads[i] for i in spec.picked(self)])
        for grad in grads:
            if grad is not None:
                break
        else:
            return (None,) * len(self.next_nodes)
        ctx = _new(Context)
        ctx._node = self
        ctx._saved = dict(zip(self.saved_names, unpack(self))) if self.saved else {}
        if spec.joint is not None:
            found = spec.joint(ctx, *grads)
            results = [found.get(name) for name in spec.differentiable]
        elif self.spans is None:
            return tuple(
                [
                    None if target is None or rule is None else rule(ctx, *grads)
                    for target, rule in zip(self.next_nodes, spec.ordered_rules)
                ]
            )
        else:
            results = [
                rule(ctx, *grads) if rule is not None and ctx.needs(name) else None
                for name, rule in zip(spec.differentiable, spec.ordered_rules)
            ]
        if self.spans is None:
            return tuple(results)
        flat = []
        for result, span in zip(results, self.spans):
            if span is None:
                flat.append(result)
            else:
                flat.extend([None] * span if result is None else result)
        return tuple(flat)


class Context:
    """What a backward rule sees of the forward call."""

    _node: PrimitiveNode
    _saved: dict

    def __getattr__(self, name: str):
        saved = self._saved
        if name in saved:
            value = saved[name]
            if name.startswith("result") and mode.enabled and isinstance(value, Tensor):
                value = self._connected(name, value)
            return value
        try:
            return self._node.arguments[name]
        except KeyError:
            raise AttributeError(f"{self._node.name()} has no argument or saved value '{name}'") from None

    def _connected(self, name: str, value: Tensor) -> Tensor:
        """A saved result, put back in its place in the graph for a backward that is itself recorded."""
        if value._dtype.category < FLOATING:
            return value
        value = alias(value)
        value._grad_fn, value._requires_grad = self._node, True
        value._output_nr = int(name[6:] or 0)
        return value

    def needs(self, name: str) -> bool:
        """Whether the argument needs a gradient."""
        node = self._node
        position = node.spec.differentiable.index(name)
        if node.spans is None:
            return node.next_nodes[position] is not None
        start = 0
        for span in node.spans[:position]:
            start += 1 if span is None else span
        end = start + (1 if node.spans[position] is None else node.spans[position])
        return any(n is not None for n in node.next_nodes[start:end])

    def needs_each(self, name: str) -> list[bool]:
        """For a list argument: which of its tensors need a gradient."""
        node = self._node
        position = node.spec.differentiable.index(name)
        start = 0
        for span in node.spans[:position]:
            start += 1 if span is None else span
        return [n is not None for n in node.next_nodes[start : start + node.spans[position]]]


def arguments_of(fn: Callable) -> tuple[tuple[str, ...], dict]:
    """The names of a function's arguments in order, and the defaults by name (inspect.signature takes 40 us)."""
    code = fn.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    given = fn.__defaults__ or ()
    defaults = dict(zip(names[code.co_argcount - len(given) : code.co_argcount], given))
    return names, {**defaults, **(fn.__kwdefaults__ or {})}


class Primitive:
    """The definition behind a primitive's function."""

    def __init__(self, forward: Callable, node: str, save: tuple[str, ...], nondifferentiable: tuple[int, ...]):
        self.forward = forward
        self.names, defaults = arguments_of(forward)
        # Argument name -> default, in order; None where there is no default.
        self.defaults = {n: defaults.get(n) for n in self.names}
        self.save = save
        # What is saved: (name, None) for an argument, (name, output number) for a result.
        self.saves = tuple((n, int(n[6:] or 0) if n.startswith("result") else None) for n in save)
        self.nondifferentiable = nondifferentiable
        self.rules: dict[str, Callable | None] = {}
        self.ordered_rules: tuple[Callable | None, ...] = ()
        self.differentiable: tuple[str, ...] = ()
        self.positions: tuple[tuple[int, str], ...] = ()
        self.joint: Callable | None = None
        self.picked: Callable | None = None
        self.node_class = type(node, (PrimitiveNode,), {"spec": self, "__module__": __name__})

    def set_differentiable(self, names: tuple[str, ...]) -> None:
        unknown = [n for n in names if n not in self.names]
        if unknown:
            raise TypeError(f"{self.forward.__name__} has no argument {unknown}")
        self.differentiable = names
        self.positions = tuple((self.names.index(n), n) for n in names)

    def set_rules(self, rules: dict) -> None:
        self.rules = rules
        self.set_differentiable(tuple(rules))
        self.ordered_rules = tuple(rules.values())

    def bind(self, args: tuple, kwargs: dict) -> dict:
        arguments = self.defaults.copy()
        arguments.update(zip(self.names, args))
        if kwargs:
            arguments.update(kwargs)
        return arguments

    def record(self, args: tuple, kwargs: dict, result):
        """Make `result` a result of the graph."""
        arguments = self.bind(args, kwargs)
        node = _new(self.node_class)
        node.sequence_nr = next_sequence()
        self._connect(node, arguments)
        if isinstance(result, tuple):
            outputs = result
            node.num_outputs = len(outputs)
            node.picked = tuple(
                i
                for i, t in enumerate(outputs)
                if isinstance(t, Tensor) and t._dtype.category >= FLOATING and i not in self.nondifferentiable
            )
            self.picked = _picked
            for i in node.picked:
                t = outputs[i]
                t._grad_fn, t._requires_grad = node, True
                if i:
                    t._output_nr = i
        else:
            outputs = (result,)
            if result._dtype.category >= FLOATING and 0 not in self.nondifferentiable:
                result._grad_fn, result._requires_grad = node, True
        saved, names = [], []
        for name, nr in self.saves:
            if nr is not None:
                value = outputs[nr]
                if value is not None:
                    value = alias(value)
            else:
                value = arguments[name]
                if isinstance(value, Tensor):
                    arguments[name] = None  # a rule finds what is saved before it looks among the arguments
                elif value is not None:
                    continue  # a number where a tensor may stand: it stays in `arguments`
            saved.append(value)
            names.append(name)
        for name, value in arguments.items():
            if value is not None:
                if isinstance(value, Tensor):
                    arguments[name] = _meta(value)
                elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
                    arguments[name] = [_meta(t) for t in value]
        node.saved_names = names
        node.arguments = arguments
        if saved or rare.active:
            save(node, tuple(saved))
        stamp(node)
        return result

    def _connect(self, node: PrimitiveNode, arguments: dict) -> None:
        """Point `node` at the nodes that made the differentiable arguments."""
        edges, nrs, lists = [], [], False
        for name in self.differentiable:
            value = arguments[name]
            if value is None:
                edges.append(None)
                nrs.append(0)
            elif isinstance(value, Tensor):
                connected = value._requires_grad
                edges.append(value._edge() if connected else None)
                nrs.append(value._output_nr if connected else 0)
            elif isinstance(value, (list, tuple)):
                lists = True
                for t in value:
                    edges.append(t._edge() if t._requires_grad else None)
                    nrs.append(t._output_nr)
            else:
                edges.append(None)
                nrs.append(0)
        node.next_nodes = tuple(edges)
        if any(nrs):
            node.next_nrs = tuple(nrs)
        if lists:
            values = [arguments[name] for name in self.differentiable]
            node.spans = tuple([len(v) if isinstance(v, (list, tuple)) else None for v in values])


def _picked(node):
    return node.picked


def primitive(
    name: str | None = None,
    *,
    node: str | None = None,
    save: tuple[str, ...] = (),
    differentiable: tuple[str, ...] = (),
    nondifferentiable: tuple[int, ...] = (),
    function: bool = True,
    method: bool = True,
    inplace: bool = False,
    out: bool = False,
    namespace: str = "",
    aliases: tuple[str, ...] = (),
    public: bool = True,
):
    """Define a primitive; see the module's docstring. `public=False` registers neither a function nor a method."""

    def decorate(forward: Callable):
        op_name = name or forward.__name__
        node_name = node or "".join(p.capitalize() for p in op_name.strip("_").split("_")) + "Backward0"
        spec = Primitive(forward, node_name, save, nondifferentiable)

        def call(*args, **kwargs):
            result = forward(*args, **kwargs)
            if mode.enabled:
                given = len(args)
                for position, argument in spec.positions:
                    value = args[position] if position < given else kwargs.get(argument)
                    if value is None:
                        continue
                    if isinstance(value, Tensor):
                        if value._requires_grad:
                            return spec.record(args, kwargs, result)
                    elif isinstance(value, (list, tuple)):
                        for t in value:
                            if t._requires_grad:
                                return spec.record(args, kwargs, result)
            return result

        def derivative(**rules):
            spec.set_rules(rules)
            return call

        def backward(rule):
            spec.joint = rule
            return rule

        def derivative_of(*names):
            spec.set_differentiable(names)

        call.__name__ = call.__qualname__ = op_name
        call.__doc__ = forward.__doc__
        call.__module__ = forward.__module__
        call.__wrapped__ = forward
        call.primitive = spec
        call.derivative = derivative
        call.backward = backward
        call.derivative_of = derivative_of
        if differentiable:
            spec.set_differentiable(differentiable)
        OPERATORS[op_name] = call
        if public:
            published = register(
                op_name,
                call,
                function=function,
                method=method,
                inplace=inplace,
                out=out,
                namespace=namespace,
                aliases=aliases,
            )
            if published is not call:
                for attribute in ("primitive", "derivative", "backward", "derivative_of"):
                    setattr(published, attribute, getattr(call, attribute))
            return published
        return call

    return decorate
