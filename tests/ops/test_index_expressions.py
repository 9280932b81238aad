"""x[...] and x[...] = v with index tensors, masks and lists among integers and slices, against numpy's arrays.

Sizes lie on both sides of what one call of a kernel serves, and the tensors have every kind of layout.
"""

import numpy as np
import pytest

import numtorch as torch

FIRST, SECOND, THIRD = np.array([0, 3, -1, 2]), np.array([1, -2, 0, 1]), np.array([2, 2, 0, -3])
COLUMN, ROW = np.array([[0], [2], [-1]]), np.array([1, 3])
TABLE = np.array([[0, 1, 2], [3, -1, 0]])
ALL = slice(None)

# (size, key): a key's arrays become tensors.
EXPRESSIONS = {
    "vector": ((5, 6), (FIRST,)),
    "second dimension": ((5, 6), (ALL, FIRST)),
    "last dimension": ((4, 5, 6), (Ellipsis, FIRST)),
    "middle dimension": ((4, 5, 6), (ALL, FIRST, slice(1, None, 2))),
    "among integers": ((4, 5, 6), (2, FIRST, -1)),
    "new dimensions": ((4, 5), (None, FIRST, None)),
    "pairs": ((5, 6), (FIRST, SECOND)),
    "pairs in front": ((4, 5, 3), (FIRST, SECOND)),
    "pairs behind": ((3, 4, 5), (ALL, FIRST, SECOND)),
    "pairs apart": ((4, 3, 5), (FIRST, ALL, SECOND)),
    "pairs around an integer": ((4, 3, 5), (FIRST, 1, SECOND)),
    "pairs apart with steps": ((4, 3, 5, 4), (FIRST, slice(0, 3, 2), SECOND, slice(1, 3))),
    "column and row": ((5, 6), (COLUMN, ROW)),
    "row and column": ((5, 6), (ROW, COLUMN)),
    "one beside many": ((5, 6), (np.array([2]), FIRST)),
    "table": ((5, 6), (TABLE,)),
    "table and row": ((5, 6), (TABLE, np.array([1, 0, 2]))),
    "three": ((4, 5, 6), (FIRST, SECOND, THIRD)),
    "three levels of places": ((4, 5, 6), (COLUMN[:, :, None], COLUMN, ROW)),
    "four": ((4, 5, 6, 4), (FIRST, SECOND, THIRD, FIRST)),
    "list": ((5, 6), ([0, -1],)),
    "lists": ((5, 6), ([0, -1], [2, 2])),
    "range": ((5, 6), (ALL, range(1, 4))),
    "mask": ((4, 5), (np.arange(20).reshape(4, 5) % 3 == 0,)),
    "mask of rows": ((4, 5), (np.arange(4) != 2,)),
    "mask of columns": ((4, 5), (ALL, np.arange(5) > 1)),
    "mask of two dimensions behind": ((3, 4, 5), (ALL, np.arange(20).reshape(4, 5) % 2 == 0)),
    "mask and slice": ((4, 5), (np.arange(4) > 0, slice(1, 4))),
    "mask and index": ((4, 5), (np.array([True, False, True, False]), np.array([1]))),
    "nothing is true": ((4, 5), (np.zeros(4, bool),)),
    "no index": ((4, 5), (np.zeros(0, np.int64),)),
    "many": ((40, 50, 30), (ALL, np.arange(60) % 50)),
    "many pairs": ((40, 50, 30), (np.arange(1500) % 40, np.arange(1500) % 50)),
    "many pairs apart": ((40, 30, 50), (np.arange(1500) % 40, ALL, np.arange(1500) % 50)),
    "many columns and rows": ((300, 300), (np.arange(200)[:, None], np.arange(-250, 0))),
    "many triples": ((40, 50, 30), (np.arange(40000) % 40, np.arange(40000) % 50, np.arange(40000) % 30)),
    "a large mask": ((200, 250), (np.arange(50000).reshape(200, 250) % 3 == 1,)),
}

LAYOUTS = {
    "contiguous": lambda x: torch.tensor(x),
    "turned": lambda x: torch.tensor(np.ascontiguousarray(x.T)).permute(tuple(range(x.ndim))[::-1]),
    "with gaps": lambda x: _with_gaps(x),
}


def _with_gaps(x):
    wide = torch.zeros((*x.shape[:-1], 2 * x.shape[-1] + 1), dtype=torch.tensor(x).dtype)
    wide[..., 1::2] = torch.tensor(x)
    return wide[..., 1::2]


def _numbers(size, dtype):
    return (np.arange(np.prod(size)) % 120 + 1).reshape(size).astype(dtype)


def _key(key):
    return tuple([torch.tensor(each) if isinstance(each, np.ndarray) else each for each in key])


@pytest.fixture(params=EXPRESSIONS, ids=str)
def expression(request):
    return EXPRESSIONS[request.param]


