"""Losses whose targets are class indices: nll, cross entropy, multi-margin and multi-label margin.

    nll: -w[t] x[t] for log-probabilities x (N, C, ...) and targets t (N, ...); "mean" divides by the sum of
    w[t].

Every target is checked before anything is read.
"""

from __future__ import annotations

import math

import numpy as np

from numtorch.graph import Node, mode, no_grad, unpack
from numtorch.kernels.cpu import losses as _kernels
from numtorch.kernels.cpu.spread import PARALLEL_SIZE

from .. import _dtype
from .._allocator import empty
from .._compiled import Compiled
from .._device import cpu
from .._dtype import FLOATING, float32, float64, int64
from .._primitive import connect, primitive
from .._registry import op
from .._size import EMPTY, Size
from .._tensor import Tensor, _new, wrap
from .loss_reduction import reduced, reduction_name, summary
from .reducing import check_cpu, compute_dtype, elements, finished
from .softmax import log_softmax_along

_FUNCTIONAL = {"namespace": "nn.functional", "method": False}


def _geometry(t: Tensor) -> tuple[int, int, int]:
    """(N, C, L) of scores: (C,), (N, C) or (N, C, d1, ...)."""
    size = t._size
    if len(size) == 2:
        return size[0], size[1], 1
    if len(size) == 1:
        return 1, size[0], 1
    return size[0], size[1], math.prod(size[2:])


def _targets(target: Tensor) -> np.ndarray:
    flat = elements(target)
    return flat if flat.dtype == np.int64 else flat.astype(np.int64)


_NONE = {d: np.empty(0, d.compute) for d in (_dtype.float16, _dtype.bfloat16, float32, float64)}


def _weights(weight: Tensor | None, d: np.dtype) -> np.ndarray:
    return np.empty(0, d) if weight is None else elements(weight)


# -- negative log-likelihood ---------------------------------------------------------------------------------


def _nll_of_parts(x, target, weight, reduction, ignore_index):
    """(loss, sum of the weights as a number) out of other operators, where there is no kernel for it."""
    n, c, length = _geometry(x)
    with no_grad():
        place = target.to(int64)
        counted = place != ignore_index
        bad = counted & ((place < 0) | (place >= c))
        if bad.any().item():
            raise IndexError(f"Target {target.cpu()[bad.cpu()][0].item()} is out of bounds.")
        place = place.masked_fill(counted.logical_not(), 0)
        weights = counted.to(x._dtype)
        if weight is not None:
            weights = weights * weight.index_select(0, place.reshape(-1)).reshape(place._size)
        each = x.reshape(n, c, length).gather(1, place.reshape(n, 1, length)).reshape(target._size) * -weights
        total = weights.sum()
        if reduction == "none":
            loss = each
        else:
            loss = each.sum() / total if reduction == "mean" else each.sum()
        return loss, total.item()


_first_out_of_range = Compiled(_kernels.first_out_of_range, "xnn")
_nll_losses = Compiled(_kernels.nll_forward, "xinnnxnnx")
_nll_gradients = Compiled(_kernels.nll_backward, "xinnnxndx")
_CODES = {"none": _kernels.EACH, "mean": _kernels.MEAN, "sum": _kernels.SUM}


def _nll_found(self, target, weight, reduction, ignore_index):
    """(loss, sum of the weights as a number) on the CPU."""
    n, c, length = _geometry(self)
    x, t = self._flat, target._flat
    if x is None or self._dtype.np is not self._dtype.compute:
        x = elements(self)
    if t is None or target._dtype is not int64:
        t = _targets(target)
    d = x.dtype
    size, count = (target._size, n * length) if reduction == "none" else (EMPTY, 1)
    out = np.empty(count, d)
    weight = _NONE[self._dtype] if weight is None else elements(weight)
    bad, weights = _nll_losses[d](x, t, n, c, length, weight, ignore_index, _CODES[reduction], out)
    if bad >= 0:
        raise IndexError(f"Target {t[bad]} is out of bounds.")
    return finished(out, size, compute_dtype(self._dtype), self._dtype), weights


