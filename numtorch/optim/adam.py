"""Adam. Kingma & Ba 2015; amsgrad: Reddi et al. 2018."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim._fused import FusedStep, Rows
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, new_step, require, to_scalar

__all__ = ["Adam"]


def check_betas(lr, betas, eps, weight_decay) -> None:
    """The ranges of the options that the family of Adam shares."""
    require(lr >= 0.0, f"Invalid learning rate: {lr}")
    require(eps >= 0.0, f"Invalid epsilon value: {eps}")
    require(0.0 <= betas[0] < 1.0, f"Invalid beta parameter at index 0: {betas[0]}")
    require(0.0 <= betas[1] < 1.0, f"Invalid beta parameter at index 1: {betas[1]}")
    require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")


class Adam(ElementwiseOptimizer):
    """m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, p -= lr m' / (sqrt(v') + eps).

    m' = m / (1 - beta1^t), v' = v / (1 - beta2^t); weight_decay is added to g, or, decoupled, p *= 1 - lr weight_decay
    first; amsgrad takes the largest v so far.
    """

    _fused_step = FusedStep(kernels.ADAM)

    def __init__(
        self,
        params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor):
            require(not foreach or capturable, "lr as a Tensor is not supported for capturable=False and foreach=True")
            require(lr.numel() == 1, "Tensor lr must be 1-element")
        check_betas(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            group.setdefault("differentiable", False)
            group.setdefault("decoupled_weight_decay", False)
            group.setdefault("fused", None)
        steps_as_tensors(self)

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        state["step"] = new_step()
        state["exp_avg"] = numtorch.zeros_like(param)
        state["exp_avg_sq"] = numtorch.zeros_like(param)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = numtorch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        lr, (beta1, beta2) = to_scalar(group["lr"]), map(to_scalar, group["betas"])
        step = count_step(state["step"])
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * group["weight_decay"])
            else:
                grad = grad.add(param, alpha=group["weight_decay"])
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            largest.copy_(numtorch.maximum(largest, square))
            square = largest
        denominator = (square.sqrt() / (1 - beta2**step) ** 0.5).add(group["eps"])
        param.addcdiv_(mean, denominator, value=-lr / (1 - beta1**step))

    def _options(self, group: dict) -> tuple:
        lr, weight_decay = float(group["lr"]), float(group["weight_decay"])
        decoupled = group["decoupled_weight_decay"]
        beta1, beta2 = group["betas"]
        return (
            1.0 - lr * weight_decay if decoupled else 1.0,
            0.0 if decoupled else weight_decay,
            -1.0 if group["maximize"] else 1.0,
            float(beta1),
            float(beta2),
            float(group["eps"]),
            lr,
        )

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        if not rows.add(param, grad, state["exp_avg"], state["exp_avg_sq"], largest):
            return False
        step = count_step(state["step"])
        if step != rows.step_counted:  # nearly always the same for all parameters
            _, _, _, beta1, beta2, _, lr = options
            rows.step_counted, rows.corrections = step, (lr / (1.0 - beta1**step), (1.0 - beta2**step) ** 0.5)
        rows.numbers(*rows.corrections)
        return True


def steps_as_tensors(optimizer) -> None:
    """State of old checkpoints counts its steps in plain numbers."""
    for state in optimizer.state.values():
        if isinstance(state, dict) and "step" in state and not isinstance(state["step"], Tensor):
            step = new_step()
            step += state["step"]
            state["step"] = step
