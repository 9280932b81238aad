"""L-BFGS: quasi-Newton steps from a limited memory of gradients. Nocedal & Wright, Numerical Optimization, ch. 7."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numtorch
from numtorch._tensor import Tensor
from numtorch.optim.optimizer import Optimizer, require, to_scalar

__all__ = ["LBFGS"]


@dataclass
class _Point:
    """The function along a direction at step length t: value f, gradient g, slope g . d."""

    t: Any
    f: float
    g: Tensor
    slope: Any


def _cubic_minimum(a: _Point, b: _Point, bounds: tuple | None = None):
    """The minimum of the cubic through values and slopes of two points, kept within `bounds` (or between them)."""
    if a.t > b.t:
        a, b = b, a
    low, high = (a.t, b.t) if bounds is None else bounds
    if a.t == b.t:
        return (low + high) / 2.0
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    d2_squared = d1**2 - a.slope * b.slope
    if not d2_squared >= 0:
        return (low + high) / 2.0
    d2 = d2_squared**0.5
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, low), high)


def _strong_wolfe(
    evaluate: Callable[[Any], _Point],
    t: Any,
    d: Tensor,
    start: _Point,
    max_ls: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
) -> tuple[_Point, int]:
    """A step length with f(t) <= f(0) + c1 t f'(0) and |f'(t)| <= -c2 f'(0), and how many evaluations it took."""

    def too_high(p: _Point) -> bool:
        return p.f > start.f + c1 * p.t * start.slope

    def flat_enough(p: _Point) -> bool:
        return abs(p.slope) <= -c2 * start.slope

    new, previous = evaluate(t), start
    evaluations, iteration = 1, 0
    bracket = None
    while iteration < max_ls:
        if too_high(new) or (iteration > 1 and new.f >= previous.f) or (new.slope >= 0 and not flat_enough(new)):
            bracket = [previous, new]
            break
        if flat_enough(new):
            return new, evaluations
        shortest = new.t + 0.01 * (new.t - previous.t)
        longest = new.t * 10
        following = evaluate(_cubic_minimum(previous, new, (shortest, longest)))
        previous, new = new, following
        evaluations += 1
        iteration += 1
    if bracket is None:
        bracket = [start, new]

    # Zoom: shrink the bracket round a point that satisfies both conditions.
    widest = d.abs().max()
    low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
    slow = False  # the last trial was close to the bracket's end
    while iteration < max_ls:
        left, right = sorted((bracket[0].t, bracket[1].t))
        if (right - left) * widest < tolerance_change:
            break
        t = _cubic_minimum(bracket[0], bracket[1])
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if slow or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                slow = False
            else:
                slow = True
        else:
            slow = False
        new = evaluate(t)
        evaluations += 1
        iteration += 1
        if too_high(new) or new.f >= bracket[low].f:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
            continue
        done = flat_enough(new)
        if not done and new.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
        if done:
            break
    return bracket[low], evaluations


