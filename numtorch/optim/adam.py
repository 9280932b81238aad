"""Adam. Kingma & Ba 2015; amsgrad: Reddi et al. 2018."""

from __future__ import annotations

import numpy as np

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim.optimizer import (
    ElementwiseOptimizer,
    count_step,
    flat_arrays,
    new_step,
    require,
    to_scalar,
)

__all__ = ["Adam"]

_NOTHING = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def check_betas(lr, betas, eps, weight_decay) -> None:
    """The ranges of the options that the family of Adam shares."""
    require(0.0 <= lr, f"Invalid learning rate: {lr}")
    require(0.0 <= eps, f"Invalid epsilon value: {eps}")
    require(0.0 <= betas[0] < 1.0, f"Invalid beta parameter at index 0: {betas[0]}")
    require(0.0 <= betas[1] < 1.0, f"Invalid beta parameter at index 1: {betas[1]}")
    require(0.0 <= weight_decay, f"Invalid weight_decay value: {weight_decay}")


class Adam(ElementwiseOptimizer):
    """m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, p -= lr m' / (sqrt(v') + eps).

    m' = m / (1 - beta1^t), v' = v / (1 - beta2^t); weight_decay is added to g, or, decoupled, p *= 1 - lr weight_decay
    first; amsgrad takes the largest v so far.
    """

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
            require(
                not foreach or capturable, "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
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

    def _fused(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> bool:
        amsgrad = group["amsgrad"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        if amsgrad:
            arrays = flat_arrays(param, grad, mean, square, state["max_exp_avg_sq"])
        else:
            arrays = flat_arrays(param, grad, mean, square)
        if arrays is None:
            return False
        p = arrays[0]
        step = count_step(state["step"])
        lr, weight_decay = float(group["lr"]), group["weight_decay"]
        beta1, beta2 = group["betas"]
        beta1, beta2 = float(beta1), float(beta2)
        decoupled = group["decoupled_weight_decay"]
        run = kernels.adam_step if p.size < kernels.PARALLEL_THRESHOLD else kernels.adam_step_parallel
        run(
            *arrays[:4],
            arrays[4] if amsgrad else _NOTHING[p.dtype],
            1.0 - lr * weight_decay if decoupled else 1.0,
            0.0 if decoupled else float(weight_decay),
            -1.0 if group["maximize"] else 1.0,
            beta1,
            beta2,
            lr / (1.0 - beta1**step),
            (1.0 - beta2**step) ** 0.5,
            float(group["eps"]),
        )
        param._bump_version()
        mean._bump_version()
        square._bump_version()
        if amsgrad:
            state["max_exp_avg_sq"]._bump_version()
        return True


def steps_as_tensors(optimizer) -> None:
    """State of old checkpoints counts its steps in plain numbers."""
    for state in optimizer.state.values():
        if isinstance(state, dict) and "step" in state and not isinstance(state["step"], Tensor):
            step = new_step()
            step += state["step"]
            state["step"] = step