class NllLossBackward(Node):
    """-w[target] grad at the targets, over the sum of the weights for a mean."""

    shape: Size
    dtype: _dtype.dtype
    reduction: str
    ignore_index: int
    weights: float

    def apply(self, grads) -> tuple:
        (grad,) = grads
        if grad is None:
            return (None,)
        target, weight = unpack(self)
        shape, d, ignore, weights, scale = self.shape, self.dtype, self.ignore_index, self.weights, 1.0
        n, c, length = (1, shape[0], 1) if len(shape) == 1 else (*shape[:2], math.prod(shape[2:]))
        if self.reduction == "mean":
            scale = 1.0 / weights if weights else math.nan
        if mode.enabled or grad._device is not cpu:
            counted = target != ignore
            place = target.to(int64).masked_fill(target == ignore, 0)
            each = counted.to(d) * -scale
            if weight is not None:
                each = each * weight.detach().index_select(0, place.reshape(-1)).reshape(place.shape)
            lines = (n, 1, length)
            zeros = grad.new_zeros((n, c, length))
            filled = zeros.scatter(1, place.reshape(lines), (grad * each).reshape(lines))
            return (filled.reshape(shape),)
        g = elements(grad)
        out = np.zeros(n * c * length, g.dtype)
        if out.size:
            weight = _weights(weight, g.dtype)
            _nll_gradients[g.dtype](g, _targets(target), n, c, length, weight, ignore, scale, out)
        return (finished(out, shape, compute_dtype(d), d),)


class NllLoss2DBackward(NllLossBackward):
    """The same for scores with dimensions behind the classes, under torch's name."""


NllLossBackward.__name__ = NllLossBackward.__qualname__ = "NllLossBackward0"
NllLoss2DBackward.__name__ = NllLoss2DBackward.__qualname__ = "NllLoss2DBackward0"


def _check_nll(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    size = input._size
    usual = len(size) == 2 and target._size == (size[0],) and target._dtype is int64
    if weight is not None:
        usual = usual and weight._size == size[1:] and weight._dtype is input._dtype
    if usual and input._dtype.category == FLOATING:
        return
    if input.ndim == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {input.ndim})")
    if input.ndim != 1 and target.ndim != 0 and input._size[0] != target._size[0]:
        raise ValueError(
            f"Expected input batch_size ({input._size[0]}) to match target batch_size ({target._size[0]})."
        )
    if input.ndim >= 2 and target.ndim == 0:
        raise ValueError(f"Expected input batch_size ({input._size[0]}) to match target batch_size (0).")
    if input.ndim == 1 and target.ndim == 1 and target._size[0] != 1:
        raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {target._size[0]}")
    if input.ndim == 1 and target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input.ndim == 2 and target.ndim != 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input.ndim >= 3 and tuple(target._size) != (input._size[0], *input._size[2:]):
        raise RuntimeError(f"Expected target size {[input._size[0], *input._size[2:]]}, got {list(target._size)}")
    if target._dtype not in (int64, _dtype.uint8):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {target._dtype.type_name}")
    if input._dtype.category != FLOATING:
        raise NotImplementedError(f"\"nll_loss_out_frame\" not implemented for '{input._dtype.type_name}'")
    classes = input._size[0] if input.ndim == 1 else input._size[1]
    if weight is not None:
        if weight.ndim != 1 or weight.numel() != classes:
            raise RuntimeError(
                f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor "
                f"of shape: {list(weight._size)}"
            )
        if weight._dtype is not input._dtype:
            raise RuntimeError(f"expected scalar type {input._dtype.type_name} but found {weight._dtype.type_name}")


