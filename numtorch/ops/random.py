"""Random tensors: factories, in-place fillers and sampling, drawing torch's streams from a Generator.

All of them come down to `fill_from`: the values are drawn in the order in which torch visits a tensor (the
order of its memory, not of its indices, for a tensor that is not contiguous) and in the dtype in which torch
draws them.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable

import numpy as np
from numba import from_dtype, types

from numtorch.graph import Node, mode, next_sequence
from numtorch.kernels.compiler import entry_point
from numtorch.kernels.cpu import random as _kernels

from .. import _dtype
from .._allocator import empty as kept_empty
from .._copy import cast_array, copy_elements
from .._device import cpu
from .._dtype import BOOL, C_NAMES, COMPLEX, FLOATING, bfloat16, dtype, float16, float32, float64, int64
from .._generator import Generator, default_generator
from .._inplace import check_writable, rebase, resize_out
from .._layout import output_strides
from .._registry import op, register
from .._size import Size, int_argument
from .._tensor import Tensor, _new, alias, empty, strided, wrap, wrap_as
from .creation import direct, finish

# --- the stream, and where its values go --------------------------------------------------------------------


def stream(generator: Generator | None) -> tuple[np.ndarray, np.ndarray]:
    """(state, spare) of the generator, the default one for None."""
    if generator is None:
        return default_generator.stream()
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be a torch.Generator, not {type(generator).__name__}")
    return generator.stream()


def fill_from(t: Tensor, draw: Callable[[np.ndarray], None], drawn: dtype) -> None:
    """Write what `draw` puts into a flat array of dtype `drawn` to the elements of `t` in memory order."""
    flat = t.flat()
    if flat is not None and t._dtype is drawn:
        draw(flat)
        return
    values = np.empty(t._size.numel(), drawn.np)
    draw(values)
    values = cast_array(values, drawn, t._dtype)
    if flat is not None:
        flat[:] = values
        return
    order = sorted(range(len(t._size)), key=lambda d: -t._stride[d])
    size = Size(t._size[d] for d in order)
    target = strided(t._get_storage(), size, tuple(t._stride[d] for d in order), t._offset, t._dtype)
    copy_elements(wrap(values, size, t._dtype), target)


class ZeroGradient(Node):
    """What overwrote its input with random values: the input's gradient is zero."""

    def apply(self, grads) -> tuple:
        (grad,) = grads
        return tuple(
            None if node is None else grad.new_zeros(size)
            for node, size in zip(self.next_nodes, self.sizes, strict=True)
        )


_zero_nodes: dict[str, type] = {}


def without_gradient(result: Tensor, name: str, *inputs: Tensor) -> Tensor:
    """Record `result` as a function of `inputs` whose derivative is zero."""
    if mode.enabled and any(t._requires_grad for t in inputs):
        node_class = _zero_nodes.get(name)
        if node_class is None:
            node_class = _zero_nodes[name] = type(name, (ZeroGradient,), {"__module__": __name__})
        node = _new(node_class)
        node.sequence_nr = next_sequence()
        node.next_nodes = tuple(t._edge() if t._requires_grad else None for t in inputs)
        node.next_nrs = tuple(t._output_nr for t in inputs)
        node.sizes = tuple(t._size for t in inputs)
        result._grad_fn, result._requires_grad = node, True
    return result


def filler(name: str, node: str) -> Callable:
    """Make `fn(self, ...)`, which fills self, an in-place method with its checks and its node."""

    def decorate(fn):
        def inplace(self, *args, **kwargs) -> Tensor:
            if self._flat is None or self._base is not None or self._requires_grad:
                check_writable(self)
            fn(self, *args, **kwargs)
            self._get_storage().version += 1
            if self._requires_grad and mode.enabled:
                before = alias(self)
                before._grad_fn, before._output_nr, before._acc = self.grad_fn, self._output_nr, self._acc
                before._requires_grad = True
                rebase(self, without_gradient(alias(self), node, before))
            return self

        inplace.__name__ = inplace.__qualname__ = name
        inplace.__doc__ = fn.__doc__
        inplace.__wrapped__ = fn
        return register(name, inplace, function=False)

    return decorate


