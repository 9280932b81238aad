"""Averaged stochastic gradient descent. Polyak & Juditsky 1992."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, direction, new_step, require, to_scalar

__all__ = ["ASGD"]


class ASGD(ElementwiseOptimizer):
    """p = (1 - lambd eta) p - eta g, and state["ax"] averages p from step t0 on; eta = lr / (1 + lambd lr t)^alpha."""

    def __init__(
        self,
        params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        state["step"] = new_step()
        dtype = state["step"].dtype
        state["eta"] = numtorch.tensor(to_scalar(group["lr"]), dtype=dtype).clone()
        state["mu"] = numtorch.ones((), dtype=dtype)
        state["ax"] = numtorch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        lr, lambd = to_scalar(group["lr"]), group["lambd"]
        step = count_step(state["step"])
        grad = direction(param, grad, group)
        eta, mu, average = state["eta"], state["mu"], state["ax"]
        rate = eta.item()
        param.mul_(1 - lambd * rate)
        param.add_(grad, alpha=-rate)
        weight = mu.item()
        if weight != 1:
            average.add_(param.sub(average).mul_(weight))
        else:
            average.copy_(param)
        eta.fill_(lr / ((1 + lambd * lr * step) ** group["alpha"]))
        mu.fill_(1 / max(1, step - group["t0"]))
