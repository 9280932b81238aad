"""Optimizer: parameter groups, state and hooks; and the frame in which an optimizer updates one parameter."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import numtorch
from numtorch._tensor import Tensor
from numtorch.nn.modules.module import typename
from numtorch.optim._fused import FusedStep, Rows
from numtorch.utils.hooks import RemovableHandle

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]


class _RequiredParameter:
    """The default of an option that every parameter group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()

_global_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """`hook(optimizer, args, kwargs)` before every step of every optimizer."""
    return _add(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """`hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return _add(_global_post_hooks, hook)


def _add(hooks: OrderedDict, hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _with_hooks(step: Callable) -> Callable:
    """`step` with the step hooks round it; notes that it was called, which learning rate schedulers check."""

    @functools.wraps(step)
    def hooked(self, *args: Any, **kwargs: Any):
        self._opt_called = True
        if not (self._optimizer_step_pre_hooks or _global_pre_hooks):
            result = step(self, *args, **kwargs)
        else:
            for hook in chain(_global_pre_hooks.values(), self._optimizer_step_pre_hooks.values()):
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            f"{step} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                        )
                    args, kwargs = changed
            result = step(self, *args, **kwargs)
        if self._optimizer_step_post_hooks or _global_post_hooks:
            for hook in chain(self._optimizer_step_post_hooks.values(), _global_post_hooks.values()):
                hook(self, args, kwargs)
        return result

    hooked.hooked = True
    return hooked


class Optimizer:
    """Base class: `params` are tensors, (name, tensor) pairs or groups (dictionaries with "params" and own options)."""

    _opt_called = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        step = cls.__dict__.get("step")
        if step is not None and not getattr(step, "hooked", False):
            cls.step = _with_hooks(step)

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._init_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + typename(params)
            )
        self.state: defaultdict[Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if len(groups) == 0:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _init_hooks(self) -> None:
        for name in (
            "_optimizer_step_pre_hooks",
            "_optimizer_step_post_hooks",
            "_optimizer_state_dict_pre_hooks",
            "_optimizer_state_dict_post_hooks",
            "_optimizer_load_state_dict_pre_hooks",
            "_optimizer_load_state_dict_post_hooks",
        ):
            self.__dict__.setdefault(name, OrderedDict())

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._init_hooks()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return text + ")"

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """`hook(optimizer, args, kwargs) -> None or (new args, new kwargs)` before each step."""
        return _add(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """`hook(optimizer, args, kwargs) -> None` after each step."""
        return _add(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """`hook(optimizer) -> None` before `state_dict()`."""
        return _add(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """`hook(optimizer, state_dict) -> state_dict or None` after `state_dict()`."""
        return _add(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """`hook(optimizer, state_dict) -> state_dict or None` before `load_state_dict`."""
        return _add(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """`hook(optimizer) -> None` after `load_state_dict`."""
        return _add(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: state}, "param_groups": [...]}, parameters replaced by their numbers."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {k: v for k, v in group.items() if k != "params"}
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {(numbers[id(k)] if isinstance(k, Tensor) else k): v for k, v in self.state.items()}
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict()`; floating point state is cast to its parameter's dtype, except "step"."""
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        groups = self.param_groups
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for group, saved in zip(groups, saved_groups, strict=True):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
                )
        saved_ids = chain.from_iterable(g["params"] for g in saved_groups)
        params = chain.from_iterable(g["params"] for g in groups)
        by_id = dict(zip(saved_ids, params, strict=True))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in by_id:
                state[by_id[key]] = _cast(by_id[key], value, None)
            else:
                state[key] = value
        loaded_groups = []
        for group, saved in zip(groups, saved_groups, strict=True):
            if "param_names" in group and "param_names" not in saved:
                saved["param_names"] = group["param_names"]
            saved["params"] = group["params"]
            loaded_groups.append(saved)
        self.__setstate__({"state": state, "param_groups": loaded_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters; a closure reevaluates the model and returns the loss."""
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with its own options, the others taken from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            param_group["params"] = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        else:
            param_group["params"] = list(params)
        _split_names(param_group)
        for param in param_group["params"]:
            if not isinstance(param, Tensor):
                raise TypeError("optimizer can only optimize Tensors, but one of the params is " + typename(param))
            if not self.defaults.get("differentiable", None) and not (param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        params = param_group["params"]
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        known: set[Tensor] = set()
        for group in self.param_groups:
            known.update(group["params"])
            if ("param_names" in param_group) != ("param_names" in group):
                current = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {current} to the optimizer"
                )
        if not known.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)


def _split_names(group: dict[str, Any]) -> None:
    """Take (name, tensor) pairs apart: the names go to group["param_names"]."""
    named = [isinstance(p, tuple) for p in group["params"]]
    if not any(named):
        return
    if not all(named):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    group["param_names"] = [p[0] for p in group["params"]]
    group["params"] = [p[1] for p in group["params"]]


def _cast(param: Tensor, value: Any, key: Any) -> Any:
    """State loaded for `param`, on its device and, if floating point and not a step count, in its dtype."""
    if isinstance(value, Tensor):
        if key == "step":
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)
    if isinstance(value, dict):
        return {k: _cast(param, v, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return type(value)(_cast(param, v, None) for v in value)
    return value


class ElementwiseOptimizer(Optimizer):
    """An optimizer that updates each parameter from its own gradient and state.

    A subclass gives `_start(param, state, group)`, which fills an empty state, and `_update(param, grad, state, group)`
    in differentiable in-place tensor operations. Where it also has a `_fused_step`, what lies in flat CPU arrays is stepped
    by one kernel call for the whole group: `_options(group)` gives the numbers that its parameters share, and
    `_enter(rows, param, grad, state, group, options)` enters one, or answers False.
    """

    _fused_step: FusedStep | None = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters; a closure reevaluates the model and returns the loss."""
        loss = None
        if closure is not None:
            with numtorch.enable_grad():
                loss = closure()
        with numtorch.set_grad_enabled(bool(self.defaults.get("differentiable", False))):
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        states, update = self.state, self._update
        keeps_state = self._keeps_state(group)
        params = group["params"]
        rows = None
        if self._fused_step is not None and not group.get("differentiable"):
            rows, options = Rows(self._fused_step, len(params)), self._options(group)
        for param in params:
            grad = param.grad
            if grad is None:
                continue
            state = states[param] if keeps_state else {}
            if not state:
                self._start(param, state, group)
            if rows is None or not self._enter(rows, param, grad, state, group, options):
                self._update_real(update, param, grad, state, group)
        if rows is not None:
            rows.run(options)

    @staticmethod
    def _update_real(update: Callable, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        """`update`, a complex parameter seen as pairs of real numbers."""
        if param.is_complex():
            state_of = state
            param, grad = numtorch.view_as_real(param), numtorch.view_as_real(grad)
            state = {
                k: numtorch.view_as_real(v) if isinstance(v, Tensor) and v.is_complex() else v for k, v in state.items()
            }
            update(param, grad, state, group)
            for key, value in state.items():
                if key not in state_of:
                    state_of[key] = (
                        numtorch.view_as_complex(value) if isinstance(value, Tensor) and value.dim() else value
                    )
            return
        update(param, grad, state, group)

    def _options(self, group: dict) -> tuple:
        raise NotImplementedError

    def _enter(self, rows: Rows, param: Tensor, grad: Tensor, state: dict, group: dict, options: tuple) -> bool:
        raise NotImplementedError

    def _keeps_state(self, group: dict) -> bool:
        return True

    def _start(self, param: Tensor, state: dict, group: dict) -> None:
        raise NotImplementedError

    def _update(self, param: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        raise NotImplementedError


def to_scalar(x: Any) -> Any:
    """A one-element tensor's value; anything else as it is. Options such as lr may be given as tensors."""
    return x.item() if isinstance(x, Tensor) else x


def new_step() -> Tensor:
    """A step count of 0: a 0-d tensor, so that it is saved and moved with the rest of the state."""
    dtype = numtorch.float64 if numtorch.get_default_dtype() == numtorch.float64 else numtorch.float32
    return numtorch.tensor(0.0, dtype=dtype)


def direction(param: Tensor, grad: Tensor, group: dict) -> Tensor:
    """The gradient to follow: negated to maximise, with weight decay added."""
    if group["maximize"]:
        grad = -grad
    if group["weight_decay"] != 0:
        grad = grad.add(param, alpha=group["weight_decay"])
    return grad


def require(holds: bool, message: str) -> None:
    """ValueError(message) unless `holds`."""
    if not holds:
        raise ValueError(message)


def count_step(step: Tensor) -> float:
    """Add 1 to a step count and return it."""
    flat = None if step.is_cuda else step.flat()
    if flat is None:
        step += 1
        return step.item()
    value = float(flat[0]) + 1.0  # two operators on tensors would take longer than a small parameter's whole step
    flat[0] = value
    step._bump_version()
    return value
