"""Pointwise operators: a scalar text and its derivative, and everything that follows from the two.

    sigmoid = unary("sigmoid", lambda x: 1 / (1 + exp(-x)), lambda g, y: g * y * (1 - y), promote="float")
    mul = binary("mul", lambda a, b: a * b, lambda g, b: g * conj(b), lambda g, a: g * conj(a))

The text is compiled into the loops of `kernels/cpu/pointwise.py` for each dtype that it meets. A derivative names what
it needs: `g` is the gradient of the result, `y` the result, `x` (or `a`, `b`, `c`) the operands, then any parameters;
only what it names is saved. It runs as one kernel in an ordinary backward, and is *called with tensors* when the
backward itself is recorded (create_graph=True), so derivatives of any order come from the same line.

What comes of a definition: the function, the method, `op_` and `out=`, and a node under torch's name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
from numba import from_dtype, types

from numtorch.graph import Node, mode, next_sequence, rare, save, unpack
from numtorch.kernels.compiler import entry_point, jit, specialise
from numtorch.kernels.cpu import pointwise as _loops
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

from . import _dtype
from ._copy import cast, contiguous
from ._device import cpu
from ._dtype import COMPLEX, FLOATING, bool_, dtype
from ._inplace import inplace_form, write_out
from ._layout import broadcast
from ._promotion import result_type, to_floating
from ._registry import FUNCTIONS, OPERATORS, register
from ._size import broadcast_sizes, contiguous_strides, expanded_strides, is_contiguous, is_dense
from ._storage import Storage
from ._tensor import Tensor, _new, alias, wrap

_np_empty = np.empty
# Elements from which a transposed operand is worth a copy: below, everything is in the first-level cache anyway.
_WORTH_TURNING = 8192
_STRIDED = None  # the strided loop templates, made when the first one is needed


def _array(np_dtype) -> types.Array:
    return types.Array(_numba_type(np_dtype), 1, "C")


def _numba_type(np_dtype):
    return types.boolean if np_dtype == np.bool_ else from_dtype(np_dtype)


class Loops:
    """The compiled loops of one scalar function of `arity` elements and any number of parameters.

    `result` says what comes out: "same" (the dtype that is computed in), "bool", or "real" (|z| of a complex z).
    With `mask` the first operand is bool, whatever the others are (the condition of `where`).
    With `swapped` the element is the text's second operand and the first parameter its first (`2 - x`).
    """

    def __init__(self, text: Callable, arity: int, result: str = "same", mask: bool = False, swapped: bool = False):
        self.text, self.arity, self.result, self.mask, self.swapped = text, arity, result, mask, swapped
        self.compiled: dict = {}

    def output(self, np_dtype):
        if self.result == "bool":
            return np.dtype(np.bool_)
        if self.result == "real" and np_dtype.kind == "c":
            return np.dtype(np.float32 if np_dtype.itemsize == 8 else np.float64)
        return np_dtype

    def entry(self, kind: str, np_dtype, n_params: int):
        """The compiled loop of this kind ("contiguous", "parallel", "strided", "row") for a dtype."""
        key = (kind, np_dtype, n_params)
        found = self.compiled.get(key)
        if found is None:
            found = self.compiled[key] = self._compile(kind, np_dtype, n_params)
        return found

    def _compile(self, kind: str, np_dtype, n_params: int):
        f = specialise(self.text, np_dtype.type)
        if self.swapped:
            f = jit(_swapped(f))
        element, x, out = _numba_type(np_dtype), _array(np_dtype), _array(self.output(np_dtype))
        operands = (x,) * self.arity
        if self.mask:
            operands = (_array(np.dtype(np.bool_)), *operands[1:])
        params = types.UniTuple(element, n_params) if n_params else types.Tuple(())
        if kind == "strided" or kind == "rows":
            global _STRIDED
            if _STRIDED is None:
                _STRIDED = _loops.strided_loops(jit)
            loop = _STRIDED[self.arity if kind == "strided" else "rows"](f)
            pairs = tuple(part for operand in operands for part in (operand, types.int64))
            signature = (*pairs, out, types.int64, types.int64[::1], params)
        elif kind == "row":
            loop, signature = _loops.row(f), (*operands, out, params)
        else:
            loop = getattr(_loops, kind)[self.arity](f)
            signature = (*operands, out, params)
        return entry_point(jit(loop, parallel=kind in ("parallel", "rows")), signature)


def run(loops: Loops, operands: tuple, params: tuple, compute: dtype) -> Tensor:
    """Apply the loops to tensors of any layout and broadcastable sizes, all of the dtype `compute`: a fresh tensor."""
    first = operands[0]
    if first._device is not cpu:
        from .cuda._pointwise import run_on_cuda

        return run_on_cuda(loops, operands, params, compute)
    np_dtype = compute.np
    out_np = loops.output(np_dtype)
    out_dtype = compute if out_np is np_dtype else _dtype.FROM_NUMPY[out_np]
    size, stride = first._size, first._stride
    same = all(t._size == size and t._stride == stride for t in operands[1:])
    if same and (first._flat is not None or is_dense(size, stride)):
        # One layout: walk the memory in order, whatever the order of the dimensions is.
        buffers = [_dense_buffer(t) for t in operands]
        n = buffers[0].size
        out = _np_empty(n, out_np)
        if n:
            big = n >= PARALLEL_THRESHOLD and loops.arity in _loops.parallel
            loops.entry("parallel" if big else "contiguous", np_dtype, len(params))(*buffers, out, params)
        return _over(out, size, stride, out_dtype)
    if loops.arity not in (1, 2, 3):
        size = broadcast_sizes(*[t._size for t in operands])
        operands = tuple(contiguous(_expand(t, size)) for t in operands)
        return run(loops, operands, params, compute)
    parts = []
    for t in operands:
        parts += (t._size, t._stride)
    walk = broadcast(*parts)
    size = walk.size
    if loops.arity == 2 and size == first._size and _is_row(operands[1], size) and first.flat() is not None:
        out = _np_empty(first._flat.size, out_np)
        if out.size:
            loops.entry("row", np_dtype, len(params))(first._flat, operands[1].flat(), out, params)
        return wrap(out, size, out_dtype)
    if walk.numel >= _WORTH_TURNING and not walk.vectorises:
        # An operand is walked across its rows: turn it by tiles first, so that the loop runs along memory.
        turned = tuple([contiguous(_expand(t, size)) if t._size == size else t for t in operands])
        if any(a is not b for a, b in zip(turned, operands)):
            return run(loops, turned, params, compute)
    out = _np_empty(walk.numel, out_np)
    if walk.numel:
        arguments = []
        for t in operands:
            arguments += (t._buffer(), t._offset)
        big = loops.arity == 2 and walk.meta[0] == 2 and walk.meta[1] > 1 and walk.numel >= PARALLEL_THRESHOLD
        loops.entry("rows" if big else "strided", np_dtype, len(params))(*arguments, out, 0, walk.meta, params)
    return _over(out, size, walk.stride, out_dtype)


def _dense_buffer(t: Tensor):
    flat = t._flat
    if flat is None:
        flat = t._buffer()[t._offset : t._offset + t._size.numel()]
    return flat


def _over(out, size, stride, out_dtype: dtype) -> Tensor:
    """A tensor over a fresh buffer in which the elements lie in the given order."""
    result = _new(Tensor)
    result._size, result._stride, result._dtype = size, stride, out_dtype
    row_major = contiguous_strides(size)
    if stride == row_major or is_contiguous(size, stride):
        result._flat = out
        result._stride = row_major
    else:
        result._flat = None
        result._storage = Storage(out)
    return result


def _expand(t: Tensor, size) -> Tensor:
    if t._size == size:
        return t
    result = alias(t)
    result._flat = None
    result._size, result._stride = size, expanded_strides(t._size, t._stride, size)
    return result


def _is_row(t: Tensor, size) -> bool:
    """Whether `t`, broadcast to `size`, is one contiguous row repeated (a bias), long enough to be worth a loop."""
    inner = t._size
    while inner and inner[0] == 1:
        inner = inner[1:]
    return bool(inner) and inner[-1] >= 4 and size[len(size) - len(inner) :] == inner and t.flat() is not None


# ---------------------------------------------------------------------------------------------------------------------
# Derivatives
# ---------------------------------------------------------------------------------------------------------------------


class Rule:
    """A derivative: which values it names, and its two ways to run."""

    def __init__(self, text: Callable, operand_names: tuple[str, ...], param_names: tuple[str, ...]):
        self.text = text
        names = tuple(inspect.signature(text).parameters)
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


# ---------------------------------------------------------------------------------------------------------------------
# Definitions
# ---------------------------------------------------------------------------------------------------------------------


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
        self.result, self.rule_texts = result, derivatives
        self.category = category
        self.refuse = refuse
        self.differentiable = any(d is not None for d in derivatives)
        rules = tuple(None if d is None else Rule(d, operand_names, param_names) for d in derivatives)
        self.node_class = type(node or _node_name(name), (PointwiseNode,), {"rules": rules, "keeps": _keeps(rules)})
        # torch names some nodes differently where an operand is a Python number.
        self.node_class_number = (
            type(node_number, (PointwiseNode,), {"rules": rules, "keeps": _keeps(rules)})
            if node_number
            else self.node_class
        )
        # One Python number among two operands: the loop of one element less, with the number as a parameter.
        if self.arity == 2:
            self.number_right = Loops(text, 1, result)
            self.number_left = Loops(text, 1, result, swapped=True)

    def dtype_of(self, operands) -> dtype:
        """The dtype to compute in."""
        d = operands[0]._dtype if len(operands) == 1 else result_type(*operands)
        if self.promote == "float":
            d = to_floating(d)
        if d.category > self.category or (self.refuse is not None and d.category in self.refuse):
            raise RuntimeError(f"\"{self.name}_cpu\" not implemented for '{d.type_name}'")
        return d

    def compute(self, operands: tuple, params: tuple = ()) -> Tensor:
        """The result, outside the graph, whatever the operands' dtypes, devices and layouts."""
        d = self.dtype_of(operands)
        inner = d if d.np is d.compute else _dtype.float32
        loops = self.loops
        tensors = [t for t in operands if isinstance(t, Tensor)]
        if len(tensors) > 1 and check_devices(tensors) and tensors[0]._device is cpu:
            where = next(t._device for t in tensors if t._device is not cpu)
            tensors[0] = tensors[0].to(where)
        if len(tensors) < len(operands):
            if self.arity == 2 and len(tensors) == 1:
                left = not isinstance(operands[0], Tensor)
                loops = self.number_left if left else self.number_right
                params = (_number(operands[0] if left else operands[1], inner), *params)
            else:
                device = tensors[0]._device
                tensors = [t if isinstance(t, Tensor) else _scalar_tensor(t, inner, device) for t in operands]
        elif len(tensors) == 2 and not tensors[1]._size and tensors[0]._size and tensors[1]._device is cpu:
            # A 0-d tensor beside one with dimensions is a number read from memory.
            if tensors[0]._device is not cpu or inner.np is tensors[1]._dtype.np:
                params = (_number(tensors[1].item(), inner), *params)
                loops, tensors = self.number_right, tensors[:1]
        result = run(loops, tuple([cast(t, inner) for t in tensors]), params, inner)
        if inner is not d and self.result != "bool":
            result = cast(result, d)
        return result


