"""Index expressions against numpy (whose rules torch's are, but for two), and what must not happen to memory."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import numtorch as torch

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def array(shape):
    return np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)


def as_tensors(key):
    if isinstance(key, tuple):
        return tuple(as_tensors(each) for each in key)
    return torch.from_numpy(np.array(key)) if isinstance(key, np.ndarray) else key


@st.composite
def keys(draw, shape, beyond=0):
    """An index expression: integers, slices, None, ..., index arrays and masks; indices up to `beyond` too far."""
    items, dim = [], 0
    while dim < len(shape) and draw(st.booleans()) or not items:
        n = shape[dim] if dim < len(shape) else 0
        kinds = ["none", "slice"] if dim < len(shape) else ["none"]
        if dim < len(shape) and n:
            kinds += ["int", "array", "array", "mask"]
        kind = draw(st.sampled_from(kinds))
        if kind == "none":
            items.append(None)
            continue
        if kind == "slice":
            bound = st.none() | st.integers(-6, 6)
            items.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
        elif kind == "mask":
            items.append(draw(hnp.arrays(bool, n)))
        else:
            index = st.integers(-n - beyond, n - 1 + beyond)
            if kind == "int":
                items.append(draw(index))
            else:
                size = draw(st.sampled_from([(), (1,), (2,), (2, 1), (1, 2), (2, 2)]))
                items.append(draw(hnp.arrays(np.int64, size, elements=index)))
        dim += 1
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), Ellipsis)
    return tuple(items)


def torchs(key, ndim):
    """Whether numpy and torch read the key alike: numpy counts an integer beside index arrays as one of them, and an
    ellipsis that stands for no dimension as something between them."""
    arrays = [i for i, each in enumerate(key) if isinstance(each, np.ndarray) and each.ndim]
    integers = [
        i for i, each in enumerate(key) if isinstance(each, int) or (isinstance(each, np.ndarray) and not each.ndim)
    ]
    dims = sum(each.ndim if isinstance(each, np.ndarray) and each.dtype == bool else each is not None for each in key)
    idle = any(each is Ellipsis for each in key) and dims - 1 == ndim
    return not (arrays and (integers or idle))


def selects_something(x, key) -> bool:
    """Whether valid indices in the key's place would select elements: torch does not look at indices that select none."""
    parts = key if isinstance(key, tuple) else (key,)
    valid = tuple(np.zeros_like(p) if isinstance(p, np.ndarray) and p.dtype.kind == "i" else p for p in parts)
    try:
        return x[valid].size > 0
    except IndexError:
        return x.size > 0


@st.composite
def indexed(draw, beyond=0):
    shape = draw(SHAPES)
    return array(shape), draw(keys(shape, beyond))


@settings(max_examples=300, deadline=None)
@given(indexed())
def test_reading_is_numpys(case):
    x, key = case
    assume(torchs(key, x.ndim))
    try:
        want = x[key]
    except IndexError:
        assume(selects_something(x, key))
        with pytest.raises(IndexError):
            torch.from_numpy(x)[as_tensors(key)]
        return
    got = torch.from_numpy(x)[as_tensors(key)]
    np.testing.assert_array_equal(got.numpy(), want)


@settings(max_examples=200, deadline=None)
@given(indexed(), st.booleans())
def test_writing_is_numpys(case, turned):
    x, key = case
    assume(torchs(key, x.ndim))
    ours, theirs = x.copy(), x.copy()
    tensor = torch.from_numpy(ours)
    if turned and x.ndim > 1:
        # A view in another order of dimensions: written through to the same memory.
        tensor, theirs, x = tensor.transpose(0, -1), theirs.swapaxes(0, -1), x.swapaxes(0, -1)
    try:
        part = x[key]
    except IndexError:
        assume(selects_something(x, key))
        before = ours.copy()
        with pytest.raises(IndexError):
            tensor[as_tensors(key)] = 1.0
        np.testing.assert_array_equal(ours, before)
        return
    theirs[key] = -1.5
    tensor[as_tensors(key)] = -1.5
    np.testing.assert_array_equal(tensor.numpy(), theirs)
    values = np.arange(part.size, dtype=np.float64).reshape(part.shape) + 100
    theirs[key] = values
    tensor[as_tensors(key)] = torch.from_numpy(np.array(values))
    np.testing.assert_array_equal(tensor.numpy(), theirs)


@settings(max_examples=200, deadline=None)
@given(indexed(beyond=2), st.booleans())
def test_bad_indices_raise_and_touch_nothing(case, write):
    x, key = case
    guarded = np.concatenate([np.full(64, 7.0), x.reshape(-1), np.full(64, 7.0)])
    inside = guarded[64 : 64 + x.size].reshape(x.shape)
    tensor, before = torch.from_numpy(inside), guarded.copy()
    try:
        if write:
            tensor[as_tensors(key)] = 3.0
        else:
            tensor[as_tensors(key)]
    except (IndexError, ValueError):
        np.testing.assert_array_equal(guarded, before)
    assert (guarded[:64] == 7).all() and (guarded[64 + x.size :] == 7).all()


