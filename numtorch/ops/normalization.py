"""Batch, layer, RMS, group, instance and local response normalisation.

    y = (x - mean) / sqrt(var + eps) * weight + bias

Forward and backward are one fused kernel each. A backward that is itself recorded (create_graph=True) runs
the formula in tensor operators instead, so that it can be differentiated again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from numtorch.graph import mode, no_grad
from numtorch.kernels.cpu import normalization as _kernels
from numtorch.kernels.cpu.spread import PARALLEL_SIZE

from .. import _dtype
from .._allocator import empty
from .._compiled import Compiled
from .._copy import cast_array
from .._device import cpu
from .._dtype import COMPLEX, FLOATING, float32, float64
from .._primitive import primitive
from .._registry import op, register
from .._size import Size
from .._tensor import Tensor, wrap
from .norms import normalize
from .reducing import check_cpu, compute_dtype, elements, finished


class _Absent(dict):
    """What kernels get for a parameter that is not there: an array of size 0, by dtype."""

    def __missing__(self, d: np.dtype) -> np.ndarray:
        found = self[d] = np.empty(0, d)
        return found


_absent = _Absent()


def _is_plain(input: Tensor, *parameters: Tensor | None) -> bool:
    """Whether kernels can take all of these as they are, and nothing is recorded: the direct way of small calls."""
    d = input._dtype
    if (d is not float32 and d is not float64) or input._flat is None or input._device is not cpu:
        return False
    if not input._flat.size:
        return False
    recording = mode.enabled
    if recording and input._requires_grad:
        return False
    for t in parameters:
        if t is None:
            continue
        if t._dtype is not d or t._flat is None or t._device is not cpu or recording and t._requires_grad:
            return False
    return True


def _parameter(t: Tensor | None, d: np.dtype) -> np.ndarray:
    """A weight, bias or running buffer as kernels take it: empty where absent, else in the dtype of the input."""
    if t is None:
        return _absent[d]
    flat = t._flat
    if flat is None or flat.dtype is not d:
        flat = elements(t)
        if flat.dtype != d:
            flat = flat.astype(d)
    return flat


def _floating(t: Tensor, name: str) -> None:
    check_cpu(t, name)
    if t._dtype.category != FLOATING:
        raise NotImplementedError(f"\"{name}\" not implemented for '{t._dtype.type_name}'")


def _gradients(arrays: dict[str, tuple]) -> dict[str, Tensor]:
    """Kernel results as tensors: {name: (array, size, dtype)}."""
    return {
        name: wrap(
            a if a.dtype == d.np and d.np is d.compute else cast_array(a, _dtype.FROM_NUMPY[a.dtype], d),
            size,
            d,
        )
        for name, (a, size, d) in arrays.items()
    }


def _with_statistics(norm: Callable, args: tuple, found: tuple, size) -> tuple[Tensor, Tensor, Tensor]:
    """What a norm found as tensors, (y, mean, 1 / standard deviation), of which only y belongs to the graph."""
    y, mean, rstd = found
    if mode.enabled and any(isinstance(t, Tensor) and t._requires_grad for t in args[:3]):
        norm.primitive.record(args, {}, y, (mean, rstd))
    d = compute_dtype(args[0]._dtype)
    return y, wrap(mean, size, d), wrap(rstd, size, d)


# -- batch norm ----------------------------------------------------------------------------------------------


def _in_graph(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> bool:
    return mode.enabled and (
        input._requires_grad
        or (weight is not None and weight._requires_grad)
        or (bias is not None and bias._requires_grad)
    )


def _geometry(t: Tensor) -> tuple[int, int, int]:
    """(N, C, L) of a batch."""
    n, c = t._size[0], t._size[1]
    return n, c, t._size.numel() // max(n * c, 1)


def _per_channel(v: Tensor, ndim: int) -> Tensor:
    return v.reshape((1, -1) + (1,) * (ndim - 2))


def _running(t: Tensor | None, wanted: np.dtype) -> np.ndarray:
    """A running buffer that the kernel updates: the tensor's own memory where it can be used as it is."""
    return _parameter(t, wanted)


@primitive(
    "native_batch_norm_",
    node="NativeBatchNormBackward0",
    save=("input", "weight", "running_mean", "running_var"),
    keeps=("mean", "rstd"),
    public=False,
)
def _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    return _batch_norm_found(input, weight, bias, running_mean, running_var, training, momentum, eps)