def no_kernel(kernel: str, d: dtype) -> NotImplementedError:
    return NotImplementedError(f"\"{kernel}\" not implemented for '{d.type_name}'")


def number_text(x: float) -> str:
    """A number in an error message, as C++ prints it."""
    return f"{x:g}" if isinstance(x, float) else str(x)


_FLOAT32, _INT64 = np.dtype(np.float32), np.dtype(np.int64)

# The compiled kernels themselves: the dispatcher's look at six arguments is a tenth of a small randn.


@functools.cache
def _normal_float32() -> Callable:
    words, doubles, floats = types.uint32[::1], types.float64[::1], types.float32[::1]
    return entry_point(_kernels.normal_float32, (words, doubles, floats, types.float64, types.float64, types.boolean))


@functools.cache
def _uniform_float32() -> Callable:
    words, floats = types.uint32[::1], types.float32[::1]
    return entry_point(_kernels.uniform_float32, (words, floats, types.float32, types.float32))


@functools.cache
def _randint32(d: np.dtype = _INT64) -> Callable:
    out = types.Array(from_dtype(d), 1, "C")
    return entry_point(_kernels.randint32, (types.uint32[::1], out, types.int64, types.int64))


# --- fillers ------------------------------------------------------------------------------------------------

#: Bounds of uniform floats and of integers within which nothing has to be checked.
_SAFE, _FEW = 1e38, 1 << 27

_FLOATS = (float16, bfloat16, float32, float64)


def drawn_dtype(d: dtype) -> dtype:
    """Halves are drawn in float32."""
    return float64 if d is float64 else float32


def _real_view(t: Tensor) -> Tensor:
    """A complex tensor as a real one with a last dimension of two (outside the graph)."""
    storage = alias(t)._get_storage()
    stride = (*(2 * s for s in t._stride), 1)
    return strided(storage, (*t._size, 2), stride, 2 * t._offset, t._dtype.to_real())


_MAX = {float16: 65504.0, bfloat16: float(2**128 - 2**120), float32: float(np.finfo(np.float32).max)}


def fill_uniform(t: Tensor, low: float, high: float, generator: Generator | None) -> None:
    """Uniform values in [low, high)."""
    if t._dtype is float32 and -_SAFE < low <= high < _SAFE and t.flat() is not None:
        _uniform_float32()(stream(generator)[0], t._flat, low, high)
        return
    if t._dtype.category == COMPLEX:
        t = _real_view(t)
    if t._dtype not in _FLOATS:
        raise no_kernel("check_uniform_bounds", t._dtype)
    limit = _MAX.get(t._dtype, math.inf)
    for name, value in (("from", low), ("to", high)):
        if not -limit <= value <= limit:
            raise RuntimeError(f"{name} is out of bounds for {C_NAMES[t._dtype.name]}")
    if not low <= high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={number_text(low)} > to={number_text(high)}"
        )
    if not high - low <= (limit if limit != math.inf else np.finfo(np.float64).max):
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{t._dtype.type_name}>::max(), but found "
            f"to={number_text(high)} and from={number_text(low)} which result in to-from to exceed the limit"
        )
    state, _ = stream(generator)
    if t._dtype is float64:
        fill_from(t, lambda out: _kernels.uniform_float64(state, out, low, high), float64)
        return
    low32, high32 = np.float32(low), np.float32(high)
    if t._dtype is float32:
        fill_from(t, lambda out: _kernels.uniform_float32(state, out, low32, high32), float32)
        return

    def draw(out):
        # A half that rounds up to the bound becomes the lower bound.
        _kernels.uniform_float32(state, out, low32, high32)
        rounded = cast_array(cast_array(out, float32, t._dtype), t._dtype, float32)
        bound = cast_array(cast_array(np.array([high32]), float32, t._dtype), t._dtype, float32)
        out[rounded == bound] = low32

    fill_from(t, draw, float32)


