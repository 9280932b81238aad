"""Pointwise activations: scalar text and derivative, one line or two each (torch.nn.functional's names)."""

from __future__ import annotations

from functools import lru_cache
from math import prod

from numtorch.graph import Node, mode, unpack
from numtorch.kernels.cpu import glu as _glu_kernels
from numtorch.kernels.cpu import prelu as _prelu_kernels
from numtorch.kernels.math import conj, erf, exp, expm1, log1p, sigmoid, tanh, where

from .. import _dtype
from .._allocator import empty
from .._compiled import Compiled
from .._device import cpu
from .._dtype import COMPLEX, FLOATING
from .._primitive import primitive
from .._products import recorded
from .._registry import FUNCTIONS, op, register
from .._size import Size, dense, wrap_dim
from .._tensor import Tensor, _new, wrap
from .._unary import unary
from .arithmetic import mul
from .reducing import compute_dtype, elements, finished

F = "nn.functional"


def _activation(name, text, derivative, *, node=None, category=FLOATING):
    """An activation that the public function below wraps: floats only, named for its node."""
    return unary(name, text, derivative, node=node, category=category, function=False, method=False, inplace=False)


def _apply(call, input: Tensor, inplace: bool, *params) -> Tensor:
    """Call an activation, in place where asked for."""
    if not inplace:
        return call(input, *params)
    from .._inplace import check_writable, write_back

    check_writable(input)
    return write_back(input, call, *params)


def _publish(name: str, fn, *, torch: bool = False):
    """The activation under torch.nn.functional and, with `torch`, also torch itself; returns its in-place form."""

    def inplace(input: Tensor, *args, **kwargs) -> Tensor:
        return fn(input, *args, inplace=True, **kwargs)

    inplace.__name__ = inplace.__qualname__ = name + "_"
    for namespace in (F, "") if torch else (F,):
        register(name, fn, namespace=namespace, method=False)
        register(name + "_", inplace, namespace=namespace, method=False)
    return inplace


# Written so that nan stays nan, and its gradient what it is, as in torch.
_relu = unary("relu", lambda x: where(x < 0, 0, x), lambda g, y: where(y <= 0, 0.0, g), category=FLOATING)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x)."""
    return input.relu_() if inplace else _relu(input)


relu_ = _publish("relu", relu)

sigmoid_ = unary("sigmoid", lambda x: sigmoid(x), lambda g, y: g * conj((1 - y) * y), promote="float")


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value."""
    return _apply(_threshold, input, inplace, threshold, value)


_threshold = _activation(
    "threshold",
    lambda x, threshold, value: where(x <= threshold, value, x),
    lambda g, x, threshold: where(x <= threshold, 0.0, g),
)
threshold_ = _publish("threshold", threshold, torch=True)

_leaky_relu = _activation(
    "leaky_relu",
    lambda x, slope: where(x > 0, x, x * slope),
    lambda g, x, slope: where(x > 0, g, g * slope),
)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """max(0, x) + negative_slope * min(0, x)."""
    return _apply(_leaky_relu, input, inplace, negative_slope)


leaky_relu_ = _publish("leaky_relu", leaky_relu)

_elu = _activation(
    "elu",
    lambda x, alpha, scale, input_scale: where(x > 0, x * scale, expm1(x * input_scale) * alpha * scale),
    lambda g, x, alpha, scale, input_scale: where(
        x <= 0, g * input_scale * alpha * scale * exp(x * input_scale), g * scale
    ),
)

_celu = _activation("celu", _elu.pointwise.text, _elu.pointwise.rule_texts[0])


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x above 0, alpha (exp(x) - 1) below."""
    return _apply(_elu, input, inplace, alpha, 1.0, 1.0)


elu_ = _publish("elu", elu)

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha) with the constants of self-normalising networks (Klambauer et al. 2017)."""
    return _apply(_elu, input, inplace, _SELU_ALPHA, _SELU_SCALE, 1.0)


