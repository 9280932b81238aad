"""Products written straight into out= and over their first operand; einsum's plans; losses over smoothed targets."""

import numpy as np
import pytest

import numtorch as torch

F = torch.nn.functional

# Sizes on both sides of the small kernels, of a register tile and of one thread's work.
SIZES = [(1, 1, 1), (3, 4, 5), (16, 16, 16), (33, 17, 49), (9, 1, 40), (130, 90, 110)]


def close(result, wanted, dtype="float32"):
    tight = 2e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(result.numpy(), wanted, rtol=0, atol=tight * max(1.0, np.abs(wanted).max(initial=0)))


def matrix(rows, columns, layout, dtype):
    if layout == "transposed":
        return torch.randn(columns, rows, dtype=dtype).t()
    if layout == "part":
        return torch.randn(rows + 2, columns + 3, dtype=dtype)[1:-1, 2:-1]
    return torch.randn(rows, columns, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["dense", "transposed", "part"])
@pytest.mark.parametrize(("n", "k", "m"), SIZES)
def test_matrices(n, k, m, layout, dtype):
    d = getattr(torch, dtype)
    a, b = matrix(n, k, layout, d), matrix(k, m, layout, d)
    x, y = a.numpy().astype(np.float64), b.numpy().astype(np.float64)
    out = torch.full((n, m), float("nan"), dtype=d)
    assert torch.mm(a, b, out=out) is out
    close(out, x @ y, dtype)
    close(torch.matmul(a, b, out=torch.empty(n, m, dtype=d)), x @ y, dtype)
    start = torch.randn(n, m, dtype=d)
    wanted = 0.5 * start.numpy().astype(np.float64) - 2 * (x @ y)
    close(torch.addmm(start, a, b, beta=0.5, alpha=-2, out=out), wanted, dtype)
    version = start._version
    assert start.addmm_(a, b, beta=0.5, alpha=-2) is start
    assert start._version == version + 1
    close(start, wanted, dtype)
    v, u = torch.randn(k, dtype=d), torch.randn(n, dtype=d)
    wanted = u.numpy() * 3.0 + x @ v.numpy()
    close(torch.mv(a, v, out=torch.empty(n, dtype=d)), x @ v.numpy(), dtype)
    close(u.addmv_(a, v, beta=3), wanted, dtype)
    close(v @ b, v.numpy() @ y, dtype)


@pytest.mark.parametrize(
    ("batch", "n", "k", "m"), [(1, 2, 3, 4), (7, 4, 4, 4), (3, 17, 9, 20), (5, 1, 8, 1), (0, 2, 2, 2)]
)
def test_batches(batch, n, k, m):
    a, b, c = torch.randn(batch, n, k), torch.randn(batch, m, k).mT, torch.randn(batch, n, m)
    product = a.numpy() @ b.numpy()
    close(torch.bmm(a, b, out=torch.empty(batch, n, m)), product)
    close(torch.baddbmm(c, a, b), c.numpy() + product)
    wanted = 0.25 * c.numpy() + 3 * product
    close(torch.baddbmm(c, a, b, beta=0.25, alpha=3), wanted)
    close(c.baddbmm_(a, b, beta=0.25, alpha=3), wanted)


@pytest.mark.parametrize("n", [0, 1, 10, 100, 200])
def test_outer_products(n):
    x, y, c = torch.randn(n), torch.randn(n + 3), torch.randn(n, n + 3)
    close(torch.outer(x, y), np.outer(x.numpy(), y.numpy()))
    close(torch.addr(c, x, y, beta=2, alpha=3), 2 * c.numpy() + 3 * np.outer(x.numpy(), y.numpy()))
    wanted = c.numpy() - np.outer(x.numpy(), y.numpy())
    close(c.addr_(x, y, alpha=-1), wanted)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (20, 1), (5, 3), (17, 33), (100, 80), (100, 90)])
def test_zeros_of_an_outer_product_keep_their_signs(shape):
    x, y = torch.randn(shape[0]), torch.zeros(shape[1])
    assert (np.signbit(torch.outer(x, y).numpy()) == (x.numpy() < 0)[:, None]).all()


def test_beta_zero_reads_nothing():
    start, a = torch.full((16, 16), float("nan")), torch.ones(16, 16)
    assert (start.addmm_(a, a, beta=0) == 16).all()
    vector = torch.full((16,), float("inf"))
    assert (vector.addmv_(a, a[0], beta=0) == 16).all()
    batch = torch.full((2, 4, 4), float("nan"))
    assert (batch.baddbmm_(torch.ones(2, 4, 4), torch.ones(2, 4, 4), beta=0) == 4).all()


def test_a_result_over_its_operand():
    a = torch.randn(16, 16)
    wanted = a.numpy() @ a.numpy()
    close(torch.mm(a, a, out=a), wanted)
    b = torch.randn(16, 16)
    wanted = b.numpy() + b.numpy() @ b.numpy()
    close(b.addmm_(b, b), wanted)
    whole = torch.randn(20, 16)
    wanted = whole[4:].numpy() @ np.eye(16, dtype=np.float32)
    close(torch.mm(whole[4:], torch.eye(16), out=whole[:16]), wanted)
    shared = np.random.randn(8, 8).astype(np.float32)
    wanted = shared @ shared
    close(torch.mm(torch.from_numpy(shared), torch.from_numpy(shared), out=torch.from_numpy(shared)), wanted)


