"""Losses of nn.functional that are one formula an element: mse, l1, smooth l1, huber, cross entropies,
margins.

    reduction: "none" keeps the loss of each element, "sum" adds them up, "mean" divides by their number.

A fused loss is one kernel forward (formula and sum) and one backward; a backward that is itself recorded
(create_graph=True) runs the formula of its slope in tensor operators. The rest is composed of other
operators.
"""

from __future__ import annotations

import math
import warnings
from typing import NoReturn

from numtorch.graph import mode, no_grad
from numtorch.kernels.cpu import losses as _kernels
from numtorch.kernels.cpu import reductions as _reductions

from .._allocator import empty
from .._compiled import Compiled
from .._device import cpu
from .._dtype import FLOATING
from .._primitive import primitive
from .._promotion import result_type
from .._registry import FUNCTIONS, op, register
from .._size import broadcast_sizes
from .._tensor import Tensor
from .class_losses import cross_entropy, linear_cross_entropy, multi_margin_loss, multilabel_margin_loss, nll_loss
from .ctc import ctc_loss
from .loss_reduction import reduced, reduction_name, summary
from .norms import pairwise_distance
from .reducing import check_cpu, compute_dtype, elements, finished

_FUNCTIONAL = {"namespace": "nn.functional", "method": False}


# -- losses of one kernel ------------------------------------------------------------------------------------


def _fused(name: str, node: str, kernels, slope, target_slope, value=None):
    """A primitive f(self, target, p, reduction) for tensors of one size and dtype.

    slope(x, t, p) and target_slope(x, t, p) are the derivatives in tensor operators (None: not
    differentiable). value(x, t, p), where given, is the loss itself in tensor operators, for devices without a
    kernel.
    """

    @primitive(name + "_", node=node, save=("self", "target"), public=False)
    def forward(self, target, p, reduction):
        if self._device is not cpu and value is not None:
            with no_grad():
                return reduced(value(self, target, p), reduction)
        check_cpu(self, name)
        x, t = elements(self), elements(target)
        computed = compute_dtype(self._dtype)
        values, total = None, 0.0
        if reduction == "none":
            values = empty(x.size, x.dtype)
            if x.size:
                kernels.each(x, t, p, values)
        elif x.size:
            total = kernels.total(x, t, p)
        return summary(values, total, x.size, reduction, self._size, computed, self._dtype)

    @forward.backward
    def _(ctx, grad):
        x, t, p = ctx.self, ctx.target, ctx.p
        n = x.numel()
        found = {}
        if mode.enabled or grad._device is not cpu:
            g = grad / n if ctx.reduction == "mean" and n else grad
            if ctx.needs("self"):
                found["self"] = g * slope(x, t, p)
        elif ctx.needs("self") or target_slope is negated:
            flat = elements(x)
            out = empty(flat.size, flat.dtype)
            if flat.size:
                scale = 1.0 / n if ctx.reduction == "mean" else 1.0
                kernels.backward(elements(grad), flat, elements(t), p, scale, out)
            found["self"] = finished(out, x._size, compute_dtype(x._dtype), x._dtype)
        if target_slope is not None and ctx.needs("target"):
            if target_slope is negated:
                found["target"] = -found["self"] if "self" in found else -(g * slope(x, t, p))
            else:
                g = grad / n if ctx.reduction == "mean" and n else grad
                found["target"] = g * target_slope(x, t, p)
        return found

    forward.derivative_of(*(("self",) if target_slope is None else ("self", "target")))
    return forward


def negated(x, t, p) -> NoReturn:
    """The slope of a loss of x - t by t: that by x with the other sign."""
    raise AssertionError("a marker")


def _smooth_l1_slope(x, t, beta):
    d = x - t
    return (d / beta).where(d.abs() < beta, d.sign())


def _huber_slope(x, t, delta):
    return (x - t).clamp(-delta, delta)


def _squared(x, t, p):
    return (x - t).square()


def _hinge_slope(x, t, margin):
    return (t != -1).to(x._dtype) - ((t != 1) & (margin - x >= 0)).to(x._dtype)


