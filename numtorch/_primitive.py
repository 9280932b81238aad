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

What only the rule needs and is no argument (sums of weights, statistics) may be kept as it is, without a tensor made of
it: with `keeps=("mean",)` the forward returns (result, mean), of which callers get the result and the rule `ctx.mean`.

Several outputs: return a tuple (or a namedtuple). Outputs of integer or bool dtype are not differentiable;
`nondifferentiable=(1,)` names others by position.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

from numtorch.graph import Node, mode, next_sequence, rare, save, stamp, unpack

from ._dtype import FLOATING
from ._inplace import write_out
from ._registry import OPERATORS, announce_out, register
from ._size import PublicSize
from ._tensor import Tensor, _new, alias

_new_tuple = tuple.__new__
_FIRST = [0]
_FIRST_VERSION = (0,)


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

    def size(self, dim: int | None = None) -> PublicSize | int:
        return self.shape if dim is None else self[0][dim]

    def numel(self) -> int:
        return self[0].numel()


class PrimitiveNode(Node):
    """The node of a primitive; each primitive has a subclass named as torch names it."""

    spec: Primitive
    values: list  # those of the arguments, in order; what a Meta is made from for tensors (a Meta for those of a list)
    layout: _Layout
    spans: tuple | None = None  # how many edges each differentiable argument has, where lists occur
    picked: list | None = None  # which of several outputs are differentiable

    def apply(self, grads: tuple) -> tuple:
        spec = self.spec
        if self.picked is not None:
            grads = tuple([grads[i] for i in self.picked])
        for grad in grads:
            if grad is not None:
                break
        else:
            return (None,) * len(self.next_nodes)
        ctx = _new(Context)
        known = ctx.__dict__
        layout = self.layout
        known.update(zip(spec.names, self.values))
        for name in layout.meta_names:
            known[name] = _new_tuple(Meta, known[name])
        ctx._node = self
        if self.saved:
            known.update(zip(layout.saved_names, unpack(self)))
            if mode.enabled and spec.saves_result:
                ctx._connect_results()
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
    """What a backward rule sees of the forward call: its arguments and what was saved, as attributes."""

    _node: PrimitiveNode

    def __getattr__(self, name: str):
        raise AttributeError(f"{self._node.name()} has no argument or saved value '{name}'")

    def _connect_results(self) -> None:
        """Put the saved results back in their places in the graph, for a backward that is itself recorded."""
        for name in self._node.layout.saved_names:
            value = getattr(self, name)
            if name.startswith("result") and isinstance(value, Tensor) and value._dtype.category >= FLOATING:
                value = alias(value)
                value._grad_fn, value._requires_grad = self._node, True
                value._output_nr = int(name[6:] or 0)
                self.__dict__[name] = value

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

    def __init__(self, forward: Callable, node: str, save: tuple, nondifferentiable: tuple, keeps: tuple):
        self.forward = forward
        arguments, defaults = arguments_of(forward)
        # Argument name -> default, in order; None where there is no default.
        self.defaults = {n: defaults.get(n) for n in arguments}
        self.keeps = keeps
        self.names = arguments + keeps  # of what a node knows when its rule runs
        self.save = save
        # What is saved: (name, None) for an argument, (name, output number) for a result.
        self.saves = tuple((n, int(n[6:] or 0) if n.startswith("result") else None) for n in save)
        self.saves_result = any(nr is not None for _, nr in self.saves)
        self.nondifferentiable = nondifferentiable
        # How many outputs there are where all behind the first are by-products, which have no gradient; 0 elsewhere.
        count = 1 + len(nondifferentiable)
        self.with_by_products = count if count > 1 and nondifferentiable == tuple(range(1, count)) else 0
        self.rules: dict[str, Callable | None] = {}
        self.ordered_rules: tuple[Callable | None, ...] = ()
        self.differentiable: tuple[str, ...] = ()
        self.positions: tuple[tuple[int, str], ...] = ()
        self.joint: Callable | None = None
        self.default_values = tuple(self.defaults.values())
        self.layouts: dict[tuple, _Layout] = {}
        self.direct: _Layout | None = None  # for record_directly
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
        """The arguments of a call by name, in order, with the defaults of those that are not given."""
        return {**self.defaults, **dict(zip(self.names, args)), **kwargs}

    def record(self, args: tuple, kwargs: dict, result: Tensor | tuple, kept: tuple | list = ()) -> Tensor | tuple:
        """Make `result` a result of the graph; `kept` are the values that `keeps` names."""
        if kwargs or kept:
            defaults = self.default_values
            values = [*args, *defaults[len(args) :]]
            for name, value in kwargs.items():
                values[self.names.index(name)] = value
            values.extend(kept)
            args = values
        count = len(args)  # (written out for one and two, which most have: 0.1 us less than the map)
        if count == 1:
            kinds = (args[0].__class__,)
        elif count == 2:
            kinds = (args[0].__class__, args[1].__class__)
        else:
            kinds = tuple(map(type, args))
        layout = self.layouts.get(kinds)
        if layout is None:
            layout = self.layouts[kinds] = _Layout(self, kinds)
        values = [*args, *layout.defaults]
        node = _new(self.node_class)
        node.sequence_nr = next_sequence()
        node.layout = layout
        node.values = values
        stamp(node, 3)  # whose caller has called the primitive
        only = layout.only
        if only is not None:
            t = values[only]
            edge = None
            if t._requires_grad:
                edge = (t._grad_fn if t._base is None else t._edge()) or t._acc or t._edge()
            node.next_nodes = (edge,)
            if t._output_nr:
                node.next_nrs = (t._output_nr,)
        elif not self._connect_lists(node, values, layout):
            edges, later_outputs = [], False
            for position in layout.edges:
                edge = None
                if position is not None:
                    t = values[position]
                    if t._requires_grad:
                        edge = t._grad_fn if t._base is None else t._edge()
                        if edge is None:
                            edge = t._acc or t._edge()
                        if t._output_nr:
                            later_outputs = True
                edges.append(edge)
            node.next_nodes = tuple(edges)
            if later_outputs:
                node.next_nrs = tuple([0 if p is None else values[p]._output_nr for p in layout.edges])
        outputs = None
        if result.__class__ is not Tensor and isinstance(result, tuple):
            outputs = result
            self._record_outputs(node, outputs)
        elif result._dtype.category >= FLOATING and 0 not in self.nondifferentiable:
            result._grad_fn = node
            result._requires_grad = True
        saves = layout.saves
        if rare.active:
            self._save(node, values, result, outputs, saves)
        elif saves:
            if len(saves) == 1:
                position = saves[0]
                if position >= 0:
                    value = values[position]
                    values[position] = None  # what is saved takes its place when a rule runs
                else:
                    value = result if outputs is None else outputs[~position]
                    if value is not None and value._grad_fn is node:
                        value = alias(value)  # not itself, which holds the node
                storage = None if value is None else value._storage
                node.saved = (value,)
                node.versions = _FIRST_VERSION if storage is None else (storage.version,)
            else:
                self._save(node, values, result, outputs, saves)
        for position in layout.metas:
            t = values[position]
            values[position] = (t._size, t._dtype, t._device, t._requires_grad)
        return result

    def record_directly(self, values: list, inputs: tuple, saved: tuple, result: Tensor) -> Tensor:
        """`record` by a caller who knows what the arguments are.

        values: those of all `names`, whatever stands for what is saved, a Meta for other tensors; inputs: the
        differentiable arguments in order, with None for what is no tensor; saved: what `save` names, in order, of the result
        an alias.
        """
        layout = self.direct
        if layout is None:
            layout = self.direct = _Layout(self, ())
            layout.saved_names = self.save
        node = _new(self.node_class)
        node.layout, node.values = layout, values
        connect(node, result, inputs, saved)
        return result

    def _save(self, node: PrimitiveNode, values: list, result, outputs: tuple | None, saves: tuple) -> None:
        """Save what the rules need; saved arguments leave `values`, and take their places when a rule runs."""
        saved, versions = [], []
        for position in saves:
            storage = None
            if position >= 0:
                value = values[position]
                values[position] = None
            else:
                value = result if outputs is None else outputs[~position]
                if value is not None and value._grad_fn is node:
                    value = alias(value)
            saved.append(value)
            if value is not None:
                storage = value._storage
            versions.append(0 if storage is None else storage.version)
        if rare.active:
            save(node, tuple(saved))
        else:
            node.saved, node.versions = tuple(saved), tuple(versions)

    def _record_outputs(self, node: PrimitiveNode, outputs: tuple) -> None:
        """Make those of several outputs that are differentiable results of the node."""
        node.num_outputs = len(outputs)
        first = outputs[0]
        if len(outputs) == self.with_by_products and first._dtype.category >= FLOATING:
            first._grad_fn, first._requires_grad = node, True
            node.picked = _FIRST
            return
        picked = []
        for i, t in enumerate(outputs):
            if isinstance(t, Tensor) and t._dtype.category >= FLOATING and i not in self.nondifferentiable:
                picked.append(i)
                t._grad_fn, t._requires_grad = node, True
                if i:
                    t._output_nr = i
        node.picked = picked

    def _connect_lists(self, node: PrimitiveNode, values: list, layout: _Layout) -> bool:
        """Point `node` at what made the differentiable arguments where some are lists of tensors.

        What remains of the lists takes their place. False, and nothing has happened, where none is."""
        for position in layout.lists:
            if values[position] and isinstance(values[position][0], Tensor):
                break
        else:
            return False
        edges, nrs, spans = [], [], []
        for position, _ in self.positions:
            value = values[position]
            several = isinstance(value, (list, tuple))
            spans.append(len(value) if several else None)
            for t in value if several else (value,):
                needed = isinstance(t, Tensor) and t._requires_grad
                edges.append(t._edge() if needed else None)
                nrs.append(t._output_nr if needed else 0)
        node.next_nodes = tuple(edges)
        if any(nrs):
            node.next_nrs = tuple(nrs)
        if any(span is not None for span in spans):
            node.spans = tuple(spans)
        for position in layout.lists:
            value = values[position]
            if value and isinstance(value[0], Tensor):
                values[position] = [_new_tuple(Meta, (t._size, t._dtype, t._device, t._requires_grad)) for t in value]
        return True