def fill_normal(t: Tensor, mean: float, std: float, generator: Generator | None) -> None:
    """Normal values; a complex number's variance is shared by its parts."""
    if t._dtype is float32 and std >= 0 and t.flat() is not None:
        if t._flat.size:
            _normal_float32()(*stream(generator), t._flat, mean, std, False)
        return
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {number_text(std)}")
    if t._dtype.category == COMPLEX:
        t, std = _real_view(t), std / math.sqrt(2.0)
    if t._size.numel() == 0:
        return
    if t._dtype not in _FLOATS:
        raise no_kernel("normal_kernel_cpu", t._dtype)
    state, spare = stream(generator)
    mean, std = float(mean), float(std)
    if t.flat() is None:
        fill_from(t, lambda out: _kernels.normal_serial(state, spare, out, mean, std), drawn_dtype(t._dtype))
    elif t._dtype is float64:
        fill_from(t, lambda out: _kernels.normal_float64(state, spare, out, mean, std), float64)
    else:
        for_half = t._dtype is not float32
        fill_from(t, lambda out: _kernels.normal_float32(state, spare, out, mean, std, for_half), float32)


@filler("uniform_", "UniformBackward0")
def _uniform_(self, from_: float = 0, to: float = 1, *, generator: Generator | None = None) -> None:
    """Fill with values uniform in [from, to)."""
    fill_uniform(self, float(from_), float(to), generator)


@filler("normal_", "NormalBackward0")
def _normal_(self, mean: float = 0, std: float = 1, *, generator: Generator | None = None) -> None:
    """Fill with values of the normal distribution N(mean, std**2)."""
    fill_normal(self, mean, std, generator)


def _rare_filler(name: str, node: str, kernel, title: str | None, check):
    """A filler whose distribution is drawn in double, one value at a time."""

    @filler(name, node)
    def fill(self, *args, generator: Generator | None = None, **kwargs) -> None:
        parameters = tuple(float(p) for p in check(self, *args, **kwargs))
        d = self._dtype
        if title is not None and d not in _FLOATS:
            raise RuntimeError(
                f"{title} distribution is a continuous probability distribution. dtype must be a floating "
                f"point but you specified {d.type_name if title == 'Exponential' else C_NAMES[d.name]}"
            )
        if d.category in (BOOL, COMPLEX):
            raise no_kernel(name.rstrip("_") + "_cpu", d)
        state, spare = stream(generator)
        if name == "log_normal_":
            fill_from(self, lambda out: kernel(state, spare, out, *parameters), float64)
        else:
            fill_from(self, lambda out: kernel(state, out, *parameters), float64)

    fill.__doc__ = f"Fill with values of the {name.strip('_').replace('_', '-')} distribution."
    return fill


def _exponential_parameters(self, lambd: float = 1):
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={number_text(lambd)}")
    return (lambd,)


def _cauchy_parameters(self, median: float = 0, sigma: float = 1):
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={number_text(sigma)}")
    return (median, sigma)


def _log_normal_parameters(self, mean: float = 1, std: float = 2):
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={number_text(std)}")
    return (mean, std)


def _geometric_parameters(self, p: float):
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={number_text(p)}")
    return (p,)


_rare_filler("exponential_", "ExponentialBackward0", _kernels.exponential, "Exponential", _exponential_parameters)
_rare_filler("cauchy_", "CauchyBackward0", _kernels.cauchy, "Cauchy", _cauchy_parameters)
_rare_filler("log_normal_", "LogNormalBackward0", _kernels.log_normal, None, _log_normal_parameters)
_rare_filler("geometric_", "GeometricBackward0", _kernels.geometric, None, _geometric_parameters)


# --- integers -----------------------------------------------------------------------------------------------

_DIGITS = {float16: 11, bfloat16: 8, float32: 24, float64: 53}


def _round(value: int, d: dtype) -> int:
    """An integer as the nearest value of a floating dtype."""
    rounded = cast_array(np.array([value], np.float64), float64, d)
    return int(cast_array(rounded, d, float64)[0])


