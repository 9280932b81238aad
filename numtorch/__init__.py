"""numtorch: PyTorch's API, semantics and numbers over kernels that are ordinary Python compiled by Numba.

    import numtorch as torch

Functions and Tensor methods come from the operator registry (numtorch/ops, one module a family); the submodules have
torch's names and load when they are first used.
"""

from __future__ import annotations

import gc as _gc
import importlib.util as _importlib_util
import math as _math
from importlib import import_module as _import_module
from pathlib import Path as _Path

# Run from a checkout without an editable install, `kernels/` and `graph/` lie beside this folder and not in it:
# let the import system look there too, so that `numtorch.kernels` is the same package either way.
_root = _Path(__file__).resolve().parent.parent
if (_root / "kernels" / "compiler.py").is_file() and (_root / "setup.cfg").is_file():
    __path__.append(str(_root))

# The import makes half a million objects and no garbage. Python's collector, which looks through all of them again and
# again as their number grows, would take a quarter of the time.
_collecting = _gc.isenabled()
_gc.disable()
try:
    _import_module(".ops", __name__)
finally:
    if _collecting:
        _gc.enable()

from numtorch.graph import (  # noqa: E402
    enable_grad,
    hide_frames_of,
    inference_mode,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)

from . import _dtype as _dtypes  # noqa: E402
from ._device import device  # noqa: E402
from ._dtype import (  # noqa: E402
    can_cast,
    dtype,
    get_default_dtype,
    promote_types,
    set_default_dtype,
)
from ._legacy import TYPES as _TYPES  # noqa: E402
from ._legacy import set_default_tensor_type  # noqa: E402
from ._registry import FUNCTIONS as _FUNCTIONS  # noqa: E402
from ._size import PublicSize as Size  # noqa: E402
from ._tensor import Tensor  # noqa: E402

hide_frames_of(str(_Path(__file__).resolve().parent))

__version__ = "0.1.0"

globals().update(_dtypes.BY_NAME)
globals().update(_dtypes.ALIASES)
globals().update(_TYPES)

from . import ops as _ops  # noqa: E402

globals().update(_FUNCTIONS[""])

from ._modes import (  # noqa: E402
    are_deterministic_algorithms_enabled,
    is_storage,
    is_tensor,
    set_printoptions,
    typename,
    use_deterministic_algorithms,
)
from ._threads import (  # noqa: E402
    get_num_interop_threads,
    get_num_threads,
    set_num_interop_threads,
    set_num_threads,
)
from .random import (  # noqa: E402
    Generator,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .serialization import load, save  # noqa: E402

# Public classes go by the package's name, as torch.Tensor does, wherever they are defined.
for _class in (Tensor, Size, dtype, device, Generator):
    _class.__module__ = __name__

inf = _math.inf
nan = _math.nan
pi = _math.pi
e = _math.e
newaxis = None

strided = Tensor.layout
contiguous_format = "torch.contiguous_format"
preserve_format = "torch.preserve_format"
channels_last = "torch.channels_last"

_SUBMODULES = frozenset(
    [
        "autograd",
        "backends",
        "cli",
        "cpu",
        "cuda",
        "datasets",
        "fft",
        "extend",
        "linalg",
        "masked",
        "nn",
        "optim",
        "random",
        "return_types",
        "serialization",
        "signal",
        "special",
        "storage",
        "utils",
    ]
)


def __getattr__(name: str):
    if name in _SUBMODULES and _importlib_util.find_spec("numtorch." + name):
        return _import_module("." + name, __name__)
    if name in ("UntypedStorage", "TypedStorage") or name.endswith("Storage"):
        storage = _import_module(".storage", __name__)
        if hasattr(storage, name):
            return globals().setdefault(name, getattr(storage, name))
    if name in ("finfo", "iinfo"):
        return globals().setdefault(name, getattr(_import_module("._limits", __name__), name))
    raise AttributeError(f"module 'torch' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *_SUBMODULES, "finfo", "iinfo"})
