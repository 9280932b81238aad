"""NAdam: Adam with Nesterov momentum. Dozat 2016."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim._fused import FusedStep, Rows
from numtorch.optim.adam import check_betas
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, new_step, require, to_scalar

__all__ = ["NAdam"]


class NAdam(ElementwiseOptimizer):
    """Adam whose momentum follows mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) and looks one step ahead."""

    _fused_step = FusedStep(kernels.NADAM)

    def __init__(
        self,
        params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        check_betas(lr, betas, eps, weight_decay)
        require(momentum_decay >= 0.0, f"Invalid momentum_decay value: {momentum_decay}")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        state["step"] = new_step()
        state["mu_product"] = numtorch.ones((), dtype=state["step"].dtype)
        state["exp_avg"] = numtorch.zeros_like(param)
        state["exp_avg_sq"] = numtorch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        beta1, beta2 = group["betas"]
        grad = decayed(param, -grad if group["maximize"] else grad, group)
        bias, of_grad, of_mean = _rates(state, to_scalar(group["lr"]), beta1, beta2, group["momentum_decay"])
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        denominator = square.div(bias).sqrt().add(group["eps"])
        param.addcdiv_(grad, denominator, value=-of_grad)
        param.addcdiv_(mean, denominator, value=-of_mean)

    def _options(self, group: dict) -> tuple:
        return decay_and_moments(group)

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        if not rows.add(param, grad, state["exp_avg"], state["exp_avg_sq"]):
            return False
        rows.numbers(*_rates(state, options[6], options[3], options[4], group["momentum_decay"]))
        return True


def decay_and_moments(group: dict) -> tuple[float, float, float, float, float, float, float]:
    """(factor of the parameter, L2 decay, sign of the gradient, beta1, beta2, eps, lr) for the kernels of NAdam and RAdam."""
    lr, decay = float(group["lr"]), float(group["weight_decay"])
    shrink, l2 = (1 - lr * decay, 0.0) if group["decoupled_weight_decay"] else (1.0, decay)
    sign = -1.0 if group["maximize"] else 1.0
    beta1, beta2 = (float(to_scalar(beta)) for beta in group["betas"])
    return shrink, l2, sign, beta1, beta2, float(group["eps"]), lr


def _rates(state: dict, lr: float, beta1: float, beta2: float, decay: float) -> tuple[float, float, float]:
    """(1 - beta2^t, the rate of the gradient, the rate of the mean); counts the step."""
    step = count_step(state["step"])
    mu = beta1 * (1.0 - 0.5 * (0.96 ** (step * decay)))
    mu_next = beta1 * (1.0 - 0.5 * (0.96 ** ((step + 1) * decay)))
    state["mu_product"] *= mu
    product = state["mu_product"].item()
    return 1 - beta2**step, lr * (1.0 - mu) / (1.0 - product), lr * mu_next / (1.0 - product * mu_next)


def decayed(param: Tensor, grad: Tensor, group: dict) -> Tensor:
    """Weight decay on the gradient, which is returned, or, decoupled, on the parameter."""
    if group["weight_decay"] != 0:
        if group["decoupled_weight_decay"]:
            param.mul_(1 - to_scalar(group["lr"]) * group["weight_decay"])
        else:
            grad = grad.add(param, alpha=group["weight_decay"])
    return grad
