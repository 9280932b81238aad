"""RMSprop. Hinton 2012; centered: Graves 2013."""

from __future__ import annotations

import numpy as np

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim.optimizer import (
    ElementwiseOptimizer,
    count_step,
    direction,
    flat_arrays,
    new_step,
    require,
    to_scalar,
)

__all__ = ["RMSprop"]

_NOTHING = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


class RMSprop(ElementwiseOptimizer):
    """v = alpha v + (1 - alpha) g^2; d = g / (sqrt(v) + eps), centered: v less the square of g's average; p -= lr d.

    With momentum b = momentum b + d and p -= lr b.
    """

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
        require(0.0 <= lr, f"Invalid learning rate: {lr}")
        require(0.0 <= eps, f"Invalid epsilon value: {eps}")
        require(0.0 <= momentum, f"Invalid momentum value: {momentum}")
        require(0.0 <= weight_decay, f"Invalid weight_decay value: {weight_decay}")
        require(0.0 <= alpha, f"Invalid alpha value: {alpha}")
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

    def _fused(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> bool:
        kept = [state["square_avg"]]
        if group["centered"]:
            kept.append(state["grad_avg"])
        if group["momentum"] > 0:
            kept.append(state["momentum_buffer"])
        arrays = flat_arrays(param, grad, *kept)
        if arrays is None:
            return False
        p, g, square, *rest = arrays
        average = rest.pop(0) if group["centered"] else _NOTHING[p.dtype]
        buf = rest.pop(0) if rest else _NOTHING[p.dtype]
        count_step(state["step"])
        run = kernels.rmsprop_step if p.size < kernels.PARALLEL_THRESHOLD else kernels.rmsprop_step_parallel
        run(
            p,
            g,
            square,
            average,
            buf,
            float(group["lr"]),
            float(group["alpha"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            -1.0 if group["maximize"] else 1.0,
            float(group["momentum"]),
        )
        for t in (param, *kept):
            t._bump_version()
        return True