_mse = _fused("mse_loss", "MseLossBackward0", _kernels.MSE, lambda x, t, p: (x - t) * 2, negated, _squared)
_smooth_l1 = _fused("smooth_l1_loss", "SmoothL1LossBackward0", _kernels.SMOOTH_L1, _smooth_l1_slope, negated)
_huber = _fused("huber_loss", "HuberLossBackward0", _kernels.HUBER, _huber_slope, negated)
_bce = _fused(
    "binary_cross_entropy",
    "BinaryCrossEntropyBackward0",
    _kernels.BCE,
    lambda x, t, p: (x - t) / ((1 - x) * x).clamp_min(1e-12),
    lambda x, t, p: (-x).log1p().clamp_min(-100) - x.log().clamp_min(-100),
)
_bce_with_logits = _fused(
    "binary_cross_entropy_with_logits",
    "BinaryCrossEntropyWithLogitsBackward0",
    _kernels.BCE_WITH_LOGITS,
    lambda x, t, p: x.sigmoid() - t,
    lambda x, t, p: -x,
)
_soft_margin = _fused(
    "soft_margin_loss",
    "SoftMarginLossBackward0",
    _kernels.SOFT_MARGIN,
    lambda x, t, p: -t * (-t * x).sigmoid(),
    None,
)


def _pair(input: Tensor, target: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Both in their common dtype and size."""
    d = result_type(input, target)
    if d is input._dtype is target._dtype and d.category == FLOATING and input._size == target._size:
        return input, target
    if d.category != FLOATING:
        raise NotImplementedError(f"\"{name}\" not implemented for '{d.type_name}'")
    if input._size != target._size:
        size = broadcast_sizes(input._size, target._size)
        input, target = input.expand(size), target.expand(size)
    return input.to(d), target.to(d)


def _like_input(loss: Tensor, input: Tensor) -> Tensor:
    """The loss in the input's dtype, which some losses keep whatever the target's is."""
    d = input._dtype
    if loss._dtype is d:
        return loss
    if d.category != FLOATING:
        raise RuntimeError(
            f"result type {loss._dtype.type_name} can't be cast to the desired output type {d.type_name}"
        )
    return loss.to(d)


def _warn_of_broadcasting(input: Tensor, target: Tensor) -> None:
    if target._size != input._size:
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
            "This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def _check_weight(weight: Tensor, input: Tensor) -> None:
    if weight._size != input._size:
        raise ValueError("Weights and input must have the same size.")


def _weighted(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


@op(**_FUNCTIONAL)
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None) -> Tensor:
    """(x - t)**2."""
    _warn_of_broadcasting(input, target)
    reduction = reduction_name(reduction, size_average, reduce)
    if weight is not None:
        _check_weight(weight, input)
        return _weighted((input - target) ** 2, weight, reduction)
    return _mse(*_pair(input, target, "mse_cpu"), 0.0, reduction)


@op(**_FUNCTIONAL)
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None) -> Tensor:
    """|x - t|."""
    _warn_of_broadcasting(input, target)
    reduction = reduction_name(reduction, size_average, reduce)
    loss = (input - target).abs()
    if weight is not None:
        _check_weight(weight, input)
        return _weighted(loss, weight, reduction)
    return reduced(loss, reduction)


@op(**_FUNCTIONAL)
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0) -> Tensor:
    """(x - t)**2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2."""
    _warn_of_broadcasting(input, target)
    reduction = reduction_name(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return reduced((input - target).abs(), reduction)
    return _smooth_l1(*_pair(input, target, "smooth_l1_cpu"), float(beta), reduction)


@op(**_FUNCTIONAL)
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None) -> Tensor:
    """(x - t)**2 / 2 where |x - t| <= delta, else delta (|x - t| - delta / 2)."""
    _warn_of_broadcasting(input, target)
    reduction = reduction_name(reduction)
    if not delta > 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    pair = _pair(input, target, "huber_cpu")
    if weight is not None:
        _check_weight(weight, input)
        return reduced(_huber(*pair, float(delta), "none") * weight, reduction)
    return _like_input(_huber(*pair, float(delta), reduction), input)


# -- cross entropies of two classes --------------------------------------------------------------------------


def _check_same_size(input: Tensor, target: Tensor) -> None:
    if target._size != input._size:
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. "
            "Please ensure they have the same size."
        )


@op(**_FUNCTIONAL)
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean") -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) for probabilities x; logarithms are kept above -100."""
    reduction = reduction_name(reduction, size_average, reduce)
    _check_same_size(input, target)
    x, t = _pair(input, target, "binary_cross_entropy")
    _check_probabilities(x, "input")
    _check_probabilities(t, "target")
    if weight is None:
        return _bce(x, t, 0.0, reduction)
    size = broadcast_sizes(target._size, weight._size)
    return reduced(_bce(x, t, 0.0, "none") * weight.expand(size), reduction)


_first_outside = Compiled(_reductions.first_outside, "xvv")
# Elements up to which one loop that stops at the first bad one beats two reductions.
_FEW = 4096


def _check_probabilities(t: Tensor, what: str) -> None:
    flat, d = t._flat, t._dtype
    if flat is not None and flat.size <= _FEW and d.np is d.compute and t._device is cpu:
        fine = _first_outside[flat.dtype](flat, 0.0, 1.0) < 0
    else:
        with no_grad():
            # (nan is neither below nor above, and comes out of both.)
            fine = not t.numel() or t.min().item() >= 0 and t.max().item() <= 1
    if not fine:
        raise RuntimeError(f"all elements of {what} should be between 0 and 1")


@op(**_FUNCTIONAL)
def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
) -> Tensor:
    """binary_cross_entropy(sigmoid(x), t) without overflow; pos_weight multiplies the loss of positives."""
    reduction = reduction_name(reduction, size_average, reduce)
    if target._size != input._size:
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    x, t = _pair(input, target, "binary_cross_entropy_with_logits")
    if pos_weight is None and weight is None:
        return _bce_with_logits(x, t, 0.0, reduction)
    for name, factor in (("weight", weight), ("pos_weight", pos_weight)):
        if factor is not None and factor._requires_grad and mode.enabled:
            raise RuntimeError(
                "The function 'binary_cross_entropy_with_logits' is not differentiable with respect to argument "
                f"'{name}'. This input cannot have requires_grad True."
            )
    return _weighted_bce_with_logits(x, t, weight, pos_weight, reduction)