def _next_inside(bound: int, d: dtype, up: bool) -> int:
    """torch's adjustment of a bound that rounding to a floating dtype would move past itself."""
    digits = _DIGITS[d]
    inner = _round(bound + 1 if up else bound - 1, d)
    if up and inner < bound:
        return inner + (1 << (abs(bound + 1).bit_length() - digits))
    if not up and inner >= bound:
        return inner - (1 << (abs(bound - 1).bit_length() - digits))
    return bound


def _check_integer_bounds(low: int, last: int, d: dtype) -> None:
    if d.category == COMPLEX:
        raise RuntimeError("check_random_bounds handles only integral, floating-point and boolean types")
    for name, value in (("from", low), ("to - 1", last)):
        if d.category == FLOATING:
            limit = _MAX.get(d, math.inf)
            if not -limit <= value <= limit:
                raise RuntimeError(f"{name} is out of bounds for {C_NAMES[d.name]}")
            digits = _DIGITS[d]
            if not -(1 << digits) <= value <= 1 << digits:
                warnings.warn(
                    f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision limitations "
                    f"{C_NAMES[d.name]} can support discrete uniform distribution only within this range. This "
                    "warning will become an error in version 1.7 release, please fix the code in advance",
                    UserWarning,
                    stacklevel=5,
                )
        else:
            lowest, highest = (0, 1) if d.category == BOOL else (np.iinfo(d.np).min, np.iinfo(d.np).max)
            if not lowest <= value <= highest:
                raise RuntimeError(f"{name} is out of bounds for {C_NAMES[d.name]}")


def fill_integers(t: Tensor, low: int, high: int | None, generator: Generator | None) -> None:
    """Integers uniform in [low, high), or up to the largest that the dtype holds exactly."""
    d = t._dtype
    if high is not None:
        if not low < high:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
        if d.category == FLOATING:
            low, high = _next_inside(low, d, True), _next_inside(high, d, False)
            if not low < high:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got "
                    f"from={low} >= to={high}"
                )
    elif d.category == FLOATING:
        low, high = _next_inside(low, d, True), (1 << _DIGITS[d]) + 1
    elif low != -(2**63):
        high = 2 if d.category == BOOL else int(np.iinfo(d.np).max) + 1
    else:
        high = 2**63
    _check_integer_bounds(low, high - 1, d)
    _fill_words(t, high - low, low, high - low >= 1 << 28, generator)


def _fill_words(t: Tensor, span: int, low: int, wide: bool, generator: Generator | None) -> None:
    state, _ = stream(generator)
    if wide:
        modulus = np.uint64(span % 2**64)
        fill_from(t, lambda out: _kernels.randint64(state, out, modulus, low), int64)
        return
    flat, d = t.flat(), t._dtype
    if flat.__class__ is np.ndarray and d.np is d.compute and d.category != BOOL:
        _randint32(d.np)(state, flat, span, low)
    else:
        fill_from(t, lambda out: _randint32()(state, out, span, low), int64)


@filler("random_", "RandomBackward2")
def _random_(self, *args, generator: Generator | None = None, **kwargs) -> None:
    """Fill with integers: random_() up to the dtype's largest exact one, random_(to), random_(from, to)."""
    if not args and not kwargs and self._dtype is float32 and self._device is cpu and self._flat is not None:
        _randint32(_FLOAT32)(stream(generator)[0], self._flat, (1 << _DIGITS[float32]) + 1, 0)
        return
    names = ("to",) if len(args) == 1 and "to" not in kwargs else ("from", "to")
    bounds = {**dict(zip(names, args, strict=False)), **kwargs}
    if not bounds:
        d = self._dtype
        if d.category == COMPLEX:
            raise no_kernel("random_kernel_cpu", d)
        if d.category == FLOATING:
            span = (1 << _DIGITS[d]) + 1
        else:
            span = 2 if d.category == BOOL else int(np.iinfo(d.np).max) + 1
        _fill_words(self, span, 0, d in (int64, float64), generator)
        return
    low, high = bounds.get("from", 0), bounds.get("to")
    fill_integers(self, int_argument(low, "from"), None if high is None else int_argument(high, "to"), generator)