def _number(value, d: dtype):
    """A Python number as a parameter of a loop over `d`."""
    if d.category == FLOATING:
        return float(value)
    if d.category == COMPLEX:
        return complex(value)
    if d is bool_:
        return bool(value)
    low, high = np.iinfo(d.np).min, np.iinfo(d.np).max
    value = int(value)
    return value if low <= value <= high else int(np.array(value).astype(d.np))


def _scalar_tensor(value, d: dtype, device) -> Tensor:
    out = _np_empty(1, d.np)
    out[0] = value
    t = wrap(out, (), d)
    return t if device is cpu else t.to(device)


def check_devices(tensors) -> bool:
    """RuntimeError where tensors with dimensions lie on different devices (a 0-d CPU tensor goes with any).

    Whether all that counts lies on another device than the CPU.
    """
    devices = {t._device for t in tensors if t._size or t._device is not cpu}
    if len(devices) > 1:
        a, b = sorted(map(str, devices), reverse=True)[:2]
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {a} and {b}!"
        )
    return bool(devices) and cpu not in devices


def _swapped(f):
    def swapped(b, a, *params):
        return f(a, b, *params)

    return swapped


def _node_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.strip("_").split("_")) + "Backward0"


def _publish(spec: Pointwise, call, call_inplace, *, function, method, inplace, namespace, aliases):
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


