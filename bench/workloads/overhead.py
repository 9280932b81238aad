"""What a call costs: tensors of 100 elements, on which the arithmetic itself takes next to nothing."""

from . import Family

FAMILY = Family("overhead")
workload = FAMILY.workload


@workload("add")
def add(torch):
    x, y = torch.rand(100), torch.rand(100)
    return lambda: x + y


@workload("add, requires grad")
def add_with_grad(torch):
    x, y = torch.rand(100, requires_grad=True), torch.rand(100)
    return lambda: x + y


@workload("mul by a number")
def mul_scalar(torch):
    x = torch.rand(100)
    return lambda: x * 2.5


@workload("relu")
def relu(torch):
    x = torch.rand(100) - 0.5
    return lambda: torch.relu(x)


@workload("sum")
def sum_all(torch):
    x = torch.rand(100)
    return lambda: x.sum()


@workload("view")
def view(torch):
    x = torch.rand(100)
    return lambda: x.view(10, 10)


@workload("x[3]")
def int_index(torch):
    x = torch.rand(10, 10)
    return lambda: x[3]


@workload("x[2:7]")
def slice_rows(torch):
    x = torch.rand(10, 10)
    return lambda: x[2:7]


@workload("cat")
def cat(torch):
    x, y = torch.rand(50), torch.rand(50)
    return lambda: torch.cat((x, y))


@workload("x > y")
def comparison(torch):
    x, y = torch.rand(100), torch.rand(100)
    return lambda: x > y


@workload("add_")
def add_in_place(torch):
    x, y = torch.rand(100), torch.zeros(100)
    return lambda: x.add_(y)


@workload("row + column")
def broadcast(torch):
    x, y = torch.rand(10, 1), torch.rand(10)
    return lambda: x + y


@workload("mm 16x16")
def mm(torch):
    x, y = torch.rand(16, 16), torch.rand(16, 16)
    return lambda: torch.mm(x, y)


@workload("item")
def item(torch):
    x = torch.rand(1)
    return lambda: x.item()


@workload("mul, sum, backward")
def mul_sum_backward(torch):
    x, y = torch.rand(100, requires_grad=True), torch.rand(100)

    def run():
        x.grad = None
        (x * y).sum().backward()

    return run


@workload("x[1:3] = v")
def write_rows(torch):
    x, v = torch.rand(10, 10), torch.rand(2, 10)

    def run():
        x[1:3] = v

    return run


@workload("x[mask] = 0")
def write_masked(torch):
    x = torch.rand(100)
    mask = x > 0.5

    def run():
        x[mask] = 0

    return run


@workload("column * 2")
def column_times_number(torch):
    x = torch.rand(10, 10)
    return lambda: x[:, 1] * 2


@workload("where")
def where(torch):
    x, y = torch.rand(100), torch.rand(100)
    condition = x > 0.5
    return lambda: torch.where(condition, x, y)


@workload("softmax")
def softmax(torch):
    x = torch.rand(10, 10)
    return lambda: torch.softmax(x, -1)


@workload("argmax(1)")
def argmax(torch):
    x = torch.rand(10, 10)
    return lambda: x.argmax(1)


@workload("tensor([1.0, 2.0, 3.0])")
def from_list(torch):
    return lambda: torch.tensor([1.0, 2.0, 3.0])


@workload("randn")
def randn(torch):
    return lambda: torch.randn(10, 10)


@workload("max_pool2d")
def max_pool(torch):
    x = torch.rand(1, 2, 8, 8)
    return lambda: torch.nn.functional.max_pool2d(x, 2)


@workload("cat, sum, backward")
def cat_backward(torch):
    x, y = torch.rand(50, requires_grad=True), torch.rand(50)

    def run():
        x.grad = None
        torch.cat((x, y)).sum().backward()

    return run


@workload("embedding, sum, backward")
def embedding_backward(torch):
    table, index = torch.rand(10, 10, requires_grad=True), torch.arange(10)

    def run():
        table.grad = None
        torch.nn.functional.embedding(index, table).sum().backward()

    return run


@workload("layer_norm, sum, backward")
def layer_norm_backward(torch):
    x = torch.rand(10, 10, requires_grad=True)

    def run():
        x.grad = None
        torch.nn.functional.layer_norm(x, (10,)).sum().backward()

    return run


@workload("cross_entropy, backward")
def cross_entropy_backward(torch):
    x, target = torch.rand(10, 10, requires_grad=True), torch.arange(10)

    def run():
        x.grad = None
        torch.nn.functional.cross_entropy(x, target).backward()

    return run


@workload("three-layer perceptron of width 32, SGD step")
def perceptron_step(torch):
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    x, y = torch.randn(16, 32), torch.randn(16, 32)

    def run():
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()

    return run
