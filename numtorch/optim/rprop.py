"""Rprop. Riedmiller & Braun 1993."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, new_step, require, to_scalar

__all__ = ["Rprop"]


class Rprop(ElementwiseOptimizer):
    """Each element has a step size: times etas[1] while its gradient keeps its sign, times etas[0] when it changes."""

    def __init__(
        self,
        params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        lr = to_scalar(group["lr"])
        state["step"] = new_step()
        state["prev"] = numtorch.zeros_like(param)
        state["step_size"] = numtorch.full_like(param, complex(lr, lr) if param.is_complex() else lr)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        smaller, larger = group["etas"]
        low, high = group["step_sizes"]
        count_step(state["step"])
        if group["maximize"]:
            grad = -grad
        previous, size = state["prev"], state["step_size"]
        agreement = grad * previous
        turned = agreement < 0
        factor = numtorch.ones_like(grad).masked_fill_(agreement > 0, larger).masked_fill_(turned, smaller)
        size.mul_(factor).clamp_(low, high)
        grad = grad.masked_fill(turned, 0)  # where the sign changed, stay this once
        param.addcmul_(grad.sign(), size, value=-1)
        previous.copy_(grad)
