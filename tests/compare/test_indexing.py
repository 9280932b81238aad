"""Index expressions of every kind, read, written and differentiated, against torch: values, strides and errors."""

import random
import warnings
from operator import getitem, setitem

import numpy as np
import pytest

import numtorch

torch = pytest.importorskip("torch", minversion="2.13")


def random_item(rng: random.Random, n: int):
    """One item of an expression for a dimension of size n; now and then an index that is out of range."""
    bad = rng.random() < 0.05
    kind = rng.random()
    if kind < 0.2:
        return rng.randint(-n - bad, n - 1 + bad) if n else 0
    if kind < 0.45:
        return slice(
            rng.choice([None, 0, 1, -1, -2, 5]), rng.choice([None, 0, 1, -1, 3, 9]), rng.choice([None, 1, 2, 3])
        )
    if kind < 0.55:
        return None
    if kind < 0.6:
        return Ellipsis
    if kind < 0.63:
        return rng.random() < 0.5
    shape = rng.choice([(), (1,), (2,), (3,), (2, 1), (1, 3), (2, 3), (0,)])
    if kind < 0.9:
        values = [rng.randint(-max(n, 1) - bad, max(n, 1) - 1 + bad) for _ in range(int(np.prod(shape)))]
        return np.array(values, rng.choice([np.int64, np.int32])).reshape(shape)
    return np.array([rng.random() < 0.5 for _ in range(n)], np.bool_)


def random_case(rng: random.Random):
    """(shape, permutation of the dimensions, key)."""
    shape = tuple(rng.choice([0, 1, 2, 3, 4] if rng.random() < 0.1 else [1, 2, 3, 4]) for _ in range(rng.randint(0, 4)))
    order = list(range(len(shape)))
    if rng.random() < 0.3:
        rng.shuffle(order)
    seen = [shape[d] for d in order]
    items, dim = [], 0
    for _ in range(rng.randint(0, len(shape) + 1)):
        item = random_item(rng, seen[dim] if dim < len(seen) else 1)
        if item is Ellipsis and any(each is Ellipsis for each in items):
            continue
        items.append(item)
        dim += not (item is None or item is Ellipsis or isinstance(item, bool))
    if len(seen) >= 2 and rng.random() < 0.1:
        mask = np.array([rng.random() < 0.5 for _ in range(seen[0] * seen[1])]).reshape(seen[:2])
        items = [mask, *items[:1]]
    key = items[0] if len(items) == 1 and rng.random() < 0.5 else tuple(items)
    return shape, order, key


def for_library(library, key):
    if isinstance(key, tuple):
        return tuple(for_library(library, each) for each in key)
    return library.from_numpy(key.copy()) if isinstance(key, np.ndarray) else key


def attempt(call, *args):
    try:
        return call(*args)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        return error


def first_line(error) -> tuple:
    return type(error), str(error).split("\n")[0]


@pytest.mark.parametrize("seed", range(8))
def test_index_expressions(seed):
    rng = random.Random(seed)
    for _ in range(150):
        shape, order, key = random_case(rng)
        values = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
        x, y = (library.from_numpy(values.copy()).permute(order) for library in (numtorch, torch))
        ours, theirs = for_library(numtorch, key), for_library(torch, key)
        got, want = attempt(getitem, x, ours), attempt(getitem, y, theirs)
        where = f"{shape} {order} {key}"
        if isinstance(want, Exception):
            assert first_line(got) == first_line(want), where
            continue
        assert not isinstance(got, Exception), (where, got)
        assert tuple(got.shape) == tuple(want.shape), where
        np.testing.assert_array_equal(got.numpy(), want.numpy(), where)
        if want._is_view() and want.numel():
            assert got.stride() == want.stride() and got.storage_offset() == want.storage_offset(), where
        check_writes(x, y, ours, theirs, want, where)
        check_gradient(values, order, ours, theirs, where)


def check_writes(x, y, ours, theirs, part, where):
    for value in (2.5, np.arange(part.numel()) + 50.0, np.arange(part.numel()) + 70.0):
        a, b = x.clone(), y.clone()
        if isinstance(value, float):
            given, other = value, value
        else:
            shaped = value.reshape(tuple(part.shape))
            given, other = numtorch.from_numpy(shaped.copy()), torch.from_numpy(shaped)
        first, second = attempt(setitem, a, ours, given), attempt(setitem, b, theirs, other)
        assert type(first) is type(second), (where, first, second)
        np.testing.assert_array_equal(a.numpy(), b.numpy(), where)


def check_gradient(values, order, ours, theirs, where):
    found = []
    for library, key in ((numtorch, ours), (torch, theirs)):
        leaf = library.from_numpy(values.copy()).requires_grad_()
        part = (leaf.permute(order) * 1)[key]
        weights = np.cos(np.arange(part.numel())).reshape(tuple(part.shape))
        part.backward(library.from_numpy(np.array(weights)))
        found.append((part.grad_fn.name(), leaf.grad.numpy()))
    assert found[0][0] == found[1][0], where
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-14, err_msg=where)


def test_lists_that_torch_reads_as_tuples():
    x, y = numtorch.arange(12).reshape(3, 4), torch.arange(12).reshape(3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key in ([[0, 1], [1, 2]], [slice(0, 2), 1], [0, 1], [True, False, True], [], [[0, 1]], range(2), [1, None]):
            got, want = attempt(getitem, x, key), attempt(getitem, y, key)
            if isinstance(want, Exception):
                assert first_line(got) == first_line(want), key
            else:
                assert got.tolist() == want.tolist(), key
