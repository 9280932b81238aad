"""conv2d: the layers of ResNets and LeNet (stem, mid, deep, strided, pointwise), and a depthwise one.

Each forward alone, and forward and backward.
"""

from . import Family

FAMILY = Family("conv")

#        input size, output channels, kernel, stride, padding, groups
LAYERS = [
    ((8, 3, 224, 224), 64, 7, 2, 3, 1),
    ((8, 64, 56, 56), 64, 3, 1, 1, 1),
    ((8, 128, 28, 28), 128, 3, 1, 1, 1),
    ((8, 256, 14, 14), 256, 3, 1, 1, 1),
    ((8, 512, 7, 7), 512, 3, 1, 1, 1),
    ((8, 64, 56, 56), 128, 3, 2, 1, 1),
    ((8, 256, 56, 56), 64, 1, 1, 0, 1),
    ((64, 6, 14, 14), 16, 5, 1, 0, 1),
    ((8, 96, 28, 28), 96, 3, 1, 1, 96),
]


def _named(torch, run, x, weight, stride, padding, groups):
    """`run`, with the name of the forward algorithm where the library is numtorch."""
    if torch.__name__ != "numtorch":
        return run
    import numpy as np

    from numtorch.kernels.cpu.conv import choose

    (images, channels, *src), (outputs, _, *kernel) = x.shape, weight.shape
    out = [(n + 2 * padding - k) // stride + 1 for n, k in zip(src, kernel, strict=True)]
    sizes = [(1, *pair) for pair in (src, kernel, [stride] * 2)], [(1, *pair) for pair in ([1] * 2, out)]
    run.kernel = choose(
        "forward", images, groups, channels // groups, outputs // groups,
        *sizes[0], (0, padding, padding), *sizes[1], np.dtype(np.float32),
    )  # fmt: skip
    return run


def _conv(size, channels, kernel, stride, padding, groups):
    name = f"{'x'.join(map(str, size))} -> {channels}, {kernel}x{kernel}"
    name += f"/{stride}" if stride > 1 else ""
    name += ", depthwise" if groups > 1 else ""

    def tensors(torch, requires_grad):
        torch.manual_seed(0)
        x = torch.randn(*size, requires_grad=requires_grad)
        weight = torch.randn(channels, size[1] // groups, kernel, kernel) * 0.1
        bias = torch.randn(channels)
        weight.requires_grad_(requires_grad)
        bias.requires_grad_(requires_grad)
        return x, weight, bias

    @FAMILY.workload(name)
    def forward(torch):
        x, weight, bias = tensors(torch, False)
        conv2d = torch.nn.functional.conv2d
        return _named(
            torch, lambda: conv2d(x, weight, bias, stride, padding, 1, groups), x, weight, stride, padding, groups
        )

    @FAMILY.workload(f"{name}, with backward")
    def forward_backward(torch):
        x, weight, bias = tensors(torch, True)
        conv2d = torch.nn.functional.conv2d
        out = (size[2] + 2 * padding - kernel) // stride + 1
        grad = torch.randn(size[0], channels, out, out)

        def run():
            x.grad = weight.grad = bias.grad = None
            conv2d(x, weight, bias, stride, padding, 1, groups).backward(grad)

        return _named(torch, run, x, weight, stride, padding, groups)


for _layer in LAYERS:
    _conv(*_layer)
