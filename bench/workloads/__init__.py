"""The workloads, written once against a module called `torch`, which may be torch or numtorch.

A family is a module of this package with `FAMILY = Family("name")`; a workload is a function that takes the
library, prepares its data and returns a callable, one call of which is measured:

    @FAMILY.workload("add")
    def add(torch):
        x, y = torch.rand(100), torch.rand(100)
        return lambda: x + y
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

FAMILIES = (
    "overhead", "pointwise", "reductions", "indexing", "sorting", "matmul", "conv", "pooling", "norm", "rnn",
    "optim", "training",
)  # fmt: skip


class Family:
    """The workloads of one module by name, in the order of their definition."""

    def __init__(self, name: str):
        self.name = name
        self.workloads: dict[str, Callable] = {}

    def workload(self, name: str) -> Callable[[Callable], Callable]:
        """Register the decorated `prepare(torch) -> run` under `name`."""

        def register(prepare):
            if name in self.workloads:
                raise ValueError(f"{self.name} has two workloads called {name!r}")
            self.workloads[name] = prepare
            return prepare

        return register


def load(name: str) -> Family:
    """The family called `name`."""
    return importlib.import_module(f"{__name__}.{name}").FAMILY
