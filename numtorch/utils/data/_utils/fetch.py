"""From indices to a batch: the part of a DataLoader that touches the dataset."""

from __future__ import annotations

from typing import Any

import numtorch

from ..dataset import Subset, TensorDataset
from .collate import default_collate


class MapFetcher:
    """Looks samples up by index."""

    def __init__(self, dataset, auto_collation: bool, collate_fn, drop_last: bool) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self._gathers = auto_collation and collate_fn is default_collate and _is_plain(dataset)

    def fetch(self, index: Any) -> Any:
        if not self.auto_collation:
            return self.collate_fn(self.dataset[index])
        if self._gathers:
            batch = _gather(self.dataset, index)
            if batch is not None:
                return batch
        batched = getattr(self.dataset, "__getitems__", None)
        samples = batched(index) if batched else [self.dataset[i] for i in index]
        return self.collate_fn(samples)


class IterableFetcher:
    """Takes the next samples of a stream, as many as it is given indices."""

    def __init__(self, dataset, auto_collation: bool, collate_fn, drop_last: bool) -> None:
        self.stream = iter(dataset)
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.ended = False

    def fetch(self, index: Any) -> Any:
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.stream))
        samples = []
        for _ in index:
            try:
                samples.append(next(self.stream))
            except StopIteration:
                self.ended = True
                break
        if not samples or (self.drop_last and len(samples) < len(index)):
            raise StopIteration
        return self.collate_fn(samples)


def _is_plain(dataset) -> bool:
    """Whether batches of it are rows of tensors, so that one gather does what indexing and stacking each row would."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return (
        isinstance(dataset, TensorDataset)
        and type(dataset).__getitem__ is TensorDataset.__getitem__
        and not hasattr(dataset, "__getitems__")
        and not any(t.requires_grad or type(t) is not numtorch.Tensor for t in dataset.tensors)
    )


def _gather(dataset, index: list[int]) -> list | None:
    """The rows at `index` of each tensor; None where an index is no plain int and may mean something else."""
    while type(dataset) is Subset:
        index = [dataset.indices[i] for i in index]
        dataset = dataset.dataset
    if not all(type(i) is int for i in index):
        return None
    rows = numtorch.tensor(index, dtype=numtorch.int64)
    return [tensor[rows] for tensor in dataset.tensors]