selu_ = _publish("selu", selu, torch=True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x above 0, alpha (exp(x / alpha) - 1) below."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _apply(_celu, input, inplace, alpha, 1.0, 1.0 / alpha)


celu_ = _publish("celu", celu, torch=True)

_gelu = _activation(
    "gelu",
    lambda x: x * 0.5 * (1.0 + erf(x * 0.7071067811865476)),
    lambda g, x: g * (0.5 * (1.0 + erf(x * 0.7071067811865476)) + x * exp(x * x * -0.5) * 0.3989422804014327),
)


def _gelu_tanh_slope(g, x):
    t = tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
    return g * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x))


_gelu_tanh = _activation(
    "gelu_tanh",
    lambda x: 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))),
    _gelu_tanh_slope,
    node="GeluBackward0",
)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """x Phi(x), with Phi the normal distribution function; approximate="tanh" for the tanh form."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return (_gelu if approximate == "none" else _gelu_tanh)(input)


register("gelu", gelu, namespace=F, method=False)

_silu = unary(
    "silu",
    lambda x: x * sigmoid(x),
    lambda g, x: g * conj(sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))),
    category=COMPLEX,
    function=False,
    method=False,
    inplace=False,
)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x)."""
    return _apply(_silu, input, inplace)


silu_ = _publish("silu", silu)


# With e = exp(x) and n = e (e + 2), tanh(log(1 + e)) = n / (n + 2): one exponential in place of three functions. From
# x = 20 on that is 1, and e is held there so that n stays finite.


def _mish_text(x):
    e = exp(where(x > 20, 20, x))
    n = e * (e + 2)
    return x * (n / (n + 2))


def _mish_slope(g, x):
    e = exp(where(x > 20, 20, x))
    n = e * (e + 2)
    inverse = 1 / (n + 2)
    return g * (n * inverse + x * where(x > 20, 0.0, 4 * e * (e + 1) * inverse * inverse))


_mish = _activation("mish", _mish_text, _mish_slope)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x))."""
    return _apply(_mish, input, inplace)


mish_ = _publish("mish", mish)

_softplus = _activation(
    "softplus",
    lambda x, beta, threshold: where(x * beta > threshold, x, log1p(exp(x * beta)) / beta),
    lambda g, x, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)),
)


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + exp(beta x)) / beta, linear where beta x exceeds the threshold."""
    return _softplus(input, beta, threshold)


register("softplus", softplus, namespace=F, method=False)

_hardtanh = _activation(
    "hardtanh",
    lambda x, low, high: where(x < low, low, where(x > high, high, x)),
    lambda g, x, low, high: where((x <= low) | (x >= high), 0.0, g),
)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x clipped to [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _apply(_hardtanh, input, inplace, min_val, max_val)


hardtanh_ = _publish("hardtanh", hardtanh)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(0, x), 6)."""
    return _apply(_hardtanh, input, inplace, 0.0, 6.0)


relu6_ = _publish("relu6", relu6)

_hardsigmoid = _activation(
    "hardsigmoid",
    lambda x: where(x <= -3, 0.0, where(x >= 3, 1.0, x / 6 + 0.5)),
    lambda g, x: where((x > -3) & (x < 3), g / 6, 0.0),
)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """clip(x / 6 + 1/2, 0, 1)."""
    return _apply(_hardsigmoid, input, inplace)


hardsigmoid_ = _publish("hardsigmoid", hardsigmoid)

_hardswish = _activation(
    "hardswish",
    lambda x: where(x <= -3, x * 0.0, where(x >= 3, x, x * (x + 3) / 6)),  # nan for -inf, as in torch
    lambda g, x: where(x <= -3, 0.0, where(x < 3, g * (x / 3 + 0.5), g)),
)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x clip(x + 3, 0, 6) / 6."""
    return _apply(_hardswish, input, inplace)


hardswish_ = _publish("hardswish", hardswish)

