"""Stochastic gradient descent, with momentum. Sutskever et al. 2013."""

from __future__ import annotations

from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim._fused import FusedStep, Rows
from numtorch.optim.optimizer import ElementwiseOptimizer, direction, require, to_scalar

__all__ = ["SGD"]


class SGD(ElementwiseOptimizer):
    """b = momentum b + (1 - dampening) (g + weight_decay p); p -= lr b (nesterov: lr (g + momentum b))."""

    _fused_step = FusedStep(kernels.SGD)

    def __init__(
        self,
        params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(momentum >= 0.0, f"Invalid momentum value: {momentum}")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        require(
            not nesterov or (momentum > 0 and dampening == 0),
            "Nesterov momentum requires a momentum and zero dampening",
        )
        super().__init__(params, defaults)

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            group.setdefault("fused", False)

    def _keeps_state(self, group: dict) -> bool:
        return group["momentum"] != 0

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        """The buffer is the first gradient; there is nothing before it."""

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        momentum = group["momentum"]
        d = direction(param, grad, group)
        if momentum != 0:
            buf = state.get("momentum_buffer")
            if buf is None:
                buf = state["momentum_buffer"] = d.detach().clone()
            else:
                buf.mul_(momentum).add_(d, alpha=1 - group["dampening"])
            d = d.add(buf, alpha=momentum) if group["nesterov"] else buf
        param.add_(d, alpha=-to_scalar(group["lr"]))

    def _options(self, group: dict) -> tuple:
        names = ("lr", "momentum", "dampening", "weight_decay")
        sign = -1.0 if group["maximize"] else 1.0
        return (*(float(group[name]) for name in names), sign, float(group["nesterov"]))

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        if options[1] == 0.0:
            return rows.add(param, grad)
        buf = state.get("momentum_buffer")
        first = buf is None
        if first:
            buf = grad.new_empty(param.shape)
        if not rows.add(param, grad, buf):
            return False
        rows.numbers(float(first))
        state["momentum_buffer"] = buf
        return True