def _batch_norm_found(
    input, weight, bias, running_mean, running_var, training, momentum, eps
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """(y, batch mean, batch 1 / sqrt(var + eps)); in evaluation the last two are empty."""
    _floating(input, "batch_norm")
    n, c, length = _geometry(input)
    x = elements(input)
    d = x.dtype
    out = empty(x.size, d)
    w, b = _parameter(weight, d), _parameter(bias, d)
    stats = compute_dtype(input._dtype)
    if not training:
        mean, var = _parameter(running_mean, d), _parameter(running_var, d)
        if x.size <= _FEW:
            _few_in_evaluation[d](x, n, c, length, mean, var, w, b, eps, out)
        else:
            _kernels.batch_norm_eval(x, n, c, length, mean, var, w, b, eps, out)
        return finished(out, input._size, stats, input._dtype), _absent[d], _absent[d]
    mean, rstd = np.empty(c, d), np.empty(c, d)
    rm, rv = _running(running_mean, d), _running(running_var, d)
    if x.size:
        _kernels.batch_norm_train(x, n, c, length, w, b, rm, rv, momentum, eps, out, mean, rstd)
        for buffer, values in ((running_mean, rm), (running_var, rv)):
            if buffer is not None:
                _write_back(buffer, values)
    else:
        mean.fill(np.nan)
        rstd.fill(np.nan)
    return finished(out, input._size, stats, input._dtype), mean, rstd


_few_in_evaluation = Compiled(_kernels.batch_norm_eval_few, "xnnnxxxxdx")
# Elements up to which that is the faster one.
_FEW = 2048


def _write_back(buffer: Tensor, values: np.ndarray) -> None:
    """The kernel wrote `values`: into the buffer itself, or into a copy that was made for another dtype or layout.

    As in torch the version counter stays: two forward passes before one backward are allowed.
    """
    if buffer._flat is not values:
        from .._copy import copy_into

        copy_into(buffer, wrap(values, buffer._size, _dtype.FROM_NUMPY[values.dtype]))


@_batch_norm.backward
def _batch_norm_rule(ctx, grad):
    t, weight = ctx.input, ctx.weight
    mean, rstd = ctx.mean, ctx.rstd
    if not ctx.training:
        mean = ctx.running_mean.to(compute_dtype(t._dtype))
        rstd = (ctx.running_var.to(mean._dtype) + ctx.eps).rsqrt()
    if mode.enabled:
        return _batch_norm_in_tensors(ctx, grad, t, weight, mean, rstd)
    n, c, length = _geometry(t)
    x, g = elements(t), elements(grad)
    d = x.dtype
    gx, gw, gb = empty(x.size, d), np.zeros(c, d), np.zeros(c, d)
    if x.size:
        w = _parameter(weight, d)
        if not ctx.training:
            mean, rstd = elements(mean), elements(rstd)
        _kernels.batch_norm_backward(g, x, n, c, length, w, mean, rstd, bool(ctx.training), gx, gw, gb)
    d = t._dtype if weight is None else weight._dtype
    return _gradients({"input": (gx, t._size, t._dtype), "weight": (gw, (c,), d), "bias": (gb, (c,), d)})


def _batch_norm_in_tensors(ctx, grad, t, weight, mean, rstd):
    dims = [i for i in range(t.ndim) if i != 1]
    if ctx.training:
        centred = t - t.mean(dims, True)
        rstd = (centred.square().mean(dims, True) + ctx.eps).rsqrt()
    else:
        centred, rstd = t - _per_channel(mean, t.ndim), _per_channel(rstd, t.ndim)
    normal = centred * rstd
    scaled = grad if weight is None else grad * _per_channel(weight, t.ndim)
    if ctx.training:
        scaled = scaled - scaled.mean(dims, True) - normal * (scaled * normal).mean(dims, True)
    return {"input": scaled * rstd, "weight": (grad * normal).sum(dims), "bias": grad.sum(dims)}


_batch_norm.derivative_of("input", "weight", "bias")


def _check_batch_norm(input, weight, bias, running_mean, running_var, training: bool) -> None:
    size = input._size
    if len(size) > 1 and (training or running_mean is not None and running_var is not None):
        for t in (running_mean, running_var, weight, bias):
            if t is not None and t._size != (size[1],):
                break
        else:
            return
    if input.ndim < 2 and input.numel():
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")
    channels = input._size[1] if input.ndim > 1 else 0
    for t, name in (
        (running_mean, "running_mean"),
        (running_var, "running_var"),
        (weight, "weight"),
        (bias, "bias"),
    ):
        if t is not None and t.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {t.numel()}")
        if t is None and not training and name.startswith("running"):
            raise RuntimeError(
                "running_mean must be defined in evaluation mode"
                if name == "running_mean"
                else "running_var must be defined in evaluation mode"
            )


@op("batch_norm", method=False)
def native_order_batch_norm(
    input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled=True
) -> Tensor:
    """Normalise each channel (dim 1) by the batch's statistics (training) or by the running ones."""
    _check_batch_norm(input, weight, bias, running_mean, running_var, training)
    momentum = 0.0 if momentum is None else momentum
    if 0 in input._size:
        y = input.clone()
        y = y if weight is None else y * weight[0]
        return y if bias is None else y + bias[0]
    if _is_plain(input, weight, bias, running_mean, running_var):
        return _batch_norm_alone(input, weight, bias, running_mean, running_var, training, momentum, float(eps))
    training, eps = bool(training), float(eps)
    found = _batch_norm_found(input, weight, bias, running_mean, running_var, training, momentum, eps)
    y, mean, rstd = found
    if _in_graph(input, weight, bias):
        values, saved = [None] * 5 + [training, momentum, eps, mean, rstd], (input, weight, running_mean, running_var)
        _batch_norm.primitive.record_directly(values, (input, weight, bias), saved, y)
    return y


def _batch_norm_alone(input, weight, bias, running_mean, running_var, training, momentum, eps) -> Tensor:
    """The normalised batch without what a backward needs, of tensors that _is_plain accepts."""
    x = input._flat
    d = x.dtype
    n, c, length = _geometry(input)
    w, b, mean, var = [_absent[d] if t is None else t._flat for t in (weight, bias, running_mean, running_var)]
    out = empty(x.size, d)
    if training:
        stats = np.empty(c, d)
        _kernels.batch_norm_train(x, n, c, length, w, b, mean, var, momentum, eps, out, stats, stats)
    elif x.size <= _FEW:
        _few_in_evaluation[d](x, n, c, length, mean, var, w, b, eps, out)
    else:
        _kernels.batch_norm_eval(x, n, c, length, mean, var, w, b, eps, out)
    return wrap(out, input._size, input._dtype)


def native_batch_norm(
    input, weight, bias, running_mean, running_var, training, momentum, eps
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, batch mean, batch 1 / sqrt(var + eps))."""
    _check_batch_norm(input, weight, bias, running_mean, running_var, training)
    args = (input, weight, bias, running_mean, running_var, bool(training), momentum, float(eps))
    found = _batch_norm_found(*args)
    return _with_statistics(_batch_norm, args, found, found[1].shape)


register("native_batch_norm", native_batch_norm, method=False, out=True)


@op(namespace="nn.functional", method=False)
def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05
) -> Tensor:
    """Normalise each channel (dim 1); in training a channel must have more than one value."""
    if training:
        size = input._size
        values = size[0] * math.prod(size[2:])
        if values == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.size()}")
    if eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive, but got {eps}")
    return native_order_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


# -- instance norm -------------------------------------------------------------------------------------------


@op("instance_norm", method=False)
def native_order_instance_norm(
    input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled=True
) -> Tensor:
    """Normalise each channel of each sample by itself: batch norm of one batch of N * C channels."""
    n, c = input._size[0], input._size[1]
    fits = (weight is None or weight._size == (c,)) and (bias is None or bias._size == (c,)) and 0 not in input._size
    if fits and use_input_stats and running_mean is None and running_var is None:
        y = native_order_group_norm(input, c, weight, bias, eps)  # groups of one channel
        return y.view(y._size) if y._requires_grad else y  # torch's node is that of a view

    def repeated(t):
        return None if t is None else t.repeat(n)

    flat = input.contiguous().reshape((1, n * c) + tuple(input._size[2:]))
    mean, var = repeated(running_mean), repeated(running_var)
    y = native_order_batch_norm(flat, repeated(weight), repeated(bias), mean, var, use_input_stats, momentum, eps)
    with no_grad():
        for buffer, values in ((running_mean, mean), (running_var, var)):
            if buffer is not None and use_input_stats:
                buffer.copy_(values.reshape(n, c).mean(0))
    return y.reshape(input._size)


@op(namespace="nn.functional", method=False)
def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-05,
) -> Tensor:
    """Normalise each channel of each sample by its own statistics."""
    if use_input_stats:
        values = math.prod(input.size()[2:])
        if values == 1:
            raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.size()}")
    return native_order_instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


# -- layer norm and RMS norm ---------------------------------------------------------------------------------


def _rows(t: Tensor, normalized_shape) -> tuple[int, int]:
    n = math.prod(normalized_shape)
    return (t._size.numel() // n if n else math.prod(t._size[: t.ndim - len(normalized_shape)])), n


@lru_cache(maxsize=1024)
def _row_geometry(size: tuple[int, ...], dims: int):
    """(rows, elements of a row, size of what is kept for each row) of a norm over the last dims."""
    lead = len(size) - dims
    return math.prod(size[:lead]), math.prod(size[lead:]), Size((*size[:lead], *(1,) * dims))


_layer_norms = Compiled(_kernels.layer_norm_all_rows, "xnnxxbdxxx")
_group_norms = Compiled(_kernels.group_norm_all_rows, "xnnnnxxdxxx")


def _row_norm_alone(input, weight, bias, shape, centred: bool, eps: float) -> Tensor:
    """The normalised rows without what a backward needs, of tensors that _is_plain accepts."""
    rows, n, _ = _row_geometry(input._size, len(shape))
    x = input._flat
    d = x.dtype
    w = _absent[d] if weight is None else weight._flat
    b = _absent[d] if bias is None else bias._flat
    out, stats = empty(x.size, d), np.empty(rows, d)
    if x.size < PARALLEL_SIZE:
        _layer_norms[d](x, rows, n, w, b, centred, eps, out, stats, stats)
    else:
        _kernels.layer_norm(x, rows, n, w, b, centred, eps, out, stats, stats)
    return wrap(out, input._size, input._dtype)


def _row_norm(input, weight, bias, shape, centred: bool, eps: float) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """(the normalised rows, their means, 1 / their standard deviations)."""
    rows, n, _ = _row_geometry(input._size, len(shape))
    x = elements(input)
    d = x.dtype
    out, mean, rstd = empty(x.size, d), np.empty(rows, d), np.empty(rows, d)
    if x.size:
        w, b = _parameter(weight, d), _parameter(bias, d)
        norm = _layer_norms[d] if x.size < PARALLEL_SIZE else _kernels.layer_norm
        norm(x, rows, n, w, b, centred, eps, out, mean, rstd)
    return finished(out, input._size, compute_dtype(input._dtype), input._dtype), mean, rstd


def _row_norm_gradients(ctx, grad, centred: bool):
    t, weight, shape = ctx.input, ctx.weight, ctx.normalized_shape
    if mode.enabled:
        return _row_norm_in_tensors(ctx, grad, t, weight, shape, centred)
    rows, n = _rows(t, shape)
    x, g = elements(t), elements(grad)
    d = x.dtype
    gx, gw, gb = empty(x.size, d), np.zeros(n, d), np.zeros(n, d)
    if x.size:
        w = _parameter(weight, d)
        _kernels.layer_norm_backward(g, x, rows, n, w, centred, ctx.mean, ctx.rstd, gx, gw, gb)
    d = t._dtype if weight is None else weight._dtype
    return _gradients({"input": (gx, t._size, t._dtype), "weight": (gw, shape, d), "bias": (gb, shape, d)})


def _row_norm_in_tensors(ctx, grad, t, weight, shape, centred: bool):
    dims = list(range(t.ndim - len(shape), t.ndim))
    lead = list(range(t.ndim - len(shape)))
    centre = t - t.mean(dims, True) if centred else t
    rstd = (centre.square().mean(dims, True) + ctx.eps).rsqrt()
    normal = centre * rstd
    scaled = grad if weight is None else grad * weight
    gx = scaled - normal * (scaled * normal).mean(dims, True)
    if centred:
        gx = gx - scaled.mean(dims, True)
    gw = grad * normal
    return {
        "input": gx * rstd,
        "weight": gw.sum(lead) if lead else gw,
        "bias": grad.sum(lead) if lead else grad,
    }


@primitive(
    "native_layer_norm_",
    node="NativeLayerNormBackward0",
    save=("input", "weight"),
    keeps=("mean", "rstd"),
    public=False,
)
def _layer_norm(input, weight, bias, normalized_shape, eps):
    return _row_norm(input, weight, bias, normalized_shape, True, eps)


@_layer_norm.backward
def _layer_norm_rule(ctx, grad):
    return _row_norm_gradients(ctx, grad, True)


_layer_norm.derivative_of("input", "weight", "bias")


@primitive(
    "fused_rms_norm_",
    node="FusedRmsNormBackward0",
    save=("input", "weight"),
    keeps=("mean", "rstd"),
    public=False,
)
def _rms_norm(input, normalized_shape, weight, eps):
    return _row_norm(input, weight, None, normalized_shape, False, eps)


@_rms_norm.backward
def _rms_norm_rule(ctx, grad):
    found = _row_norm_gradients(ctx, grad, False)
    return {"input": found["input"], "weight": found["weight"]}


_rms_norm.derivative_of("input", "weight")


def _normalized_shape(input, normalized_shape, weight, bias, name: str) -> tuple[int, ...]:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if (
        shape
        and input._size[-len(shape) :] == shape
        and (weight is None or weight._size == shape)
        and (bias is None or bias._size == shape)
        and input._dtype.category == FLOATING
        and input._device is cpu
    ):
        return shape
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    for t, what in ((weight, "weight"), (bias, "bias")):
        if t is not None and tuple(t._size) != shape:
            raise RuntimeError(
                f"Expected {what} to be of same shape as normalized_shape, but got {what} of shape {list(t._size)} and "
                f"normalized_shape = {list(shape)}"
            )
    if tuple(input._size[max(input.ndim - len(shape), 0) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but "
            f"got input of size{list(input._size)}"
        )
    _floating(input, name)
    return shape


@op(method=False)
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05, cudnn_enable=True) -> Tensor:
    """Normalise over the last dims, those of normalized_shape; weight and bias have that shape."""
    shape = _normalized_shape(input, normalized_shape, weight, bias, "LayerNormKernelImpl")
    if _is_plain(input, weight, bias):
        return _row_norm_alone(input, weight, bias, shape, True, float(eps))
    y, mean, rstd = _row_norm(input, weight, bias, shape, True, float(eps))
    if _in_graph(input, weight, bias):
        values = [None, None, None, shape, float(eps), mean, rstd]
        _layer_norm.primitive.record_directly(values, (input, weight, bias), (input, weight), y)
    return y


register("layer_norm", layer_norm, namespace="nn.functional", method=False)


@op(method=False)
def native_layer_norm(input, normalized_shape, weight, bias, eps) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, 1 / sqrt(var + eps))."""
    shape = _normalized_shape(input, normalized_shape, weight, bias, "LayerNormKernelImpl")
    found = _row_norm(input, weight, bias, shape, True, float(eps))
    args = (input, weight, bias, shape, float(eps))
    return _with_statistics(_layer_norm, args, found, _row_geometry(input._size, len(shape))[2])


@op(method=False)
def rms_norm(input, normalized_shape, weight=None, eps=None) -> Tensor:
    """x / sqrt(mean x**2 + eps) * weight over the last dims; eps is the dtype's epsilon by default."""
    if eps is None:
        eps = float(np.finfo(compute_dtype(input._dtype).np).eps)
    if input._dtype.category == COMPLEX:
        dims = list(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))
        y = input * (input.pow(2).mean(dims, True) + eps).rsqrt()
        return y if weight is None else y * weight
    shape = _normalized_shape(input, normalized_shape, weight, None, "rms_norm")
    if _is_plain(input, weight):
        return _row_norm_alone(input, weight, None, shape, False, float(eps))
    return _rms_norm(input, shape, weight, float(eps))


