"""Pointwise operators of one tensor: `unary` makes a function, a method, an in-place form and a node of a text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numtorch.graph import mode, rare
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

from . import _dtype
from ._derivatives import argument_names, record, record_unary
from ._device import cpu
from ._dtype import COMPLEX, FLOATING, dtype
from ._inplace import check_apart, check_writable, inplace_form, old_values, write_out
from ._loops import run, run_apart, run_over
from ._operands import laid_flat
from ._pointwise import Pointwise, large, publish
from ._tensor import Tensor, _new, wrap
from ._views import apart, tracked

_np_empty = np.empty


class Unary(Pointwise):
    """What an operator of one tensor holds, and the ways that its calls take but for the shortest, in `unary`.

    A way answers None (or False) where it is not the one to take.
    """

    def __init__(self, name, text, derivative, node, promote, result, category, refuse):
        x_name, *param_names = argument_names(text)
        super().__init__(
            name, text, (derivative,), (x_name,), tuple(param_names), node, promote, result, category, refuse
        )
        self.n_params = len(param_names)
        self.fast: dict = {}  # dtype -> (the contiguous loop, output dtypes) where nothing has to be converted
        self.over: dict = {}  # dtype -> the loop that writes over its operand

    def prepare(self, d: dtype) -> None:
        """Make the direct way for a dtype; there is none where something has to be promoted or converted."""
        if self.dtype_of((wrap(_np_empty(0, d.np), (0,), d),)) is d:
            out_np = self.loops.output(d.np)
            out_dtype = d if out_np is d.np else _dtype.FROM_NUMPY[out_np]
            self.fast[d] = (self.loops.entry("contiguous", d.np, self.n_params), out_np, out_dtype)

    def general(self, x, params, out) -> Tensor:
        """The result for anything that an operand may be, recorded; or what is wrong with it."""
        if not isinstance(x, Tensor):
            raise TypeError(f"{self.name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
        if out is not None and len(params) == self.n_params and self.into((x,), params, out):
            return out
        d = x._dtype
        if (
            d in self.fast
            and x._device is cpu
            and len(params) == self.n_params
            and (not params or d.category == FLOATING)
        ):
            y = run(self.loops, (x,), params, d)  # only the layout is not that of the direct way
        else:
            y = self.compute((x,), params)
        if self.differentiable and mode.enabled and x._requires_grad and y._dtype.category >= FLOATING:
            record(self.node_class, (x,), y, params)
        if out is not None:
            check_apart(out, (x,))
            return write_out(y, out, self.name)
        if x._dtype not in self.fast and x._device is cpu:
            self.prepare(x._dtype)
        return y

    def of_view(self, x) -> Tensor | None:
        """A view, in the way of `run_apart`; None where that is not the way."""
        found = self.fast.get(x._dtype)
        y = run_apart(self.loops, found, x, None, ()) if found is not None and x._device is cpu else None
        if y is not None and self.differentiable and x._requires_grad and mode.enabled:
            record(self.node_class, (x,), y)
        return y

    def written(self, input, out) -> Tensor:
        """Into `out` directly where nothing has to be converted or recorded."""
        if isinstance(input, Tensor) and isinstance(out, Tensor):
            if out._flat is None:
                laid_flat(out)
            x, z, d = input._flat, out._flat, input._dtype
            if (
                x is not None
                and z is not None
                and input._size == out._size
                and input._device is out._device is cpu
                and not (input._requires_grad or out._requires_grad)
            ):
                if d not in self.fast:
                    self.prepare(d)
                found = self.fast.get(d)
                if found is not None and out._dtype is found[2] and apart(z, x):
                    big = x.size >= PARALLEL_THRESHOLD
                    (self.loops.entry("parallel", d.np, 0) if big else found[0])(x, z, ())
                    out._bump_version()
                    return out
        return self.general(input, (), out)

    def recorded_inplace(self, input, params) -> bool:
        """Over the elements of a result of the graph: whether that was the case."""
        x, d = input._flat, input._dtype
        found = self.fast.get(d)
        if x is None or found is None or len(params) != self.n_params or input._base is not None or rare.active:
            return False
        if not mode.enabled or not input._requires_grad or input._grad_fn is None or input._retains_grad:
            return False
        if found[2] is not d or params and d.category != FLOATING:
            return False
        kind = "inplace" if x.size < PARALLEL_THRESHOLD else "inplace parallel"
        operand = old_values(input) if self.node_class.keeps[1][0] else input
        self.loops.entry(kind, d.np, self.n_params)(x, params)
        storage = input._get_storage()
        storage.version += 1
        record_unary(self.node_class, operand, input, params)
        input._output_nr = 0
        if self.node_class.keeps[1][1]:
            input._grad_fn.versions = (0, storage.version)
        return True

    def over_view(self, input, params) -> bool:
        """A view outside the graph, by one loop over it; whether that was done."""
        d = input._dtype
        found = self.fast.get(d)
        if found is None or found[2] is not d or params and d.category != FLOATING:
            return False
        if input._device is not cpu or tracked(input):
            return False
        check_writable(input)
        if not run_over(self.loops, input, (), params):
            return False
        input._bump_version()
        return True


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
) -> Callable[..., Tensor]:
    """Define an operator of one tensor, y = text(x, *params).

    promote: "same", or "float" where integers become floats. result: "same", "bool", "real". category: the highest
    category of dtypes that torch has it for; refuse: categories that it does not take. `text` may take parameters
    behind x; their names are those of the function's arguments.
    """
    spec = Unary(name, text, derivative, node, promote, result, category, refuse)
    # What every call needs, as variables: they are found sooner than attributes.
    node_class, differentiable = spec.node_class, spec.differentiable
    n_params, fast, over = spec.n_params, spec.fast, spec.over
    if n_params:

        def call(input, *params, out=None) -> Tensor:
            x = getattr(input, "_flat", None)
            if out is None and x is not None and len(params) == n_params:
                found = fast.get(input._dtype)
                if found is not None and found[2] is input._dtype and found[2].category == FLOATING:
                    if x.size < PARALLEL_THRESHOLD:
                        entry, y = found[0], _np_empty(x.size, found[1])
                    else:
                        entry, y = large(spec.loops, input._dtype, n_params, x.size, found[1])
                    entry(x, y, params)
                    result = _new(Tensor)
                    result._flat = y
                    result._size = input._size
                    result._stride = input._stride
                    result._dtype = input._dtype
                    if input._requires_grad and differentiable and mode.enabled:
                        record_unary(node_class, input, result, params)
                    return result
            return spec.general(input, params, out)
    else:

        def call(input, *, out=None) -> Tensor:
            if out is None:
                try:
                    x = input._flat
                    entry, out_np, out_dtype = fast[input._dtype]
                    n = x.size
                except (AttributeError, KeyError):
                    if laid_flat(input):
                        return call(input)
                    result = spec.of_view(input) if input.__class__ is Tensor and input._flat is None else None
                    return spec.general(input, (), None) if result is None else result
                if n < PARALLEL_THRESHOLD:
                    y = _np_empty(n, out_np)
                else:
                    entry, y = large(spec.loops, input._dtype, 0, n, out_np)
                entry(x, y, ())
                result = _new(Tensor)
                result._flat = y
                result._size = input._size
                result._stride = input._stride
                result._dtype = out_dtype
                if input._requires_grad and differentiable and mode.enabled:
                    if out_dtype is input._dtype:
                        record_unary(node_class, input, result)
                    else:
                        record(node_class, (input,), result)
                return result
            return spec.written(input, out)

    general_inplace = inplace_form(call, name + "_")

    def call_inplace(input, *params) -> Tensor:
        x = input._flat
        if x is None and laid_flat(input):
            x = input._flat
        if x is not None and len(params) == n_params and input._device is cpu and not tracked(input):
            d = input._dtype
            found = fast.get(d)
            if found is not None and found[2] is d and (not params or d.category == FLOATING):
                if x.size < PARALLEL_THRESHOLD:
                    entry = over.get(d)
                    if entry is None:
                        entry = over[d] = spec.loops.entry("inplace", d.np, n_params)
                else:
                    entry = spec.loops.entry("inplace parallel", d.np, n_params)
                entry(x, params)
                input._get_storage().version += 1
                return input
        elif differentiable and x is not None and input._device is cpu and spec.recorded_inplace(input, params):
            return input
        if x is None and len(params) == n_params and input.__class__ is Tensor and spec.over_view(input, params):
            return input
        return general_inplace(input, *params)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    call_inplace.__name__ = call_inplace.__qualname__ = name + "_"
    return publish(
        spec,
        call,
        call_inplace,
        function=function,
        method=method,
        inplace=inplace,
        namespace=namespace,
        aliases=aliases,
    )