@primitive(
    "weighted_bce_with_logits",
    node="BinaryCrossEntropyWithLogitsBackward0",
    save=("self", "target", "weight", "pos_weight"),
    public=False,
)
def _weighted_bce_with_logits(self, target, weight, pos_weight, reduction):
    x, t = self.detach(), target.detach()
    if pos_weight is None:
        loss = _bce_with_logits(x, t, 0.0, "none")
    else:
        loss = (1 - t) * x - ((pos_weight - 1) * t + 1) * FUNCTIONS["nn.functional"]["logsigmoid"](x)
    return reduced(loss if weight is None else loss * weight, reduction)


def _bce_scale(ctx, grad: Tensor) -> Tensor:
    """The gradient of the loss of each element."""
    if ctx.weight is not None:
        grad = grad * ctx.weight
    return grad / ctx.self.numel() if ctx.reduction == "mean" else grad


def _bce_input_rule(ctx, grad):
    x, t = ctx.self, ctx.target
    if ctx.pos_weight is None:
        slope = x.sigmoid() - t
    else:
        positive = ctx.pos_weight * t
        slope = (positive + 1 - t) * x.sigmoid() - positive
    return (_bce_scale(ctx, grad) * slope).sum_to_size(x._size)


def _bce_target_rule(ctx, grad):
    slope = -ctx.self
    if ctx.pos_weight is not None:
        slope = slope - (ctx.pos_weight - 1) * FUNCTIONS["nn.functional"]["logsigmoid"](ctx.self)
    return (_bce_scale(ctx, grad) * slope).sum_to_size(ctx.target._size)


_weighted_bce_with_logits.derivative(self=_bce_input_rule, target=_bce_target_rule)


