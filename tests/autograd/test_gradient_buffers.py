"""Large gradients are written over once nobody needs them; what somebody still holds is left as it is."""

import numpy as np
import pytest

import numtorch as torch
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

SIZES = (100, PARALLEL_THRESHOLD + 3)

# Writes that read part of what they write.
WRITES_OVER_NEIGHBOURS = [
    lambda x: x[1:].add_(x[:-1]),
    lambda x: x[1:].lerp_(x[:-1], 1.0),
    lambda x: x[1:].copy_(x[:-1]),
    lambda x: x.__setitem__(slice(1, None), x[:-1]),
    lambda x: x.view(3, 4).mul_(x[:4]),
    lambda x: x[:9].view(3, 3).add_(x[:9].view(3, 3).t()),
    lambda x: torch.add(x[:-1], 1, out=x[1:]),
    lambda x: torch.exp(x[:-1], out=x[1:]),
    lambda x: x.scatter_(0, torch.tensor([1, 0]), x),
    lambda x: x[2:].index_add_(0, torch.arange(5), x[:5]),
    lambda x: x.__setitem__(torch.tensor([1, 0]), x[:2]),
]
# Of tensors and numpy arrays alike.
WRITES_APART = [
    lambda x: x.__iadd__(x),
    lambda x: x[1:].__imul__(x[1:]),
    lambda x: x[6:].__iadd__(x[:6]),
    lambda x: x.__setitem__(slice(6, None), x[:6]),
    lambda x: x.__setitem__(3, x[4]),
    lambda x: x.__setitem__(slice(None), x[:1]),
]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)  # 1 - tanh**2 loses digits where tanh is near 1: other values need other tolerances


def derivative_of_sigmoid_of_tanh(w):
    """The gradients of sigmoid(tanh(w)).sum() by tanh(w) and by w, in float64."""
    x = w.detach().numpy().astype(np.float64)
    inner = np.tanh(x)
    outer = 1 / (1 + np.exp(-inner))
    by_inner = outer * (1 - outer)
    return by_inner, by_inner * (1 - inner**2)


def close(t, expected):
    # 1 - tanh^2 near 1 is 2 to 3 units of 6e-8 off where there is no fused multiply-add.
    np.testing.assert_allclose(t.detach().numpy(), expected, rtol=1e-5, atol=3e-7)


@pytest.mark.parametrize("size", SIZES)
class TestGradientsThatAreHeld:
    def test_by_a_hook(self, size):
        w, kept = torch.randn(size, requires_grad=True), []
        inner = w.tanh()
        inner.register_hook(kept.append)
        inner.sigmoid().sum().backward()
        by_inner, by_w = derivative_of_sigmoid_of_tanh(w)
        close(kept[0], by_inner)
        close(w.grad, by_w)

    @pytest.mark.parametrize("register", ["on the tensor", "before the node"])
    def test_by_who_registered_a_hook_that_puts_it_in(self, size, register):
        w = torch.randn(size, requires_grad=True)
        w.tanh().tanh().sum().backward()  # compiles the loop that would write over it
        w.grad, held = None, [torch.full((size,), 2.0)]
        y = w.tanh()
        if register == "on the tensor":
            y.register_hook(lambda grad: held[0])
        else:
            y.grad_fn.register_prehook(lambda grads: (held[0],))
        y.sum().backward()
        assert held[0].eq(2.0).all()
        close(w.grad, 2 * (1 - np.tanh(w.detach().numpy().astype(np.float64)) ** 2))

    def test_for_the_hooks_that_run_after_the_node(self, size):
        w, seen = torch.randn(size, requires_grad=True), []
        inner = w.tanh()
        inner.sigmoid().sum().backward()  # compiles the loop that would write over it
        inner = w.tanh()
        inner.grad_fn.register_hook(lambda grad_inputs, grad_outputs: seen.append(grad_outputs[0].clone()))
        inner.sigmoid().sum().backward()
        close(seen[0], derivative_of_sigmoid_of_tanh(w)[0])

    def test_by_retain_grad(self, size):
        w = torch.randn(size, requires_grad=True)
        inner = w.tanh()
        inner.retain_grad()
        inner.sigmoid().sum().backward()
        by_inner, by_w = derivative_of_sigmoid_of_tanh(w)
        close(inner.grad, by_inner)
        close(w.grad, by_w)

    def test_by_the_caller(self, size):
        w, given = torch.randn(size, requires_grad=True), torch.full((size,), 2.0)
        w.tanh().sigmoid().backward(given)
        assert given.eq(2.0).all()
        close(w.grad, 2 * derivative_of_sigmoid_of_tanh(w)[1])

    def test_by_two_branches(self, size):
        w = torch.randn(size, requires_grad=True)
        a, b = w.tanh(), w.tanh()
        (a + b).sigmoid().sum().backward()  # both branches receive one and the same gradient
        x = np.tanh(w.detach().numpy().astype(np.float64))
        s = 1 / (1 + np.exp(-2 * x))
        close(w.grad, 2 * s * (1 - s) * (1 - x**2))

    def test_by_a_kept_graph(self, size):
        w = torch.randn(size, requires_grad=True)
        y = w.tanh().sigmoid().sum()
        y.backward(retain_graph=True)
        y.backward()
        close(w.grad, 2 * derivative_of_sigmoid_of_tanh(w)[1])


