"""Operators of tensors on CUDA against the same on the CPU: values, dtypes, layouts and gradients."""

import math

import pytest

import numtorch as torch
import numtorch.nn.functional as F

torch.manual_seed(0)
LONG = torch.int64
A, B, V = torch.randn(3, 4), torch.randn(3, 4), torch.randn(4)
POSITIVE = A.abs() + 0.5
CUBE = torch.randn(2, 3, 4)
IMAGE = torch.randn(2, 3, 5, 6)
SPECIAL = torch.tensor([1.0, math.nan, -math.inf, math.inf, -0.0, 2.5])
TIES = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [math.nan, 1.0, math.nan]])
NUMBERS = torch.tensor([[3, -1, 2], [0, 5, -7]])
MASK = torch.tensor([[True, False, True], [False, False, False]])
INDEX = torch.tensor([[0, 3, 1, 1], [2, 2, 0, 3], [3, 3, 3, 0]])
PICK = torch.tensor([2, 0, 2])
CLASSES = torch.tensor([1, 0, 3])

CASES = {
    # pointwise and broadcasting
    "add": (torch.add, A, B),
    "row": (torch.mul, A, V),
    "outer": (lambda a, b: a[:, None] / b[None, :], V, V.abs() + 1),
    "number right": (lambda a: a * 2.5 - 1, A),
    "number left": (lambda a: 1 / (2 - a.sigmoid()), A),
    "0-d": (lambda a, s: a * s + s, A, torch.tensor(3.0)),
    "transposed": (lambda a, b: a.t() + b.t().exp(), A, B),
    "mixed layouts": (lambda a, b: a.t().contiguous().t() * b, A, B),
    "mixed dtypes": (lambda a, n: a[:2, :3] + n, A, NUMBERS),
    "integer division": (lambda n: n / 2, NUMBERS),
    "floor division": (lambda n: n // 2, NUMBERS),
    "remainder": (lambda n: n % 3, NUMBERS),
    "bool": (lambda m, n: (n > 0) & m, MASK, NUMBERS),
    "where": (lambda m, n: torch.where(m, n, -n), MASK, NUMBERS),
    "masked_fill": (lambda n, m: n.masked_fill(m, 9), NUMBERS, MASK),
    "clamp": (lambda a: a.clamp(-0.5, 0.5), A),
    "pow": (lambda a: a**2 + a**3, A),
    "log of special": (lambda x: torch.cat([x.log(), x.sqrt(), x.sign(), x.isnan().float()]), SPECIAL),
    "gelu": (F.gelu, A),
    "silu": (F.silu, A),
    "leaky_relu": (F.leaky_relu, A),
    "lerp": (torch.lerp, A, B, torch.tensor(0.25)),
    "addcmul": (torch.addcmul, A, B, POSITIVE),
    "half": (lambda h: h * 2 + 1, A.half()),
    "bfloat16": (lambda h: h.exp(), A.bfloat16()),
    "double": (lambda d: d.tanh(), A.double()),
    "complex": (lambda z: z * z.conj() + 1, torch.complex(A, B)),
    # reductions
    "sum": (torch.sum, A),
    "sum of dim 0": (lambda a: a.sum(0), A),
    "sum of outer dims": (lambda c: c.sum((0, 2), keepdim=True), CUBE),
    "sum of integers": (torch.sum, NUMBERS),
    "sum of bools": (lambda m: m.sum(1), MASK),
    "sum of a long line": (torch.sum, torch.arange(200.0)),
    "sum of nothing": (lambda a: a[:0].sum(0), A),
    "mean": (lambda c: c.mean((0, 1)), CUBE),
    "mean of halves": (lambda h: h.mean(1), A.half()),
    "prod": (lambda a: a.prod(1), A),
    "nansum": (lambda x: x[:2].nansum(), SPECIAL),
    "amax": (lambda t: t.amax(1), TIES),
    "amin": (lambda c: c.amin((0, 2)), CUBE),
    "max": (torch.max, A),
    "max of dim": (lambda t: tuple(t.max(1)), TIES),
    "min of dim 0": (lambda t: tuple(t.min(0)), TIES),
    "argmax": (lambda t: t.argmax(1), TIES),
    "argmin of all": (torch.argmin, A),
    "any": (lambda m: m.any(1), MASK),
    "all": (lambda n: n.all(), NUMBERS),
    "count_nonzero": (torch.count_nonzero, NUMBERS),
    "logsumexp": (lambda a: a.logsumexp(1), A),
    "softmax": (lambda a: a.softmax(1), A),
    "log_softmax": (lambda c: c.log_softmax(1), CUBE),
    "var": (lambda a: a.var(1), A),
    "std_mean": (lambda c: torch.std_mean(c, (0, 2)), CUBE),
    "norm by hand": (lambda a: (a * a).sum().sqrt(), A),
    # indices
    "gather": (lambda a, i: a.gather(1, i), A, INDEX),
    "gather in part": (lambda a, i: a.gather(0, i), A, INDEX[:2, :3] % 3),
    "gather transposed": (lambda a, i: a.t().gather(1, i), A, INDEX[:, :2].t() % 3),
    "scatter": (lambda a, b: a.scatter(1, torch.tensor([[3], [0], [1]]).to(a.device), b), A, B),
    "scatter a number": (lambda a: a.scatter(0, torch.tensor([[2, 0]]).to(a.device), 7.0), A),
    "scatter_add": (lambda a, i, b: a.scatter_add(1, i, b), A, INDEX, B),
    "scatter_add of small integers": (lambda n: n.scatter_add(1, n.long() % 3, n), NUMBERS.to(torch.int8)),
    "index_select": (lambda a, p: a.index_select(0, p), A, PICK),
    "index_select inside": (lambda c, p: c.index_select(1, p), CUBE, PICK),
    "index_add": (lambda a, p, b: a.index_add(0, p, b, alpha=2), A, PICK, B),
    "embedding": (lambda i, w: F.embedding(i, w), INDEX[:, :2] % 3, A),
    "embedding with padding": (lambda i, w: F.embedding(i, w, padding_idx=2), PICK, A),
    "embedding by frequency": (lambda i, w: F.embedding(i, w, scale_grad_by_freq=True), PICK, A),
    # pooling
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), IMAGE),
    "max_pool2d with padding": (lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True), IMAGE),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, (2, 3), 1), IMAGE),
    "avg_pool2d without padding": (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), IMAGE),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 2), CUBE),
    "max_pool1d": (lambda x: F.max_pool1d(x, 2), CUBE),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 4)), IMAGE),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 2), IMAGE),
    "max_unpool2d": (lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=x.shape), IMAGE),
    # views, copies and joints
    "slices": (lambda c: c[1, :, 1:3] * c[0, ::2, -1].sum(), CUBE),
    "permute": (lambda c: c.permute(2, 0, 1).reshape(4, 6) + 1, CUBE),
    "expand": (lambda v: v.expand(3, 4).clone() * 2, V),
    "cat": (lambda a, b: torch.cat([a, b.t().reshape(4, 3).t()], 1), A, B),
    "stack": (lambda a, b: torch.stack([a, b], 1), A, B),
    "chunk": (lambda a: torch.cat(a.chunk(2, 1)[::-1], 0), A),
    "unfold": (lambda v: v.unfold(0, 2, 1).sum(1), V),
    "diagonal": (lambda a: a.diagonal() * 2, A),
    # losses
    "mse_loss": (F.mse_loss, A, B),
    "cross_entropy": (lambda a, t: F.cross_entropy(a, t), A, CLASSES),
    "weighted cross_entropy": (lambda a, t, w: F.cross_entropy(a, t, w), A, CLASSES, V.abs()),
}


