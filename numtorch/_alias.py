"""Let `import torch` mean numtorch, for scripts that were written for PyTorch.

`install()` puts a finder in front of all others: `torch` and `torch.nn.functional` and so on become names for
the very same module objects as `numtorch` and `numtorch.nn.functional`. A module that numtorch does not have
raises ModuleNotFoundError that says so, even where PyTorch is installed: the two are never mixed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


class _TorchFinder:
    """Finder and loader in one: finds `torch...` and loads the numtorch module of the same name."""

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        if importlib.util.find_spec(_real(fullname)) is None:
            raise ModuleNotFoundError(f"No module named '{fullname}': numtorch has no {_real(fullname)}", name=fullname)
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(_real(spec.name))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It has run under its own name; the import system has just given it our spec, so give it back its
        # own.
        module.__spec__ = module.__spec__.loader_state


def _real(fullname: str) -> str:
    return "numtorch" + fullname[len("torch") :]


_FINDER = _TorchFinder()


def install() -> None:
    """From now on `import torch` imports numtorch; RuntimeError if PyTorch has been imported before."""
    loaded = sys.modules.get("torch")
    if loaded is not None and loaded is not sys.modules.get("numtorch"):
        raise RuntimeError("PyTorch has already been imported in this process, so `torch` cannot mean numtorch")
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def uninstall() -> None:
    """Take the finder out again and forget the names `torch...` that it gave."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
        for name in [name for name in sys.modules if name == "torch" or name.startswith("torch.")]:
            del sys.modules[name]
