"""Averaged stochastic gradient descent. Polyak & Juditsky 1992."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim._fused import FusedStep, Rows
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, direction, new_step, require, to_scalar

__all__ = ["ASGD"]


class ASGD(ElementwiseOptimizer):
    """p = (1 - lambd eta) p - eta g, and state["ax"] averages p from step t0 on; eta = lr / (1 + lambd lr t)^alpha."""

    _fused_step = FusedStep(kernels.ASGD)

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
        lambd, average = group["lambd"], state["ax"]
        grad = direction(param, grad, group)
        rate, weight = self._advance(state, group)
        param.mul_(1 - lambd * rate)
        param.add_(grad, alpha=-rate)
        if weight != 1:
            average.add_(param.sub(average).mul_(weight))
        else:
            average.copy_(param)

    @staticmethod
    def _advance(state: dict, group: dict) -> tuple[float, float]:
        """(eta, mu) of this step; the state gets those of the next."""
        step, lr = count_step(state["step"]), to_scalar(group["lr"])
        eta, mu = state["eta"], state["mu"]
        now = eta.item(), mu.item()
        eta.fill_(lr / ((1 + group["lambd"] * lr * step) ** group["alpha"]))
        mu.fill_(1 / max(1, step - group["t0"]))
        return now

    def _options(self, group: dict) -> tuple:
        return float(group["weight_decay"]), -1.0 if group["maximize"] else 1.0, float(group["lambd"])

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        if not rows.add(param, grad, state["ax"]):
            return False
        rows.numbers(*self._advance(state, group))
        return True