@op("binary_cross_entropy_with_logits", method=False)
def _bce_with_logits_by_number(input, target, weight=None, pos_weight=None, reduction: int = 1) -> Tensor:
    """`nn.functional.binary_cross_entropy_with_logits` with the reduction as a number (0 none, 1 mean, 2 sum)."""
    reduction = reduction_name(reduction)
    return binary_cross_entropy_with_logits(input, target, weight, reduction=reduction, pos_weight=pos_weight)


@op(**_FUNCTIONAL)
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean") -> Tensor:
    """log(1 + exp(-t x)), t = 1 or -1."""
    if input._size != target._size and (size := broadcast_sizes(input._size, target._size)) != input._size:
        raise RuntimeError(f"output with shape {list(input._size)} doesn't match the broadcast shape {list(size)}")
    pair = _pair(input, target, "soft_margin_loss")
    return _like_input(_soft_margin(*pair, 0.0, reduction_name(reduction, size_average, reduce)), input)


# -- divergences and likelihoods -----------------------------------------------------------------------------


@op(**_FUNCTIONAL)
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False) -> Tensor:
    """t (log t - x) for x in logarithms; "batchmean" divides the sum by the size of the first dim."""
    legacy = size_average is not None or reduce is not None
    if reduction == "mean" and not legacy:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support "
            "size.'batchmean' divides "
            "only by the batch size, and aligns with the KL div math definition.'mean' will be changed to "
            "behave the "
            "same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    per_batch = reduction == "batchmean" and not legacy
    kind = "sum" if per_batch else reduction_name(reduction, size_average, reduce)
    loss = _kl_div(input, target, kind, log_target)
    return loss / input.size()[0] if per_batch and input.dim() != 0 else loss


def _kl_div(input, target, reduction: str, log_target: bool) -> Tensor:
    if log_target:
        return reduced(target.exp() * (target - input), reduction)
    return reduced(FUNCTIONS[""]["xlogy"](target, target) - target * input, reduction)


@op("kl_div", method=False)
def _kl_div_by_number(input, target, reduction: int = 1, *, log_target: bool = False) -> Tensor:
    """`nn.functional.kl_div` with the reduction as a number (0 none, 1 mean, 2 sum)."""
    return _kl_div(input, target, reduction_name(reduction), log_target)


@op(**_FUNCTIONAL)
def poisson_nll_loss(
    input,
    target,
    log_input=True,
    full=False,
    size_average=None,
    eps=1e-8,
    reduce=None,
    reduction="mean",
) -> Tensor:
    """exp(x) - t x (log_input) or x - t log(x + eps); full adds Stirling's term for t > 1."""
    reduction = reduction_name(reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, reduction)


def _mismatched(a, b) -> int:
    """The sizes of b, added up, where they differ from those of a: 1 if one dim is there to be broadcast."""
    return sum(y for x, y in zip(a, b, strict=True) if x != y)


@op(**_FUNCTIONAL)
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean") -> Tensor:
    """(log var + (x - t)**2 / var) / 2 with var kept above eps; full adds log(2 pi) / 2."""
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = input.detach().new_full(input.size(), var)
    elif (var < 0).any().item():
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif input.ndim != var.ndim or _mismatched(input.size(), var.size()) != 1:
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


# -- embeddings and rankings ---------------------------------------------------------------------------------


@op(**_FUNCTIONAL)
def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean") -> Tensor:
    """x where t = 1, max(0, margin - x) where t = -1."""
    reduction = reduction_name(reduction, size_average, reduce)
    d = input._dtype
    if (
        reduction != "none"
        and input._size == target._size
        and d.category == FLOATING
        and input._device is target._device is cpu
    ):
        return _hinges[reduction](input, target.to(d), float(margin), reduction)
    return reduced(_hinge_in_tensors(input, target, margin), reduction)


def _hinge_in_tensors(input, target, margin):
    zero = input.new_zeros(())
    apart = (margin - input).clamp_min(0).where(target != 1, zero)
    return apart + input.where(target != -1, zero)


