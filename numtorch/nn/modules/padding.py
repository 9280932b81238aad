"""Padding as modules. Sizes in F.pad's order: the last dimension first, two numbers each."""

from __future__ import annotations

from numtorch._tensor import Tensor
from numtorch.nn import functional as F
from numtorch.nn.modules._sizes import ntuple
from numtorch.nn.modules.module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _PadNd(Module):
    """Padding of the last `_dims` dimensions in `_mode`."""

    __constants__ = ["padding"]
    _dims: int
    _mode: str

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self._dims)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    """The other end of the input follows each end."""

    _mode = "circular"

    def _check_input_dim(self, input: Tensor) -> None:
        n = self._dims
        if input.dim() not in (n + 1, n + 2):
            raise ValueError(f"expected {n + 1}D or {n + 2}D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return F.pad(input, self.padding, self._mode)


class CircularPad1d(_CircularPadNd):
    """(N, C, L) or (C, L), padded circularly."""

    _dims = 1


class CircularPad2d(_CircularPadNd):
    """(N, C, H, W) or (C, H, W), padded circularly."""

    _dims = 2


class CircularPad3d(_CircularPadNd):
    """(N, C, D, H, W) or (C, D, H, W), padded circularly."""

    _dims = 3


class _ConstantPadNd(_PadNd):
    """`value` follows each end."""

    __constants__ = ["padding", "value"]

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """The last dimension, padded with `value`."""

    _dims = 1


class ConstantPad2d(_ConstantPadNd):
    """The last two dimensions, padded with `value`."""

    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    """The last three dimensions, padded with `value`."""

    _dims = 3


class ZeroPad1d(ConstantPad1d):
    """The last dimension, padded with zeros."""

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """The last two dimensions, padded with zeros."""

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """The last three dimensions, padded with zeros."""

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPadNd(_PadNd):
    """The input mirrored at each end, without the end itself."""

    _mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """(N, C, L) or (C, L), mirrored."""

    _dims = 1


class ReflectionPad2d(_ReflectionPadNd):
    """(N, C, H, W) or (C, H, W), mirrored."""

    _dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    """(N, C, D, H, W) or (C, D, H, W), mirrored."""

    _dims = 3


class _ReplicationPadNd(_PadNd):
    """The end of the input repeated."""

    _mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """(N, C, L) or (C, L), its ends repeated."""

    _dims = 1


class ReplicationPad2d(_ReplicationPadNd):
    """(N, C, H, W) or (C, H, W), its ends repeated."""

    _dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    """(N, C, D, H, W) or (C, D, H, W), its ends repeated."""

    _dims = 3
