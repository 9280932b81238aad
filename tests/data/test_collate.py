"""default_collate and default_convert: what batches of what become."""

from collections import OrderedDict, UserList, namedtuple

import numpy as np
import pytest

import numtorch as torch
from numtorch.utils.data import default_collate, default_convert
from numtorch.utils.data._utils.collate import collate

Point = namedtuple("Point", "x y")


def plain(value):
    """Tensors as (dtype, list), so that == compares everything."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), value.tolist())
    if isinstance(value, dict):
        return type(value)((key, plain(item)) for key, item in value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(plain, value))
    if isinstance(value, (list, tuple, UserList)):
        return type(value)(map(plain, value))
    return value


def i64(*values):
    return ("torch.int64", list(values))


def f64(*values):
    return ("torch.float64", list(values))


@pytest.mark.parametrize(
    "batch, expected",
    [
        ([1, 2, 3], i64(1, 2, 3)),
        ([1.5, 2], f64(1.5, 2.0)),
        ([True, False], ("torch.bool", [True, False])),
        (["a", "b"], ["a", "b"]),
        ([b"a"], [b"a"]),
        ([np.float32(1), np.float32(2)], ("torch.float32", [1.0, 2.0])),
        ([np.arange(2), np.arange(2) * 2], i64([0, 1], [0, 2])),
        ([np.array(1), np.array(2)], i64(1, 2)),
        ([(1, "a"), (2, "b")], [i64(1, 2), ("a", "b")]),
        ([[1, 2], [3, 4]], [i64(1, 3), i64(2, 4)]),
        ([{"x": 1, "y": [1.0]}, {"x": 2, "y": [3.0]}], {"x": i64(1, 2), "y": [f64(1.0, 3.0)]}),
        ([OrderedDict(a=1), OrderedDict(a=2)], OrderedDict(a=i64(1, 2))),
        ([Point(1, 2.0), Point(3, 4.0)], Point(i64(1, 3), f64(2.0, 4.0))),
        ([UserList([1]), UserList([2])], UserList([i64(1, 2)])),
        ([range(2), range(2)], [i64(0, 0), i64(1, 1)]),
    ],
)
def test_default_collate(batch, expected):
    found = plain(default_collate(batch))
    assert found == expected and type(found) is type(expected)


def test_tensors_are_stacked():
    batch = default_collate([torch.ones(2), torch.zeros(2)])
    assert batch.tolist() == [[1, 1], [0, 0]] and batch.dtype is torch.float32


@pytest.mark.parametrize(
    "batch, error, message",
    [
        ([None, None], TypeError, "batch must contain tensors, numpy arrays, .* found <class 'NoneType'>"),
        ([np.array(["a"])], TypeError, "batch must contain tensors, numpy arrays, .* found <U1"),
        ([[1], [1, 2]], RuntimeError, "each element in list of batch should be of equal size"),
        (
            [torch.ones(2), torch.ones(3)],
            RuntimeError,
            r"equal size, but got \[2\] at entry 0 and \[3\] at entry 1",
        ),
    ],
)
def test_errors(batch, error, message):
    with pytest.raises(error, match=message):
        default_collate(batch)


@pytest.mark.parametrize(
    "data, expected",
    [
        (1, 1),
        ("a", "a"),
        (np.array([1, 2]), i64(1, 2)),
        (np.int64(3), ("torch.int64", 3)),
        ({"a": np.array([1])}, {"a": i64(1)}),
        ((np.array([1]), 2), [i64(1), 2]),
        ([np.array([1])], [i64(1)]),
        (Point(np.array([1]), 0), Point(i64(1), 0)),
    ],
)
def test_default_convert(data, expected):
    assert plain(default_convert(data)) == expected


def test_collate_with_a_map_of_ones_own():
    count = {int: lambda batch, *, collate_fn_map: len(batch)}
    assert collate([{"a": 1}, {"a": 2}], collate_fn_map=count) == {"a": 2}
