"""The options of linear_cross_entropy's chunked form."""

from __future__ import annotations

import dataclasses

import numtorch

__all__ = ["LinearCrossEntropyOptions"]


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """How torch trades memory for time in linear_cross_entropy; here they are checked, and the loss is computed whole.

    allow_retain_graph: whether backward may run twice (here it always may). batch_chunk_size: rows of a chunk.
    chunking_method: "auto", "aspect_ratio", "aspect_ratio:N" or None. acc_policy: "auto", "accurate", "balanced" or
    "compact". acc_dtype: the dtype of sums, or None. ValueError for other values.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: numtorch.dtype | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto"):
            name, separator, factor = self.chunking_method.partition(":")
            if name != "aspect_ratio" or separator and not (factor.isdigit() and int(factor) > 0):
                raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        floats = (numtorch.float16, numtorch.bfloat16, numtorch.float32, numtorch.float64)
        if self.acc_dtype is not None and self.acc_dtype not in floats:
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, torch.float64}, got "
                f"{self.acc_dtype!r}. Pass acc_dtype=None to let the op pick automatically."
            )