def unary(
    name: str,
    text: Callable,
    derivative: Callable | None = None,
    *,
    node: str | None = None,
    promote: str = "same",
    result: str = "same",
    category: int = COMPLEX,
    refuse: tuple[int, ...] | None = None,
    function: bool = True,
    method: bool = True,
    inplace: bool = True,
    namespace: str = "",
    aliases: tuple[str, ...] = (),
    doc: str | None = None,
):
    """Define an operator of one tensor, y = text(x, *params).

    promote: "same", or "float" where integers become floats. result: "same", "bool", "real". category: the highest
    category of dtypes that torch has it for; refuse: categories that it does not take. `text` may take parameters
    behind x; their names are those of the function's arguments.
    """
    x_name, *param_names = inspect.signature(text).parameters
    spec = Pointwise(name, text, (derivative,), (x_name,), tuple(param_names), node, promote, result, category, refuse)
    node_class, differentiable = spec.node_class, spec.differentiable
    fast: dict = {}

    def prepare(d: dtype) -> None:
        # Only where nothing has to be promoted or converted is there a direct way.
        if d.np is d.compute and spec.dtype_of((wrap(_np_empty(0, d.np), (0,), d),)) is d:
            out_np = spec.loops.output(d.np)
            out_dtype = d if out_np is d.np else _dtype.FROM_NUMPY[out_np]
            fast[d] = (spec.loops.entry("contiguous", d.np, len(param_names)), out_np, out_dtype)

    def general(x, params, out):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
        y = spec.compute((x,), params)
        if differentiable and mode.enabled and x._requires_grad and y._dtype.category >= FLOATING:
            record(node_class, (x,), y, params)
        if out is not None:
            return write_out(y, out, name)
        if x._flat is not None and x._dtype not in fast and x._device is cpu:
            prepare(x._dtype)
        return y

    if param_names:

        def call(input, *params, out=None):
            return general(input, params, out)
    else:

        def call(input, *, out=None):
            if out is None:
                try:
                    x = input._flat
                    entry, out_np, out_dtype = fast[input._dtype]
                    n = x.size
                except (AttributeError, KeyError):
                    return general(input, (), None)
                if n < PARALLEL_THRESHOLD:
                    y = _np_empty(n, out_np)
                    entry(x, y, ())
                    result = _new(Tensor)
                    result._flat = y
                    result._size = input._size
                    result._stride = input._stride
                    result._dtype = out_dtype
                    if input._requires_grad and differentiable and mode.enabled:
                        record(node_class, (input,), result)
                    return result
            return general(input, (), out)

    general_inplace = inplace_form(call, name + "_")

    def call_inplace(input, *params):
        if not params and not (input._requires_grad or input._base is not None) and input._device is cpu:
            found = fast.get(input._dtype)
            x = input._flat
            if found is not None and x is not None and found[2] is input._dtype and x.size < PARALLEL_THRESHOLD:
                found[0](x, x, ())
                input._get_storage().version += 1
                return input
        return general_inplace(input, *params)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    call_inplace.__name__ = call_inplace.__qualname__ = name + "_"
    return _publish(
        spec,
        call,
        call_inplace,
        function=function,
        method=method,
        inplace=inplace,
        namespace=namespace,
        aliases=aliases,
    )


