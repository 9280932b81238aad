"""Products and their gradients at sizes of every kernel behind them, transposed, strided and broadcast, against numpy."""

import numpy as np
import pytest

import numtorch as torch


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def close(got, want, dtype, k):
    scale = np.abs(want).max(initial=1.0)
    tolerance = {torch.float32: 2e-6, torch.float64: 4e-15}[dtype] * max(1, k) ** 0.5 * scale
    assert got.dtype is dtype and tuple(got.shape) == want.shape
    assert np.abs(got.numpy() - want).max(initial=0) <= tolerance


LAYOUTS = {
    "dense": lambda t: t,
    "transposed": lambda t: t.transpose(-1, -2).contiguous().transpose(-1, -2),
    "every other column": lambda t: torch.stack([t, t], -1).flatten(-2)[..., ::2],
    "inside of a larger one": lambda t: torch.nn.functional.pad(t, (2, 1, 1, 2))[..., 1:-2, 2:-1],
}
SIZES = [
    (1, 1, 1),
    (3, 4, 5),
    (16, 16, 16),
    (1, 40, 33),
    (40, 33, 1),
    (6, 50, 20),
    (33, 17, 65),
    (100, 90, 110),
    (64, 700, 48),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_mm_and_its_gradients(size, left, right, dtype):
    n, k, m = size
    x, y, g = numbers(n, k), numbers(k, m, seed=1), numbers(n, m, seed=2)
    x, y, g = (v.astype(str(dtype)[6:]).astype("f8") for v in (x, y, g))
    a = torch.tensor(x, dtype=dtype, requires_grad=True)
    b = torch.tensor(y, dtype=dtype, requires_grad=True)
    product = LAYOUTS[left](a) @ LAYOUTS[right](b)
    close(product.detach(), x @ y, dtype, k)
    product.backward(torch.tensor(g, dtype=dtype).t().contiguous().t())
    close(a.grad, g @ y.T, dtype, m)
    close(b.grad, x.T @ g, dtype, n)


BATCHES = [
    ((3,), (3,)),
    ((2, 3), (2, 3)),
    ((2, 1), (3,)),
    ((1,), (4,)),
    ((2, 1, 2), (2, 3, 1)),
    ((), (2,)),
    ((2, 3), (1, 3)),
]


@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("batch", BATCHES, ids=str)
@pytest.mark.parametrize("size", [(3, 4, 5), (17, 9, 33), (1, 6, 20), (70, 40, 60)], ids=str)
def test_batches_broadcast_and_their_gradients(size, batch, left):
    n, k, m = size
    x, y = numbers(*batch[0], n, k), numbers(*batch[1], k, m, seed=1)
    a, b = torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=True)
    product = LAYOUTS[left](a) @ b
    want = x @ y
    close(product.detach(), want, torch.float64, k)
    g = numbers(*want.shape, seed=2)
    product.backward(torch.tensor(g))
    repeats = want.size // (n * m)
    for got, each, shape in ((a.grad, g @ y.swapaxes(-1, -2), x.shape), (b.grad, x.swapaxes(-1, -2) @ g, y.shape)):
        lead = each.ndim - len(shape)
        axes = (*range(lead), *(d + lead for d, s in enumerate(shape) if s == 1 and each.shape[d + lead] != 1))
        close(got, each.sum(axes).reshape(shape), torch.float64, max(n, m) * repeats)


def test_heads_of_attention_are_multiplied_where_they_lie():
    x, y = numbers(2, 7, 3, 8), numbers(2, 9, 3, 8, seed=1)
    a, b = torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=True)
    scores = a.transpose(1, 2) @ b.permute(0, 2, 3, 1)
    close(scores.detach(), np.einsum("bthd,bshd->bhts", x, y), torch.float64, 8)
    g = numbers(2, 3, 7, 9, seed=2)
    scores.backward(torch.tensor(g))
    close(a.grad, np.einsum("bhts,bshd->bthd", g, y), torch.float64, 9)
    close(b.grad, np.einsum("bhts,bthd->bshd", g, x), torch.float64, 7)


@pytest.mark.parametrize("shape", [(6, 70), (70,), (6, 1), (1, 70), (1,), ()], ids=str)
@pytest.mark.parametrize("factors", [(1, 1), (0, 2), (0.5, -3)], ids=str)
def test_addmm_in_one_pass(shape, factors):
    beta, alpha = factors
    x, y, z = numbers(6, 300), numbers(300, 70, seed=1), numbers(*shape, seed=2)
    if beta == 0:
        z = np.full(shape, np.nan)
    got = torch.addmm(torch.tensor(z), torch.tensor(x), torch.tensor(y), beta=beta, alpha=alpha)
    close(got, alpha * (x @ y) + (beta * np.broadcast_to(z, (6, 70)) if beta else 0), torch.float64, 300)


