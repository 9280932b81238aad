"""Operators by family. Importing a module here registers what it defines (see numtorch/_registry.py)."""

from . import (  # noqa: F401
    arithmetic,
    conversion,
    creation,
    elementary,
    joining,
    matmul,
    shape,
)
