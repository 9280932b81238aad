"""Results of the graph that are written in place: gradients as out of place, and no stale values."""

import pytest

import numtorch as torch

WRITES = {
    "add": lambda x, y: x.add_(y),
    "subtract a number": lambda x, y: x.sub_(0.5),
    "multiply by a number": lambda x, y: x.mul_(3),
    "multiply": lambda x, y: x.mul_(y),
    "divide by a number": lambda x, y: x.div_(2.0),
    "divide": lambda x, y: x.div_(y),
    "power": lambda x, y: x.pow_(2),
    "power of tensors": lambda x, y: x.pow_(y),
    "clamp": lambda x, y: x.clamp_(0.3, 0.9),
    "sine": lambda x, y: x.sin_(),
    "exponential": lambda x, y: x.exp_(),
    "logarithm": lambda x, y: x.log_(),
    "fill": lambda x, y: x.fill_(2.0),
    "zero": lambda x, y: x.zero_(),
    "copy": lambda x, y: x.copy_(y),
    "itself": lambda x, y: x.add_(x),
    "a part": lambda x, y: x[1:3].mul_(2),
    "a part filled": lambda x, y: x[1].fill_(2.0),
    "a column copied": lambda x, y: x[:, 1].copy_(y[:, 0]),
    "a part assigned": lambda x, y: x.__setitem__(2, y[1]),
}


@pytest.mark.parametrize("first", [True, False], ids=["of the graph", "not of the graph"])
@pytest.mark.parametrize("second", [True, False], ids=["with a gradient", "with a constant"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_gradients_are_those_of_finite_differences(write, first, second):
    x, y = (torch.rand(4, 3, dtype=torch.float64) + 0.2 for _ in range(2))
    x.requires_grad_(first)
    y.requires_grad_(second)

    def call(x, y):
        h = x.clone() if first else x.detach().clone()
        write(h, y)
        return h * h + x.sum() + y.sum()

    if first or second:
        assert torch.autograd.gradcheck(call, (x, y))
        assert torch.autograd.gradgradcheck(call, (x, y))


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_was_saved_before_the_write_is_missed(write):
    x = torch.rand(4, 3, requires_grad=True)
    h = x * 1
    square = h * h
    write(h, torch.rand(4, 3))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.sum().backward()


@pytest.mark.parametrize("name", ["exp_", "sigmoid_", "tanh_", "sqrt_"])
def test_a_result_that_was_saved_and_written_again_is_missed(name):
    h = torch.rand(4, requires_grad=True) * 1
    getattr(h, name)()
    h.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()


def test_a_view_taken_before_a_write_to_its_base_belongs_to_what_was_written():
    x = torch.rand(4, 3, requires_grad=True)
    h = torch.zeros(4, 3)
    row = h[1]
    h.add_(x)
    assert row.grad_fn.name() == "AsStridedBackward0" and row.requires_grad
    row.mul_(2)
    h.sum().backward()
    assert x.grad.tolist() == [[1.0] * 3, [2.0] * 3, [1.0] * 3, [1.0] * 3]


def _a_row(x):
    h = torch.zeros(3, 4)
    row = h[1]
    h.add_(x)
    return row


def _a_part(x):
    h = torch.zeros(3, 4)
    parts = h.unbind(0)
    h.mul_(2).add_(x * 2)
    return parts[2]


def _a_view_of_a_view(x):
    h = torch.zeros(3, 4)
    flat = h.view(12)
    some = flat[2:5]
    flat.add_(x.view(12))
    return some


def _another_row(x):
    rows = torch.zeros(3, 4).unbind(0)
    rows[1].copy_(x[1])
    return rows[0]


def _made_without_the_graph(x):
    h = torch.zeros(3, 4)
    with torch.no_grad():
        row = h[1]
    h.sub_(x)
    return row


@pytest.mark.parametrize(
    "view, slopes",
    [(_a_row, {4, 5, 6, 7}), (_a_part, {8, 9, 10, 11}), (_a_view_of_a_view, {2, 3, 4}), (_another_row, set()),
     (_made_without_the_graph, {4, 5, 6, 7})],
)  # fmt: skip
def test_views_of_what_joins_the_graph_join_it(view, slopes):
    x = torch.ones(3, 4, requires_grad=True)
    for _ in range(2):  # a write takes a shorter way once its loops are there
        x.grad = None
        part = view(x)
        assert part.requires_grad
        part.sum().backward()
        assert {i for i, slope in enumerate(x.grad.view(-1).tolist()) if slope} == slopes


def test_what_shares_memory_but_not_history_does_not_join_the_graph():
    h, x = torch.zeros(3, 4), torch.ones(3, 4, requires_grad=True)
    apart, counted = h.detach(), h.view(torch.int32)
    h.add_(x)
    assert not apart.requires_grad and not counted.requires_grad


def test_a_dimension_of_size_one_does_not_lead_the_gradient_astray():
    x = torch.arange(175.0, dtype=torch.float64).as_strided((5, 7, 1, 5), (1, 5, 35, 35)).requires_grad_()
    factor = torch.arange(175.0, dtype=torch.float64).view(x.shape)
    y = x.clone()  # strides (1, 5, 35, 35): that of the third dimension is the last one's too
    y[1:, -3, 0, 2].mul_(3.0)
    (y * factor).sum().backward()
    expected = factor.clone()
    expected[1:, -3, 0, 2] *= 3.0
    assert torch.equal(x.grad, expected)
