"""Handles that take a registered hook away again, and the machinery of full backward hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numtorch
from numtorch._tensor import Tensor
from numtorch.graph.hooks import RemovableHandle

__all__ = ["BackwardHook", "RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


def unserializable_hook(f: Callable) -> Callable:
    """Mark `f` so that pickling a tensor that carries it as a hook warns."""
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor) -> None:
    """Warn for every backward hook of `tensor` that serialisation will drop."""
    for hook in (getattr(tensor, "_backward_hooks", None) or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can "
                "decorate the function with @torch.utils.hooks.unserializable_hook to suppress this warning",
                stacklevel=2,
            )


class BackwardHook:
    """The full backward hooks of one call of one module.

    The inputs and the outputs of the call pass through identity nodes, so that whatever the module does inside,
    one node sees the gradients of all outputs (and may change them: the pre-hooks), and one node sees the
    gradients of all inputs (and may change them: the hooks).
    """

    def __init__(self, module, hooks: list[Callable], pre_hooks: list[Callable]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: tuple | None = None
        self.n_inputs = -1
        self.n_outputs = -1
        self.input_positions: list[int] | None = None
        self.output_positions: list[int] | None = None

    def setup_input_hook(self, args: tuple) -> tuple:
        def attach(node) -> None:
            node.register_hook(self._on_grad_inputs)

        args, self.input_positions = _through_identity(args, attach)
        self.n_inputs = len(args)
        return args

    def setup_output_hook(self, outputs: Tensor | tuple) -> Tensor | tuple:
        def attach(node) -> None:
            node.register_prehook(self._on_grad_outputs)

        single = not isinstance(outputs, tuple)
        outputs, self.output_positions = _through_identity((outputs,) if single else outputs, attach)
        self.n_outputs = len(outputs)
        return outputs[0] if single else outputs

    def _on_grad_outputs(self, grads: tuple):
        full = _spread(grads, self.output_positions, self.n_outputs)
        for hook in self.pre_hooks:
            result = hook(self.module, full)
            if result is not None:
                full = self._checked(result, full, "backward pre hook", "grad_output")
        self.grad_outputs = full
        if not self.input_positions:
            # No input asks for a gradient: the hooks run here, with None for every input, and cannot change it.
            empty = _spread((), [], self.n_inputs)
            for hook in self.hooks:
                result = hook(self.module, empty, full)
                if result is not None and not (isinstance(result, tuple) and all(r is None for r in result)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None "
                        "or None for all gradients."
                    )
            self.grad_outputs = None
        return tuple(full[i] for i in self.output_positions)

    def _on_grad_inputs(self, grad_inputs: tuple, _grad_outputs: tuple):
        if self.grad_outputs is None:
            # The gradient reached the inputs and not the outputs: nothing of this module took part.
            return None
        full = _spread(grad_inputs, self.input_positions, self.n_inputs)
        for hook in self.hooks:
            result = hook(self.module, full, self.grad_outputs)
            if result is not None:
                full = self._checked(result, full, "backward hook", "grad_input")
        self.grad_outputs = None
        return tuple(full[i] for i in self.input_positions)

    @staticmethod
    def _checked(result, current: tuple, hook_kind: str, what: str) -> tuple:
        if not isinstance(result, tuple):
            result = (result,)
        if len(result) != len(current):
            raise RuntimeError(
                f"Backward hook returned an invalid number of {what}, got {len(result)}, but expected {len(current)}"
            )
        return result


def _spread(values, positions: list[int], size: int) -> tuple:
    full: list = [None] * size
    for i, value in zip(positions, values, strict=False):
        full[i] = value
    return tuple(full)


def _through_identity(values: tuple, attach: Callable) -> tuple[tuple, list[int]]:
    """Pass the tensors among `values` through one identity node if any needs a gradient, and `attach` to it."""
    positions = [i for i, v in enumerate(values) if isinstance(v, numtorch.Tensor)]
    if not (numtorch.is_grad_enabled() and any(values[i].requires_grad for i in positions)):
        return values, []
    passed = _identity().apply(*(values[i] for i in positions))
    nodes = [t.grad_fn for t in passed if t.grad_fn is not None]
    if not nodes:
        raise RuntimeError("Error while setting up backward hooks: the module's tensors have no gradient function")
    attach(nodes[0])
    full = list(values)
    for i, t in zip(positions, passed, strict=True):
        full[i] = t
    return _same_tuple(values, full), positions


def _same_tuple(like: tuple, values: list) -> tuple:
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*values)
    return tuple(values)


def _identity():
    """The identity as an autograd.Function; made on first use because numtorch.autograd imports this module."""
    global _Identity
    if _Identity is None:
        from numtorch.autograd import Function

        class BackwardHookFunction(Function):
            @staticmethod
            def forward(ctx, *args):
                ctx.mark_non_differentiable(*[a for a in args if not a.requires_grad])
                return args

            @staticmethod
            def backward(ctx, *grads):
                return grads

        _Identity = BackwardHookFunction
    return _Identity


_Identity = None