def test_a_gradient_of_many_elements_keeps_its_memory_through_a_chain(monkeypatch):
    from numtorch._derivatives import Rule

    reused, run = [], Rule.run
    monkeypatch.setattr(Rule, "run", lambda self, g, s, p, reuse: reused.append(reuse) or run(self, g, s, p, reuse))
    for _ in range(2):  # the first backward compiles what the second takes
        reused.clear()
        w = torch.randn(SIZES[1], requires_grad=True)
        w.tanh().tanh().tanh().sum().backward()
    assert any(reused)


class TestNumbersBesideTensors:
    @pytest.mark.parametrize(
        ("f", "derivative"),
        [
            (lambda x: x * 3, lambda x: 3 + 0 * x),
            (lambda x: 3 - x, lambda x: -1 + 0 * x),
            (lambda x: x / 4, lambda x: 0.25 + 0 * x),
            (lambda x: 2 / x, lambda x: -2 / x**2),
            (lambda x: x**3, lambda x: 3 * x**2),
            (lambda x: 2.0**x, lambda x: 2**x * np.log(2)),
        ],
    )
    def test_the_derivative_is_right_the_first_time_and_every_time(self, f, derivative):
        for _ in range(3):
            x = torch.rand(50, requires_grad=True)
            y = (x + 1).detach().requires_grad_()
            f(y).sum().backward()
            close(y.grad, derivative(y.detach().numpy().astype(np.float64)))


class TestWritesInPlace:
    @pytest.mark.parametrize("size", SIZES)
    def test_over_a_result_of_the_graph(self, size):
        w, other = torch.randn(size, requires_grad=True), torch.randn(size, requires_grad=True)
        y = w * 2
        y += other
        y -= w
        y.sigmoid().sum().backward()
        x = (w + other).detach().numpy().astype(np.float64)
        s = 1 / (1 + np.exp(-x))
        close(w.grad, s * (1 - s))
        close(other.grad, s * (1 - s))

    @pytest.mark.parametrize("write", WRITES_OVER_NEIGHBOURS)
    def test_of_a_part_over_its_neighbour_are_refused(self, write):
        x = torch.arange(12.0)
        with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor refer to"):
            write(x)
        assert x.tolist() == list(range(12))

    def test_of_places_that_are_one(self):
        x = torch.arange(3.0)
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single"):
            x.expand(2, 3).mul_(2)
        assert x.expand(2, 3).fill_(7).eq(7).all()  # the same is written to them all
        nothing = torch.zeros(0).as_strided((2, 0), (0, 0))
        assert nothing.copy_(torch.ones(2, 1)).shape == (2, 0)

    @pytest.mark.parametrize("write", WRITES_APART)
    def test_of_a_part_over_itself_or_beside_another_are_not(self, write):
        x = torch.arange(12.0)
        expected = np.arange(12.0, dtype=np.float32)
        write(x)
        write(expected)
        assert np.array_equal(x.numpy(), expected)

    @pytest.mark.parametrize(
        "name",
        [
            "relu",
            "sigmoid",
            "tanh",
            "exp",
            "exp2",
            "expm1",
            "sqrt",
            "rsqrt",
            "reciprocal",
            "tan",
            "erfinv",
            "cumprod_0",
        ],
    )
    @pytest.mark.parametrize("layout", ["whole", "view", "transposed"])
    def test_whose_result_the_derivative_needs_keep_it_where_it_is(self, name, layout):
        name, *args = name.split("_")
        w = torch.rand(3, 3).mul_(0.8).add_(0.1).requires_grad_()
        cut = {"whole": lambda t: t, "view": lambda t: t[1:], "transposed": lambda t: t.t()}[layout]
        for changed in (False, True):
            y = w * 1
            getattr(cut(y), name + "_")(*map(int, args))
            if changed:
                cut(y).add_(1)
                with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                    y.sum().backward()
            else:
                (got,) = torch.autograd.grad(y.sum(), w)
        z = w * 1
        (expected,) = torch.autograd.grad(getattr(cut(z), name)(*map(int, args)).sum(), w)
        inside = cut(torch.arange(9).reshape(3, 3)).reshape(-1).tolist()
        close(got.reshape(-1)[inside], expected.reshape(-1)[inside].numpy())

    def test_count_as_changes(self):
        x = torch.rand(5, requires_grad=True)
        y = x * 1
        z = y.exp()
        z += x
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()
