"""Operators on small views: what they read and write is the memory of the tensor that they are views of."""

import numpy as np
import pytest

import numtorch as torch

DTYPES = (torch.float32, torch.float64, torch.int64, torch.bfloat16)
KEYS = {
    "a row": 1,
    "rows": slice(1, 3),
    "a column": (slice(None), 2),
    "part of each row": (slice(None), slice(1, 4)),
    "every other row": slice(None, None, 2),
    "one element": (1, 2),
    "no rows": slice(2, 2),
    "a column of planes": (slice(None), None, 2),
}


def matrix(dtype=torch.float32):
    return (torch.arange(20).reshape(4, 5) + 1).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
class TestViewsOfAMatrix:
    def test_give_what_their_copies_give(self, key, dtype):
        view = matrix(dtype)[key]
        copy = view.clone().contiguous()
        for f in (lambda t: t + t, lambda t: t * 2, lambda t: 3 - t, lambda t: -t, lambda t: t > 4, lambda t: copy * t):
            ours, expected = f(view), f(copy)
            assert ours.tolist() == expected.tolist()
            assert ours.dtype is expected.dtype
            assert ours.stride() == expected.stride()

    def test_are_seen_through(self, key, dtype):
        x = matrix(dtype)
        view = x[key]
        before = (view + 1).tolist()
        x += 1
        assert view.tolist() == before
        assert (view + 1).tolist() == (x[key] + 1).tolist()

    def test_are_written_in_place(self, key, dtype):
        x, expected = matrix(dtype), np.arange(1.0, 21.0).reshape(4, 5)
        view = x[key]
        view += 1
        view.mul_(2)
        expected[key] = (expected[key] + 1) * 2
        assert x.tolist() == expected.tolist()

    def test_are_assigned_numbers_and_tensors(self, key, dtype):
        x, expected = matrix(dtype), np.arange(1.0, 21.0).reshape(4, 5)
        x[key] = 7
        expected[key] = 7
        assert x.tolist() == expected.tolist()
        x[key] = x[key] + 2
        expected[key] += 2
        assert x.tolist() == expected.tolist()


class TestAssignment:
    @pytest.mark.parametrize(
        "key",
        [1, slice(1, 3), (0, 1), torch.tensor([0, 2]), torch.arange(20).reshape(4, 5) > 9]
        + [(torch.tensor([0, 3]), torch.tensor([1, 4]))],
        ids=["int", "slice", "ints", "index", "mask", "pairs"],
    )
    def test_is_noticed_by_who_saved_the_tensor(self, key):
        w, x = torch.ones(4, 5, requires_grad=True), matrix()
        y = (w * x).sum()
        x[key] = 0.0
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.backward()

    @pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e38, -0.5])
    def test_of_any_float(self, value):
        x = matrix()
        x[1, 2] = value
        x[x == 1] = value
        assert x[1, 2].item() == x[0, 0].item() == np.float32(value)

    def test_of_nan(self):
        x = matrix()
        x[:, 1] = float("nan")
        assert x.isnan().sum().item() == 4

    def test_of_numbers_that_integers_cannot_hold_is_as_it_was(self):
        x = torch.zeros(3, dtype=torch.uint8)
        x[0] = 127
        assert x.tolist() == [127, 0, 0]
        x = torch.zeros(3, dtype=torch.int64)
        x[0] = 2**62
        assert x[0].item() == 2**62
        x[1] = 2.75
        assert x[1].item() == 2

    def test_of_bad_indices_touches_nothing(self):
        x = matrix()
        before = x.tolist()
        for key in (4, (0, 5), torch.tensor([0, 4]), (torch.tensor([0, 1]), torch.tensor([0, 5]))):
            with pytest.raises(IndexError):
                x[key] = 1.0
        assert x.tolist() == before


class TestCatAndStack:
    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
    @pytest.mark.parametrize("dim", [0, 1, -1])
    def test_give_each_part_its_gradient(self, count, dim):
        for join, reference in ((torch.cat, np.concatenate), (torch.stack, np.stack)):
            parts = [torch.full((2, 3), float(i), requires_grad=i % 2 == 0) for i in range(count)]
            joined = join(parts, dim)
            assert joined.tolist() == reference([t.detach().numpy() for t in parts], dim).tolist()
            assert joined.grad_fn.name() == ("CatBackward0" if join is torch.cat else "StackBackward0")
            weights = torch.arange(float(joined.numel())).reshape(joined.shape)
            (joined * weights).sum().backward()
            grads = weights.chunk(count, dim) if join is torch.cat else weights.unbind(dim)
            for part, grad in zip(parts, grads, strict=True):
                assert part.grad is None if not part.requires_grad else part.grad.tolist() == grad.tolist()

    def test_of_results_of_one_node(self):
        x = torch.arange(6.0, requires_grad=True)
        a, b, c = x.split(2)
        (torch.cat([c, a, b]) * torch.arange(6.0)).sum().backward()
        assert x.grad.tolist() == [2, 3, 4, 5, 0, 1]

    def test_twice(self):
        x = torch.arange(3.0, requires_grad=True)
        (g,) = torch.autograd.grad((torch.stack([x, x * x]) ** 2).sum(), x, create_graph=True)
        (gg,) = torch.autograd.grad(g.sum(), x)
        assert gg.tolist() == [2, 14, 50]


def test_complex_views_of_tensors_without_gradients_have_none_and_know_their_base():
    z = torch.complex(torch.ones(3), torch.ones(3))
    parts = torch.view_as_real(z)
    assert not parts.requires_grad and not z.imag.requires_grad and not torch.view_as_complex(parts).requires_grad
    assert parts._base is z and torch.view_as_complex(parts)._base is z
    z = torch.complex(torch.ones(3, requires_grad=True), torch.ones(3)) * 1
    z.imag.mul_(2)
    assert z.real.requires_grad and z.imag.grad_fn is not None