_log_sigmoid = _activation(
    "log_sigmoid",
    lambda x: where(x < 0, x, 0.0) - log1p(exp(-abs(x))),
    lambda g, x: g * sigmoid(-x),
)


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x))."""
    return _log_sigmoid(input)


register("logsigmoid", logsigmoid, namespace=F, method=False)

_softshrink = _activation(
    "softshrink",
    lambda x, lambd: where(x > lambd, x - lambd, where(x < -lambd, x + lambd, x * 0.0)),  # nan stays nan
    lambda g, x, lambd: where((x >= -lambd) & (x <= lambd), 0.0, g),
)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd:g}.")
    return _softshrink(input, lambd)


register("softshrink", softshrink, namespace=F, method=False)

_hardshrink = _activation(
    "hardshrink",
    lambda x, lambd: where((x >= -lambd) & (x <= lambd), 0.0, x),
    lambda g, x, lambd: where((x >= -lambd) & (x <= lambd), 0.0, g),
)


@op()
def hardshrink(input, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    return _hardshrink(input, lambd)


register("hardshrink", hardshrink, namespace=F, method=False)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (abs(input) + 1)


register("softsign", softsign, namespace=F, method=False)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - input.tanh()


register("tanhshrink", tanhshrink, namespace=F, method=False)


@primitive("prelu_kernel", node="PreluKernelBackward0", save=("self", "weight"), public=False)
def _prelu(self, weight):
    """`weight` is (), (1,) or (channels,), one slope for each index along dimension 1."""
    self, weight = self.detach(), _along_channels(weight.detach(), len(self._size))
    return self.where(self > 0, self * weight)


# Up to the size of a unit.
_few_bent = Compiled(_prelu_kernels.prelu_forward_unit, "nxxnnnx")


def _along_channels(weight: Tensor, rank: int) -> Tensor:
    """The slopes in a form that broadcasts with `rank` dimensions."""
    n = weight._size.numel()
    return weight.reshape(() if n == 1 else [n if d == 1 else 1 for d in range(rank)])


def _bent(t: Tensor, weight: Tensor) -> Tensor:
    x, size = elements(t), t._size
    out = empty(x.size, x.dtype)
    slopes = _slopes(size, weight._size)
    if x.size <= _prelu_kernels.PART:
        rows, inner, _ = _prelu_kernels.layout(x.size, *slopes)
        _few_bent[x.dtype](0, x, elements(weight), rows, slopes[1], inner, out)
    else:
        _prelu_kernels.prelu_forward(x, elements(weight), *slopes, out)
    result = _new(Tensor)
    result._flat, result._dtype = out, t._dtype
    result._size, result._stride, _ = dense(size)
    return result


def _has_prelu_kernel(t: Tensor, weight: Tensor) -> bool:
    d = t._dtype
    return d is weight._dtype and t._device is weight._device is cpu and d.np is d.compute and 0 not in t._size


@lru_cache(maxsize=1024)
def _slopes(size, of_weight) -> tuple[int, int, int]:
    """(outer, channels, inner) of a tensor of this size."""
    channels = prod(of_weight)
    if channels == 1:
        return 1, 1, prod(size)
    return size[0], channels, prod(size[2:])


class PreluBackward(Node):
    """The node of prelu where it has a kernel."""

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None, None)
        return _prelu_gradients(*unpack(self), grad)


PreluBackward.__name__ = PreluBackward.__qualname__ = "PreluKernelBackward0"


def _prelu_gradients(t: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    if mode.enabled or not _has_prelu_kernel(t, weight) or grad._dtype is not t._dtype:
        above, slopes = t > 0, _along_channels(weight, len(t._size))
        to_weight = (grad * t).masked_fill(above, 0).sum_to_size(slopes._size)
        return grad.where(above, grad * slopes), to_weight.reshape(weight._size)
    x = elements(t)
    gx, gw = empty(x.size, x.dtype), empty(weight._size.numel(), x.dtype)
    _prelu_kernels.prelu_backward(elements(grad), x, elements(weight), *_slopes(t._size, weight._size), gx, gw)
    return wrap(gx, t._size, t._dtype), wrap(gw, weight._size, t._dtype)


_prelu.derivative_of("self", "weight")


@_prelu.backward
def _(ctx, grad):
    to_self, to_weight = _prelu_gradients(ctx.self, ctx.weight, grad)
    return {"self": to_self, "weight": to_weight}


@op()
def prelu(input, weight) -> Tensor:
    """x above 0, weight x below, with one weight or one for each channel (dimension 1)."""
    n = weight._size.numel()
    if n != 1:
        if not input._size:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input._size[1] if len(input._size) >= 2 else 1
        if channels != n:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {n} and channel size = "
                f"{channels}."
            )
    if len(weight._size) > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {len(weight._size)}")
    if input._dtype is not weight._dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input._dtype.type_name} and {weight._dtype.type_name}"
        )
    if n == 1 and weight._device is cpu and not (mode.enabled and (input._requires_grad or weight._requires_grad)):
        return leaky_relu(input, weight.item())
    if _has_prelu_kernel(input, weight):
        return recorded(PreluBackward, _bent(input, weight), input, weight)
    return _prelu(input, weight)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Leaky ReLU whose slope is drawn from [lower, upper] for each negative element in training, else their mean."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    # torch draws for the elements that are not positive, in memory order, in double precision.
    negative = input.detach() <= 0
    count = int(negative.sum().item())
    slopes = input.detach().new_empty(count, dtype=_dtype.float64).uniform_(lower, upper).to(input._dtype)
    noise = input.detach().new_ones(input._size).masked_scatter_(negative, slopes)
    return _apply(mul, input, inplace, noise)


rrelu_ = _publish("rrelu", rrelu, torch=True)
register("prelu", prelu, namespace=F, method=False)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a sigmoid(b), with a and b the halves of the input along a dimension."""
    if not input._size:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    n = input._size[dim]
    if n % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {n}")
    result = _glu.__wrapped__(input, dim)
    if input._requires_grad and mode.enabled:
        _glu.primitive.record_directly([None, dim], (input,), (input,), result)
    return result


