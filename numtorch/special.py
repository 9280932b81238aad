"""torch.special: special functions, filled from the operator registry."""

from __future__ import annotations

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from . import ops as _ops  # noqa: F401 (fills the registry)
from ._registry import FUNCTIONS as _FUNCTIONS

globals().update(_FUNCTIONS["special"])

# Functions that torch publishes in torch.special under the names they have elsewhere.
for _name in ("softmax", "log_softmax", "logsumexp"):
    if _name in _FUNCTIONS[""]:
        globals()[_name] = _FUNCTIONS[""][_name]

if _TYPE_CHECKING:

    def __getattr__(name: str) -> _Any: ...
