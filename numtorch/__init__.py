"""numtorch: PyTorch's API, semantics and numbers over kernels that are ordinary Python compiled by Numba."""

from __future__ import annotations

from pathlib import Path as _Path

# Run from a checkout without an editable install, `kernels/` and `graph/` lie beside this folder and not in it:
# let the import system look there too, so that `numtorch.kernels` is the same package either way.
_root = _Path(__file__).resolve().parent.parent
if (_root / "kernels" / "compiler.py").is_file() and (_root / "setup.cfg").is_file():
    __path__.append(str(_root))