def moved(value):
    """A tensor in a layout of its own on the device, without history."""
    return value.detach().cuda()


def compare(got, expected, what):
    if isinstance(expected, tuple):
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            compare(g, e, what)
        return
    assert got.device == torch.device("cuda:0"), what
    assert got.dtype is expected.dtype, what
    assert got.size() == expected.size(), what
    assert torch.allclose(got.cpu(), expected, rtol=2e-6, atol=1e-6, equal_nan=True), f"{what}:\n{got}\n{expected}"


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    fn, *operands = CASES[name]
    compare(fn(*[moved(t) for t in operands]), fn(*operands), "values")


@pytest.mark.parametrize(
    "name", [n for n, (_, *operands) in CASES.items() if any(t.dtype is torch.float32 for t in operands)]
)
def test_gradients(name):
    fn, *operands = CASES[name]
    found = []
    for place in (lambda t: t.detach().clone(), moved):
        leaves = [place(t) for t in operands]
        for t in leaves:
            t.requires_grad_(t.dtype is torch.float32)
        result = fn(*leaves)
        result = result[0] if isinstance(result, tuple) else result
        if not result.requires_grad:
            return
        weights = torch.arange(1.0, result.numel() + 1).reshape(result.shape)
        result.backward(weights.to(result.device))
        found.append([t.grad for t in leaves])
    for expected, got in zip(*found, strict=True):
        if expected is not None:
            compare(got, expected, "gradient")


def test_second_derivatives():
    found = []
    for place in (torch.Tensor.clone, torch.Tensor.cuda):
        x = place(A.double()).requires_grad_()
        (g,) = torch.autograd.grad((x.tanh() * x.gather(1, place(INDEX))).sum(), x, create_graph=True)
        g.square().sum().backward()
        found.append(x.grad)
    assert torch.allclose(found[1].cpu(), found[0])