@settings(max_examples=60, deadline=None)
@given(indexed())
def test_the_gradient_of_reading_counts_the_reads(case):
    x, key = case
    assume(torchs(key, x.ndim))
    try:
        reads = np.zeros(x.shape)
        np.add.at(reads, key, 1)
    except IndexError:
        assume(False)
    tensor = torch.from_numpy(x).requires_grad_()
    torch.autograd.backward(tensor[as_tensors(key)], torch.ones(x[key].shape, dtype=torch.float64))
    np.testing.assert_array_equal(tensor.grad.numpy(), reads)


def test_basic_indexing_shares_memory_and_index_tensors_copy():
    x = torch.zeros(3, 4)
    x[1][2] = 5.0
    assert x[1, 2].item() == 5.0
    assert x[0:2].data_ptr() == x.data_ptr() and x[:, 1].stride() == (4,)
    copy = x[torch.tensor([1])]
    copy[0, 2] = 6.0
    assert x[1, 2].item() == 5.0


NODES = [
    (lambda y: y[0], "SelectBackward0"),
    (lambda y: y[1:], "SliceBackward0"),
    (lambda y: y[:], "SliceBackward0"),
    (lambda y: y[:, :], "AliasBackward0"),
    (lambda y: y[...], "AliasBackward0"),
    (lambda y: y[None], "UnsqueezeBackward0"),
    (lambda y: y[0, 1:3, None], "UnsqueezeBackward0"),
    (lambda y: y[torch.tensor(1)], "SelectBackward0"),
    (lambda y: y[torch.tensor([1])], "IndexBackward0"),
    (lambda y: y[y > 0], "IndexBackward0"),
    (lambda y: y[[0, 1]], "IndexBackward0"),
    (lambda y: y[True], "IndexBackward0"),
]


@pytest.mark.parametrize("read, node", NODES)
def test_nodes_are_named_as_in_torch(read, node):
    assert read(torch.ones(2, 3, requires_grad=True) * 1).grad_fn.name() == node


def test_assignment_in_the_graph():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    v = torch.tensor([5.0], requires_grad=True)
    y[torch.tensor([1])] = v
    assert y.grad_fn.name() == "IndexPutBackward0"
    y[0] = 0.0
    assert y.grad_fn.name() == "CopySlices"
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 2] and v.grad.tolist() == [1]


def test_an_index_changed_after_the_read_is_noticed():
    x, i = torch.ones(3, requires_grad=True), torch.tensor([0, 1])
    y = x[i]
    i[0] = 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_leaves_and_expanded_memory_are_not_written():
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        torch.ones(3, requires_grad=True)[0] = 1.0
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        torch.ones(1).expand(3).scatter_(0, torch.tensor([0]), 1.0)


ASSIGNMENT_ERRORS = [
    (0, lambda: torch.ones(2), RuntimeError, r"The expanded size of the tensor \(3\) must match"),
    ([0, 1], lambda: torch.ones(2), RuntimeError, "cannot be broadcast to indexing result of shape"),
    (0, lambda: "a", TypeError, "can't assign a str to a torch.FloatTensor"),
    (0, lambda: [1.0, 2, 3], TypeError, "can't assign a list to a torch.FloatTensor"),
    ([0], lambda: torch.ones(3, dtype=torch.float64), RuntimeError, "Index put requires the source and destination"),
    (5, lambda: 1.0, IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
]


@pytest.mark.parametrize("key, value, error, text", ASSIGNMENT_ERRORS)
def test_assignment_errors(key, value, error, text):
    x = torch.zeros(2, 3)
    with pytest.raises(error, match=text):
        x[key] = value()
    assert x.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_uint8_masks_still_work_and_say_so():
    x, mask = torch.arange(3.0), torch.tensor([1, 0, 1], dtype=torch.uint8)
    with pytest.warns(UserWarning, match="indexing with dtype torch.uint8 is now deprecated"):
        assert x[mask].tolist() == [0, 2]


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.int8, torch.float16, torch.bfloat16, torch.int64, torch.complex128]
)
def test_every_element_size_is_moved_whole(dtype):
    x = torch.arange(12).to(dtype).reshape(3, 4)
    i = torch.tensor([2, 0])
    assert x[i].tolist() == [x[2].tolist(), x[0].tolist()]
    assert x[:, i].tolist() == [[row[2], row[0]] for row in x.tolist()]
    y = torch.zeros_like(x)
    y[i] = x[i]
    assert y[0].tolist() == x[0].tolist() and y[1].tolist() == torch.zeros(4).to(dtype).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_added_at_indices(dtype):
    x = torch.zeros(3).to(dtype)
    x.index_put_((torch.tensor([1, 1, 2]),), torch.ones(3).to(dtype), accumulate=True)
    x.index_add_(0, torch.tensor([0, 1]), torch.ones(2).to(dtype))
    x.scatter_add_(0, torch.tensor([2]), torch.ones(1).to(dtype))
    assert x.tolist() == [1, 3, 2]


def test_iteration_gives_the_parts_along_the_first_dimension():
    x = torch.arange(6).reshape(2, 3)
    assert [row.tolist() for row in x] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        iter(torch.tensor(1.0))


