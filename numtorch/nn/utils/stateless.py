"""A module called with other parameters than its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numtorch._tensor import Tensor
from numtorch.nn.modules.module import Module

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with the named tensors in place of its parameters and buffers, which come back after.

    tie_weights: a tensor given for one name also stands for the other names of the same parameter.
    """
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    given = dict(parameters_and_buffers)
    own = dict(module.named_parameters(remove_duplicate=False))
    own.update(module.named_buffers(remove_duplicate=False))
    if tie_weights:
        by_tensor = {id(own[name]): value for name, value in given.items() if name in own}
        for name, tensor in own.items():
            if id(tensor) in by_tensor:
                given.setdefault(name, by_tensor[id(tensor)])
    if strict:
        unexpected, missing = [n for n in given if n not in own], [n for n in own if n not in given]
        if unexpected or missing:
            raise RuntimeError(
                "Error(s) in passing parameters_and_buffers for functional_call: "
                f"unexpected key(s) {unexpected}, missing key(s) {missing}"
            )
    swapped = []
    try:
        for name, value in given.items():
            path, _, attribute = name.rpartition(".")
            owner = module.get_submodule(path)
            table = owner._parameters if attribute in owner._parameters else owner._buffers
            if attribute not in table:
                raise AttributeError(f"{owner._get_name()} has no attribute `{attribute}`")
            swapped.append((table, attribute, table[attribute]))
            table[attribute] = value
        return module(*args, **(kwargs or {}))
    finally:
        for table, attribute, original in reversed(swapped):
            table[attribute] = original
