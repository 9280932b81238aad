"""RMSprop. Hinton 2012; centered: Graves 2013."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim._fused import FusedStep, Rows
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, direction, new_step, require, to_scalar

__all__ = ["RMSprop"]


class RMSprop(ElementwiseOptimizer):
    """v = alpha v + (1 - alpha) g^2; d = g / (sqrt(v) + eps), centered: v less the square of g's average; p -= lr d.

    With momentum b = momentum b + d and p -= lr b.
    """

    _fused_step = FusedStep(kernels.RMSPROP)

    def __init__(
        self,
        params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(eps >= 0.0, f"Invalid epsilon value: {eps}")
        require(momentum >= 0.0, f"Invalid momentum value: {momentum}")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        require(alpha >= 0.0, f"Invalid alpha value: {alpha}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        state["step"] = new_step()
        state["square_avg"] = numtorch.zeros_like(param)
        if group["momentum"] > 0:
            state["momentum_buffer"] = numtorch.zeros_like(param)
        if group["centered"]:
            state["grad_avg"] = numtorch.zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        alpha, lr, momentum = group["alpha"], to_scalar(group["lr"]), group["momentum"]
        count_step(state["step"])
        grad = direction(param, grad, group)
        square = state["square_avg"]
        square.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            average = state["grad_avg"]
            average.lerp_(grad, 1 - alpha)
            square = square.addcmul(average, average, value=-1)
        denominator = square.sqrt().add(group["eps"])
        if momentum > 0:
            buf = state["momentum_buffer"]
            buf.mul_(momentum).addcdiv_(grad, denominator)
            param.add_(buf, alpha=-lr)
        else:
            param.addcdiv_(grad, denominator, value=-lr)

    def _options(self, group: dict) -> tuple:
        names = ("lr", "alpha", "eps", "weight_decay")
        sign = -1.0 if group["maximize"] else 1.0
        return (*(float(group[name]) for name in names), sign, float(group["momentum"]))

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        if not rows.add(param, grad, state["square_avg"], state.get("grad_avg"), state.get("momentum_buffer")):
            return False
        count_step(state["step"])
        rows.numbers()
        return True
