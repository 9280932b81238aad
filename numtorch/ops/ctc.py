"""ctc_loss: the negative log-likelihood of label sequences under all their alignments."""

from __future__ import annotations

import numpy as np

from numtorch.kernels.cpu import ctc as _kernels

from .. import _dtype
from .._primitive import primitive
from .._registry import op
from .._tensor import Tensor, wrap
from .loss_reduction import reduction_name
from .reducing import check_cpu, elements


def _lengths(lengths, batch: int, name: str) -> np.ndarray:
    if isinstance(lengths, Tensor):
        values = elements(lengths).astype(np.int64)
    else:
        values = np.array(list(lengths), np.int64).reshape(-1)
    if values.size != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    return values


def _starts(targets: Tensor, target_lengths: np.ndarray) -> np.ndarray:
    """Where the labels of each sample begin in the flat targets: (sum of lengths,) or (batch, longest)."""
    if targets.ndim == 1:
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(target_lengths)[:-1]])
    return np.arange(targets._size[0], dtype=np.int64) * targets._size[1]


@primitive(
    "_ctc_loss_",
    node="CtcLossBackward0",
    save=("log_probs", "targets", "result0", "result1"),
    nondifferentiable=(1,),
    public=False,
)
def _ctc(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    steps, batch, classes = log_probs._size
    x, labels = elements(log_probs), elements(targets).astype(np.int64, copy=False)
    states = 2 * int(target_lengths.max()) + 1 if batch else 1
    alpha, loss = np.empty(batch * steps * states), np.empty(batch, x.dtype)
    starts = _starts(targets, target_lengths)
    if batch:
        _kernels.ctc_forward(
            x.size,
            batch,
            x,
            batch,
            classes,
            labels,
            starts,
            input_lengths,
            target_lengths,
            blank,
            states,
            alpha,
            loss,
        )
    d = log_probs._dtype
    return wrap(loss, (batch,), d), wrap(alpha, (batch, steps, states), _dtype.float64)


@_ctc.backward
def _(ctx, grad):
    steps, batch, classes = ctx.log_probs._size
    x, labels = elements(ctx.log_probs), elements(ctx.targets).astype(np.int64, copy=False)
    lengths = ctx.target_lengths
    out = np.empty(x.size, x.dtype)
    alpha = elements(ctx.result1)
    if batch:
        _kernels.ctc_backward(
            x.size,
            batch,
            elements(grad),
            x,
            batch,
            classes,
            labels,
            _starts(ctx.targets, lengths),
            ctx.input_lengths,
            lengths,
            ctx.blank,
            ctx.result1._size[2],
            alpha,
            elements(ctx.result0),
            ctx.zero_infinity,
            out,
        )
    return {"log_probs": wrap(out, ctx.log_probs._size, ctx.log_probs._dtype)}


_ctc.derivative_of("log_probs")


def _check(log_probs, targets, input_lengths, target_lengths, blank: int) -> None:
    steps, _, classes = log_probs._size
    if log_probs._dtype not in (_dtype.float32, _dtype.float64):
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{log_probs._dtype.type_name}'")
    if targets._dtype not in (_dtype.int64, _dtype.int32):
        raise RuntimeError("targets must be int32 or int64")
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    longest = int(target_lengths.max()) if target_lengths.size else 0
    if (target_lengths < 0).any():
        raise RuntimeError("Expected target_lengths to have value at least 0")
    if (input_lengths < 0).any() or (input_lengths > steps).any():
        worst = int(input_lengths.max())
        raise RuntimeError(f"Expected input_lengths to have value at most {steps}, but got value {worst}")
    if targets.ndim == 1 and targets.numel() != int(target_lengths.sum()):
        raise RuntimeError(
            f"Expected tensor to have size {int(target_lengths.sum())} at dimension 0, but got size {targets.numel()} "
            "for argument #2 'targets' (while checking arguments for ctc_loss_cpu)"
        )
    if targets.ndim == 2 and (targets._size[1] < longest or targets._size[0] != target_lengths.size):
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size {targets._size[1]} for "
            "argument #2 'targets' (while checking arguments for ctc_loss_cpu)"
        )
    labels = elements(targets)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise RuntimeError("Expected targets to be in the range of the classes of log_probs")


@op(namespace="nn.functional", method=False)
def ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank=0,
    reduction="mean",
    zero_infinity=False,
) -> Tensor:
    """-log p(targets) for log_probs (T, N, C) or (T, C); "mean" divides each loss by its target's length first.

    targets: (N, S) or all of them joined (sum of target_lengths,). zero_infinity makes impossible ones count
    0.
    """
    check_cpu(log_probs, "ctc_loss")
    reduction = reduction_name(reduction)
    batched = log_probs.ndim == 3
    x = log_probs if batched else log_probs.unsqueeze(1)
    batch = x.size(1)
    if isinstance(input_lengths, Tensor) and not batched:
        input_lengths, target_lengths = input_lengths.reshape(-1), target_lengths.reshape(-1)
    steps, lengths = (
        _lengths(input_lengths, batch, "input_lengths"),
        _lengths(target_lengths, batch, "target_lengths"),
    )
    _check(x, targets, steps, lengths, blank)
    loss = _ctc(x, targets, steps, lengths, int(blank), bool(zero_infinity))[0]
    if zero_infinity:
        loss = loss.where(loss != float("inf"), loss.new_zeros(()))
    if reduction == "mean":
        return (loss / wrap(np.maximum(lengths, 1).astype(loss._dtype.np), (batch,), loss._dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss if batched else loss.squeeze(0)


@op("ctc_loss", method=False)
def _ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank: int = 0, reduction: int = 1, zero_infinity: bool = False
) -> Tensor:
    """`nn.functional.ctc_loss` with the reduction as a number (0 none, 1 mean, 2 sum)."""
    reduction = reduction_name(reduction)
    return ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