def connect(node: Node, result: Tensor, inputs: tuple, saved: tuple) -> None:
    """Make `result` a result of the graph, by a node whose edges lead to `inputs` (None where there is no tensor).

    For operators whose calls cost so little that `Primitive.record`, which looks at every argument, is half of them: 0.8 us
    against 1.6. Called by the public function itself, or by its `record_directly`.
    """
    node.sequence_nr = next_sequence()
    nodes, later_outputs = [], False
    for t in inputs:
        edge = None
        if t is not None and t._requires_grad:
            edge = t._edge()
            if t._output_nr:
                later_outputs = True
        nodes.append(edge)
    node.next_nodes = tuple(nodes)
    if later_outputs:
        node.next_nrs = tuple([0 if t is None else t._output_nr for t in inputs])
    if rare.active:
        save(node, saved)
    else:
        node.saved = saved
        versions = []
        for t in saved:
            storage = None if t is None else t._storage
            versions.append(0 if storage is None else storage.version)
        node.versions = tuple(versions)
    stamp(node, 3)
    result._grad_fn, result._requires_grad = node, True


class _Layout:
    """Where the tensors stand among the arguments of a call, for one combination of the classes of those given."""

    __slots__ = ("defaults", "edges", "lists", "meta_names", "metas", "only", "saved_names", "saves")

    def __init__(self, spec: Primitive, kinds: tuple[type, ...]):
        #: The values of the arguments that are not given.
        self.defaults = spec.default_values[len(kinds) :]
        kinds = (*kinds, *map(type, self.defaults))
        tensors = [p for p, kind in enumerate(kinds) if issubclass(kind, Tensor)]
        #: The position of each differentiable argument; None where it is no tensor.
        self.edges = tuple([p if p in tensors else None for p, _ in spec.positions])
        #: Arguments that may be lists of tensors.
        self.lists = tuple([p for p, kind in enumerate(kinds) if issubclass(kind, (list, tuple))])
        #: The position of the only differentiable argument, a tensor; None where there are others.
        self.only = self.edges[0] if len(self.edges) == 1 else None
        #: What is saved, as the position of an argument or ~(number of a result), and its names.
        found = [(spec.names.index(name) if nr is None else ~nr, name) for name, nr in spec.saves]
        found = [each for each in found if each[0] < 0 or each[0] in tensors]
        self.saves = tuple([position for position, _ in found])
        self.saved_names = tuple([name for _, name in found])
        #: The tensors of which only a Meta is kept.
        self.metas = tuple([p for p in tensors if p not in self.saves])
        self.meta_names = tuple([spec.names[p] for p in self.metas])


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
    keeps: tuple[str, ...] = (),
) -> Callable[[Callable], Callable]:
    """Define a primitive; see the module's docstring. `public=False` registers neither a function nor a method."""

    def decorate(forward: Callable):
        op_name = name or forward.__name__
        node_name = node or "".join(p.capitalize() for p in op_name.strip("_").split("_")) + "Backward0"
        spec = Primitive(forward, node_name, save, nondifferentiable, keeps)

        takes_out = out and "out" not in spec.defaults

        def call(*args, **kwargs) -> Tensor | tuple:
            written, kept, given = None, (), len(args)
            if kwargs:
                if takes_out:
                    written = kwargs.pop("out", None)
                result = forward(*args, **kwargs)
            else:
                result = forward(*args)
            if keeps:
                result, *kept = result
            for position, argument in spec.positions:
                value = args[position] if position < given else kwargs.get(argument)
                if value.__class__ is Tensor or isinstance(value, Tensor):
                    needed = value._requires_grad
                elif isinstance(value, (list, tuple)):
                    needed = False
                    for t in value:
                        if t._requires_grad:
                            needed = True
                            break
                else:
                    continue
                if needed and mode.enabled:
                    result = spec.record(args, kwargs, result, kept)
                    break
            return result if written is None else write_out(result, written, op_name)

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
        if takes_out:
            announce_out(call)
        if public:
            register(
                op_name,
                call,
                function=function,
                method=method,
                inplace=inplace,
                namespace=namespace,
                aliases=aliases,
            )
        return call

    return decorate
