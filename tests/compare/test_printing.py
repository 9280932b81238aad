"""Any tensor prints character for character as in torch, under any options."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numtorch

torch = pytest.importorskip("torch")

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 8),
        "threshold": st.integers(0, 30),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(10, 120),
        "sci_mode": st.sampled_from([None, True, False]),
        "profile": st.sampled_from(["default", "short", "full"]),
    },
)
ARRAYS = st.sampled_from(
    ["float32", "float64", "float16", "int64", "int8", "uint8", "bool", "complex64", "complex128"]
).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7)))
NUMBERS = hnp.arrays(  # numbers of every size in one tensor, with the special ones among them
    "float64",
    hnp.array_shapes(max_dims=3, max_side=9),
    elements=st.one_of(
        st.sampled_from([0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1.0, 1e8, 1e-4, 0.99999]),
        st.floats(-1e4, 1e4),
        st.floats(),
    ),
)


def texts(array, options, change=lambda tensor: tensor):
    found = []
    for library in (torch, numtorch):
        library.set_printoptions(profile="default")
        library.set_printoptions(**options)
        try:
            found.append(repr(change(library.from_numpy(array.copy()))))
        finally:
            library.set_printoptions(profile="default")
    return found


def same(array, options, change=lambda tensor: tensor):
    expected, ours = texts(array, options, change)
    assert ours == expected


@settings(max_examples=200, deadline=None)
@given(ARRAYS, OPTIONS)
def test_any_dtype_shape_and_options(array, options):
    same(array, options)


@settings(max_examples=200, deadline=None)
@given(NUMBERS, OPTIONS)
def test_any_numbers(array, options):
    same(array, options)


@settings(max_examples=50, deadline=None)
@given(NUMBERS)
def test_transposed(array):
    same(array, {}, lambda tensor: tensor.transpose(0, -1))


@settings(max_examples=50, deadline=None)
@given(NUMBERS)
def test_bfloat16(array):
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    same(narrow, {}, lambda tensor: tensor.bfloat16())


@settings(max_examples=50, deadline=None)
@given(NUMBERS)
def test_suffixes_of_autograd(array):
    same(array, {}, lambda tensor: tensor.float().requires_grad_())
    same(array, {}, lambda tensor: tensor.requires_grad_() * 1)


@pytest.mark.parametrize("size", [999, 1000, 1001, 5000])
def test_around_the_threshold(size):
    same(np.arange(size) / 8, {})
    same(np.arange(size), {})
