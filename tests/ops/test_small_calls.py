"""Small calls with a way of their own: operands of two dtypes, views in another order, places of triangles, ...

Each against numpy, at sizes on both sides of what the way of its own is for.
"""

import itertools

import numpy as np
import pytest

import numtorch as torch

DTYPES = [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float32, torch.float64]


def values(size, dtype, start=1):
    """Small positive numbers in a fixed order, as a tensor."""
    n = int(np.prod(size))
    return torch.from_numpy(((np.arange(n) * 7 + start) % 5 + 1).reshape(size).astype(dtype.np)).clone()


@pytest.mark.parametrize("size", [(), (1,), (3, 4), (300, 200)])
@pytest.mark.parametrize("a,b", list(itertools.permutations(DTYPES, 2)))
def test_operands_of_two_dtypes_are_cast_before_they_meet(a, b, size):
    x, y = values(size, a), values(size, b, 3)
    expected = torch.promote_types(a, b)
    for result, name in ((x + y, "add"), (x * y, "multiply"), (torch.maximum(x, y), "maximum")):
        assert result.dtype is expected
        if expected is not torch.bool:
            reference = getattr(np, name)(x.numpy().astype(expected.np), y.numpy().astype(expected.np))
            np.testing.assert_array_equal(result.numpy(), reference)
    np.testing.assert_array_equal((x < y).numpy(), x.numpy().astype(expected.np) < y.numpy().astype(expected.np))


def test_a_tensor_without_dimensions_changes_the_dtype_only_by_its_category():
    row = values((4,), torch.float32)
    assert (row * torch.tensor(3)).dtype is torch.float32
    assert (row * torch.tensor(3.0, dtype=torch.float64)).dtype is torch.float32
    assert (values((4,), torch.int16) + torch.tensor(100000)).dtype is torch.int16
    assert (values((4,), torch.int64) / torch.tensor(2)).dtype is torch.float32
    assert (values((4,), torch.int64) * torch.tensor(2.5)).dtype is torch.float32
    huge = torch.tensor(1e300, dtype=torch.float64)
    assert torch.isinf(row * huge).all()  # without a warning of numpy's


def test_integers_divided_take_the_default_dtype_of_the_moment():
    i = torch.arange(1, 5)
    assert (i / 2).dtype is (i / i).dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert (i / 2).dtype is (i / i).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_gradients_come_back_in_each_operands_dtype():
    x = values((5,), torch.float32).requires_grad_()
    y = values((5,), torch.float64, 2).requires_grad_()
    (x * y).sum().backward()
    assert x.grad.dtype is torch.float32 and y.grad.dtype is torch.float64
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


@pytest.mark.parametrize("n", [3, 40, 200])
def test_matrices_in_another_order_keep_the_order_of_their_memory(n):
    a, b = values((n, n), torch.float32), values((n, n), torch.float32, 4)
    p, q = a.numpy(), b.numpy()
    np.testing.assert_array_equal((a.t() + b).numpy(), p.T + q)
    np.testing.assert_array_equal((a + b.t()).numpy(), p + q.T)
    for result, reference in (
        (a.t() * 2, p.T * 2),
        (a.t() + b.t(), p.T + q.T),
        (a.t().abs(), p.T),
        (a.t()[1:].neg(), -p.T[1:]),
    ):
        np.testing.assert_array_equal(result.numpy(), reference)
    assert (a.t() * 2).stride() == a.t().neg().stride() == (1, n)


def test_data_of_a_fresh_tensor_shares_its_memory_and_not_its_version():
    x = values((6,), torch.float32)
    shared = x.data
    shared[2] = 50
    assert x[2] == 50 and x._version == 0
    x[3] = 60
    assert shared[3] == 60


@pytest.mark.parametrize("rows,columns", [(0, 3), (3, 0), (1, 1), (3, 3), (4, 7), (7, 4)])
@pytest.mark.parametrize("k", [-9, -3, -1, 0, 1, 2, 5, 9])
def test_places_of_triangles(rows, columns, k):
    lower, upper = np.tril_indices(rows, k, columns), np.triu_indices(rows, k, columns)
    np.testing.assert_array_equal(torch.tril_indices(rows, columns, k).numpy(), np.stack(lower))
    np.testing.assert_array_equal(torch.triu_indices(rows, columns, k).numpy(), np.stack(upper))
    assert torch.tril_indices(rows, columns, k, dtype=torch.int32).dtype is torch.int32


@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("r", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("again", [False, True])
def test_combinations(n, r, again):
    choose = itertools.combinations_with_replacement if again else itertools.combinations
    x = torch.arange(n) * 10
    expected = list(choose(x.tolist(), r))
    found = torch.combinations(x, r, with_replacement=again)
    assert found.tolist() == ([list(row) for row in expected] if r else [])


def test_cartesian_prod_in_and_out_of_the_graph():
    a, b, c = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0]), torch.tensor([6.0])
    expected = [list(row) for row in itertools.product([1, 2], [3, 4, 5], [6])]
    assert torch.cartesian_prod(a, b, c).tolist() == expected
    a.requires_grad_()
    torch.cartesian_prod(a, b, c).sum().backward()
    assert a.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="Expect a 1D vector, but got shape"):
        torch.cartesian_prod(b, b.reshape(3, 1))


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float64, torch.bfloat16])
def test_cross(dim, dtype):
    a, b = values((3, 3, 3), torch.float64).to(dtype), values((3, 3, 3), torch.float64, 3).to(dtype)
    expected = np.cross(a.double().numpy(), b.double().numpy(), axis=dim)
    result = torch.cross(a, b, dim=dim)
    assert result.dtype is dtype
    np.testing.assert_array_equal(result.double().numpy(), expected)
    np.testing.assert_array_equal(torch.linalg.cross(a, b[:1] if dim else b, dim=2).shape, a.shape)