@pytest.mark.parametrize("dtype", ["float32", "int32", "complex128"])
@pytest.mark.parametrize("layout", LAYOUTS)
class TestAnExpression:
    def test_reads_the_elements(self, expression, layout, dtype):
        size, key = expression
        x = _numbers(size, dtype)
        expected = _read(x, key)
        found = LAYOUTS[layout](x)[_key(key)]
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found.numpy(), expected)

    def test_takes_one_number_everywhere(self, expression, layout, dtype):
        size, key = expression
        x = _numbers(size, dtype)
        t = LAYOUTS[layout](x)
        t[_key(key)] = 0
        _written(x, key, 0)
        np.testing.assert_array_equal(t.numpy(), x)

    def test_takes_a_value_for_each_element(self, expression, layout, dtype):
        size, key = expression
        x = _numbers(size, dtype)
        # Twice the element itself: places that are written twice get the same.
        values = 2 * _read(x, key)
        t = LAYOUTS[layout](x)
        t[_key(key)] = LAYOUTS[layout](values) if values.ndim else torch.tensor(values)
        _written(x, key, values)
        np.testing.assert_array_equal(t.numpy(), x)

    def test_takes_a_row_of_values(self, expression, layout, dtype):
        size, key = expression
        x = _numbers(size, dtype)
        shape = _read(x, key).shape
        # One dimension has one value; at pairs with the same place it is the same one.
        values = np.full((1, *shape[1:]), 7, dtype)
        t = LAYOUTS[layout](x)
        t[_key(key)] = torch.tensor(values)
        _written(x, key, values)
        np.testing.assert_array_equal(t.numpy(), x)


def _read(x, key):
    return _view(x, key)[_rest(key)]


def _view(x, key):
    return x[tuple([each if isinstance(each, int) else ALL if each is not Ellipsis else each for each in _spread(key)])]


def _spread(key):
    """The key with as many entries as it has dimensions: a mask stands for several, None for none."""
    for each in key:
        if each is None:
            continue
        yield from [each] * (each.ndim if isinstance(each, np.ndarray) and each.dtype == bool else 1)


def _rest(key):
    return tuple([np.array(each) if isinstance(each, range) else each for each in key if not isinstance(each, int)])


def _written(x, key, values):
    _view(x, key)[_rest(key)] = values


@pytest.mark.parametrize("bad", [4, -5, 10**9, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("place", [(lambda i: (i,)), (lambda i: (ALL, i)), (lambda i: (i, i)), (lambda i: (i, 0, i))])
class TestAnIndexOutOfBounds:
    def test_is_refused_before_anything_is_read(self, bad, place):
        with pytest.raises(IndexError, match="out of bounds for dimension"):
            torch.zeros(4, 4, 4)[place(torch.tensor([1, bad]))]

    def test_is_refused_before_anything_is_written(self, bad, place):
        for x in (torch.zeros(4, 4, 4), torch.zeros(4, 4, 4).permute(2, 1, 0)):
            with pytest.raises(IndexError, match="out of bounds for dimension"):
                x[place(torch.tensor([1, bad]))] = 1.0
            assert x.abs().sum() == 0


def test_a_mask_of_another_size_is_refused():
    x = torch.zeros(4, 5)
    for key in ((torch.ones(5, dtype=torch.bool),), (torch.ones(5, dtype=torch.bool), torch.tensor([1]))):
        with pytest.raises(IndexError, match="shape of the mask"):
            x[key]


def test_an_index_may_lie_in_what_is_written():
    x = torch.tensor([2, 0, 1, 5])
    x[x[:3]] = 3
    assert x.tolist() == [3, 3, 3, 5]


def test_a_write_counts_as_one_version():
    x = torch.zeros(4, 4)
    before = x._version
    x[torch.tensor([0, 1]), torch.tensor([1, 0])] = 1.0
    x[1:3, ::2] = 2.0
    x[...] = torch.ones(4, 4)
    assert x._version == before + 3


@pytest.mark.parametrize("accumulate", [False, True])
def test_index_put_adds_in_the_order_of_the_index(accumulate):
    x = torch.zeros(3, 3)
    x.index_put_((torch.tensor([0, 0, 2]), torch.tensor([1, 1, 2])), torch.tensor([1.0, 2.0, 4.0]), accumulate)
    assert x[0, 1] == (3.0 if accumulate else 2.0)
    assert x.sum() == (7.0 if accumulate else 6.0)


PARTS = {
    "row": (1,),
    "column": (ALL, 1),
    "steps": (slice(1, 4, 2), slice(None, None, 2)),
    "three dimensions": (slice(1, 3), slice(0, 2), slice(1, 4, 2)),
    "whole": (Ellipsis,),
    "none": (slice(2, 2),),
    "one element": (1, 2, 3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("part", PARTS, ids=str)
def test_a_part_is_written_with_a_number_and_with_a_tensor(part, layout):
    x, key = _numbers((4, 5, 6), "float32"), PARTS[part]
    t = LAYOUTS[layout](x)
    t[key] = 0.5
    x[key] = 0.5
    np.testing.assert_array_equal(t.numpy(), x)
    values = _numbers(x[key].shape, "float32")
    t[key] = LAYOUTS[layout](values) if values.ndim else torch.tensor(values)
    x[key] = values
    np.testing.assert_array_equal(t.numpy(), x)


@pytest.mark.parametrize("size", [(7,), (0,), (5, 6), (3, 0, 2), (2, 3, 4, 5), (40, 60)])
@pytest.mark.parametrize("dtype", ["bool", "float32", "int64", "complex64"])
def test_nonzero_gives_the_coordinates(size, dtype):
    x = (np.arange(np.prod(size)) % 3).reshape(size).astype(dtype)
    expected = x.nonzero()
    found = torch.tensor(x).nonzero(as_tuple=True)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)
    np.testing.assert_array_equal(torch.tensor(x).nonzero().numpy(), np.stack(expected, 1))
