"""Small training steps, one for each kind of program: what `numtorch warmup` runs."""

from __future__ import annotations

from collections.abc import Callable


def _step(net, loss) -> None:
    """One step of training with Adam."""
    from numtorch import optim

    optimizer = optim.Adam(net.parameters())
    loss.backward()
    optimizer.step()


def arithmetic() -> None:
    import numtorch as torch

    for dtype in (torch.float32, torch.float64):
        x = torch.rand(3, 4, dtype=dtype).add(0.5).requires_grad_()
        y = torch.rand(4, dtype=dtype)
        z = (x + y) * x / (y + 1) - x**2
        z = z.exp().log() + x.sqrt() + x.tanh() + x.sigmoid() + x.abs() + x.clamp(min=0)
        (z.sum() + z.mean() + z.max() + (x @ x.t()).sum()).backward()
        torch.arange(5).sum()


def mlp() -> None:
    import numtorch as torch
    from numtorch import nn

    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
    _step(net, nn.functional.cross_entropy(net(torch.randn(4, 8)), torch.tensor([0, 1, 2, 0])))


def convolution() -> None:
    import numtorch as torch
    from numtorch import nn

    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    _step(net, nn.functional.cross_entropy(net(torch.randn(2, 3, 12, 12)), torch.tensor([0, 1])))


def recurrent() -> None:
    import numtorch as torch
    from numtorch import nn

    embedding, lstm, gru = nn.Embedding(10, 6), nn.LSTM(6, 5), nn.GRU(5, 4)
    net = nn.ModuleList([embedding, lstm, gru])
    words = torch.tensor([[1, 2], [3, 4], [5, 6]])
    _step(net, gru(lstm(embedding(words))[0])[0].pow(2).mean())


def attention() -> None:
    import numtorch as torch
    from numtorch import nn

    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    _step(net, net(torch.randn(2, 5, 8)).pow(2).mean())


def optimisers() -> None:
    import numtorch as torch
    from numtorch import optim

    for make in (
        lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=1e-4),
        lambda p: optim.Adam(p),
        lambda p: optim.AdamW(p),
        lambda p: optim.RMSprop(p),
    ):
        parameter = torch.randn(5, requires_grad=True)
        optimizer = make([parameter])
        parameter.pow(2).sum().backward()
        optimizer.step()


#: name -> function
WORKLOADS: dict[str, Callable[[], None]] = {
    function.__name__: function for function in (arithmetic, mlp, convolution, recurrent, attention, optimisers)
}
