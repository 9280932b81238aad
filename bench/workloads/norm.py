"""Batch norm and layer norm."""

from . import Family

FAMILY = Family("norm")


def _batch_norm(label, size):
    @FAMILY.workload(f"batch_norm {label}, training")
    def forward(torch):
        torch.manual_seed(0)
        x, layer = torch.randn(*size), torch.nn.BatchNorm2d(size[1])

        def run():
            with torch.no_grad():
                return layer(x)

        return run

    @FAMILY.workload(f"batch_norm {label}, training, with backward")
    def forward_backward(torch):
        torch.manual_seed(0)
        x, layer = torch.randn(*size, requires_grad=True), torch.nn.BatchNorm2d(size[1])
        grad = torch.randn(*size)

        def run():
            x.grad = layer.weight.grad = layer.bias.grad = None
            layer(x).backward(grad)

        return run

    @FAMILY.workload(f"batch_norm {label}, eval")
    def evaluate(torch):
        torch.manual_seed(0)
        x, layer = torch.randn(*size), torch.nn.BatchNorm2d(size[1]).eval()

        def run():
            with torch.no_grad():
                return layer(x)

        return run


_batch_norm("8x64x56x56", (8, 64, 56, 56))


@FAMILY.workload("layer_norm 1024x768, with backward")
def layer_norm(torch):
    torch.manual_seed(0)
    x, grad = torch.randn(1024, 768, requires_grad=True), torch.randn(1024, 768)
    layer = torch.nn.LayerNorm(768)

    def run():
        x.grad = layer.weight.grad = layer.bias.grad = None
        layer(x).backward(grad)

    return run
