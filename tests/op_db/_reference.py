"""The libraries that rows take their references from, imported when a reference is first called.

`numtorch gradcheck` reads the rows too, where only what numtorch itself needs may be installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Reference:
    """Stands for a module: its attributes are the module's functions."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("__"):
            raise AttributeError(name)

        def function(*args: Any, **kwargs: Any) -> Any:
            return getattr(importlib.import_module(self._module), name)(*args, **kwargs)

        return function


linalg = Reference("scipy.linalg")
special = Reference("scipy.special")
stats = Reference("scipy.stats")
