"""Global switches and small questions: deterministic algorithms, print options, is_tensor."""

from __future__ import annotations

from numtorch.kernels.cpu.winograd_plan import allow_winograd

from ._tensor import Tensor
from ._tensor_str import set_printoptions

_deterministic = {"enabled": False, "warn_only": False}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for kernels whose results do not depend on scheduling; all of numtorch's CPU kernels are such.

    Convolutions then also leave Winograd's algorithm, whose rounding depends on the shape of the batch.
    """
    _deterministic.update(enabled=bool(mode), warn_only=bool(warn_only))
    allow_winograd(not mode)


def are_deterministic_algorithms_enabled() -> bool:
    """Whether use_deterministic_algorithms(True) is in force."""
    return _deterministic["enabled"]


def is_tensor(obj) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj) -> bool:
    """Whether `obj` is a storage."""
    from .storage import TypedStorage, UntypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


def typename(obj) -> str:
    """The legacy type name of a tensor ("torch.FloatTensor"), the qualified class name of anything else."""
    if isinstance(obj, Tensor):
        return obj.type()
    cls = obj if isinstance(obj, type) else type(obj)
    module = "" if cls.__module__ in ("builtins", "__builtin__", None) else cls.__module__ + "."
    return module + cls.__qualname__


__all__ = [
    "are_deterministic_algorithms_enabled",
    "is_storage",
    "is_tensor",
    "set_printoptions",
    "typename",
    "use_deterministic_algorithms",
]
