"""Comparisons, logic on truth values and on bits."""

from __future__ import annotations

import math

from numtorch.graph import mode
from numtorch.kernels.cpu import reductions as _reductions

from .._binary import binary
from .._compiled import Compiled
from .._device import cpu
from .._dtype import BOOL, COMPLEX, FLOATING, INTEGRAL
from .._inplace import inplace_form
from .._primitive import primitive
from .._registry import FUNCTIONS, op
from .._tensor import Tensor
from .._unary import unary


def _compare(name: str, text, *, category=FLOATING, aliases=()):
    call = binary(name, text, result="bool", category=category, aliases=aliases)
    _keep_gradients(call, name, aliases)
    return call


def _keep_gradients(call, name: str, aliases) -> None:
    """Let `name_` of what needs gradients be a step of the graph, as in torch, through which zeros come back."""

    def flags(self, other, size, dtype):
        return call(self, other).to(self._dtype)

    def step(node: str):
        recorded = primitive(name, node=node, public=False)(flags)
        recorded.derivative(
            self=lambda ctx, grad: grad.new_zeros(grad.shape),
            other=lambda ctx, grad: grad.new_zeros(ctx.size, dtype=ctx.dtype),
        )
        return inplace_form(recorded, name + "_")

    beside_number, beside_tensor = (step(f"{name.capitalize()}Backward{i}") for i in (0, 1))
    plain = call.inplace

    def inplace(self, other) -> Tensor:
        if mode.enabled and (self._requires_grad or getattr(other, "_requires_grad", False)):
            if isinstance(other, Tensor):
                return beside_tensor(self, other, other._size, other._dtype)
            return beside_number(self, other, None, None)
        return plain(self, other)

    inplace.__name__ = inplace.__qualname__ = name + "_"
    for each in (name, *aliases):
        setattr(Tensor, each + "_", inplace)
        FUNCTIONS[""][each + "_"] = inplace


eq = _compare("eq", lambda a, b: a == b, category=COMPLEX)
ne = _compare("ne", lambda a, b: a != b, category=COMPLEX, aliases=("not_equal",))
lt = _compare("lt", lambda a, b: a < b, aliases=("less",))
le = _compare("le", lambda a, b: a <= b, aliases=("less_equal",))
gt = _compare("gt", lambda a, b: a > b, aliases=("greater",))
ge = _compare("ge", lambda a, b: a >= b, aliases=("greater_equal",))

# Elements up to which numpy compares sooner than a kernel is reached.
_FEW = 4096
_KNOWN = (Tensor, int, float, complex)


def _operator(call, otherwise=None):
    def compare(self, other):
        if isinstance(other, _KNOWN) or hasattr(other, "dtype"):
            return call(self, other)
        return NotImplemented if otherwise is None else otherwise

    return compare


Tensor.__eq__ = _operator(eq, otherwise=False)
Tensor.__ne__ = _operator(ne, otherwise=True)
Tensor.__lt__ = lambda self, other: lt(self, other)
Tensor.__le__ = lambda self, other: le(self, other)
Tensor.__gt__ = lambda self, other: gt(self, other)
Tensor.__ge__ = lambda self, other: ge(self, other)
Tensor.__hash__ = object.__hash__

# -- questions about one number ---------------------------------------------------------------------------------------

isnan = unary("isnan", lambda x: x != x, result="bool", inplace=False)
isinf = unary("isinf", lambda x: abs(x) == math.inf, result="bool", inplace=False)
isfinite = unary("isfinite", lambda x: abs(x) < math.inf, result="bool", inplace=False)
isposinf = unary("isposinf", lambda x: x == math.inf, result="bool", category=FLOATING, inplace=False)
isneginf = unary("isneginf", lambda x: x == -math.inf, result="bool", category=FLOATING, inplace=False)
signbit = unary("signbit", lambda x: x < 0 or (x == 0 and 1 / x < 0), result="bool", category=FLOATING, inplace=False)


@op()
def isreal(input) -> Tensor:
    """Whether each element's imaginary part is zero."""
    if input._dtype.category != COMPLEX:
        return eq(input, input).fill_(True)
    return eq(input.imag, 0)


@op()
def is_nonzero(input) -> bool:
    """Whether the one element is not zero."""
    numel = input._size.numel()
    if numel != 1:
        raise RuntimeError(
            "Boolean value of Tensor with no values is ambiguous"
            if numel == 0
            else "Boolean value of Tensor with more than one value is ambiguous"
        )
    return bool(input.item())


# -- logic ------------------------------------------------------------------------------------------------------------

