"""no_grad and its kin, at the place where torch has them."""

from numtorch.graph import enable_grad, inference_mode, mode, no_grad, set_grad_enabled
from numtorch.graph.grad_mode import ContextDecorator


class set_multithreading_enabled(ContextDecorator):
    """Accepted for compatibility: backward runs in the calling thread here, whatever the setting."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass

    def clone(self) -> "set_multithreading_enabled":
        return type(self)(self.mode)


__all__ = [
    "enable_grad",
    "inference_mode",
    "mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]
