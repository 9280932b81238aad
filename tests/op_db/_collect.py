"""Finds the rows of every family module."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from ._row import Op


def all_ops() -> list[Op]:
    """Every row, by module and in the modules' order."""
    found: list[Op] = []
    for module in sorted(pkgutil.iter_modules([str(Path(__file__).parent)]), key=lambda each: each.name):
        if module.name.startswith("_"):
            continue
        found.extend(importlib.import_module(f"{__package__}.{module.name}").OPS)
    return found
