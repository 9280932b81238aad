"""Adagrad. Duchi et al. 2011."""

from __future__ import annotations

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.cpu import optimizers as kernels
from numtorch.optim._fused import FusedStep, Rows
from numtorch.optim.optimizer import ElementwiseOptimizer, count_step, direction, new_step, require, to_scalar

__all__ = ["Adagrad"]


class Adagrad(ElementwiseOptimizer):
    """v += g^2; p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(v) + eps)."""

    _fused_step = FusedStep(kernels.ADAGRAD)

    def __init__(
        self,
        params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        require(lr_decay >= 0.0, f"Invalid lr_decay value: {lr_decay}")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}")
        require(
            initial_accumulator_value >= 0.0, f"Invalid initial_accumulator_value value: {initial_accumulator_value}"
        )
        require(eps >= 0.0, f"Invalid epsilon value: {eps}")
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        # Unlike the others, the state is there from the beginning.
        for group in self.param_groups:
            for p in group["params"]:
                self._start(p, self.state[p], group)

    def share_memory(self) -> None:
        """Move the sums to shared memory."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        value = group["initial_accumulator_value"]
        state["step"] = new_step()
        state["sum"] = numtorch.full_like(param, complex(value, value) if param.is_complex() else value)

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        step = count_step(state["step"])
        grad = direction(param, grad, group)
        rate = to_scalar(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        total = state["sum"]
        total.addcmul_(grad, grad, value=1)
        param.addcdiv_(grad, total.sqrt().add(group["eps"]), value=-rate)

    def _options(self, group: dict) -> tuple:
        sign = -1.0 if group["maximize"] else 1.0
        return float(group["eps"]), float(group["weight_decay"]), sign, float(group["lr"]), group["lr_decay"]

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        if not rows.add(param, grad, state["sum"]):
            return False
        lr, lr_decay = options[3:]
        step = count_step(state["step"])
        rows.numbers(lr / (1.0 + (step - 1.0) * lr_decay))
        return True