# Named as the last of torch's steps.
_hinges = {
    reduction: _fused(
        f"hinge_embedding_{reduction}", node, _kernels.HINGE_OF_PAIR, _hinge_slope, None, _hinge_in_tensors
    )
    for reduction, node in (("mean", "MeanBackward0"), ("sum", "SumBackward0"))
}


@op(**_FUNCTIONAL)
def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean") -> Tensor:
    """max(0, -t (x1 - x2) + margin)."""
    reduction = reduction_name(reduction, size_average, reduce)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@op(**_FUNCTIONAL)
def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean") -> Tensor:
    """1 - cos(x1, x2) where t = 1, max(0, cos(x1, x2) - margin) where t = -1."""
    reduction = reduction_name(reduction, size_average, reduce)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() == 1 and (input1.dim() != 2 or input2.dim() != 2):
        raise RuntimeError(
            "1D target tensor expects 2D input tensors, but found inputs with sizes "
            f"{list(input1.size())} and {list(input2.size())}."
        )
    if target.dim() == 0 and (input1.dim() != 1 or input2.dim() != 1):
        raise RuntimeError(
            "0D target tensor expects 1D input tensors, but found inputs with sizes "
            f"{list(input1.size())} and {list(input2.size())}."
        )
    # torch adds 1e-12 to both squared lengths instead of keeping the lengths above eps
    dim = target.dim()
    dot = (input1 * input2).sum(dim)
    cosine = dot / (((input1 * input1).sum(dim) + 1e-12) * ((input2 * input2).sum(dim) + 1e-12)).sqrt()
    zero = cosine.new_zeros(())
    loss = (1 - cosine).where(target == 1, zero) + (cosine - margin).clamp_min(0).where(target == -1, zero)
    return reduced(loss, reduction)


def _triplet(anchor, positive, negative, distance, margin, swap, reduction) -> Tensor:
    to_positive, to_negative = distance(anchor, positive), distance(anchor, negative)
    if swap:
        to_negative = to_negative.minimum(distance(positive, negative))
    return reduced((margin + to_positive - to_negative).clamp_min(0), reduction)


@op(**_FUNCTIONAL)
def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
) -> Tensor:
    """max(0, |a - p| - |a - n| + margin); swap takes |p - n| for |a - n| where it is less."""
    reduction = reduction_name(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            "dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )

    def distance(a, b):
        return pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


@op(**_FUNCTIONAL)
def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) for a distance of one's own."""
    reduction = reduction_name(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            "dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


@op(**_FUNCTIONAL)
def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean") -> Tensor:
    """Mean over classes of -(t log sigmoid(x) + (1 - t) log sigmoid(-x))."""
    reduction = reduction_name(reduction, size_average, reduce)
    logsigmoid = FUNCTIONS["nn.functional"]["logsigmoid"]
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input.size(-1), reduction)


def _by_number(name: str, functional, *parameters: str) -> None:
    """torch.<name>: the functional form with the reduction as a number (0 none, 1 mean, 2 sum)."""

    def call(*args, reduction=1, **kwargs) -> Tensor:
        kwargs.update(zip(parameters, args, strict=False))
        kwargs["reduction"] = reduction_name(kwargs.get("reduction", reduction))
        return functional(**kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = functional.__doc__
    register(name, call, method=False)


_by_number("hinge_embedding_loss", hinge_embedding_loss, "input", "target", "margin", "reduction")
_by_number("margin_ranking_loss", margin_ranking_loss, "input1", "input2", "target", "margin", "reduction")
_by_number("cosine_embedding_loss", cosine_embedding_loss, "input1", "input2", "target", "margin", "reduction")
_by_number(
    "triplet_margin_loss",
    triplet_margin_loss,
    *("anchor", "positive", "negative", "margin", "p", "eps", "swap", "reduction"),
)
_by_number(
    "poisson_nll_loss",
    poisson_nll_loss,
    *("input", "target", "log_input", "full", "eps", "reduction"),
)

# The losses of nn.functional that live in modules of their own.
__all__ = [
    "cross_entropy",
    "ctc_loss",
    "linear_cross_entropy",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "nll_loss",
]