def test_a_saved_tensor_that_a_product_overwrites_is_noticed():
    x = torch.randn(4, 4, requires_grad=True)
    saved = torch.randn(4, 4)
    loss = (x * saved).sum()
    torch.mm(torch.ones(4, 4), torch.ones(4, 4), out=saved)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_what_requires_a_gradient_is_not_written():
    x, a = torch.randn(4, 4, requires_grad=True), torch.randn(4, 4)
    with pytest.raises(RuntimeError, match="out=... arguments don't support automatic differentiation"):
        torch.mm(x, a, out=torch.empty(4, 4))
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.addmm_(a, a)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x.detach().requires_grad_()[1:].addmm_(a[1:], a)
    y = x * 1
    y.addmm_(a, x)
    y.sum().backward()
    close(x.grad, 1 + a.numpy().sum(0)[:, None] * np.ones(4, np.float32))


@pytest.mark.parametrize(
    ("equation", "sizes"),
    [
        ("ij,ij->ij", [(3, 4), (3, 4)]),
        ("ij,ji->ij", [(3, 4), (4, 3)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij,j->ji", [(3, 4), (4,)]),
        ("bi,bj->bij", [(2, 3), (2, 4)]),
        ("bij,bij->bi", [(2, 3, 4), (2, 3, 4)]),
        ("bij,bji->b", [(2, 3, 4), (2, 4, 3)]),
        ("bij,jbi->ib", [(2, 3, 4), (4, 2, 3)]),
        ("bi,bi->b", [(300, 400), (300, 400)]),
        ("ii", [(4, 4)]),
        ("ii->i", [(4, 4)]),
        ("ij->", [(3, 4)]),
        ("ij->j", [(3, 4)]),
        ("ijk->ki", [(2, 3, 4)]),
        ("ij", [(3, 4)]),
        ("ba", [(3, 4)]),
        ("iij->ij", [(3, 3, 4)]),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "float16"])
def test_einsum(equation, sizes, dtype):
    d = getattr(torch, dtype)
    operands = [(torch.rand(size) * 4).to(d) for size in sizes]
    result = torch.einsum(equation, *operands)
    assert result.dtype is d
    wanted = np.einsum(equation, *[t.numpy().astype(np.float64) for t in operands])
    rough = {"float32": 2e-6, "int64": 0, "float16": 1e-3}[dtype]
    np.testing.assert_allclose(result.numpy(), wanted, rtol=rough, atol=rough)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_smoothed_targets_are_probabilities(reduction, weighted, ignore_index):
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 1, 2, 3, 4, 2, 0])
    weight = torch.rand(5, dtype=torch.float64) if weighted else None
    options = {"reduction": reduction, "weight": weight, "label_smoothing": 0.2}
    loss = F.cross_entropy(x, target, ignore_index=ignore_index, **options)
    kept = target != ignore_index
    rows = -torch.log_softmax(x, 1) * (1.0 if weight is None else weight)
    each = 0.8 * rows[torch.arange(7), target] + 0.2 * rows.mean(1)
    each = each.masked_fill(~kept, 0)
    among = kept.sum() if weight is None else (weight[target] * kept).sum()
    wanted = {"mean": each.sum() / among, "sum": each.sum(), "none": each}[reduction]
    close(loss.detach(), wanted.detach().numpy(), "float64")
    scale = torch.rand(loss.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((loss * scale).sum(), x)
    (expected,) = torch.autograd.grad((wanted * scale).sum(), x)
    close(gradient, expected.numpy(), "float64")


def test_smoothed_targets_twice_differentiated():
    target = torch.tensor([0, 2, 1])

    def loss(x):
        return F.cross_entropy(x, target, label_smoothing=0.3)

    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (x,))
    assert torch.autograd.gradgradcheck(loss, (x,))


def test_smoothed_targets_out_of_range():
    with pytest.raises(IndexError, match="Target 5 is out of bounds"):
        F.cross_entropy(torch.randn(2, 5), torch.tensor([0, 5]), label_smoothing=0.1)


@pytest.mark.parametrize("dim", [0, 1, 2, -2])
def test_cross(dim):
    size = [4, 5, 6]
    size[dim] = 3
    a, b = torch.randn(size), torch.randn(size)
    close(torch.linalg.cross(a, b, dim=dim), np.cross(a.numpy(), b.numpy(), axis=dim))


@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 3, 17, 8), (3, 1, 4, 4), (2, 5, 20, 1), (0, 2, 3, 4), (2, 2, 1, 9)])
@pytest.mark.parametrize("heads_first", [True, False])
def test_batches_of_heads(size, heads_first):
    outer, inner, n, k = size
    x = torch.randn(size) if heads_first else torch.randn(outer, n, inner, k).transpose(1, 2)
    y = torch.randn(outer, inner, n + 2, k)
    x.requires_grad_(), y.requires_grad_()
    product = x @ y.mT
    close(product.detach(), x.detach().numpy() @ y.detach().numpy().swapaxes(-1, -2))
    grad = torch.randn(product.shape)
    product.backward(grad)
    close(x.grad, grad.numpy() @ y.detach().numpy())
    close(y.grad, grad.numpy().swapaxes(-1, -2) @ x.detach().numpy())


@pytest.mark.parametrize(
    ("first", "second"), [((4, 5, 4, 5), (4, 5, 6)), ((3, 3, 3), (3, 3, 3, 3)), ((2, 3, 2, 3), (3, 4))]
)
def test_products_of_different_ranks(first, second):
    x, y = torch.randn(first, requires_grad=True), torch.randn(second, requires_grad=True)
    if len(second) == 3:
        y = torch.randn(5, 5, 6, requires_grad=True)
    product = x @ y
    close(product.detach(), x.detach().numpy() @ y.detach().numpy())
    product.sum().backward()
    ones = np.ones(product.shape, np.float32)
    wanted = ones @ y.detach().numpy().swapaxes(-1, -2)
    while wanted.ndim > x.ndim:
        wanted = wanted.sum(0)
    close(x.grad, wanted)
