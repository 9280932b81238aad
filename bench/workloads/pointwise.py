"""Element by element on 1 and 4 million floats: bound by memory, by page faults and by exp and its kin."""

from . import Family

FAMILY = Family("pointwise")

SIZES = {"1M": (1000, 1000), "4M": (2000, 2000)}

OPS = {
    "add": lambda torch, x, y: lambda: x + y,
    "exp": lambda torch, x, y: lambda: torch.exp(x),
    "tanh": lambda torch, x, y: lambda: torch.tanh(x),
    "sigmoid": lambda torch, x, y: lambda: torch.sigmoid(x),
    "gelu": lambda torch, x, y: lambda: torch.nn.functional.gelu(x),
    "where": lambda torch, x, y: (lambda mask: lambda: torch.where(mask, x, y))(x > y),
    "row * column": lambda torch, x, y: (lambda row, column: lambda: row * column)(x[0], y[:, :1]),
    "x + y.t()": lambda torch, x, y: lambda: x + y.t(),
    "add, into out": lambda torch, x, y: (lambda out: lambda: torch.add(x, y, out=out))(torch.empty_like(x)),
}


WITH_BACKWARD = ("exp", "sigmoid", "gelu", "row * column")


def _forward(name, size, op):
    @FAMILY.workload(name)
    def prepare(torch):
        torch.manual_seed(0)
        return op(torch, torch.randn(*size), torch.randn(*size))


def _forward_backward(name, size, op):
    @FAMILY.workload(f"{name}, with backward")
    def prepare(torch):
        torch.manual_seed(0)
        x = torch.randn(*size, requires_grad=True)
        run, grad = op(torch, x, torch.randn(*size)), torch.randn(*size)

        def step():
            x.grad = None
            run().backward(grad, retain_graph=True)

        return step


for _size_name, _size in SIZES.items():
    for _op_name, _op in OPS.items():
        _forward(f"{_op_name} {_size_name}", _size, _op)
for _op_name in WITH_BACKWARD:
    _forward_backward(f"{_op_name} 1M", SIZES["1M"], OPS[_op_name])