INDICES = [
    (slice(None), "i"),
    (0, "i"),
    ("i", slice(1, 3)),
    (slice(None), slice(None), "i"),
    (slice(None, None, 2), "i", -1),
    (slice(1, 3), "i", slice(None)),
    (1, slice(None), "i"),
    (slice(None), "ij"),
]


@pytest.mark.parametrize("key", INDICES)
@pytest.mark.parametrize("turned", [False, True])
def test_one_index_tensor_among_slices_and_numbers(key, turned):
    x = torch.arange(4 * 5 * 6, dtype=torch.float32).reshape(4, 5, 6)
    x = x.transpose(0, 2) if turned else x
    index = {"i": torch.tensor([0, 2, -1, 2]), "ij": torch.tensor([[0, 1], [2, -2]])}
    ours = x[tuple(index.get(k, k) if isinstance(k, str) else k for k in key)]
    # torch takes the numbers first, then the index, which keeps its place (numpy would move it to the front)
    t, dim, place, held = x.numpy(), 0, None, None
    for k in key:
        if isinstance(k, int):
            t = t.take(k, dim)
        elif isinstance(k, slice):
            t = t[(slice(None),) * dim + (k,)]
            dim += 1
        else:
            place, held = dim, index[k].numpy()
            dim += 1
    np.testing.assert_array_equal(ours.numpy(), t.take(held, place))


def test_one_index_tensor_among_slices_out_of_bounds():
    x = torch.zeros(3, 4)
    with pytest.raises(IndexError, match="index 4 is out of bounds for dimension"):
        x[:, torch.tensor([0, 4])]
    with pytest.raises(IndexError, match="index 3 is out of bounds for dimension"):
        x[torch.tensor([3]), 1:]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float16, torch.float32, torch.int32, torch.complex128])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cat_and_stack_of_several_parts(count, dtype, dim):
    parts = [values((2, k + 1 if dim else 3), torch.float32, k).to(dtype) for k in range(count)]
    if dim == 0:
        parts = [values((k + 1, 3), torch.float32, k).to(dtype) for k in range(count)]
    np.testing.assert_array_equal(torch.cat(parts, dim).numpy(), np.concatenate([t.numpy() for t in parts], dim))
    alike = [values((2, 3), torch.float32, k).to(dtype) for k in range(count)]
    np.testing.assert_array_equal(torch.stack(alike, dim).numpy(), np.stack([t.numpy() for t in alike], dim))


def test_stacks_of_vectors():
    parts = [values((4,), torch.float32, k) for k in range(3)]
    for name in ("hstack", "vstack", "dstack", "column_stack"):
        expected = getattr(np, name)([t.numpy() for t in parts])
        np.testing.assert_array_equal(getattr(torch, name)(parts).numpy(), expected)
        recorded = [t.clone().requires_grad_() for t in parts]
        getattr(torch, name)(recorded).sum().backward()
        assert all(t.grad.tolist() == [1.0] * 4 for t in recorded)


@pytest.mark.parametrize(
    "size,dim", [((7,), 0), ((3, 5), 0), ((3, 5), -1), ((2, 3, 4), 1), ((1, 5), 0), ((300, 200), 1)]
)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_differences(size, dim, dtype):
    x = values(size, dtype)
    np.testing.assert_array_equal(torch.diff(x, dim=dim).numpy(), np.diff(x.numpy(), axis=dim))


@pytest.mark.parametrize("count", [0, 3, 300])
def test_isin_knows_no_nan(count):
    members = torch.arange(count, dtype=torch.float32)
    members = torch.cat([members, torch.tensor([float("nan")])])
    x = torch.tensor([0.0, 2.0, 299.0, 1000.0, float("nan")])
    assert torch.isin(x, members).tolist() == [count > 0, count > 2, count > 299, False, False]


@pytest.mark.parametrize("size", [(5,), (3, 4), (2, 3, 4), (50, 50)])
def test_places_that_are_not_zero_dimension_by_dimension(size):
    x = values(size, torch.int64) % 2
    for ours, reference in zip(x.nonzero(as_tuple=True), x.numpy().nonzero(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), reference)


@pytest.mark.parametrize("size,dim", [((3, 4), 0), ((2, 3, 4), 1), ((2, 3, 4), 0), ((80, 90), 0)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
def test_sort_and_topk_along_other_dimensions(size, dim, dtype):
    x = values(size, dtype)
    found = x.sort(dim)
    np.testing.assert_array_equal(found.values.numpy(), np.sort(x.numpy(), dim))
    np.testing.assert_array_equal(found.indices.numpy(), np.argsort(x.numpy(), dim, kind="stable"))
    top = x.topk(2, dim)
    expected = np.flip(np.sort(x.numpy(), dim), dim).take([0, 1], dim)
    np.testing.assert_array_equal(top.values.numpy(), expected)


def test_mode_of_one_element_along_another_dimension_is_that_element():
    x = torch.tensor([[[2, 1, -3], [0, 4, -1]]])
    assert x.mode(0).values.tolist() == x[0].tolist()
