"""Adamax. Kingma & Ba 2015."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim._fused import FusedStep, Rows
from numtorch.optim.adam import check_betas
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, direction, new_step, require, to_scalar

__all__ = ["Adamax"]


class Adamax(ElementwiseOptimizer):
    """m = beta1 m + (1 - beta1) g, u = max(beta2 u, |g| + eps), p -= lr m / ((1 - beta1^t) u)."""

    _fused_step = FusedStep(kernels.ADAMAX)

    def __init__(
        self,
        params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        check_betas(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        state["step"] = new_step()
        state["exp_avg"] = numtorch.zeros_like(param)
        state["exp_inf"] = numtorch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        beta1, beta2 = group["betas"]
        step = count_step(state["step"])
        grad = direction(param, grad, group)
        mean, largest = state["exp_avg"], state["exp_inf"]
        mean.lerp_(grad, 1 - beta1)
        largest.copy_(numtorch.maximum(largest.mul_(beta2), grad.abs().add(group["eps"])))
        param.addcdiv_(mean, largest, value=-to_scalar(group["lr"]) / (1 - beta1**step))

    def _options(self, group: dict) -> tuple:
        sign = -1.0 if group["maximize"] else 1.0
        beta1, beta2 = (float(to_scalar(beta)) for beta in group["betas"])
        return float(group["weight_decay"]), sign, beta1, beta2, float(group["eps"]), float(group["lr"])

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        if not rows.add(param, grad, state["exp_avg"], state["exp_inf"]):
            return False
        rows.numbers(options[5] / (1 - options[2] ** count_step(state["step"])))
        return True