logical_not = unary("logical_not", lambda x: x == 0, result="bool")
logical_and = binary("logical_and", lambda a, b: (a != 0) and (b != 0), result="bool")
logical_or = binary("logical_or", lambda a, b: (a != 0) or (b != 0), result="bool")
logical_xor = binary("logical_xor", lambda a, b: (a != 0) != (b != 0), result="bool")

# -- bits -------------------------------------------------------------------------------------------------------------

bitwise_and = binary("bitwise_and", lambda a, b: a & b, category=INTEGRAL)
bitwise_or = binary("bitwise_or", lambda a, b: a | b, category=INTEGRAL)
bitwise_xor = binary("bitwise_xor", lambda a, b: a ^ b, category=INTEGRAL)
_bitwise_not = unary("bitwise_not", lambda x: ~x, category=INTEGRAL, refuse=(BOOL,), function=False, method=False)


@op("bitwise_not", inplace=True, out=True)
def bitwise_not_(input) -> Tensor:
    """Every bit inverted; for bool, the logical not."""
    return logical_not(input) if input._dtype.category == BOOL else _bitwise_not(input)


def _shift_bits(a, b):
    return a << b if 0 <= b < 64 else a * 0


def _shift_bits_right(a, b):
    return a >> b if 0 <= b < 64 else (a * 0 if a >= 0 else a * 0 - 1)


bitwise_left_shift = binary("bitwise_left_shift", _shift_bits, category=INTEGRAL, refuse=(BOOL,))
bitwise_right_shift = binary("bitwise_right_shift", _shift_bits_right, category=INTEGRAL, refuse=(BOOL,))

Tensor.__and__ = Tensor.__rand__ = lambda self, other: bitwise_and(self, other)
Tensor.__or__ = Tensor.__ror__ = lambda self, other: bitwise_or(self, other)
Tensor.__xor__ = Tensor.__rxor__ = lambda self, other: bitwise_xor(self, other)
Tensor.__invert__ = lambda self: bitwise_not_(self)
Tensor.__lshift__ = lambda self, other: bitwise_left_shift(self, other)
Tensor.__rshift__ = lambda self, other: bitwise_right_shift(self, other)
Tensor.__iand__ = lambda self, other: self.bitwise_and_(other)
Tensor.__ior__ = lambda self, other: self.bitwise_or_(other)
Tensor.__ixor__ = lambda self, other: self.bitwise_xor_(other)


def _gcd_text(a, b):
    a, b = abs(a), abs(b)
    while b != 0:
        a, b = b, a % b
    return a


def _lcm_text(a, b):
    x, y = abs(a), abs(b)
    while y != 0:
        x, y = y, x % y
    return abs(a // x * b) if x != 0 else a * 0


gcd = binary("gcd", _gcd_text, category=INTEGRAL, refuse=(BOOL,))
lcm = binary("lcm", _lcm_text, category=INTEGRAL, refuse=(BOOL,))


# -- whole tensors ----------------------------------------------------------------------------------------------------


_first_unequal = Compiled(_reductions.first_unequal, "xx")


@op()
def equal(input, other) -> bool:
    """Whether two tensors have the same size and elements."""
    x, y = input._flat, other._flat
    if x is not None and y is not None and input._dtype is other._dtype and input._device is other._device is cpu:
        if input._size != other._size:
            return False
        if x.size < _FEW and input._dtype.np is input._dtype.compute:
            return _first_unequal[x.dtype](x, y) < 0
    if input._dtype is not other._dtype and input._size == other._size:
        return bool(eq(input, other).all().item())
    return input._size == other._size and bool(eq(input, other).all().item())


def _check_close(input, other, rtol, atol) -> None:
    if input._dtype is not other._dtype:
        raise RuntimeError(f"{_title(input)} did not match {_title(other)}")
    if rtol < 0:
        raise RuntimeError(f"rtol must be greater than or equal to zero, but got {rtol}")
    if atol < 0:
        raise RuntimeError(f"atol must be greater than or equal to zero, but got {atol}")


def _title(t: Tensor) -> str:
    return t._dtype.type_name


@op()
def isclose(input, other, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """|input - other| <= atol + rtol |other|, elementwise; infinities equal themselves."""
    _check_close(input, other, rtol, atol)
    a, b = input.detach(), other.detach()
    close = eq(a, b)
    if equal_nan and a._dtype.category >= FLOATING:
        close = close | (isnan(a) & isnan(b))
    if rtol == 0 and atol == 0:
        return close
    if a._dtype.category < FLOATING:
        from .. import _dtype

        a, b = a.to(_dtype.float64), b.to(_dtype.float64)
    allowed = atol + abs(rtol * b)
    actual = abs(a - b)
    return close | (isfinite(actual) & le(actual, allowed))


@op()
def allclose(input, other, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close (see isclose)."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())
