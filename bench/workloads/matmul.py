"""Matrix products: square, as a two-layer net meets them, with vectors, and in batches."""

from . import Family

FAMILY = Family("matmul")


def _mm(name, n, k, m):
    @FAMILY.workload(f"mm {name}")
    def forward(torch):
        torch.manual_seed(0)
        x, y = torch.randn(n, k), torch.randn(k, m)
        return lambda: x.mm(y)

    @FAMILY.workload(f"mm {name}, with backward")
    def forward_backward(torch):
        torch.manual_seed(0)
        x, y = torch.randn(n, k, requires_grad=True), torch.randn(k, m, requires_grad=True)
        grad = torch.randn(n, m)

        def run():
            x.grad = y.grad = None
            x.mm(y).backward(grad)

        return run


for _name, _n, _k, _m in (
    ("64x64x64", 64, 64, 64),
    ("256x256x256", 256, 256, 256),
    ("1024x1024x1024", 1024, 1024, 1024),
    ("100x64x1000", 100, 64, 1000),
):
    _mm(_name, _n, _k, _m)


@FAMILY.workload("linear 128x784 -> 256 with bias")
def linear(torch):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(128, 784), torch.randn(256, 784), torch.randn(256)
    return lambda: torch.nn.functional.linear(x, weight, bias)


def _bmm(batch, n, k, m):
    @FAMILY.workload(f"bmm {batch} of {n}x{k}x{m}")
    def prepare(torch):
        torch.manual_seed(0)
        x, y = torch.randn(batch, n, k), torch.randn(batch, k, m)
        return lambda: x.bmm(y)


_bmm(64, 32, 64, 32)
_bmm(48, 128, 64, 128)


@FAMILY.workload("1x1024 by 1024x1024")
def row_times_matrix(torch):
    torch.manual_seed(0)
    x, y = torch.randn(1, 1024), torch.randn(1024, 1024)
    return lambda: x @ y


@FAMILY.workload("1024x1024 by a vector")
def matrix_times_vector(torch):
    torch.manual_seed(0)
    x, y = torch.randn(1024, 1024), torch.randn(1024)
    return lambda: x @ y
