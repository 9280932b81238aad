"""Muon: momentum whose update is made orthogonal. Jordan et al. 2024."""

from __future__ import annotations

import math

import numtorch
from numtorch._tensor import Tensor
from numtorch.optim.optimizer import ElementwiseOptimizer, require, to_scalar

__all__ = ["Muon"]


def _orthogonal(g: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """About U V^T of g's singular value decomposition, by the iteration X = a X + (b A + c A^2) X, A = X X^T.

    Computed in bfloat16, as torch does.
    """
    require(steps < 100, "Number of steps must be less than 100 for computational efficiency")
    require(g.dim() == 2, "Input tensor gradient must be a 2D matrix")
    require(len(coefficients) == 3, "Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = g.size(0) > g.size(1)
    x = g.bfloat16()
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = numtorch.addmm(x, numtorch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(ElementwiseOptimizer):
    """For matrices: b = momentum b + (1 - momentum) g, p -= lr orthogonal(b), with decoupled weight decay."""

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}")
        require(momentum >= 0.0, f"momentum should be >= 0 but is: {momentum}")
        require(weight_decay >= 0.0, f"weight decay should be >= 0 but is: {weight_decay}")
        require(
            adjust_lr_fn in (None, "original", "match_rms_adamw"),
            f"Adjust learning rate function {adjust_lr_fn} is not supported",
        )
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                require(
                    p.ndim == 2,
                    f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}",
                )

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        state["momentum_buffer"] = numtorch.zeros_like(param.grad)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        require(grad.ndim == 2, "Param gradient must be a 2D matrix")
        lr, momentum = to_scalar(group["lr"]), group["momentum"]
        buf = state["momentum_buffer"]
        buf.lerp_(grad, 1 - momentum)
        update = grad.lerp(buf, momentum) if group["nesterov"] else buf
        update = _orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, cols = param.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, cols))
        else:
            ratio = math.sqrt(max(1, rows / cols))
        param.mul_(1 - lr * group["weight_decay"])
        param.add_(update, alpha=-lr * ratio)
