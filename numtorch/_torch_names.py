"""The names that pickles give to classes and functions: torch's in every file, numtorch's in every process.

A checkpoint written here must open in torch, so the pickle says `torch.nn.modules.linear.Linear` where the object is
numtorch's; and a checkpoint that torch wrote must open here, so its names are looked up under numtorch.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

# Where a name stands in torch when it can not be found by following numtorch's own public modules.
_TORCH_HOME = {
    "Size": "torch",
    "device": "torch",
    "Tensor": "torch",
    "_rebuild_tensor_v2": "torch._utils",
    "_rebuild_parameter": "torch._utils",
    "_rebuild_parameter_with_state": "torch._utils",
    "_rebuild_from_type_v2": "torch._tensor",
    "Parameter": "torch.nn.parameter",
    "Buffer": "torch.nn.parameter",
}

# Names of torch's that stand elsewhere in numtorch.
_NUMTORCH_HOME = {
    ("torch._tensor", "_rebuild_from_type_v2"): "numtorch._utils",
    ("torch.tensor", "_rebuild_from_type_v2"): "numtorch._utils",
    ("torch.storage", "_load_from_bytes"): "numtorch.serialization",
}


def torch_name(value: Any, module: str, name: str) -> tuple[str, str]:
    """The module and name under which torch has what numtorch calls `module.name`."""
    if module != "numtorch" and not module.startswith("numtorch."):
        return module, name
    if name in _TORCH_HOME:
        return _TORCH_HOME[name], name
    parts = module.split(".")
    for length in range(1, len(parts) + 1):  # the shortest public path is the one most likely to be torch's too
        public = sys.modules.get(".".join(parts[:length]))
        if public is not None and _attribute(public, name) is value:
            return ".".join(["torch", *parts[1:length]]), name
    return "torch" + module[len("numtorch") :], name


def numtorch_object(module: str, name: str) -> Any:
    """What numtorch has under torch's `module.name`; AttributeError if there is nothing of that name."""
    home = _NUMTORCH_HOME.get((module, name))
    parts = (home or "numtorch" + module[len("torch") :]).split(".")
    for length in range(len(parts), 0, -1):  # numtorch may keep in a package what torch keeps in one of its modules
        path = ".".join(parts[:length])
        try:
            found = _attribute(importlib.import_module(path), name)
        except ModuleNotFoundError as error:
            if error.name is None or not (path + ".").startswith(error.name + "."):
                raise
            continue
        if found is not None:
            return found
    raise AttributeError(f"Can't get attribute '{name}' on '{module}': numtorch does not have it")


def _attribute(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part, None)
    return module