@op(**_FUNCTIONAL)
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean") -> Tensor:
    """-w[t] x[t] for log-probabilities input (C,), (N, C) or (N, C, d1, ...); IndexError for a t out of range."""
    reduction = reduction_name(reduction, size_average, reduce)
    _check_nll(input, target, weight)
    forward = _nll_found if input._device is cpu else _nll_of_parts
    loss, weights = forward(input, target, weight, reduction, ignore_index)
    if input._requires_grad and mode.enabled:
        node = _new(NllLossBackward if len(input._size) < 3 else NllLoss2DBackward)
        node.shape, node.dtype, node.reduction = input._size, input._dtype, reduction
        node.ignore_index, node.weights = ignore_index, weights
        connect(node, loss, (input,), (target, weight))
    return loss


# -- cross entropy -------------------------------------------------------------------------------------------


_cross_entropy_of_small = Compiled(_kernels.cross_entropy_serial, "xinnxnxxx")


def _cross_entropy_found(self, target, weight, reduction, ignore_index) -> tuple[Tensor, np.ndarray]:
    """(loss, what the backward needs) of scores (C,) or (N, C): one sweep, and no array of log-probabilities.

    Kept are the sum of the weights, the greatest score of each row, and the log of each row's sum.
    """
    n, c, _ = _geometry(self)
    x, t = elements(self), _targets(target)
    d = x.dtype
    each, kept = np.empty(n, d), np.empty(2 * n + 1, d)
    rest = (_weights(weight, d), ignore_index, kept[1 : n + 1], kept[n + 1 :], each)
    if x.size < PARALLEL_SIZE:
        bad, total, weights = _cross_entropy_of_small[d](x, t, n, c, *rest)
    else:
        bad, total, weights = _kernels.cross_entropy_forward(x, t, n, c, *rest)
    if bad >= 0:
        raise IndexError(f"Target {t[bad]} is out of bounds.")
    computed = compute_dtype(self._dtype)
    if reduction == "mean":
        total = total / weights if weights else math.nan
    loss = summary(each, total, 1, reduction, target._size, computed, self._dtype)
    kept[0] = weights
    return loss, kept


@primitive("cross_entropy_", node="NllLossBackward0", save=("self", "target", "weight"), keeps=("kept",), public=False)
def _cross_entropy(self, target, weight, reduction, ignore_index):
    return _cross_entropy_found(self, target, weight, reduction, ignore_index)


@_cross_entropy.backward
def _(ctx, grad):
    t, target, weight, ignore = ctx.self, ctx.target, ctx.weight, ctx.ignore_index
    n, c, _ = _geometry(t)
    kept, scale = ctx.kept, 1.0
    if ctx.reduction == "mean":
        scale = 1.0 / float(kept[0]) if kept[0] else math.nan
    if mode.enabled:
        counted = (target != ignore).reshape(n, 1)
        place = target.to(int64).reshape(n, 1).masked_fill(counted.logical_not(), 0)
        share = counted.to(t._dtype) * scale
        if weight is not None:
            share = share * weight.detach().index_select(0, place.reshape(-1)).reshape(n, 1)
        share = share * (grad.reshape(n, 1) if grad.ndim and grad.numel() == n else grad.reshape(1, 1))
        p = log_softmax_along(t.reshape(n, c), 1).exp()
        return {"self": (p * share).scatter_add(1, place, -share).reshape(t._size)}
    x = elements(t)
    out = empty(x.size, x.dtype)
    rest = (_weights(weight, x.dtype), ignore, kept[1 : n + 1], kept[n + 1 :], scale, out)
    _kernels.cross_entropy_backward(elements(grad), x, _targets(target), n, c, *rest)
    return {"self": finished(out, t._size, compute_dtype(t._dtype), t._dtype)}


_cross_entropy.derivative_of("self")