def test_an_index_that_lies_in_what_is_written_is_followed_as_it_was():
    x = torch.tensor([1, 0, 3, 2])
    x[x] = torch.tensor([10**9] * 4)
    assert x.tolist() == [10**9] * 4


def test_a_run_of_one_column_that_is_written_in_few_places():
    x = torch.arange(200 * 70.0).reshape(200, 70)
    index = torch.full((2, 70), 199)
    y = x.scatter_add(0, index, torch.ones(2, 70))
    assert torch.equal(y[:199], x[:199]) and torch.equal(y[199], x[199] + 2)


LAYOUTS = {
    "permuted": lambda x: x.permute(2, 0, 1),
    "narrowed": lambda x: x[1:-1, :, 2:9],
    "middle": lambda x: x[:, 1:-1],
    "stepped": lambda x: x[:, :, ::2],
    "expanded": lambda x: x[:1].expand(5, -1, -1),
    "turned": lambda x: x.transpose(1, 2),
    "one": lambda x: x[:, 3:4, 1:],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int16, torch.bool, torch.complex128])
def test_any_layout_is_read_where_it_lies(layout, dtype):
    x = layout(torch.from_numpy(array((6, 7, 40)) % 251).to(dtype))
    held, rng = x.numpy(), np.random.default_rng(0)
    for d, n in enumerate(x.shape):
        index = rng.integers(0, n, 300 if d else 9)
        found = x.index_select(d, torch.from_numpy(index))
        np.testing.assert_array_equal(found.numpy(), held.take(index, d), strict=True)
        key = (slice(None),) * d + (index - n,)
        np.testing.assert_array_equal(x[as_tensors(key)].numpy(), held[key], strict=True)
        size = list(x.shape)
        size[d] = 5
        size[d - 1] -= size[d - 1] > 1
        index = rng.integers(0, n, size)
        part = tuple(slice(k if e != d else None) for e, k in enumerate(size))
        found = x.gather(d, torch.from_numpy(index))
        np.testing.assert_array_equal(found.numpy(), np.take_along_axis(held[part], index, d), strict=True)
    rows, columns = rng.integers(-len(held), len(held), 30), rng.integers(0, held.shape[1], 30)
    for key in ((rows, columns), (rows[:, None], columns), (rows, columns[:4, None])):
        np.testing.assert_array_equal(x[as_tensors(key)].numpy(), held[key], strict=True)
    third = rng.integers(-held.shape[2], held.shape[2], 30)
    for key in (
        (rows, slice(None), third),
        (slice(1, None), columns, third),
        (rows, slice(None, None, 2), third[:4, None]),
    ):
        np.testing.assert_array_equal(x[as_tensors(key)].numpy(), held[key], strict=True)
    np.testing.assert_array_equal(x[as_tensors((rows, 0, third))].numpy(), held[:, 0][rows, third], strict=True)
    np.testing.assert_array_equal(x[as_tensors((0, columns, third))].numpy(), held[0][columns, third], strict=True)
    with pytest.raises(IndexError, match=f"index {held.shape[1]} is out of bounds for dimension 1 with size"):
        x[torch.tensor([[0], [0]]), torch.tensor([0, held.shape[1]])]
    with pytest.raises(RuntimeError, match="out of bounds for dimension 2"):
        x.gather(2, torch.full((1, 1, 3), held.shape[2]))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int16, torch.bool, torch.complex128])
def test_parts_of_any_layout_are_joined(layout, dtype):
    x = layout(torch.from_numpy(array((6, 7, 40)) % 251).to(dtype))
    held = x.numpy()
    for d in range(3):
        parts, pieces = x.unbind(d)[::-1], np.moveaxis(held, d, 0)[::-1]
        for to in (0, 1, -1):  # equally far apart, in any order, among others
            np.testing.assert_array_equal(torch.stack(parts, to).numpy(), np.stack(pieces, to), strict=True)
            np.testing.assert_array_equal(torch.stack(parts[::2], to).numpy(), np.stack(pieces[::2], to), strict=True)
            mixed = (parts[0], parts[-1], parts[0].clone(), parts[0])
            np.testing.assert_array_equal(torch.stack(mixed, to).numpy(), np.stack([p.numpy() for p in mixed], to))
        for parts in (x.split(2, d)[::-1], x.chunk(2, d), (x, x.clone(), x)):
            want = np.concatenate([p.numpy() for p in parts], d)
            np.testing.assert_array_equal(torch.cat(parts, d).numpy(), want, strict=True)
            np.testing.assert_array_equal(torch.cat(parts, d - 3).numpy(), want, strict=True)


def test_gradients_of_parts_joined_again():
    x = torch.arange(24.0).view(2, 3, 4).permute(2, 0, 1).requires_grad_()
    weight = torch.arange(24.0).view(4, 2, 3)
    for joined in (torch.stack(x.unbind(0)), torch.cat(x.split(1, 1), 1), torch.cat([x[:2], x[2:]])):
        assert joined.grad_fn is not None
        (grad,) = torch.autograd.grad((joined * weight).sum(), x)
        np.testing.assert_array_equal(grad.numpy(), weight.numpy())
