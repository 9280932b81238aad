"""Storage: the flat buffer behind one or more tensors."""

from __future__ import annotations

import numpy as np

from ._device import cpu


class Storage:
    """A flat 1-D buffer, its device and its version counter; shared by all views of a tensor.

    `version` counts in-place writes. `Tensor.data` makes a second Storage over the same buffer, since torch gives it
    a counter of its own: that is why a change through `.data` goes unnoticed by the graph.
    """

    __slots__ = ("buffer", "version", "device", "__weakref__")

    def __init__(self, buffer, version: int = 0, device=cpu):
        self.buffer = buffer
        self.version = version
        self.device = device

    @property
    def nbytes(self) -> int:
        """How many bytes it holds."""
        return self.buffer.nbytes

    @property
    def address(self) -> int:
        """Where its first byte lies."""
        return self.buffer.__array_interface__["data"][0]

    @property
    def np_dtype(self) -> np.dtype:
        """The numpy dtype of the buffer."""
        return self.buffer.dtype

    def twin(self, version: int) -> Storage:
        """Another storage over the same buffer, with a version counter of its own."""
        return Storage(self.buffer, version, self.device)
