"""hypothesis over shapes, strides, dtypes and index patterns, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import numtorch as torch

pytestmark = pytest.mark.nojit


DTYPES = st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
quick = settings(max_examples=150, deadline=None)


def arrays(dtype=None, shape=SHAPES):
    values = {"f": st.integers(-8, 8).map(float), "i": st.integers(-8, 8), "u": st.integers(0, 8), "b": st.booleans()}
    dtypes = DTYPES if dtype is None else st.just(dtype)
    return dtypes.flatmap(lambda d: hnp.arrays(d, shape, elements=values[np.dtype(d).kind]))


@st.composite
def strided(draw, dtype=None):
    """An array and the same elements as a tensor with arbitrary strides: transposed, sliced, expanded."""
    array = draw(arrays(dtype))
    tensor = torch.from_numpy(array.copy())
    if array.ndim:
        order = draw(st.permutations(range(array.ndim)))
        array, tensor = array.transpose(order), tensor.permute(*order)
        dim = draw(st.integers(0, array.ndim - 1))
        start, step = draw(st.integers(0, 2)), draw(st.integers(1, 3))
        index = (slice(None),) * dim + (slice(start, None, step),)
        array, tensor = array[index], tensor[index]
    if draw(st.booleans()):
        array = np.broadcast_to(array, (2, *array.shape))
        tensor = tensor.expand(2, *tensor.shape)
    return array, tensor


def same(tensor, array):
    assert tuple(tensor.shape) == array.shape
    got = tensor.numpy()
    assert got.dtype == array.dtype, (got.dtype, array.dtype)
    np.testing.assert_array_equal(got, array)


@quick
@given(strided())
def test_any_layout_reads_as_numpy_reads_it(pair):
    array, tensor = pair
    same(tensor, array)
    same(tensor.contiguous(), array)
    same(tensor.clone(), array)
    same(tensor.reshape(-1), array.reshape(-1))


@quick
@given(strided(np.float64), strided(np.float64))
def test_broadcasting_is_numpys(a, b):
    try:
        expected = a[0] + b[0] * 2
    except ValueError:
        try:
            a[1] + b[1] * 2
        except RuntimeError:
            return
        raise AssertionError("numpy refuses these shapes, numtorch does not") from None
    same(a[1] + b[1] * 2, expected)


@quick
@given(strided(np.float64), st.data())
def test_sums_over_any_dims(pair, data):
    array, tensor = pair
    if array.ndim == 0:
        same(tensor.sum(), array.sum())
        return
    dims = data.draw(st.lists(st.integers(0, array.ndim - 1), min_size=1, max_size=array.ndim, unique=True))
    same(tensor.sum(dims), array.sum(tuple(dims)))
    same(tensor.sum(dims, keepdim=True), array.sum(tuple(dims), keepdims=True))


@quick
@given(arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5)), st.data())
def test_basic_and_advanced_indexing(array, data):
    index = data.draw(hnp.basic_indices(array.shape, allow_newaxis=True))
    if not any(isinstance(i, slice) and (i.step or 1) < 0 for i in (index if isinstance(index, tuple) else (index,))):
        same(torch.from_numpy(array)[index], np.asarray(array[index]))
    rows = data.draw(hnp.integer_array_indices(array.shape[:1]))
    same(torch.from_numpy(array)[torch.from_numpy(rows[0])], array[rows[0]])
    mask = data.draw(hnp.arrays(np.bool_, array.shape))
    same(torch.from_numpy(array)[torch.from_numpy(mask)], array[mask])


@quick
@given(arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5)), st.data())
def test_writing_through_views(array, data):
    tensor = torch.from_numpy(array.copy())
    expected = array.copy()
    dim = data.draw(st.integers(0, array.ndim - 1))
    start = data.draw(st.integers(0, array.shape[dim]))
    index = (slice(None),) * dim + (slice(start, None, 2),)
    expected[index] *= 3
    tensor[index].mul_(3)
    same(tensor, expected)
    expected[index] = -1
    tensor[index] = -1
    same(tensor, expected)
