"""From a list of samples to one batch, whatever the samples are made of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import numtorch
from numtorch._tensor import Tensor

__all__ = ["collate", "default_collate", "default_convert"]

_TEXT_KINDS = "SaUO"  # numpy arrays of strings and objects are not numbers
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def _same_mapping(like: Mapping, items: dict) -> Any:
    """A mapping of the type of `like`, with its further attributes if it has any; a dict where that is impossible."""
    try:
        if isinstance(like, MutableMapping):
            result = copy.copy(like)
            result.update(items)
            return result
        return type(like)(items)
    except TypeError:
        return items


def _same_sequence(like: Sequence, items: list) -> Any:
    """The same for a sequence (a range, say, can not hold tensors and becomes a list)."""
    try:
        if isinstance(like, MutableSequence):
            result = copy.copy(like)
            for i, item in enumerate(items):
                result[i] = item
            return result
        return type(like)(items)
    except TypeError:
        return items


def default_convert(data: Any) -> Any:
    """numpy arrays and numbers inside `data` as tensors, the rest as it is."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        if isinstance(data, np.ndarray) and data.dtype.kind in _TEXT_KINDS or isinstance(data, np.str_):
            return data
        return numtorch.as_tensor(data)
    if isinstance(data, Mapping):
        return _same_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(item) for item in data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _same_sequence(data, [default_convert(item) for item in data])
    return data


def collate(batch: Sequence, *, collate_fn_map: dict[type | tuple[type, ...], Callable] | None = None) -> Any:
    """One batch of many samples: containers are turned inside out, their leaves joined by `collate_fn_map`.

    The map goes from type (exact, else the first that the leaf is an instance of) to a function of
    `(batch, *, collate_fn_map)`.
    """
    elem = batch[0]
    if collate_fn_map is not None:
        found = collate_fn_map.get(type(elem))
        if found is None:
            found = next((function for kind, function in collate_fn_map.items() if isinstance(elem, kind)), None)
        if found is not None:
            return found(batch, collate_fn_map=collate_fn_map)

    def joined(samples: Sequence) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(elem, Mapping):
        return _same_mapping(elem, {key: joined([sample[key] for sample in batch]) for key in elem})
    if isinstance(elem, tuple) and hasattr(elem, "_fields"):
        return type(elem)(*(joined(samples) for samples in zip(*batch, strict=False)))
    if isinstance(elem, Sequence):
        if not all(len(sample) == len(elem) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [joined(samples) for samples in zip(*batch, strict=True)]
        return columns if isinstance(elem, tuple) else _same_sequence(elem, columns)
    raise TypeError(default_collate_err_msg_format.format(type(elem)))


def collate_tensor_fn(batch, *, collate_fn_map=None) -> Tensor:
    return numtorch.stack(list(batch), 0)


def collate_numpy_array_fn(batch, *, collate_fn_map=None) -> Any:
    if batch[0].dtype.kind in _TEXT_KINDS:
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return collate([numtorch.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch, *, collate_fn_map=None) -> Tensor:
    return numtorch.as_tensor(np.asarray(batch))


def collate_float_fn(batch, *, collate_fn_map=None) -> Tensor:
    return numtorch.tensor(batch, dtype=numtorch.float64)


def collate_int_fn(batch, *, collate_fn_map=None) -> Tensor:
    return numtorch.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None) -> Any:
    return batch


default_collate_fn_map: dict[type | tuple[type, ...], Callable] = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Sequence) -> Any:
    """A batch with one more dimension in front: tensors and arrays are stacked, numbers become tensors (float64 for
    floats), strings stay, and mappings, named tuples, tuples and lists hold the batches of their items."""
    return collate(batch, collate_fn_map=default_collate_fn_map)