def binary(
    name: str,
    text: Callable,
    da: Callable | None = None,
    db: Callable | None = None,
    *,
    node: str | None = None,
    promote: str = "same",
    result: str = "same",
    category: int = COMPLEX,
    refuse: tuple[int, ...] | None = None,
    function: bool = True,
    method: bool = True,
    inplace: bool = True,
    namespace: str = "",
    aliases: tuple[str, ...] = (),
    check: Callable | None = None,
    node_number: str | None = None,
    doc: str | None = None,
):
    """Define an operator of two operands, y = text(a, b, *params); either may be a Python number.

    da and db are the derivatives with respect to the two. `check(a, b)` may raise before anything is computed.
    `node_number` is the node's name where one operand is a number, where torch gives it another.
    """
    a_name, b_name, *param_names = inspect.signature(text).parameters
    spec = Pointwise(
        name,
        text,
        (da, db),
        (a_name, b_name),
        tuple(param_names),
        node,
        promote,
        result,
        category,
        refuse,
        node_number,
    )
    node_class, node_class_number, differentiable = spec.node_class, spec.node_class_number, spec.differentiable
    loops = spec.loops
    fast: dict = {}  # dtype -> (entry, output dtypes) for two tensors of that dtype
    fast_row: dict = {}  # dtype -> the same for a matrix and a row
    fast_strided: dict = {}  # dtype -> the loop for any other broadcast
    fast_float: dict = {}  # the same for a tensor and a Python float
    fast_int: dict = {}  # and an int

    def prepare(d: dtype) -> None:
        probe = wrap(_np_empty(0, d.np), (0,), d)
        if d.np is not d.compute or check is not None and d is bool_ or spec.dtype_of((probe, probe)) is not d:
            return
        out_np = spec.loops.output(d.np)
        out_dtype = d if out_np is d.np else _dtype.FROM_NUMPY[out_np]
        fast[d] = (spec.loops.entry("contiguous", d.np, 0), out_np, out_dtype)

    def prepare_number(d: dtype) -> None:
        probe = wrap(_np_empty(0, d.np), (0,), d)
        if d.np is not d.compute or d is bool_ or spec.dtype_of((probe, 1)) is not d:
            return
        out_np = spec.loops.output(d.np)
        out_dtype = d if out_np is d.np else _dtype.FROM_NUMPY[out_np]
        found = (spec.number_right.entry("contiguous", d.np, 1), out_np, out_dtype)
        if d.category == FLOATING:
            fast_float[d] = fast_int[d] = found
        elif d is _dtype.int64:
            fast_int[d] = found

    def general(a, b, params, out):
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(a).__name__}")
        for i, t in enumerate((a, b)):
            if not isinstance(t, Tensor) and not isinstance(t, (int, float, complex, np.number, np.bool_)):
                argument = ("input", "other")[i]
                raise TypeError(
                    f"{name}(): argument '{argument}' (position {i + 1}) must be Tensor, not {type(t).__name__}"
                )
        if check is not None:
            check(a, b)
        y = spec.compute((a, b), params)
        if (
            differentiable
            and mode.enabled
            and (getattr(a, "_requires_grad", False) or getattr(b, "_requires_grad", False))
            and y._dtype.category >= FLOATING
        ):
            pair = isinstance(a, Tensor) and isinstance(b, Tensor)
            record(node_class if pair else node_class_number, (a, b), y, params)
        if out is not None:
            return write_out(y, out, name)
        if not params and isinstance(a, Tensor) and a._flat is not None and a._device is cpu:
            if not isinstance(b, Tensor):
                if a._dtype not in fast_int:
                    prepare_number(a._dtype)
            elif a._dtype is b._dtype:
                d = a._dtype
                if d not in fast:
                    prepare(d)
                elif a._size != b._size and d not in fast_row and len(b._size) == 1 and b._flat is not None:
                    _, out_np, out_dtype = fast[d]
                    fast_row[d] = (loops.entry("row", d.np, 0), out_np, out_dtype)
        return y

    def written(a, b, out):
        """Into `out` directly where nothing has to be converted, broadcast or recorded."""
        if isinstance(a, Tensor) and isinstance(b, Tensor) and isinstance(out, Tensor):
            x, y, z, found = a._flat, b._flat, out._flat, fast.get(a._dtype)
            if (
                found is not None
                and x is not None
                and y is not None
                and z is not None
                and a._dtype is b._dtype
                and out._dtype is found[2]
                and a._size == b._size == out._size
                and not (a._requires_grad or b._requires_grad or out._requires_grad)
            ):
                big = x.size >= PARALLEL_THRESHOLD
                (loops.entry("parallel", a._dtype.np, 0) if big else found[0])(x, y, z, ())
                out._bump_version()
                return out
        return general(a, b, (), out)

    def call(input, other, *params, out=None):
        if out is not None and not params:
            return written(input, other, out)
        if params:
            return general(input, other, params, out)
        try:
            a = input._flat
            n = a.size
        except AttributeError:
            return general(input, other, params, out)
        kind = other.__class__
        if kind is float or kind is int:
            found = (fast_float if kind is float else fast_int).get(input._dtype)
            if found is None or n >= PARALLEL_THRESHOLD:
                return general(input, other, params, out)
            entry, out_np, out_dtype = found
            y = _np_empty(n, out_np)
            entry(a, y, (other,))
            result = _new(Tensor)
            result._flat = y
            result._size = input._size
            result._stride = input._stride
            result._dtype = out_dtype
            if input._requires_grad and differentiable and mode.enabled:
                record(node_class_number, (input, other), result)
            return result
        try:
            b = other._flat
        except AttributeError:
            return general(input, other, params, out)
        d = input._dtype
        if b is None or n >= PARALLEL_THRESHOLD or d is not other._dtype:
            return general(input, other, params, out)
        if input._size != other._size:
            found = fast_row.get(d)
            size = input._size
            if found is None or len(other._size) != 1 or len(size) < 2 or other._size[0] != size[-1] or n == 0:
                found = fast.get(d)
                if found is None or not size or not other._size or check is not None or input._device is not cpu:
                    return general(input, other, params, out)
                walk = broadcast(size, input._stride, other._size, other._stride)
                _, out_np, out_dtype = found
                y = _np_empty(walk.numel, out_np)
                if walk.numel:
                    strided = fast_strided.get(d)
                    if strided is None:
                        strided = fast_strided[d] = loops.entry("strided", d.np, 0)
                    strided(a, 0, b, 0, y, 0, walk.meta, ())
                result = _over(y, walk.size, walk.stride, out_dtype)
                if differentiable and (input._requires_grad or other._requires_grad) and mode.enabled:
                    record(node_class, (input, other), result)
                return result
            entry, out_np, out_dtype = found
            y = _np_empty(n, out_np)
            entry(a, b, y, ())
            result = _new(Tensor)
            result._flat = y
            result._size = size
            result._stride = input._stride
            result._dtype = out_dtype
            if differentiable and (input._requires_grad or other._requires_grad) and mode.enabled:
                record(node_class, (input, other), result)
            return result
        found = fast.get(d)
        if found is None:
            return general(input, other, params, out)
        entry, out_np, out_dtype = found
        y = _np_empty(n, out_np)
        entry(a, b, y, ())
        result = _new(Tensor)
        result._flat = y
        result._size = input._size
        result._stride = input._stride
        result._dtype = out_dtype
        if differentiable and (input._requires_grad or other._requires_grad) and mode.enabled:
            record_pair(node_class, input, other, result)
        return result

    general_inplace = inplace_form(call, name + "_")

    def call_inplace(input, other, *params):
        x = input._flat
        if params or x is None or input._requires_grad or input._base is not None:
            return general_inplace(input, other, *params)
        d = input._dtype
        if isinstance(other, Tensor):
            found = fast.get(d)
            y = other._flat
            if (
                found is not None
                and y is not None
                and found[2] is d
                and d is other._dtype
                and input._size == other._size
                and x.size < PARALLEL_THRESHOLD
                and not (other._requires_grad and mode.enabled)
            ):
                found[0](x, y, x, ())
                input._get_storage().version += 1
                return input
        else:
            kind = other.__class__
            found = fast_float.get(d) if kind is float else fast_int.get(d) if kind is int else None
            if found is not None and found[2] is d and x.size < PARALLEL_THRESHOLD:
                found[0](x, x, (other,))
                input._get_storage().version += 1
                return input
        return general_inplace(input, other, *params)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    call_inplace.__name__ = call_inplace.__qualname__ = name + "_"
    return _publish(
        spec,
        call,
        call_inplace,
        function=function,
        method=method,
        inplace=inplace,
        namespace=namespace,
        aliases=aliases,
    )


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
):
    """A pointwise operator of three operands, not published: its public form is written around it."""
    *names, c_name = list(inspect.signature(text).parameters)[:3]
    operand_names = (*names, c_name)
    param_names = tuple(inspect.signature(text).parameters)[3:]
    spec = Pointwise(
        name, text, (da, db, dc), operand_names, param_names, node, promote, "same", category, refuse, node_number
    )

    def call(a, b, c, *params):
        y = spec.compute((a, b, c), params)
        if (
            spec.differentiable
            and mode.enabled
            and any(isinstance(t, Tensor) and t._requires_grad for t in (a, b, c))
            and y._dtype.category >= FLOATING
        ):
            number = any(not isinstance(t, Tensor) for t in (a, b, c))
            record(spec.node_class_number if number else spec.node_class, (a, b, c), y, params)
        return y

    call.__name__ = call.__qualname__ = name
    call.pointwise = spec
    OPERATORS[name] = call
    return call
