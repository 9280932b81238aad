"""RAdam: Adam with a rectified variance. Liu et al. 2020."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim._fused import FusedStep, Rows
from numtorch.optim.adam import check_betas
from numtorch.optim.nadam import decay_and_moments, decayed
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, new_step, require, to_scalar

__all__ = ["RAdam"]


class RAdam(ElementwiseOptimizer):
    """rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t), rho_inf = 2 / (1 - beta2) - 1.

    Where rho_t > 5 the step is Adam's times sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t)),
    before that it is p -= lr m / (1 - beta1^t).
    """

    _fused_step = FusedStep(kernels.RADAM)

    def __init__(
        self,
        params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        check_betas(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        state["step"] = new_step()
        state["exp_avg"] = numtorch.zeros_like(param)
        state["exp_avg_sq"] = numtorch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        lr, (beta1, beta2) = to_scalar(group["lr"]), group["betas"]
        step = count_step(state["step"])
        grad = decayed(param, -grad if group["maximize"] else grad, group)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        bias, root, rectified = _corrections(step, beta1, beta2)
        update = mean / bias * lr
        if rectified:
            update = update * (root / square.sqrt().add(group["eps"])) * rectified
        param.add_(update, alpha=-1.0)

    def _options(self, group: dict) -> tuple:
        return decay_and_moments(group)

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        if not rows.add(param, grad, state["exp_avg"], state["exp_avg_sq"]):
            return False
        rows.numbers(*_corrections(count_step(state["step"]), options[3], options[4]))
        return True


def _corrections(step: float, beta1: float, beta2: float) -> tuple[float, float, float]:
    """(1 - beta1^t, sqrt(1 - beta2^t), the rectification of the variance, or 0 while it is too uncertain)."""
    correction2 = 1 - beta2**step
    rho_inf = 2 / (1 - beta2) - 1
    rho_t = rho_inf - 2 * step * (beta2**step) / correction2
    rectified = 0.0
    if rho_t > 5.0:
        rectified = ((rho_t - 4) * (rho_t - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho_t)) ** 0.5
    return 1 - beta1**step, correction2**0.5, rectified