register("rms_norm", rms_norm, namespace="nn.functional", method=False)


# -- group norm ----------------------------------------------------------------------------------------------


@primitive(
    "native_group_norm_",
    node="NativeGroupNormBackward0",
    save=("input", "weight"),
    keeps=("mean", "rstd"),
    public=False,
)
def _group_norm(input, weight, bias, N, C, HxW, group, eps):
    return _group_norm_found(input, weight, bias, N, C, HxW, group, eps)


def _group_norm_found(input, weight, bias, N, C, HxW, group, eps) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """(y, mean, 1 / sqrt(var + eps)), the last two by sample and group."""
    _floating(input, "GroupNormKernelImpl")
    x = elements(input)
    d = x.dtype
    out, mean, rstd = empty(x.size, d), np.zeros(N * group, d), np.zeros(N * group, d)
    if x.size:
        w, b = _parameter(weight, d), _parameter(bias, d)
        if x.size < PARALLEL_SIZE:
            _group_norms[d](x, N * group, group, C // group, HxW, w, b, eps, out, mean, rstd)
        else:
            _kernels.group_norm(x, N, group, C // group, HxW, w, b, eps, out, mean, rstd)
    return finished(out, input._size, compute_dtype(input._dtype), input._dtype), mean, rstd


@_group_norm.backward
def _group_norm_rule(ctx, grad):
    t, weight, n, c, length, groups = ctx.input, ctx.weight, ctx.N, ctx.C, ctx.HxW, ctx.group
    if mode.enabled:
        x, g = t.reshape(n, groups, -1), grad.reshape(n, groups, -1)
        centred = x - x.mean(-1, True)
        rstd = (centred.square().mean(-1, True) + ctx.eps).rsqrt()
        normal = centred * rstd
        per_channel = (n, c, -1) if length else (n, c, 0)
        scaled = g
        if weight is not None:
            scaled = (grad.reshape(per_channel) * weight.reshape(1, c, 1)).reshape(n, groups, -1)
        gx = (scaled - scaled.mean(-1, True) - normal * (scaled * normal).mean(-1, True)) * rstd
        gw = (g * normal).reshape(per_channel).sum((0, 2))
        return {"input": gx.reshape(t._size), "weight": gw, "bias": grad.reshape(per_channel).sum((0, 2))}
    x, g = elements(t), elements(grad)
    d = x.dtype
    gx, gw, gb = empty(x.size, d), np.zeros(c, d), np.zeros(c, d)
    if x.size:
        w = _parameter(weight, d)
        _kernels.group_norm_backward(g, x, n, groups, c // groups, length, w, ctx.mean, ctx.rstd, gx, gw, gb)
    d = t._dtype if weight is None else weight._dtype
    return _gradients({"input": (gx, t._size, t._dtype), "weight": (gw, (c,), d), "bias": (gb, (c,), d)})


_group_norm.derivative_of("input", "weight", "bias")


@op(method=False)
def native_group_norm(input, weight, bias, N, C, HxW, group, eps) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, 1 / sqrt(var + eps)) of N samples of C channels of HxW elements."""
    args = (input, weight, bias, N, C, HxW, group, float(eps))
    return _with_statistics(_group_norm, args, _group_norm_found(*args), (N, group))


@op("group_norm", method=False)
def native_order_group_norm(input, num_groups, weight=None, bias=None, eps=1e-05, cudnn_enabled=True) -> Tensor:
    """Normalise each of num_groups groups of channels of each sample; weight and bias are per channel."""
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    n, c = input._size[0], input._size[1]
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if c % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input._size)} and num_groups={num_groups}"
        )
    for t, name in ((weight, "weight"), (bias, "bias")):
        if t is not None and (t.ndim != 1 or t.numel() != c):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of "
                f"shape {list(t._size)} and input of shape {list(input._size)}"
            )
    length = math.prod(input._size[2:])
    x = input._flat
    if x is not None and x.size < PARALLEL_SIZE and _is_plain(input, weight, bias):
        d = x.dtype
        w = _absent[d] if weight is None else weight._flat
        b = _absent[d] if bias is None else bias._flat
        out, stats = empty(x.size, d), np.empty(n * num_groups, d)
        _group_norms[d](x, n * num_groups, num_groups, c // num_groups, length, w, b, float(eps), out, stats, stats)
        return wrap(out, input._size, input._dtype)
    return _group_norm(input, weight, bias, n, c, length, num_groups, float(eps))


@op(namespace="nn.functional", method=False)
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05) -> Tensor:
    """Normalise each group of channels of each sample."""
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    size = input.size()
    values = size[0] * size[1] // num_groups * math.prod(size[2:])
    if values == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(size)}")
    return native_order_group_norm(input, num_groups, weight, bias, eps)


# -- local response norm -------------------------------------------------------------------------------------


@op(namespace="nn.functional", method=False)
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0) -> Tensor:
    """x / (k + alpha * mean of x**2 over `size` neighbouring channels) ** beta."""
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input (got {input.ndim} dimensions)"
        )
    if input.numel() == 0:
        return input
    from .joining import cat

    squares = input * input
    before, after = size // 2, (size - 1) // 2
    shape = list(input._size)

    def zeros(n):
        return input.new_zeros([shape[0], n, *shape[2:]])

    padded = cat((zeros(before), squares, zeros(after)), 1)
    windows = padded.unfold(1, size, 1)
    means = windows.mean(-1) if input._dtype.category >= FLOATING else windows.sum(-1) // size
    return input / (means * alpha + k) ** beta


__all__ = ["normalize"]