@pytest.mark.parametrize("shape", [(4, 6, 70), (6, 70), (4, 1, 70), (70,), (4, 6, 1)], ids=str)
def test_baddbmm_in_one_pass(shape):
    x, y, z = numbers(4, 6, 30), numbers(4, 30, 70, seed=1), numbers(*shape, seed=2)
    got = torch.baddbmm(torch.tensor(z), torch.tensor(x), torch.tensor(y), beta=0.5, alpha=2)
    close(got, 2 * (x @ y) + 0.5 * z, torch.float64, 30)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_linear_and_its_gradients(rows, with_bias):
    x, w, bias, g = numbers(rows, 40), numbers(70, 40, seed=1), numbers(70, seed=2), numbers(rows, 70, seed=3)
    a, b, c = (torch.tensor(v, requires_grad=True) for v in (x, w, bias))
    y = torch.nn.functional.linear(a, b, c if with_bias else None)
    close(y.detach(), x @ w.T + (bias if with_bias else 0), torch.float64, 40)
    y.backward(torch.tensor(g))
    close(a.grad, g @ w, torch.float64, 70)
    close(b.grad, g.T @ x, torch.float64, rows)
    if with_bias:
        close(c.grad, g.sum(0), torch.float64, rows)


def test_second_derivatives_of_products():
    for a, b in (((3, 4), (4, 2)), ((2, 3, 4), (2, 4, 2)), ((2, 1, 3, 4), (3, 4, 2))):
        x, y = torch.tensor(numbers(*a), requires_grad=True), torch.tensor(numbers(*b, seed=1), requires_grad=True)
        assert torch.autograd.gradgradcheck(torch.matmul, (x, y))
    x, w = torch.tensor(numbers(3, 4), requires_grad=True), torch.tensor(numbers(2, 4, seed=1), requires_grad=True)
    assert torch.autograd.gradgradcheck(torch.nn.functional.linear, (x, w))


def test_the_number_of_threads_changes_no_bit():
    before = torch.get_num_threads()
    x, y = torch.tensor(numbers(9, 700)).float(), torch.tensor(numbers(700, 300, seed=1)).float()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append([x @ y, x @ y.t().contiguous().t(), x[0] @ y, y.t() @ x.t()])
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results):
        assert torch.equal(one, two)


EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk->ki", (2, 3), (3, 4)),
    ("ij,jk->ik", (5, 1), (1, 4)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bhqk,bhkd->bqhd", (2, 3, 4, 5), (2, 3, 5, 6)),
    ("i,j->ji", (3,), (4,)),
    ("i,i->", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("abc,cad->bd", (2, 3, 4), (4, 2, 5)),
    ("...ij,jk->...ik", (2, 3, 4), (4, 5)),
    ("...ij,...jk", (2, 3, 4), (2, 4, 5)),
    ("ab,b->a", (0, 3), (3,)),
    ("ab,bc->ac", (2, 0), (0, 3)),
    ("ii,ij->j", (3, 3), (3, 4)),
    ("ij,jk->k", (2, 3), (3, 4)),
]


@pytest.mark.parametrize(("equation", "left", "right"), EQUATIONS)
def test_einsum_of_two_operands_twice(equation, left, right):
    """The second call follows the plan that the first one made."""
    a, b = numbers(*left), numbers(*right, seed=1)
    want = np.einsum(equation, a, b)
    for _ in range(2):
        x, y = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
        got = torch.einsum(equation, x, y)
        assert got.shape == want.shape
        np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-12, atol=1e-12)
        if got.numel():
            assert torch.autograd.gradcheck(lambda x, y: torch.einsum(equation, x, y), (x, y))


@pytest.mark.parametrize("grad", [False, True], ids=["outside of the graph", "recorded"])
@pytest.mark.parametrize("size", [(2, 3), (33, 64), (2, 1, 3), (3,)], ids=str)
class TestABiasThatIsNotTheLayers:
    def test_of_another_size_is_refused(self, size, grad):
        x, weight = torch.ones(size), torch.ones(8, size[-1], requires_grad=grad)
        for n in (0, 7, 9):
            with pytest.raises(
                RuntimeError, match=rf"expanded size of the tensor \(8\) must match the existing size \({n}\)"
            ):
                torch.nn.functional.linear(x, weight, torch.ones(n))

    def test_of_one_number_is_added_to_every_output(self, size, grad):
        x, weight = torch.ones(size), torch.ones(8, size[-1], requires_grad=grad)
        expected = torch.full((*size[:-1], 8), size[-1] + 2.0)
        for bias in (torch.tensor([2.0]), torch.tensor(2.0)):
            assert torch.nn.functional.linear(x, weight, bias).equal(expected)

    def test_of_another_dtype_is_refused(self, size, grad):
        x, weight = torch.ones(size), torch.ones(8, size[-1], requires_grad=grad)
        for dtype in (torch.float64, torch.float16, torch.int64):
            with pytest.raises(RuntimeError, match="must have the same dtype"):
                torch.nn.functional.linear(x, weight, torch.ones(8, dtype=dtype))


def test_addr_alone_promotes_its_operands():
    x, u, v = torch.ones(2, 3, dtype=torch.int64), torch.ones(2), torch.full((3,), 0.5)
    assert torch.addr(x, u, v).equal(torch.full((2, 3), 1.5))
    with pytest.raises(RuntimeError, match="must have the same dtype"):
        torch.addmv(torch.ones(2, dtype=torch.int64), torch.ones(2, 3), v)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.ones(2, 2) @ torch.ones(2, 2).long(), "to have the same dtype, but got: float != long int$"),
        (lambda: torch.ones(1, 2, 2) @ torch.ones(1, 2, 2).double(), "^expected scalar type Float but found Double$"),
        (lambda: torch.ones(2, 2) @ torch.ones(2).double(), "dtype, but got Double, Float, and Double$"),
    ],
)
def test_products_of_two_dtypes_are_refused_in_the_words_of_torch(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()
