"""Max and average pooling at the sizes of ResNet's stem and of LeNet."""

from . import Family

FAMILY = Family("pooling")


def _pool(name, size, arguments, function):
    label = f"{name} {'x'.join(map(str, size))}, {arguments['kernel_size']}/{arguments['stride']}"

    @FAMILY.workload(label)
    def forward(torch):
        torch.manual_seed(0)
        x, pool = torch.randn(*size), getattr(torch.nn.functional, function)
        return lambda: pool(x, **arguments)

    @FAMILY.workload(f"{label}, with backward")
    def forward_backward(torch):
        torch.manual_seed(0)
        x, pool = torch.randn(*size, requires_grad=True), getattr(torch.nn.functional, function)
        grad = torch.randn(*pool(x, **arguments).shape)

        def run():
            x.grad = None
            pool(x, **arguments).backward(grad)

        return run


_STEM = {"kernel_size": 3, "stride": 2, "padding": 1}
_HALVE = {"kernel_size": 2, "stride": 2}
_pool("max", (8, 64, 112, 112), _STEM, "max_pool2d")
_pool("max", (64, 6, 28, 28), _HALVE, "max_pool2d")
_pool("average", (8, 64, 112, 112), _STEM, "avg_pool2d")
_pool("average", (64, 6, 28, 28), _HALVE, "avg_pool2d")