@lru_cache(maxsize=1024)
def _halves(size, dim: int) -> tuple[int, int, Size]:
    """(outer, width, size of a half): a tensor of this size is (outer, 2, width), cut along dim."""
    d = wrap_dim(dim, len(size))
    return prod(size[:d]), prod(size[d:]) // 2, Size((*size[:d], size[d] // 2, *size[d + 1 :]))


def _has_kernel(t: Tensor) -> bool:
    return t._device is cpu and t._dtype.category == FLOATING and 0 not in t._size


@primitive("glu", node="GluBackward0", save=("self",), public=False)
def _glu(self, dim):
    if not _has_kernel(self):
        a, b = self.detach().chunk(2, dim)
        return a * b.sigmoid()
    outer, width, size = _halves(self._size, dim)
    x = elements(self)
    out = empty(outer * width, x.dtype)
    _glu_kernels.glu_forward(x, outer, width, out)
    return finished(out, size, compute_dtype(self._dtype), self._dtype)


def _glu_rule(ctx, grad):
    t = ctx.self
    if not mode.enabled and _has_kernel(t):
        outer, width, _ = _halves(t._size, ctx.dim)
        x = elements(t)
        gx = empty(x.size, x.dtype)
        _glu_kernels.glu_backward(elements(grad), x, outer, width, gx)
        return finished(gx, t._size, compute_dtype(t._dtype), t._dtype)
    a, b = t.chunk(2, ctx.dim)
    gate = b.sigmoid()
    slope = grad * gate
    return FUNCTIONS[""]["cat"]([slope, slope * a * (1 - gate)], ctx.dim)


_glu.derivative(self=_glu_rule)
register("glu", glu, namespace=F, method=False)


@op(namespace=F, method=False, name="sigmoid")
def functional_sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return sigmoid_(input)


@op(namespace=F, method=False, name="tanh")
def functional_tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return input.tanh()
