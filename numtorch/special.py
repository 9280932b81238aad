"""torch.special: special functions, filled from the operator registry."""

from __future__ import annotations

from . import ops as _ops  # noqa: F401 (fills the registry)
from ._registry import FUNCTIONS as _FUNCTIONS

globals().update(_FUNCTIONS["special"])

# Functions that torch publishes in torch.special under the names they have elsewhere.
for _name in ("softmax", "log_softmax", "logsumexp"):
    if _name in _FUNCTIONS[""]:
        globals()[_name] = _FUNCTIONS[""][_name]
