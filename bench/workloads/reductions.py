"""Reductions over all elements and over each dimension, scans and softmax, of a 1024 x 1000 matrix."""

from . import Family

FAMILY = Family("reductions")

SIZE = (1024, 1000)
OVER = {"all": {}, "dim 0": {"dim": 0}, "dim 1": {"dim": 1}}


def _reduction(name, over, arguments):
    @FAMILY.workload(f"{name} over {over}")
    def prepare(torch):
        torch.manual_seed(0)
        x, reduce = torch.randn(*SIZE), getattr(torch, name)
        return lambda: reduce(x, **arguments)


for _name in ("sum", "mean", "max", "argmax", "var"):
    for _over, _arguments in OVER.items():
        _reduction(_name, _over, _arguments)


def _softmax(name, dim):
    @FAMILY.workload(f"{name} over dim {dim}")
    def forward(torch):
        torch.manual_seed(0)
        x, function = torch.randn(*SIZE), getattr(torch, name)
        return lambda: function(x, dim=dim)

    @FAMILY.workload(f"{name} over dim {dim}, with backward")
    def forward_backward(torch):
        torch.manual_seed(0)
        x, grad, function = torch.randn(*SIZE, requires_grad=True), torch.randn(*SIZE), getattr(torch, name)

        def run():
            x.grad = None
            function(x, dim=dim).backward(grad)

        return run


@FAMILY.workload("cumsum over dim 1")
def cumsum_along_rows(torch):
    torch.manual_seed(0)
    x = torch.randn(*SIZE)
    return lambda: x.cumsum(1)


@FAMILY.workload("cumsum over dim 0")
def cumsum_along_columns(torch):
    torch.manual_seed(0)
    x = torch.randn(*SIZE)
    return lambda: x.cumsum(0)


for _name in ("softmax", "log_softmax"):
    for _dim in (1, 0):
        _softmax(_name, _dim)
