"""Limits on gradients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable

import numtorch
from numtorch._tensor import Tensor, scalar
from numtorch.kernels.cpu.optimizers import SCALE
from numtorch.optim._fused import FusedStep, Table, flat_array

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _as_list(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p._grad for p in _as_list(parameters) if p._grad is not None]


def _table(tensors: list[Tensor]) -> Table | None:
    """Contiguous CPU tensors of one dtype, float32 or float64, for a kernel over all of them; None if any is something
    else."""
    dtype = tensors[0]._dtype
    if dtype is not numtorch.float32 and dtype is not numtorch.float64:
        return None
    table = Table(dtype, len(tensors))
    nothing = table.nothing
    for t in tensors:
        array = flat_array(t, dtype)
        if array is None:
            return None
        table.add(array, array, nothing, nothing, nothing)
    return table


_SCALE = FusedStep(SCALE)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors seen as one vector."""
    tensors = _as_list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return numtorch.tensor(0.0)
    table = _table(tensors) if norm_type == 2.0 and not any(t.requires_grad for t in tensors) else None
    if table is not None:
        norm = scalar(math.sqrt(table.sum_of_squares()), tensors[0]._dtype)
    else:
        device = tensors[0].device
        norms = [numtorch.linalg.vector_norm(t, norm_type).to(device) for t in tensors]
        norm = numtorch.linalg.vector_norm(numtorch.stack(norms), norm_type)
    if error_if_nonfinite and bool(numtorch.logical_or(norm.isnan(), norm.isinf())):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return norm


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients by max_norm / (total_norm + 1e-6) where that is below 1."""
    grads = _gradients(parameters)
    if not grads:
        return
    factor = numtorch.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    table = _table(grads)
    if table is None or factor.requires_grad:
        for g in grads:
            g.mul_(factor.to(g.device))
        return
    value = factor.item()
    if value == 1.0:
        return
    table.run(_SCALE, (value,))
    for g in grads:
        g._bump_version()


@numtorch.no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients so that their norm as one vector is at most max_norm; returns the norm before."""
    parameters = _as_list(parameters)
    if not parameters:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3)
    norm = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, norm, foreach)
    return norm


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The old name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@numtorch.no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value]."""
    clip_value = float(clip_value)
    for g in _gradients(parameters):
        g.clamp_(min=-clip_value, max=clip_value)
