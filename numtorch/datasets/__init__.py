"""A data set small enough to come with the package: handwritten digits, so that there is something to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import numtorch
from numtorch.utils.data import TensorDataset

__all__ = ["Digits", "load_digits"]

_FILE = Path(__file__).parent / "data" / "digits.npz"
_HELD_OUT = 360  # a fifth
_SPLIT_SEED = 0


def load_digits() -> tuple[numtorch.Tensor, numtorch.Tensor]:
    """All 1,797 images, float32 (1797, 1, 8, 8) in [0, 1], and their labels, int64 (1797).

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, CC BY 4.0 (see data/SOURCE.md).
    """
    with np.load(_FILE, allow_pickle=False) as arrays:
        images = arrays["images"].astype(np.float32)[:, None] / np.float32(16)
        labels = arrays["labels"].astype(np.int64)
    return numtorch.from_numpy(images), numtorch.from_numpy(labels)


class Digits(TensorDataset):
    """The digits as a dataset of `(image, label)`: 1,437 to train on, or 360 others to test with; always the same."""

    def __init__(self, train: bool = True) -> None:
        images, labels = load_digits()
        generator = numtorch.Generator().manual_seed(_SPLIT_SEED)
        order = numtorch.randperm(len(labels), generator=generator)
        chosen = order[_HELD_OUT:] if train else order[:_HELD_OUT]
        super().__init__(images[chosen], labels[chosen])