@op(**_FUNCTIONAL)
def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
) -> Tensor:
    """nll_loss of log_softmax(input); targets are class indices, or probabilities of input's shape.

    label_smoothing mixes the target with the uniform distribution in that proportion.
    """
    reduction = reduction_name(reduction, size_average, reduce)
    if not input._size:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if (
        label_smoothing == 0
        and len(input._size) <= 2
        and input._device is cpu
        and target._dtype is int64
        and input._dtype.category == FLOATING
        and input._size.numel()
    ):
        _check_nll(input, target, weight)
        loss, kept = _cross_entropy_found(input, target, weight, reduction, ignore_index)
        if input._requires_grad and mode.enabled:
            values, saved = [None, None, None, reduction, ignore_index, kept], (input, target, weight)
            _cross_entropy.primitive.record_directly(values, (input,), saved, loss)
        return loss
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 0 if input.ndim == 1 else 1
    if target._size == input._size and target._dtype.category >= FLOATING:
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return _with_probabilities(input, target, weight, reduction, label_smoothing, dim)
    if target._size == input._size and input.ndim > 1 and target._dtype is int64 and target.ndim == input.ndim:
        _check_nll(input, target, weight)
    logp = log_softmax_along(input, dim)
    if label_smoothing > 0 and len(input._size) <= 2 and input._device is cpu and input._dtype in (float32, float64):
        _check_nll(logp, target, weight)
        return _smoothed_of_rows(logp, target, weight, reduction, ignore_index, label_smoothing)[0]
    loss = nll_loss(logp, target, weight, ignore_index=ignore_index, reduction=reduction)
    if label_smoothing == 0:
        return loss
    return _smoothed(loss, logp, target, weight, ignore_index, reduction, label_smoothing, dim)


_smoothed_losses = Compiled(_kernels.smoothed_forward, "xinnxndx")
_smoothed_slopes = Compiled(_kernels.smoothed_slope, "innxnddx")


@primitive("smoothed_", node="AddBackward0", save=("result1",), nondifferentiable=(1,), public=False)
def _smoothed_of_rows(self, target, weight, reduction, ignore_index, label_smoothing):
    """(loss, its derivative if that is wanted) for log-probabilities (C,) or (N, C), of which the loss is linear.

    A row's derivative is -w / C * s everywhere and -w[t] (1 - s) more at its target; 0 where the target is ignored.
    """
    n, c, _ = _geometry(self)
    x, t = elements(self), _targets(target)
    weights = x[:0] if weight is None else elements(weight)
    each = np.empty(n, x.dtype)
    bad, total, among = _smoothed_losses[x.dtype](x, t, n, c, weights, ignore_index, label_smoothing, each)
    if bad >= 0:
        raise IndexError(f"Target {t[bad]} is out of bounds.")
    if reduction != "mean":
        among = 1.0
    loss = summary(each, total / among if among else math.nan, 1, reduction, target._size, self._dtype, self._dtype)
    if not (mode.enabled and self._requires_grad):
        return loss, None
    slope = empty(n * c, x.dtype)
    scale = 1 / among if among else 0.0
    _smoothed_slopes[x.dtype](t, n, c, weights, ignore_index, label_smoothing, scale, slope)
    return loss, wrap(slope, self._size, self._dtype)


_smoothed_of_rows.derivative(
    self=lambda ctx, grad: (grad.unsqueeze(-1) if grad.ndim else grad) * ctx.result1,
)


def _smoothed(loss, logp, target, weight, ignore_index, reduction, label_smoothing, dim) -> Tensor:
    """(1 - s) loss + s / C * sum over classes of -w log p, ignored places left out."""
    ignored = target == ignore_index
    classes = logp.size(dim)
    if weight is None:
        uniform = -logp.sum(dim)
    else:
        uniform = -(logp * weight.reshape((1,) * dim + (-1,) + (1,) * (logp.ndim - dim - 1))).sum(dim)
    uniform = uniform.masked_fill(ignored, 0)
    if reduction == "mean":
        if weight is None:
            uniform = uniform.sum() / ignored.logical_not().sum()
        else:
            place = target.masked_fill(ignored, 0)
            uniform = uniform.sum() / weight[place].masked_fill(ignored, 0).sum()
    else:
        uniform = reduced(uniform, reduction)
    return (1 - label_smoothing) * loss + uniform * (label_smoothing / classes)


