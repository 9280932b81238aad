"""Modules that learn the shape of their parameters from their first input."""

from __future__ import annotations

import warnings
from typing import Any

from numtorch.nn.parameter import is_lazy


class LazyModuleMixin:
    """Put in front of a Module's bases: the first call runs `initialize_parameters(*args)` and turns the module into
    `cls_to_become`. Until then its parameters are UninitializedParameter."""

    cls_to_become: type | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(_materialize_from_state, with_module=True)
        self._initialize_hook = self.register_forward_pre_hook(_infer_parameters, with_kwargs=True)
        warnings.warn(
            "Lazy modules are a new feature under heavy development "
            "so changes to the API or functionality can happen at any moment.",
            stacklevel=2,
        )

    def _save_to_state_dict(self, destination, prefix: str, keep_vars: bool) -> None:
        # A parameter without a shape is saved as it is: it has nothing to detach.
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = param if is_lazy(param) or keep_vars else param.detach()
        for name, buf in self._buffers.items():
            if buf is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buf if is_lazy(buf) or keep_vars else buf.detach()

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shape from the first input; a subclass overrides it."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Has a parameter or a buffer of this module no shape yet?"""
        return any(is_lazy(t) for t in (*self._parameters.values(), *self._buffers.values()))

    def _replicate_for_data_parallel(self):
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DataParallel`. Run a dummy forward pass to "
            "correctly initialize the modules"
        )


def _materialize_from_state(module, state_dict, prefix, *_: Any) -> None:
    """Before loading: parameters without a shape take that of the loaded ones."""
    for name, param in (*module._parameters.items(), *module._buffers.items()):
        key = prefix + name
        if param is not None and key in state_dict and is_lazy(param) and not is_lazy(state_dict[key]):
            param.materialize(state_dict[key].shape)


def _infer_parameters(module, args: tuple, kwargs: dict) -> None:
    """Before the first forward: shape the parameters, take the hooks away, become the ordinary class."""
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
    module._initialize_hook.remove()
    module._load_hook.remove()
    del module._initialize_hook
    del module._load_hook
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become