# --- factories ----------------------------------------------------------------------------------------------


def size_argument(name: str, args: tuple, size) -> Size:
    """The size that a call rand(2, 3), rand((2, 3)) or rand(size=(2, 3)) of `name` asks for; an error where it is none."""
    if size is not None:
        args = args or (size,)
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    for position, n in enumerate(args):
        if type(n) is not int and (isinstance(n, bool) or not hasattr(n, "__index__")):
            raise TypeError(
                f"{name}(): argument 'size' (position 1) must be tuple of ints, but found element of type "
                f"{type(n).__name__} at pos {position}"
            )
    result = Size([n.__index__() for n in args])
    for n in result:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(result)}")
    return result


def filled(out: Tensor | None, size: Size, d: dtype | None, fill: Callable[[Tensor], None], default=None) -> Tensor:
    """Fill a fresh tensor, or `out` after resizing it."""
    if out is None:
        result = empty(size, d or default or _dtype.get_default_dtype())
        fill(result)
        return result
    if not isinstance(out, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    if d is not None and d is not out._dtype:
        raise RuntimeError(f"dtype {d} does not match dtype of out parameter ({out._dtype})")
    check_writable(out)
    resize_out(out, size)
    fill(out)
    out._bump_version()
    return out


@op(method=False)
def rand(
    *args,
    size=None,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Values uniform in [0, 1)."""
    if dtype is out is size is device is None and not requires_grad and _dtype.get_default_dtype() is float32:
        result = direct(args, None, float32)
        if result is not None:
            _uniform_float32()(stream(generator)[0], result._flat, 0.0, 1.0)
            return result
    shape = size_argument("rand", args, size)
    if out is None and (dtype or _dtype.get_default_dtype()) is float32:
        state, _ = stream(generator)
        flat = kept_empty(shape.numel(), _FLOAT32)
        _uniform_float32()(state, flat, 0.0, 1.0)
        return finish(wrap(flat, shape, float32), device, requires_grad)
    result = filled(out, shape, dtype, lambda t: fill_uniform(t, 0.0, 1.0, generator))
    return finish(result, device, requires_grad)


@op(method=False)
def randn(
    *args,
    size=None,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Values of the standard normal distribution."""
    if dtype is out is size is device is None and not requires_grad and _dtype.get_default_dtype() is float32:
        result = direct(args, None, float32)
        if result is not None:
            state, spare = default_generator.stream() if generator is None else stream(generator)
            _normal_float32()(state, spare, result._flat, 0.0, 1.0, False)
            return result
    shape = size_argument("randn", args, size)
    if out is None and (dtype or _dtype.get_default_dtype()) is float32:
        state, spare = stream(generator)
        flat = kept_empty(shape.numel(), _FLOAT32)
        _kernels.normal_float32(state, spare, flat, 0.0, 1.0, False)
        return finish(wrap(flat, shape, float32), device, requires_grad)
    result = filled(out, shape, dtype, lambda t: fill_normal(t, 0.0, 1.0, generator))
    return finish(result, device, requires_grad)


def _bounds(name: str, args: tuple, low, high) -> tuple[tuple, int, int]:
    """The arguments (high, ...) or (low, high, ...) as (rest, low, high)."""
    args = list(args)
    numbers = []
    while args and len(numbers) < 2 and not isinstance(args[0], (tuple, list)):
        numbers.append(args.pop(0))
    if low is not None:
        numbers.insert(0, low)
    if high is not None:
        numbers.append(high)
    if not 1 <= len(numbers) <= 2:
        raise TypeError(
            f"{name}() received an invalid combination of arguments: expected (high, size) or (low, high, size)"
        )
    numbers = [int_argument(n, "high") for n in numbers]
    return tuple(args), numbers[0] if len(numbers) == 2 else 0, numbers[-1]


@op(method=False)
def randint(
    *args,
    size=None,
    low=None,
    high=None,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """Integers uniform in [low, high): randint(high, size) or randint(low, high, size)."""
    if dtype is out is size is device is low is high is None and not requires_grad and len(args) in (2, 3):
        low, high = (0, args[0]) if len(args) == 2 else args[:2]
        if low.__class__ is high.__class__ is int and -_FEW < low < high < _FEW and isinstance(args[-1], (tuple, list)):
            result = direct(args[-1:], None, int64)
            if result is not None:
                _randint32()(stream(generator)[0], result._flat, high - low, low)
                return result
        low = high = None
    rest, low, high = _bounds("randint", args, low, high)
    if size is None:
        if len(rest) != 1:
            raise TypeError("randint() received an invalid combination of arguments: 'size' must be a tuple of ints")
        size = rest[0]
    shape = size_argument("randint", (), size)
    result = filled(out, shape, dtype, lambda t: fill_integers(t, low, high, generator), int64)
    return finish(result, device, requires_grad)


@op(method=False)
def randperm(
    n: int,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
) -> Tensor:
    """A random permutation of 0 .. n - 1."""
    if n.__class__ is int and n >= 0 and dtype is out is device is None and not requires_grad:
        result = wrap(kept_empty(n, _INT64), (n,), int64)
        _kernels.randperm(stream(generator)[0], result._flat)
        return finish(result, None, False)
    if isinstance(n, float) or not hasattr(n, "__index__"):
        raise TypeError(f"randperm(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    n = n.__index__()
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    d = (out._dtype if out is not None else None) or dtype or int64
    if d.category in (BOOL, COMPLEX):
        raise no_kernel("randperm", d)
    exact = 1 << _DIGITS[d] if d.category == FLOATING else int(np.iinfo(d.np).max)
    if n - 1 > exact:
        raise RuntimeError(f"value cannot be converted to type {_overflowing(d)} without overflow")

    def fill(t):
        state, _ = stream(generator)
        fill_from(t, lambda values: _kernels.randperm(state, values), int64)

    return finish(filled(out, Size((n,)), dtype, fill, int64), device, requires_grad)


def _overflowing(d: dtype) -> str:
    return d.name + "_t" if d.category == _dtype.INTEGRAL else C_NAMES[d.name]


# --- like another tensor ------------------------------------------------------------------------------------


def empty_like(t: Tensor, d: dtype | None = None) -> Tensor:
    """A fresh tensor of t's size, dense, with its dimensions in memory in the order of t's."""
    result = empty(t._size, d or t._dtype)
    if t.flat() is None:
        stride = output_strides(t._size, t._stride)
        if stride != result._stride:
            result._get_storage()
            result._stride, result._flat = stride, None
    return result


def _like(name: str, fill):
    def like(
        input,
        *,
        generator=None,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        pin_memory=False,
        memory_format=None,
    ) -> Tensor:
        flat = input._flat
        if flat is not None and dtype is device is None and input._device is cpu and not requires_grad:
            result = wrap_as(kept_empty(flat.size, flat.dtype), input)
            fill(result, generator)
            return finish(result, None, False) if mode.inference else result
        result = empty_like(input, dtype)
        fill(result, generator)
        return finish(result, device or (input._device if input._device is not cpu else None), requires_grad)

    like.__name__ = like.__qualname__ = name
    return register(name, like, method=False)


rand_like = _like("rand_like", lambda t, generator: fill_uniform(t, 0.0, 1.0, generator))
rand_like.__doc__ = "Values uniform in [0, 1), shaped like `input`."
randn_like = _like("randn_like", lambda t, generator: fill_normal(t, 0.0, 1.0, generator))
randn_like.__doc__ = "Values of the standard normal distribution, shaped like `input`."


@op(method=False)
def randint_like(
    input,
    *args,
    low=None,
    high=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
) -> Tensor:
    """Integers uniform in [low, high), shaped like `input`: randint_like(x, high) or randint_like(x, low,
    high)."""
    _, low, high = _bounds("randint_like", args, low, high)
    result = empty_like(input, dtype)
    fill_integers(result, low, high, None)
    return finish(result, device, requires_grad)