def _with_probabilities(input, target, weight, reduction, label_smoothing, dim) -> Tensor:
    classes = input.size(dim)
    logp = log_softmax_along(input, dim)
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = logp * target
    if weight is not None:
        if weight.ndim != 1 or weight.numel() != classes:
            raise RuntimeError(
                "cross_entropy: weight tensor should be defined either for all "
                f"{classes} classes or no classes but got weight tensor of shape: {list(weight._size)}"
            )
        terms = terms * weight.reshape((1,) * dim + (-1,) + (1,) * (logp.ndim - dim - 1))
    if reduction == "none":
        return -terms.sum(dim)
    total = -terms.sum()
    return total / (input.numel() / classes) if reduction == "mean" and classes else total


@op(**_FUNCTIONAL)
def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
) -> Tensor:
    """cross_entropy of linear(input, linear_weight); linear_weight: (C, in) or (C, d1, ..., in).

    `options`, with which torch computes the same in chunks to save memory, changes nothing here.
    """
    classes, *extra, features = linear_weight._size
    logits = input.matmul(linear_weight.reshape(-1, features).t())
    if extra:
        logits = logits.reshape(*input._size[:-1], classes, *extra)
    if linear_bias is not None:
        logits = logits + linear_bias
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


# -- margins -------------------------------------------------------------------------------------------------


def _margin_shapes(input: Tensor, name: str) -> tuple[int, int]:
    """(N, C) of scores (C,), (N, C) or ()."""
    check_cpu(input, name)
    if input._dtype.category != FLOATING:
        raise NotImplementedError(f"\"{name}\" not implemented for '{input._dtype.type_name}'")
    if input.ndim > 2 or (input.ndim == 2 and input._size[1] == 0) or (input.ndim < 2 and input.numel() == 0):
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input._size)}"
        )
    return (input._size[0], input._size[1]) if input.ndim == 2 else (1, input.numel())


def _margin_scale(ctx, n: int) -> float:
    return 1.0 / n if ctx.reduction == "mean" and n else 1.0


_multi_margins = Compiled(_kernels.multi_margin_forward, "xinnndxnx")


@primitive(
    "multi_margin_loss_",
    node="MultiMarginLossBackward0",
    save=("self", "target", "weight"),
    public=False,
)
def _multi_margin(self, target, p, margin, weight, reduction):
    size = self._size
    n, c = size if len(size) == 2 else (1, size.numel())
    x, t = elements(self), _targets(target)
    size, count = (Size((n,)) if len(size) == 2 else target._size, n) if reduction == "none" else (EMPTY, 1)
    out = np.empty(count, x.dtype)
    weight = _NONE[self._dtype] if weight is None else elements(weight)
    bad = _multi_margins[x.dtype](x, t, n, c, p, float(margin), weight, _CODES[reduction], out)
    if bad >= 0:
        raise IndexError("target out of range")
    return finished(out, size, compute_dtype(self._dtype), self._dtype)


@_multi_margin.backward
def _(ctx, grad):
    t = ctx.self
    n, c = _margin_shapes(t, "multi_margin_loss")
    if mode.enabled:
        return {"self": _multi_margin_in_tensors(ctx, grad, t, n, c)}
    x = elements(t)
    out = empty(x.size, x.dtype)
    if n:
        scale = _margin_scale(ctx, n)
        weight = _weights(ctx.weight, x.dtype)
        target = _targets(ctx.target)
        _kernels.multi_margin_backward(elements(grad), x, target, n, c, ctx.p, float(ctx.margin), weight, scale, out)
    return {"self": finished(out, t._size, compute_dtype(t._dtype), t._dtype)}


def _multi_margin_in_tensors(ctx, grad, t, n: int, c: int):
    x, place = t.reshape(n, c), ctx.target.reshape(n, 1)
    z = ctx.margin - x.gather(1, place) + x
    active = (z > 0).scatter(1, place, False)
    slope = active.to(t._dtype) if ctx.p == 1 else (z * 2).masked_fill(active.logical_not(), 0)
    if ctx.weight is not None:
        slope = slope * ctx.weight[place]
    slope = slope.scatter_add(1, place, -slope.sum(1, True))
    g = grad.reshape(-1, 1) if grad.ndim else grad
    return (slope * g * (_margin_scale(ctx, n) / c)).reshape(t._size)


