"""Module hooks: their registration, and the slow way through a call that has some."""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numtorch
from numtorch.utils.hooks import BackwardHook, RemovableHandle

# Hooks that run for every module: id -> (kind, hook, options). One dictionary, so that a call of a module without
# hooks tests one truth value for all of them.
global_hooks: OrderedDict[int, tuple[str, Callable, frozenset]] = OrderedDict()


def _register_global(kind: str, hook: Callable, *options: str) -> RemovableHandle:
    handle = RemovableHandle(global_hooks)
    global_hooks[handle.id] = (kind, hook, frozenset(options))
    return handle


def _options(**flags: bool) -> list[str]:
    return [name for name, on in flags.items() if on]


def register_module_forward_pre_hook(hook: Callable) -> RemovableHandle:
    """`hook(module, args)` runs before the forward of every module."""
    return _register_global("forward_pre", hook)


def register_module_forward_hook(
    hook: Callable, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """`hook(module, args, output)` runs after the forward of every module."""
    return _register_global("forward", hook, *_options(with_kwargs=with_kwargs, always_call=always_call))


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """`hook(module, grad_output)` runs before the gradients of every module's inputs are computed."""
    return _register_global("backward_pre", hook)


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """`hook(module, grad_input, grad_output)` runs when the gradients of a module's inputs are known."""
    _check_global_backward("full_backward")
    return _register_global("full_backward", hook)


def register_module_backward_hook(hook: Callable) -> RemovableHandle:
    """The older, approximate form of `register_module_full_backward_hook`."""
    _check_global_backward("backward")
    return _register_global("backward", hook)


def _check_global_backward(kind: str) -> None:
    other = "backward" if kind == "full_backward" else "full_backward"
    if any(k == other for k, _, _ in global_hooks.values()):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )


class Hooked:
    """The hook side of a Module."""

    #: Has a hook for calls been registered since a call last found none? One look at it spares a call without hooks
    #: the look into four dictionaries.
    _may_have_hooks = False

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """`hook(module, args) -> None or modified args` before forward; with_kwargs: `hook(module, args, kwargs)`."""
        flags = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
        self._may_have_hooks = True
        return _register(self._forward_pre_hooks, hook, prepend, flags, [self._forward_pre_hooks_with_kwargs])

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """`hook(module, args, output) -> None or modified output` after forward.

        always_call: also when forward raises (with output None).
        """
        flags = [self._forward_hooks_with_kwargs] if with_kwargs else []
        if always_call:
            flags.append(self._forward_hooks_always_called)
        extra = [self._forward_hooks_with_kwargs, self._forward_hooks_always_called]
        self._may_have_hooks = True
        return _register(self._forward_hooks, hook, prepend, flags, extra)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """`hook(module, grad_output) -> None or modified grad_output`."""
        self._may_have_hooks = True
        return _register(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """`hook(module, grad_input, grad_output) -> None or modified grad_input`."""
        if self._is_full_backward_hook is False:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = True
        self._may_have_hooks = True
        return _register(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """The older form: sees the gradients of the last node of the forward only."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = False
        self._may_have_hooks = True
        return _register(self._backward_hooks, hook, False)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """`hook(module, state_dict, prefix, local_metadata) -> None`, after `state_dict()`."""
        hook._from_public_api = True
        return _register(self._state_dict_hooks, hook, False)

    def _register_state_dict_hook(self, hook: Callable) -> RemovableHandle:
        """As `register_state_dict_post_hook`; the hook may return another dictionary."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return _register(self._state_dict_hooks, hook, False)

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """`hook(module, prefix, keep_vars) -> None`, before `state_dict()`."""
        return _register(self._state_dict_pre_hooks, hook, False)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """`hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Callable, with_module: bool = False) -> RemovableHandle:
        return _register(self._load_state_dict_pre_hooks, LoadPreHook(hook, self if with_module else None), False)

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """`hook(module, incompatible_keys) -> None`, after `load_state_dict`; may clear the lists in place."""
        return _register(self._load_state_dict_post_hooks, hook, False)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """A call with hooks: pre-hooks, forward, hooks, and the identity nodes that backward hooks stand on."""
        if not (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or global_hooks
        ):
            self._may_have_hooks = False
            return self.forward(*args, **kwargs)
        full_hooks, plain_hooks = self._get_backward_hooks()
        pre_hooks = self._get_backward_pre_hooks()
        ran: set[int] = set()
        try:
            args, kwargs = self._run_forward_pre_hooks(args, kwargs)
            backward = None
            if full_hooks or pre_hooks:
                backward = BackwardHook(self, full_hooks, pre_hooks)
                args = backward.setup_input_hook(args)
            result = self.forward(*args, **kwargs)
            for id_, hook, with_kwargs in self._forward_hooks_in_order():
                ran.add(id_)
                new = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
                if new is not None:
                    result = new
            if backward is not None:
                if not isinstance(result, (numtorch.Tensor, tuple)):
                    warnings.warn(
                        "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                        f"but received {type(result)}",
                        stacklevel=3,
                    )
                else:
                    result = backward.setup_output_hook(result)
            if plain_hooks:
                _attach_plain_backward_hooks(self, plain_hooks, args, result)
            return result
        except BaseException:
            self._run_always_called(ran, args, kwargs)
            raise

    def _run_forward_pre_hooks(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        hooks = [(h, False) for kind, h, _ in global_hooks.values() if kind == "forward_pre"]
        hooks += [(h, i in self._forward_pre_hooks_with_kwargs) for i, h in self._forward_pre_hooks.items()]
        for hook, with_kwargs in hooks:
            if with_kwargs:
                new = hook(self, args, kwargs)
                if new is not None:
                    if not (isinstance(new, tuple) and len(new) == 2):
                        raise RuntimeError(
                            f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {new}."
                        )
                    args, kwargs = new
            else:
                new = hook(self, args)
                if new is not None:
                    args = new if isinstance(new, tuple) else (new,)
        return args, kwargs

    def _forward_hooks_in_order(self) -> list[tuple[int, Callable, bool]]:
        hooks = [(i, h, "with_kwargs" in o) for i, (k, h, o) in global_hooks.items() if k == "forward"]
        hooks += [(i, h, i in self._forward_hooks_with_kwargs) for i, h in self._forward_hooks.items()]
        return hooks

    def _run_always_called(self, ran: set[int], args: tuple, kwargs: dict) -> None:
        """After an exception: the forward hooks registered with always_call=True that have not run yet."""
        always = {i for i, (k, _, o) in global_hooks.items() if k == "forward" and "always_call" in o}
        always.update(self._forward_hooks_always_called)
        for id_, hook, with_kwargs in self._forward_hooks_in_order():
            if id_ not in always or id_ in ran:
                continue
            try:
                if with_kwargs:
                    hook(self, args, kwargs, None)
                else:
                    hook(self, args, None)
            except Exception as e:  # the error of forward must reach the caller, whatever a hook does
                warnings.warn(
                    "module forward hook with ``always_call=True`` raised an exception "
                    f"that was silenced as another error was raised in forward: {e}",
                    stacklevel=3,
                )

    def _get_backward_hooks(self) -> tuple[list[Callable], list[Callable]]:
        full = [h for kind, h, _ in global_hooks.values() if kind == "full_backward"]
        plain = [h for kind, h, _ in global_hooks.values() if kind == "backward"]
        if self._is_full_backward_hook is True:
            full += self._backward_hooks.values()
        elif self._is_full_backward_hook is False:
            plain += self._backward_hooks.values()
        return full, plain

    def _get_backward_pre_hooks(self) -> list[Callable]:
        hooks = [h for kind, h, _ in global_hooks.values() if kind == "backward_pre"]
        return hooks + list(self._backward_pre_hooks.values())


class LoadPreHook:
    """A load_state_dict pre-hook with the module it is to be called with, held weakly (None: without a module)."""

    def __init__(self, hook: Callable, module: Any = None) -> None:
        self.hook = hook
        self.with_module = module is not None
        self.module = weakref.ref(module) if module is not None else None

    def __call__(self, *args: Any) -> Any:
        if not self.with_module:
            return self.hook(*args)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args)

    def __getstate__(self) -> dict:
        return {"hook": self.hook, "with_module": self.with_module, "module": self.module and self.module()}

    def __setstate__(self, state: dict) -> None:
        self.hook, self.with_module = state["hook"], state["with_module"]
        self.module = weakref.ref(state["module"]) if state["module"] is not None else None


def _register(hooks: OrderedDict, hook: Callable, prepend: bool, flags=(), extra=()) -> RemovableHandle:
    handle = RemovableHandle(hooks, extra_dict=list(extra))
    hooks[handle.id] = hook
    for flagged in flags:
        flagged[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _attach_plain_backward_hooks(module, hooks: list[Callable], args: tuple, result: Any) -> None:
    """Old-style backward hooks stand on the node of the first tensor of the output."""
    var = result
    while not isinstance(var, numtorch.Tensor):
        var = next(v for v in var.values() if isinstance(v, numtorch.Tensor)) if isinstance(var, dict) else var[0]
    node = var.grad_fn
    if node is None:
        return
    _warn_plain_backward_hook(args, result, node)
    for hook in hooks:
        node.register_hook(_PlainBackwardHook(hook, module))


class _PlainBackwardHook:
    def __init__(self, hook: Callable, module) -> None:
        self.hook, self.module = hook, module

    def __call__(self, grad_inputs: tuple, grad_outputs: tuple) -> Any:
        return self.hook(self.module, grad_inputs, grad_outputs)


def _warn_plain_backward_hook(args: tuple, result: Any, node) -> None:
    """An old-style hook sees what its documentation says only where forward is a single node."""
    message = None
    if not isinstance(result, (tuple, numtorch.Tensor)):
        message = (
            "Using non-full backward hooks on a Module that does not return a single Tensor or a tuple of "
            "Tensors is deprecated and will be removed in future versions. This hook will be missing some of the "
            "grad_output. Please use register_full_backward_hook to get the documented behavior."
        )
    elif isinstance(result, tuple):
        message = (
            "Using non-full backward hooks on a Module that does not return a single Tensor is deprecated and will "
            "be removed in future versions. This hook will be missing some of the grad_output. Please use "
            "register_full_backward_hook to get the documented behavior."
        )
    elif not all(isinstance(a, numtorch.Tensor) for a in args):
        message = (
            "Using non-full backward hooks on a Module that does not take as input a single Tensor or a tuple of "
            "Tensors is deprecated and will be removed in future versions. This hook will be missing some of the "
            "grad_input. Please use register_full_backward_hook to get the documented behavior."
        )
    else:
        inputs = {a.grad_fn for a in args if a.grad_fn is not None}
        following = {n for n, _ in node.next_functions}
        if inputs != following:
            message = (
                "Using a non-full backward hook when the forward contains multiple autograd Nodes is deprecated and "
                "will be removed in future versions. This hook will be missing some grad_input. Please use "
                "register_full_backward_hook to get the documented behavior."
            )
    if message:
        warnings.warn(message, FutureWarning, stacklevel=5)
