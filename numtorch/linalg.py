"""Linear algebra under torch's names: `numtorch.linalg.solve`, `svd`, `norm` and so on.

The operators are defined in `numtorch/ops` (linalg, solve, decompositions, singular_values, norms) and published from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._registry import FUNCTIONS
from .ops.linalg import LinAlgError

globals().update(FUNCTIONS["linalg"])

__all__ = ["LinAlgError", *FUNCTIONS["linalg"]]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