_multi_margin.derivative_of("self")


@op(**_FUNCTIONAL)
def multi_margin_loss(
    input,
    target,
    p=1,
    margin=1.0,
    weight=None,
    size_average=None,
    reduce=None,
    reduction="mean",
) -> Tensor:
    """sum over j != t of w[t] max(0, margin - x[t] + x[j])**p / C, p = 1 or 2."""
    reduction = reduction_name(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError(f"weight must be one-dimensional, got {weight.dim()} dimensions")
    n, c = _margin_shapes(input, "multi_margin_loss")
    if target.ndim > 1 or target.numel() != n:
        raise RuntimeError(f"inconsistent target size, expected {n} but got {list(target._size)}")
    if weight is not None and weight.numel() != c:
        raise RuntimeError(f"inconsistent weight size, expected {c} but got {list(weight._size)}")
    if target._dtype is not int64:
        raise RuntimeError(f"expected scalar type Long but found {target._dtype.type_name}")
    loss = _multi_margin.__wrapped__(input, target, int(p), margin, weight, reduction)
    if input._requires_grad and mode.enabled:
        values, saved = [None, None, int(p), margin, None, reduction], (input, target, weight)
        _multi_margin.primitive.record_directly(values, (input,), saved, loss)
    return loss


@primitive(
    "multilabel_margin_loss_",
    node="MultilabelMarginLossBackward0",
    save=("self", "target", "result1"),
    nondifferentiable=(1,),
    public=False,
)
def _multilabel_margin(self, target, reduction):
    n, c = _margin_shapes(self, "multilabel_margin_loss")
    x, t = elements(self), _targets(target)
    bad = _kernels.first_out_of_range(t, c, -1)
    if bad >= 0:
        raise RuntimeError("target is out of range" if t[bad] >= c else "target must be at least -1")
    each, is_target = np.empty(n, x.dtype), np.empty(n * c, x.dtype)
    if n:
        _kernels.multilabel_margin_forward(x, t, n, c, is_target, each)
    size = Size((n,)) if self.ndim == 2 else Size(())
    total = float(each.sum(dtype=np.float64))
    computed = compute_dtype(self._dtype)
    loss = summary(each, total, n, reduction, size, computed, self._dtype)
    return loss, wrap(is_target, target._size, computed)


@_multilabel_margin.backward
def _(ctx, grad):
    t = ctx.self
    n, c = _margin_shapes(t, "multilabel_margin_loss")
    x, scale = elements(t), _margin_scale(ctx, n)
    out = empty(x.size, x.dtype)
    # The loss is piecewise linear: the kernel's slopes are constants also when the backward is recorded.
    g = np.ones(1, x.dtype) if mode.enabled else elements(grad)
    if n:
        _kernels.multilabel_margin_backward(g, x, _targets(ctx.target), n, c, elements(ctx.result1), scale, out)
    slopes = finished(out, t._size, compute_dtype(t._dtype), t._dtype)
    if not mode.enabled:
        return {"self": slopes}
    return {"self": slopes * (grad.reshape(-1, 1) if grad.ndim and t.ndim == 2 else grad)}


_multilabel_margin.derivative_of("self")


@op(**_FUNCTIONAL)
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean") -> Tensor:
    """sum over labels t and classes j that are no label of max(0, 1 - (x[t] - x[j])) / C.

    The labels of a row are the entries of target before its first -1.
    """
    reduction = reduction_name(reduction, size_average, reduce)
    _margin_shapes(input, "multilabel_margin_loss")
    if tuple(target._size) != tuple(input._size):
        raise RuntimeError(f"inconsistent target size: {list(target._size)} for input of size: {list(input._size)}")
    return _multilabel_margin(input, target, reduction)[0]
