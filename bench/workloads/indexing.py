"""Reading and writing through indices."""

from . import Family

FAMILY = Family("indexing")
workload = FAMILY.workload


def _indices(torch, limit, *size):
    torch.manual_seed(0)
    return torch.randint(0, limit, size)


@workload("gather 1024x1000 along dim 1")
def gather(torch):
    index = _indices(torch, 1000, 1024, 1000)
    x = torch.randn(1024, 1000)
    return lambda: x.gather(1, index)


@workload("scatter_add 1024x1000 along dim 1")
def scatter_add(torch):
    index = _indices(torch, 1000, 1024, 1000)
    x, source = torch.zeros(1024, 1000), torch.randn(1024, 1000)
    return lambda: x.scatter_add(1, index, source)


@workload("index_select 10000 rows of 64")
def index_select(torch):
    index = _indices(torch, 20000, 10000)
    x = torch.randn(20000, 64)
    return lambda: x.index_select(0, index)


@workload("x[index] 10000 rows of 64")
def advanced_index(torch):
    index = _indices(torch, 20000, 10000)
    x = torch.randn(20000, 64)
    return lambda: x[index]


@workload("embedding 10000x64, 64x32 words, with backward")
def embedding_step(torch):
    words = _indices(torch, 10000, 64, 32)
    weight = torch.randn(10000, 64, requires_grad=True)
    grad = torch.randn(64, 32, 64)

    def run():
        weight.grad = None
        torch.nn.functional.embedding(words, weight).backward(grad)

    return run
