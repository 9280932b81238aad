"""Adafactor: the second moment of a matrix kept as its row and column means. Shazeer & Stern 2018."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, new_step, require, to_scalar

__all__ = ["Adafactor"]


class Adafactor(ElementwiseOptimizer):
    """p -= alpha u / max(1, rms(u) / d), u = g / sqrt(V), V from row and column means (or whole, for vectors).

    alpha = max(eps[1], rms(p)) min(lr, 1 / sqrt(t)); the means move by t^beta2_decay.
    """

    def __init__(
        self,
        params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}")
        require(beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}")
        require(eps[0] is None or eps[0] >= 0.0, f"epsilon1 should be >= 0 but is: {eps[0]}")
        require(eps[1] >= 0.0, f"epsilon2 should be >= 0 but is: {eps[1]}")
        require(d >= 1.0, f"Clipping threshold d should be >= 1 but is: {d}")
        require(weight_decay >= 0.0, f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        grad = param.grad
        state["step"] = new_step()
        if grad.dim() > 1:
            state["row_var"] = grad.new_zeros((*grad.shape[:-1], 1))
            state["col_var"] = grad.new_zeros((*grad.shape[:-2], 1, grad.shape[-1]))
        else:
            state["variance"] = numtorch.zeros_like(grad)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        lr = to_scalar(group["lr"])
        eps1, eps2 = group["eps"]
        eps1 = numtorch.finfo(param.dtype).eps if eps1 is None else eps1
        if group["maximize"]:
            grad = -grad
        step = count_step(state["step"])
        weight = step ** group["beta2_decay"]
        alpha = max(eps2, param.norm(2).item() / (param.numel() ** 0.5)) * min(lr, 1 / (step**0.5))
        if group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        if grad.dim() > 1:
            rows, cols = state["row_var"], state["col_var"]
            rows.lerp_(numtorch.norm(grad, dim=-1, keepdim=True).square() / grad.size(-1), weight)
            cols.lerp_(numtorch.norm(grad, dim=-2, keepdim=True).square() / grad.size(-2), weight)
            variance = (rows @ cols) / rows.mean(dim=-2, keepdim=True).clamp(min=eps1)
        else:
            variance = state["variance"]
            variance.lerp_(grad * grad, weight)
        update = variance.clamp(min=eps1 * eps1).rsqrt() * grad
        denominator = max(1.0, update.norm(2).item() / ((update.numel() ** 0.5) * group["d"]))
        param.add_(update, alpha=-alpha / denominator)