class LBFGS(Optimizer):
    """Minimises the closure's loss in up to max_iter quasi-Newton steps a call; one parameter group only.

    line_search_fn: None for steps of length lr, or "strong_wolfe".
    """

    def __init__(
        self,
        params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        require(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        require(lr >= 0.0, f"Invalid learning rate: {lr}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        require(len(self.param_groups) == 1, "LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    @staticmethod
    def _real(t: Tensor) -> Tensor:
        return numtorch.view_as_real(t) if t.is_complex() else t

    def _gather_flat_grad(self) -> Tensor:
        parts = []
        for p in self._params:
            part = self._real(numtorch.zeros_like(p) if p.grad is None else p.grad)
            parts.append(part.reshape(-1))
        return numtorch.cat(parts, 0)

    def _move(self, length, d: Tensor) -> None:
        """params += length d."""
        offset = 0
        for p in self._params:
            p = self._real(p)
            n = p.numel()
            p.add_(d[offset : offset + n].view_as(p), alpha=to_scalar(length))
            offset += n

    @numtorch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Tensor:
        """One call: evaluates the closure at least once and returns its first loss."""
        if len(self.param_groups) != 1:
            raise AssertionError(f"Expected exactly one param_group, but got {len(self.param_groups)}")
        group = self.param_groups[0]
        lr, tolerance_change = to_scalar(group["lr"]), group["tolerance_change"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def run_closure():
            with numtorch.enable_grad():
                return closure()

        first_loss = run_closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._gather_flat_grad()
        if grad.abs().max() <= group["tolerance_grad"]:
            return first_loss
        d, t = state.get("d"), state.get("t")
        previous_grad, previous_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        memory = _Memory(state, group["history_size"])
        n_iter = 0
        while n_iter < group["max_iter"]:
            n_iter += 1
            state["n_iter"] += 1
            is_first = state["n_iter"] == 1
            if is_first:
                d = grad.neg()
                memory.clear()
            else:
                memory.add(grad - previous_grad, d * t)
                d = memory.direction(grad)
            previous_grad, previous_loss = grad.clone(), loss
            t = min(1.0, 1.0 / grad.abs().sum()) * lr if is_first else lr
            slope = grad.dot(d)
            if slope > -tolerance_change:
                break
            new_evaluations = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                start = [p.clone() for p in self._params]

                def evaluate(length, d=d, start=start) -> _Point:
                    self._move(length, d)
                    value = float(run_closure())
                    g = self._gather_flat_grad()
                    for p, saved in zip(self._params, start, strict=True):
                        p.copy_(saved)
                    return _Point(length, value, g, g.dot(d))

                found, new_evaluations = _strong_wolfe(
                    evaluate, t, d, _Point(0, loss, grad, slope), group["max_eval"] - evaluations
                )
                loss, grad, t = found.f, found.g, found.t
                self._move(t, d)
            else:
                self._move(t, d)
                if n_iter != group["max_iter"]:
                    loss = float(run_closure())
                    grad = self._gather_flat_grad()
                    new_evaluations = 1
            evaluations += new_evaluations
            state["func_evals"] += new_evaluations
            if (
                n_iter == group["max_iter"]
                or evaluations >= group["max_eval"]
                or grad.abs().max() <= group["tolerance_grad"]
                or (d * t).abs().max() <= tolerance_change
                or abs(loss - previous_loss) < tolerance_change
            ):
                break
        state["d"] = d
        state["t"] = t
        memory.save(state)
        state["prev_flat_grad"] = previous_grad
        state["prev_loss"] = previous_loss
        return first_loss


class _Memory:
    """The last pairs y = change of gradient, s = change of parameters, and what they say of the inverse Hessian."""

    def __init__(self, state: dict, size: int) -> None:
        self.size = size
        self.ys, self.ss, self.ro = state.get("old_dirs"), state.get("old_stps"), state.get("ro")
        self.scale = state.get("H_diag")
        self.alphas = state.get("al")

    def clear(self) -> None:
        self.ys, self.ss, self.ro, self.scale = [], [], [], 1

    def add(self, y: Tensor, s: Tensor) -> None:
        ys = y.dot(s)
        if ys > 1e-10:
            if len(self.ys) == self.size:
                for kept in (self.ys, self.ss, self.ro):
                    kept.pop(0)
            self.ys.append(y)
            self.ss.append(s)
            self.ro.append(1.0 / ys)
            self.scale = ys / y.dot(y)

    def direction(self, grad: Tensor) -> Tensor:
        """-H grad by the two-loop recursion."""
        if self.alphas is None:
            self.alphas = [None] * self.size
        q = grad.neg()
        count = len(self.ys)
        for i in reversed(range(count)):
            self.alphas[i] = self.ss[i].dot(q) * self.ro[i]
            q.add_(self.ys[i], alpha=-self.alphas[i].item())
        r = q * self.scale
        for i in range(count):
            beta = self.ys[i].dot(r) * self.ro[i]
            r.add_(self.ss[i], alpha=(self.alphas[i] - beta).item())
        return r

    def save(self, state: dict) -> None:
        state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = self.ys, self.ss, self.ro, self.scale
        if self.alphas is not None:
            state["al"] = self.alphas
