"""Pointwise operators of two operands, either of which may be a Python number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numtorch.graph import mode, rare
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

from . import _dtype
from ._derivatives import argument_names, record, record_beside_number, record_broadcast, record_pair
from ._device import cpu
from ._dtype import BOOL, COMPLEX, FLOATING, INTEGRAL, bool_, dtype
from ._inplace import check_apart, check_writable, inplace_form, old_values, write_out
from ._layout import broadcast
from ._loops import run, run_apart, run_broadcast, run_over
from ._operands import laid_flat
from ._ownership import has_aliases
from ._pointwise import Pointwise, large, publish
from ._promotion import in_one_dtype
from ._tensor import Tensor, _new, wrap
from ._views import apart, tracked

_np_empty = np.empty
# What an operand is, nearly always.
_USUAL = {Tensor, float, int}


class Binary(Pointwise):
    """What an operator of two operands holds, and the ways that its calls take but for the shortest, in `binary`.

    A way answers None (or False) where it is not the one to take. What is found out about a dtype is kept in dictionaries:
    the compiled loop itself is what a small call wants to find.
    """

    def __init__(self, name, text, da, db, node, promote, result, category, refuse, node_number, check):
        a_name, b_name, *param_names = argument_names(text)
        derivatives, operands, params = (da, db), (a_name, b_name), tuple(param_names)
        super().__init__(
            name, text, derivatives, operands, params, node, promote, result, category, refuse, node_number
        )
        self.check = check
        self.n_params = len(params)
        self.fast: dict = {}  # dtype -> (entry, output dtypes) for two tensors of that dtype
        self.fast_float: dict = {}  # the same for a tensor and a Python float
        self.fast_int: dict = {}  # and an int
        self.tried: set = set()  # dtypes for which a direct way with a number has been made, or cannot be
        self.over: dict = {}  # dtype -> the loop that writes over the first
        self.over_number: dict = {}  # the same with a Python number

    def prepare(self, d: dtype) -> None:
        """Make the direct way for two tensors of a dtype, if there is one."""
        probe = wrap(_np_empty(0, d.np), (0,), d)
        if self.check is not None and d is bool_ or self.dtype_of((probe, probe)) is not d:
            return
        out_np = self.loops.output(d.np)
        out_dtype = d if out_np is d.np else _dtype.FROM_NUMPY[out_np]
        self.fast[d] = (self.loops.entry("contiguous", d.np, self.n_params), out_np, out_dtype)

    def prepare_number(self, d: dtype) -> None:
        """The same for a tensor and a Python number."""
        probe = wrap(_np_empty(0, d.np), (0,), d)
        if d is bool_ or self.dtype_of((probe, 1)) is not d:
            return
        out_np = self.loops.output(d.np)
        out_dtype = d if out_np is d.np else _dtype.FROM_NUMPY[out_np]
        found = (self.number_right.entry("contiguous", d.np, 1 + self.n_params), out_np, out_dtype)
        if d.category == FLOATING:
            self.fast_float[d] = self.fast_int[d] = found
        elif d.category == INTEGRAL and d.is_signed:  # (an entry takes a negative number for no unsigned parameter)
            self.fast_int[d] = found

    def general(self, a, b, params, out) -> Tensor:
        """The result for anything that operands may be, recorded; or what is wrong with them."""
        if out is None and isinstance(a, Tensor) and isinstance(b, Tensor) and len(params) == self.n_params:
            d = a._dtype
            if d is b._dtype and d in self.fast and a._device is cpu and b._device is cpu and self.check is None:
                # Nothing to promote or to move: only the layouts are not those of the direct way.
                numbers = a._size != b._size and not (a._size and b._size)
                if not numbers and (not params or d.category == FLOATING):
                    y = run(self.loops, (a, b), params, d)
                    if self.differentiable and (a._requires_grad or b._requires_grad) and mode.enabled:
                        record(self.node_class, (a, b), y, params)
                    return y
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            raise TypeError(f"{self.name}(): argument 'input' (position 1) must be Tensor, not {type(a).__name__}")
        for i, t in enumerate((a, b)):
            if t.__class__ in _USUAL:
                continue
            if not isinstance(t, Tensor) and not isinstance(t, (int, float, complex, np.number, np.bool_)):
                argument = ("input", "other")[i]
                raise TypeError(
                    f"{self.name}(): argument '{argument}' (position {i + 1}) must be Tensor, not {type(t).__name__}"
                )
        if self.check is not None:
            self.check(a, b)
        if out is not None and len(params) == self.n_params and self.into((a, b), params, out):
            return out
        y = self.compute((a, b), params)
        if (
            self.differentiable
            and mode.enabled
            and (getattr(a, "_requires_grad", False) or getattr(b, "_requires_grad", False))
            and y._dtype.category >= FLOATING
        ):
            pair = isinstance(a, Tensor) and isinstance(b, Tensor)
            record(self.node_class if pair else self.node_class_number, (a, b), y, params)
        if out is not None:
            check_apart(out, (a, b))
            return write_out(y, out, self.name)
        if isinstance(a, Tensor) and a._device is cpu:
            if not isinstance(b, Tensor):
                if a._dtype not in self.tried:
                    self.tried.add(a._dtype)
                    self.prepare_number(a._dtype)
            elif a._dtype is b._dtype:
                d = a._dtype
                if d not in self.fast:
                    self.prepare(d)
        return y

    def written(self, a, b, out) -> Tensor:
        """Into `out` directly where nothing has to be converted, broadcast or recorded."""
        if isinstance(a, Tensor) and isinstance(b, Tensor) and isinstance(out, Tensor):
            if out._flat is None:
                laid_flat(out)
            x, y, z, d = a._flat, b._flat, out._flat, a._dtype
            if (
                x is not None
                and y is not None
                and z is not None
                and d is b._dtype
                and a._size == b._size == out._size
                and a._device is b._device is out._device is cpu
                and not (a._requires_grad or b._requires_grad or out._requires_grad)
            ):
                if d not in self.fast:
                    self.prepare(d)
                found = self.fast.get(d)
                if found is not None and out._dtype is found[2] and apart(z, x) and apart(z, y):
                    big = x.size >= PARALLEL_THRESHOLD
                    (self.loops.entry("parallel", d.np, 0) if big else found[0])(x, y, z, ())
                    out._bump_version()
                    return out
            recorded = out._requires_grad or mode.enabled and (a._requires_grad or b._requires_grad)
            if z is not None and not recorded and a._size != b._size and self.walked(a, b, out) is not None:
                return out
        return self.general(a, b, (), out)

    def walked(self, a, b, out) -> Tensor | None:
        """Two tensors that are broadcast, by one strided loop, into `out`; None where that is not the way."""
        d = a._dtype
        found = self.fast.get(d)
        if found is None or b._dtype is not d or not a._device is b._device is cpu:
            return None
        walk = broadcast(a._size, a._stride, b._size, b._stride)
        if not walk.numel or walk.turned or not walk.vectorises:
            return None
        x, y, z = a._buffer(), b._buffer(), out._flat
        if out._dtype is not found[2] or out._size != walk.size or out._stride != walk.stride:
            return None
        if np.may_share_memory(z, x) or np.may_share_memory(z, y):
            return None
        kind = "strided parallel" if walk.numel >= PARALLEL_THRESHOLD else "strided"
        self.loops.entry_for(kind, d, 0)(x, a._offset, y, b._offset, z, 0, walk.meta, ())
        out._bump_version()
        return out

    def of_views(self, a, b, params=()) -> Tensor | None:
        """Two tensors of which one is a view or broadcast, in the way of `run_apart`; None where that is not the way."""
        d = a._dtype
        found = self.fast.get(d)
        if found is None or b._dtype is not d or not a._device is b._device is cpu:
            return None
        y = run_apart(self.loops, found, a, b, params)
        if y is not None and self.differentiable and mode.enabled and (a._requires_grad or b._requires_grad):
            record(self.node_class, (a, b), y, params)
        return y

    def view_and_number(self, a, b) -> Tensor | None:
        """The same for a view and a Python number."""
        d = a._dtype
        found = (self.fast_float if b.__class__ is float else self.fast_int).get(d)
        if found is None or a._device is not cpu:
            return None
        y = run_apart(self.number_right, found, a, None, (b,))
        if y is not None and self.differentiable and mode.enabled and a._requires_grad:
            record_beside_number(self.node_class_number, a, b, False, y)
        return y

    def with_params(self, a, b, params, out) -> Tensor:
        """Two tensors of one size and floating dtype without a detour; all else by the general way."""
        x, y = getattr(a, "_flat", None), getattr(b, "_flat", None)
        if x is None or y is None or out is not None or len(params) != self.n_params:
            plain = out is None and len(params) == self.n_params and isinstance(a, Tensor) and isinstance(b, Tensor)
            result = self.of_views(a, b, params) if plain and a._dtype.category == FLOATING else None
            return self.general(a, b, params, out) if result is None else result
        d = a._dtype
        found = self.fast.get(d)
        if found is None or b._dtype is not d or a._size != b._size or d.category != FLOATING:
            return self.general(a, b, params, out)
        entry, out_np, out_dtype = found
        if x.size < PARALLEL_THRESHOLD:
            z = _np_empty(x.size, out_np)
        else:
            entry, z = large(self.loops, d, self.n_params, x.size, out_np)
        entry(x, y, z, params)
        result = _new(Tensor)
        result._flat = z
        result._size = a._size
        result._stride = a._stride
        result._dtype = out_dtype
        if self.differentiable and (a._requires_grad or b._requires_grad) and mode.enabled:
            record(self.node_class, (a, b), result, params)
        return result

    def cast_first(self, a, b) -> Tensor:
        """Operands of different dtypes: the call with both in the common one, where that is all it takes."""
        pair = in_one_dtype(self, a, b, self.check)
        return self.general(a, b, (), None) if pair is None else self.call(*pair)

    def entry_over(self, x, d) -> Callable:
        """The loop that writes over x (a look-up in `loops` hashes a numpy dtype, for 0.3 us)."""
        if x.size >= PARALLEL_THRESHOLD:
            return self.loops.entry("inplace parallel", d.np, self.n_params)
        entry = self.over.get(d)
        if entry is None:
            entry = self.over[d] = self.loops.entry("inplace", d.np, self.n_params)
        return entry

    def number_over(self, x, d) -> Callable:
        """The loop that writes over x with a number on the right."""
        if x.size >= PARALLEL_THRESHOLD:
            return self.number_right.entry("inplace parallel", d.np, 1 + self.n_params)
        entry = self.over_number.get(d)
        if entry is None:
            entry = self.over_number[d] = self.number_right.entry("inplace", d.np, 1 + self.n_params)
        return entry

    def recorded_inplace(self, input, other) -> bool:
        """Over the elements of a tensor that is or becomes a result of the graph: whether that was the case."""
        x, d = input._flat, input._dtype
        if (
            x is None
            or self.n_params
            or input._base is not None
            or input._retains_grad
            or rare.active
            or not mode.enabled
        ):
            return False
        needs_grad = input._requires_grad
        if needs_grad and input._grad_fn is None:
            return False
        kind = other.__class__
        if kind is float or kind is int:
            found = (self.fast_float if kind is float else self.fast_int).get(d)
            if found is None or found[2] is not d or not needs_grad:
                return False
            keep_input, _, keep_result = self.node_class_number.keeps[1]
            if keep_result:
                return False
            operand = old_values(input) if keep_input else input
            self.number_over(x, d)(x, (other,))
            input._get_storage().version += 1
            record_beside_number(self.node_class_number, operand, other, False, input)
        else:
            found, y = self.fast.get(d), getattr(other, "_flat", None)
            if y is None or found is None or found[2] is not d or other._dtype is not d or input._size != other._size:
                return False
            if not needs_grad and has_aliases(input):
                return False  # views of it have to join the graph too
            keep_input, _, keep_result = self.node_class.keeps[needs_grad + 2 * other._requires_grad]
            if keep_result or not apart(x, y):
                return False
            operand = old_values(input) if keep_input else input
            self.entry_over(x, d)(x, y, ())
            input._get_storage().version += 1
            record_pair(self.node_class, operand, other, input)
        input._output_nr = 0
        return True

    def over_view(self, input, other, params) -> bool:
        """Views, and operands that are broadcast, outside the graph: one loop over them; whether that was done."""
        d = input._dtype
        if d.category == BOOL or len(params) != self.n_params or input._device is not cpu or tracked(input):
            return False
        number_beside = other.__class__ is float or other.__class__ is int
        if d.category != FLOATING and (number_beside or params):
            return False
        found = (self.fast_float if number_beside else self.fast).get(d)
        if found is None or found[2] is not d:
            return False
        if not number_beside and (
            not isinstance(other, Tensor)
            or other._dtype is not d
            or other._device is not cpu
            or not other._size
            or other._requires_grad
            and mode.enabled
        ):
            return False
        check_writable(input)
        if number_beside:
            done = run_over(self.number_right, input, (), (float(other), *params))
        else:
            done = run_over(self.loops, input, (other,), params)
        if done:
            input._bump_version()
        return done


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
) -> Callable[..., Tensor]:
    """Define an operator of two operands, y = text(a, b, *params); either may be a Python number.

    da and db are the derivatives with respect to the two. `check(a, b)` may raise before anything is computed.
    `node_number` is the node's name where one operand is a number, where torch gives it another.
    """
    spec = Binary(name, text, da, db, node, promote, result, category, refuse, node_number, check)
    # What every call needs, as variables: they are found sooner than attributes.
    node_class, node_class_number, differentiable = spec.node_class, spec.node_class_number, spec.differentiable
    loops, n_params = spec.loops, spec.n_params
    fast, fast_float, fast_int = spec.fast, spec.fast_float, spec.fast_int

    def call(input, other, *params, out=None) -> Tensor:
        if out is not None and not params:
            return spec.written(input, other, out)
        if params:
            return spec.with_params(input, other, params, out)
        try:
            a = input._flat
        except AttributeError:
            return spec.general(input, other, params, out)
        if a is None:
            if laid_flat(input):
                return call(input, other)
            if isinstance(other, Tensor):
                result = spec.of_views(input, other)
            else:
                result = spec.view_and_number(input, other) if other.__class__ in _USUAL else None
            return spec.general(input, other, params, out) if result is None else result
        n = a.size
        kind = other.__class__
        if kind is float or kind is int:
            found = (fast_float if kind is float else fast_int).get(input._dtype)
            if found is None:
                return spec.cast_first(input, other)
            entry, out_np, out_dtype = found
            if n < PARALLEL_THRESHOLD:
                y = _np_empty(n, out_np)
            else:
                entry, y = large(spec.number_right, input._dtype, 1, n, out_np)
            entry(a, y, (other,))
            result = _new(Tensor)
            result._flat = y
            result._size = input._size
            result._stride = input._stride
            result._dtype = out_dtype
            if input._requires_grad and differentiable and mode.enabled:
                record_beside_number(node_class_number, input, other, False, result)
            return result
        try:
            b = other._flat
        except AttributeError:
            return spec.general(input, other, params, out)
        d = input._dtype
        if b is None:
            if laid_flat(other):
                return call(input, other)
            result = spec.of_views(input, other) if isinstance(other, Tensor) else None
            return spec.general(input, other, params, out) if result is None else result
        if d is not other._dtype:
            return spec.cast_first(input, other)
        if input._size != other._size:
            size = input._size
            if (
                b.size == 1
                and len(other._size) <= len(size)
                and d.category == FLOATING
                and not (other._requires_grad and mode.enabled)
            ):
                # A tensor of one element is a number.
                found = fast_float.get(d)
                if found is not None:
                    entry, out_np, out_dtype = found
                    if n < PARALLEL_THRESHOLD:
                        y = _np_empty(n, out_np)
                    else:
                        entry, y = large(spec.number_right, d, 1, n, out_np)
                    entry(a, y, (other.item(),))
                    result = _new(Tensor)
                    result._flat = y
                    result._size = size
                    result._stride = input._stride
                    result._dtype = out_dtype
                    if input._requires_grad and differentiable and mode.enabled:
                        record(node_class, (input, other), result)
                    return result
            found = fast.get(d)
            if found is None or not size or not other._size or input._device is not cpu:
                return spec.general(input, other, params, out)
            result = run_broadcast(loops, found, input, other)
            if result is None:
                return spec.general(input, other, params, out)
            if differentiable and (input._requires_grad or other._requires_grad) and mode.enabled:
                if result._dtype is d:
                    record_broadcast(node_class, input, other, result)
                else:
                    record(node_class, (input, other), result)
            return result
        found = fast.get(d)
        if found is None:
            return spec.cast_first(input, other)
        entry, out_np, out_dtype = found
        if n < PARALLEL_THRESHOLD:
            y = _np_empty(n, out_np)
        else:
            entry, y = large(loops, d, 0, n, out_np)
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

    def call_inplace(input, other, *params) -> Tensor:
        x = input._flat
        if x is None and laid_flat(input):
            x = input._flat
        if x is None or len(params) != n_params or tracked(input):
            if differentiable and spec.recorded_inplace(input, other) or spec.over_view(input, other, params):
                return input
            return general_inplace(input, other, *params)
        d = input._dtype
        if isinstance(other, Tensor):
            y = other._flat
            if y is None and laid_flat(other):
                y = other._flat
            found = fast.get(d)
            if other._requires_grad and mode.enabled:
                if differentiable and spec.recorded_inplace(input, other):
                    return input
            elif (
                found is not None
                and y is not None
                and found[2] is d
                and d is other._dtype
                and input._size == other._size
                and (not params or d.category == FLOATING)
                and apart(x, y)
            ):
                spec.entry_over(x, d)(x, y, params)
                input._get_storage().version += 1
                return input
        else:
            kind = other.__class__
            found = fast_float.get(d) if kind is float else fast_int.get(d) if kind is int else None
            if found is not None and found[2] is d and (not params or d.category == FLOATING):
                spec.number_over(x, d)(x, (other, *params))
                input._get_storage().version += 1
                return input
        return input if spec.over_view(input, other, params) else general_inplace(input, other, *params)

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
